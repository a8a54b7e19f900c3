//! Four trees that look complete, on real kernels of both architectures: a BusyBox without its loader, a program for
//! Android, a program that mixes two C libraries, and one that is static after all and starts. Each time the engine, the
//! kernel or the loader must print what the report predicts.
//!
//! For amd64 the kernel is this machine's, through docker; for arm64 it is Debian's in QEMU, and the program is `/init`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::conformance::Root;
use crate::engines::Docker;
use crate::initramfs::{boot, machines};
use crate::outside::{Answer, command, install, missing, must, run, sazare};
use crate::refusal::musl_busybox;
use sazare::platform::Arch;

/// The architectures whose programs are started here: in docker and in QEMU.
const ARCHS: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

/// A tree with one program to start, and its dependencies.
struct Case {
    folder: TempDir,
    arch: Arch,
}

impl Case {
    /// Copies files (from, to) into an empty tree; the program is to be at `/init`.
    fn new(arch: Arch, files: &[(PathBuf, &str)]) -> Case {
        let case = Case { folder: tempfile::tempdir().unwrap(), arch };
        for (from, to) in files {
            let to = case.tree().join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            install(from.canonicalize().unwrap(), &to);
        }
        case
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Builds an image for amd64, an initramfs for arm64.
    fn build(&self, arguments: &[&str]) -> Answer {
        let platform = format!("linux/{}", self.arch.facts().oci);
        let mut build = command(crate::outside::SAZARE, ["build", "--platform", &platform, "--format", "json"]);
        build.arg(self.tree());
        if self.arch == Arch::Amd64 {
            build.args(["--tag", "four", "--entrypoint", "/init"]).arg("-o").arg(self.made("made.tar"));
        } else {
            build.arg("-o").arg(self.made("made.cpio"));
        }
        run(build.args(arguments))
    }

    fn made(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The output when the tree, packed without sazare, is started.
    fn start(&self, docker: &Docker, machines: &Path) -> String {
        if self.arch == Arch::Amd64 {
            must(command("tar", ["-C"]).arg(self.tree()).arg("-cf").arg(self.made("by-hand.tar")).arg("."));
            let mut import = docker.docker(&["import", "--change", "ENTRYPOINT [\"/init\"]"]);
            let image = must(import.arg(self.made("by-hand.tar")));
            let answer = run(&mut docker.docker(&["run", "--rm", "--network", "none", image.trim(), "--version"]));
            format!("{}(exit code {})", answer.text(), answer.code)
        } else {
            let script = "cd \"$1\" && find . | cpio -o -H newc --quiet >\"$2\"";
            must(command("sh", ["-c", script, "sh"]).arg(self.tree()).arg(self.made("by-hand.cpio")));
            boot(machines, "arm64", &self.made("by-hand.cpio"), &["--", "--version"], "\0", "")
        }
    }

    /// sazare must refuse the tree, and the predicted message must be the real one.
    fn fails(&self, code: &str, docker: &Docker, machines: &Path) {
        let answer = self.build(&[]);
        assert_eq!(answer.code, 1, "{}", answer.text());
        let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        let findings: Vec<&serde_json::Value> =
            report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code).collect();
        assert!(!findings.is_empty(), "no {code} in\n{}", answer.out);
        let said = self.start(docker, machines);
        for finding in findings {
            for words in finding["run-time"].as_str().unwrap().split("; ") {
                let words = words.trim_end_matches('.');
                // A loader exits with 127 after its message, which the kernel reports in its own way if the program is init.
                let told = words.split(" (exit code ").collect::<Vec<_>>();
                assert!(said.contains(told[0]), "{code}: foretold is {words:?}, and said is\n{said}");
            }
        }
        assert!(!self.made("made.tar").exists() && !self.made("made.cpio").exists());
    }
}

/// Both architectures, with the means to start them; `None` if something is missing.
fn starters() -> Option<(Docker, PathBuf)> {
    if missing(&["cpio"]) {
        return None;
    }
    Some((Docker::start()?, machines()?))
}

#[test]
fn a_busybox_without_its_loader() {
    let Some((docker, machines)) = starters() else { return };
    let Some(busybox) = musl_busybox() else { return };
    for (arch, name) in [(Arch::Amd64, "busybox"), (Arch::Arm64, "busybox-arm64")] {
        Case::new(arch, &[(busybox.join(name), "init")]).fails("interp-missing", &docker, &machines);
    }
}

#[test]
fn a_program_for_android() {
    let Some((docker, machines)) = starters() else { return };
    for arch in ARCHS {
        let Some(root) = Root::find("musl", "bookworm", arch) else { return };
        let program = root.folder.join("opt/android/package/dart-sass/src/dart");
        Case::new(arch, &[(program, "init")]).fails("android-binary", &docker, &machines);
    }
}

#[test]
fn a_program_under_musl_with_a_library_for_glibc() {
    let Some((docker, machines)) = starters() else { return };
    for arch in ARCHS {
        let Some(root) = Root::find("musl", "bookworm", arch) else { return };
        let facts = arch.facts();
        let node = format!("lightningcss.linux-{}-musl.node", if arch == Arch::Amd64 { "x64" } else { "arm64" });
        let libraries = root.folder.join(format!("usr/lib/{}", facts.abi().triplet));
        let loader = root.folder.join(facts.abi().musl_loader.trim_start_matches('/'));
        let files = [
            (root.folder.join("programs").join(&node), "init".to_string()),
            (libraries.join(&node), format!("lib/{node}")),
            (libraries.join("libgcc_s.so.1"), "lib/libgcc_s.so.1".into()),
            (loader.clone(), facts.abi().musl_loader.trim_start_matches('/').into()),
            (loader, format!("lib/libc.musl-{}.so.1", facts.gnu)),
        ];
        let files: Vec<(PathBuf, &str)> = files.iter().map(|(from, to)| (from.clone(), to.as_str())).collect();
        Case::new(arch, &files).fails("libc-mix", &docker, &machines);
    }
}

/// Prints `started` and exits with 0: position independent, with no relocation.
const STARTED: [(&str, &str); 2] = [
    (
        "amd64",
        ".globl _start\n_start: mov $1, %edi\n lea text(%rip), %rsi\n mov $8, %edx\n mov $1, %eax\n syscall\n \
         xor %edi, %edi\n mov $60, %eax\n syscall\ntext: .ascii \"started\\n\"\n",
    ),
    (
        "arm64",
        ".globl _start\n_start: mov x0, #1\n adr x1, text\n mov x2, #8\n mov x8, #64\n svc #0\n mov x0, #0\n \
         mov x8, #93\n svc #0\ntext: .ascii \"started\\n\"\n",
    ),
];

#[test]
fn a_static_program_that_may_be_anywhere_starts() {
    let Some((docker, machines)) = starters() else { return };
    if missing(&["x86_64-linux-gnu-ld", "aarch64-linux-gnu-ld"]) {
        return;
    }
    for (arch, (name, source)) in ARCHS.into_iter().zip(STARTED) {
        assert_eq!(arch.facts().oci, name);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let tool = |tool: &str| format!("{}-linux-gnu-{tool}", arch.facts().gnu);
        fs::write(at("s"), source).unwrap();
        must(command(tool("as"), ["-o"]).arg(at("o")).arg(at("s")));
        must(command(tool("ld"), ["-pie", "--no-dynamic-linker", "-z", "now", "-o"]).arg(at("program")).arg(at("o")));
        let mut programs = vec![(at("program"), "started")];
        // Also a real one, if there is one: on arm64 it is static at a fixed address.
        if arch == Arch::Amd64 {
            let Some(root) = Root::find("musl", "bookworm", arch) else { return };
            programs.push((root.folder.join("opt/biome/package/biome"), "Version: 1.9.4"));
        }
        for (program, greeting) in programs {
            let case = Case::new(arch, &[(program, "init")]);
            let built = case.build(&[]);
            assert_eq!(built.code, 0, "{}", built.text());
            let seen = sazare(["verify", "--format", "json", case.tree().join("init").to_str().unwrap()]);
            assert!(seen.out.contains("\"static-pie\""), "{}", seen.text());
            let said = case.start(&docker, &machines);
            assert!(said.contains(greeting), "{said}");
        }
    }
}
