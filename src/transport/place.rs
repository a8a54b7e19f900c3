//! How people name where a tree or an image comes from or goes to.
//!
//! The prefixes are skopeo's. As there, the first colon behind a prefix ends the path, so paths with a colon can be
//! named only without a prefix. A bare path is understood by its end when it is written.

use std::fmt;
use std::path::{Path, PathBuf};

use super::detect::{Detected, detect};
use crate::failure::{Failure, FailureKind};
use crate::reference::{ImageReference, ReferenceError};

/// A place. Texts such as `{arch}` in a path are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An OCI image layout: a folder with `oci-layout`, `index.json` and `blobs/`.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// The tag, or the full name of an image in it.
        reference: Option<String>,
    },
    /// An image in a tar, of either form.
    Archive {
        /// The file.
        file: PathBuf,
        /// The tag, or the full name of an image in it.
        reference: Option<String>,
    },
    /// `-`: an image archive on standard input or output.
    Stdio,
    /// An image in a registry.
    Registry(ImageReference),
    /// A root file system as a folder.
    Rootfs(PathBuf),
    /// An initramfs archive.
    Cpio(PathBuf),
    /// A root file system in a tar.
    Tar(PathBuf),
}

/// The prefixes of what can be written, for messages.
const WRITABLE: &str =
    "oci:DIR[:TAG], oci-archive:FILE[:REF], docker-archive:FILE[:REF], docker://HOST/NAME[:TAG], cpio:FILE, rootfs:DIR";

/// The prefixes of what can only be read.
const READABLE: &str = "tar:FILE";

/// Why a text is not a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A prefix without a path behind it, or nothing at all.
    #[error("a place needs a path: {0:?}")]
    Empty(String),
    /// What comes after `docker://` is not an image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A prefix that is not known.
    #[error("unknown prefix: {0}")]
    UnknownPrefix(String),
    /// A bare path whose end says nothing.
    #[error("cannot tell the output format from the name: {0}")]
    Unclear(String),
    /// A bare path that leads to nothing we know.
    #[error("not an image, a tar, an initramfs or a directory: {0}")]
    Unknown(String),
    /// A bare path that cannot be looked at, and why.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, String),
    /// A place of a form that is only read.
    #[error("this kind of place can only be read: {0}")]
    ReadOnly(String),
}

impl Failure for PlaceError {
    fn kind(&self) -> FailureKind {
        match self {
            PlaceError::Unknown(_) | PlaceError::Unreadable(..) => FailureKind::Input,
            PlaceError::Empty(_)
            | PlaceError::Reference(_)
            | PlaceError::UnknownPrefix(_)
            | PlaceError::Unclear(_)
            | PlaceError::ReadOnly(_) => FailureKind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            PlaceError::Empty(_) | PlaceError::UnknownPrefix(_) => {
                format!("places are {WRITABLE}, {READABLE}, a path, or -")
            }
            PlaceError::Unknown(_) => format!("add a prefix: {WRITABLE}, {READABLE}"),
            PlaceError::Unreadable(..) => return None,
            PlaceError::Reference(_) => "use docker://HOST[:PORT]/NAME[:TAG][@sha256:…]".into(),
            PlaceError::Unclear(_) => format!(
                "end it with / (layout), .tar (archive for every engine), .cpio, .cpio.gz, .cpio.zst or .img \
                 (initramfs), or add a prefix: {WRITABLE}"
            ),
            PlaceError::ReadOnly(_) => {
                "write an image (oci:DIR, FILE.tar), an initramfs (FILE.cpio.gz) or a directory (rootfs:DIR)".into()
            }
        })
    }
}

impl Place {
    /// A place by its prefix; `Ok(None)` when there is none, and the text is a bare path.
    ///
    /// # Errors
    /// When the prefix is unknown, or nothing comes after it.
    pub fn with_prefix(text: &str) -> Result<Option<Place>, PlaceError> {
        if text.is_empty() {
            return Err(PlaceError::Empty(text.into()));
        }
        if text == "-" {
            return Ok(Some(Place::Stdio));
        }
        let Some((prefix, rest)) = text.split_once(':') else { return Ok(None) };
        // A slash before the colon: a path with a colon in it.
        if prefix.contains('/') || prefix.is_empty() {
            return Ok(None);
        }
        let filled = |path: &str| match path {
            "" | "//" => Err(PlaceError::Empty(text.into())),
            path => Ok(PathBuf::from(path)),
        };
        let referenced = || {
            let (path, reference) = match rest.split_once(':') {
                Some((path, reference)) => (path, Some(reference)),
                None => (rest, None),
            };
            if reference == Some("") {
                return Err(PlaceError::Empty(text.into()));
            }
            Ok((filled(path)?, reference.map(str::to_string)))
        };
        Ok(Some(match prefix {
            "oci" => {
                let (folder, reference) = referenced()?;
                Place::Layout { folder, reference }
            }
            "oci-archive" | "docker-archive" => {
                let (file, reference) = referenced()?;
                Place::Archive { file, reference }
            }
            "docker" => match rest.strip_prefix("//") {
                Some(reference) if !reference.is_empty() => Place::Registry(reference.parse()?),
                _ => return Err(PlaceError::Empty(text.into())),
            },
            "rootfs" => Place::Rootfs(filled(rest)?),
            "cpio" => Place::Cpio(filled(rest)?),
            "tar" => Place::Tar(filled(rest)?),
            _ => return Err(PlaceError::UnknownPrefix(text.into())),
        }))
    }

    /// A place to write to. A bare path is understood by how it ends; the disk is not looked at.
    ///
    /// # Errors
    /// When the text names no place, or one that is only read.
    pub fn for_writing(text: &str) -> Result<Place, PlaceError> {
        let place = match Place::with_prefix(text)? {
            Some(place) => place,
            None if text.ends_with('/') => Place::Layout { folder: text.into(), reference: None },
            None if text.ends_with(".tar") => Place::Archive { file: text.into(), reference: None },
            None if [".cpio", ".cpio.gz", ".cpio.zst", ".cpio.xz", ".img"].iter().any(|end| text.ends_with(end)) => {
                Place::Cpio(text.into())
            }
            None => return Err(PlaceError::Unclear(text.into())),
        };
        match place {
            Place::Tar(_) => Err(PlaceError::ReadOnly(text.into())),
            Place::Layout { .. }
            | Place::Archive { .. }
            | Place::Stdio
            | Place::Registry(_)
            | Place::Rootfs(_)
            | Place::Cpio(_) => Ok(place),
        }
    }

    /// A place to read from. A bare path is looked at: its contents show what it is.
    ///
    /// # Errors
    /// When the text names no place, or a bare path leads to nothing that could be one.
    pub fn for_reading(text: &str) -> Result<Place, PlaceError> {
        if let Some(place) = Place::with_prefix(text)? {
            return Ok(place);
        }
        let path = PathBuf::from(text);
        match detect(&path).map_err(|error| PlaceError::Unreadable(text.into(), error.to_string()))? {
            Detected::Layout => Ok(Place::Layout { folder: path, reference: None }),
            Detected::Folder => Ok(Place::Rootfs(path)),
            Detected::Image => Ok(Place::Archive { file: path, reference: None }),
            Detected::Tar => Ok(Place::Tar(path)),
            Detected::Cpio => Ok(Place::Cpio(path)),
            Detected::Unknown => Err(PlaceError::Unknown(text.into())),
        }
    }

    /// The same place, seen from another folder than the working directory.
    pub fn seen_from(self, folder: &Path) -> Place {
        match self {
            Place::Layout { folder: layout, reference } => Place::Layout { folder: folder.join(layout), reference },
            Place::Archive { file, reference } => Place::Archive { file: folder.join(file), reference },
            Place::Rootfs(path) => Place::Rootfs(folder.join(path)),
            Place::Cpio(path) => Place::Cpio(folder.join(path)),
            Place::Tar(path) => Place::Tar(folder.join(path)),
            Place::Stdio | Place::Registry(_) => self,
        }
    }

    /// Where the blobs of earlier builds lie, named by their digests.
    pub fn blobs(&self) -> Option<PathBuf> {
        match self {
            Place::Layout { folder, .. } => Some(folder.join("blobs/sha256")),
            Place::Archive { .. }
            | Place::Cpio(_)
            | Place::Tar(_)
            | Place::Stdio
            | Place::Registry(_)
            | Place::Rootfs(_) => None,
        }
    }

    /// The folder in which what goes to this place should be staged, so that publishing is a rename: the layout itself,
    /// or the folder of the file. `None` where there is no file: the caller names a folder with room.
    pub fn temporary_folder(&self) -> Option<PathBuf> {
        match self {
            Place::Layout { folder, .. } => Some(folder.clone()),
            Place::Archive { file, .. } | Place::Cpio(file) | Place::Tar(file) => {
                // The folder of the file that a link leads to. Devices and pipes are streamed to.
                let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
                if std::fs::metadata(&file).is_ok_and(|meta| !meta.is_file()) {
                    return None;
                }
                let parent = file.parent().unwrap_or(Path::new("/"));
                Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() })
            }
            Place::Stdio | Place::Registry(_) | Place::Rootfs(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = |prefix: &str, path: &Path, reference: &Option<String>| match reference {
            Some(reference) => write!(f, "{prefix}:{}:{reference}", path.display()),
            None => write!(f, "{prefix}:{}", path.display()),
        };
        match self {
            Place::Layout { folder, reference } => named("oci", folder, reference),
            Place::Archive { file, reference } => named("oci-archive", file, reference),
            Place::Stdio => f.write_str("-"),
            Place::Registry(reference) => write!(f, "docker://{reference}"),
            Place::Rootfs(path) => named("rootfs", path, &None),
            Place::Cpio(path) => named("cpio", path, &None),
            Place::Tar(path) => named("tar", path, &None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &str, reference: Option<&str>) -> Place {
        Place::Layout { folder: folder.into(), reference: reference.map(str::to_string) }
    }

    fn archive(file: &str, reference: Option<&str>) -> Place {
        Place::Archive { file: file.into(), reference: reference.map(str::to_string) }
    }

    #[test]
    fn prefixes_are_those_of_skopeo() {
        for (text, place) in [
            ("oci:dist", layout("dist", None)),
            ("oci:dist:v1", layout("dist", Some("v1"))),
            ("oci:/a/b:docker.io/x/y:v1", layout("/a/b", Some("docker.io/x/y:v1"))),
            ("oci-archive:a.tar:v1", archive("a.tar", Some("v1"))),
            ("docker-archive:a.tar", archive("a.tar", None)),
            ("docker://127.0.0.1:5000/a:v1", Place::Registry("127.0.0.1:5000/a:v1".parse().unwrap())),
            ("rootfs:out", Place::Rootfs("out".into())),
            ("cpio:out-{arch}.img", Place::Cpio("out-{arch}.img".into())),
            ("-", Place::Stdio),
        ] {
            assert_eq!(Place::for_writing(text), Ok(place.clone()), "{text}");
            assert_eq!(Place::with_prefix(&place.to_string()), Ok(Some(place)), "{text}");
        }
    }

    #[test]
    fn a_bare_path_is_understood_by_its_end() {
        assert_eq!(Place::for_writing("dist/"), Ok(layout("dist/", None)));
        assert_eq!(Place::for_writing("./a:b/dist/"), Ok(layout("./a:b/dist/", None)));
        assert_eq!(Place::for_writing("x.tar"), Ok(archive("x.tar", None)));
        for name in ["a.cpio", "a.cpio.gz", "a.cpio.zst", "a.cpio.xz", "initrd-{arch}.img"] {
            assert_eq!(Place::for_writing(name), Ok(Place::Cpio(name.into())));
        }
    }

    #[test]
    fn what_is_no_place_is_answered_with_the_prefixes() {
        for (text, message) in [
            ("", "a place needs a path: \"\""),
            ("oci:", "a place needs a path: \"oci:\""),
            ("oci:dist:", "a place needs a path: \"oci:dist:\""),
            ("docker:x", "a place needs a path: \"docker:x\""),
            ("ociarchive:x", "unknown prefix: ociarchive:x"),
            ("dist", "cannot tell the output format from the name: dist"),
            ("x.tar.gz", "cannot tell the output format from the name: x.tar.gz"),
            ("tar:x", "this kind of place can only be read: tar:x"),
        ] {
            let error = Place::for_writing(text).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(error.hint().unwrap().contains("oci:DIR"), "{text}");
            assert_eq!(error.kind(), FailureKind::Usage);
        }
    }

    #[test]
    fn a_bare_path_is_looked_at_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thing");
        let text = path.to_str().unwrap();
        let error = Place::for_reading(text).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot read {text}: No such file")), "{error}");
        assert_eq!(error.kind(), FailureKind::Input);
        std::fs::write(&path, b"\x7fELF").unwrap();
        let error = Place::for_reading(text).unwrap_err();
        assert_eq!(error.to_string(), format!("not an image, a tar, an initramfs or a directory: {text}"));
        assert_eq!(Place::for_reading(&format!("tar:{text}")), Ok(Place::Tar(path)));
        let text = folder.path().to_str().unwrap();
        assert_eq!(Place::for_reading(text), Ok(Place::Rootfs(text.into())));
        std::fs::write(folder.path().join("oci-layout"), b"").unwrap();
        assert_eq!(Place::for_reading(text), Ok(layout(text, None)));
    }

    #[test]
    fn staging_lies_beside_the_output() {
        let folder = |text| Place::for_writing(text).unwrap().temporary_folder();
        assert_eq!(folder("dist/"), Some("dist/".into()));
        assert_eq!(folder("x.tar"), Some(".".into()));
        assert_eq!(folder("oci-archive:/nowhere/x"), Some("/nowhere".into()));
        assert_eq!(folder("oci-archive:/dev/null"), None);
        assert_eq!(folder("-"), None);
    }
}
