//! Which file the command of a container is, looked up as runc does (`libcontainer`, Go's `exec.LookPath`), and what crun does
//! differently.

use crate::oci::{DEFAULT_PATH, Settings};
use crate::path::{ImagePath, display_bytes};
use crate::report::{Code, CommandRole, CommandUse, Evidence, FindingSubject};
use crate::tree::{Kind, Resolved};

use super::draft::{Draft, ExecError, PlainDraft, permissions};
use super::files::Files;
use super::user::ProcessUser;

/// The command does not exist.
pub const CMD_NOT_FOUND: Code = Code("cmd-not-found");
/// The command cannot be executed.
pub const CMD_NOT_EXECUTABLE: Code = Code("cmd-not-executable");
/// PATH has an entry that is not an absolute path.
pub const PATH_RELATIVE: Code = Code("path-relative");
/// The configured user or group is not in the image.
pub const USER_MISSING: Code = Code("user-missing");

/// The setting that names a command, under its name in the recipe.
fn setting(role: CommandRole) -> &'static str {
    match role {
        CommandRole::Entrypoint => "entrypoint",
        CommandRole::Cmd => "cmd",
        CommandRole::Healthcheck | CommandRole::HealthcheckShell => "healthcheck",
        CommandRole::Init => "init",
        CommandRole::Required => "programs",
    }
}

/// A fault in the setting itself.
fn setting_fault(role: CommandRole, draft: Draft) -> Box<PlainDraft> {
    Box::new(PlainDraft::new(FindingSubject::Setting(setting(role).to_string()), draft))
}

/// A command that the image names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Its role in the image config.
    pub role: CommandRole,
    /// The path that is given to execve(2).
    pub spelled: Vec<u8>,
    /// The file.
    pub found: Resolved,
}

/// What runc prints for a program that it finds through a relative entry of PATH: the text of Go's `exec.LookPath`.
const FOUND_RELATIVE: &str = "cannot run executable found relative to current directory";

/// The directories in which a process of the image looks for programs.
pub(super) fn search_path(settings: Option<&Settings>) -> Vec<Vec<u8>> {
    let path = settings.and_then(|settings| settings.env("PATH")).unwrap_or(DEFAULT_PATH);
    path.split(':').map(|element| element.as_bytes().to_vec()).collect()
}

/// The working directory of a container, as written in the config.
pub(super) fn working_directory(settings: Option<&Settings>) -> Vec<u8> {
    let text = settings.map(|settings| settings.workdir.as_str()).unwrap_or_default();
    format!("/{}", text.trim_start_matches('/')).into_bytes()
}

/// The commands that an image config names (entry point or command, and health check), each with its role.
pub(super) fn commands(settings: &Settings) -> Vec<(CommandRole, Vec<u8>)> {
    let mut commands = Vec::new();
    if let Some(first) = settings.entrypoint.first() {
        commands.push((CommandRole::Entrypoint, first.clone().into_bytes()));
    } else if let Some(first) = settings.cmd.first() {
        commands.push((CommandRole::Cmd, first.clone().into_bytes()));
    }
    let test = settings.healthcheck.as_ref().map(|check| check.test.as_slice()).unwrap_or_default();
    match test.first().map(String::as_str) {
        Some("CMD") => commands.extend(test.get(1).map(|first| (CommandRole::Healthcheck, first.clone().into_bytes()))),
        Some("CMD-SHELL") => {
            let shell = settings.shell.first().map_or("/bin/sh", String::as_str);
            commands.push((CommandRole::HealthcheckShell, shell.as_bytes().to_vec()));
        }
        Some(_) | None => {}
    }
    commands
}

/// Looks a command up. The error is a finding about the path that comes with it.
pub(super) fn find(
    files: &Files<'_>,
    user: &ProcessUser,
    role: CommandRole,
    word: &[u8],
    path: &[Vec<u8>],
    directory: &[u8],
) -> Result<Named, Box<PlainDraft>> {
    let shown = display_bytes(word);
    if word.is_empty() {
        let draft = Draft::error(CMD_NOT_FOUND, "is empty and names no program")
            .says("exec: \"\": executable file not found in $PATH: unknown (exit code 127)");
        let draft = draft.fix("set `entrypoint` or `cmd` to a program of the image");
        return Err(setting_fault(role, draft));
    }
    if word.contains(&b'/') {
        let spelled = absolute(directory, word);
        return by_path(files, user, role, &shown, &spelled)
            .map_err(|draft| Box::new(PlainDraft::command(CommandUse::new(role, &spelled), *draft)));
    }
    let mut evidence = Vec::new();
    for element in path {
        // An empty element is the working directory.
        let element = if element.is_empty() { b"." } else { element.as_slice() };
        let candidate = [element, b"/", word].concat();
        let spelled = absolute(directory, &candidate);
        match regular(files, user, &spelled) {
            Ok(found) if element.starts_with(b"/") => return Ok(Named { role, spelled, found }),
            Ok(_) => {
                evidence.push(tried(
                    display_bytes(&candidate),
                    "found, but runc refuses what it finds through a relative entry",
                ));
                let draft = Draft::error(
                    CMD_NOT_FOUND,
                    format!("names {shown}, which is found first through a relative entry of PATH"),
                )
                .says(format!("exec: \"{shown}\": {FOUND_RELATIVE}: unknown (exit code 125)"))
                .fix(format!("use absolute directories in PATH only, or set `{}` to an absolute path", setting(role)));
                return Err(setting_fault(role, Draft { evidence, ..draft }));
            }
            Err(reason) => evidence.push(tried(display_bytes(&candidate), reason)),
        }
    }
    let mut draft =
        Draft::error(CMD_NOT_FOUND, format!("names {shown}, which is not in PATH"))
            .says(format!("exec: \"{shown}\": executable file not found in $PATH: unknown (exit code 127)"))
            .fix(line_in_a_word(role, word).unwrap_or_else(|| {
                format!("add the program, or set `{}` to an absolute path that exists", setting(role))
            }));
    draft.evidence = evidence;
    Err(setting_fault(role, draft))
}

/// The fix for a program name that is a whole command line, which no shell splits.
fn line_in_a_word(role: CommandRole, word: &[u8]) -> Option<String> {
    let words: Vec<String> =
        word.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).map(display_bytes).collect();
    (words.len() > 1)
        .then(|| format!("no shell splits this line: write each word of `{}` by itself: {words:?}", setting(role)))
}

/// Entries of PATH that are not absolute paths: whether they are searched depends on the runtime.
pub(super) fn relative_entries(path: &[Vec<u8>]) -> Option<PlainDraft> {
    let bad: Vec<String> = path
        .iter()
        .filter(|element| !element.starts_with(b"/"))
        .map(|element| if element.is_empty() { "an empty entry".to_string() } else { display_bytes(element) })
        .collect();
    (!bad.is_empty()).then(|| {
        let draft = Draft::warning(PATH_RELATIVE, format!("contains relative entries: {}", bad.join(", ")))
            .because("PATH", "runc refuses a program that it finds through a relative entry, crun starts it")
            .fix("use absolute directories only");
        PlainDraft::new(FindingSubject::Setting("PATH".into()), draft)
    })
}

fn by_path(
    files: &Files<'_>,
    user: &ProcessUser,
    role: CommandRole,
    shown: &str,
    spelled: &[u8],
) -> Result<Named, Box<Draft>> {
    let root = ImagePath::root();
    let found = match files.find(&root, spelled) {
        Ok(found) => found,
        Err(error) => {
            let text = ExecError::from(error.errno).text();
            let path = display_bytes(spelled);
            let draft =
                Draft::error(CMD_NOT_FOUND, "does not exist")
                    .because(path, files.words_of(&error))
                    .says(format!("exec: \"{shown}\": stat {shown}: {text}: unknown (exit code 127)"))
                    .fix(line_in_a_word(role, spelled).unwrap_or_else(|| {
                        format!("add the file, or set `{}` to a program that exists", setting(role))
                    }));
            return Err(Box::new(draft));
        }
    };
    if let Some(at) = user.barred(files.tree, &found) {
        let draft = Draft::error(CMD_NOT_EXECUTABLE, format!("cannot be reached by uid {}", user.uid))
            .because(at.to_string(), barred_words(files, user, &at))
            .says(format!("exec: \"{shown}\": stat {shown}: permission denied: unknown (exit code 126)"))
            .fix(permissions(&at.to_string(), "0755"));
        return Err(Box::new(draft));
    }
    let inode = files.tree.inode(found.id);
    let denied = |message: &str| {
        Draft::error(CMD_NOT_EXECUTABLE, message)
            .because(found.path.to_string(), format!("mode {}", inode.meta.mode))
            .says(format!("exec: \"{shown}\": permission denied: unknown (exit code 126)"))
    };
    let another = format!("set `{}` to a program", setting(role));
    let draft = match &inode.kind {
        Kind::File(_) if inode.meta.mode.any_execute() => {
            return Ok(Named { role, spelled: spelled.to_vec(), found });
        }
        Kind::File(_) => denied("is not executable").fix(permissions(&found.path.to_string(), "0755")),
        Kind::Directory(_) => denied("is a directory").fix(another),
        Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
            denied("is not a regular file").fix(another)
        }
    };
    Err(Box::new(draft))
}

/// Why a user cannot search a directory.
pub(super) fn barred_words(files: &Files<'_>, user: &ProcessUser, at: &ImagePath) -> String {
    let mode = files.tree.get(at).map(|id| format!(": mode {}", files.tree.inode(id).meta.mode)).unwrap_or_default();
    format!("uid {} has no search permission{mode}", user.uid)
}

/// A regular file with any execute bit, in directories that the user may search: a search of PATH checks nothing else. The error
/// says what is there instead.
pub(super) fn regular(files: &Files<'_>, user: &ProcessUser, spelled: &[u8]) -> Result<Resolved, String> {
    let found = files.find(&ImagePath::root(), spelled).map_err(|error| files.words_of(&error))?;
    if let Some(at) = user.barred(files.tree, &found) {
        return Err(format!("{at}: {}", barred_words(files, user, &at)));
    }
    let inode = files.tree.inode(found.id);
    match &inode.kind {
        Kind::File(_) if inode.meta.mode.any_execute() => Ok(found),
        Kind::File(_) => Err(format!("not executable: mode {}", inode.meta.mode)),
        Kind::Directory(_) => Err("a directory".to_string()),
        Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
            Err("not a regular file".to_string())
        }
    }
}

/// A path, resolved from a directory.
pub(super) fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, b"/", path].concat()
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
        let files = Files::new(&sample.tree, Some(Arch::Amd64));
        let named =
            find(&files, &ProcessUser::root(), CommandRole::Cmd, b"run", &paths("/a:/b:/c:/d:/e"), b"/").unwrap();
        assert_eq!(named.spelled, b"/d/run");
        let draft =
            find(&files, &ProcessUser::root(), CommandRole::Cmd, b"run", &paths("/a:/b:/c:"), b"/").unwrap_err().draft;
        let details: Vec<&str> = draft.evidence.iter().map(|evidence| evidence.detail.as_str()).collect();
        assert_eq!(
            details,
            ["not executable: mode 0644", "a directory", "a symlink to /c/nowhere, which does not exist", "absent"]
        );
    }

    #[test]
    fn a_line_in_one_word_is_explained() {
        let sample = Sample::new().text("/bin/run", 0o755, "x");
        let files = Files::new(&sample.tree, Some(Arch::Amd64));
        for (word, words) in [(&b"run -v"[..], "[\"run\", \"-v\"]"), (b"/bin/run  -v", "[\"/bin/run\", \"-v\"]")] {
            let fault = find(&files, &ProcessUser::root(), CommandRole::Cmd, word, &paths("/bin"), b"/").unwrap_err();
            let fix = fault.draft.fix.unwrap();
            assert_eq!(fix, format!("no shell splits this line: write each word of `cmd` by itself: {words}"));
        }
    }

    #[test]
    fn runc_refuses_what_a_relative_path_finds() {
        let sample = Sample::new().text("/work/bin/run", 0o755, "x");
        let files = Files::new(&sample.tree, Some(Arch::Amd64));
        for path in ["bin", "bin:/work/bin", ":bin"] {
            let draft =
                find(&files, &ProcessUser::root(), CommandRole::Cmd, b"run", &paths(path), b"/work").unwrap_err().draft;
            assert!(
                draft.message.ends_with("found first through a relative entry of PATH"),
                "{path}: {}",
                draft.message
            );
        }
        assert!(find(&files, &ProcessUser::root(), CommandRole::Cmd, b"run", &paths("/none:"), b"/work/bin").is_err());
        assert_eq!(
            find(&files, &ProcessUser::root(), CommandRole::Cmd, b"bin/run", &[], b"/work").unwrap().spelled,
            b"/work/bin/run"
        );
        let PlainDraft { subject, draft, .. } = relative_entries(&paths("/bin:.:")).unwrap();
        assert_eq!(format!("{subject} {}", draft.message), "PATH contains relative entries: ., an empty entry");
        assert_eq!(relative_entries(&paths("/bin:/usr/bin")), None);
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
            [(CommandRole::Entrypoint, b"/entry".to_vec()), (CommandRole::Healthcheck, b"probe".to_vec())]
        );
        let shell = Healthcheck { test: vec!["CMD-SHELL".into(), "x".into()], ..Healthcheck::default() };
        let settings = Settings { cmd: vec!["c".into()], healthcheck: Some(shell), ..Settings::default() };
        assert_eq!(
            commands(&settings),
            [(CommandRole::Cmd, b"c".to_vec()), (CommandRole::HealthcheckShell, b"/bin/sh".to_vec())]
        );
    }
}
