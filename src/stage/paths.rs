//! `[[path]]`: declared entries, and rules about what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::accounts::Lines;
use super::builder::{InsertError, TreeBuilder};
use super::error::{Problem, StageError};
use crate::capability;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::recipe::{Attributes, FileContent, Globs, Id, PathAction, PathRule, RuleOrigin};
use crate::tree::{Content, Follow, HostFile, Inode, InodeId, Kind, Metadata, Mode, Stamp};

/// Mode of devices that are given none: as devtmpfs makes them, for root alone.
const DEVICE: u32 = 0o600;

/// Applies one `[[path]]`.
pub(crate) fn apply(builder: &mut TreeBuilder, rule: &PathRule, platform: &Platform) -> Result<(), StageError> {
    let origin = &rule.origin;
    let place = StageError::place(origin);
    match &rule.action {
        PathAction::Permissions { paths, recursive, attributes } => {
            return permissions(builder, origin, paths, platform, *recursive, attributes);
        }
        PathAction::Remove { paths } => return remove(builder, origin, paths, platform),
        PathAction::Directory(_)
        | PathAction::File(..)
        | PathAction::Symlink(..)
        | PathAction::Hardlink(_)
        | PathAction::Char(..)
        | PathAction::Block(..)
        | PathAction::Fifo(_) => {}
    }
    let path: ImagePath = rule.path.fill_in(platform).parse().map_err(StageError::path(origin))?;
    let (attributes, mode, kind) = match &rule.action {
        PathAction::Directory(attributes) => return directory(builder, origin, &path, attributes),
        PathAction::Hardlink(target) => return hardlink(builder, origin, &path, &target.fill_in(platform)),
        PathAction::File(content, attributes) => {
            let (content, mode) = file(origin, content, platform)?;
            (attributes, mode, Kind::File(content))
        }
        PathAction::Symlink(target, attributes) => {
            (attributes, Mode::SYMLINK, Kind::Symlink(target.fill_in(platform).into_bytes().into()))
        }
        PathAction::Char(number, attributes) => (attributes, Mode::from_bits(DEVICE), Kind::CharDevice(*number)),
        PathAction::Block(number, attributes) => (attributes, Mode::from_bits(DEVICE), Kind::BlockDevice(*number)),
        PathAction::Fifo(attributes) => (attributes, Mode::FILE, Kind::Fifo),
        PathAction::Permissions { .. } | PathAction::Remove { .. } => return Ok(()),
    };
    let attributes = resolve(builder, origin, attributes)?;
    let (directory, name) = builder.place(&path).map_err(place)?;
    let mut meta = builder.meta(mode);
    attributes.give(&mut meta);
    builder.tree.insert(directory, name, Inode { meta: meta.into(), kind });
    Ok(())
}

/// Attributes whose names are numbers.
struct Given<'a> {
    uid: Option<u32>,
    gid: Option<u32>,
    attributes: &'a Attributes,
}

impl Given<'_> {
    /// Gives all of them.
    fn give(&self, meta: &mut Metadata) {
        self.give_owner(meta);
        meta.mode = self.attributes.mode.unwrap_or(meta.mode);
        meta.xattrs.extend(self.attributes.xattrs.clone());
    }

    fn give_owner(&self, meta: &mut Metadata) {
        meta.uid = self.uid.unwrap_or(meta.uid);
        meta.gid = self.gid.unwrap_or(meta.gid);
    }
}

fn resolve<'a>(
    builder: &TreeBuilder,
    origin: &RuleOrigin,
    attributes: &'a Attributes,
) -> Result<Given<'a>, StageError> {
    let number = |id: &Option<Id>, kind: &'static str, file: &str| match id {
        None => Ok(None),
        Some(Id::Number(number)) => Ok(Some(*number)),
        Some(Id::Name(name)) => match Lines::read(builder, file, origin)?.number_of(name) {
            Some(number) => Ok(Some(number)),
            None => Err(StageError::at(origin, Problem::UnknownAccount(kind, name.clone()))),
        },
    };
    let uid = number(&attributes.uid, "user", "/etc/passwd")?;
    let gid = number(&attributes.gid, "group", "/etc/group")?;
    Ok(Given { uid, gid, attributes })
}

fn directory(
    builder: &mut TreeBuilder,
    origin: &RuleOrigin,
    path: &ImagePath,
    attributes: &Attributes,
) -> Result<(), StageError> {
    let place = StageError::place(origin);
    let given = resolve(builder, origin, attributes)?;
    let id = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = builder.directory(&parent).map_err(&place)?;
            let meta = builder.meta(Mode::DIRECTORY);
            builder.directory_in(parent, &name, path, &meta).map_err(&place)?.0
        }
        _ => builder.tree.root(),
    };
    given.give(builder.tree.meta_mut(id));
    Ok(())
}

fn hardlink(builder: &mut TreeBuilder, origin: &RuleOrigin, path: &ImagePath, target: &str) -> Result<(), StageError> {
    let wrong = || StageError::at(origin, Problem::Hardlink(path.clone(), target.to_string()));
    let found = builder.tree.resolve(&ImagePath::root(), target.as_bytes(), Follow::No).map_err(|_| wrong())?;
    if builder.tree.inode(found.id).is_directory() || found.path == *path {
        return Err(wrong());
    }
    let (directory, name) = builder.place(path).map_err(StageError::place(origin))?;
    builder.tree.link(directory, name, found.id);
    Ok(())
}

/// The contents of a declared file, and the mode that it gets by default.
fn file(origin: &RuleOrigin, content: &FileContent, platform: &Platform) -> Result<(Content, Mode), StageError> {
    match content {
        FileContent::Empty => Ok((Content::Bytes([].into()), Mode::FILE)),
        FileContent::Text(text) => Ok((Content::Bytes(text.fill_in(platform).into_bytes().into()), Mode::FILE)),
        FileContent::Source(host) => {
            let host = host.for_platform(platform);
            host_file(&host).map_err(|problem| StageError::at(origin, problem))
        }
    }
}

/// A file of this machine, through links, as it is now.
fn host_file(host: &Path) -> Result<(Content, Mode), Problem> {
    let fail = |error| Problem::Read(host.into(), error);
    let real = fs::canonicalize(host).map_err(fail)?;
    let meta = fs::symlink_metadata(&real).map_err(fail)?;
    let (Some(folder), Some(name), true) = (real.parent(), real.file_name(), meta.is_file()) else {
        let hint = "to copy a directory, use [[source]] with from and to".to_string();
        return Err(Problem::Form(host.into(), "not a file", hint));
    };
    let stamp = Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    };
    let mode = Mode::from_bits(meta.permissions().mode()).normal(false);
    Ok((Content::File(HostFile::alone(folder, name, stamp)), mode))
}

/// Everything that globs name. A pattern without anything special in it is a path, and the links on its way are
/// followed, the last one too where the tools of the command line follow it.
fn named(builder: &TreeBuilder, paths: &Globs, platform: &Platform, follow: Follow) -> BTreeMap<ImagePath, InodeId> {
    let matcher = paths.matcher(platform);
    if let Some(literal) = matcher.literal() {
        let path = [b"/", literal.as_bytes()].concat();
        let found = builder.tree.resolve(&ImagePath::root(), &path, follow);
        return found.into_iter().map(|found| (found.path, found.id)).collect();
    }
    let bases = matcher.bases().filter_map(|path| builder.tree.get(&path).map(|id| (path, id))).collect();
    below(builder, &bases).filter(|(path, _)| matcher.matches(path)).collect()
}

/// These names and all below them, each once.
fn below<'a>(
    builder: &'a TreeBuilder,
    tops: &'a BTreeMap<ImagePath, InodeId>,
) -> impl Iterator<Item = (ImagePath, InodeId)> + 'a {
    let is_below = |path: &ImagePath| {
        std::iter::successors(path.parent(), ImagePath::parent).any(|above| tops.contains_key(&above))
    };
    let outer = tops.iter().filter(move |(path, _)| !is_below(path));
    let entries = outer.flat_map(|(path, id)| builder.tree.walk_from(path.clone(), *id));
    entries.map(|entry| (entry.path, entry.id))
}

fn patterns(paths: &Globs) -> String {
    paths.patterns().collect::<Vec<_>>().join(", ")
}

fn permissions(
    builder: &mut TreeBuilder,
    origin: &RuleOrigin,
    paths: &Globs,
    platform: &Platform,
    recursive: bool,
    attributes: &Attributes,
) -> Result<(), StageError> {
    let given = resolve(builder, origin, attributes)?;
    let named = named(builder, paths, platform, Follow::Yes);
    if named.is_empty() {
        return Err(StageError::at(origin, Problem::RuleMatchesNothing(patterns(paths))));
    }
    let mut ids: BTreeSet<InodeId> = named.values().copied().collect();
    if recursive {
        ids.extend(below(builder, &named).map(|(_, id)| id));
    }
    let mut changed = false;
    for id in ids {
        let (symlink, regular) = match builder.tree.inode(id).kind {
            Kind::Symlink(_) => (true, false),
            Kind::File(_) => (false, true),
            Kind::Directory(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => (false, false),
        };
        let meta = builder.tree.meta_mut(id);
        given.give_owner(meta);
        changed |= given.uid.is_some() || given.gid.is_some();
        if let (Some(mode), false) = (attributes.mode, symlink) {
            meta.mode = mode;
            changed = true;
        }
        for (name, value) in &attributes.xattrs {
            // Only a program can have capabilities, and no link can have attributes of its own.
            if regular || (!symlink && **name != *capability::ATTRIBUTE) {
                meta.xattrs.insert(name.clone(), value.clone());
                changed = true;
            }
        }
    }
    if changed { Ok(()) } else { Err(StageError::at(origin, Problem::RuleChangesNothing(patterns(paths)))) }
}

fn remove(
    builder: &mut TreeBuilder,
    origin: &RuleOrigin,
    paths: &Globs,
    platform: &Platform,
) -> Result<(), StageError> {
    let named = named(builder, paths, platform, Follow::No);
    if named.is_empty() {
        return Err(StageError::at(origin, Problem::RuleMatchesNothing(patterns(paths))));
    }
    for path in named.into_keys() {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(StageError::at(origin, Problem::Place(InsertError::Root)));
        };
        // What is below a directory that is gone is gone too.
        if let Some(parent) = builder.tree.get_directory(&parent) {
            builder.tree.remove(parent, name.as_bytes());
        }
    }
    Ok(())
}
