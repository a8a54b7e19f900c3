//! Recipes: TOML text on one side, a [`Recipe`] that only exists when it is valid on the other.
//!
//! There is one definition of every key (its name, its type, what it does); the parser, the hints for unknown keys, the
//! JSON schema and the reference in `docs/recipe.md` all come from it. Everything that is wrong with a recipe is told
//! at once, each fault with its place.

mod template;

mod glob;

mod model;

pub use glob::{GlobError, Globs, Matcher};
pub use model::{
    Action, Allow, Attributes, Base, FileContent, Group, Id, Initramfs, InitramfsCompression, LayerMatcher, LayerRule,
    Libc, LinkKind, LinkNames, Links, Modes, Output, Owner, Parts, PartsError, PathRule, Recipe, Source, SourceKind,
    Times, User, Verify,
};
pub use template::{HostPath, Origin, Template};
