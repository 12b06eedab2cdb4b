//! The resources of a request with their places. The entries of a Bundle count as resources, also when the Bundle is an
//! entry itself; contained resources belong to the resource that holds them.

use super::modifiers::first_modifier;
use super::reference_of;
use crate::fhir::bundle::{BundleEntry, BundleIndex};
use crate::fhir::reference::{type_and_id, unversioned};
use crate::fhir::{get, list, resource_type, text};
use serde_json::Value;
use std::collections::HashMap;

/// The FHIRPath of the Bundle with the orders of a hook call.
pub const DRAFT_ORDERS: &str = "context.draftOrders";

/// A resource and its place.
#[derive(Debug, Clone)]
pub struct LocatedResource<'a> {
    /// The resource.
    pub resource: &'a Value,
    /// Its FHIRPath: `Bundle.entry[6].resource`, `prefetch.observations.entry[0].resource`.
    pub path: String,
    /// The `fullUrl` of its entry; empty if it has none.
    pub full_url: &'a str,
    /// An element with a modifier in the Bundles and entries around the resource.
    pub(super) modifier_around: Option<&'static str>,
    /// The Bundle in which its references are resolved.
    scope: Option<usize>,
}

impl LocatedResource<'_> {
    /// `resourceType`; empty if it has none.
    pub fn resource_type(&self) -> &str {
        resource_type(self.resource).unwrap_or("")
    }

    /// `Type/id`, if the resource has an id.
    pub fn reference(&self) -> Option<String> {
        reference_of(self.resource_type(), self.resource)
    }
}

/// A Bundle whose entries reference one another.
#[derive(Debug)]
struct Scope<'a> {
    index: BundleIndex<'a>,
    /// The Bundle that has this one as an entry.
    outer: Option<usize>,
}

/// Every resource of a request.
#[derive(Debug, Default)]
pub struct Resources<'a> {
    all: Vec<LocatedResource<'a>>,
    scopes: Vec<Scope<'a>>,
    /// The first resource with a type and an id.
    by_reference: HashMap<(&'a str, &'a str), &'a Value>,
}

impl<'a> Resources<'a> {
    /// The resources of a request Bundle. Its references lead to its own entries.
    pub fn of_bundle(bundle: &'a Value) -> Self {
        let mut resources = Self::default();
        resources.add_bundle(bundle, "Bundle", None, true);
        resources
    }

    /// The resources of a hook call: in `context.draftOrders`, in every prefetch key, whatever its name and structure, and
    /// `read` from the EHR with their places. References lead to resources of the EHR.
    pub fn of_hook_call(call: &'a Value, read: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut resources = Self::default();
        if let Some(orders) = get(call, &["context", "draftOrders"]) {
            resources.add_from_server(DRAFT_ORDERS, orders);
        }
        let prefetch = call.get("prefetch").and_then(Value::as_object);
        for (key, value) in prefetch.into_iter().flatten() {
            resources.add_from_server(&format!("prefetch.{key}"), value);
        }
        for (path, value) in read {
            resources.add_from_server(path, value);
        }
        resources
    }

    /// Adds a resource of a FHIR server, or the entries of a Bundle that a search on the server returned. References
    /// lead to resources of the server. A resource that is there already is not added again.
    pub fn add_from_server(&mut self, path: &str, value: &'a Value) {
        self.add(
            value,
            Place {
                path: path.to_owned(),
                full_url: "",
                modifier_around: None,
                scope: None,
            },
            false,
        );
    }

    /// Every resource, in the order of the request.
    pub fn all(&self) -> &[LocatedResource<'a>] {
        &self.all
    }

    /// The entry that a literal reference of `holder` leads to inside of the Bundles around it. `None` if the resource
    /// did not come in a request Bundle, or if the reference leads out of it.
    pub(super) fn entry(&self, literal: &str, holder: &LocatedResource<'_>) -> Option<BundleEntry<'a>> {
        let mut at = holder.scope;
        while let Some(scope) = at.and_then(|n| self.scopes.get(n)) {
            if let Some(entry) = scope.index.resolve(literal, holder.full_url) {
                return Some(entry);
            }
            at = scope.outer;
        }
        None
    }

    /// Whether references of this resource lead to a FHIR server and not to the entries of a Bundle.
    pub(super) fn is_from_server(holder: &LocatedResource<'_>) -> bool {
        holder.scope.is_none()
    }

    /// The first resource with the type and the id of a literal reference.
    pub(super) fn by_type_and_id(&self, literal: &str) -> Option<&'a Value> {
        self.by_reference
            .get(&type_and_id(unversioned(literal))?)
            .copied()
    }

    fn add_bundle(&mut self, bundle: &'a Value, path: &str, around: Option<Place<'a>>, is_scope: bool) {
        let outer = around.as_ref().and_then(|place| place.scope);
        let scope = if is_scope {
            self.scopes.push(Scope {
                index: BundleIndex::new(bundle),
                outer,
            });
            Some(self.scopes.len() - 1)
        } else {
            outer
        };
        let around_modifier = around.and_then(|place| place.modifier_around);
        let has_rules = bundle.get("implicitRules").is_some_and(|rules| !rules.is_null());
        let bundle_modifier = around_modifier.or(has_rules.then_some("Bundle.implicitRules"));
        for (n, entry) in list(bundle, "entry").enumerate() {
            let Some(resource) = entry.get("resource") else {
                continue;
            };
            let entry_modifier =
                || has_modifier_beside_resource(entry).then_some("Bundle.entry.modifierExtension");
            let place = Place {
                path: format!("{path}.entry[{n}].resource"),
                full_url: text(entry, &["fullUrl"]).unwrap_or(""),
                modifier_around: bundle_modifier.or_else(entry_modifier),
                scope,
            };
            self.add(resource, place, is_scope);
        }
    }

    fn add(&mut self, resource: &'a Value, place: Place<'a>, is_scope: bool) {
        match resource_type(resource) {
            Some("Bundle") => {
                let path = place.path.clone();
                self.add_bundle(resource, &path, Some(place), is_scope);
            }
            None => {}
            Some(kind) => {
                if let Some(id) = text(resource, &["id"]) {
                    let first = *self.by_reference.entry((kind, id)).or_insert(resource);
                    if !is_scope && !std::ptr::eq(first, resource) && first == resource {
                        return; // The results of two searches may hold the same resource.
                    }
                }
                self.all.push(LocatedResource {
                    resource,
                    path: place.path,
                    full_url: place.full_url,
                    modifier_around: place.modifier_around,
                    scope: place.scope,
                });
            }
        }
    }
}

/// Where a resource is.
struct Place<'a> {
    path: String,
    full_url: &'a str,
    modifier_around: Option<&'static str>,
    scope: Option<usize>,
}

/// Whether the parts of an entry other than its resource have a modifier.
fn has_modifier_beside_resource(entry: &Value) -> bool {
    let members = entry.as_object().into_iter().flatten();
    { members }.any(|(name, value)| match name.as_str() {
        "resource" => false,
        "modifierExtension" => value.as_array().is_none_or(|all| !all.is_empty()),
        _ => first_modifier(value).is_some(),
    })
}
