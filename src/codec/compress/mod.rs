//! Compression: found by content when read, made on all cores when written.
//!
//! The bytes written depend on what is written only, not on threads or on how `write` was called. Decisions:
//!
//! - Layers are packed in parts ([`Packer`]), each a gzip member of its own (RFC 1952 §2.2: "a gzip file consists of a series of
//!   members") or a zstd frame of its own (RFC 8878 §3: frames may be concatenated). Every container engine reads that, and a part that is
//!   the same as before need not be packed again. Members have no name and no time, and hold noise as it is; frames have their size and a checksum.
//! - A kernel wants an initramfs in one piece ([`FileCompression`]): one gzip member, made of blocks that are compressed side by side,
//!   or one zstd frame, made by libzstd's own workers, which cut the stream the same way for any number of workers of one or more.
//!
//! With the feature `native`, gzip is made by libdeflate, which is smaller and faster at once; without it by zlib-rs,
//! with other digests. `writer_id` names it. The versions of all libraries are pinned (`library.rs`).

mod coder;
mod deflate;
mod form;
mod incompressible;
mod library;
mod lz4;
mod lzo;
mod pool;
mod xz;

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
