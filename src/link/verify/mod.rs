//! The verification of a whole tree, in steps: targets, checks, findings. `tree.rs` runs them.

pub mod programs;

pub mod agreed;
pub mod finding;
pub mod whole;

pub mod context;

pub mod others;

pub mod plugins;

pub mod accept;
pub mod targets;

pub mod check;

pub mod tree;
