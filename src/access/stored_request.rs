//! The stored PAS request as this API shows it: the claim, its items, and the other resources, each with its reference
//! at this FHIR base. Nothing is copied; a reference is resolved by looking into the stored request again.

use crate::fhir::bundle::{BundleEntry, BundleIndex};
use crate::fhir::{self, reference};
use crate::prior_auth::PriorAuth;
use serde_json::{Value, json};

/// The reference of the plan's own Organization at this base.
pub const PAYER_REFERENCE: &str = "Organization/payer";

/// Resource types of a request that can be read at this base and not searched.
pub const READ_ONLY_TYPES: [&str; 4] = [
    "Organization",
    "Practitioner",
    "Location",
    "QuestionnaireResponse",
];

/// A stored request with its case.
#[derive(Debug)]
pub struct StoredRequest<'a> {
    /// The case.
    pub case: &'a PriorAuth,
    /// The Claim.
    pub claim: &'a Value,
    claim_url: &'a str,
    index: BundleIndex<'a>,
}

impl<'a> StoredRequest<'a> {
    /// Reads the stored PAS Bundle of a case. `None` if it has no Claim.
    pub fn parse(case: &'a PriorAuth, bundle: &'a Value) -> Option<Self> {
        let index = BundleIndex::new(bundle);
        let entry = index.of_type("Claim").next()?;
        Some(Self {
            case,
            claim: entry.resource,
            claim_url: entry.full_url,
            index,
        })
    }

    /// The item of the claim with this sequence.
    pub fn item(&self, sequence: u32) -> Option<&'a Value> {
        fhir::list(self.claim, "item")
            .find(|item| item.get("sequence").and_then(Value::as_u64) == Some(u64::from(sequence)))
    }

    /// The entries that can be read at this base, each with its reference.
    pub fn related_entries(&self) -> impl Iterator<Item = (String, BundleEntry<'a>)> + '_ {
        self.index.entries().filter_map(|entry| {
            let reference = self
                .local_reference(&entry)
                .filter(|reference| reference != PAYER_REFERENCE)?;
            READ_ONLY_TYPES
                .contains(&fhir::resource_type(entry.resource)?)
                .then_some((reference, entry))
        })
    }

    /// The references of the `QuestionnaireResponse` resources in the request.
    pub fn questionnaire_responses(&self) -> impl Iterator<Item = String> + '_ {
        self.index
            .of_type("QuestionnaireResponse")
            .filter_map(|entry| self.local_reference(&entry))
    }

    /// Translates a literal reference, found in the entry with the full URL `from`, to a reference at this base.
    pub fn local_reference_for(&self, reference: &str, from: &str) -> Option<String> {
        self.local_reference(&self.index.resolve(reference, from)?)
    }

    /// Translates a reference element of the claim to a reference at this base, with the provider's name as `display`.
    /// `None` if the target cannot be read at this base.
    pub fn named_reference(&self, element: &Value) -> Option<Value> {
        let entry = self.index.resolve(reference::literal(element)?, self.claim_url)?;
        let entry = self.resolve_role(entry);
        let mut reference = json!({ "reference": self.local_reference(&entry)? });
        let name = match fhir::resource_type(entry.resource) {
            Some("Practitioner") => fhir::human_name(entry.resource),
            _ => fhir::text(entry.resource, &["name"]).map(str::to_owned),
        };
        super::json::put_optional(&mut reference, "display", name.map(Value::String));
        Some(reference)
    }

    /// Replaces a `PractitionerRole` by its practitioner, otherwise by its organization.
    fn resolve_role(&self, entry: BundleEntry<'a>) -> BundleEntry<'a> {
        if fhir::resource_type(entry.resource) != Some("PractitionerRole") {
            return entry;
        }
        ["practitioner", "organization"]
            .iter()
            .filter_map(|name| fhir::text(entry.resource, &[name, "reference"]))
            .find_map(|literal| self.index.resolve(literal, entry.full_url))
            .unwrap_or(entry)
    }

    /// The reference of an entry at this base. The member and the coverage have the ids of their rows, the plan has a
    /// fixed id, and other resources have their NPI or, without one, the case id and their index in the request.
    fn local_reference(&self, entry: &BundleEntry<'a>) -> Option<String> {
        let received = &self.case.received;
        let resource_type = fhir::resource_type(entry.resource)?;
        if self.is_referenced_by(entry, &["patient"]) {
            return Some(format!("Patient/{}", received.member));
        }
        if self.is_referenced_by(entry, &["insurer"]) {
            return Some(PAYER_REFERENCE.to_owned());
        }
        if resource_type == "Coverage" && self.is_coverage(entry) {
            return Some(format!("Coverage/{}", received.coverage));
        }
        if !READ_ONLY_TYPES.contains(&resource_type) {
            return None;
        }
        let npi = fhir::npi(entry.resource).filter(|npi| {
            npi.len() == 10 && npi.bytes().all(|b| b.is_ascii_digit()) && resource_type != "Location"
        });
        Some(match npi {
            Some(npi) => format!("{resource_type}/npi-{npi}"),
            None => format!("{resource_type}/{}-{}", self.case.id, entry.index),
        })
    }

    fn is_referenced_by(&self, entry: &BundleEntry<'a>, element: &[&str]) -> bool {
        fhir::get(self.claim, element).is_some_and(|element| self.refers_to(element, entry))
    }

    fn is_coverage(&self, entry: &BundleEntry<'a>) -> bool {
        fhir::list(self.claim, "insurance")
            .filter(|insurance| insurance.get("focal").and_then(Value::as_bool) == Some(true))
            .filter_map(|insurance| insurance.get("coverage"))
            .any(|element| self.refers_to(element, entry))
    }

    fn refers_to(&self, element: &Value, entry: &BundleEntry<'a>) -> bool {
        reference::literal(element)
            .and_then(|literal| self.index.resolve(literal, self.claim_url))
            .is_some_and(|found| found.index == entry.index)
    }
}
