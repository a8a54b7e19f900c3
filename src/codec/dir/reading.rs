//! Directories, read by several threads.
//!
//! A listing is fetched in the order in which the tree is made, and whoever waits for one makes it unless another thread is at it: so
//! one thread alone reads everything in the very order in which it is wanted, and no result waits for long.

use super::listing::{Listing, Reader, Source, Task};
use crate::parallel::{Next, Queue, Results, Threads, Work, with_threads};
use crate::path::ImagePath;

/// More threads than that only wait for each other in the kernel.
const THREADS_MAX: usize = 8;

/// The listings of all directories, each under its ticket.
pub(super) type Listings<'q, 's> = Results<'q, Reading<'s>>;

/// Calls `body` with so many threads, the calling one included, and the ticket for the listing of the root.
pub(super) fn with_readers<X>(
    source: &Source<'_>,
    threads: usize,
    body: impl FnOnce(&mut Listings<'_, '_>, usize) -> X,
) -> X {
    with_threads(&Reading(source), Threads::working(threads.min(THREADS_MAX)), |listings| {
        let first = listings.queue().submit(Task::Directory(ImagePath::root(), false));
        body(listings, first)
    })
}

/// The work of reading directories.
pub(super) struct Reading<'a>(&'a Source<'a>);

impl<'a> Work for Reading<'a> {
    type Task = Task;
    type Output = Listing;
    type State = Reader<'a>;

    const NEXT: Next = Next::Newest;
    /// In names: that is what several threads cost in memory.
    const AHEAD_MAX: usize = 4096;

    fn state(&self) -> Reader<'a> {
        Reader::new(self.0)
    }

    fn run(&self, task: Task, reader: &mut Reader<'a>, queue: &Queue<Task, Listing>) -> Listing {
        match task {
            Task::Directory(path, mounted) => reader.directory(path, mounted, queue),
            Task::Part(directory, range) => reader.part(&directory, range, queue),
        }
    }

    fn weight(&self, listing: &Listing) -> usize {
        listing.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::Unreadable;
    use super::*;

    #[test]
    fn one_thread_does_only_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..2100 {
            std::fs::create_dir(folder.path().join(number.to_string())).unwrap();
        }
        let source = Source::new(folder.path(), false, false, None, Unreadable::Fails);
        with_readers(&source, 1, |listings, first| {
            let parts = listings.fetch(first).unwrap().parts;
            let lengths: Vec<usize> = parts.iter().map(|part| listings.fetch(*part).unwrap().entries.len()).collect();
            assert_eq!(lengths, [1024, 1024, 52]);
            // The directories in the first parts can wait.
            assert_eq!(listings.queue().lengths(), (2100, 0));
        });
    }
}
