//! Summaries as text.

use std::fmt::Write as _;

use crate::inspect::{EntrySummary, ImageSummary, PlatformSummary, Summary};
use crate::render::size;

/// A summary for people.
pub fn human(summary: &Summary) -> String {
    let mut out = format!("{}\n", summary.place);
    if let Some(digest) = &summary.digest {
        let _ = writeln!(out, "  digest       {digest}");
    }
    for (key, value) in &summary.annotations {
        let _ = writeln!(out, "  annotation   {key}={value}");
    }
    for platform in &summary.platforms {
        platform_lines(&mut out, platform);
    }
    out
}

/// A summary as JSON.
pub fn json(summary: &Summary) -> String {
    serde_json::to_string_pretty(summary).unwrap_or_default() + "\n"
}

fn platform_lines(out: &mut String, platform: &PlatformSummary) {
    out.push('\n');
    if !platform.platform.is_empty() {
        let _ = writeln!(out, "{}", platform.platform);
    }
    if let Some(image) = &platform.image {
        image_lines(out, image);
    }
    let tree = &platform.tree;
    let _ = writeln!(
        out,
        "  tree         {} in {}, {}, {}, {}, {}",
        size(tree.bytes),
        count(tree.files, "file"),
        count(tree.directories, "directory"),
        count(tree.symlinks, "symlink"),
        count(tree.hardlinks, "hard link"),
        count(tree.special, "special file"),
    );
    for below in &tree.below {
        let indent = "  ".repeat(below.depth);
        let _ = writeln!(out, "  {:>12} {indent}{} ({})", size(below.bytes), below.path, count(below.entries, "entry"));
    }
    if tree.largest.iter().any(|largest| largest.size > 0) {
        let _ = writeln!(out, "  largest files");
    }
    for largest in tree.largest.iter().filter(|largest| largest.size > 0) {
        let _ = writeln!(out, "  {:>12}   {}", size(largest.size), largest.path);
    }
    if let Some(entries) = &platform.entries {
        out.push('\n');
        for entry in entries {
            entry_line(out, entry);
        }
    }
}

fn image_lines(out: &mut String, image: &ImageSummary) {
    let _ = writeln!(out, "  manifest     {}", image.manifest_digest);
    let _ = writeln!(out, "  config       {}", image.config_digest);
    for key in ["created", "author"] {
        if let Some(text) = image.config.get(key).and_then(|value| value.as_str()) {
            let _ = writeln!(out, "  {key:<12} {text}");
        }
    }
    if let Some(serde_json::Value::Object(config)) = image.config.get("config") {
        for (key, value) in config {
            let _ = writeln!(out, "  {:<12} {value}", key.to_lowercase());
        }
    }
    for layer in &image.layers {
        let _ = writeln!(out, "  layer        {} {} {}", layer.digest, size(layer.size), layer.created_by);
    }
}

fn entry_line(out: &mut String, entry: &EntrySummary) {
    let target = entry.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "  {:<9} {} {:>5}:{:<5} {:>11} {:>10} {}{target}",
        entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, entry.path
    );
    for (name, value) in &entry.xattrs {
        let _ = writeln!(out, "            {name}={value}");
    }
}

/// `1 file`, `2 files`, `0 directories`.
fn count(number: u64, thing: &str) -> String {
    match (number, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted_in_english() {
        assert_eq!(count(1, "directory"), "1 directory");
        assert_eq!(count(0, "directory"), "0 directories");
        assert_eq!(count(2, "hard link"), "2 hard links");
    }
}
