//! A stream cut into blocks of one size, which are compressed side by side and written in their order.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::coder::{Coded, Coder};
use super::pool::BufferPool;
use crate::parallel::{Threads, in_order};

/// The length of a block, in bytes. Part of what the output depends on.
pub(super) const BLOCK: usize = 1 << 20;

/// Cuts a stream into blocks and compresses them side by side.
pub struct Blocks<W> {
    block: Vec<u8>,
    pool: BufferPool,
    cut_any: bool,
    /// Takes full blocks, until the writing thread has failed.
    full: Option<SyncSender<Vec<u8>>>,
    /// Feeds the threads that compress, and writes what they make.
    writing: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Blocks<W> {
    /// Compresses into `out` on `jobs` threads, each with a coder of its own.
    pub(super) fn new<C: Coder>(
        mut out: W,
        jobs: usize,
        coder: impl Fn() -> io::Result<C> + Send + Sync + 'static,
    ) -> io::Result<Blocks<W>> {
        let jobs = jobs.clamp(1, 256);
        let (full, blocks) = sync_channel::<Vec<u8>>(1);
        let (pool, coded_pool) = (BufferPool::default(), BufferPool::default());
        let used = pool.clone();
        let writing = Builder::new().name("write".into()).spawn(move || {
            let compress = |block: Vec<u8>, known: &mut Option<C>| {
                let coder = match known {
                    Some(coder) => coder,
                    None => known.insert(coder()?),
                };
                let coded = coder.code(&block, coded_pool.take());
                used.give(block);
                coded
            };
            let write = |coded: io::Result<Coded>| {
                let coded = coded?;
                out.write_all(coded.bytes())?;
                coded_pool.give(coded.buffer);
                Ok::<(), io::Error>(())
            };
            // The bound on blocks under way, and so on memory: one at each thread, and as many waiting.
            in_order(Threads::feeding(jobs), 2 * jobs, blocks, || None, compress, write)?;
            Ok(out)
        })?;
        let block = Vec::with_capacity(BLOCK);
        Ok(Blocks { block, pool, cut_any: false, full: Some(full), writing: Some(writing) })
    }

    fn send(&mut self) -> io::Result<()> {
        let mut fresh = self.pool.take();
        fresh.clear();
        fresh.reserve_exact(BLOCK);
        let block = std::mem::replace(&mut self.block, fresh);
        self.cut_any = true;
        match self.full.as_ref().map(|full| full.send(block)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.end().err().unwrap_or_else(ended_early)),
        }
    }

    /// Lets every thread end, and waits for it.
    fn end(&mut self) -> io::Result<W> {
        self.full = None;
        match self.writing.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(ended_early()),
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        // An empty stream is one empty block: no bytes at all would be no gzip file.
        if !self.block.is_empty() || !self.cut_any {
            self.send()?;
        }
        self.end()
    }
}

fn ended_early() -> io::Error {
    io::Error::other("the writing thread ended early")
}

impl<W: Write + Send + 'static> Write for Blocks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
