//! What is run while the machine fails.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::outside::{SAZARE, checkout, command, install, must};

/// One command, with what stands there before it.
pub struct Scene {
    /// Its name in the figures.
    pub name: &'static str,
    /// Commands that make what stands there before, with `sazare` in front.
    pub before: &'static [&'static str],
    /// The arguments of `sazare`.
    pub run: &'static str,
    /// The exit code on a healthy machine.
    pub code: i32,
}

/// Paths: `fx/` holds what is read, `w/out/` what is written, `w/tmp/` is the folder for temporary files.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "layout",
        before: &[
            "build fx/hello -o oci:w/out/l --no-cache --label old=1",
            "build fx/hello -o oci:w/out/l:kept --no-cache",
        ],
        run: "build fx/hello -o oci:w/out/l --no-cache",
        code: 0,
    },
    Scene {
        name: "tar",
        before: &["build fx/hello -o w/out/h.tar --no-cache --label old=1"],
        run: "build fx/hello -o w/out/h.tar --no-cache",
        code: 0,
    },
    Scene {
        name: "cpio",
        before: &["build fx/init --platform linux/amd64 -o w/out/i.cpio --no-cache"],
        run: "build fx/init --platform linux/amd64 -o cpio:w/out/i.cpio.gz --no-cache",
        code: 0,
    },
    Scene {
        name: "rootfs",
        before: &[],
        run: "build fx/dyn --platform linux/amd64 -o rootfs:w/out/r --no-cache",
        code: 0,
    },
    Scene {
        name: "cache",
        before: &[
            "build fx/hello --platform linux/amd64 -o w/out/c.tar --cache-dir w/cache",
            "build fx/dyn --platform linux/amd64 -o w/out/d.tar --cache-dir w/cache",
        ],
        run: "build fx/dyn2 --platform linux/amd64 -o w/out/c.tar --cache-dir w/cache -t localhost/c",
        code: 0,
    },
    Scene {
        name: "several",
        before: &["build fx/hello -o w/out/s.tar --no-cache"],
        run: "build fx/init --platform linux/amd64 -o w/out/s.tar -o oci:w/out/s -o rootfs:w/out/r -o cpio:w/out/s.cpio.gz \
              --no-cache -t localhost/s",
        code: 0,
    },
    Scene {
        name: "metadata",
        before: &["build fx/hello -o w/out/m.tar --no-cache --label old=1 --metadata-file w/out/m.json"],
        run: "build fx/hello -o w/out/m.tar --no-cache --metadata-file w/out/m.json",
        code: 0,
    },
    Scene {
        name: "bundle",
        before: &[],
        run: "bundle /opt/bin/prog /usr/bin/bash --root fx/dyn -o w/out/b.tar --no-cache",
        code: 0,
    },
    Scene { name: "verify", before: &[], run: "verify rootfs:fx/dyn --platform linux/amd64 --format json", code: 0 },
    Scene {
        name: "verify-broken",
        before: &[],
        run: "verify rootfs:fx/broken --platform linux/amd64 --format json",
        code: 1,
    },
    Scene { name: "verify-image", before: &[], run: "verify fx/broken.tar --format json", code: 1 },
    Scene { name: "inspect", before: &[], run: "inspect fx/broken.tar --format json", code: 0 },
];

/// Names to what is there: the type, the mode, and the contents or the target.
pub type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// A folder with all that the scenes read.
pub struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// Makes the programs and roots.
    pub fn new() -> Stage {
        let stage = Stage { folder: tempfile::tempdir().unwrap() };
        let fx = stage.path("fx");
        fs::create_dir_all(fx.join("init")).unwrap();
        must(command("cp", ["-r"]).arg(checkout().join("images/hello")).arg(fx.join("hello")));
        install(checkout().join("images/hello/amd64/bin/hello"), fx.join("init/init"));
        for (name, text) in [("good.c", "int a(void) { return 0; }\n"), ("bad.c", "int b(void) { return 0; }\n")] {
            fs::write(fx.join(name), text).unwrap();
        }
        fs::write(fx.join("prog.c"), "int a(void);\nint main(void) { return a(); }\n").unwrap();
        stage.sazare("bundle /bin/bash -o rootfs:fx/dyn --no-cache");
        let script = "set -e\n\
                      mkdir -p dyn/opt/bin dyn/opt/lib\n\
                      gcc -shared -fPIC -Wl,-soname,liba.so -o dyn/opt/lib/liba.so good.c\n\
                      gcc -o dyn/opt/bin/prog prog.c -Ldyn/opt/lib -la -Wl,-z,now '-Wl,-rpath,$ORIGIN/../lib'\n\
                      cp -a dyn dyn2; echo more > dyn2/more\n\
                      cp -a dyn broken; rm broken/opt/lib/liba.so\n\
                      gcc -shared -fPIC -Wl,-soname,liba.so -o broken/opt/lib/liba.so bad.c\n";
        must(command("sh", ["-c", script]).current_dir(&fx));
        stage.sazare(
            "build fx/broken --platform linux/amd64 -o fx/broken.tar -t localhost/broken --no-cache --allow symbol-missing:**",
        );
        stage
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `sazare` on a healthy machine, where it must end well.
    pub fn sazare(&self, arguments: &str) -> String {
        must(command(SAZARE, arguments.split_whitespace()).current_dir(self.folder()).env("TMPDIR", self.folder()))
    }

    /// Makes what stands there before a scene, as a folder to be copied.
    pub fn prepare(&self, scene: &Scene) -> PathBuf {
        self.empty();
        for command in scene.before {
            self.sazare(command);
        }
        let kept = self.path(&format!("before-{}", scene.name));
        must(command("cp", ["-a"]).arg(self.path("w")).arg(&kept));
        kept
    }

    /// An empty place to work in.
    pub fn empty(&self) {
        let _ = fs::remove_dir_all(self.path("w"));
        for name in ["w/out", "w/tmp", "w/cache"] {
            fs::create_dir_all(self.path(name)).unwrap();
        }
    }

    /// Puts back what stood there before.
    pub fn restore(&self, kept: &Path) {
        let _ = fs::remove_dir_all(self.path("w"));
        must(command("cp", ["-a"]).arg(kept).arg(self.path("w")));
    }

    /// All names below `w/out` and `w/tmp`.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        collect(&self.path("w/out"), &mut snapshot);
        collect(&self.path("w/tmp"), &mut snapshot);
        snapshot
    }
}

#[expect(clippy::disallowed_methods, reason = "the order of the file system ends in a sorted map")]
fn collect(folder: &Path, into: &mut Snapshot) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let contents = match metadata.mode() & 0o170_000 {
            0o100_000 => fs::read(&path).unwrap(),
            0o120_000 => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            _ => Vec::new(),
        };
        if metadata.is_dir() {
            collect(&path, into);
        }
        into.insert(path, (metadata.mode(), contents));
    }
}
