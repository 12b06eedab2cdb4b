//! Lengths of time as rules write them: `30 days`, `12 months`. Calendar units, no hours.

use chrono::{Days, Months, NaiveDate};
use serde::Deserialize;
use std::fmt;

/// A count of calendar units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Period {
    /// Days; weeks are kept as seven days each.
    Days(u32),
    /// Months; years are kept as twelve months each.
    Months(u32),
}

impl Period {
    /// Reads `<number> days | weeks | months | years`; the error is a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no length of time; write it like '30 days' or '12 months'");
        let (count, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let count: u32 = count.parse().map_err(|_| wrong())?;
        let times = |n: u32| count.checked_mul(n).ok_or_else(wrong);
        match unit.trim().trim_end_matches('s') {
            "day" => Ok(Self::Days(count)),
            "week" => Ok(Self::Days(times(7)?)),
            "month" => Ok(Self::Months(count)),
            "year" => Ok(Self::Months(times(12)?)),
            _ => Err(wrong()),
        }
    }

    /// The day that lies this long after `from`; none beyond the calendar's end.
    pub fn after(self, from: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(n) => from.checked_add_days(Days::new(n.into())),
            Self::Months(n) => from.checked_add_months(Months::new(n)),
        }
    }

    /// The day that lies this long before `from`.
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
    use crate::rules::evaluate::verdict::{CoverageAnswer, Grant};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_of_twelve_months_ends_on_the_day_before_the_anniversary() {
        let grant = Grant {
            reason: String::new(),
            period: Some("12 months".into()),
        };
        assert_eq!(grant.ends(day("2026-10-01")), Some(day("2027-09-30")));
        assert_eq!(grant.ends(day("2024-02-29")), Some(day("2025-02-27")));
    }

    #[test]
    fn an_answer_of_ninety_days_lapses_ninety_days_later() {
        let answer = CoverageAnswer {
            expires: Some("90 days".into()),
            ..CoverageAnswer::default()
        };
        assert_eq!(answer.expiry_date(day("2026-10-01")), Some(day("2026-12-30")));
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "30", "days", "-3 days", "3 fortnights", "4294967295 weeks"] {
            assert!(Period::read(text).is_err(), "{text}");
        }
        assert_eq!(Period::read("2 weeks"), Ok(Period::Days(14)));
    }
}
