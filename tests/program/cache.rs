//! The cache saves time and changes no byte, whatever happens to the sources, the cache or the output.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::determinism::noise;
use crate::outside::{SAZARE, command, missing, must, run};

/// A tree, a cache and an output.
struct Room(TempDir);

impl Room {
    /// With a tree of about thirty segments: many files with 1 MB in total for each, and a large one.
    fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        let noise = noise(4 << 20);
        for number in 0..300_usize {
            let folder = room.tree().join(format!("lib/{:02}", number / 20));
            fs::create_dir_all(&folder).unwrap();
            let start = number * 7919 % (3 << 20);
            fs::write(folder.join(format!("file-{number:03}")), &noise[start..start + 40_000 + number * 300]).unwrap();
        }
        fs::write(room.tree().join("large"), &noise).unwrap();
        room
    }

    fn tree(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    fn layout(&self) -> PathBuf {
        self.0.path().join("layout")
    }

    fn file(&self, path: &str) -> PathBuf {
        self.tree().join(path)
    }

    fn command(&self, tree: &Path, flags: &[&str]) -> Command {
        let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "--cache-dir"]);
        build.arg(self.cache()).arg("-o").arg(format!("oci:{}", self.layout().display())).arg(tree).args(flags);
        build
    }

    /// Builds with the cache; returns the digest, which must equal that of a build without a cache.
    fn build(&self, flags: &[&str]) -> String {
        let digest = must(&mut self.command(&self.tree(), flags));
        let other = self.0.path().join("other");
        let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "--no-cache", "-o"]);
        let expected = must(build.arg(format!("oci:{}", other.display())).arg(self.tree()).args(flags));
        assert_eq!(digest, expected);
        // The layout is consistent: each blob has the digest in its name.
        must(
            Command::new("sh")
                .args(["-c", "cd \"$1\" && sha256sum * | awk '$1 != $2 { exit 1 }'", "sh"])
                .arg(self.blobs()),
        );
        must(command("diff", ["-r"]).arg(other.join("index.json")).arg(self.layout().join("index.json")));
        digest
    }

    fn blobs(&self) -> PathBuf {
        self.layout().join("blobs/sha256")
    }

    /// The files in the cache.
    fn kept(&self) -> BTreeSet<PathBuf> {
        // A file may get another name while a build is at work.
        let list = run(command("find", [self.cache()]).args(["-type", "f", "-path", "*/1/*"])).out;
        list.lines().map(PathBuf::from).collect()
    }

    /// How many files in the cache belong to builds that are at work, or died.
    fn unfinished(&self) -> usize {
        let names = |path: &&PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.len() != 64 || name.bytes().any(|byte| !byte.is_ascii_hexdigit())
        };
        self.kept().iter().filter(names).count()
    }

    /// A build into another layout while calls fail. (With `--seccomp-bpf`, strace 6.1 sends no signal at the second call.)
    fn traced(&self, layout: &str, faults: &[&str]) -> Command {
        let mut strace = command("strace", ["-f", "-qqq", "-o", "/dev/null", "-e", "trace=linkat,rename"]);
        for fault in faults {
            strace.args(["-e", fault]);
        }
        strace.args([SAZARE, "build", "-q", "--platform", "linux/amd64", "--cache-dir"]).arg(self.cache());
        strace.arg("-o").arg(format!("oci:{}", self.0.path().join(layout).display())).arg(self.tree());
        strace
    }

    fn forget_output(&self) {
        fs::remove_dir_all(self.layout()).unwrap();
    }
}

/// Waits until changed files are old enough for the cache to rely on their timestamps.
fn settle() {
    std::thread::sleep(Duration::from_millis(3_100));
}

#[test]
fn an_unchanged_tree_is_not_read_again() {
    if missing(&["strace"]) {
        return;
    }
    let room = Room::new();
    let system = must(command("stat", ["-f", "-c", "%T"]).arg(room.0.path()));
    if !["ext2/ext3", "xfs", "btrfs", "f2fs", "zfs"].contains(&system.trim()) {
        return; // The times of files are not relied on there.
    }
    settle();
    room.build(&[]);
    for forget in [true, false] {
        if forget {
            room.forget_output();
        }
        let seen = room.0.path().join("seen");
        let mut strace = command("strace", ["-f", "-qq", "-e", "trace=openat,open", "-o"]);
        strace.arg(&seen);
        let again = room.command(&room.tree(), &[]);
        must(
            strace
                .arg(again.get_program())
                .args(again.get_args())
                .envs(again.get_envs().filter_map(|(k, v)| Some((k, v?)))),
        );
        let seen = fs::read_to_string(&seen).unwrap();
        assert!(seen.contains("/tree/lib"), "{seen}");
        // The verifier reads libraries and programs; these are neither.
        let opened: Vec<&str> = seen.lines().filter(|line| line.contains("/tree/large\"")).collect();
        assert!(opened.is_empty(), "{opened:?}");
    }
}

#[test]
fn a_write_through_a_shared_mapping_is_seen_on_every_file_system() {
    if missing(&["python3"]) {
        return;
    }
    // The first write gives the file its time; the second one, to the same page, leaves all times as they are.
    const WRITER: &str = "import mmap, sys\nfile = open(sys.argv[1], 'r+b')\nmapped = mmap.mmap(file.fileno(), 0)\n\
                          for line in sys.stdin:\n    mapped[0:1] = line[0].encode()\n    print('written', flush=True)\n";
    let places = ["/tmp", "/dev/shm", env!("CARGO_TARGET_TMPDIR")].map(Path::new);
    for place in places.iter().filter(|place| place.is_dir()) {
        let Ok(folder) = tempfile::tempdir_in(place) else { continue };
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("tree")).unwrap();
        fs::write(at("tree/data"), noise(1 << 20)).unwrap();
        let mut writer = command("python3", ["-c", WRITER]);
        writer.arg(at("tree/data")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        let (mut asked, mut told) = (writer.stdin.take().unwrap(), BufReader::new(writer.stdout.take().unwrap()));
        let mut write = |letter: &str| {
            writeln!(asked, "{letter}").unwrap();
            told.read_line(&mut String::new()).unwrap();
        };
        let build = |flags: &[&str]| {
            let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]);
            must(build.arg(at("x.tar")).arg(at("tree")).args(flags))
        };
        let cache = at("cache");
        let cached = ["--cache-dir", cache.to_str().unwrap()];
        write("1");
        settle();
        let first = build(&cached);
        write("2");
        let second = build(&cached);
        assert_eq!(second, build(&["--no-cache"]), "an old image on {}", place.display());
        assert_ne!(first, second);
        drop(asked);
        writer.wait().unwrap();
    }
}

#[test]
fn after_a_change_only_what_changed_is_packed_again() {
    let room = Room::new();
    settle();
    room.build(&[]);
    let before = room.kept();
    assert!(before.len() > 20, "{before:?}");
    type Change = fn(&Room);
    let changes: [(usize, Change); 5] = [
        (3, |room| fs::write(room.file("lib/07/new"), noise(1024)).unwrap()),
        (3, |room| fs::write(room.file("lib/00/file-000"), "other\n").unwrap()),
        (3, |room| fs::remove_file(room.file("lib/03/file-060")).unwrap()),
        // In the middle of a large file.
        (2, |room| {
            File::options().write(true).open(room.file("large")).unwrap().write_all_at(b"other", 2_500_000).unwrap()
        }),
        (1, |room| drop(must(&mut command("touch", [room.file("lib/09/file-180")])))),
    ];
    for (number, (most, change)) in changes.iter().enumerate() {
        let before = room.kept();
        change(&room);
        room.build(&[]);
        let fresh = room.kept().difference(&before).count();
        assert!(fresh <= *most, "change {number}: {fresh} new files in the cache");
    }
}

#[test]
fn a_copy_of_a_tree_is_not_packed_again() {
    let room = Room::new();
    let digest = must(&mut room.command(&room.tree(), &[]));
    let before = room.kept();
    let copy = room.0.path().join("copy");
    must(command("cp", ["-r"]).arg(room.tree()).arg(&copy));
    room.forget_output();
    assert_eq!(must(&mut room.command(&copy, &[])), digest);
    // Only the outline of the other tree.
    assert_eq!(room.kept().difference(&before).count(), 1);
}

#[test]
fn a_change_within_a_tick_of_the_clock_is_seen() {
    let room = Room::new();
    let file = room.file("lib/05/file-100");
    let mut seen = BTreeSet::new();
    for number in 0..6 {
        // Two states of the same size, as close in time as possible, with a build between them.
        fs::write(&file, format!("state {number}")).unwrap();
        let old = fs::metadata(&file).unwrap().modified().unwrap();
        let first = must(&mut room.command(&room.tree(), &[]));
        fs::write(&file, format!("STATE {number}")).unwrap();
        File::options().write(true).open(&file).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
        let second = room.build(&[]);
        assert!(seen.insert(first) && seen.insert(second), "{number}");
    }
}

#[test]
fn a_restored_time_hides_no_change() {
    let room = Room::new();
    let file = room.file("large");
    settle();
    let before = room.build(&[]);
    let old = fs::metadata(&file).unwrap();
    File::options().write(true).open(&file).unwrap().write_all_at(b"other", 1000).unwrap();
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_times(FileTimes::new().set_modified(old.modified().unwrap()))
        .unwrap();
    let new = fs::metadata(&file).unwrap();
    assert_eq!(
        (new.ino(), new.len(), new.mtime(), new.mtime_nsec()),
        (old.ino(), old.len(), old.mtime(), old.mtime_nsec())
    );
    settle();
    assert_ne!(room.build(&[]), before);
}

#[test]
fn a_damaged_cache_is_only_slow() {
    let room = Room::new();
    settle();
    let flags: &[&[&str]] = if cfg!(feature = "native") { &[&[], &["--compression", "zstd"]] } else { &[&[]] };
    type Damage = fn(&Path, &[u8]);
    let damages: [Damage; 5] = [
        |path, bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path, bytes| fs::write(path, &bytes[..bytes.len() / 3]).unwrap(),
        |path, _| fs::write(path, "").unwrap(),
        |path, bytes| fs::write(path, vec![0; bytes.len()]).unwrap(),
        |path, _| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        },
    ];
    for flags in flags {
        for damage in damages {
            let digest = room.build(flags);
            for path in room.kept() {
                let mut bytes = Vec::new();
                File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
                damage(&path, &bytes);
            }
            room.forget_output();
            assert_eq!(room.build(flags), digest);
            must(command("chmod", ["-R", "u+rwX"]).arg(room.cache()));
            fs::remove_dir_all(room.cache()).unwrap();
        }
    }
}

#[test]
fn files_that_changed_places_in_the_cache_are_not_believed() {
    let room = Room::new();
    settle();
    let digest = room.build(&[]);
    let kept: Vec<PathBuf> = room.kept().into_iter().collect();
    let all: Vec<Vec<u8>> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
    for (number, path) in kept.iter().enumerate() {
        fs::write(path, &all[(number + 1) % all.len()]).unwrap();
    }
    room.forget_output();
    assert_eq!(room.build(&[]), digest);
}

#[test]
fn a_damaged_blob_in_the_output_is_not_taken_for_the_layer() {
    let room = Room::new();
    settle();
    let digest = room.build(&[]);
    let list = must(command("find", [room.blobs()]).args(["-size", "+100k"]));
    let layer = Path::new(list.trim_end());
    // The same size, another byte; no other name refers to this file.
    let mut bytes = fs::read(layer).unwrap();
    bytes[5000] ^= 1;
    fs::remove_file(layer).unwrap();
    fs::write(layer, bytes).unwrap();
    assert_eq!(room.build(&[]), digest);
}

#[test]
fn builds_share_a_cache_and_may_be_killed() {
    let room = Room::new();
    let mut children: Vec<_> = (0..4)
        .map(|number| {
            let layout = format!("oci:{}", room.0.path().join(format!("layout-{number}")).display());
            let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o", &layout, "--cache-dir"]);
            build.arg(room.cache()).arg(room.tree()).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(150));
    children[0].kill().unwrap();
    children[1].kill().unwrap();
    for child in &mut children {
        let _ = child.wait().unwrap();
    }
    room.build(&[]);
    assert_eq!(room.unfinished(), 0);
}

#[test]
fn a_build_that_is_killed_while_it_fills_the_cache_leaves_nothing_there() {
    if missing(&["strace"]) {
        return;
    }
    let room = Room::new();
    for number in 1..5 {
        // Killed when a file is complete and would get its name.
        let answer = run(&mut room.traced("layout", &[&format!("inject=linkat,rename:signal=SIGKILL:when={number}")]));
        assert_eq!(answer.code, -1, "call {number}: {}", answer.text());
        assert_eq!(room.unfinished(), 0, "call {number}");
        assert!(number < 3 || !room.kept().is_empty(), "nothing was kept before call {number}");
        fs::remove_dir_all(room.cache()).unwrap();
    }
}

/// A file system that cannot name a file later, as some network file systems.
const NO_LINKS: &str = "inject=linkat:error=EOPNOTSUPP";

#[test]
fn where_files_need_a_name_the_next_build_removes_what_a_killed_one_left_in_the_cache() {
    if missing(&["strace"]) {
        return;
    }
    let room = Room::new();
    for number in 1..4 {
        let answer =
            run(&mut room.traced("layout", &[NO_LINKS, &format!("inject=rename:signal=SIGKILL:when={number}")]));
        assert_eq!(answer.code, -1, "call {number}: {}", answer.text());
        assert!(room.unfinished() > 0, "nothing is left that could be removed");
        room.build(&[]);
        assert_eq!(room.unfinished(), 0);
        fs::remove_dir_all(room.cache()).unwrap();
    }
}

#[test]
fn the_cache_keeps_to_its_size() {
    let room = Room::new();
    must(&mut room.command(&room.tree(), &["--cache-size", "4MB"]));
    let size: u64 = room.kept().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(size > 500_000 && size <= 4_000_000, "{size}");
    room.forget_output();
    room.build(&[]);
    let answer = run(&mut room.command(&room.tree(), &["--cache-size", "much"]));
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("--cache-size is not a size: much"), "{}", answer.err);
}

#[test]
fn no_cache_means_that_nothing_is_kept() {
    let room = Room::new();
    let home = room.0.path().join("home");
    let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]);
    build.arg(format!("oci:{}", room.layout().display())).arg(room.tree()).env("XDG_CACHE_HOME", &home);
    must(build.arg("--no-cache"));
    assert!(!home.exists());
    let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]);
    build.arg(format!("oci:{}", room.layout().display())).arg(room.tree()).env("XDG_CACHE_HOME", &home);
    must(&mut build);
    assert!(home.join("sazare/CACHEDIR.TAG").exists());
}

#[test]
fn a_cache_that_cannot_be_used_is_no_error() {
    let room = Room::new();
    let file = room.0.path().join("a-file");
    fs::write(&file, "").unwrap();
    let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]);
    build.arg(format!("oci:{}", room.layout().display())).arg(room.tree());
    must(build.arg("--cache-dir").arg(file.join("below")));
    for surroundings in [("XDG_CACHE_HOME", "relative"), ("XDG_CACHE_HOME", "/proc/self")] {
        let mut build = command(SAZARE, ["build", "-q", "--platform", "linux/amd64", "-o"]);
        build.arg(format!("oci:{}", room.layout().display())).arg(room.tree());
        must(build.env_remove("HOME").env(surroundings.0, surroundings.1));
    }
}

/// In containers every build has the process number 1.
#[test]
fn a_build_in_a_container_keeps_its_files_while_another_with_its_process_number_shares_the_cache() {
    if missing(&["unshare", "namespaces", "strace"]) {
        return;
    }
    let room = Room::new();
    let in_container = |layout: &str, faults: &[&str]| {
        let build = room.traced(layout, faults);
        let mut inside =
            command("unshare", ["--user", "--map-root-user", "--pid", "--mount-proc", "--fork", "--kill-child"]);
        inside.arg(build.get_program()).args(build.get_args()).stdout(Stdio::null());
        inside
    };
    // The first one waits while it has a file that has no name in the cache yet.
    let mut first = in_container("first", &[NO_LINKS, "inject=rename:delay_enter=3s:when=2"]).spawn().unwrap();
    while room.kept().len() < 3 {
        assert_eq!(first.try_wait().unwrap(), None, "it ended before it kept anything");
        std::thread::yield_now();
    }
    let unfinished = room.unfinished();
    assert!(unfinished > 0);
    must(&mut in_container("second", &[NO_LINKS]));
    assert_eq!(first.try_wait().unwrap(), None, "it did not wait");
    assert!(room.unfinished() >= unfinished, "the files of a build that runs are gone");
    assert!(first.wait().unwrap().success());
    assert_eq!(room.unfinished(), 0);
    assert!(room.kept().len() > 20, "{}", room.kept().len());
}
