//! Step one of "whose is it": is the Coverage of a call one of this plan's? The payor's identifier stands in the
//! reference itself, in a contained or a sent Organization, or in one read from the EHR (CRD section "Coverage and
//! member resolution", step 1).

use super::prefetch::{Known, Material};
use crate::error::{Error, Kind, Result};
use crate::fhir::outcome::{Code, Issue};
use crate::fhir::reference::literal;
use crate::fhir::{identifiers, list, text};
use serde_json::Value;

/// What the payor of one coverage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payor {
    /// It is this plan.
    Ours,
    /// It is another one.
    Foreign,
    /// There is no identifier to be had.
    Unnamed,
    /// The organization could not be read.
    Unreadable,
}

/// The coverages that the determination goes on with.
#[derive(Debug, PartialEq)]
pub(super) enum Ours<'a> {
    /// These name this plan.
    Named(Vec<&'a Value>),
    /// These name nobody; they count if the member turns out to be ours.
    Perhaps(Vec<&'a Value>),
    /// The payer's organization of this one could not be read.
    Unreadable(&'a Value),
}

/// Keeps the coverages that are ours. `identifiers` are the plan's own; `strict` refuses a coverage without a payor
/// identifier.
pub(super) fn choose<'a>(material: &Material<'a>, own: &[String], strict: bool) -> Result<Ours<'a>> {
    let usable = material
        .coverages
        .iter()
        .copied()
        .filter(|c| text(c, &["id"]).is_some());
    let judged: Vec<(Payor, &Value)> = usable.map(|c| (payor(c, material, own), c)).collect();
    let of = |wanted: Payor| -> Vec<&'a Value> {
        judged
            .iter()
            .filter(|(payor, _)| *payor == wanted)
            .map(|(_, coverage)| *coverage)
            .collect()
    };
    let named = of(Payor::Ours);
    if !named.is_empty() {
        return Ok(Ours::Named(named));
    }
    if let Some(first) = of(Payor::Unreadable).first() {
        return Ok(Ours::Unreadable(first));
    }
    let unnamed = of(Payor::Unnamed);
    match (unnamed.is_empty(), judged.is_empty()) {
        (false, _) if !strict => Ok(Ours::Perhaps(unnamed)),
        (false, _) => Err(refused(
            "Coverage.payor",
            "The Coverage carries no identifier of its payer",
        )),
        (true, false) => Err(not_ours()),
        (true, true) if material.coverage_failed => Err(Error::new(
            Kind::Precondition,
            "The Coverage was not sent and could not be read from the chart server",
        )),
        (true, true) => Err(refused(
            "prefetch.coverage",
            "No Coverage was sent and none can be read",
        )),
    }
}

/// The payer of the call is another one than this plan.
pub(super) fn not_ours() -> Error {
    refused(
        "Coverage.payor",
        "This endpoint does not serve the payer of the Coverage",
    )
}

fn refused(at: &str, message: &str) -> Error {
    Error::found(vec![Issue::error(Code::BusinessRule, at, message)])
}

fn payor(coverage: &Value, material: &Material<'_>, own: &[String]) -> Payor {
    let is_own = |value: &str| own.iter().any(|o| o == value.trim());
    let mut told = Payor::Unnamed;
    for payor in list(coverage, "payor") {
        let inline = text(payor, &["identifier", "value"]);
        let organization = match literal(payor) {
            Some(reference) => material.organization(coverage, reference),
            None => Known::NotThere,
        };
        let named: Vec<&str> = inline
            .into_iter()
            .chain(
                organization
                    .found()
                    .into_iter()
                    .flat_map(identifiers)
                    .map(|(_, v)| v),
            )
            .collect();
        if named.iter().any(|value| is_own(value)) {
            return Payor::Ours;
        }
        told = match (organization, named.is_empty(), told) {
            (Known::Failed, _, _) | (_, _, Payor::Unreadable) => Payor::Unreadable,
            (_, false, _) | (_, _, Payor::Foreign) => Payor::Foreign,
            _ => Payor::Unnamed,
        };
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::prefetch::{Reads, Sent};
    use serde_json::json;

    fn judge(coverages: Value, organizations: Value, strict: bool) -> std::result::Result<String, Kind> {
        let entries: Vec<Value> = coverages
            .as_array()
            .unwrap()
            .iter()
            .chain(organizations.as_array().unwrap())
            .map(|r| json!({ "resource": r }))
            .collect();
        let body = json!({ "prefetch": { "all": { "resourceType": "Bundle", "entry": entries } } });
        let reads = Reads::of_organization("Organization/down", crate::net::Fetched::Failed("502".into()));
        let material = Material::of(&Sent::of(&body), &reads, "p1");
        let own = ["1234567893".to_owned()];
        let ids = |all: &[&Value]| {
            all.iter()
                .map(|c| c["id"].as_str().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        match choose(&material, &own, strict) {
            Ok(Ours::Named(all)) => Ok(format!("named {}", ids(&all))),
            Ok(Ours::Perhaps(all)) => Ok(format!("perhaps {}", ids(&all))),
            Ok(Ours::Unreadable(one)) => Ok(format!("unreadable {}", ids(&[one]))),
            Err(error) => Err(error.kind()),
        }
    }

    fn coverage(id: &str, payor: Value) -> Value {
        json!({ "resourceType": "Coverage", "id": id, "payor": [payor] })
    }

    #[test]
    fn our_identifier_is_found_wherever_it_stands() {
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
                judge(json!([coverage]), organizations, true),
                Ok("named c".into())
            );
        }
    }

    #[test]
    fn another_payer_is_refused() {
        let foreign = coverage("c", json!({ "identifier": { "value": "9999999999" } }));
        assert_eq!(judge(json!([foreign]), json!([]), true), Err(Kind::Invalid));
        let foreign = coverage("c", json!({ "identifier": { "value": "9999999999" } }));
        assert_eq!(judge(json!([foreign]), json!([]), false), Err(Kind::Invalid));
    }

    #[test]
    fn without_an_identifier_the_switch_decides() {
        let unnamed = || json!([coverage("c", json!({ "display": "Some plan" }))]);
        assert_eq!(judge(unnamed(), json!([]), true), Err(Kind::Invalid));
        assert_eq!(judge(unnamed(), json!([]), false), Ok("perhaps c".into()));
    }

    #[test]
    fn a_payer_that_cannot_be_read_is_no_refusal() {
        let down = || json!([coverage("c", json!({ "reference": "Organization/down" }))]);
        assert_eq!(judge(down(), json!([]), true), Ok("unreadable c".into()));
        assert_eq!(judge(down(), json!([]), false), Ok("unreadable c".into()));
    }

    #[test]
    fn of_several_coverages_ours_are_kept() {
        let several = json!([
            coverage("other", json!({ "identifier": { "value": "9" } })),
            coverage("ours", json!({ "identifier": { "value": "1234567893" } })),
            coverage("down", json!({ "reference": "Organization/down" })),
        ]);
        assert_eq!(judge(several, json!([]), true), Ok("named ours".into()));
    }

    #[test]
    fn no_coverage_at_all_is_refused() {
        assert_eq!(judge(json!([]), json!([]), false), Err(Kind::Invalid));
    }
}
