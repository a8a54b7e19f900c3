//! `[[user]]` and `[[group]]`: lines for `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
//!
//! Lines that are there stay byte for byte; what is missing is added at the end. Where the tree has `/etc/shadow` or
//! `/etc/gshadow`, new accounts get a line with a locked password there (shadow(5), gshadow(5)); they are not made.

use super::error::{Problem, StageError};
use super::ground::Ground;
use crate::path::{ImagePath, display_bytes};
use crate::recipe::{Group, Id, Origin, User};
use crate::tree::{Content, Follow, Inode, InodeId, Kind, Metadata, Mode};

/// The largest file of accounts that is read, in bytes.
const SIZE_MAX: u64 = 16 << 20;

/// A file of lines with fields between colons.
#[derive(Debug)]
pub(crate) struct Lines {
    path: ImagePath,
    /// `None` when the tree has no such file.
    bytes: Option<Vec<u8>>,
    changed: bool,
}

impl Lines {
    /// Reads a file of the tree, through links.
    pub(crate) fn read(ground: &Ground, path: &str, origin: &Origin) -> Result<Lines, StageError> {
        let path: ImagePath = path.parse().map_err(StageError::path(origin))?;
        let Ok(found) = ground.tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes) else {
            return Ok(Lines { path, bytes: None, changed: false });
        };
        let form = || StageError::at(origin, Problem::AccountsForm(path.clone()));
        let Kind::File(content) = &ground.tree.inode(found.id).kind else { return Err(form()) };
        if content.size() > SIZE_MAX {
            return Err(form());
        }
        let bytes =
            content.head(SIZE_MAX).map_err(|error| StageError::at(origin, Problem::Accounts(path.clone(), error)))?;
        Ok(Lines { path: found.path, bytes: Some(bytes), changed: false })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| Row { line })
    }

    /// The line of a name.
    fn named(&self, name: &str) -> Option<Row<'_>> {
        self.rows().find(|row| row.field(0) == name.as_bytes())
    }

    /// The line with a number.
    fn numbered(&self, number: u32) -> Option<Row<'_>> {
        self.rows().find(|row| row.number(2) == Some(number))
    }

    /// The number of a name.
    pub(crate) fn number_of(&self, name: &str) -> Option<u32> {
        self.named(name)?.number(2)
    }

    fn add(&mut self, line: &str) {
        let bytes = self.bytes.get_or_insert_default();
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        self.changed = true;
    }

    /// Adds a member to the line of a group, unless it is in it.
    fn add_member(&mut self, group: &str, member: &str) {
        let mut out = Vec::new();
        for line in self.bytes.as_deref().unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            let (body, end) = match line.strip_suffix(b"\n") {
                Some(body) => (body, b"\n".as_slice()),
                None => (line, b"".as_slice()),
            };
            out.extend_from_slice(body);
            let row = Row { line: body };
            let members = row.field(3);
            if row.field(0) == group.as_bytes()
                && !members.split(|byte| *byte == b',').any(|known| known == member.as_bytes())
            {
                if !members.is_empty() {
                    out.push(b',');
                }
                out.extend_from_slice(member.as_bytes());
                self.changed = true;
            }
            out.extend_from_slice(end);
        }
        self.bytes = Some(out);
    }

    /// Writes the file back, with the owner and mode it had.
    fn write(self, ground: &mut Ground, origin: &Origin) -> Result<Option<(ImagePath, InodeId)>, StageError> {
        let Some(bytes) = self.bytes.filter(|_| self.changed) else { return Ok(None) };
        let place = StageError::place(origin);
        let mut meta = ground.meta(Mode::FILE);
        if let Some(id) = ground.tree.get(&self.path) {
            meta = Metadata::clone(&ground.tree.inode(id).meta);
            meta.mtime = ground.when.seconds();
        }
        // A dangling link is followed, as an editor would.
        let landing = ground.tree.landing(&self.path).ok().filter(|landing| !landing.missing.is_empty());
        let path = match landing {
            Some(landing) => landing.missing.iter().fold(landing.path, |path, name| path.join(name)),
            None => self.path,
        };
        let (directory, name) = ground.place(&path).map_err(place)?;
        let id = ground.tree.insert(
            directory,
            name,
            Inode { meta: meta.into(), kind: Kind::File(Content::Bytes(bytes.into())) },
        );
        Ok(Some((path, id)))
    }
}

/// One line.
struct Row<'a> {
    line: &'a [u8],
}

impl<'a> Row<'a> {
    fn field(&self, number: usize) -> &'a [u8] {
        self.line.split(|byte| *byte == b':').nth(number).unwrap_or_default()
    }

    fn number(&self, field: usize) -> Option<u32> {
        std::str::from_utf8(self.field(field)).ok()?.parse().ok()
    }
}

/// Adds the groups and users of a recipe. Tells which files were written, to prove later that they are still there.
pub(crate) fn add(
    ground: &mut Ground,
    groups: &[Group],
    users: &[User],
) -> Result<Vec<(ImagePath, InodeId)>, StageError> {
    let Some(origin) = groups.first().map(|group| &group.origin).or(users.first().map(|user| &user.origin)) else {
        return Ok(Vec::new());
    };
    let mut passwd = Lines::read(ground, "/etc/passwd", origin)?;
    let mut group_file = Lines::read(ground, "/etc/group", origin)?;
    let mut shadow = Lines::read(ground, "/etc/shadow", origin)?;
    let mut gshadow = Lines::read(ground, "/etc/gshadow", origin)?;
    for group in groups {
        add_group(&mut group_file, &mut gshadow, &group.name, group.gid, &group.origin)?;
        for member in &group.members {
            group_file.add_member(&group.name, member);
        }
    }
    for user in users {
        let gid = match &user.gid {
            Some(Id::Number(gid)) => *gid,
            Some(Id::Name(name)) => group_file
                .number_of(name)
                .ok_or_else(|| StageError::at(&user.origin, Problem::UnknownAccount("group", name.clone())))?,
            None => match group_file.number_of(&user.name) {
                Some(gid) => gid,
                None => {
                    add_group(&mut group_file, &mut gshadow, &user.name, user.uid, &user.origin)?;
                    user.uid
                }
            },
        };
        add_user(&mut passwd, &mut shadow, user, gid)?;
        for group in &user.groups {
            if group_file.named(group).is_none() {
                return Err(StageError::at(&user.origin, Problem::UnknownAccount("group", group.clone())));
            }
            group_file.add_member(group, &user.name);
        }
    }
    let mut written = Vec::new();
    for lines in [passwd, group_file, shadow, gshadow] {
        written.extend(lines.write(ground, origin)?);
    }
    Ok(written)
}

fn taken(origin: &Origin, what: String, row: &Row<'_>) -> StageError {
    StageError::at(origin, Problem::AccountTaken(what, display_bytes(row.line)))
}

fn add_group(lines: &mut Lines, shadow: &mut Lines, name: &str, gid: u32, origin: &Origin) -> Result<(), StageError> {
    if let Some(row) = lines.named(name) {
        return if row.number(2) == Some(gid) { Ok(()) } else { Err(taken(origin, format!("group {name}"), &row)) };
    }
    if let Some(row) = lines.numbered(gid) {
        return Err(taken(origin, format!("gid {gid}"), &row));
    }
    lines.add(&format!("{name}:x:{gid}:"));
    if shadow.bytes.is_some() && shadow.named(name).is_none() {
        shadow.add(&format!("{name}:!::"));
    }
    Ok(())
}

fn add_user(lines: &mut Lines, shadow: &mut Lines, user: &User, gid: u32) -> Result<(), StageError> {
    let path =
        |path: &Option<ImagePath>| path.as_ref().map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned());
    if let Some(row) = lines.named(&user.name) {
        // What the recipe does not say may be anything; what it says must be so.
        let given = |value: Option<String>, field| value.is_none_or(|value| row.field(field) == value.as_bytes());
        let same = row.number(2) == Some(user.uid)
            && (user.gid.is_none() || row.number(3) == Some(gid))
            && given(user.comment.clone(), 4)
            && given(path(&user.home), 5)
            && given(path(&user.shell), 6);
        return if same { Ok(()) } else { Err(taken(&user.origin, format!("user {}", user.name), &row)) };
    }
    if let Some(row) = lines.numbered(user.uid) {
        return Err(taken(&user.origin, format!("uid {}", user.uid), &row));
    }
    let root = user.uid == 0;
    let home = path(&user.home).unwrap_or_else(|| if root { "/root" } else { "/" }.to_string());
    let shell = path(&user.shell).unwrap_or_else(|| if root { "/bin/sh" } else { "/sbin/nologin" }.to_string());
    let comment = user.comment.as_deref().unwrap_or_default();
    lines.add(&format!("{}:x:{}:{gid}:{comment}:{home}:{shell}", user.name, user.uid));
    if shadow.bytes.is_some() && shadow.named(&user.name).is_none() {
        shadow.add(&format!("{}:!:::::::", user.name));
    }
    Ok(())
}
