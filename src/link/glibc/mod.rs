//! glibc's loader: which files it loads, which symbols it binds, and its configuration files.

pub mod ident;
pub mod ld_cache;
pub mod tokens;

pub mod load;

pub mod findings;

pub mod symbols;

pub mod notes;

pub mod levels;
