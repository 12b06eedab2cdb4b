//! The record of a whole call, stored for disputes (CRD found-37): the call as received, the response as sent, the ids
//! of the assertions, and the verdicts of policies in state `shadow`. The access token of the EHR is removed first.

use super::request::unreadable_call;
use crate::error::{Error, Result};
use crate::store::assertions::Assertion;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

/// The value of the column `blob.kind`.
pub(super) const KIND: &str = "hook-call";

#[derive(Deserialize)]
struct CallText<'a> {
    #[serde(borrow, default, rename = "fhirAuthorization")]
    authorization: Option<&'a RawValue>,
}

/// The body of the blob. `call` and `response` are stored as text, so that they can be shown unchanged.
pub(super) fn call_record(
    client: Uuid,
    call: &str,
    response: &str,
    assertions: &[Assertion],
    shadow_verdicts: Vec<Value>,
) -> Result<String> {
    let ids: Vec<&str> = assertions.iter().map(|a| a.id.as_str()).collect();
    let mut record = json!({
        "client": client,
        "assertions": ids,
        "request": without_token(call)?,
        "response": response,
    });
    if !shadow_verdicts.is_empty() {
        crate::fhir::put(&mut record, "shadow", Value::Array(shadow_verdicts));
    }
    Ok(record.to_string())
}

/// The call's text without the `access_token` in `fhirAuthorization`; all other text is unchanged.
fn without_token(call: &str) -> Result<String> {
    let parsed: CallText<'_> = serde_json::from_str(call).map_err(|e| unreadable_call(&e))?;
    let Some(raw) = parsed.authorization.map(RawValue::get) else {
        return Ok(call.to_owned());
    };
    let mut authorization: Value = serde_json::from_str(raw).map_err(|e| unreadable_call(&e))?;
    match authorization.as_object_mut() {
        Some(fields) => drop(fields.remove("access_token")),
        None => authorization = Value::Null,
    }
    // The raw value is a slice of the call's text, so the distance of the pointers is its position.
    let start = (raw.as_ptr() as usize).wrapping_sub(call.as_ptr() as usize);
    let around = call.get(..start).zip(call.get(start + raw.len()..));
    let (before, after) =
        around.ok_or_else(|| Error::internal("fhirAuthorization is outside of the call's text"))?;
    Ok(format!("{before}{authorization}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_except_the_token_is_unchanged() {
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
    fn a_repeated_authorization_is_refused() {
        let twice = r#"{"fhirAuthorization":{"access_token":"a"},"fhirAuthorization":{"access_token":"b"}}"#;
        assert!(without_token(twice).is_err());
    }
}
