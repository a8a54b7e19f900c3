//! Pure functions that make text of findings and results, for people or for programs.

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
pub use result::{built, bundled, copied, size, why, why_json};
pub use text::{Paint, Text, plain};
