//! Reads a layout's documents directly, so that tests do not use sazare to check sazare's output.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A document of a layout by its file name.
pub fn document(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap()
}

/// The path of a blob in a layout.
pub fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The manifests of a layout by their architecture, whatever the depth of the index; the first tag's.
pub fn manifests(layout: &Path) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![document(&layout.join("index.json"))];
    while let Some(document_here) = waiting.pop() {
        if let Some(children) = document_here["manifests"].as_array() {
            for child in children {
                waiting.push(document(&blob(layout, child["digest"].as_str().unwrap())));
            }
        } else {
            let config = document(&blob(layout, document_here["config"]["digest"].as_str().unwrap()));
            found.insert(config["architecture"].as_str().unwrap().to_owned(), document_here);
        }
    }
    found
}

/// The image configuration that a manifest names.
pub fn configuration(layout: &Path, manifest: &Value) -> Value {
    document(&blob(layout, manifest["config"]["digest"].as_str().unwrap()))
}

/// The layer files that a manifest names, the lowest first.
pub fn layers(layout: &Path, manifest: &Value) -> Vec<PathBuf> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| blob(layout, layer["digest"].as_str().unwrap())).collect()
}
