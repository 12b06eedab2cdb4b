//! The discovery document: `GET /cds-services` (CDS Hooks discovery; CRD section "Discovery document"). No token is
//! required. The prefetch templates are copied from the guide.

use super::request::DEFAULT_MAX_CARDS;
use super::service::{ORDER_SIGN, json_response};
use crate::ig::crd::CrdGuide;
use crate::state::State;
use axum::extract;
use axum::response::Response;
use serde_json::{Value, json};

/// Returns the discovery document.
pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    json_response(document(&state.config.payer.name).to_string())
}

fn document(payer: &str) -> Value {
    let versions: Vec<&str> = CrdGuide::served().map(|guide| guide.requested_version).collect();
    json!({ "services": [{
        "hook": "order-sign",
        "id": ORDER_SIGN,
        "title": format!("{payer}: coverage requirements for orders"),
        "description": "Coverage, prior authorization and documentation requirements for orders before they are signed",
        "prefetch": order_sign_prefetch(),
        "extension": {
            "davinci-crd.version": versions,
            "davinci-crd.configuration-options": options(),
        },
    }]})
}

fn options() -> Value {
    let option = |code: &str, kind: &str, name: &str, description: &str, default: Value| json!({ "code": code, "type": kind, "name": name, "description": description, "default": default });
    json!([
        option(
            "coverage-info",
            "boolean",
            "Coverage information",
            "Add coverage, prior authorization and documentation requirements to the orders",
            json!(true),
        ),
        option(
            "guideline",
            "boolean",
            "Policy links",
            "Show links to the policies that apply",
            json!(true),
        ),
        option(
            "max-cards",
            "integer",
            "Card limit",
            "The largest number of cards to return",
            json!(DEFAULT_MAX_CARDS),
        ),
    ])
}

/// The standard prefetch queries of CRD 2.2.1 for order-sign.
fn order_sign_prefetch() -> Value {
    json!({
        "patient": "Patient/{{context.patientId}}",
        "encounter": "Encounter/{{context.encounterId}}",
        "coverage": "Coverage?patient={{context.patientId}}&status=active",
        "devices": by_id("Device", &["context.draftOrders.entry.resource.ofType(DeviceRequest).code.resolve().id"]),
        "medications": by_id(
            "Medication",
            &["context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().id"],
        ),
        "practitionerRoles": by_id("PractitionerRole", &participants("PractitionerRole")),
        "practitioners": by_id("Practitioner", &practitioners()),
        "organizations": by_id("Organization", &[
            "%practitionerRoles.entry.resource.organization.resolve().id",
            "%encounter.serviceProvider.resolve().ofType(Organization).id",
            "context.draftOrders.entry.resource.dispenseRequest.performer.resolve().id",
            "context.draftOrders.entry.resource.sender.resolve().ofType(Organization).id",
            "context.draftOrders.entry.resource.recipient.resolve().ofType(Organization).id",
            "context.draftOrders.entry.resource.performer.resolve().ofType(Organization).id",
        ]),
        "locations": by_id("Location", &[
            "%practitionerRoles.entry.resource.location.resolve().id",
            "%encounter.location.location.resolve().id",
            "context.draftOrders.entry.resource.locationReference.resolve().id",
        ]),
    })
}

fn by_id<S: AsRef<str>>(resource_type: &str, alternatives: &[S]) -> String {
    let alternatives: Vec<&str> = alternatives.iter().map(AsRef::as_ref).collect();
    format!("{resource_type}?_id={{{{{}}}}}", alternatives.join("|"))
}

/// FHIRPath alternatives for the people and roles of an encounter and its orders that are resources of this type.
fn participants(resource_type: &str) -> Vec<String> {
    let order_roles = [
        "sender",
        "recipient",
        "requester",
        "performer",
        "orderer",
        "prescriber",
    ];
    let encounter = format!("%encounter.participant.individual.resolve().ofType({resource_type}).id");
    let orders = order_roles.iter().map(|role| {
        format!("context.draftOrders.entry.resource.{role}.resolve().ofType({resource_type}).id")
    });
    std::iter::once(encounter).chain(orders).collect()
}

fn practitioners() -> Vec<String> {
    let mut all = vec!["%practitionerRoles.entry.resource.practitioner.resolve().id".to_owned()];
    all.extend(participants("Practitioner"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefetch_templates_are_those_of_the_guide() {
        let wanted = [
            ("patient", "Patient/{{context.patientId}}"),
            ("encounter", "Encounter/{{context.encounterId}}"),
            ("coverage", "Coverage?patient={{context.patientId}}&status=active"),
            (
                "devices",
                "Device?_id={{context.draftOrders.entry.resource.ofType(DeviceRequest).code.resolve().id}}",
            ),
            (
                "medications",
                "Medication?_id={{context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().id}}",
            ),
            (
                "practitionerRoles",
                "PractitionerRole?_id={{%encounter.participant.individual.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.sender.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.recipient.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.requester.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.performer.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.orderer.resolve().ofType(PractitionerRole).id|\
                 context.draftOrders.entry.resource.prescriber.resolve().ofType(PractitionerRole).id}}",
            ),
            (
                "practitioners",
                "Practitioner?_id={{%practitionerRoles.entry.resource.practitioner.resolve().id|\
                 %encounter.participant.individual.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.sender.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.recipient.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.requester.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.performer.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.orderer.resolve().ofType(Practitioner).id|\
                 context.draftOrders.entry.resource.prescriber.resolve().ofType(Practitioner).id}}",
            ),
            (
                "organizations",
                "Organization?_id={{%practitionerRoles.entry.resource.organization.resolve().id|\
                 %encounter.serviceProvider.resolve().ofType(Organization).id|\
                 context.draftOrders.entry.resource.dispenseRequest.performer.resolve().id|\
                 context.draftOrders.entry.resource.sender.resolve().ofType(Organization).id|\
                 context.draftOrders.entry.resource.recipient.resolve().ofType(Organization).id|\
                 context.draftOrders.entry.resource.performer.resolve().ofType(Organization).id}}",
            ),
            (
                "locations",
                "Location?_id={{%practitionerRoles.entry.resource.location.resolve().id|\
                 %encounter.location.location.resolve().id|\
                 context.draftOrders.entry.resource.locationReference.resolve().id}}",
            ),
        ];
        let prefetch = order_sign_prefetch();
        for (key, template) in wanted {
            assert_eq!(prefetch[key], template, "{key}");
        }
        assert_eq!(prefetch.as_object().unwrap().len(), wanted.len());
    }

    #[test]
    fn every_option_is_unique_and_its_default_has_its_type() {
        let options = options();
        let options = options.as_array().unwrap();
        for name in ["code", "name", "description"] {
            let mut seen: Vec<&str> = options.iter().map(|o| o[name].as_str().unwrap()).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), options.len(), "{name} is not unique");
        }
        for option in options {
            let has_type = if option["type"] == "boolean" {
                option["default"].is_boolean()
            } else {
                option["default"].is_i64()
            };
            assert!(has_type, "{option}");
        }
    }

    #[test]
    fn no_value_in_the_document_is_empty() {
        fn check(value: &Value) {
            match value {
                Value::Null => panic!("null"),
                Value::String(text) => assert!(!text.is_empty()),
                Value::Array(all) => {
                    assert!(!all.is_empty());
                    all.iter().for_each(check);
                }
                Value::Object(all) => {
                    assert!(!all.is_empty());
                    all.values().for_each(check);
                }
                _ => {}
            }
        }
        check(&document("Plan"));
    }
}
