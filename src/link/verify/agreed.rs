//! The platform that the programs of a root are for. It is used if nobody names a platform.

use std::collections::BTreeMap;

use crate::link::files::Files;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::{ContentError, Tree};

use super::programs::{self, Names, Weight, is_program, weight};

/// What the ELF programs of a tree show about its platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// All are for this platform. The programs in the program directories decide; if there are none, all others do. 32-bit programs
    /// next to those of their 64-bit architecture do not count.
    One(Platform),
    /// There is no program, or none for a platform that OCI has a name for.
    Unknown,
    /// They are for several platforms: each with the number of its programs and the path of the first.
    Several(Vec<(Platform, usize, ImagePath)>),
}

/// Finds the platform of a tree from its programs.
///
/// # Errors
/// When a file that matters cannot be read.
pub fn agreement(tree: &Tree) -> Result<Agreement, ContentError> {
    let (files, names, path) = (Files::new(tree, None), Names::of(tree), crate::link::lookup::search_path(None));
    let mut found: BTreeMap<Weight, BTreeMap<Platform, (usize, ImagePath)>> = BTreeMap::new();
    for id in programs::files(tree).filter(|id| is_program(&files, *id, &names, &path)) {
        let known = names.of_inode(id);
        let (Some(facts), Some(first)) = (files.elf(id), known.first()) else { continue };
        let Ok(platform) = facts.machine_name().parse::<Platform>() else { continue };
        let of_weight = found.entry(weight(known, &path)).or_default();
        of_weight.entry(platform).or_insert_with(|| (0, first.clone())).0 += 1;
    }
    if let Some(failure) = files.take_failure() {
        return Err(failure);
    }
    let Some((_, mut platforms)) = found.pop_last() else { return Ok(Agreement::Unknown) };
    let compat: Vec<Platform> =
        platforms.keys().filter_map(|platform| Some(Platform::new(platform.arch()?.compat()?))).collect();
    platforms.retain(|platform, _| !compat.contains(platform));
    let mut platforms: Vec<(Platform, usize, ImagePath)> =
        platforms.into_iter().map(|(platform, (count, first))| (platform, count, first)).collect();
    Ok(match platforms.pop() {
        Some((platform, _, _)) if platforms.is_empty() => Agreement::One(platform),
        Some(last) => Agreement::Several(platforms.into_iter().chain([last]).collect()),
        None => Agreement::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::platform::Arch;

    fn program(arch: Arch) -> Forge {
        Forge::of(arch, Forge::program())
    }

    #[test]
    fn every_architecture_is_told_by_its_programs() {
        for arch in Arch::ALL {
            let sample = Sample::new()
                .elf("/bin/app", &program(arch))
                .text("/bin/script", 0o755, "#!/bin/app\n")
                .elf("/usr/lib/libx.so", &Forge::library("libx.so"));
            assert_eq!(agreement(&sample.tree).unwrap(), Agreement::One(Platform::new(arch)));
        }
    }

    #[test]
    fn programs_elsewhere_count_only_where_there_are_no_others() {
        let prebuilt = "/srv/node_modules/x/prebuilds/arm64/x";
        let sample = || Sample::new().elf(prebuilt, &program(Arch::Arm64));
        let found = |sample: Sample| agreement(&sample.tree).unwrap();
        assert_eq!(found(sample()), Agreement::One(Platform::new(Arch::Arm64)));
        let both = sample().elf("/usr/bin/app", &program(Arch::S390x));
        assert_eq!(found(both), Agreement::One(Platform::new(Arch::S390x)));
    }

    #[test]
    fn programs_of_32_bits_beside_those_of_64_do_not_count() {
        let found = |archs: [Arch; 2]| {
            let sample = Sample::new().elf("/bin/a", &program(archs[0])).elf("/bin/b", &program(archs[1]));
            agreement(&sample.tree).unwrap()
        };
        assert_eq!(found([Arch::X86, Arch::Amd64]), Agreement::One(Platform::new(Arch::Amd64)));
        assert_eq!(found([Arch::Arm64, Arch::Arm]), Agreement::One(Platform::new(Arch::Arm64)));
        let (amd64, arm) = (Platform::new(Arch::Amd64), Platform::new(Arch::Arm));
        let several = vec![(amd64, 1, "/bin/b".parse().unwrap()), (arm, 1, "/bin/a".parse().unwrap())];
        assert_eq!(found([Arch::Arm, Arch::Amd64]), Agreement::Several(several));
    }

    #[test]
    fn what_has_no_program_says_nothing() {
        let sample = Sample::new().text("/bin/sh", 0o755, "#!/bin/x\n").elf("/lib/libx.so", &Forge::library("libx.so"));
        assert_eq!(agreement(&sample.tree).unwrap(), Agreement::Unknown);
    }
}
