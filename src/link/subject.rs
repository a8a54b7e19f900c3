//! What is verified, and the result.

use serde::Serialize;

use crate::elf::Linkage;
use crate::oci::Settings;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::report::{Finding, Report};
use crate::tree::Tree;

use super::policy::{Libc, Policy};
use super::version::Version;

/// What is to be verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// The platform that it is for.
    pub platform: &'a Platform,
    /// How a container is started, if it is an image.
    pub settings: Option<&'a Settings>,
    /// What it is for.
    pub purpose: Purpose,
    /// What is required, and which findings are accepted.
    pub policy: &'a Policy,
    /// The most layers that the image can have; 0 if unknown.
    pub layers: usize,
    /// Findings from before, when the tree was read. The policy may accept them.
    pub found: &'a [Finding],
}

impl<'a> Subject<'a> {
    /// A tree for a platform, without settings.
    pub fn new(tree: &'a Tree, platform: &'a Platform, purpose: Purpose, policy: &'a Policy) -> Subject<'a> {
        Subject { tree, platform, settings: None, purpose, policy, layers: 0, found: &[] }
    }
}

/// What a tree is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A container image: its command is looked up as a runtime does.
    Container,
    /// An initramfs: the kernel starts `init`.
    Initramfs {
        /// The program that is started first, usually `/init`.
        init: ImagePath,
    },
    /// An initramfs that is appended to another one, which contains the first program.
    Part,
    /// A root file system without settings.
    Plain,
    /// Only these files of the tree are verified, wherever they are; libraries among them are fine.
    Programs(Vec<ImagePath>),
}

/// The result of the verification of a tree.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verification {
    /// The findings.
    pub report: Report,
    /// The ELF programs, in the order of their paths.
    pub programs: Vec<Program>,
    /// How many findings were accepted, by an allowance or by the baseline.
    pub accepted: usize,
}

/// One ELF program of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Program {
    /// Its first name.
    pub path: String,
    /// How many names it has, including links to it.
    pub names: usize,
    /// How it is linked: static, static-pie, dynamic or for another machine.
    pub linkage: Linkage,
    /// The C library, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libc: Option<Libc>,
    /// Size of the file in bytes.
    pub size: u64,
    /// Whether it would start.
    pub verdict: StartVerdict,
    /// The newest version of glibc that it and its libraries require.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_glibc: Option<GlibcRequirement>,
}

/// Which version of glibc is required, and by which file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct GlibcRequirement {
    /// The version, such as `2.34`.
    pub version: Version,
    /// The file that requires it.
    pub file: String,
    /// The first symbol of that version; empty when no symbol has it.
    pub symbol: String,
    /// Other required versions that are not numbers (`GLIBC_ABI_GNU2_TLS`). Distributions add them to older releases too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
}

/// Whether a program would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartVerdict {
    /// It would.
    Starts,
    /// That depends on something that the tree does not show.
    MayFail,
    /// Unknown: it is packed, or its loader is unknown.
    Unknown,
    /// It would not.
    Fails,
}

impl Purpose {
    /// What the tree is called in messages.
    pub(super) fn whole(&self) -> &'static str {
        match self {
            Purpose::Container => "the image",
            Purpose::Initramfs { .. } | Purpose::Part => "the initramfs",
            Purpose::Plain | Purpose::Programs(_) => "the tree",
        }
    }
}
