//! The checks of a PAS request Bundle (PAS 2.2.1, spec-11 to spec-24). Each check adds its problems to `Checks`.

use super::content_checks::{check_quantity, check_service_codes};
use crate::error::IssueCode;
use crate::fhir::bundle::{BundleEntry, BundleIndex};
use crate::fhir::outcome::Checks;
use crate::fhir::{self, coding, present, reference};
use crate::ig::pas::{PasGuide, extension_url};
use serde_json::Value;
use std::collections::HashSet;

/// The operation to which a Bundle was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// `$submit`.
    Submit,
    /// `$inquire`. The rules for items are less strict.
    Inquire,
    /// None: a stored request is read again.
    ReadStored,
}

/// Type, identifier, timestamp and entries of the Bundle.
pub(super) fn check_bundle(bundle: &Value, checks: &mut Checks) {
    checks.require(
        fhir::text(bundle, &["type"]) == Some("collection"),
        IssueCode::Value,
        "Bundle.type",
        "Bundle.type must be collection",
    );
    let has_identifier = bundle
        .get("identifier")
        .is_some_and(|i| fhir::text(i, &["value"]).is_some());
    checks.require(
        has_identifier,
        IssueCode::Required,
        "Bundle.identifier",
        "Bundle.identifier must have a value",
    );
    let has_timestamp = fhir::text(bundle, &["timestamp"]).is_some_and(|t| fhir::dates::instant(t).is_some());
    checks.require(
        has_timestamp,
        IssueCode::Required,
        "Bundle.timestamp",
        "Bundle.timestamp must be an instant with date, time and time zone",
    );
    let mut seen = HashSet::new();
    for (n, entry) in fhir::list(bundle, "entry").enumerate() {
        let path = format!("Bundle.entry[{n}]");
        let full_url = fhir::text(entry, &["fullUrl"]);
        checks.require(
            full_url.is_some_and(|url| url.starts_with("urn:") || url.contains("://")),
            IssueCode::Required,
            format!("{path}.fullUrl"),
            "Bundle.entry.fullUrl must be an absolute URL (spec-16)",
        );
        let has_resource = entry.get("resource").and_then(fhir::resource_type).is_some();
        checks.require(
            has_resource,
            IssueCode::Required,
            format!("{path}.resource"),
            "Bundle.entry.resource must be a resource with a resourceType",
        );
        if let Some(full_url) = full_url
            && !seen.insert(full_url)
        {
            checks.error(
                IssueCode::Duplicate,
                format!("{path}.fullUrl"),
                "Another entry has the same fullUrl. A Bundle must hold each resource only once (spec-14).",
            );
        }
    }
}

/// The elements of the Claim other than items and references.
pub(super) fn check_claim(claim: &Value, operation: Operation, checks: &mut Checks) {
    let path = |name: &str| format!("Bundle.entry[0].resource.{name}");
    for (name, code) in [("use", "preauthorization"), ("status", "active")] {
        checks.require(
            fhir::text(claim, &[name]) == Some(code),
            IssueCode::Value,
            path(name),
            &format!("Claim.{name} must be {code}"),
        );
    }
    let mut types = claim.get("type").into_iter().flat_map(coding::codings);
    checks.require(
        types.any(|c| matches!(c.code, "professional" | "institutional" | "oral")),
        IssueCode::Value,
        path("type"),
        "Claim.type must be professional, institutional or oral",
    );
    checks.require(
        fhir::text(claim, &["created"]).is_some(),
        IssueCode::Required,
        path("created"),
        "Claim.created is missing",
    );
    checks.require(
        present(claim, "priority").is_some(),
        IssueCode::Required,
        path("priority"),
        "Claim.priority is missing",
    );
    let identifiers: Vec<&Value> = fhir::list(claim, "identifier").collect();
    checks.require(
        (1..=2).contains(&identifiers.len()),
        IssueCode::Required,
        path("identifier"),
        "Claim.identifier must occur once or twice",
    );
    for (n, identifier) in identifiers.into_iter().enumerate() {
        checks.require(
            fhir::text(identifier, &["value"]).is_some() && fhir::text(identifier, &["system"]).is_some(),
            IssueCode::Required,
            path(&format!("identifier[{n}]")),
            "Claim.identifier must have a system and a value",
        );
    }
    if operation == Operation::Submit {
        check_sequences(claim, "supportingInfo", checks);
    }
}

/// Sequences must be present and unique (spec-22 for `supportingInfo`; FHIR's definition for `item`).
fn check_sequences(claim: &Value, element: &str, checks: &mut Checks) {
    let mut seen = HashSet::new();
    for (n, repetition) in fhir::list(claim, element).enumerate() {
        let path = format!("Bundle.entry[0].resource.{element}[{n}].sequence");
        match repetition
            .get("sequence")
            .and_then(Value::as_u64)
            .filter(|s| (1..=0x7fff_ffff).contains(s))
        {
            None => checks.error(
                IssueCode::Required,
                path,
                format!("Claim.{element}.sequence must be a positive integer"),
            ),
            Some(sequence) if !seen.insert(sequence) => checks.error(
                IssueCode::Duplicate,
                path,
                format!("Another Claim.{element} has the same sequence"),
            ),
            Some(_) => {}
        }
    }
}

/// The items of the Claim. An inquiry needs none.
pub(super) fn check_items(guide: &PasGuide, claim: &Value, operation: Operation, checks: &mut Checks) {
    let enough = operation == Operation::Inquire || fhir::list(claim, "item").next().is_some();
    checks.require(
        enough,
        IssueCode::Required,
        "Bundle.entry[0].resource.item",
        "Claim.item is missing",
    );
    check_sequences(claim, "item", checks);
    for (n, item) in fhir::list(claim, "item").enumerate() {
        let path = format!("Bundle.entry[0].resource.item[{n}]");
        let has_code = item
            .get("productOrService")
            .is_some_and(|c| coding::codings(c).next().is_some());
        checks.require(
            has_code,
            IssueCode::Required,
            format!("{path}.productOrService"),
            "Claim.item.productOrService must have a code",
        );
        check_service_codes(item, &path, checks);
        if let Some(quantity) = present(item, "quantity") {
            check_quantity(guide, quantity, &format!("{path}.quantity"), checks);
        }
        if guide.requires_item_details && operation == Operation::Submit {
            check_item_details(item, &path, checks);
        }
    }
}

/// What PAS 2.2.1 requires of an item beyond FHIR.
fn check_item_details(item: &Value, path: &str, checks: &mut Checks) {
    checks.require(
        present(item, "category").is_some(),
        IssueCode::Required,
        format!("{path}.category"),
        "Claim.item.category is missing",
    );
    checks.require(
        present(item, "locationCodeableConcept").is_some(),
        IssueCode::Required,
        format!("{path}.location"),
        "Claim.item.locationCodeableConcept is missing",
    );
    for name in ["serviceItemRequestType", "certificationType"] {
        let url = extension_url(name);
        checks.require(
            fhir::extension(item, &url).is_some(),
            IssueCode::Required,
            format!("{path}.extension('{url}')"),
            &format!("Claim.item must have the extension extension-{name}"),
        );
    }
}

/// Every reference that can be reached from the Claim must resolve to an entry (spec-13, spec-18). References that only
/// another Claim reaches may dangle.
pub(super) fn check_references(index: &BundleIndex<'_>, claim: BundleEntry<'_>, checks: &mut Checks) {
    let mut seen = HashSet::from([claim.index]);
    let mut pending = vec![claim];
    while let Some(entry) = pending.pop() {
        if entry.is_type("Bundle") {
            // The references inside of a Bundle that is supporting information resolve to its own entries.
            continue;
        }
        reference::walk(entry.resource, &entry.path(), &mut |literal, path| {
            if literal.starts_with('#') {
                return;
            }
            match index.resolve(literal, entry.full_url) {
                Some(target) if seen.insert(target.index) => {
                    if !target.is_type("Claim") {
                        pending.push(target);
                    }
                }
                Some(_) => {}
                None => checks.error(
                    IssueCode::NotFound,
                    path,
                    "The reference does not resolve to an entry of the Bundle (spec-13)",
                ),
            }
        });
    }
}
