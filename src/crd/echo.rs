//! An order echoed with its answer. The order's own text is kept token by token (a decimal `1.10` stays `1.10`, no
//! element is lost); only white space between tokens is left out (CRD found-40) and coverage information is added or
//! replaced (resp-37).

use super::coverage_information::{URL, coverage_of};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a JSON object in their order, each with its text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The text of `order` with `extension` in it. A repetition for the same coverage is replaced; those for other
/// coverages, and every other extension, stay.
pub(super) fn with_extension(order: &RawValue, extension: &Value) -> Result<Box<RawValue>> {
    let broken = |e: serde_json::Error| Error::internal(format!("an order cannot be echoed: {e}"));
    let Members(members) = serde_json::from_str(order.get()).map_err(broken)?;
    let mut written = Vec::with_capacity(members.len() + 1);
    let mut placed = false;
    for (name, value) in members {
        let value = if name == "extension" && !placed {
            placed = true;
            added_to(value, extension).map_err(broken)?
        } else {
            compact(value.get())
        };
        written.push(format!("{}:{value}", Value::String(name)));
    }
    if !placed {
        written.push(format!("\"extension\":[{extension}]"));
    }
    RawValue::from_string(format!("{{{}}}", written.join(","))).map_err(broken)
}

fn added_to(extensions: &RawValue, extension: &Value) -> serde_json::Result<String> {
    let present: Vec<&RawValue> = serde_json::from_str(extensions.get())?;
    let mut kept = Vec::with_capacity(present.len() + 1);
    for one in present {
        let read: Value = serde_json::from_str(one.get())?;
        let replaced = read.get("url").and_then(Value::as_str) == Some(URL)
            && coverage_of(&read) == coverage_of(extension);
        if !replaced {
            kept.push(compact(one.get()));
        }
    }
    kept.push(extension.to_string());
    Ok(format!("[{}]", kept.join(",")))
}

/// JSON without the white space between its tokens; the tokens stay as they are.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for c in json.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            inside = c == '"';
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

    fn ours(word: &str) -> Value {
        json!({ "url": URL, "extension": [
            { "url": "coverage", "valueReference": { "reference": "Coverage/c1" } },
            { "url": "covered", "valueCode": word },
        ] })
    }

    fn echoed(order: &str, extension: &Value) -> String {
        let order = RawValue::from_string(order.to_owned()).unwrap();
        with_extension(&order, extension).unwrap().get().to_owned()
    }

    #[test]
    fn a_decimal_keeps_its_precision() {
        let order = r#"{ "resourceType": "ServiceRequest", "quantityQuantity": { "value": 1.10, "x": 1e2, "y": 100000000000000000000.50 } }"#;
        let text = echoed(order, &ours("covered"));
        let kept = r#""quantityQuantity":{"value":1.10,"x":1e2,"y":100000000000000000000.50}"#;
        assert!(text.contains(kept), "{text}");
    }

    #[test]
    fn nothing_but_coverage_information_changes() {
        let order = json!({
            "resourceType": "ServiceRequest", "id": "1", "unknown": { "a": [1, "two \"three\" \\", true] },
            "extension": [{ "url": "https://ehr.example.org/own", "valueString": "a b" }],
        });
        let pretty = serde_json::to_string_pretty(&order).unwrap();
        let mut back: Value = serde_json::from_str(&echoed(&pretty, &ours("covered"))).unwrap();
        assert_eq!(
            back["extension"].as_array_mut().unwrap().pop().unwrap(),
            ours("covered")
        );
        assert_eq!(back, order);
    }

    #[test]
    fn an_order_without_white_space_is_echoed_byte_for_byte() {
        let order = r#"{"resourceType":"ServiceRequest","id":"1","note":[{"text":"\u00e9 \/ \n"}]}"#;
        let text = echoed(order, &ours("covered"));
        assert!(text.starts_with(&order[..order.len() - 1]), "{text}");
    }

    #[test]
    fn our_former_answer_is_replaced_and_another_payers_stays() {
        let mut other = ours("not-covered");
        other["extension"][0]["valueReference"]["reference"] = json!("Coverage/other");
        let order = json!({ "resourceType": "ServiceRequest", "extension": [ours("conditional"), other] });
        let back: Value = serde_json::from_str(&echoed(&order.to_string(), &ours("covered"))).unwrap();
        assert_eq!(back["extension"], json!([other, ours("covered")]));
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
