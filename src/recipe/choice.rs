//! The keys whose value is one of few words: each word is next to what it means, and nowhere else.

/// A type whose values have words in recipes.
pub(crate) trait Choice: Copy + 'static {
    /// The words, in the order of the documentation.
    const WORDS: &'static [&'static str];

    /// What a word means.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! choice {
    ($(#[$about:meta])* $visibility:vis enum $name:ident { $($(#[$meaning:meta])* $word:literal => $value:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name { $($(#[$meaning])* $value,)+ }

        impl Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$value),)+
                    _ => None,
                }
            }
        }
    };
}

/// As [`choice`], for those whose words are also written.
macro_rules! written_choice {
    ($(#[$about:meta])* $visibility:vis enum $name:ident { $($(#[$meaning:meta])* $word:literal => $value:ident,)+ }) => {
        choice! { $(#[$about])* $visibility enum $name { $($(#[$meaning])* $word => $value,)+ } }

        impl $name {
            /// The word for it in recipes and flags.
            $visibility fn word(self) -> &'static str {
                match self { $($name::$value => $word,)+ }
            }
        }
    };
}

choice! {
    /// Which mode bits the files of a source get.
    pub enum Modes {
        /// Those that they have.
        "keep" => Keep,
        /// 0644, or 0755 for directories and what can be executed.
        "normal" => Normal,
    }
}

choice! {
    /// Which times the files of a source get.
    pub enum Times {
        /// The date of the build.
        "epoch" => Epoch,
        /// Their own, but none later than the date of the build.
        "clamp" => Clamp,
        /// Their own.
        "keep" => Keep,
    }
}

choice! {
    /// What happens to the extended attributes of a source.
    pub(crate) enum SourceXattrs {
        /// They are copied.
        "keep" => Keep,
        /// They are not.
        "drop" => Drop,
    }
}

written_choice! {
    /// What programs open without saying so before, of which glibc's are the best known.
    pub enum Extra {
        /// Modules that look names of hosts and users up, with what they read.
        "nss" => Nss,
        /// Modules for character sets.
        "gconv" => Gconv,
        /// Certificates of authorities.
        "ca" => Certificates,
        /// Time zones.
        "zoneinfo" => Zoneinfo,
    }
}

impl Extra {
    /// All of them.
    pub const ALL: [Extra; 4] = [Extra::Nss, Extra::Gconv, Extra::Certificates, Extra::Zoneinfo];
}

written_choice! {
    /// What a `[[path]]` makes or does.
    pub(crate) enum PathKind {
        "directory" => Directory,
        "file" => File,
        "empty-file" => EmptyFile,
        "symlink" => Symlink,
        "hardlink" => Hardlink,
        "char" => Char,
        "block" => Block,
        "fifo" => Fifo,
        "permissions" => Permissions,
        "remove" => Remove,
    }
}

choice! {
    /// What a tree is staged for.
    pub enum Output {
        /// A container image.
        "image" => Image,
        /// An initramfs.
        "initramfs" => Initramfs,
    }
}

choice! {
    /// What the names of [`Links`](super::Links) are.
    pub enum LinkKind {
        /// Symlinks to the target's absolute path.
        "symlink" => Symlink,
        /// Hard links.
        "hardlink" => Hardlink,
    }
}

choice! {
    /// A C library.
    pub enum RequiredLibc {
        /// musl.
        "musl" => Musl,
        /// glibc.
        "glibc" => Glibc,
    }
}

choice! {
    /// How an initramfs is compressed.
    pub enum InitramfsCompression {
        /// Not at all.
        "none" => None,
        /// gzip.
        "gzip" => Gzip,
        /// zstd.
        "zstd" => Zstd,
        /// xz.
        "xz" => Xz,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    /// Whether the words mean these values, and the type has no other word.
    fn check<T: Choice + Debug + PartialEq>(meanings: &[(&str, T)]) {
        assert_eq!(T::WORDS.len(), meanings.len());
        for (word, value) in meanings {
            assert_eq!(T::from_word(word), Some(*value), "{word}");
        }
    }

    #[test]
    fn each_word_means_what_it_says() {
        check(&[("keep", Modes::Keep), ("normal", Modes::Normal)]);
        check(&[("epoch", Times::Epoch), ("clamp", Times::Clamp), ("keep", Times::Keep)]);
        check(&[("keep", SourceXattrs::Keep), ("drop", SourceXattrs::Drop)]);
        check(&[
            ("nss", Extra::Nss),
            ("gconv", Extra::Gconv),
            ("ca", Extra::Certificates),
            ("zoneinfo", Extra::Zoneinfo),
        ]);
        check(&[("image", Output::Image), ("initramfs", Output::Initramfs)]);
        check(&[("symlink", LinkKind::Symlink), ("hardlink", LinkKind::Hardlink)]);
        check(&[
            ("directory", PathKind::Directory),
            ("file", PathKind::File),
            ("empty-file", PathKind::EmptyFile),
            ("symlink", PathKind::Symlink),
            ("hardlink", PathKind::Hardlink),
            ("char", PathKind::Char),
            ("block", PathKind::Block),
            ("fifo", PathKind::Fifo),
            ("permissions", PathKind::Permissions),
            ("remove", PathKind::Remove),
        ]);
    }

    #[test]
    fn each_c_library_is_called_by_its_name() {
        check(&[("musl", RequiredLibc::Musl), ("glibc", RequiredLibc::Glibc)]);
    }

    #[test]
    fn each_compression_of_an_initramfs_is_called_by_its_name() {
        check(&[
            ("none", InitramfsCompression::None),
            ("gzip", InitramfsCompression::Gzip),
            ("zstd", InitramfsCompression::Zstd),
            ("xz", InitramfsCompression::Xz),
        ]);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        assert_eq!(Extra::ALL.map(Extra::word).as_slice(), Extra::WORDS);
        assert!(Extra::ALL.into_iter().all(|extra| Extra::from_word(extra.word()) == Some(extra)));
    }
}
