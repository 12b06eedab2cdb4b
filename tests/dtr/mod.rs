//! The DTR API over HTTP: which client gets which form with which draft, and what is rejected with which path.

mod bad_calls;
mod orders;

use crate::support::{Ehr, TestApp, both};
use assent::demo::walk::messages::{Messages, extension, parameter};
use serde_json::{Value, json};

const PACKAGE: &str = "/dtr/2.2/Questionnaire/$questionnaire-package";
const REPORT: &str = "/dtr/2.2/Questionnaire/$log-questionnaire-errors";
const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen";

/// The coverage-assertion-id in the hook's response for the oxygen order of the end-to-end check.
async fn assertion_id(app: &TestApp, ehr: &Ehr<'_>) -> String {
    let response = ehr
        .hook("order-sign-crd", &app.messages().order_sign_hook())
        .await
        .json(200);
    let actions = response["systemActions"].as_array().unwrap();
    let oxygen = actions
        .iter()
        .map(|a| &a["resource"])
        .find(|r| r["id"] == "oxygen")
        .unwrap();
    let information = extension(
        oxygen,
        "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information",
    )
    .unwrap();
    extension(information, "coverage-assertion-id").unwrap()["valueString"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The parameter `coverage` of the end-to-end check.
fn coverage() -> Value {
    Messages::questionnaire_package_input("-")["parameter"][0].clone()
}

/// The input of `$questionnaire-package` with a coverage and these parameters.
fn input(more: Vec<Value>) -> Value {
    let mut parameters = vec![coverage()];
    parameters.extend(more);
    json!({ "resourceType": "Parameters", "parameter": parameters })
}

fn named(form: &str) -> Value {
    json!({ "name": "questionnaire", "valueCanonical": form })
}

fn report(text: &str) -> Value {
    json!({ "resourceType": "Parameters", "parameter": [
        { "name": "questionnaire", "valueCanonical": format!("{FORM}|1.0.0") },
        { "name": "operationOutcome", "resource": { "resourceType": "OperationOutcome",
            "issue": [{ "severity": "error", "code": "exception", "diagnostics": text }] } },
    ] })
}

both! {
    async fn a_context_leads_to_the_form_and_a_draft_with_the_origin_of_each_answer(app: &TestApp) {
        let ehr = app.ehr().await;
        let assertion = assertion_id(app, &ehr).await;
        let before = app.row_counts().await;
        let response = ehr.package(&Messages::questionnaire_package_input(&assertion)).await.json(200);
        assert_eq!(app.row_counts().await, before, "$questionnaire-package stores nothing");
        let bundle = &parameter(&response, "packagebundle").unwrap()["resource"];
        assert_eq!(bundle["entry"].as_array().unwrap().len(), 2);
        assert_eq!(bundle["entry"][0]["fullUrl"], FORM);
        let draft = &bundle["entry"][1]["resource"];
        assert_eq!(draft["questionnaire"], format!("{FORM}|1.0.0"));
        assert_eq!(draft["subject"]["reference"], "Patient/p1");
        let extensions = draft["extension"].to_string();
        for reference in ["\"Coverage/c1\"", "\"ServiceRequest/oxygen\"", "\"withpa\""] {
            assert!(extensions.contains(reference), "{reference}");
        }
        let items = draft["item"].to_string();
        for answered in ["oxygen.spo2", "oxygen.test-date", "oxygen.months", "oxygen.prescriber"] {
            assert!(items.contains(answered), "{answered}");
        }
        assert_eq!(items.matches("\"answer\"").count(), items.matches("\"auto-server\"").count());
        assert!(parameter(&response, "outcome").is_none());
    }

    async fn a_context_of_another_client_or_member_is_rejected_like_an_unknown_one(app: &TestApp) {
        let ehr = app.ehr().await;
        let assertion = assertion_id(app, &ehr).await;
        let unknown = ehr.package(&Messages::questionnaire_package_input("A-0")).await;
        assert_eq!(unknown.places(422), ["Parameters.parameter[1].value"]);
        let other = app.other_ehr().await;
        let of_other_client = other.package(&Messages::questionnaire_package_input(&assertion)).await;
        assert_eq!(of_other_client.json(422), unknown.json(422));
        let mut of_other_member = Messages::questionnaire_package_input(&assertion);
        let coverage = &mut of_other_member["parameter"][0]["resource"];
        coverage["subscriberId"] = json!("1122334455");
        coverage["identifier"][0]["value"] = json!("12345678901");
        assert_eq!(ehr.package(&of_other_member).await.json(422), unknown.json(422), "another member");
    }

    async fn an_unknown_coverage_is_rejected_with_its_path(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut unknown = input(vec![named(FORM)]);
        let coverage = &mut unknown["parameter"][0]["resource"];
        coverage["subscriberId"] = json!("none");
        coverage["identifier"][0]["value"] = json!("none");
        assert_eq!(ehr.package(&unknown).await.places(422), ["Parameters.parameter[0].resource"]);
        assert_eq!(ehr.package(&input(vec![])).await.places(422), ["Parameters.parameter"]);
    }

    async fn a_mismatch_says_which_datum_did_not_match(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut unknown = input(vec![named(FORM)]);
        let coverage = &mut unknown["parameter"][0]["resource"];
        coverage["subscriberId"] = json!("none");
        coverage["identifier"][0]["value"] = json!("none");
        let with_patient = |family: &str, born: &str| {
            let patient = json!({ "resourceType": "Patient", "id": "p1", "birthDate": born, "name": [{ "family": family }] });
            input(vec![named(FORM), json!({ "name": "referenced", "resource": patient })])
        };
        for (call, words) in [
            (unknown, "The member number matches no member of this plan"),
            (with_patient("Smith", "1953-03-14"), "The name does not match the member with this number"),
            (with_patient("ÉLLERY, Jr.", "1953-03-15"), "The birth date does not match the member with this number"),
        ] {
            let outcome = ehr.package(&call).await.json(422);
            let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
            assert!(text.ends_with(words), "{text}");
        }
        assert_eq!(ehr.package(&with_patient("ÉLLERY, Jr.", "1953-03-14")).await.status, 200);
    }

    async fn a_form_is_returned_by_canonical_at_both_addresses_and_an_unknown_one_is_a_warning(app: &TestApp) {
        let ehr = app.ehr().await;
        let parameters = input(vec![named(FORM), named("http://127.0.0.1:8642/dtr/2.2/Questionnaire/wheelchair")]);
        for path in [PACKAGE, "/dtr/2.2/$questionnaire-package"] {
            let response = ehr.post(path, &parameters).await.json(200);
            let bundle = &parameter(&response, "packagebundle").unwrap()["resource"];
            assert_eq!(bundle["entry"][0]["resource"]["url"], FORM);
            let issues = &parameter(&response, "outcome").unwrap()["resource"]["issue"];
            assert_eq!(issues[0]["severity"], "warning");
            assert_eq!(issues.as_array().unwrap().len(), 1);
        }
    }

    async fn only_forms_that_changed_since_the_requested_time_are_returned(app: &TestApp) {
        let ehr = app.ehr().await;
        let since = |at: &str| input(vec![named(FORM), json!({ "name": "changedsince", "valueInstant": at })]);
        let later = ehr.package(&since("2026-11-21T00:00:00Z")).await.json(200);
        assert!(parameter(&later, "packagebundle").is_none());
        assert!(later.to_string().contains("Nothing has changed"));
        let earlier = ehr.package(&since("2026-11-19T00:00:00Z")).await.json(200);
        assert!(parameter(&earlier, "packagebundle").is_some());
    }

    async fn forms_require_a_token_with_the_scope(app: &TestApp) {
        let ehr = app.ehr().await;
        let narrow = ehr.token_for(assent::demo::seed::EHR, "system/Claim.cruds").await;
        let body = input(vec![named(FORM)]).to_string();
        for (token, status) in [(None, 401), (Some("invalid"), 401), (Some(narrow.as_str()), 403)] {
            for path in [PACKAGE, "/dtr/2.2/$questionnaire-package", REPORT] {
                let reply = app.post(path, token, "application/fhir+json", body.clone()).await;
                assert_eq!(reply.json(status)["resourceType"], "OperationOutcome", "{path}");
            }
            for path in ["/dtr/2.2/Questionnaire", "/dtr/2.2/Questionnaire/home-oxygen"] {
                assert_eq!(app.get(path, token).await.json(status)["resourceType"], "OperationOutcome", "{path}");
            }
        }
        let lower = ehr.token_for(assent::demo::seed::EHR, "system/questionnaire.rs").await;
        app.post(PACKAGE, Some(&lower), "application/fhir+json", body).await.json(200);
    }

    async fn forms_are_read_and_searched(app: &TestApp) {
        let ehr = app.ehr().await;
        let form = app.get("/dtr/2.2/Questionnaire/home-oxygen", Some(&ehr.token)).await.json(200);
        assert_eq!(form["url"], FORM);
        let found = format!("/dtr/2.2/Questionnaire?url={FORM}&version=1.0.0");
        let found = app.get(&found, Some(&ehr.token)).await.json(200);
        assert_eq!(found["total"], 1);
        assert_eq!(found["entry"][0]["resource"], form);
        let none = app.get("/dtr/2.2/Questionnaire/wheelchair", Some(&ehr.token)).await.json(404);
        assert_eq!(none["resourceType"], "OperationOutcome");
    }

    async fn operations_that_are_not_offered_are_not_found(app: &TestApp) {
        let ehr = app.ehr().await;
        for path in ["/dtr/2.2/ValueSet/$expand", "/dtr/2.2/Library/x"] {
            assert_eq!(ehr.post(path, &json!({})).await.json(404)["resourceType"], "OperationOutcome");
        }
        let statement = app.get("/dtr/2.2/metadata", None).await.json(200);
        assert_eq!(statement["fhirVersion"], "4.0.1");
    }

    async fn an_error_report_is_stored_and_never_returned(app: &TestApp) {
        let ehr = app.ehr().await;
        let reply = ehr.post(REPORT, &report("HomeO2.LowestSpO2 failed")).await;
        assert_eq!(reply.json(200)["resourceType"], "OperationOutcome");
        assert!(!reply.text.contains("LowestSpO2"));
        assert_eq!(app.number("SELECT COUNT(*) FROM blob WHERE kind = 'dtr-error-log'").await, 1);
        ehr.post("/dtr/2.2/$log-questionnaire-errors", &json!({ "resourceType": "Parameters" })).await.json(422);
        ehr.post(REPORT, &report(&"x".repeat(70_000))).await.json(413);
        assert_eq!(app.number("SELECT COUNT(*) FROM blob WHERE kind = 'dtr-error-log'").await, 1);
    }
}
