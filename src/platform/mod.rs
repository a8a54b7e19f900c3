//! Platforms, and the one table of what differs between architectures.
//!
//! Everything that depends on the architecture is a field of [`ArchFacts`]. A new architecture is a file beside `amd64.rs`
//! that fills all of them (the compiler names what is missing), its `mod` line here, and its two lines in `arch.rs`.

mod facts;

mod amd64;
mod arm64;

mod arch;

mod machine;
mod os_arch;

mod image_platform;

pub use arch::Arch;
pub use facts::{ArchFacts, ByteOrder, Class, Compat, CpuLevels, GlibcFacts, MuslFacts, Relocations};
pub use image_platform::ImagePlatform;
pub use machine::machine_name;
pub use os_arch::{Platform, PlatformError};
