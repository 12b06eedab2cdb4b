//! Helpers for building FHIR JSON. They leave out absent values, because FHIR JSON has no empty arrays or objects.

use crate::fhir::put;
use serde_json::Value;

/// Sets a field if there is a value.
pub fn put_optional(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        put(object, name, value);
    }
}

/// Sets a field to a list if the list is not empty.
pub fn put_nonempty(object: &mut Value, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        put(object, name, Value::Array(values));
    }
}

/// Copies those of the named fields that `source` has.
pub fn copy_fields(object: &mut Value, source: &Value, names: &[&str]) {
    for name in names {
        put_optional(object, name, source.get(*name).cloned());
    }
}

/// Replaces every literal reference below `value` with what `rewrite` returns for it, and removes it if that is `None`.
/// Objects, lists and extensions that are empty afterward are removed too.
pub fn rewrite_references(value: &mut Value, rewrite: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(old)) = fields.get("reference") {
                match rewrite(old) {
                    Some(new) => fields.insert("reference".to_owned(), Value::String(new)),
                    None => fields.remove("reference"),
                };
            }
            for field in fields.values_mut() {
                rewrite_references(field, rewrite);
            }
            fields.retain(|_, field| !is_empty(field));
        }
        Value::Array(list) => {
            for entry in list.iter_mut() {
                rewrite_references(entry, rewrite);
            }
            list.retain(|entry| !is_empty(entry));
        }
        _ => {}
    }
}

/// Whether an object or list holds nothing, or is an extension without a value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.keys().all(|name| name == "url"),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_that_cannot_be_resolved_is_removed_with_its_empty_parents() {
        let mut resource = json!({
            "subject": { "reference": "Patient/sender-id" },
            "author": { "reference": "Device/1" },
            "source": { "reference": "Practitioner/9", "display": "Dr. Watson" },
            "extension": [{ "url": "http://x", "valueReference": { "reference": "Device/1" } }]
        });
        rewrite_references(&mut resource, &|old| {
            (old == "Patient/sender-id").then(|| "Patient/own-id".to_owned())
        });
        assert_eq!(
            resource,
            json!({ "subject": { "reference": "Patient/own-id" }, "source": { "display": "Dr. Watson" } })
        );
    }
}
