//! The codes of findings about the layers of an image, which are found while the layers are merged to one tree
//! ([`super::Subject::found`]).

use crate::report::Code;

/// Engines cannot unpack a layer.
pub const LAYER_REFUSED: Code = Code("layer-refused");
/// A layer makes a directory where a lower layer has a link.
pub const LAYER_HIDES_LINK: Code = Code("layer-hides-link");
/// A layer lacks the entry of a directory whose owner and mode matter.
pub const LAYER_DIRECTORY_MODE: Code = Code("layer-directory-mode");
