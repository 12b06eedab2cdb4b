//! The checks of what decides: modifiers that the server does not understand, dates that cannot be, amounts and codes.
//! A request that fails them cannot be answered for certain, so it is refused with the place of each problem.

use crate::error::IssueCode;
use crate::fhir::bundle::{BundleEntry, BundleIndex};
use crate::fhir::code_shape::{CodeShape, modifier_shape, shape};
use crate::fhir::date_checks::impossible_dates;
use crate::fhir::modifiers::{Modifier, modifiers};
use crate::fhir::outcome::Checks;
use crate::fhir::{self, coding, present};
use crate::ig::pas::{INFO_CANCELLED, PasGuide, extension_url};
use serde_json::Value;

/// Modifiers of the Bundle and of the resources that decide for whom and what a request is. `infoCancelled` is
/// understood on items and supporting information.
pub(super) fn check_modifiers(bundle: &Value, deciding: &[BundleEntry<'_>], checks: &mut Checks) {
    let message = "The server does not understand this modifier, so it cannot tell what the element means";
    if present(bundle, "implicitRules").is_some() {
        checks.error(IssueCode::Extension, "Bundle.implicitRules", message);
    }
    let unknown = |modifier: &Modifier<'_>| !is_cancelled_mark(modifier);
    let of_entries = fhir::list(bundle, "entry").enumerate().filter_map(|(n, entry)| {
        let path = format!("Bundle.entry[{n}].modifierExtension[0]");
        present(entry, "modifierExtension").map(|_| path)
    });
    let of_resources = deciding
        .iter()
        .flat_map(|entry| modifiers(entry.resource, &entry.path()))
        .filter(unknown)
        .map(|modifier| modifier.path);
    for path in of_entries.chain(of_resources) {
        checks.error(IssueCode::Extension, path, message);
    }
}

/// Whether a modifier is `infoCancelled` with a boolean, where PAS allows it.
fn is_cancelled_mark(modifier: &Modifier<'_>) -> bool {
    let claim = "Bundle.entry[0].resource.";
    let parent = modifier.element.strip_prefix(claim).unwrap_or("");
    let in_place = ["item[", "supportingInfo["].iter().any(|name| {
        parent
            .strip_prefix(name)
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|n| n.bytes().all(|c| c.is_ascii_digit()))
    });
    let is_boolean = |extension: &Value| extension.get("valueBoolean").is_some_and(Value::is_boolean);
    in_place && modifier.url() == Some(INFO_CANCELLED) && modifier.extension.is_some_and(is_boolean)
}

/// Dates and periods of every resource of the Bundle.
pub(super) fn check_dates(index: &BundleIndex<'_>, checks: &mut Checks) {
    for entry in index.entries() {
        for date in impossible_dates(entry.resource, &entry.path()) {
            checks.error(IssueCode::Value, date.path, date.message);
        }
    }
}

/// `Claim.item.quantity`: a number above zero, with a unit where the guide's quantities need one (PAS 2.2.1, prof-2), and
/// without `comparator`, which would make it a limit.
pub(super) fn check_quantity(guide: &PasGuide, quantity: &Value, path: &str, checks: &mut Checks) {
    let value = quantity.get("value").and_then(Value::as_f64);
    let message = match value {
        None => Some("Claim.item.quantity.value must be a number"),
        Some(value) if value <= 0.0 => Some("Claim.item.quantity.value must be more than zero"),
        Some(_) => None,
    };
    if let Some(message) = message {
        checks.error(IssueCode::Value, format!("{path}.value"), message);
    }
    let has_text = |name: &str| fhir::text(quantity, &[name]).is_some_and(|text| !text.trim().is_empty());
    checks.require(
        !guide.requires_item_details || has_text("code") || has_text("unit"),
        IssueCode::Required,
        format!("{path}.unit"),
        "Claim.item.quantity must have a unit or a code",
    );
    checks.require(
        present(quantity, "comparator").is_none(),
        IssueCode::Value,
        format!("{path}.comparator"),
        "Claim.item.quantity must not have a comparator",
    );
}

/// The service and its modifiers, which must have the shape of a code of their systems.
pub(super) fn check_service_codes(item: &Value, path: &str, checks: &mut Checks) {
    let message = "This is not shaped like a code of its system. Send the code alone, as the system writes it, and a modifier \
                   in Claim.item.modifier.";
    let end_of_range = extension_url("productOrServiceCodeEnd");
    let mut services = vec![(item.get("productOrService"), format!("{path}.productOrService"))];
    services.extend(fhir::extensions(item, &end_of_range).map(|extension| {
        let path = format!("{path}.extension('{end_of_range}').value");
        (extension.get("valueCodeableConcept"), path)
    }));
    for (concept, path) in services {
        check_codings(concept, &path, shape, message, checks);
    }
    let message = "This is not shaped like a modifier: two upper-case letters or digits";
    for (n, modifier) in fhir::list(item, "modifier").enumerate() {
        let path = format!("{path}.modifier[{n}]");
        check_codings(Some(modifier), &path, modifier_shape, message, checks);
    }
}

/// The diagnoses of the Claim.
pub(super) fn check_diagnoses(claim: &Value, checks: &mut Checks) {
    let message = "This is not shaped like a code of its system. ICD-10-CM codes are written with a dot after the third \
                   character.";
    for (n, diagnosis) in fhir::list(claim, "diagnosis").enumerate() {
        let path = format!("Bundle.entry[0].resource.diagnosis[{n}].diagnosisCodeableConcept");
        let concept = diagnosis.get("diagnosisCodeableConcept");
        check_codings(concept, &path, shape, message, checks);
    }
}

fn check_codings(
    concept: Option<&Value>,
    path: &str,
    shape_of: fn(&str, &str) -> CodeShape,
    message: &str,
    checks: &mut Checks,
) {
    let codings = concept
        .into_iter()
        .flat_map(|concept| fhir::list(concept, "coding"));
    for (n, coding) in codings.enumerate() {
        let Some(coding) = coding::Coding::read(coding) else {
            continue;
        };
        checks.require(
            shape_of(&coding.system, coding.code) != CodeShape::Malformed,
            IssueCode::CodeInvalid,
            format!("{path}.coding[{n}].code"),
            message,
        );
    }
}
