//! Globs over paths of a tree.
//!
//! `*` and `?` stop at `/`, `**` does not; `[a-z]` and `{a,b}` work. A pattern is relative to the root of the tree it
//! looks at, and a leading `/` changes nothing; `/` alone is the root. Names need not be UTF-8.
//!
//! Decision: `usr/share/man/**` is what lies below that directory, `usr/share/man` is the directory with everything in
//! it. So whoever asks whether a path is meant asks with [`Matcher::covers`], which looks at its parents too.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::template::Template;
use crate::path::ImagePath;
use crate::platform::{Arch, Platform};

/// Patterns that are known to be good, with placeholders still in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(Vec<Template>);

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a glob ({reason}): {pattern}")]
pub struct GlobError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Globs {
    /// Patterns from their texts.
    ///
    /// # Errors
    /// On the first one that is not a glob.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Globs, GlobError> {
        let patterns: Vec<Template> = patterns.into_iter().map(|text| Template::new(text.as_ref())).collect();
        for pattern in &patterns {
            // What is filled in are plain words, so a pattern is good for all platforms or for none.
            compile(&pattern.fill_in(&Platform::new(Arch::Amd64)))?;
        }
        let globs = Globs(patterns);
        globs.set(&Platform::new(Arch::Amd64))?;
        Ok(globs)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Template::as_str)
    }

    /// What matches for one platform.
    pub fn matcher(&self, platform: &Platform) -> Matcher {
        let patterns = self.0.iter().map(|pattern| pattern.fill_in(platform)).collect();
        Matcher { set: self.set(platform).unwrap_or_default(), patterns }
    }

    fn set(&self, platform: &Platform) -> Result<GlobSet, GlobError> {
        let mut builder = GlobSetBuilder::new();
        for pattern in &self.0 {
            builder.add(compile(&pattern.fill_in(platform))?);
        }
        builder.build().map_err(|problem| GlobError {
            pattern: self.patterns().collect::<Vec<_>>().join(" "),
            reason: problem.to_string(),
        })
    }
}

/// What stands for more than itself in a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Patterns, ready to be asked.
#[derive(Clone, Debug)]
pub struct Matcher {
    set: GlobSet,
    patterns: Vec<String>,
}

impl Matcher {
    /// Whether a pattern names this path itself. Only `/` names the root: `**` is what lies below it.
    pub fn matches(&self, path: &ImagePath) -> bool {
        if path.is_root() { !self.matching(path).is_empty() } else { self.set.is_match(as_host(path)) }
    }

    /// Whether a pattern names this path or a directory above it.
    pub fn covers(&self, path: &ImagePath) -> bool {
        let mut here = Some(path.clone());
        while let Some(path) = here {
            if self.matches(&path) {
                return true;
            }
            here = path.parent();
        }
        false
    }

    /// Which patterns name this path itself, by their position.
    pub fn matching(&self, path: &ImagePath) -> Vec<usize> {
        if path.is_root() {
            let names_root =
                |(number, pattern): (usize, &String)| pattern.trim_matches('/').is_empty().then_some(number);
            return self.patterns.iter().enumerate().filter_map(names_root).collect();
        }
        self.set.matches(as_host(path))
    }

    /// The path, when there is one pattern and nothing in it is special: then it can be looked up.
    pub fn literal(&self) -> Option<&str> {
        match &self.patterns[..] {
            [pattern] if !pattern.contains(SPECIAL) => Some(pattern),
            _ => None,
        }
    }

    /// Paths such that all that the patterns match is there or below: their beginnings without special characters.
    pub fn bases(&self) -> impl Iterator<Item = ImagePath> + '_ {
        self.patterns.iter().map(|pattern| {
            let parts = pattern.split('/').take_while(|part| !part.contains(SPECIAL));
            format!("/{}", parts.collect::<Vec<_>>().join("/")).parse().unwrap_or_else(|_| ImagePath::root())
        })
    }

    /// The patterns, filled in for the platform.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

fn as_host(path: &ImagePath) -> &Path {
    Path::new(OsStr::from_bytes(path.relative_bytes()))
}

fn compile(pattern: &str) -> Result<globset::Glob, GlobError> {
    let error = |reason: String| GlobError { pattern: pattern.to_string(), reason };
    if pattern.is_empty() {
        return Err(error("it is empty".into()));
    }
    if pattern.split('/').any(|part| part == "..") {
        return Err(error("`..` matches nothing".into()));
    }
    let relative = pattern.trim_start_matches('/').trim_end_matches('/');
    GlobBuilder::new(relative).literal_separator(true).build().map_err(|problem| error(problem.kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(pattern: &str) -> Matcher {
        Globs::new([pattern]).unwrap().matcher(&Platform::new(Arch::Arm64))
    }

    fn matches(pattern: &str, path: &[u8]) -> bool {
        matcher(pattern).matches(&ImagePath::parse(path).unwrap())
    }

    #[test]
    fn stars_stop_at_a_slash_and_two_of_them_do_not() {
        assert!(matches("usr/*/man", b"/usr/share/man"));
        assert!(matches("/usr/*/man/", b"/usr/share/man"));
        assert!(!matches("usr/*", b"/usr/share/man"));
        assert!(matches("usr/**", b"/usr/share/man"));
        assert!(!matches("usr/**", b"/usr"));
        assert!(matches("**/*.a", b"/lib.a"));
        assert!(matches("**/*.{a,la}", b"/usr/lib/x.la"));
        assert!(matches("**", b"/x/y"));
        assert!(matches("**/.*", b"/x/.hidden"));
        assert!(matches("/", b"/"));
        assert!(!matches("/", b"/x"));
        assert!(!matches("/**", b"/"));
        assert_eq!(matcher("/a/b").literal(), Some("/a/b"));
        assert_eq!(matcher("/a/*").literal(), None);
    }

    #[test]
    fn a_search_begins_where_nothing_in_the_patterns_is_special() {
        let base = |pattern: &str| matcher(pattern).bases().map(|path| path.to_string()).collect::<Vec<_>>();
        for (pattern, expected) in [
            ("**", "/"),
            ("/", "/"),
            ("/usr/li*/x", "/usr"),
            ("usr/lib/**/*.a", "/usr/lib"),
            ("a{b,/c/d}", "/"),
            ("/a//b/", "/a/b"),
        ] {
            assert_eq!(base(pattern), [expected], "{pattern}");
        }
    }

    #[test]
    fn names_are_bytes_and_placeholders_are_filled_in() {
        assert!(matches("usr/*.so", b"/usr/\xff\xfe.so"));
        assert!(matches("usr/?", b"/usr/\xff"));
        assert!(matches("lib/{arch}/*", b"/lib/arm64/x"));
        assert!(!matches("lib/{arch}/*", b"/lib/arch/x"));
    }

    #[test]
    fn a_directory_covers_what_it_holds() {
        let path: ImagePath = "/usr/share/man/man1/x".parse().unwrap();
        assert!(matcher("usr/share/man").covers(&path));
        assert!(!matcher("usr/share/man").matches(&path));
        assert!(!matcher("usr/share/ma").covers(&path));
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_reason() {
        for (pattern, message) in [
            ("a[", "not a glob (unclosed character class; missing ']'): a["),
            ("", "not a glob (it is empty): "),
            ("a/../b", "not a glob (`..` matches nothing): a/../b"),
        ] {
            assert_eq!(Globs::new([pattern]).unwrap_err().to_string(), message);
        }
    }
}
