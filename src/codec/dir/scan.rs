//! The results of all directories, put together to a tree.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::DirError;
use super::listing::{DirEntry, Found, Listing, Skip, Source, Unreadable};
use super::reading::{Listings, with_readers};
use crate::tree::{DirectoryId, InodeId, Tree};

/// What to read of a directory.
pub struct ScanOptions<'a> {
    /// Read extended attributes.
    pub xattrs: bool,
    /// Read times of last change. Where nobody wants them, they are all 0, and nearly all files have the same metadata.
    pub times: bool,
    /// What is left out; nothing without it.
    pub skip: Option<&'a Skip<'a>>,
    /// What is done about a directory that the user may not read or search.
    pub unreadable: Unreadable,
    /// How many threads read. The result does not depend on it.
    pub threads: usize,
}

impl ScanOptions<'_> {
    /// Everything, by one thread.
    pub const ALL: ScanOptions<'static> =
        ScanOptions { xattrs: true, times: true, skip: None, unreadable: Unreadable::Fails, threads: 1 };
}

/// What was read.
#[derive(Debug)]
pub struct Scanned {
    /// The directory as a tree, with the owners, modes and times that were found.
    pub tree: Tree,
    /// What could not be included, one line each.
    pub notes: Vec<String>,
}

/// Reads the directory `root` and everything below it.
///
/// # Errors
/// On the first entry that cannot be read, or that no image could hold. Which one is the first depends on names only.
pub fn scan(root: &Path, options: &ScanOptions<'_>) -> Result<Scanned, DirError> {
    let source = Source::new(root, options.xattrs, options.times, options.skip, options.unreadable);
    let (tree, links) = (Tree::new(source.root_metadata()?), BTreeMap::new());
    let mut scan = Scan { source: &source, tree, links, notes: Vec::new() };
    with_readers(&source, options.threads, |listings, first| scan.everything(listings, first))?;
    Ok(Scanned { tree: scan.tree, notes: scan.notes })
}

struct Scan<'a> {
    source: &'a Source<'a>,
    tree: Tree,
    /// The files with several names, by device and inode.
    links: BTreeMap<(u64, u64), InodeId>,
    notes: Vec<String>,
}

impl Scan<'_> {
    /// Takes one directory after the other, each with all it holds before those below it.
    fn everything(&mut self, listings: &mut Listings<'_, '_>, first: usize) -> Result<(), DirError> {
        let mut pending = vec![(self.tree.root(), first)];
        while let Some((id, ticket)) = pending.pop() {
            // Where there is none a thread has panicked, and the panic goes on when all have ended.
            let Some(mut listing) = listings.fetch(ticket) else { return Ok(()) };
            let parts = std::mem::take(&mut listing.parts);
            self.directory(id, listing, &mut pending)?;
            for ticket in parts {
                let Some(part) = listings.fetch(ticket) else { return Ok(()) };
                self.directory(id, part, &mut pending)?;
            }
        }
        Ok(())
    }

    /// Puts a directory, or a part of one, into the tree.
    fn directory(
        &mut self,
        id: DirectoryId,
        mut listing: Listing,
        pending: &mut Vec<(DirectoryId, usize)>,
    ) -> Result<(), DirError> {
        if listing.is_closed {
            self.tree.close(id);
        }
        if let Some(folder) = listing.folder.as_ref().filter(|_| !listing.entries.is_empty()) {
            self.tree.expect(id, folder, listing.entries.len());
            for DirEntry { name, meta, found, link } in listing.entries.drain(..) {
                let known = link.and_then(|key| self.links.get(&key)).copied();
                let child = match (known, found) {
                    (Some(known), _) => known,
                    (None, Found::Directory(ticket)) => {
                        let child = self.tree.add_directory(meta);
                        pending.push((child, ticket));
                        *child
                    }
                    (None, Found::Other(kind)) => {
                        let child = self.tree.add(meta, kind);
                        self.links.extend(link.map(|key| (key, child)));
                        child
                    }
                };
                let wrong = |error| DirError::Path(folder.path().into(), error);
                self.tree.link_seen(id, folder, name, child).map_err(wrong)?;
            }
        }
        self.source.spare.give(listing.entries);
        self.notes.extend(listing.notes);
        listing.error.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::ImagePath;
    use crate::tree::Kind;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_directory_becomes_a_sorted_tree_with_hard_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("b/c")).unwrap();
        std::fs::write(at("b/file"), "text").unwrap();
        std::fs::hard_link(at("b/file"), at("a")).unwrap();
        std::fs::set_permissions(at("a"), PermissionsExt::from_mode(0o4751)).unwrap();
        symlink("b/nowhere", at("link")).unwrap();
        std::fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let scanned = scan(folder.path(), &ScanOptions::ALL).unwrap();
        let tree = scanned.tree;
        let paths: Vec<String> = tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/b", "/b/c", "/b/file", "/link", "/\\xff"]);
        let id = |path: &str| tree.get(&path.parse().unwrap()).unwrap();
        assert_eq!(id("/a"), id("/b/file"));
        assert_eq!(tree.inode(id("/a")).meta.mode.to_string(), "4751");
        assert!(matches!(&tree.inode(id("/link")).kind, Kind::Symlink(target) if &**target == b"b/nowhere"));
        assert!(
            scanned.notes[0].starts_with("an image cannot contain a socket; it is left out: "),
            "{:?}",
            scanned.notes
        );
    }

    #[test]
    fn what_is_skipped_is_not_even_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/.wh.x")).unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        let skip = |path: &ImagePath, directory: bool| directory && path.as_bytes() == b"/a";
        let tree =
            scan(folder.path(), &ScanOptions { xattrs: false, skip: Some(&skip), ..ScanOptions::ALL }).unwrap().tree;
        assert_eq!(tree.walk().count(), 2);
        let error = scan(folder.path(), &ScanOptions::ALL).unwrap_err();
        assert!(error.to_string().starts_with("names that begin with `.wh.` mean deletions in a layer: "), "{error}");
    }

    #[test]
    fn what_is_gone_is_an_error_unless_it_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("b");
        for skipped in [true, false] {
            std::fs::write(folder.path().join("a"), "").unwrap();
            std::fs::write(&gone, "").unwrap();
            let skip = |path: &ImagePath, _: bool| {
                let _ = std::fs::remove_file(&gone);
                skipped && path.as_bytes() == b"/b"
            };
            let scanned = scan(folder.path(), &ScanOptions { skip: Some(&skip), ..ScanOptions::ALL });
            assert_eq!(scanned.map(|scanned| scanned.tree.walk().count()).ok(), skipped.then_some(2));
        }
    }

    #[test]
    fn a_directory_that_the_user_may_not_read_is_an_error_or_closed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("closed/below")).unwrap();
        std::fs::set_permissions(folder.path().join("closed"), PermissionsExt::from_mode(0o311)).unwrap();
        let closed = ScanOptions { unreadable: Unreadable::IsClosed, ..ScanOptions::ALL };
        let (all, closed) = (scan(folder.path(), &ScanOptions::ALL), scan(folder.path(), &closed).unwrap().tree);
        if rustix::process::geteuid().is_root() {
            // Who may read everything finds nothing closed.
            assert_eq!(all.unwrap().tree.walk().count(), closed.walk().count());
            return;
        }
        assert!(all.unwrap_err().to_string().ends_with("/closed: Permission denied (os error 13)"));
        let error = closed.resolve(&ImagePath::root(), b"/closed/below", crate::tree::Follow::Yes).unwrap_err();
        assert_eq!(error.to_string(), "permission denied: /closed");
    }

    /// All that can be seen of what was scanned.
    fn told(folder: &Path, threads: usize) -> Result<(Vec<String>, Vec<String>), String> {
        let options = ScanOptions { threads, ..ScanOptions::ALL };
        let Scanned { tree, notes } = scan(folder, &options).map_err(|error| error.to_string())?;
        let lines = tree.walk().map(|entry| format!("{} {:?} {:?}", entry.path, entry.id, entry.inode)).collect();
        Ok((lines, notes))
    }

    #[test]
    fn nobody_can_tell_how_many_threads_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: String| folder.path().join(path);
        let mut sockets = Vec::new();
        for number in 0..40 {
            std::fs::create_dir_all(at(format!("d{number}/below/far"))).unwrap();
            std::fs::write(at(format!("d{number}/below/far/file")), "text").unwrap();
            std::fs::hard_link(at(format!("d{number}/below/far/file")), at(format!("d{}/link", number / 2))).ok();
            sockets.push(UnixListener::bind(at(format!("d{number}/s"))).unwrap());
        }
        // More than one part, with directories in each.
        for number in 0..1200 {
            std::fs::write(at(format!("d7/f{number}")), "").unwrap();
        }
        std::fs::create_dir_all(at("d7/a/b".into())).unwrap();
        std::fs::create_dir_all(at("d7/z/b".into())).unwrap();
        let one = told(folder.path(), 1).unwrap();
        assert_eq!((one.0.len(), one.1.len()), (40 * 4 + 20 + 1200 + 4 + 1, 40));
        for threads in [0, 2, 3, 8, 64] {
            assert!(told(folder.path(), threads).unwrap() == one, "{threads}");
        }
        // Of several errors it is always the same one.
        for number in [3, 11, 29] {
            std::fs::write(at(format!("d{number}/below/.wh.x")), "").unwrap();
        }
        let one = told(folder.path(), 1).unwrap_err();
        for threads in [2, 3, 8, 8, 8] {
            assert_eq!(told(folder.path(), threads).unwrap_err(), one, "{threads}");
        }
    }

    #[test]
    fn times_that_nobody_wants_are_zero() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        let times = |times| {
            let tree = scan(folder.path(), &ScanOptions { times, ..ScanOptions::ALL }).unwrap().tree;
            tree.walk().map(|entry| entry.inode.meta.mtime != 0).collect::<Vec<_>>()
        };
        assert_eq!((times(true), times(false)), (vec![true, true], vec![false, false]));
    }

    #[test]
    fn deep_trees_cost_no_file_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().to_path_buf();
        for _ in 0..1500 {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        assert_eq!(scan(folder.path(), &ScanOptions::ALL).unwrap().tree.walk().count(), 1501);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = scan(Path::new("/nonexistent/x"), &ScanOptions::ALL).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/x: No such file or directory (os error 2)");
    }
}
