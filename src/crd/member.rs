//! Member and coverage resolution, steps 2 and 3 (CRD section "Coverage and member resolution"): which member the
//! patient is, and which of the member's coverages applies and is active on the day of service. The plan's own records
//! decide; the EHR's data only identify. If nothing matches, that is a result and not an error.

use super::prefetch::ResourceLookup;
use crate::error::Result;
use crate::fhir::dates::{self, DateRange};
use crate::fhir::{get, list, text};
use crate::plan::{
    Coverage, CoverageMatch, GoldCard, Member, MemberNumbers, choose_coverage, fold_name, may_be_same_person,
    member_numbers,
};
use crate::state::State;
use crate::store::Tx;
use chrono::NaiveDate;
use chrono_tz::Tz;
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
    NoMatch,
    /// The Patient could not be read, and the coverages do not identify one member.
    PatientUnreadable,
}

/// The coverage that applies to an order. `sent` is the EHR's Coverage, `coverage` the plan's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum CoverageStatus<'a> {
    /// The coverage is active on the day of service.
    Active { coverage: &'a Coverage, sent: &'a Value },
    /// The coverage is not active on the day of service. `coverage` is none if only the EHR's copy is known.
    NotActive {
        coverage: Option<&'a Coverage>,
        sent: &'a Value,
    },
    /// The EHR's Coverage does not match any coverage of the member.
    NotFound { sent: &'a Value },
}

/// Finds the member in the plan's records. `npis` are the ordering providers whose gold cards are read.
pub(super) async fn find_member(
    state: &State,
    patient: ResourceLookup<'_>,
    coverages: &[&Value],
    npis: Vec<String>,
) -> Result<MemberMatch> {
    let numbers = all_member_numbers(patient.found(), coverages);
    let query = (numbers, patient.found().cloned(), npis);
    let unreadable = patient == ResourceLookup::Failed;
    let found = state
        .store
        .read(query, |tx, (numbers, patient, npis)| {
            Box::pin(look_up(tx, numbers, patient.as_ref(), npis))
        })
        .await?;
    Ok(match found {
        Some(record) => MemberMatch::Matched(Box::new(record)),
        None if unreadable => MemberMatch::PatientUnreadable,
        None => MemberMatch::NoMatch,
    })
}

/// Every member and subscriber number of the patient and the coverages.
fn all_member_numbers(patient: Option<&Value>, coverages: &[&Value]) -> MemberNumbers {
    let mut numbers = member_numbers(patient, None);
    for coverage in coverages {
        let more = member_numbers(None, Some(coverage));
        numbers.member_ids.extend(more.member_ids);
        numbers.subscriber_id = numbers.subscriber_id.or(more.subscriber_id);
    }
    numbers
}

async fn look_up(
    tx: &mut Tx,
    numbers: &MemberNumbers,
    patient: Option<&Value>,
    npis: &[String],
) -> Result<Option<MemberRecord>> {
    let mut candidates = tx
        .members_by_numbers(&numbers.member_ids, numbers.subscriber_id.as_deref())
        .await?;
    if candidates.is_empty()
        && let Some((family, birth)) = patient.and_then(name_and_birth)
    {
        candidates = tx.members_by_name(&family, birth).await?;
    }
    let Some(member) = only_match(candidates, &numbers.member_ids, patient) else {
        return Ok(None);
    };
    let coverages = tx.coverages_of(member.id).await?;
    let gold_cards = tx.gold_cards_of(npis).await?;
    Ok(Some(MemberRecord {
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

/// The only candidate that matches the patient; none if several do. A member number takes precedence over a subscriber
/// number, which a whole family shares.
fn only_match(candidates: Vec<Member>, member_ids: &[String], patient: Option<&Value>) -> Option<Member> {
    let matching: Vec<Member> = candidates
        .into_iter()
        .filter(|m| patient.is_none_or(|p| may_be_same_person(m, p) && same_gender(m, p)))
        .collect();
    let by_number = matching
        .iter()
        .filter(|m| member_ids.contains(&m.member_id))
        .count();
    let mut left = matching
        .into_iter()
        .filter(|m| by_number == 0 || member_ids.contains(&m.member_id));
    match (left.next(), left.next()) {
        (Some(only), None) => Some(only),
        _ => None,
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

/// The first requested day of service of an order; none if the order has no date.
pub(super) fn service_day(order: &Value, zone: Tz) -> Option<NaiveDate> {
    let timing = order.get("occurrenceTiming").unwrap_or(&Value::Null);
    let event = || DateRange::read(list(timing, "event").next()?.as_str()?, zone);
    let bounds = || dates::period_days(get(timing, &["repeat", "boundsPeriod"])?, zone);
    dates::choice(order, "occurrence", zone)
        .or_else(event)
        .or_else(bounds)
        .map(|range| range.first)
}

/// The coverage that applies to an order on `day`, out of the member's `coverages`. If several were sent, the one with
/// `Coverage.order` 1 applies, else the only one that is active. None if no coverage was sent.
pub(super) fn applicable_coverage<'a>(
    coverages: &'a [Coverage],
    sent: &[&'a Value],
    day: NaiveDate,
) -> Option<CoverageStatus<'a>> {
    let first = *sent.first()?;
    if let [only] = sent {
        return Some(coverage_status(coverages, only, day));
    }
    let primary: Vec<&Value> = sent
        .iter()
        .copied()
        .filter(|c| c.get("order").and_then(Value::as_u64) == Some(1))
        .collect();
    if let [only] = primary.as_slice() {
        return Some(coverage_status(coverages, only, day));
    }
    let mut active = sent
        .iter()
        .map(|c| coverage_status(coverages, c, day))
        .filter(|s| matches!(s, CoverageStatus::Active { .. }));
    match (active.next(), active.next()) {
        (Some(only), None) => Some(only),
        _ => Some(CoverageStatus::NotFound { sent: first }),
    }
}

fn coverage_status<'a>(coverages: &'a [Coverage], sent: &'a Value, day: NaiveDate) -> CoverageStatus<'a> {
    match choose_coverage(coverages, Some(sent), day) {
        CoverageMatch::InForce(coverage) => CoverageStatus::Active { coverage, sent },
        CoverageMatch::NotInForce(coverage) => CoverageStatus::NotActive {
            coverage: Some(coverage),
            sent,
        },
        CoverageMatch::NotFound if !is_active(sent, day) => {
            CoverageStatus::NotActive { coverage: None, sent }
        }
        CoverageMatch::NotFound => CoverageStatus::NotFound { sent },
    }
}

/// Whether the EHR's Coverage has the status active and no end before `day`.
fn is_active(sent: &Value, day: NaiveDate) -> bool {
    let ended = get(sent, &["period", "end"])
        .and_then(Value::as_str)
        .and_then(|end| DateRange::read(end, Tz::UTC))
        .is_some_and(|end| end.last < day);
    text(sent, &["status"]) == Some("active") && !ended
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

    #[test]
    fn a_member_number_that_contradicts_the_patient_matches_nobody() {
        let candidates = || vec![named("m1", "smith", "1950-01-02")];
        let ids = ["m1".to_owned()];
        let matches = |family: &str, birth: &str| {
            only_match(candidates(), &ids, Some(&patient(family, birth))).is_some()
        };
        assert!(matches("Smith", "1950-01-02"));
        assert!(!matches("Jones", "1950-01-02"));
        assert!(!matches("Smith", "1951-01-02"));
        let female = json!({ "gender": "female" });
        assert!(only_match(candidates(), &ids, Some(&female)).is_none());
    }

    #[test]
    fn a_member_number_is_enough_if_there_is_no_patient() {
        assert!(only_match(vec![named("m1", "smith", "1950-01-02")], &["m1".to_owned()], None).is_some());
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
            only_match(family(), &["m2".to_owned()], None).unwrap().member_id,
            "m2"
        );
        assert!(
            only_match(family(), &[], None).is_none(),
            "a subscriber number alone matches two"
        );
        let child = patient("Smith", "1980-01-02");
        assert_eq!(only_match(family(), &[], Some(&child)).unwrap().member_id, "m2");
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

    #[test]
    fn the_service_day_is_the_first_requested_day() {
        let day_of = |order: Value| service_day(&order, Tz::UTC);
        assert_eq!(
            day_of(json!({ "occurrenceDateTime": "2026-10-05" })),
            Some(day("2026-10-05"))
        );
        assert_eq!(
            day_of(json!({ "occurrencePeriod": { "start": "2026-10-06" } })),
            Some(day("2026-10-06"))
        );
        assert_eq!(
            day_of(json!({ "occurrenceTiming": { "event": ["2026-10-07"] } })),
            Some(day("2026-10-07"))
        );
        let bounds =
            json!({ "occurrenceTiming": { "repeat": { "boundsPeriod": { "start": "2026-10-08" } } } });
        assert_eq!(day_of(bounds), Some(day("2026-10-08")));
        assert_eq!(
            day_of(json!({ "authoredOn": "2019-02-15" })),
            None,
            "a draft may have been written long before"
        );
    }

    #[test]
    fn the_plans_records_decide_whether_a_coverage_is_active() {
        let coverages = [Coverage {
            ends: Some(day("2026-12-31")),
            ..samples::coverage()
        }];
        let sent =
            json!({ "resourceType": "Coverage", "id": "c1", "status": "cancelled", "subscriberId": "sub-1" });
        assert!(matches!(
            applicable_coverage(&coverages, &[&sent], day("2026-10-05")),
            Some(CoverageStatus::Active { .. })
        ));
        assert!(matches!(
            applicable_coverage(&coverages, &[&sent], day("2027-01-01")),
            Some(CoverageStatus::NotActive {
                coverage: Some(_),
                ..
            })
        ));
    }

    #[test]
    fn an_unknown_coverage_is_not_found_or_not_active() {
        let coverages = [samples::coverage()];
        let mut sent =
            json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "other" });
        assert_eq!(
            applicable_coverage(&coverages, &[&sent], day("2026-10-05")),
            Some(CoverageStatus::NotFound { sent: &sent })
        );
        sent["period"] = json!({ "end": "2025-12-31" });
        assert_eq!(
            applicable_coverage(&coverages, &[&sent], day("2026-10-05")),
            Some(CoverageStatus::NotActive {
                coverage: None,
                sent: &sent
            })
        );
    }

    #[test]
    fn of_several_coverages_the_primary_or_the_only_active_one_applies() {
        let coverages = [samples::coverage()];
        let known = json!({ "id": "c1", "status": "active", "subscriberId": "sub-1" });
        let unknown = json!({ "id": "c2", "status": "active", "subscriberId": "other" });
        let at = day("2026-10-05");
        assert!(matches!(
            applicable_coverage(&coverages, &[&unknown, &known], at),
            Some(CoverageStatus::Active { .. })
        ));
        assert_eq!(
            applicable_coverage(&coverages, &[&unknown, &unknown], at),
            Some(CoverageStatus::NotFound { sent: &unknown })
        );
        let first = json!({ "id": "c2", "order": 1, "status": "active", "subscriberId": "other" });
        assert_eq!(
            applicable_coverage(&coverages, &[&known, &first], at),
            Some(CoverageStatus::NotFound { sent: &first })
        );
        assert_eq!(applicable_coverage(&coverages, &[], at), None);
    }
}
