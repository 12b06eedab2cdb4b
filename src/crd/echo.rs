//! Returns an order with its coverage information. The order's text is kept token by token (a decimal `1.10` stays
//! `1.10`, no element is lost); only white space between tokens is removed (CRD found-40), and the coverage information
//! is added or replaced (resp-37).

use super::coverage_information::coverage_reference;
use crate::error::{Error, Result};
use crate::ig::crd::COVERAGE_INFORMATION;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of a JSON object in sequence, each with its text. A repeated field is kept.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The text of `order` with `extension` added, whose text is `extension_text`. A coverage-information extension for the same coverage is replaced;
/// those for other coverages, and all other extensions, stay.
pub(super) fn with_extension(
    order: &RawValue,
    extension: &Value,
    extension_text: &str,
) -> Result<Box<RawValue>> {
    let failed = |e: serde_json::Error| Error::internal(format!("an order cannot be returned: {e}"));
    let Fields(fields) = serde_json::from_str(order.get()).map_err(failed)?;
    let mut written = String::with_capacity(order.get().len() + extension_text.len() + 32);
    let mut placed = false;
    for (name, value) in fields {
        written.push(if written.is_empty() { '{' } else { ',' });
        written.push_str(&serde_json::to_string(&name).map_err(failed)?);
        written.push(':');
        if name == "extension" && !placed {
            placed = true;
            write_added(value, (extension, extension_text), &mut written).map_err(failed)?;
        } else {
            write_compact(value.get(), &mut written);
        }
    }
    if !placed {
        written.push(if written.is_empty() { '{' } else { ',' });
        written.extend(["\"extension\":[", extension_text, "]"]);
    }
    written.push('}');
    RawValue::from_string(written).map_err(failed)
}

fn write_added(
    extensions: &RawValue,
    (extension, extension_text): (&Value, &str),
    written: &mut String,
) -> serde_json::Result<()> {
    let present: Vec<&RawValue> = serde_json::from_str(extensions.get())?;
    written.push('[');
    for one in present {
        let parsed: Value = serde_json::from_str(one.get())?;
        let replaced = parsed.get("url").and_then(Value::as_str) == Some(COVERAGE_INFORMATION)
            && coverage_reference(&parsed) == coverage_reference(extension);
        if !replaced {
            write_compact(one.get(), written);
            written.push(',');
        }
    }
    written.extend([extension_text, "]"]);
    Ok(())
}

/// Adds JSON text without the white space between its tokens; the tokens are unchanged.
fn write_compact(json: &str, written: &mut String) {
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '"' || c.is_ascii_whitespace()) {
        let (before, from) = rest.split_at(at);
        written.push_str(before);
        let length = if from.starts_with('"') {
            string_length(from)
        } else {
            1
        };
        let (token, after) = from.split_at_checked(length).unwrap_or((from, ""));
        if token.starts_with('"') {
            written.push_str(token);
        }
        rest = after;
    }
    written.push_str(rest);
}

/// The length of the string at the beginning of JSON text, with its quotes.
fn string_length(json: &str) -> usize {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn own_extension(covered: &str) -> Value {
        json!({ "url": COVERAGE_INFORMATION, "extension": [
            { "url": "coverage", "valueReference": { "reference": "Coverage/c1" } },
            { "url": "covered", "valueCode": covered },
        ] })
    }

    fn echoed(order: &str, extension: &Value) -> String {
        let order = RawValue::from_string(order.to_owned()).unwrap();
        let text = extension.to_string();
        with_extension(&order, extension, &text).unwrap().get().to_owned()
    }

    #[test]
    fn a_decimal_keeps_its_precision() {
        let order = r#"{ "resourceType": "ServiceRequest", "quantityQuantity": { "value": 1.10, "x": 1e2, "y": 100000000000000000000.50 } }"#;
        let text = echoed(order, &own_extension("covered"));
        let kept = r#""quantityQuantity":{"value":1.10,"x":1e2,"y":100000000000000000000.50}"#;
        assert!(text.contains(kept), "{text}");
    }

    #[test]
    fn only_the_coverage_information_changes() {
        let order = json!({
            "resourceType": "ServiceRequest", "id": "1", "unknown": { "a": [1, "two \"three\" \\", true] },
            "extension": [{ "url": "https://ehr.example.org/own", "valueString": "a b" }],
        });
        let pretty = serde_json::to_string_pretty(&order).unwrap();
        let mut back: Value = serde_json::from_str(&echoed(&pretty, &own_extension("covered"))).unwrap();
        assert_eq!(
            back["extension"].as_array_mut().unwrap().pop().unwrap(),
            own_extension("covered")
        );
        assert_eq!(back, order);
    }

    #[test]
    fn an_order_without_white_space_is_returned_unchanged() {
        let order = r#"{"resourceType":"ServiceRequest","id":"1","note":[{"text":"\u00e9 \/ \n"}]}"#;
        let text = echoed(order, &own_extension("covered"));
        assert!(text.starts_with(&order[..order.len() - 1]), "{text}");
    }

    #[test]
    fn a_previous_answer_is_replaced_and_that_of_another_coverage_stays() {
        let mut other = own_extension("not-covered");
        other["extension"][0]["valueReference"]["reference"] = json!("Coverage/other");
        let order =
            json!({ "resourceType": "ServiceRequest", "extension": [own_extension("conditional"), other] });
        let back: Value =
            serde_json::from_str(&echoed(&order.to_string(), &own_extension("covered"))).unwrap();
        assert_eq!(back["extension"], json!([other, own_extension("covered")]));
    }

    proptest! {
        #[test]
        fn compacting_changes_no_value(text in "[ -~\u{e9}]{0,40}", number in -1.0e6f64..1.0e6) {
            let value = json!({ "t": text, "n": [number, { "u": text }], "e": {} });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let mut written = String::new();
            write_compact(&pretty, &mut written);
            prop_assert_eq!(written, value.to_string());
        }
    }
}
