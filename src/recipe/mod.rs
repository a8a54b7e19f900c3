//! Recipes: TOML text on one side, a [`Recipe`] that only exists when it is valid on the other.
//!
//! Every key is defined once, in `keys.rs`: its name, its type and what it does. The parser, the hints for unknown keys, the JSON
//! schema and the reference in `docs/recipe.md` all use this definition. All faults of a recipe are reported at once, each with
//! its line.

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
