//! Pure functions that turn what was found, seen and made into text: for a person or for a program.

mod text;
mod uses;

#[cfg(feature = "cli")]
mod faults;
mod result;

pub mod inspect;
pub mod report;
pub mod trial;

#[cfg(feature = "cli")]
pub use faults::draw_faults;
pub use result::{built, bundled, size, why, why_json};
pub use text::{Paint, Text, plain};
