//! From the text of a recipe to the recipe, or to everything that is wrong with it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::{self, Read};
use super::fault::{Fault, Faults, Position, RecipeError};
use super::keys;
use super::load::{Loader, load};
use super::model::{Parts, Recipe};
use super::section::{Reader, Section};
use super::settings;
use crate::host;
use crate::input;

/// Reads a recipe: a file, or a folder that holds `recipe.toml`.
///
/// # Errors
/// When it cannot be read, and with everything that is wrong with it.
pub fn read(path: &Path) -> Result<Recipe, RecipeError> {
    let is_directory = host::is_directory(path).map_err(|error| RecipeError::Read(path.to_path_buf(), error))?;
    let path: PathBuf = if is_directory { path.join("recipe.toml") } else { path.to_path_buf() };
    let loader = |path: &Path| -> io::Result<Vec<u8>> { input::read(path, input::TEXT_MAX) };
    let bytes = loader(&path).map_err(|error| RecipeError::Read(path.clone(), error))?;
    parse(&bytes, &path, &loader).map_err(RecipeError::Faults)
}

/// Makes a recipe from the bytes of its file. `path` says what messages call it and where relative paths start;
/// `loader` reads the files that it includes.
///
/// # Errors
/// With everything that is wrong with it and with what it includes.
pub fn parse(bytes: &[u8], path: &Path, loader: Loader<'_>) -> Result<Recipe, Faults> {
    let loaded = load(bytes, path, loader);
    let folders: Vec<Arc<Path>> = loaded.opened.iter().map(|opened| opened.folder.clone()).collect();
    let reader = Reader::new(&loaded.files);
    for node in &loaded.separate {
        reader.check(&keys::RECIPE, node);
    }
    // What seems to be missing from a text with faults in its form may stand where nobody understood it.
    if loaded.form.is_empty() && loaded.faults.is_empty() {
        reader.check_required(&keys::RECIPE, &loaded.merged);
    }
    let recipe = Section { table: &keys::RECIPE, node: &loaded.merged, reader: &reader };
    let parts = parts(&recipe, &folders);
    let meaning = reader.into_faults();

    let line = |place: &Position| (place.file, loaded.files.get(place.file).map(|file| file.line(place.span.start)));
    let misformed: BTreeSet<_> = loaded.form.iter().map(|fault| line(&fault.place)).collect();
    // On a line with a fault in its form, what was understood of it is a guess.
    let mut faults: Vec<Fault> = meaning.into_iter().filter(|fault| !misformed.contains(&line(&fault.place))).collect();
    // And whatever follows the first fault in the form of a line follows from it.
    let mut told = BTreeSet::new();
    faults.extend(loaded.form.into_iter().filter(|fault| told.insert(line(&fault.place))));
    faults.extend(loaded.faults);
    if faults.is_empty() {
        match Recipe::new(parts) {
            Ok(recipe) => return Ok(recipe),
            Err(error) => faults.push(Fault::new(&Position { file: 0, span: 0..0 }, error.to_string())),
        }
    }
    faults.sort_by_key(|fault| (fault.place.file, fault.place.span.start, fault.place.span.end));
    faults.dedup();
    Err(Faults { files: loaded.files, faults })
}

/// Everything that a recipe says, as far as it can be understood.
fn parts(recipe: &Section<'_>, folders: entries::Folders<'_>) -> Parts {
    let mut base = None;
    let mut sources = Vec::new();
    for (number, section) in recipe.sections("source").iter().enumerate() {
        match entries::source(section, folders, number == 0) {
            Some(Read::Base(image)) => base = Some(image),
            Some(Read::Source(source)) => sources.push(source),
            None => {}
        }
    }
    let (users, groups) = (recipe.sections("user"), recipe.sections("group"));
    for (sections, keys) in [(&users, ["name", "uid"]), (&groups, ["name", "gid"])] {
        for key in keys {
            entries::check_different(sections, key);
        }
    }
    // Read where files are put together.
    let _ = recipe.key("include");
    Parts {
        name: recipe.parsed("name"),
        tags: recipe.parsed_list("tags").unwrap_or_default(),
        platforms: platforms(recipe),
        created: recipe.parsed("created"),
        base,
        bundle: recipe.section("bundle").and_then(|section| settings::bundle(&section, folders)),
        sources,
        paths: recipe.sections("path").iter().filter_map(|section| entries::path(section, folders)).collect(),
        links: recipe.sections("links").iter().filter_map(|section| entries::links(section, folders)).collect(),
        users: users.iter().filter_map(entries::user).collect(),
        groups: groups.iter().filter_map(entries::group).collect(),
        layers: recipe.sections("layer").iter().filter_map(entries::layer).collect(),
        config: recipe.section("config").map(|section| settings::config(&section)).unwrap_or_default(),
        annotations: settings::annotations(recipe),
        verify: recipe.section("verify").map(|section| settings::verify(&section)).unwrap_or_default(),
        initramfs: recipe.section("initramfs").map(|section| settings::initramfs(&section)).unwrap_or_default(),
    }
}

fn platforms(recipe: &Section<'_>) -> Vec<crate::platform::Platform> {
    let platforms = recipe.parsed_list("platforms").unwrap_or_default();
    if let (Some(place), true) =
        (recipe.key("platforms"), recipe.texts("platforms").is_some_and(|list| list.is_empty()))
    {
        recipe.fault(Fault::new(place, "`platforms` is empty"));
    }
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Arch, Platform};
    use crate::recipe::{
        FileContent, Id, InitramfsCompression, LinkKind, LinkNames, Modes, Output, Owner, PathAction, RequiredLibc,
        SourceKind, Times,
    };

    const HEAD: &str = "platforms = ['linux/amd64', 'linux/arm64']\nsource = [{ from = 'x' }]\n";

    /// Reads `text` with these files beside it.
    fn parsed(text: &str, files: &[(&str, &str)]) -> Result<Recipe, Faults> {
        let loader = |path: &Path| match files.iter().find(|(name, _)| Path::new(name) == path) {
            Some((_, text)) => Ok(text.as_bytes().to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        parse(text.as_bytes(), Path::new("r.toml"), &loader)
    }

    fn recipe(text: &str) -> Recipe {
        parsed(text, &[]).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults(text: &str) -> String {
        parsed(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn every_single_fault_is_told_in_words() {
        let cases = [
            // The recipe itself.
            ("name = 'A'", "not an image name (lower-case parts joined by `/`, such as docker.io/you/app): \"A\""),
            ("name = 7", "`name` must be a text"),
            ("name = 7.5", "`name` must be a text"),
            ("name = ['a']", "`name` must be a text"),
            ("config.cmd = [\"a\\u0000\"]", "`cmd` must not contain NUL"),
            ("tags = 'x'", "`tags` must be a list of texts"),
            ("tags = [1]", "an item of `tags` must be a text"),
            ("tags = ['a', 'b', 'a']", "`tags` has the same value twice: \"a\""),
            ("created = 2026-01-01", "not a date since 1970 in the format 2026-01-01T00:00:00Z: \"2026-01-01\""),
            ("created = 5", "`created` must be a date with time such as 2026-01-01T00:00:00Z"),
            ("include = [5]", "an item of `include` must be a text"),
            ("config = 5", "`config` must be a table"),
            ("user = { name = 'x', uid = 1 }", "`user` must be a list of tables"),
            ("user = [5]", "an item of `user` must be a table"),
            // Paths.
            ("path = [{ type = 'fifo' }]", "[[path]] needs a key `path`"),
            ("path = [{ path = '/x' }]", "[[path]] needs a key `type`"),
            (
                "path = [{ path = '/x', type = 'dir' }]",
                "`type` is one of directory, file, empty-file, symlink, hardlink, char, block, fifo, permissions, remove",
            ),
            ("path = [{ path = 'x', type = 'fifo' }]", "a path in the image starts with `/`"),
            ("path = [{ path = '/x/../y', type = 'fifo' }]", "`..` is not allowed in a path in an image: /x/../y"),
            ("path = [{ path = '', type = 'fifo' }]", "`path` is empty"),
            ("path = [{ path = '/', type = 'fifo' }]", "the root of the image cannot be a fifo"),
            ("path = [{ path = '/', type = 'remove' }]", "the root of the image cannot be removed"),
            ("path = [{ path = '/[', type = 'remove' }]", "not a glob (unclosed character class; missing ']'): /["),
            ("path = [{ path = '/x', type = 'fifo', mode = '9' }]", "not a mode of three or four octal digits: \"9\""),
            ("path = [{ path = '/x', type = 'fifo', uid = -1 }]", "`uid` is a number from 0 to 4294967294"),
            ("path = [{ path = '/x', type = 'fifo', uid = '4294967295' }]", "not a number from 0 to 4294967294"),
            ("path = [{ path = '/x', type = 'fifo', gid = 'a b' }]", "not a name of a user or group: \"a b\""),
            ("path = [{ path = '/x', type = 'fifo', outputs = ['disk'] }]", "`outputs` is one of image, initramfs"),
            (
                "path = [{ path = '/x', type = 'fifo', outputs = [] }]",
                "`outputs` is empty, so this would never be used",
            ),
            ("path = [{ path = '/x', type = 'file' }]", "a path of type file needs a key `text` or `source`"),
            (
                "path = [{ path = '/x', type = 'file', text = '', source = 'y' }]",
                "a file has either a `text` or a `source`",
            ),
            ("path = [{ path = '/x', type = 'file', source = '{foo}' }]", "unknown placeholder `{foo}`"),
            (
                "path = [{ path = '/x', type = 'empty-file', text = '' }]",
                "`text` is not allowed for a path of type empty-file",
            ),
            ("path = [{ path = '/x', type = 'symlink' }]", "a path of type symlink needs a key `target`"),
            ("path = [{ path = '/x', type = 'hardlink', target = 'y' }]", "a path in the image starts with `/`"),
            (
                "path = [{ path = '/x', type = 'hardlink', target = '/y', mode = '0755' }]",
                "`mode` is not allowed for a path of type hardlink",
            ),
            ("path = [{ path = '/x', type = 'char', major = 1 }]", "a path of type char needs a key `minor`"),
            ("path = [{ path = '/x', type = 'block', major = 4096, minor = 1 }]", "`major` is a number from 0 to 4095"),
            ("path = [{ path = '/x', type = 'permissions' }]", "a path of type permissions needs something to change"),
            (
                "path = [{ path = '/x', type = 'permissions', mode = '644', recursive = 1 }]",
                "`recursive` must be true or false",
            ),
            (
                "path = [{ path = '/x', type = 'directory', xattrs = { 'security.selinux' = 'x' } }]",
                "images cannot have this attribute: security.selinux",
            ),
            (
                "path = [{ path = '/x', type = 'directory', xattrs = { 'user.x' = '0x1' } }]",
                "not pairs of hexadecimal digits after `0x`",
            ),
            (
                "path = [{ path = '/x', type = 'directory', xattrs = { 'user.x' = '' } }]",
                "docker and podman drop attributes with an empty value",
            ),
            (
                "path = [{ path = '/x', type = 'directory', xattrs = { 'user.x' = 1 } }]",
                "`user.x` in `xattrs` must be a text",
            ),
            (
                "path = [{ path = '/x', type = 'empty-file', capabilities = 'cap_chown=p' }]",
                "`capabilities` is not allowed for a path of type empty-file",
            ),
            (
                "path = [{ path = '/x', type = 'permissions', capabilities = 'cap_net_raw' }]",
                "not capabilities in setcap's format (such as cap_net_raw=ep): \"cap_net_raw\"",
            ),
            (
                "path = [{ path = '/x', type = 'fifo', platforms = ['mipz'] }]",
                "not a platform, such as linux/amd64, linux/arm64 or linux/arm/v7: \"mipz\"",
            ),
            // Links.
            ("links = [{ target = '/x' }]", "links need a key `names` or `names-from`"),
            (
                "links = [{ target = '/x', names = ['/y'], names-from = 'z' }]",
                "links have either `names` or `names-from`",
            ),
            ("links = [{ target = '/x', names = [] }]", "`names` is empty"),
            ("links = [{ target = '/x', names = ['y'] }]", "a path in the image starts with `/`"),
            // Bundles.
            ("bundle = { root = '/' }", "[bundle] needs a key `programs`"),
            ("bundle = { programs = [] }", "`programs` is empty"),
            ("bundle = { programs = ['a'], with = ['nsswitch'] }", "`with` is one of nss, gconv, ca, zoneinfo"),
            ("bundle = { programs = ['a'], directories = ['tmp'] }", "not an absolute path: \"tmp\""),
            ("bundle = { programs = ['a'], install-to = 'bin' }", "a path in the image starts with `/`"),
            // Accounts.
            ("user = [{ name = 'a:b', uid = 1 }]", "not a name of a user or group: \"a:b\""),
            ("user = [{ name = 'a' }]", "[[user]] needs a key `uid`"),
            ("user = [{ name = 'a', uid = 1.0 }]", "`uid` must be a number"),
            (
                "user = [{ name = 'a', uid = 1, comment = 'a:b' }]",
                "a field of /etc/passwd cannot contain `:` or a line end",
            ),
            (
                "user = [{ name = 'a', uid = 1, home = '/a:b' }]",
                "a field of /etc/passwd cannot contain `:` or a line end",
            ),
            ("user = [{ name = 'a', uid = 1, shell = 'sh' }]", "a path in the image starts with `/`"),
            ("group = [{ name = 'a', gid = 1 }, { name = 'b', gid = 1 }]", "two [[group]] have the same gid: 1"),
            // Layers.
            ("layer = [{ name = 'x' }]", "[[layer]] needs a key `include`"),
            ("layer = [{ include = [] }]", "a layer that includes nothing would always be empty"),
            // Settings.
            ("config.entrypoint = '/x'", "`entrypoint` must be a list of texts"),
            ("config.entrypoint = ['']", "the first word of `entrypoint` is empty: it must be a program"),
            ("config.env = { '' = 'x' }", "not a name of an environment variable: \"\""),
            ("config.env = ['A=b']", "`env` must be a table of texts"),
            ("config.env = { A = \"\\u0000\" }", "`env` must not contain NUL"),
            ("config.labels = { '' = 'x' }", "a key of `labels` is empty"),
            ("config.workdir = 'x'", "not an absolute path: \"x\""),
            ("config.volumes = ['x']", "not an absolute path: \"x\""),
            ("config.user = 'a:'", "not a user: \"a:\""),
            ("config.expose = [0]", "not a port: \"0\""),
            ("config.expose = ['80/http']", "not a port: \"80/http\""),
            ("config.expose = [true]", "an item of `expose` must be a text"),
            ("config.stop-signal = 'SIGSTOPP'", "not a signal: \"SIGSTOPP\""),
            ("config.healthcheck.test = ['x']", "not a health check"),
            ("config.healthcheck = { test = ['NONE'], interval = '5' }", "not a duration: \"5\""),
            ("config.healthcheck = {}", "[config.healthcheck] needs a key `test`"),
            ("config.entrypiont = []", "unknown key `entrypiont`"),
            (
                "annotations = { 'org.opencontainers.image.ref.name' = 'x' }",
                "sazare sets this annotation from `name` and `tags`: org.opencontainers.image.ref.name",
            ),
            ("verify.libc = 'uclibc'", "`libc` is one of musl, glibc"),
            ("verify.max-size = '5 mb'", "not a size: \"5 mb\""),
            ("verify.max-size = -5", "`max-size` is a number from 0 to 18446744073709551615"),
            ("verify.allow = [{ path = '/x' }]", "[[verify.allow]] needs a key `code`"),
            ("verify.allow = [{ code = 'Lib' }]", "not a code of a finding: \"Lib\""),
            ("initramfs.init = 'init'", "a path in the image starts with `/`"),
            ("initramfs.compression = 'lz4'", "`compression` is one of none, gzip, zstd, xz"),
        ];
        for (line, message) in cases {
            assert_eq!(faults(&format!("{HEAD}{line}")), format!("r.toml:3: {message}"), "{line}");
        }
    }

    #[test]
    fn faults_of_sources() {
        for (source, message) in [
            ("{}", "[[source]] needs a key `from`"),
            ("{ from = '' }", "`from` is empty"),
            ("{ from = 'tar:' }", "`from` has no file name"),
            ("{ from = 'oci:' }", "`from` has no image name"),
            ("{ from = '-' }", "standard input cannot be a source"),
            ("{ from = 'cpio:x' }", "a cpio archive cannot be a source"),
            ("{ from = 'docker://x:1' }", "an image in a registry needs its digest"),
            (
                "{ from = 'docker://X' }",
                "not an image name (lower-case parts joined by `/`, such as docker.io/you/app): \"X\"",
            ),
            (
                "{ from = 'docker:x' }",
                "not an image name (lower-case parts joined by `/`, such as docker.io/you/app): \"\"",
            ),
            ("{ from = 'https://x/y.tar' }", "a build downloads nothing"),
            ("{ from = '{ach}' }", "unknown placeholder `{ach}`"),
            ("{ from = 'x', to = 'usr' }", "a path in the image starts with `/`"),
            ("{ from = 'x', owner = '0' }", "not an owner: \"0\""),
            ("{ from = 'x', times = 'now' }", "`times` is one of epoch, clamp, keep"),
            ("{ from = 'x', xattrs = true }", "`xattrs` must be a text"),
            ("{ from = 'x', include = ['../y'] }", "not a glob (`..` matches nothing): ../y"),
            ("{ from = 'x' }, { from = 'oci:y' }", "a base image must be the first source"),
            (
                "{ from = 'oci:y', owner = 'keep' }",
                "`owner` is not allowed for a base image: its layers are not changed",
            ),
        ] {
            let text = format!("platforms = ['amd64']\nsource = [{source}]");
            assert_eq!(faults(&text), format!("r.toml:2: {message}"), "{source}");
        }
    }

    #[test]
    fn what_makes_no_image_is_a_fault() {
        assert_eq!(faults(""), "r.toml:1: the recipe needs a key `platforms`");
        assert_eq!(faults("platforms = []"), "r.toml:1: `platforms` is empty");
        assert_eq!(
            faults("platforms = ['amd64', 'x86_64']\nsource = [{ from = 'x' }]"),
            "r.toml:1: `platforms` has the same value twice: \"x86_64\""
        );
        assert_eq!(
            faults("platforms = ['amd64']"),
            "r.toml:1: the image is empty: there is neither a source nor a path"
        );
        let faults = parse(b"# \xe9\n", Path::new("r.toml"), &|_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
        assert_eq!(faults.to_string().lines().next(), Some("r.toml:1: a recipe must be UTF-8"));
    }

    #[test]
    fn faults_in_the_form_come_with_those_in_the_meaning() {
        let text = "platforms = ['amd64'\nnam = 'x'\n";
        assert_eq!(faults(text), "r.toml:2: missing comma between array elements, expected `,`");
        let text = format!("{HEAD}name = \"x\n[config]\ncmdd = []\n");
        assert_eq!(faults(&text), "r.toml:3: invalid basic string, expected `\"`\nr.toml:5: unknown key `cmdd`");
        let text = format!("{HEAD}tags = ['a']\ntags = ['b']");
        assert_eq!(faults(&text), "r.toml:4: duplicate key");
    }

    /// Uses every key, so that the test below can tell when the parser reads one less than is defined.
    const EVERYTHING: &str = r#"
include = []
name = "you/app"
tags = ["1", "latest"]
platforms = ["linux/amd64", "linux/arm64/v8"]
created = 2026-01-01T00:00:00Z

[[source]]
from = "oci-archive:base-{arch}.tar:1"
[[source]]
from = "stage/{arch}"
to = "/opt/{arch}"
include = ["usr/**"]
exclude = ["**/*.a"]
owner = "10:20"
modes = "normal"
times = "keep"
xattrs = "drop"
platforms = ["arm64"]
[[source]]
from = "tar:x"

[[path]]
path = "/etc/motd"
type = "file"
text = "{arch} ${arch}\n"
mode = "0640"
uid = "app"
gid = 7
xattrs = { "user.x" = "0x00ff" }
capabilities = "cap_net_raw=ep"
[[path]]
path = "/srv/x"
type = "file"
source = "files/{arch}"
platforms = ["amd64"]
[[path]]
path = "/etc/**"
type = "permissions"
recursive = true
uid = "12"
outputs = ["image"]
[[path]]
path = "/dev/null"
type = "char"
major = 1
minor = 3
[[path]]
path = "/bin/sh"
type = "symlink"
target = "busybox"

[[links]]
target = "/bin/busybox"
names = ["/bin/ls"]
kind = "hardlink"
[[links]]
target = "/bin/busybox"
names-from = "busybox.links"

[[user]]
name = "app"
uid = 10000
gid = "app"
groups = ["www"]
comment = "App"
home = "/srv"
shell = "/bin/sh"
[[group]]
name = "app"
gid = 10000
members = ["app"]

[[layer]]
name = "libraries"
include = ["/usr/lib"]
exclude = ["**/*.py"]

[config]
entrypoint = ["/bin/app"]
cmd = []
env = { ARCH = "{arch}" }
labels = { l = "1" }
workdir = "/srv"
user = "app:app"
expose = [80, "53/udp"]
volumes = ["/data"]
stop-signal = "SIGINT"
shell = ["/bin/sh", "-c"]
[config.healthcheck]
test = ["CMD", "/bin/ok"]
interval = "30s"
timeout = "1s"
start-period = "1m"
start-interval = "500ms"
retries = 3

[annotations]
"org.opencontainers.image.source" = "https://example.org"

[bundle]
programs = ["app", "/usr/bin/{arch}"]
root = "oci:base"
include = ["/usr/share/app"]
exclude = ["**/*.a"]
with = ["ca", "nss"]
directories = ["/tmp"]
install-to = "/bin/"

[verify]
static = true
libc = "glibc"
max-size = "5 MB"
allow = [{ code = "lib-missing", path = "/usr/lib/**", reason = "plugin" }]

[initramfs]
init = "/sbin/init"
compression = "zstd"
"#;

    #[test]
    fn every_key_that_is_defined_is_read() {
        let loaded = load(EVERYTHING.as_bytes(), Path::new("r.toml"), &|_| Err(io::ErrorKind::NotFound.into()));
        let reader = Reader::new(&loaded.files);
        parts(&Section { table: &keys::RECIPE, node: &loaded.merged, reader: &reader }, &[]);
        for table in keys::tables() {
            for key in table.keys {
                assert!(reader.asked.borrow().contains(&(table.header, key.name)), "{} {}", table.header, key.name);
                assert!(EVERYTHING.contains(key.name), "the example lacks {}", key.name);
            }
        }
    }

    /// A recipe that is cut off anywhere, or damaged in any byte, is understood or refused, and its faults can be shown.
    #[test]
    fn no_text_is_too_broken_to_be_told_about() {
        let loader = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let mut refused = 0;
        let mut read = |bytes: &[u8]| {
            if let Err(faults) = parse(bytes, Path::new("r.toml"), &loader) {
                refused += 1;
                assert!(!faults.faults.is_empty());
                for fault in &faults.faults {
                    let text = &faults.files[fault.place.file].text;
                    assert!(fault.place.span.start <= fault.place.span.end && fault.place.span.end <= text.len());
                }
                assert!(faults.to_string().lines().all(|line| line.starts_with("r.toml:")));
            }
        };
        let bytes = EVERYTHING.as_bytes();
        for place in (0..bytes.len()).step_by(5) {
            read(&bytes[..place]);
            // Characters that mean something in TOML do the most damage.
            let other = b"\"'[]{}=,.#\n\xff\0"[place / 5 % 13];
            read(&[&bytes[..place], &[other], &bytes[place + 1..]].concat());
        }
        assert!(refused > bytes.len() / 10, "{refused}");
    }

    #[test]
    fn numbers_are_read_as_toml_writes_them() {
        let recipe = recipe(&format!("{HEAD}user = [{{ name = 'a', uid = 1_000 }}, {{ name = 'b', uid = 0x10 }}]"));
        assert_eq!(recipe.users.iter().map(|user| user.uid).collect::<Vec<_>>(), [1000, 16]);
    }

    #[test]
    fn everything_arrives() {
        let recipe = recipe(EVERYTHING);
        let (amd64, arm64) = (&recipe.platforms[0], &recipe.platforms[1]);
        assert_eq!(recipe.name.as_ref().unwrap().to_string(), "docker.io/you/app");
        assert_eq!(recipe.tags.len(), 2);
        assert_eq!(recipe.created.unwrap().to_string(), "2026-01-01T00:00:00Z");
        let base = recipe.base.as_ref().unwrap();
        assert_eq!((base.scheme, base.path_for(arm64)), ("oci-archive", PathBuf::from("base-arm64.tar:1")));

        let [source, archive] = &recipe.sources[..] else { panic!("{:?}", recipe.sources) };
        assert_eq!(source.from.for_platform(amd64), Path::new("stage/amd64"));
        assert_eq!(source.to.fill_in(amd64), "/opt/amd64");
        assert_eq!((source.owner, source.modes), (Owner::Ids { uid: 10, gid: 20 }, Modes::Normal));
        assert_eq!((source.times, source.xattrs, source.kind), (Some(Times::Keep), false, SourceKind::Found));
        assert!(source.is_for(arm64) && !source.is_for(amd64));
        assert_eq!(source.origin.to_string(), "r.toml:10");
        assert_eq!((archive.kind, archive.owner), (SourceKind::Tar, Owner::Ids { uid: 0, gid: 0 }));

        let [motd, srv, etc, null, sh] = &recipe.paths[..] else { panic!("{:?}", recipe.paths) };
        let PathAction::File(FileContent::Text(text), attributes) = &motd.action else { panic!("{motd:?}") };
        assert_eq!(text.fill_in(amd64), "amd64 ${arch}\n");
        assert_eq!(attributes.uid, Some(Id::Name("app".into())));
        assert_eq!(attributes.xattrs.len(), 2);
        assert!(matches!(&srv.action, PathAction::File(FileContent::Source(_), _)));
        assert!(srv.is_for(amd64, Output::Image) && !srv.is_for(arm64, Output::Image));
        let PathAction::Permissions { paths, recursive: true, attributes } = &etc.action else { panic!("{etc:?}") };
        assert!(paths.matcher(amd64).matches(&"/etc/x/y".parse().unwrap()));
        assert_eq!(attributes.uid, Some(Id::Number(12)));
        assert!(!etc.is_for(amd64, Output::Initramfs));
        assert!(!null.is_for(amd64, Output::Image) && null.is_for(amd64, Output::Initramfs));
        assert!(matches!(&sh.action, PathAction::Symlink(target, _) if target.as_str() == "busybox"));

        assert!(matches!(&recipe.links[0].names, LinkNames::List(names) if names.len() == 1));
        assert_eq!(recipe.links[0].kind, LinkKind::Hardlink);
        assert!(matches!(&recipe.links[1].names, LinkNames::From(_)));
        assert_eq!(recipe.links[1].kind, LinkKind::Symlink);
        assert_eq!(recipe.users[0].home.as_ref().unwrap().to_string(), "/srv");
        assert_eq!(recipe.groups[0].members, ["app"]);
        assert!(recipe.layers[0].matcher(amd64).takes(&"/usr/lib/x".parse().unwrap()));

        let config = recipe.config_for(arm64);
        assert_eq!(config.env["ARCH"], "arm64");
        assert_eq!(config.expose.iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.start_interval, check.retries), (30_000_000_000, 500_000_000, 3));
        let bundle = recipe.bundle.as_ref().unwrap();
        assert_eq!(bundle.programs[1].fill_in(&recipe.platforms[1]), "/usr/bin/arm64");
        assert_eq!(bundle.with.iter().map(|extra| extra.word()).collect::<Vec<_>>(), ["nss", "ca"]);
        assert_eq!(recipe.annotations.len(), 1);
        assert_eq!((recipe.verify.libc, recipe.verify.max_size), (Some(RequiredLibc::Glibc), Some(5_000_000)));
        assert_eq!(recipe.verify.allow[0].reason.as_deref(), Some("plugin"));
        assert_eq!(recipe.initramfs.init.as_ref().unwrap().to_string(), "/sbin/init");
        assert_eq!(recipe.initramfs.compression, Some(InitramfsCompression::Zstd));
    }

    #[test]
    fn an_included_recipe_lies_below_the_one_that_includes_it() {
        let files = [
            (
                "parts/common.toml",
                "include = ['more.toml']\nname = 'common'\ntags = ['common']\nplatforms = ['arm64']\n\
                 [[source]]\nfrom = 'a'\n[config]\ncmd = ['common']\nworkdir = '/common'\nenv = { A = '1', B = '1' }",
            ),
            ("parts/more.toml", "[[source]]\nfrom = 'first'\n"),
        ];
        let text = "include = ['./parts/common.toml', 'parts/../parts/more.toml']\nname = 'own'\n\
                    [[source]]\nfrom = 'b'\n[config]\ncmd = ['own']\nenv = { B = '2' }";
        let recipe = parsed(text, &files).unwrap();
        let platform = Platform::new(Arch::Arm64);
        assert_eq!(recipe.name.as_ref().unwrap().short_name(), "own");
        assert_eq!(recipe.tags[0].as_str(), "common");
        let from: Vec<PathBuf> = recipe.sources.iter().map(|source| source.from.for_platform(&platform)).collect();
        assert_eq!(from, [Path::new("parts/first"), Path::new("parts/a"), Path::new("b")]);
        assert_eq!(recipe.sources[1].origin.to_string(), "parts/common.toml:5");
        let config = recipe.config_for(&platform);
        assert_eq!(config.cmd.unwrap(), ["own"]);
        assert_eq!(config.workdir.unwrap(), "/common");
        assert_eq!(config.env.into_iter().collect::<Vec<_>>(), [("A".into(), "1".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn a_circle_of_includes_is_a_fault_where_it_closes() {
        let files = [("a.toml", "include = ['b.toml']"), ("b.toml", "include = ['r.toml']")];
        let faults = parsed(&format!("include = ['a.toml']\n{HEAD}"), &files).unwrap_err();
        assert_eq!(faults.to_string(), "b.toml:1: a recipe cannot include itself");
        assert_eq!(faults.faults[0].help.as_deref(), Some("the include cycle: r.toml → a.toml → b.toml → r.toml"));
        // A folder that is a link to itself makes endless names for one file.
        let endless = |_: &Path| Ok(b"include = ['x/r.toml']".to_vec());
        let faults = parse(b"include = ['x/r.toml']", Path::new("r.toml"), &endless).unwrap_err();
        assert_eq!(faults.faults.last().unwrap().message, "files include each other more than 16 levels deep");
    }

    #[test]
    fn a_recipe_that_is_not_there_is_a_missing_input_and_a_wrong_one_is_not() {
        use crate::failure::{Failure, FailureKind};
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Input);
        assert_eq!(error.hint().as_deref(), Some("a recipe is a .toml file, or a directory with a recipe.toml"));
        std::fs::write(folder.path().join("recipe.toml"), "x = 1").unwrap();
        assert_eq!(read(folder.path()).unwrap_err().kind(), FailureKind::Recipe);
        std::fs::write(folder.path().join("recipe.toml"), HEAD).unwrap();
        let recipe = read(folder.path()).unwrap();
        let platform = Platform::new(Arch::Arm64);
        assert_eq!(recipe.sources[0].from.for_platform(&platform), folder.path().join("x"));
    }
}
