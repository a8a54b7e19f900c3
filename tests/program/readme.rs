//! Runs the sessions of README.md and compares each output with the one printed there.
//!
//! A session is a block marked `console`; a line that starts with `$ ` is a command, the lines after it are its output.
//! Commands of engines, cargo and `tests/run` are not run here: `judges.rs` tests them.
//! `SAZARE_RECORD=1 cargo test --test program readme` records the outputs anew.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::outside::{SAZARE, checkout, command, install, missing, must, recording};

/// Commands that other tests run.
const LEFT_OUT: [&str; 7] = [
    "docker",
    "podman",
    "skopeo",
    "cargo",
    "tests/run",
    "images/kimigayo/stage",
    "sazare build images/hello -o docker://",
];

/// A command of a session, and its printed output.
struct Step {
    command: String,
    answer: String,
}

/// A part of the README: plain text, or a session.
enum Piece {
    Text(String),
    Session(Vec<Step>),
}

fn pieces(readme: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = readme;
    while let Some((text, tail)) = rest.split_once("```console\n") {
        let (session, after) = tail.split_once("```\n").expect("a session ends");
        let mut steps: Vec<Step> = Vec::new();
        for line in session.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), answer: String::new() }),
                (None, Some(step)) => step.answer += &format!("{line}\n"),
                (None, None) => panic!("a session starts with a command: {line}"),
            }
        }
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Session(steps));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

/// Runs the steps of a session in one shell; returns the real outputs.
fn answers(steps: &[Step], folder: &Path) -> Vec<String> {
    let mut script = String::from("code=0\n");
    for step in steps {
        if LEFT_OUT.iter().any(|word| step.command.starts_with(word)) {
            script += "echo '<<<'\n";
        } else {
            script += &format!("(exit $code); {{ {}; }} 2>&1; code=$?; echo '<<<'\n", step.command);
        }
    }
    let bin = folder.join("bin").to_str().unwrap().to_owned();
    let out =
        must(command("sh", ["-c", &script]).current_dir(folder).env("PATH", format!("{bin}:/usr/bin:/bin:/usr/sbin")));
    let found: Vec<String> = out.split("<<<\n").map(str::to_owned).collect();
    let left_out = |step: &Step| LEFT_OUT.iter().any(|word| step.command.starts_with(word));
    steps.iter().zip(found).map(|(step, found)| if left_out(step) { step.answer.clone() } else { found }).collect()
}

#[test]
fn the_sessions_in_the_readme_are_real() {
    // Digests and sizes are those of the default compressor.
    if !cfg!(feature = "native") || missing(&["musl-gcc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    // On a terminal, progress is one line that disappears; here it would be lines that stay.
    let script = folder.path().join("script");
    fs::write(&script, format!("#!/bin/sh\nexec '{SAZARE}' --progress none \"$@\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    install(&script, folder.path().join("bin/sazare"));
    symlink(checkout().join("images"), folder.path().join("images")).unwrap();
    let file = checkout().join("README.md");
    let kept = fs::read_to_string(&file).unwrap();
    let mut real = String::new();
    for piece in pieces(&kept) {
        match piece {
            Piece::Text(text) => real += &text,
            Piece::Session(steps) => {
                real += "```console\n";
                for (step, answer) in steps.iter().zip(answers(&steps, folder.path())) {
                    real += &format!("$ {}\n{answer}", step.command);
                }
                real += "```\n";
            }
        }
    }
    if recording() {
        fs::write(&file, &real).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap();
    assert_eq!(real, kept, "README.md does not show the real output");
}

#[test]
fn the_readme_shows_the_recipe_of_hello_as_it_is() {
    let recipe = fs::read_to_string(checkout().join("images/hello/recipe.toml")).unwrap();
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    assert!(readme.contains(&format!("```toml\n{recipe}```\n")), "README.md does not show the recipe of images/hello");
}
