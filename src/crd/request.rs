//! A hook call, read and checked: every fault of the envelope at once, with its place (CRD sections "Request
//! envelope" and "Errors"). Thin data are no fault: what an order lacks is found later, by the rules. Unknown members
//! change nothing.

use super::discovery::VERSION;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Checks, Code};
use crate::fhir::{list, resource_type, text};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The largest number of cards where the client sets none.
pub(super) const DEFAULT_MAX_CARDS: usize = 5;

/// The resource types that are orders.
const ORDER_TYPES: [&str; 6] = [
    "CommunicationRequest",
    "DeviceRequest",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "VisionPrescription",
];

/// One call of order-sign.
#[derive(Debug)]
pub(super) struct HookRequest<'a> {
    /// `hookInstance`.
    pub instance: &'a str,
    /// `context.patientId` without a type in front.
    pub patient_id: &'a str,
    /// The orders, in the order in which they were sent.
    pub orders: Vec<Order<'a>>,
    /// What the client wants to hear.
    pub wishes: Wishes,
    /// `fhirServer` and what goes with it.
    pub chart: Chart<'a>,
    /// The whole body.
    pub body: &'a Value,
}

/// One draft order: parsed, and as the text that was sent.
#[derive(Debug, Clone)]
pub(super) struct Order<'a> {
    /// The resource.
    pub resource: &'a Value,
    /// Its text, byte for byte.
    pub text: &'a RawValue,
    /// `Type/id`.
    pub reference: String,
}

/// The configuration of this call; what the client does not mention is as discovery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    /// `coverage-info`.
    pub coverage_info: bool,
    /// `guideline`.
    pub guideline: bool,
    /// `max-cards`.
    pub max_cards: usize,
}

/// The way to the patient's chart: where it is, and the token of this call. Never logged, never stored.
#[derive(Clone, Copy)]
pub(super) struct Chart<'a> {
    /// `fhirServer`.
    pub server: Option<&'a str>,
    /// `fhirAuthorization.access_token`.
    pub token: Option<&'a str>,
    /// `fhirAuthorization.scope`.
    pub scope: Option<&'a str>,
}

impl std::fmt::Debug for Chart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chart")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl<'a> HookRequest<'a> {
    /// Reads a call from its text and the same text parsed; all faults in one error.
    pub(super) fn read(body: &'a Value, whole_text: &'a str) -> Result<Self> {
        let mut checks = Checks::default();
        check_envelope(body, &mut checks);
        check_orders(body, &mut checks);
        check_version(body, &mut checks);
        checks.finish()?;
        let patient = text(body, &["context", "patientId"]).unwrap_or("");
        Ok(Self {
            instance: text(body, &["hookInstance"]).unwrap_or(""),
            patient_id: patient.strip_prefix("Patient/").unwrap_or(patient),
            orders: orders(body, whole_text)?,
            wishes: wishes(body),
            chart: Chart {
                server: text(body, &["fhirServer"]),
                token: text(body, &["fhirAuthorization", "access_token"]),
                scope: text(body, &["fhirAuthorization", "scope"]),
            },
            body,
        })
    }
}

fn check_envelope(body: &Value, checks: &mut Checks) {
    match body.get("hook").map(|hook| hook.as_str()) {
        None => checks.error(Code::Required, "hook", "The call does not say which hook it is"),
        Some(Some("order-sign")) => {}
        Some(_) => checks.error(Code::Value, "hook", "This service answers the hook order-sign"),
    }
    let filled = |path: &[&str]| text(body, path).is_some_and(|t| !t.trim().is_empty());
    checks.require(
        filled(&["hookInstance"]),
        Code::Required,
        "hookInstance",
        "hookInstance is missing",
    );
    if !body.get("context").is_some_and(Value::is_object) {
        checks.error(Code::Required, "context", "The context is missing");
        return;
    }
    for name in ["userId", "patientId"] {
        let message = format!("context.{name} is missing");
        checks.require(
            filled(&["context", name]),
            Code::Required,
            format!("context.{name}"),
            &message,
        );
    }
    let prefetch = body.get("prefetch");
    let held = prefetch.is_none_or(|p| p.is_object() || p.is_null());
    checks.require(held, Code::Structure, "prefetch", "prefetch must be an object");
}

fn check_orders(body: &Value, checks: &mut Checks) {
    const AT: &str = "context.draftOrders";
    let Some(bundle) = body.get("context").and_then(|c| c.get("draftOrders")) else {
        if body.get("context").is_some_and(Value::is_object) {
            checks.error(Code::Required, AT, "context.draftOrders is missing");
        }
        return;
    };
    if resource_type(bundle) != Some("Bundle") {
        checks.error(Code::Structure, AT, "context.draftOrders must be a Bundle");
        return;
    }
    if bundle.get("entry").is_some_and(|entry| !entry.is_array()) {
        checks.error(
            Code::Structure,
            format!("{AT}.entry"),
            "Bundle.entry must be an array",
        );
    }
    for (n, entry) in list(bundle, "entry").enumerate() {
        let at = format!("{AT}.entry[{n}].resource");
        let resource = entry.get("resource");
        if !resource.is_some_and(Value::is_object) {
            checks.error(Code::Required, at, "The entry has no resource");
        } else if resource.and_then(resource_type).is_none() {
            checks.error(
                Code::Required,
                format!("{at}.resourceType"),
                "The resource does not say its type",
            );
        }
    }
}

fn check_version(body: &Value, checks: &mut Checks) {
    let wanted = body
        .get("extension")
        .and_then(|e| e.get("davinci-crd.requestedVersion"));
    if wanted.is_some_and(|wanted| wanted.as_str() != Some(VERSION)) {
        checks.error(
            Code::NotSupported,
            "extension.`davinci-crd.requestedVersion`",
            format!("This service speaks version {VERSION} of the guide"),
        );
    }
}

#[derive(Deserialize)]
struct CallText<'a> {
    #[serde(borrow)]
    context: ContextText<'a>,
}

#[derive(Deserialize)]
struct ContextText<'a> {
    #[serde(borrow, rename = "draftOrders")]
    draft_orders: BundleText<'a>,
}

#[derive(Deserialize)]
struct BundleText<'a> {
    #[serde(borrow, default)]
    entry: Vec<EntryText<'a>>,
}

#[derive(Deserialize)]
struct EntryText<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
}

/// The text parses as JSON and still cannot be taken apart.
pub(super) fn bad_text() -> Error {
    Error::malformed("A member of the call stands there twice")
}

/// The orders with their texts. Other drafts in the bundle (a Device, a Medication) are background.
fn orders<'a>(body: &'a Value, whole_text: &'a str) -> Result<Vec<Order<'a>>> {
    let texts: CallText<'a> = serde_json::from_str(whole_text).map_err(|_| bad_text())?;
    let bundle = body
        .get("context")
        .and_then(|c| c.get("draftOrders"))
        .unwrap_or(&Value::Null);
    let entries = list(bundle, "entry").zip(texts.context.draft_orders.entry);
    Ok(entries
        .filter_map(|(entry, text)| {
            let resource = entry.get("resource")?;
            let kind = resource_type(resource).filter(|kind| ORDER_TYPES.contains(kind))?;
            let reference = reference_to(kind, entry, resource);
            Some(Order {
                resource,
                text: text.resource,
                reference,
            })
        })
        .collect())
}

/// `Type/id`; a draft without an id is named by its full URL, else by its type.
fn reference_to(kind: &str, entry: &Value, resource: &Value) -> String {
    match (text(resource, &["id"]), text(entry, &["fullUrl"])) {
        (Some(id), _) => format!("{kind}/{id}"),
        (None, Some(url)) => url.to_owned(),
        (None, None) => kind.to_owned(),
    }
}

fn wishes(body: &Value) -> Wishes {
    let configuration = body
        .get("extension")
        .and_then(|e| e.get("davinci-crd.configuration"));
    let value = |code: &str| configuration.and_then(|c| option(c, code));
    Wishes {
        coverage_info: value("coverage-info").and_then(Value::as_bool).unwrap_or(true),
        guideline: value("guideline").and_then(Value::as_bool).unwrap_or(true),
        max_cards: value("max-cards")
            .and_then(Value::as_u64)
            .map_or(DEFAULT_MAX_CARDS, |n| usize::try_from(n).unwrap_or(usize::MAX)),
    }
}

/// One option of `{code: value}`; older clients send `[{code, value}]`.
fn option<'a>(configuration: &'a Value, code: &str) -> Option<&'a Value> {
    match configuration {
        Value::Array(all) => all
            .iter()
            .find(|o| text(o, &["code"]) == Some(code))?
            .get("value"),
        other => other.get(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::samples;
    use serde_json::json;

    fn places(body: &Value) -> Vec<String> {
        let text = body.to_string();
        let error = HookRequest::read(body, &text).unwrap_err();
        error.issues().iter().map(|i| i.expression.clone()).collect()
    }

    #[test]
    fn a_whole_call_is_read() {
        let body = samples::call();
        let text = body.to_string();
        let request = HookRequest::read(&body, &text).unwrap();
        assert_eq!(request.patient_id, "p1");
        assert_eq!(
            request
                .orders
                .iter()
                .map(|o| o.reference.as_str())
                .collect::<Vec<_>>(),
            ["ServiceRequest/oxygen", "ServiceRequest/mammography"]
        );
        assert!(request.wishes.coverage_info);
        assert_eq!(request.wishes.max_cards, DEFAULT_MAX_CARDS);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        assert_eq!(places(&json!({})), ["hook", "hookInstance", "context"]);
        assert_eq!(
            places(&json!({ "hook": "order-select", "hookInstance": "i", "context": {}, "prefetch": [] })),
            [
                "hook",
                "context.userId",
                "context.patientId",
                "prefetch",
                "context.draftOrders"
            ]
        );
    }

    #[test]
    fn a_malformed_bundle_is_told_entry_by_entry() {
        let mut body = samples::call();
        body["context"]["draftOrders"]["entry"] = json!([{}, { "resource": { "id": "x" } }]);
        assert_eq!(
            places(&body),
            [
                "context.draftOrders.entry[0].resource",
                "context.draftOrders.entry[1].resource.resourceType"
            ]
        );
        body["context"]["draftOrders"] = json!({ "resourceType": "List" });
        assert_eq!(places(&body), ["context.draftOrders"]);
    }

    #[test]
    fn another_version_of_the_guide_is_refused() {
        let mut body = samples::call();
        body["extension"] = json!({ "davinci-crd.requestedVersion": "2.0" });
        assert_eq!(places(&body), ["extension.`davinci-crd.requestedVersion`"]);
        body["extension"] = json!({ "davinci-crd.requestedVersion": "2.2" });
        assert!(HookRequest::read(&body, &body.to_string()).is_ok());
    }

    #[test]
    fn configuration_is_obeyed_as_object_and_as_array() {
        let mut body = samples::call();
        let read = |body: &Value| HookRequest::read(body, &body.to_string()).unwrap().wishes;
        body["extension"] =
            json!({ "davinci-crd.configuration": { "coverage-info": false, "max-cards": 2, "cost": true } });
        assert_eq!(
            read(&body),
            Wishes {
                coverage_info: false,
                guideline: true,
                max_cards: 2
            }
        );
        body["extension"] = json!({ "davinci-crd.configuration": [{ "code": "guideline", "value": false }] });
        assert_eq!(
            read(&body),
            Wishes {
                coverage_info: true,
                guideline: false,
                max_cards: DEFAULT_MAX_CARDS
            }
        );
        body["extension"] = json!({ "davinci-crd.configuration": { "max-cards": -1, "guideline": "no" } });
        assert_eq!(
            read(&body),
            Wishes {
                coverage_info: true,
                guideline: true,
                max_cards: DEFAULT_MAX_CARDS
            }
        );
    }

    #[test]
    fn other_drafts_in_the_bundle_are_no_orders() {
        let mut body = samples::call();
        let device = json!({ "resource": { "resourceType": "Device", "id": "d" } });
        body["context"]["draftOrders"]["entry"]
            .as_array_mut()
            .unwrap()
            .insert(0, device);
        let text = body.to_string();
        let request = HookRequest::read(&body, &text).unwrap();
        assert_eq!(request.orders.len(), 2);
        assert_eq!(
            request.orders[0].text.get(),
            request.orders[0].resource.to_string()
        );
    }
}
