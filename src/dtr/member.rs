//! The plan's records for a request: the member and the coverage that the Coverage of the request refers to, and the
//! assertion if the request has a `context` (DTR spec-130). Period and status of the coverage come from the plan's own
//! records. An assertion that was given to another client or for another member is reported as if it did not exist.

use super::orders::{StoredAssertion, requester_npis};
use super::request::Request;
use crate::auth::Client;
use crate::error::{Error, IssueCode, Result};
use crate::fhir::outcome::Checks;
use crate::fhir::reference::{self, ByTypeAndId};
use crate::fhir::{coding, resource_type, text};
use crate::plan::{self, Coverage, CoverageMatch, GoldCard, Member, MemberNumbers};
use crate::rules::MemberFacts;
use crate::state::{State, WorkSize};
use crate::store::Tx;
use crate::store::assertions::{Assertion, StoredEvidence};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// A member with the coverage that a request refers to.
#[derive(Debug, Clone)]
pub(super) struct CoveredMember {
    /// The member.
    pub member: Member,
    /// The coverage that the request refers to.
    pub coverage: Coverage,
    /// Whether the coverage is in force today.
    pub in_force: bool,
    /// The facts about the member that policies may use, as of today.
    pub facts: MemberFacts,
    /// The gold cards of the orders' requesters.
    pub gold_cards: Vec<GoldCard>,
}

/// The plan's records for one request.
#[derive(Debug)]
pub(super) struct PlanRecords {
    /// The member and the coverage.
    pub covered: CoveredMember,
    /// The assertion that `context` names.
    pub assertion: Option<StoredAssertion>,
    /// When policies were last published.
    pub last_publication: Option<DateTime<Utc>>,
}

/// A member with every coverage.
type MemberWithCoverages = (Member, Vec<Coverage>);

/// The rows that may concern a request.
#[derive(Debug)]
struct CandidateRows {
    /// Members with the numbers of the request.
    candidates: Vec<MemberWithCoverages>,
    assertion: Option<Assertion>,
    /// The evidence of the assertion's call.
    evidence: Option<StoredEvidence>,
    /// The member of the assertion.
    member_of_assertion: Option<MemberWithCoverages>,
    last_publication: Option<DateTime<Utc>>,
}

/// What to look up in the store.
struct Query {
    numbers: MemberNumbers,
    context: Option<String>,
    client: Uuid,
}

/// Looks up the records for a request. The error holds an issue for each part that cannot be found.
pub(super) async fn look_up(
    state: &State,
    client: &Client,
    request: &Request<'_>,
    now: DateTime<Utc>,
) -> Result<PlanRecords> {
    let query = Query {
        numbers: plan::member_numbers(patient(request), Some(request.coverage.value)),
        context: request.context.as_ref().map(|c| c.value.to_owned()),
        client: client.id,
    };
    let mut rows = state
        .store
        .read(query, |tx, query| Box::pin(read(tx, query)))
        .await?;
    let mut covered = resolve(request, &rows, now)?;
    let assertion = match rows.assertion.take().zip(rows.evidence.take()) {
        Some((assertion, evidence)) => {
            let size = WorkSize::new(evidence.request.len() + evidence.fetched.len(), 0);
            let read = || StoredAssertion::read(&assertion, &evidence);
            Some(state.compute(size, read).await?)
        }
        None => None,
    };
    covered.gold_cards = gold_cards(state, client, request, assertion.as_ref()).await?;
    Ok(PlanRecords {
        covered,
        assertion,
        last_publication: rows.last_publication,
    })
}

/// The gold cards of the requesters for whom the client acts.
async fn gold_cards(
    state: &State,
    client: &Client,
    request: &Request<'_>,
    assertion: Option<&StoredAssertion>,
) -> Result<Vec<GoldCard>> {
    let sent = ByTypeAndId::new(request.referenced_resources());
    let mut npis = requester_npis(request.orders.iter().map(|o| o.value), &sent);
    npis.extend(assertion.into_iter().flat_map(StoredAssertion::requester_npis));
    npis.sort_unstable();
    npis.dedup();
    let npis = client.acts_for(npis);
    if npis.is_empty() {
        return Ok(Vec::new());
    }
    state
        .store
        .read(npis, |tx, npis| {
            Box::pin(async move { tx.gold_cards_of(npis).await })
        })
        .await
}

async fn read(tx: &mut Tx, query: &Query) -> Result<CandidateRows> {
    let MemberNumbers {
        member_ids,
        subscriber_id,
    } = &query.numbers;
    let candidates = tx
        .members_and_coverages(member_ids, subscriber_id.as_deref())
        .await?;
    let assertion = match &query.context {
        Some(id) => tx.assertion_with_evidence(id, query.client).await?,
        None => None,
    };
    let (assertion, evidence) = assertion.unzip();
    let member = match assertion.as_ref().and_then(|a| a.member) {
        Some(id) => tx.member(id).await?,
        None => None,
    };
    let member_of_assertion = match member {
        Some(member) => {
            let coverages = tx.coverages_of(member.id).await?;
            Some((member, coverages))
        }
        None => None,
    };
    let last_publication = tx.last_publication_time().await?;
    Ok(CandidateRows {
        candidates,
        assertion,
        evidence,
        member_of_assertion,
        last_publication,
    })
}

/// The Patient of the coverage, if it is among the `referenced` resources.
fn patient<'a>(request: &Request<'a>) -> Option<&'a Value> {
    let type_and_id =
        text(request.coverage.value, &["beneficiary", "reference"]).and_then(reference::type_and_id)?;
    request.referenced_resources().into_iter().find(|r| {
        resource_type(r) == Some("Patient") && text(r, &["id"]).map(|id| ("Patient", id)) == Some(type_and_id)
    })
}

/// Selects the member and the coverage among the rows and checks that the assertion belongs to the member.
fn resolve(request: &Request<'_>, rows: &CandidateRows, now: DateTime<Utc>) -> Result<CoveredMember> {
    let covered = find_covered_member(request, rows, now);
    let mut checks = Checks::default();
    if covered.is_none() {
        let message = not_covered_reason(request, rows);
        checks.error(IssueCode::NotFound, request.coverage.path.clone(), message);
    }
    if let Some(context) = &request.context {
        let asserted_member = rows.assertion.as_ref().and_then(|a| a.member);
        let matches = match &covered {
            Some(covered) => asserted_member == Some(covered.member.id),
            None => asserted_member.is_some(),
        };
        let message = "The context is not a coverage-assertion-id that this client received for this member";
        checks.require(matches, IssueCode::NotFound, context.path.clone(), message);
    }
    checks.finish()?;
    covered.ok_or_else(|| Error::internal("the checks passed without a coverage"))
}

/// The only member to whom the request can refer, with the plan's coverage. If the request has no member numbers, it is
/// the member of the assertion, provided that the assertion was about the same Coverage.
fn find_covered_member(
    request: &Request<'_>,
    rows: &CandidateRows,
    now: DateTime<Utc>,
) -> Option<CoveredMember> {
    let sent = request.coverage.value;
    let (member, coverages) = match only_candidate(request, rows) {
        Some(candidate) => candidate,
        None if has_no_numbers(request) && is_of_assertion(sent, rows) => {
            rows.member_of_assertion.as_ref()?
        }
        None => return None,
    };
    let day = match coverages.first() {
        Some(first) => now.with_timezone(&first.zone).date_naive(),
        None => return None,
    };
    let coverage_of_assertion = || {
        let id = rows
            .assertion
            .as_ref()
            .filter(|_| is_of_assertion(sent, rows))?
            .coverage?;
        let coverage = coverages.iter().find(|c| c.id == id)?;
        Some((coverage, coverage.in_force(day)))
    };
    let (coverage, in_force) = match plan::choose_coverage(coverages, Some(sent), day) {
        CoverageMatch::InForce(coverage) => (coverage, true),
        CoverageMatch::NotInForce(coverage) => (coverage, false),
        CoverageMatch::NotFound => coverage_of_assertion()?,
    };
    Some(CoveredMember {
        member: member.clone(),
        coverage: coverage.clone(),
        in_force,
        facts: plan::member_facts(
            member,
            coverage,
            coverages,
            now.with_timezone(&coverage.zone).date_naive(),
        ),
        gold_cards: Vec::new(),
    })
}

/// Which datum of the request did not match, in one sentence.
fn not_covered_reason(request: &Request<'_>, rows: &CandidateRows) -> String {
    let message = "The Coverage does not match a coverage of this plan";
    if only_candidate(request, rows).is_some() {
        return message.to_owned();
    }
    let patient = patient(request);
    let numbers = plan::member_numbers(patient, Some(request.coverage.value));
    let candidates = rows.candidates.iter().map(|(member, _)| member);
    let reason = plan::no_member(candidates, &numbers, patient);
    format!("{message}. {}", reason.sentence())
}

fn has_no_numbers(request: &Request<'_>) -> bool {
    let numbers = plan::member_numbers(patient(request), Some(request.coverage.value));
    numbers.member_ids.is_empty() && numbers.subscriber_id.is_none()
}

/// Whether the assertion was about this Coverage of the client.
fn is_of_assertion(sent: &Value, rows: &CandidateRows) -> bool {
    let reference = text(sent, &["id"]).map(|id| format!("Coverage/{id}"));
    reference.is_some() && reference.as_deref() == rows.assertion.as_ref().map(|a| a.coverage_ref.as_str())
}

/// The only candidate who matches. Families share a subscriber id, so further criteria are applied one after the other,
/// except those that no candidate meets.
fn only_candidate<'r>(request: &Request<'_>, rows: &'r CandidateRows) -> Option<&'r MemberWithCoverages> {
    let sent = request.coverage.value;
    let patient = patient(request);
    let numbers = plan::member_numbers(patient, Some(sent));
    let asserted = rows.member_of_assertion.as_ref().map(|(member, _)| member.id);
    let matching = rows
        .candidates
        .iter()
        .filter(|(member, _)| patient.is_none_or(|p| plan::may_be_same_person(member, p)));
    let mut remaining: Vec<&MemberWithCoverages> = matching.collect();
    narrow(&mut remaining, |(member, _)| numbers.name(member));
    narrow(&mut remaining, |(member, _)| asserted == Some(member.id));
    let of_request = dependent(sent);
    narrow(&mut remaining, |(_, coverages)| {
        of_request.is_some() && coverages.iter().any(|c| dependent(&c.doc) == of_request)
    });
    narrow(&mut remaining, |(_, coverages)| {
        coverages.iter().any(|c| has_same_relationship(&c.doc, sent))
    });
    match remaining.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// Keeps the candidates that meet a criterion, unless none does.
fn narrow(remaining: &mut Vec<&MemberWithCoverages>, meets: impl Fn(&MemberWithCoverages) -> bool) {
    if remaining.iter().any(|candidate| meets(candidate)) {
        remaining.retain(|candidate| meets(candidate));
    }
}

/// `Coverage.dependent`.
fn dependent(coverage: &Value) -> Option<&str> {
    text(coverage, &["dependent"])
}

/// Whether two Coverages have a code of `Coverage.relationship` in common, in any code system.
fn has_same_relationship(one: &Value, other: &Value) -> bool {
    let codes = |coverage: &Value| -> Vec<String> {
        let concept = coverage.get("relationship").into_iter();
        concept
            .flat_map(coding::codings)
            .map(|c| c.code.to_owned())
            .collect()
    };
    let of_one = codes(one);
    codes(other).iter().any(|code| of_one.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples;
    use serde_json::json;

    fn assertion(member: Option<Uuid>, coverage: Option<Uuid>) -> Assertion {
        Assertion {
            member,
            coverage,
            ..samples::assertion(&samples::order()).0
        }
    }

    fn family() -> Vec<MemberWithCoverages> {
        [(1, "M100-1", "self"), (2, "M100-2", "child")]
            .into_iter()
            .map(|(row, number, relationship)| {
                let member = samples::member(row, number);
                let mut coverage = samples::plan_coverage(row + 10, &member);
                coverage.doc = json!({ "relationship": { "coding": [{ "code": relationship }] } });
                (member, vec![coverage])
            })
            .collect()
    }

    fn rows(candidates: Vec<MemberWithCoverages>, assertion: Option<Assertion>) -> CandidateRows {
        let asserted = assertion.as_ref().and_then(|a| a.member);
        let member_of_assertion = family()
            .into_iter()
            .find(|(member, _)| Some(member.id) == asserted);
        CandidateRows {
            candidates,
            assertion,
            evidence: None,
            member_of_assertion,
            last_publication: None,
        }
    }

    fn resolved(coverage: &Value, has_context: bool, rows: CandidateRows) -> Result<CoveredMember> {
        let mut parameters = vec![
            json!({ "name": "coverage", "resource": coverage }),
            json!({ "name": "order", "resource": samples::order() }),
        ];
        if has_context {
            parameters.push(json!({ "name": "context", "valueString": "A-1" }));
        }
        let body = samples::parameters(&Value::Array(parameters));
        let request = Request::read(&body).unwrap();
        resolve(&request, &rows, samples::now())
    }

    fn error_paths(result: Result<CoveredMember>) -> Vec<String> {
        result
            .unwrap_err()
            .issues()
            .iter()
            .map(|i| i.expression.clone())
            .collect()
    }

    #[test]
    fn an_unknown_coverage_is_reported_with_its_path() {
        assert_eq!(
            error_paths(resolved(&samples::coverage(), false, rows(vec![], None))),
            ["Parameters.parameter[0].resource"]
        );
    }

    #[test]
    fn an_unknown_context_and_that_of_another_member_get_the_same_error() {
        let one = || vec![family().remove(0)];
        let unknown = resolved(&samples::coverage(), true, rows(one(), None)).unwrap_err();
        let second = Some(Uuid::from_u128(2));
        let foreign = rows(one(), Some(assertion(second, None)));
        let foreign = resolved(&samples::coverage(), true, foreign).unwrap_err();
        assert_eq!(unknown.issues(), foreign.issues());
        assert_eq!(unknown.issues()[0].expression, "Parameters.parameter[2].value");
        let without_member = rows(one(), Some(assertion(None, None)));
        assert!(resolved(&samples::coverage(), true, without_member).is_err());
    }

    #[test]
    fn an_unknown_coverage_and_an_unknown_context_are_both_reported() {
        assert_eq!(
            error_paths(resolved(&samples::coverage(), true, rows(vec![], None))).len(),
            2
        );
    }

    #[test]
    fn in_a_family_the_relationship_or_the_context_identifies_the_member() {
        assert!(resolved(&samples::coverage(), false, rows(family(), None)).is_err());
        let mut child = samples::coverage();
        child["relationship"] = json!({ "coding": [{ "code": "child" }] });
        let records = resolved(&child, false, rows(family(), None)).unwrap();
        assert_eq!(records.member.member_id, "M100-2");
        let of_first = assertion(Some(Uuid::from_u128(1)), Some(Uuid::from_u128(11)));
        let records = resolved(&samples::coverage(), true, rows(family(), Some(of_first))).unwrap();
        assert_eq!(records.member.member_id, "M100-1");
    }

    #[test]
    fn a_coverage_without_numbers_is_found_by_the_assertion_about_it() {
        let mut bare = samples::coverage();
        bare.as_object_mut().unwrap().remove("subscriberId");
        let about_coverage = || assertion(Some(Uuid::from_u128(1)), Some(Uuid::from_u128(11)));
        let records = resolved(&bare, true, rows(vec![], Some(about_coverage()))).unwrap();
        assert_eq!(records.coverage.id, Uuid::from_u128(11));
        bare["id"] = json!("another");
        assert!(resolved(&bare, true, rows(vec![], Some(about_coverage()))).is_err());
    }

    #[test]
    fn a_coverage_that_has_ended_is_found_but_not_in_force() {
        let (member, mut coverages) = family().remove(0);
        coverages[0].ends = "2026-06-30".parse().ok();
        let records = resolved(&samples::coverage(), false, rows(vec![(member, coverages)], None)).unwrap();
        assert!(!records.in_force);
    }

    #[test]
    fn a_referenced_patient_must_match_the_member() {
        let body = samples::parameters(&json!([
            { "name": "coverage", "resource": samples::coverage() },
            { "name": "order", "resource": samples::order() },
            { "name": "referenced", "resource": { "resourceType": "Patient", "id": "p1",
                "name": [{ "family": "Stone" }], "birthDate": "1999-09-09" } },
        ]));
        let request = Request::read(&body).unwrap();
        assert!(resolve(&request, &rows(vec![family().remove(0)], None), samples::now()).is_err());
    }
}
