//! How Linux executes an ELF file (`fs/binfmt_elf.c`, 6.12 and 6.18), as far as that depends on the file and its tree.

use crate::elf::{ElfFacts, HeaderFault, Interpreter, Linkage, headers_max, headers_max_before_6_17};
use crate::path::{ImagePath, display_bytes};
use crate::platform::Arch;
use crate::report::{Code, Severity};
use crate::tree::{Errno, InodeId, Resolved};

use crate::link::draft::{Draft, ExecError, permissions};
use crate::link::files::{Expected, Files, Refusal};
use crate::link::loader::LoaderKind;
use crate::link::policy::Libc;
use crate::link::user::ProcessUser;

/// The loader that a program names does not exist.
pub const INTERP_MISSING: Code = Code("interp-missing");
/// The loader that a program names is a dangling link.
pub const INTERP_DANGLING: Code = Code("interp-dangling");
/// The loader or interpreter is not executable.
pub const INTERP_NOT_EXECUTABLE: Code = Code("interp-not-executable");
/// The loader is for another machine.
pub const INTERP_WRONG_ARCH: Code = Code("interp-wrong-arch");
/// The file at the loader's path is not an ELF file.
pub const INTERP_NOT_ELF: Code = Code("interp-not-elf");
/// The file at the loader's path is shorter than an ELF header.
pub const INTERP_EMPTY: Code = Code("interp-empty");
/// The path of the loader is relative.
pub const INTERP_RELATIVE: Code = Code("interp-relative");
/// PT_INTERP breaks the kernel's rules.
pub const INTERP_MALFORMED: Code = Code("interp-malformed");
/// sazare does not know the loader.
pub const LOADER_UNKNOWN: Code = Code("loader-unknown");
/// The loader is a different one from what its name suggests.
pub const LOADER_FLAVOUR: Code = Code("loader-flavour");
/// The program is for another machine.
pub const WRONG_ARCH: Code = Code("wrong-arch");
/// The program is for 32-bit x86, which not every kernel runs.
pub const WRONG_ARCH_32: Code = Code("wrong-arch-32");
/// The program is for Android.
pub const ANDROID_BINARY: Code = Code("android-binary");
/// The file is shorter than its segments.
pub const ELF_TRUNCATED: Code = Code("elf-truncated");
/// The kernel does not accept the headers.
pub const ELF_CORRUPT: Code = Code("elf-corrupt");
/// More program headers than kernels accept.
pub const ELF_PHNUM: Code = Code("elf-phnum");
/// A library or object file is configured as a program.
pub const NOT_A_PROGRAM: Code = Code("not-a-program");
/// The program is packed, so it is unknown what it needs.
pub const PACKED: Code = Code("packed");
/// The program is in a file system that must be mounted first (AppImage).
pub const APPIMAGE: Code = Code("appimage");
/// Segments are aligned for small pages only.
pub const PAGE_ALIGN: Code = Code("page-align");

/// Where Android's loaders are.
const BIONIC_LOADERS: [&[u8]; 7] = [
    b"/system/bin/linker64",
    b"/system/bin/linker",
    b"/system/bin/linker_asan64",
    b"/system/bin/linker_hwasan64",
    b"/system/bin/bootstrap/linker64",
    b"/apex/com.android.runtime/bin/linker64",
    b"/apex/com.android.runtime/bin/linker",
];

/// What a start depends on, apart from the program itself.
pub(crate) struct ExecContext<'a> {
    pub files: &'a Files<'a>,
    /// `the image`, `the initramfs` or `the tree`.
    pub whole: &'static str,
    /// The directory from which relative paths are resolved.
    pub cwd: &'a ImagePath,
    /// The user that starts it.
    pub user: &'a ProcessUser,
    /// Whether the image config names the file, so that it must be a program.
    pub named: bool,
}

/// What the kernel does with a program.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub linkage: Linkage,
    pub libc: Option<Libc>,
    /// The loader that starts it, with its kind.
    pub loader: Option<(Resolved, &'a LoaderKind)>,
    pub drafts: Vec<Draft>,
}

impl<'a> ExecContext<'a> {
    /// Checks an ELF file.
    pub fn start(&self, id: InodeId, path: &ImagePath, facts: &ElfFacts) -> Start<'a> {
        let mut start = Start {
            linkage: self.files.linkage(id).unwrap_or(Linkage::Object),
            libc: None,
            loader: None,
            drafts: Vec::new(),
        };
        let drafts = &mut start.drafts;
        match start.linkage {
            Linkage::Foreign => {
                drafts.push(foreign(facts, self.files.arch));
                return start;
            }
            // A loader can be started like any program. What a file with damaged headers was is unknown.
            Linkage::SharedObject if self.named && (facts.fault.is_some() || self.is_loader(id)) => {}
            // A program of an old linker that defines symbols for others looks like this too.
            Linkage::SharedObject
                if self.named && self.files.linkage_by_headers(facts, true) == Linkage::StaticPieLikely =>
            {
                start.linkage = Linkage::StaticPie;
                let message = "looks like a library: nothing marks it as a program, and it has symbols for others";
                drafts.push(
                    Draft::warning(NOT_A_PROGRAM, message)
                        .killed("SIGSEGV", 139)
                        .because("DT_FLAGS_1", "no DF_1_PIE; the symbol table offers or asks for symbols")
                        .fix("name the program that uses it, or link it with a current linker"),
                );
            }
            Linkage::Object | Linkage::SharedObject => {
                if self.named {
                    drafts.push(not_a_program(facts));
                }
                return start;
            }
            Linkage::Dynamic | Linkage::Static | Linkage::StaticPie | Linkage::StaticPieLikely => {}
        }
        let Some(arch) = self.files.runs(facts) else { return start };
        drafts.extend(compat(facts, self.files.arch));
        if let Some(fault) = facts.fault {
            drafts.push(header_fault(fault, arch));
            return start;
        }
        let old = headers_max_before_6_17(arch.facts().class);
        if facts.phnum > old {
            drafts.push(
                Draft::note(ELF_PHNUM, format!("has {} program headers; Linux before 6.17 accepts {old}", facts.phnum))
                    .refused(ExecError::Format)
                    .fix("link it with fewer segments"),
            );
        }
        drafts.extend(page_align(facts, arch));
        if facts.packed {
            drafts.push(
                Draft::note(PACKED, "is packed with UPX: the program inside cannot be checked")
                    .fix("verify it before it is packed"),
            );
        }
        if matches!(facts.ident[8..11], [b'A', b'I', 1 | 2]) {
            drafts.push(
                Draft::warning(
                    APPIMAGE,
                    "is an AppImage: it mounts the program inside with FUSE, which containers do not have",
                )
                .says("Cannot mount AppImage, please check your FUSE setup. (exit code 127)")
                .because("e_ident", "AI, the mark of an AppImage")
                .fix("unpack it (`FILE --appimage-extract`) and use the program inside"),
            );
        }
        match &facts.interpreter {
            Interpreter::Absent => {}
            Interpreter::BadSize(size) => drafts.push(malformed(format!("has a PT_INTERP of {size} bytes"))),
            Interpreter::NotTerminated => drafts.push(malformed("has a PT_INTERP that does not end with NUL".into())),
            Interpreter::BeyondEnd => drafts.push(
                Draft::error(ELF_TRUNCATED, "is truncated: its PT_INTERP lies past the end of the file")
                    .refused(ExecError::InputOutput)
                    .fix("copy the file again"),
            ),
            Interpreter::Path(name) => self.interpreter(path, facts, arch, name, &mut start),
        }
        // Segments are mapped last: if they are wrong, the program is killed and prints nothing.
        let refused = start.drafts.iter().any(|draft| draft.severity == Severity::Error);
        if let Some(draft) = segments(facts).filter(|_| !refused) {
            start.drafts.push(draft);
            start.loader = None;
        }
        start
    }

    /// Whether the contents of a library show that it is a loader.
    pub fn is_loader(&self, id: InodeId) -> bool {
        !matches!(self.files.loader(id), None | Some(LoaderKind::Unknown))
    }

    fn interpreter(&self, path: &ImagePath, facts: &ElfFacts, arch: Arch, name: &[u8], start: &mut Start<'a>) {
        let shown = display_bytes(name);
        let found = self.files.open_program(self.cwd, name, self.user);
        if BIONIC_LOADERS.contains(&name) || facts.android.is_some() {
            start.libc = Some(Libc::Bionic);
            start.drafts.push(self.android(facts, &shown, found.is_ok()));
            return;
        }
        start.libc = libc_of_name(name);
        let because = |draft: Draft| draft.because(format!("PT_INTERP of {path}"), String::new());
        if name.is_empty() {
            let draft = Draft::error(INTERP_NOT_EXECUTABLE, "names an empty path as its loader");
            start.drafts.push(because(draft).refused(ExecError::Denied).fix("link it again"));
            return;
        }
        if !name.starts_with(b"/") {
            let draft = Draft::warning(
                INTERP_RELATIVE,
                format!("names its loader with a relative path, which works from one working directory only: {shown}"),
            );
            let fix = "give it an absolute path: `patchelf --set-interpreter /lib/… FILE`";
            start.drafts.push(because(draft).fix(fix));
        }
        match found {
            Err(refusal) => start.drafts.push(because(self.refused(arch, name, &refusal))),
            Ok(found) => match self.loader_fault(arch, &shown, &found) {
                Some(draft) => start.drafts.push(because(draft)),
                None => self.enter(name, found, start),
            },
        }
    }

    /// The loader can be executed: checks which one it is.
    fn enter(&self, name: &[u8], found: Resolved, start: &mut Start<'a>) {
        let Some(kind) = self.files.loader(found.id) else { return };
        let shown = display_bytes(name);
        let by_name = start.libc;
        if let (Some(named), Some(actual)) = (by_name, kind.libc())
            && named != actual
        {
            let draft =
                Draft::warning(LOADER_FLAVOUR, format!("is built for {named}, but {shown} is {actual}'s loader"))
                    .because(shown.clone(), format!("leads to {}, which is {actual}'s loader", found.path))
                    .fix(format!("use a build for {actual}, or put {named}'s loader at {shown}"));
            start.drafts.push(draft);
        }
        if *kind == LoaderKind::Unknown {
            let draft = Draft::note(LOADER_UNKNOWN, format!("is loaded by {shown}, which is not a known loader"))
                .because(found.path.to_string(), "neither musl nor glibc nor bionic by its contents")
                .fix("which libraries it loads is unknown: run the program once with `sazare try`");
            start.drafts.push(draft);
        }
        start.libc = kind.libc().or(by_name);
        start.loader = Some((found, kind));
    }

    fn refused(&self, arch: Arch, name: &[u8], refusal: &Refusal) -> Draft {
        let shown = display_bytes(name);
        let (facts, whole) = (arch.facts(), self.whole);
        match refusal {
            Refusal::Path(error) if self.files.is_dangling(error) => {
                let link = error.links.last().map(ImagePath::to_string).unwrap_or_default();
                Draft::error(INTERP_DANGLING, format!("needs {shown}, a dangling symlink: {} does not exist", error.at))
                    .refused(ExecError::NotFound)
                    .because(link, format!("symlink that leads to {}, resolved inside {whole}", error.at))
                    .fix(format!(
                        "put the loader at {}, or correct the link: absolute targets are resolved inside {whole}",
                        error.at
                    ))
            }
            Refusal::Path(error) if error.errno == Errno::Loop => {
                Draft::error(INTERP_DANGLING, format!("needs {shown}, which is a symlink loop"))
                    .refused(ExecError::Loop)
                    .because(error.at.to_string(), "more than 40 links")
                    .fix(format!("put the loader at {shown}"))
            }
            Refusal::Path(error) => {
                let message = format!("needs {shown}, which {whole} does not contain");
                let draft = Draft::error(INTERP_MISSING, message).refused(error.errno.into());
                let draft = match error.errno {
                    Errno::NotFound => draft,
                    Errno::NoAccess | Errno::NotADirectory | Errno::Loop | Errno::NameTooLong => {
                        draft.because(shown.clone(), self.files.words_of(error))
                    }
                };
                draft.fix(how_to_get(arch, name))
            }
            Refusal::Barred(at) => {
                Draft::error(INTERP_NOT_EXECUTABLE, format!("needs {shown}, which the user cannot reach"))
                    .refused(ExecError::Denied)
                    .because(at.to_string(), format!("uid {} has no search permission", self.user.uid))
                    .fix(permissions(&at.to_string(), "0755"))
            }
            Refusal::NotAFile(found, kind) => {
                Draft::error(INTERP_NOT_EXECUTABLE, format!("needs {shown}, which is {kind}"))
                    .refused(ExecError::Denied)
                    .fix(format!("put the loader of {} at {}", facts.oci, found.path))
            }
            Refusal::NotExecutable(found) => {
                let mode = self.files.tree.inode(found.id).meta.mode;
                Draft::error(INTERP_NOT_EXECUTABLE, format!("needs {shown}, which is not executable: mode {mode}"))
                    .refused(ExecError::Denied)
                    .fix(permissions(&found.path.to_string(), "0755"))
            }
        }
    }

    fn loader_fault(&self, wanted: Arch, shown: &str, found: &Resolved) -> Option<Draft> {
        let arch = wanted.facts().oci;
        let probe = self.files.probe_for(found.id, Expected::Loader)?;
        let replace =
            format!("{} is not a loader ({} bytes): replace it with the loader for {arch}", found.path, probe.size);
        // The kernel reads a whole header; if there are fewer bytes, the error is `EIO`.
        if probe.size < wanted.facts().class.header_size() {
            let message = format!("needs {shown}, which has only {} bytes", probe.size);
            return Some(Draft::error(INTERP_EMPTY, message).refused(ExecError::InputOutput).fix(replace));
        }
        let Some(facts) = &probe.elf else {
            let message = format!("needs {shown}, which is not an ELF file");
            return Some(Draft::error(INTERP_NOT_ELF, message).refused(ExecError::BadLibrary).fix(replace));
        };
        if facts.arch != Some(wanted) {
            let theirs = facts.machine_name();
            return Some(
                Draft::error(INTERP_WRONG_ARCH, format!("needs {shown}, which is for {theirs} and not for {arch}"))
                    .refused(ExecError::BadLibrary)
                    .because(found.path.to_string(), format!("ELF machine {theirs}"))
                    .fix(format!("copy the loader for {arch} to {}", found.path)),
            );
        }
        if facts.fault.is_some() {
            let message = format!("needs {shown}, whose program headers are corrupt");
            return Some(Draft::error(INTERP_NOT_ELF, message).refused(ExecError::BadLibrary).fix(replace));
        }
        // ET_EXEC and ET_DYN. The kernel maps nothing of other types, and jumps to an unmapped address.
        if !matches!(facts.kind, 2 | 3) {
            let message = format!("needs {shown}, which is not an executable ELF file");
            return Some(Draft::error(INTERP_NOT_ELF, message).killed("SIGSEGV", 139).fix(replace));
        }
        let needed = facts.size_needed();
        (needed > facts.size).then(|| {
            Draft::error(ELF_TRUNCATED, format!("needs {shown}, which is truncated: {} of {needed} bytes", facts.size))
                .killed("SIGSEGV", 139)
                .because(found.path.to_string(), format!("segments need {needed} bytes, the file has {}", facts.size))
                .fix(format!("copy {} again", found.path))
        })
    }

    fn android(&self, facts: &ElfFacts, shown: &str, there: bool) -> Draft {
        let level = facts.android.as_ref().map(|note| format!(" (API {})", note.api)).unwrap_or_default();
        if there {
            let message = format!("is built for Android{level}; only the existence of its loader {shown} was checked");
            return Draft::note(ANDROID_BINARY, message);
        }
        Draft::error(ANDROID_BINARY, format!("is built for Android{level}: {shown} is Android's loader"))
            .refused(ExecError::NotFound)
            .because("PT_INTERP".to_string(), format!("{shown}, which {} does not contain", self.whole))
            .fix(
                "use the linux-musl (or a static) build of it; Android's loader cannot be added to a Linux root, it \
                 needs Android's system around it",
            )
    }
}

/// The fix for a missing loader.
fn how_to_get(arch: Arch, name: &[u8]) -> String {
    let (shown, facts) = (display_bytes(name), arch.facts());
    match libc_of_name(name) {
        Some(Libc::Musl) => format!(
            "link it statically (`-static`, and not `-nostdlib`; BusyBox: CONFIG_STATIC=y), or put musl's loader at {shown}"
        ),
        Some(Libc::Glibc) => {
            let abi = facts.abis.iter().find(|abi| name.ends_with(abi.glibc_soname().as_bytes()));
            format!(
                "add Debian's libc6:{} (loader, libc.so.6) and what else the program needs as a source, or link it \
                 statically against musl",
                abi.unwrap_or(facts.abi()).debian
            )
        }
        Some(Libc::Bionic) | None => format!("put the loader for {} at {shown}, or link it statically", facts.oci),
    }
}

/// Which C library a loader of this name belongs to.
pub(crate) fn libc_of_name(name: &[u8]) -> Option<Libc> {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if base.starts_with(b"ld-musl-") {
        Some(Libc::Musl)
    } else if base.starts_with(b"ld-linux") || base.starts_with(b"ld64.so") || base == b"ld.so.1" {
        Some(Libc::Glibc)
    } else if BIONIC_LOADERS.contains(&name) {
        Some(Libc::Bionic)
    } else {
        None
    }
}

fn foreign(facts: &ElfFacts, arch: Option<Arch>) -> Draft {
    let ours = arch.map_or("another", |arch| arch.facts().oci);
    let theirs = facts.machine_name();
    let own = arch.map(|arch| format!("; {ours} has {}", arch.facts().machine)).unwrap_or_default();
    Draft::error(WRONG_ARCH, format!("is for {theirs}, and the platform is {ours}"))
        .refused(ExecError::Format)
        .because(format!("ELF machine {}", facts.machine), format!("{theirs}{own}"))
        .fix(format!("use the build for {ours} (`{{arch}}` in a source's path, GOARCH, `--target`)"))
}

/// The warning about a program that not every kernel of the platform runs.
fn compat(facts: &ElfFacts, arch: Option<Arch>) -> Option<Draft> {
    let ours = arch.filter(|arch| facts.arch != Some(*arch))?.facts();
    let compat = ours.compat.as_ref()?;
    let (theirs, ours) = (facts.machine_name(), ours.oci);
    Some(
        Draft::warning(WRONG_ARCH_32, format!("is for {}: it runs only on {}", compat.name, compat.kernels))
            .refused(ExecError::Format)
            .because(format!("ELF machine {}", facts.machine), format!("{theirs}, and the platform is {ours}"))
            .fix(format!("build it for {ours}")),
    )
}

fn not_a_program(facts: &ElfFacts) -> Draft {
    let soname = facts.dynamic.as_ref().and_then(|dynamic| dynamic.soname.as_deref());
    match (facts.kind, soname) {
        (3, Some(name)) => {
            Draft::error(NOT_A_PROGRAM, format!("is a library: {}", display_bytes(name))).killed("SIGSEGV", 139)
        }
        (3, None) => Draft::error(NOT_A_PROGRAM, "is a library").killed("SIGSEGV", 139),
        (1, _) => Draft::error(NOT_A_PROGRAM, "is an object file, not a program").refused(ExecError::Format),
        (4, _) => Draft::error(NOT_A_PROGRAM, "is a core dump, not a program").refused(ExecError::Format),
        (kind, _) => Draft::error(NOT_A_PROGRAM, format!("has an ELF type that the kernel does not execute: {kind}"))
            .refused(ExecError::Format),
    }
    .fix("name the program that uses it")
}

fn header_fault(fault: HeaderFault, arch: Arch) -> Draft {
    let class = arch.facts().class;
    let draft = match fault {
        HeaderFault::Count(count) if count > 0 => {
            let most = headers_max(class);
            Draft::error(ELF_PHNUM, format!("has {count} program headers; Linux accepts {most}"))
        }
        HeaderFault::Count(_) => Draft::error(ELF_CORRUPT, "has no program headers"),
        HeaderFault::EntrySize(size) => {
            let (bits, right) = (class.bits(), class.program_header_size());
            Draft::error(ELF_CORRUPT, format!("has program headers of {size} bytes; a {bits}-bit program has {right}"))
        }
        HeaderFault::BeyondEnd => Draft::error(ELF_CORRUPT, "is truncated: its program headers lie past the end"),
    };
    draft.refused(ExecError::Format).fix("copy or link the file again")
}

fn segments(facts: &ElfFacts) -> Option<Draft> {
    let needed = facts.size_needed();
    if facts.loads.is_empty() {
        return Some(
            Draft::error(ELF_CORRUPT, "has no segment to load (no PT_LOAD)")
                .killed("SIGSEGV", 139)
                .fix("link the file again"),
        );
    }
    if facts.has_bad_segment() {
        return Some(
            Draft::error(ELF_CORRUPT, "has a segment with more bytes in the file than in memory")
                .killed("SIGKILL", 137)
                .fix("link the file again"),
        );
    }
    (needed > facts.size).then(|| {
        Draft::error(ELF_TRUNCATED, format!("is truncated: it has {} of at least {needed} bytes", facts.size))
            .killed("SIGSEGV or SIGBUS", 139)
            .because("PT_LOAD".to_string(), format!("a segment ends at {needed}, the file at {}", facts.size))
            .fix("copy the file again")
    })
}

/// The note about a program that kernels with larger pages cannot map.
fn page_align(facts: &ElfFacts, arch: Arch) -> Option<Draft> {
    let align = facts.smallest_align()?;
    let larger: Vec<String> = arch.facts().pages_above(align).map(|size| (size >> 10).to_string()).collect();
    let largest = arch.facts().page_sizes.last()?;
    (!larger.is_empty()).then(|| {
        Draft::note(
            PAGE_ALIGN,
            format!(
                "is aligned for pages of {align} bytes: it crashes on kernels with pages of {} KiB",
                larger.join(" or ")
            ),
        )
        .killed("SIGSEGV", 139)
        .because("PT_LOAD".to_string(), format!("p_align {align:#x}"))
        .fix(format!("link it with `-Wl,-z,max-page-size={largest}` if it must run on such kernels"))
    })
}

fn malformed(message: String) -> Draft {
    Draft::error(INTERP_MALFORMED, message).refused(ExecError::Format).fix("link the file again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_of_every_architecture_are_known_by_their_names() {
        for facts in Arch::ALL.map(Arch::facts) {
            for abi in facts.abis {
                assert_eq!(libc_of_name(abi.glibc_loader.as_bytes()), Some(Libc::Glibc), "{}", facts.oci);
                assert_eq!(libc_of_name(abi.musl_loader.as_bytes()), Some(Libc::Musl), "{}", facts.oci);
            }
        }
    }
}
