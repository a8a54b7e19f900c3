//! Compression: found by content when read, made on all cores when written.
//!
//! The bytes written depend on the stream only, not on threads or on how `write` was called. Decisions:
//!
//! - gzip: the stream is cut into blocks of 1 MiB, each becomes a gzip member of its own, and the members stand one
//!   after the other (RFC 1952 §2.2: "a gzip file consists of a series of members"). Every container engine reads that; a kernel
//!   does not: it wants an initramfs in one piece ([`Whole`]). The members have no name and no time.
//! - zstd: one frame, made by libzstd's own workers with fixed parameters, which cut the stream the same way for any
//!   number of workers of one or more.
//!
//! With the feature `native`, gzip is made by libdeflate, which is smaller and faster at once; without it by zlib-rs,
//! with other digests. [`writer_id`] tells which.

mod blocks;
mod deflate;
mod form;
mod lz4;

mod member;
mod piece;

mod writer;

mod whole;

pub use form::{Form, decompressed, form, form_of, reader};
pub use piece::Piece;
pub use whole::{Whole, WholeCompressor};
pub use writer::{Compression, Compressor, writer_id};
