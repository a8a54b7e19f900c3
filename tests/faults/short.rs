//! Reads and writes that are shorter than asked for, as pipes, FUSE and network file systems give them.

use std::fs;

use crate::outside::{SAZARE, command, missing, must, run};
use crate::scene::{SCENES, Stage};

/// Every call of the C library that reads or writes more than one byte moves only a part of it, and says so.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

static size_t part(size_t n) {
  static unsigned calls;
  if (n < 2 || __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 3 == 0) return n;
  __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
  return n > 8192 ? n / 3 : (n + 1) / 2;
}
#define NEXT(name) static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name)
ssize_t read(int, void *, size_t);
ssize_t write(int, const void *, size_t);
ssize_t pread64(int, void *, size_t, off_t);
ssize_t pwrite64(int, const void *, size_t, off_t);
ssize_t read(int f, void *b, size_t n) { NEXT(read); return next(f, b, part(n)); }
ssize_t write(int f, const void *b, size_t n) { NEXT(write); return next(f, b, part(n)); }
ssize_t pread64(int f, void *b, size_t n, off_t o) { NEXT(pread64); return next(f, b, part(n), o); }
ssize_t pwrite64(int f, const void *b, size_t n, off_t o) { NEXT(pwrite64); return next(f, b, part(n), o); }
"#;

#[test]
fn short_reads_and_writes_change_nothing() {
    if missing(&["strace", "gcc", "skopeo"]) {
        return;
    }
    let stage = Stage::new();
    let (source, shim) = (stage.path("short.c"), stage.path("short.so"));
    fs::write(&source, SHIM).unwrap();
    must(command("gcc", ["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl"));
    for scene in SCENES {
        let kept = stage.prepare(scene);
        let mut healthy = command(SAZARE, scene.run.split_whitespace());
        healthy.current_dir(stage.folder()).env("TMPDIR", stage.path("w/tmp"));
        let expected = (run(&mut healthy), stage.snapshot());
        stage.restore(&kept);
        let log = stage.path("calls");
        let mut short =
            command("strace", ["-f", "--seccomp-bpf", "-qqq", "-e", "trace=read,pread64,write,pwrite64", "-o"]);
        short.arg(&log).args(["-E", &format!("LD_PRELOAD={}", shim.display())]).arg(SAZARE);
        short.args(scene.run.split_whitespace()).current_dir(stage.folder()).env("TMPDIR", stage.path("w/tmp"));
        let answer = run(&mut short);
        assert_eq!((answer.code, &answer.out), (expected.0.code, &expected.0.out), "{}: {}", scene.name, answer.text());
        assert!(stage.snapshot() == expected.1, "{}: other files", scene.name);
        assert!(fs::metadata(&log).unwrap().len() > 0, "{}: nothing was read or written", scene.name);
    }
}
