//! One function for each kind of file that sazare reads from an untrusted tree.
//!
//! Each must return for every input, with any result; further conditions are asserted here. The fuzz targets in `fuzz/` call
//! them with random bytes, `tests/hostile.rs` with the kept inputs.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sazare::codec::Scratch;
use sazare::codec::cpio::read_cpio;
use sazare::elf::{ElfFacts, Pages, Symbols, Versions};
use sazare::link::{Policy, Purpose, StartVerdict, Subject, Verification, describe, verify};
use sazare::oci::Settings;
use sazare::path::ImagePath;
use sazare::platform::{Arch, ByteOrder, Class, Platform};
use sazare::progress::Silent;
use sazare::report::{Finding, Severity};
use sazare::tree::{Content, Inode, Kind, Metadata, Mode, Tree};

// Forged by `src/elf/forge.rs`, as are all seeds of ELF files.
const PROGRAM: &[u8] = include_bytes!("elf/program");
const MUSL_PROGRAM: &[u8] = include_bytes!("elf/musl-program");
const MUSL_LOADER: &[u8] = include_bytes!("elf/musl-loader");
const GLIBC_PROGRAM: &[u8] = include_bytes!("elf/glibc-program");
const GLIBC_LOADER: &[u8] = include_bytes!("elf/glibc-loader");
const LIBRARY: &[u8] = include_bytes!("elf/library");
const OTHER_LOADER: &[u8] = include_bytes!("elf/other-loader");

/// An ELF file: as a program, a loader and a library.
pub fn elf(bytes: &[u8]) {
    let content = Content::Bytes(bytes.into());
    let facts = ElfFacts::read(&content).unwrap();
    if let Some(facts) = &facts {
        let pages = Pages::open(&content).unwrap();
        Versions::read(&pages, facts).unwrap();
        Symbols::read(&pages, facts).unwrap();
    }
    let files = [
        ("/bin/app", bytes),
        ("/bin/musl", MUSL_PROGRAM),
        ("/bin/glibc", GLIBC_PROGRAM),
        ("/bin/other", OTHER_LOADER),
        ("/lib/ld-musl-x86_64.so.1", MUSL_LOADER),
        ("/lib64/ld-linux-x86-64.so.2", GLIBC_LOADER),
        ("/lib/liba.so", LIBRARY),
        ("/lib/libx.so", bytes),
        ("/lib/other.so", bytes),
    ];
    let tree = tree(&files);
    // For another architecture it is foreign, and nothing more is reported about it.
    let arch = facts.and_then(|facts| facts.arch).unwrap_or(Arch::Amd64);
    let platform = Platform::new(arch);
    let judgement = judge(&tree, &platform, "/bin/app");
    let app = judgement.programs.iter().find(|program| program.path == "/bin/app");
    let refused = |found: &Finding| found.subject.as_str() == "/bin/app" && found.severity == Severity::Error;
    if !judgement.report.findings.iter().any(refused) {
        assert!(bytes.starts_with(b"#!") || is_acceptable(bytes, arch), "a kernel refuses what is not refused here");
    }
    if app.is_some_and(|app| matches!(app.verdict, StartVerdict::Starts | StartVerdict::MayFail)) {
        assert!(is_acceptable(bytes, arch), "a kernel refuses what is said to start");
    }
    describe(&tree, &platform, &path("/bin/app")).unwrap();
}

/// `/etc/ld.so.cache`.
pub fn ld_cache(bytes: &[u8]) {
    let tree = tree(&[
        ("/bin/glibc", GLIBC_PROGRAM),
        ("/lib64/ld-linux-x86-64.so.2", GLIBC_LOADER),
        ("/lib/liba.so", LIBRARY),
        ("/opt/libx.so", LIBRARY),
        ("/etc/ld.so.cache", bytes),
    ]);
    judge(&tree, &Platform::new(Arch::Amd64), "/bin/glibc");
}

/// The file that lists the library directories of musl's loader.
pub fn musl_path(bytes: &[u8]) {
    let tree = tree(&[
        ("/bin/musl", MUSL_PROGRAM),
        ("/lib/ld-musl-x86_64.so.1", MUSL_LOADER),
        ("/lib/liba.so", LIBRARY),
        ("/opt/libx.so", LIBRARY),
        ("/etc/ld-musl-x86_64.path", bytes),
    ]);
    judge(&tree, &Platform::new(Arch::Amd64), "/bin/musl");
}

/// The first line of a script.
pub fn script(bytes: &[u8]) {
    let tree = tree(&[("/bin/script", bytes), ("/bin/env", PROGRAM), ("/bin/sh", PROGRAM)]);
    let platform = Platform::new(Arch::Amd64);
    let judgement = judge(&tree, &platform, "/bin/script");
    let refused = judgement.report.findings.iter().any(|found| found.severity == Severity::Error);
    assert!(refused || bytes.starts_with(b"#!") || is_acceptable(bytes, Arch::Amd64), "a kernel refuses it");
    describe(&tree, &platform, &path("/bin/script")).unwrap();
}

/// An initramfs, in every supported compression.
pub fn cpio(bytes: &[u8]) {
    // One file for each thread, so that thousands of runs need no cleanup.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("hostile-{}-{:?}.cpio", std::process::id(), std::thread::current().id());
    let file = folder.join(name);
    let open = OpenOptions::new().create(true).truncate(true).write(true).open(&file).unwrap();
    open.write_all_at(bytes, 0).unwrap();
    let read = read_cpio(&file, &Scratch::new(&folder), &Silent);
    fs::remove_file(&file).unwrap();
    if let Ok(cpio) = read {
        for entry in cpio.tree.walk() {
            if let Kind::File(content) = &entry.inode.kind {
                assert_eq!(content.head(64).unwrap().len() as u64, content.size().min(64));
            }
        }
    }
}

/// What every kernel requires of a program, from the ELF header and the program headers alone.
fn is_acceptable(bytes: &[u8], arch: Arch) -> bool {
    let facts = arch.facts();
    let number = |at: usize, size: usize| {
        let bytes = bytes.get(at..at.checked_add(size)?)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(match facts.byte_order {
            ByteOrder::Little => bytes.iter().rev().fold(0, join),
            ByteOrder::Big => bytes.iter().fold(0, join),
        })
    };
    // Where the program headers' place and size stand; where in one of them offset, size in the file and in memory do.
    let (table, sizes, word, fields) = match facts.class {
        Class::Elf32 => (28, 42, 4, [4, 16, 20]),
        Class::Elf64 => (32, 54, 8, [8, 32, 40]),
    };
    let own_size = u64::from(facts.class.program_header_size());
    let check = || {
        let (kind, machine) = (number(16, 2)?, u16::try_from(number(18, 2)?).ok()?);
        let (table, size, count) = (number(table, word)?, number(sizes, 2)?, number(sizes + 2, 2)?);
        let header = bytes.starts_with(b"\x7fELF")
            && (2..4).contains(&kind)
            && size == own_size
            && (1..=65_536 / own_size).contains(&count);
        let mut loads = 0;
        for index in 0..count {
            let at = usize::try_from(table.checked_add(index * own_size)?).ok()?;
            number(at, size as usize)?;
            if number(at, 4)? == 1 {
                loads += 1;
                let [offset, in_file, in_memory] = fields.map(|field| number(at + field, word));
                let (offset, in_file, in_memory) = (offset?, in_file?, in_memory?);
                if in_file > in_memory || (in_file > 0 && offset.checked_add(in_file)? > bytes.len() as u64) {
                    return None;
                }
            }
        }
        Some(header && facts.has_machine(machine) && loads > 0)
    };
    check().unwrap_or(false)
}

fn judge(tree: &Tree, platform: &Platform, entrypoint: &str) -> Verification {
    let (mut settings, policy) = (Settings::default(), Policy::default());
    settings.entrypoint = vec![entrypoint.into()];
    let mut subject = Subject::new(tree, platform, Purpose::Container, &policy);
    subject.settings = Some(&settings);
    verify(&subject).unwrap()
}

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
    for (name, bytes) in files {
        let name = path(name);
        let mut destination = tree.destination(&name.parent().unwrap()).unwrap();
        for missing in destination.missing {
            let meta = Metadata::new(Mode::DIRECTORY, 0);
            destination.directory = tree.insert_directory(destination.directory, missing, meta);
        }
        let kind = Kind::File(Content::Bytes((*bytes).into()));
        let meta = Metadata::new(Mode::from_bits(0o755), 0);
        tree.insert(destination.directory, name.file_name().unwrap(), Inode { meta: meta.into(), kind });
    }
    tree
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}
