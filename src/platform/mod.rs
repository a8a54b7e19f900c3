//! Platforms, and the one table of what differs between architectures.
//!
//! Everything that depends on the architecture is a field of [`ArchFacts`]. A new architecture is a file beside `amd64.rs`
//! that fills all of them (the compiler names what is missing), its `mod` line here, and its two lines in `arch.rs`.

mod facts;

mod amd64;
mod arm;
mod arm64;
mod loong64;
mod mips64le;
mod ppc64le;
mod riscv64;
mod s390x;
mod x86;

mod arch;

mod words;

mod machine;
mod os_arch;

mod image_platform;

pub use arch::Arch;
pub use facts::{Abi, ArchFacts, ByteOrder, Class, Compat, CpuLevels, GlibcFacts, RefusedFlags, Relocations};
pub use image_platform::ImagePlatform;
pub use machine::machine_name;
pub use os_arch::{Platform, PlatformError};
