//! Why a name is in a bundle.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::link::{Need, Role};
use crate::path::{ImagePath, display_bytes};

/// Why a name is in a bundle. Paths are as a person reads them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The bundle was asked for it.
    Named,
    /// It loads this program.
    Loader(String),
    /// It is loaded.
    Library {
        /// The name that is asked for.
        name: String,
        /// Who asks.
        by: String,
        /// How it is found.
        rule: String,
    },
    /// It interprets this script.
    Interpreter(String),
    /// `env` runs it for this script.
    Command(String),
    /// It is a link on the way to this path.
    Way(String),
    /// It lets a loader find what it would not find without.
    Search,
    /// This glob asked for it.
    Included(String),
    /// This kind of extra was asked for.
    Extra(&'static str),
    /// A run used it so.
    Traced(&'static str),
    /// It is an empty directory that was asked for.
    Made,
}

/// The names of a bundle that are no directories on the way, and why each is there.
pub type Reasons = BTreeMap<ImagePath, Vec<Reason>>;

impl Reason {
    /// The reason of what a start asks for.
    pub(super) fn of(need: &Need) -> Reason {
        let by = display_bytes(&need.by);
        match &need.role {
            Role::Loader => Reason::Loader(by),
            Role::Library { name, rule } => Reason::Library { name: display_bytes(name), by, rule: rule.clone() },
            Role::Interpreter => Reason::Interpreter(by),
            Role::Command => Reason::Command(by),
        }
    }

    /// Whether a tree shows it by itself, to whoever follows its programs.
    pub fn is_linkage(&self) -> bool {
        match self {
            Reason::Loader(_)
            | Reason::Library { .. }
            | Reason::Interpreter(_)
            | Reason::Command(_)
            | Reason::Way(_)
            | Reason::Search => true,
            Reason::Named | Reason::Included(_) | Reason::Extra(_) | Reason::Traced(_) | Reason::Made => false,
        }
    }

    /// One word for it, and the parts of it, for programs.
    pub fn json(&self) -> Value {
        let mut value = match self {
            Reason::Named => json!({"kind": "named"}),
            Reason::Loader(by) => json!({"kind": "loader", "by": by}),
            Reason::Library { name, by, rule } => json!({"kind": "library", "name": name, "by": by, "rule": rule}),
            Reason::Interpreter(by) => json!({"kind": "interpreter", "by": by}),
            Reason::Command(by) => json!({"kind": "command", "by": by}),
            Reason::Way(to) => json!({"kind": "link", "to": to}),
            Reason::Search => json!({"kind": "search"}),
            Reason::Included(glob) => json!({"kind": "included", "glob": glob}),
            Reason::Extra(word) => json!({"kind": "with", "with": word}),
            Reason::Traced(call) => json!({"kind": "traced", "call": call}),
            Reason::Made => json!({"kind": "made"}),
        };
        value["text"] = json!(self.to_string());
        value
    }
}

/// The annotation of an image that tells why names of a bundle are in it, where the files themselves do not show it.
pub const REASONS: &str = "io.github.kazuki-0731.sazare.reasons";

/// The largest value of that annotation, in bytes: registries take manifests of 4 MB.
const REASONS_MAX: usize = 1 << 20;

/// What the annotation says: each reason with the paths that it is true for. `None` when there is nothing to say, or too
/// much of it.
pub fn kept(reasons: &Reasons) -> Option<String> {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, reasons) in reasons {
        for reason in reasons.iter().filter(|reason| !reason.is_linkage()) {
            paths.entry(reason.to_string()).or_default().push(path.to_string());
        }
    }
    let text = serde_json::to_string(&paths).ok()?;
    (!paths.is_empty() && text.len() <= REASONS_MAX).then_some(text)
}

/// What the annotation says about a path, in words; nothing when it is none of ours.
pub fn remembered(annotation: &str, path: &ImagePath) -> Vec<String> {
    let paths: BTreeMap<String, Vec<String>> = serde_json::from_str(annotation).unwrap_or_default();
    let shown = path.to_string();
    paths.into_iter().filter(|(_, paths)| paths.contains(&shown)).map(|(reason, _)| reason).collect()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Named => f.write_str("asked for by name"),
            Reason::Loader(by) => write!(f, "loads {by} (PT_INTERP)"),
            Reason::Library { name, by, rule } => write!(f, "{name}, needed by {by} ({rule})"),
            Reason::Interpreter(by) => write!(f, "interprets {by} (first line)"),
            Reason::Command(by) => write!(f, "is run by `env` for {by} (first line)"),
            Reason::Way(to) => write!(f, "is a link on the way to {to}"),
            Reason::Search => f.write_str("lets the loader find what it would not find without"),
            Reason::Included(glob) => write!(f, "included by {glob}"),
            Reason::Extra(word) => write!(f, "part of `{word}`"),
            Reason::Traced(call) => write!(f, "{call} in the trace"),
            Reason::Made => f.write_str("made as an empty directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_do_not_show_is_remembered() {
        let path = |text: &str| text.parse::<ImagePath>().unwrap();
        let reasons = Reasons::from([
            (path("/a"), vec![Reason::Named, Reason::Loader("/b".into())]),
            (path("/c"), vec![Reason::Traced("opened")]),
            (path("/d"), vec![Reason::Traced("opened"), Reason::Way("/e".into())]),
        ]);
        let text = kept(&reasons).unwrap();
        assert_eq!(text, r#"{"asked for by name":["/a"],"opened in the trace":["/c","/d"]}"#);
        assert_eq!(remembered(&text, &path("/a")), ["asked for by name"]);
        assert_eq!(remembered(&text, &path("/d")), ["opened in the trace"]);
        assert_eq!(remembered("no JSON", &path("/d")), Vec::<String>::new());
        assert_eq!(kept(&Reasons::from([(path("/a"), vec![Reason::Search])])), None);
    }
}
