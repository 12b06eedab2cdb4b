//! Dates in searches (FHIR R4, section 3.1.1.4.7). A date is the range of time that its precision covers; a prefix says
//! how the range of a resource must relate to the range of the query. A date without an offset is read as UTC.

use chrono::{DateTime, Duration, Months, NaiveDate, TimeDelta, Utc};

/// A range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    /// The first instant in the range.
    pub from: DateTime<Utc>,
    /// The first instant after the range.
    pub to: DateTime<Utc>,
}

impl DateRange {
    /// Parses `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or an instant. Seconds and fractions of a second are optional. `None` if
    /// the text is not a date.
    pub fn parse(text: &str) -> Option<Self> {
        match text.len() {
            4 => Self::from_days(&format!("{text}-01-01"), |day| {
                day.checked_add_months(Months::new(12))
            }),
            7 => Self::from_days(&format!("{text}-01"), |day| {
                day.checked_add_months(Months::new(1))
            }),
            10 => Self::from_days(text, |day| day.succ_opt()),
            _ => Self::from_instant(text),
        }
    }

    /// The range of a `Period`. A missing start or end means that the period is open on that side. `None` if both are
    /// missing or one cannot be read.
    pub fn from_period(start: Option<&str>, end: Option<&str>) -> Option<Self> {
        let start = start.map(Self::parse);
        let end = end.map(Self::parse);
        match (start, end) {
            (Some(start), Some(end)) => Some(Self {
                from: start?.from,
                to: end?.to,
            }),
            (Some(start), None) => Some(Self {
                from: start?.from,
                to: DateTime::<Utc>::MAX_UTC,
            }),
            (None, Some(end)) => Some(Self {
                from: DateTime::<Utc>::MIN_UTC,
                to: end?.to,
            }),
            (None, None) => None,
        }
    }

    fn from_days(first: &str, next: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Option<Self> {
        let first: NaiveDate = first.parse().ok()?;
        let start = |day: NaiveDate| Some(day.and_hms_opt(0, 0, 0)?.and_utc());
        Some(Self {
            from: start(first)?,
            to: start(next(first)?)?,
        })
    }

    /// The range of an instant is as long as its precision: a minute, a second or a fraction. URL decoding turns the
    /// `+` of an offset into a space; it is turned back here.
    fn from_instant(text: &str) -> Option<Self> {
        let text = text.replace(' ', "+");
        let time = text.get(11..)?;
        let (time_of_day, offset) = match time.find(['Z', 'z', '+', '-']) {
            Some(at) => time.split_at(at),
            None => (time, "Z"),
        };
        let seconds = if time_of_day.len() == 5 { ":00" } else { "" };
        let complete = format!("{}{time_of_day}{seconds}{offset}", text.get(..11)?);
        let from = crate::fhir::dates::instant(&complete)?.with_timezone(&Utc);
        let length = match time_of_day.split_once('.') {
            None if time_of_day.len() == 5 => Duration::minutes(1),
            None => Duration::seconds(1),
            // Stored times have microseconds; finer digits are ignored.
            Some((_, fraction)) => {
                let digits = u32::try_from(fraction.len()).ok()?.min(6);
                Duration::microseconds(10_i64.pow(6 - digits))
            }
        };
        Some(Self {
            from,
            to: from.checked_add_signed(length)?,
        })
    }
}

/// A date prefix: how the range of the resource must relate to the range of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `eq`, the default: the query's range contains the resource's range.
    Equal,
    /// `ne`: the query's range does not contain the resource's range.
    NotEqual,
    /// `gt`: part of the resource's range is after the query's range.
    Greater,
    /// `lt`: part of the resource's range is before the query's range.
    Less,
    /// `ge`: `eq` or `gt`.
    GreaterOrEqual,
    /// `le`: `eq` or `lt`.
    LessOrEqual,
    /// `sa`: the resource's range starts after the query's range.
    StartsAfter,
    /// `eb`: the resource's range ends before the query's range.
    EndsBefore,
    /// `ap`: the ranges overlap after the query's range was widened on both sides by a tenth of its distance from now.
    Approximately,
}

impl Prefix {
    /// Splits the value of a parameter into its prefix and its date.
    pub fn split_from(value: &str) -> (Self, &str) {
        let prefix = match value.get(..2) {
            Some("eq") => Self::Equal,
            Some("ne") => Self::NotEqual,
            Some("gt") => Self::Greater,
            Some("lt") => Self::Less,
            Some("ge") => Self::GreaterOrEqual,
            Some("le") => Self::LessOrEqual,
            Some("sa") => Self::StartsAfter,
            Some("eb") => Self::EndsBefore,
            Some("ap") => Self::Approximately,
            _ => return (Self::Equal, value),
        };
        (prefix, value.get(2..).unwrap_or(""))
    }

    /// Whether the range of a resource (`indexed`) relates to the range of the query (`wanted`) as the prefix says.
    pub fn matches(self, indexed: DateRange, wanted: DateRange, now: DateTime<Utc>) -> bool {
        let inside = wanted.from <= indexed.from && indexed.to <= wanted.to;
        match self {
            Self::Equal => inside,
            Self::NotEqual => !inside,
            Self::Greater => indexed.to > wanted.to,
            Self::Less => indexed.from < wanted.from,
            Self::GreaterOrEqual => inside || indexed.to > wanted.to,
            Self::LessOrEqual => inside || indexed.from < wanted.from,
            Self::StartsAfter => indexed.from >= wanted.to,
            Self::EndsBefore => indexed.to <= wanted.from,
            Self::Approximately => overlaps_widened(indexed, wanted, now),
        }
    }
}

fn overlaps_widened(indexed: DateRange, wanted: DateRange, now: DateTime<Utc>) -> bool {
    let margin: TimeDelta = (now - wanted.from).abs() / 10;
    let from = wanted
        .from
        .checked_sub_signed(margin)
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    let to = wanted
        .to
        .checked_add_signed(margin)
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    indexed.from < to && from < indexed.to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(prefix: &str, indexed: &str) -> bool {
        let (prefix, wanted) = Prefix::split_from(prefix);
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        prefix.matches(
            DateRange::parse(indexed).unwrap(),
            DateRange::parse(wanted).unwrap(),
            now,
        )
    }

    #[test]
    fn a_date_covers_the_range_of_its_precision() {
        assert!(matches("2026", "2026-11-20"));
        assert!(matches("eq2026-11-20", "2026-11-20T23:59:59.999999Z"));
        assert!(!matches(
            "2026-11-20T10:00:00.123Z",
            "2026-11-20T10:00:00.124000Z"
        ));
        assert!(matches("2026-11-20T10:00:00.123Z", "2026-11-20T10:00:00.123456Z"));
        assert!(matches(
            "2026-11-20T05:00:00.123 00:00",
            "2026-11-20T05:00:00.123456Z"
        ));
        assert!(matches("2026-11-20T10:00Z", "2026-11-20T10:00:59Z"));
    }

    #[test]
    fn each_prefix_includes_and_excludes_the_right_dates() {
        assert!(!matches("gt2026-11-20", "2026-11-20") && matches("ge2026-11-20", "2026-11-20"));
        assert!(matches("gt2026-11-20", "2026-11-21") && !matches("le2026-11-20", "2026-11-21"));
        assert!(matches("lt2026-11-20", "2026-11-19") && !matches("lt2026-11-20", "2026-11-20"));
        assert!(matches("sa2026-11-20", "2026-11-21") && matches("eb2026-11-20", "2026-11-19"));
        assert!(matches("ne2026-11-20", "2026-11-21") && !matches("ne2026-11", "2026-11-21"));
        assert!(matches("ap2026-11-01", "2026-11-02") && !matches("ap2026-11-20", "2026-10-01"));
    }

    #[test]
    fn a_text_that_is_not_a_date_gives_none() {
        for text in [
            "",
            "yesterday",
            "2026-13",
            "2026-02-30",
            "20261",
            "2026-11-20T99:00:00Z",
        ] {
            assert_eq!(DateRange::parse(text), None, "{text}");
        }
    }
}
