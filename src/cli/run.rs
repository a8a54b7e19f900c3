//! From arguments to an exit code.

use std::process::ExitCode;

use clap::FromArgMatches;

use super::args::{self, Args, Verb};
use super::console::{self, Console};
use super::error::CliError;
use super::{bug, build, bundle, copy, doctor, generate, inspect, signals, trial, verify};
use sazare::failure::FailureKind;

/// Runs the program.
pub fn main() -> ExitCode {
    let code = bug::caught(run).unwrap_or(ExitCode::from(FailureKind::Bug.exit_code()));
    signals::wait_if_ending();
    code
}

fn run() -> ExitCode {
    let args = match args::command().try_get_matches().and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        // clap says by itself what is wrong, and knows where to print it.
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            return ExitCode::from(FailureKind::Usage.exit_code());
        }
        Err(asked_for) => return console::print(&asked_for.render()),
    };
    if let Some(folder) = &args.global.directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        let console = Console::new(&args.global);
        return console.fail(&CliError::Folder(folder.clone(), error));
    }
    let console = Console::new(&args.global);
    signals::watch();
    let result = match &args.verb {
        Verb::Build(build) => build::run(build, &args.global, &console),
        Verb::Verify(verify) => verify::run(verify, &args.global, &console),
        Verb::Bundle(bundle) => bundle::run(bundle, &args.global, &console),
        Verb::Copy(copy) => copy::run(copy, &args.global, &console),
        Verb::Inspect(inspect) => inspect::run(inspect, &args.global, &console),
        Verb::Try(try_) => trial::run(try_, &args.global, &console),
        Verb::Doctor => doctor::run(&args.global, &console),
        Verb::Generate(generate) => generate::run(generate, &console),
    };
    signals::wait_if_ending();
    match result {
        Ok(code) => code,
        Err(error) => console.fail(&error),
    }
}
