//! The result of a build, and numbers, as text.

use serde_json::{Value, json};

use crate::codec::compress::{Compression, writer_id};
use crate::pipeline::Built;
use crate::platform::Platform;
use crate::transport::Archived;

/// The result of a build as JSON: what `--metadata-file` and `--format json` give.
pub fn built(built: Option<&Built>, archives: &[Archived], platforms: &[Platform], compression: Compression) -> String {
    let mut document = built.map(|built| image(built, platforms, compression)).unwrap_or_else(|| json!({}));
    document["version"] = json!(env!("CARGO_PKG_VERSION"));
    if !archives.is_empty() {
        document["archives"] = archives.iter().map(archive).collect();
    }
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn archive(archived: &Archived) -> Value {
    json!({
        "file": archived.file.display().to_string(), "digest": archived.digest.to_string(),
        "size": archived.size, "unpacked-size": archived.unpacked, "compressor": archived.form.writer_id(),
    })
}

fn image(built: &Built, platforms: &[Platform], compression: Compression) -> Value {
    let images: Vec<Value> = built
        .image
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
    let places: Vec<Value> = built
        .written
        .iter()
        .map(|written| {
            let names: Vec<Value> = written
                .names
                .iter()
                .map(|(name, digest)| json!({"name": name, "digest": digest.to_string()}))
                .collect();
            json!({"place": written.place, "names": names, "references": written.references})
        })
        .collect();
    json!({
        "digest": built.digest.to_string(),
        "platforms": images,
        "places": places,
        "compressor": writer_id(compression),
    })
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
