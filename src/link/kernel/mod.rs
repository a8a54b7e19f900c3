//! What Linux does with a file that is executed.

pub mod caps;

pub mod exec;
