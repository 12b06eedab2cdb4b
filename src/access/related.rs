//! The resources related to a prior authorization: the member, the coverage, the plan, and the providers and completed
//! questionnaires of the request (US Core and HRex profiles). References point to this FHIR base or are left out.

use super::json::{put_nonempty, put_optional, rewrite_references};
use super::stored_request::StoredRequest;
use crate::config::Payer;
use crate::fhir::bundle::BundleEntry;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::ig::pdex;
use crate::plan::{Coverage, Member};
use serde_json::{Value, json};

/// The member's Patient as imported, with the id of the member's row.
pub fn patient(member: &Member) -> Value {
    with_own_id(
        &member.doc,
        &member.id.to_string(),
        Some(pdex::US_CORE_PATIENT),
        &|_| None,
    )
}

/// A Coverage as imported, with the id of its row. The beneficiary refers to the member, the payor to the plan.
pub fn coverage(coverage: &Coverage, payer: &Payer) -> Value {
    let mut shown = with_own_id(
        &coverage.doc,
        &coverage.id.to_string(),
        Some(pdex::HREX_COVERAGE),
        &|_| None,
    );
    put(
        &mut shown,
        "beneficiary",
        json!({ "reference": format!("Patient/{}", coverage.member) }),
    );
    put(&mut shown, "payor", json!([insurer(payer)]));
    shown
}

/// A reference to the plan's Organization.
pub fn insurer(payer: &Payer) -> Value {
    json!({ "reference": super::stored_request::PAYER_REFERENCE, "display": payer.name })
}

/// The plan's Organization.
pub fn payer_organization(payer: &Payer) -> Value {
    let identifiers = payer.identifiers.iter().map(|value| {
        if value.len() == 10 && value.bytes().all(|b| b.is_ascii_digit()) {
            json!({ "system": fhir::NPI, "value": value })
        } else {
            json!({ "type": { "text": "Payer ID" }, "value": value })
        }
    });
    let mut organization = json!({
        "resourceType": "Organization",
        "id": "payer",
        "meta": { "profile": [pdex::US_CORE_ORGANIZATION] },
        "active": true,
        "type": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "pay" }] }],
        "name": payer.name,
    });
    put_nonempty(&mut organization, "identifier", identifiers.collect());
    if !payer.phone.is_empty() {
        put(
            &mut organization,
            "telecom",
            json!([{ "system": "phone", "value": payer.phone }]),
        );
    }
    organization
}

/// A resource of the request, with the id in its reference at this base.
pub fn request_resource(request: &StoredRequest<'_>, reference: &str, entry: &BundleEntry<'_>) -> Value {
    let id = reference.rsplit('/').next().unwrap_or_default();
    let mut shown = with_own_id(entry.resource, id, profile_of(entry.resource), &|literal| {
        request.local_reference_for(literal, entry.full_url)
    });
    let mut meta = shown.get("meta").cloned().unwrap_or_else(|| json!({}));
    put(
        &mut meta,
        "lastUpdated",
        json!(instant_text(request.case.received_at)),
    );
    put(&mut shown, "meta", meta);
    shown
}

/// The US Core profile of a provider or location, if the resource has the elements that the profile requires.
fn profile_of(resource: &Value) -> Option<&'static str> {
    let has = |path: &[&str]| fhir::get(resource, path).is_some();
    match fhir::resource_type(resource)? {
        "Organization" if has(&["name"]) && has(&["active"]) => Some(pdex::US_CORE_ORGANIZATION),
        "Practitioner" if has(&["identifier"]) && has(&["name", "family"]) => {
            Some(pdex::US_CORE_PRACTITIONER)
        }
        "Location" if has(&["name"]) => Some(pdex::US_CORE_LOCATION),
        _ => None,
    }
}

/// A stored resource with an id of this base. The narrative is removed because it may hold links of the sender; of
/// `meta` only `lastUpdated` is kept. References are rewritten with `rewrite`, or removed if that returns `None`.
fn with_own_id(
    stored: &Value,
    id: &str,
    profile: Option<&str>,
    rewrite: &dyn Fn(&str) -> Option<String>,
) -> Value {
    let mut shown = stored.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("text");
        fields.remove("contained");
        fields.remove("meta");
    }
    rewrite_references(&mut shown, rewrite);
    let mut meta = json!({});
    put_optional(
        &mut meta,
        "lastUpdated",
        fhir::get(stored, &["meta", "lastUpdated"]).cloned(),
    );
    put_optional(&mut meta, "profile", profile.map(|profile| json!([profile])));
    put(&mut shown, "id", json!(id));
    if meta.as_object().is_some_and(|fields| !fields.is_empty()) {
        put(&mut shown, "meta", meta);
    }
    shown
}
