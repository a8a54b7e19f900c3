//! The one definition of every key: its name, its type and what it does.
//!
//! The parser asks here whether a key exists and has the right type, the hints for unknown keys are taken from here, and
//! the JSON schema and the tables of `docs/recipe.md` are made from it. So none of them can differ from another.

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
    /// A moment: a TOML date with time, or a text.
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
    /// Its name.
    pub(crate) name: &'static str,
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
    description: "What goes into an image or an initramfs, and how it is started.",
    keys: &[
        key("name", Shape::Text, "Name of the image, without a tag: `docker.io/you/app`."),
        key("tags", Shape::Texts, "Tags of the image. Default: `latest`."),
        required(
            "platforms",
            Shape::Texts,
            "Platforms to make: `linux/amd64`, `linux/arm64`, a variant where one is meant (`linux/arm64/v8`).",
        ),
        key(
            "created",
            Shape::Moment,
            "Date of the image and of its files. `SOURCE_DATE_EPOCH` wins over it. Default: 1980-01-01T00:00:00Z.",
        ),
        key(
            "include",
            Shape::Texts,
            "Recipes to read first, relative to this file. Tables are merged key by key and this file wins; lists of \
             tables are put one behind the other, the included ones first; a file is taken once.",
        ),
        key("source", Shape::Tables(&SOURCE), "Trees that are copied, in order."),
        key(
            "bundle",
            Shape::Table(&BUNDLE),
            "Programs that are taken out of a root with what they need, before all sources.",
        ),
        key("path", Shape::Tables(&PATH), "Declared entries and rules, applied last, in order."),
        key("links", Shape::Tables(&LINKS), "Many names for one program."),
        key("user", Shape::Tables(&USER), "Users for `/etc/passwd`."),
        key("group", Shape::Tables(&GROUP), "Groups for `/etc/group`."),
        key("layer", Shape::Tables(&LAYER), "What goes into which layer."),
        key("config", Shape::Table(&CONFIG), "How a container is started."),
        key("annotations", Shape::TextMap, "Annotations of the image, such as `org.opencontainers.image.source`."),
        key("verify", Shape::Table(&VERIFY), "What the verifier is told."),
        key("initramfs", Shape::Table(&INITRAMFS), "How an initramfs is made, when the output is one."),
    ],
};

/// `[[source]]`.
pub(crate) static SOURCE: Table = Table {
    header: "[[source]]",
    description: "A tree that is copied. Sources are copied in order, and a later entry replaces an earlier one. The \
                  first source may be a base image instead; its layers then stay as they are below the new ones.",
    keys: &[
        required(
            "from",
            Shape::Text,
            "A directory, a tar (plain, `.gz`, `.zst`, `.xz`) or a Debian package, relative to this file; `rootfs:` and \
             `tar:` say which without looking. In the first source also an image: `oci:DIR[:TAG]`, \
             `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]`. `{os}`, `{arch}`, `{variant}` and `{platform}` are \
             filled in.",
        ),
        key("to", Shape::Text, "The directory of the image in which its root lands. Default: `/`."),
        key(
            "include",
            Shape::Texts,
            "Globs, relative to the source, of what is taken; a directory is taken with all that it holds. Each must \
             match something. Default: everything.",
        ),
        key("exclude", Shape::Texts, "Globs of what is left out, with all below it; it is not even read."),
        key("owner", Shape::Text, "`UID:GID` for all files, or `keep` for the owners found there. Default: `0:0`."),
        key(
            "modes",
            Shape::Choice(&["keep", "normal"]),
            "`keep` takes the mode bits found there; `normal` makes them 0755 for directories and whatever can be \
             executed, 0644 for the rest, as is right for files out of a checkout. Default: `keep`.",
        ),
        key(
            "times",
            Shape::Choice(&["epoch", "clamp", "keep"]),
            "`epoch` gives all files the date of the build, `clamp` lowers later times to it, `keep` takes the times \
             found there. Default: `epoch` for directories, `clamp` for archives.",
        ),
        key(
            "xattrs",
            Shape::Choice(&["keep", "drop"]),
            "Whether extended attributes are taken. Kept are `security.capability` and `user.*`; what belongs to the \
             machine that made the tree is never taken. Default: `keep`.",
        ),
        key("platforms", Shape::Texts, PLATFORMS),
    ],
};

/// `[bundle]`.
pub(crate) static BUNDLE: Table = Table {
    header: "[bundle]",
    description: "Programs that are taken out of a root with what they need and nothing else: loader, libraries and \
                  interpreters, found as the verifier finds them. It comes before the sources. Owner is root, modes stay, \
                  and files get the date of the build.",
    keys: &[
        required(
            "programs",
            Shape::Texts,
            "The programs: paths in the root, or names that are looked up in its PATH. `{arch}` and the others are filled \
             in.",
        ),
        key(
            "root",
            Shape::Text,
            "The root that they are in, relative to this file: a directory, a tar, or an image (`oci:DIR[:TAG]`, an \
             archive). `{arch}` and the others are filled in. Default: `/`, the root of this machine.",
        ),
        key("include", Shape::Texts, "Globs of what else is taken, with the libraries that it needs."),
        key("exclude", Shape::Texts, "Globs of what is left out, whoever needs it."),
        key(
            "with",
            Shape::Choices(&EXTRA_NAMES),
            "What programs open without saying so before: `nss` (names of hosts and users), `gconv` (character sets), `ca` \
             (certificates), `zoneinfo` (time zones).",
        ),
        key("directories", Shape::Texts, "Empty directories to make."),
        key(
            "install-to",
            Shape::Text,
            "Where the programs land instead: a path, or a directory when it ends with `/`.",
        ),
    ],
};

/// What a bundle can be given besides, in the order of [`super::Extra`].
pub(crate) const EXTRA_NAMES: [&str; 4] = ["nss", "gconv", "ca", "zoneinfo"];

/// `[[path]]`.
pub(crate) static PATH: Table = Table {
    header: "[[path]]",
    description: "A declared entry or a rule. They are applied last, in order, each to what is there by then.",
    keys: &[
        required(
            "path",
            Shape::Text,
            "The path in the image; for `permissions` and `remove` a glob. `{arch}` and the others are filled in.",
        ),
        required("type", Shape::Choice(&PATH_TYPE_NAMES), "What happens there; see below."),
        key(
            "mode",
            Shape::Text,
            "Mode as chmod takes it in digits: `\"0755\"`, `\"1777\"`. Default: 0755 for directories, 0644 for files and \
             pipes (0755 for a `source` that can be executed), 0600 for devices; what is there already keeps its own.",
        ),
        key("uid", ID, "Owner: a number, or a name of `/etc/passwd`. Default: 0."),
        key("gid", ID, "Group: a number, or a name of `/etc/group`. Default: 0."),
        key("recursive", Shape::Flag, "Whether everything below is changed too, as `chmod -R` does. Default: false."),
        key("source", Shape::Text, "The file of this machine to copy, relative to this file; `{arch}` is filled in."),
        key(
            "text",
            Shape::Text,
            "The text of the file. `{os}`, `{arch}`, `{variant}` and `{platform}` are filled in; `${arch}` is not.",
        ),
        key(
            "target",
            Shape::Text,
            "What the link points at: for a symlink its text, for a hard link the path of a file in the image.",
        ),
        key("major", Shape::Number(MAJOR_MAX), "Major number of the device."),
        key("minor", Shape::Number(MINOR_MAX), "Minor number of the device."),
        key(
            "xattrs",
            Shape::TextMap,
            "Extended attributes to set, `user.*` or `system.posix_acl_*`; a value that starts with `0x` is bytes in \
             hexadecimal digits.",
        ),
        key("capabilities", Shape::Text, "File capabilities in setcap's text form: `cap_net_raw=eip`."),
        key(
            "outputs",
            Shape::Choices(&["image", "initramfs"]),
            "Only in these outputs. Default: both, but device nodes only in an initramfs.",
        ),
        key("platforms", Shape::Texts, PLATFORMS),
    ],
};

const PATH_TYPE_NAMES: [&str; 10] =
    ["directory", "file", "empty-file", "symlink", "hardlink", "char", "block", "fifo", "permissions", "remove"];

/// The keys that every type of `[[path]]` has.
pub(crate) static PATH_KEYS: [&str; 4] = ["path", "type", "outputs", "platforms"];

/// The types of `[[path]]`, in the order of the choice in its table.
pub(crate) static PATH_TYPES: [PathType; 10] = [
    PathType {
        name: PATH_TYPE_NAMES[0],
        description: "Makes a directory. One that is there stays with what it holds, and gets what is given here.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs"],
    },
    PathType {
        name: PATH_TYPE_NAMES[1],
        description: "Makes a file out of `text` or `source`, in place of a file or link that is there.",
        required: &[],
        allowed: &["text", "source", "mode", "uid", "gid", "xattrs", "capabilities"],
    },
    PathType {
        name: PATH_TYPE_NAMES[2],
        description: "Makes an empty file, in place of a file or link that is there.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs"],
    },
    PathType {
        name: PATH_TYPE_NAMES[3],
        description: "Makes a symlink with the text `target`, in place of a file or link that is there.",
        required: &["target"],
        allowed: &["uid", "gid"],
    },
    PathType {
        name: PATH_TYPE_NAMES[4],
        description: "Gives the file `target` one more name; owner, mode and contents are shared.",
        required: &["target"],
        allowed: &[],
    },
    PathType {
        name: PATH_TYPE_NAMES[5],
        description: "Makes a character device.",
        required: &["major", "minor"],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        name: PATH_TYPE_NAMES[6],
        description: "Makes a block device.",
        required: &["major", "minor"],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        name: PATH_TYPE_NAMES[7],
        description: "Makes a named pipe.",
        required: &[],
        allowed: &["mode", "uid", "gid"],
    },
    PathType {
        name: PATH_TYPE_NAMES[8],
        description: "Changes mode, owner or attributes of what the glob matches; it must match something.",
        required: &[],
        allowed: &["mode", "uid", "gid", "xattrs", "capabilities", "recursive"],
    },
    PathType {
        name: PATH_TYPE_NAMES[9],
        description: "Takes away what the glob matches, with all below it; it must match something.",
        required: &[],
        allowed: &[],
    },
];

/// `[[links]]`.
pub(crate) static LINKS: Table = Table {
    header: "[[links]]",
    description: "Many names for one program, as `busybox --install` makes them, for any architecture. A name that is \
                  taken already stays what it is.",
    keys: &[
        required("target", Shape::Text, "The program: a path in the image. It must be there."),
        key("names", Shape::Texts, "The names: paths in the image."),
        key(
            "names-from",
            Shape::Text,
            "A file of this machine with one path per line, such as BusyBox's `busybox.links`, relative to this file.",
        ),
        key("kind", Shape::Choice(&["symlink", "hardlink"]), "What the names are. Default: `symlink`."),
    ],
};

/// `[[user]]`.
pub(crate) static USER: Table = Table {
    header: "[[user]]",
    description: "A user, merged into `/etc/passwd` (and `/etc/shadow` where there is one, with a locked password). \
                  Lines that are there stay as they are.",
    keys: &[
        required("name", Shape::Text, "Name."),
        required("uid", Shape::Number(ID_MAX), "Number."),
        key(
            "gid",
            ID,
            "Group, by number or name. Default: the group of the user's name, made with the number `uid` if there is \
             none.",
        ),
        key("groups", Shape::Texts, "Further groups that the user is in, by name."),
        key("comment", Shape::Text, "The comment field. Default: empty."),
        key("home", Shape::Text, "Home directory; it is not made. Default: `/root` for root, else `/`."),
        key("shell", Shape::Text, "Login shell. Default: `/bin/sh` for root, else `/sbin/nologin`."),
    ],
};

/// `[[group]]`.
pub(crate) static GROUP: Table = Table {
    header: "[[group]]",
    description: "A group, merged into `/etc/group` (and `/etc/gshadow` where there is one). Lines that are there stay \
                  as they are.",
    keys: &[
        required("name", Shape::Text, "Name."),
        required("gid", Shape::Number(ID_MAX), "Number."),
        key("members", Shape::Texts, "Names of its members."),
    ],
};

/// `[[layer]]`.
pub(crate) static LAYER: Table = Table {
    header: "[[layer]]",
    description: "What goes into one layer. The first layer that takes a path has it; what none takes goes into one \
                  more, the last.",
    keys: &[
        key("name", Shape::Text, "What the history of the image calls it."),
        required("include", Shape::Texts, "Globs of what it takes; a directory is taken with all that it holds."),
        key("exclude", Shape::Texts, "Globs of what it leaves to the others."),
    ],
};

/// `[config]`.
pub(crate) static CONFIG: Table = Table {
    header: "[config]",
    description: "How a container is started. `{os}`, `{arch}`, `{variant}` and `{platform}` are filled in for each \
                  platform. On top of a base image, what is not named stays.",
    keys: &[
        key("entrypoint", Shape::Texts, "First words of the command line."),
        key("cmd", Shape::Texts, "Further words, which `docker run IMAGE …` replaces."),
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
        key("timeout", Shape::Text, "When a check counts as failed."),
        key("start-period", Shape::Text, "Time to start up, in which failures do not count."),
        key("start-interval", Shape::Text, "Time between two checks while starting."),
        key("retries", Shape::Number(u32::MAX as u64), "How many failures in a row make it unhealthy."),
    ],
};

/// `[verify]`.
pub(crate) static VERIFY: Table = Table {
    header: "[verify]",
    description: "What the verifier is told.",
    keys: &[
        key("static", Shape::Flag, "Nothing may need a loader. Default: false."),
        key("libc", Shape::Choice(&["musl", "glibc"]), "Refuse what needs another C library."),
        key(
            "max-size",
            Shape::NumberOrText(u64::MAX),
            "The largest size of the uncompressed tree: bytes, or with a unit, `\"5 MB\"`, `\"512 KiB\"`.",
        ),
        key("allow", Shape::Tables(&ALLOW), "Findings that are accepted."),
    ],
};

/// `[[verify.allow]]`.
pub(crate) static ALLOW: Table = Table {
    header: "[[verify.allow]]",
    description: "A finding that is accepted.",
    keys: &[
        required("code", Shape::Text, "Its code, such as `lib-missing`."),
        key("path", Shape::Text, "A glob of the paths on which it is accepted. Default: all."),
        key("reason", Shape::Text, "Why."),
    ],
};

/// `[initramfs]`.
pub(crate) static INITRAMFS: Table = Table {
    header: "[initramfs]",
    description: "How an initramfs is made, when the output is one.",
    keys: &[
        key("init", Shape::Text, "The program that the kernel starts. Default: `/init`."),
        key(
            "compression",
            Shape::Choice(&["none", "gzip", "zstd", "xz"]),
            "How it is compressed. Default: as the output's name says.",
        ),
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
                assert!(PATH.key(name).is_some(), "{} {name}", path_type.name);
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
