//! Small steps of building a resource: members that are there are set, empty ones are left out, since FHIR JSON has
//! no empty arrays or objects.

use crate::fhir::put;
use serde_json::Value;

/// Sets a member when there is a value.
pub fn put_some(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        put(object, name, value);
    }
}

/// Sets a repeating member when it repeats at least once.
pub fn put_list(object: &mut Value, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        put(object, name, Value::Array(values));
    }
}

/// Copies members that `from` has.
pub fn copy(object: &mut Value, from: &Value, names: &[&str]) {
    for name in names {
        put_some(object, name, from.get(*name).cloned());
    }
}

/// Rewrites every literal reference below `value`: to what `link` answers, or away. What is empty afterwards goes too.
pub fn relink(value: &mut Value, link: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(old)) = members.get("reference") {
                match link(old) {
                    Some(new) => members.insert("reference".to_owned(), Value::String(new)),
                    None => members.remove("reference"),
                };
            }
            for member in members.values_mut() {
                relink(member, link);
            }
            members.retain(|_, member| !is_empty(member));
        }
        Value::Array(list) => {
            for member in list.iter_mut() {
                relink(member, link);
            }
            list.retain(|member| !is_empty(member));
        }
        _ => {}
    }
}

/// Nothing inside, or an extension that has lost its value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.keys().all(|name| name == "url"),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_that_leads_nowhere_goes_with_what_it_leaves_empty() {
        let mut resource = json!({
            "subject": { "reference": "Patient/theirs" },
            "author": { "reference": "Device/1" },
            "source": { "reference": "Practitioner/9", "display": "Dr. Watson" },
            "extension": [{ "url": "http://x", "valueReference": { "reference": "Device/1" } }]
        });
        relink(&mut resource, &|old| {
            (old == "Patient/theirs").then(|| "Patient/ours".to_owned())
        });
        assert_eq!(
            resource,
            json!({ "subject": { "reference": "Patient/ours" }, "source": { "display": "Dr. Watson" } })
        );
    }
}
