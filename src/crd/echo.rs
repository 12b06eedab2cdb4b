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

/// The text of `order` with `extension` added. A coverage-information extension for the same coverage is replaced;
/// those for other coverages, and all other extensions, stay.
pub(super) fn with_extension(order: &RawValue, extension: &Value) -> Result<Box<RawValue>> {
    let failed = |e: serde_json::Error| Error::internal(format!("an order cannot be returned: {e}"));
    let Fields(fields) = serde_json::from_str(order.get()).map_err(failed)?;
    let mut written = Vec::with_capacity(fields.len() + 1);
    let mut placed = false;
    for (name, value) in fields {
        let value = if name == "extension" && !placed {
            placed = true;
            with_added(value, extension).map_err(failed)?
        } else {
            compact(value.get())
        };
        written.push(format!("{}:{value}", Value::String(name)));
    }
    if !placed {
        written.push(format!("\"extension\":[{extension}]"));
    }
    RawValue::from_string(format!("{{{}}}", written.join(","))).map_err(failed)
}

fn with_added(extensions: &RawValue, extension: &Value) -> serde_json::Result<String> {
    let present: Vec<&RawValue> = serde_json::from_str(extensions.get())?;
    let mut kept = Vec::with_capacity(present.len() + 1);
    for one in present {
        let parsed: Value = serde_json::from_str(one.get())?;
        let replaced = parsed.get("url").and_then(Value::as_str) == Some(COVERAGE_INFORMATION)
            && coverage_reference(&parsed) == coverage_reference(extension);
        if !replaced {
            kept.push(compact(one.get()));
        }
    }
    kept.push(extension.to_string());
    Ok(format!("[{}]", kept.join(",")))
}

/// JSON text without the white space between its tokens; the tokens are unchanged.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        text.push(c);
    }
    text
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
        with_extension(&order, extension).unwrap().get().to_owned()
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
            prop_assert_eq!(compact(&pretty), value.to_string());
        }
    }
}
