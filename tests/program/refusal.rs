//! The main purpose of sazare: an image that looks complete, that every engine loads, and that cannot start. First the test
//! shows that it really cannot start; then that `sazare build` refuses it and writes nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::engines::{Docker, Store};
use crate::outside::{Answer, checkout, command, emulator, missing, must, run, sazare};

/// The C source of a program that replaces BusyBox: it only has to be dynamically linked.
const PROGRAM: &str = "#include <stdio.h>\nint main(void) { puts(\"started\"); return 0; }\n";

/// The same for arm64, for which there is no C compiler: it exits with 0.
const PROGRAM_ARM64: &str = ".globl _start\n_start: mov x0, #0\n mov x8, #94\n svc #0\n";

const RECIPE: &str = r#"
name      = "localhost/broken"
tags      = ["latest"]
platforms = ["linux/amd64", "linux/arm64"]

[[source]]
from = "{arch}"

[config]
cmd = ["/bin/sh"]
"#;

/// A recipe whose roots contain a dynamic musl program with 300 names, for both platforms, and no loader.
fn broken(folder: &Path) {
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    for arch in ["amd64", "arm64"] {
        let bin = folder.join(arch).join("bin");
        fs::create_dir_all(&bin).unwrap();
        symlink("busybox", bin.join("sh")).unwrap();
        for name in 1..300 {
            symlink("busybox", bin.join(format!("applet-{name}"))).unwrap();
        }
    }
    let work = |name: &str| folder.join(name);
    fs::write(work("program.c"), PROGRAM).unwrap();
    must(command("musl-gcc", ["-o"]).arg(work("amd64/bin/busybox")).arg(work("program.c")));
    fs::write(work("program.s"), PROGRAM_ARM64).unwrap();
    must(command("aarch64-linux-gnu-as", ["-o"]).arg(work("program.o")).arg(work("program.s")));
    let mut link = command("aarch64-linux-gnu-ld", ["-pie", "--dynamic-linker", "/lib/ld-musl-aarch64.so.1", "-o"]);
    must(link.arg(work("arm64/bin/busybox")).arg(work("program.o")));
}

fn tools_are_missing() -> bool {
    missing(&["musl-gcc", "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"])
}

fn refused(answer: &Answer) {
    assert_eq!(answer.code, 1, "{}", answer.text());
    for (platform, loader) in
        [("linux/amd64", "/lib/ld-musl-x86_64.so.1"), ("linux/arm64", "/lib/ld-musl-aarch64.so.1")]
    {
        let first =
            format!("error[interp-missing] {platform} /bin/busybox needs {loader}, which the image does not contain");
        assert_eq!(answer.text().matches(&first).count(), 1, "{first}\n{}", answer.text());
    }
    // 300 names, one finding for each platform.
    assert_eq!(answer.text().matches("error[").count(), 2, "{}", answer.text());
    assert_eq!(answer.text().matches("300 links point at it").count(), 2, "{}", answer.text());
    assert!(answer.text().contains("no such file or directory"), "{}", answer.text());
    assert!(answer.text().contains("fix: link it statically"), "{}", answer.text());
}

#[test]
fn a_busybox_without_its_loader_fails_in_docker_and_is_refused_by_build() {
    if tools_are_missing() {
        return;
    }
    let Some(docker) = Docker::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    broken(folder.path());
    must(
        command("tar", ["-C"])
            .arg(folder.path().join("amd64"))
            .args(["-cf"])
            .arg(folder.path().join("root.tar"))
            .arg("."),
    );
    must(docker.docker(&["import", "--change", "CMD [\"/bin/sh\"]"]).arg(folder.path().join("root.tar")).arg("broken"));
    let ran = run(&mut docker.docker(&["run", "--rm", "--network", "none", "broken"]));
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("no such file or directory"), "{}", ran.text());
    assert!(folder.path().join("amd64/bin/busybox").exists(), "the file that is said to be missing is there");

    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    refused(&sazare([Path::new("build"), folder.path(), Path::new("-o"), &out.join("broken.tar")]));
    assert_eq!(must(&mut command("ls", [Path::new("-A"), &out])), "", "something was written");

    // With its loader, the same image is accepted, and starts.
    let lib = folder.path().join("amd64/lib");
    fs::create_dir(&lib).unwrap();
    fs::copy("/lib/ld-musl-x86_64.so.1", lib.join("ld-musl-x86_64.so.1")).unwrap();
    let archive = out.join("whole.tar");
    let build = ["build".as_ref(), folder.path().as_os_str(), "--platform".as_ref(), "linux/amd64".as_ref()];
    let built = sazare(build.into_iter().chain(["-o".as_ref(), archive.as_os_str()]));
    assert_eq!(built.code, 0, "{}", built.text());
    must(docker.docker(&["load", "-q", "-i"]).arg(archive));
    assert_eq!(must(&mut docker.docker(&["run", "--rm", "--network", "none", "localhost/broken"])), "started\n");
}

#[test]
fn podman_says_the_same_about_a_missing_loader() {
    if tools_are_missing() {
        return;
    }
    let Some(store) = Store::new("podman") else { return };
    let folder = tempfile::tempdir().unwrap();
    broken(folder.path());
    must(
        command("tar", ["-C"])
            .arg(folder.path().join("amd64"))
            .args(["-cf"])
            .arg(folder.path().join("root.tar"))
            .arg("."),
    );
    must(store.podman(&["import", "-q"]).arg(folder.path().join("root.tar")).arg("localhost/broken"));
    let mut podman = store.podman(&["run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024"]);
    let ran = run(podman.args(["--ulimit", "nproc=1024:1024", "localhost/broken", "/bin/sh"]));
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("no such file or directory"), "{}", ran.text());
}

#[test]
fn the_emulator_cannot_start_the_arm64_one_either_and_the_refusal_names_both_platforms() {
    if tools_are_missing() || missing(&["qemu-aarch64-static"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    broken(folder.path());
    let ran = run(&mut command(emulator("arm64"), [folder.path().join("arm64/bin/busybox")]));
    assert_eq!((ran.code, ran.text().contains("/lib/ld-musl-aarch64.so.1")), (255, true), "{}", ran.text());
    let out = folder.path().join("layout");
    refused(&sazare([
        Path::new("build"),
        folder.path(),
        Path::new("-o"),
        Path::new(&format!("oci:{}", out.display())),
    ]));
    assert!(!out.exists(), "something was written");
}

/// BusyBox for both platforms, dynamically linked against musl; `None` if it cannot be built. Kept between runs.
pub fn musl_busybox() -> Option<PathBuf> {
    static BUILT: Once = Once::new();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("musl-busybox");
    let tools =
        ["apt-get", "make", "bzip2", "xz", "gcc", "musl-gcc", "/usr/include/linux/fs.h", "aarch64-linux-gnu-gcc"];
    if missing(&tools) || (!cfg!(target_arch = "x86_64") && missing(&["a machine of x86_64"])) {
        return None;
    }
    BUILT.call_once(|| {
        let built = run(&mut command(checkout().join("tests/program/musl-busybox"), [&kept]));
        if built.code != 0 {
            let _ = writeln!(std::io::stderr(), "{}", built.text());
        }
    });
    (!missing(&[kept.join("busybox.links").to_str().unwrap()])).then_some(kept)
}

#[test]
fn the_real_busybox_with_all_of_its_names_fails_in_docker_and_is_refused_until_its_loader_is_there() {
    let Some(docker) = Docker::start() else { return };
    let Some(busybox) = musl_busybox() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(busybox.join("busybox"), root.join("bin/busybox")).unwrap();
    let names = fs::read_to_string(busybox.join("busybox.links")).unwrap();
    fs::write(folder.path().join("busybox.links"), &names).unwrap();
    let recipe = "name = \"localhost/real\"\ntags = [\"latest\"]\nplatforms = [\"linux/amd64\"]\n\n[[source]]\nfrom = \"root\"\n\n\
                  [[links]]\ntarget = \"/bin/busybox\"\nnames-from = \"busybox.links\"\n\n[config]\ncmd = [\"/bin/sh\"]\n";
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let archive = folder.path().join("real.tar");
    let refused = sazare([Path::new("build"), folder.path(), Path::new("-o"), &archive]);
    assert_eq!(refused.code, 1, "{}", refused.text());
    let first = "error[interp-missing] linux/amd64 /bin/busybox needs /lib/ld-musl-x86_64.so.1, which the image does not contain";
    assert_eq!(refused.text().matches(first).count(), 1, "{}", refused.text());
    assert_eq!(refused.text().matches("error[").count(), 1, "{}", refused.text());
    let count = names.lines().count();
    assert!(refused.text().contains(&format!("{count} links point at it")), "{count} links\n{}", refused.text());
    assert!(!archive.exists());

    // With docker alone, the same tree becomes an image that looks fine and cannot start.
    let by_hand = folder.path().join("by-hand");
    must(command("cp", ["-r"]).arg(&root).arg(&by_hand));
    for name in names.lines() {
        let link = by_hand.join(name.trim_start_matches('/'));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("/bin/busybox", link).unwrap();
    }
    must(command("tar", ["-C"]).arg(&by_hand).args(["-cf"]).arg(folder.path().join("root.tar")).arg("."));
    must(
        docker.docker(&["import", "--change", "CMD [\"/bin/sh\"]"]).arg(folder.path().join("root.tar")).arg("by-hand"),
    );
    let ran = run(&mut docker.docker(&["run", "--rm", "--network", "none", "by-hand"]));
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("no such file or directory"), "{}", ran.text());

    // Apply the fix: add the loader, which is also musl's libc.
    fs::create_dir(root.join("lib")).unwrap();
    fs::copy("/lib/ld-musl-x86_64.so.1", root.join("lib/ld-musl-x86_64.so.1")).unwrap();
    let built = sazare([Path::new("build"), folder.path(), Path::new("-o"), &archive]);
    assert_eq!(built.code, 0, "{}", built.text());
    must(docker.docker(&["load", "-q", "-i"]).arg(archive));
    let said = must(&mut docker.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "localhost/real",
        "sh",
        "-c",
        "echo $((6*7)) | tr 4 5",
    ]));
    assert_eq!(said, "52\n");
}
