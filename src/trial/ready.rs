//! A trial with everything looked up: who runs what, with which words and files.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::command::{Start, Word, start};
use super::confine::{PROCESSES_MAX, processes};
use super::copy::Owner;
use super::error::TrialError;
use super::launch::{Enter, Launch, Program, word};
use super::machine::{Emulator, Machine};
use super::method::{Method, Refusal};
use super::users::Users;
use crate::link::{Closures, ProcessUser};
use crate::oci::{DEFAULT_PATH, Settings};
use crate::path::ImagePath;
use crate::platform::{Arch, Platform};
use crate::tree::{ContentError, Follow, Tree};

/// A trial with everything looked up.
pub(super) struct Ready {
    /// The command as it was given.
    command: Vec<Vec<u8>>,
    network: bool,
    start: Start,
    person: ProcessUser,
    folder: ImagePath,
    environment: Vec<(String, String)>,
    emulator: Option<Emulator>,
    /// The architecture, when it is not this machine's.
    foreign: Option<Arch>,
    /// The libraries that the program loads, as its loader spells them, and the links that lead to them.
    libraries: Vec<Vec<u8>>,
    files: BTreeSet<ImagePath>,
}

impl Ready {
    /// Looks everything up.
    pub fn new(
        tree: &Tree,
        platform: &Platform,
        settings: &Settings,
        command: &[Vec<u8>],
        machine: &Machine,
        network: bool,
    ) -> Result<Ready, TrialError> {
        let own = settings.entrypoint.iter().chain(&settings.cmd).map(|word| word.as_bytes().to_vec());
        let command: Vec<Vec<u8>> = if command.is_empty() { own.collect() } else { command.to_vec() };
        if command.is_empty() {
            return Err(TrialError::NoCommand);
        }
        let person =
            ProcessUser::named(tree, &settings.user).map_err(TrialError::Content)?.map_err(TrialError::User)?;
        let folder = settings.workdir.parse().unwrap_or_else(|_| ImagePath::root());
        let start = start(tree, &command, settings.env("PATH"), &folder, &person).map_err(TrialError::Content)?;
        let mut environment = settings.env.clone();
        for (name, value) in
            [("PATH", DEFAULT_PATH.to_string()), ("HOME", person.home(tree).map_err(TrialError::Content)?)]
        {
            if settings.env(name).is_none() {
                environment.push((name.to_string(), value));
            }
        }
        let arch = platform.arch().ok_or_else(|| TrialError::Platform(platform.clone()))?;
        let mut foreign = Some(arch).filter(|arch| Machine::arch() != Some(*arch));
        if let Some(other) = foreign {
            // A 32-bit program of a 64-bit image has an emulator of its own.
            let own = tree.resolve(&folder, &start.program, Follow::Yes).ok();
            let own = own.and_then(|found| Closures::new(tree, platform).arch_of(&found.path));
            foreign = own.filter(|own| other.compat() == Some(*own)).or(foreign);
        }
        let emulator = foreign.and_then(|arch| machine.emulator(arch));
        // What this machine's kernel may run itself needs none.
        let runs_here = |arch: Arch| Machine::arch().and_then(Arch::compat) == Some(arch);
        foreign = foreign.filter(|arch| emulator.is_some() || !runs_here(*arch));
        let mut ready = Ready {
            command,
            network,
            files: start.files.iter().cloned().collect(),
            start,
            person,
            folder,
            environment,
            emulator,
            foreign,
            libraries: Vec::new(),
        };
        ready.look_for_libraries(tree, platform).map_err(TrialError::Content)?;
        Ok(ready)
    }

    fn look_for_libraries(&mut self, tree: &Tree, platform: &Platform) -> Result<(), ContentError> {
        let Ok(program) = tree.resolve(&self.folder, &self.start.program, Follow::Yes) else { return Ok(()) };
        let closures = Closures::new(tree, platform);
        let closure = closures.of(&program.path);
        if let Some(failure) = closures.take_failure() {
            return Err(failure);
        }
        let Some(closure) = closure else { return Ok(()) };
        for (_, path) in closure.libraries {
            if let Ok(found) = tree.resolve(&ImagePath::root(), &path, Follow::Yes) {
                self.files.extend(found.links);
                self.files.insert(found.path);
            }
            self.libraries.push(path);
        }
        Ok(())
    }

    /// Who owns the copy of the tree.
    pub fn owner(&self, method: Method) -> Owner {
        match method {
            _ if !Uid::effective().is_root() => Owner::Caller,
            Method::Namespace => Owner::Inside(self.users()),
            Method::Chroot | Method::Loader => Owner::AsInTree,
        }
    }

    fn users(&self) -> Users {
        Users::choose(self.person.uid, self.person.gids.first().copied().unwrap_or(0))
    }

    /// The emulator, where one is needed and there.
    pub fn emulator(&self) -> Option<&Emulator> {
        self.emulator.as_ref()
    }

    /// What a start beside the tree needs of it: the program, its loader and libraries, and the links that lead there.
    pub fn needed(&self) -> BTreeSet<ImagePath> {
        self.files.iter().cloned().chain([self.folder.clone()]).collect()
    }

    /// Whether a method has the users and the emulator that it needs.
    pub fn check(&self, method: Method) -> Result<(), Refusal> {
        let ProcessUser { uid, gids } = &self.person;
        if method == Method::Namespace && !self.users().uids.has(*uid) {
            return Err(Refusal { method, reason: format!("its users do not include number {uid}") });
        }
        if method == Method::Namespace && !gids.first().is_none_or(|gid| self.users().gids.has(*gid)) {
            return Err(Refusal { method, reason: format!("its groups do not include number {}", gids[0]) });
        }
        let Some(arch) = self.foreign else { return Ok(()) };
        let name = format!("qemu-{}", arch.facts().qemu);
        let reason = match &self.emulator {
            None => format!("programs for {} need {name}-static, which is not in PATH", arch.facts().oci),
            Some(emulator) if !emulator.is_static && method != Method::Loader => {
                format!("{name} is not static here, so it cannot run inside another root")
            }
            Some(_) => return Ok(()),
        };
        Err(Refusal { method, reason })
    }

    /// A start with the copy at `root` as its root.
    pub fn inside(&self, method: Method, root: &Path) -> Result<Launch, TrialError> {
        let ProcessUser { uid, gids } = &self.person;
        let superuser = Uid::effective().is_root();
        let users = self.users();
        let (enter, gids) = match method {
            Method::Namespace => {
                let gids = gids.iter().copied().filter(|gid| users.gids.has(*gid)).collect();
                (Enter::Namespaces(root.to_path_buf(), users), gids)
            }
            Method::Chroot | Method::Loader => (Enter::Root(root.to_path_buf()), gids.clone()),
        };
        // In a namespace of its own range a user has no other processes.
        let others = if method == Method::Namespace && users.superuser { 0 } else { processes() };
        let file = word(self.start.file.clone())?;
        let program = match (&self.emulator, self.foreign) {
            (Some(emulator), Some(arch)) => Program::Emulated {
                emulator: File::open(&emulator.path).map_err(|error| TrialError::System("open the emulator", error))?,
                words: words(&self.emulated(&emulator.path))?,
                registration: Some(registration(arch, &emulator.path)),
                file,
            },
            _ => Program::Path(file),
        };
        Ok(Launch {
            enter,
            program,
            words: words(&self.command)?,
            environment: self.environment()?,
            folder: OsStr::from_bytes(self.folder.as_bytes()).into(),
            user: superuser.then_some((*uid, gids)),
            network: self.network,
            processes: others + PROCESSES_MAX,
        })
    }

    /// The emulator's own words: it gets the name of the command by an option, and knows no scripts.
    fn emulated(&self, emulator: &Path) -> Vec<Vec<u8>> {
        let mut words = self.start.words.iter().map(|word| word.inside().to_vec());
        let name = words.next().unwrap_or_default();
        let own = [emulator.as_os_str().as_bytes().to_vec(), b"-0".to_vec(), name, self.start.program.clone()];
        own.into_iter().chain(words).collect()
    }

    /// A start beside the copy at `root`, by the loader in it.
    pub fn beside(&self, root: &Path) -> Result<Launch, TrialError> {
        let root = root.as_os_str().as_bytes();
        let host = |path: &[u8]| match path.first() {
            Some(b'/') => [root, path].concat(),
            _ => [root, self.folder.as_bytes(), b"/", path].concat(),
        };
        let mut runner = Vec::new();
        if let Some(emulator) = &self.emulator {
            runner.push(emulator.path.as_os_str().as_bytes().to_vec());
        }
        if let Some(loader) = &self.start.loader {
            let mut folders: Vec<Vec<u8>> = Vec::new();
            for library in &self.libraries {
                let end = library.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                let folder = host(&library[..end]);
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            runner.extend([host(loader), b"--library-path".to_vec(), folders.join(&b':')]);
        }
        let program = host(&self.start.program);
        let arguments = self.start.words.iter().skip(1).map(|word| match word {
            Word::Given(bytes) => bytes.clone(),
            Word::Script(path) => host(path),
        });
        // A program that another one runs gets its own path as its name; one that runs alone, the name that was given.
        let (file, line): (Vec<u8>, Vec<Vec<u8>>) = match runner.first() {
            Some(first) => (first.clone(), runner.iter().cloned().chain([program]).chain(arguments).collect()),
            None => {
                let name = self.start.words.first().map(|word| word.inside().to_vec());
                (program, name.into_iter().chain(arguments).collect())
            }
        };
        let program = Program::Path(word(file)?);
        Ok(Launch {
            enter: Enter::Nothing,
            program,
            words: words(&line)?,
            environment: self.environment()?,
            folder: PathBuf::from(OsStr::from_bytes(&host(self.folder.as_bytes()))),
            user: None,
            network: self.network,
            processes: processes() + PROCESSES_MAX,
        })
    }

    fn environment(&self) -> Result<Vec<CString>, TrialError> {
        self.environment.iter().map(|(name, value)| word(format!("{name}={value}"))).collect()
    }
}

fn words(list: &[Vec<u8>]) -> Result<Vec<CString>, TrialError> {
    list.iter().map(|bytes| word(bytes.clone())).collect()
}

/// The line with which the kernel learns to run an architecture's programs with an emulator: the first twenty bytes of an ELF
/// file with the machine's number, and which of their bits count. `F` opens the emulator now, so that it need not be
/// there inside another root.
fn registration(arch: Arch, emulator: &Path) -> Vec<u8> {
    let mut magic = [0u8; 20];
    let mut mask = [0xffu8; 20];
    let (facts, order) = (arch.facts(), arch.facts().byte_order);
    magic[..4].copy_from_slice(b"\x7fELF");
    magic[4..7].copy_from_slice(&[facts.class.number(), order.number(), 1]);
    // ABI, its version and padding say nothing; e_type is 2 or 3.
    mask[7..16].fill(0);
    magic[16..18].copy_from_slice(&order.half(2));
    mask[16..18].copy_from_slice(&order.half(0xfffe));
    magic[18..].copy_from_slice(&order.half(facts.machine));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let mut line = format!(":qemu-{}:M::{}:{}:", facts.qemu, hex(&magic), hex(&mask)).into_bytes();
    line.extend_from_slice(emulator.as_os_str().as_bytes());
    line.extend_from_slice(b":F");
    line
}
