//! Other programs read, copy and run the output of `sazare build images/hello`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::determinism::noise;
use crate::engines::{Containerd, Docker, Registry, Store};
use crate::layout;
use crate::outside::{SAZARE, build, checkout, command, install, missing, must, run, start};

const SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// The output of the program in the image.
pub fn greeting(arch: &str) -> String {
    format!(
        "Hello from sazare on linux/{arch}.\n\
         This image was made without a daemon, without root and without a network.\n"
    )
}

/// `images/hello`, built into a new directory.
struct Hello {
    folder: TempDir,
    digest: String,
}

impl Hello {
    fn build(places: &[&str]) -> Hello {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = vec![checkout().join("images/hello").into_os_string()];
        for place in places {
            arguments.push("-o".into());
            arguments.push(place.replace("{}", folder.path().to_str().unwrap()).into());
        }
        let digest = build(arguments);
        Hello { folder, digest }
    }

    fn archive() -> Hello {
        Hello::build(&["{}/hello.tar"])
    }

    fn layout() -> Hello {
        Hello::build(&["oci:{}/hello"])
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }
}

/// The architecture of this machine, in the naming of images.
fn host() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[test]
fn docker_loads_and_runs_it() {
    let Some(docker) = Docker::start() else { return };
    let hello = Hello::archive();
    let loaded = must(docker.docker(&["load", "-q", "-i"]).arg(hello.at("hello.tar")));
    assert_eq!(loaded, "Loaded image: localhost/hello:latest\n");
    let said = must(&mut docker.docker(&["run", "--rm", "--network", "none", "localhost/hello"]));
    // The archive holds one platform for docker's classic store, linux/amd64.
    assert_eq!(said, greeting("amd64"));
    let format =
        "{{.Os}}/{{.Architecture}} {{.Config.User}} {{index .Config.Labels \"org.opencontainers.image.title\"}}";
    let seen = must(&mut docker.docker(&["image", "inspect", "--format", format, "localhost/hello"]));
    assert_eq!(seen, "linux/amd64 65534:65534 hello\n");
}

#[test]
fn docker_pulls_it_from_a_registry_and_saves_the_same_layer() {
    let (Some(docker), Some(registry)) = (Docker::start(), Registry::start()) else { return };
    if missing(&["skopeo"]) {
        return;
    }
    let hello = Hello::layout();
    let image = format!("{}/hello:latest", registry.host);
    let from = format!("oci:{}:latest", hello.text("hello"));
    must(&mut command(
        "skopeo",
        ["copy", "-q", "--all", "--dest-tls-verify=false", &from, &format!("docker://{image}")],
    ));
    must(&mut docker.docker(&["pull", "-q", "--platform", "linux/arm64", &image]));
    let pulled = must(&mut docker.docker(&["image", "inspect", "--format", "{{.Id}} {{.RootFS.Layers}}", &image]));
    let manifest = &layout::manifests(&hello.at("hello"))["arm64"];
    let diffs = &layout::configuration(&hello.at("hello"), manifest)["rootfs"]["diff_ids"];
    let expected = format!("{} [{}]\n", manifest["config"]["digest"].as_str().unwrap(), diffs[0].as_str().unwrap());
    assert_eq!(pulled, expected);
}

#[test]
fn podman_loads_and_runs_it() {
    let Some(store) = Store::new("podman") else { return };
    let hello = Hello::archive();
    let loaded = must(store.podman(&["load", "-q", "-i"]).arg(hello.at("hello.tar")));
    assert_eq!(loaded, "Loaded image: localhost/hello:latest\n");
    assert_eq!(store.podman_run(&["localhost/hello"]), greeting(host()));
}

#[test]
fn buildah_starts_from_it_on_either_platform() {
    let Some(store) = Store::new("buildah") else { return };
    let hello = Hello::archive();
    let archive = format!("oci-archive:{}", hello.text("hello.tar"));
    for arch in ["amd64", "arm64"] {
        let container = must(&mut store.buildah(&["from", "-q", "--arch", arch, &archive]));
        let container = container.trim();
        let seen =
            must(&mut store.buildah(&["inspect", "--format", "{{.OCIv1.OS}}/{{.OCIv1.Architecture}}", container]));
        assert_eq!(seen.trim(), format!("linux/{arch}"));
        if arch == host() {
            let said = must(&mut store.buildah(&["run", "--isolation", "chroot", container, "/bin/hello"]));
            assert_eq!(said, greeting(arch));
        }
    }
}

#[test]
fn skopeo_copies_all_platforms_to_a_registry_and_back_without_changing_the_digest() {
    let Some(registry) = Registry::start() else { return };
    if missing(&["skopeo"]) {
        return;
    }
    let hello = Hello::layout();
    let there = format!("docker://{}/some/where/hello:v1", registry.host);
    let from = format!("oci:{}:latest", hello.text("hello"));
    must(&mut command("skopeo", ["copy", "-q", "--all", "--dest-tls-verify=false", &from, &there]));

    let raw = must(&mut command("skopeo", ["inspect", "--raw", "--tls-verify=false", &there]));
    assert_eq!(raw.as_bytes(), std::fs::read(layout::blob(&hello.at("hello"), &hello.digest)).unwrap());
    let digest = must(&mut command("skopeo", ["inspect", "--format", "{{.Digest}}", "--tls-verify=false", &there]));
    assert_eq!(digest.trim(), hello.digest);

    let back = format!("oci:{}:latest", hello.text("back"));
    must(&mut command("skopeo", ["copy", "-q", "--all", "--src-tls-verify=false", &there, &back]));
    let index = layout::document(&hello.at("back").join("index.json"));
    assert_eq!(index["manifests"][0]["digest"], hello.digest.as_str());
    let sorted_blobs = |name: &str| must(&mut command("ls", [hello.at(name).join("blobs/sha256")]));
    assert_eq!(sorted_blobs("back"), sorted_blobs("hello"));
}

#[test]
fn skopeo_reads_the_archive_by_both_of_its_names() {
    if missing(&["skopeo"]) {
        return;
    }
    let hello = Hello::archive();
    for word in ["oci-archive", "docker-archive"] {
        let seen = must(&mut command("skopeo", ["inspect", &format!("{word}:{}", hello.text("hello.tar"))]));
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen["Labels"]["org.opencontainers.image.title"], "hello", "{word}");
    }
    for arch in ["amd64", "arm64"] {
        let archive = format!("oci-archive:{}", hello.text("hello.tar"));
        let format = "{{.Os}}/{{.Architecture}}";
        let seen = must(&mut command("skopeo", ["--override-arch", arch, "inspect", "--format", format, &archive]));
        assert_eq!(seen.trim(), format!("linux/{arch}"));
    }
}

#[test]
fn umoci_unpacks_each_platform_and_its_program_runs() {
    if missing(&["umoci", "qemu-aarch64-static", "qemu-x86_64-static"]) {
        return;
    }
    for arch in ["amd64", "arm64"] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        // umoci does not support a nested index: it can read the flat form with one platform.
        let place = format!("oci:{}", at("layout"));
        let recipe = checkout().join("images/hello");
        let platform = format!("linux/{arch}");
        build([recipe.to_str().unwrap(), "--platform", &platform, "--flat-index", "-o", &place]);
        must(&mut command(
            "umoci",
            ["unpack", "--rootless", "--image", &format!("{}:latest", at("layout")), &at("bundle")],
        ));
        let answer = run(&mut start(arch, Path::new(&at("bundle/rootfs/bin/hello"))));
        assert_eq!((answer.code, answer.out), (0, greeting(arch)));
    }
}

#[test]
fn containerd_imports_both_platforms_under_one_name_and_runs_it() {
    let Some(containerd) = Containerd::start() else { return };
    let hello = Hello::archive();
    let archive = hello.text("hello.tar");
    must(&mut containerd.ctr(&["images", "import", "--all-platforms", "--snapshotter", "native", &archive]));
    let list = must(&mut containerd.ctr(&["images", "list"]));
    let line =
        list.lines().find(|line| line.starts_with("localhost/hello:latest ")).unwrap_or_else(|| panic!("{list}"));
    assert!(line.contains(&hello.digest) && line.contains("linux/amd64,linux/arm64"), "{line}");
    let check = must(&mut containerd.ctr(&["images", "check", "--snapshotter", "native"]));
    assert!(check.contains("complete"), "{check}");
    let said =
        must(&mut containerd.ctr(&["run", "--rm", "--snapshotter", "native", "localhost/hello:latest", "hello"]));
    assert_eq!(said, greeting(host()));
}

#[test]
fn a_layer_of_several_members_or_frames_is_one_layer_to_every_engine() {
    if missing(&["busybox", "zstd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    let busybox = must(command("sh", ["-c", "command -v busybox"]).arg("sh"));
    install(busybox.trim_end(), root.join("bin/busybox"));
    std::os::unix::fs::symlink("busybox", root.join("bin/sha256sum")).unwrap();
    fs::write(root.join("large"), noise(20 << 20)).unwrap();
    let expected = must(&mut command("sha256sum", [root.join("large")]));
    let expected = expected.split_once(' ').unwrap().0;
    let platform = format!("linux/{}", host());
    let archive = |form: &str| {
        let archive = folder.path().join(format!("{form}.tar")).to_str().unwrap().to_owned();
        let mut build =
            command(SAZARE, ["build", "-q", "--compression", form, "--platform", &platform, "-o", &archive]);
        must(build.arg("--tag").arg(format!("localhost/{form}")).arg("--entrypoint=/bin/sha256sum /large").arg(&root));
        archive
    };
    let is_right = |said: String, judge: &str| assert!(said.starts_with(expected), "{judge}: {said}");
    let forms: &[&str] = if cfg!(feature = "native") { &["gzip", "zstd"] } else { &["gzip"] };
    for form in forms {
        let archive = archive(form);
        if let Some(store) = Store::new("podman") {
            must(store.podman(&["load", "-q", "-i"]).arg(&archive));
            is_right(store.podman_run(&[&format!("localhost/{form}")]), "podman");
        }
        if let Some(containerd) = Containerd::start() {
            must(&mut containerd.ctr(&["images", "import", "--snapshotter", "native", &archive]));
            let name = format!("localhost/{form}:latest");
            is_right(must(&mut containerd.ctr(&["run", "--rm", "--snapshotter", "native", &name, form])), "containerd");
        }
        // docker of Debian 12 does not support zstd.
        if let (&"gzip", Some(docker)) = (form, Docker::start()) {
            must(&mut docker.docker(&["load", "-q", "-i", &archive]));
            is_right(must(&mut docker.docker(&["run", "--rm", "localhost/gzip"])), "docker");
        }
    }
}

#[test]
fn oci_image_tool_finds_nothing_wrong() {
    if missing(&["oci-image-tool"]) {
        return;
    }
    let recipe = checkout().join("images/hello");
    // It reads only one level of indexes, so each platform is also passed to it alone.
    for platform in ["linux/amd64,linux/arm64", "linux/amd64", "linux/arm64"] {
        for shape in [None, Some("--flat-index")] {
            let folder = tempfile::tempdir().unwrap();
            let layout = folder.path().join("layout");
            let place = format!("oci:{}", layout.display());
            let arguments = [recipe.to_str().unwrap(), "--platform", platform, "-o", &place];
            build(arguments.into_iter().chain(shape));
            let judged = run(command("oci-image-tool", ["validate", "--type", "image"]).arg(&layout));
            assert!(judged.code == 0 && judged.text().contains("Validation succeeded"), "{}", judged.text());
        }
    }
}

#[test]
fn every_document_fits_the_schemas_of_the_specification() {
    if missing(&["/usr/bin/python3", SCHEMAS, "/usr/lib/python3/dist-packages/jsonschema"]) {
        return;
    }
    let hello = Hello::layout();
    let script = checkout().join("tests/program/schemas.py");
    let judge =
        |layout: &Path| run(command("/usr/bin/python3", ["-W", "ignore"]).arg(&script).arg(SCHEMAS).arg(layout));
    let judged = judge(&hello.at("hello"));
    assert_eq!(judged.code, 0, "{}", judged.text());
    let fits = |schema: &str| judged.out.lines().filter(|line| line.ends_with(&format!("fits {schema}"))).count();
    let counts =
        ["image-layout-schema.json", "image-index-schema.json", "image-manifest-schema.json", "config-schema.json"];
    assert_eq!(counts.map(fits), [1, 2, 2, 2], "{}", judged.out);
    // The check works: it refuses a different kind of layout.
    std::fs::write(hello.at("hello").join("oci-layout"), "{\"imageLayoutVersion\": \"2\"}").unwrap();
    assert_ne!(judge(&hello.at("hello")).code, 0);
}

#[test]
fn gnu_tar_and_bsdtar_list_the_same_in_every_layer() {
    if missing(&["tar", "bsdtar"]) {
        return;
    }
    let hello = Hello::layout();
    let manifests = layout::manifests(&hello.at("hello"));
    assert_eq!(manifests.keys().map(String::as_str).collect::<Vec<_>>(), ["amd64", "arm64"]);
    for (arch, size) in [("amd64", "327"), ("arm64", "320")] {
        for layer in layout::layers(&hello.at("hello"), &manifests[arch]) {
            let gnu = must(command("tar", ["--utc", "--numeric-owner", "-tvzf"]).arg(&layer));
            let gnu: Vec<String> = gnu.lines().map(|line| fields(line, [0, 2, 5])).collect();
            assert_eq!(gnu, ["drwxr-xr-x 0 ./", "drwxr-xr-x 0 bin/", &format!("-rwxr-xr-x {size} bin/hello")]);
            let bsd = must(command("bsdtar", ["--numeric-owner", "-tvf"]).arg(&layer));
            let bsd: Vec<String> = bsd.lines().map(|line| fields(line, [0, 4, 8])).collect();
            assert_eq!(bsd, gnu);
        }
    }
}

/// Some words of a line.
pub fn fields<const N: usize>(line: &str, which: [usize; N]) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    which.map(|at| words.get(at).copied().unwrap_or("?")).join(" ")
}
