//! Why a name is in a tree, as the tree itself shows, no matter which tool made it.

use std::collections::BTreeSet;

use super::reason::Reason;
use crate::link::Closures;
use crate::path::{ImagePath, display_bytes};
use crate::platform::Platform;
use crate::tree::{ContentError, Follow, Kind, Tree};

/// Which programs of a tree need a path, and how: as loader, library or interpreter, or as a link on the way to one.
/// `path` must be one without links among its parents, as [`Tree::walk`] gives it.
///
/// # Errors
/// When a program or library cannot be read: then nobody knows.
pub fn why(tree: &Tree, platform: &Platform, path: &ImagePath) -> Result<Vec<Reason>, ContentError> {
    let closures = Closures::new(tree, platform);
    let mut seen = BTreeSet::new();
    let mut reasons = Vec::new();
    for entry in tree.walk() {
        let startable = matches!(entry.inode.kind, Kind::File(_)) && entry.inode.meta.mode.any_execute();
        if !startable || !seen.insert(entry.id) {
            continue;
        }
        for need in closures.needs(&entry.path).found {
            let Ok(found) = tree.resolve(&ImagePath::root(), &need.path, Follow::Yes) else { continue };
            let reason = if found.path == *path {
                Reason::of(&need)
            } else if found.links.contains(path) {
                Reason::Link(display_bytes(&need.path))
            } else {
                continue;
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    closures.take_failure().map_or(Ok(reasons), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::platform::Arch;

    #[test]
    fn a_tree_shows_who_needs_a_name() {
        const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
        let sample = Sample::new()
            .elf("/usr/lib64/ld-linux-x86-64.so.2", &Forge::glibc())
            .link("/lib64", "usr/lib64")
            .elf("/lib/x86_64-linux-gnu/liba.so", &Forge::library("liba.so"))
            .elf("/bin/app", &Forge { needed: vec!["liba.so".into()], ..Forge::dynamic(LOADER) })
            .text("/bin/run", 0o755, "#!/bin/app\n")
            .text("/data", 0o644, "");
        let why = |path: &str| {
            let reasons = why(&sample.tree, &Platform::new(Arch::Amd64), &path.parse().unwrap()).unwrap();
            reasons.iter().map(Reason::to_string).collect::<Vec<_>>()
        };
        assert_eq!(why("/lib/x86_64-linux-gnu/liba.so"), ["liba.so, needed by /bin/app (system directory)"]);
        assert_eq!(why("/lib64"), ["is a link on the way to /lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(why("/usr/lib64/ld-linux-x86-64.so.2"), ["loads /bin/app (PT_INTERP)"]);
        assert_eq!(why("/bin/app"), ["interprets /bin/run (first line)"]);
        assert_eq!(why("/data"), Vec::<String>::new());
    }
}
