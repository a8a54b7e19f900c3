//! One `[[path]]`: a declared entry of the tree, or a rule about what is there.

use std::collections::BTreeSet;

use super::choice::Output;
use super::glob::Globs;
use super::template::{HostPath, RuleOrigin, Template};
use crate::platform::Platform;
use crate::tree::{DeviceNumber, Mode, Xattrs};

/// One `[[path]]`.
#[derive(Clone, Debug)]
pub struct PathRule {
    /// Where it was asked for.
    pub origin: RuleOrigin,
    /// The path; for `Permissions` and `Remove` a glob.
    pub path: Template,
    /// What happens there.
    pub action: PathAction,
    /// The outputs that it is for.
    pub outputs: BTreeSet<Output>,
    /// The platforms that it is for; empty stands for all.
    pub platforms: Vec<Platform>,
}

impl PathRule {
    /// Whether it is for this platform and output.
    pub fn is_for(&self, platform: &Platform, output: Output) -> bool {
        self.outputs.contains(&output) && is_among(&self.platforms, platform)
    }
}

/// What a `[[path]]` does.
#[derive(Clone, Debug)]
pub enum PathAction {
    /// Makes a directory, or changes one that is there.
    Directory(Attributes),
    /// Makes a file.
    File(FileContent, Attributes),
    /// Makes a symlink with this text in it.
    Symlink(Template, Attributes),
    /// Gives the file at this path one more name.
    Hardlink(Template),
    /// Makes a character device.
    Char(DeviceNumber, Attributes),
    /// Makes a block device.
    Block(DeviceNumber, Attributes),
    /// Makes a named pipe.
    Fifo(Attributes),
    /// Changes what is there.
    Permissions {
        /// Which paths.
        paths: Globs,
        /// Whether everything below them is changed too.
        recursive: bool,
        /// What they get.
        attributes: Attributes,
    },
    /// Takes away what is there, with everything below it.
    Remove {
        /// Which paths.
        paths: Globs,
    },
}

/// Where the bytes of a declared file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// The recipe.
    Text(Template),
    /// A file of this machine.
    Source(HostPath),
    /// There are none.
    Empty,
}

/// Owner, mode and extended attributes that a `[[path]]` gives; `None` leaves what is there, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Mode.
    pub mode: Option<Mode>,
    /// Owner.
    pub uid: Option<Id>,
    /// Group.
    pub gid: Option<Id>,
    /// Extended attributes to set, file capabilities among them.
    pub xattrs: Xattrs,
}

/// An owner or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// Its number.
    Number(u32),
    /// Its name in the image's `/etc/passwd` or `/etc/group`.
    Name(String),
}

/// Whether a list of platforms, empty for all, has this one: `linux/arm64` has all its variants.
pub(crate) fn is_among(list: &[Platform], platform: &Platform) -> bool {
    let same = |named: &Platform| {
        (named.os(), named.architecture()) == (platform.os(), platform.architecture())
            && (named.variant().is_none() || named.variant() == platform.variant())
    };
    list.is_empty() || list.iter().any(same)
}
