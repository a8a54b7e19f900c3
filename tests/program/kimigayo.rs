//! The three variants of `images/kimigayo`, with the real BusyBox for both platforms: small, complete, and they run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use tempfile::TempDir;

use crate::engines::{Docker, Store};
use crate::judges::fields;
use crate::layout;
use crate::outside::{build, checkout, command, emulator, missing, must, run};

const VARIANTS: [&str; 3] = ["minimal", "standard", "extended"];

/// BusyBox for both platforms, with the list of its names; `None` if it cannot be downloaded.
pub fn staged() -> Option<PathBuf> {
    static STAGED: Once = Once::new();
    // Kept between runs: the script does not change existing files.
    let staged = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kimigayo-staged");
    if missing(&["apt-get", "dpkg-deb"]) {
        return None;
    }
    STAGED.call_once(|| {
        let answer = run(command(checkout().join("images/kimigayo/stage"), [&staged]).env("TMPDIR", "/tmp"));
        if answer.code != 0 {
            let _ = writeln!(std::io::stderr(), "{}", answer.text());
        }
    });
    if missing(&[staged.join("busybox.links").to_str().unwrap()]) {
        return None;
    }
    Some(staged)
}

/// A copy of the recipes with BusyBox; `None` if it cannot be downloaded.
fn kimigayo() -> Option<TempDir> {
    let staged = staged()?;
    let folder = tempfile::tempdir().unwrap();
    must(command("cp", ["-r"]).arg(checkout().join("images/kimigayo/.")).arg(folder.path()));
    let _ = std::fs::remove_dir_all(folder.path().join("staged"));
    must(command("cp", ["-r"]).arg(&staged).arg(folder.path().join("staged")));
    Some(folder)
}

fn built(folder: &Path, variant: &str, place: &str) -> PathBuf {
    let out = folder.join(place);
    let word = if place.ends_with(".tar") { "oci-archive:" } else { "oci:" };
    build([folder.join(format!("{variant}.toml")).to_str().unwrap(), "-o", &format!("{word}{}", out.display())]);
    out
}

/// Commands for a shell in the container.
const QUESTIONS: &str = "id -un; echo $KIMIGAYO_BUILD_TYPE $KIMIGAYO_ARCH; pwd; stat -c '%a %U %n' /root /tmp /var/tmp \
                         /etc/shadow /bin/busybox; . /etc/os-release; echo $VARIANT_ID; awk 'BEGIN { print 6 * 7 }'; \
                         readlink /var/run";

fn answers(variant: &str, arch: &str) -> String {
    format!(
        "root\n{variant} {arch}\n/root\n700 root /root\n1777 root /tmp\n1777 root /var/tmp\n600 root /etc/shadow\n\
         755 root /bin/busybox\n{variant}\n42\n../run\n"
    )
}

#[test]
fn docker_runs_every_variant_of_kimigayo() {
    let Some(docker) = Docker::start() else { return };
    let Some(folder) = kimigayo() else { return };
    for variant in VARIANTS {
        let archive = built(folder.path(), variant, &format!("{variant}.tar"));
        let loaded = must(docker.docker(&["load", "-q", "-i"]).arg(archive));
        let image = format!("ishinokazuki/kimigayo-os:latest-{variant}");
        assert!(loaded.contains(&image), "{loaded}");
        let said = must(&mut docker.docker(&["run", "--rm", "--network", "none", &image, "sh", "-c", QUESTIONS]));
        assert_eq!(said, answers(variant, "amd64"));
        let format =
            "{{index .Config.Labels \"io.kimigayo.variant\"}} {{index .Config.Labels \"io.kimigayo.architecture\"}}";
        let labels = must(&mut docker.docker(&["image", "inspect", "--format", format, &image]));
        assert_eq!(labels, format!("{variant} amd64\n"));
    }
    // The default command is the shell, and all three tags of the standard variant arrived.
    must(&mut docker.docker(&["run", "--rm", "--network", "none", "ishinokazuki/kimigayo-os:latest"]));
    must(&mut docker.docker(&["image", "inspect", "ishinokazuki/kimigayo-os:0.1.0-standard"]));
}

#[test]
fn podman_runs_kimigayo() {
    let Some(store) = Store::new("podman") else { return };
    let Some(folder) = kimigayo() else { return };
    let archive = built(folder.path(), "standard", "standard.tar");
    must(store.podman(&["load", "-q", "-i"]).arg(archive));
    let image = "docker.io/ishinokazuki/kimigayo-os:latest-standard";
    let host = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!(store.podman_run(&[image, "sh", "-c", QUESTIONS]), answers("standard", host));
}

#[test]
fn kimigayo_for_arm64_runs_under_an_emulator() {
    if missing(&["umoci", "qemu-aarch64-static"]) {
        return;
    }
    let Some(folder) = kimigayo() else { return };
    let layout = folder.path().join("layout");
    let recipe = folder.path().join("standard.toml");
    let place = format!("oci:{}", layout.display());
    build([recipe.to_str().unwrap(), "--platform", "linux/arm64", "--flat-index", "-o", &place]);
    let image = format!("{}:latest", layout.display());
    must(command("umoci", ["unpack", "--rootless", "--image", &image]).arg(folder.path().join("bundle")));
    let busybox = folder.path().join("bundle/rootfs/bin/busybox");
    // The emulator runs only this one program: other programs would be looked up on this machine.
    let says = |words: &[&str]| must(command(emulator("arm64"), [&busybox]).args(words));
    assert_eq!(says(&["sh", "-c", "echo $((6 * 7))"]), "42\n");
    assert_eq!(says(&["awk", "BEGIN { print 6 * 7 }"]), "42\n");
    assert_eq!(says(&["uname", "-m"]), "aarch64\n");
    let machine = must(command("readelf", ["-h"]).arg(&busybox));
    assert!(machine.contains("AArch64"), "{machine}");
}

#[test]
fn every_variant_of_kimigayo_is_small_and_has_every_name_of_busybox_and_no_device() {
    if missing(&["bsdtar"]) {
        return;
    }
    let Some(folder) = kimigayo() else { return };
    let names = std::fs::read_to_string(folder.path().join("staged/busybox.links")).unwrap();
    assert!(names.lines().count() > 250, "{names}");
    for variant in VARIANTS {
        let layout = built(folder.path(), variant, variant);
        for (arch, manifest) in layout::manifests(&layout) {
            let [layer] = &layout::layers(&layout, &manifest)[..] else { panic!("one layer expected: {manifest}") };
            let list = must(command("bsdtar", ["--numeric-owner", "-tvf"]).arg(layer));
            let entries: Vec<&str> = list.lines().collect();
            for name in names.lines() {
                let path = name.trim_start_matches('/');
                let link = entries.iter().find(|line| line.contains(&format!(" {path} -> "))).unwrap_or_else(|| {
                    panic!("{variant} for {arch} has no {name}");
                });
                assert!(link.starts_with('l') && link.ends_with("busybox"), "{link}");
            }
            assert!(!entries.iter().any(|line| line.starts_with(['b', 'c', 'p'])), "{variant} holds devices:\n{list}");
            let size: u64 = entries.iter().map(|line| fields(line, [4]).parse::<u64>().unwrap()).sum();
            assert!(size < 5_000_000, "{variant} for {arch} holds {size} bytes");
        }
    }
}
