//! Places, as other programs see them: an output is complete or does not exist, and existing content stays.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use sazare::codec::Scratch;
use sazare::digest::Digest;
use sazare::failure::{Failure as _, FailureKind};
use sazare::image::{Blob, BlobStore, Blobs, Finished, Image, PlatformImage, StoreError};
use sazare::oci::{self, Annotations, Configuration, MediaType};
use sazare::platform::{Arch, Platform};
use sazare::progress::Silent;
use sazare::transport::{self, Access, Opened, Place, TransportError, WriteOptions, Written, WrittenImage};

/// A layer with one file, and its digest before compression.
fn layer(text: &str) -> (Vec<u8>, Digest) {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "file", text.as_bytes()).unwrap();
    let plain = builder.into_inner().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).unwrap();
    (encoder.finish().unwrap(), Digest::of(&plain))
}

/// An image of `text` for both platforms.
fn image(store: &BlobStore, name: Option<&str>, tags: &[&str], text: &str) -> Result<Finished, StoreError> {
    let mut platforms = Vec::new();
    for arch in [Arch::Amd64, Arch::Arm64] {
        let platform = Platform::new(arch);
        let (bytes, diff_id) = layer(&format!("{text} {platform}"));
        let layer = store.put(&bytes)?.descriptor(MediaType::ImageLayerGzip);
        let history = oci::HistoryEntry {
            created: sazare::epoch::Epoch::DEFAULT,
            created_by: "a test".into(),
            comment: String::new(),
        };
        let configuration = Configuration::new(&platform).with_layer(&diff_id, &history);
        let config = store.put(&configuration.to_bytes())?.descriptor(MediaType::ImageConfig);
        let manifest = oci::manifest(config, vec![layer], &Annotations::new());
        let mut descriptor = store.put(&oci::canonical(&manifest))?.descriptor(MediaType::ImageManifest);
        descriptor.set_platform(Some(oci::platform_of(&platform)));
        let platform = platform.to_string();
        platforms.push(PlatformImage {
            platform: sazare::platform::ImagePlatform::new(&platform),
            manifest_descriptor: descriptor,
            manifest,
            configuration,
        });
    }
    let children = platforms.iter().map(|image| image.manifest_descriptor.clone()).collect();
    let index = oci::canonical(&oci::index(children, &Annotations::new()));
    let root = store.put(&index)?.descriptor(MediaType::ImageIndex);
    Ok(Finished {
        image: Image { root, index_annotations: Annotations::new(), platforms, others: Vec::new() },
        name: name.map(|name| name.parse().unwrap()),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
    })
}

fn write(place: &str, tags: &[&str], text: &str) -> Result<WrittenImage, TransportError> {
    write_with(place, tags, text, &WriteOptions::default())
}

fn write_with(place: &str, tags: &[&str], text: &str, options: &WriteOptions) -> Result<WrittenImage, TransportError> {
    let place = Place::for_writing(place).unwrap();
    transport::check(&place)?;
    let store = BlobStore::begin(&place.temporary_folder().unwrap())?;
    let image = image(&store, Some("you/app"), tags, text)?;
    publish(&image, &store, &place, options, &mut std::io::sink())
}

fn publish(
    image: &Finished,
    store: &BlobStore,
    place: &Place,
    options: &WriteOptions,
    stdout: &mut dyn std::io::Write,
) -> Result<WrittenImage, TransportError> {
    match transport::prepare_image(image, store, place, options, &Silent)?.publish(stdout, &Silent)? {
        Written::Image(written) => Ok(written),
        other => panic!("{other:?}"),
    }
}

fn index(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

fn tags(folder: &Path) -> Vec<String> {
    let index = index(folder);
    let name = |entry: &serde_json::Value| entry["annotations"][oci::REF_NAME].as_str().unwrap_or("-").to_string();
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

#[expect(clippy::disallowed_methods, reason = "the test sorts")]
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[expect(clippy::disallowed_methods, reason = "tests read the environment")]
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Whether a tool is installed. In CI it must be.
#[expect(clippy::disallowed_macros, reason = "a test that does not run says so")]
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    assert!(found || !in_ci(), "{tool} is missing");
    if !found {
        println!("skipped: no {tool}");
    }
    found
}

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_tag_is_one_nested_index_with_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("out");
    let written = write(&format!("oci:{}", layout.display()), &["v1", "latest"], "one").unwrap();
    assert_eq!(names(folder.path()), ["out"]);
    assert_eq!(names(&layout), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(fs::read(layout.join("oci-layout")).unwrap(), oci::EMPTY_LAYOUT);
    assert_eq!(names(&layout.join("blobs/sha256")).len(), 2 * 3 + 1);
    let index = index(&layout);
    assert_eq!(tags(&layout), ["v1", "latest"]);
    assert_eq!(index["manifests"][0]["annotations"][oci::CONTAINERD_NAME], "docker.io/you/app:v1");
    assert_eq!(index["manifests"][0]["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(written.references, ["docker.io/you/app:v1", "docker.io/you/app:latest"]);
    assert_eq!(index["manifests"][0]["digest"], written.names[0].1.to_string());
}

#[test]
fn a_new_tag_keeps_what_is_there_and_an_old_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", folder.path().display());
    write(&place, &["v1"], "one").unwrap();
    let mut before = index(folder.path());
    before["org.example.unknown"] = serde_json::json!({"kept": true});
    before["manifests"][0]["x-unknown"] = serde_json::json!(1);
    before["manifests"].as_array_mut().unwrap().push(serde_json::json!({"somebody": "else's"}));
    fs::write(folder.path().join("index.json"), before.to_string()).unwrap();
    write(&place, &["v2"], "two").unwrap();
    assert_eq!(tags(folder.path()), ["v1", "-", "v2"]);
    let after = index(folder.path());
    assert_eq!(after["org.example.unknown"], before["org.example.unknown"]);
    assert_eq!(after["manifests"][0], before["manifests"][0]);
    assert_eq!(after["manifests"][1], before["manifests"][1]);
    write(&place, &["v1"], "three").unwrap();
    assert_eq!(tags(folder.path()), ["v1", "-", "v2"]);
    assert_ne!(index(folder.path())["manifests"][0], before["manifests"][0]);
    assert_eq!(index(folder.path())["manifests"][2], after["manifests"][2]);
}

#[test]
fn the_same_image_gives_the_same_bytes_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["a", "b"] {
        write(&format!("oci-archive:{}", path(&format!("{name}.tar")).display()), &["v1"], "one").unwrap();
        write(&format!("oci:{}", path(name).display()), &["v1"], "one").unwrap();
    }
    assert_eq!(fs::read(path("a.tar")).unwrap(), fs::read(path("b.tar")).unwrap());
    assert_eq!(fs::read(path("a/index.json")).unwrap(), fs::read(path("b/index.json")).unwrap());
    assert_eq!(names(&path("a/blobs/sha256")), names(&path("b/blobs/sha256")));
    assert_eq!(names(folder.path()), ["a", "a.tar", "b", "b.tar"]);
    let mut streamed = Vec::new();
    let store = BlobStore::begin(folder.path()).unwrap();
    let image = image(&store, Some("you/app"), &["v1"], "one").unwrap();
    publish(&image, &store, &Place::Stdio, &WriteOptions::default(), &mut streamed).unwrap();
    assert!(streamed == fs::read(path("a.tar")).unwrap(), "standard output carries the same archive");
}

#[test]
fn a_damaged_blob_in_a_layout_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", folder.path().display());
    let written = write(&place, &["v1"], "one").unwrap();
    let blob = folder.path().join("blobs/sha256").join(written.names[0].1.hex());
    let good = fs::read(&blob).unwrap();
    let mut bad = good.clone();
    bad[10] ^= 1;
    fs::write(&blob, &bad).unwrap();
    write(&place, &["v1"], "one").unwrap();
    assert_eq!(fs::read(&blob).unwrap(), good);
}

#[test]
fn a_flat_index_names_each_platform_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", folder.path().display());
    write(&place, &["v1", "v2"], "one").unwrap();
    let mut options = WriteOptions::default();
    options.flat_index = true;
    write_with(&place, &["v1"], "one", &options).unwrap();
    assert_eq!(tags(folder.path()), ["v1-amd64", "v1-arm64", "v2"]);
    assert_eq!(index(folder.path())["manifests"][1]["platform"]["architecture"], "arm64");
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), b"x").unwrap();
    let error = write(&format!("oci:{}", folder.path().display()), &["v1"], "one").unwrap_err();
    let expected = format!("the directory is not empty and not an image layout: {}", folder.path().display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(names(folder.path()), ["precious"]);
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("oci-layout"), br#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let error = write(&format!("oci:{}", other.path().display()), &["v1"], "one").unwrap_err();
    assert!(error.to_string().ends_with("oci-layout: the layout version is not 1.0.0: 2.0.0"), "{error}");
    let error = write("oci-archive:/", &["v1"], "one").unwrap_err();
    assert_eq!(error.to_string(), "cannot write /: is a directory");
}

#[test]
fn an_archive_replaces_what_a_link_leads_to_and_streams_to_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("real")).unwrap();
    fs::write(path("real/x.tar"), b"old").unwrap();
    std::os::unix::fs::symlink("real/x.tar", path("x.tar")).unwrap();
    write(path("x.tar").to_str().unwrap(), &["v1"], "one").unwrap();
    assert!(path("x.tar").is_symlink());
    let bytes = fs::read(path("real/x.tar")).unwrap();
    assert!(bytes.len() > 3);
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let reader = {
        let pipe = path("pipe");
        std::thread::spawn(move || fs::read(pipe).unwrap())
    };
    let store = BlobStore::begin(&path("real")).unwrap();
    let image = image(&store, Some("you/app"), &["v1"], "one").unwrap();
    let place = Place::for_writing(&format!("docker-archive:{}", path("pipe").display())).unwrap();
    publish(&image, &store, &place, &WriteOptions::default(), &mut std::io::sink()).unwrap();
    assert!(reader.join().unwrap() == bytes);
}

#[test]
fn skopeo_finds_the_image_in_every_form() {
    if !has("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let written = write(&format!("oci:{}", path("layout")), &["v1"], "one").unwrap();
    write(&format!("oci-archive:{}", path("x.tar")), &["v1"], "one").unwrap();
    let digest = written.names[0].1.hex();
    for place in [format!("oci:{}:v1", path("layout")), format!("oci-archive:{}:v1", path("x.tar"))] {
        let raw = skopeo(&["inspect", "--raw", &place]);
        assert_eq!(Digest::of(raw.as_bytes()).hex(), digest, "{place}");
        for arch in ["amd64", "arm64"] {
            let config = skopeo(&["inspect", "--config", "--override-arch", arch, &place]);
            assert!(config.contains(&format!(r#""architecture": "{arch}""#)), "{place}: {config}");
        }
    }
    let config = skopeo(&["inspect", "--config", &format!("docker-archive:{}:docker.io/you/app:v1", path("x.tar"))]);
    assert!(config.contains(r#""architecture": "amd64""#), "{config}");
    skopeo(&["copy", "--all", &format!("oci:{}:v1", path("layout")), &format!("oci:{}:v1", path("copy"))]);
    assert_eq!(names(Path::new(&path("copy/blobs/sha256"))), names(Path::new(&path("layout/blobs/sha256"))));
}

/// An image, its blobs, and the notes about them.
type Read = (Image, Box<dyn Blobs>, Vec<String>);

fn open(place: &str) -> Result<Read, TransportError> {
    let folder = tempfile::tempdir().unwrap();
    match transport::open(&Place::for_reading(place)?, &Access::new(&Scratch::new(folder.path())), &Silent)? {
        Opened::Image { image, blobs, notes } => Ok((image, blobs, notes)),
        Opened::Tree { .. } | Opened::Initramfs { .. } => panic!("no image: {place}"),
    }
}

/// Reads every blob of an image to its end, which checks its digest.
fn drain(image: &Image, blobs: &dyn Blobs) -> Result<u64, String> {
    let mut size = 0;
    for descriptor in image.blobs() {
        let blob = Blob::of(descriptor).map_err(|error| error.to_string())?;
        let mut reader = blobs.open(&blob).map_err(|error| error.to_string())?;
        size += std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| error.to_string())?;
    }
    Ok(size)
}

#[test]
fn what_was_written_is_read_back_from_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let written = write(&format!("oci:{}", path("layout")), &["v1", "latest"], "one").unwrap();
    write(&format!("oci-archive:{}", path("x.tar")), &["v1"], "one").unwrap();
    let mut flat = WriteOptions::default();
    flat.flat_index = true;
    write_with(&format!("oci:{}", path("flat")), &["v1"], "one", &flat).unwrap();
    let gzip = Command::new("gzip").arg("-k").arg(path("x.tar")).status().unwrap();
    assert!(gzip.success());
    for place in [
        path("layout"),
        format!("oci:{}:latest", path("layout")),
        format!("oci:{}:docker.io/you/app:v1", path("layout")),
        path("x.tar"),
        format!("docker-archive:{}:you/app:v1", path("x.tar")),
        path("x.tar.gz"),
        path("flat"),
        format!("oci:{}:v1", path("flat")),
    ] {
        let (image, blobs, notes) = open(&place).unwrap();
        assert_eq!(image.root.digest().to_string(), written.names[0].1.to_string(), "{place}");
        let platforms: Vec<String> = image.platforms.iter().map(|image| image.platform.to_string()).collect();
        assert_eq!((platforms.join(" "), notes), ("linux/amd64 linux/arm64".to_string(), vec![]), "{place}");
        drain(&image, &*blobs).unwrap();
    }
    let (image, ..) = open(&format!("oci:{}:v1-arm64", path("flat"))).unwrap();
    assert_eq!(image.platforms.len(), 1);
    let error = open(&format!("oci:{}:v9", path("layout"))).err().unwrap();
    assert_eq!(error.to_string(), format!(r#"{} has no image "v9"; it has v1, latest"#, path("layout")));
    assert_eq!(names(folder.path()), ["flat", "layout", "x.tar", "x.tar.gz"]);
}

#[test]
fn archives_of_other_hands_are_read() {
    if !has("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write(&format!("oci:{}", path("layout")), &["v1"], "one").unwrap();
    let from = format!("oci:{}:v1", path("layout"));
    skopeo(&["copy", &from, &format!("docker-archive:{}:you/app:v1", path("docker.tar"))]);
    skopeo(&["copy", "--all", &from, &format!("oci-archive:{}:v1", path("oci.tar"))]);
    let (image, blobs, _) = open(&path("oci.tar")).unwrap();
    assert_eq!(image.platforms.len(), 2);
    drain(&image, &*blobs).unwrap();
    for place in [path("docker.tar"), format!("docker-archive:{}:v1", path("docker.tar"))] {
        let (image, blobs, notes) = open(&place).unwrap();
        assert_eq!((image.platforms.len(), notes), (1, vec![]));
        assert_eq!(image.platforms[0].manifest.layers()[0].media_type(), &MediaType::ImageLayer);
        drain(&image, &*blobs).unwrap();
        let store = BlobStore::begin(folder.path()).unwrap();
        image.blobs().into_iter().for_each(|blob| assert!(store.adopt(&*blobs, blob, &Silent).is_ok()));
    }
    let error = open(&format!("docker-archive:{}:v2", path("docker.tar"))).err().unwrap();
    assert!(error.to_string().ends_with(r#"has no image "v2"; it has docker.io/you/app:v1"#), "{error}");
}

#[test]
fn a_platform_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(&format!("oci:{}", folder.path().display()), &["v1"], "one").unwrap();
    let place = folder.path().to_str().unwrap();
    let manifests: Vec<_> =
        open(place).unwrap().0.platforms.iter().map(|image| image.manifest_descriptor.clone()).collect();
    let blob = |digest: String| folder.path().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::remove_file(blob(manifests[1].digest().to_string())).unwrap();
    let (image, _, notes) = open(place).unwrap();
    assert_eq!(image.platforms.len(), 1);
    assert_eq!(notes, [format!("linux/arm64 is listed in the index but missing: {}", manifests[1].digest())]);
    fs::remove_file(blob(manifests[0].digest().to_string())).unwrap();
    let error = open(place).err().unwrap().to_string();
    assert!(
        error.contains("no container image in sha256:") && error.contains("linux/amd64 is listed in the index"),
        "{error}"
    );
}

#[test]
fn damage_is_never_taken_for_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let place = format!("oci-archive:{}", path.display());
    write(&place, &["v1"], "one").unwrap();
    let good = fs::read(&path).unwrap();
    let (image, blobs, _) = open(&place).unwrap();
    let root = image.root.digest().to_string();
    drain(&image, &*blobs).unwrap();
    // A truncated archive is an error, unless only the part for docker's classic store is missing.
    let index = (0..good.len()).step_by(512).find(|at| good[*at..].starts_with(b"index.json\0")).unwrap();
    for length in (0..good.len()).step_by(256) {
        fs::write(&path, &good[..length]).unwrap();
        match open(&place) {
            Ok((image, blobs, _)) => {
                assert!(length > index, "{length}");
                drain(&image, &*blobs).unwrap();
            }
            Err(error) => assert_eq!(error.kind(), FailureKind::Input, "{error}"),
        }
    }
    // A flipped bit is an error, or has no effect: the image is the same.
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        if let Ok((image, blobs, _)) = open(&place)
            && drain(&image, &*blobs).is_ok()
        {
            assert_eq!(image.root.digest().to_string(), root, "byte {at}");
        }
    }
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let place = format!("docker-archive:{}", path.display());
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]}}"#;
    let manifest = br#"[{"Config":"config","RepoTags":null,"Layers":["a/layer.tar"]}]"#;
    type Members<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Members<'_>, &str); 7] = [
        (&[("../x", b"")], "`..` is not allowed in a path in an image: ../x"),
        (&[("x", b""), ("./x", b"")], "it contains two files with the same name: /x"),
        (&[("x", b"")], "it contains neither index.json nor manifest.json, so it is not an image archive"),
        (&[("manifest.json", b"[]")], "it contains no image"),
        (&[("manifest.json", b"[")], "manifest.json: EOF while parsing"),
        (&[("manifest.json", manifest)], "it does not contain the file config"),
        (&[("manifest.json", manifest), ("config", config)], "manifest.json names 1 layers and config 0"),
    ];
    for (members, fault) in cases {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        fs::write(&path, builder.into_inner().unwrap()).unwrap();
        let error = open(&place).err().unwrap().to_string();
        assert!(error.starts_with(&format!("{}: {fault}", path.display())), "{error}");
    }
}

#[test]
fn a_root_file_system_is_a_tree_whatever_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("root/bin")).unwrap();
    fs::write(path("root/bin/sh"), b"x").unwrap();
    let tar = Command::new("tar").arg("-czf").arg(path("x")).arg("-C").arg(path("root")).arg(".").status().unwrap();
    assert!(tar.success());
    for name in ["root", "x"] {
        let place = Place::for_reading(path(name).to_str().unwrap()).unwrap();
        let Opened::Tree { tree, notes } =
            transport::open(&place, &Access::new(&Scratch::new(folder.path())), &Silent).unwrap()
        else {
            panic!("{name} is no image");
        };
        let files: Vec<String> = tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!((files.join(" ").as_str(), notes.len()), ("/ /bin /bin/sh", 0), "{name}");
    }
    let cpio = Place::Cpio(path("root/bin/sh"));
    let error = transport::open(&cpio, &Access::new(&Scratch::new(folder.path())), &Silent).err().unwrap();
    assert!(error.to_string().starts_with("something else, not an initramfs: "), "{error}");
}

#[test]
fn many_runs_may_write_into_one_layout() {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", folder.path().display());
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let place = &place;
            scope.spawn(move || {
                for round in 0..5 {
                    write(place, &[&format!("v{writer}")], &format!("{writer} {round}")).unwrap();
                }
            });
        }
    });
    let mut found = tags(folder.path());
    found.sort();
    assert_eq!(found, ["v0", "v1", "v2", "v3", "v4", "v5"]);
    for tag in found {
        let (image, blobs, _) = open(&format!("{place}:{tag}")).unwrap();
        drain(&image, &*blobs).unwrap();
    }
    assert_eq!(names(folder.path()), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn an_old_docker_save_links_to_a_layer_that_it_has_already() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let plain = b"not looked into".as_slice();
    let archive = |diff_id: Digest| {
        let config = format!(
            r#"{{"architecture":"arm64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}","{diff_id}"]}}}}"#
        );
        let manifest = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["x/layer.tar","y/layer.tar"]}]"#;
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("c.json", config.as_bytes()), ("x/layer.tar", plain), ("manifest.json", manifest)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "y/layer.tar", "../x/layer.tar").unwrap();
        builder.into_inner().unwrap()
    };
    fs::write(&path, archive(Digest::of(plain))).unwrap();
    let (image, blobs, _) = open(path.to_str().unwrap()).unwrap();
    assert_eq!(
        (image.platforms[0].platform.to_string().as_str(), image.platforms[0].manifest.layers().len()),
        ("linux/arm64", 2)
    );
    drain(&image, &*blobs).unwrap();
    fs::write(&path, archive(Digest::of(b"another"))).unwrap();
    let error = open(path.to_str().unwrap()).err().unwrap().to_string();
    let expected = format!("x/layer.tar is not the layer in the config: expected {}", Digest::of(b"another"));
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn a_place_on_another_file_system_is_copied_to() {
    let Some(tmpfs) = Tmpfs::mount("4m") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::begin(tmpfs.0.path()).unwrap();
    let image = image(&store, Some("you/app"), &["v1"], "one").unwrap();
    for place in ["a/", "b/"] {
        let place = Place::for_writing(place).unwrap().seen_from(folder.path());
        publish(&image, &store, &place, &WriteOptions::default(), &mut std::io::sink()).unwrap();
        let (image, blobs, _) = open(&place.to_string()).unwrap();
        drain(&image, &*blobs).unwrap();
    }
}

/// The output of `the_process_that_is_killed`, and the text of the image.
const VICTIM: (&str, &str) = ("SAZARE_TEST_PLACE", "SAZARE_TEST_TEXT");

#[test]
#[ignore = "the process that a_run_killed_at_any_step_leaves_whole_images starts and kills"]
#[expect(clippy::disallowed_methods, reason = "how the one process tells the other what to write")]
fn the_process_that_is_killed() {
    write(&std::env::var(VICTIM.0).unwrap(), &["new"], &std::env::var(VICTIM.1).unwrap()).unwrap();
}

/// All system calls that change a disk. A file that is created or truncated shows at the next of these.
const STEPS: [&str; 16] = [
    "mkdir",
    "mkdirat",
    "write",
    "pwrite64",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "flock",
    "copy_file_range",
    "ftruncate",
];

#[test]
fn a_run_killed_at_any_step_leaves_whole_images() {
    if !has("strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}", folder.path().join("layout").display());
    let archive = format!("oci-archive:{}", folder.path().join("x.tar").display());
    for place in [&layout, &archive] {
        write(place, &["old"], "old").unwrap();
    }
    let whole = |place: &str| {
        let (image, blobs, _) = open(place).unwrap();
        drain(&image, &*blobs).unwrap();
        image.root
    };
    let old = whole(&format!("{layout}:old"));
    for place in [&layout, &archive] {
        let mut killed = 0;
        for step in STEPS {
            // strace counts each system call for itself.
            for count in 1.. {
                let status = Command::new("strace")
                    .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={step}")])
                    .args(["-e", &format!("inject={step}:signal=KILL:when={count}")])
                    .arg(std::env::current_exe().unwrap())
                    .args(["--ignored", "--exact", "the_process_that_is_killed"])
                    .env(VICTIM.0, place)
                    .env(VICTIM.1, format!("new {step} {count}"))
                    .stdout(std::process::Stdio::null())
                    .status()
                    .unwrap();
                if status.success() {
                    break;
                }
                assert_eq!(status.signal(), Some(9), "{step} {count}: {status}");
                killed += 1;
                assert_eq!(whole(&format!("{layout}:old")), old, "killed at {step} {count}");
                if tags(&folder.path().join("layout")).len() > 1 {
                    whole(&format!("{layout}:new"));
                }
                whole(&archive);
            }
        }
        assert!(killed > 40, "only {killed} steps");
    }
    // The private directories of the killed runs are gone: the last run was not killed.
    assert_eq!(tags(&folder.path().join("layout")), ["old", "new"]);
    assert_eq!(names(folder.path()), ["layout", "x.tar"]);
    assert_eq!(names(&folder.path().join("layout")), ["blobs", "index.json", "oci-layout"]);
}

/// A separate small file system, or `None` if this user cannot mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    #[expect(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a test that does not run says so")]
    fn mount(size: &str) -> Option<Tmpfs> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Tmpfs(folder));
        }
        let without_root = std::env::var_os("SAZARE_TEST_WITHOUT").is_some_and(|names| names == "root");
        assert!(without_root || !in_ci(), "a tmpfs cannot be mounted");
        println!("skipped: no root for a tmpfs");
        None
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_at_any_moment_leaves_the_old_image_whole() {
    let Some(tmpfs) = Tmpfs::mount("512k") else { return };
    let path = |name: &str| tmpfs.0.path().join(name);
    let layout = format!("oci:{}", path("layout").display());
    let archive = format!("oci-archive:{}", path("x.tar").display());
    for place in [&layout, &archive] {
        write(place, &["v1"], "old").unwrap();
    }
    let old = open(&layout).unwrap().0.root;
    let filler = path("filler");
    // An index that fills its page: one more tag needs one more.
    let pad = || {
        let mut index = index(&path("layout"));
        index["padding"] = serde_json::json!("");
        let length = 4096 - index.to_string().len();
        index["padding"] = serde_json::json!("x".repeat(length));
        fs::write(path("layout/index.json"), index.to_string()).unwrap();
    };
    pad();
    let (mut full, mut enough) = (0, 0);
    for free in 0..60 {
        for place in [&layout, &archive] {
            let mut file = fs::File::create(&filler).unwrap();
            while file.write_all(&[0; 4096]).is_ok() {}
            let size = file.metadata().unwrap().len() / 4096 * 4096;
            file.set_len(size.saturating_sub(free * 4096)).unwrap();
            let tag = if place == &layout { "new" } else { "v1" };
            match write(place, &[tag], &format!("new {free}")) {
                Ok(_) => enough += 1,
                Err(error) => {
                    full += 1;
                    assert_eq!(error.kind(), FailureKind::Output, "{error}");
                    let text = error.to_string();
                    assert!(text.starts_with(&format!("cannot write {}", tmpfs.0.path().display())), "{text}");
                    assert!(text.contains("No space left on device"), "{text}");
                    assert!(error.hint().unwrap().starts_with("free some space"));
                }
            }
            fs::remove_file(&filler).unwrap();
            let (image, blobs, _) = open(&format!("{layout}:v1")).unwrap();
            assert_eq!(image.root, old);
            drain(&image, &*blobs).unwrap();
            let (image, blobs, _) = open(&archive).unwrap();
            drain(&image, &*blobs).unwrap();
            assert_eq!(names(tmpfs.0.path()), ["layout", "x.tar"]);
            assert_eq!(names(&path("layout")), ["blobs", "index.json", "oci-layout"]);
        }
        // Make room for the next round: old blobs stay in a layout by design.
        fs::remove_dir_all(path("layout")).unwrap();
        write(&layout, &["v1"], "old").unwrap();
        pad();
    }
    assert!(full > 10 && enough > 10, "{full} times full, {enough} times enough");
}
