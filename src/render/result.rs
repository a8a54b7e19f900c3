//! The result of a build as text, and sizes, wherever they are printed.

use serde_json::{Value, json};

use super::text::Text;
use crate::bundle::Reason;
use crate::codec::compress::{Compression, writer_id};
use crate::digest::Digest;
use crate::image::Image;
use crate::pipeline::{Built, Bundled, Copied, Why};
use crate::platform::Platform;
use crate::transport::{Written, WrittenImage};

/// The result as JSON: what `--metadata-file` and `--format json` give.
pub fn built(built: &Built, platforms: &[Platform], compression: Compression) -> String {
    let mut document = match &built.image {
        Some((digest, image)) => image_document(digest, image, platforms, compression),
        None => json!({}),
    };
    document["version"] = json!(env!("CARGO_PKG_VERSION"));
    let mut list = |key: &str, of: fn(&Written) -> Option<Value>| {
        let list: Vec<Value> = built.written.iter().filter_map(of).collect();
        if !list.is_empty() {
            document[key] = json!(list);
        }
    };
    list("places", |written| match written {
        Written::Image(image) => Some(place(image)),
        Written::Initramfs(_) | Written::Rootfs(_) => None,
    });
    list("archives", |written| match written {
        Written::Initramfs(archive) => Some(json!({
            "file": archive.file.display().to_string(), "digest": archive.digest.to_string(),
            "size": archive.size, "unpacked-size": archive.unpacked, "compressor": archive.form.writer_id(),
        })),
        Written::Image(_) | Written::Rootfs(_) => None,
    });
    list("folders", |written| match written {
        Written::Rootfs(root) => Some(json!({"folder": root.folder, "notes": root.notes})),
        Written::Image(_) | Written::Initramfs(_) => None,
    });
    if !built.bundled.is_empty() {
        document["bundled"] = built.bundled.iter().map(collected).collect();
    }
    if !built.checked.report.findings.is_empty() {
        document["findings"] = json!(built.checked.report.findings);
    }
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// An image that was copied, as JSON.
pub fn copied(copied: &Copied) -> String {
    let places: Vec<Value> = copied
        .written
        .iter()
        .filter_map(|written| match written {
            Written::Image(image) => Some(place(image)),
            Written::Initramfs(_) | Written::Rootfs(_) => None,
        })
        .collect();
    let platforms: Vec<Value> = copied
        .image
        .platforms
        .iter()
        .map(|image| {
            let digest = image.manifest_descriptor.digest().to_string();
            json!({"platform": image.platform.to_string(), "manifest-digest": digest, "size": image.layers_size()})
        })
        .collect();
    format!("{:#}\n", json!({"digest": copied.digest.to_string(), "platforms": platforms, "places": places}))
}

fn place(image: &WrittenImage) -> Value {
    let names: Vec<Value> =
        image.names.iter().map(|(name, digest)| json!({"name": name, "digest": digest.to_string()})).collect();
    json!({"place": image.place, "names": names, "references": image.references})
}

fn collected(bundled: &Bundled) -> Value {
    let files: Vec<Value> = bundled
        .reasons
        .iter()
        .map(|(path, reasons)| {
            let because: Vec<Value> = reasons.iter().map(Reason::json).collect();
            json!({"path": path.to_string(), "because": because})
        })
        .collect();
    let programs: Vec<String> = bundled.programs.iter().map(|path| path.to_string()).collect();
    json!({"platform": bundled.platform.to_string(), "programs": programs, "size": bundled.size, "files": files})
}

/// What was bundled, for people; `verbose` lists each name with its reasons.
pub fn bundled(bundled: &[Bundled], verbose: bool) -> Text {
    let mut out = Text::new();
    for one in bundled {
        if verbose {
            for (path, reasons) in &one.reasons {
                let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
                out.line(format_args!("{path}: {}", reasons.join("; ")));
            }
        }
        out.line(format_args!("{}: bundled {} names, {}", one.platform, one.reasons.len(), size(one.size)));
    }
    out
}

fn image_document(digest: &Digest, image: &Image, platforms: &[Platform], compression: Compression) -> Value {
    let images: Vec<Value> = image
        .platforms
        .iter()
        .zip(platforms)
        .map(|(image, platform)| {
            let layers: Vec<Value> = image
                .manifest
                .layers()
                .iter()
                .zip(image.configuration.diff_ids())
                .map(|(layer, diff_id)| {
                    json!({
                        "digest": layer.digest().to_string(), "diff-id": diff_id.to_string(),
                        "size": layer.size(), "media-type": layer.media_type().to_string(),
                    })
                })
                .collect();
            json!({
                "platform": platform.to_string(),
                "manifest-digest": image.manifest_descriptor.digest().to_string(),
                "config-digest": image.manifest.config().digest().to_string(),
                "layers": layers,
            })
        })
        .collect();
    json!({"digest": digest.to_string(), "platforms": images, "compressor": writer_id(compression)})
}

/// The platform of an answer; empty for a root file system.
fn words(answer: &Why) -> String {
    answer.platform.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Why a path is in a place, for people.
pub fn why(path: &str, answers: &[Why]) -> Text {
    let mut out = Text::new();
    for answer in answers {
        let platform = if answers.len() > 1 { format!("{} ", words(answer)) } else { String::new() };
        out.line(format_args!("{platform}{path}"));
        for reason in &answer.because {
            out.line(format_args!("  {reason}"));
        }
        if answer.because.is_empty() {
            out.line("  no program needs it and no bundle recorded a reason");
        }
    }
    out
}

/// Why a path is in a place, as JSON.
pub fn why_json(path: &str, answers: &[Why]) -> String {
    let answers: Vec<Value> =
        answers.iter().map(|answer| json!({"platform": words(answer), "because": answer.because})).collect();
    format!("{:#}\n", json!({"path": path, "platforms": answers}))
}

/// A number of bytes for people, in decimal units as image tools use them: `1.5 MB`.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be shown as 1000.0 belongs to the next unit.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (4_200_000_000, "4.2 GB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }
}
