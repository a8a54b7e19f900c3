//! From arguments to an exit code.

use std::process::ExitCode;

use clap::FromArgMatches;

use super::args::{self, Args, Verb};
use super::console::Console;
use super::trouble::Trouble;
use super::{build, bundle, doctor, generate, inspect, trial, verify};

/// Runs the program.
pub fn main() -> ExitCode {
    let args = match args::command().try_get_matches().and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        // clap says by itself what is wrong, or what was asked for, and knows where to print it.
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if let Some(folder) = &args.global.directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        let console = Console::new(&args.global);
        return console.fail(&Trouble::Folder(folder.clone(), error));
    }
    let console = Console::new(&args.global);
    let result = match &args.verb {
        Verb::Build(build) => build::run(build, &args.global, &console),
        Verb::Verify(verify) => verify::run(verify, &args.global, &console),
        Verb::Bundle(bundle) => bundle::run(bundle, &args.global, &console),
        Verb::Inspect(inspect) => inspect::run(inspect, &args.global, &console),
        Verb::Try(try_) => trial::run(try_, &args.global, &console),
        Verb::Doctor => doctor::run(&args.global, &console),
        Verb::Generate(generate) => generate::run(generate, &console),
    };
    match result {
        Ok(code) => code,
        Err(trouble) => console.fail(&trouble),
    }
}
