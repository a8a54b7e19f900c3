//! Pure functions that turn what was found into text: for a person or for a program.

mod faults;

pub use faults::draw_faults;
