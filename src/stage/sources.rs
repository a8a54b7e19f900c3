//! `[[source]]`: read, filtered, given owners, modes and times (mtimes), and put in place. Layers and initramfs archives write these
//! times unchanged.

use crate::host::is_file;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::builder::TreeBuilder;
use super::error::{Problem, StageError};
use super::merge::{Taken, adopt, merge};
use crate::capability::{self, Capabilities};
use crate::codec::dir::{ScanOptions, Skip, scan};
use crate::codec::{Scratch, deb, tar};
use crate::input;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::recipe::{self, HostPath, Matcher, Modes, Output, Owner, Source, SourceKind, Times};
use crate::tree::{Inode, Kind, Metadata, Mode, Tree, WalkEntry, Xattrs};

/// What is needed to bring sources in.
pub(crate) struct Sources<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) output: Output,
    pub(crate) scratch: &'a Scratch,
    pub(crate) threads: usize,
    pub(crate) progress: &'a dyn Progress,
}

/// A source as it was read.
struct Found {
    tree: Tree,
    notes: Vec<String>,
    /// The times that its kind calls for.
    times: Times,
}

/// What a file turns out to be, and the open file where it is an archive.
enum Form {
    Directory,
    Deb(File),
    Tar(File),
}

impl Sources<'_> {
    /// Brings one source in.
    pub(crate) fn bring(
        &self,
        builder: &mut TreeBuilder,
        source: &Source,
        notes: &mut Vec<String>,
    ) -> Result<(), StageError> {
        let at = |problem| StageError::at(&source.origin, problem);
        let host = source.from.for_platform(self.platform);
        let to = source.to.fill_in(self.platform).parse().map_err(StageError::path(&source.origin))?;
        let exclude = source.exclude.matcher(self.platform);
        let found = self.read(source, &host, &exclude).map_err(at)?;
        notes.extend(found.notes);
        let taken = self.choose(source, &host, &found.tree, &exclude, notes).map_err(at)?;
        let times = source.times.unwrap_or(found.times);
        let lists = RefCell::new(0_usize);
        let when = builder.when.seconds();
        let meta = |inode: &Inode| {
            let (meta, list) = metadata(inode, source, times, when);
            *lists.borrow_mut() += usize::from(list);
            meta
        };
        if let Err(tree) = adopt(builder, found.tree, &to, &taken, &meta) {
            merge(builder, &tree, &to, &taken, &meta).map_err(StageError::place(&source.origin))?;
        }
        let lists = lists.into_inner();
        if lists > 0 {
            notes.push(format!("access control lists of {lists} files are left out: {}", host.display()));
        }
        Ok(())
    }

    /// Brings in what was bundled, by the rules of a source that says nothing about owners, modes and times.
    pub(crate) fn bring_bundle(
        &self,
        builder: &mut TreeBuilder,
        tree: &Tree,
        rules: &recipe::Bundle,
    ) -> Result<(), StageError> {
        let source = Source::new(rules.origin.clone(), HostPath::new(Path::new(""), "/"));
        let when = builder.when.seconds();
        let meta = |inode: &Inode| metadata(inode, &source, Times::Epoch, when).0;
        let all = Taken::AllBut(BTreeSet::new());
        merge(builder, tree, &ImagePath::root(), &all, &meta).map_err(StageError::place(&rules.origin))
    }

    fn read(&self, source: &Source, host: &Path, exclude: &Matcher) -> Result<Found, Problem> {
        let found = form(host).map_err(|error| Problem::Read(host.into(), error))?;
        let form = match (source.kind, found) {
            (SourceKind::Found, form) => form,
            (SourceKind::Directory, Form::Directory) => Form::Directory,
            (SourceKind::Tar, Form::Tar(file)) => Form::Tar(file),
            (SourceKind::Directory, Form::Deb(_) | Form::Tar(_)) => {
                return Err(Problem::Form(
                    host.into(),
                    "not a directory",
                    "remove `rootfs:` to detect the type".into(),
                ));
            }
            (SourceKind::Tar, Form::Directory | Form::Deb(_)) => {
                return Err(Problem::Form(host.into(), "not a tar", "remove `tar:` to detect the type".into()));
            }
        };
        let name = host.display().to_string();
        match form {
            Form::Directory => {
                if is_file(&host.join("oci-layout")).map_err(|error| Problem::Read(host.into(), error))? {
                    return Err(Problem::Form(
                        host.into(),
                        "an OCI layout is not a root file system",
                        format!(
                            "to build on top of the image, write from = \"oci:{}\" in the first [[source]]",
                            host.display()
                        ),
                    ));
                }
                let skip = |path: &ImagePath, _: bool| exclude.matches(path);
                let skip: Option<&Skip<'_>> = if source.exclude.is_empty() { None } else { Some(&skip) };
                // Times of this machine are an accident, unless somebody asks for them.
                let times = !matches!(source.times, None | Some(Times::Epoch));
                let options =
                    ScanOptions { xattrs: source.xattrs, times, skip, threads: self.threads, ..ScanOptions::ALL };
                let scanned = scan(host, &options).map_err(Problem::Directory)?;
                Ok(Found { tree: scanned.tree, notes: scanned.notes, times: Times::Epoch })
            }
            Form::Deb(file) => {
                let tree = deb::read_deb(file, &name, self.scratch, self.progress).map_err(Problem::Deb)?;
                Ok(Found { tree, notes: Vec::new(), times: Times::Clamp })
            }
            Form::Tar(file) => {
                let tree = tar::read_tar_file(file, &name, self.scratch, self.progress).map_err(Problem::Tar)?;
                Ok(Found { tree, notes: Vec::new(), times: Times::Clamp })
            }
        }
    }

    /// Which names are taken: what `include` names, with its parents, without what `exclude` names.
    fn choose(
        &self,
        source: &Source,
        host: &Path,
        tree: &Tree,
        exclude: &Matcher,
        notes: &mut Vec<String>,
    ) -> Result<Taken, Problem> {
        let include = source.include.matcher(self.platform);
        let mut matched = vec![false; include.patterns().len()];
        let mut devices: Vec<ImagePath> = Vec::new();
        let mut left_out = BTreeSet::new();
        let mut named = BTreeSet::new();
        let mut above: Option<ImagePath> = None;
        let (includes, excludes) = (!source.include.is_empty(), !source.exclude.is_empty());
        let special = |inode: &Inode| {
            matches!(inode.kind, Kind::CharDevice(_) | Kind::BlockDevice(_)) || !inode.meta.xattrs.is_empty()
        };
        // Of a plain source all that matters is that there are names.
        let plain = !includes && !excludes && !tree.ids().any(|id| special(tree.inode(id)));
        let mut count = if plain { tree.walk_ids().skip(1).count() } else { 0 };
        let mut walk = tree.walk();
        while !plain && let Some(WalkEntry { path, inode, .. }) = walk.step() {
            // What is below an excluded directory follows it directly.
            if above.as_ref().is_some_and(|above| path.starts_with(above)) {
                continue;
            }
            if excludes && exclude.matches(path) {
                above = Some(path.clone());
                left_out.insert(path.clone());
                continue;
            }
            if includes {
                for number in include.matching(path) {
                    matched[number] = true;
                }
                if !include.covers(path) {
                    continue;
                }
            }
            count += usize::from(!path.is_root());
            if self.output == Output::Image && matches!(inode.kind, Kind::CharDevice(_) | Kind::BlockDevice(_)) {
                devices.push(path.clone());
                left_out.insert(path.clone());
                continue;
            }
            // A value that cannot be read would be carried along without a meaning.
            if let Some(value) = inode.meta.xattrs.get(capability::ATTRIBUTE).filter(|_| source.xattrs) {
                Capabilities::from_bytes(value).map_err(|error| Problem::Capabilities(path.clone(), error))?;
            }
            if includes {
                let mut here = Some(path.clone());
                while let Some(path) = here {
                    here = path.parent();
                    if !named.insert(path) {
                        break;
                    }
                }
            }
        }
        if let Some(number) = matched.iter().position(|matched| !matched) {
            return Err(Problem::IncludeMatchesNothing(host.into(), include.patterns()[number].clone()));
        }
        if let Some(first) = devices.first() {
            let more = match devices.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(format!("device nodes are left out; they are only for an initramfs: {first}{more}"));
        }
        if count == 0 {
            return Err(Problem::NothingTaken(host.into()));
        }
        Ok(if source.include.is_empty() { Taken::AllBut(left_out) } else { Taken::These(named) })
    }
}

/// Opens a source and looks what it is.
fn form(host: &Path) -> io::Result<Form> {
    if fs::metadata(host)?.is_dir() {
        return Ok(Form::Directory);
    }
    let file = input::open(host)?;
    Ok(if deb::is_deb(&file)? { Form::Deb(file) } else { Form::Tar(file) })
}

/// What an inode of the source gets, and whether it had an access control list.
fn metadata(inode: &Inode, source: &Source, times: Times, when: i64) -> (Metadata, bool) {
    let found = &inode.meta;
    let (uid, gid) = match source.owner {
        Owner::Ids { uid, gid } => (uid, gid),
        Owner::Keep => (found.uid, found.gid),
    };
    let mode = match (&inode.kind, source.modes) {
        // Linux shows all symlinks alike, and archives do not agree on it.
        (Kind::Symlink(_), _) => Mode::SYMLINK,
        (Kind::Directory(_), Modes::Normal) => found.mode.normal(true),
        (Kind::File(_), Modes::Normal) => found.mode.normal(false),
        (Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo, Modes::Normal) => found.mode,
        (Kind::Directory(_) | Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo, Modes::Keep) => {
            found.mode
        }
    };
    let mtime = match times {
        Times::Epoch => when,
        Times::Clamp => found.mtime.min(when),
        Times::Keep => found.mtime,
    };
    let mut xattrs = Xattrs::new();
    let mut list = false;
    for (name, value) in &found.xattrs {
        list |= name.starts_with(b"system.posix_acl_");
        if !source.xattrs || value.is_empty() {
            // Old engines drop an empty value and new ones keep it: nothing would be the same everywhere.
            continue;
        }
        if **name == *capability::ATTRIBUTE {
            if let Ok(capabilities) = Capabilities::from_bytes(value) {
                xattrs.insert(name.clone(), Box::new(capabilities.to_bytes()));
            }
        } else if name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") {
            xattrs.insert(name.clone(), value.clone());
        }
    }
    (Metadata { mode, uid, gid, mtime, xattrs }, list && source.xattrs)
}
