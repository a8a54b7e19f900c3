//! How Linux executes a file, and which file capabilities it grants.

pub mod caps;

pub mod exec;
