//! musl's loader: which files it loads and which symbols it binds.

mod tried;

pub mod load;

pub mod symbols;

pub mod findings;
