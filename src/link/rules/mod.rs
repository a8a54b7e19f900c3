//! The rules of the kernel and of the loaders, one named case each, against what really happened.
//!
//! A case is a small tree of forged files and the way in which one of them is started. `tests/rules/*.txt` holds, under
//! the name of each case, what a real kernel and real loaders made of it; `tests/rules/record` writes these files anew
//! on a machine that can. The tests here ask the verifier about the same trees and compare the words. The loaders of
//! the cases are forged too, but the recording puts the real ones in their places.

mod case;

mod glibc;
mod kernel;
mod musl;
mod script;

mod truth;
