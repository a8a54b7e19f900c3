//! The path walk: what a path means inside the root, as a process whose root this is would find it (path_resolution(7)).
//!
//! Absolute link targets restart at the root, `..` at the root stays there, relative targets start from the link's own
//! directory; at most 40 links are followed, as Linux does (`MAXSYMLINKS`). This machine's kernel is never asked.

use std::collections::VecDeque;
use std::fmt;

use super::entries::{DirectoryId, InodeId};
use super::inodes::{Kind, Tree};
use crate::path::{ImagePath, NAME_MAX, Name, PATH_MAX, display_bytes};

/// How many links one lookup follows before it gives up with `ELOOP`.
pub const LINKS_MAX: usize = 40;

/// What to do when the last component is a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Follow it, as open(2) does.
    Yes,
    /// Stop at it, as lstat(2) does.
    No,
}

/// Where a lookup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The inode.
    pub id: InodeId,
    /// Its path without links: the one that `/proc/self/exe` would show.
    pub path: ImagePath,
    /// The links that were followed, as paths, in order.
    pub links: Vec<ImagePath>,
}

/// The error numbers that a lookup can end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// `ENOENT`.
    NotFound,
    /// `EACCES`: whoever read the tree could not see what this directory holds.
    NoAccess,
    /// `ENOTDIR`.
    NotADirectory,
    /// `ELOOP`.
    Loop,
    /// `ENAMETOOLONG`.
    NameTooLong,
}

/// Why a lookup failed, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}: {at}", words = self.words())]
pub struct ResolveError {
    /// What the system call would have said.
    pub errno: Errno,
    /// The path, without links, at which it ended: the component that is not there, is not a directory, or is one link
    /// too many.
    pub at: ImagePath,
    /// The links that had been followed by then: not empty and `NotFound` means a dangling link.
    pub links: Vec<ImagePath>,
}

impl ResolveError {
    fn words(&self) -> &'static str {
        match self.errno {
            Errno::NotFound if !self.links.is_empty() => "a symlink points to a missing path",
            Errno::NotFound => "does not exist",
            Errno::NoAccess => "permission denied",
            Errno::NotADirectory => "not a directory",
            Errno::Loop => "too many levels of symbolic links",
            Errno::NameTooLong => "name too long",
        }
    }
}

/// Where a new entry would go: the deepest directory that exists, and what is still missing below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The directory that exists.
    pub directory: DirectoryId,
    /// Its path without links.
    pub path: ImagePath,
    /// The components that do not exist yet; empty when the whole path is that directory.
    pub missing: Vec<Name>,
}

/// How the walk ended.
enum End {
    Found(Resolved),
    /// `name` is not in the directory; `rest` was still to come.
    Missing {
        directory: DirectoryId,
        path: ImagePath,
        name: Name,
        rest: VecDeque<Vec<u8>>,
        links: Vec<ImagePath>,
    },
}

impl Tree {
    /// Looks a path up. A relative one starts at `from`, which must be a path without links (use `/` for none).
    ///
    /// # Errors
    /// As the system call would fail.
    pub fn resolve(&self, from: &ImagePath, path: &[u8], follow: Follow) -> Result<Resolved, ResolveError> {
        match self.walk_path(from, path, follow)? {
            End::Found(found) => Ok(found),
            End::Missing { path, name, links, .. } => {
                Err(ResolveError { errno: Errno::NotFound, at: path.join(&name), links })
            }
        }
    }

    /// Finds where an entry for `path` belongs, following links among its parents (and in the last component, when it
    /// is a link to a directory), so that a new `/lib/x` goes to `/usr/lib` when `/lib` is a link to it.
    ///
    /// # Errors
    /// On loops, and when a parent is not a directory; also when a missing part is followed by `..`.
    pub fn destination(&self, path: &ImagePath) -> Result<Destination, ResolveError> {
        match self.walk_path(&ImagePath::root(), path.as_bytes(), Follow::Yes)? {
            End::Found(found) => {
                if let Some(directory) = self.directory(found.id) {
                    return Ok(Destination { directory, path: found.path, missing: Vec::new() });
                }
                Err(ResolveError { errno: Errno::NotADirectory, at: found.path, links: found.links })
            }
            End::Missing { directory, path, name, rest, links } => {
                let mut missing = vec![name];
                for part in rest {
                    match Name::new(&part) {
                        Ok(name) => missing.push(name),
                        Err(_) if part == b"." || part.is_empty() => {}
                        Err(_) => return Err(ResolveError { errno: Errno::NotFound, at: path, links }),
                    }
                }
                Ok(Destination { directory, path, missing })
            }
        }
    }

    fn walk_path(&self, from: &ImagePath, path: &[u8], follow: Follow) -> Result<End, ResolveError> {
        let mut links: Vec<ImagePath> = Vec::new();
        let mut here = if path.starts_with(b"/") { ImagePath::root() } else { from.clone() };
        let fail = |errno, at: &ImagePath, links: &Vec<ImagePath>| ResolveError {
            errno,
            at: at.clone(),
            links: links.clone(),
        };
        if path.len() > PATH_MAX {
            return Err(fail(Errno::NameTooLong, &here, &links));
        }
        // An empty path is ENOENT for every system call that takes one.
        if path.is_empty() {
            return Err(fail(Errno::NotFound, &here, &links));
        }
        // The inodes from the root to `here`, so that `..` is a pop.
        let mut trail = vec![*self.root()];
        for name in here.components() {
            let Some(id) = trail.last().and_then(|directory| self.child(*directory, name)) else {
                return Err(fail(Errno::NotFound, &here, &links));
            };
            trail.push(id);
        }
        let mut rest: VecDeque<Vec<u8>> = path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect();
        while let Some(part) = rest.pop_front() {
            let Some(current) = self.directory(trail[trail.len() - 1]) else {
                return Err(fail(Errno::NotADirectory, &here, &links));
            };
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    here = here.parent().unwrap_or(here);
                    continue;
                }
                name if name.len() > NAME_MAX => return Err(fail(Errno::NameTooLong, &here, &links)),
                _ => {}
            }
            let Ok(name) = Name::new(&part) else {
                return Err(fail(Errno::NotFound, &here, &links));
            };
            let Some(id) = self.child(current, &part) else {
                if self.is_closed(current) {
                    return Err(fail(Errno::NoAccess, &here, &links));
                }
                return Ok(End::Missing { directory: current, path: here, name, rest, links });
            };
            match &self.inode(id).kind {
                // A trailing slash, seen here as an empty part still to come, makes the link be followed.
                Kind::Symlink(target) if follow == Follow::Yes || !rest.is_empty() => {
                    links.push(here.join(&name));
                    if links.len() > LINKS_MAX {
                        return Err(fail(Errno::Loop, &here.join(&name), &links));
                    }
                    if target.is_empty() {
                        return Err(fail(Errno::NotFound, &here.join(&name), &links));
                    }
                    if target.len() > PATH_MAX {
                        return Err(fail(Errno::NameTooLong, &here.join(&name), &links));
                    }
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                        here = ImagePath::root();
                    }
                    for part in target.split(|&byte| byte == b'/').rev() {
                        rest.push_front(part.to_vec());
                    }
                }
                Kind::Directory(_)
                | Kind::File(_)
                | Kind::Symlink(_)
                | Kind::CharDevice(_)
                | Kind::BlockDevice(_)
                | Kind::Fifo => {
                    trail.push(id);
                    here = here.join(&name);
                }
            }
        }
        Ok(End::Found(Resolved { id: trail[trail.len() - 1], path: here, links }))
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display_bytes(self.path.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, Metadata, Mode};

    /// A tree from lines: `dir/`, `file`, `link -> target`; parents must come first.
    fn tree(lines: &[&str]) -> Tree {
        let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
        for line in lines {
            let (path, kind) = match line.split_once(" -> ") {
                Some((path, target)) => (path, Kind::Symlink(target.as_bytes().into())),
                None if line.ends_with('/') => (*line, Kind::Directory(Default::default())),
                None => (*line, Kind::File(Content::Bytes([].into()))),
            };
            let path: ImagePath = path.parse().unwrap();
            let directory = tree.get_directory(&path.parent().unwrap()).unwrap();
            tree.insert(
                directory,
                path.file_name().unwrap(),
                Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind },
            );
        }
        tree
    }

    fn found(tree: &Tree, path: &str) -> Result<String, Errno> {
        tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes)
            .map(|found| found.path.to_string())
            .map_err(|error| error.errno)
    }

    #[test]
    fn links_are_read_inside_the_root() {
        let tree = tree(&[
            "usr/",
            "usr/lib/",
            "usr/lib/ld.so",
            "lib -> usr/lib",
            "usr/abs -> /lib/ld.so",
            "usr/rel -> ../lib/ld.so",
            "up -> ../../../../../lib/ld.so",
        ]);
        for path in ["/lib/ld.so", "/usr/abs", "/usr/rel", "/up", "/../../lib/../lib/ld.so", "lib//./ld.so"] {
            assert_eq!(found(&tree, path), Ok("/usr/lib/ld.so".into()), "{path}");
        }
        assert_eq!(found(&tree, "/lib/"), Ok("/usr/lib".into()));
        let here: ImagePath = "/usr".parse().unwrap();
        assert_eq!(tree.resolve(&here, b"lib/ld.so", Follow::Yes).unwrap().path.to_string(), "/usr/lib/ld.so");
        assert_eq!(tree.resolve(&here, b"/lib", Follow::No).unwrap().path.to_string(), "/lib");
    }

    #[test]
    fn failures_are_the_kernels() {
        let tree = tree(&["file", "self -> self", "dangling -> /nowhere", "empty/"]);
        assert_eq!(found(&tree, "/file/"), Err(Errno::NotADirectory));
        assert_eq!(found(&tree, "/file/x"), Err(Errno::NotADirectory));
        assert_eq!(found(&tree, "/self"), Err(Errno::Loop));
        assert_eq!(found(&tree, "/dangling"), Err(Errno::NotFound));
        assert_eq!(found(&tree, ""), Err(Errno::NotFound));
        assert_eq!(found(&tree, &"a".repeat(256)), Err(Errno::NameTooLong));
        assert_eq!(found(&tree, &"/a".repeat(2048)), Err(Errno::NameTooLong));
        let error = tree.resolve(&ImagePath::root(), b"/dangling", Follow::Yes).unwrap_err();
        assert_eq!(error.to_string(), "a symlink points to a missing path: /nowhere");
    }

    #[test]
    fn forty_links_work_and_one_more_does_not() {
        let lines: Vec<String> =
            std::iter::once("l0".to_string()).chain((1..=41).map(|n| format!("l{n} -> l{}", n - 1))).collect();
        let tree = tree(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found(&tree, "/l40"), Ok("/l0".into()));
        assert_eq!(found(&tree, "/l41"), Err(Errno::Loop));
    }

    #[test]
    fn new_entries_land_behind_links() {
        let tree = tree(&["usr/", "usr/lib/", "lib -> usr/lib", "opt -> usr/opt", "file"]);
        let destination = |path: &str| {
            tree.destination(&path.parse().unwrap()).map(|destination| {
                let missing: Vec<String> = destination.missing.iter().map(|name| name.to_string()).collect();
                format!("{} + {}", destination.path, missing.join("/"))
            })
        };
        assert_eq!(destination("/lib/x/y").unwrap(), "/usr/lib + x/y");
        assert_eq!(destination("/lib").unwrap(), "/usr/lib + ");
        assert_eq!(destination("/opt/x").unwrap(), "/usr + opt/x");
        assert_eq!(destination("/file/x").unwrap_err().errno, Errno::NotADirectory);
    }
}
