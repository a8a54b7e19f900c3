//! The date of a build: the recipe or `SOURCE_DATE_EPOCH` names it; the clock of the machine is never read.
//!
//! Decision: if neither names a date, it is 1980-01-01T00:00:00Z. This is the earliest date that every archive format in use can
//! store, and nobody takes it for a real build time.

use std::fmt;
use std::str::FromStr;

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};

/// A moment in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i64);

/// The latest moment that RFC 3339 can write: 9999-12-31T23:59:59Z.
const LATEST: i64 = 253_402_300_799;

impl Epoch {
    /// The date of images that name none: 1980-01-01T00:00:00Z.
    pub const DEFAULT: Epoch = Epoch(315_532_800);

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Reads the value of `SOURCE_DATE_EPOCH` (reproducible-builds.org): seconds in ASCII digits.
    ///
    /// # Errors
    /// When it is not a number, or later than the year 9999.
    pub fn from_source_date_epoch(value: &str) -> Result<Epoch, EpochError> {
        let error = || EpochError(format!("SOURCE_DATE_EPOCH is not a number of seconds since 1970: {value:?}"));
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let seconds: i64 = value.parse().map_err(|_| error())?;
        if seconds > LATEST { Err(error()) } else { Ok(Epoch(seconds)) }
    }
}

/// Why a text is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EpochError(String);

impl FromStr for Epoch {
    type Err = EpochError;

    /// Reads RFC 3339, such as `2026-01-01T00:00:00Z`. Parts of a second are cut off.
    fn from_str(text: &str) -> Result<Epoch, EpochError> {
        let error = || EpochError(format!("not a date since 1970 in the format 2026-01-01T00:00:00Z: {text:?}"));
        let moment: Timestamp = text.parse().map_err(|_| error())?;
        let seconds = moment.as_second();
        if (0..=LATEST).contains(&seconds) { Ok(Epoch(seconds)) } else { Err(error()) }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A date without a zone reaches to the end of the year 9999; a `Timestamp` ends a day before.
        match date(1970, 1, 1).at(0, 0, 0, 0).checked_add(SignedDuration::from_secs(self.0)) {
            Ok(moment) => write!(f, "{moment}Z"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_up_to_the_year_9999_is_a_date() {
        let text = |seconds: &str| Epoch::from_source_date_epoch(seconds).unwrap().to_string();
        for (seconds, date) in [
            ("0", "1970-01-01T00:00:00Z"),
            ("1582934400", "2020-02-29T00:00:00Z"),
            ("253402207200", "9999-12-30T22:00:00Z"),
            ("253402207201", "9999-12-30T22:00:01Z"),
            ("253402300799", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(seconds), date);
        }
        assert!(Epoch::from_source_date_epoch("253402300800").is_err());
    }

    #[test]
    fn the_form_is_the_one_of_image_documents() {
        assert_eq!(Epoch::DEFAULT.to_string(), "1980-01-01T00:00:00Z");
        assert_eq!("2026-01-01T01:00:00.5+01:00".parse::<Epoch>().unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Epoch::from_source_date_epoch("1767225600").unwrap().to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "-1", "1e9", "99999999999999", " 1", "now"] {
            assert!(Epoch::from_source_date_epoch(text).is_err(), "{text}");
        }
        for text in ["", "2026-01-01", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
        }
    }
}
