//! Measures single components: `cargo bench`, or `cargo bench -- compress` for one of them.
//!
//! The input is this program itself, a large ELF file that always exists, and for the directory scan the directory in
//! `SAZARE_BENCH_ROOT` (default: `/usr/lib`). `benches/peers`, `benches/initramfs` and `benches/verify` compare whole builds with
//! other programs.

#![expect(clippy::disallowed_methods, reason = "a bench looks at its surroundings")]

use std::io::{Write, sink};
use std::path::PathBuf;
use std::sync::OnceLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sazare::codec::compress::{Compression, FileCompression, FileCompressor, Packer};
use sazare::codec::dir::{ScanOptions, scan};
use sazare::codec::tar::{self, Body};
use sazare::digest::Digest;
use sazare::elf::{ElfFacts, Pages, Symbols, Versions};
use sazare::path::ImagePath;
use sazare::tree::{Content, Metadata, Mode};

/// How much of the program is used, in bytes.
const SIZE: usize = 16 << 20;

fn main() {
    divan::main();
}

/// The first bytes of this program.
fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        bytes.truncate(SIZE);
        bytes
    })
}

fn count() -> BytesCount {
    BytesCount::new(bytes().len())
}

#[divan::bench]
fn hash(bencher: Bencher<'_, '_>) {
    bencher.counter(count()).bench(|| Digest::of(black_box(bytes())));
}

#[divan::bench]
fn tar_headers(bencher: Bencher<'_, '_>) {
    let path: ImagePath = "/usr/bin/program".parse().unwrap();
    let meta = Metadata::new(Mode::DIRECTORY, 0);
    bencher.counter(ItemsCount::new(1usize)).bench(|| {
        let mut header = Vec::new();
        tar::header(&mut header, &path, &meta, Body::File(black_box(4096)));
        header
    });
}

#[divan::bench(args = [Compression::Gzip(1), Compression::DEFAULT, Compression::Gzip(9), Compression::Zstd(2)])]
fn compress_a_layer(bencher: Bencher<'_, '_>, compression: Compression) {
    bencher.counter(count()).bench(|| {
        let mut packer = Packer::new(compression).unwrap();
        let mut buffer = Vec::new();
        for part in black_box(bytes()).chunks(compression.span()) {
            buffer = packer.pack(part, buffer).unwrap().buffer;
        }
        buffer
    });
}

#[divan::bench(args = [FileCompression::Gzip, FileCompression::Zstd])]
fn compress_an_initramfs(bencher: Bencher<'_, '_>, form: FileCompression) {
    bencher.counter(count()).bench(|| {
        let mut compressor = FileCompressor::new(sink(), form, 1).unwrap();
        compressor.write_all(black_box(bytes())).unwrap();
        compressor.finish().unwrap();
    });
}

#[divan::bench]
fn elf_facts_and_symbols(bencher: Bencher<'_, '_>) {
    let content = Content::Bytes(std::fs::read(std::env::current_exe().unwrap()).unwrap().into());
    bencher.counter(ItemsCount::new(1u32)).bench(|| {
        let pages = Pages::open(black_box(&content)).unwrap();
        let facts = ElfFacts::read_pages(&pages).unwrap().unwrap();
        (Versions::read(&pages, &facts).unwrap(), Symbols::read(&pages, &facts).unwrap())
    });
}

#[divan::bench]
fn walk(bencher: Bencher<'_, '_>) {
    let root = std::env::var_os("SAZARE_BENCH_ROOT").map_or_else(|| PathBuf::from("/usr/lib"), PathBuf::from);
    let walk = || scan(&root, &ScanOptions::ALL).unwrap();
    let count = walk().tree.inode_count();
    bencher.counter(ItemsCount::new(count)).bench(walk);
}
