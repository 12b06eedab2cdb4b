//! Email notices, logs and metrics contain no case data: the test puts markers into every element that can hold
//! personal data and searches for them in everything that leaves the API.

use super::{FORM, ReviewerAction, case_id, resource_mut, review_actions, review_item, set_member};
use crate::support::receiver::Receiver;
use crate::support::{CapturedLogs, TestApp, both};
use assent::auth::registration::{self, NewMemberLogin};
use assent::demo::walk::messages::Messages;
use serde_json::{Value, json};

const MARK: &str = "zzphi";

/// A member of the plan with markers in every field and a login with an email address.
async fn marked_member(app: &TestApp) {
    let record = |kind: &str| {
        let records = assent::demo::seed::plan_records();
        let text = records
            .iter()
            .find(|r| r["resourceType"] == kind)
            .unwrap()
            .to_string();
        let text = text
            .replace("A100200300", "ZZPHI100")
            .replace("Ellery", "Zzphifamily")
            .replace("Ruth", "Zzphigiven");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let mut import =
        assent::import::Import::new(app.state.store.clone(), app.state.policy_set(), app.clock.now());
    import.read_resource("test", 1, record("Patient")).await.unwrap();
    import.read_resource("test", 2, record("Coverage")).await.unwrap();
    assert!(import.finish().await.unwrap().rejected.is_empty());
    let login = NewMemberLogin {
        username: "walter".to_owned(),
        member_id: "ZZPHI100".to_owned(),
        email: Some("walter@mail.example".to_owned()),
        password: "a password that is long enough 7".to_owned(),
    };
    registration::add_member_login(
        &app.state.store,
        login,
        app.state.config.password_cost,
        app.clock.now(),
    )
    .await
    .unwrap();
}

/// A request with a marker in every element that can hold personal data.
fn marked_request(app: &TestApp) -> Value {
    let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
    super::set_member(
        &mut request,
        "ZZPHI100",
        "Zzphifamily",
        "Zzphigiven",
        "1953-03-14",
    );
    request["identifier"]["value"] = json!("ZZPHI-bundle");
    resource_mut(&mut request, "Patient")["address"] = json!([{ "line": ["1 ZZPHI street"] }]);
    resource_mut(&mut request, "Practitioner")["name"] = json!([{ "family": "Zzphidoctor" }]);
    resource_mut(&mut request, "Observation")["note"] = json!([{ "text": "ZZPHI note" }]);
    let claim = resource_mut(&mut request, "Claim");
    claim["identifier"][0]["value"] = json!("ZZPHI-claim");
    claim["item"][0]["productOrService"]["text"] = json!("ZZPHI service");
    claim["item"][0]["extension"][2]["valueIdentifier"]["value"] = json!("ZZPHI-trace");
    request
}

both! {
    async fn no_email_log_line_or_metric_contains_case_data(app: &TestApp) {
        let log = CapturedLogs::start();
        marked_member(app).await;
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[200, 500]).await;
        ehr.post("/pas/2.2/Subscription", &Messages::subscription(&receiver.url)).await.json(201);
        app.run_jobs().await;

        let request = marked_request(app);
        let claim_response = ehr.submitted(&request).await;
        assert_eq!(review_actions(&claim_response), ["A4"]);
        assent::jobs::check_due_times(&app.state).await.unwrap();
        app.clock.advance(chrono::Duration::days(6) + chrono::Duration::hours(20));
        assent::jobs::check_due_times(&app.state).await.unwrap();
        review_item(app, case_id(&claim_response), ReviewerAction::Refer("ZZPHI question")).await;
        review_item(app, case_id(&claim_response), ReviewerAction::Deny("ZZPHI reason: a saturation of 91 percent does not qualify.")).await;
        app.run_jobs().await;
        app.clock.advance(chrono::Duration::seconds(10));
        app.run_jobs().await;
        assert!(receiver.received().last().unwrap().1.to_string().contains("ZZPHI reason"), "the provider receives the reason");

        // Errors must not contain the markers either.
        let ehr = app.ehr().await;
        let mut broken = marked_request(app);
        resource_mut(&mut broken, "Claim")["status"] = json!("ZZPHI");
        resource_mut(&mut broken, "Coverage")["payor"] = json!([{ "reference": "Organization/ZZPHI" }]);
        ehr.submit(&broken).await.json(422);
        let mut unknown_member = marked_request(app);
        set_member(&mut unknown_member, "ZZPHI-nobody", "Zzphi", "Zzphi", "1953-03-14");
        ehr.submit(&unknown_member).await.json(200);
        app.post("/pas/2.2/Claim/$submit", Some(&ehr.token), "application/fhir+json", "{ \"ZZPHI\": oops }").await.json(400);
        ehr.inquire(&inquiry_about_marked_member(app)).await;

        let mails = app.mails();
        assert_eq!(mails.len(), 3, "staff, member, requester: {mails:?}");
        for mail in &mails {
            assert!(!mail.to_lowercase().contains(MARK), "{mail}");
            assert!(!mail.contains("E1390"), "{mail}");
        }
        assert!(log.own().contains("request completed"), "the log was not captured");
        let lines = log.with_other_threads();
        let leak = lines.lines().find(|line| line.to_lowercase().contains(MARK));
        assert_eq!(leak, None);
        let metrics = app.get("/metrics", None).await.text;
        assert!(metrics.contains("assent_outbox_total"));
        assert!(!metrics.to_lowercase().contains(MARK));
    }
}

both! {
    async fn items_decided_together_cause_one_email_notice(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::responding_with(&[]).await;
        ehr.post("/pas/2.2/Subscription", &Messages::subscription(&receiver.url)).await.json(201);
        let mut request = app.messages().home_care_request();
        for item in resource_mut(&mut request, "Claim")["item"].as_array_mut().unwrap() {
            item["productOrService"]["coding"][0]["code"] = json!("B4184");
        }
        assert_eq!(review_actions(&ehr.submitted(&request).await), ["NA", "NA"]);
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 1, "one for the member; the provider has the decision in the response");
        let pended = case_id(&ehr.submitted(&app.messages().home_care_request()).await);
        app.run_jobs().await;
        app.clock.advance(chrono::Duration::minutes(1));
        review_item(app, pended, ReviewerAction::Approve).await;
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 4, "the supply: the member; then the visits: member and provider");
        assert_eq!(receiver.received().len(), 2, "a handshake and one event");
    }
}

fn inquiry_about_marked_member(app: &TestApp) -> Value {
    let mut inquiry = app.messages().inquiry("ZZPHI-number");
    set_member(
        &mut inquiry,
        "ZZPHI100",
        "Zzphifamily",
        "Zzphigiven",
        "1953-03-14",
    );
    inquiry
}
