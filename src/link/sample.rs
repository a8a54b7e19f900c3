//! Small trees for tests.

use crate::elf::forge::Forge;
use crate::link::{Policy, Purpose, Subject, Verification, verify};
use crate::oci::Settings;
use crate::path::ImagePath;
use crate::platform::{Arch, Platform};
use crate::tree::{Content, DirectoryId, Inode, Kind, Metadata, Mode, Tree};

/// A tree under construction. Missing parents are added.
pub(crate) struct Sample {
    pub tree: Tree,
}

impl Sample {
    pub(crate) fn new() -> Sample {
        Sample { tree: Tree::new(Metadata::new(Mode::DIRECTORY, 0)) }
    }

    pub(crate) fn text(self, path: &str, mode: u32, text: &str) -> Sample {
        self.bytes(path, mode, text.as_bytes())
    }

    pub(crate) fn elf(self, path: &str, forge: &Forge) -> Sample {
        self.bytes(path, 0o755, &forge.build())
    }

    pub(crate) fn bytes(self, path: &str, mode: u32, bytes: &[u8]) -> Sample {
        self.add(path, Metadata::new(Mode::from_bits(mode), 0), Kind::File(Content::Bytes(bytes.into())))
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Sample {
        self.add(path, Metadata::new(Mode::SYMLINK, 0), Kind::Symlink(target.as_bytes().into()))
    }

    pub(crate) fn hardlink(mut self, path: &str, old: &str) -> Sample {
        let id = self.tree.get(&old.parse().unwrap()).unwrap();
        let path: ImagePath = path.parse().unwrap();
        let parent = self.parent(&path);
        self.tree.link(parent, path.file_name().unwrap(), id);
        self
    }

    pub(crate) fn directory(self, path: &str) -> Sample {
        self.add(path, Metadata::new(Mode::DIRECTORY, 0), Kind::Directory(Default::default()))
    }

    /// A directory with this mode.
    pub(crate) fn closed(self, path: &str, mode: u32) -> Sample {
        self.add(path, Metadata::new(Mode::from_bits(mode), 0), Kind::Directory(Default::default()))
    }

    /// The findings about this tree for linux/amd64.
    pub(crate) fn verified(&self, purpose: Purpose) -> Verification {
        let (platform, policy) = (Platform::new(Arch::Amd64), Policy::default());
        verify(&Subject::new(&self.tree, &platform, purpose, &policy)).unwrap()
    }

    /// The findings about an image of this tree for linux/amd64.
    pub(crate) fn verified_image(&self, settings: &Settings) -> Verification {
        let (platform, policy) = (Platform::new(Arch::Amd64), Policy::default());
        verify(&Subject {
            settings: Some(settings),
            ..Subject::new(&self.tree, &platform, Purpose::Container, &policy)
        })
        .unwrap()
    }

    fn add(mut self, path: &str, meta: Metadata, kind: Kind) -> Sample {
        let path: ImagePath = path.parse().unwrap();
        let parent = self.parent(&path);
        self.tree.insert(parent, path.file_name().unwrap(), Inode { meta: meta.into(), kind });
        self
    }

    fn parent(&mut self, path: &ImagePath) -> DirectoryId {
        let destination = self.tree.destination(&path.parent().unwrap()).unwrap();
        let mut directory = destination.directory;
        for name in destination.missing {
            directory = self.tree.insert_directory(directory, name, Metadata::new(Mode::DIRECTORY, 0));
        }
        directory
    }
}
