//! From programs of a root to a bundle. Of a root that is a directory only those parts are read in which something may be
//! found; if something turns out to be elsewhere, that is read too.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::read::read;
use crate::bundle::root_parts::{KERNEL, LIBRARIES, PROGRAMS, RUNNING};
use crate::bundle::trace::Traced;
use crate::bundle::{self, BundleError, BundleRequest, Collected};
use crate::codec::dir::{self, DirError, ScanOptions, Unreadable};
use crate::codec::whiteout::{self, Meaning};
use crate::link::Closures;
use crate::path::{ImagePath, Name};
use crate::platform::{Arch, Platform};
use crate::progress::{Action, Progress, Step};
use crate::recipe;
use crate::transport::{self, Access, Opened, Place, TransportError};
use crate::tree::{LINKS_MAX, Tree};

/// How often more of a root is read before something counts as missing.
pub(super) const LOOKS_MAX: usize = 40;

/// Collects what a recipe's `[bundle]` asks for.
pub(super) fn collect(
    rules: &recipe::Bundle,
    traced: &BTreeSet<Traced>,
    platform: &Platform,
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<Collected, BuildError> {
    let place = root_of(rules, platform)?;
    progress.step(Step::new(Action::Collect(place.to_string())).of(platform));
    let bundle = match &place {
        Place::Rootfs(folder) => {
            let mut view = View::new(folder, rules, platform);
            view.add_rules(rules, platform);
            traced.iter().for_each(|traced| view.add_way(&traced.path));
            look(view, |root| bundle::collect(&BundleRequest { root, platform, rules, traced }))?
        }
        _ => {
            let seen = read(&place, std::slice::from_ref(platform), access, progress)?;
            let Some((_, root)) = seen.trees().into_iter().next() else {
                return Err(BuildError::NoImage(place.to_string()));
            };
            bundle::collect(&BundleRequest { root, platform, rules, traced })?
        }
    };
    for note in &bundle.notes {
        progress.note_of(platform, note);
    }
    Ok(bundle)
}

/// The platforms that a bundle can be made for: those of an image; for any other root the one that its first program is
/// for, as the program says and never this machine.
///
/// # Errors
/// When the root cannot be read, or the first program is not in it.
pub fn bundle_platforms(
    rules: &recipe::Bundle,
    access: &Access<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Platform>, BuildError> {
    // Templates are not filled in before the platform is known.
    let any = Platform::new(Arch::Amd64);
    let place = root_of(rules, &any)?;
    let only_first = recipe::Bundle::new(rules.origin.clone(), rules.programs.first().map(|first| first.fill_in(&any)));
    let arch = |root: &Tree| {
        let platform = &any;
        let bundle = bundle::collect(&BundleRequest { root, platform, rules: &only_first, traced: &BTreeSet::new() })?;
        let closures = Closures::new(root, platform);
        let arch = bundle.programs.first().and_then(|program| closures.arch_of(program));
        closures.take_failure().map_or(Ok((arch, bundle)), |failure| Err(BundleError::Content(failure)))
    };
    let arch = match &place {
        Place::Rootfs(folder) => {
            let mut found = None;
            look(View::new(folder, &only_first, &any), |root| {
                let (arch, mut bundle) = arch(root)?;
                if arch.is_some() {
                    // Enough was read, whatever the program needs.
                    bundle.looked_at.clear();
                }
                found = arch;
                Ok(bundle)
            })?;
            found
        }
        _ => match transport::open(&place, access, progress)? {
            Opened::Image { image, .. } => {
                return Ok(image.platforms.iter().filter_map(|image| image.platform.known().cloned()).collect());
            }
            Opened::Tree { tree, .. } | Opened::Initramfs { tree, .. } => arch(&tree)?.0,
        },
    };
    Ok(arch.map(Platform::new).into_iter().collect())
}

/// The place of the root.
fn root_of(rules: &recipe::Bundle, platform: &Platform) -> Result<Place, BuildError> {
    let Some(root) = &rules.root else { return Ok(Place::Rootfs(PathBuf::from("/"))) };
    let text = root.text_for(platform);
    let place = match Place::with_prefix(&text).map_err(TransportError::from)? {
        Some(place) => place.seen_from(root.folder()),
        None => Place::for_reading(&root.for_platform(platform).to_string_lossy()).map_err(TransportError::from)?,
    };
    Ok(place)
}

/// Reads as much of a root as is needed.
fn look(
    mut view: View,
    mut collect: impl FnMut(&Tree) -> Result<Collected, BundleError>,
) -> Result<Collected, BuildError> {
    let folder = view.folder.clone();
    for _ in 0..LOOKS_MAX {
        let skip = |path: &ImagePath, _: bool| !view.keeps(path);
        let options = ScanOptions { skip: Some(&skip), unreadable: Unreadable::IsClosed, ..ScanOptions::ALL };
        let root = dir::scan(&folder, &options)?.tree;
        match collect(&root) {
            Ok(bundle) => {
                if let Some(closed) = bundle.closed.first() {
                    return Err(unreadable(&folder, closed).into());
                }
                let mut is_wider = false;
                for path in &bundle.looked_at {
                    is_wider |= view.widen(path)?;
                }
                if !is_wider {
                    return Ok(bundle);
                }
            }
            Err(BundleError::NotFound(origin, path, error)) => {
                if !view.widen(&error.at)? {
                    return Err(BundleError::NotFound(origin, path, error).into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let root = dir::scan(&folder, &ScanOptions { unreadable: Unreadable::IsClosed, ..ScanOptions::ALL })?.tree;
    let bundle = collect(&root)?;
    bundle.closed.first().map_or(Ok(()), |closed| Err(unreadable(&folder, closed)))?;
    Ok(bundle)
}

/// A directory of a root that a program's own search passes through, and that this user may not read.
pub(super) fn unreadable(root: &Path, closed: &ImagePath) -> DirError {
    DirError::Closed(root.join(OsStr::from_bytes(closed.relative_bytes())))
}

/// The parts of a root directory that are read.
pub(super) struct View {
    folder: PathBuf,
    whole: BTreeSet<ImagePath>,
    folders: BTreeSet<ImagePath>,
    /// What is on the way to one of those, and single names.
    above: BTreeSet<ImagePath>,
    never: BTreeSet<ImagePath>,
}

impl View {
    /// Nothing yet.
    pub fn empty(folder: &Path) -> View {
        let runs = std::fs::canonicalize(folder).is_ok_and(|folder| folder == Path::new("/"));
        View {
            folder: folder.to_path_buf(),
            whole: BTreeSet::new(),
            folders: BTreeSet::new(),
            above: BTreeSet::new(),
            never: if runs { paths(KERNEL.into_iter().chain([RUNNING])) } else { BTreeSet::new() },
        }
    }

    /// The places for programs, and where these programs are.
    fn new(folder: &Path, rules: &recipe::Bundle, platform: &Platform) -> View {
        let mut view = View { folders: paths(PROGRAMS), ..View::empty(folder) };
        for program in &rules.programs {
            let parent = program.fill_in(platform).parse().ok().and_then(|path: ImagePath| path.parent());
            view.folders.extend(parent);
        }
        view.folders.clone().iter().for_each(|path| view.add_above(path));
        view
    }

    /// The places for libraries, and what else is asked for.
    fn add_rules(&mut self, rules: &recipe::Bundle, platform: &Platform) {
        self.whole.extend(paths(LIBRARIES));
        for pattern in rules.include.matcher(platform).patterns() {
            let special = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
            let parts: Vec<&str> = pattern.split('/').take_while(|part| !special(part)).collect();
            self.whole.extend(parts.join("/").parse::<ImagePath>());
        }
        self.whole.extend(rules.with.iter().flat_map(|extra| bundle::places(*extra)));
        self.whole.clone().iter().for_each(|path| self.add_above(path));
    }

    fn add_above(&mut self, path: &ImagePath) {
        let mut here = path.parent();
        while let Some(path) = here {
            here = path.parent();
            self.above.insert(path);
        }
    }

    /// Reads every name that a lookup of the path passes through.
    fn add_way(&mut self, path: &[u8]) {
        let mut here = ImagePath::root();
        let mut rest: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            let Ok(name) = Name::new(&part) else {
                if part == b".." {
                    here = here.parent().unwrap_or(here);
                }
                continue;
            };
            let path = here.join(&name);
            self.above.insert(path.clone());
            let host = self.folder.join(OsStr::from_bytes(path.relative_bytes()));
            match std::fs::read_link(host) {
                Ok(target) if links < LINKS_MAX => {
                    let target = target.as_os_str().as_bytes();
                    if target.starts_with(b"/") {
                        here = ImagePath::root();
                    }
                    rest.extend(target.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
                    links += 1;
                }
                _ => here = path,
            }
        }
    }

    fn is_in_whole(&self, path: &ImagePath) -> bool {
        let mut here = Some(path.clone());
        while let Some(path) = here {
            if self.whole.contains(&path) {
                return true;
            }
            here = path.parent();
        }
        false
    }

    /// Whether a path is read.
    pub fn keeps(&self, path: &ImagePath) -> bool {
        let in_folder = path.parent().is_some_and(|parent| self.folders.contains(&parent));
        let kept = in_folder || self.is_in_whole(path) || self.folders.contains(path);
        // A deletion mark of a container's own storage is not part of a running machine.
        let mark = path.file_name().is_some_and(|name| whiteout::meaning(&name) != Meaning::Entry);
        !mark && (self.above.contains(path) || (kept && !self.never.contains(path)))
    }

    /// Reads what is at a path too, if it is there and was not read yet.
    pub fn widen(&mut self, path: &ImagePath) -> Result<bool, DirError> {
        if self.is_in_whole(path) || self.folders.contains(path) {
            return Ok(false);
        }
        let host = self.folder.join(OsStr::from_bytes(path.relative_bytes()));
        let meta = match std::fs::symlink_metadata(&host) {
            Ok(meta) => meta,
            // What no loader finds either; anything else is this machine's failure.
            Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => return Ok(false),
            Err(error) => return Err(DirError::Io(host, error)),
        };
        let folder = if meta.is_dir() { Some(path.clone()) } else { path.parent() };
        let Some(folder) = folder else { return Ok(false) };
        self.add_above(&folder);
        Ok(self.folders.insert(folder))
    }
}

fn paths<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<ImagePath> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{HostPath, RuleOrigin};

    fn path(text: &str) -> ImagePath {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_places_where_something_may_be_are_read() {
        let rules = recipe::Bundle {
            include: recipe::Globs::new(["/usr/share/x/**/*.dat"]).unwrap(),
            ..recipe::Bundle::new(RuleOrigin::command_line(), ["/srv/app/run".to_string()])
        };
        let platform = Platform::new(Arch::Amd64);
        let mut view = View::new(Path::new("/"), &rules, &platform);
        assert!(view.keeps(&path("/usr/bin/x")) && !view.keeps(&path("/usr/lib/a.so")));
        view.add_rules(&rules, &platform);
        for (text, kept) in [
            ("/usr", true),
            ("/usr/lib/a/b/c.so", true),
            ("/usr/bin/x", true),
            ("/usr/share", true),
            ("/usr/share/x/y/z.dat", true),
            ("/usr/share/man", false),
            ("/srv/app/run", true),
            ("/srv/app/data/deep", false),
            ("/etc/passwd", true),
            ("/home/me", false),
            ("/proc", false),
        ] {
            assert_eq!(view.keeps(&path(text)), kept, "{text}");
        }
    }

    #[test]
    fn more_is_read_only_where_something_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("srv/lib")).unwrap();
        let root = HostPath::new(Path::new(""), folder.path().to_str().unwrap());
        let rules =
            recipe::Bundle { root: Some(root), ..recipe::Bundle::new(RuleOrigin::command_line(), ["x".into()]) };
        let mut view = View::new(folder.path(), &rules, &Platform::new(Arch::Amd64));
        assert!(!view.keeps(&path("/srv/lib/a.so")));
        assert!(view.widen(&path("/srv/lib")).unwrap() && !view.widen(&path("/srv/lib")).unwrap());
        assert!(view.keeps(&path("/srv/lib/a.so")) && view.keeps(&path("/srv")));
        assert!(!view.widen(&path("/srv/gone")).unwrap());
    }
}
