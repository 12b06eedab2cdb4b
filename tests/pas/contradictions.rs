//! Statements of one fact that contradict each other, and values that nobody can have: the fact is unknown, the request
//! pends, the reviewer sees every statement, and the same when the case is evaluated again (which the end of every test
//! does).

use super::{FORM, case_id, resource_mut, review_actions};
use crate::support::{TestApp, both};
use assent::cli::policy::explain::explain_case;
use serde_json::{Value, json};

fn request(app: &TestApp, percent: u32) -> Value {
    app.messages().oxygen_request(FORM, None, percent, "normal")
}

/// Replaces an answer of the form, or adds one.
fn answer(request: &mut Value, link_id: &str, value: Value) {
    let items = resource_mut(request, "QuestionnaireResponse")["item"]
        .as_array_mut()
        .unwrap();
    items.retain(|item| item["linkId"] != link_id);
    items.push(json!({ "linkId": link_id, "answer": [value] }));
}

fn percent(value: f64) -> Value {
    json!({ "valueQuantity": { "value": value, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" } })
}

fn add(request: &mut Value, resource: Value) {
    let full_url = format!(
        "https://ehr.demo.example/fhir/{}/{}",
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap()
    );
    let entry = json!({ "fullUrl": full_url, "resource": resource });
    request["entry"].as_array_mut().unwrap().push(entry);
}

/// Submits the request, which must not be approved. The case page and the explanation must show every one of these texts.
async fn pended_and_shown(app: &TestApp, request: &Value, on_the_page: &[&str], in_the_trace: &[&str]) {
    let response = app.ehr().await.submitted(request).await;
    assert_eq!(review_actions(&response), ["A4"], "{request}");
    let case = case_id(&response).to_string();
    let page = app
        .staff("nora")
        .await
        .page(&format!("/staff/cases/{case}"))
        .await
        .text;
    for text in on_the_page {
        assert!(page.contains(text), "the page does not show: {text}");
    }
    let explained = explain_case(&app.state.store, &case).await.unwrap();
    let trace = explained[0].to_text();
    for text in in_the_trace {
        assert!(trace.contains(text), "the trace does not show: {text}\n{trace}");
    }
    assert_eq!(explained[0].matches_stored, Some(true));
}

both! {
    async fn a_form_that_contradicts_the_chart_never_approves(app: &TestApp) {
        let mut request = request(app, 87);
        answer(&mut request, "oxygen.spo2", percent(97.0));
        let note = "the sources state different values";
        let values = ["<strong>87%</strong>", "<strong>97%</strong>", note];
        pended_and_shown(app, &request, &values, &[note, "87% dated ", "97% "]).await;
        app.leaves_work();
    }

    async fn a_form_that_agrees_with_the_chart_approves(app: &TestApp) {
        let mut request = request(app, 87);
        let day = resource_mut(&mut request, "Observation")["effectiveDateTime"].clone();
        answer(&mut request, "oxygen.spo2", percent(87.0));
        answer(&mut request, "oxygen.test-date", json!({ "valueDate": day.as_str().unwrap()[..10] }));
        let response = app.ehr().await.submitted(&request).await;
        assert_eq!(review_actions(&response), ["A1"]);
        app.run_jobs().await;
    }

    async fn one_value_of_two_days_never_approves(app: &TestApp) {
        let mut request = request(app, 87);
        answer(&mut request, "oxygen.spo2", percent(87.0));
        answer(&mut request, "oxygen.test-date", json!({ "valueDate": "2020-01-31" }));
        let note = "the sources state different days";
        pended_and_shown(app, &request, &[note], &[note, "87% dated 2020-01-31"]).await;
        app.leaves_work();
    }

    async fn two_results_of_one_day_never_approve(app: &TestApp) {
        let mut request = request(app, 87);
        let mut second = resource_mut(&mut request, "Observation").clone();
        second["id"] = json!("spo2-again");
        second["valueQuantity"]["value"] = json!(93);
        add(&mut request, second);
        let values = ["<strong>87%</strong>", "<strong>93%</strong>", "Observation 2"];
        let note = "several found with the same date and different values";
        pended_and_shown(app, &request, &values, &[note, "87% dated ", "93% dated "]).await;
        app.leaves_work();
    }

    async fn a_value_that_is_not_plausible_never_approves(app: &TestApp) {
        for percent in [0, 8, 870] {
            let note = "the value is outside the plausible range, 50% to 100%";
            let value = format!("<strong>{percent}%</strong>");
            pended_and_shown(app, &request(app, percent), &[note, &value], &[note]).await;
        }
        app.leaves_work();
    }

    async fn a_diagnosis_in_the_chart_that_the_form_denies_never_approves(app: &TestApp) {
        // A saturation of 89% needs a sign such as cor pulmonale.
        let with_diagnosis = |denied: bool| {
            let mut request = request(app, 89);
            add(&mut request, json!({ "resourceType": "Condition", "id": "heart", "subject": { "reference": "Patient/p1" },
                "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] },
                "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I27.81" }] } }));
            if !denied {
                let items = resource_mut(&mut request, "QuestionnaireResponse")["item"].as_array_mut().unwrap();
                items.retain(|item| item["linkId"] != "oxygen.cor-pulmonale");
            }
            request
        };
        let response = app.ehr().await.submitted(&with_diagnosis(false)).await;
        assert_eq!(review_actions(&response), ["A1"], "the chart alone");
        let note = "the sources state different values";
        pended_and_shown(app, &with_diagnosis(true), &[note], &[note, "yes at $['res']['Condition'][0], no at $['answers']"]).await;
        app.leaves_work();
    }
}
