//! Malicious input for every parser of files from a tree: the inputs that the fuzz targets in `fuzz/` have found are run
//! again. `CONTRIBUTING.md` describes how to fuzz.

#![expect(clippy::disallowed_macros, reason = "a test that fails has said which input it tried")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

#[path = "hostile/tries.rs"]
mod tries;

/// The largest single allocation for one input, in bytes. A zstd frame in an initramfs may have a window of 128 MiB, as
/// kernels accept it.
const PIECE_MAX: usize = 144 << 20;

/// The maximum memory for one input at any time, in bytes.
const TOGETHER_MAX: usize = 256 << 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted for each thread.
struct Counting;

fn taken(size: usize) {
    let held = HELD.get().saturating_add(size);
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    LARGEST.set(LARGEST.get().max(size));
}

fn given_back(size: usize) {
    HELD.set(HELD.get().saturating_sub(size));
}

#[expect(unsafe_code, reason = "how much memory is asked for can only be seen by the allocator")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given_back(layout.size());
        taken(size);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs all kept inputs of one parser.
#[expect(clippy::disallowed_methods, reason = "the order of the files changes nothing")]
fn replay(name: &str, tried: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(name);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        println!("{}", file.display());
        for counter in [&HELD, &MOST, &LARGEST] {
            counter.set(0);
        }
        tried(&bytes);
        let (most, largest) = (MOST.get(), LARGEST.get());
        assert!(largest <= PIECE_MAX, "{} asks for {largest} bytes at once", file.display());
        assert!(most <= TOGETHER_MAX, "{} holds {most} bytes", file.display());
        count += 1;
    }
    assert!(count > 5, "{count} files of {name}");
}

#[test]
fn elf_files_end_in_a_judgement() {
    replay("elf", tries::elf);
}

#[test]
fn loader_caches_end_in_a_judgement() {
    replay("ld_cache", tries::ld_cache);
}

#[test]
fn path_files_end_in_a_judgement() {
    replay("musl_path", tries::musl_path);
}

#[test]
fn scripts_end_in_a_judgement() {
    replay("script", tries::script);
}

#[test]
fn initramfs_archives_end_in_a_tree_or_an_error() {
    replay("cpio", tries::cpio);
}
