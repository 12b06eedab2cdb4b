//! Feedback on cards: `POST /cds-services/{id}/feedback` (CDS Hooks, CRD section "Feedback, logs, metrics"). It is
//! stored as received, with the client that sent it. System actions get no feedback.

use super::service::{KnownService, ORDER_SIGN};
use crate::error::{IssueCode, Result};
use crate::fhir::outcome::Checks;
use crate::fhir::{list, text};
use crate::state::State;
use crate::wire::{HookCall, HookFailure, JsonBody};
use axum::extract;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Stores the feedback and responds with 200 without a body.
pub(super) async fn post(
    extract::State(state): extract::State<State>,
    _service: KnownService,
    caller: HookCall,
    body: JsonBody<1>,
) -> Result<StatusCode, HookFailure> {
    check(&body.value)?;
    let stored = json!({
        "client": caller.client.id,
        "service": ORDER_SIGN,
        "feedback": body.value.get("feedback"),
    });
    let unit = (state.new_id(), stored.to_string(), caller.jti, state.now());
    state
        .store
        .write(unit, |tx, (id, stored, jti, now)| {
            Box::pin(async move {
                tx.spend_jti(jti).await?;
                tx.add_blob(*id, "crd-feedback", stored, *now).await
            })
        })
        .await?;
    Ok(StatusCode::OK)
}

fn check(body: &Value) -> Result<()> {
    let mut checks = Checks::default();
    let is_array = body.get("feedback").is_some_and(Value::is_array);
    checks.require(
        is_array,
        IssueCode::Required,
        "feedback",
        "feedback must be an array",
    );
    for (n, one) in list(body, "feedback").enumerate() {
        for name in ["card", "outcome"] {
            let present = text(one, &[name]).is_some();
            checks.require(
                present,
                IssueCode::Required,
                format!("feedback[{n}].{name}"),
                &format!("{name} is missing"),
            );
        }
    }
    checks.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_must_have_card_and_outcome() {
        let valid = json!({ "feedback": [{ "card": "7b0f3a54-3f2f-4c0e-8d1c-2f4f5a6f9d10", "outcome": "accepted" }] });
        assert!(check(&valid).is_ok());
        let error = check(&json!({ "feedback": [{}] })).unwrap_err();
        let locations: Vec<&str> = error.issues().iter().map(|i| i.expression.as_str()).collect();
        assert_eq!(locations, ["feedback[0].card", "feedback[0].outcome"]);
        assert!(check(&json!([])).is_err());
    }
}
