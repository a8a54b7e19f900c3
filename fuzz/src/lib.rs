//! What the targets try: the same functions as in `tests/hostile.rs`.

#[path = "../../tests/hostile/tries.rs"]
pub mod tries;
