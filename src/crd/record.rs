//! What is kept of a whole call for the day on which somebody doubts it (CRD found-37): the call as it came, the
//! answer as it left, the ids of the assertions made on the way, and what policies in shadow would have said. The token that opens the chart is cut out first.

use super::request::bad_text;
use crate::error::Result;
use crate::store::assertions::Assertion;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

/// The kind of the blob.
pub(super) const KIND: &str = "hook-call";

#[derive(Deserialize)]
struct CallText<'a> {
    #[serde(borrow, default, rename = "fhirAuthorization")]
    authorization: Option<&'a RawValue>,
}

/// The body of the blob. `call` and `answer` are kept as text, so that they can be shown as they were.
pub(super) fn of(
    client: Uuid,
    call: &str,
    answer: &str,
    assertions: &[Assertion],
    shadows: Vec<Value>,
) -> Result<String> {
    let ids: Vec<&str> = assertions.iter().map(|a| a.id.as_str()).collect();
    let mut kept = json!({
        "client": client,
        "assertions": ids,
        "request": without_token(call)?,
        "response": answer,
    });
    if !shadows.is_empty() {
        crate::fhir::put(&mut kept, "shadow", Value::Array(shadows));
    }
    Ok(kept.to_string())
}

/// The call's text with `fhirAuthorization` written anew without its `access_token`; all other text stays.
fn without_token(call: &str) -> Result<String> {
    let read: CallText<'_> = serde_json::from_str(call).map_err(|_| bad_text())?;
    let Some(raw) = read.authorization.map(RawValue::get) else {
        return Ok(call.to_owned());
    };
    let mut authorization: Value = serde_json::from_str(raw).map_err(|_| bad_text())?;
    match authorization.as_object_mut() {
        Some(members) => drop(members.remove("access_token")),
        None => authorization = Value::Null,
    }
    // The raw value is a piece of the call's own text, so the distance says where it stands.
    let start = (raw.as_ptr() as usize).wrapping_sub(call.as_ptr() as usize);
    let around = call.get(..start).zip(call.get(start + raw.len()..));
    let (before, after) = around.ok_or_else(bad_text)?;
    Ok(format!("{before}{authorization}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_token_is_kept_as_it_came() {
        let call = r#"{ "hook": "x",  "fhirAuthorization": {"scope":"a", "access_token": "s3"}, "n": 1.10 }"#;
        assert_eq!(
            without_token(call).unwrap(),
            r#"{ "hook": "x",  "fhirAuthorization": {"scope":"a"}, "n": 1.10 }"#
        );
        assert_eq!(without_token(r#"{"n":1.10}"#).unwrap(), r#"{"n":1.10}"#);
        assert_eq!(
            without_token(r#"{"fhirAuthorization":"s3"}"#).unwrap(),
            r#"{"fhirAuthorization":null}"#
        );
    }

    #[test]
    fn a_second_token_has_nowhere_to_hide() {
        let twice = r#"{"fhirAuthorization":{"access_token":"a"},"fhirAuthorization":{"access_token":"b"}}"#;
        assert!(without_token(twice).is_err());
    }
}
