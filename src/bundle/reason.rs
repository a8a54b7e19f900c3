//! Why a name is in a bundle.
//!
//! An image records the reasons that its files do not show by themselves, in an annotation of its manifest. They are
//! recorded as data, never as sentences: a better wording must not change a digest. The value is a JSON array with one
//! object for each reason, with its paths:
//!
//! ```text
//! [{"kind":"named","paths":["/usr/bin/app"]},{"call":"opened","kind":"traced","paths":["/etc/app.conf"]}]
//! ```
//!
//! The first images had an object from sentence to paths instead. It is still read; its sentences are shown as they are.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::trace::Use;
use crate::link::{Need, Role};
use crate::path::{ImagePath, display_bytes};
use crate::recipe::Extra;

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
    Link(String),
    /// The loader needs it to find another library.
    Search,
    /// This glob asked for it.
    Included(String),
    /// This kind of extra was asked for.
    Extra(Extra),
    /// A traced run used it in this way.
    Traced(Use),
    /// It is an empty directory that was asked for.
    Made,
}

/// The names of a bundle that are not directories on the way, and why each is there.
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
            | Reason::Link(_)
            | Reason::Search => true,
            Reason::Named | Reason::Included(_) | Reason::Extra(_) | Reason::Traced(_) | Reason::Made => false,
        }
    }

    /// Its code with its arguments: the same in every release.
    fn data(&self) -> Value {
        match self {
            Reason::Named => json!({"kind": "named"}),
            Reason::Loader(by) => json!({"kind": "loader", "by": by}),
            Reason::Library { name, by, rule } => json!({"kind": "library", "name": name, "by": by, "rule": rule}),
            Reason::Interpreter(by) => json!({"kind": "interpreter", "by": by}),
            Reason::Command(by) => json!({"kind": "command", "by": by}),
            Reason::Link(to) => json!({"kind": "link", "to": to}),
            Reason::Search => json!({"kind": "search"}),
            Reason::Included(glob) => json!({"kind": "included", "glob": glob}),
            Reason::Extra(extra) => json!({"kind": "with", "with": extra.word()}),
            Reason::Traced(used) => json!({"kind": "traced", "call": used.code()}),
            Reason::Made => json!({"kind": "made"}),
        }
    }

    /// A recorded reason; `None` for one that this release does not know.
    fn from_data(data: &Value) -> Option<Reason> {
        let text = |name: &str| data.get(name)?.as_str();
        match text("kind")? {
            "named" => Some(Reason::Named),
            "included" => Some(Reason::Included(text("glob")?.to_string())),
            "with" => {
                let word = text("with")?;
                Extra::ALL.into_iter().find(|extra| extra.word() == word).map(Reason::Extra)
            }
            "traced" => Use::from_code(text("call")?).map(Reason::Traced),
            "made" => Some(Reason::Made),
            _ => None,
        }
    }

    /// Its code, its arguments and its sentence, for programs.
    pub fn json(&self) -> Value {
        let mut value = self.data();
        value["text"] = json!(self.to_string());
        value
    }
}

/// The annotation of an image that records why names of a bundle are in it, if the files themselves do not show it.
pub const REASONS: &str = "io.github.kazuki-0731.sazare.reasons";

/// The largest value of that annotation, in bytes: registries accept manifests of 4 MB.
const REASONS_MAX: usize = 1 << 20;

/// The value of the annotation. `None` if there is nothing to record, or too much.
pub fn recorded(reasons: &Reasons) -> Option<String> {
    let mut paths: BTreeMap<&Reason, Vec<String>> = BTreeMap::new();
    for (path, reasons) in reasons {
        for reason in reasons.iter().filter(|reason| !reason.is_linkage()) {
            paths.entry(reason).or_default().push(path.to_string());
        }
    }
    let entry = |(reason, paths): (&Reason, Vec<String>)| {
        let mut entry = reason.data();
        entry["paths"] = json!(paths);
        entry
    };
    let entries: Vec<Value> = paths.into_iter().map(entry).collect();
    let text = serde_json::to_string(&entries).ok()?;
    (!entries.is_empty() && text.len() <= REASONS_MAX).then_some(text)
}

/// The reasons that the annotation records for a path, as sentences. None if the annotation is not one of ours.
pub fn read_recorded(annotation: &str, path: &ImagePath) -> Vec<String> {
    let shown = path.to_string();
    let names = |paths: &Value| {
        paths.as_array().is_some_and(|paths| paths.iter().any(|path| path.as_str() == Some(shown.as_str())))
    };
    match serde_json::from_str(annotation) {
        Ok(Value::Array(entries)) => {
            let about = entries.iter().filter(|entry| entry.get("paths").is_some_and(names));
            about.filter_map(sentence).collect()
        }
        // The old form.
        Ok(Value::Object(sentences)) => {
            sentences.into_iter().filter(|(_, paths)| names(paths)).map(|(sentence, _)| sentence).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// A recorded reason as a sentence. A later release may have recorded one that this one does not know.
fn sentence(entry: &Value) -> Option<String> {
    let unknown = || Some(format!("recorded as `{}`", entry.get("kind")?.as_str()?));
    Reason::from_data(entry).map(|reason| reason.to_string()).or_else(unknown)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Named => f.write_str("requested by name"),
            Reason::Loader(by) => write!(f, "loads {by} (PT_INTERP)"),
            Reason::Library { name, by, rule } => write!(f, "{name}, needed by {by} ({rule})"),
            Reason::Interpreter(by) => write!(f, "interprets {by} (first line)"),
            Reason::Command(by) => write!(f, "is run by `env` for {by} (first line)"),
            Reason::Link(to) => write!(f, "is a link on the way to {to}"),
            Reason::Search => f.write_str("needed so that the loader finds another library"),
            Reason::Included(glob) => write!(f, "included by {glob}"),
            Reason::Extra(extra) => write!(f, "part of `{}`", extra.word()),
            Reason::Traced(used) => write!(f, "{used} in the traced run"),
            Reason::Made => f.write_str("created as an empty directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        text.parse().unwrap()
    }

    #[test]
    fn what_files_do_not_show_is_recorded_as_data_and_read_as_sentences() {
        let reasons = Reasons::from([
            (path("/a"), vec![Reason::Named, Reason::Loader("/b".into())]),
            (path("/c"), vec![Reason::Traced(Use::Opened)]),
            (path("/d"), vec![Reason::Traced(Use::Opened), Reason::Link("/e".into())]),
        ]);
        let text = recorded(&reasons).unwrap();
        assert_eq!(text, r#"[{"kind":"named","paths":["/a"]},{"call":"opened","kind":"traced","paths":["/c","/d"]}]"#);
        assert_eq!(read_recorded(&text, &path("/a")), ["requested by name"]);
        assert_eq!(read_recorded(&text, &path("/d")), ["opened in the traced run"]);
        assert_eq!(read_recorded("no JSON", &path("/d")), Vec::<String>::new());
        assert_eq!(recorded(&Reasons::from([(path("/a"), vec![Reason::Search])])), None);
    }

    #[test]
    fn every_reason_that_is_recorded_is_read_as_itself() {
        let mut all = vec![Reason::Named, Reason::Included("/a/*".into()), Reason::Made];
        all.extend(Extra::ALL.map(Reason::Extra));
        all.extend(Use::ALL.map(Reason::Traced));
        for reason in all {
            assert!(!reason.is_linkage());
            assert_eq!(Reason::from_data(&reason.data()), Some(reason));
        }
    }

    #[test]
    fn annotations_of_other_releases_are_read() {
        // Recorded from an image of the first version.
        let old = r#"{"requested by name":["/usr/bin/patchelf"],"included by /etc/debian_version":["/etc/debian_version"],"opened in the trace":["/etc/debian_version"]}"#;
        assert_eq!(read_recorded(old, &path("/usr/bin/patchelf")), ["requested by name"]);
        let both = ["included by /etc/debian_version", "opened in the trace"];
        assert_eq!(read_recorded(old, &path("/etc/debian_version")), both);
        assert_eq!(read_recorded(old, &path("/bin")), Vec::<String>::new());
        let later =
            r#"[{"kind":"guessed","paths":["/a"]},{"kind":"with","with":"icons","paths":["/a"]},7,{"paths":["/a"]}]"#;
        assert_eq!(read_recorded(later, &path("/a")), ["recorded as `guessed`", "recorded as `with`"]);
    }
}
