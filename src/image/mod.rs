//! The second waist: images as documents and blobs.
//!
//! Blobs are opened in one place only ([`Blobs`]), with a reader that checks size and digest at the end.

mod error;
mod model;

mod store;

mod cache;
mod merge;

mod flatten;
mod plan;

mod segment;

mod reuse;

mod layer;

mod assemble;

pub(crate) use assemble::{Assembled, assemble, combine};
pub use cache::Cache;
pub use error::StoreError;
pub(crate) use flatten::flatten;
pub use flatten::{FlattenError, Flattened};
pub(crate) use layer::LayerWriter;
pub use layer::{Layer, LayerError, LayerOptions};
pub use model::{Finished, Image, PlatformImage};
pub(crate) use plan::{LayerPlan, plan_layers};
pub(crate) use reuse::Reuse;
pub use segment::WhiteoutTooLong;
pub(crate) use store::read_small;
pub use store::{Blob, BlobStore, Blobs};
