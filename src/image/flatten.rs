//! An image's layers, merged into the tree that a container of it would see.

use std::io::{self, Read};
use std::sync::Arc;

use super::error::StoreError;
use super::merge::{Noticed, put_over};
use super::model::PlatformImage;
use super::store::{Blob, Blobs};
use crate::codec::compress;
use crate::codec::tar::{self, TarError};
use crate::codec::{Scratch, ScratchError};
use crate::digest::{Digest, Digesting};
use crate::failure::{Failure, FailureKind, passing_on};
use crate::progress::{Progress, Reporting};
use crate::report::Finding;
use crate::tree::{Backing, Metadata, Mode, Tree};

/// Why layers cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum FlattenError {
    /// A blob is not there or not what it should be.
    #[error(transparent)]
    Store(StoreError),
    /// There is no room for a layer.
    #[error(transparent)]
    Scratch(ScratchError),
    /// A layer cannot be decompressed.
    #[error("cannot read {0}: {1}")]
    Io(String, #[source] io::Error),
    /// A layer is damaged.
    #[error(transparent)]
    Tar(TarError),
    /// The layer's contents are not those that the config speaks of.
    #[error("{layer} does not match the config: expected diff_id {expected}, found {found}")]
    DiffId {
        /// Which layer.
        layer: String,
        /// What the config says.
        expected: Digest,
        /// What the layer is.
        found: Digest,
    },
}

impl Failure for FlattenError {
    fn kind(&self) -> FailureKind {
        passing_on!(kind of self: FlattenError { Store, Scratch, Tar }
            FlattenError::Io(..) | FlattenError::DiffId { .. } => FailureKind::Input,
        )
    }

    fn hint(&self) -> Option<String> {
        passing_on!(hint of self: FlattenError { Store, Scratch, Tar }
            FlattenError::Io(..) | FlattenError::DiffId { .. } => {
                Some("the image is damaged: download or build it again".into())
            }
        )
    }
}

/// The layers of an image as one tree.
#[derive(Clone, Debug)]
pub struct Flattened {
    /// What a container of the image sees in docker and podman.
    pub tree: Tree,
    /// What engines refuse of the layers, and where a layer hides what its maker may not want to hide.
    pub findings: Vec<Finding>,
}

/// Merges the layers of an image, base first, as engines do. Contents stay in scratch files. `progress` receives
/// how many bytes of the layers were read.
///
/// # Errors
/// When a layer is missing, damaged, or not the one that the config speaks of.
pub fn flatten(
    image: &PlatformImage,
    blobs: &dyn Blobs,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<Flattened, FlattenError> {
    let mut noticed = Noticed::default();
    let mut tree = Tree::new(Metadata::new(Mode::DIRECTORY, 0));
    for (descriptor, diff_id) in image.manifest.layers().iter().zip(image.configuration.diff_ids()) {
        let name = format!("layer {}", descriptor.digest());
        let fail = |error: io::Error| match error.downcast::<StoreError>() {
            Ok(error) => FlattenError::Store(error),
            Err(error) => ScratchError::of(error)
                .map_or_else(|error| FlattenError::Io(name.clone(), error), FlattenError::Scratch),
        };
        let stored = Blob::of(descriptor).and_then(|blob| blobs.open(&blob)).map_err(FlattenError::Store)?;
        let mut stored = io::BufReader::with_capacity(1 << 16, Reporting::new(stored, progress));
        let form = compress::form_of(io::BufRead::fill_buf(&mut stored).map_err(fail)?);
        let mut plain = Digesting::new(scratch.file().map_err(fail)?);
        let unpacked = compress::decompressed(form, &mut stored).and_then(|mut layer| io::copy(&mut layer, &mut plain));
        // A decoder may stop before the end of its input, and the blob is checked only there. Of a blob that is the
        // wrong one, that is what must be told, not what the decoder made of it.
        io::copy(&mut stored.by_ref(), &mut io::sink()).map_err(fail)?;
        unpacked.map_err(fail)?;
        let (file, found, _) = plain.finish();
        if found != diff_id {
            return Err(FlattenError::DiffId { layer: name, expected: diff_id, found });
        }
        let backing = Arc::new(Backing::new(file.into_file(), name.clone()));
        let layer = tar::read_layer(&backing, &name, &tree).map_err(FlattenError::Tar)?;
        put_over(&mut tree, layer, &name, &mut noticed);
    }
    Ok(Flattened { tree, findings: noticed.findings(&image.platform) })
}
