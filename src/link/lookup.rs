//! Which file a container's command is: as runc finds it (`libcontainer`, Go's `exec.LookPath`), and where crun differs.

use crate::oci::{DEFAULT_PATH, Settings};
use crate::path::{ImagePath, display_bytes};
use crate::report::{Code, Evidence};
use crate::tree::{Kind, Resolved};

use super::draft::{Draft, ExecError, permissions};
use super::files::{Files, words_of};

/// The command is not there.
pub const CMD_NOT_FOUND: Code = Code("cmd-not-found");
/// The command cannot be executed.
pub const CMD_NOT_EXECUTABLE: Code = Code("cmd-not-executable");
/// PATH has an element that is no absolute path.
pub const PATH_RELATIVE: Code = Code("path-relative");
/// The user that the container runs as is not in the image.
pub const USER_MISSING: Code = Code("user-missing");

/// A command that the image names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// What it is to the image: `the entry point`.
    pub role: &'static str,
    /// The path that is given to execve(2).
    pub spelled: Vec<u8>,
    /// The file.
    pub found: Resolved,
}

/// Why a command is none, and the path that this is about.
#[derive(Debug)]
pub(super) struct NotFound {
    pub path: Vec<u8>,
    pub draft: Draft,
}

/// What runc says of a program that a relative element of PATH finds: the words of Go's `exec.LookPath`.
const FOUND_RELATIVE: &str = "cannot run executable found relative to current directory";

/// Where a process of the image looks for programs.
pub(super) fn search_path(settings: Option<&Settings>) -> Vec<Vec<u8>> {
    let path = settings.and_then(|settings| settings.env("PATH")).unwrap_or(DEFAULT_PATH);
    path.split(':').map(|element| element.as_bytes().to_vec()).collect()
}

/// The working directory of a container, as it is written.
pub(super) fn working_directory(settings: Option<&Settings>) -> Vec<u8> {
    let text = settings.map(|settings| settings.workdir.as_str()).unwrap_or_default();
    format!("/{}", text.trim_start_matches('/')).into_bytes()
}

/// The commands that an image names: entry point and command, and health check; with the role of each.
pub(super) fn commands(settings: &Settings) -> Vec<(&'static str, Vec<u8>)> {
    let mut commands = Vec::new();
    if let Some(first) = settings.entrypoint.first() {
        commands.push(("the entry point", first.clone().into_bytes()));
    } else if let Some(first) = settings.cmd.first() {
        commands.push(("the command", first.clone().into_bytes()));
    }
    let test = settings.healthcheck.as_ref().map(|check| check.test.as_slice()).unwrap_or_default();
    match test.first().map(String::as_str) {
        Some("CMD") => commands.extend(test.get(1).map(|first| ("the health check", first.clone().into_bytes()))),
        Some("CMD-SHELL") => {
            let shell = settings.shell.first().map_or("/bin/sh", String::as_str);
            commands.push(("the health check's shell", shell.as_bytes().to_vec()));
        }
        Some(_) | None => {}
    }
    commands
}

/// Finds a command. The error is a finding about the path that comes with it.
pub(super) fn find(
    files: &Files<'_>,
    role: &'static str,
    word: &[u8],
    path: &[Vec<u8>],
    directory: &[u8],
) -> Result<Named, Box<NotFound>> {
    let shown = display_bytes(word);
    if word.is_empty() {
        let draft = Draft::error(CMD_NOT_FOUND, format!("is empty, so {role} names no program"))
            .says("exec: \"\": executable file not found in $PATH: unknown (exit code 127)");
        let draft = draft.fix("set `entrypoint` or `cmd` to a program of the image");
        return Err(Box::new(NotFound { path: Vec::new(), draft }));
    }
    if word.contains(&b'/') {
        let spelled = absolute(directory, word);
        return by_path(files, role, &shown, &spelled)
            .map_err(|draft| Box::new(NotFound { path: spelled, draft: *draft }));
    }
    let mut evidence = Vec::new();
    for element in path {
        // An empty element is the working directory.
        let element = if element.is_empty() { b"." } else { element.as_slice() };
        let candidate = [element, b"/", word].concat();
        let spelled = absolute(directory, &candidate);
        match regular(files, &spelled) {
            Ok(found) if element.starts_with(b"/") => return Ok(Named { role, spelled, found }),
            Ok(_) => {
                evidence.push(tried(display_bytes(&candidate), "there, and runc refuses what a relative PATH finds"));
                let draft =
                    Draft::error(CMD_NOT_FOUND, format!("is {role}, and a relative element of PATH finds it first"))
                        .says(format!("exec: \"{shown}\": {FOUND_RELATIVE}: unknown (exit code 125)"))
                        .fix(format!(
                            "use absolute directories in PATH only, or set {} to an absolute path",
                            key_of(role)
                        ));
                return Err(Box::new(NotFound { path: word.to_vec(), draft: Draft { evidence, ..draft } }));
            }
            Err(reason) => evidence.push(tried(display_bytes(&candidate), reason)),
        }
    }
    let mut draft = Draft::error(CMD_NOT_FOUND, format!("is {role}, and no directory of PATH holds such a program"))
        .says(format!("exec: \"{shown}\": executable file not found in $PATH: unknown (exit code 127)"))
        .fix(format!("add the program, or set {} to an absolute path that exists", key_of(role)));
    draft.evidence = evidence;
    Err(Box::new(NotFound { path: word.to_vec(), draft }))
}

/// PATH elements that are no absolute paths: whether they are searched depends on the runtime.
pub(super) fn relative_elements(path: &[Vec<u8>]) -> Option<Draft> {
    let bad: Vec<String> = path
        .iter()
        .filter(|element| !element.starts_with(b"/"))
        .map(|element| if element.is_empty() { "an empty element".to_string() } else { display_bytes(element) })
        .collect();
    (!bad.is_empty()).then(|| {
        Draft::warning(PATH_RELATIVE, format!("in the environment is not all absolute: {}", bad.join(", ")))
            .because("PATH", "runc refuses what it finds through a relative element, crun takes it")
            .fix("use absolute directories only")
    })
}

fn by_path(files: &Files<'_>, role: &'static str, shown: &str, spelled: &[u8]) -> Result<Named, Box<Draft>> {
    let root = ImagePath::root();
    let found = match files.find(&root, spelled) {
        Ok(found) => found,
        Err(error) => {
            let text = ExecError::from(error.errno).text();
            let path = display_bytes(spelled);
            let draft = Draft::error(CMD_NOT_FOUND, format!("is {role}, and there is no such file"))
                .because(path, words_of(&error))
                .says(format!("exec: \"{shown}\": stat {shown}: {text}: unknown (exit code 127)"))
                .fix(format!("add the file, or set {} to a program that exists", key_of(role)));
            return Err(Box::new(draft));
        }
    };
    let inode = files.tree.inode(found.id);
    let denied = |message: String| {
        Draft::error(CMD_NOT_EXECUTABLE, message)
            .because(found.path.to_string(), format!("mode {}", inode.meta.mode))
            .says(format!("exec: \"{shown}\": permission denied: unknown (exit code 126)"))
    };
    let another = format!("set {} to a program", key_of(role));
    let draft = match &inode.kind {
        Kind::File(_) if inode.meta.mode.any_execute() => {
            return Ok(Named { role, spelled: spelled.to_vec(), found });
        }
        Kind::File(_) => {
            denied(format!("is {role}, and it may not be executed")).fix(permissions(&found.path.to_string(), "0755"))
        }
        Kind::Directory(_) => denied(format!("is {role}, and it is a directory")).fix(another),
        Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
            denied(format!("is {role}, and it is no regular file")).fix(another)
        }
    };
    Err(Box::new(draft))
}

/// A regular file with any execute bit, which is all that a search of PATH asks for; or what is there instead.
pub(super) fn regular(files: &Files<'_>, spelled: &[u8]) -> Result<Resolved, String> {
    let found = files.find(&ImagePath::root(), spelled).map_err(|error| words_of(&error))?;
    let inode = files.tree.inode(found.id);
    match &inode.kind {
        Kind::File(_) if inode.meta.mode.any_execute() => Ok(found),
        Kind::File(_) => Err(format!("not executable: mode {}", inode.meta.mode)),
        Kind::Directory(_) => Err("a directory".to_string()),
        Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
            Err("no regular file".to_string())
        }
    }
}

/// A path as seen from a directory.
pub(super) fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, b"/", path].concat()
}

fn key_of(role: &str) -> &'static str {
    match role {
        "the entry point" => "`entrypoint`",
        "the command" => "`cmd`",
        "init" => "`init`",
        _ => "`healthcheck`",
    }
}

fn tried(subject: impl Into<String>, detail: impl Into<String>) -> Evidence {
    Evidence { subject: subject.into(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::sample::Sample;
    use crate::oci::Healthcheck;
    use crate::platform::Arch;

    fn paths(text: &str) -> Vec<Vec<u8>> {
        text.split(':').map(|element| element.as_bytes().to_vec()).collect()
    }

    #[test]
    fn the_first_executable_regular_file_of_path_wins_whatever_is_in_it() {
        let sample = Sample::new()
            .text("/a/run", 0o644, "x")
            .directory("/b/run")
            .link("/c/run", "nowhere")
            .text("/d/run", 0o001, "not an ELF file")
            .text("/e/run", 0o755, "x");
        let files = Files::new(&sample.tree, Arch::Amd64);
        let named = find(&files, "the command", b"run", &paths("/a:/b:/c:/d:/e"), b"/").unwrap();
        assert_eq!(named.spelled, b"/d/run");
        let draft = find(&files, "the command", b"run", &paths("/a:/b:/c:"), b"/").unwrap_err().draft;
        let details: Vec<&str> = draft.evidence.iter().map(|evidence| evidence.detail.as_str()).collect();
        assert_eq!(
            details,
            ["not executable: mode 0644", "a directory", "a link to /c/nowhere, which does not exist", "absent"]
        );
    }

    #[test]
    fn runc_refuses_what_a_relative_path_finds() {
        let sample = Sample::new().text("/work/bin/run", 0o755, "x");
        let files = Files::new(&sample.tree, Arch::Amd64);
        for path in ["bin", "bin:/work/bin", ":bin"] {
            let draft = find(&files, "the command", b"run", &paths(path), b"/work").unwrap_err().draft;
            assert!(draft.message.ends_with("a relative element of PATH finds it first"), "{path}: {}", draft.message);
        }
        assert!(find(&files, "the command", b"run", &paths("/none:"), b"/work/bin").is_err());
        assert_eq!(find(&files, "the command", b"bin/run", &[], b"/work").unwrap().spelled, b"/work/bin/run");
        assert!(relative_elements(&paths("/bin:.")).unwrap().message.ends_with("not all absolute: ."));
        assert_eq!(relative_elements(&paths("/bin:/usr/bin")), None);
    }

    #[test]
    fn what_is_named_is_found_in_the_settings() {
        let settings = Settings {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["ignored".into()],
            healthcheck: Some(Healthcheck { test: vec!["CMD".into(), "probe".into()], ..Healthcheck::default() }),
            ..Settings::default()
        };
        assert_eq!(
            commands(&settings),
            [("the entry point", b"/entry".to_vec()), ("the health check", b"probe".to_vec())]
        );
        let shell = Healthcheck { test: vec!["CMD-SHELL".into(), "x".into()], ..Healthcheck::default() };
        let settings = Settings { cmd: vec!["c".into()], healthcheck: Some(shell), ..Settings::default() };
        assert_eq!(
            commands(&settings),
            [("the command", b"c".to_vec()), ("the health check's shell", b"/bin/sh".to_vec())]
        );
    }
}
