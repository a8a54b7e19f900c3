//! What goes into the tree: sources, paths, links, users, groups, and which layer takes what.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::choice::{LinkKind, Modes, Output, PathKind, SourceXattrs};
use super::fault::{Fault, Position};
use super::glob::Globs;
use super::keys::{ID_MAX, PATH_KEYS, PATH_TYPES, PathType};
use super::model::{Base, Group, LayerRule, LinkNames, Links, Owner, Source, SourceKind, User};
use super::nearest::nearest;
use super::path_rule::{Attributes, FileContent, Id, PathAction, PathRule};
use super::section::{Placed, Section};
use super::template::{HostPath, Template};
use super::values::{attribute_value, is_account_name, owner};
use crate::capability::{self, Capabilities, CapabilityError};
use crate::reference::ImageReference;
use crate::tree::{DeviceNumber, Xattrs};

/// The folder of each file of the recipe, where its relative paths start.
pub(crate) type Folders<'a> = &'a [Arc<Path>];

/// What a `[[source]]` is: the base image, or a tree.
pub(crate) enum Read {
    Base(Base),
    Source(Source),
}

/// A path of this machine, relative to the file that names it.
pub(crate) fn host_path(folders: Folders<'_>, template: &Placed<Template>, text: &str) -> HostPath {
    let folder = folders.get(template.place.file).cloned().unwrap_or_else(|| Path::new("").into());
    HostPath::new(folder, text)
}

/// One `[[source]]`.
pub(crate) fn source(section: &Section<'_>, folders: Folders<'_>, first: bool) -> Option<Read> {
    let from = section.template("from");
    let to = section.image_template("to").map_or_else(|| Template::new("/"), |to| to.value);
    let (include, exclude) = (section.globs("include"), section.globs("exclude"));
    let owner = match section.text("owner") {
        None => Owner::Ids { uid: 0, gid: 0 },
        Some(text) if text.value == "keep" => Owner::Keep,
        Some(text) => match owner(text.value) {
            Some((uid, gid)) => Owner::Ids { uid, gid },
            None => {
                let fault = Fault::new(&text.place, format!("not an owner: {:?}", text.value));
                section.fault(fault.help("write \"UID:GID\" in numbers, such as \"0:0\", or \"keep\""));
                Owner::Keep
            }
        },
    };
    let modes = section.choice("modes").unwrap_or(Modes::Keep);
    let times = section.choice("times");
    let xattrs = section.choice("xattrs") != Some(SourceXattrs::Drop);
    let platforms = section.parsed_list("platforms").unwrap_or_default();

    let from = from?;
    let (prefix, rest) = match from.value.as_str().split_once(':') {
        Some((prefix, rest)) => (prefix, rest),
        None => ("", from.value.as_str()),
    };
    let images = ["oci", "oci-archive", "docker-archive", "docker"];
    if let Some(scheme) = images.into_iter().find(|scheme| *scheme == prefix) {
        base(section, &from, scheme, rest, first);
        return Some(Read::Base(Base { origin: section.origin(), scheme, path: host_path(folders, &from, rest) }));
    }
    let fault = |message: &str, help: &str| {
        section.fault(Fault::new(&from.place, message).help(help));
        None
    };
    let (kind, text) = match prefix {
        "http" | "https" | "ftp" => {
            return fault("a build downloads nothing", "download it first, check its digest, and name the file");
        }
        "cpio" => return fault("a cpio archive cannot be a source", "unpack it, or convert it to a tar"),
        _ if from.value.as_str() == "-" => return fault("standard input cannot be a source", "name a file"),
        "rootfs" => (SourceKind::Directory, rest),
        "tar" => (SourceKind::Tar, rest),
        _ => (SourceKind::Found, from.value.as_str()),
    };
    if text.is_empty() {
        return fault("`from` has no file name", "put a path after the colon");
    }
    let from = host_path(folders, &from, text);
    Some(Read::Source(Source {
        origin: section.origin(),
        from,
        kind,
        to,
        include,
        exclude,
        owner,
        modes,
        times,
        xattrs,
        platforms,
    }))
}

/// A base image is taken as it is, and everything else lies on top of it.
fn base(section: &Section<'_>, from: &Placed<Template>, scheme: &str, rest: &str, first: bool) {
    if rest.is_empty() {
        let fault = Fault::new(&from.place, "`from` has no image name");
        section.fault(fault.help(format!("put a path after the colon: {scheme}:base")));
    }
    if scheme == "docker" && !rest.is_empty() {
        remote(section, from, rest);
    }
    if !first {
        section.fault(
            Fault::new(&from.place, "a base image must be the first source")
                .label("this is an image")
                .help("its layers must be below all others: move it to the front"),
        );
    }
    for name in ["to", "include", "exclude", "owner", "modes", "times", "xattrs", "platforms"] {
        if let Some(place) = section.key(name) {
            section.fault(
                Fault::new(place, format!("`{name}` is not allowed for a base image: its layers are not changed"))
                    .related(&from.place, "this is an image"),
            );
        }
    }
}

/// An image in a registry is named by its digest: a tag could be another image tomorrow.
pub(crate) fn remote(section: &Section<'_>, from: &Placed<Template>, rest: &str) {
    // With a placeholder, the whole is known only for a platform.
    let reference = rest.strip_prefix("//").unwrap_or_default();
    let fault = match reference.parse::<ImageReference>() {
        Ok(reference) if reference.digest().is_some() => return,
        Err(_) if reference.contains('{') && reference.contains("@sha256:") => return,
        Ok(_) => Fault::new(&from.place, "an image in a registry needs its digest").help(
            "add @sha256:…, so that every build has the same bytes; `sazare inspect docker://…` prints the digest",
        ),
        Err(error) => Fault::new(&from.place, error.to_string()).help("write docker://HOST/NAME[:TAG]@sha256:…"),
    };
    section.fault(fault);
}

/// One `[[path]]`.
pub(crate) fn path(section: &Section<'_>, folders: Folders<'_>) -> Option<PathRule> {
    let kind = section.choice::<PathKind>("type");
    let path_type = PATH_TYPES.iter().find(|path_type| Some(path_type.kind) == kind);
    if let Some(path_type) = path_type {
        check_keys(section, path_type);
    }
    let attributes = attributes(section);
    let text = section.text("text").map(|text| Template::new(text.value));
    let source = section.template("source");
    let target = section.template("target");
    let device = DeviceNumber {
        major: section.number("major").map_or(0, |number| number.value as u32),
        minor: section.number("minor").map_or(0, |number| number.value as u32),
    };
    let recursive = section.flag("recursive").unwrap_or(false);
    let platforms = section.parsed_list("platforms").unwrap_or_default();
    let outputs = outputs(section);
    let written = section.template("path");

    let (kind, written) = (kind?, written?);
    if matches!(kind, PathKind::Permissions | PathKind::Remove) {
        let good = section.reader.good(&written.place, Globs::new([written.value.as_str()]));
        let paths = good?;
        let action = if kind == PathKind::Remove {
            if written.value.as_str().trim_matches('/').is_empty() {
                section.fault(Fault::new(&written.place, "the root of the image cannot be removed"));
            }
            PathAction::Remove { paths }
        } else {
            PathAction::Permissions { paths, recursive, attributes }
        };
        return Some(rule(section, written.value, action, outputs, platforms));
    }
    if !section.check_image_path(&written) {
        return None;
    }
    let is_root = written.value.as_str().split('/').all(|part| part.is_empty() || part == ".");
    if is_root && kind != PathKind::Directory {
        section.fault(Fault::new(&written.place, format!("the root of the image cannot be a {}", kind.word())));
    }
    let action = match kind {
        PathKind::Directory => PathAction::Directory(attributes),
        PathKind::File => {
            let content = match (text, source) {
                (Some(text), _) => FileContent::Text(text),
                (None, Some(source)) => FileContent::Source(host_path(folders, &source, source.value.as_str())),
                (None, None) => return None,
            };
            PathAction::File(content, attributes)
        }
        PathKind::EmptyFile => PathAction::File(FileContent::Empty, attributes),
        PathKind::Symlink => PathAction::Symlink(target?.value, attributes),
        PathKind::Hardlink => {
            let target = target?;
            section.check_image_path(&target);
            PathAction::Hardlink(target.value)
        }
        PathKind::Char => PathAction::Char(device, attributes),
        PathKind::Block => PathAction::Block(device, attributes),
        PathKind::Fifo => PathAction::Fifo(attributes),
        // Made above.
        PathKind::Permissions | PathKind::Remove => return None,
    };
    Some(rule(section, written.value, action, outputs, platforms))
}

fn rule(
    section: &Section<'_>,
    path: Template,
    action: PathAction,
    outputs: Option<BTreeSet<Output>>,
    platforms: Vec<crate::platform::Platform>,
) -> PathRule {
    let outputs = outputs.unwrap_or_else(|| match action {
        PathAction::Char(..) | PathAction::Block(..) => BTreeSet::from([Output::Initramfs]),
        PathAction::Directory(_)
        | PathAction::File(..)
        | PathAction::Symlink(..)
        | PathAction::Hardlink(_)
        | PathAction::Fifo(_)
        | PathAction::Permissions { .. }
        | PathAction::Remove { .. } => BTreeSet::from([Output::Image, Output::Initramfs]),
    });
    PathRule { origin: section.origin(), path, action, outputs, platforms }
}

/// Each type of path has its own keys.
fn check_keys(section: &Section<'_>, path_type: &PathType) {
    let name = path_type.kind.word();
    let type_place = section.text("type").map(|text| text.place);
    for key in section.table.keys {
        let known = PATH_KEYS.contains(&key.name)
            || path_type.required.contains(&key.name)
            || path_type.allowed.contains(&key.name);
        if let (false, Some(place)) = (known, section.key(key.name)) {
            let fault = Fault::new(place, format!("`{}` is not allowed for a path of type {name}", key.name));
            let fault = match &type_place {
                Some(place) => fault.related(place, "because of this"),
                None => fault,
            };
            let keys: Vec<&str> = path_type.required.iter().chain(path_type.allowed).copied().collect();
            section.fault(match (path_type.kind, key.name) {
                (PathKind::Symlink, "mode") => fault.help("on Linux a symlink has no mode: the target's mode applies"),
                (PathKind::Hardlink, _) => fault.help("it is another name of a file, with the file's owner and mode"),
                _ if keys.is_empty() => fault.help("it has no keys of its own"),
                _ => fault.help(format!("its keys are {}", keys.join(", "))),
            });
        }
    }
    let missing = |what: &str| Fault::new(section.place(), format!("a path of type {name} needs {what}"));
    for key in path_type.required {
        if section.key(key).is_none() {
            section.fault(missing(&format!("a key `{key}`")));
        }
    }
    if path_type.kind == PathKind::File {
        match (section.key("text"), section.key("source")) {
            (Some(text), Some(source)) => section.fault(
                Fault::new(source, "a file has either a `text` or a `source`")
                    .label("and here")
                    .related(text, "its contents are given here"),
            ),
            (None, None) => section.fault(missing("a key `text` or `source`").help("or use type = \"empty-file\"")),
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
    if path_type.kind == PathKind::Permissions
        && ["mode", "uid", "gid", "xattrs", "capabilities"].iter().all(|key| section.key(key).is_none())
    {
        section.fault(missing("something to change").help("add mode, uid, gid, xattrs or capabilities"));
    }
}

fn outputs(section: &Section<'_>) -> Option<BTreeSet<Output>> {
    let texts = section.texts("outputs")?;
    if texts.is_empty()
        && let Some(place) = section.key("outputs")
    {
        section.fault(Fault::new(place, "`outputs` is empty, so this would never be used"));
    }
    Some(section.choices("outputs")?.into_iter().collect())
}

fn attributes(section: &Section<'_>) -> Attributes {
    let mut xattrs = Xattrs::new();
    for (key_place, name, text) in section.map("xattrs") {
        let fault = |help: &str| {
            section.fault(Fault::new(key_place, format!("images cannot have this attribute: {name}")).help(help));
        };
        if name.as_bytes() == capability::ATTRIBUTE {
            fault("use the key `capabilities`, in setcap's text format");
        } else if !(name.starts_with("user.") && name.len() > 5
            || matches!(name, "system.posix_acl_access" | "system.posix_acl_default"))
        {
            fault(
                "images have user.*, system.posix_acl_access and system.posix_acl_default; other attributes \
                 belong to one machine",
            );
        } else if text.value.is_empty() {
            section.fault(Fault::new(&text.place, "docker and podman drop attributes with an empty value"));
        }
        match attribute_value(text.value) {
            Some(value) => {
                xattrs.insert(name.as_bytes().into(), value);
            }
            None => section.fault(Fault::new(&text.place, "not pairs of hexadecimal digits after `0x`")),
        }
    }
    if let Some(text) = section.text("capabilities") {
        match text.value.parse::<Capabilities>() {
            Ok(capabilities) => {
                xattrs.insert(capability::ATTRIBUTE.into(), Box::new(capabilities.to_bytes()));
            }
            Err(error) => {
                let fault = Fault::new(&text.place, error.to_string());
                let meant = match &error {
                    CapabilityError::UnknownName(name) => nearest(name, capability::NAMES),
                    CapabilityError::Form(_)
                    | CapabilityError::UnknownFlag(_)
                    | CapabilityError::Nothing
                    | CapabilityError::MixedEffective
                    | CapabilityError::EffectiveOnly(_)
                    | CapabilityError::Bytes(_) => None,
                };
                section.fault(match meant {
                    Some(meant) => fault.help(format!("did you mean {meant}?")),
                    None => fault,
                });
            }
        }
    }
    Attributes { mode: section.parsed("mode"), uid: id(section, "uid"), gid: id(section, "gid"), xattrs }
}

/// A number, as a number or in a text, or a name.
fn id(section: &Section<'_>, name: &'static str) -> Option<Id> {
    if let Some(number) = section.number(name) {
        return Some(Id::Number(number.value as u32));
    }
    let text = section.text(name)?;
    if !text.value.is_empty() && text.value.bytes().all(|byte| byte.is_ascii_digit()) {
        match text.value.parse() {
            Ok(number) if number < u32::MAX => return Some(Id::Number(number)),
            _ => {
                section.fault(Fault::new(&text.place, format!("not a number from 0 to {ID_MAX}")));
                return None;
            }
        }
    }
    account(section, &text.place, text.value).map(Id::Name)
}

fn account(section: &Section<'_>, place: &Position, text: &str) -> Option<String> {
    if !is_account_name(text) {
        let fault = Fault::new(place, format!("not a name of a user or group: {text:?}"));
        section.fault(fault.help("up to 32 letters, digits, `_`, `-` and `.`, and a letter or `_` first"));
        return None;
    }
    Some(text.to_string())
}

fn accounts(section: &Section<'_>, name: &'static str) -> Vec<String> {
    let texts = section.texts(name).unwrap_or_default();
    texts.iter().filter_map(|text| account(section, &text.place, &text.value)).collect()
}

/// One `[[links]]`.
pub(crate) fn links(section: &Section<'_>, folders: Folders<'_>) -> Option<Links> {
    let target = section.image_template("target");
    let kind = section.choice("kind").unwrap_or(LinkKind::Symlink);
    let list = section.texts("names").map(|texts| {
        let templates = texts.into_iter().map(|text| Placed { value: Template::new(text.value), place: text.place });
        templates.filter(|name| section.check_image_path(name)).map(|name| name.value).collect::<Vec<_>>()
    });
    let file = section.template("names-from");
    match (section.key("names"), section.key("names-from")) {
        (Some(names), Some(file)) => section.fault(
            Fault::new(file, "links have either `names` or `names-from`")
                .label("and here")
                .related(names, "the names are given here")
                .help("write another [[links]]"),
        ),
        (None, None) => {
            section.fault(Fault::new(section.place(), "links need a key `names` or `names-from`"));
        }
        (Some(place), None) if section.texts("names").is_some_and(|texts| texts.is_empty()) => {
            section.fault(Fault::new(place, "`names` is empty"));
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    let names = match (list, file) {
        (Some(list), _) => LinkNames::List(list),
        (None, Some(file)) => LinkNames::From(host_path(folders, &file, file.value.as_str())),
        (None, None) => return None,
    };
    Some(Links { origin: section.origin(), target: target?.value, names, kind })
}

/// One `[[user]]`.
pub(crate) fn user(section: &Section<'_>) -> Option<User> {
    let name = section.text("name").and_then(|text| account(section, &text.place, text.value));
    let comment = section.text("comment").and_then(|text| {
        if text.value.contains([':', '\n']) {
            section.fault(Fault::new(&text.place, "a field of /etc/passwd cannot contain `:` or a line end"));
            return None;
        }
        Some(text.value.to_string())
    });
    let path = |name| {
        let text = section.text(name)?;
        if text.value.contains([':', '\n']) {
            section.fault(Fault::new(&text.place, "a field of /etc/passwd cannot contain `:` or a line end"));
            return None;
        }
        section.image_path(name)
    };
    let (home, shell) = (path("home"), path("shell"));
    let (gid, groups) = (id(section, "gid"), accounts(section, "groups"));
    let uid = section.number("uid");
    Some(User { origin: section.origin(), name: name?, uid: uid?.value as u32, gid, groups, comment, home, shell })
}

/// One `[[group]]`.
pub(crate) fn group(section: &Section<'_>) -> Option<Group> {
    let name = section.text("name").and_then(|text| account(section, &text.place, text.value));
    let members = accounts(section, "members");
    let gid = section.number("gid");
    Some(Group { origin: section.origin(), name: name?, gid: gid?.value as u32, members })
}

/// Tells when two sections have the same value in a key that must be different in each.
pub(crate) fn check_different(sections: &[Section<'_>], name: &'static str) {
    let value = |section: &Section<'_>| match section.number(name) {
        Some(number) => Some((number.value.to_string(), number.place)),
        None => section.text(name).map(|text| (text.value.to_string(), text.place)),
    };
    let mut seen: BTreeMap<String, Position> = BTreeMap::new();
    for section in sections {
        let Some((value, place)) = value(section) else { continue };
        match seen.entry(value) {
            Entry::Occupied(first) => section.fault(
                Fault::new(&place, format!("two {} have the same {name}: {}", section.table.header, first.key()))
                    .label("again here")
                    .related(first.get(), "first here"),
            ),
            Entry::Vacant(first) => drop(first.insert(place)),
        }
    }
}

/// One `[[layer]]`.
pub(crate) fn layer(section: &Section<'_>) -> Option<LayerRule> {
    let name = section.text("name").map(|text| text.value.to_string());
    let (include, exclude) = (section.globs("include"), section.globs("exclude"));
    if let (Some(place), true) = (section.key("include"), section.texts("include").is_some_and(|list| list.is_empty()))
    {
        section.fault(Fault::new(place, "a layer that includes nothing would always be empty"));
    }
    Some(LayerRule { origin: section.origin(), name, include, exclude })
}
