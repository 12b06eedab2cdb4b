//! FHIR dates. A partial date (`2026`, `2026-10`) is a range of days, not one day. Whoever compares a range with a
//! limit must decide what happens when the limit lies inside the range.

use chrono::{DateTime, Days, FixedOffset, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// The days that a FHIR `date` or `dateTime` can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    /// The first day, inclusive.
    pub first: NaiveDate,
    /// The last day, inclusive.
    pub last: NaiveDate,
}

impl DateRange {
    /// A range of one day.
    pub fn day(day: NaiveDate) -> Self {
        Self {
            first: day,
            last: day,
        }
    }

    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a full instant. An instant becomes its day in `zone`. `None` for any other
    /// text and for a day that the calendar does not have.
    pub fn read(text: &str, zone: Tz) -> Option<Self> {
        match text.len() {
            4 => {
                let year = number(text)?;
                Some(Self {
                    first: NaiveDate::from_ymd_opt(year, 1, 1)?,
                    last: NaiveDate::from_ymd_opt(year, 12, 31)?,
                })
            }
            7 => {
                let first = date(&format!("{text}-01"))?;
                let last = first
                    .checked_add_months(Months::new(1))?
                    .checked_sub_days(Days::new(1))?;
                Some(Self { first, last })
            }
            10 => Some(Self::day(date(text)?)),
            _ => Some(Self::day(instant(text)?.with_timezone(&zone).date_naive())),
        }
    }

    /// Whether every day of `other` is in this range.
    pub fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether the two ranges have a day in common.
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether the range is one day.
    pub fn is_day(self) -> bool {
        self.first == self.last
    }
}

/// Reads a FHIR `instant` with its offset; `None` for a partial date.
pub fn instant(text: &str) -> Option<DateTime<FixedOffset>> {
    let (day, time) = text.split_at_checked(10)?;
    date(day)?;
    time.starts_with('T')
        .then(|| DateTime::parse_from_rfc3339(text).ok())?
}

/// Reads a full date, `YYYY-MM-DD`.
fn date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let has_shape = (year.len(), month.len(), day.len()) == (4, 2, 2) && parts.next().is_none();
    if !has_shape {
        return None;
    }
    NaiveDate::from_ymd_opt(number(year)?, number(month)?, number(day)?)
}

/// Reads a number that has only digits.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let only_digits = digits.bytes().all(|c| c.is_ascii_digit());
    only_digits.then(|| digits.parse().ok())?
}

/// An instant as FHIR writes it: in UTC with `Z`, with a fraction only when it is not zero.
pub fn instant_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// The days of a choice element such as `serviced[x]` or `occurrence[x]`: `{prefix}Date`, `{prefix}DateTime` or
/// `{prefix}Period`.
pub fn choice(element: &Value, prefix: &str, zone: Tz) -> Option<DateRange> {
    let text = |suffix: &str| element.get(format!("{prefix}{suffix}")).and_then(Value::as_str);
    if let Some(date) = text("Date").or_else(|| text("DateTime")) {
        return DateRange::read(date, zone);
    }
    let period = element.get(format!("{prefix}Period"))?;
    period_days(period, zone)
}

/// The days of a `Period`. A period with one end is the days of that end.
pub fn period_days(period: &Value, zone: Tz) -> Option<DateRange> {
    let days_of = |name: &str| {
        period
            .get(name)
            .and_then(Value::as_str)
            .and_then(|t| DateRange::read(t, zone))
    };
    match (days_of("start"), days_of("end")) {
        (Some(start), Some(end)) => Some(DateRange {
            first: start.first,
            last: end.last,
        }),
        (Some(only), None) | (None, Some(only)) => Some(only),
        (None, None) => None,
    }
}

/// Age in whole years on a day; `None` before birth.
pub fn age_on(birth: NaiveDate, day: NaiveDate) -> Option<u32> {
    day.years_since(birth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_date_is_a_range() {
        let range = DateRange::read("2026-02", Tz::UTC).unwrap();
        assert_eq!(
            (range.first.to_string(), range.last.to_string()),
            ("2026-02-01".into(), "2026-02-28".into())
        );
        assert!(!range.is_day());
    }

    #[test]
    fn a_text_that_is_no_date_of_the_calendar_is_not_read() {
        for text in [
            "2026-13-45",
            "2026-02-29",
            "2026-13",
            "2026-00-01",
            "2026-1-1",
            "2026-10- 1",
            "+226",
            "-226",
            "26-10-01-",
            "20261001",
            "2026-10-01T10:00",
            "2026-10-01T10:00:00",
            "2026-10-01 10:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-10-01T25:00:00Z",
            "soon",
            "",
            "２０２６-10-01",
        ] {
            assert_eq!(DateRange::read(text, Tz::UTC), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_read_as_its_day_in_the_time_zone_of_the_plan() {
        let range = DateRange::read("2026-10-01T03:30:00Z", chrono_tz::America::New_York).unwrap();
        assert_eq!(range.first.to_string(), "2026-09-30");
    }
}
