//! Compares the value of a fact with what a test requires. An error is the reason why the outcome is unknown, in words
//! that the trace shows.

use crate::fhir::dates::DateRange;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::facts::Sets;
use crate::rules::evaluate::outcomes::met_if;
use crate::rules::evaluate::requirement::case_day_text;
use crate::rules::evaluate::values::{FoundValue, TypedValue};
use crate::rules::format::conditions::{CaseDay, DatedWithin, DayLimit, Limit, Literal, Requirement};
use crate::rules::verdict::Outcome;
use chrono::NaiveDate;

/// The date is incomplete, such as a month, and the limit lies inside the days that it can mean.
const INCOMPLETE_DATE: &str = "the date is incomplete: it could lie on either side of the limit";

/// Whether a value fulfills a requirement. `Requirement::Exists` does not depend on the value.
pub(in crate::rules) fn compare(
    found: &FoundValue,
    requirement: &Requirement,
    document: &CaseDocument,
    sets: &Sets,
) -> Result<Outcome, String> {
    let number = |limit: &Limit| match (&found.value, &limit.unit) {
        (TypedValue::Number(n), None) => Ok((*n, limit.value)),
        (TypedValue::Quantity(n, unit), Some(required)) if unit == required => Ok((*n, limit.value)),
        _ => Err("the value and the limit cannot be compared".to_owned()),
    };
    match requirement {
        Requirement::AtMost(limit) => number(limit).map(|(n, limit)| met_if(n <= limit)),
        Requirement::AtLeast(limit) => number(limit).map(|(n, limit)| met_if(n >= limit)),
        Requirement::LessThan(limit) => number(limit).map(|(n, limit)| met_if(n < limit)),
        Requirement::MoreThan(limit) => number(limit).map(|(n, limit)| met_if(n > limit)),
        Requirement::Between(low, high) => {
            let (n, low) = number(low)?;
            let (_, high) = number(high)?;
            Ok(met_if(low <= n && n <= high))
        }
        Requirement::Equals(literal) => equal(&found.value, literal).map(met_if),
        Requirement::InSet(set) => in_set(&found.value, set, sets),
        Requirement::Exists(required) => Ok(met_if(*required)),
        Requirement::DatedWithin(within) => dated_within(days_of(found)?, *within, document),
        Requirement::OnOrAfter(limit) => on_or_after(days_of(found)?, limit_day(*limit, document)?),
        Requirement::OnOrBefore(limit) => on_or_before(days_of(found)?, limit_day(*limit, document)?),
    }
}

fn equal(value: &TypedValue, required: &Literal) -> Result<bool, String> {
    match (value, required) {
        (TypedValue::Boolean(a), Literal::Bool(b)) => Ok(a == b),
        (TypedValue::Number(a), Literal::Number(b)) => Ok((a - b).abs() < f64::EPSILON),
        (TypedValue::Text(a) | TypedValue::Code(_, a), Literal::Text(b)) => Ok(a == b),
        _ => Err("the value and the required value cannot be compared".into()),
    }
}

fn in_set(value: &TypedValue, set: &str, sets: &Sets) -> Result<Outcome, String> {
    match value {
        TypedValue::Code(system, _) if system.is_empty() => Err("the code has no code system".into()),
        TypedValue::Code(system, code) => {
            let set = sets.get(set);
            Ok(met_if(set.is_some_and(|set| set.holds(system, code))))
        }
        _ => Err("the value is not a code".into()),
    }
}

/// The days of a fact: its value if that is a date, else the date of its node.
fn days_of(found: &FoundValue) -> Result<DateRange, String> {
    match (&found.value, &found.date) {
        (TypedValue::Date(_, days), _) | (_, Some((_, days))) => Ok(*days),
        _ => Err("no date found".into()),
    }
}

/// A date after the day of the case cannot be judged; an incomplete date counts only up to that day.
fn dated_within(days: DateRange, within: DatedWithin, document: &CaseDocument) -> Result<Outcome, String> {
    let latest = case_day(within.of, document)?;
    let earliest = within
        .at_most
        .before(latest)
        .ok_or("the limit lies outside the calendar")?;
    if days.first > latest {
        return Err(format!("dated after {}", case_day_text(within.of)));
    }
    let days = DateRange {
        last: days.last.min(latest),
        ..days
    };
    on_or_after(days, earliest)
}

fn on_or_after(days: DateRange, limit: NaiveDate) -> Result<Outcome, String> {
    if days.first >= limit {
        Ok(Outcome::Met)
    } else if days.last < limit {
        Ok(Outcome::NotMet)
    } else {
        Err(INCOMPLETE_DATE.to_owned())
    }
}

fn on_or_before(days: DateRange, limit: NaiveDate) -> Result<Outcome, String> {
    if days.last <= limit {
        Ok(Outcome::Met)
    } else if days.first > limit {
        Ok(Outcome::NotMet)
    } else {
        Err(INCOMPLETE_DATE.to_owned())
    }
}

fn limit_day(limit: DayLimit, document: &CaseDocument) -> Result<NaiveDate, String> {
    match limit {
        DayLimit::CaseDay(day) => case_day(day, document),
        DayLimit::Date(day) => Ok(day),
    }
}

fn case_day(day: CaseDay, document: &CaseDocument) -> Result<NaiveDate, String> {
    match day {
        CaseDay::Received => Ok(document.received_day()),
        CaseDay::ServiceStart => document
            .service_start()
            .ok_or_else(|| "the item has no date of service".to_owned()),
    }
}
