//! The rules of the kernel and of the loaders, one named case each, compared with what really happens.
//!
//! A case is a small tree of forged files, and the way in which one of them is started. `tests/rules/*.txt` contains, for each
//! case, what a real kernel and real loaders did with it; `tests/rules/record` writes these files anew (as root, on amd64). The
//! tests here verify the same trees and compare the messages. The loaders in the cases are forged too; the recording replaces
//! them with the real ones.

mod case;

mod glibc;
mod kernel;
mod musl;
mod script;

mod truth;
