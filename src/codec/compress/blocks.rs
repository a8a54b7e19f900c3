//! A stream cut into blocks of one size, which are compressed side by side and written in their order.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::coder::{Coded, Coder};
use super::pool::BufferPool;

/// The length of a block, in bytes. Part of what the output depends on.
pub(super) const BLOCK: usize = 1 << 20;

/// A block on its way: the promise of its compressed form, which the collector waits for in order.
type Promise = Receiver<io::Result<Coded>>;

/// What a worker takes: a block, and where its compressed form was promised.
type Work = (Vec<u8>, SyncSender<io::Result<Coded>>);

/// Cuts a stream into blocks and compresses them side by side.
pub struct Blocks<W> {
    block: Vec<u8>,
    blocks: BufferPool,
    cut_any: bool,
    work: Option<SyncSender<Work>>,
    order: Option<SyncSender<Promise>>,
    workers: Vec<JoinHandle<()>>,
    collector: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Blocks<W> {
    /// Compresses into `out` on `jobs` threads, each with a coder of its own.
    pub(super) fn new<C: Coder>(out: W, jobs: usize, coder: impl Fn() -> io::Result<C>) -> io::Result<Blocks<W>> {
        let jobs = jobs.clamp(1, 256);
        let (work, work_receiver) = sync_channel::<Work>(jobs);
        // The bound on blocks under way, and so on memory: one at each worker, and as many waiting.
        let (order, promises) = sync_channel::<Promise>(2 * jobs);
        let work_receiver = Arc::new(Mutex::new(work_receiver));
        let mut workers = Vec::new();
        let (blocks, coded) = (BufferPool::default(), BufferPool::default());
        for _ in 0..jobs {
            let mut coder = coder()?;
            let receiver = work_receiver.clone();
            let (blocks, coded) = (blocks.clone(), coded.clone());
            workers.push(std::thread::Builder::new().name("compress".into()).spawn(move || {
                loop {
                    let next = receiver.lock().map(|receiver| receiver.recv());
                    let Ok(Ok((block, promise))) = next else { return };
                    // Nobody waits for it any more when the writer failed: then the result does not matter.
                    let _ = promise.send(coder.code(&block, coded.take()));
                    blocks.give(block);
                }
            })?);
        }
        let collector =
            std::thread::Builder::new().name("collect".into()).spawn(move || collect(out, promises, &coded))?;
        Ok(Blocks {
            block: Vec::with_capacity(BLOCK),
            blocks,
            cut_any: false,
            work: Some(work),
            order: Some(order),
            workers,
            collector: Some(collector),
        })
    }

    fn send(&mut self) -> io::Result<()> {
        let mut fresh = self.blocks.take();
        fresh.clear();
        fresh.reserve_exact(BLOCK);
        let block = std::mem::replace(&mut self.block, fresh);
        let (sender, promise) = sync_channel(1);
        self.cut_any = true;
        let sent = match (&self.order, &self.work) {
            (Some(order), Some(work)) => order.send(promise).is_ok() && work.send((block, sender)).is_ok(),
            _ => false,
        };
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why the collector ended early.
    fn failure(&mut self) -> io::Error {
        self.stop().err().unwrap_or_else(|| io::Error::other("a compression thread ended early"))
    }

    /// Lets every thread end, and waits for it.
    fn stop(&mut self) -> io::Result<Option<W>> {
        self.order = None;
        self.work = None;
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| io::Error::other("a compression thread failed"))?;
        }
        match self.collector.take() {
            Some(collector) => collector.join().map_err(|_| io::Error::other("a writing thread failed"))?.map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        // An empty stream is one empty block: no bytes at all would be no gzip file.
        if !self.block.is_empty() || !self.cut_any {
            self.send()?;
        }
        self.stop()?.ok_or_else(|| io::Error::other("a compression thread ended early"))
    }
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

fn collect<W: Write>(mut out: W, promises: Receiver<Promise>, pool: &BufferPool) -> io::Result<W> {
    for promise in promises {
        let coded = promise.recv().map_err(|_| io::Error::other("a compression thread failed"))??;
        out.write_all(coded.bytes())?;
        pool.give(coded.buffer);
    }
    Ok(out)
}
