//! Views of FHIR JSON (R4). A view borrows the `serde_json::Value` and does not copy it; functions return options or
//! iterators and never panic. Elements that the server does not know are kept.

pub mod bundle;
pub mod code_shape;
pub mod coding;
pub mod date_checks;
pub mod dates;
pub mod decimals;
pub mod json;
pub mod modifiers;
pub mod outcome;
pub mod parameters;
pub mod quantity;
pub mod reference;

use serde_json::Value;

/// Runs `work` with the path of a member of an element. The path is one text that grows and shrinks, so that walking
/// through a large message copies none.
fn at_member<T>(path: &mut String, name: &str, work: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push('.');
    path.push_str(name);
    let result = work(path);
    path.truncate(length);
    result
}

/// Runs `work` with the path of a repetition of an element.
fn at_index<T>(path: &mut String, index: usize, work: impl FnOnce(&mut String) -> T) -> T {
    use std::fmt::Write;
    let length = path.len();
    // Writing to a String cannot fail.
    let _ = write!(path, "[{index}]");
    let result = work(path);
    path.truncate(length);
    result
}

/// The text at a path of member names: `text(coverage, &["beneficiary", "reference"])`. See `get`.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    get(value, path)?.as_str()
}

/// The value at a path of member names. In an array, the path continues in the first element.
pub fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, step| {
        let at = match at {
            Value::Array(list) => list.first()?,
            other => other,
        };
        at.get(*step)
    })
}

/// A member of a JSON object, if it says anything: `null`, `[]`, `{}` and lists of these are the same as no member.
pub fn present<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|member| !is_empty(member))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().all(is_empty),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A JSON object with these members, which move into it. `json!` would copy them.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect(),
    )
}

/// Sets a member of a JSON object. Does nothing when `object` is not an object.
pub fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The repetitions of an element; none when the element is missing or not an array.
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

/// System and value of each `identifier` of a resource; the system is empty when it is missing.
pub fn identifiers(resource: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(resource, "identifier").filter_map(|i| {
        Some((
            i.get("system").and_then(Value::as_str).unwrap_or(""),
            i.get("value")?.as_str()?,
        ))
    })
}

/// The identifier system of National Provider Identifiers.
pub const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

/// The first NPI among a resource's identifiers.
pub fn npi(resource: &Value) -> Option<&str> {
    identifiers(resource)
        .find(|(system, _)| *system == NPI)
        .map(|(_, value)| value)
}

/// The official or else the first `HumanName` of a resource: its `text`, or given names and family name.
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
    let full_name = given.chain(family).collect::<Vec<_>>().join(" ");
    (!full_name.is_empty()).then_some(full_name)
}
