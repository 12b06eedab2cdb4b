//! Thin views over FHIR JSON (R4). Nothing is modelled twice: a view borrows the `Value`, getters return options
//! or iterators, none of them panics, and elements that nobody knows survive.

pub mod bundle;
pub mod coding;
pub mod dates;
pub mod outcome;
pub mod quantity;
pub mod reference;

use serde_json::Value;

/// `value.a.b` as text: walks object members by name.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    get(value, path)?.as_str()
}

/// Walks object members by name; a step onto an array takes its first element.
pub fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, step| {
        let at = match at {
            Value::Array(list) => list.first()?,
            other => other,
        };
        at.get(*step)
    })
}

/// Sets a member of a JSON object; on anything else it does nothing.
pub fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The members of a repeating element; an element that is missing or no array repeats zero times.
pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// `resourceType`.
pub fn resource_type(resource: &Value) -> Option<&str> {
    resource.get("resourceType")?.as_str()
}

/// The first extension with this url.
pub fn extension<'a>(element: &'a Value, url: &str) -> Option<&'a Value> {
    extensions(element, url).next()
}

/// Every extension with this url.
pub fn extensions<'a>(element: &'a Value, url: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let url = url.to_owned();
    list(element, "extension").filter(move |e| e.get("url").and_then(Value::as_str) == Some(url.as_str()))
}

/// `identifier[].(system, value)` of a resource.
pub fn identifiers(resource: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(resource, "identifier").filter_map(|i| {
        Some((
            i.get("system").and_then(Value::as_str).unwrap_or(""),
            i.get("value")?.as_str()?,
        ))
    })
}

/// The National Provider Identifier's system.
pub const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

/// The resource's NPI, if it names one.
pub fn npi(resource: &Value) -> Option<&str> {
    identifiers(resource)
        .find(|(system, _)| *system == NPI)
        .map(|(_, value)| value)
}

/// A human name as one line: `text`, or prefix, given and family.
pub fn human_name(resource: &Value) -> Option<String> {
    let names: Vec<&Value> = list(resource, "name").collect();
    let name = names
        .iter()
        .find(|n| n.get("use").and_then(Value::as_str) == Some("official"))
        .or_else(|| names.first())?;
    if let Some(text) = name.get("text").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let given = list(name, "given").filter_map(Value::as_str);
    let family = name.get("family").and_then(Value::as_str);
    let line = given.chain(family).collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}
