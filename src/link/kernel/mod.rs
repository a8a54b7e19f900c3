//! What Linux does with a file that is executed.

pub mod exec;
