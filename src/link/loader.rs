//! Which loader a file is, by its contents and never by its name.
//!
//! `libc6-compat` makes `/lib64/ld-linux-x86-64.so.2` a link to musl; then musl's rules apply to a program that was built for
//! glibc. What differs between builds of one loader (directories, versions) is read from the file too.

use crate::elf::{ElfFacts, Pages, Versions, contains, find};
use crate::platform::{Abi, Arch};

use crate::tree::ContentError;

use super::policy::Libc;
use super::version::Version;

/// The largest file that is checked for being a loader: real ones have less than 2 MB.
const LOADER_MAX: u64 = 16 << 20;

/// A loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoaderKind {
    Musl(MuslLoader),
    Glibc(GlibcLoader),
    Bionic,
    /// A stub that starts musl's loader with `libgcompat.so.0` preloaded.
    Gcompat,
    Unknown,
}

/// What a musl loader says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MuslLoader {
    /// `1.2.5`; absent if the file does not state it.
    pub version: Option<String>,
    /// Whether it is 1.2.4 or later, which supports DT_RELR and no longer has the LFS64 symbols.
    pub since_1_2_4: bool,
    /// The architecture word in the name of its `.path` file.
    pub arch: Vec<u8>,
    /// Its default search path, as one string.
    pub default_path: Vec<u8>,
}

/// What a glibc loader says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GlibcLoader {
    /// `2.36`; absent if the file does not state it.
    pub version: Option<Version>,
    /// System directories, with no slash at the end, in the order in which it searches them.
    pub directories: Vec<Vec<u8>>,
    /// The value of `$LIB`.
    pub lib: Vec<u8>,
    /// Which libraries it accepts.
    pub abi: &'static Abi,
}

impl LoaderKind {
    /// Recognises a file that a program names as its loader.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(pages: &Pages<'_>, facts: &ElfFacts, versions: &Versions) -> Result<LoaderKind, ContentError> {
        let size = pages.size().min(LOADER_MAX) as usize;
        Ok(LoaderKind::of_bytes(&pages.read(0, size)?, facts, versions))
    }

    fn of_bytes(bytes: &[u8], facts: &ElfFacts, versions: &Versions) -> LoaderKind {
        if contains(bytes, b"musl libc (")
            && let Some(loader) = MuslLoader::read(bytes)
        {
            return LoaderKind::Musl(loader);
        }
        let soname = facts.dynamic.as_ref().and_then(|dynamic| dynamic.soname.as_deref()).unwrap_or_default();
        let is_glibc = |abi: &&Abi| abi.glibc_soname().as_bytes() == soname;
        if let Some(arch) = facts.arch
            && let Some(abi) = arch.facts().abis.iter().find(is_glibc)
            && versions.defines(b"GLIBC_PRIVATE")
        {
            return LoaderKind::Glibc(GlibcLoader::read(bytes, arch, abi));
        }
        if contains(bytes, b"libgcompat.so.0") {
            return LoaderKind::Gcompat;
        }
        if facts.android.is_some() {
            return LoaderKind::Bionic;
        }
        LoaderKind::Unknown
    }

    /// The C library that comes with it.
    pub fn libc(&self) -> Option<Libc> {
        match self {
            LoaderKind::Musl(_) | LoaderKind::Gcompat => Some(Libc::Musl),
            LoaderKind::Glibc(_) => Some(Libc::Glibc),
            LoaderKind::Bionic => Some(Libc::Bionic),
            LoaderKind::Unknown => None,
        }
    }
}

impl MuslLoader {
    /// Its version as numbers.
    pub fn number(&self) -> Option<Version> {
        Version::parse(self.version.as_ref()?.as_bytes())
    }

    fn read(bytes: &[u8]) -> Option<MuslLoader> {
        let start = find(bytes, b"/etc/ld-musl-")? + b"/etc/ld-musl-".len();
        let length = find(bytes.get(start..)?.get(..64)?, b".path")?;
        let mut default_path = None;
        let mut version = None;
        for string in strings(bytes) {
            if default_path.is_none() && is_search_path(string) {
                default_path = Some(string.to_vec());
            }
            if version.is_none() && string.starts_with(b"1.") && is_version(string) {
                version = Some(String::from_utf8_lossy(string).into_owned());
            }
        }
        Some(MuslLoader {
            version,
            since_1_2_4: contains(bytes, b"aio_cancel\0aio_error\0"),
            arch: bytes[start..start + length].to_vec(),
            default_path: default_path.unwrap_or_else(|| b"/lib:/usr/local/lib:/usr/lib".to_vec()),
        })
    }
}

impl GlibcLoader {
    fn read(bytes: &[u8], arch: Arch, abi: &'static Abi) -> GlibcLoader {
        let mut best: Vec<&[u8]> = Vec::new();
        let mut run: Vec<&[u8]> = Vec::new();
        for string in strings(bytes) {
            if is_directory(string) {
                run.push(string);
                if run.len() > best.len() {
                    best.clone_from(&run);
                }
            } else {
                run.clear();
            }
        }
        if best.len() < 2 {
            best = arch.facts().glibc.directories.to_vec();
        }
        let directories: Vec<Vec<u8>> = best.iter().map(|string| string[..string.len() - 1].to_vec()).collect();
        let first = directories.first().map(|directory| &directory[1..]).unwrap_or_default();
        let lib = first.strip_prefix(b"usr/").unwrap_or(first).to_vec();
        GlibcLoader { version: release(bytes), directories, lib, abi }
    }
}

/// The version after `stable release version` in the loader's text.
fn release(bytes: &[u8]) -> Option<Version> {
    let words = b"release version ";
    let start = find(bytes, words)? + words.len();
    Version::parse(bytes.get(start..)?.get(..12)?)
}

/// The same in the text of a library, where it is in a segment that is neither executable nor writable.
pub(super) fn release_in(pages: &Pages<'_>, facts: &ElfFacts) -> Result<Option<Version>, ContentError> {
    for load in facts.loads.iter().filter(|load| !load.executable && load.file_size <= LOADER_MAX) {
        let bytes = pages.read(load.offset, load.file_size as usize)?;
        if let Some(version) = release(&bytes) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// The strings between NULs.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0)
}

/// `/a(:/b)+` of printable characters, and not a path of programs.
fn is_search_path(string: &[u8]) -> bool {
    string.len() < 512
        && string.contains(&b':')
        && string.iter().all(|byte| byte.is_ascii_graphic())
        && string.split(|&byte| byte == b':').all(|part| part.starts_with(b"/") && part.len() > 1)
        && !contains(string, b"bin")
}

/// `/…/` of printable characters, with `lib` in it.
fn is_directory(string: &[u8]) -> bool {
    string.len() > 2
        && string.len() < 256
        && string.starts_with(b"/")
        && string.ends_with(b"/")
        && string.iter().all(|byte| byte.is_ascii_graphic())
        && contains(string, b"lib")
}

/// `1.x.y`, perhaps with `-git-…`.
fn is_version(string: &[u8]) -> bool {
    let number = string.split(|&byte| byte == b'-').next().unwrap_or_default();
    let mut parts = number.split(|&byte| byte == b'.');
    let digits = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    digits(parts.next()) && digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::tree::Content;

    fn kind(forge: &Forge) -> LoaderKind {
        let content = Content::Bytes(forge.build().into());
        let facts = ElfFacts::read(&content).unwrap().unwrap();
        let pages = Pages::open(&content).unwrap();
        let versions = Versions::read(&pages, &facts).unwrap();
        LoaderKind::of(&pages, &facts, &versions).unwrap()
    }

    #[test]
    fn musl_tells_its_version_and_directories() {
        let LoaderKind::Musl(loader) = kind(&Forge::musl(true)) else { panic!("not musl") };
        assert_eq!(loader.version.as_deref(), Some("1.2.5"));
        assert!(loader.since_1_2_4);
        assert_eq!(loader.arch, b"x86_64");
        assert_eq!(loader.default_path, b"/lib:/usr/local/lib:/usr/lib");
        let LoaderKind::Musl(old) = kind(&Forge::musl(false)) else { panic!("not musl") };
        assert!(!old.since_1_2_4);
    }

    #[test]
    fn glibc_tells_its_version_and_directories() {
        let LoaderKind::Glibc(loader) = kind(&Forge::glibc()) else { panic!("not glibc") };
        assert_eq!(loader.version.map(|version| version.to_string()).as_deref(), Some("2.36"));
        assert_eq!(loader.directories[0], b"/lib/x86_64-linux-gnu");
        assert_eq!(loader.directories.len(), 4);
        assert_eq!(loader.lib, b"lib/x86_64-linux-gnu");
    }

    #[test]
    fn others_are_not_taken_for_either() {
        assert_eq!(kind(&Forge::library("ld-linux-x86-64.so.2")), LoaderKind::Unknown);
        assert_eq!(kind(&Forge::program()), LoaderKind::Unknown);
        let stub = Forge { text: b"\0libgcompat.so.0\0".to_vec(), ..Forge::program() };
        assert_eq!(kind(&stub), LoaderKind::Gcompat);
    }
}
