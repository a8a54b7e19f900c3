//! The second waist: images as documents and blobs.
//!
//! A blob is opened in one place only ([`Blobs`]), and whoever reads it to the end knows that it is the right one.

mod model;

mod store;

mod flatten;
mod layer;

mod assemble;

pub use assemble::{Assembled, assemble, combine};
pub use flatten::{FlattenError, flatten};
pub use layer::{Layer, LayerError, LayerOptions, LayerPlan, plan_layers, write_layer};
pub use model::{Finished, Image, PlatformImage};
pub use store::{Blob, BlobWriter, Blobs, Staging, StoreError, read_small};
