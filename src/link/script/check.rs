//! What the kernel and `env` do with a script of the tree.

use crate::path::{ImagePath, display_bytes};
use crate::tree::{Errno, InodeId, Resolved};

use super::first_line::{
    ENV_COMMAND_MISSING, ENV_LOOP, ENV_SPLIT, EnvCall, FirstLine, SCRIPT_BOM, SCRIPT_CRLF, SCRIPT_DEPTH, SCRIPT_EMPTY,
    SCRIPT_INTERP_MISSING, SCRIPT_LINE_TOO_LONG, SCRIPT_NO_SHEBANG, SCRIPTS_MAX,
};
use crate::link::draft::{Draft, ExecError, permissions};
use crate::link::files::{Files, Probe, Refusal, words_of};
use crate::link::kernel::exec::{ExecContext, INTERP_NOT_EXECUTABLE, INTERP_RELATIVE};
use crate::link::lookup::{absolute, regular};

/// Where programs are looked for.
pub(crate) struct Search<'a> {
    /// The elements of PATH.
    pub path: &'a [Vec<u8>],
    /// The working directory, as it is written.
    pub directory: &'a [u8],
}

/// A program that a script starts.
#[derive(Debug)]
pub(crate) struct Started {
    pub id: InodeId,
    /// Its path without links.
    pub path: ImagePath,
    /// The path that is given to execve(2).
    pub spelled: Vec<u8>,
    /// Whether `env` starts it, and not the kernel.
    pub by_env: bool,
}

/// What a script leads to.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The programs that it starts: they must start for it to run.
    pub starts: Vec<Started>,
    pub drafts: Vec<Draft>,
}

impl ExecContext<'_> {
    /// Checks a file that is not an ELF file.
    pub fn script(&self, id: InodeId, probe: &Probe, search: &Search<'_>) -> Script {
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
                self.interpreted(&path, argument.as_deref(), search, &mut script);
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
        self.formless(SCRIPT_NO_SHEBANG, "is not an ELF file and does not start with `#!`")
            .fix("write `#!/bin/sh` as its very first bytes, or remove its execute bit")
    }

    /// An error for what the image names; elsewhere a shell may still run it.
    fn formless(&self, code: crate::report::Code, message: &str) -> Draft {
        let draft = if self.named { Draft::error(code, message) } else { Draft::note(code, message) };
        draft.refused(ExecError::Format)
    }

    fn interpreted(&self, path: &[u8], argument: Option<&[u8]>, search: &Search<'_>, script: &mut Script) {
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
                    self.env(path, argument, &found, &line, search, script);
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
                    Errno::NotFound if !error.links.is_empty() => {
                        format!("is interpreted by {shown}, a dangling symlink: {} does not exist", error.at)
                    }
                    Errno::NotFound => format!("is interpreted by {shown}, which {} does not contain", self.whole),
                    Errno::NoAccess | Errno::NotADirectory | Errno::Loop | Errno::NameTooLong => {
                        format!("is interpreted by {shown}, which cannot be reached: {}", words_of(error))
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

    /// Words of `env`, which calls itself by the name that the kernel gives it: the path in the first line.
    fn env(
        &self,
        path: &[u8],
        argument: Option<&[u8]>,
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
        let splits = !multi_call(&found.path);
        match EnvCall::read(argument, splits) {
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
                    .says(format!("{}: invalid option -- 'S' (exit code 1)", display_bytes(path)))
                    .fix("use the absolute path of the interpreter, or add coreutils"),
            ),
            EnvCall::Blanks(word) => {
                let word = display_bytes(&word);
                script.drafts.push(
                    Draft::error(ENV_SPLIT, format!("gives `env` one argument with blanks in it: {word:?}"))
                        .because(line, "the kernel passes the rest of the line as one argument")
                        .says(env_says(path, splits, &word))
                        .fix("use one word, or `env -S` of coreutils"),
                );
            }
            EnvCall::Command(word) => self.env_command(path, &word, splits, line, search, script),
        }
    }

    fn env_command(
        &self,
        path: &[u8],
        word: &[u8],
        splits: bool,
        line: &str,
        search: &Search<'_>,
        script: &mut Script,
    ) {
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
            match regular(self.files, &candidate) {
                Ok(found) => {
                    script.starts.push(Started { id: found.id, path: found.path, spelled: candidate, by_env: true });
                    return;
                }
                Err(reason) => evidence.push((display_bytes(&candidate), reason)),
            }
        }
        let draft = if word.ends_with(b"\r") {
            Draft::error(SCRIPT_CRLF, format!("ends its lines with CR LF, so `env` looks for {shown}"))
                .because(line, "the carriage return is part of the name")
                .fix("convert it to LF (`sed -i 's/\\r$//'`; in git: `eol=lf` in .gitattributes)")
        } else {
            let draft = Draft::error(ENV_COMMAND_MISSING, format!("is run by `env {shown}`, which is not in PATH"))
                .because(line, String::new())
                .fix(format!("add {shown} to a source, or use the absolute path of an interpreter that exists"));
            evidence.into_iter().fold(draft, |draft, (subject, detail)| draft.because(subject, detail))
        };
        script.drafts.push(draft.says(env_says(path, splits, &shown)));
    }

    /// Follows a chain of scripts.
    fn depth(&self, id: InodeId) -> Option<Draft> {
        let mut here = id;
        for _ in 0..SCRIPTS_MAX {
            here = interpreter_of(self.files, here, self)?;
        }
        // Five scripts stand behind each other already; is this one more?
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

/// What `env` says of a command that is absent, started by this path.
fn env_says(path: &[u8], coreutils: bool, word: &str) -> String {
    if coreutils {
        let (path, word) = (display_bytes(path), word.replace("\\x0d", "\\r"));
        format!("{path}: '{word}': No such file or directory (exit code 127)")
    } else {
        format!("env: can't execute '{word}': No such file or directory (exit code 127)")
    }
}
