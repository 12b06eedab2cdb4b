//! One line of an authorization as `ExplanationOfBenefit.item`: what was asked, in the request's own words, with what
//! was decided beside it (PDex 2.2.0, profile pdex-priorauthorization; extensions of PAS 2.2).

use super::adjudication;
use super::build::{copy, put_list, put_some};
use super::names::{self, pas_extension};
use super::request::Request;
use crate::fhir::{self, coding};
use crate::prior_auth::{Item, Outcome};
use crate::rules::DenialReason;
use serde_json::{Value, json};

/// Drugs stand outside the duty to show authorizations (42 CFR 422.119(b)(1)(v)); CMS-0062 would bring them in.
const DRUG_LINES_ARE_HIDDEN: bool = true;

/// The national drug code and `RxNorm`.
const DRUG_SYSTEMS: [&str; 2] = [
    "http://hl7.org/fhir/sid/ndc",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
];

/// Whether a member's app may see this line.
pub fn is_shown(item: &Item, asked: Option<&Value>) -> bool {
    let concept = asked.and_then(|asked| asked.get("productOrService"));
    let is_drug = DRUG_SYSTEMS.contains(&item.system.as_str())
        || concept.is_some_and(|c| coding::codings(c).any(|c| DRUG_SYSTEMS.contains(&c.system.as_ref())));
    !(DRUG_LINES_ARE_HIDDEN && is_drug)
}

/// The line. `notes` are the numbers of the process notes that speak of it.
pub fn line(item: &Item, request: &Request<'_>, notes: &[usize], reasons: &[DenialReason]) -> Value {
    let nothing = json!({});
    let asked = request.line(item.sequence).unwrap_or(&nothing);
    let own_code = json!({ "coding": [{ "system": item.system, "code": item.code }] });
    let concept = asked.get("productOrService").unwrap_or(&own_code);
    let mut line = json!({
        "sequence": item.sequence,
        "productOrService": names::product_or_service(concept),
        "adjudication": adjudication::of_line(item, asked, reasons),
    });
    put_list(&mut line, "extension", extensions(item, asked, request));
    put_some(
        &mut line,
        "category",
        asked.get("category").and_then(names::service_type),
    );
    let copied = [
        "careTeamSequence",
        "diagnosisSequence",
        "modifier",
        "servicedDate",
        "servicedPeriod",
        "locationCodeableConcept",
        "quantity",
        "unitPrice",
        "net",
    ];
    copy(&mut line, asked, &copied);
    put_list(
        &mut line,
        "noteNumber",
        notes.iter().map(|number| json!(number)).collect(),
    );
    line
}

fn extensions(item: &Item, asked: &Value, request: &Request<'_>) -> Vec<Value> {
    let echoed = ["itemTraceNumber", "authorizationNumber"].map(pas_extension);
    let mut extensions: Vec<Value> = echoed
        .iter()
        .flat_map(|url| fhir::extensions(asked, url))
        .cloned()
        .collect();
    extensions.push(json!({
        "url": pas_extension("administrationReferenceNumber"),
        "valueString": item.reference_number,
    }));
    let Some(decided) = &item.decision else {
        return extensions;
    };
    let Outcome::Approved(approval) = &decided.outcome else {
        return extensions;
    };
    let issued = decided.at.with_timezone(&request.case.received.zone).date_naive();
    extensions.push(json!({ "url": pas_extension("itemPreAuthIssueDate"), "valueDate": issued }));
    let mut period = json!({ "start": approval.start });
    put_some(&mut period, "end", approval.end.map(|end| json!(end)));
    extensions.push(json!({ "url": pas_extension("itemPreAuthPeriod"), "valuePeriod": period }));
    extensions.push(authorized_detail(item, asked));
    extensions.extend(authorized_provider(asked, request));
    extensions
}

/// What was approved: as asked, so the asked code and quantity. Here the systems keep PAS's spelling.
fn authorized_detail(item: &Item, asked: &Value) -> Value {
    let code = json!({ "coding": [{ "system": item.system, "code": item.code }] });
    let mut parts = vec![json!({ "url": "productOrServiceCode", "valueCodeableConcept": code })];
    parts.extend(
        fhir::list(asked, "modifier").map(|m| json!({ "url": "modifier", "valueCodeableConcept": m })),
    );
    parts.extend(
        asked
            .get("unitPrice")
            .map(|price| json!({ "url": "unitPrice", "valueMoney": price })),
    );
    parts.extend(
        item.quantity
            .as_ref()
            .map(|q| json!({ "url": "quantity", "valueQuantity": q })),
    );
    json!({ "url": pas_extension("itemAuthorizedDetail"), "extension": parts })
}

/// Who may provide it: whom the line names of the care team, else the requester.
fn authorized_provider(asked: &Value, request: &Request<'_>) -> Option<Value> {
    let named = fhir::list(asked, "careTeamSequence").next();
    let of_team = named.and_then(|sequence| {
        fhir::list(request.claim, "careTeam").find(|one| one.get("sequence") == Some(sequence))
    });
    let element = of_team.unwrap_or(request.claim).get("provider")?;
    let part = json!({ "url": "provider", "valueReference": request.actor(element)? });
    Some(json!({ "url": pas_extension("itemAuthorizedProvider"), "extension": [part] }))
}
