//! Who is meant. A number finds candidates; name and birth date must agree where the message has them. A number that
//! contradicts the person is no match; two people who fit are no match either.

use super::{Coverage, Member};
use crate::fhir::{self, coding};
use chrono::NaiveDate;
use serde_json::Value;

/// What a message says about the person and the card.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Numbers that may be a member id: patient identifiers that are not something else, `MB` of the coverage.
    pub member_ids: Vec<String>,
    /// `Coverage.subscriberId`.
    pub subscriber_id: Option<String>,
}

/// The answer to "which coverage is meant on that day".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// This one, and it is in force.
    InForce(&'a Coverage),
    /// This one, and it is not in force on that day.
    NotInForce(&'a Coverage),
    /// None of the member's, or several.
    NotFound,
}

/// Identifier types that say that a number is something else than a member id.
const OTHER_TYPES: [&str; 6] = ["SS", "MR", "DL", "PPN", "MC", "TAX"];

/// Every number in a Patient and a Coverage that may be a member id.
pub fn member_numbers(patient: Option<&Value>, coverage: Option<&Value>) -> Asked {
    let mut asked = Asked::default();
    if let Some(patient) = patient {
        for identifier in fhir::list(patient, "identifier").filter(|i| !is_something_else(i)) {
            asked
                .member_ids
                .extend(fhir::text(identifier, &["value"]).map(str::to_owned));
        }
    }
    if let Some(coverage) = coverage {
        let numbers = fhir::list(coverage, "identifier").filter(|i| is_typed(i, "MB"));
        asked.member_ids.extend(
            numbers
                .filter_map(|i| fhir::text(i, &["value"]))
                .map(str::to_owned),
        );
        asked.subscriber_id = fhir::text(coverage, &["subscriberId"]).map(str::to_owned);
    }
    asked
}

fn is_typed(identifier: &Value, code: &str) -> bool {
    identifier
        .get("type")
        .is_some_and(|t| coding::codings(t).any(|c| c.code == code))
}

fn is_something_else(identifier: &Value) -> bool {
    OTHER_TYPES.iter().any(|other| is_typed(identifier, other))
        || fhir::text(identifier, &["system"]) == Some("http://hl7.org/fhir/sid/us-ssn")
}

/// Whether the plan's member and the Patient of a message can be the same person: what both have must agree.
pub fn agrees(member: &Member, patient: &Value) -> bool {
    let birth = fhir::text(patient, &["birthDate"]).and_then(|t| t.parse::<NaiveDate>().ok());
    if let (Some(ours), Some(theirs)) = (member.birth_date, birth)
        && ours != theirs
    {
        return false;
    }
    let mut names = fhir::list(patient, "name").peekable();
    if names.peek().is_none() {
        return true;
    }
    names.any(|name| name_agrees(member, name))
}

fn name_agrees(member: &Member, name: &Value) -> bool {
    let family = fhir::text(name, &["family"]).map(fold);
    let given = fhir::list(name, "given").next().and_then(Value::as_str).map(fold);
    let text = fhir::text(name, &["text"]).map(fold);
    if family.is_none() && given.is_none() {
        return text.is_none_or(|t| t.contains(&member.family));
    }
    family.is_none_or(|f| f == member.family)
        && given.is_none_or(|g| {
            member.given.is_empty() || g.starts_with(&member.given) || member.given.starts_with(&g)
        })
}

/// Letters and digits in lower case: what is left of a name when spelling habits are taken away.
pub fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Which of the member's coverages a message means, and whether it is in force on `day`. The plan's own file is the
/// truth: the copy that was sent only points.
pub fn choose_coverage<'a>(ours: &'a [Coverage], sent: Option<&Value>, day: NaiveDate) -> Found<'a> {
    let pointed: Vec<&Coverage> = ours
        .iter()
        .filter(|c| sent.is_none_or(|sent| points_at(sent, c)))
        .collect();
    let in_force: Vec<&Coverage> = pointed.iter().copied().filter(|c| c.in_force(day)).collect();
    match (in_force.as_slice(), pointed.as_slice()) {
        ([one], _) => Found::InForce(one),
        ([], [one, ..]) => Found::NotInForce(one),
        ([], []) => match ours
            .iter()
            .filter(|c| c.in_force(day))
            .collect::<Vec<_>>()
            .as_slice()
        {
            [only] if sent.is_some_and(says_nothing) => Found::InForce(only),
            _ => Found::NotFound,
        },
        _ => Found::NotFound,
    }
}

/// Whether a Coverage that was sent carries a number, plan or identifier of ours.
fn points_at(sent: &Value, ours: &Coverage) -> bool {
    let subscriber = fhir::text(sent, &["subscriberId"]);
    if subscriber.is_some() && subscriber == ours.subscriber_id.as_deref() {
        return true;
    }
    fhir::identifiers(sent).any(|(system, value)| ours.key == format!("{system}|{value}"))
        || fhir::identifiers(&ours.doc)
            .any(|(_, own)| fhir::identifiers(sent).any(|(_, theirs)| own == theirs))
}

fn says_nothing(sent: &Value) -> bool {
    sent.get("subscriberId").is_none() && fhir::list(sent, "identifier").next().is_none()
}
