//! The verifier. For now: its vocabulary.

mod verify;

pub use verify::{Allowance, CODES, Judgement, Libc, Policy, Purpose, Row, Subject, explain, verify};
