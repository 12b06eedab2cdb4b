//! Dates that cannot be: a text that is no date of the calendar where FHIR has a date, and a period that ends before it
//! starts. Elements are recognized by their names, so the checks need no schema and reach extensions as well.

use super::dates::{DateRange, instant};
use chrono_tz::Tz;
use serde_json::{Map, Value};

/// One impossible date or period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpossibleDate {
    /// The FHIRPath of the element.
    pub path: String,
    /// What is wrong, in one sentence without the value.
    pub message: &'static str,
}

const NO_DATE: &str = "This is not a date of the calendar. Write YYYY, YYYY-MM or YYYY-MM-DD, or a date and a time with \
                       seconds and time zone.";
const REVERSED: &str = "The period ends before it starts";

/// Names of elements of type `date`, `dateTime` or `instant` that do not end in these words.
const NAMES: [&str; 17] = [
    "authored",
    "authoredOn",
    "created",
    "creation",
    "date",
    "dateTime",
    "dateWritten",
    "end",
    "issued",
    "lastUpdated",
    "received",
    "recorded",
    "sent",
    "start",
    "time",
    "timestamp",
    "when",
];

/// The impossible dates and periods of a resource or element, at any depth. `path` is its FHIRPath.
pub fn impossible_dates(value: &Value, path: &str) -> Vec<ImpossibleDate> {
    let mut found = Vec::new();
    visit(value, &mut path.to_owned(), &mut found);
    found
}

fn visit(value: &Value, path: &mut String, found: &mut Vec<ImpossibleDate>) {
    match value {
        Value::Object(members) => visit_members(members, path, found),
        Value::Array(all) => {
            for (n, one) in all.iter().enumerate() {
                super::at_index(path, n, |path| visit(one, path, found));
            }
        }
        _ => {}
    }
}

fn visit_members(members: &Map<String, Value>, path: &mut String, found: &mut Vec<ImpossibleDate>) {
    let before = found.len();
    for (name, member) in members {
        match member {
            Value::String(text) => {
                if is_date_name(name) && !is_date(text) {
                    found.push(no_date(format!("{path}.{name}")));
                }
            }
            Value::Number(_) | Value::Bool(_) => {
                if has_date_suffix(name) {
                    found.push(no_date(format!("{path}.{name}")));
                }
            }
            Value::Null => {}
            // `Timing.event`
            Value::Array(events) if name == "event" => {
                for (n, event) in events.iter().enumerate() {
                    let at = &mut format!("{path}.event[{n}]");
                    match event {
                        Value::String(text) if !is_date(text) => found.push(no_date(at.clone())),
                        other => visit(other, at, found),
                    }
                }
            }
            other => super::at_member(path, name, |path| visit(other, path, found)),
        }
    }
    if found.len() == before && ends_before_it_starts(members) {
        found.push(ImpossibleDate {
            path: path.clone(),
            message: REVERSED,
        });
    }
}

fn no_date(path: String) -> ImpossibleDate {
    ImpossibleDate {
        path,
        message: NO_DATE,
    }
}

fn is_date_name(name: &str) -> bool {
    NAMES.contains(&name) || has_date_suffix(name)
}

fn has_date_suffix(name: &str) -> bool {
    !name.starts_with('_')
        && ["Date", "DateTime", "Instant"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

fn is_date(text: &str) -> bool {
    DateRange::read(text, Tz::UTC).is_some()
}

/// Whether an element with `start` and `end` is a period that ends before it starts. Instants are compared as instants,
/// other dates as ranges of days.
fn ends_before_it_starts(members: &Map<String, Value>) -> bool {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let (Some(start), Some(end)) = (text("start"), text("end")) else {
        return false;
    };
    if let (Some(start), Some(end)) = (instant(start), instant(end)) {
        return end < start;
    }
    // A day is compared with the day that the sender wrote, whatever the time zone.
    let days = |text: &str| DateRange::read(text.get(..10).unwrap_or(text), Tz::UTC);
    days(start)
        .zip(days(end))
        .is_some_and(|(start, end)| end.last < start.first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(value: &Value) -> Vec<String> {
        impossible_dates(value, "Claim")
            .into_iter()
            .map(|date| date.path)
            .collect()
    }

    #[test]
    fn impossible_dates_are_found_at_any_depth() {
        let claim = json!({
            "created": "2026-13-45",
            "item": [{ "servicedDate": "2026-02-30" }, { "servicedPeriod": { "start": "2026-10-01", "end": "soon" } }],
            "extension": [{ "url": "u", "extension": [{ "url": "v", "valueDateTime": "2026-10-01T10:00" }] }],
            "contained": [{ "resourceType": "Patient", "birthDate": 19_530_314 }],
            "occurrenceTiming": { "event": ["2026-10-01", "2026-10-32"] },
        });
        let mut found = places(&claim);
        found.sort();
        assert_eq!(
            found,
            [
                "Claim.contained[0].birthDate",
                "Claim.created",
                "Claim.extension[0].extension[0].valueDateTime",
                "Claim.item[0].servicedDate",
                "Claim.item[1].servicedPeriod.end",
                "Claim.occurrenceTiming.event[1]",
            ]
        );
    }

    #[test]
    fn a_period_that_ends_before_it_starts_is_found() {
        let period = |start: &str, end: &str| places(&json!({ "period": { "start": start, "end": end } }));
        for (start, end) in [
            ("2026-10-02", "2026-10-01"),
            ("2026-10", "2026-09"),
            ("2027", "2026-12-31"),
            ("2026-10-01T10:00:00Z", "2026-10-01T09:59:59Z"),
            ("2026-10-02T10:00:00+02:00", "2026-10-01"),
        ] {
            assert_eq!(period(start, end), ["Claim.period"], "{start} {end}");
        }
        for (start, end) in [
            ("2026-10-01", "2026-10-01"),
            ("2026-10", "2026-10-01"),
            ("2026-10-31", "2026"),
            ("2026-10-01T23:00:00-05:00", "2026-10-01"),
            ("2026-10-01T10:00:00+02:00", "2026-10-01T09:00:00Z"),
        ] {
            assert!(period(start, end).is_empty(), "{start} {end}");
        }
    }

    #[test]
    fn what_is_no_date_is_left_alone() {
        let value = json!({
            "timing": { "repeat": { "when": ["MORN"], "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00"] } },
            "quality": { "start": 1, "end": 0 },
            "event": [{ "code": "x", "date": "2026-10-01" }],
            "_birthDate": { "extension": [{ "url": "u", "valueCode": "unknown" }] },
            "valueTime": "08:00:00",
            "authoredOn": "2026", "issued": "2026-10-01T10:00:00.123+05:00",
        });
        assert_eq!(places(&value), [""; 0]);
    }
}
