//! Decimals as the sender wrote them. FHIR counts the digits of a decimal as part of its value: `39.10` is not `39.1`.
//! A JSON number in memory loses them, so `mark` turns each number that would be written differently into a string that
//! begins with a private character, and `write` turns it back. `number` reads the value of either.

use serde_json::{Number, Value};

/// The first character of a string that stands for a number. It is a private use character of Unicode.
const MARK: char = '\u{e000}';

/// JSON text in which numbers keep their spelling until `write`.
pub fn mark(text: &str) -> String {
    // A mark that the sender wrote is replaced, so that no string can turn into a number.
    let mut text = text.replace(MARK, "\u{fffd}");
    for escaped in ["\\ue000", "\\uE000"] {
        if text.contains(escaped) {
            text = text.replace(escaped, "\\ufffd");
        }
    }
    with_marks(&text)
}

/// Writes JSON text with the numbers as they were spelled before `mark`.
pub fn write(value: &Value) -> String {
    let text = value.to_string();
    let opening = format!("\"{MARK}");
    let mut written = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(&opening) {
        written.push_str(before);
        // Text that does not come from `mark` may hold the character too: it is a number only as a whole value.
        let is_value = before.ends_with([':', '[', ',']) || (before.is_empty() && written.is_empty());
        match after.split_once('"') {
            Some((number, after)) if is_value && is_number(number) && !after.starts_with(':') => {
                written.push_str(number);
                rest = after;
            }
            _ => {
                written.push_str(&opening);
                rest = after;
            }
        }
    }
    written.push_str(rest);
    written
}

fn is_number(text: &str) -> bool {
    serde_json::from_str::<Number>(text).is_ok()
}

/// The value of a number, marked or not.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.strip_prefix(MARK)?.parse().ok(),
        other => other.as_f64(),
    }
}

/// The text with each number that would lose its spelling as a marked string.
fn with_marks(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        marked.push_str(before);
        let length = if from.starts_with('"') {
            string_length(from)
        } else {
            from.find(|c| !is_part_of_number(c)).unwrap_or(from.len())
        };
        let (token, after) = from.split_at(length);
        if token.starts_with('"') || keeps_its_spelling(token) {
            marked.push_str(token);
        } else {
            marked.extend(['"', MARK]);
            marked.push_str(token);
            marked.push('"');
        }
        rest = after;
    }
    marked.push_str(rest);
    marked
}

/// The length in bytes of the string at the start of the text, with its quotation marks.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_part_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
}

/// Whether a number is written as it is spelled. What is not a number is left to the parser, which refuses it.
fn keeps_its_spelling(token: &str) -> bool {
    serde_json::from_str::<Value>(token).map_or(true, |value| {
        let written = value.to_string();
        written == token
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> serde_json::Result<Value> {
        serde_json::from_str(&mark(text))
    }

    #[test]
    fn every_number_is_written_as_it_was_read() {
        let text = r#"{"a":39.10,"b":[1,-0.50,1e2,100.00,7.0,0.1],"c":"8.10 \" 9.10","d":1.0E-7}"#;
        assert_eq!(write(&read(text).unwrap()), text);
        let value = read(text).unwrap();
        assert_eq!(number(&value["a"]), Some(39.1));
        assert_eq!(value["b"][0], json!(1));
        assert_eq!(number(&value["b"][2]), Some(100.0));
        assert_eq!(number(&json!(2.5)), Some(2.5));
        assert_eq!(number(&json!("2.5")), None);
    }

    #[test]
    fn a_string_never_becomes_a_number() {
        for text in [
            "{\"a\":\"\u{e000}39.10\"}",
            r#"{"a":"\ue00039.10"}"#,
            r#"{"a":"\uE00039.10"}"#,
        ] {
            let written = write(&read(text).unwrap());
            assert!(
                serde_json::from_str::<Value>(&written).unwrap()["a"].is_string(),
                "{written}"
            );
        }
        for unmarked in [
            json!({ "a": "\u{e000}x", "b": ["\u{e000}"] }),
            json!({ "a": "say \"\u{e000}39.10\"", "\u{e000}1": 1 }),
        ] {
            assert_eq!(write(&unmarked), unmarked.to_string());
        }
        let mixed = format!("[\"{MARK}x\",\"{MARK}39.10\"]");
        let mixed: Value = serde_json::from_str(&mixed).unwrap();
        assert_eq!(write(&mixed), format!("[\"{MARK}x\",39.10]"));
    }

    #[test]
    fn text_that_is_not_json_is_an_error() {
        for text in ["{", "01", "1.", "{\"a\":-}", "\"open"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
