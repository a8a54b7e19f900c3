//! Scripts: the first line, and what the kernel, `env` and shells do with it.

pub mod env;
pub mod first_line;
pub mod shell;

pub mod check;
