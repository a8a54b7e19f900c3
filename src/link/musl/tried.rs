//! The paths that a search tried: the first ones, and how many more there are. A list of directories may be long, and a report
//! would repeat it for each missing library.

use crate::path::display_bytes;
use crate::report::Evidence;

/// How many paths are kept for each library.
const KEPT: usize = 100;

/// Paths that were tried, in order.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    first: Vec<Evidence>,
    more: usize,
}

impl Tried {
    /// Adds a path, and what is there.
    pub fn add(&mut self, path: &[u8], detail: impl FnOnce() -> String) {
        if self.first.len() < KEPT {
            self.first.push(Evidence { subject: display_bytes(path), detail: detail() });
        } else {
            self.more += 1;
        }
    }

    /// The paths as evidence.
    pub fn into_evidence(self) -> Vec<Evidence> {
        let Tried { first: mut evidence, more } = self;
        if more > 0 {
            evidence.push(Evidence { subject: format!("{more} more paths"), detail: "not found either".into() });
        }
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_paths_are_kept_and_the_others_counted() {
        let mut tried = Tried::default();
        for number in 0..KEPT + 7 {
            tried.add(format!("/{number}").as_bytes(), || "x".into());
        }
        let evidence = tried.into_evidence();
        assert_eq!(evidence.len(), KEPT + 1);
        assert_eq!((evidence[0].subject.as_str(), evidence[KEPT].subject.as_str()), ("/0", "7 more paths"));
    }
}
