//! The command line: the only part of sazare that knows a terminal, the environment and the working directory.
//!
//! Each verb is short: it converts arguments to values and calls the library; `render` makes text of the result. Only
//! [`CliError`] turns an error into a message, a hint and an exit code.

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
mod copy;
mod generate;
mod inspect;
mod trial;

mod doctor;

mod run;

pub use run::main;
