//! `sazare try`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use sazare::codec::Scratch;
use sazare::pipeline;
use sazare::render::{self, Text};
use sazare::transport::Place;
use sazare::trial::{Ended, Method, TrialOutcome};

use super::args::{Format, Global, MethodWord, TryArgs};
use super::cache;
use super::console::Console;
use super::error::{CliError, REFUSED};
use super::registries::Reach;
use super::request;

/// How many bytes of the command's standard output are kept to be compared.
const OUTPUT_MAX: u64 = 64 << 20;

/// Runs the verb.
pub fn run(args: &TryArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    if matches!(global.format, Format::Sarif | Format::Github) {
        return Err(CliError::usage(
            "`try` has no findings that this format could report",
            "use --format human or json",
        ));
    }
    let expected = args.expect_stdout.as_deref().map(text).transpose()?;
    let named: Vec<Method> = args.method.iter().map(|word| word.method()).collect();
    let methods = if named.is_empty() { Method::ALL.to_vec() } else { named };
    let place = Place::for_reading(&args.place)?;
    let private = request::private()?;
    let scratch = request::scratch(&private, global)?;
    let (reach, cache) = (Reach::new(&global.registries), cache::usual());
    let access = reach.access(&scratch, cache.as_ref());
    let asked = pipeline::Try {
        place: &place,
        platform: request::platforms(&args.platform)?.into_iter().next().map(|(platform, _)| platform),
        command: args.command.iter().cloned().map(OsString::into_vec).collect(),
        env: args.env.iter().map(|text| request::pair("--env", text)).collect::<Result<_, _>>()?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        input: args.stdin.as_deref().map(|stdin| input(stdin, &scratch)).transpose()?,
        catch: (expected.is_some() || global.format == Format::Json).then_some(OUTPUT_MAX),
        limit: args.timeout.as_deref().map(|text| request::duration("--timeout", text)).transpose()?,
        methods: &methods,
        // Who names a method knows what it confines.
        trusted: args.trust || !args.method.is_empty(),
        network: args.network,
        machine: &request::machine(),
    };
    let outcome = pipeline::try_out(asked, &access, private.path(), console)?;
    let problems = problems(&outcome, args, expected.as_deref());
    if global.format == Format::Json {
        console.result(&render::trial::json(&outcome, &problems))?;
    } else {
        outcome.notes.iter().for_each(|note| console.say(&Text::of(note)));
        console.say(&render::trial::human(&outcome));
    }
    for problem in &problems {
        console.say_always(&console.error(problem));
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// What was expected and is not so.
fn problems(outcome: &TrialOutcome, args: &TryArgs, expected: Option<&[u8]>) -> Vec<String> {
    let mut problems = Vec::new();
    if outcome.ended != Ended::Status(args.expect_status) {
        let wanted = match (&outcome.ended, args.expect_status) {
            (Ended::Status(_), status) => format!(", not {status}"),
            _ => String::new(),
        };
        problems.push(format!("the command {}{wanted}", render::trial::ended(&outcome.ended)));
    }
    if let Some(expected) = expected {
        let trimmed = |bytes: &[u8]| bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec();
        if trimmed(expected) != trimmed(&outcome.output) {
            problems.push(format!("unexpected standard output: {:?}", shown(&outcome.output)));
        }
    }
    problems
}

fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
    if bytes.len() > SHOWN { text + "…" } else { text }
}

/// A text, or with `@` before it the file that holds it.
fn text(value: &str) -> Result<Vec<u8>, CliError> {
    match value.strip_prefix('@') {
        Some(file) => read(file).map_err(|error| CliError::Input(file.to_string(), error)),
        None => Ok(value.as_bytes().to_vec()),
    }
}

/// The contents of a file. It is opened without waiting for a writer, and no more is read than can be compared.
fn read(path: &str) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(OUTPUT_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > OUTPUT_MAX {
        return Err(io::Error::other(format!("larger than {} MiB", OUTPUT_MAX >> 20)));
    }
    Ok(bytes)
}

/// A file that gives a text to the command, and vanishes with it.
fn input(value: &str, scratch: &Scratch) -> Result<File, CliError> {
    let bytes = text(value)?;
    let write = || {
        let mut file = scratch.file()?.into_file();
        file.write_all(&bytes)?;
        file.rewind()?;
        Ok(file)
    };
    write().map_err(|error| CliError::Output("a temporary file".into(), error))
}

impl MethodWord {
    fn method(self) -> Method {
        match self {
            MethodWord::Namespace => Method::Namespace,
            MethodWord::Chroot => Method::Chroot,
            MethodWord::Loader => Method::Loader,
        }
    }
}
