//! What the plan offers to EHRs: `GET /cds-services` (CDS Hooks discovery; CRD section "Discovery document"). Needs
//! no token. The prefetch templates are the guide's own words, key by key.

use super::{ORDER_SIGN, json_answer, request::DEFAULT_MAX_CARDS};
use crate::state::State;
use axum::extract;
use axum::response::Response;
use serde_json::{Value, json};

/// The version of the guide that this door speaks.
pub(super) const VERSION: &str = "2.2";

/// Answers with the discovery document.
pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    json_answer(document(&state.config.payer.name).to_string())
}

fn document(payer: &str) -> Value {
    json!({ "services": [{
        "hook": "order-sign",
        "id": ORDER_SIGN,
        "title": format!("{payer}: orders about to be signed"),
        "description": "Coverage, prior authorization and documentation rules for orders about to be signed",
        "version": env!("CARGO_PKG_VERSION"),
        "prefetch": order_sign_prefetch(),
        "extension": {
            "davinci-crd.version": [VERSION],
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
            "Add coverage, prior authorization and documentation findings to the orders",
            json!(true),
        ),
        option(
            "guideline",
            "boolean",
            "Policy links",
            "Show links to the policy behind a finding",
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

/// The standard queries of CRD 2.2.1 for order-sign.
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
        "practitionerRoles": by_id("PractitionerRole", &people("PractitionerRole")),
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

/// Everyone whom an encounter or an order names, where he is of this type.
fn people(resource_type: &str) -> Vec<String> {
    let of_order = [
        "sender",
        "recipient",
        "requester",
        "performer",
        "orderer",
        "prescriber",
    ];
    let encounter = format!("%encounter.participant.individual.resolve().ofType({resource_type}).id");
    let orders = of_order.iter().map(|role| {
        format!("context.draftOrders.entry.resource.{role}.resolve().ofType({resource_type}).id")
    });
    std::iter::once(encounter).chain(orders).collect()
}

fn practitioners() -> Vec<String> {
    let mut all = vec!["%practitionerRoles.entry.resource.practitioner.resolve().id".to_owned()];
    all.extend(people("Practitioner"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefetch_is_the_guides_own_text() {
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
    fn every_option_has_its_five_members_once() {
        let options = options();
        let options = options.as_array().unwrap();
        for name in ["code", "name", "description"] {
            let mut seen: Vec<&str> = options.iter().map(|o| o[name].as_str().unwrap()).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), options.len(), "{name} is not unique");
        }
        for option in options {
            let fits = if option["type"] == "boolean" {
                option["default"].is_boolean()
            } else {
                option["default"].is_i64()
            };
            assert!(fits, "{option}");
        }
    }

    #[test]
    fn nothing_in_the_document_is_empty() {
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
