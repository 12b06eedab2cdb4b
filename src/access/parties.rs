//! The resources that go with an authorization: the member, the coverage, the plan, the providers and forms of the
//! request. US Core and HRex profiles; references lead to this base or are left out.

use super::build::{put_list, put_some, relink};
use super::names;
use super::request::Request;
use crate::config::Payer;
use crate::fhir::bundle::Entry;
use crate::fhir::dates::instant_text;
use crate::fhir::{self, put};
use crate::plan::{Coverage, Member};
use serde_json::{Value, json};

/// The member's Patient as imported, under the row's id.
pub fn patient(member: &Member) -> Value {
    own(
        &member.doc,
        &member.id.to_string(),
        Some(names::US_CORE_PATIENT),
        &|_| None,
    )
}

/// A Coverage as imported; its beneficiary is the member and its payor is the plan.
pub fn coverage(coverage: &Coverage, payer: &Payer) -> Value {
    let mut shown = own(
        &coverage.doc,
        &coverage.id.to_string(),
        Some(names::HREX_COVERAGE),
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

/// The plan as a reference.
pub fn insurer(payer: &Payer) -> Value {
    json!({ "reference": super::request::PAYER, "display": payer.name })
}

/// The plan as an Organization.
pub fn payer_organization(payer: &Payer) -> Value {
    let identifiers = payer.identifiers.iter().map(|value| {
        if value.len() == 10 && value.bytes().all(|b| b.is_ascii_digit()) {
            json!({ "system": fhir::NPI, "value": value })
        } else {
            json!({ "type": { "text": "Payer id" }, "value": value })
        }
    });
    let mut organization = json!({
        "resourceType": "Organization",
        "id": "payer",
        "meta": { "profile": [names::US_CORE_ORGANIZATION] },
        "active": true,
        "type": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "pay" }] }],
        "name": payer.name,
    });
    put_list(&mut organization, "identifier", identifiers.collect());
    if !payer.phone.is_empty() {
        put(
            &mut organization,
            "telecom",
            json!([{ "system": "phone", "value": payer.phone }]),
        );
    }
    organization
}

/// An entry of a request under its address here.
pub fn party(request: &Request<'_>, address: &str, entry: &Entry<'_>) -> Value {
    let id = address.rsplit('/').next().unwrap_or_default();
    let mut shown = own(entry.resource, id, profile_of(entry.resource), &|literal| {
        request.link(literal, entry.full_url)
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

/// The US Core profile of a provider or place, where what was sent meets its minimum.
fn profile_of(resource: &Value) -> Option<&'static str> {
    let has = |path: &[&str]| fhir::get(resource, path).is_some();
    match fhir::resource_type(resource)? {
        "Organization" if has(&["name"]) && has(&["active"]) => Some(names::US_CORE_ORGANIZATION),
        "Practitioner" if has(&["identifier"]) && has(&["name", "family"]) => {
            Some(names::US_CORE_PRACTITIONER)
        }
        "Location" if has(&["name"]) => Some(names::US_CORE_LOCATION),
        _ => None,
    }
}

/// A stored resource under an id of this base. Its narrative goes: it holds the sender's links. So does its meta,
/// except when it was changed last.
fn own(resource: &Value, id: &str, profile: Option<&str>, link: &dyn Fn(&str) -> Option<String>) -> Value {
    let mut own = resource.clone();
    if let Some(members) = own.as_object_mut() {
        members.remove("text");
        members.remove("contained");
        members.remove("meta");
    }
    relink(&mut own, link);
    let mut meta = json!({});
    put_some(
        &mut meta,
        "lastUpdated",
        fhir::get(resource, &["meta", "lastUpdated"]).cloned(),
    );
    put_some(&mut meta, "profile", profile.map(|profile| json!([profile])));
    put(&mut own, "id", json!(id));
    if meta.as_object().is_some_and(|members| !members.is_empty()) {
        put(&mut own, "meta", meta);
    }
    own
}
