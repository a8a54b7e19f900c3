//! The user that runs a program, and which files this user may search, read and execute (path_resolution(7)).

use crate::path::ImagePath;
use crate::tree::{ContentError, Follow, Inode, Kind, Metadata, Resolved, Tree};

/// A user and the groups that its processes get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessUser {
    /// The user ID.
    pub uid: u32,
    /// The group IDs, the primary group first.
    pub gids: Vec<u32>,
}

/// A `User` setting that names a user or group that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownUser {
    /// `/etc/passwd` does not have this name.
    #[error("no user of this name in /etc/passwd: {0}")]
    User(String),
    /// `/etc/group` does not have this name.
    #[error("no group of this name in /etc/group: {0}")]
    Group(String),
}

/// How much of `/etc/passwd` and `/etc/group` is read, in bytes.
const ACCOUNTS_MAX: u64 = 4 << 20;

impl ProcessUser {
    /// The superuser.
    pub fn root() -> ProcessUser {
        ProcessUser { uid: 0, gids: vec![0] }
    }

    /// The user that `user`, `uid`, `user:group` or `uid:gid` means in this root, as runc reads it: names are looked up in the
    /// root's own files; numbers need no entry there.
    ///
    /// # Errors
    /// When the accounts cannot be read. The inner error says which name does not exist.
    pub fn named(tree: &Tree, text: &str) -> Result<Result<ProcessUser, UnknownUser>, ContentError> {
        Ok(named_in(&lines(tree, b"/etc/passwd")?, &lines(tree, b"/etc/group")?, text))
    }

    /// The home directory that runc sets `HOME` to if the image does not: that of the account, otherwise `/`.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn home(&self, tree: &Tree) -> Result<String, ContentError> {
        let accounts = lines(tree, b"/etc/passwd")?;
        let own = accounts.iter().map(|line| fields(line)).find(|fields| number_in(fields, 2) == self.uid);
        let home = own.and_then(|fields| fields.get(5).copied()).filter(|home| !home.is_empty());
        Ok(home.unwrap_or("/").to_string())
    }

    /// Whether this user may execute a regular file. For uid 0 any one of the three bits suffices.
    pub fn may_execute(&self, meta: &Metadata) -> bool {
        if self.uid == 0 { meta.mode.any_execute() } else { self.has(meta, 1) }
    }

    /// Whether this user may read a file.
    pub fn may_read(&self, meta: &Metadata) -> bool {
        self.uid == 0 || self.has(meta, 4)
    }

    /// The first directory in the path of a file that this user may not search.
    pub fn barred(&self, tree: &Tree, found: &Resolved) -> Option<ImagePath> {
        if self.uid == 0 {
            return None;
        }
        let ways = found.links.iter().chain([&found.path]);
        ways.filter_map(ImagePath::parent).find_map(|way| {
            let mut up: Vec<ImagePath> = std::iter::successors(Some(way), ImagePath::parent).collect();
            up.reverse();
            up.into_iter().find(|path| tree.get(path).is_some_and(|id| !self.has(&tree.inode(id).meta, 1)))
        })
    }

    fn has(&self, meta: &Metadata, bit: u32) -> bool {
        let shift = if meta.uid == self.uid {
            6
        } else if self.gids.contains(&meta.gid) {
            3
        } else {
            0
        };
        meta.mode.bits() >> shift & bit != 0
    }
}

/// `GetExecUser` of the library that runc, docker and podman share (`moby/sys/user`). It accepts every line: a field that is absent
/// or not a number counts as 0, so an account with a damaged number is the superuser.
fn named_in(accounts: &[String], groups: &[String], text: &str) -> Result<ProcessUser, UnknownUser> {
    let mut parts = text.split(':');
    let (account_name, group) = (parts.next().unwrap_or_default(), parts.next().filter(|group| !group.is_empty()));
    // An empty name, as in `:staff`, means the superuser.
    let number = if account_name.is_empty() { Some(0) } else { id_of(account_name) };
    let account = accounts.iter().map(|line| fields(line)).find(|fields| match number {
        Some(number) => number_in(fields, 2) == number,
        None => fields.first() == Some(&account_name),
    });
    let mut user = match (&account, number) {
        (Some(fields), _) => ProcessUser { uid: number_in(fields, 2), gids: vec![number_in(fields, 3)] },
        (None, Some(uid)) => ProcessUser { uid, gids: vec![0] },
        (None, None) => return Err(UnknownUser::User(account_name.to_string())),
    };
    match group {
        Some(group) => {
            let number = id_of(group);
            let found = groups.iter().map(|line| fields(line)).find(|fields| match number {
                Some(number) => number_in(fields, 2) == number,
                None => fields.first() == Some(&group),
            });
            match found.map(|fields| number_in(&fields, 2)).or(number) {
                Some(gid) => user.gids = vec![gid],
                None => return Err(UnknownUser::Group(group.to_string())),
            }
        }
        None => {
            let name = account.as_ref().and_then(|fields| fields.first().copied()).filter(|name| !name.is_empty());
            for fields in groups.iter().map(|line| fields(line)) {
                let mut members = fields.get(3).copied().unwrap_or_default().split(',');
                if name.is_some_and(|name| members.any(|member| member == name)) {
                    user.gids.push(number_in(&fields, 2));
                }
            }
        }
    }
    Ok(user)
}

/// The fields of a line, with the white space around it removed. A comment counts as a line like any other.
fn fields(line: &str) -> Vec<&str> {
    line.trim().split(':').collect()
}

/// A number as Go's `strconv.Atoi` reads it: decimal, a sign is allowed, no blanks.
fn id_of(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn number_in(fields: &[&str], at: usize) -> u32 {
    fields.get(at).and_then(|text| id_of(text)).unwrap_or(0)
}

fn lines(tree: &Tree, path: &[u8]) -> Result<Vec<String>, ContentError> {
    let Ok(found) = tree.resolve(&ImagePath::root(), path, Follow::Yes) else { return Ok(Vec::new()) };
    let Inode { kind: Kind::File(content), .. } = tree.inode(found.id) else { return Ok(Vec::new()) };
    let bytes = content.head(ACCOUNTS_MAX)?;
    let lines = bytes.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned());
    Ok(lines.filter(|line| !line.trim().is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::sample::Sample;
    use crate::tree::Mode;

    fn accounts() -> Tree {
        Sample::new()
            .text("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\napp:x:10000:10001::/:/bin/sh\n")
            .text("/etc/group", 0o644, "root:x:0:\napp:x:10001:\nvideo:x:44:root,app\n")
            .tree
    }

    #[test]
    fn users_are_read_as_runc_reads_them() {
        let tree = accounts();
        let named = |text: &str| ProcessUser::named(&tree, text).unwrap();
        assert_eq!(named(""), Ok(ProcessUser { uid: 0, gids: vec![0, 44] }));
        assert_eq!(named("app"), Ok(ProcessUser { uid: 10000, gids: vec![10001, 44] }));
        assert_eq!(named("10000"), named("app"));
        assert_eq!(named("app:video"), Ok(ProcessUser { uid: 10000, gids: vec![44] }));
        assert_eq!(named("7:8"), Ok(ProcessUser { uid: 7, gids: vec![8] }));
        assert_eq!(named("root").unwrap().home(&tree).unwrap(), "/root");
        assert_eq!(named("7:8").unwrap().home(&tree).unwrap(), "/");
        assert_eq!(named("nobody"), Err(UnknownUser::User("nobody".into())));
        assert_eq!(named("app:nogroup"), Err(UnknownUser::Group("nogroup".into())));
    }

    /// Recorded from podman 4.3 with runc 1.1.5 and these files (`/proc/self/status`).
    #[test]
    fn odd_lines_are_read_as_runc_reads_them() {
        let passwd = "root:x:0:0::/root:/bin/sh\n# comment:x:5:5\n  lead:x:11:11::/:/bin/sh\ntext:x:abc:12::/:/bin/sh\n\
                      short\n\nzero:x:0012:13::/:/bin/sh\nplus:x:+14:15::/:/bin/sh\nspace:x: 16:17::/:/bin/sh\n\
                      crlf:x:18:19::/:/bin/sh\r\ndup:x:20:20::/:\ndup:x:21:21::/:\n123:x:22:22::/:\ng:x:30:30::/:\n";
        let group = "root:x:0:\nextra:x:40:g,lead\ntextg:x:abc:g\nshortg\n50:x:51:\ncr:x:41:g\r\nspaced:x:42: g\n";
        let tree = Sample::new().text("/etc/passwd", 0o644, passwd).text("/etc/group", 0o644, group).tree;
        for (text, uid, gids) in [
            ("", 0, vec![0]),
            ("lead", 11, vec![11, 40]),
            ("text", 0, vec![12]),
            ("short", 0, vec![0]),
            ("zero", 12, vec![13]),
            ("12", 12, vec![13]),
            ("plus", 14, vec![15]),
            ("+14", 14, vec![15]),
            ("space", 0, vec![17]),
            ("crlf", 18, vec![19]),
            ("dup", 20, vec![20]),
            ("123", 123, vec![0]),
            ("# comment", 5, vec![5]),
            ("g", 30, vec![30, 40, 0, 41]),
            ("g:50", 30, vec![50]),
            ("g:textg", 30, vec![0]),
            ("g:shortg", 30, vec![0]),
            ("g:spaced", 30, vec![42]),
            ("30:cr", 30, vec![41]),
            ("007", 7, vec![0]),
            (":extra", 0, vec![40]),
        ] {
            assert_eq!(ProcessUser::named(&tree, text).unwrap(), Ok(ProcessUser { uid, gids }), "{text}");
        }
    }

    #[test]
    fn one_bit_is_enough_for_root_and_the_right_one_for_others() {
        let meta = |bits, uid, gid| Metadata { uid, gid, ..Metadata::new(Mode::from_bits(bits), 0) };
        let app = ProcessUser { uid: 7, gids: vec![8] };
        assert!(ProcessUser::root().may_execute(&meta(0o001, 5, 5)));
        assert!(!ProcessUser::root().may_execute(&meta(0o644, 0, 0)));
        assert!(app.may_execute(&meta(0o001, 0, 0)) && !app.may_execute(&meta(0o744, 0, 8)));
        assert!(app.may_read(&meta(0o040, 0, 8)) && ProcessUser::root().may_read(&meta(0, 7, 7)));
        assert!(app.may_execute(&meta(0o100, 7, 0)) && !app.may_execute(&meta(0o011, 7, 8)));
    }

    #[test]
    fn a_closed_directory_bars_the_way() {
        let mut tree = Sample::new().text("/opt/app/run", 0o755, "x").tree;
        let found = tree.resolve(&ImagePath::root(), b"/opt/app/run", Follow::Yes).unwrap();
        let app = ProcessUser { uid: 7, gids: vec![8] };
        assert_eq!(app.barred(&tree, &found), None);
        let directory = tree.get(&"/opt/app".parse().unwrap()).unwrap();
        tree.meta_mut(directory).mode = Mode::from_bits(0o700);
        assert_eq!(app.barred(&tree, &found), Some("/opt/app".parse().unwrap()));
        assert_eq!(ProcessUser::root().barred(&tree, &found), None);
    }
}
