//! What is started: a command, followed through scripts to the program that the kernel would run, and to its loader.
//!
//! Inside namespaces or a root the kernel follows scripts itself; beside the tree, and under an emulator, we do.

use crate::elf::{ElfFacts, Interpreter};
use crate::link::{FirstLine, ProcessUser, SCRIPT_HEAD, SCRIPTS_MAX};
use crate::oci::DEFAULT_PATH;
use crate::path::ImagePath;
use crate::tree::{Content, ContentError, Follow, Kind, Resolved, Tree};

/// A command, found in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The file of the command, by the path that execve(2) gets.
    pub file: Vec<u8>,
    /// The program that runs in the end: the same, or the interpreter of a script.
    pub program: Vec<u8>,
    /// Its words, its name first.
    pub words: Vec<Word>,
    /// Its loader, unless it is static.
    pub loader: Option<Vec<u8>>,
    /// Every file that the kernel opens for it, and the links that lead there.
    pub files: Vec<ImagePath>,
}

/// One word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// As the user gave it, or a script's first line.
    Given(Vec<u8>),
    /// The path of a script inside the tree, which the kernel puts there.
    Script(Vec<u8>),
}

/// Looks a command up as runc does, in `PATH` when its name has no slash, and follows it. What does not lead anywhere
/// ends the search early: the kernel's own message about it is better than ours.
pub(super) fn start(
    tree: &Tree,
    words: &[Vec<u8>],
    path: Option<&str>,
    cwd: &ImagePath,
    person: &ProcessUser,
) -> Result<Start, ContentError> {
    let name = words.first().cloned().unwrap_or_default();
    let file = if name.contains(&b'/') { name } else { search(tree, &name, path, cwd, person).unwrap_or(name) };
    let mut start = Start {
        program: file.clone(),
        file,
        words: words.iter().cloned().map(Word::Given).collect(),
        loader: None,
        files: Vec::new(),
    };
    for _ in 0..=SCRIPTS_MAX {
        let Ok(found) = tree.resolve(cwd, &start.program, Follow::Yes) else { return Ok(start) };
        start.remember(&found);
        let Kind::File(content) = &tree.inode(found.id).kind else { return Ok(start) };
        let FirstLine::Interpreter { path, argument } = FirstLine::read(&content.head(SCRIPT_HEAD as u64)?) else {
            start.loader = loader(content)?;
            if let Some(loader) = &start.loader
                && let Ok(found) = tree.resolve(cwd, loader, Follow::Yes)
            {
                start.remember(&found);
            }
            return Ok(start);
        };
        // binfmt_script(5): the interpreter, its argument, the script's path, and the words after the first.
        let script = std::mem::replace(&mut start.program, path.clone());
        let rest = start.words.split_off(1.min(start.words.len()));
        let own = [path].into_iter().chain(argument).map(Word::Given);
        start.words = own.chain([Word::Script(script)]).chain(rest).collect();
    }
    Ok(start)
}

impl Start {
    fn remember(&mut self, found: &Resolved) {
        self.files.extend(found.links.iter().cloned());
        self.files.push(found.path.clone());
    }
}

/// The path of a command, as the first folder of `PATH` that has it gives it.
fn search(tree: &Tree, name: &[u8], path: Option<&str>, cwd: &ImagePath, person: &ProcessUser) -> Option<Vec<u8>> {
    path.unwrap_or(DEFAULT_PATH).split(':').find_map(|folder| {
        let folder = if folder.is_empty() { "." } else { folder };
        let file = [folder.as_bytes(), b"/", name].concat();
        let found = tree.resolve(cwd, &file, Follow::Yes).ok()?;
        let inode = tree.inode(found.id);
        (matches!(inode.kind, Kind::File(_)) && person.may_execute(&inode.meta)).then_some(file)
    })
}

fn loader(content: &Content) -> Result<Option<Vec<u8>>, ContentError> {
    let facts = ElfFacts::read(content)?;
    Ok(facts.and_then(|facts| match facts.interpreter {
        Interpreter::Path(path) => Some(path.into_vec()),
        Interpreter::Absent | Interpreter::BadSize(_) | Interpreter::NotTerminated | Interpreter::BeyondEnd => None,
    }))
}

impl Word {
    /// The word as a program inside the tree gets it.
    pub fn inside(&self) -> &[u8] {
        match self {
            Word::Given(bytes) | Word::Script(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::sample::Sample;

    fn started(command: &[&str]) -> Start {
        let tree = Sample::new()
            .text("/usr/bin/run", 0o755, "#!/bin/sh -e\n")
            .text("/usr/bin/data", 0o644, "text")
            .text("/bin/data", 0o755, "text")
            .text("/bin/busybox", 0o755, "no ELF here")
            .link("/bin/sh", "busybox")
            .tree;
        let words: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        start(&tree, &words, None, &ImagePath::root(), &ProcessUser::root()).unwrap()
    }

    #[test]
    fn a_script_leads_to_its_interpreter_with_the_words_that_the_kernel_gives() {
        let start = started(&["run", "one"]);
        assert_eq!(
            (start.file.as_slice(), start.program.as_slice()),
            (b"/usr/bin/run".as_slice(), b"/bin/sh".as_slice())
        );
        let words: Vec<&[u8]> = start.words.iter().map(Word::inside).collect();
        assert_eq!(words, [b"/bin/sh".as_slice(), b"-e", b"/usr/bin/run", b"one"]);
        assert_eq!(start.words[2], Word::Script(b"/usr/bin/run".to_vec()));
        let files: Vec<String> = start.files.iter().map(ImagePath::to_string).collect();
        assert_eq!(files, ["/usr/bin/run", "/bin/sh", "/bin/busybox"]);
    }

    #[test]
    fn the_search_passes_over_what_cannot_be_executed() {
        assert_eq!(started(&["data"]).file, b"/bin/data");
        assert_eq!(started(&["absent", "x"]).file, b"absent");
        assert_eq!(started(&["/usr/bin/data"]).file, b"/usr/bin/data");
    }
}
