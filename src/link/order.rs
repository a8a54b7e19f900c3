//! Tests that a report does not depend on the order of the files, and that findings which several programs share become one.

use crate::elf::forge::Forge;
use crate::link::sample::Sample;
use crate::link::{Policy, Purpose, Subject, Verification, verify};
use crate::platform::{Arch, Platform};

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn verified(sample: &Sample) -> Verification {
    let (platform, policy) = (Platform::new(Arch::Amd64), Policy::default());
    let purpose = Purpose::Plain;
    verify(&Subject::new(&sample.tree, &platform, purpose, &policy)).unwrap()
}

fn needing(names: &[&str]) -> Forge {
    let needed = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    Forge { needed, ..Forge::dynamic(GLIBC) }
}

fn of_release(forge: Forge, release: &str) -> Forge {
    // One segment that can be executed holds all of a forged file; the text of a real one stands in another.
    Forge { text: format!("\0stable release version {release}.\0").into_bytes(), readable: true, ..forge }
}

#[test]
fn sixty_random_orders_of_the_files_give_one_report() {
    let iconv = |soname: &str| Forge { calls: vec!["iconv_open".into()], ..Forge::library(soname) };
    let other = Forge { text: b"\0stable release version 2.41.\0/opt/lib/\0/opt/lib64/\0".to_vec(), ..Forge::glibc() };
    let files: Vec<(String, Vec<u8>)> = [
        (GLIBC.to_string(), Forge::glibc().build()),
        ("/opt/ld-linux-x86-64.so.2".to_string(), other.build()),
        (
            "/lib/libc.so.6".to_string(),
            Forge { defines: vec!["iconv_open".into()], ..Forge::library("libc.so.6") }.build(),
        ),
        ("/lib/libb.so".to_string(), iconv("libb.so").build()),
        ("/lib/liba.so".to_string(), iconv("liba.so").build()),
        ("/bin/z".to_string(), needing(&["libb.so", "liba.so", "libc.so.6"]).build()),
        ("/bin/other".to_string(), Forge::dynamic("/opt/ld-linux-x86-64.so.2").build()),
        (
            "/usr/lib/x/plugin.so".to_string(),
            Forge { needed: vec!["libgone.so".into()], ..Forge::library("plugin.so") }.build(),
        ),
        ("/app/node_modules/x/arm".to_string(), Forge { machine: 183, ..Forge::program() }.build()),
        ("/etc/nsswitch.conf".to_string(), b"hosts: ldap\n".to_vec()),
        ("/bin/run".to_string(), b"#!/usr/bin/env nothing\n".to_vec()),
    ]
    .into_iter()
    .chain((0..9).map(|number| (format!("/bin/p{number}"), needing(&["libgone.so"]).build())))
    .collect();
    // A fixed sequence: the same on every machine.
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut first = None;
    for _ in 0..60 {
        let mut order: Vec<usize> = (0..files.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, next(at + 1));
        }
        let sample =
            order.into_iter().fold(Sample::new(), |sample, at| sample.bytes(&files[at].0, 0o755, &files[at].1));
        let result = verified(&sample);
        let seen = (result.report, result.programs);
        assert_eq!(*first.get_or_insert(seen.clone()), seen);
    }
    let (report, _) = first.unwrap();
    let codes: Vec<&str> = report.findings.iter().map(|finding| finding.code.0).collect();
    assert_eq!(
        codes,
        ["lib-missing", "script-interp-missing", "nss-missing", "gconv-missing", "plugin-lib-missing", "other-system"]
    );
}

#[test]
fn programs_that_share_one_absent_library_are_one_finding() {
    let sample = (0..15).fold(Sample::new().elf(GLIBC, &Forge::glibc()), |sample, number| {
        sample.elf(&format!("/bin/p{number:02}"), &needing(&["libgone.so"]))
    });
    let findings = verified(&sample).report.findings;
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].subject.as_str(), findings[0].also.len()), ("/bin/p00", 14));
    let last = findings[0].evidence.last().unwrap();
    assert_eq!(last.subject, "the same holds for 14 other programs");
    assert!(
        last.detail.starts_with("/bin/p01, /bin/p02, ") && last.detail.ends_with(", and 2 more"),
        "{}",
        last.detail
    );
    // Outside the program directories it is less severe, so it stays a separate finding.
    let findings = verified(&sample.elf("/srv/p", &needing(&["libgone.so"]))).report.findings;
    assert_eq!(findings.len(), 2);
}

#[test]
fn loader_and_c_library_are_of_one_release() {
    let with = |loader: &str, libc: &str| {
        let text = String::from_utf8(Forge::glibc().text).unwrap().replace("2.36", loader);
        let sample = Sample::new()
            .elf(GLIBC, &Forge { text: text.into_bytes(), ..Forge::glibc() })
            .elf("/lib/libc.so.6", &of_release(Forge::library("libc.so.6"), libc))
            .elf("/bin/app", &needing(&["libc.so.6"]));
        let findings = verified(&sample).report.findings;
        findings.iter().map(|one| format!("{} {}: {}", one.severity, one.code, one.message)).collect::<Vec<_>>()
    };
    assert_eq!(with("2.36", "2.36"), Vec::<String>::new());
    let words = |loader, libc| {
        format!("glibc-mix: is loaded by {GLIBC} of glibc {loader}, but /lib/libc.so.6 is of glibc {libc}")
    };
    assert_eq!(with("2.41", "2.36"), [format!("error {}", words("2.41", "2.36"))]);
    assert_eq!(with("2.9", "2.36"), [format!("warning {}", words("2.9", "2.36"))]);
}

#[test]
fn the_release_that_is_needed_is_that_of_all_libraries_of_glibc() {
    let with = |needs: Vec<(&str, Vec<&str>)>| {
        let version_needs = needs
            .iter()
            .map(|(file, versions)| {
                (file.as_bytes().to_vec(), versions.iter().map(|version| version.as_bytes().to_vec()).collect())
            })
            .collect();
        let app = Forge { version_needs, ..needing(&["libc.so.6", "libm.so.6"]) };
        let provider = |name: &str| Forge {
            version_definitions: [name, "GLIBC_2.34", "GLIBC_2.38", "GLIBC_ABI_DT_RELR", "GLIBC_ABI_GNU2_TLS"]
                .map(|name| name.as_bytes().to_vec())
                .into(),
            ..Forge::library(name)
        };
        let sample = Sample::new()
            .elf(GLIBC, &Forge::glibc())
            .elf("/lib/libc.so.6", &provider("libc.so.6"))
            .elf("/lib/libm.so.6", &provider("libm.so.6"))
            .elf("/bin/app", &app);
        let required = verified(&sample).programs.remove(0).needs_glibc.unwrap();
        (required.version.to_string(), required.marks)
    };
    assert_eq!(with(vec![("libc.so.6", vec!["GLIBC_2.34"])]), ("2.34".into(), vec![]));
    assert_eq!(
        with(vec![("libc.so.6", vec!["GLIBC_2.34"]), ("libm.so.6", vec!["GLIBC_2.38"])]),
        ("2.38".into(), vec![])
    );
    assert_eq!(with(vec![("libc.so.6", vec!["GLIBC_2.34", "GLIBC_ABI_DT_RELR"])]), ("2.36".into(), vec![]));
    assert_eq!(
        with(vec![("libc.so.6", vec!["GLIBC_2.34", "GLIBC_ABI_GNU2_TLS"])]),
        ("2.34".into(), vec!["GLIBC_ABI_GNU2_TLS".into()])
    );
}

#[test]
fn a_file_is_called_a_link_only_if_it_is_one() {
    let merged =
        Sample::new().link("/lib64", "usr/lib64").link("/lib", "usr/lib").directory("/usr/lib64").directory("/usr/lib");
    let findings = verified(&merged.elf("/usr/bin/app", &needing(&["libc.so.6"]))).report.findings;
    assert_eq!(findings[0].code.0, "interp-missing", "the directory is the link");
    assert!(findings[0].fix.as_ref().unwrap().contains("libc6"));
    let merged = Sample::new().link("/lib", "usr/lib").elf(GLIBC, &Forge::glibc()).link("/usr/lib/liba.so", "gone");
    let findings = verified(&merged.elf("/usr/bin/app", &needing(&["liba.so", "libb.so"]))).report.findings;
    let detail = |finding: usize, path: &str| {
        let evidence = &findings[finding].evidence;
        evidence.iter().find(|line| line.subject == path).map(|line| line.detail.clone()).unwrap_or_default()
    };
    assert_eq!(detail(0, "/lib/liba.so"), "a symlink to /usr/lib/gone, which does not exist; system directory");
    assert_eq!(detail(1, "/lib/libb.so"), "absent; system directory");
    let library = Forge { needed: vec!["libx.so".into()], ..Forge::library("liba.so") };
    let tree = Sample::new()
        .elf(GLIBC, &Forge::glibc())
        .elf("/lib/liba.so", &library)
        .elf("/opt/lib/libx.so", &Forge::library("libx.so"));
    let findings = verified(&tree.elf("/usr/bin/app", &needing(&["liba.so"]))).report.findings;
    assert!(
        findings[0].fix.as_ref().unwrap().starts_with("add /opt/lib to the RUNPATH of /lib/liba.so"),
        "{:?}",
        findings[0].fix
    );
    let tree = Sample::new().elf(MUSL, &Forge::musl(true)).elf("/opt/lib/libx.so", &Forge::library("libx.so"));
    let app = Forge { needed: vec!["libx.so".into()], calls: vec!["x".into()], ..Forge::dynamic(MUSL) };
    let findings = verified(&tree.elf("/bin/app", &app)).report.findings;
    assert_eq!(findings.len(), 1, "the absent symbol is a consequence");
    let fix = findings[0].fix.as_ref().unwrap();
    assert!(fix.ends_with("make /etc/ld-musl-x86_64.path with /lib:/usr/local/lib:/usr/lib:/opt/lib in it, because it replaces the default"), "{fix}");
}

#[test]
fn what_newer_cpus_take_is_verified_for_each_level() {
    let with = |sample: Sample, runpath: &str| {
        let app = Forge { runpath: Some(runpath.into()), ..needing(&["liba.so"]) };
        let findings = verified(&sample.elf(GLIBC, &Forge::glibc()).elf("/bin/app", &app)).report.findings;
        findings.iter().map(|one| format!("{} {}: {}", one.severity, one.code, one.message)).collect::<Vec<_>>()
    };
    let library = Forge::library("liba.so");
    let only = |directory: &str| Sample::new().elf(&format!("/opt/{directory}/liba.so"), &library);
    assert_eq!(
        with(only("x86_64"), "/opt/$PLATFORM"),
        [
            "error hwcaps-broken: starts on older CPUs, but on x86-64-v3 and newer it needs the library liba.so, which glibc's loader does not find"
        ]
    );
    assert_eq!(
        with(only("haswell"), "/opt/$PLATFORM"),
        ["warning needs-isa-level: finds its libraries on CPUs of x86-64-v3 and newer only"]
    );
    assert_eq!(with(only("x86_64").elf("/opt/haswell/liba.so", &library), "/opt/$PLATFORM"), Vec::<String>::new());
    let broken = |level: &str| {
        Sample::new().elf("/opt/liba.so", &library).text(&format!("/opt/glibc-hwcaps/{level}/liba.so"), 0o644, "")
    };
    let words = |cpus: &str, level: &str| {
        format!(
            "error hwcaps-broken: starts on older CPUs, but on {cpus} it needs the library liba.so, and the first file of that name is \
             empty: /opt/glibc-hwcaps/{level}/liba.so"
        )
    };
    assert_eq!(with(broken("x86-64-v2"), "/opt"), [words("x86-64-v2 and newer (nearly every CPU)", "x86-64-v2")]);
    assert_eq!(with(broken("x86-64-v4"), "/opt"), [words("x86-64-v4 and newer", "x86-64-v4")]);
    // A good one of a newer level hides it.
    let hidden = broken("x86-64-v2").elf("/opt/glibc-hwcaps/x86-64-v3/liba.so", &library);
    assert_eq!(with(hidden, "/opt"), [words("x86-64-v2", "x86-64-v2")]);
}
