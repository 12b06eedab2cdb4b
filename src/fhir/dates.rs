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

    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a full instant. An instant becomes its day in `zone`.
    pub fn read(text: &str, zone: Tz) -> Option<Self> {
        match text.len() {
            4 => {
                let year = text.parse().ok()?;
                Some(Self {
                    first: NaiveDate::from_ymd_opt(year, 1, 1)?,
                    last: NaiveDate::from_ymd_opt(year, 12, 31)?,
                })
            }
            7 => {
                let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
                let last = first
                    .checked_add_months(Months::new(1))?
                    .checked_sub_days(Days::new(1))?;
                Some(Self { first, last })
            }
            10 => Some(Self::day(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?)),
            _ => Some(Self::day(instant(text)?.with_timezone(&zone).date_naive())),
        }
    }

    /// Whether the range is one day.
    pub fn is_day(self) -> bool {
        self.first == self.last
    }
}

/// Reads a FHIR `instant` with its offset; `None` for a partial date.
pub fn instant(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok()
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
    fn an_instant_is_read_as_its_day_in_the_time_zone_of_the_plan() {
        let range = DateRange::read("2026-10-01T03:30:00Z", chrono_tz::America::New_York).unwrap();
        assert_eq!(range.first.to_string(), "2026-09-30");
    }
}
