//! When a request is sent again, and when.
//!
//! Statuses that say "later" (408, 429, 500, 502, 503, 504) and broken connections; never what would be answered the same way again.
//! The wait doubles from try to try, with up to a half more by chance, so that clients do not come back all at once. `Retry-After`
//! in seconds counts instead if it is longer, up to the limit; registries do not send it as a date.

use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::Duration;

use super::connections::{Answer, Broken};
use super::error::RegistryError;
use super::settings::Patience;

/// Whether a status says that the same request may succeed later.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How often something was tried without going forward.
pub(super) struct Tries<'a> {
    patience: &'a Patience,
    made: u32,
}

impl<'a> Tries<'a> {
    pub fn new(patience: &'a Patience) -> Tries<'a> {
        Tries { patience, made: 0 }
    }

    /// Something went forward: the count begins anew.
    pub fn forget(&mut self) {
        self.made = 0;
    }

    /// Waits for the next try; `false` if there is none.
    pub fn wait(&mut self, asked: Option<Duration>) -> bool {
        self.made += 1;
        if self.made >= self.patience.tries {
            return false;
        }
        sleep(self.pause(asked));
        true
    }

    fn pause(&self, asked: Option<Duration>) -> Duration {
        let doubled = self.patience.first_wait.saturating_mul(1 << (self.made - 1).min(16));
        let chance = RandomState::new().hash_one(self.made) % 512;
        let own = doubled.saturating_add(doubled.saturating_mul(chance as u32) / 1024);
        own.max(asked.unwrap_or_default()).min(self.patience.longest_wait)
    }
}

/// How long an answer asks to wait.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    answer.header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
}

/// Sends a request until there is an answer that waiting would not change. The last answer is returned, whatever it says.
pub(super) fn patiently(
    patience: &Patience,
    mut send: impl FnMut() -> Result<Answer, Broken>,
) -> Result<Answer, RegistryError> {
    let mut tries = Tries::new(patience);
    loop {
        match send() {
            Ok(answer) if is_passing(answer.status) => {
                if !tries.wait(retry_after(&answer)) {
                    return Ok(answer);
                }
            }
            Ok(answer) => return Ok(answer),
            Err(Broken::Connection(error)) => {
                if !tries.wait(None) {
                    return Err(error);
                }
            }
            Err(broken) => return Err(broken.into_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_is_bounded_whatever_a_registry_asks_for() {
        let patience = Patience {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(9),
            ..Patience::default()
        };
        for (made, asked, from, to) in
            [(1, 0, 1.0, 1.5), (2, 0, 2.0, 3.0), (3, 7, 7.0, 7.0), (9, 0, 9.0, 9.0), (1, 9999, 9.0, 9.0)]
        {
            let tries = Tries { patience: &patience, made };
            let pause = tries.pause(Some(Duration::from_secs(asked))).as_secs_f64();
            assert!((from..=to).contains(&pause), "{made} {asked}: {pause}");
        }
        let once = Patience { tries: 1, ..patience };
        assert!(!Tries::new(&once).wait(None));
    }
}
