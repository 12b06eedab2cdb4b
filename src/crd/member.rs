//! Steps two and three of "whose is it": which member of ours the patient is, and which of the member's coverages is
//! meant and in force on the day of service (CRD section "Coverage and member resolution"). The plan's own file is
//! the truth; what the EHR sent only points. A gap is an answer here, never an error.

use super::prefetch::Known;
use crate::error::Result;
use crate::fhir::dates::{self, DateRange};
use crate::fhir::{get, list, text};
use crate::plan::{Asked, Coverage, Found, GoldCard, Member, agrees, choose_coverage, fold, member_numbers};
use crate::state::State;
use crate::store::Tx;
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::Value;

/// A member, with everything of the plan's that an order of his is judged by.
#[derive(Debug)]
pub(super) struct Insured {
    /// The member.
    pub member: Member,
    /// Every coverage of the member.
    pub coverages: Vec<Coverage>,
    /// The gold cards of those who order.
    pub gold_cards: Vec<GoldCard>,
}

/// Who the patient is.
#[derive(Debug)]
pub(super) enum Person {
    /// This member.
    Member(Box<Insured>),
    /// No member fits, or several do.
    Nobody,
    /// The patient could not be read, and the rest does not identify one member.
    Unreadable,
}

/// Which coverage an order is judged under.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing<'a> {
    /// This one of ours; `sent` is the EHR's copy that led to it.
    InForce { ours: &'a Coverage, sent: &'a Value },
    /// It is known or at least was sent, and it is not in force on the day.
    NotActive {
        ours: Option<&'a Coverage>,
        sent: &'a Value,
    },
    /// What was sent does not lead to one of the member's coverages.
    NotFound { sent: &'a Value },
}

/// Finds the member in the plan's file, and the gold cards of these NPIs.
pub(super) async fn find(
    state: &State,
    patient: Known<'_>,
    coverages: &[&Value],
    npis: Vec<String>,
) -> Result<Person> {
    let asked = numbers(patient.found(), coverages);
    let question = (asked, patient.found().cloned(), npis);
    let unreadable = patient == Known::Failed;
    let found = state
        .store
        .read(question, |tx, (asked, patient, npis)| {
            Box::pin(look_up(tx, asked, patient.as_ref(), npis))
        })
        .await?;
    Ok(match found {
        Some(insured) => Person::Member(Box::new(insured)),
        None if unreadable => Person::Unreadable,
        None => Person::Nobody,
    })
}

/// Every number that the patient and the coverages carry.
fn numbers(patient: Option<&Value>, coverages: &[&Value]) -> Asked {
    let mut asked = member_numbers(patient, None);
    for coverage in coverages {
        let more = member_numbers(None, Some(coverage));
        asked.member_ids.extend(more.member_ids);
        asked.subscriber_id = asked.subscriber_id.or(more.subscriber_id);
    }
    asked
}

async fn look_up(
    tx: &mut Tx,
    asked: &Asked,
    patient: Option<&Value>,
    npis: &[String],
) -> Result<Option<Insured>> {
    let mut candidates = tx
        .members_by_numbers(&asked.member_ids, asked.subscriber_id.as_deref())
        .await?;
    if candidates.is_empty()
        && let Some((family, birth)) = patient.and_then(name_and_birth)
    {
        candidates = tx.members_by_name(&family, birth).await?;
    }
    let Some(member) = the_one(candidates, &asked.member_ids, patient) else {
        return Ok(None);
    };
    let coverages = tx.coverages_of(member.id).await?;
    let gold_cards = tx.gold_cards_of(npis).await?;
    Ok(Some(Insured {
        member,
        coverages,
        gold_cards,
    }))
}

fn name_and_birth(patient: &Value) -> Option<(String, NaiveDate)> {
    let current = list(patient, "name").find(|n| text(n, &["use"]) != Some("old"))?;
    let birth = text(patient, &["birthDate"])?.parse().ok()?;
    Some((fold(text(current, &["family"])?), birth))
}

/// The one candidate whom nothing in the message contradicts. A member number outranks a subscriber's, which a whole
/// family shares.
fn the_one(candidates: Vec<Member>, member_ids: &[String], patient: Option<&Value>) -> Option<Member> {
    let fitting: Vec<Member> = candidates
        .into_iter()
        .filter(|m| patient.is_none_or(|p| agrees(m, p) && same_sex(m, p)))
        .collect();
    let by_number = fitting
        .iter()
        .filter(|m| member_ids.contains(&m.member_id))
        .count();
    let mut left = fitting
        .into_iter()
        .filter(|m| by_number == 0 || member_ids.contains(&m.member_id));
    match (left.next(), left.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Sex contradicts only where both sides name male or female.
fn same_sex(member: &Member, patient: &Value) -> bool {
    let told = |sex: Option<&str>| sex.filter(|s| matches!(*s, "male" | "female")).map(str::to_owned);
    match (told(member.gender.as_deref()), told(text(patient, &["gender"]))) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    }
}

/// The first day of the service that an order asks for; none where it names no day.
pub(super) fn service_day(order: &Value, zone: Tz) -> Option<NaiveDate> {
    let timing = order.get("occurrenceTiming").unwrap_or(&Value::Null);
    let event = || DateRange::read(list(timing, "event").next()?.as_str()?, zone);
    let bounds = || dates::period_days(get(timing, &["repeat", "boundsPeriod"])?, zone);
    dates::choice(order, "occurrence", zone)
        .or_else(event)
        .or_else(bounds)
        .map(|range| range.first)
}

/// Which of the member's coverages an order of `day` is judged under. Of several that were sent, the one of order 1
/// counts, else the one that leads to a coverage in force.
pub(super) fn settle<'a>(ours: &'a [Coverage], sent: &[&'a Value], day: NaiveDate) -> Option<Standing<'a>> {
    let first = *sent.first()?;
    if let [only] = sent {
        return Some(standing(ours, only, day));
    }
    let primary: Vec<&Value> = sent
        .iter()
        .copied()
        .filter(|c| c.get("order").and_then(Value::as_u64) == Some(1))
        .collect();
    if let [only] = primary.as_slice() {
        return Some(standing(ours, only, day));
    }
    let mut in_force = sent
        .iter()
        .map(|c| standing(ours, c, day))
        .filter(|s| matches!(s, Standing::InForce { .. }));
    match (in_force.next(), in_force.next()) {
        (Some(one), None) => Some(one),
        _ => Some(Standing::NotFound { sent: first }),
    }
}

fn standing<'a>(ours: &'a [Coverage], sent: &'a Value, day: NaiveDate) -> Standing<'a> {
    match choose_coverage(ours, Some(sent), day) {
        Found::InForce(one) => Standing::InForce { ours: one, sent },
        Found::NotInForce(one) => Standing::NotActive {
            ours: Some(one),
            sent,
        },
        Found::NotFound if !is_active(sent, day) => Standing::NotActive { ours: None, sent },
        Found::NotFound => Standing::NotFound { sent },
    }
}

/// Whether the EHR's copy calls itself active on that day.
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
    fn a_number_that_contradicts_the_person_is_nobody() {
        let candidates = || vec![named("m1", "smith", "1950-01-02")];
        let ids = ["m1".to_owned()];
        let fits =
            |family: &str, birth: &str| the_one(candidates(), &ids, Some(&patient(family, birth))).is_some();
        assert!(fits("Smith", "1950-01-02"));
        assert!(!fits("Jones", "1950-01-02"));
        assert!(!fits("Smith", "1951-01-02"));
        let woman = json!({ "gender": "female" });
        assert!(the_one(candidates(), &ids, Some(&woman)).is_none());
    }

    #[test]
    fn a_number_alone_is_enough_where_no_patient_is_to_be_had() {
        assert!(the_one(vec![named("m1", "smith", "1950-01-02")], &["m1".to_owned()], None).is_some());
    }

    #[test]
    fn of_a_family_the_member_number_finds_the_one() {
        let family = || {
            vec![
                named("m1", "smith", "1950-01-02"),
                named("m2", "smith", "1980-01-02"),
            ]
        };
        assert_eq!(
            the_one(family(), &["m2".to_owned()], None).unwrap().member_id,
            "m2"
        );
        assert!(
            the_one(family(), &[], None).is_none(),
            "a subscriber's number alone fits two"
        );
        let child = patient("Smith", "1980-01-02");
        assert_eq!(the_one(family(), &[], Some(&child)).unwrap().member_id, "m2");
    }

    #[test]
    fn an_old_name_is_no_key() {
        let patient = json!({ "birthDate": "1987-02-20",
            "name": [{ "use": "old", "family": "Shaw" }, { "family": "Baxter" }] });
        assert_eq!(
            name_and_birth(&patient),
            Some(("baxter".into(), day("1987-02-20")))
        );
    }

    #[test]
    fn the_service_day_is_the_first_day_asked_for() {
        let of = |order: Value| service_day(&order, Tz::UTC);
        assert_eq!(
            of(json!({ "occurrenceDateTime": "2026-10-05" })),
            Some(day("2026-10-05"))
        );
        assert_eq!(
            of(json!({ "occurrencePeriod": { "start": "2026-10-06" } })),
            Some(day("2026-10-06"))
        );
        assert_eq!(
            of(json!({ "occurrenceTiming": { "event": ["2026-10-07"] } })),
            Some(day("2026-10-07"))
        );
        let bounds =
            json!({ "occurrenceTiming": { "repeat": { "boundsPeriod": { "start": "2026-10-08" } } } });
        assert_eq!(of(bounds), Some(day("2026-10-08")));
        assert_eq!(
            of(json!({ "authoredOn": "2019-02-15" })),
            None,
            "a draft may be old"
        );
    }

    #[test]
    fn our_file_decides_whether_a_coverage_is_in_force() {
        let ours = [Coverage {
            ends: Some(day("2026-12-31")),
            ..samples::coverage()
        }];
        let sent =
            json!({ "resourceType": "Coverage", "id": "c1", "status": "cancelled", "subscriberId": "sub-1" });
        assert!(matches!(
            settle(&ours, &[&sent], day("2026-10-05")),
            Some(Standing::InForce { .. })
        ));
        assert!(matches!(
            settle(&ours, &[&sent], day("2027-01-01")),
            Some(Standing::NotActive { ours: Some(_), .. })
        ));
    }

    #[test]
    fn an_unknown_coverage_is_not_found_or_not_active() {
        let ours = [samples::coverage()];
        let mut sent =
            json!({ "resourceType": "Coverage", "id": "c1", "status": "active", "subscriberId": "other" });
        assert_eq!(
            settle(&ours, &[&sent], day("2026-10-05")),
            Some(Standing::NotFound { sent: &sent })
        );
        sent["period"] = json!({ "end": "2025-12-31" });
        assert_eq!(
            settle(&ours, &[&sent], day("2026-10-05")),
            Some(Standing::NotActive {
                ours: None,
                sent: &sent
            })
        );
    }

    #[test]
    fn of_several_the_first_in_order_or_the_one_in_force_counts() {
        let ours = [samples::coverage()];
        let known = json!({ "id": "c1", "status": "active", "subscriberId": "sub-1" });
        let unknown = json!({ "id": "c2", "status": "active", "subscriberId": "other" });
        let at = day("2026-10-05");
        assert!(matches!(
            settle(&ours, &[&unknown, &known], at),
            Some(Standing::InForce { .. })
        ));
        assert_eq!(
            settle(&ours, &[&unknown, &unknown], at),
            Some(Standing::NotFound { sent: &unknown })
        );
        let first = json!({ "id": "c2", "order": 1, "status": "active", "subscriberId": "other" });
        assert_eq!(
            settle(&ours, &[&known, &first], at),
            Some(Standing::NotFound { sent: &first })
        );
        assert_eq!(settle(&ours, &[], at), None);
    }
}
