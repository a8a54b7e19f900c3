//! All codes, each with its summary and its page.

use crate::report::Code;

use super::{glibc, init, kernel, layers, lookup, musl, process, script, settings, verify};

/// The explanation of one code.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// Its page: Markdown that starts with `# CODE: summary`.
    pub page: &'static str,
}

impl Explanation {
    /// The summary in the page's first line.
    pub fn summary(&self) -> &'static str {
        let line = self.page.lines().next().unwrap_or_default();
        line.split_once(": ").map_or(line, |(_, summary)| summary)
    }
}

/// One row: the code and its page, whose first line is `# CODE: summary`.
macro_rules! pages {
    ($($code:expr => $file:literal,)*) => {
        &[$(Explanation { code: $code, page: include_str!(concat!("../../docs/findings/", $file, ".md")) },)*]
    };
}

/// Every code that the verifier can find, with its page from `docs/findings/`; sorted.
pub const CODES: &[Explanation] = pages! {
    verify::accept::ALLOW_UNUSED => "allow-unused",
    kernel::exec::ANDROID_BINARY => "android-binary",
    kernel::exec::APPIMAGE => "appimage",
    kernel::caps::CAPS_REFUSED => "caps-refused",
    lookup::CMD_NOT_EXECUTABLE => "cmd-not-executable",
    lookup::CMD_NOT_FOUND => "cmd-not-found",
    glibc::notes::DLOPEN_MISSING => "dlopen-missing",
    kernel::exec::ELF_CORRUPT => "elf-corrupt",
    kernel::exec::ELF_PHNUM => "elf-phnum",
    process::ELF_TABLES => "elf-tables",
    kernel::exec::ELF_TRUNCATED => "elf-truncated",
    script::first_line::ENV_COMMAND_MISSING => "env-command-missing",
    settings::ENV_INVALID => "env-invalid",
    script::first_line::ENV_LOOP => "env-loop",
    settings::ENV_NOT_EXPANDED => "env-not-expanded",
    script::first_line::ENV_SPLIT => "env-split",
    verify::plugins::EXEC_STACK => "exec-stack",
    verify::whole::GCONV_MISSING => "gconv-missing",
    glibc::symbols::GLIBC_MIX => "glibc-mix",
    settings::HEALTHCHECK_INVALID => "healthcheck-invalid",
    glibc::levels::HWCAPS_BROKEN => "hwcaps-broken",
    kernel::exec::INTERP_DANGLING => "interp-dangling",
    kernel::exec::INTERP_EMPTY => "interp-empty",
    kernel::exec::INTERP_MALFORMED => "interp-malformed",
    kernel::exec::INTERP_MISSING => "interp-missing",
    kernel::exec::INTERP_NOT_ELF => "interp-not-elf",
    kernel::exec::INTERP_NOT_EXECUTABLE => "interp-not-executable",
    kernel::exec::INTERP_RELATIVE => "interp-relative",
    kernel::exec::INTERP_WRONG_ARCH => "interp-wrong-arch",
    layers::LAYER_DIRECTORY_MODE => "layer-directory-mode",
    layers::LAYER_HIDES_LINK => "layer-hides-link",
    layers::LAYER_REFUSED => "layer-refused",
    settings::LAYERS_TOO_MANY => "layers-too-many",
    verify::whole::LD_CACHE_EMPTY => "ld-cache-empty",
    process::LIB_BLOCKED => "lib-blocked",
    process::LIB_MISSING => "lib-missing",
    process::LIB_TRUNCATED => "lib-truncated",
    process::LIB_WRONG_ARCH => "lib-wrong-arch",
    musl::symbols::LIBC_MIX => "libc-mix",
    kernel::exec::LOADER_FLAVOUR => "loader-flavour",
    kernel::exec::LOADER_UNKNOWN => "loader-unknown",
    init::MOUNT_POINT_MISSING => "mount-point-missing",
    musl::load::MUSL_PATH_FILE => "musl-path-file",
    glibc::findings::NEEDS_ISA_LEVEL => "needs-isa-level",
    kernel::exec::NOT_A_PROGRAM => "not-a-program",
    verify::tree::NOT_VERIFIED => "not-verified",
    verify::whole::NSS_MISSING => "nss-missing",
    process::ORIGIN_NEEDS_PROC => "origin-needs-proc",
    process::ORIGIN_SECURE => "origin-secure",
    verify::others::OTHER_SYSTEM => "other-system",
    kernel::exec::PACKED => "packed",
    kernel::exec::PAGE_ALIGN => "page-align",
    lookup::PATH_RELATIVE => "path-relative",
    verify::plugins::PLUGIN_LIB_MISSING => "plugin-lib-missing",
    verify::accept::POLICY_LIBC => "policy-libc",
    verify::accept::POLICY_SIZE => "policy-size",
    verify::accept::POLICY_STATIC => "policy-static",
    settings::PORT_INVALID => "port-invalid",
    process::PRELOAD_BAD => "preload-bad",
    musl::symbols::RELOC_UNSUPPORTED => "reloc-unsupported",
    musl::symbols::RELR_OLD_MUSL => "relr-old-musl",
    glibc::symbols::RELR_UNMARKED => "relr-unmarked",
    process::RPATH_CWD => "rpath-cwd",
    musl::load::RPATH_DST_MUSL => "rpath-dst-musl",
    script::first_line::SCRIPT_ARGUMENT => "script-argument",
    script::first_line::SCRIPT_BOM => "script-bom",
    script::first_line::SCRIPT_CRLF => "script-crlf",
    script::first_line::SCRIPT_DEPTH => "script-depth",
    script::first_line::SCRIPT_EMPTY => "script-empty",
    script::first_line::SCRIPT_INTERP_MISSING => "script-interp-missing",
    script::first_line::SCRIPT_LINE_TOO_LONG => "script-line-too-long",
    script::first_line::SCRIPT_NO_SHEBANG => "script-no-shebang",
    script::first_line::SCRIPT_UNREADABLE => "script-unreadable",
    settings::STOP_SIGNAL_INVALID => "stop-signal-invalid",
    process::SYMBOL_MISSING => "symbol-missing",
    verify::check::UNREADABLE => "unreadable",
    settings::USER_ID_INVALID => "user-id-invalid",
    lookup::USER_MISSING => "user-missing",
    glibc::symbols::VERSION_MISSING => "version-missing",
    glibc::symbols::VERSION_NO_INFO => "version-no-info",
    settings::VOLUME_INVALID => "volume-invalid",
    settings::WORKDIR_INVALID => "workdir-invalid",
    kernel::exec::WRONG_ARCH => "wrong-arch",
    kernel::exec::WRONG_ARCH_32 => "wrong-arch-32",
    init::XATTRS_LOST => "xattrs-lost",
};

/// The page of a code.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|entry| entry.code.0 == code).map(|entry| entry.page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::link::severity::{Elsewhere, SEVERITIES, elsewhere};

    #[expect(clippy::disallowed_methods, reason = "the order of the file system ends in a sorted set")]
    fn files_below(folder: &str) -> BTreeSet<std::path::PathBuf> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                found.extend(files_below(&format!("{folder}/{}", entry.file_name().to_str().unwrap())));
            } else {
                found.insert(entry.path());
            }
        }
        found
    }

    #[test]
    fn every_code_has_one_page_and_no_page_is_left_over() {
        let codes: BTreeSet<String> = CODES.iter().map(|entry| entry.code.0.to_string()).collect();
        let pages: BTreeSet<String> = files_below("docs/findings")
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().trim_end_matches(".md").to_string())
            .filter(|name| name != "README")
            .collect();
        assert_eq!(codes, pages);
        let mut declared = BTreeSet::new();
        for path in files_below("src/link") {
            let text = fs::read_to_string(path).unwrap();
            for line in text.lines().filter(|line| line.starts_with("pub const") && line.contains(": Code = Code(")) {
                declared.insert(line.split('"').nth(1).unwrap().to_string());
            }
        }
        assert_eq!(codes, declared);
    }

    /// The severities that a text names.
    fn severities_in(text: &str) -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphabetic());
        words.filter(|word| ["error", "warning", "note"].contains(word)).map(str::to_string).collect()
    }

    #[test]
    fn the_severities_on_each_page_are_those_of_the_code() {
        assert!(SEVERITIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let listed: Vec<&str> = SEVERITIES.iter().map(|(code, _, _)| *code).collect();
        assert_eq!(listed, CODES.iter().map(|entry| entry.code.0).collect::<Vec<_>>());
        for (Explanation { code, page }, (_, own, lowered)) in CODES.iter().zip(SEVERITIES) {
            let line = page.lines().find_map(|line| line.strip_prefix("Severity: ")).unwrap();
            let mut expected: BTreeSet<String> = own.iter().map(ToString::to_string).collect();
            if !line.contains("one step lower outside the program directories") {
                expected.extend(own.iter().map(|severity| elsewhere(code, *severity).to_string()));
            }
            assert_eq!(severities_in(line), expected, "{code}");
            assert_eq!(line.contains("outside the program directories"), *lowered == Elsewhere::Lower, "{code}");
            assert!(line.starts_with(&own[0].to_string()), "{code}");
        }
    }

    #[test]
    fn the_index_lists_every_code_once_with_its_summary() {
        let index = include_str!("../../docs/findings/README.md");
        let mut listed: Vec<&str> = index.lines().filter(|line| line.starts_with("- [`")).collect();
        listed.sort_unstable();
        let mut expected: Vec<String> =
            CODES.iter().map(|entry| format!("- [`{0}`]({0}.md): {1}", entry.code, entry.summary())).collect();
        expected.sort();
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_table_is_sorted_and_each_page_names_its_code() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        for entry @ Explanation { code, page } in CODES {
            assert!(!entry.summary().is_empty(), "{code}");
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            let headings: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).skip(1).collect();
            assert_eq!(headings, ["## At run time", "## What to do"], "{code}");
            assert!(page.contains("\nSeverity: "), "{code}");
            assert_eq!(explain(code.0), Some(*page));
        }
        assert_eq!(explain("no-such-code"), None);
    }
}
