//! References and how they resolve inside one message: by `fullUrl`; otherwise as `Type/id` against the RESTful base
//! of the entry that holds the reference. A trailing version is allowed; `#id` is contained (PAS 2.2.1 spec-13).

use serde_json::Value;
use std::collections::HashMap;

/// The literal reference of a `Reference` element.
pub fn literal(reference: &Value) -> Option<&str> {
    reference.get("reference")?.as_str()
}

/// A reference without a trailing `/_history/n`.
pub fn unversioned(reference: &str) -> &str {
    reference
        .split_once("/_history/")
        .map_or(reference, |(base, _)| base)
}

/// `Type/id` at the end of a RESTful URL or reference.
pub fn type_and_id(reference: &str) -> Option<(&str, &str)> {
    let mut parts = unversioned(reference).rsplit('/');
    let id = parts.next()?;
    let resource_type = parts.next()?;
    let is_type = resource_type.starts_with(|c: char| c.is_ascii_uppercase());
    (is_type && !id.is_empty()).then_some((resource_type, id))
}

/// The RESTful base of a full URL: the text before `Type/id`.
pub fn base_of(full_url: &str) -> Option<&str> {
    let (resource_type, id) = type_and_id(full_url)?;
    unversioned(full_url).strip_suffix(&format!("{resource_type}/{id}"))
}

/// Whether two absolute URLs have the same scheme and host. Clients name one server by several paths.
pub fn is_same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split('/').next()?;
        Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
    };
    origin(one).is_some_and(|origin_of_one| Some(origin_of_one) == origin(other))
}

/// Resources by type and id: the first one with each.
#[derive(Debug, Default)]
pub struct ByTypeAndId<'a>(HashMap<(&'a str, &'a str), &'a Value>);

impl<'a> ByTypeAndId<'a> {
    /// Indexes the resources that have a type and an id.
    pub fn new(resources: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut index = HashMap::new();
        for resource in resources {
            if let Some(key) = super::resource_type(resource).zip(super::text(resource, &["id"])) {
                index.entry(key).or_insert(resource);
            }
        }
        Self(index)
    }

    /// The resource that a literal reference names: in `contained` of the resource that holds the reference, otherwise the
    /// one with its type and id.
    pub fn find(&self, reference: &str, holder: &'a Value) -> Option<&'a Value> {
        if reference.starts_with('#') {
            return contained(holder, reference);
        }
        self.0.get(&type_and_id(reference)?).copied()
    }
}

/// The resource that a reference `#id` names in `contained` of the resource that holds the reference.
pub fn contained<'a>(holder: &'a Value, reference: &str) -> Option<&'a Value> {
    let id = reference.strip_prefix('#')?;
    super::list(holder, "contained").find(|c| super::text(c, &["id"]) == Some(id))
}

/// Calls `visit` with every literal reference below `value` (each member `reference` that is a string) and with the
/// FHIRPath of the element that holds it. `path` is the FHIRPath of `value` itself.
pub fn walk<'a>(value: &'a Value, path: &str, visit: &mut impl FnMut(&'a str, &str)) {
    walk_below(value, &mut path.to_owned(), visit);
}

fn walk_below<'a>(value: &'a Value, path: &mut String, visit: &mut impl FnMut(&'a str, &str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "reference" => visit(text, path),
                    Value::Object(_) | Value::Array(_) => {
                        super::at_member(path, name, |path| walk_below(member, path, visit));
                    }
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            for (n, member) in list.iter().enumerate() {
                super::at_index(path, n, |path| walk_below(member, path, visit));
            }
        }
        _ => {}
    }
}
