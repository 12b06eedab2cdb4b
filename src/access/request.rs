//! The request as it was stored, seen by this door: the claim, its lines, and the people and places that it names,
//! each under the address that it has here. Nothing is copied: an address leads back into the stored request.

use crate::fhir::bundle::{Entry, Index};
use crate::fhir::{self, reference};
use crate::prior_auth::PriorAuth;
use serde_json::{Value, json};

/// The plan itself, as an Organization of this base.
pub const PAYER: &str = "Organization/payer";

/// What a request may hold that this base serves with it.
pub const SERVED: [&str; 4] = [
    "Organization",
    "Practitioner",
    "Location",
    "QuestionnaireResponse",
];

/// The PAS bundle of a stored message, which may have come inside `Parameters`.
pub fn bundle(message: &Value) -> &Value {
    let wrapped = fhir::list(message, "parameter").find_map(|p| p.get("resource"));
    wrapped.unwrap_or(message)
}

/// A stored request with the case that it opened.
#[derive(Debug)]
pub struct Request<'a> {
    /// The case.
    pub case: &'a PriorAuth,
    /// The Claim.
    pub claim: &'a Value,
    claim_url: &'a str,
    index: Index<'a>,
}

impl<'a> Request<'a> {
    /// Opens a stored request: the PAS bundle, bare or inside `Parameters`. `None` when it holds no Claim.
    pub fn open(case: &'a PriorAuth, message: &'a Value) -> Option<Self> {
        let index = Index::of(bundle(message));
        let entry = index.of_type("Claim").next()?;
        Some(Self {
            case,
            claim: entry.resource,
            claim_url: entry.full_url,
            index,
        })
    }

    /// The claim's line with this sequence.
    pub fn line(&self, sequence: u32) -> Option<&'a Value> {
        fhir::list(self.claim, "item")
            .find(|i| i.get("sequence").and_then(Value::as_u64) == Some(u64::from(sequence)))
    }

    /// The entries that this base serves, with their addresses.
    pub fn parties(&self) -> impl Iterator<Item = (String, Entry<'a>)> + '_ {
        self.index.entries().filter_map(|entry| {
            let address = self.address(&entry).filter(|address| address != PAYER)?;
            SERVED
                .contains(&fhir::resource_type(entry.resource)?)
                .then_some((address, entry))
        })
    }

    /// The forms that came with the request, by address.
    pub fn forms(&self) -> impl Iterator<Item = String> + '_ {
        self.index
            .of_type("QuestionnaireResponse")
            .filter_map(|entry| self.address(&entry))
    }

    /// The address here of what a literal reference in `from` names.
    pub fn link(&self, reference: &str, from: &str) -> Option<String> {
        self.address(&self.index.resolve(reference, from)?)
    }

    /// A reference element of the claim that leads to somebody who can be served, with the name.
    pub fn actor(&self, element: &Value) -> Option<Value> {
        let entry = self.index.resolve(reference::literal(element)?, self.claim_url)?;
        let entry = self.behind_role(entry);
        let mut actor = json!({ "reference": self.address(&entry)? });
        let name = match fhir::resource_type(entry.resource) {
            Some("Practitioner") => fhir::human_name(entry.resource),
            _ => fhir::text(entry.resource, &["name"]).map(str::to_owned),
        };
        super::build::put_some(&mut actor, "display", name.map(Value::String));
        Some(actor)
    }

    /// A role stands for its practitioner, else for its organization.
    fn behind_role(&self, entry: Entry<'a>) -> Entry<'a> {
        if fhir::resource_type(entry.resource) != Some("PractitionerRole") {
            return entry;
        }
        ["practitioner", "organization"]
            .iter()
            .filter_map(|name| fhir::text(entry.resource, &[name, "reference"]))
            .find_map(|literal| self.index.resolve(literal, entry.full_url))
            .unwrap_or(entry)
    }

    /// The address that an entry has at this base: the member and the coverage by their rows, the plan by its one
    /// name, others by NPI, else by their place in the request.
    fn address(&self, entry: &Entry<'a>) -> Option<String> {
        let received = &self.case.received;
        let kind = fhir::resource_type(entry.resource)?;
        if self.is_named(entry, &["patient"]) {
            return Some(format!("Patient/{}", received.member));
        }
        if self.is_named(entry, &["insurer"]) {
            return Some(PAYER.to_owned());
        }
        if kind == "Coverage" && self.is_coverage(entry) {
            return Some(format!("Coverage/{}", received.coverage));
        }
        if !SERVED.contains(&kind) {
            return None;
        }
        let npi = fhir::npi(entry.resource)
            .filter(|npi| npi.len() == 10 && npi.bytes().all(|b| b.is_ascii_digit()) && kind != "Location");
        Some(match npi {
            Some(npi) => format!("{kind}/npi-{npi}"),
            None => format!("{kind}/{}-{}", self.case.id, entry.index),
        })
    }

    fn is_named(&self, entry: &Entry<'a>, element: &[&str]) -> bool {
        fhir::get(self.claim, element).is_some_and(|named| self.leads_to(named, entry))
    }

    fn is_coverage(&self, entry: &Entry<'a>) -> bool {
        fhir::list(self.claim, "insurance")
            .filter(|i| i.get("focal").and_then(Value::as_bool) == Some(true))
            .filter_map(|i| i.get("coverage"))
            .any(|named| self.leads_to(named, entry))
    }

    fn leads_to(&self, element: &Value, entry: &Entry<'a>) -> bool {
        reference::literal(element)
            .and_then(|literal| self.index.resolve(literal, self.claim_url))
            .is_some_and(|found| found.index == entry.index)
    }
}
