//! Facts about ELF files, as the kernel and the dynamic loaders read them.
//!
//! Neither of these ever looks at section headers, and neither believes what `e_ident` says about class and byte
//! order: they read the layout of their own machine. So do we: everything comes from the ELF header, the program
//! headers and the dynamic section, in the 64-bit little-endian layout that both supported machines share. A file that
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

mod symbols;
mod versions;

#[cfg(test)]
pub(crate) mod forge;

pub use bytes::{contains, cut_at_nul, find};
pub use dlopen::{DlopenFeature, Priority};
pub use dynamic::Dynamic;
pub use facts::{AndroidNote, ElfFacts, HeaderFault, Interpreter, Linkage, PHDRS_OLD};
pub use pages::Pages;
pub use segments::Segment;
pub use symbols::{Relocation, Symbol, SymbolFault, SymbolName, Symbols};
pub use versions::{DefinedVersion, NeededVersion, VersionFault, Versions};
