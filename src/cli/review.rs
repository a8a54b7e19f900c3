//! What `bundle --compress` and `bundle --test` do with a bundle before it is written: its programs are packed by UPX, and
//! a command is run inside it.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sazare::children;
use sazare::path::{ImagePath, Name};
use sazare::pipeline::{BuildError, Candidate, Ready};
use sazare::platform::Platform;
use sazare::render;
use sazare::tree::{Backing, Content, Follow, Inode, Kind, Metadata, Mode, Tree};
use sazare::trial::{Ended, Machine, Method, Trial, attempt};

use super::args::BundleCheck;
use super::console::Console;
use super::error::CliError;
use super::request;

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How many bytes of a test's output are compared.
const OUTPUT_MAX: u64 = 64 << 20;

/// Packs, then tests; whether the bundle is to be written. `trusted` says that a test may use a method that confines nothing.
pub fn review(ready: &mut Ready<'_>, check: &BundleCheck, trusted: bool, console: &Console) -> Result<bool, CliError> {
    if check.compress {
        let mut packed = Vec::new();
        for candidate in ready.candidates() {
            pack(&candidate, &ready.scratch_folder(), check, &mut packed)?;
        }
        ready.replace(&packed, console)?;
    }
    if check.test { test(ready, check, trusted, console) } else { Ok(true) }
}

/// Packs the programs of one platform.
fn pack(
    candidate: &Candidate<'_>,
    private: &Path,
    check: &BundleCheck,
    packed: &mut Vec<(Platform, ImagePath, Content)>,
) -> Result<(), CliError> {
    let upx = request::tool(&check.upx)?.ok_or_else(|| {
        CliError::usage(
            format!("--compress needs UPX, and this program does not exist: {}", check.upx),
            "install it (Debian: upx-ucl), name it with --upx, or leave out --compress",
        )
    })?;
    let (plain, small) = (private.join("plain"), private.join("packed"));
    let output = |error| CliError::Output(private.display().to_string(), error);
    for program in candidate.programs {
        let Ok(found) = candidate.tree.resolve(&ImagePath::root(), program.as_bytes(), Follow::Yes) else { continue };
        let Kind::File(content) = &candidate.tree.inode(found.id).kind else { continue };
        let mut reader =
            content.open().map_err(|error| CliError::Input(program.to_string(), std::io::Error::other(error)))?;
        let mut file = File::create(&plain).map_err(output)?;
        std::io::copy(&mut reader, &mut file).map_err(output)?;
        fs::set_permissions(&plain, PermissionsExt::from_mode(0o755)).map_err(output)?;
        drop(file);
        let mut command = Command::new(&upx);
        command.args(&check.upx_arg).arg("--no-progress").arg("-o").arg(&small).arg(&plain).stdin(Stdio::null());
        let (success, said) = output_of(command).map_err(|error| CliError::Input(upx.display().to_string(), error))?;
        if !success {
            let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing").trim();
            return Err(CliError::usage(format!("UPX cannot pack {program}: {line}"), "leave out --compress"));
        }
        let file = File::open(&small).map_err(output)?;
        let size = file.metadata().map_err(output)?.len();
        fs::remove_file(&small).and_then(|()| fs::remove_file(&plain)).map_err(output)?;
        let backing = Arc::new(Backing::new(file, program.to_string()));
        packed.push((candidate.platform.clone(), program.clone(), Content::Slice { backing, offset: 0, size }));
    }
    Ok(())
}

/// Runs a program, which ends with this one; whether it was a success, and what it wrote to standard error.
fn output_of(mut command: Command) -> std::io::Result<(bool, String)> {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let (spawned, child) = children::started(Signal::SIGKILL, || {
        let spawned = command.spawn();
        let pid = spawned.as_ref().ok().map(|child| Pid::from_raw(child.id().cast_signed()));
        (spawned, pid)
    });
    let mut spawned = spawned?;
    let mut said = Vec::new();
    let read = spawned.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said));
    let status = match child {
        Some(child) => child.wait(|| spawned.wait()),
        None => spawned.wait(),
    };
    read.and(status).map(|status| (status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Runs the test in the tree of this machine's platform, else in the first one; whether it was a success.
fn test(ready: &Ready<'_>, check: &BundleCheck, trusted: bool, console: &Console) -> Result<bool, CliError> {
    let here = ready
        .candidates()
        .position(|tree| tree.platform.arch().is_some_and(|arch| Machine::arch() == Some(arch)))
        .unwrap_or(0);
    let Some(candidate) = ready.candidates().nth(here) else { return Ok(true) };
    // The shell that is lent for the test is not written.
    let mut tree = candidate.tree.clone();
    let command = command(&mut tree, candidate.programs, check)?;
    let machine = request::machine();
    let private = ready.scratch_folder();
    let trial = Trial {
        command,
        tree: &tree,
        platform: candidate.platform,
        settings: candidate.settings.clone(),
        input: Some(input(check.test_stdin.as_deref().unwrap_or_default(), &private)?),
        catch: Some(OUTPUT_MAX),
        limit: Some(LIMIT),
        methods: &Method::ALL,
        trusted,
        network: false,
        machine: &machine,
    };
    let outcome = attempt(&trial, &private).map_err(BuildError::Trial)?;
    console.say(&render::trial::human(&outcome));
    let said = String::from_utf8_lossy(&outcome.output);
    let problem = match (&outcome.ended, &check.test_stdout) {
        (Ended::Status(0), Some(expected)) if said.trim() != expected.trim() => {
            format!("the test wrote {:?} instead of {:?}", said.trim(), expected.trim())
        }
        (Ended::Status(0), _) => return Ok(true),
        (ended, _) => format!("the test {}", render::trial::ended(ended)),
    };
    console.say_always(&console.error(problem));
    Ok(false)
}

/// The words of the test.
fn command(tree: &mut Tree, programs: &[ImagePath], check: &BundleCheck) -> Result<Vec<Vec<u8>>, CliError> {
    let Some(text) = &check.test_command else {
        let first = programs.first().map(|program| program.as_bytes().to_vec());
        return Ok(first.into_iter().collect());
    };
    let only_for_shells = |letter: char| "|&;<>()$`\\\"'*?[]#~=%!{}\n".contains(letter);
    if !text.contains(only_for_shells) {
        return Ok(text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect());
    }
    if tree.resolve(&ImagePath::root(), b"/bin/sh", Follow::Yes).is_err() {
        lend_shell(tree, check)?;
    }
    Ok([b"/bin/sh".as_slice(), b"-c", text.as_bytes()].map(<[u8]>::to_vec).to_vec())
}

/// Puts BusyBox into the tree as its shell, for the test only.
fn lend_shell(tree: &mut Tree, check: &BundleCheck) -> Result<(), CliError> {
    let busybox = request::tool(&check.busybox)?.ok_or_else(|| {
        CliError::usage(
            format!("--test-command needs a shell, and neither the bundle nor this machine has one: {}", check.busybox),
            "install BusyBox (Debian: busybox-static), name it with --busybox, or use words that need no shell",
        )
    })?;
    let failed = |error| CliError::Input(busybox.display().to_string(), error);
    let file = File::open(&busybox).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let backing = Arc::new(Backing::new(file, busybox.display().to_string()));
    let meta = |mode: u32| Metadata::new(Mode::from_bits(mode), 0);
    let file = Inode { meta: meta(0o755).into(), kind: Kind::File(Content::Slice { backing, offset: 0, size }) };
    let (Ok(place), Ok(name)) = ("/bin".parse::<ImagePath>(), Name::new(b"sh")) else { return Ok(()) };
    if let Ok(destination) = tree.destination(&place) {
        let mut directory = destination.directory;
        for missing in destination.missing {
            directory = tree.insert_directory(directory, missing, meta(0o755));
        }
        tree.insert(directory, name, file);
    }
    Ok(())
}

/// A file that gives a text to the test.
fn input(text: &str, private: &Path) -> Result<File, CliError> {
    let path = private.join("stdin");
    let write = || {
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        fs::remove_file(&path)?;
        Ok(file)
    };
    write().map_err(|error| CliError::Output(path.display().to_string(), error))
}
