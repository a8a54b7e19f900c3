//! Who runs the program, and what that user may do: path_resolution(7) and the kernel's mode bits.

use crate::path::ImagePath;
use crate::tree::{ContentError, Follow, Inode, Kind, Metadata, Resolved, Tree};

/// A user and the groups that its processes get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessUser {
    /// The user's number.
    pub uid: u32,
    /// The numbers of the groups, the first one first.
    pub gids: Vec<u32>,
}

/// A `User` setting that names a user or group that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownUser {
    /// This name is in no line of `/etc/passwd`.
    #[error("no user of this name in /etc/passwd: {0}")]
    User(String),
    /// This name is in no line of `/etc/group`.
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

    /// The user that `user`, `uid`, `user:group` or `uid:gid` means in this root, as runc reads it: names are looked up in
    /// the root's own files, numbers need not be there.
    ///
    /// # Errors
    /// When the accounts cannot be read. The inner error: a name is not there.
    pub fn named(tree: &Tree, text: &str) -> Result<Result<ProcessUser, UnknownUser>, ContentError> {
        Ok(named_in(&lines(tree, b"/etc/passwd")?, &lines(tree, b"/etc/group")?, text))
    }

    /// The home directory that runc sets `HOME` to when the image does not: the account's, else `/`.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn home(&self, tree: &Tree) -> Result<String, ContentError> {
        let accounts = lines(tree, b"/etc/passwd")?;
        let own =
            accounts.iter().map(|line| fields(line)).find(|fields| fields.get(2) == Some(&&*self.uid.to_string()));
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

    /// The first directory on the way to a file that this user may not search.
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

fn named_in(accounts: &[String], groups: &[String], text: &str) -> Result<ProcessUser, UnknownUser> {
    let (account_name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    // Nothing, as in `:staff`, is the superuser.
    let number = if account_name.is_empty() { Some(0) } else { account_name.parse::<u32>().ok() };
    let account = accounts.iter().map(|line| fields(line)).find(|fields| match number {
        Some(number) => fields.get(2).is_some_and(|uid| *uid == number.to_string()),
        None => fields.first() == Some(&account_name),
    });
    let mut user = match (&account, number) {
        (Some(fields), _) => ProcessUser {
            uid: fields.get(2).and_then(|uid| uid.parse().ok()).unwrap_or(0),
            gids: vec![fields.get(3).and_then(|gid| gid.parse().ok()).unwrap_or(0)],
        },
        (None, Some(uid)) => ProcessUser { uid, gids: vec![0] },
        (None, None) => return Err(UnknownUser::User(account_name.to_string())),
    };
    match group.filter(|group| !group.is_empty()) {
        Some(group) => {
            let found = groups.iter().map(|line| fields(line)).find(|fields| fields.first() == Some(&group));
            let gid = found.and_then(|fields| fields.get(2).and_then(|gid| gid.parse().ok()));
            match gid.or_else(|| group.parse().ok()) {
                Some(gid) => user.gids = vec![gid],
                None => return Err(UnknownUser::Group(group.to_string())),
            }
        }
        None => {
            let name = account.as_ref().and_then(|fields| fields.first().copied());
            for fields in groups.iter().map(|line| fields(line)) {
                let mut members = fields.get(3).copied().unwrap_or_default().split(',');
                if name.is_some_and(|name| members.any(|member| member == name)) {
                    user.gids.extend(fields.get(2).and_then(|gid| gid.parse::<u32>().ok()));
                }
            }
        }
    }
    Ok(user)
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

fn lines(tree: &Tree, path: &[u8]) -> Result<Vec<String>, ContentError> {
    let Ok(found) = tree.resolve(&ImagePath::root(), path, Follow::Yes) else { return Ok(Vec::new()) };
    let Inode { kind: Kind::File(content), .. } = tree.inode(found.id) else { return Ok(Vec::new()) };
    let bytes = content.head(ACCOUNTS_MAX)?;
    Ok(bytes.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect())
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
