//! Which member and coverage a message refers to. Numbers find candidates; name and birth date must agree if the
//! message has them. A candidate whose number matches but whose name or birth date differs is not a match, and two
//! candidates that both fit are not a match either.

use super::{Coverage, Member};
use crate::fhir::{self, coding};
use chrono::NaiveDate;
use serde_json::Value;

/// The numbers of a message by which members are looked up.
#[derive(Debug, Clone, Default)]
pub struct MemberNumbers {
    /// Numbers that may be a member id: patient identifiers of no other known type, and `MB` identifiers of the
    /// coverage.
    pub member_ids: Vec<String>,
    /// `Coverage.subscriberId`.
    pub subscriber_id: Option<String>,
}

/// Which of a member's coverages a message refers to on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CoverageMatch<'a> {
    /// This coverage, and it is in force on that day.
    InForce(&'a Coverage),
    /// This coverage, but it is not in force on that day.
    NotInForce(&'a Coverage),
    /// None of the member's coverages, or more than one.
    NotFound,
}

/// Identifier types (HL7 table 0203) of numbers that are not member ids.
const OTHER_NUMBER_TYPES: [&str; 6] = ["SS", "MR", "DL", "PPN", "MC", "TAX"];

/// Reads every number of a Patient and a Coverage that may identify a member.
pub fn member_numbers(patient: Option<&Value>, coverage: Option<&Value>) -> MemberNumbers {
    let mut found = MemberNumbers::default();
    if let Some(patient) = patient {
        for identifier in fhir::list(patient, "identifier").filter(|i| !is_other_number(i)) {
            found
                .member_ids
                .extend(fhir::text(identifier, &["value"]).map(str::to_owned));
        }
    }
    if let Some(coverage) = coverage {
        let numbers = fhir::list(coverage, "identifier").filter(|i| has_type(i, "MB"));
        found.member_ids.extend(
            numbers
                .filter_map(|i| fhir::text(i, &["value"]))
                .map(str::to_owned),
        );
        found.subscriber_id = fhir::text(coverage, &["subscriberId"]).map(str::to_owned);
    }
    found
}

fn has_type(identifier: &Value, code: &str) -> bool {
    identifier
        .get("type")
        .is_some_and(|t| coding::codings(t).any(|c| c.code == code))
}

fn is_other_number(identifier: &Value) -> bool {
    OTHER_NUMBER_TYPES.iter().any(|other| has_type(identifier, other))
        || fhir::text(identifier, &["system"]) == Some("http://hl7.org/fhir/sid/us-ssn")
}

/// Whether the plan's member and the Patient of a message may be the same person: birth date and name must agree where
/// both have them.
pub fn may_be_same_person(member: &Member, patient: &Value) -> bool {
    let birth_date = fhir::text(patient, &["birthDate"]).and_then(|t| t.parse::<NaiveDate>().ok());
    if let (Some(of_member), Some(of_patient)) = (member.birth_date, birth_date)
        && of_member != of_patient
    {
        return false;
    }
    let mut names = fhir::list(patient, "name").peekable();
    if names.peek().is_none() {
        return true;
    }
    names.any(|name| name_matches(member, name))
}

fn name_matches(member: &Member, name: &Value) -> bool {
    let family = fhir::text(name, &["family"]).map(fold_name);
    let given = fhir::list(name, "given")
        .next()
        .and_then(Value::as_str)
        .map(fold_name);
    let text = fhir::text(name, &["text"]).map(fold_name);
    if family.is_none() && given.is_none() {
        return text.is_none_or(|t| t.contains(&member.family));
    }
    family.is_none_or(|f| f == member.family)
        && given.is_none_or(|g| {
            member.given.is_empty() || g.starts_with(&member.given) || member.given.starts_with(&g)
        })
}

/// Normalizes a name for comparison: letters and digits only, in lower case.
pub fn fold_name(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Which of a member's coverages a message refers to, and whether it is in force on `day`. Only identifiers are taken
/// from the Coverage that was sent; period and status come from the plan's own records.
pub fn choose_coverage<'a>(
    coverages: &'a [Coverage],
    sent: Option<&Value>,
    day: NaiveDate,
) -> CoverageMatch<'a> {
    let named: Vec<&Coverage> = coverages
        .iter()
        .filter(|c| sent.is_none_or(|sent| refers_to(sent, c)))
        .collect();
    let in_force: Vec<&Coverage> = named.iter().copied().filter(|c| c.in_force(day)).collect();
    match (in_force.as_slice(), named.as_slice()) {
        ([one], _) => CoverageMatch::InForce(one),
        ([], [one, ..]) => CoverageMatch::NotInForce(one),
        ([], []) => match coverages
            .iter()
            .filter(|c| c.in_force(day))
            .collect::<Vec<_>>()
            .as_slice()
        {
            [only] if sent.is_some_and(has_no_numbers) => CoverageMatch::InForce(only),
            _ => CoverageMatch::NotFound,
        },
        _ => CoverageMatch::NotFound,
    }
}

/// Whether a Coverage that was sent has a subscriber id or an identifier of our coverage.
fn refers_to(sent: &Value, coverage: &Coverage) -> bool {
    let subscriber = fhir::text(sent, &["subscriberId"]);
    if subscriber.is_some() && subscriber == coverage.subscriber_id.as_deref() {
        return true;
    }
    fhir::identifiers(sent).any(|(system, value)| coverage.key == format!("{system}|{value}"))
        || fhir::identifiers(&coverage.doc)
            .any(|(_, imported)| fhir::identifiers(sent).any(|(_, value)| imported == value))
}

fn has_no_numbers(sent: &Value) -> bool {
    sent.get("subscriberId").is_none() && fhir::list(sent, "identifier").next().is_none()
}
