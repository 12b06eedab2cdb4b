//! The record of a whole call, stored once for all its assertions and for disputes (CRD found-37): the call as received,
//! what was read from the EHR, what was set aside, the response as sent, and the verdicts of policies in state `shadow`.
//! The access token of the EHR is removed first.

use super::admission::CallAdmission;
use super::prefetch::FetchedResources;
use super::request::HookRequest;
use crate::error::{Error, Result};
use crate::store::assertions::StoredHookCall;
use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What the record of a call is made from.
pub(super) struct CallParts<'a> {
    /// The call.
    pub request: &'a HookRequest<'a>,
    /// Its text as received.
    pub text: &'a str,
    /// What was read from the EHR.
    pub fetched: &'a FetchedResources,
    /// What was set aside.
    pub admitted: &'a CallAdmission,
    /// The response as sent.
    pub response: String,
    /// The verdicts of policies in state `shadow`.
    pub shadow_verdicts: Vec<Value>,
}

/// The record of a call of a client.
pub(super) fn call_record(
    id: Uuid,
    client: Uuid,
    parts: CallParts<'_>,
    created: DateTime<Utc>,
) -> Result<StoredHookCall> {
    let unwritable = |e: serde_json::Error| Error::internal(format!("a hook call cannot be written: {e}"));
    let has_shadow = !parts.shadow_verdicts.is_empty();
    Ok(StoredHookCall {
        id,
        client,
        hook: "order-sign".to_owned(),
        hook_instance: parts.request.instance.to_owned(),
        request: without_token(parts.text, parts.request.authorization)?,
        fetched: parts.fetched.as_text().map_err(unwritable)?,
        admission: serde_json::to_string(&parts.admitted.admission).map_err(unwritable)?,
        response: parts.response,
        shadow: has_shadow.then(|| Value::Array(parts.shadow_verdicts).to_string()),
        created,
    })
}

/// The call's text without the `access_token` in `fhirAuthorization`, which is a part of the same text; all other text is
/// unchanged.
fn without_token(call: &str, authorization: Option<&RawValue>) -> Result<String> {
    let Some(raw) = authorization.map(RawValue::get) else {
        return Ok(call.to_owned());
    };
    let mut authorization: Value = serde_json::from_str(raw).map_err(Error::internal)?;
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
    use crate::crd::samples;
    use serde_json::json;

    fn stored(authorization: &str) -> String {
        let text = format!(
            r#"{{ "fhirAuthorization": {authorization},  "call": {} }}"#,
            samples::call()
        );
        let start = text.find(authorization).unwrap();
        let raw: &RawValue = serde_json::from_str(&text[start..start + authorization.len()]).unwrap();
        let written = without_token(&text, Some(raw)).unwrap();
        written.replace(&samples::call().to_string(), "…")
    }

    #[test]
    fn everything_except_the_token_is_unchanged() {
        assert_eq!(
            stored(r#"{"scope":"a", "access_token": "s3"}"#),
            r#"{ "fhirAuthorization": {"scope":"a"},  "call": … }"#
        );
        assert_eq!(stored(r#""s3""#), r#"{ "fhirAuthorization": null,  "call": … }"#);
        assert_eq!(without_token(r#"{"n":1.10}"#, None).unwrap(), r#"{"n":1.10}"#);
    }

    #[test]
    fn a_repeated_authorization_is_refused() {
        let call = samples::call();
        let text = call.to_string();
        let one = r#""fhirAuthorization":{"access_token":"a"}"#;
        let twice = text.replacen('{', &format!("{{{one},{one},"), 1);
        assert!(HookRequest::read(&call, &twice, &[]).is_err());
        let mut once = call.clone();
        once["fhirAuthorization"] = json!({ "access_token": "a" });
        assert!(HookRequest::read(&once, &once.to_string(), &[]).is_ok());
    }
}
