//! Stacks of layers as docker, podman and containerd mount them: `tests/stacks/record` recorded what they make of each.

use std::fs::{self, File};
use std::path::Path;

use sazare::codec::Scratch;
use sazare::digest::Digest;
use sazare::link::Policy;
use sazare::path::{ImagePath, display_bytes};
use sazare::pipeline::{self, PlaceContents};
use sazare::progress::Silent;
use sazare::report::Severity;
use sazare::transport::{Access, Place};
use sazare::tree::{Kind, Tree};
use serde_json::{Value, json};

use crate::outside::{SAZARE, checkout, command, run};

/// A layer from its entries: `dir/ [MODE UID]`, `file=text`, `link -> target`, `name => target of a hard link`.
fn layer(entries: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        let (path, text, target) = if let Some((path, target)) = entry.split_once(" => ") {
            header.set_entry_type(tar::EntryType::Link);
            (path, "", target)
        } else if let Some((path, target)) = entry.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            (path, "", target)
        } else if let Some((path, text)) = entry.split_once('=') {
            (path, text, "")
        } else {
            let mut words = entry.split(' ');
            let path = words.next().unwrap();
            header.set_entry_type(tar::EntryType::Directory);
            if let (Some(mode), Some(uid)) = (words.next(), words.next()) {
                header.set_mode(u32::from_str_radix(mode, 8).unwrap());
                header.set_uid(uid.parse().unwrap());
            }
            (path, "", "")
        };
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An archive for docker with these layers.
fn archive(path: &Path, layers: &[Vec<u8>], config: &Value) {
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let diff_ids: Vec<String> = ids.iter().map(Digest::to_string).collect();
    let document = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": ["localhost/stack:latest"], "Layers": names}]);
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    add("config.json", document.to_string().as_bytes());
    add("manifest.json", manifest.to_string().as_bytes());
    builder.finish().unwrap();
}

/// A tree, one name a line, as the recorded ones.
fn listing(tree: &Tree) -> Vec<String> {
    let line = |path: &ImagePath, inode: &sazare::tree::Inode| match &inode.kind {
        Kind::Directory(_) => format!("{path}/ {} {}", inode.meta.mode, inode.meta.uid),
        Kind::Symlink(target) => format!("{path} -> {}", display_bytes(target)),
        Kind::File(content) => format!("{path}={}", String::from_utf8(content.head(99).unwrap()).unwrap()),
        _ => path.to_string(),
    };
    let mut lines: Vec<String> = tree.walk().skip(1).map(|entry| line(&entry.path, entry.inode)).collect();
    lines.sort();
    lines
}

#[test]
fn every_stack_is_what_engines_make_of_it_or_is_reported() {
    let text = fs::read_to_string(checkout().join("tests/stacks/recorded.json")).unwrap();
    let stacks: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(stacks.len() >= 60, "{}", stacks.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.tar");
    for stack in &stacks {
        let strings = |value: &Value| {
            value.as_array().map(|list| list.iter().map(|text| text.as_str().unwrap().to_string()).collect())
        };
        let layers: Vec<Vec<u8>> = stack["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entries| {
                let entries: Vec<String> = strings(entries).unwrap();
                layer(&entries.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        archive(&file, &layers, &json!({}));
        let place = Place::for_reading(&format!("docker-archive:{}", file.display())).unwrap();
        let scratch = Scratch::new(folder.path());
        let read = pipeline::read(&place, &[], &Access::new(&scratch), &Silent);
        let engines: [Option<Vec<String>>; 3] =
            ["docker", "podman", "containerd"].map(|engine| strings(&stack[engine]));
        let [docker, podman, containerd] = &engines;
        assert_eq!(docker, podman, "{stack}");
        let contents = match read {
            Ok(contents) => contents,
            // What cannot be read here, no engine unpacks.
            Err(error) => {
                assert_eq!(engines, [None, None, None], "{stack}: {error}");
                continue;
            }
        };
        let policy = Policy::default();
        let verdicts = pipeline::verify(&contents, &[], &ImagePath::root(), &policy, &Silent).unwrap();
        let found = |code: &str| {
            let findings = verdicts.iter().flat_map(|verdict| &verdict.verification.report.findings);
            findings.filter(|finding| finding.code.0 == code).map(|finding| finding.severity).max()
        };
        let refused = match (docker, containerd) {
            (None, None) => Some(Severity::Error),
            (None, Some(_)) => Some(Severity::Warning),
            (Some(_), _) => None,
        };
        assert_eq!(found("layer-refused"), refused, "{stack}");
        let PlaceContents::Image(_, platforms) = &contents else { panic!("an image") };
        if let Some(expected) = docker.as_ref().or(containerd.as_ref()) {
            assert_eq!(&listing(&platforms[0].1.tree), expected, "{stack}");
        }
        let differs = docker.is_some() && docker != containerd;
        assert_eq!(found("layer-directory-mode").is_some(), differs, "{stack}");
    }
}

#[test]
fn a_layer_that_hides_the_link_to_an_interpreter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.tar");
    let hello = fs::read(checkout().join("images/hello/amd64/bin/hello")).unwrap();
    let mut base = tar::Builder::new(Vec::new());
    for (path, bytes) in [("usr/lib64/hello", hello.as_slice()), ("bin/run", b"#!/lib64/hello\n".as_slice())] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        base.append_data(&mut header, path, bytes).unwrap();
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    base.append_link(&mut header, "lib64", "usr/lib64").unwrap();
    let base = base.into_inner().unwrap();
    let config = json!({"Entrypoint": ["/bin/run"]});
    let verify = |upper: &[&str]| {
        archive(&file, &[base.clone(), layer(upper)], &config);
        run(command(SAZARE, ["verify"]).arg(format!("docker-archive:{}", file.display())))
    };
    let good = verify(&["usr/lib64/extra=1"]);
    assert_eq!(good.code, 0, "{}", good.text());
    let bad = verify(&["lib64/extra=1"]);
    assert_eq!(bad.code, 1, "{}", bad.text());
    for text in [
        "error[script-interp-missing]",
        "warning[layer-hides-link] linux/amd64 /lib64 is a directory in an upper layer",
    ] {
        assert!(bad.text().contains(text), "{text}: {}", bad.text());
    }
}
