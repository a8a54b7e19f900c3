//! Facts about ELF files, as the kernel and the dynamic loaders read them.
//!
//! Neither kernel nor loaders read section headers, and most of them ignore the class and byte order in `e_ident`: they read
//! the layout of their own machine. sazare does the same. Everything comes from the ELF header, the program headers and the
//! dynamic section, in the [`Layout`] of the architecture that `e_machine` names (`class_in_ident` of its facts says whether
//! the class must match too). Only for unknown machines is the layout taken from `e_ident`. A file that cannot be read this
//! way gets a [`HeaderFault`]; it never counts as harmless.
//!
//! Only the pages that hold these tables are read, by position, so a file of half a gigabyte takes no longer than a small
//! one. `goblin` provides the constants and the raw program headers. Strings, versions and tables are read here, with
//! limits, because `goblin` reads them through section headers.

mod bytes;

mod pages;

mod segments;

mod dlopen;
mod dynamic;

mod facts;

mod smallest;
mod symbols;
mod versions;

#[cfg(test)]
mod writer;

#[cfg(test)]
pub(crate) mod forge;

pub use bytes::{Layout, contains, cut_at_nul, find};
pub use dlopen::{DlopenFeature, Priority};
pub use dynamic::Dynamic;
pub use facts::{AndroidNote, ElfFacts, HeaderFault, Interpreter, Linkage, headers_max, headers_max_before_6_17};
pub use pages::Pages;
pub use segments::Segment;
pub use smallest::smallest_program;
pub use symbols::{Relocation, Symbol, SymbolFault, SymbolName, Symbols};
pub use versions::{DefinedVersion, NeededVersion, VersionFault, Versions};
