//! Flags to values: what the library needs, ready to use.

#![expect(clippy::disallowed_methods, reason = "this is the part of the program that reads the environment")]

use sazare::host;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use sazare::codec::Scratch;
use sazare::codec::compress::Compression;
use sazare::epoch::Epoch;
use sazare::image::LayerOptions;
use sazare::input;
use sazare::oci::Changes;
use sazare::oci::values::{self, SettingFault};
use sazare::path::ImagePath;
use sazare::pipeline::{self, BuildError};
use sazare::platform::{Arch, Platform};
use sazare::private::PrivateFolder;
use sazare::recipe::{self, HostPath, Parts, Recipe, RecipeError, RuleOrigin, Source};
use sazare::reference::{Repository, Tag, split_tag};
use sazare::transport::{Access, Place};
use sazare::trial::Machine;

use super::args::{BuildArgs, Global};
use super::console::Console;
use super::error::CliError;
use super::flags::{CompressionForm, Config, ImageFlags, Layers};

/// A platform as it was asked for, with its root file system where one was named.
pub type Wanted = (Platform, Option<PathBuf>);

/// Reads `--platform` values.
pub fn platforms(texts: &[String]) -> Result<Vec<Wanted>, CliError> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for text in texts {
        let (platform, folder) = match text.split_once('=') {
            Some((platform, folder)) => (platform, Some(PathBuf::from(folder))),
            None => (text.as_str(), None),
        };
        let platform: Platform =
            platform.parse().map_err(|error| CliError::Usage(format!("--platform: {error}"), None))?;
        if wanted.iter().any(|(known, _)| *known == platform) {
            return Err(CliError::Usage(format!("--platform has the same platform twice: {platform}"), None));
        }
        wanted.push((platform, folder));
    }
    Ok(wanted)
}

/// The recipe that the flags ask for: from a file or a folder, or made from a root file system.
pub fn recipe(
    build: &BuildArgs,
    what: Option<&Path>,
    wanted: &[Wanted],
    console: &Console,
) -> Result<Recipe, CliError> {
    let roots = wanted.iter().filter(|(_, folder)| folder.is_some()).count();
    let mut parts = match what {
        Some(what) if is_recipe(what)? => {
            if roots > 0 {
                return Err(CliError::usage(
                    "--platform PLATFORM=DIR works with a root file system, not with a recipe",
                    "in a recipe, `[[source]] from = \"stage/{arch}\"` sets the files of each platform",
                ));
            }
            let recipe = read_recipe(what)?;
            let chosen: Vec<Platform> = wanted.iter().map(|(platform, _)| platform.clone()).collect();
            if let Some(other) = chosen.iter().find(|platform| !recipe.platforms.contains(platform)) {
                return Err(CliError::usage(
                    format!("the recipe does not list this platform: {other}"),
                    format!("it lists {}", list(&recipe.platforms)),
                ));
            }
            let mut parts = Parts::clone(&recipe);
            if !chosen.is_empty() {
                parts.platforms = chosen;
            }
            parts
        }
        Some(what) if at(what)?.is_none() => {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(CliError::Input(what.display().to_string(), error));
        }
        what => rootfs(what, wanted, roots, console)?,
    };
    override_parts(&mut parts, &build.image)?;
    Recipe::new(parts).map_err(|error| CliError::Usage(error.to_string(), None))
}

/// Whether a path is a recipe: a TOML file, or a folder that holds `recipe.toml`.
fn is_recipe(path: &Path) -> Result<bool, CliError> {
    let is_file = |path: &Path| Ok::<_, CliError>(at(path)?.is_some_and(|meta| meta.is_file()));
    Ok(path.extension().is_some_and(|extension| extension == "toml")
        || is_file(&path.join("recipe.toml"))?
        || is_file(path)?)
}

/// What is at a path, if anything is.
fn at(path: &Path) -> Result<Option<std::fs::Metadata>, CliError> {
    host::metadata(path).map_err(|error| CliError::Input(path.display().to_string(), error))
}

/// Reads a recipe; its faults are drawn, other errors printed.
pub fn read_recipe(path: &Path) -> Result<Recipe, CliError> {
    recipe::read(path).map_err(|error| match error {
        RecipeError::Faults(faults) => CliError::Faults(faults),
        error => CliError::Recipe(error),
    })
}

/// The parts of a recipe for plain root file systems.
fn rootfs(what: Option<&Path>, wanted: &[Wanted], roots: usize, console: &Console) -> Result<Parts, CliError> {
    let here = Path::new("");
    let source = |folder: &Path| {
        Source::new(RuleOrigin::command_line(), HostPath::new(here.to_path_buf(), &*folder.to_string_lossy()))
    };
    let mut sources = Vec::new();
    match what {
        Some(folder) if roots == 0 => sources.push(source(folder)),
        None if roots > 0 && roots == wanted.len() => {
            for (platform, folder) in wanted {
                if let Some(folder) = folder {
                    let mut source = source(folder);
                    source.platforms = vec![platform.clone()];
                    sources.push(source);
                }
            }
        }
        _ => {
            return Err(CliError::usage(
                "it is not clear which root file system belongs to which platform",
                "give one directory and --platform PLATFORM, or --platform PLATFORM=DIR for each",
            ));
        }
    }
    let mut parts = Parts::default();
    parts.sources = sources;
    parts.platforms = match what {
        Some(folder) if wanted.is_empty() => by_programs(folder, console)?,
        _ => wanted.iter().map(|(platform, _)| platform.clone()).collect(),
    };
    Ok(parts)
}

/// The platform that the programs of a folder are for.
fn by_programs(folder: &Path, console: &Console) -> Result<Vec<Platform>, CliError> {
    let place = Place::Rootfs(folder.to_path_buf());
    // Of a folder, nothing is unpacked.
    let seen = pipeline::read(&place, &[], &Access::new(&Scratch::new(Path::new("."))), console)?;
    Ok(pipeline::platforms_of(&place, &seen, &[], console)?)
}

/// Overrides the recipe with the flags.
pub fn override_parts(parts: &mut Parts, image: &ImageFlags) -> Result<(), CliError> {
    let (name, tags) = names(&image.identity.tag)?;
    if name.is_some() {
        parts.name = name;
    }
    if !tags.is_empty() {
        parts.tags = tags;
    }
    if let Some(created) = &image.identity.created {
        parts.created = Some(created.parse().map_err(|error| CliError::Usage(format!("--created: {error}"), None))?);
    }
    for text in &image.config.annotation {
        let (key, value) = pair("--annotation", text)?;
        parts.annotations.insert(key, value);
    }
    let flags = config(&image.config)?;
    let config = &mut parts.config;
    let replace = |old: &mut Option<String>, new: Option<String>| {
        if new.is_some() {
            *old = new;
        }
    };
    replace(&mut config.user, flags.user);
    replace(&mut config.workdir, flags.workdir);
    replace(&mut config.stop_signal, flags.stop_signal);
    if flags.entrypoint.is_some() {
        config.entrypoint = flags.entrypoint;
        config.cmd = None;
    }
    if flags.cmd.is_some() {
        config.cmd = flags.cmd;
    }
    config.env.extend(flags.env);
    config.labels.extend(flags.labels);
    config.expose.extend(flags.expose);
    config.volumes.extend(flags.volumes);
    Ok(())
}

/// What the flags say about how a container is started.
fn config(config: &Config) -> Result<Changes, CliError> {
    let mut changes = Changes::default();
    let text = |flag: &str, text: &Option<String>, rule: Rule| {
        text.as_deref().map(|text| checked(flag, rule(text))).transpose()
    };
    changes.user = text("--user", &config.user, values::user)?;
    changes.env = config.env.iter().map(|text| pair("--env", text)).collect::<Result<_, _>>()?;
    changes.entrypoint = config.entrypoint.as_deref().map(|text| words("--entrypoint", text)).transpose()?;
    changes.cmd = config.cmd.as_deref().map(|text| words("--cmd", text)).transpose()?;
    changes.workdir = text("--workdir", &config.workdir, values::directory)?;
    changes.labels = config.label.iter().map(|text| pair("--label", text)).collect::<Result<_, _>>()?;
    let texts = |flag: &str, texts: &[String], rule: Rule| {
        texts.iter().map(|text| checked(flag, rule(text))).collect::<Result<_, _>>()
    };
    changes.expose = texts("--expose", &config.expose, values::port)?;
    changes.volumes = texts("--volume", &config.volume, values::volume)?;
    changes.stop_signal = text("--stop-signal", &config.stop_signal, values::stop_signal)?;
    Ok(changes)
}

/// The rule of a setting, which a recipe follows too.
type Rule = fn(&str) -> Result<String, SettingFault>;

/// The value of a flag.
fn checked(flag: &str, value: Result<String, SettingFault>) -> Result<String, CliError> {
    value.map_err(|fault| CliError::usage(format!("{flag}: {}", fault.message), fault.help))
}

/// `NAME=VALUE`.
pub fn pair(flag: &str, text: &str) -> Result<(String, String), CliError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
        _ => Err(CliError::usage(
            format!("{flag} needs NAME=VALUE: {text}"),
            "sazare never copies values from this environment",
        )),
    }
}

/// A JSON array of words, or words split as a shell splits them: at blanks that are not quoted. Nothing is expanded.
fn words(flag: &str, text: &str) -> Result<Vec<String>, CliError> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| CliError::Usage(format!("{flag} is not a JSON array of words ({error}): {text}"), None));
    }
    shlex::split(text).ok_or_else(|| {
        CliError::usage(
            format!("{flag} has a quote that is not closed: {text}"),
            "close it, or write a JSON array of words",
        )
    })
}

/// Name and tags from `--tag` values, which must agree in the name.
fn names(texts: &[String]) -> Result<(Option<Repository>, Vec<Tag>), CliError> {
    let wrong = |error| CliError::Usage(format!("--tag: {error}"), None);
    let mut name = None;
    let mut tags = Vec::new();
    for text in texts {
        let (repository, tag) = split_tag(text);
        let repository: Repository = repository.parse().map_err(wrong)?;
        if name.as_ref().is_some_and(|known| *known != repository) {
            return Err(CliError::usage(
                format!("--tag has two image names: {text}"),
                "an image has one name and any number of tags; copy it to another name afterwards",
            ));
        }
        name = Some(repository);
        tags.push(tag.unwrap_or("latest").parse().map_err(wrong)?);
    }
    Ok((name, tags))
}

/// The name of an image that nobody named: that of its folder, in the registry `localhost`, as podman does it.
pub fn fallback_name(what: Option<&Path>) -> Option<Repository> {
    let path = std::fs::canonicalize(what?).ok()?;
    let stem = match path.file_name()?.to_str()? {
        "recipe.toml" => path.parent()?.file_name()?.to_str()?,
        name => name.strip_suffix(".toml").unwrap_or(name),
    };
    format!("localhost/{}", stem.to_lowercase()).parse().ok()
}

/// The date of the build: `SOURCE_DATE_EPOCH`, else the recipe's, else the fixed one.
pub fn when(recipe: &Recipe) -> Result<Epoch, CliError> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(value) => Epoch::from_source_date_epoch(&value).map_err(|error| CliError::Usage(error.to_string(), None)),
        Err(std::env::VarError::NotPresent) => Ok(recipe.created.unwrap_or(Epoch::DEFAULT)),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(CliError::Usage("SOURCE_DATE_EPOCH is not a number of seconds since 1970".into(), None))
        }
    }
}

/// How the flags ask for layers to be written.
pub fn layers(flags: &Layers) -> Result<LayerOptions, CliError> {
    let mut options = LayerOptions::default();
    options.compression = compression(flags.compression, flags.compression_level)?;
    options.jobs = jobs(flags.jobs);
    Ok(options)
}

fn compression(form: CompressionForm, level: Option<u8>) -> Result<Compression, CliError> {
    match (form, level) {
        (CompressionForm::None, None) => Ok(Compression::None),
        (CompressionForm::None, Some(_)) => {
            Err(CliError::Usage("--compression-level needs --compression gzip or zstd".into(), None))
        }
        (CompressionForm::Gzip, None) => Ok(Compression::DEFAULT),
        (CompressionForm::Gzip, Some(level)) => Ok(Compression::Gzip(level)),
        (CompressionForm::Zstd, level) => Ok(Compression::Zstd(level.unwrap_or(Compression::ZSTD_LEVEL))),
    }
}

/// What says of a file that this machine fails, and nothing about the file.
const FAILURES: [Errno; 5] = [Errno::IO, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::STALE];

/// The architecture of a path that is an ELF file; `None` for anything else, which is not a program by itself.
pub fn program(text: &str) -> Result<Option<Arch>, CliError> {
    let failed = |error| CliError::Input(text.to_string(), error);
    let of_the_machine =
        |error: &std::io::Error| Errno::from_io_error(error).is_some_and(|errno| FAILURES.contains(&errno));
    let file = match input::open(Path::new(text)) {
        Err(error) if of_the_machine(&error) => return Err(failed(error)),
        // Whoever opens it as a place says why that is not possible.
        Err(_) => return Ok(None),
        Ok(file) => file,
    };
    let mut start = [0; 20];
    let count = input::read_at(&file, &mut start, 0).map_err(failed)?;
    if count < start.len() || !start.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    Ok(Arch::of_header(&start))
}

/// The root that a program is seen in, and its path there.
pub fn in_root(text: &str, root: Option<&Path>) -> Result<(PathBuf, ImagePath), CliError> {
    let input = |error| CliError::Input(text.to_string(), error);
    let file = std::fs::canonicalize(text).map_err(input)?;
    let root = std::fs::canonicalize(root.unwrap_or(Path::new("/"))).map_err(input)?;
    let inside = file.strip_prefix(&root).map_err(|_| {
        CliError::usage(
            format!("not a file below {}: {text}", root.display()),
            "set --root to the root file system that contains it",
        )
    })?;
    let path =
        ImagePath::parse(inside.as_os_str().as_bytes()).map_err(|error| CliError::Usage(error.to_string(), None))?;
    Ok((root, path))
}

/// What a trial may use of this machine.
pub fn machine() -> Machine {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Machine { programs: std::env::split_paths(&path).collect() }
}

/// A program of this machine, by its path or by a name that PATH has.
pub fn tool(word: &str) -> Result<Option<PathBuf>, CliError> {
    if word.contains('/') {
        return program_in([PathBuf::from(word)]);
    }
    program_in(machine().programs.iter().map(|folder| folder.join(word)))
}

/// The first of these that is a file. Directories that this user may not search are left out, as shells do.
pub fn program_in(candidates: impl IntoIterator<Item = PathBuf>) -> Result<Option<PathBuf>, CliError> {
    for candidate in candidates {
        match host::metadata(&candidate) {
            Ok(Some(meta)) if meta.is_file() => return Ok(Some(candidate)),
            Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => {
                return Err(CliError::Input(candidate.display().to_string(), error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// Seconds, or a number with `ms`, `s`, `m` or `h`.
pub fn duration(flag: &str, text: &str) -> Result<Duration, CliError> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(CliError::usage(format!("{flag} is not a time: {text}"), "use 30s, 500ms or 2m")),
    }
}

/// The environment of this process, with these over it: `NAME=VALUE` each.
pub fn environment(over: &[(String, String)]) -> Vec<Vec<u8>> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    variables.extend(over.iter().map(|(name, value)| (name.into(), value.into())));
    variables.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
}

/// The working directory, where relative paths start.
pub fn here() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| CliError::Input(".".into(), error))
}

/// How many threads to use.
pub fn jobs(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// Where temporary files lie when no output has a folder.
pub fn temporary() -> PathBuf {
    std::env::temp_dir()
}

/// How large temporary files may be in sum, in bytes.
pub fn temporary_size(global: &Global) -> Result<u64, CliError> {
    recipe::size(&global.temporary_size).ok_or_else(|| {
        CliError::usage(
            format!("--temporary-size is not a size: {}", global.temporary_size),
            "use 500MB, 4GB or a number of bytes",
        )
    })
}

/// Temporary files in a private folder.
pub fn scratch(private: &PrivateFolder, global: &Global) -> Result<Scratch, CliError> {
    Ok(Scratch::with_limit(private.path(), temporary_size(global)?))
}

/// A private folder for temporary files, when no output has a folder.
pub fn private() -> Result<PrivateFolder, BuildError> {
    PrivateFolder::make_in(&temporary()).map_err(|error| BuildError::Store(error.into()))
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}
