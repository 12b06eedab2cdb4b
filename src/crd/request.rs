//! Reads and checks a hook call. All errors of the envelope are reported at once, each with its location (CRD sections
//! "Request envelope" and "Errors"). Missing data in an order are not an error; the policies ask for them. Unknown
//! fields are ignored.

use super::order_checks::check_order;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::evidence::DRAFT_ORDERS;
use crate::fhir::outcome::Checks;
use crate::fhir::{list, resource_type, text};
use crate::ig::crd::CrdGuide;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The largest number of cards if the client sets none.
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
    /// The orders, in the sequence in which they were sent.
    pub orders: Vec<Order<'a>>,
    /// What the client asks for in the response.
    pub configuration: HookConfiguration,
    /// The version of the guide that the call asks for.
    pub guide: &'static CrdGuide,
    /// `fhirServer` and `fhirAuthorization`.
    pub fhir_access: FhirAccess<'a>,
    /// The text of `fhirAuthorization`, which is not stored as it is.
    pub authorization: Option<&'a RawValue>,
    /// The whole body.
    pub body: &'a Value,
}

/// One draft order, parsed and as text.
#[derive(Debug, Clone)]
pub(super) struct Order<'a> {
    /// The resource.
    pub resource: &'a Value,
    /// Its text exactly as received.
    pub text: &'a RawValue,
    /// `Type/id`.
    pub reference: String,
    /// Its FHIRPath: `context.draftOrders.entry[0].resource`.
    pub path: String,
}

/// The configuration options of a call; options that the client does not set have the defaults of the discovery
/// document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HookConfiguration {
    /// `coverage-info`.
    pub coverage_info: bool,
    /// `guideline`.
    pub guideline: bool,
    /// `max-cards`.
    pub max_cards: usize,
}

/// Access to the EHR's FHIR server as the call describes it. The token is never logged and never stored.
#[derive(Clone, Copy)]
pub(super) struct FhirAccess<'a> {
    /// `fhirServer`.
    pub server: Option<&'a str>,
    /// `fhirAuthorization.access_token`.
    pub token: Option<&'a str>,
    /// `fhirAuthorization.scope`.
    pub scope: Option<&'a str>,
}

impl std::fmt::Debug for FhirAccess<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FhirAccess")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl<'a> HookRequest<'a> {
    /// Reads a call from its parsed body and the text of the same body. Reports all errors at once. `client_versions`
    /// are the guide versions in the client's registration.
    pub(super) fn read(body: &'a Value, whole_text: &'a str, client_versions: &[String]) -> Result<Self> {
        let mut checks = Checks::default();
        check_envelope(body, &mut checks);
        check_orders(body, &mut checks);
        check_version(body, &mut checks);
        checks.finish()?;
        let texts: CallText<'a> = serde_json::from_str(whole_text).map_err(|e| unreadable_call(&e))?;
        let patient = text(body, &["context", "patientId"]).unwrap_or("");
        Ok(Self {
            instance: text(body, &["hookInstance"]).unwrap_or(""),
            patient_id: patient.strip_prefix("Patient/").unwrap_or(patient),
            orders: orders(body, texts.context.draft_orders.entry),
            authorization: texts.authorization,
            configuration: configuration(body),
            guide: requested_guide(body).unwrap_or_else(|| CrdGuide::for_client(client_versions)),
            fhir_access: FhirAccess {
                server: text(body, &["fhirServer"]),
                token: text(body, &["fhirAuthorization", "access_token"]),
                scope: text(body, &["fhirAuthorization", "scope"]),
            },
            body,
        })
    }

    /// Refuses a call with more orders than the server accepts.
    pub(super) fn check_number_of_orders(&self, most: usize) -> Result<()> {
        if self.orders.len() <= most {
            return Ok(());
        }
        let message = format!(
            "The call has {} orders, and this server accepts at most {most} in one call. Send the orders in several calls.",
            self.orders.len()
        );
        let issue = Issue::error(IssueCode::TooCostly, format!("{DRAFT_ORDERS}.entry"), message);
        Err(Error::with_issues(vec![issue]))
    }
}

fn check_envelope(body: &Value, checks: &mut Checks) {
    match body.get("hook").map(|hook| hook.as_str()) {
        None => checks.error(IssueCode::Required, "hook", "hook is missing"),
        Some(Some("order-sign")) => {}
        Some(_) => checks.error(
            IssueCode::Value,
            "hook",
            "This service supports only the hook order-sign",
        ),
    }
    let present = |path: &[&str]| text(body, path).is_some_and(|t| !t.trim().is_empty());
    checks.require(
        present(&["hookInstance"]),
        IssueCode::Required,
        "hookInstance",
        "hookInstance is missing",
    );
    if !body.get("context").is_some_and(Value::is_object) {
        checks.error(IssueCode::Required, "context", "context is missing");
        return;
    }
    for name in ["userId", "patientId"] {
        let message = format!("context.{name} is missing");
        checks.require(
            present(&["context", name]),
            IssueCode::Required,
            format!("context.{name}"),
            &message,
        );
    }
    let prefetch = body.get("prefetch");
    let is_object = prefetch.is_none_or(|p| p.is_object() || p.is_null());
    checks.require(
        is_object,
        IssueCode::Structure,
        "prefetch",
        "prefetch must be an object",
    );
}

fn check_orders(body: &Value, checks: &mut Checks) {
    let Some(bundle) = body.get("context").and_then(|c| c.get("draftOrders")) else {
        if body.get("context").is_some_and(Value::is_object) {
            checks.error(
                IssueCode::Required,
                DRAFT_ORDERS,
                "context.draftOrders is missing",
            );
        }
        return;
    };
    if resource_type(bundle) != Some("Bundle") {
        checks.error(
            IssueCode::Structure,
            DRAFT_ORDERS,
            "context.draftOrders must be a Bundle",
        );
        return;
    }
    if bundle.get("entry").is_some_and(|entry| !entry.is_array()) {
        checks.error(
            IssueCode::Structure,
            format!("{DRAFT_ORDERS}.entry"),
            "Bundle.entry must be an array",
        );
    }
    for (n, entry) in list(bundle, "entry").enumerate() {
        let at = format!("{DRAFT_ORDERS}.entry[{n}].resource");
        let resource = entry.get("resource");
        if !resource.is_some_and(Value::is_object) {
            checks.error(IssueCode::Required, at.clone(), "The entry has no resource");
        } else if resource.and_then(resource_type).is_none() {
            checks.error(
                IssueCode::Required,
                format!("{at}.resourceType"),
                "resourceType is missing",
            );
        }
        if let Some(order) = resource.filter(|r| is_order(r)) {
            check_order(order, &at, checks);
        }
    }
}

fn is_order(resource: &Value) -> bool {
    resource_type(resource).is_some_and(|kind| ORDER_TYPES.contains(&kind))
}

fn check_version(body: &Value, checks: &mut Checks) {
    if requested_version(body).is_some() && requested_guide(body).is_none() {
        let served: Vec<&str> = CrdGuide::served().map(|guide| guide.requested_version).collect();
        checks.error(
            IssueCode::NotSupported,
            "extension.`davinci-crd.requestedVersion`",
            format!(
                "This service supports these versions of the guide: {}",
                served.join(", ")
            ),
        );
    }
}

/// The requested version; null counts as absent.
fn requested_version(body: &Value) -> Option<&Value> {
    let version = body.get("extension")?.get("davinci-crd.requestedVersion")?;
    (!version.is_null()).then_some(version)
}

fn requested_guide(body: &Value) -> Option<&'static CrdGuide> {
    CrdGuide::requested(requested_version(body)?.as_str()?)
}

#[derive(Deserialize)]
struct CallText<'a> {
    #[serde(borrow)]
    context: ContextText<'a>,
    #[serde(borrow, default, rename = "fhirAuthorization")]
    authorization: Option<&'a RawValue>,
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

/// The error for a call that is valid JSON but repeats a field.
fn unreadable_call(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let after = text.strip_prefix("duplicate field `");
    match after.and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => Error::malformed(format!("The field {field} is repeated in the call")),
        None => Error::malformed("The call cannot be read: a field is repeated or has the wrong type"),
    }
}

/// The orders with their texts. Other drafts in the bundle, such as a Device or a Medication, are not orders.
fn orders<'a>(body: &'a Value, texts: Vec<EntryText<'a>>) -> Vec<Order<'a>> {
    let bundle = body.get("context").and_then(|c| c.get("draftOrders"));
    let entries = list(bundle.unwrap_or(&Value::Null), "entry")
        .zip(texts)
        .enumerate();
    entries
        .filter_map(|(n, (entry, text))| {
            let resource = entry.get("resource").filter(|r| is_order(r))?;
            Some(Order {
                resource,
                text: text.resource,
                reference: reference_to(resource_type(resource)?, entry, resource),
                path: format!("{DRAFT_ORDERS}.entry[{n}].resource"),
            })
        })
        .collect()
}

/// `Type/id`; for a draft without an id the full URL, or the type if there is none.
fn reference_to(kind: &str, entry: &Value, resource: &Value) -> String {
    match (text(resource, &["id"]), text(entry, &["fullUrl"])) {
        (Some(id), _) => format!("{kind}/{id}"),
        (None, Some(url)) => url.to_owned(),
        (None, None) => kind.to_owned(),
    }
}

fn configuration(body: &Value) -> HookConfiguration {
    let options = body
        .get("extension")
        .and_then(|e| e.get("davinci-crd.configuration"));
    let value = |code: &str| options.and_then(|o| option(o, code));
    HookConfiguration {
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

    fn error_locations(body: &Value) -> Vec<String> {
        let text = body.to_string();
        let error = HookRequest::read(body, &text, &[]).unwrap_err();
        error.issues().iter().map(|i| i.expression.clone()).collect()
    }

    #[test]
    fn a_complete_call_is_read() {
        let body = samples::call();
        let text = body.to_string();
        let request = HookRequest::read(&body, &text, &[]).unwrap();
        assert_eq!(request.patient_id, "p1");
        assert_eq!(
            request
                .orders
                .iter()
                .map(|o| o.reference.as_str())
                .collect::<Vec<_>>(),
            ["ServiceRequest/oxygen", "ServiceRequest/mammography"]
        );
        assert!(request.configuration.coverage_info);
        assert_eq!(request.configuration.max_cards, DEFAULT_MAX_CARDS);
    }

    #[test]
    fn every_error_is_reported_with_its_location() {
        assert_eq!(error_locations(&json!({})), ["hook", "hookInstance", "context"]);
        assert_eq!(
            error_locations(
                &json!({ "hook": "order-select", "hookInstance": "i", "context": {}, "prefetch": [] })
            ),
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
    fn errors_of_a_bundle_are_reported_for_each_entry() {
        let mut body = samples::call();
        body["context"]["draftOrders"]["entry"] = json!([{}, { "resource": { "id": "x" } }]);
        assert_eq!(
            error_locations(&body),
            [
                "context.draftOrders.entry[0].resource",
                "context.draftOrders.entry[1].resource.resourceType"
            ]
        );
        body["context"]["draftOrders"] = json!({ "resourceType": "List" });
        assert_eq!(error_locations(&body), ["context.draftOrders"]);
    }

    #[test]
    fn another_version_of_the_guide_is_refused() {
        let mut body = samples::call();
        body["extension"] = json!({ "davinci-crd.requestedVersion": "2.0" });
        assert_eq!(
            error_locations(&body),
            ["extension.`davinci-crd.requestedVersion`"]
        );
        body["extension"] = json!({ "davinci-crd.requestedVersion": "2.2" });
        assert!(HookRequest::read(&body, &body.to_string(), &[]).is_ok());
    }

    #[test]
    fn configuration_is_read_as_object_and_as_array() {
        let mut body = samples::call();
        let read = |body: &Value| {
            HookRequest::read(body, &body.to_string(), &[])
                .unwrap()
                .configuration
        };
        body["extension"] =
            json!({ "davinci-crd.configuration": { "coverage-info": false, "max-cards": 2, "cost": true } });
        assert_eq!(
            read(&body),
            HookConfiguration {
                coverage_info: false,
                guideline: true,
                max_cards: 2
            }
        );
        body["extension"] = json!({ "davinci-crd.configuration": [{ "code": "guideline", "value": false }] });
        assert_eq!(
            read(&body),
            HookConfiguration {
                coverage_info: true,
                guideline: false,
                max_cards: DEFAULT_MAX_CARDS
            }
        );
        body["extension"] = json!({ "davinci-crd.configuration": { "max-cards": -1, "guideline": "no" } });
        assert_eq!(
            read(&body),
            HookConfiguration {
                coverage_info: true,
                guideline: true,
                max_cards: DEFAULT_MAX_CARDS
            }
        );
    }

    #[test]
    fn other_drafts_in_the_bundle_are_not_orders() {
        let mut body = samples::call();
        let device = json!({ "resource": { "resourceType": "Device", "id": "d" } });
        body["context"]["draftOrders"]["entry"]
            .as_array_mut()
            .unwrap()
            .insert(0, device);
        let text = body.to_string();
        let request = HookRequest::read(&body, &text, &[]).unwrap();
        assert_eq!(request.orders.len(), 2);
        assert_eq!(
            request.orders[0].text.get(),
            request.orders[0].resource.to_string()
        );
    }
}
