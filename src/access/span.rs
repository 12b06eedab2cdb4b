//! Dates in searches (FHIR R4, section 3.1.1.4.7): a date is the span of time that its precision leaves open, and a
//! prefix says how two spans must lie to each other. Dates without an offset are read in UTC.

use chrono::{DateTime, Duration, Months, NaiveDate, TimeDelta, Utc};

/// From an instant (included) to an instant (excluded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
}

impl Span {
    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or an instant, with or without seconds and their fraction.
    pub fn read(text: &str) -> Option<Self> {
        match text.len() {
            4 => Self::of_days(&format!("{text}-01-01"), |day| {
                day.checked_add_months(Months::new(12))
            }),
            7 => Self::of_days(&format!("{text}-01"), |day| {
                day.checked_add_months(Months::new(1))
            }),
            10 => Self::of_days(text, |day| day.succ_opt()),
            _ => Self::of_instant(text),
        }
    }

    /// A `Period`; an end that is missing lies at the end of time.
    pub fn of_period(start: Option<&str>, end: Option<&str>) -> Option<Self> {
        let start = start.map(Self::read);
        let end = end.map(Self::read);
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

    fn of_days(first: &str, next: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Option<Self> {
        let first: NaiveDate = first.parse().ok()?;
        let start = |day: NaiveDate| Some(day.and_hms_opt(0, 0, 0)?.and_utc());
        Some(Self {
            from: start(first)?,
            to: start(next(first)?)?,
        })
    }

    /// An instant is as wide as its last digit. A `+` that was lost to a URL's rules is put back.
    fn of_instant(text: &str) -> Option<Self> {
        let text = text.replace(' ', "+");
        let time = text.get(11..)?;
        let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
            Some(at) => time.split_at(at),
            None => (time, "Z"),
        };
        let seconds = if clock.len() == 5 { ":00" } else { "" };
        let whole = format!("{}{clock}{seconds}{offset}", text.get(..11)?);
        let from = crate::fhir::dates::instant(&whole)?.with_timezone(&Utc);
        let width = match clock.split_once('.') {
            None if clock.len() == 5 => Duration::minutes(1),
            None => Duration::seconds(1),
            // Nothing is stored finer than a microsecond.
            Some((_, fraction)) => {
                let digits = u32::try_from(fraction.len()).ok()?.min(6);
                Duration::microseconds(10_i64.pow(6 - digits))
            }
        };
        Some(Self {
            from,
            to: from.checked_add_signed(width)?,
        })
    }
}

/// How a resource's date must lie to the date that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// Inside it; the default.
    Equal,
    /// Not inside it.
    NotEqual,
    /// Some of it lies after.
    Greater,
    /// Some of it lies before.
    Less,
    /// After or inside.
    GreaterOrEqual,
    /// Before or inside.
    LessOrEqual,
    /// All of it lies after.
    StartsAfter,
    /// All of it lies before.
    EndsBefore,
    /// Near it: within a tenth of the time between it and now.
    Approximately,
}

impl Prefix {
    /// Splits a value into its prefix and its date.
    pub fn split(value: &str) -> (Self, &str) {
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

    /// Whether `found` lies to `asked` as the prefix says.
    pub fn holds(self, found: Span, asked: Span, now: DateTime<Utc>) -> bool {
        let inside = asked.from <= found.from && found.to <= asked.to;
        match self {
            Self::Equal => inside,
            Self::NotEqual => !inside,
            Self::Greater => found.to > asked.to,
            Self::Less => found.from < asked.from,
            Self::GreaterOrEqual => inside || found.to > asked.to,
            Self::LessOrEqual => inside || found.from < asked.from,
            Self::StartsAfter => found.from >= asked.to,
            Self::EndsBefore => found.to <= asked.from,
            Self::Approximately => near(found, asked, now),
        }
    }
}

fn near(found: Span, asked: Span, now: DateTime<Utc>) -> bool {
    let margin: TimeDelta = (now - asked.from).abs() / 10;
    let from = asked
        .from
        .checked_sub_signed(margin)
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    let to = asked
        .to
        .checked_add_signed(margin)
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    found.from < to && from < found.to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(prefix: &str, found: &str) -> bool {
        let (prefix, asked) = Prefix::split(prefix);
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        prefix.holds(Span::read(found).unwrap(), Span::read(asked).unwrap(), now)
    }

    #[test]
    fn a_date_is_as_wide_as_its_precision() {
        assert!(holds("2026", "2026-11-20"));
        assert!(holds("eq2026-11-20", "2026-11-20T23:59:59.999999Z"));
        assert!(!holds("2026-11-20T10:00:00.123Z", "2026-11-20T10:00:00.124000Z"));
        assert!(holds("2026-11-20T10:00:00.123Z", "2026-11-20T10:00:00.123456Z"));
        assert!(holds(
            "2026-11-20T05:00:00.123 00:00",
            "2026-11-20T05:00:00.123456Z"
        ));
        assert!(holds("2026-11-20T10:00Z", "2026-11-20T10:00:59Z"));
    }

    #[test]
    fn each_prefix_has_its_own_edge() {
        assert!(!holds("gt2026-11-20", "2026-11-20") && holds("ge2026-11-20", "2026-11-20"));
        assert!(holds("gt2026-11-20", "2026-11-21") && !holds("le2026-11-20", "2026-11-21"));
        assert!(holds("lt2026-11-20", "2026-11-19") && !holds("lt2026-11-20", "2026-11-20"));
        assert!(holds("sa2026-11-20", "2026-11-21") && holds("eb2026-11-20", "2026-11-19"));
        assert!(holds("ne2026-11-20", "2026-11-21") && !holds("ne2026-11", "2026-11-21"));
        assert!(holds("ap2026-11-01", "2026-11-02") && !holds("ap2026-11-20", "2026-10-01"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13",
            "2026-02-30",
            "20261",
            "2026-11-20T99:00:00Z",
        ] {
            assert_eq!(Span::read(text), None, "{text}");
        }
    }
}
