//! `images/scratch-binary`: one program, a user who is not root, and a capability that was set without root.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::engines::Docker;
use crate::layout;
use crate::outside::{build, checkout, command, missing, must};

/// A program that prints its user and its capabilities.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    printf("uid %d\n", getuid());
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "CapEff:", 7)) fputs(line, stdout);
    return 0;
}
"#;

/// The recipe with its programs: a real one for amd64; that of `hello` for arm64.
fn staged() -> Option<(TempDir, PathBuf)> {
    if missing(&["musl-gcc"]) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("scratch-binary");
    must(command("cp", ["-r"]).arg(checkout().join("images/scratch-binary")).arg(&recipe));
    let _ = fs::remove_dir_all(recipe.join("staged"));
    for arch in ["amd64", "arm64"] {
        fs::create_dir_all(recipe.join("staged").join(arch)).unwrap();
    }
    fs::write(folder.path().join("program.c"), PROGRAM).unwrap();
    let program = recipe.join("staged/amd64/program");
    must(command("musl-gcc", ["-static", "-o"]).arg(program).arg(folder.path().join("program.c")));
    fs::copy(checkout().join("images/hello/arm64/bin/hello"), recipe.join("staged/arm64/program")).unwrap();
    Some((folder, recipe))
}

#[test]
fn docker_starts_the_program_as_its_user_with_its_capability() {
    let (Some(docker), Some((folder, recipe))) = (Docker::start(), staged()) else { return };
    let archive = folder.path().join("program.tar");
    build([&recipe, &PathBuf::from("-o"), &archive]);
    must(docker.docker(&["load", "-q", "-i"]).arg(archive));
    let said = must(&mut docker.docker(&["run", "--rm", "--network", "none", "localhost/program"]));
    // Bit 13 is CAP_NET_RAW, the only one.
    assert_eq!(said, "uid 10000\nCapEff:\t0000000000002000\n");
}

#[test]
fn getcap_reads_the_capability_that_was_written() {
    if missing(&["root", "umoci", "getcap"]) {
        return;
    }
    let Some((folder, recipe)) = staged() else { return };
    let layout = folder.path().join("layout");
    let place = format!("oci:{}", layout.display());
    build([recipe.to_str().unwrap(), "--platform", "linux/amd64", "--flat-index", "-o", &place]);
    let bundle = folder.path().join("bundle");
    must(command("umoci", ["unpack", "--image", &format!("{}:latest", layout.display())]).arg(&bundle));
    let seen = must(&mut command("getcap", [bundle.join("rootfs/usr/bin/program")]));
    assert!(seen.trim_end().ends_with("/usr/bin/program cap_net_raw=eip"), "{seen}");
    let passwd = fs::read_to_string(bundle.join("rootfs/etc/passwd")).unwrap();
    assert!(passwd.lines().any(|line| line.starts_with("app:") && line.contains(":10000:10000:")), "{passwd}");
    assert_eq!(layout::manifests(&layout).len(), 1);
}
