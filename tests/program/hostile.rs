//! Archives that were made to take all memory, all time or the way out: `inspect`, `verify` and `build` of each end with a
//! documented exit code within 64 MiB, and none of them leads out of the tree. They are made here: many are larger than what
//! belongs into a repository.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use sazare::digest::Digest;
use serde_json::json;

use super::outside::{SAZARE, command, missing, run, used};

/// What a run may take: private writable memory, in KiB. The kernel holds it to that.
const MEMORY: u32 = 64 << 10;

/// The CPU time of one run, in milliseconds.
const CPU: u64 = 2000;

/// A guard against endless loops, in seconds of CPU: the tested binary is not optimized.
const SECONDS: u32 = 30;

/// A tar that is being made.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// Adds a header of any kind, with a right checksum.
    fn raw(mut self, kind: u8, name: &[u8], link: &[u8], size: &[u8], change: impl Fn(&mut [u8; 512])) -> Tar {
        let mut header = [0; 512];
        header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..124 + size.len()].copy_from_slice(size);
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = kind;
        header[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
        header[257..265].copy_from_slice(b"ustar\x0000");
        change(&mut header);
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self
    }

    fn entry(self, kind: u8, name: &str, link: &str, body: &[u8]) -> Tar {
        let size = format!("{:011o}\0", body.len());
        let mut tar = self.raw(kind, name.as_bytes(), link.as_bytes(), size.as_bytes(), |_| {});
        tar.0.extend_from_slice(body);
        tar.0.resize(tar.0.len().next_multiple_of(512), 0);
        tar
    }

    fn file(self, name: &str) -> Tar {
        self.entry(b'0', name, "", b"x")
    }

    fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Tar {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.entry(kind, "pax", "", &body)
    }

    fn times(self, count: usize, add: impl Fn(Tar, usize) -> Tar) -> Tar {
        (0..count).fold(self, add)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn tar() -> Tar {
    Tar::default()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Attributes with names of their own.
fn attributes(count: usize, name: usize, value: usize) -> Vec<(String, Vec<u8>)> {
    (0..count).map(|number| (format!("SCHILY.xattr.user.{number:0name$}"), vec![b'v'; value])).collect()
}

fn with_attributes(tar: Tar, kind: u8, attributes: &[(String, Vec<u8>)]) -> Tar {
    let records: Vec<(&str, &[u8])> = attributes.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    tar.pax(kind, &records)
}

/// An entry of a cpio archive.
fn newc(name: &[u8], mode: u32, size: Option<u32>, body: &[u8]) -> Vec<u8> {
    let size = size.unwrap_or(body.len() as u32);
    let mut out = format!("070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}", 1, 0, 0, 1, 0).into_bytes();
    out.extend_from_slice(format!("{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", 0, 0, 0, 0, name.len() + 1, 0).as_bytes());
    out.extend_from_slice(name);
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Root file systems in tars.
fn roots() -> Vec<(&'static str, Vec<u8>)> {
    let megabyte = vec![b'v'; 1_000_000];
    let long = "d/".repeat(2000);
    let deep = |tar: Tar, kind: u8, name: &[u8]| tar.entry(kind, "././@LongLink", "", name);
    let files = |tar: Tar, count| tar.times(count, |tar, number| tar.entry(b'0', &format!("f{number}"), "", b""));
    let sized = |size: &[u8]| tar().raw(b'0', b"f", b"", size, |_| {}).end();
    let changed = |change: fn(&mut [u8; 512])| tar().raw(b'0', b"f", b"", b"00000000000\0", change).end();
    vec![
        ("global attribute of 1 MB", files(tar().pax(b'g', &[("SCHILY.xattr.user.a0", &megabyte)]), 1000).end()),
        (
            "global attribute of 64 KiB",
            files(tar().pax(b'g', &[("SCHILY.xattr.user.a", &megabyte[..65536])]), 4000).end(),
        ),
        ("global attributes, many", files(with_attributes(tar(), b'g', &attributes(5000, 8, 1)), 4000).end()),
        ("global attributes, long names", files(with_attributes(tar(), b'g', &attributes(250, 200, 1)), 4000).end()),
        ("global path of 1 MB", files(tar().pax(b'g', &[("path", &megabyte)]), 2000).end()),
        ("global link of 1 MB", files(tar().pax(b'g', &[("linkpath", &megabyte)]), 2000).end()),
        ("global size", files(tar().pax(b'g', &[("size", b"99999999999")]), 3).end()),
        (
            "many global headers",
            files(tar().times(200, |tar, _| tar.pax(b'g', &[("comment", &[b'c'; 100_000])])), 2).end(),
        ),
        (
            "attributes without an entry",
            tar()
                .times(60, |tar, number| {
                    let name = format!("SCHILY.xattr.user.{number}");
                    tar.pax(b'x', &[(&name, &[b'v'; 900_000])])
                })
                .file("f")
                .end(),
        ),
        (
            "attributes of 60 KB each",
            tar()
                .times(500, |tar, number| {
                    tar.pax(b'x', &[("SCHILY.xattr.user.a", &[b'v'; 60_000])]).file(&format!("f{number}"))
                })
                .end(),
        ),
        ("an attribute of 1 MB", tar().pax(b'x', &[("SCHILY.xattr.user.a", &megabyte)]).file("f").end()),
        ("an attribute with a long name", with_attributes(tar(), b'x', &attributes(1, 300, 1)).file("f").end()),
        ("attributes with 70 KB of names", with_attributes(tar(), b'x', &attributes(300, 240, 1)).file("f").end()),
        ("an attribute without a name", tar().pax(b'x', &[("SCHILY.xattr.", b"v")]).file("f").end()),
        ("a link of 1 MB", tar().pax(b'x', &[("linkpath", &megabyte)]).entry(b'2', "l", "", b"").end()),
        (
            "links of 4 KB",
            tar()
                .times(8000, |tar, number| {
                    tar.pax(b'x', &[("linkpath", &[b'l'; 4000])]).entry(b'2', &format!("l{number}"), "", b"")
                })
                .end(),
        ),
        ("a link without a target", tar().entry(b'2', "l", "", b"").end()),
        ("a path of 1 MB", tar().pax(b'x', &[("path", &megabyte)]).file("f").end()),
        ("a GNU name of 1 MB", deep(tar(), b'L', &megabyte).file("f").end()),
        ("a GNU link of 1 MB", deep(tar(), b'K', &megabyte).entry(b'2', "l", "", b"").end()),
        ("long names only", tar().times(50, |tar, _| deep(tar, b'L', long.as_bytes())).end()),
        (
            "deep paths",
            tar()
                .times(300, |tar, number| deep(tar, b'L', format!("{number}/{}f", &long[..3900]).as_bytes()).file("f"))
                .end(),
        ),
        ("a header of 2 MB", tar().entry(b'x', "pax", "", &vec![b'1'; 2 << 20]).end()),
        ("a record that is too long", tar().entry(b'x', "pax", "", b"99999999999999999999 a=b\n").end()),
        ("a record that ends nowhere", tar().entry(b'x', "pax", "", b"10 a=b\n").end()),
        ("records that are not numbers", tar().pax(b'x', &[("size", b"-1")]).file("f").end()),
        ("a size of 8 EiB", sized(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255])),
        ("a negative size", sized(&[255; 12])),
        ("a size that is text", sized(b"zzzzzzzzzzz\0")),
        ("a size of 8 GiB", sized(b"77777777777\0")),
        ("owners of 2^31", changed(|header| header[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0]))),
        ("owners below zero", changed(|header| header[108..116].copy_from_slice(&[255; 8]))),
        (
            "a time far away",
            changed(|header| {
                header[136..148].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255])
            }),
        ),
        ("a mode of all bits", changed(|header| header[100..108].copy_from_slice(b"7777777\0"))),
        ("an unknown type", changed(|header| header[156] = b'Z')),
        ("a sparse file", changed(|header| header[156] = b'S')),
        ("a sparse file of PAX", tar().pax(b'x', &[("GNU.sparse.major", b"1")]).file("f").end()),
        ("above the root", tar().file("../../../../../../escape").end()),
        ("absolute", tar().file("/escape").end()),
        ("through a link out", tar().entry(b'2', "out", "/", b"").file("out/escape").end()),
        (
            "through links in circles",
            tar().entry(b'2', "a", "b", b"").entry(b'2', "b", "a", b"").file("a/escape").end(),
        ),
        (
            "through a chain of links",
            tar()
                .times(2000, |tar, number| tar.entry(b'2', &format!("l{number}"), &format!("l{}", number + 1), b""))
                .file("l0/escape")
                .end(),
        ),
        ("a hard link to itself", tar().entry(b'1', "a", "a", b"").end()),
        ("a hard link to a directory", tar().entry(b'5', "d/", "", b"").entry(b'1', "a", "d", b"").end()),
        ("a hard link out", tar().entry(b'1', "a", "../../../../etc/passwd", b"").end()),
        (
            "many hard links",
            tar().file("f").times(20_000, |tar, number| tar.entry(b'1', &format!("h{number}"), "f", b"")).end(),
        ),
        ("a file that becomes a directory", tar().file("a").file("a/b").entry(b'5', "a/", "", b"").file("a").end()),
        ("the root as a file", tar().file(".").file("./").file("/").end()),
        ("names of nothing", tar().file("").file("//").file("a//b").file("a/./b").end()),
        ("names with escapes", tar().file("\u{1b}[2J\u{1b}]0;x\u{7}").file("::error::x\n::stop-commands::").end()),
        (
            "a device with large numbers",
            tar()
                .raw(b'3', b"dev", b"", b"00000000000\0", |header| {
                    header[329..337].copy_from_slice(&[0x80, 255, 255, 255, 255, 255, 255, 255]);
                })
                .end(),
        ),
        ("whiteouts of everything", tar().file(".wh.etc").file(".wh..wh..opq").file("a/.wh...").end()),
        ("a truncated body", tar().entry(b'0', "f", "", &[7; 4000]).0[..2000].to_vec()),
        ("a truncated header", tar().file("f").0[..700].to_vec()),
        ("a wrong checksum", {
            let mut bytes = tar().file("f").end();
            bytes[0] ^= 1;
            bytes
        }),
        ("zeros", vec![0; 20 << 20]),
    ]
}

/// Archives for a kernel.
fn initramfs() -> Vec<(&'static str, Vec<u8>)> {
    let trailer = newc(b"TRAILER!!!", 0, None, b"");
    let with = |entries: Vec<u8>| [entries, trailer.clone()].concat();
    let many = |count: usize, one: &dyn Fn(usize) -> Vec<u8>| with((0..count).flat_map(one).collect());
    vec![
        ("a file of 4 GiB", with(newc(b"f", 0o100644, Some(u32::MAX), b""))),
        ("a link of 4 KiB", with(newc(b"l", 0o120777, None, &[b'l'; 4096]))),
        ("links of 4 KB", many(8000, &|number| newc(format!("l{number}").as_bytes(), 0o120777, None, &[b'l'; 4000]))),
        ("sockets", many(20_000, &|number| newc(format!("s{number}").as_bytes(), 0o140777, None, b""))),
        (
            "long names",
            many(2000, &|number| newc(format!("{number}{}", "n".repeat(240)).as_bytes(), 0o100644, None, b"")),
        ),
        ("above the root", with(newc(b"../../../escape", 0o100644, None, b"x"))),
        ("an unknown kind", with(newc(b"f", 0o170000, None, b""))),
        ("only trailers", trailer.repeat(20_000)),
    ]
}

/// A layout with an image whose only layer is this, and true of its digests.
fn layout(folder: &Path, tar: &[u8]) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes).to_string();
        fs::write(folder.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let layer = blob("layer.v1.tar+gzip", &gzip(tar));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/f"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(tar).to_string()]},
    });
    let config = blob("config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let manifest = blob("manifest.v1+json", manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
}

/// Runs one verb; says what is wrong with how it ended.
fn tried(folder: &Path, what: &str, arguments: &str) -> Option<String> {
    let line = format!("ulimit -d {MEMORY}; ulimit -t {SECONDS}; TMPDIR=$PWD exec \"$0\" {arguments} >said 2>&1");
    let used = used(folder, &["bash", "-c", &line, SAZARE]);
    let said = String::from_utf8_lossy(&fs::read(folder.join("said")).unwrap()).into_owned();
    let escaped = fs::metadata("/escape").is_ok() || fs::metadata(folder.join("escape")).is_ok();
    let raw = said.contains("\u{1b}[2J");
    let within = used.memory <= u64::from(MEMORY) << 10 && used.cpu <= CPU;
    let fine = (0..=4).contains(&used.code) && !escaped && !raw && within;
    (!fine).then(|| format!("{what}: {arguments}: {used:?} {escaped} {raw}: {said}"))
}

#[test]
fn hostile_archives_end_within_64_mib_and_two_seconds() {
    if missing(&["/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = || roots().into_iter().map(|root| ("tar", root)).chain(initramfs().into_iter().map(|one| ("cpio", one)));
    assert!(all().count() >= 60, "{}", all().count());
    let recipe = |from: &str| format!("platforms = ['linux/amd64']\n[[source]]\nfrom = '{from}'\n");
    fs::write(at("tar.toml"), recipe("x.tar.gz")).unwrap();
    fs::write(at("base.toml"), recipe("oci:l")).unwrap();
    let mut faults = Vec::new();
    for (form, (what, bytes)) in all() {
        fs::write(at("x.tar.gz"), gzip(&bytes)).unwrap();
        let mut check = |arguments: &str| faults.extend(tried(folder.path(), what, arguments));
        for verb in ["inspect", "verify --platform linux/amd64"] {
            check(&format!("{verb} {form}:x.tar.gz"));
        }
        if form == "tar" {
            layout(&at("l"), &bytes);
            for line in ["build tar.toml -o y.tar", "build base.toml -o y.tar", "build base.toml -o rootfs:r"] {
                let _ = fs::remove_dir_all(at("r"));
                check(&format!("{line} --no-cache -q -j1"));
            }
            for line in ["inspect docker-archive:x.tar.gz", "inspect oci:l", "verify oci:l"] {
                check(line);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_linux_cannot_store_is_refused_with_the_name_of_the_entry() {
    let folder = tempfile::tempdir().unwrap();
    for (what, expected) in [
        ("a link of 1 MB", "a link with a target of 1000000 bytes, more than Linux stores: l"),
        ("an attribute of 1 MB", "the extended attribute user.a has 1000000 bytes, more than Linux stores: f"),
        ("an attribute with a long name", "an extended attribute with a name of 305 bytes, more than Linux stores: f"),
        ("attributes with 70 KB of names", "bytes in all, more than Linux stores: f"),
        ("attributes of 60 KB each", "more than 16 MiB and 1 KiB for each entry"),
        ("an attribute without a name", "an extended attribute without a name, which Linux does not store: f"),
        ("a link without a target", "a link without a target, which Linux does not store: l"),
        ("links of 4 KB", "more than 16 MiB and 1 KiB for each entry"),
    ] {
        let bytes = roots().into_iter().find(|root| root.0 == what).unwrap().1;
        fs::write(folder.path().join("x.tar"), bytes).unwrap();
        let answer = run(command(SAZARE, ["inspect", "tar:x.tar"]).current_dir(folder.path()));
        assert!(answer.code == 4 && answer.err.contains(expected), "{what}: {answer:?}");
    }
    let link = initramfs().into_iter().find(|one| one.0 == "a link of 4 KiB").unwrap().1;
    fs::write(folder.path().join("x.cpio"), link).unwrap();
    let answer = run(command(SAZARE, ["inspect", "cpio:x.cpio"]).current_dir(folder.path()));
    assert!(answer.code == 4 && answer.err.contains("more than Linux stores: l"), "{answer:?}");
}
