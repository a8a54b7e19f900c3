//! The program as a whole, from the outside: the binary is run, and what it wrote is judged by other people's programs.
//!
//! One crate, so that it is linked once; a file per question. A judge that is missing is skipped and says so, except
//! with `CI=true`, where it is a failure (`outside::missing`). Judges that need root are skipped without it.

mod engines;
mod layout;
mod lookup;
mod outside;

mod bad_input;
mod bundle;
mod cache;
mod confined;
mod conformance;
mod determinism;
mod four_failures;
mod hello;
mod initramfs;
mod judges;
mod killed;
mod kimigayo;
mod mutants;
mod readme;
mod refusal;
mod schema;
mod scratch_binary;
mod trial;
