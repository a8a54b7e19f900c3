//! Checks a script of the tree as the kernel, `env` and the shells would read it.

use crate::path::{ImagePath, display_bytes};
use crate::tree::{Errno, InodeId, Resolved};

use super::env::{Env, EnvCall};
use super::first_line::{
    ENV_COMMAND_MISSING, ENV_LOOP, ENV_SPLIT, FirstLine, SCRIPT_ARGUMENT, SCRIPT_BOM, SCRIPT_CRLF, SCRIPT_DEPTH,
    SCRIPT_EMPTY, SCRIPT_INTERP_MISSING, SCRIPT_LINE_TOO_LONG, SCRIPT_NO_SHEBANG, SCRIPT_UNREADABLE, SCRIPTS_MAX,
};
use super::shell::{Shell, ShellCall};
use crate::link::draft::{Draft, ExecError, permissions};
use crate::link::files::{Files, Probe, Refusal};
use crate::link::kernel::exec::{ExecContext, INTERP_NOT_EXECUTABLE, INTERP_RELATIVE};
use crate::link::lookup::{absolute, regular};

/// The directories in which programs are looked up.
pub(crate) struct Search<'a> {
    /// The elements of PATH.
    pub path: &'a [Vec<u8>],
    /// The working directory, as written in the config.
    pub directory: &'a [u8],
}

/// A program that a script starts.
#[derive(Debug)]
pub(crate) struct Started {
    pub id: InodeId,
    /// Its path, with links resolved.
    pub path: ImagePath,
    /// The path that is passed to execve(2).
    pub spelled: Vec<u8>,
    /// Whether `env` starts it, instead of the kernel.
    pub by_env: bool,
}

/// What a script starts, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The programs that it starts: they must start for it to run.
    pub starts: Vec<Started>,
    pub drafts: Vec<Draft>,
}

impl ExecContext<'_> {
    /// Checks a file that is not an ELF file.
    pub fn script(&self, id: InodeId, file: &ImagePath, probe: &Probe, search: &Search<'_>) -> Script {
        let mut script = Script::default();
        match FirstLine::read(&probe.head) {
            FirstLine::None => script.drafts.push(self.no_script(probe)),
            FirstLine::Nameless => script.drafts.push(
                self.formless(SCRIPT_NO_SHEBANG, "names no interpreter after its `#!`")
                    .fix("write `#!/bin/sh` as the first line"),
            ),
            FirstLine::TooLong => script.drafts.push(
                Draft::error(SCRIPT_LINE_TOO_LONG, "has an interpreter whose path does not end within 255 bytes")
                    .refused(ExecError::Format)
                    .fix("shorten the path of the interpreter"),
            ),
            FirstLine::Interpreter { path, argument } => {
                self.interpreted(file, &path, argument.as_deref(), search, &mut script);
                script.drafts.extend(self.unreadable(id, file, &path));
                if let Some(draft) = self.depth(id) {
                    script.drafts.push(draft);
                }
            }
        }
        script
    }

    fn no_script(&self, probe: &Probe) -> Draft {
        if probe.size == 0 {
            return self.formless(SCRIPT_EMPTY, "is empty").fix("give it contents, or remove its execute bit");
        }
        if probe.head.starts_with(b"\xef\xbb\xbf#!") {
            return Draft::error(SCRIPT_BOM, "starts with a byte order mark, so the kernel does not see its `#!`")
                .refused(ExecError::Format)
                .fix("save it as UTF-8 without a byte order mark");
        }
        // A file of Cosmopolitan begins like this: it is a program for several systems, and a shell script.
        if probe.head.starts_with(b"MZqFpD='") || probe.head.starts_with(b"jartsr='") {
            return self
                .formless(
                    SCRIPT_NO_SHEBANG,
                    "is an Actually Portable Executable, which a shell can start and the kernel cannot",
                )
                .fix("make it an ELF file (`assimilate FILE`), or start it by a shell: `sh FILE`");
        }
        self.formless(SCRIPT_NO_SHEBANG, "is not an ELF file and does not start with `#!`")
            .fix("write `#!/bin/sh` as its very first bytes, or remove its execute bit")
    }

    /// An error if the image config names the file; otherwise a note, because a shell may still run it.
    fn formless(&self, code: crate::report::Code, message: &str) -> Draft {
        let draft = if self.named { Draft::error(code, message) } else { Draft::note(code, message) };
        draft.refused(ExecError::Format)
    }

    /// The kernel executes a script without reading permission, but its interpreter opens it.
    fn unreadable(&self, id: InodeId, file: &ImagePath, path: &[u8]) -> Option<Draft> {
        let meta = &self.files.tree.inode(id).meta;
        if self.user.may_read(meta) {
            return None;
        }
        let shown = display_bytes(path);
        let interpreter = self.files.open_program(self.cwd, path, self.user).ok()?;
        let says = match Shell::of(path, &interpreter.path) {
            Some(Shell::BusyBox) => format!("{shown}: can't open '{file}': Permission denied (exit code 2)"),
            Some(Shell::Dash) => format!("{shown}: 0: cannot open {file}: Permission denied (exit code 2)"),
            Some(Shell::Bash) | None => format!("{shown}: {file}: Permission denied (exit code 126)"),
        };
        let message = format!("cannot be read by uid {}, so {shown} cannot open it", self.user.uid);
        Some(
            Draft::error(SCRIPT_UNREADABLE, message)
                .says(says)
                .because("mode and owner", format!("{} {}:{}", meta.mode, meta.uid, meta.gid))
                .fix(permissions(&file.to_string(), "0755")),
        )
    }

    fn interpreted(
        &self,
        file: &ImagePath,
        path: &[u8],
        argument: Option<&[u8]>,
        search: &Search<'_>,
        script: &mut Script,
    ) {
        let shown = display_bytes(path);
        let line = match argument {
            Some(argument) => format!("first line `#!{shown} {}`", display_bytes(argument)),
            None => format!("first line `#!{shown}`"),
        };
        if path.is_empty() {
            let draft = Draft::error(SCRIPT_NO_SHEBANG, "names no interpreter after its `#!`");
            script.drafts.push(draft.refused(ExecError::Denied).fix("write `#!/bin/sh` as the first line"));
            return;
        }
        if path.ends_with(b"\r") {
            script.drafts.push(
                Draft::error(SCRIPT_CRLF, format!("ends its lines with CR LF, so its interpreter is {shown}"))
                    .refused(ExecError::NotFound)
                    .because(line, "the carriage return is part of the name")
                    .fix("convert it to LF (`sed -i 's/\\r$//'`; in git: `eol=lf` in .gitattributes)"),
            );
            return;
        }
        if !path.starts_with(b"/") {
            script.drafts.push(
                Draft::warning(
                    INTERP_RELATIVE,
                    format!("names its interpreter with a relative path, which works from one directory only: {shown}"),
                )
                .because(line.clone(), "the kernel does not search PATH")
                .fix("use an absolute path, or `#!/usr/bin/env NAME`"),
            );
        }
        match self.files.open_program(self.cwd, path, self.user) {
            Ok(found) => {
                if self.is_env(path, &found) {
                    let arguments: Vec<Vec<u8>> = argument.map(<[u8]>::to_vec).into_iter().collect();
                    self.env(path, &arguments, &found, &line, search, script);
                } else if let Some(argument) = argument {
                    script.drafts.extend(self.argument(path, argument, &found, file, &line));
                }
                script.starts.push(Started { id: found.id, path: found.path, spelled: path.to_vec(), by_env: false });
            }
            Err(refusal) => script.drafts.push(self.interpreter_refused(&shown, &line, &refusal)),
        }
    }

    fn interpreter_refused(&self, shown: &str, line: &str, refusal: &Refusal) -> Draft {
        let denied = |message: String| {
            Draft::error(INTERP_NOT_EXECUTABLE, message).because(line, String::new()).refused(ExecError::Denied)
        };
        match refusal {
            Refusal::Path(error) => {
                let message = match error.errno {
                    Errno::NotFound if self.files.is_dangling(error) => {
                        format!("is interpreted by {shown}, a dangling symlink: {} does not exist", error.at)
                    }
                    Errno::NotFound => format!("is interpreted by {shown}, which {} does not contain", self.whole),
                    Errno::NoAccess | Errno::NotADirectory | Errno::Loop | Errno::NameTooLong => {
                        format!("is interpreted by {shown}, which cannot be reached: {}", self.files.words_of(error))
                    }
                };
                Draft::error(SCRIPT_INTERP_MISSING, message)
                    .because(line, String::new())
                    .refused(error.errno.into())
                    .fix(format!("add {shown} to a source, or correct the first line"))
            }
            Refusal::Barred(at) => denied(format!("is interpreted by {shown}, which the user cannot reach"))
                .because(at.to_string(), format!("uid {} has no search permission", self.user.uid))
                .fix(permissions(&at.to_string(), "0755")),
            Refusal::NotAFile(_, kind) => {
                denied(format!("is interpreted by {shown}, which is {kind}")).fix("correct the first line")
            }
            Refusal::NotExecutable(found) => {
                let mode = self.files.tree.inode(found.id).meta.mode;
                denied(format!("is interpreted by {shown}, which is not executable: mode {mode}"))
                    .fix(permissions(&found.path.to_string(), "0755"))
            }
        }
    }

    fn is_env(&self, path: &[u8], found: &Resolved) -> bool {
        path.rsplit(|&byte| byte == b'/').next() == Some(b"env") && self.files.elf(found.id).is_some()
    }

    /// Checks the argument of an interpreter that is a shell. A carriage return is wrong for any interpreter.
    fn argument(&self, path: &[u8], argument: &[u8], found: &Resolved, file: &ImagePath, line: &str) -> Option<Draft> {
        let call = Shell::of(path, &found.path).map(|shell| shell.call(path, argument, file));
        let (shown, word) = (display_bytes(path), display_bytes(argument));
        let to_lf = "convert it to LF (`sed -i 's/\\r$//'`; in git: `eol=lf` in .gitattributes)";
        match call {
            Some(ShellCall::Refused(says)) if argument.ends_with(b"\r") => Some(
                Draft::error(SCRIPT_CRLF, format!("ends its lines with CR LF, so the argument of {shown} is {word}"))
                    .because(line, "the carriage return is part of the argument")
                    .says(says)
                    .fix(to_lf),
            ),
            Some(ShellCall::Refused(says)) => Some(
                Draft::error(SCRIPT_ARGUMENT, format!("gives {shown} an argument that it refuses: {word:?}"))
                    .because(line, "the kernel passes the rest of the line as one argument")
                    .says(says)
                    .fix("write `set -…` in the script instead of options in its first line"),
            ),
            Some(ShellCall::Itself) => Some(
                Draft::error(ENV_LOOP, format!("makes {shown} run the script itself again and again"))
                    .because(line, "-c takes the path of the script as the command")
                    .says("nothing is printed, and it never ends")
                    .fix("remove -c from the first line"),
            ),
            Some(ShellCall::Runs) => None,
            // How other interpreters read it is not known.
            None if argument.ends_with(b"\r") => Some(
                Draft::warning(SCRIPT_CRLF, format!("ends its lines with CR LF, so the argument of {shown} is {word}"))
                    .because(line, "the carriage return is part of the argument")
                    .fix(to_lf),
            ),
            None => None,
        }
    }

    /// A message of `env`. It begins with the name that the kernel passes to `env`: the path in the first line.
    fn env(
        &self,
        path: &[u8],
        arguments: &[Vec<u8>],
        found: &Resolved,
        line: &str,
        search: &Search<'_>,
        script: &mut Script,
    ) {
        let multi_call = |name: &ImagePath| {
            let name = name.file_name();
            let bytes = name.as_ref().map(crate::path::Name::as_bytes).unwrap_or_default();
            crate::elf::contains(bytes, b"busybox") || crate::elf::contains(bytes, b"toybox")
        };
        let env = if multi_call(&found.path) { Env::BusyBox } else { Env::Coreutils };
        let shown = display_bytes(path);
        let says = |words: &str, code: u8| format!("{shown}: {words} (exit code {code})");
        match env.call(arguments) {
            EnvCall::Other => {}
            EnvCall::Itself => script.drafts.push(
                Draft::error(ENV_LOOP, "makes `env` run the script itself again and again")
                    .because(line, "`env` runs its last argument: the script")
                    .says("nothing is printed, and it never ends")
                    .fix("name the interpreter: `#!/usr/bin/env sh`; with variables or options: `env -S`"),
            ),
            EnvCall::NoSplit => script.drafts.push(
                Draft::error(ENV_SPLIT, "gives `env` the option -S, which this one does not have")
                    .because(line, format!("{} is BusyBox's or Toybox's", found.path))
                    .says(says("invalid option -- 'S'", 1))
                    .fix("use the absolute path of the interpreter, or add coreutils"),
            ),
            EnvCall::Blanks(word) => {
                let word = display_bytes(&word);
                script.drafts.push(
                    Draft::error(ENV_SPLIT, format!("gives `env` one argument with blanks in it: {word:?}"))
                        .because(line, "the kernel passes the rest of the line as one argument")
                        .says(env_says(path, env, &word, EnvError::NotFound))
                        .fix("use one word, or `env -S` of coreutils"),
                );
            }
            EnvCall::Refused(words, code) => script.drafts.push(
                Draft::error(ENV_SPLIT, "gives `env` options that it refuses")
                    .because(line, "the kernel passes the rest of the line as one argument")
                    .says(says(&words, code))
                    .fix("use one word, or `env -S` of coreutils"),
            ),
            EnvCall::Prints => script.drafts.push(
                Draft::error(ENV_SPLIT, "makes `env` print its variables or its help instead of running the script")
                    .because(line, "the path of the script is taken for the value of an option, or is not looked at")
                    .fix("name the interpreter: `#!/usr/bin/env sh`"),
            ),
            EnvCall::Command(command) => {
                let directory = command.directory.as_deref().map(|directory| absolute(search.directory, directory));
                if let Some(directory) = directory.as_ref().filter(|directory| !self.is_directory(directory)) {
                    let words =
                        format!("cannot change directory to '{}': No such file or directory", display_bytes(directory));
                    script.drafts.push(
                        Draft::error(ENV_SPLIT, "gives `env` a directory that does not exist")
                            .because(line, "-C or --chdir")
                            .says(says(&words, 125))
                            .fix("add the directory, or remove the option"),
                    );
                    return;
                }
                let elements = command
                    .path
                    .as_ref()
                    .map(|path| path.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect::<Vec<_>>());
                let search = Search {
                    path: elements.as_deref().unwrap_or(search.path),
                    directory: directory.as_deref().unwrap_or(search.directory),
                };
                if let Some(found) = self.env_command(path, &command.word, env, line, &search, script)
                    && self.is_env(&command.word, &found)
                    && !command.arguments.is_empty()
                {
                    self.env(&command.word, &command.arguments, &found, line, &search, script);
                }
            }
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let found = self.files.find(&ImagePath::root(), path);
        found.is_ok_and(|found| self.files.tree.inode(found.id).is_directory())
    }

    fn env_command(
        &self,
        path: &[u8],
        word: &[u8],
        env: Env,
        line: &str,
        search: &Search<'_>,
        script: &mut Script,
    ) -> Option<Resolved> {
        let shown = display_bytes(word);
        let mut evidence = Vec::new();
        let candidates: Vec<Vec<u8>> = if word.contains(&b'/') {
            vec![absolute(search.directory, word)]
        } else {
            search
                .path
                .iter()
                .map(|element| absolute(search.directory, &[element.as_slice(), b"/", word].concat()))
                .collect()
        };
        for candidate in candidates {
            match regular(self.files, self.user, &candidate) {
                Ok(found) if !self.user.may_execute(&self.files.tree.inode(found.id).meta) => {
                    let words = format!("uid {} has no execute permission", self.user.uid);
                    evidence.push((display_bytes(&candidate), words));
                }
                Ok(found) => {
                    let path = found.path.clone();
                    script.starts.push(Started { id: found.id, path, spelled: candidate, by_env: true });
                    return Some(found);
                }
                Err(reason) => evidence.push((display_bytes(&candidate), reason)),
            }
        }
        // execvp(3) continues with the next element, and in the end reports that one was refused.
        let denied =
            evidence.iter().any(|(_, reason)| reason.ends_with(" permission") || reason.contains("search permission"));
        let draft = if word.ends_with(b"\r") {
            Draft::error(SCRIPT_CRLF, format!("ends its lines with CR LF, so `env` looks for {shown}"))
                .because(line, "the carriage return is part of the name")
                .fix("convert it to LF (`sed -i 's/\\r$//'`; in git: `eol=lf` in .gitattributes)")
        } else {
            let what = if denied { "which this user may not start" } else { "which is not in PATH" };
            let draft = Draft::error(ENV_COMMAND_MISSING, format!("is run by `env {shown}`, {what}"))
                .because(line, String::new())
                .fix(format!("add {shown} to a source, or use the absolute path of an interpreter that exists"));
            evidence.into_iter().fold(draft, |draft, (subject, detail)| draft.because(subject, detail))
        };
        let error = if denied { EnvError::Denied } else { EnvError::NotFound };
        script.drafts.push(draft.says(env_says(path, env, &shown, error)));
        None
    }

    /// Follows a chain of scripts.
    fn depth(&self, id: InodeId) -> Option<Draft> {
        let mut here = id;
        for _ in 0..SCRIPTS_MAX {
            here = interpreter_of(self.files, here, self)?;
        }
        // There are five levels of scripts already: is this the sixth?
        interpreter_of(self.files, here, self)?;
        let mut message = "is interpreted by a chain of more than five scripts";
        if here == id || interpreter_of(self.files, id, self) == Some(id) {
            message = "is interpreted by itself";
        }
        Some(Draft::error(SCRIPT_DEPTH, message).refused(ExecError::Loop).fix("use an interpreter that is a binary"))
    }
}

/// The interpreter of a script.
fn interpreter_of(files: &Files<'_>, id: InodeId, context: &ExecContext<'_>) -> Option<InodeId> {
    let FirstLine::Interpreter { path, .. } = FirstLine::read(&files.probe(id)?.head) else { return None };
    Some(files.open_program(context.cwd, &path, context.user).ok()?.id)
}

/// The message of `env`, started with this path, about an absent command.
fn env_says(path: &[u8], env: Env, word: &str, error: EnvError) -> String {
    let error = match error {
        EnvError::NotFound => "No such file or directory (exit code 127)",
        EnvError::Denied => "Permission denied (exit code 126)",
    };
    if env == Env::Coreutils {
        let (path, word) = (display_bytes(path), word.replace("\\x0d", "\\r"));
        format!("{path}: '{word}': {error}")
    } else {
        format!("env: can't execute '{word}': {error}")
    }
}

/// Why `env` cannot execute its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EnvError {
    NotFound,
    Denied,
}
