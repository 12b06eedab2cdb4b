//! `$log-questionnaire-errors`: a client reports that a form did not work (DTR 2.2.0, profile
//! `dtr-log-errors-input-parameters`). The parameter `resource` around it, which the published operation definition
//! has, and the parameter names of DTR 2.0.1 are accepted too. A report may contain member data: it is stored, but
//! never logged or returned.

use crate::clock::new_id;
use crate::error::{Error, ErrorKind, Issue, IssueCode, Result};
use crate::fhir::outcome::{Checks, operation_outcome};
use crate::fhir::parameters::{Parameter, read_parameters};
use crate::fhir::resource_type;
use crate::state::State;
use crate::wire::interaction::Read;
use crate::wire::resource::Questionnaire;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as AppState;
use serde_json::{Value, json};

/// `blob.kind` of a stored report.
const BLOB_KIND: &str = "dtr-error-log";
/// The size limit of a report, in bytes.
const MAX_REPORT_BYTES: usize = 65_536;

/// Handles `POST $log-questionnaire-errors`.
pub(super) async fn post(
    AppState(state): AppState<State>,
    BackendToken { caller, .. }: BackendToken<Questionnaire, Read>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    if body.text.len() > MAX_REPORT_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "The report is larger than the limit of 65536 bytes",
        )
        .into());
    }
    let report = find_report(&body.value)?;
    let now = state.now();
    let stored = json!({ "client": caller.client.id, "report": report }).to_string();
    state
        .store
        .write((new_id(now), stored, now), |tx, (id, stored, now)| {
            Box::pin(async move { tx.add_blob(*id, BLOB_KIND, stored, *now).await })
        })
        .await?;
    metrics::counter!("assent_dtr_error_reports_total").increment(1);
    Ok(FhirResponse::ok(&operation_outcome(&[Issue::information(
        "The report was stored",
    )])))
}

/// The `Parameters` resource of the report, without the parameter `resource` around it. A report without questionnaire
/// or outcome is an error.
fn find_report(body: &Value) -> Result<&Value> {
    let parameters = read_parameters(body)?;
    let wrapped = parameters
        .iter()
        .find(|p| p.name() == Some("resource"))
        .and_then(Parameter::resource)
        .filter(|inner| resource_type(inner) == Some("Parameters"));
    let report = wrapped.unwrap_or(body);
    let parameters = read_parameters(report)?;
    let named = |name: &'static str| {
        parameters
            .iter()
            .filter(move |p| p.name().is_some_and(|sent| sent.eq_ignore_ascii_case(name)))
    };
    let mut checks = Checks::default();
    checks.require(
        named("questionnaire").any(|p| p.text("valueCanonical").is_some()),
        IssueCode::Required,
        "Parameters.parameter.where(name='questionnaire').value",
        "The parameter questionnaire with valueCanonical is missing",
    );
    checks.require(
        named("operationOutcome")
            .filter_map(Parameter::resource)
            .any(|r| resource_type(r) == Some("OperationOutcome")),
        IssueCode::Required,
        "Parameters.parameter.where(name='operationOutcome').resource",
        "The parameter operationOutcome with an OperationOutcome is missing",
    );
    checks.finish()?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(questionnaire: &str, outcome: &str) -> Value {
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": questionnaire, "valueCanonical": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0" },
            { "name": outcome, "resource": { "resourceType": "OperationOutcome",
                "issue": [{ "severity": "error", "code": "exception" }] } },
        ] })
    }

    #[test]
    fn a_report_is_read_in_every_accepted_form() {
        let new = report("questionnaire", "operationOutcome");
        let old = report("Questionnaire", "OperationOutcome");
        let wrapped =
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": new }] });
        assert_eq!(find_report(&new).unwrap(), &new);
        assert_eq!(find_report(&old).unwrap(), &old);
        assert_eq!(find_report(&wrapped).unwrap(), &new);
    }

    #[test]
    fn a_report_without_questionnaire_or_outcome_is_rejected() {
        let empty = json!({ "resourceType": "Parameters" });
        assert_eq!(find_report(&empty).unwrap_err().issues().len(), 2);
        let no_outcome = report("questionnaire", "other");
        let error = find_report(&no_outcome).unwrap_err();
        assert!(error.issues()[0].expression.contains("operationOutcome"));
        assert!(find_report(&json!({ "resourceType": "OperationOutcome" })).is_err());
    }
}
