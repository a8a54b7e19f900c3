//! Tests of the binary: it is run, and other programs (docker, skopeo, GNU tar, …) check its output.
//!
//! One crate, so that it is linked once; one file per topic. If such a program is missing, the test is skipped and says so;
//! with `CI=true` it fails (`outside::missing`). Tests that need root are skipped for other users.

mod engines;
mod layout;
mod lookup;
mod outside;
mod platforms;

mod architectures;
mod bad_input;
mod bundle;
mod cache;
mod confined;
mod conformance;
mod determinism;
mod ended;
mod foreign;
mod four_failures;
mod growth;
mod hello;
mod hostile;
mod initramfs;
mod judges;
mod killed;
mod kimigayo;
mod mutants;
mod outputs;
mod readme;
mod refusal;
mod registries;
mod schema;
mod scratch_binary;
mod stacks;
mod trial;
