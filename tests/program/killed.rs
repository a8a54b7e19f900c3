//! If a build is killed at any moment, or the disk is full, the previous image stays complete; the next build succeeds and
//! cleans up.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::determinism::noise;
use crate::outside::{SAZARE, build, checkout, command, missing, must, run};

/// How often a build is killed.
const ROUNDS: u64 = 200;

/// A recipe whose layer takes long enough to kill the build.
pub fn slow(folder: &Path, bytes: usize) {
    let recipe = "name = \"localhost/slow\"\ntags = [\"slow\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                  [[source]]\nfrom = \"{arch}\"\n[config]\nentrypoint = [\"/bin/hello\"]\n";
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    for arch in ["amd64", "arm64"] {
        must(command("cp", ["-r"]).arg(checkout().join("images/hello").join(arch)).arg(folder.join(arch)));
        // Different in the two, and hard to compress.
        let text = noise(if arch == "amd64" { bytes } else { bytes - 1 });
        fs::write(folder.join(arch).join("large"), text).unwrap();
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> BTreeSet<String> {
    must(command("sh", ["-c", "cd \"$1\" && find . -type f", "sh"]).arg(folder)).lines().map(str::to_owned).collect()
}

fn skopeo_copies(layout: &Path, tag: &str, into: &Path) {
    let from = format!("oci:{}:{tag}", layout.display());
    must(command("skopeo", ["copy", "-q", "--all", &from]).arg(format!("dir:{}", into.display())));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a build takes decides when to kill it")]
fn two_hundred_kills_leave_the_old_image_whole_and_the_next_build_cleans_up() {
    if missing(&["skopeo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (recipe, layout) = (folder.path().join("slow"), folder.path().join("layout"));
    slow(&recipe, 2 << 20);
    let place = format!("oci:{}", layout.display());
    let hello = checkout().join("images/hello");
    build([hello.to_str().unwrap(), "-o", &place]);
    let old = files(&layout);
    let pristine = folder.path().join("pristine");
    must(command("cp", ["-r"]).arg(&layout).arg(&pristine));

    let started = std::time::Instant::now();
    let digest = build([recipe.to_str().unwrap(), "-o", &place]);
    let mut window = started.elapsed() * 11 / 10;
    let expected = files(&layout);

    let mut killed = 0;
    for round in 0..ROUNDS {
        // Moments from the start to a little after the end, evenly distributed, in mixed order.
        let moment = window * u32::try_from(round * 73 % ROUNDS).unwrap() / u32::try_from(ROUNDS).unwrap();
        // There must be something to write: remove the tag and its blobs again.
        fs::remove_dir_all(&layout).unwrap();
        must(command("cp", ["-r"]).arg(&pristine).arg(&layout));
        let mut child = command(SAZARE, ["build"])
            .arg(&recipe)
            .args(["-o", &place])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        // The duration of a build depends on the load of the machine: adapt to it.
        if child.wait().unwrap().success() {
            window = window * 9 / 10;
        } else {
            (killed, window) = (killed + 1, window * 21 / 20);
        }
        assert!(files(&layout).is_superset(&old), "round {round}: a file of the old image is gone");
        skopeo_copies(&layout, "latest", &folder.path().join("copy"));
        if round % 10 == 0 {
            assert_eq!(build([recipe.to_str().unwrap(), "-o", &place]), digest, "round {round}");
            assert_eq!(files(&layout), expected, "round {round}: debris");
            skopeo_copies(&layout, "slow", &folder.path().join("copy"));
            fs::remove_dir_all(folder.path().join("copy")).unwrap();
        }
    }
    assert!(killed > 100, "only {killed} of {ROUNDS} builds were still at work when they were killed");
}

#[test]
fn a_full_disk_is_told_by_name_and_leaves_the_old_image_whole() {
    if missing(&["root", "unshare", "skopeo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    slow(&folder.path().join("slow"), 8 << 20);
    fs::create_dir(folder.path().join("disk")).unwrap();
    // The disk exists only for these commands: it is mounted in a separate mount namespace.
    let script = r#"
        set -eu
        mount -t tmpfs -o size=2M none "$DIR/disk"
        "$SAZARE" build "$HELLO" -o "oci:$DIR/disk/layout" -o "$DIR/disk/hello.tar"
        (cd "$DIR/disk"; find . -type f -exec sha256sum {} + | sort) > "$DIR/before"
        for place in "oci:$DIR/disk/layout" "$DIR/disk/hello.tar"; do
            code=0
            "$SAZARE" build --progress none "$DIR/slow" -o "$place" 2> "$DIR/said" || code=$?
            echo "exit $code"
            sed "s|$DIR|{dir}|g" "$DIR/said"
            (cd "$DIR/disk"; find . -type f -exec sha256sum {} + | sort) | diff "$DIR/before" -
            skopeo copy -q --all "oci:$DIR/disk/layout:latest" "dir:$DIR/copy"
        done
    "#;
    let mut shell = command("unshare", ["--mount", "sh", "-c", script]);
    shell.env("DIR", folder.path()).env("SAZARE", SAZARE).env("HELLO", checkout().join("images/hello"));
    let answer = run(&mut shell);
    assert_eq!(answer.code, 0, "{}", answer.text());
    assert_eq!(answer.out.matches("exit 5\n").count(), 2, "{}", answer.out);
    assert_eq!(answer.out.matches("No space left on device").count(), 2, "{}", answer.out);
    assert_eq!(answer.out.matches("{dir}/disk/").count(), 2, "{}", answer.out);
}
