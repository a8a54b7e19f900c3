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
//! Everything is either a [`tree`] (files with their metadata) or an [`image`] (JSON documents and
//! blobs). Whatever comes in becomes one of them, whatever goes out is made from one of them, and nothing goes around
//! them. [`pipeline::build`] reads as the whole program.
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
//! The modules below are in groups; a group is a floor, the ground floor first. **A module imports only from floors
//! below its own**: never sideways, never back up. Inside a folder the same holds for the list in its `mod.rs`.
//! `tests/house.rs` reads these lists and every path in the code, and keeps the rule. The binary (`main.rs`, `cli/`)
//! is its own crate root, so the compiler keeps the library from knowing the command line.
//!
//! `image` has the one exception to "nothing is kept": `image::cache` lies between builds. Only `image::reuse` asks it, and
//! what it answers changes the time a layer takes, never its bytes.
//!
//! Three floors exist because of single modules: `registry` knows registries and no images, and can be left out (feature `registry`);
//! [`elf`] reads the contents of a tree, so it is above the other types, and
//! [`render`] makes text of what [`pipeline`] returns, so it is above that.

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

// What the library reports while it works.
pub mod progress;

// What must end with the process: other processes, and temporary files.
pub mod children;
pub mod private;

// How a file gets its name only when it is complete.
pub mod replace;

// The types of the two waists.
pub mod oci;
pub mod reference;
pub mod report;
pub mod tree;

// What is in ELF files.
pub mod elf;

// How registries are spoken to.
#[cfg(feature = "registry")]
pub mod registry;

// Formats: one form of text or bytes each, and the verifier.
pub mod codec;
pub mod link;
pub mod recipe;

// Trees and images made from trees and images.
pub mod bundle;
pub mod image;
pub mod trial;

// Where trees and images come in and go out.
pub mod inspect;
pub mod stage;
pub mod transport;

// The whole.
pub mod pipeline;

// The whole, in a few calls.
pub mod api;

// Results as text.
pub mod render;
