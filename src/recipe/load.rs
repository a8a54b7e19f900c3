//! A recipe and everything that it includes, read and put together.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::fault::{Fault, Position, SourceFile};
use super::raw::{self, Node, Value};
use crate::path::display_bytes;

/// How deep files may include each other: a link that leads back to its own folder would go on for ever.
const DEPTH_MAX: usize = 16;

/// Reads a file of this machine.
pub type Loader<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// A file that is being read or was.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its path, to know it again.
    path: PathBuf,
    /// Where relative paths in it start.
    pub(crate) folder: Arc<Path>,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) opened: Vec<Opened>,
    /// The tables of the files, each as it is in its file; the recipe itself first.
    pub(crate) separate: Vec<Node>,
    /// All of them as one.
    pub(crate) merged: Node,
    /// Faults in the form: what is not TOML, or not even UTF-8.
    pub(crate) form: Vec<Fault>,
    /// Faults of including.
    pub(crate) faults: Vec<Fault>,
}

/// Reads a recipe's bytes, and the files that it includes through `loader`.
pub(crate) fn load(bytes: &[u8], path: &Path, loader: Loader<'_>) -> Loaded {
    let nothing = Node { place: Position { file: 0, span: 0..0 }, value: Value::Table(Default::default()) };
    let mut loaded = Loaded {
        files: Vec::new(),
        opened: Vec::new(),
        separate: Vec::new(),
        merged: nothing.clone(),
        form: Vec::new(),
        faults: Vec::new(),
    };
    loaded.merged = loaded.read(bytes, path, loader, &mut Vec::new()).unwrap_or(nothing);
    loaded
}

impl Loaded {
    /// Reads one file with what it includes; `including` are the files that wait for it.
    fn read(&mut self, bytes: &[u8], path: &Path, loader: Loader<'_>, including: &mut Vec<usize>) -> Option<Node> {
        let file = self.files.len();
        let name: Arc<str> = display_bytes(path.as_os_str().as_encoded_bytes()).into();
        let folder: Arc<Path> = path.parent().unwrap_or(Path::new("")).into();
        self.files.push(SourceFile::new(name, String::from_utf8_lossy(bytes).into()));
        self.opened.push(Opened { path: path.to_path_buf(), folder: folder.clone() });
        if let Err(error) = std::str::from_utf8(bytes) {
            // Up to here the lossy text has the same offsets.
            let at = error.valid_up_to();
            let place = Position { file, span: at..at + char::REPLACEMENT_CHARACTER.len_utf8() };
            self.form.push(
                Fault::new(&place, "a recipe must be UTF-8")
                    .label(format!("byte 0x{:02x}", bytes.get(at).copied().unwrap_or_default())),
            );
            return None;
        }
        let text = self.files[file].text.clone();
        let (own, faults) = raw::read(file, &text);
        self.form.extend(faults);
        self.separate.push(own.clone());

        including.push(file);
        let mut merged: Option<Node> = None;
        for (text, place) in includes(&own) {
            if let Some(node) = self.include(&folder.join(text), &place, loader, including) {
                match &mut merged {
                    Some(under) => raw::merge(under, node),
                    None => merged = Some(node),
                }
            }
        }
        including.pop();
        Some(match merged {
            Some(mut under) => {
                raw::merge(&mut under, own);
                under
            }
            None => own,
        })
    }

    fn include(
        &mut self,
        path: &Path,
        place: &Position,
        loader: Loader<'_>,
        including: &mut Vec<usize>,
    ) -> Option<Node> {
        let path = plain(path);
        let known = self.opened.iter().position(|opened| opened.path == path);
        if let Some(known) = known {
            if including.contains(&known) {
                let fault = Fault::new(place, "a recipe cannot include itself").label("includes this file again");
                self.faults.push(fault.help(format!(
                    "the include cycle: {}",
                    including
                        .iter()
                        .chain([&known])
                        .map(|file| self.files[*file].name.as_ref())
                        .collect::<Vec<_>>()
                        .join(" → ")
                )));
            }
            // A file that two others include is taken once, the first time.
            return None;
        }
        if including.len() >= DEPTH_MAX {
            self.faults.push(Fault::new(place, format!("files include each other more than {DEPTH_MAX} levels deep")));
            return None;
        }
        match loader(&path) {
            Ok(bytes) => self.read(&bytes, &path, loader, including),
            Err(error) => {
                let fault = Fault::new(place, "cannot read an included recipe");
                self.faults.push(
                    fault.label(format!("{}: {error}", path.display())).help("the path is relative to this file"),
                );
                None
            }
        }
    }
}

/// The texts of `include`. Whatever has another type is reported by the check of all types.
fn includes(own: &Node) -> Vec<(&str, Position)> {
    let Some(field) = own.field("include") else { return Vec::new() };
    let Value::List(list) = &field.node.value else { return Vec::new() };
    list.iter()
        .filter_map(|node| match &node.value {
            Value::Text(text) => Some((text.as_str(), node.place.clone())),
            Value::Number(_) | Value::Float | Value::Flag(_) | Value::Moment(_) | Value::List(_) | Value::Table(_) => {
                None
            }
        })
        .collect()
}

/// A path without `.` and without `..` where that is plain, so that one file has one path.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::ParentDir | Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}
