//! Words that take two readings do not come back into texts for users: messages, `--help`, README and docs.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases that are not plain, each surrounded by what ends a word.
const PHRASES: [&str; 12] = [
    "told", "is no", "are no", "was no", "gather", "gathers", "judge", "judged", "judges", "foretold", "whoever",
    "without,",
];

/// Phrases in which one of them is plain English.
const ALLOWED: [&str; 5] = ["there is no", "there are no", "is no longer", "are no longer", "program/judges.rs"];

#[expect(clippy::disallowed_methods, reason = "the order of the file system does not matter to the result")]
fn files(folder: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, into);
        } else if path.to_str().unwrap().ends_with(ending) {
            into.push(path);
        }
    }
}

/// The lines of a source file that have a string or are part of `--help`, up to its tests.
fn texts(code: &str, is_help: bool) -> String {
    let lines = code.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let is_text = |line: &&str| match line.trim().starts_with("//") {
        true => is_help && line.trim().starts_with("///"),
        false => line.contains('"') || line.trim_end().ends_with('\\'),
    };
    lines.filter(is_text).collect::<Vec<_>>().join("\n")
}

fn phrases_in(text: &str) -> Vec<&'static str> {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    for allowed in ALLOWED {
        text = text.replace(allowed, "");
    }
    let ends_word = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
    let is_word = |at: usize, phrase: &str| {
        ends_word(text[..at].chars().next_back())
            && (phrase.ends_with(',') || ends_word(text[at + phrase.len()..].chars().next()))
    };
    PHRASES.into_iter().filter(|phrase| text.match_indices(phrase).any(|(at, _)| is_word(at, phrase))).collect()
}

#[test]
fn texts_for_users_are_plain() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut code, mut pages) = (Vec::new(), Vec::new());
    files(&root.join("src"), ".rs", &mut code);
    files(&root.join("docs"), ".md", &mut pages);
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)));
    let code = code.iter().filter(|path| !path.starts_with(root.join("src/link/rules")));
    let texts_of_code = code.map(|path| {
        (
            path,
            texts(&fs::read_to_string(path).unwrap(), path.ends_with("cli/args.rs") || path.ends_with("cli/flags.rs")),
        )
    });
    let all = texts_of_code.chain(pages.iter().map(|path| (path, fs::read_to_string(path).unwrap())));
    let found: Vec<String> = all
        .flat_map(|(path, text)| {
            phrases_in(&text).into_iter().map(move |phrase| format!("{}: {phrase}", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "say it in plainer words (CONTRIBUTING.md, Texts):\n{}", found.join("\n"));
}

#[test]
fn phrases_are_found_as_words_only() {
    assert_eq!(phrases_in("It is no\nfile, as was told."), ["told", "is no"]);
    assert!(phrases_in("There is no such file; it is no longer judgement").is_empty());
    assert_eq!(texts("let a = \"x\";\n// \"y\"\nlet b = 1;\n#[cfg(test)]\n\"z\"", false), "let a = \"x\";");
}

#[test]
fn the_tests_that_the_reliability_page_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = Vec::new();
    files(&root.join("src"), ".rs", &mut code);
    files(&root.join("tests"), ".rs", &mut code);
    let code: String = code.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let named: Vec<&str> = page.split('`').filter_map(|part| Some(part.split_once("::")?.1)).collect();
    assert!(named.len() > 40, "{}", named.len());
    let lost: Vec<_> = named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
