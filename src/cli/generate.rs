//! `sazare generate`: what packagers and editors need, from the one definition of the flags.

use std::path::Path;
use std::process::ExitCode;

use super::args::{self, GenerateArgs, Generated};
use super::console::Console;
use super::error::CliError;
use sazare::private::PrivateFolder;
use sazare::{host, recipe};

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

/// Writes all pages; each has its name only when it is complete.
fn man_pages(folder: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::Output(folder.display().to_string(), error);
    let private = PrivateFolder::make_in(folder).map_err(|error| failed(error.error))?;
    let new = private.new_path();
    std::fs::create_dir(&new).map_err(failed)?;
    clap_mangen::generate_to(args::command(), &new).map_err(failed)?;
    for name in host::names(&new).map_err(failed)? {
        std::fs::rename(new.join(&name), folder.join(&name)).map_err(failed)?;
    }
    Ok(())
}
