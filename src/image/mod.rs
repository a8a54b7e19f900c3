//! The second waist: images as documents and blobs.
//!
//! A blob is opened in one place only ([`Blobs`]), and whoever reads it to the end knows that it is the right one.

mod error;
mod model;

mod store;

mod cache;
mod flatten;
mod plan;

mod segment;

mod reuse;

mod layer;

mod assemble;

pub use assemble::{Assembled, assemble, combine};
pub use cache::Cache;
pub use error::StoreError;
pub use flatten::{FlattenError, flatten};
pub use layer::{Layer, LayerError, LayerOptions, LayerWriter};
pub use model::{Finished, Image, PlatformImage};
pub use plan::{LayerPlan, plan_layers};
pub use reuse::Reuse;
pub use segment::WhiteoutTooLong;
pub use store::{Blob, BlobStore, BlobWriter, Blobs, read_small};
