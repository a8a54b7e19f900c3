//! The faults of a recipe, each drawn on its line.

use super::text::Text;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::recipe::{Fault, Faults, Position, SourceFile};

/// How wide a drawing is where nobody knows the width of the terminal, in columns.
const WIDTH: usize = 120;

/// From how many lines on two places of one file are drawn apart.
const FAR: usize = 100;

/// All faults, one drawing below the other, and how many there are. `colour` adds the escapes of ANSI terminals.
pub fn draw_faults(faults: &Faults, colour: bool) -> Text {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let mut out = String::new();
    for fault in &faults.faults {
        out.push_str(&renderer.render(&[draw(fault, &faults.files)]));
        out.push_str("\n\n");
    }
    let name = faults.files.first().map_or("recipe", |file| &file.name);
    let mut out = Text::drawn(out);
    match faults.faults.len() {
        1 => out.line(format_args!("error: {name} has 1 error")),
        count => out.line(format_args!("error: {name} has {count} errors")),
    }
    out
}

fn draw<'a>(fault: &'a Fault, files: &'a [SourceFile]) -> Group<'a> {
    let mut group = Level::ERROR.primary_title(fault.message.as_str()).elements(snippets(fault, files));
    if let Some(help) = &fault.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The marked lines: one snippet, or two when the second place is in another file or far away.
fn snippets<'a>(fault: &'a Fault, files: &'a [SourceFile]) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let Some(file) = files.get(fault.place.file) else { return Vec::new() };
    let primary = (AnnotationKind::Primary, &fault.place, fault.label.as_str());
    let Some((place, label)) = &fault.related else { return vec![snippet(file, &[primary])] };
    let second = (AnnotationKind::Context, place, label.as_str());
    let line = |place: &Position| file.line(place.span.start);
    if place.file == fault.place.file && line(place).abs_diff(line(&fault.place)) < FAR {
        return vec![snippet(file, &[primary, second])];
    }
    let other = files.get(place.file).map(|file| snippet(file, &[second]));
    [Some(snippet(file, &[primary])), other].into_iter().flatten().collect()
}

/// Marks in a file. Only the lines with marks are handed over: the renderer reads all that it gets, for every fault anew.
fn snippet<'a>(
    file: &'a SourceFile,
    marks: &[(AnnotationKind, &Position, &'a str)],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let end = |place: &Position| place.span.end.min(file.text.len());
    let first = marks.iter().map(|(_, place, _)| file.line(place.span.start.min(end(place)))).min().unwrap_or(1);
    let last = marks.iter().map(|(_, place, _)| file.line(end(place))).max().unwrap_or(1);
    let shown = file.lines(first..=last);
    let text = file.text.get(shown.clone()).unwrap_or_default();
    let marks = marks.iter().map(|(kind, place, label)| {
        let span = place.span.start.min(end(place)).saturating_sub(shown.start)..end(place).saturating_sub(shown.start);
        let mark = kind.span(span);
        if label.is_empty() { mark } else { mark.label(*label) }
    });
    Snippet::source(text).line_start(first).path(&*file.name).annotations(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn drawn(text: &str) -> String {
        let loader = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let faults = crate::recipe::parse(text.as_bytes(), Path::new("recipe.toml"), &loader).unwrap_err();
        draw_faults(&faults, false).to_string()
    }

    const WRONG: &str = r#"name = "docker.io/You/app"
tags = ["1.0", "1.0"]
platforms = ["linux/amd64", "linux/arm64", "linux/riscv65"]
created = "yesterday"
tag = ["x"]

[[source]]
from = "stage/{arhc}"
modes = "normall"
owner = "root"
exclude = ["usr/[a"]

[[source]]
from = "oci:base"
to = "/usr"

[[path]]
path = "/etc/motd"
type = "file"
text = "hello"
source = "motd"
mode = 644

[[path]]
path = "/bin/sh"
type = "symlink"
mode = "0777"

[[path]]
type = "permissions"
path = "/bin/ping"
capabilities = "cap_net_rw=ep"

[[user]]
name = "app"
uid = 10000
[[user]]
name = "app"
uid = 10000

[config]
cmd = "/bin/sh -l"
env = { "A=B" = "x" }
"#;

    /// What a person sees: every fault at once, in the order of the lines.
    const DRAWN: &str = r#"error: not an image name (lower-case parts joined by `/`, such as docker.io/you/app): "docker.io/You/app"
 --> recipe.toml:1:8
  |
1 | name = "docker.io/You/app"
  |        ^^^^^^^^^^^^^^^^^^^

error: `tags` has the same value twice: "1.0"
 --> recipe.toml:2:16
  |
2 | tags = ["1.0", "1.0"]
  |         -----  ^^^^^ again here
  |         |
  |         first here

error: not a platform, such as linux/amd64, linux/arm64 or linux/arm/v7: "linux/riscv65"
 --> recipe.toml:3:44
  |
3 | platforms = ["linux/amd64", "linux/arm64", "linux/riscv65"]
  |                                            ^^^^^^^^^^^^^^^

error: not a date since 1970 in the format 2026-01-01T00:00:00Z: "yesterday"
 --> recipe.toml:4:11
  |
4 | created = "yesterday"
  |           ^^^^^^^^^^^

error: unknown key `tag`
 --> recipe.toml:5:1
  |
5 | tag = ["x"]
  | ^^^ not a key of the recipe
  |
  = help: did you mean `tags`?

error: unknown placeholder `{arhc}`
 --> recipe.toml:8:8
  |
8 | from = "stage/{arhc}"
  |        ^^^^^^^^^^^^^^
  |
  = help: did you mean `{arch}`?

error: `modes` is one of keep, normal
 --> recipe.toml:9:9
  |
9 | modes = "normall"
  |         ^^^^^^^^^
  |
  = help: did you mean "normal"?

error: not an owner: "root"
  --> recipe.toml:10:9
   |
10 | owner = "root"
   |         ^^^^^^
   |
   = help: write "UID:GID" in numbers, such as "0:0", or "keep"

error: not a glob (unclosed character class; missing ']'): usr/[a
  --> recipe.toml:11:12
   |
11 | exclude = ["usr/[a"]
   |            ^^^^^^^^

error: a base image must be the first source
  --> recipe.toml:14:8
   |
14 | from = "oci:base"
   |        ^^^^^^^^^^ this is an image
   |
   = help: its layers must be below all others: move it to the front

error: `to` is not allowed for a base image: its layers are not changed
  --> recipe.toml:15:1
   |
14 | from = "oci:base"
   |        ---------- this is an image
15 | to = "/usr"
   | ^^

error: a file has either a `text` or a `source`
  --> recipe.toml:21:1
   |
20 | text = "hello"
   | ---- its contents are given here
21 | source = "motd"
   | ^^^^^^ and here

error: `mode` must be a text
  --> recipe.toml:22:8
   |
22 | mode = 644
   |        ^^^ this is a number
   |
   = help: a mode is a text in octal digits, as for chmod: `"0755"`

error: a path of type symlink needs a key `target`
  --> recipe.toml:24:1
   |
24 | [[path]]
   | ^^^^^^^^

error: `mode` is not allowed for a path of type symlink
  --> recipe.toml:27:1
   |
26 | type = "symlink"
   |        --------- because of this
27 | mode = "0777"
   | ^^^^
   |
   = help: on Linux a symlink has no mode: the target's mode applies

error: no such capability: "cap_net_rw"
  --> recipe.toml:32:16
   |
32 | capabilities = "cap_net_rw=ep"
   |                ^^^^^^^^^^^^^^^
   |
   = help: did you mean cap_net_raw?

error: two [[user]] have the same name: app
  --> recipe.toml:38:8
   |
35 | name = "app"
   |        ----- first here
...
38 | name = "app"
   |        ^^^^^ again here

error: two [[user]] have the same uid: 10000
  --> recipe.toml:39:7
   |
36 | uid = 10000
   |       ----- first here
...
39 | uid = 10000
   |       ^^^^^ again here

error: `cmd` must be a list of texts
  --> recipe.toml:42:7
   |
42 | cmd = "/bin/sh -l"
   |       ^^^^^^^^^^^^ this is a text
   |
   = help: put each word into a list, or a shell in front: ["/bin/sh", "-c", "/bin/sh -l"]

error: not a name of an environment variable: "A=B"
  --> recipe.toml:43:9
   |
43 | env = { "A=B" = "x" }
   |         ^^^^^
   |
   = help: it must not be empty or contain `=`

error: recipe.toml has 20 errors
"#;

    #[test]
    fn every_fault_is_drawn_on_its_line() {
        let drawn = drawn(WRONG);
        assert!(drawn == DRAWN, "{drawn}");
    }

    #[test]
    fn colour_changes_nothing_but_escapes() {
        let loader = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let faults = crate::recipe::parse(b"nam = 1", Path::new("r.toml"), &loader).unwrap_err();
        let coloured = draw_faults(&faults, true);
        assert!(coloured.contains("\x1b["));
        let mut plain = String::new();
        for (number, part) in coloured.split("\x1b[").enumerate() {
            plain.push_str(if number == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, draw_faults(&faults, false).to_string());
    }

    #[test]
    fn a_fault_in_an_included_file_is_drawn_there() {
        let loader = |path: &Path| match path.to_str() {
            Some("parts/common.toml") => Ok(b"[[user]]\nname = \"app\"\nuid = 1\n\n[confg]\n".to_vec()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let text = br#"include = ["parts/common.toml", "gone.toml"]
platforms = ["linux/arm64"]
[[path]]
path = "/x"
type = "directory"
[[user]]
name = "app"
uid = 2
"#;
        let faults = crate::recipe::parse(text, Path::new("recipe.toml"), &loader).unwrap_err();
        let drawn = draw_faults(&faults, false);
        let expected = r#"error: cannot read an included recipe
 --> recipe.toml:1:33
  |
1 | include = ["parts/common.toml", "gone.toml"]
  |                                 ^^^^^^^^^^^ gone.toml: entity not found
  |
  = help: the path is relative to this file

error: two [[user]] have the same name: app
 --> recipe.toml:7:8
  |
7 | name = "app"
  |        ^^^^^ again here
  |
 ::: parts/common.toml:2:8
  |
2 | name = "app"
  |        ----- first here

error: unknown key `confg`
 --> parts/common.toml:5:2
  |
5 | [confg]
  |  ^^^^^ not a key of the recipe
  |
  = help: did you mean `config`?

error: recipe.toml has 3 errors
"#;
        assert!(drawn == expected, "{drawn}");
    }

    #[test]
    fn odd_texts_are_drawn_too() {
        for text in [
            "",
            "\u{feff}",
            "a = 1",
            "a = \"\t\u{1b}[2J\"\r\nb",
            "x",
            "é = 'ü' ü",
            "tags = [\"\\u001b[\"]",
            "\"\\u001b\" = 1",
            "source = [{ from = 'x', exclude = [\"[\\u001b\"] }]",
        ] {
            let drawn = drawn(text);
            assert!(drawn.contains("--> recipe.toml:1:"), "{drawn}");
            assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
        }
    }

    #[test]
    fn marks_never_cut_a_character() {
        let loader = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let text = "n\u{e9}me = '\u{65e5}\u{672c}' \u{fc}\n['\u{1f600}'\r\n\u{e9} = [ \"\u{e9}\n";
        for place in 0..text.len() {
            let mut damaged = text.as_bytes().to_vec();
            for byte in [b'\'', b'=', b'\n', 0xff] {
                damaged[place] = byte;
                for bytes in [&damaged[..], &damaged[..place]] {
                    if let Err(faults) = crate::recipe::parse(bytes, Path::new("r.toml"), &loader) {
                        assert!(draw_faults(&faults, false).contains("--> r.toml:"));
                    }
                }
            }
        }
    }
}
