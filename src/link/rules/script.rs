//! What the kernel does with a script, and what `env` and shells do then.

use crate::elf::forge::Forge;
use crate::link::sample::Sample;

use super::case::{Case, DEBIAN, GLIBC, case};

/// `/app` with this text, and programs that it may name.
fn text(text: &str) -> Sample {
    bytes(text.as_bytes())
}

fn bytes(bytes: &[u8]) -> Sample {
    Sample::new().bytes("/app", 0o755, bytes).elf("/run", &Forge::program())
}

/// `#!`, a path of this length that leads to a program, and the rest of the line.
fn path_of(length: usize, rest: &str) -> Sample {
    text(&format!("#!{}run{rest}", "/".repeat(length - 3)))
}

/// A chain of this many scripts: each names the next as its interpreter, and the last one names a program.
fn levels(count: usize) -> Sample {
    let mut sample = Sample::new().elf("/run", &Forge::program());
    for level in 1..=count {
        let name = if level == 1 { "/app".to_string() } else { format!("/s{level}") };
        let next = if level == count { "/run".to_string() } else { format!("/s{}", level + 1) };
        sample = sample.text(&name, 0o755, &format!("#!{next}\n"));
    }
    sample
}

/// A script for BusyBox's `env`.
fn busybox(line: &str) -> Sample {
    let busybox = Forge { text: b"BusyBox v1.35.0".to_vec(), ..Forge::program() };
    text(line).elf("/bin/busybox", &busybox).link("/usr/bin/env", "/bin/busybox").link("/bin/tool", "/run")
}

/// A script for the `env` of the GNU coreutils.
fn coreutils(line: &str) -> Sample {
    let env = Forge { needed: vec!["libc.so.6".into()], text: b"GNU coreutils".to_vec(), ..Forge::dynamic(GLIBC) };
    text(line)
        .elf("/usr/bin/env", &env)
        .link("/bin/tool", "/run")
        .elf(GLIBC, &Forge::glibc())
        .elf(&format!("{DEBIAN}/libc.so.6"), &Forge::library("libc.so.6"))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("a script runs its interpreter", text("#!/run\n")),
        case("blanks around the interpreter are trimmed", text("#! \t /run \t \n")),
        case("a script needs no line end", text("#!/run")),
        case("an argument follows the interpreter", text("#!/run one two\n")),
        case("a script needs to be executable only", {
            Sample::new().bytes("/app", 0o111, b"#!/run\n").elf("/run", &Forge::program())
        })
        .user("7:7")
        .stricter("what interprets a script opens it"),
        case("a script without execute bits is refused", {
            Sample::new().text("/app", 0o644, "#!/run\n").elf("/run", &Forge::program())
        }),
        case("a blank before #! is refused", text(" #!/run\n")),
        case("a newline before #! is refused", text("\n#!/run\n")),
        case("a byte order mark before #! is refused", text("\u{feff}#!/run\n")),
        case("a text without #! is refused", text("echo\n")),
        case("a line of #! alone is refused", text("#!\n")),
        case("a line of #! and blanks is refused", text("#!  \t \n")),
        case("a file of #! and nothing else is the working directory", text("#!")),
        case("a carriage return belongs to the interpreter's name", text("#!/run\r\n")),
        case("a carriage return behind an argument does no harm to what ignores it", text("#!/run one\r\n")),
        case("a NUL ends the interpreter's name", bytes(b"#!/run\0junk\n")),
        case("an interpreter that is absent", text("#!/absent\n")),
        case("an interpreter that is no program", text("#!/data\n").text("/data", 0o644, "x")),
        case("an interpreter that is a directory", text("#!/folder\n").directory("/folder")),
        case("an interpreter in a loop of links", text("#!/loop\n").link("/loop", "/loop")),
        case("an interpreter behind a file", text("#!/run/x\n")),
        case("an interpreter for another machine", {
            text("#!/arm\n").elf("/arm", &Forge { machine: 183, ..Forge::program() })
        }),
        case("an interpreter whose own loader is absent", text("#!/dyn\n").elf("/dyn", &Forge::dynamic("/absent"))),
        case("a relative interpreter is found from /", text("#!run\n")),
        case("a relative interpreter is not looked for in PATH", text("#!tool\n").link("/bin/tool", "/run")),
        case("a path that ends at byte 255, with a newline behind it", path_of(253, "\n")),
        case("a path that ends at byte 256, with a newline behind it", path_of(254, "\n")),
        case("a path that ends at byte 257", path_of(255, "\n")),
        case("a path of 253 bytes at the end of the file", path_of(253, "")),
        case("a path of 254 bytes at the end of the file", path_of(254, "")),
        case("an argument that is too long is cut", path_of(100, &format!(" {}\n", "x".repeat(400)))),
        case("five scripts run each other", levels(5)),
        case("six scripts do not", levels(6)),
        case("a script that is its own interpreter", text("#!/app\n")),
    ];
    let lines = [
        ("env runs a command of PATH", "coreutils' env runs a command of PATH", "#!/usr/bin/env tool\n"),
        (
            "BusyBox's env looks for a command that is absent",
            "coreutils' env looks for a command that is absent",
            "#!/usr/bin/env absent\n",
        ),
        (
            "BusyBox's env takes several words as one",
            "coreutils' env takes several words as one",
            "#!/usr/bin/env tool one\n",
        ),
        ("BusyBox's env does not know -S", "coreutils' env splits words after -S", "#!/usr/bin/env -S tool one\n"),
        ("BusyBox's env keeps a carriage return", "coreutils' env keeps a carriage return", "#!/usr/bin/env tool\r\n"),
        ("BusyBox's env alone never ends", "coreutils' env alone never ends", "#!/usr/bin/env\n"),
        (
            "BusyBox's env with a variable never ends",
            "coreutils' env with a variable never ends",
            "#!/usr/bin/env A=1 tool\n",
        ),
        (
            "BusyBox's env runs a command by its path",
            "coreutils' env runs a command by its path",
            "#!/usr/bin/env /run\n",
        ),
        (
            "BusyBox's env takes an option and a word for one argument",
            "coreutils' env takes an option and a word for one argument",
            "#!/usr/bin/env -i tool\n",
        ),
        (
            "BusyBox's env takes -- and a word for one argument",
            "coreutils' env takes -- and a word for one argument",
            "#!/usr/bin/env -- tool\n",
        ),
        ("BusyBox's env with -i never ends", "coreutils' env with -i never ends", "#!/usr/bin/env -i\n"),
        (
            "BusyBox's env with a long -i never ends",
            "coreutils' env with a long -i never ends",
            "#!/usr/bin/env --ignore-environment\n",
        ),
        (
            "BusyBox's env with -u and a name never ends",
            "coreutils' env with -u and a name never ends",
            "#!/usr/bin/env -u FOO\n",
        ),
        ("BusyBox's env does not know -iS", "coreutils' env splits words after -iS", "#!/usr/bin/env -iS tool y\n"),
        ("BusyBox's env does not know -x", "coreutils' env does not know -x", "#!/usr/bin/env -x\n"),
        (
            "BusyBox's env does not know --frobnicate",
            "coreutils' env does not know --frobnicate",
            "#!/usr/bin/env --frobnicate\n",
        ),
    ];
    let split = [
        ("coreutils' env ends lines with NUL only when it prints", "#!/usr/bin/env -0\n"),
        ("coreutils' env looks in the PATH that it sets", "#!/usr/bin/env -S PATH=/nowhere tool\n"),
        ("coreutils' env sets a PATH that has the command", "#!/usr/bin/env -S PATH=/opt:/bin tool\n"),
        ("coreutils' env forgets PATH with -i and sets another", "#!/usr/bin/env -S -i PATH=/nowhere tool\n"),
        ("coreutils' env without PATH looks in /bin", "#!/usr/bin/env -S -i tool\n"),
        ("coreutils' env needs the second quote", "#!/usr/bin/env -S tool \"unterminated\n"),
        ("coreutils' env wants braces around a variable", "#!/usr/bin/env -S tool $NOSUCH\n"),
        ("coreutils' env changes to a directory that is absent", "#!/usr/bin/env -S --chdir /nowhere tool\n"),
        ("coreutils' env changes to a directory", "#!/usr/bin/env -S --chdir=/bin ./tool\n"),
        ("coreutils' env does not know an option after -S", "#!/usr/bin/env -S -P tool\n"),
        ("coreutils' env runs env, which looks for a command that is absent", "#!/usr/bin/env -S env absent\n"),
        ("coreutils' env takes a carriage return for a blank after -S", "#!/usr/bin/env -S tool one\r\n"),
        ("coreutils' env splits quoted words", "#!/usr/bin/env -S 'to'ol \"a b\" c\n"),
    ];
    for (name, line) in split {
        cases.push(
            case(name, coreutils(line).directory("/opt"))
                .real("/usr/bin/env", "env")
                .real(GLIBC, "ld")
                .real("/lib/x86_64-linux-gnu/libc.so.6", "libc"),
        );
    }
    let shells = [
        ("BusyBox's sh takes an option", "dash takes an option", "bash takes an option", "-e"),
        (
            "BusyBox's sh refuses a carriage return",
            "dash refuses a carriage return",
            "bash refuses a carriage return",
            "-e\r",
        ),
        (
            "BusyBox's sh refuses a blank among options",
            "dash refuses a blank among options",
            "bash refuses a blank among options",
            "-eu -x",
        ),
        (
            "BusyBox's sh takes a word for a file",
            "dash takes a word for a file",
            "bash takes a word for a file",
            "#comment",
        ),
        ("BusyBox's sh does not know -Z", "dash does not know -Z", "bash does not know -Z", "-Z"),
        ("BusyBox's sh does not know +Z", "dash does not know +Z", "bash does not know +Z", "+eZ"),
        ("BusyBox's sh takes --", "dash takes --", "bash takes --", "--"),
        ("BusyBox's sh passes over a long option", "dash refuses a long option", "bash takes a long option", "--posix"),
        ("BusyBox's sh with -c never ends", "dash with -c never ends", "bash with -c never ends", "-c"),
    ];
    for (of_busybox, of_dash, of_bash, argument) in shells {
        let line = |shell: &str| text(&format!("#!{shell} {argument}\nexit 0\n"));
        let busybox = line("/bin/sh").elf("/bin/busybox", &Forge::program()).link("/bin/sh", "busybox");
        cases.push(case(of_busybox, busybox).real("/bin/busybox", "busybox"));
        for (name, shell, what) in [(of_dash, "/bin/dash", "dash"), (of_bash, "/bin/bash", "bash")] {
            let program = Forge { needed: vec!["libc.so.6".into()], ..Forge::dynamic(GLIBC) };
            let sample = line(shell)
                .elf(shell, &program)
                .elf(GLIBC, &Forge::glibc())
                .elf(&format!("{DEBIAN}/libc.so.6"), &Forge::library("libc.so.6"))
                .elf(&format!("{DEBIAN}/libtinfo.so.6"), &Forge::library("libtinfo.so.6"));
            cases.push(
                case(name, sample)
                    .real(shell, what)
                    .real(GLIBC, "ld")
                    .real("/lib/x86_64-linux-gnu/libc.so.6", "libc")
                    .real("/lib/x86_64-linux-gnu/libtinfo.so.6", "tinfo"),
            );
        }
    }
    let busybox_script = |mode: u32| {
        Sample::new()
            .bytes("/app", mode, b"#!/bin/sh\nexit 0\n")
            .elf("/bin/busybox", &Forge::program())
            .link("/bin/sh", "busybox")
    };
    cases.push(
        case("a script that others may execute and not read", busybox_script(0o711))
            .user("7:7")
            .real("/bin/busybox", "busybox"),
    );
    cases.push(
        case("a script that root may execute and not read", busybox_script(0o711)).real("/bin/busybox", "busybox"),
    );
    let closed = || {
        busybox("#!/usr/bin/env own\n")
            .closed("/closed", 0o700)
            .link("/bin/own", "/closed/own")
            .elf("/closed/own", &Forge::program())
    };
    cases.push(case("BusyBox's env may not search a directory", closed()).user("7:7").real("/bin/busybox", "busybox"));
    cases.push(case("BusyBox's env as root searches a directory of its own", closed()).real("/bin/busybox", "busybox"));
    for (with_busybox, with_coreutils, line) in lines {
        cases.push(case(with_busybox, busybox(line)).real("/bin/busybox", "busybox"));
        cases.push(
            case(with_coreutils, coreutils(line))
                .real("/usr/bin/env", "env")
                .real(GLIBC, "ld")
                .real("/lib/x86_64-linux-gnu/libc.so.6", "libc"),
        );
    }
    cases
}
