//! The same comparison with real loaders as in `conformance.rs`, for further architectures under qemu-user.
//!
//! All programs of all roots are compared by `tests/architectures/compare`, which is not part of the test command because it takes
//! minutes and downloads a minbase for each architecture. Here a few packages of two of them are compared: armhf has 32-bit files
//! and relocations without addends, s390x is big-endian.

use std::io::Write;
use std::path::{Path, PathBuf};

use sazare::link::{Purpose, StartVerdict};
use sazare::platform::{Abi, Arch};
use sazare::report::Severity;

use crate::conformance::{FINDINGS, Root, Trace, glibc, musl};
use crate::outside::{checkout, command, install, missing, run, sazare};

/// How many differences of one root are printed.
const SHOWN: usize = 5;

/// What was compared.
#[derive(Debug, Default)]
struct Sums {
    programs: usize,
    names: usize,
    missing: usize,
    unresolved: usize,
    /// Programs of which [`is_forgotten`] holds.
    forgotten: usize,
    differences: Vec<String>,
}

/// The architecture and the ABI that Debian has this word for.
fn abi_of(debian: &str) -> (Arch, &'static Abi) {
    let all = Arch::ALL.into_iter().flat_map(|arch| arch.facts().abis.iter().map(move |abi| (arch, abi)));
    all.into_iter().find(|(_, abi)| abi.debian == debian).unwrap_or_else(|| panic!("no ABI for {debian}"))
}

/// Whether all that differs are symbols that only we miss, in a program that also lacks a library. While it lists (and only then),
/// glibc 2.41 forgets the versions with the highest numbers if they are needed of a library that is missing, and takes any
/// symbol of the name: `chage` asks for `reallocarray` of LIBBSD_0.7, libbsd is missing, and the one of libc.so.6 is taken.
fn is_forgotten(ours: &Trace, theirs: &Trace) -> bool {
    let same = (&ours.found, &ours.missing) == (&theirs.found, &theirs.missing);
    same && !ours.missing.is_empty()
        && ours.unresolved != theirs.unresolved
        && ours.unresolved.is_superset(&theirs.unresolved)
}

/// Compares the programs of a root, and checks a minbase for false alarms.
fn compare(folder: PathBuf, most: usize) -> Sums {
    let name = folder.file_name().unwrap().to_str().unwrap().to_string();
    let (arch, abi) = abi_of(name.rsplit('-').next().unwrap());
    let root = Root::at(folder, arch, abi);
    let under_musl = name.starts_with("musl");
    let oracle = |program: &str| Some(if under_musl { musl(&root, program) } else { glibc(&root, program) });
    let mut sums = Sums::default();
    root.each(most, oracle, |program, ours, theirs| {
        sums.programs += 1;
        sums.names += theirs.found.len();
        sums.missing += theirs.missing.len();
        sums.unresolved += theirs.unresolved.len();
        if is_forgotten(&ours, &theirs) {
            sums.forgotten += 1;
        } else if ours != theirs {
            sums.differences.push(format!("{name} {program}: we say {ours:?}, the loader {theirs:?}"));
        }
    });
    if name.starts_with("glibc") {
        let verified = root.judge(Purpose::Plain);
        let known = |code: &str, path: &str| FINDINGS.iter().any(|known| (known.0, known.1) == (code, path));
        for finding in verified.report.findings {
            if finding.severity == Severity::Error || !known(finding.code.0, finding.subject.as_str()) {
                sums.differences.push(format!("{name}: {finding:?}"));
            }
        }
        let starts = verified.programs.iter().filter(|program| program.verdict == StartVerdict::Starts).count();
        assert!(starts >= sums.programs, "{name}: {starts} are said to start, {} were compared", sums.programs);
    }
    sums
}

fn check(sums: &Sums) {
    let shown: Vec<&str> = sums.differences.iter().take(SHOWN).map(String::as_str).collect();
    assert!(shown.is_empty(), "{} differences\n{}", sums.differences.len(), shown.join("\n"));
}

/// A root of a few packages; `None` if it cannot be made or entered.
fn sample(name: &str, most: usize) -> Option<Sums> {
    let (arch, _) = abi_of(name.rsplit('-').next().unwrap());
    let emulator = format!("qemu-{}-static", arch.facts().qemu);
    if missing(&["root", "apt-get", "dpkg-deb", "python3", "unshare", &emulator]) {
        return None;
    }
    let roots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("architectures");
    let suite = name.split_once('-').unwrap().1;
    let mut make = command(checkout().join("tests/architectures/roots"), [&roots]);
    let answer = run(make.arg(suite).env("PACKAGES", "libc-bin coreutils dash bash perl-base"));
    if answer.code != 0 {
        let _ = writeln!(std::io::stderr(), "{}", answer.text());
    }
    let folder = roots.join(name);
    (!missing(&[folder.to_str().unwrap()])).then(|| compare(folder, most))
}

/// Whole and with libraries missing under glibc, with symbols missing under musl.
fn compare_sample(arch: &str) {
    for (kind, most) in [("glibc", 40), ("thin", 40), ("musl", 12)] {
        let Some(sums) = sample(&format!("{kind}-bookworm-{arch}"), most) else { return };
        check(&sums);
        assert_eq!(sums.forgotten, 0, "{kind} {arch}");
        let is_telling = match kind {
            "glibc" => sums.names > 50,
            "thin" => sums.missing > 0,
            _ => sums.unresolved > 0,
        };
        assert!(sums.programs >= 10 && is_telling, "{kind} {arch}: {sums:?}");
    }
}

/// A program of the sample is bundled, becomes an image and an initramfs, and runs in both.
fn run_sample(debian: &str) {
    let (arch, _) = abi_of(debian);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("architectures/glibc-bookworm-{debian}"));
    if missing(&["root", root.to_str().unwrap(), &format!("qemu-{}-static", arch.facts().qemu)]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    // Nobody names the platform: the program says it.
    let (image, initramfs) = (at("app.tar"), at("app.cpio"));
    let bundle = at("bundle");
    let built =
        sazare(["bundle", "/usr/bin/dash", "--root", root.to_str().unwrap(), "-o", &format!("rootfs:{bundle}")]);
    assert_eq!(built.code, 0, "{}", built.text());
    let seen = sazare(["inspect", &format!("rootfs:{bundle}")]);
    let platform = format!("linux/{}", arch.facts().oci);
    assert!(seen.text().contains(&format!("{platform}, as its programs say")), "{}", seen.text());
    let verified = sazare(["verify", &format!("rootfs:{bundle}")]);
    assert!(verified.code == 0 && verified.text().contains("it starts"), "{}", verified.text());
    for (output, name) in [(&image, "app.tar"), (&initramfs, "app.cpio")] {
        let mut build = vec!["build", &bundle, "-o", output];
        if name == "app.tar" {
            build.extend(["--entrypoint", "/usr/bin/dash", "-t", "app"]);
        } else {
            std::fs::copy(format!("{bundle}/usr/bin/dash"), format!("{bundle}/init")).unwrap();
        }
        let built = sazare(build);
        assert_eq!(built.code, 0, "{name}: {}", built.text());
        let tried = sazare(["try", "-q", output, "--trust", "--", "/usr/bin/dash", "-c", "echo it runs"]);
        assert_eq!((tried.code, tried.out.as_str()), (0, "it runs\n"), "{name}: {}", tried.text());
    }
}

/// A program for armhf beside one for arm64 is verified by its own loader, and runs under its own emulator.
fn run_beside_64_bits() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("architectures/glibc-bookworm-armhf");
    if missing(&["root", root.to_str().unwrap(), "qemu-arm-static"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let place = format!("rootfs:{}", bundle.display());
    let built = sazare(["bundle", "/usr/bin/dash", "--root", root.to_str().unwrap(), "-o", &place]);
    assert_eq!(built.code, 0, "{}", built.text());
    install(checkout().join("images/hello/arm64/bin/hello"), bundle.join("usr/bin/hello"));
    let verified = sazare(["verify", &place]);
    assert!(
        verified.code == 0 && verified.text().contains("warning[wrong-arch-32] linux/arm64 /usr/bin/dash"),
        "{}",
        verified.text()
    );
    let tried = sazare(["try", "-q", &place, "--trust", "--", "/usr/bin/dash", "-c", "echo it runs"]);
    assert_eq!((tried.code, tried.out.as_str()), (0, "it runs\n"), "{}", tried.text());
    std::fs::remove_file(bundle.join("lib/arm-linux-gnueabihf/libc.so.6")).unwrap();
    let verified = sazare(["verify", &place]);
    let tried = sazare(["try", "-q", &place, "--trust", "--", "/usr/bin/dash", "-c", "echo it runs"]);
    let words =
        "error while loading shared libraries: libc.so.6: cannot open shared object file: No such file or directory";
    assert!(verified.code == 1 && verified.text().contains(words), "{}", verified.text());
    assert!(tried.text().contains(words), "{}", tried.text());
}

#[test]
fn programs_of_32_bits_are_loaded_as_their_loaders_load_them() {
    compare_sample("armhf");
    run_sample("armhf");
    run_beside_64_bits();
}

#[test]
fn big_endian_programs_are_loaded_as_their_loaders_load_them() {
    compare_sample("s390x");
    run_sample("s390x");
}

/// Prints one line for each root in `SAZARE_ROOTS`.
#[test]
#[ignore = "started by tests/architectures/compare"]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a command that gets a folder and prints what it compared"
)]
fn all_programs_of_all_roots() {
    let folder = std::env::var_os("SAZARE_ROOTS").expect("started by tests/architectures/compare");
    let mut roots: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    roots.retain(|root| root.is_dir() && root.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    roots.sort();
    let mut all = Sums::default();
    println!(
        "| root | programs | names | missing | symbols | forgotten | differences |\n|---|---|---|---|---|---|---|"
    );
    for root in roots {
        let name = root.file_name().unwrap().to_string_lossy().into_owned();
        let sums = compare(root, usize::MAX);
        let (programs, names, symbols) = (sums.programs, sums.names, sums.unresolved);
        let (missing, forgotten, differences) = (sums.missing, sums.forgotten, sums.differences.len());
        println!("| {name} | {programs} | {names} | {missing} | {symbols} | {forgotten} | {differences} |");
        all.programs += programs;
        all.differences.extend(sums.differences);
    }
    check(&all);
    assert!(all.programs > 0, "no programs were compared");
}
