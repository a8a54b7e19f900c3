//! `[[links]]`: many names for one program.

use std::path::Path;

use super::builder::TreeBuilder;
use super::error::{Problem, StageError};
use crate::input;
use crate::path::{ImagePath, display_bytes};
use crate::platform::Platform;
use crate::recipe::{LinkKind, LinkNames, Links};
use crate::tree::{Follow, Inode, Kind, Metadata, Mode};

/// How many names a note lists before it only counts.
const SHOWN: usize = 3;

/// Makes the names.
pub(crate) fn make(
    builder: &mut TreeBuilder,
    links: &Links,
    platform: &Platform,
    notes: &mut Vec<String>,
) -> Result<(), StageError> {
    let at = |problem| StageError::at(&links.origin, problem);
    let text = links.target.fill_in(platform);
    let target: ImagePath = text.parse().map_err(StageError::path(&links.origin))?;
    let program = builder
        .tree
        .resolve(&ImagePath::root(), target.as_bytes(), Follow::Yes)
        .ok()
        .filter(|found| matches!(builder.tree.inode(found.id).kind, Kind::File(_)))
        .ok_or_else(|| at(Problem::LinkTarget(target.to_string())))?;
    let names = match &links.names {
        LinkNames::List(names) => names
            .iter()
            .map(|name| name.fill_in(platform).parse().map_err(StageError::path(&links.origin)))
            .collect::<Result<Vec<ImagePath>, _>>()?,
        LinkNames::From(file) => {
            let host = file.for_platform(platform);
            let bytes = input::read(&host, input::TEXT_MAX).map_err(|error| at(Problem::Read(host.clone(), error)))?;
            let names = names(&bytes, &host).map_err(at)?;
            if names.is_empty() {
                return Err(at(Problem::NoLinkNames(host)));
            }
            names
        }
    };
    let mut taken = Vec::new();
    for path in names {
        let resolved = builder.tree.resolve(&ImagePath::root(), path.as_bytes(), Follow::No);
        if let Ok(there) = resolved {
            let same = builder
                .tree
                .resolve(&ImagePath::root(), path.as_bytes(), Follow::Yes)
                .is_ok_and(|found| found.id == program.id);
            if !same {
                taken.push(there.path);
            }
            continue;
        }
        let (directory, name) = builder.place(&path).map_err(StageError::place(&links.origin))?;
        match links.kind {
            LinkKind::Hardlink => builder.tree.link(directory, name, program.id),
            LinkKind::Symlink => {
                let meta = Metadata::new(Mode::SYMLINK, builder.when.seconds());
                let kind = Kind::Symlink(target.as_bytes().into());
                builder.tree.insert(directory, name, Inode { meta: meta.into(), kind });
            }
        }
    }
    if !taken.is_empty() {
        let shown: Vec<String> = taken.iter().take(SHOWN).map(ImagePath::to_string).collect();
        let more = if taken.len() > SHOWN { format!(" and {} more", taken.len() - SHOWN) } else { String::new() };
        notes.push(format!("existing paths are not replaced by links to {target}: {}{more}", shown.join(", ")));
    }
    Ok(())
}

/// The paths of a file such as `busybox.links`.
fn names(bytes: &[u8], host: &Path) -> Result<Vec<ImagePath>, Problem> {
    let mut names = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = || Problem::LinkName(host.into(), number + 1, display_bytes(line));
        // A bare word would become a file of the root, which nobody means.
        if !line.contains(&b'/') {
            return Err(wrong());
        }
        names.push(ImagePath::parse(line).map_err(|_| wrong())?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_names_is_read_as_busybox_writes_it() {
        let read = |bytes: &[u8]| names(bytes, Path::new("busybox.links"));
        let paths = read(b"/bin/ash\n\n# comment\r\nbin/ls \n/usr/bin/[\n/usr/bin/\xff").unwrap();
        let paths: Vec<String> = paths.iter().map(ImagePath::to_string).collect();
        assert_eq!(paths, ["/bin/ash", "/bin/ls", "/usr/bin/[", "/usr/bin/\\xff"]);
        assert_eq!(read(b"/bin/ash\nls\n").unwrap_err().to_string(), "line 2 of busybox.links is not a path: ls");
        assert_eq!(read(b"/bin/../x").unwrap_err().to_string(), "line 1 of busybox.links is not a path: /bin/../x");
    }
}
