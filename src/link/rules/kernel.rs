//! What the kernel does with an ELF file, and with the loader that it names.

use goblin::elf::header::{ET_DYN, ET_EXEC};

use crate::elf::forge::{Forge, PT_INTERP_AT};
use crate::link::sample::Sample;

use super::case::{Case, case};

/// A program that names this loader.
fn names(interpreter: &[u8]) -> Forge {
    Forge { kind: ET_EXEC, interpreters: vec![interpreter.to_vec()], ..Forge::program() }
}

/// `/app` names `/ld`.
fn app() -> Sample {
    Sample::new().app(&names(b"/ld\0"))
}

fn changed(forge: &Forge, at: usize, bytes: &[u8]) -> Sample {
    let mut file = forge.build();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    Sample::new().bytes("/app", 0o755, &file)
}

/// A program with this many program headers, PT_NULL but for the first.
fn headers(count: u16) -> Sample {
    let mut file = Forge::program().build();
    let table = file[64..120].to_vec();
    let at = file.len();
    file.extend_from_slice(&table);
    file.resize(at + 56 * usize::from(count), 0);
    file[32..40].copy_from_slice(&(at as u64).to_le_bytes());
    file[56..58].copy_from_slice(&count.to_le_bytes());
    Sample::new().bytes("/app", 0o755, &file)
}

pub(super) fn cases() -> Vec<Case> {
    let program = Forge::program();
    let pie = Forge { kind: ET_DYN, dynamic: true, flags_1: 0x0800_0000, ..Forge::program() };
    let long = [b"/".as_slice(), &[b'x'; 300], b"\0"].concat();
    let file = program.build();
    let needs = names(b"/ld\0").build();
    let closed =
        |mode: u32| Sample::new().closed("/opt", mode).elf("/opt/app", &Forge::program()).link("/app", "opt/app");
    vec![
        case("a static program starts", Sample::new().app(&program)),
        case("a static PIE starts", Sample::new().app(&pie)),
        case("the magic must be ELF's", changed(&program, 1, b"F")),
        case("the class in e_ident is not looked at", changed(&program, 4, &[1])),
        case("the byte order in e_ident is not looked at", changed(&program, 5, &[2])),
        case("the version in e_ident is not looked at", changed(&program, 6, &[9])),
        case("the ABI in e_ident is not looked at", changed(&program, 7, &[9])),
        case("e_version is not looked at", changed(&program, 20, &[9, 9, 9, 9])),
        case("the size of the header in itself is not looked at", changed(&program, 52, &[9, 9])),
        case("sections are not looked at", changed(&program, 40, &[0xff; 8])),
        case("a relocatable object is no program", changed(&program, 16, &[1])),
        case("a core file is no program", changed(&program, 16, &[4])),
        case("a program for arm64 is refused on amd64", changed(&program, 18, &[183])),
        case("a program for s390x is refused on amd64", changed(&program, 18, &[22])),
        case("program headers of another size are refused", changed(&program, 54, &[55])),
        case("no program headers are refused", changed(&program, 56, &[0])),
        case("1,170 program headers are accepted", headers(1170)),
        case("1,171 program headers are refused", headers(1171)),
        case("program headers past the end are refused", changed(&program, 32, &[0xff, 0xff])),
        case("a program without PT_LOAD is killed", changed(&program, 64, &[0])),
        case("an empty file is refused", Sample::new().text("/app", 0o755, "")),
        case("half of a header is refused", Sample::new().bytes("/app", 0o755, &file[..40])),
        case("root needs one execute bit of three", Sample::new().bytes("/app", 0o001, &file)),
        case("a program is executed without being readable", Sample::new().bytes("/app", 0o111, &file)).user("7:7"),
        case("a program without execute bits is refused to root", Sample::new().bytes("/app", 0o644, &file)),
        case("the owner's execute bit is not for others", Sample::new().bytes("/app", 0o744, &file)).user("7:7"),
        case("a link to a program in a directory that the user may not search", closed(0o700)).user("7:7"),
        case("a program in a directory that the user may search and not read", closed(0o711)).user("7:7"),
        case("a program in a directory that root alone may search", closed(0o700)),
        case("a program whose own path has a directory that the user may not search", closed(0o700))
            .starts("/opt/app")
            .user("7:7"),
        case("a program behind a directory that others may only read", closed(0o744)).user("7:7"),
        case("a library without entry point is killed", {
            let mut file = Forge::library("liba.so").build();
            file[24..32].copy_from_slice(&[0; 8]);
            Sample::new().bytes("/app", 0o755, &file)
        }),
        case("a library is jumped into", Sample::new().app(&Forge::library("liba.so")))
            .stricter("what stands at a library's entry point is chance"),
        // PT_INTERP
        case("the loader is executed instead", app().elf("/ld", &program)),
        case("the loader that is absent", app()),
        case("the loader is a link inside the root", app().elf("/opt/ld", &program).link("/ld", "opt/ld")),
        case(
            "the loader is an absolute link, read inside the root",
            app().elf("/opt/ld", &program).link("/ld", "/opt/ld"),
        ),
        case("no .. leads out of the root", app().elf("/opt/ld", &program).link("/ld", "../../../../opt/ld")),
        case("the loader is a link to nothing", app().link("/ld", "/opt/ld")),
        case("the loader is a link to itself", app().link("/ld", "ld")),
        case("40 links are followed", chain(40)),
        case("41 links are not followed", chain(41)),
        case("the loader is a directory", app().directory("/ld")),
        case("the loader is not executable", app().bytes("/ld", 0o644, &file)),
        case("the loader is not executable for this user", app().bytes("/ld", 0o744, &file)).user("7:7"),
        case("the loader lies behind a file", Sample::new().app(&names(b"/file/ld\0")).text("/file", 0o644, "")),
        case("the loader with a slash behind it", Sample::new().app(&names(b"/ld/\0")).elf("/ld", &program)),
        case("the loader has a name that is too long", Sample::new().app(&names(&long))),
        case("the loader is empty", app().text("/ld", 0o755, "")),
        case("the loader has 63 bytes", app().bytes("/ld", 0o755, &file[..63])),
        case("the loader is a long text", app().text("/ld", 0o755, &"#!/bin/sh\n".repeat(9))),
        case("the loader is for another machine", app().elf("/ld", &Forge { machine: 183, ..Forge::program() })),
        case("the loader is a relocatable object", app().bytes("/ld", 0o755, &change(&file, 16, &[1]))),
        case("the loader has no program headers", app().bytes("/ld", 0o755, &change(&file, 56, &[0]))),
        case("the class of the loader is not looked at", app().bytes("/ld", 0o755, &change(&file, 4, &[1]))),
        case("what the loader names as its loader is ignored", app().elf("/ld", &names(b"/absent\0"))),
        case("the first PT_INTERP counts", {
            let interpreters = vec![b"/ld\0".to_vec(), b"/absent\0".to_vec()];
            Sample::new().app(&Forge { interpreters, ..names(b"") }).elf("/ld", &program)
        }),
        case("the second PT_INTERP does not help", {
            let interpreters = vec![b"/absent\0".to_vec(), b"/ld\0".to_vec()];
            Sample::new().app(&Forge { interpreters, ..names(b"") }).elf("/ld", &program)
        }),
        case("a PT_INTERP ends with NUL", Sample::new().app(&names(b"/ld")).elf("/ld", &program)),
        case("a PT_INTERP ends at its first NUL", Sample::new().app(&names(b"/ld\0junk\0")).elf("/ld", &program)),
        case("a PT_INTERP of one byte is refused", Sample::new().app(&names(b"\0"))),
        case("an empty PT_INTERP is the working directory", Sample::new().app(&names(b"\0\0"))),
        case("a PT_INTERP of 4,096 bytes is read", interpreter_of(4096)),
        case("a PT_INTERP of 4,097 bytes is refused", interpreter_of(4097)),
        case("a blank belongs to the name of the loader", Sample::new().app(&names(b"/ld \0")).elf("/ld", &program)),
        case("a PT_INTERP past the end of the file", {
            Sample::new().bytes("/app", 0o755, &change(&needs, PT_INTERP_AT + 8, &[0, 0, 0xff])).elf("/ld", &program)
        }),
        case("a relative loader is found from /", Sample::new().app(&names(b"ld\0")).elf("/ld", &program)),
        case("a relative loader is not found from elsewhere", {
            Sample::new().app(&names(b"ld\0")).elf("/ld", &program).directory("/opt")
        })
        .workdir("/opt"),
    ]
}

fn change(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

/// A tree in which this many links lead to the loader.
fn chain(links: usize) -> Sample {
    let mut sample = app().elf("/loader", &Forge::program());
    for link in 1..links {
        sample = sample.link(&format!("/link{link}"), &format!("link{}", link + 1));
    }
    sample.link(&format!("/link{links}"), "loader").link("/ld", "link2")
}

/// A PT_INTERP of this size that names `/ld` after many slashes, if paths may be that long.
fn interpreter_of(size: usize) -> Sample {
    let name = [vec![b'/'; size - 3], b"ld\0".to_vec()].concat();
    Sample::new().app(&names(&name)).elf("/ld", &Forge::program())
}
