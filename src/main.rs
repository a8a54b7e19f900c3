//! The `sazare` command: arguments, the library, text, an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
