//! The command line: the only part of sazare that knows a terminal, the environment and the working directory.
//!
//! A verb is short: arguments become values, the library does the work, `render` makes text of the result, and the
//! result has an exit code. One place, [`CliError`], turns an error into message, hint and exit code.

mod bug;
mod error;
mod out;
mod signals;

mod cache;
mod registries;

mod flags;

mod args;

mod console;

mod request;

mod verify;
mod version;

mod build;
mod review;

mod bundle;
mod generate;
mod inspect;
mod trial;

mod doctor;

mod run;

pub use run::main;
