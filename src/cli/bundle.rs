//! `sazare bundle`.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use sazare::bundle::trace::{self, Run, RunEnd, TraceError, Traced};
use sazare::oci::DEFAULT_PATH;
use sazare::path::ImagePath;
use sazare::pipeline::{self, BuildError, Ready};
use sazare::platform::Platform;
use sazare::progress::{Action, Progress, Step};
use sazare::recipe::{self, Extra, Globs, HostPath, Parts, Recipe, RuleOrigin, Template};
use sazare::reference::Repository;
use sazare::transport::Place;

use super::args::{BundleArgs, ExtraKind, Global};
use super::build::{Job, Review};
use super::cache;
use super::console::Console;
use super::error::CliError;
use super::registries::Reach;
use super::request;
use super::review;

/// Runs the verb.
pub fn run(bundle: &BundleArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    let (programs, places) = programs_and_places(bundle)?;
    let rules = rules(bundle, programs)?;
    let recipe = recipe(bundle, &rules, global, console)?;
    let traced = if bundle.trace.trace { traced(bundle, &rules, console)? } else { BTreeSet::new() };
    // Whoever bundles programs of this machine could start them directly.
    let trusted = bundle.root.is_none() || bundle.check.trust;
    let review = |ready: &mut Ready<'_>| review::review(ready, &bundle.check, trusted, console);
    let asked_for = bundle.check.test || bundle.check.compress;
    let name = recipe.name.clone().or_else(|| fallback_name(&rules));
    let review = asked_for.then_some(&review as &Review<'_>);
    Job { recipe: &recipe, places, name, flags: &bundle.image, traced, review }.run(global, console)
}

/// What to bundle, and where to. As with magicpak, the last word is the folder to write when no output is named.
fn programs_and_places(bundle: &BundleArgs) -> Result<(&[String], Vec<Place>), CliError> {
    if !bundle.output.is_empty() {
        let places = bundle.output.iter().map(|text| Place::for_writing(text)).collect::<Result<_, _>>()?;
        return Ok((&bundle.programs, places));
    }
    match bundle.programs.split_last() {
        Some((folder, programs)) if !programs.is_empty() => Ok((programs, vec![Place::Rootfs(PathBuf::from(folder))])),
        _ => Err(CliError::usage(
            "the bundle has no output",
            "add -o PLACE, such as -o rootfs:DIR or -o app.tar, or the directory to write as the last argument",
        )),
    }
}

fn rules(bundle: &BundleArgs, programs: &[String]) -> Result<recipe::Bundle, CliError> {
    let globs = |flag: &str, texts: &[String]| {
        Globs::new(texts).map_err(|error| CliError::Usage(format!("{flag}: {error}"), None))
    };
    let directory = |text: &String| -> Result<ImagePath, CliError> {
        text.parse().map_err(|error| CliError::Usage(format!("--mkdir: {error}"), None))
    };
    // Words of this machine are seen from the working directory; those of another root only from its root.
    let of_this_machine = bundle.root.is_none();
    let here = request::here()?;
    let program = |text: &String| {
        if of_this_machine && text.contains('/') { plain(&here.join(text)) } else { text.clone() }
    };
    let mut rules = recipe::Bundle::new(RuleOrigin::command_line(), programs.iter().map(program));
    rules.root = bundle.root.as_ref().map(|root| HostPath::new(Path::new(""), root.as_str()));
    rules.include = globs("--include", &bundle.include)?;
    rules.exclude = globs("--exclude", &bundle.exclude)?;
    rules.with = bundle.with.iter().map(|kind| extra(*kind)).collect();
    rules.directories = bundle.mkdir.iter().map(directory).collect::<Result<_, _>>()?;
    rules.install_to = bundle.install_to.as_ref().map(Template::new);
    Ok(rules)
}

/// A path without `.`; `..` stays, since what it means depends on links.
fn plain(path: &Path) -> String {
    let parts: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    parts.to_string_lossy().into_owned()
}

/// Runs the program once; gives what it used.
fn traced(bundle: &BundleArgs, rules: &recipe::Bundle, console: &Console) -> Result<BTreeSet<Traced>, CliError> {
    let ([program], true) = (rules.programs.as_slice(), bundle.root.is_none()) else {
        return Err(CliError::usage(
            "--trace works with one program of this machine's own root",
            "bundle programs one by one, or name what they open with --include",
        ));
    };
    let program = in_path(program.as_str())?;
    console.step(Step::new(Action::Run(program.clone())));
    let flags = &bundle.trace;
    let over = flags.trace_env.iter().map(|text| request::pair("--trace-env", text)).collect::<Result<Vec<_>, _>>()?;
    let limit = flags.trace_timeout.as_deref().map(|text| request::duration("--trace-timeout", text)).transpose()?;
    let run = Run {
        program: &program,
        arguments: &flags.trace_arg,
        environment: &request::environment(&over),
        folder: &request::here()?,
        stdin: flags.trace_stdin.as_deref().map(str::as_bytes),
        limit: limit.unwrap_or(trace::LIMIT),
        shown: console.verbose(),
    };
    let trace = trace::trace(&run).map_err(BuildError::Trace)?;
    let failed = |how: String| Err(BuildError::Trace(TraceError::Failed(how)).into());
    match trace.ended {
        RunEnd::Status(0) => {}
        RunEnd::Status(status) => return failed(format!("status {status}")),
        RunEnd::Signal(signal) => return failed(format!("signal {signal}")),
        RunEnd::TimedOut if limit.is_some() => {
            console.note("the run was stopped at its time limit");
        }
        RunEnd::TimedOut => return Err(BuildError::Trace(TraceError::TimedOut(trace::LIMIT.as_secs())).into()),
    }
    Ok(trace.seen)
}

/// The file of a program on this machine; the default PATH is searched, as a bundle does it.
fn in_path(word: &str) -> Result<PathBuf, CliError> {
    let folders = DEFAULT_PATH.split(':').filter(|_| !word.contains('/'));
    let found = request::program_in(folders.map(|folder| Path::new(folder).join(word)))?;
    Ok(found.unwrap_or_else(|| PathBuf::from(word)))
}

fn extra(kind: ExtraKind) -> Extra {
    match kind {
        ExtraKind::Nss => Extra::Nss,
        ExtraKind::Gconv => Extra::Gconv,
        ExtraKind::Ca => Extra::Certificates,
        ExtraKind::Zoneinfo => Extra::Zoneinfo,
    }
}

/// The recipe that the flags stand for.
fn recipe(bundle: &BundleArgs, rules: &recipe::Bundle, global: &Global, console: &Console) -> Result<Recipe, CliError> {
    let mut platforms: Vec<Platform> =
        request::platforms(&bundle.platform)?.into_iter().map(|(platform, _)| platform).collect();
    if platforms.is_empty() {
        let private = request::private()?;
        let (scratch, reach) = (request::scratch(&private, global)?, Reach::new(&global.registries));
        let cache = cache::open(&bundle.image.cache)?;
        platforms = pipeline::bundle_platforms(rules, &reach.access(&scratch, cache.as_ref()), console)?;
    }
    if platforms.is_empty() {
        return Err(CliError::usage(
            "the first program does not show the platform: it is not an ELF program of a platform that is verified",
            "name it with --platform",
        ));
    }
    let mut parts = Parts::default();
    parts.platforms = platforms;
    parts.bundle = Some(rules.clone());
    request::override_parts(&mut parts, &bundle.image)?;
    Recipe::new(parts).map_err(|error| CliError::Usage(error.to_string(), None))
}

/// The name of an image that has no tag: that of its first program, in the registry `localhost`.
fn fallback_name(rules: &recipe::Bundle) -> Option<Repository> {
    let first = rules.programs.first()?.as_str();
    let name = Path::new(first).file_name()?.to_str()?;
    format!("localhost/{}", name.to_lowercase()).parse().ok()
}
