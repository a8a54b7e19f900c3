//! Facts about ELF files, as the kernel and the dynamic loaders read them.
//!
//! Neither of these ever looks at section headers, and hardly one believes what `e_ident` says about class and byte
//! order: they read the layout of their own machine. So do we: everything comes from the ELF header, the program
//! headers and the dynamic section, in the [`Layout`] of the architecture that `e_machine` names (`class_in_ident` of its facts
//! says where the class counts as well), and only of machines that are not known as the ident has it. A file that
//! cannot be read this way is said to be so ([`HeaderFault`]); it is never taken for something harmless.
//!
//! Only the pages that hold these tables are read, by position, so a file of half a gigabyte costs as little as a
//! small one. `goblin` gives the constants and the raw program headers; strings, versions and tables are extracted
//! here with bounds, because its own reading of them goes through section headers.

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
