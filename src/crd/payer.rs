//! Member and coverage resolution, step 1 (CRD section "Coverage and member resolution"): which Coverages of the call are
//! the patient's, and is their payer this plan? The payer's identifier is in the reference itself, in a contained
//! Organization, in one that was sent, or in one read from the EHR.

use super::prefetch::{AvailableResources, ResourceLookup};
use crate::error::{Error, ErrorKind, Issue, IssueCode, Result};
use crate::evidence::{LocatedResource, SetAsideCode};
use crate::fhir::reference::{literal, type_and_id};
use crate::fhir::{identifiers, list, text};
use serde_json::Value;

/// Who the payer of one Coverage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PayerIdentity {
    ThisPlan,
    OtherPayer,
    /// The payer has no identifier.
    NoIdentifier,
    /// The payer's organization could not be read.
    Unreadable,
}

/// A Coverage of the patient on the client's server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentCoverage<'a> {
    /// The resource.
    pub resource: &'a Value,
    /// How the answer references it: `Coverage/c1`.
    pub reference: String,
}

/// A Coverage that may be one of this plan but could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnclearCoverage {
    /// `Coverage/c1`.
    pub reference: String,
    /// The reason for the answer.
    pub reason: &'static str,
}

/// The Coverages that may be coverages of this plan.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PlanCoverages<'a> {
    /// In the order in which they were sent. If there is none, there is an unclear one.
    pub coverages: Vec<SentCoverage<'a>>,
    /// Whether the payer of at least one is this plan. If not, they count if the patient is a member of this plan.
    pub confirmed: bool,
    /// The first one that is unclear.
    pub unclear: Option<UnclearCoverage>,
}

/// Whether a Coverage that was sent counts, before its payer is known.
pub(super) fn usable_reference(
    located: &LocatedResource<'_>,
    set_aside: Option<SetAsideCode>,
) -> Option<String> {
    if is_of_another_patient(set_aside) {
        return None;
    }
    client_reference(located)
}

/// Whether the beneficiary is not certainly the patient. The status in the EHR's copy does not matter, because the
/// plan's own records decide whether a coverage is in force.
fn is_of_another_patient(set_aside: Option<SetAsideCode>) -> bool {
    matches!(
        set_aside,
        Some(SetAsideCode::AnotherSubject | SetAsideCode::UncertainSubject)
    )
}

/// `Coverage/id`, from the resource or from the full URL of its entry.
fn client_reference(located: &LocatedResource<'_>) -> Option<String> {
    let of_url = || {
        type_and_id(located.full_url)
            .filter(|(kind, _)| *kind == "Coverage")
            .map(|(_, id)| id)
    };
    let id = text(located.resource, &["id"]).or_else(of_url)?;
    Some(format!("Coverage/{id}"))
}

/// Selects the coverages of this plan. `own` are the plan's identifiers; `strict` refuses a coverage whose payer has no
/// identifier; `set_aside` says why a resource may not decide. A call without any coverage of this plan is an error with
/// an issue for each coverage that was sent.
pub(super) fn coverages_of_this_plan<'a>(
    available: &AvailableResources<'a>,
    set_aside: &dyn Fn(&LocatedResource<'_>) -> Option<SetAsideCode>,
    own: &[String],
    strict: bool,
) -> Result<PlanCoverages<'a>> {
    let mut found = PlanCoverages::default();
    let mut issues: Vec<Issue> = Vec::new();
    for located in available.resources.of_type("Coverage") {
        let identity = payer_identity(located.resource, available, own);
        match classify(located, set_aside(located), identity, strict) {
            Classified::Counts(coverage) => {
                found.confirmed |= identity == PayerIdentity::ThisPlan;
                found.coverages.push(coverage);
            }
            Classified::Unclear(unclear) => found.unclear = found.unclear.or(Some(unclear)),
            Classified::Refused(issue) if !issues.contains(&issue) => issues.push(issue),
            Classified::Refused(_) => {}
        }
    }
    found.unclear = found.unclear.or_else(|| {
        Some(UnclearCoverage {
            reference: available.unread_coverage()?,
            reason: "A Coverage that an order names could not be read from the EHR",
        })
    });
    if !found.coverages.is_empty() || found.unclear.is_some() {
        return Ok(found);
    }
    Err(no_coverage(available, issues))
}

/// The error for a call without any coverage of this plan. A Coverage that was neither sent nor readable is 412; one
/// that was sent and cannot be used is 400 (hook-13).
fn no_coverage(available: &AvailableResources<'_>, issues: Vec<Issue>) -> Error {
    let message = match (available.coverage_search_failed, issues.is_empty()) {
        (false, false) => return Error::with_issues(issues),
        (true, false) => "The Coverage that was sent cannot be used, and no other could be read from the EHR",
        (true, true) => "The Coverage was not sent and could not be read from the EHR",
        (false, true) => "No Coverage was sent and none could be read",
    };
    Error::new(ErrorKind::PreconditionFailed, message).at_element("prefetch.coverage")
}

/// What a Coverage is for this call.
enum Classified<'a> {
    Counts(SentCoverage<'a>),
    Unclear(UnclearCoverage),
    Refused(Issue),
}

fn classify<'a>(
    located: &LocatedResource<'a>,
    set_aside: Option<SetAsideCode>,
    identity: PayerIdentity,
    strict: bool,
) -> Classified<'a> {
    if identity == PayerIdentity::OtherPayer {
        return Classified::Refused(other_payer_issue());
    }
    if is_of_another_patient(set_aside) {
        let message = "Coverage.beneficiary must be the patient of the call";
        let place = format!("{}.beneficiary", located.path);
        return Classified::Refused(Issue::error(IssueCode::BusinessRule, place, message));
    }
    let Some(reference) = client_reference(located) else {
        let message = "The Coverage has no id, so the answer cannot reference it";
        let place = format!("{}.id", located.path);
        return Classified::Refused(Issue::error(IssueCode::Required, place, message));
    };
    if set_aside == Some(SetAsideCode::Modifier) {
        let reason = "The Coverage has an element that changes its meaning in a way that this plan does not understand";
        return Classified::Unclear(UnclearCoverage { reference, reason });
    }
    match identity {
        PayerIdentity::Unreadable => Classified::Unclear(UnclearCoverage {
            reference,
            reason: "The payer of the coverage could not be read",
        }),
        PayerIdentity::NoIdentifier if strict => {
            let message = "The Coverage has no identifier for its payer";
            Classified::Refused(Issue::error(IssueCode::BusinessRule, "Coverage.payor", message))
        }
        _ => Classified::Counts(SentCoverage {
            resource: located.resource,
            reference,
        }),
    }
}

/// The error for a call whose payer is not this plan.
pub(super) fn other_payer() -> Error {
    Error::with_issues(vec![other_payer_issue()])
}

fn other_payer_issue() -> Issue {
    Issue::error(
        IssueCode::BusinessRule,
        "Coverage.payor",
        "This endpoint does not serve the payer of the Coverage",
    )
}

fn payer_identity<'a>(
    coverage: &'a Value,
    available: &AvailableResources<'a>,
    own: &[String],
) -> PayerIdentity {
    let is_own = |value: &str| own.iter().any(|o| o == value.trim());
    let mut identity = PayerIdentity::NoIdentifier;
    for payor in list(coverage, "payor") {
        let inline = text(payor, &["identifier", "value"]);
        let organization = match literal(payor) {
            Some(reference) => available.look_up(reference, coverage),
            None => ResourceLookup::NotFound,
        };
        let values: Vec<&str> = inline
            .into_iter()
            .chain(
                organization
                    .found()
                    .into_iter()
                    .flat_map(identifiers)
                    .map(|(_, value)| value),
            )
            .collect();
        if values.iter().any(|value| is_own(value)) {
            return PayerIdentity::ThisPlan;
        }
        identity = match (organization, values.is_empty(), identity) {
            (ResourceLookup::Failed, _, _) | (_, _, PayerIdentity::Unreadable) => PayerIdentity::Unreadable,
            (_, false, _) | (_, _, PayerIdentity::OtherPayer) => PayerIdentity::OtherPayer,
            _ => PayerIdentity::NoIdentifier,
        };
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::prefetch::FetchedResources;
    use crate::net::FetchResult;
    use serde_json::json;

    /// The places of the errors, with 412 for a missing coverage.
    type Refusal = (ErrorKind, Vec<String>);

    fn select_of(
        coverages: Value,
        organizations: Value,
        strict: bool,
        fetched: FetchedResources,
    ) -> Result<String, Refusal> {
        let entries: Vec<Value> = coverages
            .as_array()
            .unwrap()
            .iter()
            .chain(organizations.as_array().unwrap())
            .map(|r| json!({ "resource": r }))
            .collect();
        let body = json!({ "prefetch": { "all": { "resourceType": "Bundle", "entry": entries } } });
        let available = AvailableResources::new(&body, &fetched, "p1");
        // In place of an admission: the test data say why they do not count.
        let set_aside = |located: &LocatedResource<'_>| match text(located.resource, &["setAside"]) {
            Some("subject") => Some(SetAsideCode::AnotherSubject),
            Some("modifier") => Some(SetAsideCode::Modifier),
            Some("status") => Some(SetAsideCode::Status),
            _ => None,
        };
        let own = ["1234567893".to_owned()];
        match coverages_of_this_plan(&available, &set_aside, &own, strict) {
            Ok(found) => {
                let ids: Vec<&str> = found.coverages.iter().map(|c| c.reference.as_str()).collect();
                let unclear = found
                    .unclear
                    .map_or(String::new(), |u| format!(" unclear {}", u.reference));
                let confirmed = if found.confirmed { "confirmed " } else { "" };
                Ok(format!("{confirmed}{}{unclear}", ids.join(" ")))
            }
            Err(error) => {
                let places = error.issues().iter().map(|i| i.expression.clone()).collect();
                Err((error.kind(), places))
            }
        }
    }

    fn select(coverages: Value, organizations: Value, strict: bool) -> Result<String, Refusal> {
        let down = FetchedResources::one_organization("Organization/down", FetchResult::Failed("502".into()));
        select_of(coverages, organizations, strict, down)
    }

    fn refused(places: &[&str]) -> Result<String, Refusal> {
        Err((
            ErrorKind::Invalid,
            places.iter().map(|p| (*p).to_owned()).collect(),
        ))
    }

    fn coverage(id: &str, payor: Value) -> Value {
        json!({ "resourceType": "Coverage", "id": id, "payor": [payor] })
    }

    #[test]
    fn the_plans_identifier_is_found_in_every_place() {
        let organization = json!({ "resourceType": "Organization", "id": "o",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893" }] });
        let inside = json!({ "resourceType": "Coverage", "id": "c", "contained": [{ "resourceType": "Organization",
            "id": "in", "identifier": [{ "value": "1234567893" }] }], "payor": [{ "reference": "#in" }] });
        let inline = coverage("c", json!({ "identifier": { "value": "1234567893" } }));
        let sent = coverage(
            "c",
            json!({ "reference": "https://ehr.example.org/fhir/Organization/o" }),
        );
        for (coverage, organizations) in [
            (inside, json!([])),
            (inline, json!([])),
            (sent, json!([organization])),
        ] {
            assert_eq!(
                select(json!([coverage]), organizations, true),
                Ok("confirmed Coverage/c".into())
            );
        }
    }

    fn ours(id: &str) -> Value {
        coverage(id, json!({ "identifier": { "value": "1234567893" } }))
    }

    fn with(mut coverage: Value, name: &str, value: Value) -> Value {
        coverage[name] = value;
        coverage
    }

    #[test]
    fn another_payer_is_refused() {
        let foreign = || json!([coverage("c", json!({ "identifier": { "value": "9999999999" } }))]);
        for strict in [true, false] {
            assert_eq!(select(foreign(), json!([]), strict), refused(&["Coverage.payor"]));
        }
    }

    #[test]
    fn without_an_identifier_the_strict_setting_decides() {
        let no_identifier = || json!([coverage("c", json!({ "display": "Some plan" }))]);
        assert_eq!(
            select(no_identifier(), json!([]), true),
            refused(&["Coverage.payor"])
        );
        assert_eq!(select(no_identifier(), json!([]), false), Ok("Coverage/c".into()));
    }

    #[test]
    fn a_payer_that_cannot_be_read_is_not_refused() {
        let down = || json!([coverage("c", json!({ "reference": "Organization/down" }))]);
        for strict in [true, false] {
            assert_eq!(
                select(down(), json!([]), strict),
                Ok(" unclear Coverage/c".into())
            );
        }
    }

    #[test]
    fn of_several_coverages_those_of_this_plan_are_selected() {
        let several = json!([
            coverage("other", json!({ "identifier": { "value": "9" } })),
            ours("ours"),
            coverage("down", json!({ "reference": "Organization/down" })),
            coverage("none", json!({ "display": "Some plan" })),
        ]);
        let selected = |strict| select(several.clone(), json!([]), strict);
        assert_eq!(
            selected(true),
            Ok("confirmed Coverage/ours unclear Coverage/down".into())
        );
        assert_eq!(
            selected(false),
            Ok("confirmed Coverage/ours Coverage/none unclear Coverage/down".into())
        );
    }

    #[test]
    fn a_coverage_is_answered_as_what_it_is() {
        let without_id = with(ours("x"), "id", Value::Null);
        let other_without_id = with(
            coverage("x", json!({ "identifier": { "value": "9" } })),
            "id",
            Value::Null,
        );
        let of_another = with(ours("c"), "setAside", json!("subject"));
        let modified = with(ours("c"), "setAside", json!("modifier"));
        let ended = with(ours("c"), "setAside", json!("status"));
        let place = |name: &str| format!("prefetch.all.entry[0].resource.{name}");
        for (coverages, expected) in [
            (json!([without_id]), refused(&[&place("id")])),
            (json!([other_without_id]), refused(&["Coverage.payor"])),
            (json!([of_another]), refused(&[&place("beneficiary")])),
            (json!([modified]), Ok(" unclear Coverage/c".into())),
            (json!([ended]), Ok("confirmed Coverage/c".into())),
            (
                json!([without_id, ours("c2")]),
                Ok("confirmed Coverage/c2".into()),
            ),
            (
                json!([of_another, ours("c2")]),
                Ok("confirmed Coverage/c2".into()),
            ),
        ] {
            assert_eq!(
                select(coverages.clone(), json!([]), true),
                expected,
                "{coverages}"
            );
        }
    }

    #[test]
    fn the_full_url_of_an_entry_has_the_id_too() {
        let entry = json!({ "fullUrl": "https://ehr.example/fhir/Coverage/c7", "resource": with(ours("x"), "id", Value::Null) });
        let body = json!({ "prefetch": { "all": { "resourceType": "Bundle", "entry": [entry] } } });
        let fetched = FetchedResources::default();
        let available = AvailableResources::new(&body, &fetched, "p1");
        let located = available.resources.of_type("Coverage").next().unwrap();
        assert_eq!(client_reference(located).as_deref(), Some("Coverage/c7"));
    }

    #[test]
    fn no_coverage_at_all_is_a_missing_precondition() {
        let missing = Err((
            ErrorKind::PreconditionFailed,
            vec!["prefetch.coverage".to_owned()],
        ));
        assert_eq!(select(json!([]), json!([]), false), missing);
    }
}
