//! Buffers that are reused.

use std::sync::{Arc, Mutex};

/// Buffers that nobody uses at the moment. What is used again need not be cleared, and musl's allocator gives memory of
/// this size back to the system at every turn.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// A buffer of any length that may hold anything.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default()
    }

    /// Gives a buffer back.
    pub fn give(&self, buffer: Vec<u8>) {
        if let Ok(mut pool) = self.0.lock() {
            pool.push(buffer);
        }
    }
}
