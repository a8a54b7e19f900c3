//! The `sazare` command.
fn main() {}
