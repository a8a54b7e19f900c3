//! The one definition of every key: its name, its type and what it does.
//!
//! The parser asks here whether a key exists and has the right type, the hints for unknown keys are taken from here, and
//! the JSON schema and the tables of `docs/recipe.md` are made from it. So none of them can differ from another.

use super::choice::{
    Choice, Extra, InitramfsCompression, LinkKind, Modes, Output, PathKind, RequiredLibc, SourceXattrs, Times,
};

/// A table of a recipe.
#[derive(Debug)]
pub(crate) struct Table {
    /// As it is written in a recipe: `[[source]]`.
    pub(crate) header: &'static str,
    /// What it is for.
    pub(crate) description: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// The type of its value.
    pub(crate) shape: Shape,
    /// Whether the table is wrong without it.
    pub(crate) required: bool,
    /// What it does.
    pub(crate) description: &'static str,
}

/// The type of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// A text that is one of these.
    Choice(&'static [&'static str]),
    /// A whole number from 0 to this one.
    Number(u64),
    /// A whole number from 0 to this one, or a text.
    NumberOrText(u64),
    /// `true` or `false`.
    Flag,
    /// A date with time, as TOML has it, or a text.
    Moment,
    /// A list of texts.
    Texts,
    /// A list of texts that are among these.
    Choices(&'static [&'static str]),
    /// A list of texts and whole numbers.
    NumbersOrTexts,
    /// A table of texts whose keys are free.
    TextMap,
    /// A table.
    Table(&'static Table),
    /// A list of tables.
    Tables(&'static Table),
}

/// The kinds of `[[path]]`, with the keys that each may have besides those that all have.
#[derive(Debug)]
pub(crate) struct PathType {
    /// Which it is.
    pub(crate) kind: PathKind,
    /// What it does.
    pub(crate) description: &'static str,
    /// Keys that it must have.
    pub(crate) required: &'static [&'static str],
    /// Keys that it may have.
    pub(crate) allowed: &'static [&'static str],
}

const fn key(name: &'static str, shape: Shape, description: &'static str) -> Key {
    Key { name, shape, required: false, description }
}

const fn required(name: &'static str, shape: Shape, description: &'static str) -> Key {
    Key { name, shape, required: true, description }
}

/// The largest id that Linux takes: −1 means "no change" to chown(2).
pub(crate) const ID_MAX: u64 = 0xffff_fffe;
const MAJOR_MAX: u64 = 0xfff;
const MINOR_MAX: u64 = 0xf_ffff;

const ID: Shape = Shape::NumberOrText(ID_MAX);
const PLATFORMS: &str = "Only for these platforms. Default: all.";

/// The recipe itself.
pub(crate) static RECIPE: Table = Table {
    header: "the recipe",
    description: "What goes into an image or initramfs, and how it is started.",
    keys: &[
        key("name", Shape::Text, "Name of the image, without a tag: `docker.io/you/app`."),
        key("tags", Shape::Texts, "Tags of the image. Default: `latest`."),
        required(
            "platforms",
            Shape::Texts,
            "Platforms to build: `linux/amd64`, `linux/arm64`, `linux/arm/v7` or another of OCI's.",
        ),
        key(
            "created",
            Shape::Moment,
            "Date of the image and of its files. `SOURCE_DATE_EPOCH` overrides it. Default: 1980-01-01T00:00:00Z.",
        ),
        key(
            "include",
            Shape::Texts,
            "Recipes to read first, relative to this file. Tables are merged key by key, and this file overrides \
             them; lists of tables are concatenated, the included ones first; each file is read once.",
        ),
        key("source", Shape::Tables(&SOURCE), "Trees to copy, in order."),
        key(
            "bundle",
            Shape::Table(&BUNDLE),
            "Programs to copy from a root with everything they need, before all sources.",
        ),
        key("path", Shape::Tables(&PATH), "Entries and rules, applied last, in order."),
        key("links", Shape::Tables(&LINKS), "Many names for one program."),
        key("user", Shape::Tables(&USER), "Users for `/etc/passwd`."),
        key("group", Shape::Tables(&GROUP), "Groups for `/etc/group`."),
        key("layer", Shape::Tables(&LAYER), "What goes into which layer."),
        key("config", Shape::Table(&CONFIG), "How a container is started."),
        key("annotations", Shape::TextMap, "Annotations of the image, such as `org.opencontainers.image.source`."),
        key("verify", Shape::Table(&VERIFY), "Settings of the verification."),
        key("initramfs", Shape::Table(&INITRAMFS), "How an initramfs output is made."),
    ],
};

/// `[[source]]`.
pub(crate) static SOURCE: Table = Table {
    header: "[[source]]",
    description: "A tree to copy. Sources are copied in order, and a later entry replaces an earlier one. The first \
                  source may be a base image; its layers then stay unchanged below the new ones.",
    keys: &[
        required(
            "from",
            Shape::Text,
            "A directory, a tar (plain, `.gz`, `.zst`, `.xz`) or a Debian package, relative to this file; the \
             prefixes `rootfs:` and `tar:` set the type instead of detecting it. In the first source also an image: \
             `oci:DIR[:TAG]`, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]`, or in a registry \
             `docker://HOST/NAME[:TAG]@sha256:…`. `{os}`, `{arch}`, `{variant}` and `{platform}` are filled in.",
        ),
        key("to", Shape::Text, "The directory in the image to copy to. Default: `/`."),
        key(
            "include",
            Shape::Texts,
            "Globs, relative to the source, of the paths to copy; a directory is copied with its contents. Each must \
             match something. Default: everything.",
        ),
        key(
            "exclude",
            Shape::Texts,
            "Globs of paths to leave out, with everything below them; these are not read at all.",
        ),
        key("owner", Shape::Text, "`UID:GID` for all files, or `keep` for the owners in the source. Default: `0:0`."),
        key(
            "modes",
            Shape::Choice(Modes::WORDS),
            "`keep` copies the mode bits of the source; `normal` sets 0755 for directories and executable files, and \
             0644 for the rest, which suits files from a checkout. Default: `keep`.",
        ),
        key(
            "times",
            Shape::Choice(Times::WORDS),
            "`epoch` gives all files the date of the image, `clamp` lowers later times to it, `keep` copies the \
             times of the source. Default: `epoch` for directories, `clamp` for archives.",
        ),
        key(
            "xattrs",
            Shape::Choice(SourceXattrs::WORDS),
            "Whether to copy extended attributes. Only `security.capability` and `user.*` are copied; attributes \
             that belong to the build machine never are. Default: `keep`.",
        ),
        key("platforms", Shape::Texts, PLATFORMS),
    ],
};

/// `[bundle]`.
pub(crate) static BUNDLE: Table = Table {
    header: "[bundle]",
    description: "Programs to copy from a root, with the files that they need to run and nothing else: loader, \
                  libraries and interpreters, found as the verifier finds them. It is applied before the sources. \
                  The owner is root, modes are kept, and files get the date of the image.",
    keys: &[
        required(
            "programs",
            Shape::Texts,
            "The programs: paths in the root, or names to look up in its PATH. Placeholders such as `{arch}` are \
             filled in.",
        ),
        key(
            "root",
            Shape::Text,
            "The root that contains them, relative to this file: a directory, a tar, or an image (`oci:DIR[:TAG]`, \
             an archive). Placeholders such as `{arch}` are filled in. Default: `/`, the root of this machine.",
        ),
        key("include", Shape::Texts, "Globs of more paths to include, with the libraries that they need."),
        key("exclude", Shape::Texts, "Globs of paths to exclude, even if something needs them."),
        key(
            "with",
            Shape::Choices(Extra::WORDS),
            "Files that programs load at run time and that cannot be detected: `nss` (names of hosts and users), \
             `gconv` (character sets), `ca` (certificates), `zoneinfo` (time zones).",
        ),
        key("directories", Shape::Texts, "Empty directories to make."),
        key(
            "install-to",
            Shape::Text,
            "Where to put the programs instead: a path, or a directory if it ends with `/`.",
        ),
    ],
};

/// `[[path]]`.
pub(crate) static PATH: Table = Table {
    header: "[[path]]",
    description: "An entry or a rule. They are applied last, in order, each to the result of the previous steps.",
    keys: &[
        required(
            "path",
            Shape::Text,
            "The path in the image; for `permissions` and `remove` a glob. Placeholders such as `{arch}` are filled \
             in.",
        ),
        required("type", Shape::Choice(PathKind::WORDS), "What to do with the path; see below."),
        key(
            "mode",
            Shape::Text,
            "Mode in octal digits, as for chmod: `\"0755\"`, `\"1777\"`. Default: 0755 for directories, 0644 for \
             files and pipes (0755 for an executable `source`), 0600 for devices; an existing entry keeps its mode.",
        ),
        key("uid", ID, "Owner: a number, or a name of `/etc/passwd`. Default: 0."),
        key("gid", ID, "Group: a number, or a name of `/etc/group`. Default: 0."),
        key("recursive", Shape::Flag, "Whether to change everything below too, like `chmod -R`. Default: false."),
        key(
            "source",
            Shape::Text,
            "The file to copy, a path on this machine relative to the recipe; placeholders such as `{arch}` are \
             filled in.",
        ),
        key(
            "text",
            Shape::Text,
            "The text of the file. Placeholders such as `{arch}` are filled in; `${arch}` is not one.",
        ),
        key(
            "target",
            Shape::Text,
            "The target of the link: for a symlink its text, for a hard link the path of a file in the image.",
        ),
        key("major", Shape::Number(MAJOR_MAX), "Major number of the device."),
        key("minor", Shape::Number(MINOR_MAX), "Minor number of the device."),
        key(
            "xattrs",
            Shape::TextMap,
            "Extended attributes to set, `user.*` or `system.posix_acl_*`; a value that starts with `0x` is \
             hexadecimal.",
        ),
        key("capabilities", Shape::Text, "File capabilities in the text format of setcap: `cap_net_raw=eip`."),
        key(
            "outputs",
            Shape::Choices(Output::WORDS),
            "Only for these outputs. Default: both, but device nodes only in an initramfs.",
        ),
        key("platforms", Shape::Texts, PLATFORMS),
    ],
};

/// The keys that every type of `[[path]]` has.
pub(crate) static PATH_KEYS: [&str; 4] = ["path", "type", "outputs", "platforms"];

/// The types of `[[path]]`, in the order of the documentation.
pub(crate) static PATH_TYPES: [PathType; 10] = [
    PathType {
        kind: PathKind::Directory,
        description: "Creates a directory. An existing directory keeps its contents and gets the attributes given \
                      here.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs"],
    },
    PathType {
        kind: PathKind::File,
        description: "Creates a file from `text` or `source`. Replaces an existing file or link.",
        required: &[],
        allowed: &["text", "source", "mode", "uid", "gid", "xattrs", "capabilities"],
    },
    PathType {
        kind: PathKind::EmptyFile,
        description: "Creates an empty file. Replaces an existing file or link.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs"],
    },
    PathType {
        kind: PathKind::Symlink,
        description: "Creates a symlink with the text `target`. Replaces an existing file or link.",
        required: &["target"],
        allowed: &["uid", "gid"],
    },
    PathType {
        kind: PathKind::Hardlink,
        description: "Creates another name for the file `target`; owner, mode and contents are shared.",
        required: &["target"],
        allowed: &[],
    },
    PathType {
        kind: PathKind::Char,
        description: "Creates a character device.",
        required: &["major", "minor"],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        kind: PathKind::Block,
        description: "Creates a block device.",
        required: &["major", "minor"],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        kind: PathKind::Fifo,
        description: "Creates a named pipe.",
        required: &[],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        kind: PathKind::Permissions,
        description: "Changes mode, owner or attributes of the paths that the glob matches; it must match something.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs", "capabilities", "recursive"],
    },
    PathType {
        kind: PathKind::Remove,
        description: "Removes the paths that the glob matches, with everything below them; it must match something.",
        required: &[],
        allowed: &[],
    },
];

/// `[[links]]`.
pub(crate) static LINKS: Table = Table {
    header: "[[links]]",
    description: "Many names for one program, like `busybox --install`, for any architecture. An existing path with \
                  such a name is not changed.",
    keys: &[
        required("target", Shape::Text, "The program: a path in the image. It must exist."),
        key("names", Shape::Texts, "The names: paths in the image."),
        key(
            "names-from",
            Shape::Text,
            "A file on this machine with one path per line, such as BusyBox's `busybox.links`, relative to the recipe.",
        ),
        key("kind", Shape::Choice(LinkKind::WORDS), "The type of the links. Default: `symlink`."),
    ],
};

/// `[[user]]`.
pub(crate) static USER: Table = Table {
    header: "[[user]]",
    description: "A user to add to `/etc/passwd` (and to `/etc/shadow` if that file exists, with a locked password). \
                  Existing lines are not changed.",
    keys: &[
        required("name", Shape::Text, "Name."),
        required("uid", Shape::Number(ID_MAX), "Number."),
        key(
            "gid",
            ID,
            "Group, by number or name. Default: the group with the user's name, which is added with the number `uid` \
             if it does not exist.",
        ),
        key("groups", Shape::Texts, "Names of the other groups of the user."),
        key("comment", Shape::Text, "The comment field. Default: empty."),
        key("home", Shape::Text, "Home directory; it is not created. Default: `/root` for root, otherwise `/`."),
        key("shell", Shape::Text, "Login shell. Default: `/bin/sh` for root, otherwise `/sbin/nologin`."),
    ],
};

/// `[[group]]`.
pub(crate) static GROUP: Table = Table {
    header: "[[group]]",
    description: "A group to add to `/etc/group` (and to `/etc/gshadow` if that file exists). Existing lines are not \
                  changed.",
    keys: &[
        required("name", Shape::Text, "Name."),
        required("gid", Shape::Number(ID_MAX), "Number."),
        key("members", Shape::Texts, "Names of its members."),
    ],
};

/// `[[layer]]`.
pub(crate) static LAYER: Table = Table {
    header: "[[layer]]",
    description: "The contents of one layer. A path goes into the first layer that includes it; all other paths go \
                  into one more layer, the last.",
    keys: &[
        key("name", Shape::Text, "Its name in the history of the image."),
        required("include", Shape::Texts, "Globs of the paths in it; a directory is included with its contents."),
        key("exclude", Shape::Texts, "Globs of paths to leave to other layers."),
    ],
};

/// `[config]`.
pub(crate) static CONFIG: Table = Table {
    header: "[config]",
    description: "How a container is started. Placeholders such as `{arch}` are filled in for each platform. With a base \
                  image, keys that are not set keep the base's values.",
    keys: &[
        key("entrypoint", Shape::Texts, "The program to start, with its first arguments."),
        key(
            "cmd",
            Shape::Texts,
            "Arguments of the entry point, or the command if there is none; `docker run IMAGE …` replaces it.",
        ),
        key("env", Shape::TextMap, "Environment."),
        key("labels", Shape::TextMap, "Labels."),
        key("workdir", Shape::Text, "Working directory."),
        key("user", Shape::Text, "`USER`, `UID`, `USER:GROUP` or `UID:GID`."),
        key("expose", Shape::NumbersOrTexts, "Ports: `80`, `\"53/udp\"`."),
        key("volumes", Shape::Texts, "Mount points of volumes."),
        key("stop-signal", Shape::Text, "Signal that stops the container: `SIGTERM`, `SIGRTMIN+3`, `9`."),
        key("healthcheck", Shape::Table(&HEALTHCHECK), "Docker's health check."),
        key("shell", Shape::Texts, "Docker's shell for commands in shell form."),
    ],
};

/// `[config.healthcheck]`.
pub(crate) static HEALTHCHECK: Table = Table {
    header: "[config.healthcheck]",
    description: "Docker's health check. Times are numbers with a unit: `500ms`, `30s`, `5m`, `1h`.",
    keys: &[
        required("test", Shape::Texts, "`[\"CMD\", …]`, `[\"CMD-SHELL\", line]` or `[\"NONE\"]`."),
        key("interval", Shape::Text, "Time between two checks."),
        key("timeout", Shape::Text, "Time after which a check counts as failed."),
        key("start-period", Shape::Text, "Time after start during which failures do not count."),
        key("start-interval", Shape::Text, "Time between two checks during the start period."),
        key(
            "retries",
            Shape::Number(u32::MAX as u64),
            "Number of consecutive failures after which the container is unhealthy.",
        ),
    ],
};

/// `[verify]`.
pub(crate) static VERIFY: Table = Table {
    header: "[verify]",
    description: "Settings of the verification.",
    keys: &[
        key("static", Shape::Flag, "Whether to refuse programs that are dynamically linked. Default: false."),
        key("libc", Shape::Choice(RequiredLibc::WORDS), "Refuse programs that need another C library."),
        key(
            "max-size",
            Shape::NumberOrText(u64::MAX),
            "The maximum size of the uncompressed tree: bytes, or with a unit, `\"5 MB\"`, `\"512 KiB\"`.",
        ),
        key("allow", Shape::Tables(&ALLOW), "Findings to accept."),
    ],
};

/// `[[verify.allow]]`.
pub(crate) static ALLOW: Table = Table {
    header: "[[verify.allow]]",
    description: "A finding to accept.",
    keys: &[
        required("code", Shape::Text, "Its code, such as `lib-missing`."),
        key("path", Shape::Text, "A glob of the paths for which to accept it. Default: all."),
        key("reason", Shape::Text, "Why."),
    ],
};

/// `[initramfs]`.
pub(crate) static INITRAMFS: Table = Table {
    header: "[initramfs]",
    description: "How an initramfs output is made.",
    keys: &[
        key("init", Shape::Text, "The program that the kernel starts. Default: `/init`."),
        key("compression", Shape::Choice(InitramfsCompression::WORDS), "Compression. Default: from the output's name."),
    ],
};

impl Table {
    /// The definition of a key.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Every table.
#[cfg(test)]
pub(crate) fn tables() -> [&'static Table; 13] {
    [
        &RECIPE,
        &BUNDLE,
        &SOURCE,
        &PATH,
        &LINKS,
        &USER,
        &GROUP,
        &LAYER,
        &CONFIG,
        &HEALTHCHECK,
        &VERIFY,
        &ALLOW,
        &INITRAMFS,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_type_has_is_a_key_of_its_table() {
        for path_type in &PATH_TYPES {
            for name in path_type.required.iter().chain(path_type.allowed).chain(&PATH_KEYS) {
                assert!(PATH.key(name).is_some(), "{} {name}", path_type.kind.word());
            }
        }
        for key in PATH.keys {
            let used =
                |path_type: &PathType| path_type.required.contains(&key.name) || path_type.allowed.contains(&key.name);
            assert!(PATH_KEYS.contains(&key.name) || PATH_TYPES.iter().any(used), "{}", key.name);
        }
    }

    #[test]
    fn no_key_is_there_twice() {
        for table in tables() {
            let mut names: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}: {names:?}", table.header);
        }
    }
}
