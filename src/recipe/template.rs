//! Texts with placeholders, host paths, and where in a recipe something was said.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::platform::Platform;

/// A text with `{os}`, `{arch}`, `{variant}` and `{platform}` still in it.
///
/// `${arch}` is a shell's variable and stays as it is: scripts are written into recipes as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(String);

impl Template {
    /// A text.
    pub fn new(text: impl Into<String>) -> Template {
        Template(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text for one platform.
    pub fn fill_in(&self, platform: &Platform) -> String {
        // A placeholder after `$` has lost its brace to the separator, so nothing fills it in.
        self.0.split("${").map(|part| platform.fill_in(part)).collect::<Vec<_>>().join("${")
    }
}

/// A path on this machine, relative to the file of the recipe that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPath {
    folder: Arc<Path>,
    text: Template,
}

impl HostPath {
    /// A path as it is written in a file of `folder`.
    pub fn new(folder: impl Into<Arc<Path>>, text: impl Into<String>) -> HostPath {
        HostPath { folder: folder.into(), text: Template::new(text) }
    }

    /// The folder that the text is relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text for one platform, as it was written.
    pub fn text_for(&self, platform: &Platform) -> String {
        self.text.fill_in(platform)
    }

    /// The path for one platform.
    pub fn for_platform(&self, platform: &Platform) -> PathBuf {
        self.folder.join(self.text.fill_in(platform))
    }
}

/// Where something was asked for: a file and a line of it, or the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOrigin(Option<(Arc<str>, usize)>);

impl RuleOrigin {
    /// A line of a file, counted from 1.
    pub fn line(file: Arc<str>, line: usize) -> RuleOrigin {
        RuleOrigin(Some((file, line)))
    }

    /// The command line.
    pub fn command_line() -> RuleOrigin {
        RuleOrigin(None)
    }
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((file, line)) => write!(f, "{file}:{line}"),
            None => f.write_str("command line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Arch;

    #[test]
    fn a_shell_variable_is_no_placeholder() {
        let platform = Platform::new(Arch::Arm64);
        assert_eq!(Template::new("a{arch}b${arch}c{arch}$").fill_in(&platform), "aarm64b${arch}carm64$");
        assert_eq!(Template::new("${{arch}").fill_in(&platform), "${arm64");
    }

    #[test]
    fn a_host_path_is_relative_to_its_file() {
        let platform = Platform::new(Arch::Amd64);
        let path = |text: &str| HostPath::new(Path::new("/recipes"), text).for_platform(&platform);
        assert_eq!(path("stage/{arch}"), Path::new("/recipes/stage/amd64"));
        assert_eq!(path("/stage"), Path::new("/stage"));
    }
}
