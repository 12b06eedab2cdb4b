//! Whom a call is about: the plan's member and coverage behind the Coverage that was sent, and the hook's assertion
//! where the call names one (DTR spec-130). The plan's own file is the truth. What was not given to this client for
//! this member is answered like what does not exist.

use super::orders::{Stored, requesters};
use super::request::Request;
use crate::auth::Client;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Checks, Code};
use crate::fhir::{coding, reference, resource_type, text};
use crate::plan::{self, Asked, Coverage, Found, GoldCard, Member};
use crate::rules::MemberFacts;
use crate::state::State;
use crate::store::Tx;
use crate::store::assertions::Assertion;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Whom the forms are for.
#[derive(Debug, Clone)]
pub(super) struct Insured {
    /// The member.
    pub member: Member,
    /// The member's coverage that is meant.
    pub coverage: Coverage,
    /// Whether it is in force today.
    pub in_force: bool,
    /// What rules may know of the member today.
    pub facts: MemberFacts,
    /// The gold cards of those who order.
    pub gold_cards: Vec<GoldCard>,
}

/// What the store knows about a call.
#[derive(Debug)]
pub(super) struct Known {
    /// Whom the forms are for.
    pub insured: Insured,
    /// The hook's assertion that the call goes back to.
    pub assertion: Option<Assertion>,
    /// When policies were last published.
    pub published: Option<DateTime<Utc>>,
}

/// A member with all coverages.
type Person = (Member, Vec<Coverage>);

/// Everything that one read brings.
#[derive(Debug)]
struct Records {
    candidates: Vec<Person>,
    assertion: Option<Assertion>,
    /// The member of the assertion.
    asserted: Option<Person>,
    gold_cards: Vec<GoldCard>,
    published: Option<DateTime<Utc>>,
}

struct Question {
    asked: Asked,
    context: Option<String>,
    client: Client,
    /// NPIs of those who order.
    requesters: Vec<String>,
}

/// Looks the call up. What cannot be found is told with its place, all of it at once.
pub(super) async fn look_up(
    state: &State,
    client: &Client,
    request: &Request<'_>,
    now: DateTime<Utc>,
) -> Result<Known> {
    let question = Question {
        asked: plan::member_numbers(patient(request), Some(request.coverage.what)),
        context: request.context.as_ref().map(|c| c.what.to_owned()),
        client: client.clone(),
        requesters: requesters(request.orders.iter().map(|o| o.what), &request.referenced),
    };
    let records = state
        .store
        .read(question, |tx, question| Box::pin(read(tx, question)))
        .await?;
    settle(request, records, now)
}

async fn read(tx: &mut Tx, question: &Question) -> Result<Records> {
    let Asked {
        member_ids,
        subscriber_id,
    } = &question.asked;
    let mut candidates = Vec::new();
    for member in tx
        .members_by_numbers(member_ids, subscriber_id.as_deref())
        .await?
    {
        let coverages = tx.coverages_of(member.id).await?;
        candidates.push((member, coverages));
    }
    let assertion = match &question.context {
        Some(id) => tx.assertion(id, question.client.id).await?,
        None => None,
    };
    let asserted = match assertion.as_ref().and_then(|a| a.member) {
        Some(id) => tx.member(id).await?,
        None => None,
    };
    let asserted = match asserted {
        Some(member) => {
            let coverages = tx.coverages_of(member.id).await?;
            Some((member, coverages))
        }
        None => None,
    };
    let mut npis = question.requesters.clone();
    if let Some(stored) = assertion.as_ref().and_then(|a| Stored::read(a).ok()) {
        npis.extend(stored.requesters());
    }
    let gold_cards = tx.gold_cards_of(&question.client.acts_for(npis)).await?;
    let published = tx.last_publication().await?;
    Ok(Records {
        candidates,
        assertion,
        asserted,
        gold_cards,
        published,
    })
}

/// The Patient of the coverage, where one came along.
fn patient<'a>(request: &Request<'a>) -> Option<&'a Value> {
    let wanted =
        text(request.coverage.what, &["beneficiary", "reference"]).and_then(reference::type_and_id)?;
    request.referenced.iter().copied().find(|r| {
        resource_type(r) == Some("Patient") && text(r, &["id"]).map(|id| ("Patient", id)) == Some(wanted)
    })
}

fn settle(request: &Request<'_>, records: Records, now: DateTime<Utc>) -> Result<Known> {
    let insured = insured(request, &records, now);
    let mut checks = Checks::default();
    checks.require(
        insured.is_some(),
        Code::NotFound,
        request.coverage.path.clone(),
        "This coverage leads to no coverage of this plan",
    );
    if let Some(context) = &request.context {
        let asserted = records.assertion.as_ref().and_then(|a| a.member);
        let fits = match &insured {
            Some(insured) => asserted == Some(insured.member.id),
            None => asserted.is_some(),
        };
        let message = "This context was not given to you for this member";
        checks.require(fits, Code::NotFound, context.path.clone(), message);
    }
    checks.finish()?;
    let insured = insured.ok_or_else(|| Error::internal("a coverage was found and lost"))?;
    Ok(Known {
        insured,
        assertion: records.assertion,
        published: records.published,
    })
}

/// The one member whom the coverage means, with the coverage of ours. Without any number it is what the client's
/// own assertion was about, if that was about the same Coverage.
fn insured(request: &Request<'_>, records: &Records, now: DateTime<Utc>) -> Option<Insured> {
    let sent = request.coverage.what;
    let (member, coverages) = match one_of(request, records) {
        Some(person) => person,
        None if says_nothing(request) && is_of_assertion(sent, records) => records.asserted.as_ref()?,
        None => return None,
    };
    let day = match coverages.first() {
        Some(first) => now.with_timezone(&first.zone).date_naive(),
        None => return None,
    };
    let of_assertion = || {
        let id = records
            .assertion
            .as_ref()
            .filter(|_| is_of_assertion(sent, records))?
            .coverage?;
        let coverage = coverages.iter().find(|c| c.id == id)?;
        Some((coverage, coverage.in_force(day)))
    };
    let (coverage, in_force) = match plan::choose_coverage(coverages, Some(sent), day) {
        Found::InForce(coverage) => (coverage, true),
        Found::NotInForce(coverage) => (coverage, false),
        Found::NotFound => of_assertion()?,
    };
    Some(Insured {
        member: member.clone(),
        coverage: coverage.clone(),
        in_force,
        facts: plan::facts(
            member,
            coverage,
            coverages,
            now.with_timezone(&coverage.zone).date_naive(),
        ),
        gold_cards: records.gold_cards.clone(),
    })
}

fn says_nothing(request: &Request<'_>) -> bool {
    let asked = plan::member_numbers(patient(request), Some(request.coverage.what));
    asked.member_ids.is_empty() && asked.subscriber_id.is_none()
}

fn is_of_assertion(sent: &Value, records: &Records) -> bool {
    let reference = text(sent, &["id"]).map(|id| format!("Coverage/{id}"));
    reference.is_some() && reference.as_deref() == records.assertion.as_ref().map(|a| a.coverage_ref.as_str())
}

/// The one candidate who is meant. A card's number is shared by a family; each further sign narrows, unless it
/// would leave nobody.
fn one_of<'r>(request: &Request<'_>, records: &'r Records) -> Option<&'r Person> {
    let sent = request.coverage.what;
    let patient = patient(request);
    let numbers = plan::member_numbers(patient, Some(sent)).member_ids;
    let asserted = records.asserted.as_ref().map(|(member, _)| member.id);
    let fitting = records
        .candidates
        .iter()
        .filter(|(member, _)| patient.is_none_or(|p| plan::agrees(member, p)));
    let mut left: Vec<&Person> = fitting.collect();
    narrow(&mut left, |(member, _)| numbers.contains(&member.member_id));
    narrow(&mut left, |(member, _)| asserted == Some(member.id));
    for sign in [dependent, relationship] {
        let theirs = sign(sent);
        narrow(&mut left, |(_, coverages)| {
            theirs.is_some() && coverages.iter().any(|c| sign(&c.doc) == theirs)
        });
    }
    match left.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

fn narrow(left: &mut Vec<&Person>, holds: impl Fn(&Person) -> bool) {
    if left.iter().any(|person| holds(person)) {
        left.retain(|person| holds(person));
    }
}

/// `Coverage.dependent`.
fn dependent(coverage: &Value) -> Option<&str> {
    text(coverage, &["dependent"])
}

/// `Coverage.relationship`, as its code.
fn relationship(coverage: &Value) -> Option<&str> {
    coding::codings(coverage.get("relationship")?)
        .next()
        .map(|c| c.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples;
    use serde_json::json;
    use uuid::Uuid;

    fn assertion(member: Option<Uuid>, coverage: Option<Uuid>) -> Assertion {
        Assertion {
            member,
            coverage,
            ..samples::assertion(&samples::order())
        }
    }

    fn family() -> Vec<Person> {
        [(1, "M100-1", "self"), (2, "M100-2", "child")]
            .into_iter()
            .map(|(row, number, relationship)| {
                let member = samples::member(row, number);
                let mut coverage = samples::covered(row + 10, &member);
                coverage.doc = json!({ "relationship": { "coding": [{ "code": relationship }] } });
                (member, vec![coverage])
            })
            .collect()
    }

    fn records(candidates: Vec<Person>, assertion: Option<Assertion>) -> Records {
        let asserted = assertion.as_ref().and_then(|a| a.member);
        let asserted = family()
            .into_iter()
            .find(|(member, _)| Some(member.id) == asserted);
        Records {
            candidates,
            assertion,
            asserted,
            gold_cards: Vec::new(),
            published: None,
        }
    }

    fn settled(coverage: &Value, context: bool, records: Records) -> Result<Known> {
        let mut parameters = vec![
            json!({ "name": "coverage", "resource": coverage }),
            json!({ "name": "order", "resource": samples::order() }),
        ];
        if context {
            parameters.push(json!({ "name": "context", "valueString": "A-1" }));
        }
        let body = samples::parameters(&Value::Array(parameters));
        let request = Request::read(&body).unwrap();
        settle(&request, records, samples::now())
    }

    fn places(result: Result<Known>) -> Vec<String> {
        result
            .unwrap_err()
            .issues()
            .iter()
            .map(|i| i.expression.clone())
            .collect()
    }

    #[test]
    fn an_unknown_coverage_is_told_at_its_place() {
        assert_eq!(
            places(settled(&samples::coverage(), false, records(vec![], None))),
            ["Parameters.parameter[0].resource"]
        );
    }

    #[test]
    fn an_unknown_context_and_another_members_look_the_same() {
        let one = || vec![family().remove(0)];
        let unknown = settled(&samples::coverage(), true, records(one(), None)).unwrap_err();
        let second = Some(Uuid::from_u128(2));
        let foreign = records(one(), Some(assertion(second, None)));
        let foreign = settled(&samples::coverage(), true, foreign).unwrap_err();
        assert_eq!(unknown.issues(), foreign.issues());
        assert_eq!(unknown.issues()[0].expression, "Parameters.parameter[2].value");
        let nobody = records(one(), Some(assertion(None, None)));
        assert!(settled(&samples::coverage(), true, nobody).is_err());
    }

    #[test]
    fn both_are_told_when_neither_is_found() {
        assert_eq!(
            places(settled(&samples::coverage(), true, records(vec![], None))).len(),
            2
        );
    }

    #[test]
    fn of_a_family_the_relationship_or_the_context_tells_who_is_meant() {
        assert!(settled(&samples::coverage(), false, records(family(), None)).is_err());
        let mut child = samples::coverage();
        child["relationship"] = json!({ "coding": [{ "code": "child" }] });
        let known = settled(&child, false, records(family(), None)).unwrap();
        assert_eq!(known.insured.member.member_id, "M100-2");
        let of_first = assertion(Some(Uuid::from_u128(1)), Some(Uuid::from_u128(11)));
        let known = settled(&samples::coverage(), true, records(family(), Some(of_first))).unwrap();
        assert_eq!(known.insured.member.member_id, "M100-1");
    }

    #[test]
    fn a_coverage_without_numbers_is_known_from_the_assertion_about_it() {
        let mut bare = samples::coverage();
        bare.as_object_mut().unwrap().remove("subscriberId");
        let about = || assertion(Some(Uuid::from_u128(1)), Some(Uuid::from_u128(11)));
        let known = settled(&bare, true, records(vec![], Some(about()))).unwrap();
        assert_eq!(known.insured.coverage.id, Uuid::from_u128(11));
        bare["id"] = json!("another");
        assert!(settled(&bare, true, records(vec![], Some(about()))).is_err());
    }

    #[test]
    fn a_coverage_that_has_ended_is_found_and_not_in_force() {
        let (member, mut coverages) = family().remove(0);
        coverages[0].ends = "2026-06-30".parse().ok();
        let known = settled(
            &samples::coverage(),
            false,
            records(vec![(member, coverages)], None),
        )
        .unwrap();
        assert!(!known.insured.in_force);
    }

    #[test]
    fn the_patient_who_came_along_must_agree() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "order", "resource": samples::order() },
            { "name": "referenced", "resource": { "resourceType": "Patient", "id": "p1",
                "name": [{ "family": "Stone" }], "birthDate": "1999-09-09" } },
        ]));
        let request = Request::read(&body).unwrap();
        assert!(settle(&request, records(vec![family().remove(0)], None), samples::now()).is_err());
    }
}
