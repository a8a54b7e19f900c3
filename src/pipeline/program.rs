//! From one program of a root to a description and a verdict.

use std::path::Path;

use super::collect::{LOOKS_MAX, View, unreadable};
use super::error::BuildError;
use super::read::Verdict;
use crate::bundle::root_parts::LOADERS;
use crate::codec::dir::{self, ScanOptions, Scanned, Unreadable};
use crate::codec::whiteout::{self, Meaning};
use crate::link::{self, Closures, Description, Policy, Purpose, Subject};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Action, Progress, Step};
use crate::tree::Tree;

/// Describes and verifies one program of a root file system. Only what a loader could look at is read of it: libraries,
/// the loader's own files, the program's folder, and where the search paths of its objects lead.
///
/// # Errors
/// When the root cannot be read, or the program is not in it.
pub fn verify_program(
    root: &Path,
    program: &ImagePath,
    platform: &Platform,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<(Description, Verdict), BuildError> {
    progress.step(Step::new(Action::VerifyProgram(program.clone())).of(platform));
    let tree = read_for(root, program, platform)?;
    let portrait = link::describe(&tree, platform, program)?.ok_or_else(|| BuildError::NoProgram(program.clone()))?;
    let purpose = Purpose::Programs(vec![program.clone()]);
    let subject = Subject::new(&tree, platform, purpose, policy);
    Ok((portrait, Verdict { platform: platform.clone(), verification: link::verify(&subject)? }))
}

/// Reads the places where libraries usually are, and then whatever this program's own search leads to besides.
fn read_for(root: &Path, program: &ImagePath, platform: &Platform) -> Result<Tree, BuildError> {
    let mut more = View::empty(root);
    let mut looks = 0;
    loop {
        looks += 1;
        let skip = |path: &ImagePath, directory| !may_be_loaded(path, directory, program) && !more.keeps(path);
        let options = ScanOptions { skip: Some(&skip), unreadable: Unreadable::IsClosed, ..ScanOptions::ALL };
        let Scanned { tree, .. } = dir::scan(root, &options)?;
        let closures = Closures::new(&tree, platform);
        let looked_at = closures.looked_at(program);
        if let Some(failure) = closures.take_failure() {
            return Err(failure.into());
        }
        if let Some(closed) = closures.closed().first() {
            return Err(unreadable(root, closed).into());
        }
        let mut is_wider = false;
        for path in looked_at.iter().filter(|path| !may_be_loaded(path, false, program)) {
            is_wider |= more.widen(path)?;
        }
        if !is_wider || looks > LOOKS_MAX {
            return Ok(tree);
        }
    }
}

/// Whether a loader of this program may look at a path: it is the program, on the way to it or beside it, or it is in
/// one of the places where libraries and the loaders' own files are.
fn may_be_loaded(path: &ImagePath, directory: bool, program: &ImagePath) -> bool {
    let text = path.as_bytes();
    let in_place = LOADERS.iter().any(|place| {
        let place = place.as_bytes();
        text.starts_with(place) || (directory && place.starts_with(text) && matches!(place.get(text.len()), Some(b'/')))
    });
    let on_the_way = program.starts_with(path);
    // Beside it, and where an $ORIGIN such as `../lib` leads to; never all of a machine.
    let folder = program.parent().unwrap_or_else(ImagePath::root);
    let beside = !directory && path.parent().is_some_and(|parent| parent == folder);
    let libraries = folder.parent().is_some_and(|above| {
        let below = if above.is_root() { Some(text) } else { text.strip_prefix(above.as_bytes()) };
        below.is_some_and(|below| below.starts_with(b"/lib"))
    });
    let whiteout = path.file_name().is_some_and(|name| whiteout::meaning(&name) != Meaning::Entry);
    let related = (beside || libraries) && !whiteout;
    in_place || on_the_way || related || text.starts_with(b"/etc/ld-musl-") || (text == b"/etc" && directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_loader_could_look_at_is_read() {
        let seen = |path: &str, directory, program: &str| {
            may_be_loaded(&path.parse().unwrap(), directory, &program.parse().unwrap())
        };
        for (path, directory) in [("/usr", true), ("/usr/bin/x", false), ("/lib64", false), ("/etc/ld.so.cache", false)]
        {
            assert!(seen(path, directory, "/usr/bin/x"), "{path}");
        }
        for (path, directory) in [("/home", true), ("/proc", true), ("/etc/passwd", false), ("/var/lib", true)] {
            assert!(!seen(path, directory, "/usr/bin/x"), "{path}");
            assert!(!seen(path, directory, "/x"), "{path}");
        }
        for (path, directory) in [("/home/me/app/lib/y.so", false), ("/home/me/app/bin/z.so", false), ("/home", true)] {
            assert!(seen(path, directory, "/home/me/app/bin/x"), "{path}");
        }
        assert!(!seen("/home/me/app/bin/deep", true, "/home/me/app/bin/x"));
        assert!(!seen("/tmp/.wh.x", false, "/tmp/x"));
    }
}
