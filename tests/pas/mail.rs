//! Mail, logs and metrics hold nothing of a case: markers in every place where a message can carry something about a
//! person, and none of them shows.

use super::{Act, FORM, actions, case_id, find, for_member, review};
use crate::support::receiver::Receiver;
use crate::support::{TestApp, both};
use assent::auth::registration::{self, NewLogin};
use assent::demo::walk::messages::Run;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

const MARK: &str = "zzphi";

/// Keeps every line of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A member of the plan whose every field is marked, with a login that has a mail address.
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
        assent::import::Import::new(app.state.store.clone(), app.state.published(), app.clock.now());
    import.resource("test", 1, record("Patient")).await.unwrap();
    import.resource("test", 2, record("Coverage")).await.unwrap();
    assert!(import.finish().await.unwrap().refused.is_empty());
    let login = NewLogin {
        username: "walter".to_owned(),
        member_id: "ZZPHI100".to_owned(),
        email: Some("walter@mail.example".to_owned()),
        password: "a password that is long enough 7".to_owned(),
    };
    registration::enroll_member(
        &app.state.store,
        login,
        app.state.config.password_work,
        app.clock.now(),
    )
    .await
    .unwrap();
}

/// A request with a marker in every place that can hold one.
fn marked_request(app: &TestApp) -> Value {
    let mut request = app.run().oxygen(FORM, None, 91, "normal");
    super::for_member(
        &mut request,
        "ZZPHI100",
        "Zzphifamily",
        "Zzphigiven",
        "1953-03-14",
    );
    request["identifier"]["value"] = json!("ZZPHI-bundle");
    find(&mut request, "Patient")["address"] = json!([{ "line": ["1 ZZPHI street"] }]);
    find(&mut request, "Practitioner")["name"] = json!([{ "family": "Zzphidoctor" }]);
    find(&mut request, "Observation")["note"] = json!([{ "text": "ZZPHI note" }]);
    let claim = find(&mut request, "Claim");
    claim["identifier"][0]["value"] = json!("ZZPHI-claim");
    claim["item"][0]["productOrService"]["text"] = json!("ZZPHI service");
    claim["item"][0]["extension"][2]["valueIdentifier"]["value"] = json!("ZZPHI-trace");
    request
}

both! {
    async fn nothing_of_a_case_is_in_any_mail_log_line_or_metric(app: &TestApp) {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        marked_member(app).await;
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[200, 500]).await;
        ehr.post("/pas/2.2/Subscription", &Run::subscription(&receiver.url)).await.json(201);
        app.run_jobs().await;

        let request = marked_request(app);
        let answer = ehr.submitted(&request).await;
        assert_eq!(actions(&answer), ["A4"]);
        assent::jobs::sweep_deadlines(&app.state).await.unwrap();
        app.clock.advance(chrono::Duration::days(6) + chrono::Duration::hours(20));
        assent::jobs::sweep_deadlines(&app.state).await.unwrap();
        review(app, case_id(&answer), Act::Refer("ZZPHI question")).await;
        review(app, case_id(&answer), Act::Deny("ZZPHI reason: a saturation of 91 percent does not qualify.")).await;
        app.run_jobs().await;
        app.clock.advance(chrono::Duration::seconds(10));
        app.run_jobs().await;
        assert!(receiver.came().last().unwrap().1.to_string().contains("ZZPHI reason"), "the provider is told");

        // What goes wrong says no more.
        let ehr = app.ehr().await;
        let mut broken = marked_request(app);
        find(&mut broken, "Claim")["status"] = json!("ZZPHI");
        find(&mut broken, "Coverage")["payor"] = json!([{ "reference": "Organization/ZZPHI" }]);
        ehr.submit(&broken).await.json(422);
        let mut stranger = marked_request(app);
        for_member(&mut stranger, "ZZPHI-nobody", "Zzphi", "Zzphi", "1953-03-14");
        ehr.submit(&stranger).await.json(200);
        app.post("/pas/2.2/Claim/$submit", Some(&ehr.token), "application/fhir+json", "{ \"ZZPHI\": oops }").await.json(400);
        ehr.inquire(&stranger_inquiry(app)).await;

        let mails = app.mails();
        assert_eq!(mails.len(), 3, "staff, member, requester: {mails:?}");
        for mail in &mails {
            assert!(!mail.to_lowercase().contains(MARK), "{mail}");
            assert!(!mail.contains("E1390"), "{mail}");
        }
        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(lines.contains("request answered"), "the log was not kept");
        let leak = lines.lines().find(|line| line.to_lowercase().contains(MARK));
        assert_eq!(leak, None);
        let metrics = app.get("/metrics", None).await.text;
        assert!(metrics.contains("assent_outbox_total"));
        assert!(!metrics.to_lowercase().contains(MARK));
    }
}

both! {
    async fn lines_that_are_decided_together_knock_once(app: &TestApp) {
        let ehr = app.ehr().await;
        let receiver = Receiver::answering(&[]).await;
        ehr.post("/pas/2.2/Subscription", &Run::subscription(&receiver.url)).await.json(201);
        let mut request = app.run().home_care();
        for item in find(&mut request, "Claim")["item"].as_array_mut().unwrap() {
            item["productOrService"]["coding"][0]["code"] = json!("B4184");
        }
        assert_eq!(actions(&ehr.submitted(&request).await), ["NA", "NA"]);
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 1, "the member, once; the provider has the answer in hand");
        let pended = case_id(&ehr.submitted(&app.run().home_care()).await);
        app.run_jobs().await;
        app.clock.advance(chrono::Duration::minutes(1));
        review(app, pended, Act::Approve).await;
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 4, "a supply at once; then the visits: member and provider");
        assert_eq!(receiver.came().len(), 2, "a handshake and one event");
    }
}

fn stranger_inquiry(app: &TestApp) -> Value {
    let mut inquiry = app.run().inquiry("ZZPHI-number");
    for_member(
        &mut inquiry,
        "ZZPHI100",
        "Zzphifamily",
        "Zzphigiven",
        "1953-03-14",
    );
    inquiry
}
