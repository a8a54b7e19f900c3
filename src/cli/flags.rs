//! The groups of flags that `build` and `bundle` share, each under its own heading.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args as ClapArgs, Command, ValueEnum};
use sazare::platform::Platform;

/// What `build` and `bundle` share. Each group sets its own heading.
#[derive(Debug, ClapArgs)]
pub struct ImageFlags {
    #[command(flatten)]
    pub identity: Identity,
    #[command(flatten)]
    pub config: Config,
    #[command(flatten)]
    pub layers: Layers,
    #[command(flatten)]
    pub layout: LayoutFlags,
    #[command(flatten)]
    pub check: Check,
    #[command(flatten)]
    pub result: ResultFlags,
    #[command(flatten)]
    pub cache: super::cache::CacheFlags,
}

/// What an image is called, and its date.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Image name and date (override the recipe)")]
pub struct Identity {
    /// Image name and tag (repeatable)
    #[arg(long, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,
    /// Date of the image, in RFC 3339; SOURCE_DATE_EPOCH overrides it
    #[arg(long, value_name = "DATE")]
    pub created: Option<String>,
}

/// How layers are compressed.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Compression")]
pub struct Layers {
    /// Compression of layers
    #[arg(long, value_name = "FORM", default_value = "gzip")]
    pub compression: CompressionForm,
    /// Level: 1 to 12 for gzip [default: 5], 1 to 19 for zstd [default: 2]
    #[arg(long, value_name = "N")]
    pub compression_level: Option<u8>,
    /// Number of threads; the output does not depend on it [default: number of cores]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
}

/// How images are written to layouts and archives.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Layouts and archives")]
pub struct LayoutFlags {
    /// List the manifests of the platforms in index.json itself, for tools that do not read a nested index (umoci)
    #[arg(long)]
    pub flat_index: bool,
    /// Platform that docker's classic store loads from an archive [default: linux/amd64, otherwise the first]
    #[arg(long, value_name = "PLATFORM", value_parser = PlatformWord, hide_possible_values = true)]
    pub docker_platform: Option<String>,
}

/// Which findings are accepted.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Accepted findings")]
pub struct Check {
    /// Accept findings with this code on the paths that match (repeatable)
    #[arg(long, value_name = "CODE[:GLOB]")]
    pub allow: Vec<String>,
    /// Accept the findings in this file; `verify --write-baseline` writes it
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

/// Where the result goes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Result")]
pub struct ResultFlags {
    /// Write digests, sizes, places and findings to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

/// How a container is started.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Image config (same names as docker; overrides the recipe)")]
pub struct Config {
    /// Entry point: a JSON array, or words with quotes as in a shell [default of bundle: the first program]
    #[arg(long, value_name = "WORDS")]
    pub entrypoint: Option<String>,
    /// Command, or arguments of the entry point: a JSON array, or words with quotes as in a shell
    #[arg(long, value_name = "WORDS")]
    pub cmd: Option<String>,
    /// Environment variable (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Label (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Annotation of the manifests and the index (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// User and group, as name or number
    #[arg(long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Port, such as 80/tcp (repeatable)
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<String>,
    /// Mount point of a volume (repeatable)
    #[arg(long, value_name = "DIR")]
    pub volume: Vec<String>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompressionForm {
    /// Every engine reads it.
    Gzip,
    /// Smaller and faster; docker before 23 and umoci before 0.6 do not read it.
    Zstd,
    /// No compression.
    None,
}

/// A platform on the command line. It is read later, with its message; here a shell learns which it may offer.
#[derive(Clone, Copy, Debug)]
pub struct PlatformWord;

impl TypedValueParser for PlatformWord {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Platform::verified().into_iter().map(|platform| PossibleValue::new(platform.to_string()))))
    }
}
