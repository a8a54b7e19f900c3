//! How severe each finding can be. Tests compare this table with the drafts and with the pages in `docs/findings`.

use crate::report::Severity::{Error, Note, Warning};
use crate::report::{Code, Severity};

/// How severe a finding is if it is about a program outside the program directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// One step lower, because possibly nothing ever starts that program.
    Lower,
    /// The same; or the finding is never about such a program.
    Same,
}

use Elsewhere::{Lower, Same};

/// Each code, the severities that its drafts can have (the usual one first), and what holds elsewhere; sorted.
#[rustfmt::skip]
pub(super) const SEVERITIES: &[(&str, &[Severity], Elsewhere)] = &[
    ("allow-unused", &[Warning], Same),
    ("android-binary", &[Error, Note], Lower),
    ("appimage", &[Warning], Lower),
    ("caps-refused", &[Warning, Note], Same),
    ("cmd-not-executable", &[Error], Same),
    ("cmd-not-found", &[Error], Same),
    ("dlopen-missing", &[Warning, Note], Lower),
    ("elf-corrupt", &[Error], Lower),
    ("elf-phnum", &[Error, Note], Lower),
    ("elf-tables", &[Error, Note], Lower),
    ("elf-truncated", &[Error], Lower),
    ("env-command-missing", &[Error], Lower),
    ("env-invalid", &[Error, Warning], Same),
    ("env-loop", &[Error], Lower),
    ("env-not-expanded", &[Warning], Same),
    ("env-split", &[Error], Lower),
    ("exec-stack", &[Warning], Same),
    ("gconv-missing", &[Note], Same),
    ("glibc-mix", &[Error, Warning], Lower),
    ("healthcheck-invalid", &[Warning], Same),
    ("hwcaps-broken", &[Error], Lower),
    ("interp-dangling", &[Error], Lower),
    ("interp-empty", &[Error], Lower),
    ("interp-malformed", &[Error], Lower),
    ("interp-missing", &[Error], Lower),
    ("interp-not-elf", &[Error], Lower),
    ("interp-not-executable", &[Error], Lower),
    ("interp-relative", &[Warning], Lower),
    ("interp-wrong-arch", &[Error], Lower),
    ("layer-directory-mode", &[Warning], Same),
    ("layer-hides-link", &[Warning, Note], Same),
    ("layer-refused", &[Error, Warning], Same),
    ("layers-too-many", &[Error], Same),
    ("ld-cache-empty", &[Warning], Same),
    ("lib-blocked", &[Error], Lower),
    ("lib-missing", &[Error], Lower),
    ("lib-truncated", &[Error], Lower),
    ("lib-wrong-arch", &[Error], Lower),
    ("libc-mix", &[Error, Warning], Lower),
    ("loader-flavour", &[Warning], Lower),
    ("loader-unknown", &[Note], Same),
    ("mount-point-missing", &[Warning], Same),
    ("musl-path-file", &[Error], Lower),
    ("needs-isa-level", &[Warning, Note], Lower),
    ("not-a-program", &[Error, Warning], Same),
    ("not-verified", &[Note], Same),
    ("nss-missing", &[Warning], Same),
    ("origin-needs-proc", &[Error], Same),
    ("origin-secure", &[Error], Lower),
    ("other-system", &[Note], Same),
    ("packed", &[Note], Same),
    ("page-align", &[Note], Same),
    ("path-relative", &[Warning], Same),
    ("plugin-lib-missing", &[Warning], Same),
    ("policy-libc", &[Error], Lower),
    ("policy-size", &[Error], Same),
    ("policy-static", &[Error], Lower),
    ("port-invalid", &[Warning], Same),
    ("preload-bad", &[Warning], Lower),
    ("reloc-unsupported", &[Error], Lower),
    ("relr-old-musl", &[Error], Lower),
    ("relr-unmarked", &[Error], Lower),
    ("rpath-cwd", &[Warning], Lower),
    ("rpath-dst-musl", &[Error], Lower),
    ("script-argument", &[Error], Lower),
    ("script-bom", &[Error], Lower),
    ("script-crlf", &[Error, Warning], Lower),
    ("script-depth", &[Error], Lower),
    ("script-empty", &[Error, Note], Same),
    ("script-interp-missing", &[Error], Lower),
    ("script-line-too-long", &[Error], Lower),
    ("script-no-shebang", &[Error, Note], Same),
    ("script-unreadable", &[Error], Same),
    ("stop-signal-invalid", &[Warning], Same),
    ("symbol-missing", &[Error, Warning], Lower),
    ("unreadable", &[Error], Same),
    ("user-id-invalid", &[Error], Same),
    ("user-missing", &[Error], Same),
    ("version-missing", &[Error], Lower),
    ("version-no-info", &[Warning, Error], Lower),
    ("volume-invalid", &[Error, Warning], Same),
    ("workdir-invalid", &[Error, Warning], Same),
    ("wrong-arch", &[Error], Lower),
    ("wrong-arch-32", &[Warning], Lower),
    ("xattrs-lost", &[Warning], Same),
];

fn row(code: &Code) -> Option<&'static (&'static str, &'static [Severity], Elsewhere)> {
    SEVERITIES.iter().find(|(name, _, _)| *name == code.0)
}

/// Whether a draft with this code can have this severity.
pub(super) fn is_listed(code: &Code, severity: Severity) -> bool {
    row(code).is_some_and(|(_, own, _)| own.contains(&severity))
}

/// The severity of a finding about a program outside the program directories.
pub(super) fn elsewhere(code: &Code, severity: Severity) -> Severity {
    match (row(code), severity) {
        (Some((_, _, Lower)), Error) => Warning,
        (Some((_, _, Lower)), Warning | Note) => Note,
        (Some((_, _, Same)) | None, severity) => severity,
    }
}
