//! The patient of a request, and whether a reference leads to this patient: by the resource, by an id on the client's
//! server, by a contained resource, or by an identifier.

use super::resources::{LocatedResource, Resources};
use crate::fhir::reference::{base_of, contained, is_same_origin, literal, type_and_id};
use crate::fhir::{identifiers, resource_type, text};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The patient of a request. It is used only while the resources of the request exist.
#[derive(Debug, Clone, Default)]
pub struct Patient<'a> {
    /// The Patient resource, if it is known.
    resource: Option<&'a Value>,
    /// The id on the client's FHIR server, if the request names the patient by it.
    id: Option<String>,
    /// The addresses of the client's FHIR server, each with a slash at its end. Empty if none is known.
    bases: Vec<String>,
    /// Whether each other Patient of the request, by its address in memory, is the same person. Many references may lead
    /// to one copy of the patient.
    others: Arc<Mutex<HashMap<usize, bool>>>,
}

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To the patient.
    Patient,
    /// To somebody or something else.
    Other,
    /// It does not resolve.
    Unresolved,
}

impl<'a> Patient<'a> {
    /// The patient of a request Bundle, which is one of its entries.
    pub fn of_bundle(resource: &'a Value) -> Self {
        Self {
            resource: Some(resource),
            ..Self::default()
        }
    }

    /// The patient with an id on a FHIR server. `bases` are the known addresses of the server.
    pub fn on_server(
        id: &str,
        resource: Option<&'a Value>,
        bases: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let with_slash = |base: &str| format!("{}/", base.trim_end_matches('/'));
        Self {
            resource,
            id: Some(id.to_owned()),
            bases: bases.into_iter().map(|base| with_slash(base.as_ref())).collect(),
            others: Arc::default(),
        }
    }

    /// Where a reference in `holder` leads.
    pub fn target(
        &self,
        reference: &Value,
        holder: &LocatedResource<'_>,
        resources: &Resources<'_>,
    ) -> Target {
        let by_literal = literal(reference).map(|literal| self.literal_target(literal, holder, resources));
        let by_identifier = reference.get("identifier").map(|i| self.identifier_target(i));
        match (by_literal, by_identifier) {
            (Some(Target::Other), _) | (_, Some(Target::Other)) => Target::Other,
            (Some(Target::Patient), _) | (_, Some(Target::Patient)) => Target::Patient,
            _ => Target::Unresolved,
        }
    }

    /// Whether a resource is the Patient, or the same person with the same identifier.
    pub fn is(&self, resource: &Value) -> bool {
        if resource_type(resource) != Some("Patient") {
            return false;
        }
        if let Some(own) = self.resource {
            if std::ptr::eq(own, resource) {
                return true;
            }
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            let compare = || own == resource || is_same_person(own, resource);
            return *others
                .entry(std::ptr::from_ref(resource).addr())
                .or_insert_with(compare);
        }
        self.id.is_some() && text(resource, &["id"]) == self.id.as_deref()
    }

    fn literal_target(
        &self,
        literal: &str,
        holder: &LocatedResource<'_>,
        resources: &Resources<'_>,
    ) -> Target {
        let found = |resource: &Value| {
            if self.is(resource) {
                Target::Patient
            } else {
                Target::Other
            }
        };
        if literal.starts_with('#') {
            return contained(holder.resource, literal).map_or(Target::Unresolved, found);
        }
        if !Resources::is_from_server(holder) {
            let entry = resources.entry(literal, holder);
            return entry.map_or(Target::Unresolved, |entry| found(entry.resource));
        }
        let Some((kind, id)) = type_and_id(literal) else {
            return Target::Unresolved;
        };
        let base = base_of(literal).filter(|base| !base.is_empty());
        let own_base = base_of(holder.full_url).filter(|base| !base.is_empty());
        let same_server = base.is_none_or(|base| {
            self.bases.is_empty() && own_base.is_none()
                || own_base.is_some_and(|own| is_same_origin(own, base))
                || self.bases.iter().any(|known| is_same_origin(known, base))
        });
        if same_server && kind == "Patient" && Some(id) == self.id.as_deref() {
            return Target::Patient;
        }
        match resources.by_type_and_id(literal).filter(|_| same_server) {
            Some(resource) => found(resource),
            None if kind == "Patient" => Target::Other,
            None => Target::Unresolved,
        }
    }

    /// The patient, if it has the identifier. Somebody else, if it has another value of the same system.
    fn identifier_target(&self, identifier: &Value) -> Target {
        let Some(value) = text(identifier, &["value"]) else {
            return Target::Unresolved;
        };
        let system = text(identifier, &["system"]).unwrap_or("");
        let mut same_system = self
            .resource
            .into_iter()
            .flat_map(identifiers)
            .filter(|(own, _)| *own == system)
            .peekable();
        if same_system.peek().is_none() {
            Target::Unresolved
        } else if same_system.any(|(_, own)| own == value) {
            Target::Patient
        } else {
            Target::Other
        }
    }
}

/// Whether two Patients share an identifier and do not contradict each other in the birth date.
fn is_same_person(one: &Value, other: &Value) -> bool {
    let own: HashSet<(&str, &str)> = identifiers(one).collect();
    let shared = identifiers(other)
        .filter(|(system, value)| !system.is_empty() && !value.is_empty())
        .any(|identifier| own.contains(&identifier));
    let (born, other_born) = (text(one, &["birthDate"]), text(other, &["birthDate"]));
    shared && (born.is_none() || other_born.is_none() || born == other_born)
}
