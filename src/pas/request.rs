//! A PAS request bundle, read and checked: every problem is reported at once, each with its place (PAS 2.2.1, section
//! "Request", spec-11 to spec-24). Nothing is rejected that the guide allows: unknown categories, old dates, extra
//! entries and elements pass.

use crate::error::{Error, Result};
use crate::fhir::bundle::{Entry, Index};
use crate::fhir::outcome::{Checks, Code};
use crate::fhir::{self, reference};
use crate::ig::pas::{Pas, sd};
use serde_json::Value;
use std::collections::HashSet;

/// A request that holds together.
#[derive(Debug)]
pub struct Request<'a> {
    /// `Bundle.identifier` as `system|value`.
    pub bundle_identifier: String,
    /// The bundle's entries.
    pub index: Index<'a>,
    /// The first entry.
    pub claim: Entry<'a>,
    /// Who the request is for.
    pub patient: Entry<'a>,
    /// The focal coverage.
    pub coverage: Entry<'a>,
    /// The payer.
    pub insurer: Entry<'a>,
    /// Who asks.
    pub provider: Entry<'a>,
}

impl<'a> Request<'a> {
    /// Reads a bundle that was sent to `$submit`.
    pub fn read(guide: &Pas, body: &'a Value) -> Result<Self> {
        Self::read_as(guide, body, Operation::Submit)
    }

    /// Reads a bundle that was sent to `$inquire`: the same frame, softer items.
    pub fn read_inquiry(guide: &Pas, body: &'a Value) -> Result<Self> {
        Self::read_as(guide, body, Operation::Inquire)
    }

    fn read_as(guide: &Pas, body: &'a Value, operation: Operation) -> Result<Self> {
        let bundle = unwrap_parameters(body)?;
        let index = Index::of(bundle);
        let mut checks = Checks::default();
        check_frame(bundle, &mut checks);
        let Some(claim) = index.entries().next().filter(|e| e.index == 0 && is(e, "Claim")) else {
            checks.error(
                Code::Invariant,
                "Bundle.entry[0].resource",
                "The first entry must be the Claim (ClaimFirst, spec-12)",
            );
            return Err(checks
                .finish()
                .err()
                .unwrap_or_else(|| Error::malformed("No Claim")));
        };
        check_claim(claim.resource, operation, &mut checks);
        check_items(guide, claim.resource, operation, &mut checks);
        check_closure(&index, claim, &mut checks);
        let party = |name: &str, types: &[&str], checks: &mut Checks| {
            let at = format!("Bundle.entry[0].resource.{name}");
            let found = claim.resource.get(name).and_then(reference::literal);
            let Some(found) = found else {
                checks.error(Code::Required, at, format!("Claim.{name} must hold a reference"));
                return None;
            };
            // An unresolved reference has been reported by the closure already.
            let entry = index.resolve(found, claim.full_url)?;
            if !types.iter().any(|t| is(&entry, t)) {
                checks.error(
                    Code::Value,
                    at,
                    format!("Claim.{name} must point at {}", types.join(" or ")),
                );
                return None;
            }
            Some(entry)
        };
        let patient = party("patient", &["Patient"], &mut checks);
        let insurer = party("insurer", &["Organization"], &mut checks);
        let provider = party(
            "provider",
            &["Organization", "PractitionerRole", "Practitioner"],
            &mut checks,
        );
        let coverage = focal_coverage(&index, claim, &mut checks);
        checks.finish()?;
        let (Some(patient), Some(insurer), Some(provider), Some(coverage)) =
            (patient, insurer, provider, coverage)
        else {
            return Err(Error::invalid(
                "Bundle.entry[0].resource",
                "The Claim's parties cannot be resolved",
            ));
        };
        Ok(Self {
            bundle_identifier: identifier_of(bundle.get("identifier")),
            index,
            claim,
            patient,
            coverage,
            insurer,
            provider,
        })
    }

    /// `Claim.item`.
    pub fn items(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        fhir::list(self.claim.resource, "item")
    }

    /// Whether the provider asks for an expedited decision: priority stat, or level of service U or 03. The flag is
    /// the provider's; nobody here may clear it.
    pub fn urgent(&self) -> bool {
        let stat = fhir::text(self.claim.resource, &["priority", "coding", "code"]) == Some("stat");
        let level = fhir::extension(self.claim.resource, &sd("extension-levelOfServiceCode"))
            .and_then(|e| fhir::text(e, &["valueCodeableConcept", "coding", "code"]));
        stat || matches!(level, Some("U" | "03"))
    }

    /// `Claim.priority`, `normal` when it says nothing.
    pub fn priority(&self) -> &'a str {
        fhir::text(self.claim.resource, &["priority", "coding", "code"]).unwrap_or("normal")
    }

    /// The Claim's own identifier as `system|value`.
    pub fn claim_identifier(&self) -> String {
        identifier_of(fhir::list(self.claim.resource, "identifier").next())
    }

    /// Every resource of the bundle.
    pub fn resources(&self) -> Vec<&'a Value> {
        self.index.entries().map(|e| e.resource).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Submit,
    Inquire,
}

fn is(entry: &Entry<'_>, resource_type: &str) -> bool {
    fhir::resource_type(entry.resource) == Some(resource_type)
}

/// The Bundle itself, or the one that a `Parameters` carries as `resource`.
fn unwrap_parameters(body: &Value) -> Result<&Value> {
    let bundle = match fhir::resource_type(body) {
        Some("Parameters") => fhir::list(body, "parameter")
            .find(|p| fhir::text(p, &["name"]) == Some("resource"))
            .and_then(|p| p.get("resource"))
            .unwrap_or(body),
        _ => body,
    };
    match fhir::resource_type(bundle) {
        Some("Bundle") => Ok(bundle),
        Some(_) => {
            Err(Error::malformed("The body must be a Bundle; it is another resource").at("resourceType"))
        }
        None => Err(Error::malformed("The body must be a Bundle; it has no resourceType").at("resourceType")),
    }
}

fn identifier_of(identifier: Option<&Value>) -> String {
    let part = |name| identifier.and_then(|i| fhir::text(i, &[name])).unwrap_or("");
    format!("{}|{}", part("system"), part("value"))
}

fn check_frame(bundle: &Value, checks: &mut Checks) {
    checks.require(
        fhir::text(bundle, &["type"]) == Some("collection"),
        Code::Value,
        "Bundle.type",
        "Bundle.type must be collection",
    );
    let identified = bundle
        .get("identifier")
        .is_some_and(|i| fhir::text(i, &["value"]).is_some());
    checks.require(
        identified,
        Code::Required,
        "Bundle.identifier",
        "Bundle.identifier must hold a value",
    );
    let stamped = fhir::text(bundle, &["timestamp"]).is_some_and(|t| fhir::dates::instant(t).is_some());
    checks.require(
        stamped,
        Code::Required,
        "Bundle.timestamp",
        "Bundle.timestamp must be a full instant",
    );
    let mut seen = HashSet::new();
    for (n, entry) in fhir::list(bundle, "entry").enumerate() {
        let at = format!("Bundle.entry[{n}]");
        let full_url = fhir::text(entry, &["fullUrl"]);
        checks.require(
            full_url.is_some_and(|u| u.starts_with("urn:") || u.contains("://")),
            Code::Required,
            format!("{at}.fullUrl"),
            "Each entry needs an absolute fullUrl (spec-16)",
        );
        let typed = entry.get("resource").and_then(fhir::resource_type).is_some();
        checks.require(
            typed,
            Code::Required,
            format!("{at}.resource"),
            "Each entry needs a resource",
        );
        if let Some(full_url) = full_url
            && !seen.insert(full_url)
        {
            checks.error(
                Code::Duplicate,
                format!("{at}.fullUrl"),
                "Two entries have the same fullUrl; an instance may occur once (spec-14)",
            );
        }
    }
}

fn check_claim(claim: &Value, operation: Operation, checks: &mut Checks) {
    let at = |name: &str| format!("Bundle.entry[0].resource.{name}");
    let fixed = [("use", "preauthorization"), ("status", "active")];
    for (name, wanted) in fixed {
        checks.require(
            fhir::text(claim, &[name]) == Some(wanted),
            Code::Value,
            at(name),
            &format!("Claim.{name} must be {wanted}"),
        );
    }
    let kind = claim
        .get("type")
        .and_then(|t| fhir::coding::codings(t).next().map(|c| c.code));
    checks.require(
        matches!(kind, Some("professional" | "institutional" | "oral")),
        Code::Value,
        at("type"),
        "Claim.type must be professional, institutional or oral",
    );
    checks.require(
        fhir::text(claim, &["created"]).is_some(),
        Code::Required,
        at("created"),
        "Claim.created is missing",
    );
    checks.require(
        claim.get("priority").is_some(),
        Code::Required,
        at("priority"),
        "Claim.priority is missing",
    );
    let identifiers: Vec<&Value> = fhir::list(claim, "identifier").collect();
    checks.require(
        (1..=2).contains(&identifiers.len()),
        Code::Required,
        at("identifier"),
        "Claim.identifier must occur once or twice",
    );
    for (n, identifier) in identifiers.into_iter().enumerate() {
        checks.require(
            fhir::text(identifier, &["value"]).is_some() && fhir::text(identifier, &["system"]).is_some(),
            Code::Required,
            at(&format!("identifier[{n}]")),
            "Claim.identifier needs system and value",
        );
    }
    if operation == Operation::Submit {
        check_sequences(claim, "supportingInfo", checks);
    }
}

/// Sequences must be there and differ (spec-22 for supportingInfo; FHIR's own sense for items).
fn check_sequences(claim: &Value, name: &str, checks: &mut Checks) {
    let mut seen = HashSet::new();
    for (n, element) in fhir::list(claim, name).enumerate() {
        let at = format!("Bundle.entry[0].resource.{name}[{n}].sequence");
        match element
            .get("sequence")
            .and_then(Value::as_u64)
            .filter(|s| (1..=0x7fff_ffff).contains(s))
        {
            None => checks.error(Code::Required, at, "sequence must be a positive number"),
            Some(sequence) if !seen.insert(sequence) => {
                checks.error(Code::Duplicate, at, "This sequence occurs twice in the Claim");
            }
            Some(_) => {}
        }
    }
}

fn check_items(guide: &Pas, claim: &Value, operation: Operation, checks: &mut Checks) {
    let any = operation == Operation::Inquire || fhir::list(claim, "item").next().is_some();
    checks.require(
        any,
        Code::Required,
        "Bundle.entry[0].resource.item",
        "The Claim asks for nothing: item is missing",
    );
    check_sequences(claim, "item", checks);
    for (n, item) in fhir::list(claim, "item").enumerate() {
        let at = |name: &str| format!("Bundle.entry[0].resource.item[{n}].{name}");
        let coded = item
            .get("productOrService")
            .is_some_and(|c| fhir::coding::codings(c).next().is_some());
        checks.require(
            coded,
            Code::Required,
            at("productOrService"),
            "item.productOrService needs a code",
        );
        if let Some(quantity) = item.get("quantity") {
            let number = quantity.get("value").is_some_and(Value::is_number);
            checks.require(
                number,
                Code::Value,
                at("quantity.value"),
                "item.quantity.value must be a number",
            );
        }
        if !(guide.item_minimums && operation == Operation::Submit) {
            continue;
        }
        checks.require(
            item.get("category").is_some(),
            Code::Required,
            at("category"),
            "item.category is missing",
        );
        let place = item.get("locationCodeableConcept").is_some();
        checks.require(
            place,
            Code::Required,
            at("location"),
            "item.locationCodeableConcept is missing",
        );
        for name in ["extension-serviceItemRequestType", "extension-certificationType"] {
            checks.require(
                fhir::extension(item, &sd(name)).is_some(),
                Code::Required,
                at(&format!("extension('{}')", sd(name))),
                &format!("item needs the extension {name}"),
            );
        }
    }
}

/// Everything that can be reached from the Claim must be an entry (spec-13, 18). What only a prior Claim reaches is
/// tolerated.
fn check_closure(index: &Index<'_>, claim: Entry<'_>, checks: &mut Checks) {
    let mut seen = HashSet::from([claim.index]);
    let mut waiting = vec![claim];
    while let Some(entry) = waiting.pop() {
        if is(&entry, "Bundle") {
            // A Bundle as supporting information holds references of its own, which its own entries answer.
            continue;
        }
        reference::walk(entry.resource, &entry.path(), &mut |found, at| {
            if found.starts_with('#') {
                return;
            }
            match index.resolve(found, entry.full_url) {
                Some(next) if seen.insert(next.index) => {
                    if !is(&next, "Claim") {
                        waiting.push(next);
                    }
                }
                Some(_) => {}
                None => checks.error(
                    Code::NotFound,
                    at,
                    "This reference resolves to no entry of the Bundle (spec-13)",
                ),
            }
        });
    }
}

fn focal_coverage<'a>(index: &Index<'a>, claim: Entry<'a>, checks: &mut Checks) -> Option<Entry<'a>> {
    let insurance: Vec<&Value> = fhir::list(claim.resource, "insurance").collect();
    let focal = insurance
        .iter()
        .position(|i| i.get("focal").and_then(Value::as_bool) == Some(true))
        .or_else(|| (insurance.len() == 1).then_some(0));
    let Some(focal) = focal else {
        let at = "Bundle.entry[0].resource.insurance";
        checks.error(Code::Required, at, "One insurance must be focal");
        return None;
    };
    let at = format!("Bundle.entry[0].resource.insurance[{focal}].coverage");
    let found = insurance
        .get(focal)
        .and_then(|i| i.get("coverage"))
        .and_then(reference::literal);
    let Some(found) = found else {
        checks.error(Code::Required, at, "insurance.coverage must hold a reference");
        return None;
    };
    let entry = index.resolve(found, claim.full_url)?;
    if !is(&entry, "Coverage") {
        checks.error(Code::Value, at, "insurance.coverage must point at a Coverage");
        return None;
    }
    Some(entry)
}
