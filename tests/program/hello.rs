//! The programs of `images/hello` match their sources, and run.

use std::fs;

use crate::outside::{checkout, command, missing, must, run, start};

#[test]
fn the_programs_of_hello_are_made_from_their_sources() {
    if missing(&[
        "x86_64-linux-gnu-as",
        "aarch64-linux-gnu-as",
        "x86_64-linux-gnu-objcopy",
        "aarch64-linux-gnu-objcopy",
    ]) {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    must(&mut command(checkout().join("images/hello/source/assemble"), [made.path()]));
    for arch in ["amd64", "arm64"] {
        let file = format!("{arch}/bin/hello");
        let fresh = fs::read(made.path().join(&file)).unwrap();
        let kept = fs::read(checkout().join("images/hello").join(&file)).unwrap();
        assert_eq!(fresh, kept, "images/hello/{file} differs from the output of images/hello/source/assemble");
    }
}

#[test]
fn the_programs_of_hello_say_for_what_they_were_made() {
    if missing(&["qemu-x86_64-static", "qemu-aarch64-static"]) {
        return;
    }
    for arch in ["amd64", "arm64"] {
        let answer = run(&mut start(arch, &checkout().join(format!("images/hello/{arch}/bin/hello"))));
        assert_eq!(
            (answer.code, answer.out.as_str()),
            (
                0,
                format!(
                    "Hello from sazare on linux/{arch}.\n\
                     This image was made without a daemon, without root and without a network.\n"
                )
                .as_str()
            )
        );
    }
}

#[test]
fn the_programs_of_hello_start_on_kernels_with_large_pages_and_have_no_executable_stack() {
    if missing(&["readelf"]) {
        return;
    }
    for (arch, alignment) in [("amd64", "0x1000"), ("arm64", "0x10000")] {
        let file = checkout().join(format!("images/hello/{arch}/bin/hello"));
        let headers = must(command("readelf", ["-lW"]).arg(file));
        let of = |kind: &str| {
            let line = headers.lines().find(|line| line.trim_start().starts_with(kind)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("LOAD")[6..], ["R", "E", alignment], "{arch}");
        assert_eq!(of("GNU_STACK")[6], "RW", "{arch}");
        assert!(!headers.contains("INTERP"), "{arch}");
    }
}
