//! What musl's loader does: names, lists of directories, files that open, symbols.

use goblin::elf::header::ET_EXEC;

use crate::elf::forge::{Forge, Table};
use crate::link::sample::Sample;

use super::case::{Case, MUSL, case};

/// A program that needs these libraries.
fn app(needed: &[&str]) -> Forge {
    Forge { needed: needed.iter().map(|name| name.as_bytes().to_vec()).collect(), ..Forge::dynamic(MUSL) }
}

fn library() -> Forge {
    Forge::library("")
}

fn needing(needed: &str) -> Forge {
    Forge { needed: vec![needed.into()], ..library() }
}

fn with_runpath(runpath: &str) -> Forge {
    Forge { runpath: Some(runpath.into()), ..app(&["liba.so"]) }
}

fn changed(forge: &Forge, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = forge.build();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

/// The cases. The forged loader is 1.2.4 or newer, or an older one.
pub(super) fn cases(new: bool) -> Vec<Case> {
    let tree = |forge: &Forge| Sample::new().app(forge).elf(MUSL, &Forge::musl(new));
    let one = || tree(&app(&["liba.so"]));
    let path = |text: &str| one().elf("/opt/liba.so", &library()).text("/etc/ld-musl-x86_64.path", 0o644, text);
    let calls = |name: &str| tree(&Forge { calls: vec![name.into()], ..app(&["libc.so"]) });
    let bound =
        |library: Forge| tree(&Forge { calls: vec!["a".into()], ..app(&["liba.so"]) }).elf("/lib/liba.so", &library);
    let defines = || Forge { defines: vec!["a".into()], ..library() };
    let in_opt = |forge: &Forge| tree(forge).elf("/opt/liba.so", &library());
    // A program at fixed addresses: `patchelf` puts tables before it. Its own symbols must not be found in place of missing ones.
    let split = |table: Table, called: &str| {
        let program = Forge {
            kind: ET_EXEC,
            split: Some(table),
            defines: vec!["mine".into(), "another".into()],
            calls: vec!["puts".into(), called.into()],
            ..app(&["liba.so"])
        };
        tree(&program).elf("/lib/liba.so", &Forge { defines: vec!["a".into()], ..library() })
    };
    let two_names = || {
        Sample::new()
            .elf(MUSL, &Forge::musl(new))
            .elf("/opt/bin/app", &with_runpath("$ORIGIN/../lib"))
            .elf("/opt/lib/liba.so", &library())
            .hardlink("/srv/bin/app", "/opt/bin/app")
    };
    let mut cases = vec![
        case("a program that needs nothing starts", tree(&app(&[]))),
        case("a library is found in /lib", one().elf("/lib/liba.so", &library())),
        case("a library is found in /usr/local/lib", one().elf("/usr/local/lib/liba.so", &library())),
        case("a library is found in /usr/lib", one().elf("/usr/lib/liba.so", &library())),
        case("a library is not found in /lib64", one().elf("/lib64/liba.so", &library())),
        case(
            "a library is not found in a directory of Debian's",
            one().elf("/lib/x86_64-linux-gnu/liba.so", &library()),
        ),
        case("a library that is absent", one()),
        case("a library of a library that is absent", one().elf("/lib/liba.so", &needing("libb.so"))),
        case("a library needs no execute bit", one().bytes("/lib/liba.so", 0o644, &library().build())),
        case(
            "a library that root may read only is skipped for others",
            one().bytes("/lib/liba.so", 0o600, &library().build()),
        )
        .user("7:7"),
        case("a library that others may not read gives way to the next", {
            one().bytes("/lib/liba.so", 0o600, &library().build()).elf("/usr/lib/liba.so", &library())
        })
        .user("7:7"),
        // Names
        case("libc.so is the loader", tree(&app(&["libc.so"]))),
        case("libc.so.6 is the loader", tree(&app(&["libc.so.6"]))),
        case("libm.so.6 is the loader", tree(&app(&["libm.so.6"]))),
        case("libpthread.so.0 is the loader", tree(&app(&["libpthread.so.0"]))),
        case(
            "librt, libdl, libutil and libxnet are the loader",
            tree(&app(&["librt.so.1", "libdl.so.2", "libutil.so.1", "libxnet.so"])),
        ),
        case("libc.anything is the loader", tree(&app(&["libc.anything"]))),
        case("libc.musl-x86_64.so.1 is the loader", tree(&app(&["libc.musl-x86_64.so.1"]))),
        case("libcrypt.so.1 is not the loader", tree(&app(&["libcrypt.so.1"]))),
        case("libresolv.so.2 is not the loader", tree(&app(&["libresolv.so.2"]))),
        case("libm-2.31.so is not the loader", tree(&app(&["libm-2.31.so"]))),
        case("glibc's loader is not musl's", tree(&app(&["ld-linux-x86-64.so.2"]))),
        case("the loader by the string of PT_INTERP", tree(&app(&[MUSL]))),
        case("a name that is empty", tree(&app(&[""]))),
        case("a SONAME is never looked at", {
            tree(&app(&["libother.so", "liba.so"])).elf("/lib/libother.so", &Forge::library("liba.so"))
        }),
        case("the name of a library that was found is known", {
            let user = Forge { runpath: Some("/opt".into()), ..needing("liba.so") };
            tree(&Forge { runpath: Some("/opt".into()), ..app(&["liba.so", "libb.so"]) })
                .elf("/opt/liba.so", &library())
                .elf("/lib/libb.so", &user)
        }),
        case("a name with a slash is opened as it is", tree(&app(&["/opt/liba.so"])).elf("/opt/liba.so", &library())),
        case("a name with a slash that is absent", tree(&app(&["/opt/liba.so"]))),
        case("$ORIGIN is not filled in in a name", tree(&app(&["$ORIGIN/liba.so"])).elf("/liba.so", &library())),
        case(
            "a relative name is opened from the working directory",
            tree(&app(&["opt/liba.so"])).elf("/opt/liba.so", &library()),
        ),
        case("a relative name is not opened from elsewhere", {
            tree(&app(&["opt/liba.so"])).elf("/opt/liba.so", &library()).directory("/else")
        })
        .workdir("/else"),
        case("a file that defines what a libc does is the loader", {
            let libc = Forge { defines: vec!["__libc_start_main".into(), "stdin".into()], ..needing("libabsent.so") };
            one().elf("/lib/liba.so", &libc)
        }),
        // Lists
        case("RUNPATH is searched", in_opt(&with_runpath("/opt"))),
        case("RPATH is searched", in_opt(&Forge { rpath: Some("/opt".into()), ..app(&["liba.so"]) })),
        case("RUNPATH hides RPATH", in_opt(&Forge { rpath: Some("/opt".into()), ..with_runpath("/none") })),
        case("a RUNPATH serves the libraries of libraries", {
            in_opt(&Forge { runpath: Some("/opt".into()), ..app(&["libb.so"]) })
                .elf("/lib/libb.so", &needing("liba.so"))
        }),
        case("a RUNPATH of a library does not serve the program", {
            let other = Forge { runpath: Some("/opt".into()), ..library() };
            in_opt(&app(&["libb.so", "liba.so"])).elf("/lib/libb.so", &other)
        }),
        case("elements are separated by colons", in_opt(&with_runpath("/none:/opt"))),
        case("elements are separated by newlines", in_opt(&with_runpath("/none\n/opt"))),
        case("elements are not separated by semicolons", in_opt(&with_runpath("/none;/opt"))),
        case("a blank belongs to an element", in_opt(&with_runpath(" /opt"))),
        case(
            "an empty element is not the working directory",
            tree(&with_runpath(":/none")).elf("/liba.so", &library()),
        ),
        case("a relative element is the working directory's", in_opt(&with_runpath("opt"))),
        case("a relative element is not found from elsewhere", in_opt(&with_runpath("opt")).directory("/else"))
            .workdir("/else"),
        case("$ORIGIN is the program's directory", in_opt(&with_runpath("$ORIGIN/opt"))),
        case("${ORIGIN} is the same", in_opt(&with_runpath("${ORIGIN}/opt"))),
        case("$ORIGINAL begins with $ORIGIN", tree(&with_runpath("/x$ORIGINAL")).elf("/x/AL/liba.so", &library())),
        case("$LIB drops the whole search path", in_opt(&with_runpath("/opt:/$LIB"))),
        case("any other $ drops the whole search path", in_opt(&with_runpath("/opt:/$"))),
        case("$ORIGIN of a linked library is where the link is", {
            let user = Forge { runpath: Some("$ORIGIN/sub".into()), ..needing("liba.so") };
            tree(&app(&["libb.so"]))
                .elf("/opt/libb.so", &user)
                .link("/lib/libb.so", "/opt/libb.so")
                .elf("/lib/sub/liba.so", &library())
        }),
        case("a set-user-id program loses $ORIGIN", {
            let app = with_runpath("$ORIGIN/opt").build();
            Sample::new().bytes("/app", 0o4755, &app).elf(MUSL, &Forge::musl(new)).elf("/opt/liba.so", &library())
        })
        .user("7:7"),
        case("a set-user-id program keeps an absolute RUNPATH", {
            let app = with_runpath("/opt").build();
            Sample::new().bytes("/app", 0o4755, &app).elf(MUSL, &Forge::musl(new)).elf("/opt/liba.so", &library())
        })
        .user("7:7"),
        case("LD_LIBRARY_PATH is searched", in_opt(&app(&["liba.so"]))).env("LD_LIBRARY_PATH", "/opt"),
        case("LD_LIBRARY_PATH comes before RUNPATH", {
            in_opt(&with_runpath("/good")).text("/opt/liba.so", 0o644, "").elf("/good/liba.so", &library())
        })
        .env("LD_LIBRARY_PATH", "/opt"),
        case("LD_LIBRARY_PATH is ignored for a set-user-id program", {
            Sample::new()
                .bytes("/app", 0o4755, &app(&["liba.so"]).build())
                .elf(MUSL, &Forge::musl(new))
                .elf("/opt/liba.so", &library())
        })
        .env("LD_LIBRARY_PATH", "/opt")
        .user("7:7"),
        case("what LD_PRELOAD does not find is ignored", tree(&app(&[]))).env("LD_PRELOAD", "/absent.so"),
        case("what is preloaded is bound", {
            tree(&app(&[])).elf("/opt/pre.so", &Forge { calls: vec!["absent".into()], ..library() })
        })
        .env("LD_PRELOAD", "/opt/pre.so"),
        case("what is preloaded satisfies symbols", {
            tree(&Forge { calls: vec!["a".into()], ..app(&[]) }).elf("/opt/pre.so", &defines())
        })
        .env("LD_PRELOAD", "/opt/pre.so"),
        // The .path file
        case("the .path file names directories", path("/opt\n")),
        case("the .path file replaces the default", path("/none\n").elf("/lib/liba.so", &library())),
        case("the .path file takes colons", path("/none:/opt")),
        case("a carriage return belongs to a directory's name", path("/opt\r\n")),
        case("a # is no comment", path("#/opt\n")),
        case("NUL ends the .path file", path("/none\0/opt\n")),
        case("an empty .path file leaves no directory", path("").elf("/lib/liba.so", &library())),
        case("a .path file that is a directory leaves no directory", {
            one().elf("/lib/liba.so", &library()).directory("/etc/ld-musl-x86_64.path")
        }),
        case("a .path file that may not be read leaves no directory", {
            one().elf("/lib/liba.so", &library()).text("/etc/ld-musl-x86_64.path", 0o600, "/lib\n")
        })
        .user("7:7"),
        case("a .path file that leads to nothing leaves the default", {
            one().elf("/lib/liba.so", &library()).link("/etc/ld-musl-x86_64.path", "/none")
        }),
        case("a .path file in a loop of links leaves no directory", {
            one().elf("/lib/liba.so", &library()).link("/etc/ld-musl-x86_64.path", "ld-musl-x86_64.path")
        }),
        case("/etc that is a file leaves no directory", one().elf("/lib/liba.so", &library()).text("/etc", 0o644, "")),
        case("the .path file lies beside the loader's own lib", {
            Sample::new()
                .app(&Forge { needed: vec!["liba.so".into()], ..Forge::dynamic("/opt/musl/lib/ld.so") })
                .link("/opt/musl/lib/ld.so", MUSL)
                .elf(MUSL, &Forge::musl(new))
                .text("/opt/musl/etc/ld-musl-x86_64.path", 0o644, "/opt/libs\n")
                .elf("/opt/libs/liba.so", &library())
        }),
        // What opens
        case("a directory that is missing is passed over", in_opt(&with_runpath("/none:/opt"))),
        case(
            "a file in place of a directory is passed over",
            in_opt(&with_runpath("/file:/opt")).text("/file", 0o644, ""),
        ),
        case("a loop of links ends the search", in_opt(&with_runpath("/loop:/opt")).link("/loop", "loop")),
        case(
            "a loop of links ends later lists too",
            one().link("/lib/liba.so", "liba.so").elf("/usr/lib/liba.so", &library()),
        ),
        case(
            "the first file decides: a directory",
            one().directory("/lib/liba.so").elf("/usr/lib/liba.so", &library()),
        ),
        case(
            "the first file decides: an empty file",
            one().text("/lib/liba.so", 0o644, "").elf("/usr/lib/liba.so", &library()),
        ),
        case("the first file decides: a linker script", {
            one().text("/lib/liba.so", 0o644, &"GROUP ( /lib/libb.so )\n".repeat(9)).elf("/usr/lib/liba.so", &library())
        }),
        case("the first file decides: an object", {
            one().bytes("/lib/liba.so", 0o644, &changed(&library(), 16, &[1])).elf("/usr/lib/liba.so", &library())
        }),
        case("the first file decides: no dynamic section", {
            one().elf("/lib/liba.so", &Forge { dynamic: false, ..library() }).elf("/usr/lib/liba.so", &library())
        }),
        case(
            "the magic of a library is not looked at",
            one().bytes("/lib/liba.so", 0o644, &changed(&library(), 1, b"F")),
        )
        .stricter("what is no ELF file by its magic is damaged, whatever musl makes of it"),
        case(
            "the class of a library is not looked at",
            one().bytes("/lib/liba.so", 0o644, &changed(&library(), 4, &[1])),
        ),
        case(
            "the machine of a library is not looked at",
            one().bytes("/lib/liba.so", 0o644, &changed(&library(), 18, &[183])),
        )
        .stricter("its code would be run on the wrong machine"),
        case("a library for another machine has relocations of its own", {
            one().elf("/lib/liba.so", &Forge { machine: 183, relocations: vec![1027], ..library() })
        }),
        // Symbols
        case("a function of the loader is found", calls("puts")),
        case("a function that nothing has", calls("absent")),
        case("data that nothing has", tree(&Forge { uses: vec!["absent".into()], ..app(&[]) })),
        case("a weak function that nothing has", tree(&Forge { weak_calls: vec!["absent".into()], ..app(&[]) })),
        case("a function of a library is found", bound(defines())),
        case("a function of a library's library is found", bound(needing("libb.so")).elf("/lib/libb.so", &defines())),
        case(
            "libraries are bound as well",
            one().elf("/lib/liba.so", &Forge { calls: vec!["absent".into()], ..library() }),
        ),
        case("a hidden version is not seen", {
            bound(Forge {
                version_of_defined: Some(0x8002),
                version_definitions: vec!["liba.so".into(), "V_1".into()],
                ..defines()
            })
        }),
        case("a version that is not hidden is seen", {
            bound(Forge {
                version_of_defined: Some(2),
                version_definitions: vec!["liba.so".into(), "V_1".into()],
                ..defines()
            })
        }),
        case("versions are not compared", {
            let needs = vec![("liba.so".into(), vec!["V_9".into()])];
            tree(&Forge { calls: vec!["a".into()], version_needs: needs, ..app(&["liba.so"]) })
                .elf("/lib/liba.so", &defines())
        }),
        case("a relocation of an IFUNC is not supported", tree(&Forge { relocations: vec![37], ..app(&[]) })),
        case("a relocation of an unknown type is not supported", tree(&Forge { relocations: vec![99], ..app(&[]) })),
        case("64 names of large files, since 1.2.4 by the plain name", calls("fopen64")),
        case("a name of more than 16 bytes of large files", calls("posix_fallocate64")),
        case("a 64 name that was never one", calls("puts64")),
        case("a library of glibc in a process of musl", {
            let needs = vec![("libc.so.6".into(), vec!["GLIBC_2.2.5".into()])];
            one().elf(
                "/lib/liba.so",
                &Forge { calls: vec!["__sprintf_chk".into()], version_needs: needs, ..needing("libc.so.6") },
            )
        }),
        case("a library of glibc whose symbols musl has", {
            let needs = vec![("libc.so.6".into(), vec!["GLIBC_2.2.5".into()])];
            one().elf(
                "/lib/liba.so",
                &Forge { calls: vec!["puts".into()], version_needs: needs, ..needing("libc.so.6") },
            )
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
        case("symbols go on in the next segment, and a function is in no library", split(Table::Symbols, "absent")),
        case(
            "relocations go on in the next segment, and a function is in no library",
            split(Table::Relocations, "absent"),
        ),
        case("a function without a name", calls("")),
        case("symbols that lie outside the file", {
            tree(&Forge { calls: vec!["puts".into()], tags: vec![(6, 1 << 40)], ..app(&[]) })
        }),
        case("relocations that lie outside the file", {
            tree(&Forge { tags: vec![(7, 1 << 40), (8, 24), (9, 24)], ..app(&[]) })
        }),
        case(
            "the name of a needed library lies outside the file",
            tree(&Forge { tags: vec![(1, 1 << 40)], ..app(&[]) }),
        ),
    ];
    for case in &mut cases {
        case.real.push((MUSL, "musl"));
    }
    cases
}
