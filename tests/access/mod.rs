//! The member API over HTTP: an app reads its member's prior authorizations in every status, always current, and never
//! another member's.

mod many_cases;
mod reads;
mod search;

use crate::support::{TestApp, both, decisions};
use assent::demo::seed::WALK_MEMBER;
use assent::demo::walk::messages::{extension, review_action_code, review_action_part};
use assent::prior_auth::{CommandError, Event, PriorAuth, Refer, Reviewer};
use chrono::Duration;
use serde_json::{Value, json};

pub const EOB: &str = "/fhir/pdex/ExplanationOfBenefit";
const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
const DENIAL_REASON: &str =
    "Last week's oximetry shows a saturation of 91 percent at rest, which does not meet the policy.";

/// An access token of the demo app for this member account.
pub async fn access_token(app: &TestApp, username: &str) -> String {
    let scope =
        "patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs patient/Organization.rs";
    app.tokens(username, scope).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The matches of a search.
async fn search_matches(app: &TestApp, token: &str, query: &str) -> Vec<Value> {
    let bundle = app.get(&format!("{EOB}{query}"), Some(token)).await.json(200);
    assert_eq!(
        (&bundle["resourceType"], &bundle["type"]),
        (&json!("Bundle"), &json!("searchset"))
    );
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.into_iter().filter(|e| e["search"]["mode"] == "match");
    matches.map(|e| e["resource"].clone()).collect()
}

/// Reads the authorization of a case.
async fn read_authorization(app: &TestApp, token: &str, case: &str) -> Value {
    app.get(&format!("{EOB}/{case}"), Some(token)).await.json(200)
}

/// A reviewer of the demo, as on record.
async fn reviewer(app: &TestApp, username: &str) -> Reviewer {
    let read = app.state.store.read(username.to_owned(), |tx, username| {
        Box::pin(async move { tx.staff_member_by_username(username).await })
    });
    let person = read.await.unwrap().unwrap();
    Reviewer {
        id: person.id,
        username: person.username,
        name: person.name,
        roles: person.roles,
        credential: person.credential,
    }
}

/// Applies a command to a case and stores the resulting events.
async fn apply_command(
    app: &TestApp,
    case: &str,
    command: impl FnOnce(&PriorAuth) -> Result<Vec<Event>, CommandError>,
) {
    let id: uuid::Uuid = case.parse().unwrap();
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
    let before = read.await.unwrap().unwrap();
    let events = command(&before).unwrap();
    let write = app.state.store.write((before, events), |tx, (before, events)| {
        Box::pin(async move { tx.append(before, events).await })
    });
    write.await.unwrap();
}

async fn approve(app: &TestApp, case: &str, sequence: u32, end: Option<&str>) {
    let by = reviewer(app, "nora").await;
    apply_command(app, case, |c| {
        decisions::approval(c, &by, sequence, end, app.clock.now())
    })
    .await;
}

async fn deny(app: &TestApp, case: &str, sequence: u32) {
    let by = reviewer(app, "paul").await;
    apply_command(app, case, |c| {
        decisions::denial(c, &by, sequence, DENIAL_REASON, app.clock.now())
    })
    .await;
}

/// Submits a request, runs its jobs, and returns the case id.
async fn submit(app: &TestApp, bundle: &Value) -> String {
    let ehr = app.ehr().await;
    let response = ehr.submitted(bundle).await;
    app.run_jobs().await;
    response["id"].as_str().unwrap().to_owned()
}

fn review_actions(eob: &Value) -> Vec<&str> {
    eob["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| pdex_action(item).unwrap())
        .collect()
}

/// The review action code of an item. PDex has its own URL for the extension.
fn pdex_action(item: &Value) -> Option<&str> {
    let mut extensions = item["adjudication"]
        .as_array()?
        .iter()
        .filter_map(|a| a["extension"].as_array())
        .flatten();
    let review = extensions.find(|e| e["url"].as_str().is_some_and(|u| u.ends_with("reviewAction")))?;
    let code = review["extension"]
        .as_array()?
        .iter()
        .find(|e| e["url"].as_str().is_some_and(|u| u.ends_with("reviewActionCode")))?;
    code["valueCodeableConcept"]["coding"][0]["code"].as_str()
}

both! {
    async fn an_automatic_approval_is_visible_immediately(app: &TestApp) {
        let token = access_token(app, "ruth").await;
        assert!(search_matches(app, &token, "").await.is_empty());
        let ehr = app.ehr().await;
        let response = ehr.submitted(&app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let eob = read_authorization(app, &token, response["id"].as_str().unwrap()).await;
        assert_eq!((&eob["use"], &eob["status"], &eob["outcome"]), (&json!("preauthorization"), &json!("active"), &json!("complete")));
        assert_eq!(review_actions(&eob), ["A1"]);
        let item = &response["item"][0];
        assert_eq!(review_action_code(item), Some("A1"));
        let number = &review_action_part(item, "number").unwrap()["valueString"];
        assert_eq!(&eob["preAuthRef"][0], number);
        let period = &extension(item, "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemPreAuthPeriod").unwrap()["valuePeriod"];
        assert_eq!(&eob["preAuthRefPeriod"][0], period);
        assert_eq!(eob["item"][0]["productOrService"]["coding"][0]["code"], "E1390");
        assert!(eob["disposition"].as_str().unwrap().starts_with("Approved through"));
        assert_eq!(eob["meta"]["lastUpdated"].as_str().unwrap()[..19], *"2026-11-20T15:04:05");
        app.run_jobs().await;
    }

    async fn an_open_request_shows_no_details_of_the_review(app: &TestApp) {
        let token = access_token(app, "ruth").await;
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let open = read_authorization(app, &token, &case).await;
        assert_eq!((&open["outcome"], review_actions(&open)), (&json!("queued"), vec!["A4"]));
        let disposition = open["disposition"].clone();
        let by = reviewer(app, "nora").await;
        let question = "91 percent does not meet the policy. Please review".to_owned();
        apply_command(app, &case, |c| c.refer(Refer { by: &by, version_seen: c.version, sequence: 1, question }, app.clock.now())).await;
        let referred = read_authorization(app, &token, &case).await;
        assert_eq!((&referred["outcome"], &referred["disposition"]), (&json!("queued"), &disposition));
        assert_eq!(review_actions(&referred), ["A4"]);
        for detail in ["91 percent", "physician", "Nora", "criteri"] {
            assert!(!referred.to_string().contains(detail), "{detail} is visible");
        }
        assert!(referred.get("preAuthRef").is_none());
    }

    async fn a_decision_is_visible_immediately(app: &TestApp) {
        let token = access_token(app, "ruth").await;
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "stat")).await;
        let received = read_authorization(app, &token, &case).await["meta"]["lastUpdated"].clone();
        app.clock.advance(Duration::seconds(61));
        approve(app, &case, 1, Some("2027-11-30")).await;
        let eob = read_authorization(app, &token, &case).await;
        assert_eq!((&eob["outcome"], review_actions(&eob)), (&json!("complete"), vec!["A1"]));
        assert_ne!(eob["meta"]["lastUpdated"], received);
        assert_eq!(eob["meta"]["lastUpdated"].as_str().unwrap()[..19], *"2026-11-20T15:05:06");
        assert_eq!(eob["preAuthRefPeriod"][0]["end"], "2027-11-30");
        assert_eq!(search_matches(app, &token, "?_lastUpdated=gt2026-11-20T15:05:00Z").await.len(), 1);
        assert_eq!(search_matches(app, &token, "?_lastUpdated=gt2026-11-20T15:05:07Z").await.len(), 0);
    }

    async fn a_denial_has_its_reason_code_and_text(app: &TestApp) {
        let token = access_token(app, "ruth").await;
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        deny(app, &case, 1).await;
        let eob = read_authorization(app, &token, &case).await;
        assert_eq!((&eob["outcome"], review_actions(&eob)), (&json!("complete"), vec!["A3"]));
        assert_eq!(eob["disposition"], "Not approved");
        let adjudication = eob["item"][0]["adjudication"].to_string();
        assert!(adjudication.contains("https://codesystem.x12.org/external/886") && adjudication.contains(DENIAL_REASON), "{adjudication}");
        assert!(eob["processNote"].to_string().contains(DENIAL_REASON));
        assert!(eob.get("preAuthRef").is_none());
        assert!(!eob.to_string().contains("Adeyemi"), "apps must not see who decided");
    }

    async fn each_item_has_its_own_status(app: &TestApp) {
        let token = access_token(app, "ruth").await;
        let surgery = submit(app, &app.messages().surgery_request()).await;
        assert_eq!(review_actions(&read_authorization(app, &token, &surgery).await), ["A4", "A4"]);
        approve(app, &surgery, 2, None).await;
        let partly_decided = read_authorization(app, &token, &surgery).await;
        assert_eq!((&partly_decided["outcome"], review_actions(&partly_decided)), (&json!("partial"), vec!["A4", "A1"]));
        deny(app, &surgery, 1).await;
        let decided = read_authorization(app, &token, &surgery).await;
        assert_eq!((&decided["outcome"], review_actions(&decided)), (&json!("complete"), vec!["A3", "A1"]));
        assert_eq!(decided["disposition"], "Some services are approved, others are not");
        let home_care = submit(app, &app.messages().home_care_request()).await;
        assert_eq!(review_actions(&read_authorization(app, &token, &home_care).await), ["A4", "NA"]);
        let referral = submit(app, &app.messages().referral_request()).await;
        let referral = read_authorization(app, &token, &referral).await;
        assert_eq!((review_actions(&referral), &referral["disposition"]), (vec!["NA"], &json!("No approval needed")));
    }

    async fn an_ended_approval_says_so_from_the_next_day(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        approve(app, &case, 1, Some("2026-12-31")).await;
        app.clock.advance(Duration::days(41));
        let last_day = access_token(app, "ruth").await;
        assert_eq!(read_authorization(app, &last_day, &case).await["disposition"], "Approved through Dec 31, 2026");
        app.clock.advance(Duration::days(1));
        let next_day = access_token(app, "ruth").await;
        let eob = read_authorization(app, &next_day, &case).await;
        assert_eq!(eob["disposition"], "Approval ended on Dec 31, 2026");
        assert_eq!(review_actions(&eob), ["A1"]);
        assert_eq!(eob["meta"]["lastUpdated"], "2027-01-01T05:00:00Z", "the first second of the next day in the plan's time zone");
    }

    async fn another_members_token_finds_nothing(app: &TestApp) {
        let (ruth, joe) = (access_token(app, "ruth").await, access_token(app, "joe").await);
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let eob = read_authorization(app, &ruth, &case).await;
        let patient = eob["patient"]["reference"].as_str().unwrap();
        let coverage = eob["insurance"][0]["coverage"]["reference"].as_str().unwrap();
        let provider = eob["provider"]["reference"].as_str().unwrap();
        for reference in [patient, coverage, provider] {
            app.get(&format!("/fhir/pdex/{reference}"), Some(&ruth)).await.json(200);
        }
        let id = format!("?_id={case}");
        let by_patient = format!("?patient={patient}");
        for query in ["", id.as_str(), by_patient.as_str()] {
            assert!(search_matches(app, &joe, query).await.is_empty(), "{query}");
        }
        for reference in [format!("ExplanationOfBenefit/{case}").as_str(), patient, coverage, provider] {
            let refused = app.get(&format!("/fhir/pdex/{reference}"), Some(&joe)).await;
            let unknown = app.get(&format!("/fhir/pdex/{}/none", reference.split('/').next().unwrap()), Some(&joe)).await;
            assert_eq!(refused.json(404), unknown.json(404), "{reference}");
        }
        let patients = app.get("/fhir/pdex/Patient", Some(&joe)).await.json(200);
        assert_eq!(patients["total"], 1);
        assert!(!patients.to_string().contains(WALK_MEMBER));
    }

    async fn without_a_valid_token_nothing_can_be_read(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let ehr = app.ehr().await;
        for token in [None, Some("unknown"), Some(ehr.token.as_str())] {
            for path in [EOB.to_owned(), format!("{EOB}/{case}"), "/fhir/pdex/Patient".into(), "/fhir/pdex/Coverage".into()] {
                let reply = app.get(&path, token).await;
                assert_eq!(reply.json(401)["resourceType"], "OperationOutcome", "{path}");
                assert!(reply.headers.contains_key("www-authenticate"));
            }
        }
        let patient_only = app.tokens("ruth", "patient/Patient.rs").await;
        let patient_only = patient_only["access_token"].as_str();
        app.get(EOB, patient_only).await.json(403);
        app.get(&format!("{EOB}/{case}"), patient_only).await.json(403);
        let ruth = access_token(app, "ruth").await;
        app.clock.advance(Duration::hours(1));
        app.get(EOB, Some(&ruth)).await.json(401);
    }

    async fn sensitive_cases_need_the_members_permission(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        request["entry"][0]["resource"]["diagnosis"] = json!([{
            "sequence": 1, "diagnosisCodeableConcept": { "coding": [{
                "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20" }] } }]);
        let case = submit(app, &request).await;
        let ruth = access_token(app, "ruth").await;
        assert_eq!(search_matches(app, &ruth, "").await.len(), 1);
        let query = crate::support::consent::authorize_query("patient/ExplanationOfBenefit.rs", &[]);
        let back = app.allowed("ruth", &query, false).await.unwrap();
        let code = crate::support::consent::parameter(&back, "code").unwrap();
        let without_sensitive = app.token_request(&crate::support::consent::redemption(&code)).await.json(200);
        let without_sensitive = without_sensitive["access_token"].as_str().unwrap();
        assert!(search_matches(app, without_sensitive, "").await.is_empty());
        app.get(&format!("{EOB}/{case}"), Some(without_sensitive)).await.json(404);
    }

    async fn reading_changes_nothing_in_the_store(app: &TestApp) {
        submit(app, &app.messages().surgery_request()).await;
        let ruth = access_token(app, "ruth").await;
        let before = app.row_counts().await;
        search_matches(app, &ruth, "").await;
        app.get("/fhir/pdex/Coverage", Some(&ruth)).await.json(200);
        assert_eq!(app.row_counts().await, before);
        app.post(EOB, Some(&ruth), "application/fhir+json", "{}").await.json(405);
    }
}
