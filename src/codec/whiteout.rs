//! Whiteouts: how a layer says that something of the layers below is gone (image-spec, layer.md, "Whiteouts").
//!
//! Decision, where the spec is silent: a name that begins with `.wh.` can never be the name of a real file in a layer,
//! so such a name in a source is an error, never copied.

use crate::path::Name;

/// What whiteout names begin with.
pub const PREFIX: &[u8] = b".wh.";

/// The name that hides all entries of its directory in the layers below.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a name means in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// An ordinary entry.
    Entry,
    /// The entry of this name below is gone.
    Whiteout(Name),
    /// All entries below are gone.
    Opaque,
    /// A name that engines keep for themselves (`.wh..wh.plnk`): it means nothing here.
    Reserved,
    /// A bare `.wh.`, which no engine unpacks.
    Nameless,
}

/// What `name` means in a layer.
pub fn meaning(name: &Name) -> Meaning {
    match name.as_bytes().strip_prefix(PREFIX) {
        None => Meaning::Entry,
        Some(_) if name.as_bytes() == OPAQUE => Meaning::Opaque,
        Some(hidden) if hidden.starts_with(PREFIX) => Meaning::Reserved,
        Some(hidden) => Name::new(hidden).map_or(Meaning::Nameless, Meaning::Whiteout),
    }
}

/// The name of the whiteout that hides `name`. `None` when that would be longer than a file name can be.
pub fn of(name: &Name) -> Option<Name> {
    Name::new(&[PREFIX, name.as_bytes()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_specification_says() {
        let name = |text: &str| Name::new(text.as_bytes()).unwrap();
        assert_eq!(meaning(&name("a.wh.b")), Meaning::Entry);
        assert_eq!(meaning(&name(".wh.a")), Meaning::Whiteout(name("a")));
        assert_eq!(meaning(&name(".wh..wh..opq")), Meaning::Opaque);
        assert_eq!(meaning(&name(".wh..wh.plnk")), Meaning::Reserved);
        assert_eq!(meaning(&name(".wh.")), Meaning::Nameless);
        assert_eq!(of(&name("a")), Some(name(".wh.a")));
        assert_eq!(of(&name(&"a".repeat(252))), None);
    }
}
