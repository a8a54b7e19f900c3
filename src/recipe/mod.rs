//! Recipes: TOML text on one side, a [`Recipe`] that only exists when it is valid on the other.
//!
//! There is one definition of every key (its name, its type, what it does) in `keys.rs`; the parser, the hints for
//! unknown keys, the JSON schema and the reference in `docs/recipe.md` all come from it. Everything that is wrong with
//! a recipe is reported at once, each fault with its place.

mod choice;

mod fault;
mod keys;
mod nearest;
mod template;

mod glob;
mod raw;

mod load;
mod path_rule;
mod schema;
mod section;

mod model;
mod values;

mod entries;

mod settings;

mod parse;

pub use choice::{Extra, InitramfsCompression, LinkKind, Modes, Output, RequiredLibc, Times};
pub use fault::{Fault, Faults, Position, RecipeError, SourceFile};
pub use glob::{GlobError, Globs, Matcher};
pub use load::Loader;
pub use model::{
    Allow, Base, Bundle, Group, Initramfs, LayerMatcher, LayerRule, LinkNames, Links, Owner, Parts, PartsError, Recipe,
    Source, SourceKind, User, Verify,
};
pub use parse::{parse, read};
pub use path_rule::{Attributes, FileContent, Id, PathAction, PathRule};
pub use schema::schema;
pub use template::{HostPath, RuleOrigin, Template};
pub use values::size;
