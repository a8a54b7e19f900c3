//! The rules of the house, kept by a test: who may import whom, how long a file may be, and what it may not be called.
//!
//! `src/lib.rs` and each `mod.rs` list their modules in groups separated by blank lines. A group is a floor, the ground
//! floor first, and a module names only what stands on floors below its own. Every path that starts at `crate`,
//! `super` or `self` is read, in `use` lines and in code alike; comments and strings are not. An item behind `#[cfg(test)]`
//! is free, and only that item: a test may build its example with anything. The binary (`main.rs`, `cli/`)
//! is a crate of its own, so the compiler keeps the library from knowing it; only length and names are checked there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The longest that a file may be before its tests, in lines.
const LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "imp"];

/// What opens a file without asking what it is: a FIFO would block, a device never end.
const BLIND: [[&str; 3]; 3] = [["File", "::", "open"], ["fs", "::", "read"], ["fs", "::", "read_to_string"]];

/// Who may: the one module that asks, and those that open only what they made or what the kernel has.
const MAY_OPEN: [&str; 5] = ["input.rs", "trial/", "bundle/trace/", "cli/review.rs", "link/rules/"];

/// File names below `src/` (`tree/inodes.rs`) and their texts.
type Sources = BTreeMap<String, String>;

#[test]
fn the_house_is_in_order() {
    let mut sources = Sources::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), "", &mut sources);
    let faults = faults(&sources);
    assert!(faults.is_empty(), "the house rules are broken:\n{}", faults.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "the order of the file system ends in a sorted map")]
fn collect(folder: &Path, prefix: &str, into: &mut Sources) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), into);
        } else if name.ends_with(".rs") {
            into.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// Everything that breaks a rule, one line each.
fn faults(sources: &Sources) -> Vec<String> {
    let floors = floors(sources);
    let mut faults = repeated_types(sources);
    for (file, text) in sources {
        let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".rs");
        if EMPTY_NAMES.contains(&stem) {
            faults.push(format!("src/{file}: the name `{stem}` says nothing about what is inside"));
        }
        if !text.starts_with("//!") {
            faults.push(format!("src/{file} does not open with `//!`: say what it is"));
        }
        let code = without_tests(text);
        let code = code.as_str();
        let lines = code.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("src/{file} has {lines} lines before its tests, more than {LINES_MAX}"));
        }
        let tokens = tokens(code);
        if stem == "mod" || file == "lib.rs" {
            for statement in tokens.split(|token| token == ";") {
                let before = ["#", "[", "]", "pub", "(", "crate", ")", "cfg", "feature", "="];
                let word = statement.iter().map(String::as_str).find(|word| !before.contains(word));
                if !matches!(word, None | Some("mod" | "use")) {
                    faults.push(format!("src/{file} holds more than docs, `mod` lines and re-exports"));
                    break;
                }
            }
        }
        for [first, colons, last] in BLIND {
            let opens = |window: &[String]| window[0] == first && window[1] == colons && window[2] == last;
            if !MAY_OPEN.iter().any(|known| file.starts_with(known)) && tokens.windows(3).any(opens) {
                faults.push(format!("src/{file}: `{first}::{last}` waits for FIFOs: use `input`"));
            }
        }
        if file == "lib.rs" || file == "main.rs" || file.starts_with("cli/") {
            continue;
        }
        let own = module_of(file);
        for path in paths(&tokens, &own) {
            if let Some(name) = forbidden(&own, &path, &floors, sources) {
                let fault = format!("src/{file} may not import `{name}`");
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
    }
    faults
}

/// Public types that have the same name. Macros define some, so what stands in their braces counts too.
fn repeated_types(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    for (file, text) in sources {
        for window in tokens(&without_tests(text)).windows(3) {
            let [public, kind, name] = window else { continue };
            if public == "pub"
                && matches!(kind.as_str(), "struct" | "enum" | "trait" | "type" | "union")
                && let Some(first) = known.insert(name.clone(), file)
            {
                faults.push(format!("src/{file}: the public type `{name}` is also in src/{first}"));
            }
        }
    }
    faults
}

/// `tree/inodes.rs` is the module `tree`, `inodes`; `tree/mod.rs` is `tree`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The floor of every module, by its full name (`tree::inodes`).
fn floors(sources: &Sources) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    for (file, text) in sources {
        let prefix = match file.strip_suffix("mod.rs") {
            Some(folder) => folder.replace('/', "::"),
            None if file == "lib.rs" => String::new(),
            None => continue,
        };
        let mut floor = 0;
        for line in text.lines() {
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if line.is_empty() {
                floor += 1;
            } else if let Some(name) = line.strip_prefix("mod ").and_then(|line| line.strip_suffix(';')) {
                floors.insert(format!("{prefix}{name}"), floor);
            }
        }
    }
    floors
}

/// The module that `own` names by `path` against the rule, if it does.
fn forbidden(own: &[String], path: &[String], floors: &BTreeMap<String, usize>, sources: &Sources) -> Option<String> {
    let path = resolved(path, floors, sources);
    let shared = own.iter().zip(&path).take_while(|(a, b)| a == b).count();
    if shared == own.len() {
        return None; // Its own content, or that of the folder whose `mod.rs` it is.
    }
    let folder = &own[..shared];
    let Some(target) = path.get(shared) else { return Some(folder.join("::")) };
    let (there, here) = (inside(folder, target), inside(folder, &own[shared]));
    match (floors.get(&there), floors.get(&here)) {
        (Some(below), Some(above)) if below < above => None,
        _ => Some(there),
    }
}

/// The full name of a module in a folder.
fn inside(folder: &[String], name: &str) -> String {
    [folder, &[name.to_owned()]].concat().join("::")
}

/// A path through re-exports (`crate::tree::Mode`), as the path to the file that the name comes from (`crate::tree::mode::Mode`).
fn resolved(path: &[String], floors: &BTreeMap<String, usize>, sources: &Sources) -> Vec<String> {
    let (mut path, mut at) = (path.to_vec(), 0);
    while at < path.len() {
        let (folder, name) = (&path[..at], &path[at]);
        if !floors.contains_key(&inside(folder, name)) {
            let face = if folder.is_empty() { "lib.rs".to_owned() } else { format!("{}/mod.rs", folder.join("/")) };
            let origins = sources.get(&face).map(|face| paths_after_use(&tokens(face))).unwrap_or_default();
            let origin = origins.into_iter().find(|origin| origin.len() > 1 && origin.last() == Some(name));
            let Some(origin) = origin else { break };
            path = [folder, &origin].concat();
        }
        at += 1;
    }
    path
}

/// Every path that starts at `crate`, `super` or `self`, as full module names; groups taken apart.
fn paths(tokens: &[String], own: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let starts = matches!(token.as_str(), "crate" | "super" | "self");
        let follows = at > 0 && tokens[at - 1] == "::";
        if starts && !follows && tokens.get(at + 1).is_some_and(|next| next == "::") {
            branches(tokens, at, Vec::new(), &mut found);
        }
    }
    let absolute = found.into_iter().map(|path| {
        let mut base = own.to_vec();
        let mut rest = path.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "crate" => base.clear(),
                "super" => drop(base.pop()),
                "self" => {}
                _ => break,
            }
            rest = tail;
        }
        [base.as_slice(), rest].concat()
    });
    absolute.collect()
}

/// The paths of `use` lines without a leading `crate`, as a `mod.rs` writes its re-exports.
fn paths_after_use(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token == "use" {
            branches(tokens, at + 1, Vec::new(), &mut found);
        }
    }
    found
}

/// Reads `a::b::{c, d::e}` from `at` on into its single paths; returns where it ends.
fn branches(tokens: &[String], mut at: usize, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = branches(tokens, at, path.clone(), found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            Some(name) if is_word(name) || name == "*" => path.push(name.to_owned()),
            _ => {}
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            found.push(path);
            // `as` and the new name are no part of the path.
            return if tokens.get(at).is_some_and(|token| token == "as") { at + 2 } else { at };
        }
        at += 1;
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// The text without the items behind `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while !rest.is_empty() {
        if rest.starts_with("#![cfg(test)]") {
            return out;
        }
        let length = match rest.strip_prefix("#[cfg(test)]") {
            Some(item) => rest.len() - behind_item(item).len(),
            None => {
                let (_, length) = token(rest);
                out.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// What stands behind the item that the text starts with: behind the first `;` or the first pair of braces that is in no other pair.
fn behind_item(text: &str) -> &str {
    let (mut rest, mut depth) = (text, 0usize);
    while !rest.is_empty() {
        let (token, length) = token(rest);
        rest = &rest[length..];
        match token {
            Some("{" | "(" | "[") => depth += 1,
            Some("}" | ")" | "]") => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == Some("}") {
                    return rest;
                }
            }
            Some(";") if depth == 0 => return rest,
            _ => {}
        }
    }
    rest
}

/// Words, `::` and single other characters; without comments, strings and character literals.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while !rest.is_empty() {
        let (token, length) = token(rest);
        tokens.extend(token.map(str::to_owned));
        rest = &rest[length..];
    }
    tokens
}

/// The token that the text starts with, unless it is a comment, literal or blank, and the length of either.
fn token(text: &str) -> (Option<&str>, usize) {
    let length = if text.starts_with("//") {
        return (None, text.find('\n').unwrap_or(text.len()));
    } else if text.starts_with("/*") {
        return (None, text.find("*/").map_or(text.len(), |end| end + 2));
    } else if let Some(length) = literal(text) {
        return (None, length);
    } else if text.starts_with("::") {
        2
    } else if is_word(text) {
        text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
    } else {
        text.chars().next().map_or(0, char::len_utf8)
    };
    let token = &text[..length];
    ((!token.trim().is_empty()).then_some(token), length)
}

/// The length of the string or character literal that the text starts with.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if let Some(raw) = body.strip_prefix('r').filter(|raw| raw.starts_with(['"', '#'])) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(text.len() - inner.len() + inner.find(&close)? + close.len());
    }
    let quote = body.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (at, character) in body.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some(prefix + at + 1);
        } else if quote == '\'' && at > 1 && body.chars().nth(1) != Some('\\') {
            return None; // A lifetime: no closing quote after one character.
        }
    }
    None
}

#[cfg(test)]
mod forged {
    use super::*;

    /// A small house that is in order, with `file` put in place of what stands there.
    fn house_with(file: &str, text: &str) -> Vec<String> {
        let mut sources: Sources = [
            ("lib.rs", "//! .\n\npub mod path;\npub mod epoch;\n\npub mod tree;\n\npub mod image;\n"),
            ("path.rs", "//! .\n"),
            ("epoch.rs", "//! .\n"),
            (
                "tree/mod.rs",
                "//! .\n\nmod mode;\n\nmod inodes;\n\npub use inodes::{Kind, Tree};\npub use mode::Mode;\n",
            ),
            ("tree/mode.rs", "//! .\nuse crate::path::Name;\n"),
            ("tree/inodes.rs", "//! .\nuse super::mode::Mode;\nuse std::fmt;\n"),
            ("image.rs", "//! .\nuse crate::{path::Name, tree::{Kind, Tree}};\n"),
        ]
        .map(|(file, text)| (file.to_owned(), text.to_owned()))
        .into();
        sources.insert(file.to_owned(), text.to_owned());
        faults(&sources)
    }

    #[test]
    fn a_house_in_order_has_no_faults() {
        assert_eq!(house_with("path.rs", "//! .\nuse std::fmt;\n"), [""; 0]);
    }

    #[test]
    fn a_higher_floor_is_not_imported_however_the_path_is_written() {
        for path in [
            "use crate::tree::Tree;",
            "use crate::{epoch as e, tree};",
            "use super::tree;",
            "use self::super::tree;",
            "fn f() -> crate::tree::Tree { 'a': loop {} }",
            "fn f<'a>(c: char) -> bool { c == '\"' && crate::tree::open('\\'') }",
            "pub use crate::{\n    tree::{self, Kind},\n};",
        ] {
            let faults = house_with("path.rs", &format!("//! .\n{path}\n"));
            assert!(faults.contains(&"src/path.rs may not import `tree`".to_owned()), "{path}: {faults:?}");
        }
    }

    #[test]
    fn a_public_type_has_its_name_alone() {
        let mode = "src/tree/mode.rs: the public type `Mode` is also in src/path.rs";
        let with_mode = |text: &str| {
            let mode = "//! .\nmacro! { pub struct Mode(u32); }\n";
            let files = [("path.rs", text), ("tree/mode.rs", mode)];
            repeated_types(&files.map(|(file, text)| (file.to_owned(), text.to_owned())).into())
        };
        assert_eq!(with_mode("//! .\npub enum Mode {}\n"), [mode]);
        for other in
            ["pub enum Modes {}", "enum Mode {}", "pub(crate) type Mode = u8;", "#[cfg(test)]\npub struct Mode;"]
        {
            assert_eq!(with_mode(&format!("//! .\n{other}\n")), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_neighbour_on_the_same_floor_is_not_imported() {
        let faults = house_with("path.rs", "//! .\nuse crate::epoch::Epoch;\n");
        assert_eq!(faults, ["src/path.rs may not import `epoch`"]);
    }

    #[test]
    fn inside_a_folder_the_list_in_its_mod_rs_counts() {
        for path in ["super::inodes::Tree", "crate::tree::inodes::Tree", "super::Tree", "crate::tree::{Mode, Tree}"] {
            let faults = house_with("tree/mode.rs", &format!("//! .\nuse {path};\n"));
            assert_eq!(faults, ["src/tree/mode.rs may not import `tree::inodes`"], "{path}");
        }
        assert_eq!(house_with("tree/inodes.rs", "//! .\nuse super::Mode;\n"), [""; 0]);
        assert_eq!(
            house_with("tree/inodes.rs", "//! .\nuse super::*;\n"),
            ["src/tree/inodes.rs may not import `tree::*`"]
        );
    }

    #[test]
    fn comments_strings_and_tests_are_no_imports() {
        let text = "//! [`crate::tree`]\nconst A: &str = \"crate::tree::X\"; // crate::tree::X\nconst B: &str = \
                    r#\"\"crate::tree::X\"#;\n\n#[cfg(test)]\nmod tests {\n    use crate::tree::Tree;\n}\n";
        assert_eq!(house_with("path.rs", text), [""; 0]);
    }

    #[test]
    fn what_stands_behind_a_test_item_is_read() {
        let upwards = "use crate::tree::Tree;";
        for item in [
            "mod tests {\n    use super::*;\n    const A: &str = \"}\";\n}",
            "use std::fmt;",
            "mod sample;",
            "#[derive(Debug)]\nstruct A([u8; 2]);",
            "impl<const N: usize> A<[u8; { N }]> {\n    fn f() {}\n}",
            "fn f() -> [u8; 2] {\n    [0; 2] // }\n}",
        ] {
            let text = format!("//! .\n\n#[cfg(test)]\n{item}\n\n{upwards}\n");
            assert_eq!(house_with("path.rs", &text), ["src/path.rs may not import `tree`"], "{item}");
            let text = format!("//! .\n\n#[cfg(test)]\n{}\n\nuse std::fmt;\n", item.replace("std::fmt", "crate::tree"));
            assert_eq!(house_with("path.rs", &text), [""; 0], "{item}");
        }
        let long = format!("//! .\n\n#[cfg(test)]\nmod tests {{}}\n{}", "const A: u8 = 0;\n".repeat(LINES_MAX));
        assert_eq!(house_with("path.rs", &long), ["src/path.rs has 503 lines before its tests, more than 500"]);
    }

    /// A house with a folder in a folder, and `file` put in place of what stands there.
    fn nested_with(file: &str, text: &str) -> Vec<String> {
        let mut sources: Sources = [
            ("lib.rs", "//! .\n\nmod path;\n\nmod link;\n\nmod whole;\n\npub use link::Report;\n"),
            ("path.rs", "//! .\n"),
            ("whole.rs", "//! .\nuse crate::link::Report;\n"),
            (
                "link/mod.rs",
                "//! .\n\nmod draft;\n\nmod glibc;\nmod musl;\n\nmod report;\n\npub use glibc::cache::Cache;\npub use \
                 report::Report;\n",
            ),
            ("link/draft.rs", "//! .\nuse crate::path::Name;\n"),
            ("link/report.rs", "//! .\nuse super::glibc::Load;\nuse super::musl;\n"),
            ("link/musl.rs", "//! .\nuse super::draft::Draft;\n"),
            ("link/glibc/mod.rs", "//! .\n\nmod cache;\n\nmod load;\n\npub use load::Load;\n"),
            ("link/glibc/cache.rs", "//! .\nuse super::super::draft::Draft;\nuse crate::path::Name;\n"),
            ("link/glibc/load.rs", "//! .\nuse super::cache::Cache;\nuse crate::link::draft::Draft;\n"),
        ]
        .map(|(file, text)| (file.to_owned(), text.to_owned()))
        .into();
        sources.insert(file.to_owned(), text.to_owned());
        faults(&sources)
    }

    #[test]
    fn a_folder_in_a_folder_has_floors_too() {
        assert_eq!(nested_with("path.rs", "//! .\n"), [""; 0]);
        for (file, path, name) in [
            ("link/glibc/cache.rs", "super::load::Load", "link::glibc::load"),
            ("link/glibc/cache.rs", "super::Load", "link::glibc::load"),
            ("link/glibc/cache.rs", "crate::link::glibc::Load", "link::glibc::load"),
            ("link/glibc/load.rs", "super::super::musl", "link::musl"),
            ("link/glibc/load.rs", "crate::link::report::Report", "link::report"),
            ("link/glibc/load.rs", "super::super::Report", "link::report"),
            ("link/glibc/load.rs", "crate::Report", "link::report"),
            ("link/glibc/load.rs", "crate::whole", "whole"),
            ("link/draft.rs", "super::Cache", "link::glibc"),
            ("path.rs", "crate::Report", "link"),
            ("path.rs", "crate::link::glibc::cache::Cache", "link"),
        ] {
            let faults = nested_with(file, &format!("//! .\nuse {path};\n"));
            assert_eq!(faults, [format!("src/{file} may not import `{name}`")], "{file} {path}");
        }
    }

    #[test]
    fn length_name_opening_and_the_face_of_a_folder_are_looked_at() {
        let long = format!("//! .\n{}", "const A: u8 = 0;\n".repeat(LINES_MAX));
        assert_eq!(house_with("path.rs", &long), ["src/path.rs has 501 lines before its tests, more than 500"]);
        let tests = format!("//! .\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// .\n".repeat(LINES_MAX));
        assert_eq!(house_with("path.rs", &tests), [""; 0]);
        assert_eq!(house_with("path.rs", "use std::fmt;\n"), ["src/path.rs does not open with `//!`: say what it is"]);
        let named = house_with("tree/util.rs", "//! .\n");
        assert_eq!(named, ["src/tree/util.rs: the name `util` says nothing about what is inside"]);
        let face = house_with("tree/mod.rs", "//! .\n\nmod mode;\n\nmod inodes;\n\npub fn open() {}\n");
        assert_eq!(face, ["src/tree/mod.rs holds more than docs, `mod` lines and re-exports"]);
    }
}
