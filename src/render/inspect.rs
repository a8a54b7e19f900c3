//! What `inspect` prints. [`size`] writes a number of bytes for people.

use crate::inspect::{EntrySummary, ImageSummary, PlatformSummary, Summary};
use crate::render::size;

use super::text::Text;

/// A summary for people.
pub fn human(summary: &Summary) -> Text {
    let mut out = Text::of(&summary.place);
    if let Some(digest) = &summary.digest {
        out.line(format_args!("  digest       {digest}"));
    }
    for (key, value) in &summary.annotations {
        out.line(format_args!("  annotation   {key}={value}"));
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

fn platform_lines(out: &mut Text, platform: &PlatformSummary) {
    out.line("");
    match &platform.image {
        Some(_) => out.line(format_args!("{}", platform.platform)),
        None if platform.platform.is_empty() => {}
        None => out.line(format_args!("{}, as its programs say", platform.platform)),
    }
    if let Some(image) = &platform.image {
        image_lines(out, image);
    }
    let tree = &platform.tree;
    out.line(format_args!(
        "  tree         {} in {}, {}, {}, {}, {}",
        size(tree.bytes),
        count(tree.files, "file"),
        count(tree.directories, "directory"),
        count(tree.symlinks, "symlink"),
        count(tree.hardlinks, "hard link"),
        count(tree.special, "special file")
    ));
    for below in &tree.below {
        let indent = "  ".repeat(below.depth);
        out.line(format_args!(
            "  {:>12} {indent}{} ({})",
            size(below.bytes),
            below.path,
            count(below.entries, "entry")
        ));
    }
    if tree.largest.iter().any(|largest| largest.size > 0) {
        out.line(format_args!("  largest files"));
    }
    for largest in tree.largest.iter().filter(|largest| largest.size > 0) {
        out.line(format_args!("  {:>12}   {}", size(largest.size), largest.path));
    }
    if let Some(entries) = &platform.entries {
        out.line("");
        for entry in entries {
            entry_line(out, entry);
        }
    }
}

fn image_lines(out: &mut Text, image: &ImageSummary) {
    out.line(format_args!("  manifest     {}", image.manifest_digest));
    out.line(format_args!("  config       {}", image.config_digest));
    for key in ["created", "author"] {
        if let Some(text) = image.config.get(key).and_then(|value| value.as_str()) {
            out.line(format_args!("  {key:<12} {text}"));
        }
    }
    if let Some(serde_json::Value::Object(config)) = image.config.get("config") {
        for (key, value) in config {
            out.line(format_args!("  {:<12} {value}", key.to_lowercase()));
        }
    }
    for layer in &image.layers {
        out.line(format_args!("  layer        {} {} {}", layer.digest, size(layer.size), layer.created_by));
    }
}

fn entry_line(out: &mut Text, entry: &EntrySummary) {
    let target = entry.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    out.line(format_args!(
        "  {:<9} {} {:>5}:{:<5} {:>11} {:>10} {}{target}",
        entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, entry.path
    ));
    for (name, value) in &entry.xattrs {
        out.line(format_args!("            {name}={value}"));
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
    fn what_a_foreign_image_says_stays_in_its_line() {
        let evil = "\n::error::forged\x1b[2J\u{202e}";
        let config = serde_json::json!({"created": evil, "author": evil, "config": {"User": evil}});
        let layer = crate::inspect::LayerSummary {
            digest: evil.into(),
            diff_id: evil.into(),
            media_type: evil.into(),
            size: 1,
            created_by: evil.into(),
        };
        let image = ImageSummary {
            manifest_digest: evil.into(),
            config_digest: evil.into(),
            config: config.as_object().unwrap().clone(),
            annotations: Default::default(),
            layers: vec![layer],
        };
        let platform = PlatformSummary {
            platform: format!("::stop-commands::{evil}"),
            image: Some(image),
            tree: Default::default(),
            entries: None,
        };
        let annotations = [(evil.to_string(), evil.to_string())].into();
        let summary = Summary { place: evil.into(), digest: Some(evil.into()), annotations, platforms: vec![platform] };
        let text = human(&summary);
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        assert_eq!(text.lines().count(), 12, "{text}");
    }

    #[test]
    fn things_are_counted_in_english() {
        assert_eq!(count(1, "directory"), "1 directory");
        assert_eq!(count(0, "directory"), "0 directories");
        assert_eq!(count(2, "hard link"), "2 hard links");
    }
}
