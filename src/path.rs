//! Paths inside a root file system: absolute, normal, and bytes.
//!
//! A path in an image is not a path of this machine. It has no drive, no working directory and no encoding; so it has
//! its own type, and `std::path` is used for host files only. Values are true by construction: a [`Name`] is one
//! component that a Linux directory could hold, an [`ImagePath`] starts at `/` and has no empty, `.` or `..` part.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The longest file name that Linux file systems hold, in bytes (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// The longest path that a system call takes, in bytes without the final NUL (`PATH_MAX` − 1).
pub const PATH_MAX: usize = 4095;

/// One component of a path: not empty, at most 255 bytes, without `/` and NUL, and neither `.` nor `..`.
#[derive(Clone)]
pub struct Name(Form);

/// Where the bytes of a name are: most names are short, and a tree has many.
#[derive(Clone)]
enum Form {
    Here { length: u8, bytes: [u8; HERE_MAX] },
    Elsewhere(Box<[u8]>),
}

/// The longest name that is kept in place, in bytes.
const HERE_MAX: usize = 22;

/// Why bytes are no [`Name`] or [`ImagePath`]. The text ends with the offending value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A component was empty, `.` or `..` where a file name was wanted.
    #[error("not a file name: {0:?}")]
    NotAName(String),
    /// A NUL or, in a single name, a `/`.
    #[error("a path must not contain NUL, and a name must not contain `/`: {0}")]
    ForbiddenByte(String),
    /// A component of more than 255 bytes.
    #[error("a file name has at most {NAME_MAX} bytes, this one has {}: {}", .0.len(), shortened(.0))]
    NameTooLong(String),
    /// A path of more than 4095 bytes.
    #[error("a path has at most {PATH_MAX} bytes, this one has {}: {}", .0.len(), shortened(.0))]
    PathTooLong(String),
    /// A `..` component: what it means depends on links, so it is not accepted where a plain path is wanted.
    #[error("`..` is not allowed in a path in an image: {0}")]
    DotDot(String),
}

/// The first characters of a text that is too long to print.
fn shortened(text: &str) -> String {
    let head: String = text.chars().take(40).collect();
    format!("{head}…")
}

impl Name {
    /// A name from its bytes.
    ///
    /// # Errors
    /// When no Linux directory could hold an entry of that name.
    pub fn new(bytes: &[u8]) -> Result<Name, PathError> {
        if bytes.is_empty() || bytes == b"." || bytes == b".." {
            return Err(PathError::NotAName(display_bytes(bytes)));
        }
        if bytes.iter().any(|&byte| byte == 0 || byte == b'/') {
            return Err(PathError::ForbiddenByte(display_bytes(bytes)));
        }
        if bytes.len() > NAME_MAX {
            return Err(PathError::NameTooLong(display_bytes(bytes)));
        }
        Ok(Name::known(bytes))
    }

    /// A name that is known to be one: it was one before.
    pub(crate) fn known(bytes: &[u8]) -> Name {
        let mut here = [0; HERE_MAX];
        match (here.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(bytes);
                Name(Form::Here { length, bytes: here })
            }
            (_, _) => Name(Form::Elsewhere(bytes.into())),
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Here { length, bytes } => &bytes[..usize::from(*length)],
            Form::Elsewhere(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display_bytes(self.as_bytes()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", display_bytes(self.as_bytes()))
    }
}

/// An absolute, normal path inside a root: `/` or `/a/b`. Ordered component by component, so that everything below
/// `/a` stands directly after it and before `/a-b`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImagePath(Vec<u8>);

impl ImagePath {
    /// The root, `/`.
    pub fn root() -> ImagePath {
        ImagePath(b"/".to_vec())
    }

    /// Reads a path as people and archives write it: a leading `/` or `./` or neither, doubled or trailing slashes.
    ///
    /// # Errors
    /// On `..`, on NUL, on names and paths that are too long for Linux.
    pub fn parse(bytes: &[u8]) -> Result<ImagePath, PathError> {
        let mut out = Vec::with_capacity(bytes.len() + 1);
        for part in bytes.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(PathError::DotDot(display_bytes(bytes))),
                part => {
                    let name = Name::new(part)?;
                    out.push(b'/');
                    out.extend_from_slice(name.as_bytes());
                }
            }
        }
        if out.len() > PATH_MAX {
            return Err(PathError::PathTooLong(display_bytes(bytes)));
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Ok(ImagePath(out))
    }

    /// The path as bytes, starting with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as archives write it: without the leading `/`; empty for the root.
    pub fn relative_bytes(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The path of the entry `name` in this directory.
    pub fn join(&self, name: &Name) -> ImagePath {
        let mut out = ImagePath(Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len()));
        out.0.extend_from_slice(&self.0);
        out.push(name);
        out
    }

    /// Goes on to the entry `name` in this directory.
    pub fn push(&mut self, name: &Name) {
        if !self.is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name.as_bytes());
    }

    /// Goes back to the directory that holds this path. The root stays where it is.
    pub fn pop(&mut self) {
        let cut = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        self.0.truncate(cut.max(1));
    }

    /// `below`, seen from this directory: `/usr` and `/bin/sh` make `/usr/bin/sh`.
    pub fn join_path(&self, below: &ImagePath) -> ImagePath {
        if self.is_root() {
            return below.clone();
        }
        if below.is_root() {
            return self.clone();
        }
        ImagePath([&*self.0, &*below.0].concat())
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<ImagePath> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(if cut == 0 { ImagePath::root() } else { ImagePath(self.0[..cut].into()) })
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<Name> {
        self.components().last().map(Name::known)
    }

    /// The components from the root on, as bytes. Each is a valid [`Name`].
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &ImagePath) -> bool {
        ancestor.is_root()
            || (self.0.starts_with(&ancestor.0) && matches!(self.0.get(ancestor.0.len()), None | Some(b'/')))
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::str::FromStr for ImagePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ImagePath::parse(text.as_bytes())
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display_bytes(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", display_bytes(&self.0))
    }
}

/// Bytes as a person can read them, without loss: UTF-8 stays, anything else, every control character and every
/// letter that turns the direction of others or is not seen becomes `\xNN`, so that a hostile name cannot write to a terminal.
///
/// A backslash that could be taken for the start of an escape is one too: so [`shown_bytes`] finds the bytes again.
pub fn display_bytes(bytes: &[u8]) -> String {
    escaped(bytes, true)
}

/// As [`display_bytes`], for text in which something may be escaped already.
pub fn display_text(text: &str) -> String {
    escaped(text.as_bytes(), false)
}

/// The bytes that [`display_bytes`] shows so.
pub fn shown_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match after {
            [b'x', high, low, ..] if *first == b'\\' => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

fn escaped(bytes: &[u8], backslash: bool) -> String {
    // Nearly all names: a verifier makes thousands of them.
    if bytes.iter().all(|&byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return bytes.iter().copied().map(char::from).collect();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, character) in valid.char_indices() {
            let begins_escape = backslash && valid[at..].starts_with("\\x");
            if begins_escape || character.is_control() || is_invisible(character) {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Whether a letter turns the direction of what follows, breaks lines, or shows nothing.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        text.parse().unwrap()
    }

    #[test]
    fn every_spelling_becomes_the_normal_one() {
        for spelling in ["/usr/bin/", "usr/bin", "./usr//bin", "//usr/./bin/."] {
            assert_eq!(path(spelling).to_string(), "/usr/bin");
        }
        for spelling in ["", "/", ".", "./"] {
            assert!(path(spelling).is_root());
        }
    }

    #[test]
    fn what_a_directory_cannot_hold_is_refused() {
        assert!(matches!(ImagePath::parse(b"/a/../b"), Err(PathError::DotDot(_))));
        assert!(matches!(ImagePath::parse(b"/a\0b"), Err(PathError::ForbiddenByte(_))));
        assert!(matches!(ImagePath::parse(&[b'a'; 4096]), Err(PathError::NameTooLong(_))));
        assert!(matches!(ImagePath::parse(&b"/abcdefg".repeat(600)), Err(PathError::PathTooLong(_))));
        assert!(matches!(Name::new(b".."), Err(PathError::NotAName(_))));
    }

    #[test]
    fn a_directory_is_followed_by_what_it_holds() {
        let mut paths = [path("/a-b"), path("/a/b"), path("/a"), path("/"), path("/a.c")];
        paths.sort();
        assert_eq!(paths.map(|path| path.to_string()), ["/", "/a", "/a/b", "/a-b", "/a.c"]);
    }

    #[test]
    fn names_are_alike_wherever_their_bytes_are() {
        let names: Vec<Name> = (1..60).map(|length| Name::new(&vec![b'n'; length]).unwrap()).collect();
        for (length, name) in (1..).zip(&names) {
            assert_eq!((name.as_bytes(), name), (vec![b'n'; length].as_slice(), &name.clone()));
            assert_eq!(name.to_string(), "n".repeat(length));
        }
        assert!(names.is_sorted() && Name::new(b"o").unwrap() > names[50]);
        let sum: std::collections::BTreeMap<Name, usize> = names.iter().cloned().zip(1..).collect();
        assert_eq!(sum.get([b'n'; 40].as_slice()), Some(&40));
    }

    #[test]
    fn a_path_goes_on_and_back() {
        let mut here = ImagePath::root();
        for name in ["usr", "bin", "a"] {
            here.push(&Name::new(name.as_bytes()).unwrap());
        }
        assert_eq!(here, path("/usr/bin/a"));
        for expected in ["/usr/bin", "/usr", "/", "/"] {
            here.pop();
            assert_eq!(here, path(expected));
        }
    }

    #[test]
    fn family() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(path("/")));
        assert_eq!(path("/").parent(), None);
        assert!(path("/a/b").starts_with(&path("/a")));
        assert!(!path("/ab").starts_with(&path("/a")));
        assert_eq!(path("/usr").join_path(&path("/bin/sh")), path("/usr/bin/sh"));
    }

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(display_bytes(b"a\x1b[2Jb\xff\xc3\xa9\n"), "a\\x1b[2Jb\\xff\u{e9}\\x0a");
        assert_eq!(display_bytes("a\u{202e}b\u{200b}".as_bytes()), "a\\xe2\\x80\\xaeb\\xe2\\x80\\x8b");
        assert_eq!(display_text("a\\x1b\x1b"), "a\\x1b\\x1b");
    }

    #[test]
    fn the_bytes_of_a_shown_name_are_found_again() {
        for name in [&b"a\xff\xfe"[..], b"a\\xff", b"\\\\x41\\", b"\\x", b"a\nb", "gr\u{f6}\u{df}e".as_bytes()] {
            assert_eq!(shown_bytes(&display_bytes(name)), name);
        }
    }
}
