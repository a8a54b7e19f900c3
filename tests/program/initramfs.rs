//! Boots `images/rescue` on Debian's kernels; shows that refused archives fail on the same kernels; and reads the archives
//! with GNU cpio, bsdtar, gzip and zstd.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::TempDir;

use crate::determinism::sources;
use crate::kimigayo::staged;
use crate::outside::{SAZARE, checkout, command, missing, must, run};

/// How long a machine may print nothing before it counts as stuck. It boots within five seconds if nothing else runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The directory with the two machines; `None` if they cannot be downloaded.
pub fn machines() -> Option<PathBuf> {
    static FETCHED: Once = Once::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines");
    if missing(&["apt-get", "dpkg-deb"]) {
        return None;
    }
    FETCHED.call_once(|| {
        let answer = run(command(checkout().join("tests/program/machines"), [&folder]).env("TMPDIR", "/tmp"));
        if answer.code != 0 {
            let _ = writeln!(std::io::stderr(), "{}", answer.text());
        }
    });
    if missing(&[folder.join("complete").to_str().unwrap()]) { None } else { Some(folder) }
}

/// Boots an archive, types `input` when `prompt` appears on the console, and returns the whole output of the console.
pub fn boot(machines: &Path, arch: &str, archive: &Path, parameters: &[&str], prompt: &str, input: &str) -> String {
    let mut machine = command(machines.join("boot"), [arch]);
    machine.arg(archive).args(parameters).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut machine = machine.spawn().unwrap();
    let mut keyboard = machine.stdin.take().unwrap();
    let mut console = BufReader::new(machine.stdout.take().unwrap());
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if sender.send(String::from_utf8_lossy(&line).replace('\r', "")).is_err() {
                return;
            }
            line.clear();
        }
    });
    let mut said = String::new();
    // The machine has ended when its console ends; a stuck machine is killed.
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if line.contains(prompt) {
            keyboard.write_all(input.as_bytes()).unwrap();
        }
        said += &line;
    }
    drop(lines);
    let _ = machine.kill();
    machine.wait().unwrap();
    reader.join().unwrap();
    said
}

/// The recipe of the rescue system, with BusyBox where it expects it.
fn rescue() -> Option<TempDir> {
    let staged = staged()?;
    let folder = tempfile::tempdir().unwrap();
    must(command("cp", ["-r"]).arg(checkout().join("images/rescue")).arg(folder.path()));
    fs::create_dir(folder.path().join("kimigayo")).unwrap();
    must(command("cp", ["-r"]).arg(&staged).arg(folder.path().join("kimigayo/staged")));
    Some(folder)
}

fn archives(folder: &Path, end: &str) {
    let place = format!("cpio:{}/{{arch}}{end}", folder.display());
    must(&mut command(SAZARE, ["build", "-q", folder.join("rescue").to_str().unwrap(), "-o", &place]));
}

#[test]
fn the_rescue_system_boots_to_a_shell_on_both_platforms_in_every_form() {
    let (Some(machines), Some(folder)) = (machines(), rescue()) else { return };
    // In two steps, so that the echo of the command does not match.
    let input = "ls /bin | wc -l\nmount\nhead -n 1 /proc/cpuinfo\necho what is typed | tr a-z A-Z\npoweroff -f\n";
    for end in [".cpio.gz", ".cpio.zst", ".cpio"] {
        archives(folder.path(), end);
        for arch in ["amd64", "arm64"] {
            let archive = folder.path().join(format!("{arch}{end}"));
            let said = boot(&machines, arch, &archive, &["quiet"], "poweroff -f ends it", input);
            for answer in ["\n78\n", "devtmpfs on /dev type devtmpfs", "processor\t: 0", "WHAT IS TYPED", "Power down"]
            {
                assert!(said.contains(answer), "{arch}{end}: no {answer:?} in\n{said}");
            }
        }
    }
}

/// A fault of an initramfs, and the code of its finding.
enum Wrong {
    /// `/bin/sh`, which runs `/init`, needs this loader.
    Loader(&'static str, &'static str),
    /// `/init` has CR LF line endings; `/bin/sh` is fine.
    LineEnds,
    /// There is no `/init`.
    Absent,
}

/// A tree with this fault. Its shell is either the program of `images/hello`, or a program whose loader is missing.
fn tree(folder: &Path, arch: &str, wrong: &Wrong) -> PathBuf {
    let tree = folder.join("tree");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    let (shell, init) = (tree.join("bin/sh"), tree.join("init"));
    match wrong {
        Wrong::Loader(_, loader) => {
            fs::write(folder.join("sh.c"), "int main(void) { return 0; }\n").unwrap();
            let linker = format!("-Wl,--dynamic-linker={loader}");
            must(command("musl-gcc", [&linker]).arg("-o").arg(&shell).arg(folder.join("sh.c")));
            if arch == "arm64" {
                // execve(2) fails before it reads the code: the machine number is enough.
                let mut bytes = fs::read(&shell).unwrap();
                bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
                fs::write(&shell, bytes).unwrap();
            }
            fs::write(&init, "#!/bin/sh\n").unwrap();
        }
        Wrong::LineEnds => {
            fs::copy(checkout().join("images/hello").join(arch).join("bin/hello"), &shell).unwrap();
            fs::write(&init, "#!/bin/sh\r\n").unwrap();
        }
        Wrong::Absent => return tree,
    }
    fs::set_permissions(&init, PermissionsExt::from_mode(0o755)).unwrap();
    tree
}

#[test]
fn what_is_refused_as_an_initramfs_fails_on_a_kernel_with_the_words_of_the_refusal() {
    if missing(&["musl-gcc", "cpio"]) {
        return;
    }
    let Some(machines) = machines() else { return };
    let wrong = |arch: &str| match arch {
        "amd64" => Wrong::Loader("interp-missing", "/lib/ld-musl-x86_64.so.1"),
        _ => Wrong::Loader("interp-missing", "/lib/ld-musl-aarch64.so.1"),
    };
    for arch in ["amd64", "arm64"] {
        let android = Wrong::Loader("android-binary", "/system/bin/linker64");
        for wrong in [android, wrong(arch), Wrong::LineEnds, Wrong::Absent] {
            let folder = tempfile::tempdir().unwrap();
            let tree = tree(folder.path(), arch, &wrong);
            let refused = folder.path().join("refused.cpio");
            let place = format!("cpio:{}", refused.display());
            let platform = format!("linux/{arch}");
            let words = ["build", "--format", "json", "--platform", &platform, "-o", &place];
            let answer = run(command(SAZARE, words).arg(&tree));
            assert_eq!(answer.code, 1, "{}", answer.text());
            assert!(!refused.exists());
            let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
            let findings = report["findings"].as_array().unwrap();
            let errors: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
            let [finding] = errors.as_slice() else { panic!("{}", answer.out) };
            let code = match wrong {
                Wrong::Loader(code, _) => code,
                Wrong::LineEnds => "script-crlf",
                Wrong::Absent => "cmd-not-found",
            };
            assert_eq!(finding["code"], code, "{}", answer.out);
            // sazare refuses to make this archive, so GNU cpio makes it.
            let made = folder.path().join("made.cpio");
            let script = "cd \"$1\" && find . | cpio -o -H newc --quiet >\"$2\"";
            must(command("sh", ["-c", script, "sh"]).arg(&tree).arg(&made));
            let said = boot(&machines, arch, &made, &[], "\0", "");
            for words in finding["run-time"].as_str().unwrap().split("; ") {
                let expected = match words {
                    "then the kernel starts /bin/sh instead" => format!("Hello from sazare on linux/{arch}."),
                    words => words.to_string(),
                };
                assert!(said.contains(&expected), "{arch} {code}: {words:?} is not in\n{said}");
            }
            assert!(said.contains("Kernel panic - not syncing: "), "{arch} {code}:\n{said}");
        }
    }
}

#[test]
fn other_programs_read_the_archives() {
    if missing(&["cpio", "bsdtar", "gzip", "zstd"]) {
        return;
    }
    let Some(folder) = rescue() else { return };
    let at = |name: &str| folder.path().join(name);
    for end in [".cpio.gz", ".cpio.zst", ".cpio"] {
        archives(folder.path(), end);
    }
    must(command("gzip", ["-t"]).arg(at("arm64.cpio.gz")));
    must(command("zstd", ["-qt"]).arg(at("arm64.cpio.zst")));
    let plain = fs::read(at("arm64.cpio")).unwrap();
    for (program, file) in [("gzip", "arm64.cpio.gz"), ("zstd", "arm64.cpio.zst")] {
        let unpacked = at("unpacked");
        let script = "\"$1\" -dc \"$2\" >\"$3\"";
        must(command("sh", ["-c", script, "sh", program]).arg(at(file)).arg(&unpacked));
        assert!(fs::read(&unpacked).unwrap() == plain, "{file} holds something else than the plain archive");
    }
    let ours = must(command("bsdtar", ["-tf"]).arg(at("arm64.cpio")));
    let theirs = must(command("sh", ["-c", "cpio -t --quiet <\"$1\"", "sh"]).arg(at("arm64.cpio")));
    assert_eq!(ours, theirs);
    assert!(theirs.lines().count() > 280 && theirs.contains("\nbin/sh\n"), "{theirs}");
    let summary = must(&mut command(SAZARE, ["inspect", "-q", at("arm64.cpio.zst").to_str().unwrap()]));
    let links = theirs.lines().filter(|name| name.contains("bin/") && !name.ends_with("/busybox")).count();
    assert!(summary.contains(&format!(" {links} symlinks, ")), "{links} links by name, but\n{summary}");
}

/// Every file below a directory, one line each: type, mode, owner, date, size or target, device, and contents.
fn listing(root: &Path) -> String {
    let script = r#"cd "$1" && find . -mindepth 1 -printf '%P %y %m %U:%G %T@ %n %l ' \( -type f -printf '%s ' -exec sha256sum {} \; \
                    -o -type c -exec stat -c '%t:%T' {} \; -o -printf '\n' \) | LC_ALL=C sort"#;
    must(command("sh", ["-c", script, "sh"]).arg(root))
}

#[test]
fn cpio_and_bsdtar_extract_the_tree_that_umoci_unpacks_from_the_image() {
    if missing(&["cpio", "bsdtar", "umoci", "root"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    sources(folder.path(), 0, 1);
    let layout = format!("oci:{}", at("layout").display());
    let mut build = command(SAZARE, ["build", "-q", "--flat-index", "--platform", "linux/amd64", "-o", &layout]);
    must(build.arg("-o").arg(at("amd64.cpio")).arg(folder.path()));
    must(command("umoci", ["unpack", "--image"]).arg(format!("{}:latest", at("layout").display())).arg(at("bundle")));
    for name in ["by-cpio", "by-bsdtar"] {
        fs::create_dir(at(name)).unwrap();
    }
    let script = "cd \"$2\" && cpio -idm --quiet <\"$1\"";
    must(command("sh", ["-c", script, "sh"]).arg(at("amd64.cpio")).arg(at("by-cpio")));
    must(command("bsdtar", ["-xpf"]).arg(at("amd64.cpio")).arg("-C").arg(at("by-bsdtar")));
    for name in ["by-cpio", "by-bsdtar"] {
        // Entries for the initramfs only: those of the recipe, and device nodes.
        assert!(listing(&at(name)).contains("\ndev/null c 666 0:0 1767225600.0000000000 1  1:3\n"), "{name}");
        fs::remove_dir_all(at(name).join("dev")).unwrap();
        fs::remove_file(at(name).join("init")).unwrap();
    }
    let expected = listing(&at("bundle/rootfs"));
    assert!(expected.lines().count() > 20 && expected.contains(" 4755 ") && expected.contains(" 12:34 "), "{expected}");
    assert_eq!(listing(&at("by-bsdtar")), expected);
    // GNU cpio sets dates only for files.
    let without_dates = |listing: &str| -> Vec<String> {
        let is_file = |line: &str| line.split(' ').nth(1) == Some("f");
        let words = |line: &str| line.split(' ').enumerate().filter(|(at, _)| *at != 4).map(|(_, word)| word).collect();
        listing.lines().map(|line| if is_file(line) { line.to_string() } else { words(line) }).collect()
    };
    assert_eq!(without_dates(&listing(&at("by-cpio"))), without_dates(&expected));
}

#[test]
fn the_initrd_that_debian_makes_is_read_whole_and_judged_without_an_alarm() {
    if missing(&["apt-get", "dpkg-deb", "root"]) {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-initrd");
    let answer = run(command(checkout().join("tests/program/debian-initrd"), [&folder]).env("TMPDIR", "/tmp"));
    if answer.code != 0 {
        let _ = writeln!(std::io::stderr(), "{}", answer.text());
    }
    if missing(&[folder.join("list").to_str().unwrap()]) {
        return;
    }
    let archive = folder.join("initrd.img");
    let json = must(command(SAZARE, ["inspect", "-q", "--files", "--format", "json"]).arg(&archive));
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    let entries = summary["platforms"][0]["entries"].as_array().unwrap();
    let mut ours: Vec<String> =
        entries.iter().map(|entry| entry["path"].as_str().unwrap().trim_start_matches('/').to_owned()).collect();
    let list = fs::read_to_string(folder.join("list")).unwrap();
    let mut theirs: Vec<String> = list.lines().map(|line| line.trim_start_matches("./").to_owned()).collect();
    for name in &mut theirs {
        if name == "." {
            name.clear();
        }
    }
    ours.sort();
    theirs.sort();
    assert!(theirs.len() > 500, "{list}");
    assert_eq!(ours, theirs);
    let json = must(command(SAZARE, ["verify", "-q", "--platform", "linux/amd64", "--format", "json"]).arg(&archive));
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    // klibc's loader is neither glibc's nor musl's: sazare reports nothing about what it loads.
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!((&finding["severity"], &finding["code"]), (&"note".into(), &"loader-unknown".into()), "{finding}");
    }
}

#[test]
fn a_file_of_4_gib_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for directory in ["dev", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(checkout().join("images/hello/amd64/bin/hello"), root.join("init")).unwrap();
    fs::File::create(root.join("large")).unwrap().set_len(1 << 32).unwrap();
    let archive = folder.path().join("out.cpio");
    let answer = run(command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]).arg(&archive).arg(&root));
    assert_eq!(answer.code, 4);
    let error = "error: an initramfs can store only files below 4 GiB, this one has 4294967296 bytes: /large\n";
    assert!(answer.err.starts_with(error), "{}", answer.err);
    assert!(!archive.exists());
}

#[test]
fn what_an_archive_cannot_hold_is_a_finding_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = r#"
platforms = ["linux/amd64"]
source    = [{ from = "root", modes = "normal" }]
path      = [
  { path = "/dev", type = "directory" },
  { path = "/proc", type = "directory" },
  { path = "/sys", type = "directory" },
  { path = "/init", type = "permissions", capabilities = "cap_net_raw=eip" },
]
"#;
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    fs::copy(checkout().join("images/hello/amd64/bin/hello"), folder.path().join("root/init")).unwrap();
    let build = |flags: &[&str]| {
        let mut build = command(SAZARE, ["build", "-q", "-o"]);
        let answer = run(build.arg(folder.path().join("out.cpio")).args(flags).arg(folder.path()));
        assert_eq!(answer.code, 0, "{}", answer.text());
        answer
    };
    let told = "warning[xattrs-lost] linux/amd64 /init has file capabilities, which an initramfs cannot hold\n";
    assert!(build(&[]).err.starts_with(told), "{}", build(&[]).err);
    let forms = [
        ("json", r#""code": "xattrs-lost""#),
        ("sarif", r#""ruleId": "xattrs-lost""#),
        ("github", "::warning title=xattrs-lost::"),
    ];
    for (form, told) in forms {
        assert_eq!(build(&["--format", form]).out.matches(told).count(), 1, "{form}");
    }
    assert_eq!(build(&["--allow", "xattrs-lost"]).err, "");
}

/// Every form that Linux 6.12 of Debian boots, made by the tools that people use, and the forms that it does not boot.
#[test]
fn what_kernels_unpack_is_read_and_where_they_stop_reading_ends() {
    if missing(&["sh", "gzip", "bzip2", "xz", "lzop", "zstd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for directory in ["root/dev", "root/proc", "root/sys", "early/kernel"] {
        fs::create_dir_all(folder.path().join(directory)).unwrap();
    }
    fs::copy(checkout().join("images/hello/amd64/bin/hello"), folder.path().join("root/init")).unwrap();
    fs::write(folder.path().join("early/kernel/microcode"), "bytes").unwrap();
    for (name, root) in [("main", "root"), ("early", "early")] {
        let output = folder.path().join(format!("{name}.cpio"));
        let build =
            command(SAZARE, ["build", "--platform", "linux/amd64", "--progress", "none", "--allow", "cmd-not-found"]);
        must({ build }.args(["--allow", "mount-point-missing"]).arg(folder.path().join(root)).arg("-o").arg(&output));
    }
    let verified = |line: &str| {
        must(command("sh", ["-e", "-c", &format!("({line}) > x.img")]).current_dir(folder.path()));
        run(command(SAZARE, ["verify", "--platform", "linux/amd64", "x.img"]).current_dir(folder.path()))
    };
    for line in [
        "cat main.cpio",
        "gzip -c main.cpio",
        "bzip2 -c main.cpio",
        "xz --format=lzma -c main.cpio",
        "lzop -c main.cpio",
        "lzop -9 -c main.cpio",
        "xz --check=crc32 --x86 --lzma2=dict=128MiB -c main.cpio",
        "xz --check=none -c main.cpio",
        "head -c 4 /dev/zero; cat main.cpio",
        "head -c 3 /dev/zero; gzip -c main.cpio",
        "head -c 512 /dev/zero; bzip2 -c main.cpio",
        "cat early.cpio; head -c 4 /dev/zero; lzop -c main.cpio",
        "bzip2 -c early.cpio; head -c 1 /dev/zero; xz --format=lzma -c main.cpio",
        "xz --format=lzma -c early.cpio; bzip2 -c main.cpio",
        "xz --check=crc32 -c early.cpio; lzop -c main.cpio",
        "lzop -c early.cpio; head -c 3 /dev/zero; cat early.cpio main.cpio | zstd -qc",
    ] {
        let answer = verified(line);
        assert!(answer.code == 0 && answer.out.contains("1 program, it starts"), "{line}: {}", answer.text());
    }
    for zeros in [1, 2, 3, 5, 6] {
        let answer = verified(&format!("cat early.cpio; head -c {zeros} /dev/zero; zstd -qc main.cpio"));
        assert_eq!(answer.code, 1, "{zeros}: {}", answer.text());
        assert!(answer.err.contains("broken padding") && answer.text().contains("cmd-not-found"), "{}", answer.text());
    }
    for (line, words) in [
        ("xz --check=crc32 --delta --lzma2 -c main.cpio", "xz with the filter delta, which kernels do not support"),
        ("xz -c main.cpio", "xz with the check crc64"),
        (
            "xz --check=crc32 --lzma2=dict=256MiB -c main.cpio",
            "xz with a dictionary of 256 MiB; sazare reads up to 128",
        ),
    ] {
        let answer = verified(line);
        assert!(answer.code == 4 && answer.err.contains(words), "{line}: {}", answer.text());
    }
    let answer = verified("xz --check=crc32 --armthumb --lzma2 -c main.cpio");
    assert!(answer.err.contains("only kernels for 32-bit ARM unpack it"), "{}", answer.text());
}
