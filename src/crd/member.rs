//! Member and coverage resolution, step 2 (CRD section "Coverage and member resolution"): which member the patient is.
//! The plan's own records decide; the EHR's data only identify. If nothing matches, that is a result and not an error.

use super::prefetch::ResourceLookup;
use crate::error::Result;
use crate::fhir::{list, text};
use crate::plan::{
    Coverage, GoldCard, Member, MemberNumbers, NoMember, fold_name, member_numbers, only_member,
};
use crate::state::State;
use crate::store::Tx;
use chrono::NaiveDate;
use serde_json::Value;

/// A member with the plan's data that determinations use.
#[derive(Debug)]
pub(super) struct MemberRecord {
    /// The member.
    pub member: Member,
    /// All coverages of the member.
    pub coverages: Vec<Coverage>,
    /// The gold cards of the ordering providers.
    pub gold_cards: Vec<GoldCard>,
}

/// The result of matching the patient with the plan's members.
#[derive(Debug)]
pub(super) enum MemberMatch {
    /// The patient is this member.
    Matched(Box<MemberRecord>),
    /// No member matches, or several do.
    NoMatch(NoMember),
    /// The Patient could not be read, and the coverages do not identify one member.
    PatientUnreadable,
}

/// Finds the member in the plan's records. `npis` are the ordering providers whose gold cards are read.
pub(super) async fn find_member(
    state: &State,
    patient: ResourceLookup<'_>,
    coverages: &[&Value],
    npis: Vec<String>,
) -> Result<MemberMatch> {
    let numbers = AllNumbers::of(patient.found(), coverages);
    let query = (numbers, patient.found().cloned(), npis);
    let unreadable = patient == ResourceLookup::Failed;
    let found = state
        .store
        .read(query, |tx, (numbers, patient, npis)| {
            Box::pin(look_up(tx, numbers, patient.as_ref(), npis))
        })
        .await?;
    Ok(match found {
        Ok(record) => MemberMatch::Matched(Box::new(record)),
        Err(_) if unreadable => MemberMatch::PatientUnreadable,
        Err(reason) => MemberMatch::NoMatch(reason),
    })
}

/// Every member and subscriber number of the patient and the coverages.
#[derive(Debug, Default)]
struct AllNumbers {
    /// All member numbers, with the first subscriber number.
    numbers: MemberNumbers,
    /// The further subscriber numbers: an EHR may keep a copy of a coverage with an old number.
    more_subscriber_ids: Vec<String>,
}

impl AllNumbers {
    fn of(patient: Option<&Value>, coverages: &[&Value]) -> Self {
        let mut all = Self {
            numbers: member_numbers(patient, None),
            more_subscriber_ids: Vec::new(),
        };
        for coverage in coverages {
            let MemberNumbers {
                member_ids,
                subscriber_id,
            } = member_numbers(None, Some(coverage));
            all.numbers.member_ids.extend(member_ids);
            if all.numbers.subscriber_id.is_none() {
                all.numbers.subscriber_id = subscriber_id;
            } else {
                all.more_subscriber_ids.extend(subscriber_id);
            }
        }
        all
    }
}

async fn look_up(
    tx: &mut Tx,
    AllNumbers {
        numbers,
        more_subscriber_ids,
    }: &AllNumbers,
    patient: Option<&Value>,
    npis: &[String],
) -> Result<std::result::Result<MemberRecord, NoMember>> {
    let mut candidates = tx
        .members_by_numbers(&numbers.member_ids, numbers.subscriber_id.as_deref())
        .await?;
    for subscriber in more_subscriber_ids {
        if candidates.is_empty() {
            candidates = tx.members_by_numbers(&[], Some(subscriber)).await?;
        }
    }
    if candidates.is_empty()
        && let Some((family, birth)) = patient.and_then(name_and_birth)
    {
        candidates = tx.members_by_name(&family, birth).await?;
    }
    let member = match only_match(candidates, numbers, patient) {
        Ok(member) => member,
        Err(reason) => return Ok(Err(reason)),
    };
    let coverages = tx.coverages_of(member.id).await?;
    let gold_cards = tx.gold_cards_of(npis).await?;
    Ok(Ok(MemberRecord {
        member,
        coverages,
        gold_cards,
    }))
}

fn name_and_birth(patient: &Value) -> Option<(String, NaiveDate)> {
    let current = list(patient, "name").find(|n| text(n, &["use"]) != Some("old"))?;
    let birth = text(patient, &["birthDate"])?.parse().ok()?;
    Some((fold_name(text(current, &["family"])?), birth))
}

/// The only candidate that matches the patient, also in the gender.
fn only_match(
    candidates: Vec<Member>,
    numbers: &MemberNumbers,
    patient: Option<&Value>,
) -> std::result::Result<Member, NoMember> {
    let (same, other): (Vec<Member>, Vec<Member>) = candidates
        .into_iter()
        .partition(|member| patient.is_none_or(|p| same_gender(member, p)));
    match only_member(same, numbers, patient) {
        Err(_) if only_member(other, numbers, patient).is_ok() => Err(NoMember::OtherGender),
        result => result,
    }
}

/// False only if both sides have male or female and they differ.
fn same_gender(member: &Member, patient: &Value) -> bool {
    let known = |gender: Option<&str>| {
        gender
            .filter(|g| matches!(*g, "male" | "female"))
            .map(str::to_owned)
    };
    match (known(member.gender.as_deref()), known(text(patient, &["gender"]))) {
        (Some(member), Some(patient)) => member == patient,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::samples;
    use serde_json::json;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn named(member_id: &str, family: &str, birth: &str) -> Member {
        Member {
            member_id: member_id.into(),
            family: family.into(),
            birth_date: Some(day(birth)),
            ..samples::member()
        }
    }

    fn patient(family: &str, birth: &str) -> Value {
        json!({ "name": [{ "family": family }], "birthDate": birth, "gender": "male" })
    }

    fn numbers(member_ids: &[&str]) -> MemberNumbers {
        let with = |id: &&str| json!({ "value": id });
        let identifiers: Vec<Value> = member_ids.iter().map(with).collect();
        member_numbers(Some(&json!({ "identifier": identifiers })), None)
    }

    #[test]
    fn a_member_number_that_contradicts_the_patient_matches_nobody() {
        let reason = |patient: &Value| {
            let candidates = vec![named("m1", "smith", "1950-01-02")];
            only_match(candidates, &numbers(&["m1"]), Some(patient)).err()
        };
        assert_eq!(reason(&patient("Smith", "1950-01-02")), None);
        assert_eq!(reason(&patient("Jones", "1950-01-02")), Some(NoMember::OtherName));
        assert_eq!(
            reason(&patient("Smith", "1951-01-02")),
            Some(NoMember::OtherBirthDate)
        );
        assert_eq!(
            reason(&json!({ "gender": "female" })),
            Some(NoMember::OtherGender)
        );
        let all_differ = json!({ "gender": "female", "name": [{ "family": "Jones" }] });
        assert!(reason(&all_differ).is_some());
    }

    #[test]
    fn a_member_number_is_enough_if_there_is_no_patient() {
        assert!(only_match(vec![named("m1", "smith", "1950-01-02")], &numbers(&["M-1"]), None).is_ok());
    }

    #[test]
    fn the_member_number_selects_one_of_a_family() {
        let family = || {
            vec![
                named("m1", "smith", "1950-01-02"),
                named("m2", "smith", "1980-01-02"),
            ]
        };
        assert_eq!(
            only_match(family(), &numbers(&["m2"]), None).unwrap().member_id,
            "m2"
        );
        assert!(
            only_match(family(), &numbers(&[]), None).is_err(),
            "a subscriber number alone matches two"
        );
        let child = patient("Smith", "1980-01-02");
        assert_eq!(
            only_match(family(), &numbers(&[]), Some(&child))
                .unwrap()
                .member_id,
            "m2"
        );
    }

    #[test]
    fn the_numbers_of_all_copies_of_a_coverage_are_looked_up() {
        let coverages = ["old", "sub-1"].map(|id| json!({ "subscriberId": id }));
        let all = AllNumbers::of(None, &coverages.iter().collect::<Vec<_>>());
        assert_eq!(all.numbers.subscriber_id.as_deref(), Some("OLD"));
        assert_eq!(all.more_subscriber_ids, ["SUB1"]);
    }

    #[test]
    fn an_old_name_is_not_used() {
        let patient = json!({ "birthDate": "1987-02-20",
            "name": [{ "use": "old", "family": "Shaw" }, { "family": "Baxter" }] });
        assert_eq!(
            name_and_birth(&patient),
            Some(("baxter".into(), day("1987-02-20")))
        );
    }
}
