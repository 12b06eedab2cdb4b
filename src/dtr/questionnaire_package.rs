//! `$questionnaire-package` (DTR 2.2.0, operation `questionnaire-package`): reads the request, looks up member,
//! coverage and assertion, evaluates the orders, selects the forms and builds the response. Nothing is stored: the data
//! that a client sends is used for this response only (sec-9).

use super::admission::RequestAdmission;
use super::form_selection::{self, SelectionInput};
use super::member::{self, PlanRecords};
use super::orders::{EvaluatedOrder, EvaluationContext};
use super::package::{self, PackageHeader};
use super::request::Request;
use crate::error::{Error, Issue, IssueCode, Result};
use crate::fhir::text;
use crate::ig::dtr::DtrGuide;
use crate::state::{PolicySet, State, WorkSize};
use crate::wire::interaction::Read;
use crate::wire::resource::Questionnaire;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse, Guide};
use axum::extract::State as AppState;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Handles `POST $questionnaire-package`.
pub(super) async fn post(
    AppState(state): AppState<State>,
    BackendToken { caller, .. }: BackendToken<Questionnaire, Read>,
    Guide(guide): Guide<DtrGuide>,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    let now = state.now();
    let bytes = body.text.len();
    let limits = &state.config.limits;
    let read = || Request::read(&body.value)?.within(limits);
    let request = state.compute(WorkSize::new(bytes, 0), read).await?;
    let records = member::look_up(&state, &caller.client, &request, now).await?;
    let settings = PlanSettings {
        guide,
        policy_set: &state.policy_set(),
        public_url: &state.config.public_url,
        phone: &state.config.payer.phone,
    };
    let size = WorkSize::new(bytes, request.orders.len());
    let answer = || package_forms(&request, &records, settings, now).map(|output| output.to_string());
    let output = state.compute(size, answer).await?;
    metrics::counter!("assent_dtr_packages_total").increment(1);
    Ok(FhirResponse::text(output))
}

/// The plan's settings for a response.
#[derive(Clone, Copy)]
struct PlanSettings<'a> {
    guide: &'static DtrGuide,
    policy_set: &'a PolicySet,
    public_url: &'a str,
    phone: &'a str,
}

/// Evaluates the orders, selects the forms, and builds the output Parameters.
fn package_forms(
    request: &Request<'_>,
    records: &PlanRecords,
    settings: PlanSettings<'_>,
    now: DateTime<Utc>,
) -> Result<Value> {
    let covered = &records.covered;
    let assertion = records.assertion.as_ref();
    let admitted = RequestAdmission::admit(request, assertion, &settings.policy_set.forms)?;
    let context = EvaluationContext {
        request,
        assertion,
        admitted: &admitted,
        covered,
        policy_set: settings.policy_set,
        now,
    };
    let orders = context.evaluate_orders();
    let input = SelectionInput {
        forms: &settings.policy_set.forms,
        today: now.with_timezone(&covered.coverage.zone).date_naive(),
        last_publication: records.last_publication,
        phone: settings.phone,
    };
    let (packages, selection_issues) = form_selection::select_forms(request, &orders, input);
    let mut issues = request.issues.clone();
    if !covered.in_force {
        let message = "The coverage is not in force today";
        issues.push(Issue::warning(
            IssueCode::BusinessRule,
            request.coverage.path.clone(),
            message,
        ));
    }
    issues.extend(form_selection::order_issues(&orders, assertion.is_some()));
    issues.extend(selection_issues);
    let header = PackageHeader {
        guide: settings.guide,
        public_url: settings.public_url,
        now,
        subject: &patient_reference(request, records, &orders)?,
        coverage: &coverage_reference(request, records)?,
    };
    Ok(package::output_parameters(&packages, &issues, header))
}

/// The patient, as the client references it: in the coverage, in an order, or in the assertion.
fn patient_reference(
    request: &Request<'_>,
    records: &PlanRecords,
    orders: &[EvaluatedOrder<'_>],
) -> Result<String> {
    let candidates = [
        text(request.coverage.value, &["beneficiary", "reference"]),
        form_selection::patient_of_orders(orders),
        records.assertion.as_ref().map(|a| a.patient_ref.as_str()),
    ];
    let reference = candidates.into_iter().flatten().find(|r| is_client_reference(r));
    let path = format!("{}.beneficiary", request.coverage.path);
    reference.map(str::to_owned).ok_or_else(|| {
        let message = "Coverage.beneficiary must reference the Patient, who is the subject of the draft \
                       QuestionnaireResponse";
        Error::invalid(path, message)
    })
}

/// The coverage, as the client references it.
fn coverage_reference(request: &Request<'_>, records: &PlanRecords) -> Result<String> {
    let of_request = text(request.coverage.value, &["id"]).map(|id| format!("Coverage/{id}"));
    let of_assertion = || records.assertion.as_ref().map(|a| a.coverage_ref.clone());
    let path = format!("{}.id", request.coverage.path);
    of_request.or_else(of_assertion).ok_or_else(|| {
        let message = "The coverage has no id, so the draft QuestionnaireResponse cannot reference it";
        Error::invalid(path, message)
    })
}

/// Whether a reference leads to a resource on the client: it is not empty and does not refer to a contained resource.
fn is_client_reference(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::member::CoveredMember;
    use crate::dtr::orders::StoredAssertion;
    use crate::dtr::samples;
    use crate::ig::dtr::DtrVersion;
    use crate::store::assertions::{Assertion, StoredEvidence};
    use serde_json::json;

    /// The output for a coverage and these parameters. With an assertion the request also has a `context`.
    fn output_for(more: Vec<Value>, assertion: Option<(Assertion, StoredEvidence)>) -> Value {
        let mut parameters = vec![json!({ "name": "coverage", "resource": samples::coverage() })];
        parameters.extend(more);
        if assertion.is_some() {
            parameters.push(json!({ "name": "context", "valueString": "A-1" }));
        }
        let body = samples::parameters(&Value::Array(parameters));
        let request = Request::read(&body).unwrap();
        let member = samples::member(1, "M100");
        let coverage = samples::plan_coverage(11, &member);
        let today = samples::now().date_naive();
        let covered = CoveredMember {
            facts: crate::plan::member_facts(&member, &coverage, std::slice::from_ref(&coverage), today),
            gold_cards: Vec::new(),
            coverage,
            member,
            in_force: true,
        };
        let records = PlanRecords {
            covered,
            assertion: assertion.map(|(row, evidence)| StoredAssertion::read(&row, &evidence).unwrap()),
            last_publication: Some("2026-09-01T00:00:00Z".parse().unwrap()),
        };
        let settings = PlanSettings {
            guide: DtrVersion::NEWEST.guide(),
            policy_set: &samples::policy_set(),
            public_url: samples::PUBLIC,
            phone: "+1-555",
        };
        package_forms(&request, &records, settings, samples::now()).unwrap()
    }

    fn order(resource: &Value) -> Value {
        json!({ "name": "order", "resource": resource })
    }

    fn packages(output: &Value) -> Vec<&Value> {
        let all = output["parameter"].as_array().unwrap();
        all.iter()
            .filter(|p| p["name"] == "packagebundle")
            .map(|p| &p["resource"])
            .collect()
    }

    /// Severity and text of each issue.
    fn issues(output: &Value) -> Vec<(String, String)> {
        let all = output["parameter"].as_array().unwrap();
        let string = |v: &Value| v.as_str().unwrap().to_owned();
        all.iter()
            .filter(|p| p["name"] == "outcome")
            .flat_map(|p| p["resource"]["issue"].as_array().unwrap())
            .map(|i| (string(&i["severity"]), string(&i["details"]["text"])))
            .collect()
    }

    fn coded(id: &str, code: &str) -> Value {
        let mut order = samples::order();
        order["id"] = json!(id);
        order["code"]["coding"][0]["code"] = json!(code);
        order
    }

    #[test]
    fn an_order_without_context_gets_the_form_of_its_policy_with_a_draft() {
        let output = output_for(vec![order(&samples::order())], None);
        assert_eq!(
            output["parameter"].as_array().unwrap().len(),
            1,
            "no outcome without issues"
        );
        let bundle = packages(&output)[0];
        assert_eq!(bundle["type"], "collection");
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0]["fullUrl"],
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen"
        );
        assert_eq!(entries[0]["resource"]["resourceType"], "Questionnaire");
        let draft = &entries[1]["resource"];
        assert!(entries[1]["fullUrl"].as_str().unwrap().starts_with("urn:uuid:"));
        assert_eq!(
            draft["questionnaire"],
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0"
        );
        assert_eq!(draft["subject"]["reference"], "Patient/p1");
        assert_eq!(draft["status"], "in-progress");
        let extensions = draft["extension"].to_string();
        for part in ["Coverage/cov1", "ServiceRequest/o1", "withpa"] {
            assert!(extensions.contains(part), "{part}");
        }
    }

    #[test]
    fn a_context_without_order_uses_the_order_and_the_chart_of_the_hook() {
        let output = output_for(vec![], Some(samples::assertion(&samples::order())));
        let draft = &packages(&output)[0]["entry"][1]["resource"];
        assert!(draft["extension"].to_string().contains("ServiceRequest/o1"));
        let items = draft["item"].to_string();
        assert!(items.contains("oxygen.spo2") && items.contains("\"value\":87"));
        assert!(items.contains("oxygen.months"));
        let answers = items.matches("\"answer\"").count();
        assert_eq!(items.matches("\"valueCode\":\"auto-server\"").count(), answers);
    }

    #[test]
    fn an_order_with_another_status_and_note_still_matches_the_assertion() {
        let mut changed = samples::order();
        changed["status"] = json!("active");
        changed["note"] = json!([{ "text": "bring it upstairs" }]);
        let output = output_for(vec![order(&changed)], Some(samples::assertion(&samples::order())));
        assert_eq!(packages(&output).len(), 1);
        assert!(issues(&output).is_empty());
        assert!(
            packages(&output)[0]["entry"][1]["resource"]["item"]
                .to_string()
                .contains("oxygen.spo2")
        );
    }

    #[test]
    fn an_order_with_another_code_is_evaluated_again() {
        let output = output_for(
            vec![order(&coded("o1", "E0652"))],
            Some(samples::assertion(&samples::order())),
        );
        assert_eq!(
            packages(&output)[0]["entry"][0]["resource"]["id"],
            "pneumatic-compression",
            "the form of the new code"
        );
        assert!(issues(&output)[0].1.contains("evaluated again"));
    }

    #[test]
    fn documentation_that_is_no_longer_needed_is_reported() {
        let no_documentation = coded("o1", "B4184");
        let output = output_for(vec![], Some(samples::assertion(&no_documentation)));
        assert!(packages(&output).is_empty());
        assert!(issues(&output)[0].1.contains("no longer needed"));
    }

    #[test]
    fn an_order_without_a_form_gets_a_phone_number_or_a_note_that_none_is_needed() {
        let orders = vec![order(&coded("a", "33510")), order(&coded("b", "B4184"))];
        let output = output_for(orders, None);
        let issues = issues(&output);
        assert_eq!(issues[0].0, "warning");
        assert!(issues[0].1.contains("+1-555"));
        assert_eq!(
            issues[1],
            ("information".into(), "No form is needed for this order".into())
        );
    }

    #[test]
    fn an_order_without_a_code_is_a_warning_and_not_an_error() {
        let mut without_code = samples::order();
        without_code["code"] = json!({ "text": "oxygen" });
        let output = output_for(vec![order(&without_code)], None);
        assert!(packages(&output).is_empty());
        assert!(issues(&output)[0].1.contains("no code"));
    }

    #[test]
    fn a_draft_order_without_an_id_is_not_referenced() {
        let mut draft = samples::order();
        draft.as_object_mut().unwrap().remove("id");
        let output = output_for(vec![order(&draft)], None);
        let response = &packages(&output)[0]["entry"][1]["resource"];
        assert!(!response["extension"].to_string().contains("qr-context"));
        assert!(issues(&output)[0].1.contains("no id"));
    }

    #[test]
    fn canonicals_limit_the_answer_and_an_unknown_one_is_a_warning() {
        let base = "https://plan.example/dtr/2.2/Questionnaire";
        let named =
            |name: &str| json!({ "name": "questionnaire", "valueCanonical": format!("{base}/{name}") });
        let parameters = vec![
            order(&samples::order()),
            named("support-surfaces"),
            named("wheelchair"),
            named("home-oxygen|9.0.0"),
        ];
        let output = output_for(parameters, None);
        let found = packages(&output);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["entry"][0]["resource"]["id"], "support-surfaces");
        let issues = issues(&output);
        assert_eq!(issues.len(), 2);
        assert!(issues.iter().all(|(severity, _)| severity == "warning"));
        assert!(issues[0].1.contains("/wheelchair") && issues[1].1.contains("|9.0.0"));
    }

    #[test]
    fn an_unchanged_form_is_not_returned_and_the_outcome_says_so() {
        let since = |at: &str| json!({ "name": "changedsince", "valueInstant": at });
        let output = output_for(
            vec![order(&samples::order()), since("2026-09-15T00:00:00Z")],
            None,
        );
        assert!(packages(&output).is_empty());
        assert_eq!(
            issues(&output),
            [(
                "information".into(),
                "Nothing has changed since the time in changedsince".into()
            )]
        );
        let output = output_for(
            vec![order(&samples::order()), since("2026-08-31T00:00:00Z")],
            None,
        );
        assert_eq!(packages(&output).len(), 1);
    }

    #[test]
    fn a_request_specific_form_is_returned_once_per_order() {
        let output = output_for(
            vec![order(&coded("a", "E1390")), order(&coded("b", "E0424"))],
            None,
        );
        let found = packages(&output);
        assert_eq!(found.len(), 2);
        assert!(
            found[0]["entry"][1]["resource"]["extension"]
                .to_string()
                .contains("ServiceRequest/a")
        );
        assert!(
            found[1]["entry"][1]["resource"]["extension"]
                .to_string()
                .contains("ServiceRequest/b")
        );
    }

    #[test]
    fn a_referenced_resource_replaces_the_one_that_the_hook_received() {
        let newer = json!({ "resourceType": "Observation", "id": "spo2", "status": "final",
            "subject": { "reference": "Patient/p1" }, "effectiveDateTime": "2026-09-24",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
            "valueQuantity": { "value": 86, "code": "%" } });
        let output = output_for(
            vec![json!({ "name": "referenced", "resource": newer })],
            Some(samples::assertion(&samples::order())),
        );
        let items = packages(&output)[0]["entry"][1]["resource"]["item"].to_string();
        assert!(items.contains("\"value\":86") && !items.contains("\"value\":87"));
    }
}
