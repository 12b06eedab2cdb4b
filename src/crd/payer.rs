//! Member and coverage resolution, step 1 (CRD section "Coverage and member resolution"): is the payer of a Coverage
//! this plan? The payer's identifier is in the reference itself, in a contained Organization, in one that was sent, or
//! in one read from the EHR.

use super::prefetch::{AvailableResources, ResourceLookup};
use crate::error::{Error, ErrorKind, Issue, IssueCode, Result};
use crate::fhir::reference::literal;
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

/// The sent coverages that may be coverages of this plan.
#[derive(Debug, PartialEq)]
pub(super) enum PlanCoverages<'a> {
    /// The payer of these is this plan.
    Confirmed(Vec<&'a Value>),
    /// The payer of these has no identifier. They count if the patient is a member of this plan.
    Unconfirmed(Vec<&'a Value>),
    /// The payer's organization of this one could not be read.
    PayerUnreadable(&'a Value),
}

/// Selects the coverages of this plan. `own` are the plan's identifiers; `strict` refuses a coverage whose payer has no
/// identifier. A call without any coverage of this plan is an error.
pub(super) fn coverages_of_this_plan<'a>(
    available: &AvailableResources<'a>,
    own: &[String],
    strict: bool,
) -> Result<PlanCoverages<'a>> {
    let with_id = available
        .coverages
        .iter()
        .copied()
        .filter(|c| text(c, &["id"]).is_some());
    let identified: Vec<(PayerIdentity, &Value)> =
        with_id.map(|c| (payer_identity(c, available, own), c)).collect();
    let coverages_with = |wanted: PayerIdentity| -> Vec<&'a Value> {
        identified
            .iter()
            .filter(|(identity, _)| *identity == wanted)
            .map(|(_, coverage)| *coverage)
            .collect()
    };
    let confirmed = coverages_with(PayerIdentity::ThisPlan);
    if !confirmed.is_empty() {
        return Ok(PlanCoverages::Confirmed(confirmed));
    }
    if let Some(first) = coverages_with(PayerIdentity::Unreadable).first() {
        return Ok(PlanCoverages::PayerUnreadable(first));
    }
    let unconfirmed = coverages_with(PayerIdentity::NoIdentifier);
    match (unconfirmed.is_empty(), identified.is_empty()) {
        (false, _) if !strict => Ok(PlanCoverages::Unconfirmed(unconfirmed)),
        (false, _) => Err(refused(
            "Coverage.payor",
            "The Coverage has no identifier for its payer",
        )),
        (true, false) => Err(other_payer()),
        (true, true) if available.coverage_failed => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "The Coverage was not sent and could not be read from the EHR",
        )),
        (true, true) => Err(refused(
            "prefetch.coverage",
            "No Coverage was sent and none could be read",
        )),
    }
}

/// The error for a call whose payer is not this plan.
pub(super) fn other_payer() -> Error {
    refused(
        "Coverage.payor",
        "This endpoint does not serve the payer of the Coverage",
    )
}

fn refused(expression: &str, message: &str) -> Error {
    Error::with_issues(vec![Issue::error(IssueCode::BusinessRule, expression, message)])
}

fn payer_identity(coverage: &Value, available: &AvailableResources<'_>, own: &[String]) -> PayerIdentity {
    let is_own = |value: &str| own.iter().any(|o| o == value.trim());
    let mut identity = PayerIdentity::NoIdentifier;
    for payor in list(coverage, "payor") {
        let inline = text(payor, &["identifier", "value"]);
        let organization = match literal(payor) {
            Some(reference) => available.organization(coverage, reference),
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
    use crate::crd::prefetch::{FetchedResources, SentResources};
    use serde_json::json;

    fn select(
        coverages: Value,
        organizations: Value,
        strict: bool,
    ) -> std::result::Result<String, ErrorKind> {
        let entries: Vec<Value> = coverages
            .as_array()
            .unwrap()
            .iter()
            .chain(organizations.as_array().unwrap())
            .map(|r| json!({ "resource": r }))
            .collect();
        let body = json!({ "prefetch": { "all": { "resourceType": "Bundle", "entry": entries } } });
        let fetched = FetchedResources::one_organization(
            "Organization/down",
            crate::net::FetchResult::Failed("502".into()),
        );
        let available = AvailableResources::new(&SentResources::collect(&body), &fetched, "p1");
        let own = ["1234567893".to_owned()];
        let ids = |all: &[&Value]| {
            all.iter()
                .map(|c| c["id"].as_str().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        match coverages_of_this_plan(&available, &own, strict) {
            Ok(PlanCoverages::Confirmed(all)) => Ok(format!("confirmed {}", ids(&all))),
            Ok(PlanCoverages::Unconfirmed(all)) => Ok(format!("unconfirmed {}", ids(&all))),
            Ok(PlanCoverages::PayerUnreadable(one)) => Ok(format!("unreadable {}", ids(&[one]))),
            Err(error) => Err(error.kind()),
        }
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
                Ok("confirmed c".into())
            );
        }
    }

    #[test]
    fn another_payer_is_refused() {
        let foreign = coverage("c", json!({ "identifier": { "value": "9999999999" } }));
        assert_eq!(select(json!([foreign]), json!([]), true), Err(ErrorKind::Invalid));
        let foreign = coverage("c", json!({ "identifier": { "value": "9999999999" } }));
        assert_eq!(
            select(json!([foreign]), json!([]), false),
            Err(ErrorKind::Invalid)
        );
    }

    #[test]
    fn without_an_identifier_the_strict_setting_decides() {
        let no_identifier = || json!([coverage("c", json!({ "display": "Some plan" }))]);
        assert_eq!(select(no_identifier(), json!([]), true), Err(ErrorKind::Invalid));
        assert_eq!(
            select(no_identifier(), json!([]), false),
            Ok("unconfirmed c".into())
        );
    }

    #[test]
    fn a_payer_that_cannot_be_read_is_not_refused() {
        let down = || json!([coverage("c", json!({ "reference": "Organization/down" }))]);
        assert_eq!(select(down(), json!([]), true), Ok("unreadable c".into()));
        assert_eq!(select(down(), json!([]), false), Ok("unreadable c".into()));
    }

    #[test]
    fn of_several_coverages_those_of_this_plan_are_selected() {
        let several = json!([
            coverage("other", json!({ "identifier": { "value": "9" } })),
            coverage("ours", json!({ "identifier": { "value": "1234567893" } })),
            coverage("down", json!({ "reference": "Organization/down" })),
        ]);
        assert_eq!(select(several, json!([]), true), Ok("confirmed ours".into()));
    }

    #[test]
    fn no_coverage_at_all_is_refused() {
        assert_eq!(select(json!([]), json!([]), false), Err(ErrorKind::Invalid));
    }
}
