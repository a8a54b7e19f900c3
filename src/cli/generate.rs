//! `sazare generate`: what packagers and editors need, from the one definition of the flags.

use std::path::Path;
use std::process::ExitCode;

use super::args::{self, GenerateArgs, Generated};
use super::console::Console;
use super::error::CliError;
use sazare::recipe;

/// Runs the verb.
pub fn run(generate: &GenerateArgs, console: &Console) -> Result<ExitCode, CliError> {
    match &generate.what {
        Generated::Schema => {
            let text = serde_json::to_string_pretty(&recipe::schema()).unwrap_or_default();
            console.result(&(text + "\n"))?;
        }
        Generated::Completions { shell } => {
            let mut bytes = Vec::new();
            clap_complete::generate(*shell, &mut args::command(), "sazare", &mut bytes);
            console.result(&String::from_utf8_lossy(&bytes))?;
        }
        Generated::Man { folder: None } => {
            let failed = |error| CliError::Output("standard output".into(), error);
            let mut bytes = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut bytes).map_err(failed)?;
            console.result(&String::from_utf8_lossy(&bytes))?;
        }
        Generated::Man { folder: Some(folder) } => man_pages(folder)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn man_pages(folder: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::Output(folder.display().to_string(), error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(args::command(), folder).map_err(failed)
}
