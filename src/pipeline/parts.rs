//! The platforms of one build in several threads, with results and events in order.

use std::sync::{Mutex, PoisonError};

use super::error::BuildError;
use crate::parallel::{Threads, in_order};
use crate::progress::{Event, Progress};

/// Does the same work for all of `parts`, as many at once as there are `jobs`. Results and events come in the order of the
/// parts, and of several errors the first one counts, with no event behind it: the output is the same as if one part was
/// done after the other.
pub(super) fn each<P: Sync, T: Send>(
    parts: &[P],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&P, &dyn Progress) -> Result<T, BuildError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let jobs = jobs.max(1);
    let mut results = Vec::new();
    let task = |(number, part): (usize, &P), _: &mut ()| {
        let kept = Kept::default();
        // Nothing comes before the events of the first part.
        let listener: &dyn Progress = if number == 0 { progress } else { &kept };
        (work(part, listener), kept)
    };
    let take = |(result, kept): (Result<T, BuildError>, Kept)| {
        kept.pass_on(progress);
        results.push(result?);
        Ok::<(), BuildError>(())
    };
    in_order(Threads::working(jobs), jobs, parts.iter().enumerate(), || (), task, take)?;
    Ok(results)
}

/// Events that are passed on later.
#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl Progress for Kept {
    fn event(&self, event: Event) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&event, kept.last_mut()) {
            // Bytes come in their thousands.
            (Event::Bytes(more), Some(Event::Bytes(bytes))) => *bytes += more,
            _ => kept.push(event),
        }
    }
}

impl Kept {
    fn pass_on(self, progress: &dyn Progress) {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().for_each(|event| progress.event(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Action, Step};

    /// What is heard when the numbers are worked on with so many threads; an odd one below `bad` is an error.
    fn heard(jobs: usize, bad: u32) -> (Vec<String>, Result<Vec<u32>, String>) {
        let kept = Kept::default();
        let parts: Vec<u32> = (0..7).collect();
        let result = each(&parts, jobs, &kept, |number, progress| {
            // The later ones are ready first.
            std::thread::sleep(std::time::Duration::from_millis(u64::from(7 - number)));
            progress.step(Step::new(Action::Write(format!("step {number}"))));
            progress.note(&format!("note {number}"));
            match number % 2 == 1 && *number < bad {
                true => Err(BuildError::UnknownPlatform(number.to_string())),
                false => Ok(number * 10),
            }
        });
        let texts = kept.0.into_inner().unwrap().into_iter().map(|event| match event {
            Event::Step(Step { action: Action::Write(text), .. }) | Event::Note { text, .. } => text,
            other => format!("{other:?}"),
        });
        (texts.collect(), result.map_err(|error| error.to_string()))
    }

    #[test]
    fn results_and_events_do_not_depend_on_the_number_of_threads() {
        let one = heard(1, 0);
        assert_eq!((one.0.len(), one.1.clone()), (14, Ok(vec![0, 10, 20, 30, 40, 50, 60])));
        for jobs in [0, 2, 3, 16] {
            assert_eq!(heard(jobs, 0), one, "{jobs}");
            assert_eq!(heard(jobs, 5), heard(1, 5), "{jobs}");
        }
        assert_eq!(heard(2, 5).0, ["step 0", "note 0", "step 1", "note 1"]);
    }
}
