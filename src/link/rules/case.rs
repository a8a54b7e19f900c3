//! One rule: its name, its tree, and how the tree is started.

use crate::elf::forge::Forge;
use crate::link::sample::Sample;
use crate::oci::Settings;

/// musl's loader, as programs name it.
pub(super) const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// glibc's loader, as programs name it.
pub(super) const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";

/// The library directory of Debian.
pub(super) const DEBIAN: &str = "/lib/x86_64-linux-gnu";

/// One rule that can be tried. The program is `/app` unless the case names another one.
pub(super) struct Case {
    pub name: &'static str,
    pub sample: Sample,
    pub settings: Settings,
    /// Files that the recording replaces with real ones: the path, and which file it gets.
    pub real: Vec<(&'static str, &'static str)>,
    /// Why the verifier refuses a program that starts here, if it does so on purpose.
    pub stricter: Option<&'static str>,
}

/// A case that starts `/app` of this tree.
pub(super) fn case(name: &'static str, sample: Sample) -> Case {
    let settings = Settings { entrypoint: vec!["/app".into()], ..Settings::default() };
    Case { name, sample, settings, real: Vec::new(), stricter: None }
}

impl Case {
    /// What is started instead of `/app`.
    pub fn starts(mut self, path: &str) -> Case {
        self.settings.entrypoint = vec![path.into()];
        self
    }

    pub fn user(mut self, user: &str) -> Case {
        self.settings.user = user.into();
        self
    }

    pub fn workdir(mut self, directory: &str) -> Case {
        self.settings.workdir = directory.into();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Case {
        self.settings.env.push((name.into(), value.into()));
        self
    }

    pub fn real(mut self, path: &'static str, what: &'static str) -> Case {
        self.real.push((path, what));
        self
    }

    pub fn stricter(mut self, reason: &'static str) -> Case {
        self.stricter = Some(reason);
        self
    }
}

impl Sample {
    /// `/app`, mode 0755.
    pub(super) fn app(self, forge: &Forge) -> Sample {
        self.elf("/app", forge)
    }
}
