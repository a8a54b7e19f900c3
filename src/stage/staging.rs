//! All steps of staging, in order.

use super::accounts;
use super::builder::TreeBuilder;
use super::error::{Problem, StageError};
use super::links;
use super::paths;
use super::sources::Sources;
use crate::codec::Scratch;
use crate::epoch::Epoch;
use crate::platform::Platform;
use crate::progress::{Action, Progress, Step};
use crate::recipe::{Output, Recipe};
use crate::tree::{Metadata, Mode, Tree};

/// What to stage.
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// For which platform.
    pub platform: &'a Platform,
    /// For what.
    pub output: Output,
    /// The date of the build.
    pub when: Epoch,
    /// Where archives are unpacked.
    pub scratch: &'a Scratch,
    /// The tree of the base image, where the recipe names one.
    pub base: Option<Tree>,
    /// What was bundled, where the recipe asks for that.
    pub bundle: Option<&'a Tree>,
    /// How many threads read directories. The tree does not depend on it.
    pub threads: usize,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

/// What was staged.
#[derive(Debug)]
pub struct Staged {
    /// The tree.
    pub tree: Tree,
    /// What the user should know and what is not a fault, one line each.
    pub notes: Vec<String>,
}

/// Makes the tree of one platform.
///
/// # Errors
/// When a source cannot be read, when the recipe does not fit what is there, or when something would be lost.
pub fn stage(request: Request<'_>) -> Result<Staged, StageError> {
    let Request { recipe, platform, output, when, scratch, base, bundle, threads, progress } = request;
    let tree = base.unwrap_or_else(|| Tree::new(Metadata::new(Mode::DIRECTORY, when.seconds())));
    let mut builder = TreeBuilder { tree, when };
    let mut notes = Vec::new();

    let sources = Sources { platform, output, scratch, threads, progress };
    if let (Some(tree), Some(rules)) = (bundle, &recipe.bundle) {
        sources.bring_bundle(&mut builder, tree, rules)?;
    }
    for source in recipe.sources.iter().filter(|source| source.is_for(platform)) {
        progress.step(Step::new(Action::ReadSource(source.from.for_platform(platform))).of(platform));
        sources.bring(&mut builder, source, &mut notes)?;
    }
    // From here on, everything that comes from elsewhere is there.
    for link in &recipe.links {
        links::make(&mut builder, link, platform, &mut notes)?;
    }
    let accounts = accounts::add(&mut builder, &recipe.groups, &recipe.users)?;
    // Names of users and groups mean something now.
    for rule in recipe.paths.iter().filter(|rule| rule.is_for(platform, output)) {
        paths::apply(&mut builder, rule, platform)?;
        if let Some((path, _)) = accounts.iter().find(|(path, id)| builder.tree.get(path) != Some(*id)) {
            return Err(StageError::at(&rule.origin, Problem::AccountsLost(path.clone())));
        }
    }
    Ok(Staged { tree: builder.tree, notes })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::failure::{Failure, FailureKind};
    use crate::path::display_bytes;
    use crate::platform::Arch;
    use crate::progress::Silent;
    use crate::tree::{Entry, Kind};

    /// A folder in which a test puts what its recipe speaks of.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Host {
            Host(tempfile::tempdir().unwrap())
        }

        fn path(&self, path: &str) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn file(&self, path: &str, text: &str, mode: u32) -> &Host {
            let path = self.path(path);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn directory(&self, path: &str, mode: u32) -> &Host {
            let path = self.path(path);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn link(&self, path: &str, target: &str) -> &Host {
            symlink(target, self.path(path)).unwrap();
            self
        }

        fn hard(&self, path: &str, target: &str) -> &Host {
            fs::hard_link(self.path(target), self.path(path)).unwrap();
            self
        }

        /// A tar from headers and texts.
        fn tar(&self, path: &str, fill: impl FnOnce(&mut tar::Builder<fs::File>)) -> &Host {
            let mut builder = tar::Builder::new(fs::File::create(self.path(path)).unwrap());
            fill(&mut builder);
            builder.finish().unwrap();
            self
        }

        fn request(&self, text: &str, output: Output, base: Option<Tree>) -> Result<Staged, StageError> {
            let text = format!("platforms = ['linux/arm64']\n{text}");
            let loader = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
            let recipe = crate::recipe::parse(text.as_bytes(), &self.0.path().join("r.toml"), &loader)
                .unwrap_or_else(|faults| panic!("{faults}"));
            stage(Request {
                recipe: &recipe,
                platform: &Platform::new(Arch::Arm64),
                output,
                when: Epoch::from_source_date_epoch("1000000").unwrap(),
                scratch: &Scratch::new(self.0.path()),
                base,
                bundle: None,
                threads: 1,
                progress: &Silent,
            })
        }

        fn stage(&self, text: &str) -> Staged {
            self.request(text, Output::Image, None).unwrap()
        }

        fn lines(&self, text: &str) -> Vec<String> {
            lines(&self.stage(text).tree)
        }

        /// The message of a refusal, without this host's folder, and its class.
        fn refused(&self, text: &str) -> (String, FailureKind) {
            let error = self.request(text, Output::Image, None).unwrap_err();
            (error.to_string().replace(&format!("{}/", self.0.path().display()), ""), error.kind())
        }
    }

    fn line(entry: &Entry<'_>, names: u32) -> String {
        let meta = &entry.inode.meta;
        let mut out = match &entry.inode.kind {
            Kind::Directory(_) => format!("{}/", entry.path.to_string().trim_end_matches('/')),
            Kind::File(content) => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut content.open().unwrap(), &mut text).unwrap();
                format!("{}={text}", entry.path)
            }
            Kind::Symlink(target) => format!("{} -> {}", entry.path, display_bytes(target)),
            Kind::CharDevice(number) => format!("{} c{},{}", entry.path, number.major, number.minor),
            Kind::BlockDevice(number) => format!("{} b{},{}", entry.path, number.major, number.minor),
            Kind::Fifo => format!("{} p", entry.path),
        };
        if !matches!(entry.inode.kind, Kind::Symlink(_)) {
            out += &format!(" {}", meta.mode);
        }
        if (meta.uid, meta.gid) != (0, 0) {
            out += &format!(" {}:{}", meta.uid, meta.gid);
        }
        if meta.mtime != 1_000_000 {
            out += &format!(" @{}", meta.mtime);
        }
        if names > 1 {
            out += &format!(" x{names}");
        }
        for (name, value) in &meta.xattrs {
            let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            out += &format!(" {}={value}", display_bytes(name));
        }
        out
    }

    /// Everything but the root, a line for each name; owners of root and the date of the build are left out.
    fn lines(tree: &Tree) -> Vec<String> {
        let names = tree.name_counts();
        tree.walk()
            .skip(1)
            .map(|entry| {
                let names = if entry.inode.is_directory() { 1 } else { names[entry.id.index()] };
                line(&entry, names)
            })
            .collect()
    }

    #[test]
    fn a_directory_gives_what_it_holds_with_modes_but_without_owners_and_times() {
        let host = Host::new();
        host.directory("root", 0o700).file("root/etc/shadow", "s", 0o600).directory("root/tmp", 0o1777);
        host.directory("root/etc", 0o755).file("root/bin/su", "su", 0o4711).directory("root/bin", 0o755);
        host.hard("root/bin/second", "root/bin/su").link("root/bin/sh", "su");
        let bad = host.0.path().join("root").join(OsStr::from_bytes(b"caf\xe9"));
        fs::write(&bad, "x").unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o644)).unwrap();
        let staged = host.stage("source = [{ from = 'root' }]");
        assert_eq!(
            lines(&staged.tree),
            [
                "/bin/ 0755",
                "/bin/second=su 4711 x2",
                "/bin/sh -> su",
                "/bin/su=su 4711 x2",
                "/caf\\xe9=x 0644",
                "/etc/ 0755",
                "/etc/shadow=s 0600",
                "/tmp/ 1777",
            ]
        );
        // The folder that holds the files is not part of them.
        assert_eq!(*staged.tree.inode(staged.tree.root()).meta, Metadata::new(Mode::DIRECTORY, 1_000_000));
        assert_eq!(
            host.lines("source = [{ from = 'root', modes = 'normal', owner = '1:2', include = ['bin/s[hu]'] }]"),
            ["/bin/ 0755 1:2", "/bin/sh -> su 1:2", "/bin/su=su 0755 1:2"]
        );
    }

    #[test]
    fn an_archive_keeps_older_times_and_clamps_later_ones() {
        let host = Host::new();
        host.tar("a.tar", |tar| {
            for (path, time, uid) in [("old", 5, 7), ("new", 2_000_000, 0)] {
                let mut header = tar::Header::new_ustar();
                header.set_mode(0o640);
                header.set_mtime(time);
                header.set_uid(uid);
                header.set_size(1);
                tar.append_data(&mut header, path, b"x".as_slice()).unwrap();
            }
        });
        assert_eq!(host.lines("source = [{ from = 'a.tar' }]"), ["/new=x 0640", "/old=x 0640 @5"]);
        assert_eq!(
            host.lines("source = [{ from = 'tar:a.tar', times = 'keep', owner = 'keep', to = '/opt/{arch}' }]"),
            ["/opt/ 0755", "/opt/arm64/ 0755", "/opt/arm64/new=x 0640 @2000000", "/opt/arm64/old=x 0640 7:0 @5"]
        );
        assert_eq!(host.lines("source = [{ from = 'a.tar', times = 'epoch', exclude = ['new'] }]"), ["/old=x 0640"]);
    }

    #[test]
    fn only_attributes_that_belong_to_the_image_are_taken() {
        let host = Host::new();
        let mut third = "cap_net_raw=ep".parse::<crate::capability::Capabilities>().unwrap().to_bytes().to_vec();
        third[3] = 3;
        third.extend(1000_u32.to_le_bytes());
        let third = third.clone();
        host.tar("a.tar", |tar| {
            let records: [(&str, &[u8]); 7] = [
                ("SCHILY.xattr.security.capability", &third),
                ("SCHILY.xattr.user.kept", b"1"),
                ("SCHILY.xattr.user.empty", b""),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
                ("SCHILY.xattr.security.selinux", b"label"),
                ("SCHILY.xattr.trusted.x", b"1"),
                ("SCHILY.xattr.system.posix_acl_access", b"list"),
            ];
            tar.append_pax_extensions(records).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o755);
            header.set_mtime(1_000_000);
            header.set_size(0);
            tar.append_data(&mut header, "ping", b"".as_slice()).unwrap();
        });
        let staged = host.stage("source = [{ from = 'a.tar' }]");
        assert_eq!(
            lines(&staged.tree),
            ["/ping= 0755 security.capability=0100000200200000000000000000000000000000 user.kept=31"]
        );
        assert_eq!(staged.notes.len(), 1);
        assert!(staged.notes[0].starts_with("access control lists of 1 files are left out: "), "{:?}", staged.notes);
        let staged = host.stage("source = [{ from = 'a.tar', xattrs = 'drop' }]");
        assert_eq!((lines(&staged.tree), staged.notes.len()), (vec!["/ping= 0755".to_string()], 0));
    }

    #[test]
    fn filters_take_directories_with_what_they_hold() {
        let host = Host::new();
        host.file("r/usr/lib/a.so", "", 0o644).file("r/usr/lib/a.a", "", 0o644).file("r/usr/share/man/x", "", 0o644);
        host.file("r/etc/x", "", 0o644);
        for directory in ["r/usr", "r/usr/lib", "r/usr/share", "r/usr/share/man", "r/etc"] {
            host.directory(directory, 0o755);
        }
        let names = |filter: &str| -> Vec<String> {
            let staged = host.stage(&format!("source = [{{ from = 'r', {filter} }}]"));
            staged.tree.walk().skip(1).map(|entry| entry.path.to_string()).collect()
        };
        assert_eq!(
            names("exclude = ['usr/share/man/**', '**/*.a']"),
            ["/etc", "/etc/x", "/usr", "/usr/lib", "/usr/lib/a.so", "/usr/share", "/usr/share/man"]
        );
        assert_eq!(names("exclude = ['/usr', 'nothing/*']"), ["/etc", "/etc/x"]);
        assert_eq!(
            names("include = ['usr/lib', 'etc/*'], exclude = ['**/*.a']"),
            ["/etc", "/etc/x", "/usr", "/usr/lib", "/usr/lib/a.so"]
        );
        assert_eq!(
            host.refused("source = [{ from = 'r', include = ['usr', 'opt/*'] }]"),
            ("r.toml:2: `include` matches nothing in r: opt/*".into(), FailureKind::Input)
        );
        assert_eq!(
            host.refused("source = [{ from = 'r', exclude = ['**'] }]").0,
            "r.toml:2: nothing is copied from the source: r"
        );
    }

    #[test]
    fn what_is_excluded_is_not_even_read() {
        let host = Host::new();
        host.file("r/ok", "", 0o644).file("r/bad/.wh.x", "", 0o644);
        assert_eq!(host.lines("source = [{ from = 'r', exclude = ['bad'] }]"), ["/ok= 0644"]);
        let (message, kind) = host.refused("source = [{ from = 'r' }]");
        assert_eq!(message, "r.toml:2: names that begin with `.wh.` mean deletions in a layer: r/bad/.wh.x");
        assert_eq!(kind, FailureKind::Input);
    }

    #[test]
    fn a_link_to_a_directory_is_never_replaced_by_one() {
        let host = Host::new();
        host.directory("base/usr/lib", 0o755).directory("base/usr", 0o755).link("base/lib", "usr/lib");
        host.link("base/opt", "/usr/opt").link("base/loop", "loop");
        host.file("app/lib/x", "x", 0o644).directory("app/lib", 0o700).file("app/opt/y", "y", 0o644);
        let staged = host.stage(
            "source = [{ from = 'base' }, { from = 'app' }]\n[[path]]\npath = '/lib/z'\ntype = 'file'\ntext = 'z'\n\
             [[path]]\npath = '/lib'\ntype = 'directory'",
        );
        assert_eq!(
            lines(&staged.tree),
            [
                "/lib -> usr/lib",
                "/loop -> loop",
                "/opt -> /usr/opt",
                "/usr/ 0755",
                "/usr/lib/ 0755",
                "/usr/lib/x=x 0644",
                "/usr/lib/z=z 0644",
                "/usr/opt/ 0755",
                "/usr/opt/y=y 0644",
            ]
        );
        host.file("evil/loop/x", "", 0o644);
        assert_eq!(
            host.refused("source = [{ from = 'base' }, { from = 'evil' }]"),
            ("r.toml:2: cannot create /loop: too many levels of symbolic links: /loop".into(), FailureKind::Recipe)
        );
    }

    #[test]
    fn two_entries_of_a_source_never_become_one_in_silence() {
        let host = Host::new();
        host.directory("base/usr/lib", 0o755).link("base/lib", "usr/lib");
        host.file("app/lib/x", "1", 0o644).file("app/usr/lib/x", "2", 0o644);
        assert_eq!(
            host.refused("source = [{ from = 'base' }, { from = 'app' }]").0,
            "r.toml:2: two entries of the source have the same path, because of a symlink: /usr/lib/x"
        );
    }

    #[test]
    fn later_entries_replace_earlier_ones_but_no_directory_with_entries() {
        let host = Host::new();
        host.file("one/a", "1", 0o644).directory("one/empty", 0o755).file("one/full/x", "", 0o644);
        host.file("one/was-file", "", 0o644).link("one/link", "a").directory("one/full", 0o755);
        host.file("two/a", "2", 0o600).file("two/empty", "file", 0o644).directory("two/was-file", 0o755);
        host.file("two/link", "own", 0o644);
        assert_eq!(
            host.lines("source = [{ from = 'one' }, { from = 'two' }]"),
            ["/a=2 0600", "/empty=file 0644", "/full/ 0755", "/full/x= 0644", "/link=own 0644", "/was-file/ 0755"]
        );
        host.link("three/full", "elsewhere");
        let text = "source = [{ from = 'one' }, { from = 'three' }]";
        assert_eq!(
            host.refused(text),
            ("r.toml:2: a directory that is not empty would be replaced: /full".into(), FailureKind::Recipe)
        );
        let rules = "[[path]]\npath = '/full'\ntype = 'remove'\n\
                     [[path]]\npath = '/full'\ntype = 'symlink'\ntarget = 'a'";
        let staged = host.stage(&format!("source = [{{ from = 'one' }}]\n{rules}"));
        assert!(lines(&staged.tree).contains(&"/full -> a".to_string()));
    }

    #[test]
    fn a_device_of_a_source_goes_into_an_initramfs_only() {
        let host = Host::new();
        host.tar("dev.tar", |tar| {
            for (path, kind) in
                [("dev/null", tar::EntryType::Char), ("dev/sda", tar::EntryType::Block), ("f", tar::EntryType::Fifo)]
            {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(kind);
                header.set_mode(0o666);
                header.set_mtime(1_000_000);
                header.set_size(0);
                header.set_device_major(1).unwrap();
                header.set_device_minor(3).unwrap();
                tar.append_data(&mut header, path, b"".as_slice()).unwrap();
            }
        });
        let text = "source = [{ from = 'dev.tar' }]\n[[path]]\npath = '/dev/tty'\ntype = 'char'\nmajor = 5\nminor = 0\n\
                    [[path]]\npath = '/dev/zero'\ntype = 'char'\nmajor = 1\nminor = 5\nmode = '0666'\noutputs = ['image']";
        let image = host.request(text, Output::Image, None).unwrap();
        assert_eq!(lines(&image.tree), ["/dev/ 0755 @0", "/dev/zero c1,5 0666", "/f p 0666"]);
        assert_eq!(image.notes, ["device nodes are left out; they are only for an initramfs: /dev/null and 1 more"]);
        let initramfs = host.request(text, Output::Initramfs, None).unwrap();
        assert_eq!(
            lines(&initramfs.tree),
            ["/dev/ 0755 @0", "/dev/null c1,3 0666", "/dev/sda b1,3 0666", "/dev/tty c5,0 0600", "/f p 0666"]
        );
        assert_eq!(initramfs.notes.len(), 0);
    }

    #[test]
    fn sources_that_are_not_there_or_no_root_are_named_with_their_line() {
        let host = Host::new();
        let (message, kind) = host.refused("\n[[source]]\nfrom = 'stage/{arch}'");
        assert_eq!(message, "r.toml:3: cannot read stage/arm64: No such file or directory (os error 2)");
        assert_eq!(kind, FailureKind::Input);
        host.file("layout/oci-layout", "", 0o644).file("text", "not a tar", 0o644).directory("d", 0o755);
        assert_eq!(
            host.refused("source = [{ from = 'layout' }]").0,
            "r.toml:2: an OCI layout is not a root file system: layout"
        );
        assert_eq!(host.refused("source = [{ from = 'text' }]").1, FailureKind::Input);
        assert_eq!(host.refused("source = [{ from = 'rootfs:text' }]").0, "r.toml:2: not a directory: text");
        assert_eq!(host.refused("source = [{ from = 'tar:d' }]").0, "r.toml:2: not a tar: d");
        assert_eq!(host.refused("source = [{ from = 'd' }]").0, "r.toml:2: nothing is copied from the source: d");
        assert_eq!(
            host.refused("[[path]]\npath = '/x'\ntype = 'file'\nsource = 'gone'").0,
            "r.toml:2: cannot read gone: No such file or directory (os error 2)"
        );
        assert_eq!(host.refused("[[path]]\npath = '/x'\ntype = 'file'\nsource = 'd'").0, "r.toml:2: not a file: d");
    }

    const BUSYBOX: &str = "source = [{ from = 'r' }]\n";

    fn busybox() -> Host {
        let host = Host::new();
        host.file("r/bin/busybox", "b", 0o755).directory("r/bin", 0o755).link("r/sbin", "bin");
        host.file("r/bin/vi", "own", 0o755);
        host.file("busybox.links", "/bin/sh\n/sbin/init\n/usr/bin/[\n/bin/vi\n/bin/busybox\n", 0o644);
        host
    }

    #[test]
    fn names_are_made_as_busybox_makes_them() {
        let host = busybox();
        let text = format!("{BUSYBOX}[[links]]\ntarget = '/bin/busybox'\nnames-from = 'busybox.links'");
        let staged = host.stage(&text);
        assert_eq!(
            lines(&staged.tree),
            [
                "/bin/ 0755",
                "/bin/busybox=b 0755",
                "/bin/init -> /bin/busybox",
                "/bin/sh -> /bin/busybox",
                "/bin/vi=own 0755",
                "/sbin -> bin",
                "/usr/ 0755",
                "/usr/bin/ 0755",
                "/usr/bin/[ -> /bin/busybox",
            ]
        );
        assert_eq!(staged.notes, ["existing paths are not replaced by links to /bin/busybox: /bin/vi"]);
        let text = format!("{BUSYBOX}[[links]]\ntarget = '/bin/busybox'\nnames = ['/bin/{{arch}}']\nkind = 'hardlink'");
        assert_eq!(
            host.lines(&text),
            ["/bin/ 0755", "/bin/arm64=b 0755 x2", "/bin/busybox=b 0755 x2", "/bin/vi=own 0755", "/sbin -> bin"]
        );
    }

    #[test]
    fn names_of_nothing_are_refused() {
        let host = busybox();
        let refused = |links: &str| host.refused(&format!("{BUSYBOX}[[links]]\n{links}"));
        assert_eq!(
            refused("target = '/bin/toybox'\nnames = ['/bin/ls']"),
            ("r.toml:3: the [[links]] target is not a file in the tree: /bin/toybox".into(), FailureKind::Recipe)
        );
        assert_eq!(
            refused("target = '/bin'\nnames = ['/bin/ls']").0,
            "r.toml:3: the [[links]] target is not a file in the tree: /bin"
        );
        assert_eq!(
            refused("target = '/bin/busybox'\nnames-from = 'gone'"),
            ("r.toml:3: cannot read gone: No such file or directory (os error 2)".into(), FailureKind::Input)
        );
        host.file("empty", "# none\n", 0o644);
        assert_eq!(
            refused("target = '/bin/busybox'\nnames-from = 'empty'").0,
            "r.toml:3: the file contains no names: empty"
        );
        assert_eq!(
            refused("target = '/bin/busybox'\nnames = ['/bin/busybox/x']").0,
            "r.toml:3: cannot create /bin/busybox: not a directory: /bin/busybox"
        );
    }

    #[test]
    fn accounts_are_added_and_lines_that_are_there_stay() {
        let host = Host::new();
        host.file("r/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n# odd \u{e9} line\nlast:x:5:5::/:/bin/sh", 0o640);
        host.file("r/etc/group", "root:x:0:\nwww:x:33:a\n", 0o644).file("r/etc/shadow", "root:*:::::::\n", 0o600);
        host.directory("r/etc", 0o755);
        let staged = host.stage(
            "source = [{ from = 'r' }]\n\
             [[user]]\nname = 'app'\nuid = 10000\ngroups = ['www', 'extra']\nhome = '/srv'\n\
             [[user]]\nname = 'root'\nuid = 0\nshell = '/bin/sh'\n\
             [[user]]\nname = 'web'\nuid = 34\ngid = 'www'\ncomment = 'Web'\n\
             [[group]]\nname = 'extra'\ngid = 7\nmembers = ['root']\n\
             [[path]]\npath = '/srv'\ntype = 'directory'\nuid = 'app'\ngid = 'extra'",
        );
        assert_eq!(
            lines(&staged.tree),
            [
                "/etc/ 0755",
                "/etc/group=root:x:0:\nwww:x:33:a,app\nextra:x:7:root,app\napp:x:10000:\n 0644",
                "/etc/passwd=root:x:0:0:root:/root:/bin/sh\n# odd \u{e9} line\nlast:x:5:5::/:/bin/sh\n\
                 app:x:10000:10000::/srv:/sbin/nologin\nweb:x:34:33:Web:/:/sbin/nologin\n 0640",
                "/etc/shadow=root:*:::::::\napp:!:::::::\nweb:!:::::::\n 0600",
                "/srv/ 0755 10000:7",
            ]
        );
    }

    #[test]
    fn accounts_make_their_files_where_there_are_none() {
        let host = Host::new();
        host.file("r/x", "", 0o644);
        assert_eq!(
            host.lines("source = [{ from = 'r' }]\n[[user]]\nname = 'root'\nuid = 0"),
            ["/etc/ 0755", "/etc/group=root:x:0:\n 0644", "/etc/passwd=root:x:0:0::/root:/bin/sh\n 0644", "/x= 0644"]
        );
    }

    #[test]
    fn accounts_that_contradict_what_is_there_are_refused() {
        let host = Host::new();
        host.file("r/etc/passwd", "app:x:5:6::/:/bin/sh\n", 0o644).file("r/etc/group", "app:x:6:\n", 0o644);
        let refused = |rest: &str| host.refused(&format!("source = [{{ from = 'r' }}]\n{rest}")).0;
        let line = "app:x:5:6::/:/bin/sh";
        for (rest, message) in [
            ("[[user]]\nname = 'app'\nuid = 7", format!("user app is already used: {line}")),
            ("[[user]]\nname = 'app'\nuid = 5\nhome = '/srv'", format!("user app is already used: {line}")),
            ("[[user]]\nname = 'new'\nuid = 5\ngid = 6", format!("uid 5 is already used: {line}")),
            ("[[user]]\nname = 'new'\nuid = 6", "gid 6 is already used: app:x:6:".into()),
            ("[[user]]\nname = 'new'\nuid = 9\ngid = 'nobody'", "no group has this name: nobody".into()),
            ("[[user]]\nname = 'new'\nuid = 9\ngroups = ['nobody']", "no group has this name: nobody".into()),
            ("[[group]]\nname = 'app'\ngid = 9", "group app is already used: app:x:6:".into()),
            ("[[path]]\npath = '/x'\ntype = 'fifo'\nuid = 'nobody'", "no user has this name: nobody".into()),
        ] {
            assert_eq!(refused(rest), format!("r.toml:3: {message}"), "{rest}");
        }
        assert_eq!(
            refused("[[user]]\nname = 'new'\nuid = 9\n[[path]]\npath = '/etc/passwd'\ntype = 'file'\ntext = ''"),
            "r.toml:6: this rule replaces or removes a file to which [[user]] or [[group]] were added: /etc/passwd"
        );
        // The same again is not a contradiction.
        host.stage("source = [{ from = 'r' }]\n[[user]]\nname = 'app'\nuid = 5\nshell = '/bin/sh'");
    }

    #[test]
    fn declared_entries_are_what_they_say() {
        let host = Host::new();
        host.file("script-arm64", "#!", 0o700).link("alias", "script-arm64");
        assert_eq!(
            host.lines(
                "[[path]]\npath = '/etc/motd'\ntype = 'file'\ntext = '{arch} ${arch}'\nmode = '0640'\nuid = 1\n\
                 [[path]]\npath = '/usr/bin/app'\ntype = 'file'\nsource = 'alias'\ncapabilities = 'cap_net_raw=ep'\n\
                 [[path]]\npath = '/tmp'\ntype = 'directory'\nmode = '1777'\n\
                 [[path]]\npath = '/empty'\ntype = 'empty-file'\nxattrs = { 'user.a' = 'b' }\n\
                 [[path]]\npath = '/lib/{arch}'\ntype = 'symlink'\ntarget = '../{arch}'\ngid = 3\n\
                 [[path]]\npath = '/usr/bin/second'\ntype = 'hardlink'\ntarget = '/usr/bin/app'\n\
                 [[path]]\npath = '/pipe'\ntype = 'fifo'"
            ),
            [
                "/empty= 0644 user.a=62",
                "/etc/ 0755",
                "/etc/motd=arm64 ${arch} 0640 1:0",
                "/lib/ 0755",
                "/lib/arm64 -> ../arm64 0:3",
                "/pipe p 0644",
                "/tmp/ 1777",
                "/usr/ 0755",
                "/usr/bin/ 0755",
                "/usr/bin/app=#! 0755 x2 security.capability=0100000200200000000000000000000000000000",
                "/usr/bin/second=#! 0755 x2 security.capability=0100000200200000000000000000000000000000",
            ]
        );
    }

    #[test]
    fn the_root_can_be_given_a_mode() {
        let staged = Host::new().stage("[[path]]\npath = '/'\ntype = 'directory'\nmode = '0700'");
        assert_eq!(staged.tree.inode(staged.tree.root()).meta.mode.to_string(), "0700");
    }

    #[test]
    fn rules_change_and_remove_what_is_there() {
        let host = Host::new();
        host.file("r/etc/a", "", 0o644).file("r/etc/sub/b", "", 0o644).link("r/etc/l", "a").link("r/conf", "etc");
        host.directory("r/etc", 0o755).directory("r/etc/sub", 0o755);
        let text = |rules: &str| format!("source = [{{ from = 'r' }}]\n{rules}");
        assert_eq!(
            host.lines(&text(
                "[[path]]\npath = '/etc'\ntype = 'permissions'\nrecursive = true\nuid = 5\n\
                 [[path]]\npath = '/etc/**'\ntype = 'permissions'\nmode = '0700'\n\
                 [[path]]\npath = '/conf/a'\ntype = 'permissions'\ncapabilities = 'cap_kill=p'\n\
                 [[path]]\npath = '/etc/s*'\ntype = 'remove'"
            )),
            [
                "/conf -> etc",
                "/etc/ 0755 5:0",
                "/etc/a= 0700 5:0 security.capability=0000000220000000000000000000000000000000",
                "/etc/l -> a 5:0",
            ]
        );
        // A link that is named is followed to change it, as chmod does, and not to remove it, as rm does.
        assert_eq!(
            host.lines(&text(
                "[[path]]\npath = '/etc/l'\ntype = 'permissions'\nmode = '0600'\n\
                 [[path]]\npath = '/etc/l'\ntype = 'remove'\n\
                 [[path]]\npath = '/conf/sub'\ntype = 'remove'"
            )),
            ["/conf -> etc", "/etc/ 0755", "/etc/a= 0600"]
        );
        assert_eq!(host.lines(&text("[[path]]\npath = '/**'\ntype = 'remove'")), [""; 0]);
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        let host = Host::new();
        host.file("r/etc/a", "", 0o644).link("r/etc/l", "nowhere");
        let refused = |rule: &str| host.refused(&format!("source = [{{ from = 'r' }}]\n[[path]]\n{rule}")).0;
        for (rule, message) in [
            ("path = '/gone'\ntype = 'remove'", "no path matches: /gone"),
            ("path = '/etc/*.x'\ntype = 'remove'", "no path matches: /etc/*.x"),
            ("path = '/gone'\ntype = 'permissions'\nmode = '0644'", "no path matches: /gone"),
            (
                "path = '/etc/[l]'\ntype = 'permissions'\nmode = '0644'",
                "none of the matched paths can have these attributes: /etc/[l]",
            ),
            (
                "path = '/etc'\ntype = 'permissions'\ncapabilities = 'cap_kill=p'",
                "none of the matched paths can have these attributes: /etc",
            ),
            (
                "path = '/x'\ntype = 'hardlink'\ntarget = '/gone'",
                "/x: the target of the hard link is not a file in the tree: /gone",
            ),
            (
                "path = '/x'\ntype = 'hardlink'\ntarget = '/etc'",
                "/x: the target of the hard link is not a file in the tree: /etc",
            ),
            (
                "path = '/etc/a'\ntype = 'hardlink'\ntarget = '/etc/a'",
                "/etc/a: the target of the hard link is not a file in the tree: /etc/a",
            ),
            (
                "path = '/etc/.wh.a'\ntype = 'empty-file'",
                "names that begin with `.wh.` mean deletions in a layer: /etc/.wh.a",
            ),
            ("path = '/etc/a/b'\ntype = 'fifo'", "cannot create /etc/a: not a directory: /etc/a"),
            ("path = '/etc'\ntype = 'fifo'", "a directory that is not empty would be replaced: /etc"),
        ] {
            assert_eq!(refused(rule), format!("r.toml:3: {message}"), "{rule}");
        }
    }

    #[test]
    fn what_lies_on_a_base_image_changes_its_tree_and_nothing_else() {
        let host = Host::new();
        host.directory("b/usr/lib", 0o755).link("b/lib", "usr/lib").file("b/etc/passwd", "root:x:0:0::/:/x\n", 0o644);
        let base = host.stage("source = [{ from = 'b' }]").tree;
        host.file("app/lib/x", "x", 0o644);
        let text = "source = [{ from = 'oci:base' }, { from = 'app' }]\n[[path]]\npath = '/etc'\ntype = 'remove'";
        let staged = host.request(text, Output::Image, Some(base)).unwrap();
        let names: Vec<String> = staged.tree.walk().map(|entry| entry.path.to_string()).collect();
        assert_eq!(names, ["/", "/lib", "/usr", "/usr/lib", "/usr/lib/x"]);
    }

    #[test]
    fn the_same_source_again_and_in_another_order_changes_nothing() {
        let fill = |order: &mut dyn Iterator<Item = usize>| {
            let host = Host::new();
            for number in order {
                let path = format!("r/d{}/f{number}", number % 3);
                host.file(&path, &number.to_string(), 0o644);
                if number % 4 == 0 {
                    host.hard(&format!("r/h{number}"), &path).link(&format!("r/l{number}"), &format!("d{number}"));
                }
            }
            for number in 0..3 {
                host.directory(&format!("r/d{number}"), 0o755);
            }
            host
        };
        let (up, down) = (fill(&mut (0..40)), fill(&mut (0..40).rev()));
        let once = up.lines("source = [{ from = 'r' }]");
        assert_eq!(once.len(), 40 + 10 + 10 + 3);
        assert_eq!(down.lines("source = [{ from = 'r' }]"), once);
        assert_eq!(up.lines("source = [{ from = 'r' }, { from = 'r' }]"), once);
        assert_eq!(up.lines("source = [{ from = 'r', include = ['**'] }]"), once);
    }
}
