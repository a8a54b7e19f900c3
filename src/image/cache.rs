//! The build cache on the disk: results of earlier builds for later ones.
//!
//! Each entry is a file. Its name is a digest of what it is for, and it begins with the digest of that name and its contents. So a file
//! that is truncated, damaged or has the wrong name is detected and removed. A file gets its name when it is complete, so any number
//! of builds can share a cache, and it can be deleted at any time.
//!
//! A file that is being written has no name (`O_TMPFILE`), so a killed build leaves nothing. If the file system does not support this,
//! the file is in a private folder, which the next build removes. If the file system has no locks either, it is unknown whether that
//! folder's build still runs; then nothing is added to the cache.
//!
//! No function here returns an error: an entry that cannot be read does not exist, and one that cannot be written is dropped.
//!
//! # How it stays small
//!
//! After a build has added files, it checks the size of the cache. If that is over the limit, the least recently used files are
//! deleted, until three quarters of the limit are left. The mtime of a file is the time of its last use, to the hour. The files are in
//! sixteen folders, by the first digit of their names, so that no folder gets too large.

use crate::host;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::codec::compress::Coded;
use crate::digest::{Digest, Hasher};
use crate::input;
use crate::private::{self, PrivateFolder};
use crate::replace;

/// The folder within the cache. Another form of what is kept gets another name.
const FORM: &str = "1";

/// The name of the file that says so to backup programs.
const TAG_NAME: &str = "CACHEDIR.TAG";

/// What backup programs look for (bford.info/cachedir).
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# Made by sazare. It may be deleted at any time.\n";

/// How long the sum at the start of a file is, in bytes.
const SUM: usize = 32;

/// A cache on the disk.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
    now: SystemTime,
    /// Whether this build put something in.
    added: AtomicBool,
    /// Nothing can be written: the disk is full, or it is not ours.
    closed: AtomicBool,
    /// Files can be written before they have a name.
    nameless: AtomicBool,
    /// Where they are written otherwise; `None` when that cannot be either.
    private: OnceLock<Option<PrivateFolder>>,
}

impl Cache {
    /// The cache in `folder`, which is made when there is something to keep, with at most `limit` bytes (more or less). `now` is the time
    /// of the build's start. What killed builds left there is removed.
    pub fn new(folder: &Path, limit: u64, now: SystemTime) -> Cache {
        private::remove_dead(&folder.join(FORM));
        Cache {
            folder: folder.to_path_buf(),
            limit,
            now,
            added: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            nameless: AtomicBool::new(true),
            private: OnceLock::new(),
        }
    }

    /// The same cache for another who puts into it.
    pub fn again(&self) -> Cache {
        Cache::new(&self.folder, self.limit, self.now)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn place(&self, name: &Digest) -> (PathBuf, String) {
        let hex = name.hex();
        (self.folder.join(FORM).join(&hex[..1]), hex)
    }

    /// What was kept under a name, read into a buffer that may hold anything before.
    pub fn get(&self, name: &Digest, mut buffer: Vec<u8>) -> Result<Coded, Vec<u8>> {
        let (folder, hex) = self.place(name);
        let path = folder.join(hex);
        match self.read(&path, name, &mut buffer) {
            Some(length) => Ok(Coded { buffer, length }),
            None => Err(buffer),
        }
    }

    fn read(&self, path: &Path, name: &Digest, buffer: &mut Vec<u8>) -> Option<usize> {
        let mut file = input::open_itself(path).ok()?;
        let meta = file.metadata().ok()?;
        let length = usize::try_from(meta.len()).ok()?.checked_sub(SUM)?;
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let mut sum = [0; SUM];
        let read = file.read_exact(&mut sum).and_then(|()| file.read_exact(&mut buffer[..length]));
        if read.is_err() || sum != *sum_of(name, &buffer[..length]).as_bytes() {
            let _ = fs::remove_file(path);
            return None;
        }
        let used = meta.modified().ok()?;
        if self.now.duration_since(used).is_ok_and(|age| age > Duration::from_secs(3600)) {
            let _ = file.set_times(FileTimes::new().set_modified(self.now));
        }
        Some(length)
    }

    /// Keeps bytes under a name.
    pub fn put(&self, name: &Digest, bytes: &[u8]) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let (folder, hex) = self.place(name);
        if self.make(&folder).and_then(|()| self.write(&folder, &hex, [sum_of(name, bytes).as_bytes(), bytes])).is_err()
        {
            self.closed.store(true, Ordering::Relaxed);
            return;
        }
        self.added.store(true, Ordering::Relaxed);
    }

    /// Makes the folder that files lie in.
    fn make(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if !self.folder.join(TAG_NAME).exists() {
            self.write(&self.folder, TAG_NAME, [TAG, b""])?;
        }
        Ok(())
    }

    /// Writes a file that has its name only when it is complete.
    fn write(&self, folder: &Path, name: &str, parts: [&[u8]; 2]) -> io::Result<()> {
        let fill = |file: &mut File| parts.into_iter().try_for_each(|part| file.write_all(part));
        if self.nameless.load(Ordering::Relaxed) {
            if let Ok(mut file) = replace::nameless(folder) {
                fill(&mut file)?;
                if replace::name(&file, &folder.join(name)).is_ok() {
                    return Ok(());
                }
            }
            self.nameless.store(false, Ordering::Relaxed);
        }
        let private = self.private.get_or_init(|| {
            let made = PrivateFolder::make_in(&self.folder.join(FORM)).ok();
            // Nobody would ever remove it if this build were killed.
            made.filter(PrivateFolder::is_locked)
        });
        let temporary = private.as_ref().ok_or(io::ErrorKind::Unsupported)?.new_path();
        let written = File::create_new(&temporary).and_then(|mut file| fill(&mut file));
        let written = written.and_then(|()| fs::rename(&temporary, folder.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Lets what was not used for the longest time go, where there is too much.
    pub fn trim(&self) {
        if !self.added.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut files: Vec<(i64, PathBuf, u64)> = Vec::new();
        for digit in 0..16 {
            let folder = self.folder.join(FORM).join(format!("{digit:x}"));
            let names = host::names(&folder).unwrap_or_default();
            files.extend(names.into_iter().filter_map(|name| {
                let path = folder.join(name);
                let meta = fs::symlink_metadata(&path).ok()?;
                Some((meta.mtime(), path, meta.len()))
            }));
        }
        let mut size: u64 = files.iter().map(|file| file.2).sum();
        if size <= self.limit {
            return;
        }
        files.sort();
        for (_, path, length) in files {
            if size <= self.limit / 4 * 3 {
                return;
            }
            if fs::remove_file(path).is_ok() {
                size -= length;
            }
        }
    }
}

/// What checks that bytes are those that were kept under a name.
fn sum_of(name: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(name.as_bytes());
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, limit: u64) -> Cache {
        Cache::new(folder, limit, SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000))
    }

    fn got(cache: &Cache, name: &Digest) -> Option<Vec<u8>> {
        cache.get(name, vec![9; 3]).ok().map(|coded| coded.bytes().to_vec())
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for digit in 0..16 {
            #[expect(clippy::disallowed_methods, reason = "a test that sorts what it gets")]
            if let Ok(entries) = fs::read_dir(folder.join(FORM).join(format!("{digit:x}"))) {
                files.extend(entries.map(|entry| entry.unwrap().path()));
            }
        }
        files.sort();
        files
    }

    #[test]
    fn what_is_kept_is_found_by_another_run_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (name, other) = (Digest::of(b"name"), Digest::of(b"other"));
        cache(folder.path(), 1 << 20).put(&name, b"bytes");
        assert_eq!(got(&cache(folder.path(), 1 << 20), &name).unwrap(), b"bytes");
        assert_eq!(got(&cache(folder.path(), 1 << 20), &other), None);
        assert!(folder.path().join("CACHEDIR.TAG").exists());
    }

    #[test]
    fn where_files_must_have_a_name_the_next_run_removes_those_of_dead_runs_only() {
        let folder = tempfile::tempdir().unwrap();
        let named = || {
            let cache = cache(folder.path(), 1 << 20);
            cache.nameless.store(false, Ordering::Relaxed);
            cache
        };
        let private = || {
            let names = host::names(&folder.path().join(FORM)).unwrap();
            names.iter().filter(|name| name.to_string_lossy().starts_with(private::PREFIX)).count()
        };
        let (living, dead) = (named(), named());
        for (number, cache) in [&living, &dead].into_iter().enumerate() {
            cache.put(&Digest::of(&[number as u8]), b"bytes");
            assert_eq!(got(cache, &Digest::of(&[number as u8])).unwrap(), b"bytes");
        }
        assert_eq!(private(), 2);
        // What a killed run leaves: the folder without its lock, and half a file in it.
        let path = dead.private.get().unwrap().as_ref().unwrap().path().to_path_buf();
        drop(dead);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("lock"), "").unwrap();
        fs::write(path.join("7"), "half").unwrap();
        assert_eq!(private(), 2);
        drop(cache(folder.path(), 1 << 20));
        assert_eq!(private(), 1);
        living.put(&Digest::of(b"more"), b"more");
        assert_eq!(got(&living, &Digest::of(b"more")).unwrap(), b"more");
        drop(living);
        assert_eq!(private(), 0);
    }

    #[test]
    fn a_damaged_file_is_not_believed_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1 << 20);
        let (name, other) = (Digest::of(b"name"), Digest::of(b"other"));
        type Damage = fn(Vec<u8>) -> Vec<u8>;
        let damages: [Damage; 5] = [
            |mut bytes| {
                bytes[40] ^= 1;
                bytes
            },
            |mut bytes| {
                bytes[0] ^= 1;
                bytes
            },
            |bytes| bytes[..bytes.len() - 1].to_vec(),
            |bytes| bytes[..10].to_vec(),
            |_| Vec::new(),
        ];
        for damage in damages {
            cache.put(&name, b"some bytes that are kept");
            let [path] = <[PathBuf; 1]>::try_from(files(folder.path())).unwrap();
            let damaged = damage(fs::read(&path).unwrap());
            fs::write(&path, damaged).unwrap();
            assert_eq!(got(&cache, &name), None);
        }
        cache.put(&name, b"bytes");
        let path = files(folder.path()).pop().unwrap();
        let (folder, hex) = cache.place(&other);
        fs::create_dir_all(&folder).unwrap();
        fs::rename(path, folder.join(hex)).unwrap();
        assert_eq!(got(&cache, &other), None, "another's name");
    }

    #[test]
    fn the_longest_unused_goes_first_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let limit = 200_000;
        let names: Vec<Digest> = (0..400u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        for (age, name) in names.iter().rev().enumerate() {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000 - 4000 * age as u64);
            cache(folder.path(), u64::MAX).put(name, &[1; 1000]);
            let (folder, hex) = cache(folder.path(), limit).place(name);
            File::open(folder.join(hex)).unwrap().set_times(FileTimes::new().set_modified(now)).unwrap();
        }
        // The oldest one is used again.
        assert!(got(&cache(folder.path(), limit), &names[0]).is_some());
        let cache = cache(folder.path(), limit);
        cache.trim();
        assert_eq!(files(folder.path()).len(), 400, "nothing was added");
        cache.put(&Digest::of(b"one more"), b"");
        cache.trim();
        let size: u64 = files(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(size <= limit && size > limit / 2, "{size}");
        assert!(got(&cache, &names[0]).is_some());
        assert!(got(&cache, &names[1]).is_none());
        assert!(got(&cache, &names[399]).is_some());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = cache(&file.join("cache"), 1 << 20);
        cache.put(&Digest::of(b"name"), b"bytes");
        assert_eq!(got(&cache, &Digest::of(b"name")), None);
        cache.trim();
    }
}
