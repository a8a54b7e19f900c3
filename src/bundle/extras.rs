//! Files that programs load at run time and that cannot be found in them, by kind.
//!
//! Files that describe one machine are never included: `/etc/hosts`, `/etc/resolv.conf`, `/etc/passwd`, `/etc/localtime`.
//! The engine provides the first two in a container, and users are declared in a recipe.

use std::collections::BTreeSet;

use crate::path::ImagePath;
use crate::platform::Arch;
use crate::recipe::Extra;
use crate::tree::{Content, ContentError, Follow, Kind, Tree};

/// The modules that glibc uses even if `nsswitch.conf` does not name them.
const NSS_DEFAULT: [&str; 3] = ["files", "dns", "compat"];

/// The files that these modules read.
const NSS_FILES: [&str; 5] =
    ["/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"];

/// Where distributions keep CA certificates.
const CERTIFICATES: [&str; 9] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ca-certificates/extracted",
    // Where OpenSSL looks by default: links to one of those.
    "/usr/lib/ssl/certs",
    "/usr/lib/ssl/cert.pem",
    "/usr/lib/ssl/openssl.cnf",
];

/// The largest `nsswitch.conf` that is read, in bytes.
const NSSWITCH_MAX: u64 = 1 << 16;

/// Where in a root an extra is, apart from the directories for libraries: for a root that is read in parts.
pub fn places(extra: Extra) -> Vec<ImagePath> {
    let texts: &[&str] = match extra {
        Extra::Nss => &NSS_FILES,
        Extra::Gconv => &[],
        Extra::Certificates => &[
            "/etc/ssl/certs",
            "/etc/ssl/cert.pem",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/openssl.cnf",
            "/etc/pki",
            "/etc/ca-certificates",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
        ],
        Extra::Zoneinfo => &["/usr/share/zoneinfo"],
    };
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The paths of an extra; a directory stands for all that it holds.
pub(super) fn paths(extra: Extra, root: &Tree, arch: Arch) -> Result<Vec<ImagePath>, ContentError> {
    let there = |texts: &[&str]| -> Vec<ImagePath> {
        let paths = texts.iter().filter_map(|text| text.parse::<ImagePath>().ok());
        paths.filter(|path| root.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes).is_ok()).collect()
    };
    Ok(match extra {
        Extra::Nss => {
            let modules = modules(root)?;
            let wanted = |path: &ImagePath| path.file_name().is_some_and(|name| modules.contains(name.as_bytes()));
            let mut paths = there(&NSS_FILES);
            paths.extend(libraries(root, arch)?.into_iter().filter(wanted));
            paths
        }
        Extra::Gconv => {
            let in_gconv = |path: &ImagePath| path.components().any(|part| part == b"gconv");
            let mut paths: Vec<ImagePath> = libraries(root, arch)?.into_iter().filter(in_gconv).collect();
            let folders: BTreeSet<ImagePath> = paths.iter().filter_map(ImagePath::parent).collect();
            for entry in root.walk() {
                let name = entry.path.file_name();
                let module_list = name.as_ref().is_some_and(|name| name.as_bytes().starts_with(b"gconv-modules"));
                if module_list && entry.path.parent().is_some_and(|parent| folders.contains(&parent)) {
                    paths.push(entry.path);
                }
            }
            paths
        }
        Extra::Certificates => there(&CERTIFICATES),
        Extra::Zoneinfo => there(&["/usr/share/zoneinfo"]),
    })
}

/// The file names of the modules that `nsswitch.conf` names.
fn modules(root: &Tree) -> Result<BTreeSet<Vec<u8>>, ContentError> {
    let found = root.resolve(&ImagePath::root(), b"/etc/nsswitch.conf", Follow::Yes).ok();
    let text = match found.map(|found| &root.inode(found.id).kind) {
        Some(Kind::File(content)) => head(content, NSSWITCH_MAX)?,
        Some(Kind::Directory(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo)
        | None => Vec::new(),
    };
    let mut names: BTreeSet<Vec<u8>> = NSS_DEFAULT.iter().map(|name| name.as_bytes().to_vec()).collect();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let words = line[colon + 1..].split(|byte| byte.is_ascii_whitespace());
        // `[NOTFOUND=return]` stands between services and is not one.
        names.extend(words.filter(|word| word.first().is_some_and(u8::is_ascii_alphabetic)).map(<[u8]>::to_vec));
    }
    Ok(names.into_iter().map(|name| [b"libnss_", name.as_slice(), b".so.2"].concat()).collect())
}

/// The beginning of a file; nothing of one that this user may not read.
fn head(content: &Content, limit: u64) -> Result<Vec<u8>, ContentError> {
    match content.head(limit) {
        Err(ContentError::Io(_, error)) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        other => other,
    }
}

/// The libraries for this architecture, below the directories where libraries are.
fn libraries(root: &Tree, arch: Arch) -> Result<Vec<ImagePath>, ContentError> {
    let below_lib = |path: &ImagePath| {
        let mut parts = path.components().filter(|part| *part != b"usr" && *part != b"local");
        parts.next().is_some_and(|part| part.starts_with(b"lib"))
    };
    let entries = root.walk().filter(|entry| below_lib(&entry.path));
    let named = entries.filter(|entry| crate::elf::contains(entry.path.as_bytes(), b".so"));
    let mut libraries = Vec::new();
    for entry in named {
        let found = root.resolve(&ImagePath::root(), entry.path.as_bytes(), Follow::Yes);
        let Some(Kind::File(content)) = found.ok().map(|found| &root.inode(found.id).kind) else { continue };
        let head = head(content, 20)?;
        if head.starts_with(b"\x7fELF") && Arch::of_header(&head) == Some(arch) {
            libraries.push(entry.path);
        }
    }
    Ok(libraries)
}
