//! Tests that every architecture and ABI is verified with the same rules, on small trees of forged files that differ only in the
//! architecture.

use std::collections::BTreeMap;

use crate::elf::forge::Forge;
use crate::link::sample::Sample;
use crate::link::{Closures, Policy, Purpose, StartVerdict, Subject, Verification, ld_cache, verify};
use crate::platform::{Abi, Arch, Platform, RefusedFlags};

fn verified(sample: &Sample, platform: &str) -> Verification {
    let (platform, policy) = (platform.parse().unwrap(), Policy::default());
    verify(&Subject::new(&sample.tree, &platform, Purpose::Plain, &policy)).unwrap()
}

/// Severity, code and path of everything found, sorted.
fn found(sample: &Sample, platform: &str) -> Vec<String> {
    let findings = verified(sample, platform).report.findings;
    let mut found: Vec<String> =
        findings.iter().map(|one| format!("{} {} {}", one.severity, one.code, one.subject.as_str())).collect();
    found.sort();
    found
}

/// Every ABI of every architecture.
fn abis() -> impl Iterator<Item = (Arch, usize, &'static Abi)> {
    Arch::ALL
        .into_iter()
        .flat_map(|arch| arch.facts().abis.iter().enumerate().map(move |(number, abi)| (arch, number, abi)))
}

fn app(arch: Arch, loader: &str, needed: &[&str], calls: &[&str], uses: &[&str]) -> Forge {
    let bytes = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let forge = Forge { needed: bytes(needed), calls: bytes(calls), uses: bytes(uses), ..Forge::dynamic(loader) };
    Forge::of(arch, Forge { align: 0x10000, ..forge })
}

fn library(arch: Arch, soname: &str, defines: &[&str]) -> Forge {
    let defines = defines.iter().map(|name| name.as_bytes().to_vec()).collect();
    let versions = vec![soname.into(), "V_1".into()];
    Forge::of(arch, Forge { defines, version_definitions: versions, align: 0x10000, ..Forge::library(soname) })
}

#[test]
fn a_program_under_glibc_finds_libraries_symbols_and_versions() {
    for (arch, number, abi) in abis() {
        let (platform, folder) = (Platform::new(arch).to_string(), format!("/usr/lib/{}", abi.triplet));
        let at = |name: &str| format!("{folder}/{name}");
        let program = |calls: &[&str], uses: &[&str], version: &str| Forge {
            version_needs: vec![("liba.so.1".into(), vec![version.into()])],
            ..app(arch, abi.glibc_loader, &["liba.so.1"], calls, uses)
        };
        let base = || {
            let loader = Forge { align: 0x10000, ..Forge::glibc_of(arch, number) };
            Sample::new().elf(abi.glibc_loader, &loader).elf(&at("liba.so.1"), &library(arch, "liba.so.1", &["a", "b"]))
        };
        let of = |forge: &Forge| found(&base().elf("/bin/app", forge), &platform);
        assert_eq!(of(&program(&["a"], &["b"], "V_1")), Vec::<String>::new(), "{platform} {}", abi.triplet);
        assert_eq!(of(&program(&["a"], &["x"], "V_1")), ["error symbol-missing /bin/app"], "{platform}");
        assert_eq!(of(&program(&["x"], &["b"], "V_1")), ["warning symbol-missing /bin/app"], "{platform}");
        assert_eq!(of(&program(&["a"], &["b"], "V_2")), ["error version-missing /bin/app"], "{platform}");
        let lacking = app(arch, abi.glibc_loader, &["liba.so.1", "libq.so.1"], &[], &[]);
        assert_eq!(of(&lacking), ["error lib-missing /bin/app"], "{platform}");
        let bare = Sample::new().elf("/bin/app", &lacking);
        assert_eq!(found(&bare, &platform), ["error interp-missing /bin/app"], "{platform}");
    }
}

#[test]
fn a_program_under_musl_finds_libraries_and_symbols() {
    for (arch, number, abi) in abis() {
        let platform = Platform::new(arch).to_string();
        let base = || {
            let loader = Forge { align: 0x10000, ..Forge::musl_of(arch, number, true) };
            Sample::new().elf(abi.musl_loader, &loader).elf("/usr/lib/liba.so", &library(arch, "liba.so", &["a"]))
        };
        let of = |calls: &[&str], needed: &[&str], relocations: Vec<u32>| {
            let app = Forge { relocations, ..app(arch, abi.musl_loader, needed, calls, &["stdin"]) };
            found(&base().elf("/bin/app", &app), &platform)
        };
        assert_eq!(of(&["a", "puts"], &["libc.so", "liba.so"], vec![]), Vec::<String>::new(), "{platform}");
        assert_eq!(of(&["x"], &["libc.so", "liba.so"], vec![]), ["error symbol-missing /bin/app"], "{platform}");
        assert_eq!(of(&[], &["libc.so", "libq.so"], vec![]), ["error lib-missing /bin/app"], "{platform}");
        let irelative = arch.facts().relocations.irelative;
        let of_ifunc = of(&["puts"], &["libc.so"], vec![irelative]);
        assert_eq!(of_ifunc, ["error reloc-unsupported /bin/app"], "{platform}");
    }
}

#[test]
fn a_static_program_starts_and_is_foreign_everywhere_else() {
    let platforms = Platform::verified();
    for arch in Arch::ALL {
        let program = Forge::of(arch, Forge { align: 0x10000, ..Forge::program() });
        let sample = Sample::new().elf("/bin/app", &program);
        for platform in &platforms {
            let expected: &[&str] = match platform.arch() {
                Some(own) if own == arch => &[],
                Some(own) if own.compat() == Some(arch) => &["warning wrong-arch-32 /bin/app"],
                _ => &["error wrong-arch /bin/app"],
            };
            assert_eq!(found(&sample, &platform.to_string()), expected, "{arch:?} on {platform}");
        }
    }
}

#[test]
fn a_cache_that_is_written_is_read_by_the_loader_of_every_abi() {
    for (arch, number, abi) in abis() {
        let loader = Forge { align: 0x10000, ..Forge::glibc_of(arch, number) };
        let cache = BTreeMap::from([(b"liba.so.1".to_vec(), b"/opt/x/liba.so.1".to_vec())]);
        let sample = Sample::new()
            .elf(abi.glibc_loader, &loader)
            .elf("/opt/x/liba.so.1", &library(arch, "liba.so.1", &["a"]))
            .bytes("/etc/ld.so.cache", 0o644, &ld_cache(arch, &cache))
            .elf("/bin/app", &app(arch, abi.glibc_loader, &["liba.so.1"], &["a"], &[]));
        let closure = Closures::new(&sample.tree, &Platform::new(arch)).of(&"/bin/app".parse().unwrap()).unwrap();
        assert_eq!(closure.libraries, [(b"liba.so.1".to_vec(), b"/opt/x/liba.so.1".to_vec())], "{}", abi.triplet);
    }
}

/// Debian's loaders of armhf, armel and riscv64, run under qemu-user, skip such a library.
#[test]
fn glibc_passes_over_a_library_of_another_abi() {
    for (arch, number, abi) in abis() {
        let flags = match abi.refused {
            RefusedFlags::None => continue,
            RefusedFlags::Any(bits) => bits,
            RefusedFlags::Unless { mask, value } => !value & mask,
        };
        let folders = [format!("/lib/{}", abi.triplet), format!("/usr/lib/{}", abi.triplet)];
        let other = Forge { flags, ..library(arch, "liba.so.1", &["a"]) };
        let loader = Forge { align: 0x10000, ..Forge::glibc_of(arch, number) };
        let sample = Sample::new()
            .elf(abi.glibc_loader, &loader)
            .elf(&format!("{}/liba.so.1", folders[0]), &other)
            .elf("/bin/app", &app(arch, abi.glibc_loader, &["liba.so.1"], &["a"], &[]));
        let platform = Platform::new(arch).to_string();
        assert_eq!(found(&sample, &platform), ["error lib-wrong-arch /bin/app"], "{}", abi.triplet);
        let sample = sample.elf(&format!("{}/liba.so.1", folders[1]), &library(arch, "liba.so.1", &["a"]));
        assert_eq!(found(&sample, &platform), Vec::<String>::new(), "{}", abi.triplet);
    }
}

#[test]
fn a_32_bit_program_in_a_64_bit_image_is_verified_by_its_own_loader() {
    for platform in ["linux/amd64", "linux/arm64"] {
        let arch = platform.parse::<Platform>().unwrap().arch().unwrap().compat().unwrap();
        for (number, abi) in arch.facts().abis.iter().enumerate() {
            let program = app(arch, abi.glibc_loader, &["liba.so.1"], &["a"], &[]);
            let sample =
                || Sample::new().elf(abi.glibc_loader, &Forge::glibc_of(arch, number)).elf("/bin/app", &program);
            let own = format!("/usr/lib/{}/liba.so.1", abi.triplet);
            let whole = sample().elf(&own, &library(arch, "liba.so.1", &["a"]));
            assert_eq!(found(&whole, platform), ["warning wrong-arch-32 /bin/app"]);
            assert_eq!(verified(&whole, platform).programs[0].verdict, StartVerdict::MayFail);
            let missing = ["error lib-missing /bin/app", "warning wrong-arch-32 /bin/app"];
            assert_eq!(found(&sample(), platform), missing);
            // A library for the image's own architecture has the other class.
            let wide = library(platform.parse::<Platform>().unwrap().arch().unwrap(), "liba.so.1", &["a"]);
            let wrong = ["error lib-wrong-arch /bin/app", "warning wrong-arch-32 /bin/app"];
            assert_eq!(found(&sample().elf(&own, &wide), platform), wrong);
        }
    }
}

#[test]
fn the_programs_of_other_platforms_are_not_verified_and_that_is_said() {
    for platform in ["linux/mips", "linux/ppc64", "freebsd/amd64", "windows/amd64"] {
        let sample = Sample::new().elf("/bin/app", &Forge::dynamic("/libexec/ld-elf.so.1"));
        let verified = verified(&sample, platform);
        assert_eq!(found(&sample, platform), ["note not-verified /"]);
        assert!(verified.report.findings[0].message.contains(platform) && verified.programs.is_empty());
    }
}
