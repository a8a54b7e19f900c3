//! The verdict on a whole tree.

pub mod programs;

pub mod finding;

pub mod accept;
pub mod surroundings;

pub mod tree;
