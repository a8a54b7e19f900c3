//! The image config document, kept as the JSON object that it is.

use serde_json::{Map, Value, json};

use super::canonical::canonical;
use super::settings::Settings;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::platform::Platform;

/// An image config (image-spec, config.md). Keys of a base image that this program does not know stay in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration(Map<String, Value>);

/// One entry of an image's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The date to give.
    pub created: Epoch,
    /// What made the layer.
    pub created_by: String,
    /// A remark; empty for none.
    pub comment: String,
}

/// Why bytes are no image config that can be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image config: {0}")]
pub struct ConfigurationError(String);

impl Configuration {
    /// The config of an image without layers.
    pub fn new(platform: &Platform) -> Configuration {
        let mut object = Map::new();
        object.insert("architecture".into(), json!(platform.architecture()));
        object.insert("os".into(), json!(platform.os()));
        if let Some(variant) = platform.variant() {
            object.insert("variant".into(), json!(variant));
        }
        object.insert("rootfs".into(), json!({"type": "layers", "diff_ids": []}));
        object.insert("history".into(), json!([]));
        Configuration(object)
    }

    /// Reads a config document.
    ///
    /// # Errors
    /// When it is not a JSON object, or its `rootfs` is not what the specification asks for.
    pub fn parse(bytes: &[u8]) -> Result<Configuration, ConfigurationError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| ConfigurationError(error.to_string()))?;
        let Value::Object(object) = value else { return Err(ConfigurationError("not a JSON object".into())) };
        let configuration = Configuration(object);
        configuration.read_diff_ids()?;
        Ok(configuration)
    }

    /// The document's bytes, the same every time.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(&self.0)
    }

    /// The document as JSON.
    pub fn as_json(&self) -> &Map<String, Value> {
        &self.0
    }

    /// How a container is started.
    pub fn settings(&self) -> Settings {
        self.0.get("config").and_then(Value::as_object).map(Settings::read).unwrap_or_default()
    }

    /// The same document with other settings.
    pub fn with_settings(mut self, settings: &Settings) -> Configuration {
        let mut config = self.0.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
        settings.write(&mut config);
        self.0.insert("config".into(), Value::Object(config));
        self
    }

    /// The same document with another date.
    pub fn with_created(mut self, created: Epoch) -> Configuration {
        self.0.insert("created".into(), json!(created.to_string()));
        self
    }

    /// The same document with one more layer on top, and its one entry of history.
    pub fn with_layer(mut self, diff_id: &Digest, history: &HistoryEntry) -> Configuration {
        if let Some(ids) = self.0.get_mut("rootfs").and_then(|rootfs| rootfs["diff_ids"].as_array_mut()) {
            ids.push(json!(diff_id.to_string()));
        }
        let mut entry = json!({"created": history.created.to_string(), "created_by": history.created_by});
        if !history.comment.is_empty() {
            entry["comment"] = json!(history.comment);
        }
        match self.0.get_mut("history") {
            Some(Value::Array(entries)) => entries.push(entry),
            // A base without any history stays legal: docker only refuses more entries than layers.
            _ => {
                self.0.insert("history".into(), json!([entry]));
            }
        }
        self
    }

    /// The digests of the uncompressed layers, base first.
    pub fn diff_ids(&self) -> Vec<Digest> {
        self.read_diff_ids().unwrap_or_default()
    }

    /// `os/architecture[/variant]` as the document says it, of whatever platform.
    pub fn platform(&self) -> String {
        let text = |key: &str| self.0.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("variant") {
            "" => format!("{}/{}", text("os"), text("architecture")),
            variant => format!("{}/{}/{variant}", text("os"), text("architecture")),
        }
    }

    fn read_diff_ids(&self) -> Result<Vec<Digest>, ConfigurationError> {
        let ids = self.0.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
        let ids = ids.ok_or_else(|| ConfigurationError("rootfs.diff_ids is missing".into()))?;
        ids.iter()
            .map(|id| id.as_str().unwrap_or_default().parse())
            .collect::<Result<_, _>>()
            .map_err(|error| ConfigurationError(format!("rootfs.diff_ids: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_config_keeps_its_unknown_keys() {
        let base = br#"{"architecture":"amd64","os":"linux","os.features":["x"],"config":{"OnBuild":["RUN x"]},
            "rootfs":{"type":"layers","diff_ids":[]},"moby.buildkit.x":1}"#;
        let history = HistoryEntry { created: Epoch::DEFAULT, created_by: "sazare".into(), comment: String::new() };
        let settings = Settings { cmd: vec!["/a".into()], ..Settings::default() };
        let document =
            Configuration::parse(base).unwrap().with_settings(&settings).with_layer(&Digest::of(b""), &history);
        let text = String::from_utf8(document.to_bytes()).unwrap();
        for part in [r#""os.features":["x"]"#, r#""OnBuild":["RUN x"]"#, r#""moby.buildkit.x":1"#, r#""Cmd":["/a"]"#] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(document.diff_ids(), [Digest::of(b"")]);
        assert_eq!(document.platform(), "linux/amd64");
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for bytes in ["", "[]", "{}", r#"{"rootfs":{"diff_ids":["md5:x"]}}"#] {
            assert!(Configuration::parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
