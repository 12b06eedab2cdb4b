//! JSON text from others, parsed once and checked while it is parsed. Refused with the place of the fault: what is not
//! JSON, a half surrogate pair, a number out of range, nesting beyond 128 levels, a repeated member, the character U+0000
//! (PostgreSQL cannot store it), and an identifying text that is too long for an index.

use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value};
use std::fmt;

/// The members that the store may index, and so may not be long.
const IDENTIFYING: [&str; 6] = ["id", "system", "code", "value", "family", "subscriberId"];
/// The longest identifying text, in bytes.
const LONGEST_IDENTIFYING: usize = 1024;
/// The longest name of a member that a place repeats.
const LONGEST_NAME: usize = 64;

/// Faults that this module finds itself. The place is found from the position at which the parser stopped.
const HAS_NUL: &str = "The text contains the character U+0000";
const IS_REPEATED: &str = "The element is repeated in the same object";
const TOO_LONG: &str = "The text is longer than 1024 bytes";

/// Parses JSON from a caller. `what` names the text in the message: `The body`.
///
/// # Errors
///
/// `Malformed`, with the FHIRPath of the fault as far as the text can be read.
pub fn parse(text: &str, what: &str) -> Result<Value> {
    let mut parser = Deserializer::from_str(text);
    let value = Checked { identifying: false }
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| {
        let message = describe(&error, what);
        let place = place(text, offset(text, error.line(), error.column()));
        if place.is_empty() {
            Error::malformed(message)
        } else {
            Error::malformed(message).at_element(place)
        }
    })
}

/// Whether a text can be stored in both databases.
pub fn is_storable(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_none()
}

fn describe(error: &serde_json::Error, what: &str) -> String {
    let reason = error.to_string();
    let known = [
        (HAS_NUL, HAS_NUL),
        (IS_REPEATED, IS_REPEATED),
        (TOO_LONG, TOO_LONG),
        ("number out of range", "The number is out of range"),
        (
            "recursion limit exceeded",
            "The JSON has more than 128 levels of nesting",
        ),
        (
            "lone leading surrogate",
            "The text contains half of a surrogate pair, which is not a character",
        ),
        (
            "unexpected end of hex escape",
            "The text contains half of a surrogate pair, which is not a character",
        ),
    ];
    let found = known.iter().find(|(start, _)| reason.starts_with(start));
    found.map_or_else(
        || {
            format!(
                "{what} is not valid JSON: error at line {}, column {}",
                error.line(),
                error.column()
            )
        },
        |(_, message)| (*message).to_owned(),
    )
}

/// Builds a value and checks its texts and members.
struct Checked {
    /// Whether a text here is one of the [`IDENTIFYING`] members.
    identifying: bool,
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.check(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        self.check(&text)?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = sequence.next_element_seed(Self {
            identifying: self.identifying,
        })? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if !is_storable(&name) {
                return Err(A::Error::custom(HAS_NUL));
            }
            if object.contains_key(&name) {
                return Err(A::Error::custom(IS_REPEATED));
            }
            let identifying = IDENTIFYING.contains(&name.as_str());
            let value = members.next_value_seed(Self { identifying })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

impl Checked {
    fn check<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        if !is_storable(text) {
            return Err(E::custom(HAS_NUL));
        }
        if self.identifying && text.len() > LONGEST_IDENTIFYING {
            return Err(E::custom(TOO_LONG));
        }
        Ok(())
    }
}

/// The position in bytes of a line and column as the parser counts them.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column).min(text.len())
}

/// One level of nesting: the member of an object, or the index of an array.
enum Level<'t> {
    Object(Option<&'t str>),
    Array(usize),
}

/// The FHIRPath of the value at a position of JSON text: the resource type and the members that lead to it. Names that are
/// not plain end the path, because a path repeats no content of a message.
fn place(text: &str, end: usize) -> String {
    let mut scan = Scan::default();
    while scan.at < end && scan.step(text) {}
    let path = path(&scan.levels);
    if path.is_empty() {
        return path;
    }
    // The type of the resource may follow.
    while scan.resource_type.is_none() && scan.step(text) {}
    match scan.resource_type.filter(|name| is_plain(name)) {
        Some(resource_type) if path.starts_with('[') => format!("{resource_type}{path}"),
        Some(resource_type) => format!("{resource_type}.{path}"),
        None => path,
    }
}

/// Reads JSON text as far as needed to know where a position is.
#[derive(Default)]
struct Scan<'t> {
    at: usize,
    levels: Vec<Level<'t>>,
    expects_name: bool,
    /// The `resourceType` of the outermost object.
    resource_type: Option<&'t str>,
}

impl<'t> Scan<'t> {
    /// Reads one character or one string; false at the end.
    fn step(&mut self, text: &'t str) -> bool {
        let Some(byte) = text.as_bytes().get(self.at) else {
            return false;
        };
        self.at += 1;
        match byte {
            b'{' => {
                self.levels.push(Level::Object(None));
                self.expects_name = true;
            }
            b'[' => {
                self.levels.push(Level::Array(0));
                self.expects_name = false;
            }
            b'}' | b']' => {
                self.levels.pop();
                self.expects_name = false;
            }
            b',' => match self.levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                _ => self.expects_name = true,
            },
            b'"' => self.string(text),
            _ => {}
        }
        true
    }

    fn string(&mut self, text: &'t str) {
        let length = string_length(text.get(self.at..).unwrap_or(""));
        let string = text.get(self.at..self.at + length).unwrap_or("");
        self.at += length + 1;
        let depth = self.levels.len();
        match self.levels.last_mut() {
            Some(Level::Object(name)) if self.expects_name => {
                *name = Some(string);
                self.expects_name = false;
            }
            Some(Level::Object(Some("resourceType"))) if depth == 1 => self.resource_type = Some(string),
            _ => {}
        }
    }
}

/// The length in bytes of a JSON string without its quotation marks, from the first character.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

fn is_plain(name: &str) -> bool {
    let is_plain_byte = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain_byte)
}

fn path(levels: &[Level<'_>]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(Some(name)) if is_plain(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Level::Object(_) => break,
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(text: &str) -> (String, String) {
        let error = parse(text, "The body").unwrap_err();
        let place = error.issues().first().map(|issue| issue.expression.clone());
        (error.message().to_owned(), place.unwrap_or_default())
    }

    #[test]
    fn json_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,3.5,1e3,-0.0,true,null,{"b":"\u00e9\ud83d\ude00\\u0000"}],"":[]}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse(text, "The body").unwrap(), expected);
        assert_eq!(parse(" 7 ", "The body").unwrap(), json!(7));
    }

    #[test]
    fn a_character_that_cannot_be_stored_is_refused_with_its_place() {
        let text = r#"{"resourceType":"Bundle","entry":[{"resource":{"note":["x"]}},{"resource":{"note":["x","a\u0000b"]}}]}"#;
        assert_eq!(
            fault(text),
            (HAS_NUL.into(), "Bundle.entry[1].resource.note[1]".into())
        );
        let type_last = r#"{"item":[{"x":"\u0000"}],"other":{"resourceType":"A"},"resourceType":"Claim"}"#;
        assert_eq!(fault(type_last).1, "Claim.item[0].x");
        assert_eq!(
            fault("{\"context\":{\n\"a\\u0000\":1}}"),
            (HAS_NUL.into(), "context".into())
        );
        let (message, place) = fault(r#"{"context":{"draftOrders":{"entry":[{"x":"\ud800"}]}}}"#);
        assert!(message.contains("surrogate"), "{message}");
        assert_eq!(place, "context.draftOrders.entry[0].x");
    }

    #[test]
    fn a_repeated_member_is_refused_with_its_place() {
        let text = r#"{"a":{"status":"active","b":[],"status":"draft"}}"#;
        assert_eq!(fault(text), (IS_REPEATED.into(), "a.status".into()));
    }

    #[test]
    fn numbers_out_of_range_and_deep_nesting_are_refused_with_their_place() {
        let (message, place) =
            fault(r#"{"resourceType":"Claim","item":[{"sequence":1},{"net":{"value":1e999}}]}"#);
        assert_eq!(
            (message.as_str(), place.as_str()),
            ("The number is out of range", "Claim.item[1].net.value")
        );
        assert_eq!(fault(&format!("[{}]", "9".repeat(400))).1, "[0]");
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        assert!(fault(&deep).0.contains("128 levels"));
    }

    #[test]
    fn an_identifying_text_has_a_limit_and_other_texts_do_not() {
        let long = "x".repeat(2000);
        assert_eq!(
            fault(&json!({ "identifier": [{ "value": long }] }).to_string()),
            (TOO_LONG.into(), "identifier[0].value".into())
        );
        assert!(parse(&json!({ "data": long }).to_string(), "The body").is_ok());
    }

    #[test]
    fn a_name_that_is_not_plain_ends_the_place() {
        assert_eq!(fault(r#"{"a":{"John Smith":{"b":"\u0000"}}}"#).1, "a");
        assert_eq!(fault("not json").1, "");
        assert!(
            fault("{\"a\": ")
                .0
                .starts_with("The body is not valid JSON: error at line 1")
        );
    }

    #[test]
    fn text_that_stands_for_a_part_of_the_parser_is_ordinary_text() {
        let text = r#"{"$serde_json::private::RawValue":"{\"a\":1}"}"#;
        assert!(parse(text, "The body").unwrap().is_object());
    }
}
