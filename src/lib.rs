//! sazare turns a staged root file system into OCI container images and initramfs archives, anywhere a file can be
//! written, and refuses to make one whose programs could not start.
//!
//! # As a library
//!
//! [`api`] builds and verifies in a few calls:
//!
//! ```
//! use sazare::api::{ImageBuilder, Verifier};
//! use sazare::pipeline::Outcome;
//! use sazare::transport::Place;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/images/hello/amd64");
//! # let folder = tempfile::tempdir()?;
//! # let output = format!("oci:{}", folder.path().join("layout").display());
//! let outcome = ImageBuilder::from_folder(root)
//!     .platform("linux/amd64".parse()?)
//!     .entrypoint(["/bin/hello"])
//!     .output(Place::for_writing(&output)?)
//!     .run()?;
//! assert!(matches!(outcome, Outcome::Built(_)));
//!
//! let checked = Verifier::new(Place::Rootfs(root.into())).platform("linux/amd64".parse()?).run()?;
//! assert!(!checked.report.refuses());
//! # Ok(())
//! # }
//! ```
//!
//! # Two waists
//!
//! All data is either a [`tree`] (files with their metadata) or an [`image`] (JSON documents and blobs). Every input becomes one of
//! them, and every output is made from one of them. [`pipeline::build`] reads as the whole program.
//!
//! ```text
//! recipe.toml ─ recipe ─► Recipe ─┐                                        ┌─► oci:DIR
//! directory   ─ codec::dir ──────►│                                        ├─► archive (one tar for docker,
//! tar / .deb  ─ codec::tar ──────►├─ stage ─► TREE ─ image::layer ─► IMAGE ┤      podman, skopeo)
//! base image  ─ image::flatten ──►┤            │ ▲                    ▲   └─► standard output
//! programs    ─ bundle ──────────►┘            ├─ codec::folder ──────│─► rootfs:DIR
//!                                              │ └── image::flatten ──┤
//! initramfs   ◄─ codec::cpio ──────────────────┤                      │
//!                                              │      transport::open (the same places, read)
//!                                              ├─ link ───► Report ──┐
//!                                              ├─ trial ──► Outcome ─┤
//!                                              └─ inspect ► Summary ─┴─ render ─► human | JSON | SARIF | GitHub
//! ```
//!
//! # Floors
//!
//! The modules below are in groups. Each group is a floor; the lowest one comes first. **A module imports only from floors below its
//! own**, never from its own floor or a higher one. The same holds inside each folder, for the list in its `mod.rs`.
//! `tests/house.rs` reads these lists and every path in the code, and checks the rule. The binary (`main.rs`, `cli/`) is a crate
//! of its own, so the library cannot use the command line.
//!
//! The library keeps nothing between builds, with one exception: `image::cache`. Only `image::reuse` reads it. It changes the time
//! that a layer takes, never its bytes.
//!
//! Three floors have only one module, for these reasons. `registry` speaks to registries, does not depend on images, and can be left
//! out (feature `registry`). [`elf`] reads the contents of a tree, so it is above the other types. [`render`] makes text of what
//! [`pipeline`] returns, so it is above that.

// Basic types, which all modules use.
pub mod capability;
pub mod digest;
pub mod epoch;
pub mod failure;
pub mod host;
pub mod input;
pub(crate) mod parallel;
pub mod path;
pub mod platform;

// Progress: what the library reports while it works.
pub mod progress;

// What must end with the process: child processes and temporary files.
pub mod children;
pub mod private;

// Outputs: a file gets its name only when it is complete.
pub mod replace;

// The types of the two waists.
pub mod oci;
pub mod reference;
pub mod report;
pub mod tree;

// Facts about ELF files.
pub mod elf;

// The protocol of registries.
#[cfg(feature = "registry")]
pub mod registry;

// Formats (one form of text or bytes each), and the verifier.
pub mod codec;
pub mod link;
pub mod recipe;

// Trees and images made from trees and images.
pub mod bundle;
pub mod image;
pub mod trial;

// Inputs and outputs: the places that trees and images are read from and written to.
pub mod inspect;
pub mod stage;
pub mod transport;

// The whole program.
pub mod pipeline;

// The whole program, in a few calls.
pub mod api;

// Results as text.
pub mod render;
