//! Lengths of time as rule files write them: `30 days`, `12 months`. Calendar units only, no hours.

use chrono::{Days, Months, NaiveDate};
use serde::Deserialize;
use std::fmt;

/// A number of calendar units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Period {
    /// Days. A week is seven days.
    Days(u32),
    /// Months. A year is twelve months.
    Months(u32),
}

impl Period {
    /// Reads a number and `days`, `weeks`, `months` or `years`. The error is a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let error = || format!("'{text}' is not a length of time; write it as '30 days' or '12 months'");
        let (count, unit) = text.trim().split_once(' ').ok_or_else(error)?;
        let count: u32 = count.parse().map_err(|_| error())?;
        let in_units = |n: u32| count.checked_mul(n).ok_or_else(error);
        match unit.trim().trim_end_matches('s') {
            "day" => Ok(Self::Days(count)),
            "week" => Ok(Self::Days(in_units(7)?)),
            "month" => Ok(Self::Months(count)),
            "year" => Ok(Self::Months(in_units(12)?)),
            _ => Err(error()),
        }
    }

    /// The day this long after `from`. `None` outside the calendar.
    pub fn after(self, from: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(n) => from.checked_add_days(Days::new(n.into())),
            Self::Months(n) => from.checked_add_months(Months::new(n)),
        }
    }

    /// The day this long before `from`. `None` outside the calendar.
    pub fn before(self, from: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(n) => from.checked_sub_days(Days::new(n.into())),
            Self::Months(n) => from.checked_sub_months(Months::new(n)),
        }
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self {
            Self::Days(n) => (n, "day"),
            Self::Months(n) => (n, "month"),
        };
        write!(f, "{count} {unit}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_a_length_of_time_is_refused() {
        for text in ["", "30", "days", "-3 days", "3 fortnights", "4294967295 weeks"] {
            assert!(Period::read(text).is_err(), "{text}");
        }
        assert_eq!(Period::read("2 weeks"), Ok(Period::Days(14)));
    }
}
