//! An item as `ExplanationOfBenefit.item`: the requested service as it was sent, with the decision (PDex 2.2.0, profile
//! pdex-priorauthorization; extensions of PAS 2.2).

use super::adjudication;
use super::codes;
use super::json::{copy_fields, put_nonempty, put_optional};
use super::stored_request::StoredRequest;
use crate::fhir;
use crate::ig::pas::extension_url;
use crate::prior_auth::{Item, Outcome};
use crate::rules::DenialReason;
use serde_json::{Value, json};

/// Builds the item. `note_numbers` are the numbers of the process notes that belong to it.
pub fn item_json(
    item: &Item,
    request: &StoredRequest<'_>,
    note_numbers: &[usize],
    denial_reasons: &[DenialReason],
) -> Value {
    let empty = json!({});
    let requested = request.item(item.sequence).unwrap_or(&empty);
    let stored_code = json!({ "coding": [{ "system": item.system, "code": item.code }] });
    let concept = requested.get("productOrService").unwrap_or(&stored_code);
    let mut built = json!({
        "sequence": item.sequence,
        "productOrService": codes::product_or_service(concept),
        "adjudication": adjudication::item_adjudications(item, requested, denial_reasons),
    });
    put_nonempty(&mut built, "extension", extensions(item, requested, request));
    put_optional(
        &mut built,
        "category",
        requested.get("category").and_then(codes::service_type),
    );
    let copied_fields = [
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
    copy_fields(&mut built, requested, &copied_fields);
    put_nonempty(
        &mut built,
        "noteNumber",
        note_numbers.iter().map(|number| json!(number)).collect(),
    );
    built
}

fn extensions(item: &Item, requested: &Value, request: &StoredRequest<'_>) -> Vec<Value> {
    let copied_urls = ["itemTraceNumber", "authorizationNumber"].map(extension_url);
    let mut extensions: Vec<Value> = copied_urls
        .iter()
        .flat_map(|url| fhir::extensions(requested, url))
        .cloned()
        .collect();
    extensions.push(json!({
        "url": extension_url("administrationReferenceNumber"),
        "valueString": item.reference_number,
    }));
    let Some(decision) = &item.decision else {
        return extensions;
    };
    let Outcome::Approved(approval) = &decision.outcome else {
        return extensions;
    };
    let issued = decision
        .at
        .with_timezone(&request.case.received.zone)
        .date_naive();
    extensions.push(json!({ "url": extension_url("itemPreAuthIssueDate"), "valueDate": issued }));
    let mut period = json!({ "start": approval.start });
    put_optional(&mut period, "end", approval.end.map(|end| json!(end)));
    extensions.push(json!({ "url": extension_url("itemPreAuthPeriod"), "valuePeriod": period }));
    extensions.push(authorized_detail(item, requested));
    extensions.extend(authorized_provider(requested, request));
    extensions
}

/// The approved service. Approvals are always as requested, so these are the requested code and quantity. The code
/// system URLs are those of PAS.
fn authorized_detail(item: &Item, requested: &Value) -> Value {
    let code = json!({ "coding": [{ "system": item.system, "code": item.code }] });
    let mut parts = vec![json!({ "url": "productOrServiceCode", "valueCodeableConcept": code })];
    parts.extend(
        fhir::list(requested, "modifier").map(|m| json!({ "url": "modifier", "valueCodeableConcept": m })),
    );
    parts.extend(
        requested
            .get("unitPrice")
            .map(|price| json!({ "url": "unitPrice", "valueMoney": price })),
    );
    parts.extend(
        adjudication::quantity(item, requested).map(|q| json!({ "url": "quantity", "valueQuantity": q })),
    );
    json!({ "url": extension_url("itemAuthorizedDetail"), "extension": parts })
}

/// The approved provider: the care team member that the item names, otherwise the requester.
fn authorized_provider(requested: &Value, request: &StoredRequest<'_>) -> Option<Value> {
    let team_sequence = fhir::list(requested, "careTeamSequence").next();
    let team_member = team_sequence.and_then(|sequence| {
        fhir::list(request.claim, "careTeam").find(|member| member.get("sequence") == Some(sequence))
    });
    let element = team_member.unwrap_or(request.claim).get("provider")?;
    let part = json!({ "url": "provider", "valueReference": request.named_reference(element)? });
    Some(json!({ "url": extension_url("itemAuthorizedProvider"), "extension": [part] }))
}
