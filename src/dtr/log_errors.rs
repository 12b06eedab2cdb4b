//! `$log-questionnaire-errors`: a client tells that a form did not work (DTR 2.2.0, profile
//! `dtr-log-errors-input-parameters`; the wrapper of the published operation definition and the spelling of 2.0.1 are
//! read too). The report is kept as if it held a member's data: it is never answered with and never logged.

use crate::clock::new_id;
use crate::error::{Error, Kind, Result};
use crate::fhir::outcome::{Checks, Code, Issue, operation_outcome};
use crate::fhir::{list, resource_type, text};
use crate::state::State;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as Held;
use serde_json::{Value, json};

/// The kind of the stored text.
const KIND: &str = "dtr-error-log";
/// The largest report that is kept, in bytes.
const LARGEST: usize = 65_536;

/// The handler.
pub(super) async fn post(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Questionnaire", 'r')?;
    if body.text.len() > LARGEST {
        return Err(Error::new(Kind::TooLarge, "A report may hold 65536 bytes").into());
    }
    let report = report(&body.value)?;
    let now = state.now();
    let kept = json!({ "client": caller.client.id, "report": report }).to_string();
    state
        .store
        .write((new_id(now), kept, now), |tx, (id, kept, now)| {
            Box::pin(async move { tx.add_blob(*id, KIND, kept, *now).await })
        })
        .await?;
    metrics::counter!("assent_dtr_error_reports_total").increment(1);
    Ok(FhirResponse::ok(&operation_outcome(&[Issue::information(
        "The report was stored. Thank you.",
    )])))
}

/// The `Parameters` of the report, out of its wrapper, if it names a form and an outcome.
fn report(body: &Value) -> Result<&Value> {
    if resource_type(body) != Some("Parameters") {
        return Err(Error::malformed("Send a Parameters resource").at("Parameters"));
    }
    let wrapped = list(body, "parameter")
        .find(|p| text(p, &["name"]) == Some("resource"))
        .and_then(|p| p.get("resource"))
        .filter(|inner| resource_type(inner) == Some("Parameters"));
    let report = wrapped.unwrap_or(body);
    let named = |name: &'static str| {
        list(report, "parameter")
            .filter(move |p| text(p, &["name"]).is_some_and(|given| given.eq_ignore_ascii_case(name)))
    };
    let mut checks = Checks::default();
    checks.require(
        named("questionnaire").any(|p| text(p, &["valueCanonical"]).is_some()),
        Code::Required,
        "Parameters.parameter.where(name='questionnaire').value",
        "The canonical of a questionnaire is missing",
    );
    checks.require(
        named("operationOutcome")
            .filter_map(|p| p.get("resource"))
            .any(|r| resource_type(r) == Some("OperationOutcome")),
        Code::Required,
        "Parameters.parameter.where(name='operationOutcome').resource",
        "An OperationOutcome is missing",
    );
    checks.finish()?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(questionnaire: &str, outcome: &str) -> Value {
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": questionnaire, "valueCanonical": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0" },
            { "name": outcome, "resource": { "resourceType": "OperationOutcome",
                "issue": [{ "severity": "error", "code": "exception" }] } },
        ] })
    }

    #[test]
    fn a_report_is_read_in_each_of_its_spellings() {
        let new = plain("questionnaire", "operationOutcome");
        let old = plain("Questionnaire", "OperationOutcome");
        let wrapped =
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": new }] });
        assert_eq!(report(&new).unwrap(), &new);
        assert_eq!(report(&old).unwrap(), &old);
        assert_eq!(report(&wrapped).unwrap(), &new);
    }

    #[test]
    fn a_report_without_form_or_outcome_is_refused_with_both_places() {
        let empty = json!({ "resourceType": "Parameters" });
        assert_eq!(report(&empty).unwrap_err().issues().len(), 2);
        let no_outcome = plain("questionnaire", "other");
        let error = report(&no_outcome).unwrap_err();
        assert!(error.issues()[0].expression.contains("operationOutcome"));
        assert!(report(&json!({ "resourceType": "OperationOutcome" })).is_err());
    }
}
