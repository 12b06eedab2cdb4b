//! Member and coverage resolution, step 2 (CRD section "Coverage and member resolution"): which member the patient is.
//! The plan's own records decide; the EHR's data only identify. If nothing matches, that is a result and not an error.

use super::prefetch::ResourceLookup;
use crate::error::Result;
use crate::fhir::{list, text};
use crate::plan::{
    Coverage, GoldCard, Member, MemberNumbers, NoMember, fold_name, member_numbers, only_member,
};
use crate::state::State;
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Up to this many numbers are certainly read in one statement.
const FEW: usize = 8;

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
    let mut candidates = by_numbers(state, &numbers).await?;
    if candidates.is_empty()
        && let Some(name) = patient.found().and_then(name_and_birth)
    {
        candidates = by_name(state, name).await?;
    }
    let (members, mut coverages): (Vec<Member>, HashMap<Uuid, Vec<Coverage>>) = candidates
        .into_iter()
        .map(|(member, coverages)| (member.clone(), (member.id, coverages)))
        .unzip();
    Ok(match only_match(members, &numbers.numbers, patient.found()) {
        Ok(member) => MemberMatch::Matched(Box::new(MemberRecord {
            coverages: coverages.remove(&member.id).unwrap_or_default(),
            gold_cards: gold_cards(state, npis).await?,
            member,
        })),
        Err(_) if patient == ResourceLookup::Failed => MemberMatch::PatientUnreadable,
        Err(reason) => MemberMatch::NoMatch(reason),
    })
}

/// A member with every coverage.
type Candidate = (Member, Vec<Coverage>);

/// The members with one of the numbers. One statement is enough unless a coverage has an old number.
async fn by_numbers(state: &State, all: &AllNumbers) -> Result<Vec<Candidate>> {
    let numbers = &all.numbers;
    if numbers.member_ids.is_empty() && numbers.subscriber_id.is_none() {
        return Ok(Vec::new());
    }
    let found = if numbers.member_ids.len() <= FEW {
        let read = state.store.read_one(numbers.clone(), |tx, numbers| {
            Box::pin(async move {
                tx.members_and_coverages(&numbers.member_ids, numbers.subscriber_id.as_deref())
                    .await
            })
        });
        read.await?
    } else {
        let read = state.store.read(numbers.clone(), |tx, numbers| {
            Box::pin(async move {
                tx.members_and_coverages(&numbers.member_ids, numbers.subscriber_id.as_deref())
                    .await
            })
        });
        read.await?
    };
    if !found.is_empty() || all.more_subscriber_ids.is_empty() {
        return Ok(found);
    }
    let read = state
        .store
        .read(all.more_subscriber_ids.clone(), |tx, subscribers| {
            Box::pin(async move {
                for subscriber in subscribers {
                    let found = tx.members_and_coverages(&[], Some(subscriber)).await?;
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Ok(Vec::new())
            })
        });
    read.await
}

async fn by_name(state: &State, name: (String, NaiveDate)) -> Result<Vec<Candidate>> {
    let read = state.store.read(name, |tx, (family, birth)| {
        Box::pin(async move {
            let mut candidates = Vec::new();
            for member in tx.members_by_name(family, *birth).await? {
                let coverages = tx.coverages_of(member.id).await?;
                candidates.push((member, coverages));
            }
            Ok(candidates)
        })
    });
    read.await
}

/// The gold cards of these providers.
async fn gold_cards(state: &State, npis: Vec<String>) -> Result<Vec<GoldCard>> {
    if npis.is_empty() {
        return Ok(Vec::new());
    }
    if npis.len() <= FEW {
        let read = state.store.read_one(npis, |tx, npis| {
            Box::pin(async move { tx.gold_cards_of(npis).await })
        });
        return read.await;
    }
    let read = state.store.read(npis, |tx, npis| {
        Box::pin(async move { tx.gold_cards_of(npis).await })
    });
    read.await
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
