//! What a loader needs to find in the bundle what it finds in the root.

use std::collections::BTreeMap;

use super::packing::Packing;
use super::reason::Reason;
use crate::link::{Closures, Role, ld_cache};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::{Content, ContentError, Follow, Inode, Kind, Metadata, Mode, Tree};

/// glibc's cache.
const CACHE: &str = "/etc/ld.so.cache";

/// What a start finds under each name: the spelled path, its rule, and the file without links.
type Found = BTreeMap<Vec<u8>, (Vec<u8>, String, ImagePath)>;

/// Adds a cache or a `.path` file if a program would otherwise load other files.
pub(super) fn settle(
    packing: &mut Packing<'_>,
    root: &Tree,
    platform: &Platform,
    programs: &[ImagePath],
    closures: &Closures<'_>,
) -> Result<(), ContentError> {
    let wanted: Vec<Found> = programs.iter().map(|program| found(closures, root, program)).collect();
    if !differs(packing, platform, programs, &wanted)? {
        return Ok(());
    }
    let mut cached = BTreeMap::new();
    for (name, (path, rule, _)) in wanted.iter().flatten() {
        if rule == CACHE {
            cached.insert(name.clone(), path.clone());
        } else if rule.starts_with('/') {
            let _ = packing.include(&ImagePath::root(), rule.as_bytes(), Follow::Yes, &Reason::Search);
        }
    }
    if let (false, Ok(path)) = (cached.is_empty(), CACHE.parse::<ImagePath>()) {
        let Some(arch) = platform.arch() else { return Ok(()) };
        let content = Content::Bytes(ld_cache(arch, &cached).into());
        let inode = Inode { meta: Metadata::new(Mode::FILE, 0).into(), kind: Kind::File(content) };
        // A link in its place can only be one of the root, which led to the old cache.
        let _ = packing.put(&path, inode, Reason::Search);
    }
    Ok(())
}

/// Removes links to directories that only a search passed through, if the same files are found without them.
pub(super) fn shorten(
    packing: &mut Packing<'_>,
    root: &Tree,
    platform: &Platform,
    programs: &[ImagePath],
    closures: &Closures<'_>,
) -> Result<(), ContentError> {
    let leads_to_directory = |path: &ImagePath| {
        let found = root.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes);
        found.is_ok_and(|found| root.inode(found.id).is_directory())
    };
    let candidates: Vec<ImagePath> = packing
        .reasons
        .iter()
        .filter(|(path, reasons)| {
            reasons.iter().all(|reason| matches!(reason, Reason::Link(_))) && leads_to_directory(path)
        })
        .map(|(path, _)| path.clone())
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Found> = programs.iter().map(|program| found(closures, root, program)).collect();
    for path in candidates {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let Some(directory) = packing.tree.get_directory(&parent) else { continue };
        let Some(id) = packing.tree.remove(directory, name.as_bytes()) else { continue };
        let whole = packing.leads_as_before();
        if !whole || differs(packing, platform, programs, &wanted)? {
            packing.tree.link(directory, name, id);
        } else {
            packing.drop_name(&path);
        }
    }
    Ok(())
}

/// Whether a program would load other files in the bundle than in the root.
fn differs(
    packing: &Packing<'_>,
    platform: &Platform,
    programs: &[ImagePath],
    wanted: &[Found],
) -> Result<bool, ContentError> {
    let inside = Closures::new(&packing.tree, platform);
    let differs = programs.iter().zip(wanted).any(|(program, wanted)| {
        let now = found(&inside, &packing.tree, program);
        let file = |found: &Found| {
            found.iter().map(|(name, (_, _, file))| (name.clone(), file.clone())).collect::<BTreeMap<_, _>>()
        };
        file(&now) != file(wanted)
    });
    inside.take_failure().map_or(Ok(differs), Err)
}

fn found(closures: &Closures<'_>, tree: &Tree, program: &ImagePath) -> Found {
    let mut found = Found::new();
    for need in closures.needs(program).found {
        let Ok(file) = tree.resolve(&ImagePath::root(), &need.path, Follow::Yes) else { continue };
        let (name, rule) = match need.role {
            Role::Library { name, rule } => (name, rule),
            Role::Loader | Role::Interpreter | Role::Command => (need.path.clone(), String::new()),
        };
        found.insert(name, (need.path, rule, file.path));
    }
    found
}
