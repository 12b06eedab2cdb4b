//! Which member and coverage a message refers to. Numbers find candidates; name and birth date must agree if the
//! message has them. A candidate whose number matches but whose name or birth date differs is not a match, and two
//! candidates that both fit are not a match either.

use super::names::{fold_number, name_matches};
use super::{Coverage, Member};
use crate::fhir::dates::DateRange;
use crate::fhir::{self, coding};
use chrono::NaiveDate;
use serde_json::Value;

/// The numbers of a message by which members are looked up, folded with [`fold_number`].
#[derive(Debug, Clone, Default)]
pub struct MemberNumbers {
    /// Numbers that may be a member id: patient identifiers of no other known type, and `MB` identifiers of the
    /// coverage.
    pub member_ids: Vec<String>,
    /// `Coverage.subscriberId`.
    pub subscriber_id: Option<String>,
}

impl MemberNumbers {
    /// Whether one of the numbers is the member id of this member.
    pub fn name(&self, member: &Member) -> bool {
        self.member_ids.contains(&fold_number(&member.member_id))
    }

    fn is_empty(&self) -> bool {
        self.member_ids.is_empty() && self.subscriber_id.is_none()
    }
}

/// Why a message refers to no member. It names the datum that did not match and nothing that the plan has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMember {
    /// The message has no number by which a member can be found.
    NoNumber,
    /// No member has one of the numbers.
    OtherNumber,
    /// A member has the number; the name differs.
    OtherName,
    /// A member has the number; the birth date differs.
    OtherBirthDate,
    /// A member has the number; name and birth date differ.
    OtherNameAndBirthDate,
    /// A member has the number; the administrative gender differs.
    OtherGender,
    /// Several members fit.
    Several,
}

impl NoMember {
    /// The reason in one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoNumber => "The message has no member number",
            Self::OtherNumber => "The member number matches no member of this plan",
            Self::OtherName => "The name does not match the member with this number",
            Self::OtherBirthDate => "The birth date does not match the member with this number",
            Self::OtherNameAndBirthDate => {
                "The name and the birth date do not match the member with this number"
            }
            Self::OtherGender => "The administrative gender does not match the member with this number",
            Self::Several => "The number, the name and the birth date match more than one member",
        }
    }

    /// The element of the Patient that did not match.
    pub fn element(self) -> &'static str {
        match self {
            Self::NoNumber | Self::OtherNumber | Self::Several => "identifier",
            Self::OtherName | Self::OtherNameAndBirthDate => "name",
            Self::OtherBirthDate => "birthDate",
            Self::OtherGender => "gender",
        }
    }
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
    let value = |identifier: &Value| number(fhir::text(identifier, &["value"])?);
    let of_patient = patient.into_iter().flat_map(|p| fhir::list(p, "identifier"));
    let of_coverage = coverage.into_iter().flat_map(|c| fhir::list(c, "identifier"));
    MemberNumbers {
        member_ids: of_patient
            .filter(|i| !is_other_number(i))
            .chain(of_coverage.filter(|i| has_type(i, "MB")))
            .filter_map(value)
            .collect(),
        subscriber_id: coverage.and_then(|c| number(fhir::text(c, &["subscriberId"])?)),
    }
}

/// A number, folded; `None` if nothing is left of it.
fn number(text: &str) -> Option<String> {
    Some(fold_number(text)).filter(|number| !number.is_empty())
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

/// The one candidate whom the Patient of a message can be. A member number goes before a subscriber number, which a
/// whole family shares.
pub fn only_member(
    candidates: Vec<Member>,
    numbers: &MemberNumbers,
    patient: Option<&Value>,
) -> Result<Member, NoMember> {
    let reason = no_member(candidates.iter(), numbers, patient);
    let mut matching: Vec<Member> = candidates
        .into_iter()
        .filter(|member| patient.is_none_or(|p| may_be_same_person(member, p)))
        .collect();
    if matching.iter().any(|member| numbers.name(member)) {
        matching.retain(|member| numbers.name(member));
    }
    match (matching.pop(), matching.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(reason),
    }
}

/// Why none of these candidates is the member whom a message means. Of several candidates, the one with the fewest
/// differences counts.
pub fn no_member<'a>(
    candidates: impl Iterator<Item = &'a Member>,
    numbers: &MemberNumbers,
    patient: Option<&Value>,
) -> NoMember {
    let differences = candidates.map(|member| patient.map_or((false, false), |p| differences(member, p)));
    let fewest = differences.min_by_key(|(name, birth_date)| u8::from(*name) + u8::from(*birth_date));
    match fewest {
        None if numbers.is_empty() => NoMember::NoNumber,
        None => NoMember::OtherNumber,
        Some((true, true)) => NoMember::OtherNameAndBirthDate,
        Some((true, false)) => NoMember::OtherName,
        Some((false, true)) => NoMember::OtherBirthDate,
        Some((false, false)) => NoMember::Several,
    }
}

/// Whether the plan's member and the Patient of a message may be the same person: birth date and name must agree where
/// both have them.
pub fn may_be_same_person(member: &Member, patient: &Value) -> bool {
    differences(member, patient) == (false, false)
}

/// Whether the name differs, and whether the birth date differs.
fn differences(member: &Member, patient: &Value) -> (bool, bool) {
    let mut names = fhir::list(patient, "name").peekable();
    let other_name = names.peek().is_some() && !names.any(|name| name_matches(member, name));
    let other_birth_date = match (member.birth_date, fhir::text(patient, &["birthDate"])) {
        (Some(of_member), Some(text)) => {
            DateRange::read(text, chrono_tz::UTC).is_none_or(|days| !days.holds(DateRange::day(of_member)))
        }
        _ => false,
    };
    (other_name, other_birth_date)
}

/// Which of a member's coverages a message refers to, and whether it is in force on `day`. Only identifiers are taken
/// from the Coverage that was sent; period and status come from the plan's own records. When the coverage that was sent
/// has ended and the member has one other coverage in force, that one answers: an EHR keeps old copies.
pub fn choose_coverage<'a>(
    coverages: &'a [Coverage],
    sent: Option<&Value>,
    day: NaiveDate,
) -> CoverageMatch<'a> {
    let named: Vec<&Coverage> = coverages
        .iter()
        .filter(|c| sent.is_none_or(|sent| refers_to(sent, c)))
        .collect();
    let in_force = |c: &&&Coverage| c.in_force(day);
    let named_in_force: Vec<&Coverage> = named.iter().filter(in_force).copied().collect();
    let all_in_force: Vec<&Coverage> = coverages.iter().filter(|c| c.in_force(day)).collect();
    match (named.first(), only_one(&named_in_force, sent)) {
        (_, Some(one)) => CoverageMatch::InForce(one),
        (Some(_), None) if !named_in_force.is_empty() => CoverageMatch::NotFound,
        (Some(ended), None) => match only_one(&all_in_force, None) {
            Some(other) => CoverageMatch::InForce(other),
            None => CoverageMatch::NotInForce(ended),
        },
        (None, None) => match only_one(&all_in_force, None) {
            Some(only) if sent.is_some_and(has_no_numbers) => CoverageMatch::InForce(only),
            _ => CoverageMatch::NotFound,
        },
    }
}

/// The one coverage of several, newest first: the only one; the only one whose own identifier was sent; the only one of
/// the plan that was sent; or the newest, if all belong to one plan.
fn only_one<'a>(coverages: &[&'a Coverage], sent: Option<&Value>) -> Option<&'a Coverage> {
    let newest = *coverages.first()?;
    if coverages.iter().all(|c| c.plan == newest.plan) {
        return Some(newest);
    }
    let sent = sent?;
    let only = |fits: &dyn Fn(&Coverage) -> bool| {
        let mut fitting = coverages.iter().copied().filter(|c| fits(c));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let plan = super::records::plan_code(sent);
    only(&|c| has_identifier_of(sent, c)).or_else(|| only(&|c| plan == Some(c.plan.as_str())))
}

/// Whether a Coverage that was sent has a subscriber id or an identifier of our coverage.
fn refers_to(sent: &Value, coverage: &Coverage) -> bool {
    let subscriber = |id: &str| {
        number(id).is_some_and(|id| Some(id) == coverage.subscriber_id.as_deref().and_then(number))
    };
    fhir::text(sent, &["subscriberId"]).is_some_and(subscriber)
        || has_identifier_of(sent, coverage)
        || fhir::identifiers(&coverage.doc)
            .any(|(_, imported)| fhir::identifiers(sent).any(|(_, value)| is_same_number(imported, value)))
}

/// Whether a Coverage that was sent has the identifier, with its system, by which the plan keeps our coverage.
fn has_identifier_of(sent: &Value, coverage: &Coverage) -> bool {
    fhir::identifiers(sent).any(|(system, value)| {
        let own = coverage
            .key
            .strip_prefix(system)
            .and_then(|rest| rest.strip_prefix('|'));
        own.is_some_and(|own| is_same_number(own, value))
    })
}

fn is_same_number(one: &str, other: &str) -> bool {
    number(one).is_some_and(|one| Some(one) == number(other))
}

fn has_no_numbers(sent: &Value) -> bool {
    sent.get("subscriberId").is_none() && fhir::list(sent, "identifier").next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fold_name;
    use serde_json::json;
    use uuid::Uuid;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn member(number: &str, family: &str, born: &str) -> Member {
        Member {
            id: Uuid::nil(),
            member_id: number.into(),
            family: fold_name(family),
            given: String::new(),
            birth_date: born.parse().ok(),
            gender: None,
            doc: Value::Null,
        }
    }

    fn coverage(key: &str, plan: &str, starts: &str, ends: &str) -> Coverage {
        Coverage {
            id: Uuid::nil(),
            key: format!("urn:c|{key}"),
            member: Uuid::nil(),
            plan: plan.into(),
            line_of_business: "MA".into(),
            state: None,
            zone: chrono_tz::America::New_York,
            subscriber_id: Some("S-1".into()),
            status: "active".into(),
            starts: starts.parse().ok(),
            ends: ends.parse().ok(),
            doc: Value::Null,
        }
    }

    fn chosen<'a>(coverages: &'a [Coverage], sent: &Value) -> Option<(&'a str, bool)> {
        match choose_coverage(coverages, Some(sent), day("2026-10-05")) {
            CoverageMatch::InForce(coverage) => Some((&coverage.key, true)),
            CoverageMatch::NotInForce(coverage) => Some((&coverage.key, false)),
            CoverageMatch::NotFound => None,
        }
    }

    #[test]
    fn of_several_records_the_one_in_force_answers() {
        let newest = coverage("new", "A", "2026-01-01", "");
        let ended = coverage("old", "A", "2025-01-01", "2025-12-31");
        let both = [newest.clone(), ended.clone()];
        assert_eq!(
            chosen(&both, &json!({ "subscriberId": "s1" })),
            Some(("urn:c|new", true))
        );
        let old_card = json!({ "identifier": [{ "system": "urn:c", "value": "OLD" }] });
        assert_eq!(chosen(&both, &old_card), Some(("urn:c|new", true)));
        assert_eq!(
            chosen(std::slice::from_ref(&ended), &old_card),
            Some(("urn:c|old", false))
        );
        assert_eq!(chosen(&both, &json!({ "subscriberId": "another" })), None);
        assert_eq!(
            chosen(&both, &json!({})),
            Some(("urn:c|new", true)),
            "a Coverage without numbers"
        );
        let copies = [coverage("copy", "A", "2026-02-01", ""), newest];
        assert_eq!(
            chosen(&copies, &json!({ "subscriberId": "S 1" })),
            Some(("urn:c|copy", true))
        );
    }

    #[test]
    fn of_coverages_of_two_plans_the_one_that_was_named_answers() {
        let both = [
            coverage("one", "A", "2026-01-01", ""),
            coverage("two", "B", "2025-01-01", ""),
        ];
        assert_eq!(chosen(&both, &json!({ "subscriberId": "S-1" })), None);
        let by_key = json!({ "subscriberId": "S-1", "identifier": [{ "system": "urn:c", "value": "two" }] });
        assert_eq!(chosen(&both, &by_key), Some(("urn:c|two", true)));
        let plan = json!([{ "type": { "coding": [{ "code": "plan" }] }, "value": "B" }]);
        let by_plan = json!({ "subscriberId": "S-1", "class": plan });
        assert_eq!(chosen(&both, &by_plan), Some(("urn:c|two", true)));
    }

    #[test]
    fn the_reason_names_the_datum_that_differs() {
        let numbers =
            |value: &str| member_numbers(Some(&json!({ "identifier": [{ "value": value }] })), None);
        let found = |candidates: Vec<Member>, patient: Value| {
            only_member(candidates, &numbers("m-1"), Some(&patient)).map(|member| member.member_id)
        };
        let patient = |family: &str, born: &str| json!({ "name": [{ "family": family }], "birthDate": born });
        let smith = || vec![member("M1", "Smith", "1950-01-02")];
        assert_eq!(found(smith(), patient("SMITH", "1950-01-02")), Ok("M1".into()));
        assert_eq!(
            found(smith(), patient("Jones", "1950-01-02")),
            Err(NoMember::OtherName)
        );
        assert_eq!(
            found(smith(), patient("Smith", "1950-01-03")),
            Err(NoMember::OtherBirthDate)
        );
        assert_eq!(
            found(smith(), patient("Jones", "1950-01-03")),
            Err(NoMember::OtherNameAndBirthDate)
        );
        assert_eq!(
            found(smith(), patient("Smith", "1950-13-45")),
            Err(NoMember::OtherBirthDate)
        );
        assert_eq!(
            found(Vec::new(), patient("Smith", "1950-01-02")),
            Err(NoMember::OtherNumber)
        );
        let none = only_member(Vec::new(), &MemberNumbers::default(), None);
        assert_eq!(none, Err(NoMember::NoNumber));
        let family = || {
            vec![
                member("M1", "Smith", "1950-01-02"),
                member("M2", "Smith", "1980-01-02"),
            ]
        };
        assert_eq!(
            found(family(), json!({ "name": [{ "family": "Smith" }] })),
            Ok("M1".into()),
            "the number decides"
        );
        let by_family_number = only_member(family(), &numbers("other"), Some(&patient("Smith", "1980")));
        assert_eq!(by_family_number.unwrap().member_id, "M2");
        let ambiguous = only_member(family(), &numbers("other"), None);
        assert_eq!(ambiguous, Err(NoMember::Several));
    }
}
