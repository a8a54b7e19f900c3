//! `.note.dlopen`: the libraries that a file opens at run time ("ELF dlopen metadata" of the UAPI group).

use serde_json::Value;

/// The type of the note, whose owner is `FDO`.
pub(super) const NOTE_TYPE: u32 = 0x407c_0c0a;

/// One feature, and the libraries that provide it: any one of them is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlopenFeature {
    /// The names of the libraries, the preferred one first.
    pub names: Vec<String>,
    /// What it is for; may be empty.
    pub feature: String,
    /// How important it is.
    pub priority: Priority,
}

/// How important a library is that is opened at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `suggested`: few users need it.
    Suggested,
    /// `recommended`: most users need it. Also the meaning of a note that gives no priority.
    Recommended,
    /// `required`: the file does not work if the library is missing.
    Required,
}

/// Reads a note. Entries that are not understood are left out.
pub(super) fn read(desc: &[u8]) -> Vec<DlopenFeature> {
    let Ok(Value::Array(features)) = serde_json::from_slice(super::bytes::cut_at_nul(desc)) else { return Vec::new() };
    let opened = features.iter().map(|feature| {
        let text = |key: &str| feature.get(key).and_then(Value::as_str).unwrap_or_default();
        let names = feature.get("soname").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect();
        let priority = match text("priority") {
            "required" => Priority::Required,
            "suggested" => Priority::Suggested,
            _ => Priority::Recommended,
        };
        DlopenFeature { names, feature: text("feature").to_string(), priority }
    });
    opened.filter(|opened| !opened.names.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_features_and_libraries() {
        let note =
            br#"[{"feature":"xz","description":"d","priority":"required","soname":["liblzma.so.5","liblzma.so"]},
            {"soname":["libz.so.1"]},{"soname":[7]},3]"#;
        let opened = read(note);
        assert_eq!(opened.len(), 2);
        assert_eq!(
            (opened[0].names.len(), opened[0].feature.as_str(), opened[0].priority),
            (2, "xz", Priority::Required)
        );
        assert_eq!(opened[1].priority, Priority::Recommended);
        assert_eq!(read(b"[{\"soname\":\"x\"}]\0"), []);
        assert_eq!(read(b"no JSON"), []);
    }
}
