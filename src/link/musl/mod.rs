//! musl's loader: which files it loads and which symbols it binds.

pub mod load;

pub mod symbols;

pub mod findings;
