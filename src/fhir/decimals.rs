//! Decimals as the sender wrote them. FHIR counts the digits of a decimal as part of its value: `39.10` is not `39.1`.
//! A JSON number in memory loses them, so `mark` turns each number that would be written differently into a string that
//! begins with a private character, and `write` turns it back. `number` reads the value of either.

use memchr::{memchr2, memmem};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// The first character of a string that stands for a number. It is a private use character of Unicode.
const MARK: char = '\u{e000}';
const MARK_BYTES: &[u8] = "\u{e000}".as_bytes();

/// JSON text in which numbers keep their spelling until `write`. Borrowed if there is nothing to mark: then `write` writes
/// what `Value::to_string` writes.
pub fn mark(text: &str) -> Cow<'_, str> {
    // A mark that the sender wrote is replaced, so that no string can turn into a number.
    let mut unmarked = Cow::Borrowed(text);
    if memmem::find(text.as_bytes(), MARK_BYTES).is_some() {
        unmarked = Cow::Owned(unmarked.replace(MARK, "\u{fffd}"));
    }
    for escaped in ["\\ue000", "\\uE000"] {
        if memmem::find(unmarked.as_bytes(), escaped.as_bytes()).is_some() {
            unmarked = Cow::Owned(unmarked.replace(escaped, "\\ufffd"));
        }
    }
    match with_marks(&unmarked) {
        Some(marked) => Cow::Owned(marked),
        None => unmarked,
    }
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

/// The text with each number that would lose its spelling as a marked string; `None` if there is no such number.
fn with_marks(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut marked = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length = rest.iter().position(|b| !is_part_of_number(*b));
                let end = at + length.unwrap_or(rest.len());
                let token = text.get(at..end).unwrap_or_default();
                if !keeps_its_spelling(token) {
                    marked.push_str(text.get(copied..at).unwrap_or_default());
                    marked.extend(['"', MARK]);
                    marked.push_str(token);
                    marked.push('"');
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    marked.push_str(text.get(copied..).unwrap_or_default());
    Some(marked)
}

/// The position after the string that starts at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found + 1;
        if bytes.get(at - 1) == Some(&b'"') {
            return at;
        }
        at += 1; // What follows a backslash does not end the string.
    }
    bytes.len()
}

fn is_part_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether a number is written as it is spelled. What is not a number is left to the parser, which refuses it.
fn keeps_its_spelling(token: &str) -> bool {
    let is_short_integer = token.len() < 16 && token.bytes().all(|b| b.is_ascii_digit());
    if is_short_integer && (token.len() == 1 || !token.starts_with('0')) {
        return true;
    }
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
    fn text_without_a_number_that_loses_its_spelling_is_not_copied() {
        for text in [r#"{"a":[0,1,-2,98.6,120,"39.10 \\\" 1.0"],"b":"-0.0"}"#, "[]", ""] {
            assert!(matches!(mark(text), Cow::Borrowed(_)), "{text}");
        }
        for text in ["[1,39.10]", "1e2", "[12345678901234567890123]"] {
            assert!(matches!(mark(text), Cow::Owned(_)), "{text}");
        }
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
