//! One tree put into another.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Found, InsertError, TreeBuilder};
use crate::path::{ImagePath, Name};
use crate::tree::{Entries, Inode, InodeId, Kind, Metadata, Tree};

/// Which names of a source are taken.
pub(crate) enum Taken {
    /// All but these, and what is below them.
    AllBut(BTreeSet<ImagePath>),
    /// These, each with all its parents.
    These(BTreeSet<ImagePath>),
}

impl Taken {
    /// Whether this one is, if its parent is.
    fn has(&self, path: &ImagePath) -> bool {
        match self {
            Taken::AllBut(paths) => !paths.contains(path),
            Taken::These(paths) => paths.contains(path),
        }
    }
}

/// Puts the whole of `source` where nothing is yet, with the metadata that `meta` makes of each inode: what [`merge`] would
/// do, but no inode is made a second time. Gives the source back when it is not as simple as that.
pub(crate) fn adopt(
    builder: &mut TreeBuilder,
    mut source: Tree,
    to: &ImagePath,
    taken: &Taken,
    meta: &dyn Fn(&Inode) -> Metadata,
) -> Result<(), Tree> {
    let root = builder.tree.root();
    let left_out = match taken {
        Taken::AllBut(paths) => paths,
        Taken::These(_) => return Err(source),
    };
    let nothing_yet = builder.tree.inode_count() == 1 && builder.tree.entries(root).is_some_and(Entries::is_empty);
    // A name that is none is told with its path, which is not known here.
    let fine = |name: Name| super::builder::check_name(to, &name).is_ok();
    if !nothing_yet || !to.is_root() || !source.names().all(fine) {
        return Err(source);
    }
    for path in left_out {
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { continue };
        if let Some(directory) = source.get_directory(&parent) {
            source.remove(directory, name.as_bytes());
        }
    }
    source.tidy();
    source.set_meta(source.root(), Metadata::clone(&builder.tree.inode(root).meta));
    for id in source.ids().skip(1) {
        let meta = meta(source.inode(id));
        source.set_meta(id, meta);
    }
    builder.tree = source;
    Ok(())
}

/// Puts what `source` holds into the directory `to`, with the metadata that `meta` makes of each inode. The root of the
/// source stays behind.
pub(crate) fn merge(
    builder: &mut TreeBuilder,
    source: &Tree,
    to: &ImagePath,
    taken: &Taken,
    meta: &dyn Fn(&Inode) -> Metadata,
) -> Result<(), InsertError> {
    let destination = builder.directory(to)?;
    // Inodes of the source that arrived: a second name of one becomes a second name again.
    let mut arrived: BTreeMap<InodeId, InodeId> = BTreeMap::from([(*source.root(), *destination)]);
    // Whatever has a number from here on was brought by this source.
    let first_new = builder.tree.inode_count();
    for entry in source.walk() {
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.file_name()) else { continue };
        if !taken.has(&entry.path) {
            continue;
        }
        // A parent is a directory, which has one name only, and came before what it holds, unless it was left out.
        let parent = source.get(&parent).and_then(|id| arrived.get(&id)).copied();
        let Some(directory) = parent.and_then(|id| builder.tree.directory(id)) else { continue };
        let path = ImagePath::parse(to.join_path(&entry.path).as_bytes()).map_err(InsertError::Path)?;
        if let Kind::Directory(_) = &entry.inode.kind {
            let meta = meta(entry.inode);
            let (id, found) = builder.directory_in(directory, &name, &path, &meta)?;
            if found == Found::Directory {
                builder.tree.set_meta(id, meta);
            }
            arrived.insert(entry.id, *id);
            continue;
        }
        builder.check_replaceable(directory, &name, &path)?;
        if builder.tree.child(directory, name.as_bytes()).is_some_and(|id| id.index() >= first_new) {
            return Err(InsertError::Twice(path));
        }
        super::builder::check_name(&path, &name)?;
        match arrived.get(&entry.id) {
            Some(known) => builder.tree.link(directory, name, *known),
            None => {
                let id = builder.tree.add(meta(entry.inode), entry.inode.kind.clone());
                builder.tree.link(directory, name, id);
                arrived.insert(entry.id, id);
            }
        }
    }
    Ok(())
}
