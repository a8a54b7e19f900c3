//! The build cache: its flags and its directory.

#![expect(clippy::disallowed_methods, reason = "this is the part of the program that reads the environment")]

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use sazare::image::Cache;
use sazare::recipe;

use super::error::CliError;

/// Flags on what may be used of earlier builds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub struct CacheFlags {
    /// Directory that keeps compressed parts of layers for later builds [default: $XDG_CACHE_HOME/sazare or ~/.cache/sazare]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Maximum cache size, e.g. 500MB; the least recently used entries are deleted
    #[arg(long, value_name = "SIZE", default_value = "4GB")]
    pub cache_size: String,
    /// Do not read or write the cache; the output does not depend on it
    #[arg(long, conflicts_with = "cache_dir")]
    pub no_cache: bool,
}

/// What is kept of earlier builds, if it may be used. The usual place counts only when it is ours: what another user put there
/// could be anything.
pub fn open(flags: &CacheFlags) -> Result<Option<Cache>, CliError> {
    let limit = recipe::size(&flags.cache_size).ok_or_else(|| {
        CliError::usage(
            format!("--cache-size is not a size: {}", flags.cache_size),
            "use 500MB, 4GB or a number of bytes",
        )
    })?;
    if flags.no_cache {
        return Ok(None);
    }
    if let Some(folder) = &flags.cache_dir {
        return Ok(Some(Cache::new(folder, limit, now())));
    }
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let usual = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    let Some(usual) = usual.map(|folder| folder.join("sazare")) else { return Ok(None) };
    let owner = usual.ancestors().find_map(|folder| std::fs::metadata(folder).ok()).map(|meta| meta.uid());
    let ours = owner == Some(rustix::process::geteuid().as_raw());
    Ok(ours.then(|| Cache::new(&usual, limit, now())))
}

/// The cache at its usual place, for who has no flags on it.
pub fn usual() -> Option<Cache> {
    let flags = CacheFlags { cache_dir: None, cache_size: "4GB".into(), no_cache: false };
    open(&flags).ok().flatten()
}

/// The time of the machine. It decides which files may have changed unseen, never what is written.
pub fn now() -> SystemTime {
    SystemTime::now()
}
