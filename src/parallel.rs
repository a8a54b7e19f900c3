//! Work in several threads, with the results in order.
//!
//! All threads share a [`Queue`]: tasks that are waiting and results that nobody fetched yet, each under its ticket (a number).
//! The calling thread submits tasks and fetches results in the order it wants them, so what it makes of them does not depend
//! on the number of threads. A task may submit further tasks.
//!
//! [`in_order`] is the simple form: a sequence of tasks in, their results out in the same order.
//!
//! - The system may refuse to start a thread (a limit on processes, no memory). Then fewer work; without any, the calling thread does
//!   everything itself.
//! - A panic in a thread goes on in the calling thread, with what it said, when all threads have ended.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// How many threads work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// How many are started. The calling thread is not among them.
    started: usize,
    caller: Caller,
}

/// What the calling thread does while a result is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// It works on tasks too, first on the one whose result it waits for.
    Works,
    /// It waits. Right where it has enough to do with the results.
    Collects,
}

impl Threads {
    /// So many threads work, and the calling one is one of them.
    pub fn working(count: usize) -> Threads {
        Threads { started: count.saturating_sub(1), caller: Caller::Works }
    }

    /// So many threads work (at least one), and the calling one feeds them and consumes the results.
    pub fn feeding(count: usize) -> Threads {
        Threads { started: count.max(1), caller: Caller::Collects }
    }
}

/// Which of the waiting tasks is begun next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// The one that was submitted first.
    Oldest,
    /// The one that was submitted last: a walk goes into the depth, and few tasks wait.
    Newest,
}

/// What is done with a task.
pub(crate) trait Work: Sync {
    /// What is to be done.
    type Task: Send;
    /// What comes of it.
    type Output: Send;
    /// What a thread uses for one task after the other: buffers, a compressor.
    type State;

    /// Which task is begun next.
    const NEXT: Next = Next::Oldest;
    /// While results that nobody fetched yet weigh more than this in all, no thread begins anything but what is waited for.
    const AHEAD_MAX: usize = usize::MAX;

    /// Made by each thread when it begins its first task.
    fn state(&self) -> Self::State;

    /// Does a task. `queue` takes further ones.
    fn run(&self, task: Self::Task, state: &mut Self::State, queue: &Queue<Self::Task, Self::Output>) -> Self::Output;

    /// How much memory a result occupies until it is fetched, in any unit.
    fn weight(&self, _: &Self::Output) -> usize {
        0
    }
}

/// What all threads share.
pub(crate) struct Queue<T, R> {
    inner: Mutex<Inner<T, R>>,
    changed: Condvar,
}

struct Inner<T, R> {
    /// What is to be done, by ticket.
    tasks: BTreeMap<usize, T>,
    /// What was done and not fetched yet, and its weight, by ticket.
    done: BTreeMap<usize, (R, usize)>,
    /// The weight of all that was not fetched yet.
    ahead: usize,
    /// How many tickets were given.
    tickets: usize,
    /// How many threads wait for something to do.
    idle: usize,
    /// The ticket whose result is waited for.
    wanted: Option<usize>,
    /// Nothing is wanted any more, or a thread has panicked.
    over: bool,
}

impl<T, R> Queue<T, R> {
    fn new() -> Queue<T, R> {
        let (tasks, done) = (BTreeMap::new(), BTreeMap::new());
        let inner = Inner { tasks, done, ahead: 0, tickets: 0, idle: 0, wanted: None, over: false };
        Queue { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, R>> {
        // No panic can come between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task for the next free thread. The result is fetched with the ticket, once.
    pub fn submit(&self, task: T) -> usize {
        let mut inner = self.lock();
        let ticket = inner.tickets;
        inner.tickets += 1;
        inner.tasks.insert(ticket, task);
        if inner.idle > 0 {
            self.changed.notify_one();
        }
        ticket
    }

    fn wait<'a>(&self, mut inner: MutexGuard<'a, Inner<T, R>>) -> MutexGuard<'a, Inner<T, R>> {
        inner.idle += 1;
        let mut inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        inner.idle -= 1;
        inner
    }

    /// How many tasks wait and how many results were not fetched.
    #[cfg(test)]
    pub fn lengths(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.tasks.len(), inner.done.len())
    }
}

impl<T, R> Inner<T, R> {
    /// What may be begun before anybody waits for it.
    fn next<W: Work>(&mut self) -> Option<(usize, T)> {
        if self.ahead > W::AHEAD_MAX {
            return None;
        }
        match W::NEXT {
            Next::Oldest => self.tasks.pop_first(),
            Next::Newest => self.tasks.pop_last(),
        }
    }

    fn keep(&mut self, ticket: usize, output: R, weight: usize) {
        self.ahead += weight;
        self.done.insert(ticket, (output, weight));
    }
}

/// Ends the work of all threads, also when one of them ends with a panic.
struct End<'a, T, R>(&'a Queue<T, R>);

impl<T, R> Drop for End<'_, T, R> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// What the calling thread has in hand.
pub(crate) struct Results<'a, W: Work> {
    work: &'a W,
    queue: &'a Queue<W::Task, W::Output>,
    state: Option<W::State>,
    caller: Caller,
    alone: bool,
}

impl<'a, W: Work> Results<'a, W> {
    /// What takes tasks.
    pub fn queue(&self) -> &'a Queue<W::Task, W::Output> {
        self.queue
    }

    /// The result for a ticket. `None` when a thread has panicked: return then, and the panic goes on.
    pub fn fetch(&mut self, ticket: usize) -> Option<W::Output> {
        let queue = self.queue;
        let mut inner = queue.lock();
        loop {
            if let Some((output, weight)) = inner.done.remove(&ticket) {
                let full = inner.ahead > W::AHEAD_MAX;
                inner.ahead -= weight;
                if full && inner.ahead <= W::AHEAD_MAX {
                    queue.changed.notify_all();
                }
                return Some(output);
            }
            let task = match self.caller {
                Caller::Works => {
                    let wanted = inner.tasks.remove(&ticket).map(|task| (ticket, task));
                    wanted.or_else(|| inner.next::<W>())
                }
                Caller::Collects => None,
            };
            inner = match task {
                Some((number, task)) => {
                    drop(inner);
                    let state = self.state.get_or_insert_with(|| self.work.state());
                    let output = self.work.run(task, state, queue);
                    if number == ticket {
                        return Some(output);
                    }
                    let weight = self.work.weight(&output);
                    let mut inner = queue.lock();
                    inner.keep(number, output, weight);
                    inner
                }
                None if inner.over => return None,
                None => {
                    inner.wanted = Some(ticket);
                    let mut inner = queue.wait(inner);
                    inner.wanted = None;
                    inner
                }
            };
        }
    }
}

/// Calls `body` with threads that do what it submits.
pub(crate) fn with_threads<W: Work, X>(work: &W, threads: Threads, body: impl FnOnce(&mut Results<'_, W>) -> X) -> X {
    with_builders(work, threads, Builder::new, body)
}

fn with_builders<W: Work, X>(
    work: &W,
    threads: Threads,
    mut builder: impl FnMut() -> Builder,
    body: impl FnOnce(&mut Results<'_, W>) -> X,
) -> X {
    let queue = Queue::new();
    std::thread::scope(|scope| {
        let mut started = Vec::new();
        for _ in 0..threads.started {
            // Where one is refused, the next would be too.
            let Ok(thread) = builder().spawn_scoped(scope, || help(work, &queue)) else { break };
            started.push(thread);
        }
        let alone = started.is_empty();
        let caller = if alone { Caller::Works } else { threads.caller };
        let end = End(&queue);
        let result = body(&mut Results { work, queue: &queue, state: None, caller, alone });
        drop(end);
        for thread in started {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        result
    })
}

/// Does what there is to do until nothing is wanted any more.
fn help<W: Work>(work: &W, queue: &Queue<W::Task, W::Output>) {
    let _end = End(queue);
    let mut state = None;
    let mut inner = queue.lock();
    while !inner.over {
        inner = match inner.next::<W>() {
            Some((ticket, task)) => {
                drop(inner);
                let output = work.run(task, state.get_or_insert_with(|| work.state()), queue);
                let weight = work.weight(&output);
                let mut inner = queue.lock();
                inner.keep(ticket, output, weight);
                if inner.wanted == Some(ticket) {
                    queue.changed.notify_all();
                }
                inner
            }
            None => queue.wait(inner),
        };
    }
}

/// Works on `tasks` and gives each result to `take`, on the calling thread and in the order of the tasks. The first error that
/// `take` returns ends the work and is the result.
///
/// At most `under_way` tasks are taken from the sequence before their results are consumed, which bounds memory. Each
/// thread makes its own `state` when it begins its first task.
pub(crate) fn in_order<T: Send, S, R: Send, E>(
    threads: Threads,
    under_way: usize,
    tasks: impl IntoIterator<Item = T>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(T, &mut S) -> R + Sync,
    take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let each = Each { state, work, types: PhantomData };
    with_threads(&each, threads, |results| consume(results, under_way, tasks, take))
}

fn consume<W: Work, E>(
    results: &mut Results<'_, W>,
    under_way: usize,
    tasks: impl IntoIterator<Item = W::Task>,
    mut take: impl FnMut(W::Output) -> Result<(), E>,
) -> Result<(), E> {
    let under_way = if results.alone { 1 } else { under_way.max(1) };
    let (mut submitted, mut taken) = (0, 0);
    let mut tasks = tasks.into_iter().fuse();
    loop {
        while submitted - taken < under_way {
            let Some(task) = tasks.next() else { break };
            results.queue.submit(task);
            submitted += 1;
        }
        if taken == submitted {
            return Ok(());
        }
        let Some(output) = results.fetch(taken) else { return Ok(()) };
        taken += 1;
        take(output)?;
    }
}

/// Work without tasks that submit tasks.
struct Each<T, S, R, F, G> {
    state: F,
    work: G,
    types: PhantomData<fn(T, S) -> R>,
}

impl<T: Send, S, R: Send, F: Fn() -> S + Sync, G: Fn(T, &mut S) -> R + Sync> Work for Each<T, S, R, F, G> {
    type Task = T;
    type Output = R;
    type State = S;

    fn state(&self) -> S {
        (self.state)()
    }

    fn run(&self, task: T, state: &mut S, _: &Queue<T, R>) -> R {
        (self.work)(task, state)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const COUNTS: [usize; 5] = [0, 1, 2, 7, 64];

    fn all(count: usize) -> [Threads; 2] {
        [Threads::working(count), Threads::feeding(count)]
    }

    /// The first 100 numbers doubled, where those in `bad` are errors: what was consumed, and how it ended.
    fn doubled(threads: Threads, under_way: usize, bad: &[usize]) -> (Vec<usize>, Result<(), usize>) {
        let mut seen = Vec::new();
        let work = |number: usize, calls: &mut usize| {
            *calls += 1;
            // The earlier of two neighbours is ready last.
            (0..if number.is_multiple_of(2) { 50 } else { 0 }).for_each(|_| std::thread::yield_now());
            if bad.contains(&number) { Err(number) } else { Ok(number * 2) }
        };
        let done = in_order(threads, under_way, 0..100, || 0, work, |result| result.map(|number| seen.push(number)));
        (seen, done)
    }

    #[test]
    fn results_and_errors_do_not_depend_on_threads_or_on_how_many_tasks_are_under_way() {
        let expected: Vec<usize> = (0..100).map(|number| number * 2).collect();
        for threads in COUNTS.into_iter().flat_map(all) {
            for under_way in [0, 1, 3, usize::MAX] {
                assert_eq!(doubled(threads, under_way, &[]), (expected.clone(), Ok(())), "{threads:?} {under_way}");
                let failed = doubled(threads, under_way, &[41, 40, 99]);
                assert_eq!(failed, (expected[..40].to_vec(), Err(40)), "{threads:?} {under_way}");
            }
        }
    }

    #[test]
    fn no_more_tasks_are_taken_than_may_be_under_way() {
        for threads in COUNTS.into_iter().flat_map(all) {
            let (given, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let tasks = (0..50).inspect(|_| {
                let before = given.fetch_add(1, Ordering::Relaxed);
                assert!(before - taken.load(Ordering::Relaxed) < 5);
            });
            let take = |()| {
                taken.fetch_add(1, Ordering::Relaxed);
                Ok::<(), ()>(())
            };
            assert_eq!(in_order(threads, 5, tasks, || (), |_, ()| (), take), Ok(()));
            assert_eq!(taken.into_inner(), 50);
        }
    }

    #[test]
    fn as_many_threads_as_were_asked_for_work_at_once_and_each_has_its_own_state() {
        for (threads, together) in [(Threads::working(3), 3), (Threads::feeding(3), 3)] {
            let (barrier, states) = (Barrier::new(together), AtomicUsize::new(0));
            // It would never end if fewer than these met.
            let state = || states.fetch_add(1, Ordering::Relaxed);
            let work = |_, _: &mut usize| {
                barrier.wait();
            };
            assert_eq!(in_order(threads, usize::MAX, 0..together, state, work, Ok::<(), ()>), Ok(()));
            assert_eq!(states.into_inner(), together);
        }
    }

    #[test]
    fn a_caller_that_only_collects_does_no_task_while_there_is_a_thread() {
        let caller = std::thread::current().id();
        let work = |_, (): &mut ()| std::thread::current().id() != caller;
        let mut elsewhere = Vec::new();
        let take = |result| {
            elsewhere.push(result);
            Ok::<(), ()>(())
        };
        assert_eq!(in_order(Threads::feeding(1), 4, 0..20, || (), work, take), Ok(()));
        assert_eq!(elsewhere, [true; 20]);
    }

    #[test]
    fn the_panic_of_a_task_goes_on_with_its_words_and_nothing_behind_it_is_consumed() {
        for threads in COUNTS.into_iter().flat_map(all) {
            let mut seen = Vec::new();
            let work = |number, (): &mut ()| {
                assert!(number != 13, "task {number}");
                number
            };
            let take = |number| {
                seen.push(number);
                Ok::<(), ()>(())
            };
            let panic = catch_unwind(AssertUnwindSafe(|| in_order(threads, 8, 0..100, || (), work, take)));
            let text = panic.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(*text, "task 13");
            assert!(seen.len() <= 13 && seen.iter().copied().eq(0..seen.len()), "{seen:?}");
        }
    }

    #[test]
    fn a_panic_of_the_consumer_ends_all_threads() {
        for threads in COUNTS.into_iter().flat_map(all) {
            let take = |number: usize| if number == 5 { panic!("consumer") } else { Ok::<(), ()>(()) };
            let done =
                catch_unwind(AssertUnwindSafe(|| in_order(threads, 8, 0..100, || (), |number, ()| number, take)));
            assert_eq!(*done.unwrap_err().downcast::<&str>().unwrap(), "consumer");
        }
    }

    /// The sum of a tree of numbers: each task submits two smaller ones.
    struct Halves;

    impl Work for Halves {
        type Task = usize;
        type Output = Vec<usize>;
        type State = ();
        const NEXT: Next = Next::Newest;
        const AHEAD_MAX: usize = 20;

        fn state(&self) {}

        fn run(&self, task: usize, (): &mut (), queue: &Queue<usize, Vec<usize>>) -> Vec<usize> {
            if task < 2 { Vec::new() } else { [task / 2, task - task / 2].map(|part| queue.submit(part)).into() }
        }

        fn weight(&self, output: &Vec<usize>) -> usize {
            output.len()
        }
    }

    /// How many leaves the tree has.
    fn leaves(results: &mut Results<'_, Halves>) -> usize {
        let mut pending = vec![results.queue().submit(500)];
        let mut count = 0;
        while let Some(ticket) = pending.pop() {
            let below = results.fetch(ticket).unwrap();
            count += usize::from(below.is_empty());
            pending.extend(below);
        }
        assert_eq!(results.queue().lengths(), (0, 0));
        count
    }

    #[test]
    fn tasks_may_submit_tasks_and_the_weight_of_what_waits_is_bounded() {
        for count in COUNTS {
            assert_eq!(with_threads(&Halves, Threads::working(count), leaves), 500, "{count}");
        }
    }

    #[test]
    fn where_threads_are_refused_fewer_work_and_nothing_else_changes() {
        // A stack that no machine has room for: the system refuses the thread.
        let refused = || Builder::new().stack_size(usize::MAX / 8);
        assert!(refused().spawn(|| ()).is_err());
        for granted in [0, 1, 3] {
            for threads in all(8) {
                let mut asked = 0;
                let mut builder = || {
                    asked += 1;
                    if asked > granted { refused() } else { Builder::new() }
                };
                assert_eq!(with_builders(&Halves, Threads::working(8), &mut builder, leaves), 500);
                assert_eq!(asked, granted + 1);
                asked = 0;
                let mut builder = || {
                    asked += 1;
                    if asked > granted { refused() } else { Builder::new() }
                };
                let each = Each { state: || (), work: |number: usize, (): &mut ()| number, types: PhantomData };
                let mut seen = Vec::new();
                let done = with_builders(&each, threads, &mut builder, |results| {
                    consume(results, 4, 0..30, |number| {
                        seen.push(number);
                        Ok::<(), ()>(())
                    })
                });
                assert_eq!((done, seen), (Ok(()), (0..30).collect()), "{threads:?} {granted}");
            }
        }
    }
}
