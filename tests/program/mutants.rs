//! Compares the verifier with this machine's kernel on damaged programs: each header is truncated at each field and changed
//! at each byte, and every such file is started. The verifier must refuse what the kernel refuses, with the same error, and
//! accept what still works.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use sazare::link::{Policy, Purpose, StartVerdict, Subject, Verification, verify};
use sazare::path::ImagePath;
use sazare::platform::{Arch, Platform};
use sazare::report::Severity;
use sazare::tree::{Content, Inode, Kind, Metadata, Mode, Tree};

use crate::outside::{checkout, command, missing, must};

/// Refused although it may work: a file that lacks bytes of its last page, and a program that became a library.
const MAY_WORK: [&str; 2] = ["elf-truncated", "not-a-program"];

/// The result of starting a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The kernel refuses it with this number.
    Refused(i32),
    /// It started and ended with this code.
    Code(i32),
    /// A signal ended it, or it did not end within a second.
    Other,
}

/// Starts a file. Another process writes it, so that no process has it open when it is started.
fn start(file: &Path, bytes: &[u8]) -> End {
    let source = file.with_extension("bytes");
    fs::write(&source, bytes).unwrap();
    must(command("cp", [&source]).arg(file));
    let mut command = Command::new(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear().current_dir("/");
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return End::Refused(error.raw_os_error().unwrap()),
    };
    for _ in 0..1000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().map_or(End::Other, End::Code);
        }
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    End::Other
}

/// An engine's message for an error of execve(2).
fn words(errno: i32) -> &'static str {
    match errno {
        2 => "no such file or directory",
        5 => "input/output error",
        8 => "exec format error",
        13 => "permission denied",
        // An offset of more than 63 bits: reported as past the end of the file.
        22 => "",
        20 => "not a directory",
        36 => "file name too long",
        40 => "too many levels of symbolic links",
        80 => "accessing a corrupted shared library",
        other => panic!("the kernel refuses with {other}"),
    }
}

fn judge(bytes: &[u8], loader: Option<&[u8]>) -> Verification {
    let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
    let file = |bytes: &[u8]| Inode {
        meta: Metadata::new(Mode::from_bits(0o755), 0).into(),
        kind: Kind::File(Content::Bytes(bytes.into())),
    };
    let name = |path: &str| ImagePath::parse(path.as_bytes()).unwrap().file_name().unwrap();
    let root = tree.root();
    tree.insert(root, name("/app"), file(bytes));
    let library = tree.insert_directory(root, name("/lib"), Metadata::new(Mode::DIRECTORY, 0));
    if let Some(loader) = loader {
        tree.insert(library, name("/ld-musl-x86_64.so.1"), file(loader));
    }
    let app = ImagePath::parse(b"/app").unwrap();
    let mut policy = Policy::default();
    policy.programs = vec![app];
    verify(&Subject::new(&tree, &Platform::new(Arch::Amd64), Purpose::Programs(Vec::new()), &policy)).unwrap()
}

/// Tests every mutant of a program whose headers end at `end`. Returns how many the kernel refused.
fn try_mutants(bytes: &[u8], end: usize, loader: Option<&[u8]>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app");
    OpenOptions::new().create(true).truncate(true).write(true).open(&file).unwrap().write_all_at(b"-", 0).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let healthy = start(&file, bytes);
    assert_eq!((healthy, judge(bytes, loader).report.refuses()), (End::Code(0), false));

    let cuts = (0..end).step_by(2).chain([end, bytes.len() - 1]).map(|length| bytes[..length].to_vec());
    let changes = (0..end).flat_map(|at| {
        [0x01, 0xff].map(|bits| {
            let mut changed = bytes.to_vec();
            changed[at] ^= bits;
            changed
        })
    });
    let mut refused = 0;
    for (number, mutant) in cuts.chain(changes).enumerate() {
        let end = start(&file, &mutant);
        let judgement = judge(&mutant, loader);
        let errors: Vec<_> =
            judgement.report.findings.iter().filter(|found| found.severity == Severity::Error).collect();
        match end {
            End::Refused(errno) => {
                refused += 1;
                let told = errors.iter().any(|found| found.run_time.as_deref().unwrap_or("").contains(words(errno)));
                assert!(told, "mutant {number}: the kernel says {:?}, and we say {errors:#?}", words(errno));
                let fails = judgement.programs.iter().all(|program| program.verdict == StartVerdict::Fails);
                assert!(fails, "mutant {number}: {:?}", judgement.programs);
            }
            End::Code(0) => {
                let strict = errors.iter().all(|found| MAY_WORK.contains(&found.code.0));
                assert!(strict, "mutant {number} works, and we say {errors:#?}");
            }
            // It started: what it does then does not matter.
            End::Code(_) | End::Other => {}
        }
    }
    refused
}

/// The end of the program headers, from the file's own header.
fn headers_end(bytes: &[u8]) -> usize {
    64 + 56 * usize::from(u16::from_le_bytes([bytes[56], bytes[57]]))
}

#[test]
fn what_the_kernel_refuses_of_a_damaged_static_program_is_refused() {
    if !cfg!(target_arch = "x86_64") && missing(&["a machine of x86_64"]) {
        return;
    }
    let bytes = fs::read(checkout().join("images/hello/amd64/bin/hello")).unwrap();
    let refused = try_mutants(&bytes, headers_end(&bytes), None);
    assert!(refused >= 100, "{refused}");
}

#[test]
fn what_the_kernel_refuses_of_a_damaged_dynamic_program_is_refused() {
    let loader = "/lib/ld-musl-x86_64.so.1";
    if missing(&["x86_64-linux-gnu-as", "x86_64-linux-gnu-ld", loader]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("s"), ".globl _start\n_start: xor %edi, %edi\n mov $60, %eax\n syscall\n").unwrap();
    must(command("x86_64-linux-gnu-as", ["-o"]).arg(at("o")).arg(at("s")));
    let mut link = command("x86_64-linux-gnu-ld", ["-pie", "--dynamic-linker", loader, "-z", "noseparate-code", "-o"]);
    must(link.arg(at("program")).arg(at("o")));
    let bytes = fs::read(at("program")).unwrap();
    // The path of the loader follows the headers.
    let refused = try_mutants(&bytes, headers_end(&bytes) + loader.len() + 1, Some(&fs::read(loader).unwrap()));
    assert!(refused >= 100, "{refused}");
}
