//! The platforms of one build side by side, told as if one came after the other.

use std::sync::{Mutex, PoisonError};

use super::error::BuildError;
use crate::progress::{Event, Progress};

/// Does the same work for all of `parts`, as many at once as there are `jobs`. Results and events come in the order of the parts,
/// and of several errors the first one counts, with no event behind it: nobody can tell that it was not one after the
/// other.
pub(super) fn abreast<P: Sync, T: Send>(
    parts: &[P],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&P, &dyn Progress) -> Result<T, BuildError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let mut results = Vec::new();
    for parts in parts.chunks(jobs.max(1)) {
        let Some((first, others)) = parts.split_first() else { continue };
        std::thread::scope(|scope| {
            let run = |part| {
                let kept = Kept::default();
                (work(part, &kept), kept)
            };
            let others: Vec<_> = others.iter().map(|part| scope.spawn(move || run(part))).collect();
            results.push(work(first, progress)?);
            for other in others {
                let (result, kept) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                kept.tell(progress);
                results.push(result?);
            }
            Ok::<(), BuildError>(())
        })?;
    }
    Ok(results)
}

/// Events that are told later.
#[derive(Default)]
struct Kept(Mutex<Vec<Owned>>);

enum Owned {
    Step(String),
    Read(u64),
    Note(String),
}

impl Progress for Kept {
    fn event(&self, event: Event<'_>) {
        let owned = match event {
            Event::Step(text) => Owned::Step(text.into()),
            Event::Read(count) => Owned::Read(count),
            Event::Note(text) => Owned::Note(text.into()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(owned);
    }
}

impl Kept {
    fn tell(self, progress: &dyn Progress) {
        for event in self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match event {
                Owned::Step(text) => progress.event(Event::Step(&text)),
                Owned::Read(count) => progress.event(Event::Read(count)),
                Owned::Note(text) => progress.event(Event::Note(&text)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told, when the numbers are worked on with so many threads; an odd one below `bad` is an error.
    fn told(jobs: usize, bad: u32) -> (Vec<String>, Result<Vec<u32>, String>) {
        let kept = Kept::default();
        let parts: Vec<u32> = (0..7).collect();
        let result = abreast(&parts, jobs, &kept, |number, progress| {
            // The later ones are ready first.
            std::thread::sleep(std::time::Duration::from_millis(u64::from(7 - number)));
            progress.event(Event::Step(&format!("step {number}")));
            progress.event(Event::Note(&format!("note {number}")));
            match number % 2 == 1 && *number < bad {
                true => Err(BuildError::UnknownPlatform(number.to_string())),
                false => Ok(number * 10),
            }
        });
        let texts = kept.0.into_inner().unwrap().into_iter().map(|event| match event {
            Owned::Step(text) | Owned::Note(text) => text,
            Owned::Read(count) => count.to_string(),
        });
        (texts.collect(), result.map_err(|error| error.to_string()))
    }

    #[test]
    fn nobody_can_tell_how_many_work() {
        let one = told(1, 0);
        assert_eq!((one.0.len(), one.1.clone()), (14, Ok(vec![0, 10, 20, 30, 40, 50, 60])));
        for jobs in [0, 2, 3, 16] {
            assert_eq!(told(jobs, 0), one, "{jobs}");
            assert_eq!(told(jobs, 5), told(1, 5), "{jobs}");
        }
        assert_eq!(told(2, 5).0, ["step 0", "note 0", "step 1", "note 1"]);
    }
}
