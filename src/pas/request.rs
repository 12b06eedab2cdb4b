//! A PAS request Bundle, read and checked (PAS 2.2.1, section "Request", spec-11 to spec-24). All problems are reported
//! in one response, each with its place. What the guide allows is never refused: unknown categories, past dates,
//! additional entries and elements.

use super::content_checks::{check_dates, check_diagnoses, check_modifiers};
use super::evidence_checks::{check_beneficiaries, check_statuses};
use super::request_checks::{Operation, check_bundle, check_claim, check_items, check_references};
use crate::error::{Error, IssueCode, Result};
use crate::evidence::Resources;
use crate::fhir::bundle::{BundleEntry, BundleIndex, require_bundle};
use crate::fhir::coding::{code_in, codings};
use crate::fhir::outcome::Checks;
use crate::fhir::{self, present, reference};
use crate::ig::pas::{PasGuide, extension_url};
use crate::prior_auth::PriorAuth;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// FHIR's own list of priorities.
const PROCESS_PRIORITY: &str = "http://terminology.hl7.org/CodeSystem/processpriority";

/// A request that passed every check.
#[derive(Debug)]
pub struct Request<'a> {
    /// `Bundle.identifier` as `system|value`.
    pub bundle_identifier: String,
    /// The entries of the Bundle.
    pub index: BundleIndex<'a>,
    /// Every resource of the Bundle, also those in Bundles inside of it.
    pub resources: Resources<'a>,
    /// The Claim, which is the first entry.
    pub claim: BundleEntry<'a>,
    /// `Claim.patient`.
    pub patient: BundleEntry<'a>,
    /// The coverage of the focal `Claim.insurance`.
    pub coverage: BundleEntry<'a>,
    /// The coverages of every `Claim.insurance`, the focal one first.
    pub coverages: Vec<BundleEntry<'a>>,
    /// `Claim.insurer`, the payer.
    pub insurer: BundleEntry<'a>,
    /// `Claim.provider`, the requester.
    pub provider: BundleEntry<'a>,
    items_by_sequence: HashMap<u32, &'a Value>,
}

impl<'a> Request<'a> {
    /// Reads a Bundle that was sent to `$submit`.
    pub fn read(guide: &PasGuide, bundle: &'a Value) -> Result<Self> {
        Self::read_for(Operation::Submit, guide, bundle)
    }

    /// Reads a Bundle that was sent to `$inquire`.
    pub fn read_inquiry(guide: &PasGuide, bundle: &'a Value) -> Result<Self> {
        Self::read_for(Operation::Inquire, guide, bundle)
    }

    /// Reads the stored request of a case, in the guide version under which it was received. It passed the checks at
    /// receipt, and later checks do not apply to it, so an error is a fault of the server.
    pub fn read_stored(case: &PriorAuth, bundle: &'a Value) -> Result<Self> {
        let channel = &case.received.channel;
        let guide = PasGuide::named(channel)
            .ok_or_else(|| Error::internal(format!("case {} has the unknown channel {channel}", case.id)))?;
        Self::read_again(guide, bundle)
            .map_err(|e| Error::internal(format!("the request of case {} cannot be read: {e}", case.id)))
    }

    /// Reads a Bundle of this guide version that has passed the checks, with its decimals marked (`fhir::decimals`).
    pub(super) fn read_again(guide: &PasGuide, bundle: &'a Value) -> Result<Self> {
        Self::read_for(Operation::ReadStored, guide, bundle)
    }

    fn read_for(operation: Operation, guide: &PasGuide, bundle: &'a Value) -> Result<Self> {
        require_bundle(bundle)?;
        let index = BundleIndex::new(bundle);
        let is_new = operation != Operation::ReadStored;
        let mut checks = Checks::default();
        if is_new {
            check_bundle(bundle, &mut checks);
        }
        let claim = first_claim(&index, &mut checks);
        let Some(claim) = claim else {
            checks.finish()?;
            return Err(Error::malformed("The Bundle has no Claim"));
        };
        if is_new {
            check_claim(claim.resource, operation, &mut checks);
            check_items(guide, claim.resource, operation, &mut checks);
            check_diagnoses(claim.resource, &mut checks);
            check_dates(&index, &mut checks);
            check_references(&index, claim, &mut checks);
        }
        let patient = referenced(&index, claim, "patient", &["Patient"], &mut checks);
        let insurer = referenced(&index, claim, "insurer", &["Organization"], &mut checks);
        let requesters = ["Organization", "PractitionerRole", "Practitioner"];
        let provider = referenced(&index, claim, "provider", &requesters, &mut checks);
        let coverage = focal_coverage(&index, claim, &mut checks);
        let coverages = coverages_of(&index, claim, coverage);
        let resources = Resources::of_bundle(bundle);
        if is_new {
            let deciding = [Some(claim), patient].into_iter().flatten();
            let deciding: Vec<BundleEntry<'_>> = deciding.chain(coverages.iter().copied()).collect();
            check_modifiers(bundle, &deciding, &mut checks);
            check_beneficiaries(&resources, patient, &coverages, &mut checks);
        }
        if operation == Operation::Submit {
            check_statuses(&resources, &mut checks);
        }
        checks.finish()?;
        let (Some(patient), Some(insurer), Some(provider), Some(coverage)) =
            (patient, insurer, provider, coverage)
        else {
            return Err(Error::invalid(
                "Bundle.entry[0].resource",
                "Claim.patient, insurer, provider and insurance.coverage must resolve to entries of the Bundle",
            ));
        };
        Ok(Self {
            bundle_identifier: system_and_value(bundle.get("identifier")),
            index,
            resources,
            claim,
            patient,
            coverage,
            coverages,
            insurer,
            provider,
            items_by_sequence: items_by_sequence(claim.resource),
        })
    }

    /// `Claim.item`.
    pub fn items(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        fhir::list(self.claim.resource, "item")
    }

    /// The `Claim.item` with this sequence.
    pub fn item(&self, sequence: u32) -> Option<&'a Value> {
        self.items_by_sequence.get(&sequence).copied()
    }

    /// Whether the provider requests an expedited decision: priority `stat`, or level of service `U` or `03`. Only the
    /// provider decides this.
    pub fn urgent(&self) -> bool {
        let levels = fhir::extensions(self.claim.resource, &extension_url("levelOfServiceCode"));
        let mut codes = levels
            .filter_map(|level| level.get("valueCodeableConcept"))
            .flat_map(codings)
            // Senders write the code system of X12 data element 1338 or its value set.
            .filter(|level| level.system.is_empty() || level.system.ends_with("/1338"))
            .map(|level| level.code);
        self.priority() == "stat" || codes.any(|code| matches!(code, "U" | "03"))
    }

    /// Whether the request changes an earlier one (`Claim.related`).
    pub fn is_update(&self) -> bool {
        present(self.claim.resource, "related").is_some()
    }

    /// The code of `Claim.priority`: `stat` if one of its codings says so, otherwise the code of FHIR's own list, otherwise
    /// the first one; `normal` when there is none.
    pub fn priority(&self) -> &'a str {
        let Some(concept) = self.claim.resource.get("priority") else {
            return "normal";
        };
        let stat = codings(concept)
            .find(|priority| priority.code == "stat")
            .map(|priority| priority.code);
        stat.or_else(|| code_in(concept, PROCESS_PRIORITY))
            .or_else(|| codings(concept).next().map(|priority| priority.code))
            .unwrap_or("normal")
    }

    /// The first `Claim.identifier` as `system|value`.
    pub fn claim_identifier(&self) -> String {
        system_and_value(fhir::list(self.claim.resource, "identifier").next())
    }
}

/// The first `Claim.item` of each sequence.
fn items_by_sequence(claim: &Value) -> HashMap<u32, &Value> {
    let mut items = HashMap::new();
    for item in fhir::list(claim, "item") {
        if let Some(sequence) = item_sequence(item) {
            items.entry(sequence).or_insert(item);
        }
    }
    items
}

/// `Claim.item.sequence`.
pub(super) fn item_sequence(item: &Value) -> Option<u32> {
    let sequence = item.get("sequence").and_then(Value::as_u64)?;
    u32::try_from(sequence).ok()
}

fn system_and_value(identifier: Option<&Value>) -> String {
    let part = |name| identifier.and_then(|i| fhir::text(i, &[name])).unwrap_or("");
    format!("{}|{}", part("system"), part("value"))
}

/// The Claim, which must be the first entry of the Bundle.
fn first_claim<'a>(index: &BundleIndex<'a>, checks: &mut Checks) -> Option<BundleEntry<'a>> {
    let claim = index
        .entries()
        .next()
        .filter(|e| e.index == 0 && e.is_type("Claim"));
    checks.require(
        claim.is_some(),
        IssueCode::Invariant,
        "Bundle.entry[0].resource",
        "The first entry of the Bundle must be the Claim (spec-12)",
    );
    claim
}

/// The entry that an element of the Claim references, which must be one of these resource types.
fn referenced<'a>(
    index: &BundleIndex<'a>,
    claim: BundleEntry<'a>,
    element: &str,
    types: &[&str],
    checks: &mut Checks,
) -> Option<BundleEntry<'a>> {
    let path = format!("Bundle.entry[0].resource.{element}");
    let Some(literal) = claim.resource.get(element).and_then(reference::literal) else {
        checks.error(
            IssueCode::Required,
            path,
            format!("Claim.{element} must have a reference"),
        );
        return None;
    };
    // `check_references` has reported a reference that does not resolve.
    let entry = index.resolve(literal, claim.full_url)?;
    if !types.iter().any(|t| entry.is_type(t)) {
        checks.error(
            IssueCode::Value,
            path,
            format!(
                "Claim.{element} must reference a resource of type {}",
                types.join(" or ")
            ),
        );
        return None;
    }
    Some(entry)
}

/// The coverages of every `Claim.insurance`, the focal one first.
fn coverages_of<'a>(
    index: &BundleIndex<'a>,
    claim: BundleEntry<'a>,
    focal: Option<BundleEntry<'a>>,
) -> Vec<BundleEntry<'a>> {
    let all = fhir::list(claim.resource, "insurance")
        .filter_map(|insurance| reference::literal(insurance.get("coverage")?))
        .filter_map(|literal| index.resolve(literal, claim.full_url))
        .filter(|entry| entry.is_type("Coverage"));
    let mut seen = HashSet::new();
    let mut coverages: Vec<BundleEntry<'a>> = focal.into_iter().chain(all).collect();
    coverages.retain(|entry| seen.insert(entry.index));
    coverages
}

/// The coverage of the focal `Claim.insurance`, or of the only one.
fn focal_coverage<'a>(
    index: &BundleIndex<'a>,
    claim: BundleEntry<'a>,
    checks: &mut Checks,
) -> Option<BundleEntry<'a>> {
    let insurance: Vec<&Value> = fhir::list(claim.resource, "insurance").collect();
    let focal = insurance
        .iter()
        .position(|i| i.get("focal").and_then(Value::as_bool) == Some(true))
        .or_else(|| (insurance.len() == 1).then_some(0));
    let Some(focal) = focal else {
        checks.error(
            IssueCode::Required,
            "Bundle.entry[0].resource.insurance",
            "Claim.insurance must have a repetition with focal = true",
        );
        return None;
    };
    let path = format!("Bundle.entry[0].resource.insurance[{focal}].coverage");
    let literal = insurance
        .get(focal)
        .and_then(|i| i.get("coverage"))
        .and_then(reference::literal);
    let Some(literal) = literal else {
        let message = "Claim.insurance.coverage must have a reference";
        checks.error(IssueCode::Required, path, message);
        return None;
    };
    let entry = index.resolve(literal, claim.full_url)?;
    if !entry.is_type("Coverage") {
        let message = "Claim.insurance.coverage must reference a Coverage";
        checks.error(IssueCode::Value, path, message);
        return None;
    }
    Some(entry)
}
