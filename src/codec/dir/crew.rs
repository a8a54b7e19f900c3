//! Several threads that read directories, for one that puts the results together.
//!
//! Whoever waits for a result makes it himself, unless somebody is at it: so one thread alone does everything, in the very order
//! in which it is wanted, and no result lies around for long.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::listing::{Listing, Opened, Orders, Reader, Seen, Way};
use crate::path::ImagePath;

/// More threads than that only wait for each other in the kernel.
const THREADS_MAX: usize = 8;

/// How many names may lie around until they are fetched: that is what several threads cost in memory.
const AHEAD_MAX: usize = 4096;

/// The largest room that is used again, in names: most directories are small.
const ROOM_MAX: usize = 64;

/// Something to be read.
enum Task {
    Directory(ImagePath),
    Part(Arc<Opened>, Range<usize>),
}

/// What all threads share.
#[derive(Default)]
struct Board {
    /// What is to be done, by the ticket for its result; the last is done first.
    tasks: BTreeMap<usize, Task>,
    /// What was done and not fetched yet.
    done: BTreeMap<usize, Listing>,
    /// How many names that is.
    ahead: usize,
    /// How many tickets were given.
    tickets: usize,
    /// How many threads wait for something to do.
    idle: usize,
    /// The ticket that somebody waits for.
    wanted: Option<usize>,
    /// Nothing is wanted any more, or a thread is lost.
    over: bool,
}

impl Board {
    /// What may be done before anybody waits for it.
    fn next(&mut self) -> Option<(usize, Task)> {
        if self.ahead > AHEAD_MAX { None } else { self.tasks.pop_last() }
    }

    fn keep(&mut self, number: usize, listing: Listing) {
        self.ahead += listing.seen.len();
        self.done.insert(number, listing);
    }
}

/// The threads' common ground.
pub(super) struct Crew<'a> {
    way: &'a Way<'a>,
    board: Mutex<Board>,
    changed: Condvar,
    /// Room that can be used again.
    rooms: Mutex<Vec<Vec<Seen>>>,
}

/// Calls `work` with a crew of so many threads, which includes the one that calls.
pub(super) fn with_crew<T>(way: &Way<'_>, threads: usize, work: impl FnOnce(&Crew<'_>) -> T) -> T {
    let crew = Crew { way, board: Mutex::default(), changed: Condvar::new(), rooms: Mutex::default() };
    crew.directory(ImagePath::root());
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, THREADS_MAX) {
            scope.spawn(|| crew.help());
        }
        let _end = End(&crew);
        work(&crew)
    })
}

/// Lets the threads go, also when one of them ends in a panic.
struct End<'a>(&'a Crew<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.board().over = true;
        self.0.changed.notify_all();
    }
}

impl<'a> Crew<'a> {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is read.
    pub fn way(&self) -> &'a Way<'a> {
        self.way
    }

    /// The ticket of the root directory.
    pub fn first(&self) -> usize {
        0
    }

    /// The result of a task that was ordered, once.
    pub fn wait_for(&self, ticket: usize, reader: &mut Reader<'_>) -> Listing {
        let mut board = self.board();
        loop {
            if let Some(listing) = board.done.remove(&ticket) {
                let full = board.ahead > AHEAD_MAX;
                board.ahead -= listing.seen.len();
                if full && board.ahead <= AHEAD_MAX {
                    self.changed.notify_all();
                }
                return listing;
            }
            let wanted = board.tasks.remove(&ticket).map(|task| (ticket, task));
            board = match wanted.or_else(|| board.next()) {
                Some((number, task)) => {
                    drop(board);
                    let listing = self.perform(task, reader);
                    if number == ticket {
                        return listing;
                    }
                    let mut board = self.board();
                    board.keep(number, listing);
                    board
                }
                // The panic of the thread that is lost goes on when all are.
                None if board.over => return Listing::default(),
                None => {
                    board.wanted = Some(ticket);
                    let mut board = self.wait(board);
                    board.wanted = None;
                    board
                }
            };
        }
    }

    /// Takes room back.
    pub fn give_back(&self, mut room: Vec<Seen>) {
        room.clear();
        if (1..=ROOM_MAX).contains(&room.capacity()) {
            self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
        }
    }

    /// Does what there is to do until nothing is wanted any more.
    fn help(&self) {
        let _end = End(self);
        let mut reader = Reader::new(self.way);
        let mut board = self.board();
        while !board.over {
            // Whoever waits for a result works too, so it never waits for one that nobody may make.
            board = match board.next() {
                Some((number, task)) => {
                    drop(board);
                    let listing = self.perform(task, &mut reader);
                    let mut board = self.board();
                    board.keep(number, listing);
                    if board.wanted == Some(number) {
                        self.changed.notify_all();
                    }
                    board
                }
                None => self.wait(board),
            };
        }
    }

    fn wait<'b>(&self, mut board: MutexGuard<'b, Board>) -> MutexGuard<'b, Board> {
        board.idle += 1;
        let mut board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        board.idle -= 1;
        board
    }

    fn perform(&self, task: Task, reader: &mut Reader<'_>) -> Listing {
        match task {
            Task::Directory(path) => reader.directory(path, self),
            Task::Part(directory, range) => reader.part(&directory, range, self),
        }
    }

    fn order(&self, task: Task) -> usize {
        let mut board = self.board();
        let ticket = board.tickets;
        board.tickets += 1;
        board.tasks.insert(ticket, task);
        if board.idle > 0 {
            self.changed.notify_one();
        }
        ticket
    }
}

impl Orders for Crew<'_> {
    fn room(&self) -> Vec<Seen> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn directory(&self, path: ImagePath) -> usize {
        self.order(Task::Directory(path))
    }

    fn part(&self, directory: &Arc<Opened>, range: Range<usize>) -> usize {
        self.order(Task::Part(directory.clone(), range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_does_only_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..2100 {
            std::fs::create_dir(folder.path().join(number.to_string())).unwrap();
        }
        let way = Way { root: folder.path(), xattrs: false, times: false, skip: None };
        with_crew(&way, 1, |crew| {
            let mut reader = Reader::new(crew.way());
            let parts = crew.wait_for(crew.first(), &mut reader).parts;
            let seen: Vec<usize> = parts.iter().map(|part| crew.wait_for(*part, &mut reader).seen.len()).collect();
            assert_eq!(seen, [1024, 1024, 52]);
            // The directories in the first parts can wait.
            let board = crew.board();
            assert_eq!((board.done.len(), board.tasks.len()), (0, 2100));
        });
    }
}
