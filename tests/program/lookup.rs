//! How a runtime looks up a command, tested with docker and runc: in each case the real message must be the one that the
//! report predicts, with the same exit code; or both must start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::engines::Docker;
use crate::outside::{SAZARE, checkout, command, must, run};

/// The first word of the command line, PATH if it is set, and the working directory.
struct Case(&'static str, Option<&'static str>, &'static str);

const CASES: [Case; 20] = [
    Case("/bin/hello", None, "/"),
    Case("hello", None, "/"),
    Case("/bin/link", None, "/"),
    Case("bin/hello", None, "/"),
    Case("sub/hello", None, "/srv"),
    Case("./sub/hello", None, "/srv"),
    Case("bin/hello", None, "/srv"),
    Case("/absent", None, "/"),
    Case("/bin/dangling", None, "/"),
    Case("/bin/plain", None, "/"),
    Case("/srv", None, "/"),
    Case("absent", None, "/"),
    // Files with mode 0644, directories and dangling links are skipped.
    Case("hello", Some("/plain:/directory:/dangling:/bin"), "/"),
    Case("hello", Some("/plain:/directory:/dangling"), "/"),
    // The search ignores the contents of the file.
    Case("hello", Some("/text:/bin"), "/"),
    Case("hello", Some("/nowhere:/bin"), "/"),
    // A program found through a relative element is refused.
    Case("hello", Some("sub:/bin"), "/srv"),
    Case("hello", Some("sub"), "/srv"),
    Case("hello", Some(":/bin"), "/srv/sub"),
    Case("hello", Some("/srv"), "/"),
];

fn root(folder: &Path) {
    let hello = checkout().join("images/hello/amd64/bin/hello");
    let program = |path: &str, mode: u32| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&hello, &path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    program("bin/hello", 0o755);
    program("bin/plain", 0o644);
    program("srv/sub/hello", 0o755);
    program("plain/hello", 0o644);
    fs::create_dir_all(folder.join("directory/hello")).unwrap();
    for name in ["dangling", "text"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    symlink("hello", folder.join("bin/link")).unwrap();
    symlink("/absent", folder.join("bin/dangling")).unwrap();
    symlink("/absent", folder.join("dangling/hello")).unwrap();
    fs::write(folder.join("text/hello"), "no program\n").unwrap();
    fs::set_permissions(folder.join("text/hello"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_command_is_looked_up_as_runc_does_it() {
    let Some(docker) = Docker::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    root(&at("root"));
    must(command("tar", ["-C"]).arg(at("root")).arg("-cf").arg(at("root.tar")).arg("."));
    for Case(word, path, workdir) in CASES {
        let case = format!("{word:?} in {workdir} with PATH {path:?}");
        let mut import = docker.docker(&["import", "--change", &format!("WORKDIR {workdir}")]);
        import.args(["--change", &format!("ENTRYPOINT [\"{word}\"]")]);
        let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "--format", "json", "--tag", "x"]);
        build.args(["--workdir", workdir, "--entrypoint", word]).arg("-o").arg(at("out.tar")).arg(at("root"));
        if let Some(path) = path {
            import.args(["--change", &format!("ENV PATH={path}")]);
            build.args(["--env", &format!("PATH={path}")]);
        }
        let image = must(import.arg(at("root.tar")));
        let said = run(&mut docker.docker(&["run", "--rm", "--network", "none", image.trim()]));
        let answer = run(&mut build);
        assert_eq!(answer.code == 0, said.code == 0, "{case}\n{}\n{}", said.text(), answer.text());
        if said.code == 0 {
            continue;
        }
        let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let foretold: Vec<&str> = findings
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| finding["run-time"].as_str().unwrap())
            .collect();
        let [words] = foretold.as_slice() else { panic!("{case}: {}", answer.out) };
        let (words, code) = words.split_once(" (exit code ").unwrap_or((words, "1)"));
        let words = words.trim_end_matches(": unknown");
        assert!(said.text().contains(words), "{case}: {words:?} is not in\n{}", said.text());
        assert_eq!(format!("{})", said.code), code, "{case}\n{}", said.text());
    }
}
