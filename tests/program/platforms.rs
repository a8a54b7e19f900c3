//! The platform need not be named where all programs of a root are for one.

use std::fs;
use std::path::Path;

use sazare::platform::Platform;

use crate::outside::{checkout, sazare};

/// A root with the programs of the example for these architectures.
fn root(archs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    for arch in archs {
        let from = checkout().join(format!("images/hello/{arch}/bin/hello"));
        fs::copy(from, folder.path().join("bin").join(arch)).unwrap();
    }
    folder
}

fn place(folder: &Path) -> String {
    format!("rootfs:{}", folder.display())
}

#[test]
fn the_programs_of_a_root_say_its_platform() {
    for arch in ["amd64", "arm64"] {
        let root = root(&[arch]);
        let (platform, place) = (format!("linux/{arch}"), place(root.path()));
        let said = format!("{platform}, as its programs say");
        let verified = sazare(["verify", &place]);
        assert_eq!(verified.code, 0, "{}", verified.text());
        assert!(
            verified.text().contains(&said) && verified.text().contains("1 program, it starts"),
            "{}",
            verified.text()
        );
        let seen = sazare(["inspect", &place]);
        assert!(seen.out.contains(&said), "{}", seen.text());
        let seen = sazare(["inspect", "--format", "json", &place]);
        assert!(seen.out.contains(&format!("\"platform\": \"{platform}\"")), "{}", seen.out);
        let layout = tempfile::tempdir().unwrap();
        let output = format!("oci:{}", layout.path().join("x").display());
        let entry = format!("/bin/{arch}");
        let built = sazare(["build", root.path().to_str().unwrap(), "--entrypoint", &entry, "-t", "x", "-o", &output]);
        assert!(built.code == 0 && built.text().contains(&said), "{}", built.text());
        let seen = sazare(["inspect", &output]);
        assert!(seen.out.contains(&format!("\n{platform}\n")), "{}", seen.out);
    }
}

#[test]
fn programs_that_disagree_or_do_not_exist_say_none() {
    let (both, none) = (root(&["amd64", "arm64"]), root(&[]));
    let output = |folder: &Path| format!("oci:{}", folder.join("out").display());
    for (root, words) in [
        (&both, "the programs are for several platforms: /bin/amd64 for linux/amd64, /bin/arm64 for linux/arm64"),
        (&none, "no program says which platform this is for"),
    ] {
        let folder = root.path().to_str().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let place = place(root.path());
        for arguments in [
            vec!["verify", &place],
            vec!["try", &place, "--", "/bin/amd64"],
            vec!["build", folder, "-t", "x", "-o", &output(elsewhere.path())],
        ] {
            let answer = sazare(&arguments);
            assert_eq!(answer.code, 2, "{arguments:?}: {}", answer.text());
            assert!(answer.text().contains(words) && answer.text().contains("--platform"), "{}", answer.text());
        }
        let seen = sazare(["inspect", &place]);
        assert!(seen.code == 0 && !seen.out.contains("linux/"), "{}", seen.text());
    }
}

#[test]
fn shells_offer_every_platform_that_is_verified() {
    for shell in ["bash", "zsh", "fish"] {
        let answer = sazare(["generate", "completions", shell]);
        for platform in Platform::verified() {
            assert!(answer.out.contains(&platform.to_string()), "{shell}: {platform}");
        }
    }
}

/// As containerd's `platforms.Only` orders them.
#[test]
fn the_nearest_variant_of_an_image_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let output = format!("oci:{}", folder.path().join("out").display());
    let source = folder.path().join("root");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "text").unwrap();
    let source = source.to_str().unwrap();
    let variants = ["--platform", "linux/arm/v5", "--platform", "linux/arm/v6", "--platform", "linux/arm64/v8"];
    let built = sazare(
        [
            &["build", source, "-t", "x", "--cmd", "/file", "--allow", "cmd-not-executable", "-o", &output],
            &variants[..],
        ]
        .concat(),
    );
    assert_eq!(built.code, 0, "{}", built.text());
    for (wanted, taken) in [
        ("linux/arm", Some("linux/arm/v6")),
        ("linux/arm/v7", Some("linux/arm/v6")),
        ("linux/arm/v5", Some("linux/arm/v5")),
        ("linux/arm64", Some("linux/arm64/v8")),
        ("linux/amd64", None),
    ] {
        let seen = sazare(["inspect", "--platform", wanted, &output]);
        match taken {
            Some(taken) => assert!(
                seen.out.contains(&format!("\n{taken}\n")) && seen.out.matches("\nlinux/").count() == 1,
                "{wanted}: {}",
                seen.text()
            ),
            None => assert_eq!(seen.code, 4, "{wanted}: {}", seen.text()),
        }
    }
}

#[test]
fn images_for_any_platform_of_oci_are_built_and_inspected() {
    let root = root(&["amd64"]);
    for platform in ["linux/mips", "freebsd/arm64", "windows/amd64", "linux/arm/v5"] {
        let elsewhere = tempfile::tempdir().unwrap();
        let output = elsewhere.path().join("x.tar");
        let output = output.to_str().unwrap();
        let folder = root.path().to_str().unwrap();
        let built =
            sazare(["build", folder, "--platform", platform, "--entrypoint", "/bin/amd64", "-t", "x", "-o", output]);
        if platform == "linux/arm/v5" {
            assert!(built.code == 1 && built.text().contains("wrong-arch"), "{}", built.text());
            continue;
        }
        assert!(built.code == 0 && built.text().contains("note[not-verified]"), "{}", built.text());
        let seen = sazare(["inspect", output]);
        assert!(seen.code == 0 && seen.out.contains(&format!("\n{platform}\n")), "{}", seen.text());
        let verified = sazare(["verify", output]);
        assert!(verified.code == 0 && verified.text().contains("not-verified"), "{}", verified.text());
    }
}
