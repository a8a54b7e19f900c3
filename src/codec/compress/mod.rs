//! Compression. The form is detected by content when reading; writing uses all cores.
//!
//! The bytes written depend only on the input, not on the number of threads or on how `write` was called. Decisions:
//!
//! - Layers are compressed in parts ([`Packer`]). Each part is a gzip member (RFC 1952 §2.2: "a gzip file consists of a series of
//!   members") or a zstd frame (RFC 8878 §3: frames may be concatenated). Every container engine reads that, and a part that has not
//!   changed need not be compressed again. Members have no name and no time, and store incompressible blocks as they are; frames have
//!   their size and a checksum.
//! - Kernels need an initramfs in one piece ([`FileCompression`]). It is one gzip member, made of blocks that are compressed in
//!   parallel, or one zstd frame, made by libzstd's own workers, which cut the stream in the same way for any number of workers.
//!
//! With the feature `native`, libdeflate makes gzip, which is smaller and faster. Otherwise zlib-rs makes it, with other digests.
//! `writer_id` names the library. The versions of all libraries are pinned (`library.rs`).

mod coder;
mod deflate;
mod form;
mod incompressible;
mod library;
mod lz;
mod pool;
mod xz;

mod lz4;
mod lzo;

mod blocks;
mod member;
mod piece;

mod writer;

mod whole;

pub(crate) use coder::Coded;
pub(crate) use form::{Form, decompressed, form, form_of, reader, reported};
pub use library::{LIBDEFLATE, LIBZSTD, ZLIB_RS};
pub(crate) use piece::{DICTIONARY_MAX, Piece};
pub(crate) use pool::BufferPool;
pub use whole::{FileCompression, FileCompressor};
pub(crate) use writer::writer_id;
pub use writer::{Compression, Packer};
pub(crate) use xz::{XZ_START, XzStart};
