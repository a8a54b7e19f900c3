//! The verdict on a whole tree.

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
