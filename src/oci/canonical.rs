//! Canonical JSON: equal values always become the same bytes.

use serde::Serialize;

/// Compact JSON with all keys sorted by bytes, which is the same every time: `serde_json`'s object is a sorted map
/// (unless something turns its `preserve_order` on, which a test here would notice).
///
/// # Panics
/// When the value cannot be JSON at all, which no document type of ours can cause.
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("document types serialise to JSON");
    serde_json::to_vec(&value).expect("a JSON value serialises")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "the test needs a map without order")]

    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_hash_map_is_written_the_same_way_every_time() {
        let text = |seed: usize| {
            let map: HashMap<String, usize> = (0..50).map(|n| (format!("key{}", (n + seed) % 50), 0)).collect();
            canonical(&map)
        };
        let first = text(0);
        assert!(first.starts_with(br#"{"key0":0,"key1":0,"key10":0,"#));
        assert!((1..50).all(|seed| text(seed) == first));
    }
}
