//! A build needs only files: it runs under a filter that kills it on mounts, namespaces, chown, device nodes, ptrace and
//! sockets, without `/proc`, without a network, and with a read-only home.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::outside::{SAZARE, build, checkout, command, install, missing, must, run};

fn confined<'a>(program: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = command("/usr/bin/python3", [checkout().join("tests/program/confine.py")]);
    command.args(program);
    command
}

/// A directory that every user can use, with the binary, the filter and `images/hello`.
fn room() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path: PathBuf = folder.path().to_owned();
    install(SAZARE, path.join("sazare"));
    fs::copy(checkout().join("tests/program/confine.py"), path.join("confine.py")).unwrap();
    must(command("cp", ["-r"]).arg(checkout().join("images/hello")).arg(path.join("hello")));
    must(command("chmod", ["-R", "a+rX"]).arg(&path));
    (folder, move |name: &str| path.join(name).to_str().unwrap().to_owned())
}

#[test]
fn the_filter_is_awake() {
    if missing(&["/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let socket = "import socket; socket.socket()";
    for forbidden in [["mkfifo", pipe.to_str().unwrap()].as_slice(), &["/usr/bin/python3", "-c", socket]] {
        assert_eq!(run(&mut confined(forbidden.iter().copied())).code, -1, "{forbidden:?}");
    }
    assert_eq!(must(&mut confined(["echo", "allowed"])), "allowed\n");
}

#[test]
fn a_build_makes_no_call_that_needs_a_privilege_or_a_network() {
    if missing(&["/usr/bin/python3"]) {
        return;
    }
    let (_folder, at) = room();
    let digest = build([&at("hello"), "-o", &at("usual.tar")]);
    let layout = format!("oci:{}", at("layout"));
    let out = must(&mut confined([SAZARE, "build", &at("hello"), "-o", &at("hello.tar"), "-o", &layout]));
    assert_eq!(out.trim_end(), digest);
    assert_eq!(fs::read(at("hello.tar")).unwrap(), fs::read(at("usual.tar")).unwrap());
    must(&mut confined([SAZARE, "verify", &layout]));
    must(&mut confined([SAZARE, "inspect", &at("hello.tar")]));
}

#[test]
fn a_build_needs_neither_proc_nor_network_nor_home() {
    if missing(&["/usr/bin/python3", "unshare", "setpriv"]) {
        return;
    }
    let (_folder, at) = room();
    let digest = build([&at("hello"), "-o", &at("usual.tar")]);
    fs::create_dir(at("home")).unwrap();
    // Inside: an empty /proc, no active network device, a home that is read-only even for root; then as user nobody.
    let mut unshare = command("unshare", ["--mount", "--net"]);
    let root = rustix::process::geteuid().is_root();
    if !root {
        unshare.arg("--map-root-user");
    }
    let script =
        "mount -t tmpfs none /proc && mount -t tmpfs -o ro none \"$HOME\" && ! [ -e /proc/self ] && exec \"$@\"";
    unshare.args(["sh", "-c", script, "sh"]).env("HOME", at("home")).env_remove("XDG_CACHE_HOME");
    if root {
        unshare.args(["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all"]);
    }
    unshare.args(["/usr/bin/python3", &at("confine.py"), &at("sazare"), "build", &at("hello"), "-o", &at("hello.tar")]);
    let answer = run(&mut unshare);
    if !root && answer.err.contains("unshare") {
        // A machine may forbid user namespaces for users other than root; then the test is skipped.
        assert!(missing(&["root"]), "{}", answer.text());
        return;
    }
    assert_eq!((answer.code, answer.out.trim_end()), (0, digest.as_str()), "{}", answer.text());
    assert_eq!(fs::read(at("hello.tar")).unwrap(), fs::read(at("usual.tar")).unwrap());
}
