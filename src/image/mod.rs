//! The second waist: images as documents and blobs.
//!
//! A blob is opened in one place only ([`Blobs`]), and whoever reads it to the end knows that it is the right one.

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
