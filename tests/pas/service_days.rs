//! Days of service: impossible dates are refused; days outside of the coverage, in the past or beyond the approved period
//! are pended with the reason; an approved period contains the days asked for.

use super::{FORM, case, case_id, physician, resource_mut, review_actions, set_member};
use crate::support::{TestApp, both, decisions};
use assent::demo::walk::messages::item_extension;
use assent::rules::Decision;
use serde_json::{Value, json};

/// A request for these days of service, with an order from before them: approved at once if the days allow it.
fn request(app: &TestApp, serviced: &Value) -> Value {
    let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
    resource_mut(&mut request, "ServiceRequest")["authoredOn"] = json!("2026-11-14");
    let item = resource_mut(&mut request, "Claim")["item"][0]
        .as_object_mut()
        .unwrap();
    item.remove("servicedDate");
    for (name, value) in serviced.as_object().unwrap() {
        item.insert(name.clone(), value.clone());
    }
    request
}

fn period(start: &str, end: &str) -> Value {
    json!({ "servicedPeriod": { "start": start, "end": end } })
}

/// The queue and the reason of the pend of item 1, and the note for the provider.
async fn pend(app: &TestApp, request: &Value) -> (String, String, String) {
    let claim_response = app.ehr().await.submitted(request).await;
    assert_eq!(review_actions(&claim_response), ["A4"], "{request}");
    let case = case(app, case_id(&claim_response)).await;
    let Decision::Pend(pend) = &case.items[0].verdict.decision else {
        panic!("not pended");
    };
    let note = claim_response["processNote"][0]["text"].as_str().unwrap_or("");
    (pend.queue.clone(), pend.reason.clone(), note.to_owned())
}

#[track_caller]
fn assert_in_the_past((queue, reason, note): &(String, String, String)) {
    assert_eq!(
        (queue.as_str(), reason.as_str()),
        ("administrative", "service-in-the-past")
    );
    assert!(
        note.starts_with("The service is further in the past than the plan allows."),
        "{note}"
    );
}

async fn approved_period(app: &TestApp, request: &Value) -> Value {
    let claim_response = app.ehr().await.submitted(request).await;
    assert_eq!(review_actions(&claim_response), ["A1"]);
    let item = &claim_response["item"][0];
    item_extension(item, "extension-itemPreAuthPeriod").unwrap()["valuePeriod"].clone()
}

/// Changes the end of the coverage of the member in the messages.
async fn end_coverage(app: &TestApp, end: &str) {
    app.sql(&format!(
        "UPDATE coverage SET ends = '{end}' WHERE subscriber_id = 'A100200300'"
    ))
    .await;
}

both! {
    async fn an_impossible_date_anywhere_is_refused_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let reversed = json!({ "start": "2026-12-02", "end": "2026-12-01" });
        for (pointer, name, value, place) in [
            ("/entry/0/resource", "created", json!("2026-13-45"), "entry[0].resource.created"),
            ("/entry/0/resource/item/0", "servicedDate", json!("2026-02-30"), "entry[0].resource.item[0].servicedDate"),
            ("/entry/0/resource/item/0", "servicedDate", json!("soon"), "entry[0].resource.item[0].servicedDate"),
            ("/entry/0/resource/item/0", "servicedPeriod", json!({ "start": "2026-13-01" }), "entry[0].resource.item[0].servicedPeriod.start"),
            ("/entry/0/resource/item/0", "servicedPeriod", reversed.clone(), "entry[0].resource.item[0].servicedPeriod"),
            ("/entry/0/resource", "billablePeriod", reversed.clone(), "entry[0].resource.billablePeriod"),
            ("/entry/0/resource/supportingInfo/0", "timingDate", json!("2026-00-01"), "entry[0].resource.supportingInfo[0].timingDate"),
            ("/entry/1/resource", "birthDate", json!("1953-02-29"), "entry[1].resource.birthDate"),
            ("/entry/2/resource", "period", reversed, "entry[2].resource.period"),
            ("/entry/7/resource", "effectiveDateTime", json!("2026-11-13T25:00:00Z"), "entry[7].resource.effectiveDateTime"),
            ("/entry/8/resource", "authored", json!("2026-11-31"), "entry[8].resource.authored"),
            ("/entry/5/resource", "authoredOn", json!("20261120"), "entry[5].resource.authoredOn"),
        ] {
            let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
            request.pointer_mut(pointer).unwrap()[name] = value;
            assert_eq!(ehr.submit(&request).await.places(422), [format!("Bundle.{place}")]);
        }
        let mut condition = app.messages().oxygen_request(FORM, None, 87, "normal");
        condition["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Condition/copd",
            "resource": { "resourceType": "Condition", "id": "copd", "subject": { "reference": "Patient/p1" },
                "onsetDateTime": "2020-06-31" },
        }));
        assert_eq!(ehr.submit(&condition).await.places(422), ["Bundle.entry[9].resource.onsetDateTime"]);
        let mut inquiry = app.messages().inquiry("RF-1");
        inquiry["entry"][0]["resource"]["item"][0]["servicedDate"] = json!("2026-13-45");
        assert_eq!(ehr.inquire(&inquiry).await.places(422), ["Bundle.entry[0].resource.item[0].servicedDate"]);
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_service_outside_of_the_coverage_is_pended_with_the_reason(app: &TestApp) {
        let before = ("administrative".to_owned(), "service-before-coverage".to_owned(),
            "The service is before the first day of the coverage.".to_owned());
        assert_eq!(pend(app, &request(app, &json!({ "servicedDate": "2024-12-31" }))).await, before);
        assert_eq!(pend(app, &request(app, &period("2024-12-31", "2026-12-01"))).await, before);
        end_coverage(app, "2026-12-31").await;
        let after = ("administrative".to_owned(), "service-after-coverage".to_owned(),
            "The service is after the last day of the coverage.".to_owned());
        assert_eq!(pend(app, &request(app, &json!({ "servicedDate": "2027-01-01" }))).await, after);
        assert_eq!(pend(app, &request(app, &period("2026-12-01", "2027-01-01"))).await, after);
        assert_eq!(approved_period(app, &request(app, &json!({ "servicedDate": "2026-12-31" }))).await["start"], "2026-12-31");
        app.run_jobs().await;
    }

    async fn a_service_that_needs_no_authorization_is_pended_on_a_day_without_coverage(app: &TestApp) {
        let mut referral = app.messages().referral_request();
        referral["entry"][0]["resource"]["item"][0]["servicedDate"] = json!("2024-12-31");
        assert_eq!(pend(app, &referral).await.1, "service-before-coverage");
        referral["entry"][0]["resource"]["item"][0]["servicedDate"] = json!("2026-11-19");
        assert_eq!(pend(app, &referral).await.1, "service-in-the-past");
    }

    async fn each_item_is_judged_by_its_own_days(app: &TestApp) {
        let mut both_days = app.messages().home_care_request();
        both_days["entry"][0]["resource"]["item"][1]["servicedDate"] = json!("2024-12-31");
        let claim_response = app.ehr().await.submitted(&both_days).await;
        let case = case(app, case_id(&claim_response)).await;
        let reason = |n: usize| match &case.items[n].verdict.decision {
            Decision::Pend(pend) => pend.reason.clone(),
            other => panic!("{other:?}"),
        };
        assert_ne!(reason(0), "service-before-coverage");
        assert_eq!(reason(1), "service-before-coverage");
    }

    async fn a_coverage_that_begins_later_answers_for_its_own_days(app: &TestApp) {
        app.sql("UPDATE coverage SET starts = '2026-12-01' WHERE subscriber_id = 'A100200300'").await;
        assert_eq!(pend(app, &request(app, &json!({ "servicedDate": "2026-11-30" }))).await.1, "service-before-coverage");
        // A new member's transition period needs no authorization.
        let covered = request(app, &json!({ "servicedDate": "2026-12-01" }));
        assert_eq!(review_actions(&app.ehr().await.submitted(&covered).await), ["NA"]);
        app.run_jobs().await;
    }

    async fn a_service_in_the_past_is_pended_unless_the_plan_allows_it(app: &TestApp) {
        let past = json!({ "servicedDate": "2026-11-19" });
        for serviced in [past.clone(), period("2026-11-19", "2026-12-31"), json!({ "servicedDate": "2026-11" })] {
            assert_in_the_past(&pend(app, &request(app, &serviced)).await);
        }
        let today = approved_period(app, &request(app, &json!({ "servicedDate": "2026-11-20" }))).await;
        assert_eq!(today["start"], "2026-11-20");
        let row = "H1234-001,Harbor Medicare Advantage,MA,,H1234,America/New_York,2025-01-01,,";
        let config = &app.state.config;
        let policy_set = crate::support::altered_policies(config, &[("plans.csv", row, &format!("{row}14"))]);
        app.state.make_current(policy_set);
        let allowed = approved_period(app, &request(app, &past)).await;
        assert_eq!(allowed, json!({ "start": "2026-11-19", "end": "2027-11-18" }), "it contains the day asked for");
        assert_in_the_past(&pend(app, &request(app, &json!({ "servicedDate": "2026-11-05" }))).await);
        app.run_jobs().await;
    }

    async fn days_beyond_the_period_of_the_policy_are_pended(app: &TestApp) {
        let whole = approved_period(app, &request(app, &period("2026-12-01", "2027-11-30"))).await;
        assert_eq!(whole, json!({ "start": "2026-12-01", "end": "2027-11-30" }));
        let (queue, reason, _) = pend(app, &request(app, &period("2026-12-01", "2027-12-01"))).await;
        assert_eq!((queue.as_str(), reason.as_str()), ("clinical-review", "days-beyond-period"));
        app.run_jobs().await;
    }

    async fn a_reviewer_approves_all_days_that_were_asked_for(app: &TestApp) {
        let mut asked = app.messages().oxygen_request(FORM, None, 91, "normal");
        let item = resource_mut(&mut asked, "Claim")["item"][0].as_object_mut().unwrap();
        item.remove("servicedDate");
        item.insert("servicedPeriod".to_owned(), json!({ "start": "2026-11-10", "end": "2027-02-28" }));
        let id = case_id(&app.ehr().await.submitted(&asked).await);
        let before = case(app, id).await;
        let approve = |day: &str| decisions::approval(&before, &physician(), 1, Some(day), app.clock.now());
        assert!(approve("2027-02-27").is_err());
        let events = approve("2027-02-28").unwrap();
        assert!(serde_json::to_string(&events).unwrap().contains("\"start\":\"2026-11-10\""));
    }

    async fn an_item_without_days_has_those_of_the_claim(app: &TestApp) {
        let mut past = request(app, &json!({}));
        resource_mut(&mut past, "Claim")["billablePeriod"] = json!({ "start": "2026-11-01", "end": "2026-11-02" });
        assert_eq!(pend(app, &past).await.1, "service-in-the-past");
        let mut before = request(app, &json!({}));
        let information = json!({ "sequence": 9, "timingDate": "2024-01-01", "category": { "coding": [{
            "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "code": "patientEvent" }] } });
        resource_mut(&mut before, "Claim")["supportingInfo"].as_array_mut().unwrap().push(information);
        assert_eq!(pend(app, &before).await.1, "service-before-coverage");
    }

    async fn the_reviewer_reads_why_nothing_was_decided(app: &TestApp) {
        let claim_response = app.ehr().await.submitted(&request(app, &json!({ "servicedDate": "2026-11-19" }))).await;
        let mut nora = app.staff("nora").await;
        let page = nora.page(&format!("/staff/cases/{}", case_id(&claim_response))).await;
        assert!(page.text.contains("The service is further in the past than the plan allows"), "{}", page.text);
    }

    async fn an_ended_coverage_and_one_that_is_not_active_have_their_own_reasons(app: &TestApp) {
        let mut ended = app.messages().oxygen_request(FORM, None, 87, "normal");
        set_member(&mut ended, "E500600700", "Nolan", "Vera", "1948-05-05");
        assert_eq!(pend(app, &ended).await.1, "service-after-coverage");
        app.sql("UPDATE coverage SET status = 'cancelled' WHERE subscriber_id = 'A100200300'").await;
        assert_eq!(pend(app, &request(app, &json!({ "servicedDate": "2026-12-01" }))).await.1, "coverage-not-active");
    }
}
