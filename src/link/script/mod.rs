//! Scripts: the first line, and what the kernel and `env` do with it.

pub mod first_line;

pub mod check;
