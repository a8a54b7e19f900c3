//! A stream cut into blocks of one size, which are compressed side by side and written in their order.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
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
    side: Side<W>,
}

/// Where blocks are compressed and written.
enum Side<W> {
    /// In threads.
    Threads {
        /// Takes full blocks, until the writing thread has failed.
        full: Option<SyncSender<Vec<u8>>>,
        /// Feeds the threads that compress, and writes what they make.
        writing: Option<JoinHandle<io::Result<W>>>,
    },
    /// Here, because the system starts no thread.
    Here { coder: Box<dyn Coder>, coded: Vec<u8>, out: W },
}

impl<W: Write + Send + 'static> Blocks<W> {
    /// Compresses into `out` on `jobs` threads, each with a coder of its own. Where no thread can be started, it is done here.
    pub(super) fn new<C: Coder>(
        out: W,
        jobs: usize,
        coder: impl Fn() -> io::Result<C> + Send + Sync + 'static,
    ) -> io::Result<Blocks<W>> {
        let jobs = jobs.clamp(1, 256);
        let (full, blocks) = sync_channel::<Vec<u8>>(1);
        let pool = BufferPool::default();
        // A thread that is not started takes along what it was given: so it gets it only when it runs.
        let given = Arc::new(Mutex::new(Some((out, coder))));
        let (taken, used) = (Arc::clone(&given), pool.clone());
        let writing = Builder::new().name("write".into()).spawn(move || {
            let (out, coder) = take(&taken)?;
            write(out, jobs, coder, blocks, &used)
        });
        let side = match writing {
            Ok(writing) => Side::Threads { full: Some(full), writing: Some(writing) },
            Err(_) => {
                let (out, coder) = take(&given)?;
                Side::Here { coder: Box::new(coder()?), coded: Vec::new(), out }
            }
        };
        Ok(Blocks { block: Vec::with_capacity(BLOCK), pool, cut_any: false, side })
    }

    fn send(&mut self) -> io::Result<()> {
        self.cut_any = true;
        let full = match &mut self.side {
            Side::Threads { full, .. } => full,
            Side::Here { coder, coded, out } => {
                let made = coder.code(&self.block, std::mem::take(coded))?;
                out.write_all(made.bytes())?;
                *coded = made.buffer;
                self.block.clear();
                return Ok(());
            }
        };
        let mut fresh = self.pool.take();
        fresh.clear();
        fresh.reserve_exact(BLOCK);
        let block = std::mem::replace(&mut self.block, fresh);
        match full.as_ref().map(|full| full.send(block)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.end().err().unwrap_or_else(ended_early)),
        }
    }

    /// Lets every thread end, and waits for it.
    fn end(&mut self) -> io::Result<W> {
        let Side::Threads { full, writing } = &mut self.side else { return Err(ended_early()) };
        *full = None;
        match writing.take().map(JoinHandle::join) {
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
        match self.side {
            Side::Here { out, .. } => Ok(out),
            Side::Threads { .. } => self.end(),
        }
    }
}

fn take<T>(given: &Mutex<Option<T>>) -> io::Result<T> {
    given.lock().ok().and_then(|mut given| given.take()).ok_or_else(ended_early)
}

/// The work of the writing thread.
fn write<W: Write, C: Coder>(
    mut out: W,
    jobs: usize,
    coder: impl Fn() -> io::Result<C> + Send + Sync,
    blocks: Receiver<Vec<u8>>,
    used: &BufferPool,
) -> io::Result<W> {
    let coded_pool = BufferPool::default();
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
