//! A message that the server sent, with the guide and the profile by which it is validated, and its shape.

use assent::ig::ServedAtAddress;
use assent::ig::dtr::DtrGuide;
use assent::ig::pas::{PasGuide, Profile};
use serde_json::Value;
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

const HOOK_RESPONSE: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/CRDHooksResponse";
const HOOK_SERVICES: &str = "http://hl7.org/fhir/tools/StructureDefinition/CDSHooksServices";

/// One message that the server sent.
pub struct Message {
    /// The method and the route.
    pub operation: String,
    /// The guide and its version, as the service names them: `pas-2.2.1`.
    pub guide: String,
    /// The profile of a message that does not claim one itself.
    pub profile: Option<String>,
    pub text: String,
    /// A hash over the operation, the guide, the profile and the paths of the JSON.
    pub shape: u64,
}

impl Message {
    /// A body, or nothing if it is neither FHIR nor CDS Hooks.
    pub fn read(method: &str, path: &str, text: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(text).ok()?;
        let of_hooks = path.starts_with("/cds-services");
        let profile = match body.get("resourceType").and_then(Value::as_str) {
            Some("Subscription") => Some(Profile::Subscription.url()),
            Some(_) => None,
            None if of_hooks && body.get("cards").is_some() => Some(HOOK_RESPONSE.to_owned()),
            None if of_hooks && body.get("services").is_some() => Some(HOOK_SERVICES.to_owned()),
            None => return None,
        };
        let mut paths = BTreeSet::new();
        add_paths(&body, String::new(), &mut paths);
        let (operation, guide) = (format!("{method} {}", route(path)), guide(path));
        let mut hasher = DefaultHasher::new();
        (&operation, &guide, &profile, paths).hash(&mut hasher);
        Some(Self {
            operation,
            guide,
            profile,
            text: text.to_owned(),
            shape: hasher.finish(),
        })
    }
}

/// The path with `{id}` in place of ids: `/pas/2.2/Subscription/{id}/$status`.
fn route(path: &str) -> String {
    let mut after_type = false;
    let segments = path.trim_end_matches('/').split('/').map(|segment| {
        let is_id = after_type && !segment.starts_with(['$', '_']);
        after_type = segment.starts_with(|c: char| c.is_ascii_uppercase());
        if is_id { "{id}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The guide that a path belongs to.
fn guide(path: &str) -> String {
    if let Some(guide) = DtrGuide::at_address(path) {
        format!("dtr-{}", guide.number)
    } else if let Some(guide) = PasGuide::at_address(path) {
        format!("pas-{}", guide.number)
    } else if path.starts_with("/fhir/pdex") {
        "pdex-2.2.0".to_owned()
    } else {
        "crd-2.2.1".to_owned()
    }
}

/// Adds every path of a JSON value, without indices. What decides by which definitions a member is checked belongs to
/// its path: resource types, the URLs of extensions, profiles, code systems, and codes that FHIR itself defines.
fn add_paths(value: &Value, mut path: String, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for name in ["resourceType", "url"] {
                if let Some(text) = members.get(name).and_then(Value::as_str) {
                    let _ = write!(path, "({text})");
                }
            }
            let system = members.get("system").and_then(Value::as_str);
            let has_fhir_code = system.is_none_or(|s| {
                s.starts_with("http://hl7.org/") || s.starts_with("http://terminology.hl7.org/")
            });
            for (name, member) in members {
                let member_path = format!("{path}.{name}");
                let with_value = match name.as_str() {
                    "system" | "profile" | "status" | "outcome" | "indicator" | "valueCode" => true,
                    "code" => has_fhir_code && member.is_string(),
                    _ => false,
                };
                if with_value {
                    paths.insert(format!("{member_path}={member}"));
                } else {
                    paths.insert(member_path.clone());
                    add_paths(member, member_path, paths);
                }
            }
        }
        Value::Array(all) => {
            for member in all {
                add_paths(member, path.clone(), paths);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(path: &str, body: &Value) -> Message {
        Message::read("GET", path, &body.to_string()).unwrap()
    }

    #[test]
    fn a_shape_ignores_ids_values_and_indices_but_no_type_extension_or_code_of_fhir() {
        let claim = json!({ "resourceType": "Claim", "item": [{ "sequence": 1 }] });
        let shape = |path: &str, body: &Value| message(path, body).shape;
        let first = shape("/pas/2.2/Claim/1", &claim);
        let two_items = json!({ "resourceType": "Claim", "item": [{ "sequence": 2 }, { "sequence": 3 }] });
        assert_eq!(first, shape("/pas/2.2/Claim/2", &two_items));
        for other in [
            json!({ "resourceType": "ClaimResponse", "item": [{ "sequence": 1 }] }),
            json!({ "resourceType": "Claim", "item": [{ "sequence": 1, "category": {} }, { "id": "a" }] }),
            json!({ "resourceType": "Claim", "item": [{ "sequence": 1 }], "extension": [{ "url": "a" }] }),
            json!({ "resourceType": "Claim", "item": [{ "sequence": 1 }], "extension": [{ "url": "b" }] }),
            json!({ "resourceType": "Claim", "item": [{ "sequence": 1 }], "status": "active" }),
        ] {
            assert_ne!(first, shape("/pas/2.2/Claim/1", &other), "{other}");
        }
        assert_ne!(first, shape("/fhir/pdex/Claim/1", &claim), "another guide");
    }

    #[test]
    fn a_message_names_its_operation_guide_and_profile() {
        let status = message(
            "/pas/2.2/Subscription/0190a6f3/$status",
            &json!({ "resourceType": "Bundle" }),
        );
        assert_eq!(status.operation, "GET /pas/2.2/Subscription/{id}/$status");
        assert_eq!((status.guide.as_str(), status.profile), ("pas-2.2.1", None));
        let cards = message("/cds-services/order-sign-crd", &json!({ "cards": [] }));
        assert_eq!(
            (cards.guide.as_str(), cards.profile.as_deref()),
            ("crd-2.2.1", Some(HOOK_RESPONSE))
        );
        assert!(Message::read("GET", "/healthz", r#"{"status":"ready"}"#).is_none());
        assert!(Message::read("GET", "/", "<html>").is_none());
    }
}
