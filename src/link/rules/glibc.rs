//! What glibc's loader does: names, lists of directories, candidates, versions, symbols.

use goblin::elf::header::ET_EXEC;

use crate::elf::forge::{Forge, Table};
use crate::link::sample::Sample;

use super::case::{Case, DEBIAN, GLIBC, case};
use crate::link::glibc::ld_cache::tests::forged;

const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

const CACHE: &str = "/etc/ld.so.cache";

/// A cache that follows an empty one of the old format.
fn behind_the_old_form(cache: &[u8]) -> Vec<u8> {
    let mut old = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
    old.extend_from_slice(cache);
    old
}

/// A program that needs these libraries, and after them the C library.
fn app(needed: &[&str]) -> Forge {
    let mut needed: Vec<Vec<u8>> = needed.iter().map(|name| name.as_bytes().to_vec()).collect();
    needed.push("libc.so.6".into());
    Forge { needed, ..Forge::dynamic(GLIBC) }
}

fn library() -> Forge {
    Forge::library("liba.so")
}

fn needing(soname: &str, needed: &str) -> Forge {
    Forge { needed: vec![needed.into()], ..Forge::library(soname) }
}

fn with_runpath(runpath: &str) -> Forge {
    Forge { runpath: Some(runpath.into()), ..app(&["liba.so"]) }
}

fn with_rpath(rpath: &str) -> Forge {
    Forge { rpath: Some(rpath.into()), ..app(&["liba.so"]) }
}

fn changed(forge: &Forge, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = forge.build();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

/// A version definition of `liba.so`, for all of its symbols.
fn versioned(version: &str) -> Forge {
    Forge {
        defines: vec!["a".into()],
        version_of_defined: Some(2),
        version_definitions: vec!["liba.so".into(), version.into()],
        ..library()
    }
}

/// A program that needs a version of `liba.so`.
fn asking(version: &str) -> Forge {
    Forge { version_needs: vec![("liba.so".into(), vec![version.into()])], ..app(&["liba.so"]) }
}

/// The cases. The forged loader is of this release.
pub(super) fn cases(minor: u32) -> Vec<Case> {
    let loader = Forge::glibc();
    let text = String::from_utf8(loader.text.clone()).unwrap().replace("2.36", &format!("2.{minor}"));
    let loader = Forge { text: text.into_bytes(), ..loader };
    let libc = Forge {
        defines: vec!["puts".into()],
        version_of_defined: Some(2),
        version_definitions: ["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_ABI_DT_RELR", "GLIBC_PRIVATE"]
            .map(|name| name.as_bytes().to_vec())
            .into(),
        ..Forge::library("libc.so.6")
    };
    let base = || Sample::new().elf(GLIBC, &loader).elf(LIBC, &libc);
    let tree = |forge: &Forge| base().app(forge);
    let one = || tree(&app(&["liba.so"]));
    let debian = |name: &str| format!("{DEBIAN}/{name}");
    let in_opt = |forge: &Forge| tree(forge).elf("/opt/liba.so", &library());
    let cached = |entries: &[(&str, &str, u32)]| in_opt(&app(&["liba.so"])).bytes(CACHE, 0o644, &forged(entries));
    let blocked = |sample: Sample| sample.elf("/usr/lib/liba.so", &library());
    let asks_libc =
        |version: &str| tree(&Forge { version_needs: vec![("libc.so.6".into(), vec![version.into()])], ..app(&[]) });
    let now = |forge: Forge| Forge { flags_1: 1, ..forge };
    // A program at fixed addresses: `patchelf` puts tables before it. Its own symbols must not be found in place of missing ones.
    let split = |table: Table, called: &str| {
        let needs = vec![("libc.so.6".into(), vec!["GLIBC_2.2.5".into(), "GLIBC_2.34".into()])];
        let program = Forge {
            kind: ET_EXEC,
            split: Some(table),
            defines: vec!["mine".into(), "another".into()],
            calls: vec!["puts".into(), called.into()],
            version_needs: needs,
            ..now(app(&["liba.so"]))
        };
        tree(&program).elf("/lib/liba.so", &Forge { defines: vec!["a".into()], ..library() })
    };
    let two_names = || {
        base()
            .elf("/opt/bin/app", &with_runpath("$ORIGIN/../lib"))
            .elf("/opt/lib/liba.so", &library())
            .hardlink("/srv/bin/app", "/opt/bin/app")
    };
    let mut cases = vec![
        case("a program that needs the C library starts", tree(&app(&[]))),
        case("a library is found in the directory of its machine", one().elf(&debian("liba.so"), &library())),
        case("a library is found in /usr/lib", one().elf("/usr/lib/liba.so", &library())),
        case("a library is found in /lib", one().elf("/lib/liba.so", &library())),
        case("a library is not found in /lib64", one().elf("/lib64/liba.so", &library())),
        case("a library is not found in /usr/local/lib", one().elf("/usr/local/lib/liba.so", &library())),
        case("ld.so.conf is not read", in_opt(&app(&["liba.so"])).text("/etc/ld.so.conf", 0o644, "/opt\n")),
        case("a library that is absent", one()),
        case("a library of a library that is absent", one().elf("/lib/liba.so", &needing("liba.so", "libb.so"))),
        case("a library needs no execute bit", one().bytes("/lib/liba.so", 0o644, &library().build())),
        case("a library that others may not read gives way to the next", {
            blocked(one().bytes("/lib/liba.so", 0o600, &library().build()))
        })
        .user("7:7"),
        case("the C library that is absent", Sample::new().elf(GLIBC, &loader).app(&app(&[]))),
        // Names
        case("the loader's SONAME needs no search", tree(&app(&["ld-linux-x86-64.so.2"]))),
        case("a SONAME of a loaded library is known", {
            tree(&app(&["libother.so", "liba.so"])).elf("/lib/libother.so", &library())
        }),
        case("a name with a slash is opened as it is", tree(&app(&["/opt/liba.so"])).elf("/opt/liba.so", &library())),
        case("a name with a slash that is absent", tree(&app(&["/opt/liba.so"]))),
        case("$ORIGIN is filled in in a name", tree(&app(&["$ORIGIN/opt/liba.so"])).elf("/opt/liba.so", &library())),
        case(
            "a relative name is opened from the working directory",
            tree(&app(&["opt/liba.so"])).elf("/opt/liba.so", &library()),
        ),
        case("a relative name is not opened from elsewhere", {
            tree(&app(&["opt/liba.so"])).elf("/opt/liba.so", &library()).directory("/else")
        })
        .workdir("/else"),
        // Lists
        case("RUNPATH is searched", in_opt(&with_runpath("/opt"))),
        case("RPATH is searched", in_opt(&with_rpath("/opt"))),
        case("RUNPATH hides RPATH", in_opt(&Forge { rpath: Some("/opt".into()), ..with_runpath("/none") })),
        case("a RUNPATH does not serve the libraries of libraries", {
            in_opt(&Forge { runpath: Some("/opt".into()), ..app(&["libb.so"]) })
                .elf("/lib/libb.so", &needing("libb.so", "liba.so"))
        }),
        case("an RPATH serves the libraries of libraries", {
            in_opt(&Forge { rpath: Some("/opt".into()), ..app(&["libb.so"]) })
                .elf("/lib/libb.so", &needing("libb.so", "liba.so"))
        }),
        case("an RPATH does not serve a library with a RUNPATH", {
            let user = Forge { runpath: Some("/none".into()), ..needing("libb.so", "liba.so") };
            in_opt(&Forge { rpath: Some("/opt".into()), ..app(&["libb.so"]) }).elf("/lib/libb.so", &user)
        }),
        case("RPATH comes before LD_LIBRARY_PATH", in_opt(&with_rpath("/opt")).text("/env/liba.so", 0o644, ""))
            .env("LD_LIBRARY_PATH", "/env"),
        case("LD_LIBRARY_PATH comes before RUNPATH", in_opt(&with_runpath("/opt")).text("/env/liba.so", 0o644, ""))
            .env("LD_LIBRARY_PATH", "/env"),
        case("LD_LIBRARY_PATH takes semicolons", in_opt(&app(&["liba.so"]))).env("LD_LIBRARY_PATH", "/none;/opt"),
        case("RUNPATH does not take semicolons", in_opt(&with_runpath("/none;/opt"))),
        case("an empty element is the working directory", tree(&with_runpath("/none:")).elf("/liba.so", &library())),
        case("a RUNPATH that is empty is none", tree(&with_runpath("")).elf("/liba.so", &library())),
        case("an empty element of LD_LIBRARY_PATH is the working directory", one().elf("/liba.so", &library()))
            .env("LD_LIBRARY_PATH", "/none:"),
        case("$ORIGIN is the program's directory", in_opt(&with_runpath("$ORIGIN/opt"))),
        case("${ORIGIN} is the same", in_opt(&with_runpath("${ORIGIN}/opt"))),
        case("$ORIGINAL is not $ORIGIN", in_opt(&with_runpath("$ORIGINAL/opt"))),
        case(
            "$LIB is the directory of the machine",
            tree(&with_runpath("/opt/$LIB")).elf("/opt/lib/x86_64-linux-gnu/liba.so", &library()),
        ),
        case(
            "$PLATFORM is the kind of CPU",
            tree(&with_runpath("/opt/${PLATFORM}"))
                .elf("/opt/x86_64/liba.so", &library())
                .elf("/opt/haswell/liba.so", &library())
                .elf("/opt/xeon_phi/liba.so", &library()),
        ),
        case("an unknown $ stays as it is", tree(&with_runpath("/opt/$NOPE")).elf("/opt/$NOPE/liba.so", &library())),
        case("$ORIGIN of a linked library is where the link is", {
            let user = Forge { runpath: Some("$ORIGIN/sub".into()), ..needing("libb.so", "liba.so") };
            tree(&app(&["libb.so"]))
                .elf("/opt/libb.so", &user)
                .link("/lib/libb.so", "/opt/libb.so")
                .elf("/lib/sub/liba.so", &library())
        }),
        case("NODEFLIB leaves the system directories out", tree(&Forge { flags_1: 0x800, ..app(&[]) })),
        case("NODEFLIB leaves RUNPATH", tree(&Forge { flags_1: 0x800, runpath: Some(DEBIAN.into()), ..app(&[]) })),
        case("a set-user-id program loses $ORIGIN", {
            base().bytes("/app", 0o4755, &with_runpath("$ORIGIN/opt").build()).elf("/opt/liba.so", &library())
        })
        .user("7:7"),
        case("a set-user-id program keeps an absolute RUNPATH", {
            base().bytes("/app", 0o4755, &with_runpath("/opt").build()).elf("/opt/liba.so", &library())
        })
        .user("7:7"),
        case("LD_LIBRARY_PATH is ignored for a set-user-id program", {
            base().bytes("/app", 0o4755, &app(&["liba.so"]).build()).elf("/opt/liba.so", &library())
        })
        .env("LD_LIBRARY_PATH", "/opt")
        .user("7:7"),
        case("what LD_PRELOAD does not find is ignored", tree(&app(&[]))).env("LD_PRELOAD", "/absent.so"),
        case("what ld.so.preload does not find is ignored", {
            tree(&app(&[])).text("/etc/ld.so.preload", 0o644, "# comment\n/absent.so\n")
        }),
        case(
            "the variant for x86-64-v2 is empty",
            one().elf("/lib/liba.so", &library()).text(&debian("glibc-hwcaps/x86-64-v2/liba.so"), 0o644, ""),
        ),
        case(
            "the variant for x86-64-v2 is good",
            one().elf(&debian("glibc-hwcaps/x86-64-v2/liba.so"), &library()).elf(&debian("liba.so"), &library()),
        ),
        case("the variant for x86-64-v2 needs a library that is absent", {
            one()
                .elf(&debian("liba.so"), &library())
                .elf(&debian("glibc-hwcaps/x86-64-v2/liba.so"), &needing("liba.so", "libxx.so"))
        }),
        case("the variant for x86-64-v2 lacks a function", {
            let defines = Forge { defines: vec!["a".into()], ..library() };
            tree(&now(Forge { calls: vec!["a".into()], ..app(&["liba.so"]) }))
                .elf(&debian("liba.so"), &defines)
                .elf(&debian("glibc-hwcaps/x86-64-v2/liba.so"), &library())
        }),
        case("the variant for x86-64-v2 below a RUNPATH is empty", {
            tree(&with_runpath("/opt")).elf("/opt/liba.so", &library()).text(
                "/opt/glibc-hwcaps/x86-64-v2/liba.so",
                0o644,
                "",
            )
        }),
        case("the variant for x86-64-v2 in a later directory is not looked at", {
            one().elf(&debian("liba.so"), &library()).text("/usr/lib/glibc-hwcaps/x86-64-v2/liba.so", 0o644, "")
        }),
        case("a library for newer CPUs only", one().elf(&debian("glibc-hwcaps/x86-64-v2/liba.so"), &library())),
        case("a cache that is damaged is ignored", {
            one().elf("/lib/liba.so", &library()).text("/etc/ld.so.cache", 0o644, "glibc-ld.so.cache1.1 and no more")
        }),
        // The cache
        case("a library that only the cache knows", cached(&[("liba.so", "/opt/liba.so", 0x303)])),
        case("the old form of the cache before the new one", {
            let new = forged(&[("liba.so", "/opt/liba.so", 0x303)]);
            in_opt(&app(&["liba.so"])).bytes(CACHE, 0o644, &behind_the_old_form(&new))
        }),
        case("names in the cache are found by halves, digits as numbers", {
            cached(&[
                ("liba.so.10", "/none/liba.so.10", 0x303),
                ("liba.so.9", "/none/liba.so.9", 0x303),
                ("liba.so", "/opt/liba.so", 0x303),
                ("lib9.so", "/none/lib9.so", 0x303),
            ])
        }),
        case("the cache comes before the system directories", {
            cached(&[("liba.so", "/opt/liba.so", 0x303)]).text("/lib/liba.so", 0o644, "")
        }),
        case("RUNPATH comes before the cache", {
            in_opt(&with_runpath("/opt")).text("/else/liba.so", 0o644, "").bytes(
                CACHE,
                0o644,
                &forged(&[("liba.so", "/else/liba.so", 0x303)]),
            )
        }),
        case("a file that the cache names and that is gone leaves the system directories", {
            one().elf("/lib/liba.so", &library()).bytes(CACHE, 0o644, &forged(&[("liba.so", "/gone/liba.so", 0x303)]))
        }),
        case("a file that the cache names and that is gone", cached(&[("liba.so", "/gone/liba.so", 0x303)])),
        case("an entry of the cache for another machine", cached(&[("liba.so", "/opt/liba.so", 0xa03)])),
        case("an entry of the cache for any libc", cached(&[("liba.so", "/opt/liba.so", 0x1)])),
        case("a cache of the other byte order is ignored", {
            let mut cache = forged(&[("liba.so", "/opt/liba.so", 0x303)]);
            cache[28] = 3;
            in_opt(&app(&["liba.so"])).bytes(CACHE, 0o644, &cache)
        }),
        case("a cache that does not say its byte order is taken", {
            let mut cache = forged(&[("liba.so", "/opt/liba.so", 0x303)]);
            cache[28] = 0;
            in_opt(&app(&["liba.so"])).bytes(CACHE, 0o644, &cache)
        }),
        case("NODEFLIB leaves what the cache knows elsewhere", {
            let libc = forged(&[("libc.so.6", "/opt/libc.so.6", 0x303)]);
            tree(&Forge { flags_1: 0x800, ..app(&[]) }).link("/opt/libc.so.6", LIBC).bytes(CACHE, 0o644, &libc)
        }),
        case("NODEFLIB leaves out what the cache knows in a system directory", {
            let libc = forged(&[("libc.so.6", LIBC, 0x303)]);
            tree(&Forge { flags_1: 0x800, ..app(&[]) }).bytes(CACHE, 0o644, &libc)
        }),
        case("a set-user-id program uses the cache", {
            base().bytes("/app", 0o4755, &app(&["liba.so"]).build()).elf("/opt/liba.so", &library()).bytes(
                CACHE,
                0o644,
                &forged(&[("liba.so", "/opt/liba.so", 0x303)]),
            )
        })
        .user("7:7"),
        // What opens
        case(
            "a file in place of a directory is passed over",
            in_opt(&with_runpath("/file:/opt")).text("/file", 0o644, ""),
        ),
        case("a loop of links ends this list", in_opt(&with_runpath("/loop:/opt")).link("/loop", "loop")),
        case("a loop of links leaves the later lists", {
            tree(&with_runpath("/loop")).link("/loop", "loop").elf("/lib/liba.so", &library())
        }),
        case("the first file decides: a directory", blocked(one().directory("/lib/liba.so"))),
        case("the first file decides: an empty file", blocked(one().text("/lib/liba.so", 0o644, ""))),
        case(
            "the first file decides: a linker script",
            blocked(one().text("/lib/liba.so", 0o644, &"GROUP ( x )\n".repeat(9))),
        ),
        case(
            "the first file decides: an object",
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 16, &[1]))),
        ),
        case(
            "the first file decides: another byte order",
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 5, &[2]))),
        ),
        case(
            "the first file decides: another ABI",
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 7, &[9]))),
        ),
        case("the first file decides: another version of the format", {
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 6, &[2])))
        }),
        case("the first file decides: padding that is not zero", {
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 9, &[1])))
        }),
        case("the first file decides: program headers of another size", {
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 54, &[55])))
        }),
        case("the first file decides: no dynamic section", {
            blocked(one().elf("/lib/liba.so", &Forge { dynamic: false, ..library() }))
        }),
        case("a library of another class is passed over", {
            blocked(one().bytes("/lib/liba.so", 0o644, &changed(&library(), 4, &[1])))
        }),
        case(
            "a library of another class and nothing else",
            one().bytes("/lib/liba.so", 0o644, &changed(&library(), 4, &[1])),
        ),
        case("a library for another machine is passed over", {
            blocked(one().elf("/lib/liba.so", &Forge { machine: 183, ..library() }))
        }),
        case(
            "a library for another machine and nothing else",
            one().elf("/lib/liba.so", &Forge { machine: 183, ..library() }),
        ),
        case("a program is no library", one().elf("/lib/liba.so", &Forge { flags_1: 0x0800_0000, ..library() })),
        // Versions
        case("a version that the library has", tree(&asking("V_1")).elf("/lib/liba.so", &versioned("V_1"))),
        case("a version that the library has not", tree(&asking("V_2")).elf("/lib/liba.so", &versioned("V_1"))),
        case("a weak version that the library has not", {
            tree(&Forge { weak_versions: true, ..asking("V_2") }).elf("/lib/liba.so", &versioned("V_1"))
        }),
        case("a version of a library without versions", tree(&asking("V_1")).elf("/lib/liba.so", &library())),
        case("a version of the C library that it has", asks_libc("GLIBC_2.34")),
        case("a version of the C library that it has not", asks_libc("GLIBC_2.99")),
        case("a version of a file that is loaded by nothing", {
            let needs = vec![("libm.so.6".into(), vec!["GLIBC_2.29".into()])];
            tree(&Forge { version_needs: needs, ..app(&[]) })
        }),
        case("a version of a file that is loaded by nothing, and a library that is absent", {
            let needs = vec![("libm.so.6".into(), vec!["GLIBC_2.29".into()])];
            tree(&Forge { version_needs: needs, ..app(&["libz.so.1"]) })
        }),
        case("a weak version of a file that is loaded by nothing", {
            let needs = vec![("libm.so.6".into(), vec!["GLIBC_2.29".into()])];
            tree(&Forge { version_needs: needs, weak_versions: true, ..app(&[]) })
        }),
        // An empty table: the loader reads only the tags.
        case("DT_RELR without any version of the C library", {
            tree(&Forge { tags: vec![(0x24, 0), (0x23, 0), (0x25, 8)], ..app(&[]) })
        }),
        case("DT_RELR with other versions of the C library", {
            let needs = vec![("libc.so.6".into(), vec!["GLIBC_2.2.5".into()])];
            tree(&Forge { tags: vec![(0x24, 0), (0x23, 0), (0x25, 8)], version_needs: needs, ..app(&[]) })
        }),
        case("a library that has DT_RELR with other versions of the C library", {
            let needs = vec![("libc.so.6".into(), vec!["GLIBC_2.2.5".into()])];
            let relr = Forge {
                tags: vec![(0x24, 0), (0x23, 0), (0x25, 8)],
                version_needs: needs,
                ..needing("liba.so", "libc.so.6")
            };
            one().elf("/lib/liba.so", &relr)
        }),
        case("DT_RELR with its version of the C library", {
            let needs = vec![("libc.so.6".into(), vec!["GLIBC_ABI_DT_RELR".into()])];
            tree(&Forge { tags: vec![(0x24, 0), (0x23, 0), (0x25, 8)], version_needs: needs, ..app(&[]) })
        }),
        // Symbols
        case(
            "a function that nothing has is bound when it is called",
            tree(&Forge { calls: vec!["absent".into()], ..app(&[]) }),
        ),
        case(
            "a function that nothing has, bound at once",
            tree(&now(Forge { calls: vec!["absent".into()], ..app(&[]) })),
        ),
        case(
            "a function that nothing has, under LD_BIND_NOW",
            tree(&Forge { calls: vec!["absent".into()], ..app(&[]) }),
        )
        .env("LD_BIND_NOW", "1"),
        case("a library that is absent, with what it would define", {
            tree(&now(Forge { calls: vec!["a".into()], ..app(&["liba.so"]) }))
        }),
        case("data that nothing has", tree(&Forge { uses: vec!["absent".into()], ..app(&[]) })),
        case("a weak function that nothing has", tree(&now(Forge { weak_calls: vec!["absent".into()], ..app(&[]) }))),
        case("a function of a library, bound at once", {
            let defines = Forge { defines: vec!["a".into()], ..library() };
            tree(&now(Forge { calls: vec!["a".into()], ..app(&["liba.so"]) })).elf("/lib/liba.so", &defines)
        }),
        case("a library that is bound at once, in a program that is not", {
            one().elf("/lib/liba.so", &now(Forge { calls: vec!["absent".into()], ..library() }))
        }),
        // Two names of one file
        case("$ORIGIN is the directory of the name that is started, where the library is", two_names())
            .starts("/opt/bin/app"),
        case("$ORIGIN is the directory of the name that is started, where no library is", two_names())
            .starts("/srv/bin/app"),
        case("$ORIGIN is the directory that a link leads to", two_names().link("/bin/app", "../opt/bin/app"))
            .starts("/bin/app"),
        // Tables
        case("the dynamic section goes on in the next segment", split(Table::Dynamic, "a")),
        case("strings go on in the next segment", split(Table::Strings, "a")),
        case("strings go on in the next segment, and a function is in no library", split(Table::Strings, "absent")),
        case("symbols go on in the next segment", split(Table::Symbols, "a")),
        case("symbols go on in the next segment, and a function is in no library", split(Table::Symbols, "absent")),
        case("relocations go on in the next segment", split(Table::Relocations, "a")),
        case(
            "relocations go on in the next segment, and a function is in no library",
            split(Table::Relocations, "absent"),
        ),
        case("needed versions go on in the next segment", split(Table::VersionNeeds, "a")),
        case("a function without a name, bound at once", tree(&now(Forge { calls: vec!["".into()], ..app(&[]) }))),
        case("data without a name", tree(&Forge { uses: vec!["".into()], ..app(&[]) })),
        case(
            "a function without a name is bound when it is called",
            tree(&Forge { calls: vec!["".into()], ..app(&[]) }),
        ),
        case("symbols that lie outside the file", {
            tree(&now(Forge { calls: vec!["puts".into()], tags: vec![(6, 1 << 40)], ..app(&[]) }))
        }),
        case("relocations that lie outside the file", {
            tree(&Forge { tags: vec![(7, 1 << 40), (8, 24), (9, 24)], ..app(&[]) })
        }),
        case(
            "the name of a needed library lies outside the file",
            tree(&Forge { tags: vec![(1, 1 << 40)], ..app(&[]) }),
        ),
        case("needed versions that lie outside the file", {
            tree(&Forge { tags: vec![(0x6fff_fffe, 1 << 40), (0x6fff_ffff, 1)], ..app(&[]) })
        }),
        case("needed versions of an unknown layout", {
            tree(&Forge { tags: vec![(0x6fff_fffe, 0), (0x6fff_ffff, 1)], ..app(&[]) })
        }),
        case("a hash table that lies outside the file", {
            one().elf("/lib/liba.so", &Forge { tags: vec![(0x6fff_fef5, 1 << 40)], ..library() })
        }),
    ];
    for case in &mut cases {
        case.real.push((GLIBC, "ld"));
        if !case.name.starts_with("the C library that is absent") {
            case.real.push((LIBC, "libc"));
        }
    }
    cases
}
