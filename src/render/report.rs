//! Findings as text: for a person, as JSON (`docs/report.schema.json`), as SARIF 2.1.0, and as annotations of GitHub's
//! workflows. All four have the same number of findings.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::text::{Paint, Text, plain};
use super::uses::{evidence, uses};
use crate::link;
use crate::link::{Description, Program, StartVerdict as Start};
use crate::path::shown_bytes;
use crate::pipeline::Verdict;
use crate::report::{Evidence, Finding, FindingSubject, Report, Severity};

/// How wide the text of a fix may become, in columns.
const WIDTH: usize = 115;

/// How many lines of evidence are shown unless all are asked for.
const EVIDENCE: usize = 8;

/// How a report for people looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether it has the escapes of ANSI terminals.
    pub colour: bool,
    /// Whether it shows all evidence and all other names.
    pub verbose: bool,
}

/// For people.
pub fn human(report: &Report, style: Style) -> Text {
    let mut out = Text::new();
    for finding in &report.findings {
        describe(&mut out, finding, style);
    }
    if !report.findings.is_empty() {
        out.line(counts(report));
    }
    out
}

fn describe(out: &mut Text, finding: &Finding, style: Style) {
    let Style { colour, verbose } = style;
    let paint = match (colour, finding.severity) {
        (false, _) => Paint::Plain,
        (true, Severity::Error) => Paint::Error,
        (true, Severity::Warning) => Paint::Warning,
        (true, Severity::Note) => Paint::Note,
    };
    let platform = finding.platform().map(|platform| format!(" {platform}")).unwrap_or_default();
    let head = format!("{}[{}]", finding.severity, finding.code);
    out.painted(paint, &head, format_args!("{platform} {} {}", finding.subject, finding.message));
    if let Some(text) = &finding.run_time {
        out.line(format_args!("  at run time: {text}"));
    }
    let evidence = evidence(finding);
    let shown = if verbose || evidence.len() <= EVIDENCE + 1 { usize::MAX } else { EVIDENCE };
    for (number, evidence) in evidence.iter().take(shown).enumerate() {
        let label = if number == 0 { "  because: " } else { "           " };
        out.line(format_args!("{label}{}", line_of(evidence)));
    }
    if evidence.len() > shown {
        out.line(format_args!("           and {} more: --verbose shows them", evidence.len() - shown));
    }
    if verbose && !finding.also.is_empty() {
        out.line(format_args!("  also: {}", finding.also.join(" ")));
    }
    if let Some(text) = &finding.fix {
        for (number, line) in wrapped(text, WIDTH - 7).iter().enumerate() {
            let label = if number == 0 { "  fix: " } else { "       " };
            out.line(format_args!("{label}{line}"));
        }
    }
}

/// A path is followed by what was found there, a fact by a remark.
fn line_of(evidence: &Evidence) -> String {
    if evidence.detail.is_empty() {
        evidence.subject.clone()
    } else if evidence.subject.starts_with('/') {
        format!("{}: {}", evidence.subject, evidence.detail)
    } else {
        format!("{}; {}", evidence.subject, evidence.detail)
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_string());
        } else {
            if length > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

/// `2 errors, 1 warning, 3 notes`.
fn counts(report: &Report) -> String {
    let parts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let count = report.count(severity);
        format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
    });
    parts.join(", ")
}

/// The programs of each platform as a table: how each is linked, its C library, its size, whether it would start.
pub fn programs(verdicts: &[Verdict]) -> Text {
    let mut rows = vec![["program", "linked", "libc", "size", "names", ""].map(str::to_string)];
    for verdict in verdicts {
        for program in &verdict.verification.programs {
            rows.push([
                if verdicts.len() > 1 {
                    format!("{} {}", verdict.platform, program.path)
                } else {
                    program.path.clone()
                },
                program.linkage.word().to_string(),
                program.libc.map_or("-".to_string(), |libc| libc.to_string()),
                program.size.to_string(),
                program.names.to_string(),
                match program.verdict {
                    Start::Starts => "starts",
                    Start::MayFail => "may fail",
                    Start::Unknown => "unknown",
                    Start::Fails => "fails",
                }
                .to_string(),
            ]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = [width(0), width(1), width(2), width(3), width(4), width(5)];
    let mut out = Text::new();
    let rows = if rows.len() > 1 { rows.as_slice() } else { &[] };
    for [path, linkage, libc, size, names, verdict] in rows {
        let line = format!(
            "{path:<0$}  {linkage:<1$}  {libc:<2$}  {size:>3$}  {names:>4$}  {verdict}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        );
        out.line(line);
    }
    for verdict in verdicts {
        let required = verdict.verification.programs.iter().filter_map(|program| program.needs_glibc.as_ref());
        if let Some(most) = required.max_by_key(|required| &required.version) {
            let marks = if most.marks.is_empty() { String::new() } else { format!(" with {}", most.marks.join(", ")) };
            out.line(format_args!(
                "{}: glibc {} or later{marks} is needed: {} uses {}",
                verdict.platform, most.version, most.file, most.symbol
            ));
        }
    }
    for verdict in verdicts {
        out.line(format_args!("{}: {}", verdict.platform, sum(&verdict.verification.programs)));
    }
    out
}

/// `412 programs, all start`.
fn sum(programs: &[Program]) -> String {
    let count = |verdict| programs.iter().filter(|program| program.verdict == verdict).count();
    let whole = if programs.len() == 1 { "1 program".to_string() } else { format!("{} programs", programs.len()) };
    if programs.is_empty() {
        return whole;
    }
    let parts =
        [(Start::Starts, "start"), (Start::MayFail, "may fail"), (Start::Unknown, "unknown"), (Start::Fails, "fail")];
    let parts: Vec<_> =
        parts.into_iter().map(|(verdict, word)| (count(verdict), word)).filter(|(count, _)| *count > 0).collect();
    match parts.as_slice() {
        [(1, "start")] => format!("{whole}, it starts"),
        [(_, "start")] => format!("{whole}, all start"),
        parts => {
            let parts: Vec<String> = parts.iter().map(|(count, word)| format!("{count} {word}")).collect();
            format!("{whole}: {}", parts.join(", "))
        }
    }
}

/// One file, as `file` and `ldd` would describe it.
pub fn description(one: &Description) -> Text {
    let mut out = Text::new();
    out.line(format_args!(
        "{}: {}{}, {} bytes",
        one.path,
        one.kind,
        one.machine.as_ref().map(|machine| format!(" for {machine}")).unwrap_or_default(),
        one.size
    ));
    let libc = one.libc.map(|libc| match &one.libc_version {
        Some(version) => format!("{libc} {version}"),
        None => libc.to_string(),
    });
    let required = one.needs_glibc.as_ref();
    let required =
        required.map(|required| format!("{} or later: {} uses {}", required.version, required.file, required.symbol));
    for (label, value) in [
        ("interpreter", &one.interpreter),
        ("loader", &libc),
        ("android", &one.android),
        ("soname", &one.soname),
        ("rpath", &one.rpath),
        ("runpath", &one.runpath),
        ("needs glibc", &required),
    ] {
        if let Some(value) = value {
            out.line(format_args!("  {label}: {value}"));
        }
    }
    if one.libraries.is_empty() && !one.needed.is_empty() {
        out.line(format_args!("  needs: {}", one.needed.join(", ")));
    }
    for library in &one.libraries {
        let path = library.path.as_deref().unwrap_or("not found");
        out.line(format_args!("  {} => {path} ({})", library.name, library.rule));
    }
    out
}

/// As JSON: counts, findings, and per platform the programs.
pub fn json(report: &Report, verdicts: &[Verdict]) -> String {
    // The keys are sorted, as in all our documents.
    #[derive(Serialize)]
    struct Document<'a> {
        counts: Value,
        findings: Each<'a>,
        platforms: Vec<Value>,
        version: u32,
    }
    let platforms = verdicts.iter().map(|verdict| {
        json!({
            "platform": verdict.platform.to_string(),
            "accepted": verdict.verification.accepted,
            "programs": verdict.verification.programs,
        })
    });
    text(&Document {
        counts: json!({
            "error": report.count(Severity::Error),
            "warning": report.count(Severity::Warning),
            "note": report.count(Severity::Note),
        }),
        findings: Each(&report.findings, |finding| json!(finding)),
        platforms: platforms.collect(),
        version: 1,
    })
}

/// As SARIF 2.1.0. The paths are those inside the image, below the base `ROOTFS`.
pub fn sarif(report: &Report) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(rename = "$schema")]
        schema: &'static str,
        runs: [Run<'a>; 1],
        version: &'static str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Run<'a> {
        column_kind: &'static str,
        results: Each<'a>,
        tool: Value,
    }
    let found: BTreeSet<&str> = report.findings.iter().map(|finding| finding.code.0).collect();
    let rules: Vec<Value> = link::CODES
        .iter()
        .filter(|entry| found.contains(entry.code.0))
        .map(|entry| {
            json!({
                "id": entry.code.0,
                "shortDescription": {"text": entry.summary()},
                "help": {"text": entry.page, "markdown": entry.page},
            })
        })
        .collect();
    let result = |finding: &Finding| {
        json!({
            "ruleId": finding.code.0,
            "level": finding.severity,
            "message": {"text": sentence(finding)},
            "locations": [location(&finding.subject)],
            "properties": finding,
        })
    };
    text(&Document {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        runs: [Run {
            column_kind: "unicodeCodePoints",
            results: Each(&report.findings, result),
            tool: json!({"driver": {
                "name": "sazare",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }}),
        }],
        version: "2.1.0",
    })
}

/// Findings, each made a value when it is written: a tree of all values would take ten times the memory of the text.
struct Each<'a>(&'a [Finding], fn(&Finding) -> Value);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// A path is a physical location, a setting a logical one.
fn location(subject: &FindingSubject) -> Value {
    match subject {
        FindingSubject::Path(path) => json!({
            "physicalLocation": {"artifactLocation": {"uri": uri(path), "uriBaseId": "ROOTFS"}},
        }),
        FindingSubject::Setting(name) => json!({"logicalLocations": [{"name": name, "kind": "parameter"}]}),
    }
}

/// As annotations of GitHub's workflows, one line each.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let _ = writeln!(out, "::{command} title={}::{}", finding.code, escaped(&sentence(finding)));
    }
    out
}

/// The finding with its fix, in one text.
fn sentence(finding: &Finding) -> String {
    let platform = finding.platform().map(|platform| format!("{platform} ")).unwrap_or_default();
    let mut out = format!("{platform}{} {}", finding.subject, finding.message);
    let uses = uses(finding);
    if !uses.is_empty() {
        let _ = write!(out, "; {uses}");
    }
    if let Some(text) = &finding.run_time {
        let _ = write!(out, "\nat run time: {text}");
    }
    if let Some(text) = &finding.fix {
        let _ = write!(out, "\nfix: {text}");
    }
    out
}

/// What workflow commands ask for in their data.
fn escaped(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    lines.join("\n").replace('%', "%25").replace('\n', "%0A")
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in shown_bytes(path.trim_start_matches('/')) {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn text(document: &impl Serialize) -> String {
    // Nothing in a document can fail to become text.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Linkage;
    use crate::link::{FileKind, Libc, Program, Verification, Version};
    use crate::path::display_bytes;
    use crate::report::{Code, CommandRole, CommandUse};

    fn report() -> Report {
        let busybox = Finding {
            platforms: vec!["linux/arm64".parse().unwrap()],
            evidence: vec![Evidence { subject: "PT_INTERP of /bin/busybox".into(), detail: String::new() }],
            run_time: Some("exec /bin/sh: no such file or directory".into()),
            fix: Some(
                "link it statically (`-static`, and not `-nostdlib`; BusyBox: CONFIG_STATIC=y), or put musl's loader \
                 at /lib/ld-musl-aarch64.so.1"
                    .into(),
            ),
            also: vec!["/bin/sh".into()],
            roles: vec![CommandUse::new(CommandRole::Entrypoint, b"/bin/sh")],
            ..Finding::new(
                Code("interp-missing"),
                Severity::Error,
                FindingSubject::Path("/bin/busybox".into()),
                "needs /lib/ld-musl-aarch64.so.1, which the image does not contain",
            )
        };
        let mut note = busybox.clone();
        note.severity = Severity::Note;
        note.code = Code("packed");
        note.subject = FindingSubject::Path("/opt/100% größe".into());
        note.evidence = (0..12).map(|n| Evidence { subject: format!("/lib/{n}"), detail: "absent".into() }).collect();
        (note.run_time, note.fix, note.platforms) = (None, None, Vec::new());
        (note.also, note.roles) = (Vec::new(), Vec::new());
        let mut warning = busybox.clone();
        warning.severity = Severity::Warning;
        Report { findings: vec![busybox, note, warning] }
    }

    fn version(text: &str) -> Version {
        Version::parse(text.as_bytes()).unwrap()
    }

    fn verdicts() -> Vec<Verdict> {
        let program = Program {
            path: "/bin/busybox".into(),
            names: 303,
            linkage: Linkage::Dynamic,
            libc: Some(Libc::Musl),
            size: 1_000_000,
            verdict: Start::Fails,
            needs_glibc: Some(link::GlibcRequirement {
                version: version("2.34"),
                file: "/bin/x".into(),
                symbol: "y".into(),
                marks: Vec::new(),
            }),
        };
        let verification = Verification { programs: vec![program], ..Verification::default() };
        vec![Verdict { platform: "linux/arm64".parse().unwrap(), verification }]
    }

    #[test]
    fn a_person_reads_the_promised_form() {
        let mut report = report();
        report.findings.truncate(1);
        assert_eq!(
            human(&report, Style::default()),
            "error[interp-missing] linux/arm64 /bin/busybox needs /lib/ld-musl-aarch64.so.1, which the image does not contain\n  \
               at run time: exec /bin/sh: no such file or directory\n  \
               because: PT_INTERP of /bin/busybox; 1 link points at it, the entry point /bin/sh\n  \
               fix: link it statically (`-static`, and not `-nostdlib`; BusyBox: CONFIG_STATIC=y), or put musl's loader at\n       \
                    /lib/ld-musl-aarch64.so.1\n\
             1 error, 0 warnings, 0 notes\n"
        );
        assert!(
            human(&report, Style { colour: true, verbose: false })
                .starts_with("\x1b[1;31merror[interp-missing]\x1b[0m linux/arm64")
        );
        assert!(human(&report, Style { colour: false, verbose: true }).contains("\n  also: /bin/sh\n"));
        assert_eq!(human(&Report::default(), Style::default()), "");
    }

    #[test]
    fn locations_are_the_bytes_of_a_path_and_annotations_are_lines() {
        let mut report = report();
        report.findings.truncate(1);
        report.findings[0].subject = FindingSubject::Path(display_bytes(b"/bin/a\xff\n"));
        report.findings[0].message = "a\r\n::error::b\x1b".into();
        assert!(sarif(&report).contains("\"uri\": \"bin/a%FF%0A\""), "{}", sarif(&report));
        assert!(github(&report).contains("a\\x0d%0A\\x3a:error::b\\x1b; 1 link points at it"), "{}", github(&report));
        report.findings[0].subject = FindingSubject::Path(display_bytes(b"/bin/a\\xff"));
        assert!(sarif(&report).contains("\"uri\": \"bin/a%5Cxff\""), "{}", sarif(&report));
    }

    #[test]
    fn long_evidence_is_cut_and_says_so() {
        let report = report();
        assert!(human(&report, Style::default()).contains("           and 4 more: --verbose shows them\n"));
        assert!(human(&report, Style { colour: false, verbose: true }).contains("           /lib/11: absent\n"));
    }

    #[test]
    fn every_form_has_the_same_number_of_findings() {
        let report = report();
        let parsed: Value = serde_json::from_str(&json(&report, &verdicts())).unwrap();
        let lines = human(&report, Style::default());
        let heads = lines.lines().filter(|line| !line.starts_with(' ') && line.contains('[')).count();
        let sarif: Value = serde_json::from_str(&sarif(&report)).unwrap();
        assert_eq!(heads, 3);
        assert_eq!(parsed["findings"].as_array().unwrap().len(), 3);
        assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 3);
        assert_eq!(github(&report).lines().count(), 3);
        for (severity, key) in [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")] {
            assert_eq!(parsed["counts"][key], json!(report.count(severity)));
            let levels = sarif["runs"][0]["results"].as_array().unwrap().iter().filter(|one| one["level"] == key);
            assert_eq!(levels.count(), report.count(severity));
        }
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn foreign_text_cannot_break_a_form() {
        let sarif: Value = serde_json::from_str(&sarif(&report())).unwrap();
        let place = &sarif["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(place, "opt/100%25%20gr%C3%B6%C3%9Fe");
        assert!(
            github(&report()).lines().nth(1).unwrap().starts_with("::notice title=packed::/opt/100%25 größe needs")
        );
        assert!(github(&report()).lines().next().unwrap().contains("%0Afix: link it"));
    }

    #[test]
    fn one_file_is_described_as_file_and_ldd_would() {
        let library = |name: &str, path: Option<&str>, rule: &str| link::Library {
            name: name.into(),
            path: path.map(str::to_string),
            rule: rule.into(),
        };
        let app = Description {
            path: "/bin/app".into(),
            kind: FileKind::Dynamic,
            size: 42,
            machine: Some("arm64".into()),
            interpreter: Some("/lib/ld-musl-aarch64.so.1".into()),
            libc: Some(Libc::Musl),
            libc_version: Some("1.2.5".into()),
            libraries: vec![
                library("libz.so.1", Some("/lib/libz.so.1"), "musl's default path"),
                library("libx.so", None, "needed by /bin/app"),
            ],
            ..Description::default()
        };
        assert_eq!(
            description(&app),
            "/bin/app: dynamic for arm64, 42 bytes\n  interpreter: /lib/ld-musl-aarch64.so.1\n  loader: musl 1.2.5\n  \
               libz.so.1 => /lib/libz.so.1 (musl's default path)\n  libx.so => not found (needed by /bin/app)\n"
        );
        let data =
            Description { path: "/x".into(), kind: FileKind::Data, needed: vec!["a".into()], ..Description::default() };
        assert_eq!(description(&data), "/x: data, 0 bytes\n  needs: a\n");
    }

    #[test]
    fn programs_are_a_table() {
        assert_eq!(
            programs(&verdicts()),
            "program       linked   libc     size  names\n\
             /bin/busybox  dynamic  musl  1000000    303  fails\n\
             linux/arm64: glibc 2.34 or later is needed: /bin/x uses y\n\
             linux/arm64: 1 program: 1 fail\n"
        );
        assert_eq!(programs(&[]), "");
        let mut verdicts = verdicts();
        for (number, symbol) in [("2.9", "a"), ("2.34", "__libc_start_main"), ("2.4", "b")] {
            let mut program = verdicts[0].verification.programs[0].clone();
            let required = link::GlibcRequirement {
                version: version(number),
                file: "/bin/x".into(),
                symbol: symbol.into(),
                marks: Vec::new(),
            };
            program.needs_glibc = Some(required);
            verdicts[0].verification.programs.push(program);
        }
        let table = programs(&verdicts);
        assert_eq!(
            table.lines().rev().nth(1),
            Some("linux/arm64: glibc 2.34 or later is needed: /bin/x uses __libc_start_main")
        );
    }

    /// Whether a value has only what the schema knows, and all that it requires.
    fn conforms(value: &Value, schema: &Value, root: &Value) -> bool {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            return conforms(value, &root["$defs"][name], root);
        }
        if let Some(words) = schema["enum"].as_array() {
            return words.contains(value);
        }
        match schema["type"].as_str() {
            Some("object") => {
                let known = schema["properties"].as_object().unwrap();
                let required = schema["required"].as_array().unwrap();
                value.as_object().is_some_and(|object| {
                    object.iter().all(|(key, part)| known.get(key).is_some_and(|known| conforms(part, known, root)))
                        && required.iter().all(|key| object.contains_key(key.as_str().unwrap()))
                })
            }
            Some("array") => {
                value.as_array().is_some_and(|list| list.iter().all(|part| conforms(part, &schema["items"], root)))
            }
            Some("integer") => value.is_u64(),
            Some("string") => value.is_string(),
            _ => false,
        }
    }

    #[test]
    fn the_json_is_what_its_schema_says() {
        let schema: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap();
        let value: Value = serde_json::from_str(&json(&report(), &verdicts())).unwrap();
        assert!(conforms(&value, &schema, &schema));
        let mut other = value.clone();
        other["surprise"] = json!(1);
        assert!(!conforms(&other, &schema, &schema));
        let mut less = value;
        less.as_object_mut().unwrap().remove("counts");
        assert!(!conforms(&less, &schema, &schema));
    }
}
