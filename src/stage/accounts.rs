//! `[[user]]` and `[[group]]`: lines for `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
//!
//! Lines that are there stay byte for byte; what is missing is added at the end. Where the tree has `/etc/shadow` or
//! `/etc/gshadow`, new accounts get a line with a locked password there (shadow(5), gshadow(5)); they are not made.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::TreeBuilder;
use super::error::{Problem, StageError};
use crate::path::{ImagePath, display_bytes};
use crate::recipe::{Group, Id, RuleOrigin, User};
use crate::tree::{Content, Follow, Inode, InodeId, Kind, Metadata, Mode};

/// The largest file of accounts that is read, in bytes.
const SIZE_MAX: u64 = 16 << 20;

/// A file of lines with fields between colons.
#[derive(Debug)]
pub(crate) struct Lines {
    path: ImagePath,
    /// Whether the tree has the file.
    exists: bool,
    /// Each line with its end, as it is in the file.
    lines: Vec<Vec<u8>>,
    /// The first line of each name, and of each number in the third field.
    names: BTreeMap<Vec<u8>, usize>,
    numbers: BTreeMap<u32, usize>,
    /// The members of the groups that got some.
    members: BTreeMap<usize, BTreeSet<Vec<u8>>>,
    changed: bool,
}

impl Lines {
    /// Reads a file of the tree, through links.
    pub(crate) fn read(builder: &TreeBuilder, path: &str, origin: &RuleOrigin) -> Result<Lines, StageError> {
        let path: ImagePath = path.parse().map_err(StageError::path(origin))?;
        let Ok(found) = builder.tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes) else {
            return Ok(Lines::new(path, None));
        };
        let form = || StageError::at(origin, Problem::AccountsForm(path.clone()));
        let Kind::File(content) = &builder.tree.inode(found.id).kind else { return Err(form()) };
        if content.size() > SIZE_MAX {
            return Err(form());
        }
        let bytes =
            content.head(SIZE_MAX).map_err(|error| StageError::at(origin, Problem::Accounts(path.clone(), error)))?;
        Ok(Lines::new(found.path, Some(&bytes)))
    }

    fn new(path: ImagePath, bytes: Option<&[u8]>) -> Lines {
        let mut lines = Lines {
            path,
            exists: bytes.is_some(),
            lines: Vec::new(),
            names: BTreeMap::new(),
            numbers: BTreeMap::new(),
            members: BTreeMap::new(),
            changed: false,
        };
        for line in bytes.unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            lines.push(line.to_vec());
        }
        lines
    }

    /// Takes a line as the last one.
    fn push(&mut self, line: Vec<u8>) {
        let row = Row::new(&line);
        if !row.line.is_empty() {
            self.names.entry(row.field(0).to_vec()).or_insert(self.lines.len());
            if let Some(number) = row.number(2) {
                self.numbers.entry(number).or_insert(self.lines.len());
            }
        }
        self.lines.push(line);
    }

    /// The line of a name.
    fn named(&self, name: &str) -> Option<Row<'_>> {
        self.names.get(name.as_bytes()).and_then(|at| self.lines.get(*at)).map(|line| Row::new(line))
    }

    /// The line with a number.
    fn numbered(&self, number: u32) -> Option<Row<'_>> {
        self.numbers.get(&number).and_then(|at| self.lines.get(*at)).map(|line| Row::new(line))
    }

    /// The number of a name.
    pub(crate) fn number_of(&self, name: &str) -> Option<u32> {
        self.named(name)?.number(2)
    }

    fn add(&mut self, line: &str) {
        if let Some(last) = self.lines.last_mut().filter(|last| last.last() != Some(&b'\n')) {
            last.push(b'\n');
        }
        self.push(format!("{line}\n").into_bytes());
        (self.exists, self.changed) = (true, true);
    }

    /// Adds a member to the line of a group, unless it is in it.
    fn add_member(&mut self, group: &str, member: &str) {
        let Some(at) = self.names.get(group.as_bytes()).copied() else { return };
        let Some(line) = self.lines.get_mut(at) else { return };
        let members = self.members.entry(at).or_insert_with(|| {
            let members = Row::new(line).field(3);
            members.split(|byte| *byte == b',').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
        });
        let first = members.is_empty();
        if !members.insert(member.as_bytes().to_vec()) {
            return;
        }
        let end = line.pop_if(|last| *last == b'\n');
        if !first {
            line.push(b',');
        }
        line.extend_from_slice(member.as_bytes());
        line.extend(end);
        self.changed = true;
    }

    /// Writes the file back, with the owner and mode it had.
    fn write(self, builder: &mut TreeBuilder, origin: &RuleOrigin) -> Result<Option<(ImagePath, InodeId)>, StageError> {
        if !self.changed {
            return Ok(None);
        }
        let bytes = self.lines.concat();
        let place = StageError::place(origin);
        let mut meta = builder.meta(Mode::FILE);
        if let Some(id) = builder.tree.get(&self.path) {
            meta = Metadata::clone(&builder.tree.inode(id).meta);
            meta.mtime = builder.when.seconds();
        }
        // A dangling link is followed, as an editor would.
        let destination =
            builder.tree.destination(&self.path).ok().filter(|destination| !destination.missing.is_empty());
        let path = match destination {
            Some(destination) => destination.missing.iter().fold(destination.path, |path, name| path.join(name)),
            None => self.path,
        };
        let (directory, name) = builder.place(&path).map_err(place)?;
        let id = builder.tree.insert(
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
    /// A line, with or without its end.
    fn new(line: &'a [u8]) -> Row<'a> {
        Row { line: line.strip_suffix(b"\n").unwrap_or(line) }
    }

    fn field(&self, number: usize) -> &'a [u8] {
        self.line.split(|byte| *byte == b':').nth(number).unwrap_or_default()
    }

    fn number(&self, field: usize) -> Option<u32> {
        std::str::from_utf8(self.field(field)).ok()?.parse().ok()
    }
}

/// Adds the groups and users of a recipe. Returns which files were written, to check later that they are still there.
pub(crate) fn add(
    builder: &mut TreeBuilder,
    groups: &[Group],
    users: &[User],
) -> Result<Vec<(ImagePath, InodeId)>, StageError> {
    let Some(origin) = groups.first().map(|group| &group.origin).or(users.first().map(|user| &user.origin)) else {
        return Ok(Vec::new());
    };
    let mut passwd = Lines::read(builder, "/etc/passwd", origin)?;
    let mut group_file = Lines::read(builder, "/etc/group", origin)?;
    let mut shadow = Lines::read(builder, "/etc/shadow", origin)?;
    let mut gshadow = Lines::read(builder, "/etc/gshadow", origin)?;
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
        written.extend(lines.write(builder, origin)?);
    }
    Ok(written)
}

fn taken(origin: &RuleOrigin, what: String, row: &Row<'_>) -> StageError {
    StageError::at(origin, Problem::AccountTaken(what, display_bytes(row.line)))
}

fn add_group(
    lines: &mut Lines,
    shadow: &mut Lines,
    name: &str,
    gid: u32,
    origin: &RuleOrigin,
) -> Result<(), StageError> {
    if let Some(row) = lines.named(name) {
        return if row.number(2) == Some(gid) { Ok(()) } else { Err(taken(origin, format!("group {name}"), &row)) };
    }
    if let Some(row) = lines.numbered(gid) {
        return Err(taken(origin, format!("gid {gid}"), &row));
    }
    lines.add(&format!("{name}:x:{gid}:"));
    if shadow.exists && shadow.named(name).is_none() {
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
    if shadow.exists && shadow.named(&user.name).is_none() {
        shadow.add(&format!("{}:!:::::::", user.name));
    }
    Ok(())
}
