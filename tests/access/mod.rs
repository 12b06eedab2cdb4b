//! A member's authorizations as an app reads them: each state of a case, current to the second, and nobody else's.

mod search;

use crate::support::{TestApp, both};
use assent::demo::seed::WALK_MEMBER;
use assent::demo::walk::messages::{action, action_part, part};
use assent::prior_auth::{Approve, Deny, Event, PriorAuth, Refer, Refused, Reviewer};
use chrono::Duration;
use serde_json::{Value, json};

const EOB: &str = "/fhir/pdex/ExplanationOfBenefit";
const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
const WHY: &str =
    "The oximetry of last week shows ninety-one percent at rest, which does not meet the policy.";

/// The access token of the demo's app for a member.
async fn token(app: &TestApp, username: &str) -> String {
    let scope =
        "patient/ExplanationOfBenefit.rs patient/Patient.rs patient/Coverage.rs patient/Organization.rs";
    app.tokens(username, scope).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Every match of a search.
async fn found(app: &TestApp, token: &str, query: &str) -> Vec<Value> {
    let bundle = app.get(&format!("{EOB}{query}"), Some(token)).await.json(200);
    assert_eq!(
        (&bundle["resourceType"], &bundle["type"]),
        (&json!("Bundle"), &json!("searchset"))
    );
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.into_iter().filter(|e| e["search"]["mode"] == "match");
    matches.map(|e| e["resource"].clone()).collect()
}

/// The record of one case.
async fn record(app: &TestApp, token: &str, case: &str) -> Value {
    app.get(&format!("{EOB}/{case}"), Some(token)).await.json(200)
}

/// A reviewer of the demo, as signed in.
async fn reviewer(app: &TestApp, username: &str) -> Reviewer {
    let read = app.state.store.read(username.to_owned(), |tx, username| {
        Box::pin(async move { tx.person_by_username(username).await })
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

/// Does something to a case and stores what follows.
async fn act(app: &TestApp, case: &str, command: impl FnOnce(&PriorAuth) -> Result<Vec<Event>, Refused>) {
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
    let number = format!("AUTH-{sequence}-{}", app.run().tag);
    let end = end.map(|day| day.parse().unwrap());
    let reason = "The criteria are met".to_owned();
    act(app, case, |c| {
        c.approve(
            Approve {
                by: &by,
                seen: c.version,
                sequence,
                number,
                end,
                reason,
            },
            app.clock.now(),
        )
    })
    .await;
}

async fn deny(app: &TestApp, case: &str, sequence: u32) {
    let by = reviewer(app, "paul").await;
    let (reason_code, reason) = ("0F".to_owned(), WHY.to_owned());
    act(app, case, |c| {
        c.deny(
            &Deny {
                by: &by,
                seen: c.version,
                sequence,
                reason_code,
                reason,
            },
            app.clock.now(),
        )
    })
    .await;
}

/// Sends a request; its case.
async fn submitted(app: &TestApp, bundle: &Value) -> String {
    let ehr = app.ehr().await;
    let response = ehr.submitted(bundle).await;
    app.run_jobs().await;
    response["id"].as_str().unwrap().to_owned()
}

fn actions(eob: &Value) -> Vec<&str> {
    eob["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| pdex_action(item).unwrap())
        .collect()
}

/// The review action of a line: PDex has its own spelling of the extension.
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
    async fn an_approval_by_rule_is_there_as_soon_as_it_is_given(app: &TestApp) {
        let token = token(app, "ruth").await;
        assert!(found(app, &token, "").await.is_empty());
        let ehr = app.ehr().await;
        let response = ehr.submitted(&app.run().oxygen(FORM, None, 87, "normal")).await;
        let eob = record(app, &token, response["id"].as_str().unwrap()).await;
        assert_eq!((&eob["use"], &eob["status"], &eob["outcome"]), (&json!("preauthorization"), &json!("active"), &json!("complete")));
        assert_eq!(actions(&eob), ["A1"]);
        let line = &response["item"][0];
        assert_eq!(action(line), Some("A1"));
        let number = &action_part(line, "number").unwrap()["valueString"];
        assert_eq!(&eob["preAuthRef"][0], number);
        let period = &part(line, "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemPreAuthPeriod").unwrap()["valuePeriod"];
        assert_eq!(&eob["preAuthRefPeriod"][0], period);
        assert_eq!(eob["item"][0]["productOrService"]["coding"][0]["code"], "E1390");
        assert!(eob["disposition"].as_str().unwrap().starts_with("Approved until"));
        assert_eq!(eob["meta"]["lastUpdated"].as_str().unwrap()[..19], *"2026-11-20T15:04:05");
        app.run_jobs().await;
    }

    async fn an_open_request_is_in_review_and_says_nothing_of_what_review_thinks(app: &TestApp) {
        let token = token(app, "ruth").await;
        let case = submitted(app, &app.run().oxygen(FORM, None, 91, "normal")).await;
        let open = record(app, &token, &case).await;
        assert_eq!((&open["outcome"], actions(&open)), (&json!("queued"), vec!["A4"]));
        let words = open["disposition"].clone();
        let by = reviewer(app, "nora").await;
        let question = "Ninety-one percent does not meet the policy; please look".to_owned();
        act(app, &case, |c| c.refer(Refer { by: &by, seen: c.version, sequence: 1, question }, app.clock.now())).await;
        let referred = record(app, &token, &case).await;
        assert_eq!((&referred["outcome"], &referred["disposition"]), (&json!("queued"), &words));
        assert_eq!(actions(&referred), ["A4"]);
        for inside in ["Ninety-one", "physician", "Nora", "criteri"] {
            assert!(!referred.to_string().contains(inside), "{inside} shows");
        }
        assert!(referred.get("preAuthRef").is_none());
    }

    async fn a_decision_shows_in_the_second_in_which_it_is_made(app: &TestApp) {
        let token = token(app, "ruth").await;
        let case = submitted(app, &app.run().oxygen(FORM, None, 91, "stat")).await;
        let received = record(app, &token, &case).await["meta"]["lastUpdated"].clone();
        app.clock.advance(Duration::seconds(61));
        approve(app, &case, 1, Some("2027-11-30")).await;
        let eob = record(app, &token, &case).await;
        assert_eq!((&eob["outcome"], actions(&eob)), (&json!("complete"), vec!["A1"]));
        assert_ne!(eob["meta"]["lastUpdated"], received);
        assert_eq!(eob["meta"]["lastUpdated"].as_str().unwrap()[..19], *"2026-11-20T15:05:06");
        assert_eq!(eob["preAuthRefPeriod"][0]["end"], "2027-11-30");
        assert_eq!(found(app, &token, "?_lastUpdated=gt2026-11-20T15:05:00Z").await.len(), 1);
        assert_eq!(found(app, &token, "?_lastUpdated=gt2026-11-20T15:05:07Z").await.len(), 0);
    }

    async fn a_denial_comes_with_its_code_and_its_words(app: &TestApp) {
        let token = token(app, "ruth").await;
        let case = submitted(app, &app.run().oxygen(FORM, None, 91, "normal")).await;
        deny(app, &case, 1).await;
        let eob = record(app, &token, &case).await;
        assert_eq!((&eob["outcome"], actions(&eob)), (&json!("complete"), vec!["A3"]));
        assert_eq!(eob["disposition"], "Not approved");
        let line = eob["item"][0]["adjudication"].to_string();
        assert!(line.contains("https://codesystem.x12.org/external/886") && line.contains(WHY), "{line}");
        assert!(eob["processNote"].to_string().contains(WHY));
        assert!(eob.get("preAuthRef").is_none());
        assert!(!eob.to_string().contains("Adeyemi"), "who decided is not told to apps");
    }

    async fn lines_stand_for_themselves(app: &TestApp) {
        let token = token(app, "ruth").await;
        let surgery = submitted(app, &app.run().surgery()).await;
        assert_eq!(actions(&record(app, &token, &surgery).await), ["A4", "A4"]);
        approve(app, &surgery, 2, None).await;
        let half = record(app, &token, &surgery).await;
        assert_eq!((&half["outcome"], actions(&half)), (&json!("partial"), vec!["A4", "A1"]));
        deny(app, &surgery, 1).await;
        let whole = record(app, &token, &surgery).await;
        assert_eq!((&whole["outcome"], actions(&whole)), (&json!("complete"), vec!["A3", "A1"]));
        assert_eq!(whole["disposition"], "Part of it approved");
        let home_care = submitted(app, &app.run().home_care()).await;
        assert_eq!(actions(&record(app, &token, &home_care).await), ["A4", "NA"]);
        let referral = submitted(app, &app.run().referral()).await;
        let referral = record(app, &token, &referral).await;
        assert_eq!((actions(&referral), &referral["disposition"]), (vec!["NA"], &json!("No authorization needed")));
    }

    async fn an_approval_that_has_run_out_says_so_from_the_next_day_on(app: &TestApp) {
        let case = submitted(app, &app.run().oxygen(FORM, None, 91, "normal")).await;
        approve(app, &case, 1, Some("2026-12-31")).await;
        app.clock.advance(Duration::days(41));
        let last_day = token(app, "ruth").await;
        assert_eq!(record(app, &last_day, &case).await["disposition"], "Approved until December 31, 2026");
        app.clock.advance(Duration::days(1));
        let after = token(app, "ruth").await;
        let eob = record(app, &after, &case).await;
        assert_eq!(eob["disposition"], "Approval ended on December 31, 2026");
        assert_eq!(actions(&eob), ["A1"]);
        assert_eq!(eob["meta"]["lastUpdated"], "2027-01-01T05:00:00Z", "the first second of the next day there");
    }

    async fn another_members_token_gets_nothing(app: &TestApp) {
        let (ruth, joe) = (token(app, "ruth").await, token(app, "joe").await);
        let case = submitted(app, &app.run().oxygen(FORM, None, 87, "normal")).await;
        let eob = record(app, &ruth, &case).await;
        let patient = eob["patient"]["reference"].as_str().unwrap();
        let coverage = eob["insurance"][0]["coverage"]["reference"].as_str().unwrap();
        let provider = eob["provider"]["reference"].as_str().unwrap();
        for reference in [patient, coverage, provider] {
            app.get(&format!("/fhir/pdex/{reference}"), Some(&ruth)).await.json(200);
        }
        let id = format!("?_id={case}");
        let by_patient = format!("?patient={patient}");
        for query in ["", id.as_str(), by_patient.as_str()] {
            assert!(found(app, &joe, query).await.is_empty(), "{query}");
        }
        for reference in [format!("ExplanationOfBenefit/{case}").as_str(), patient, coverage, provider] {
            let refused = app.get(&format!("/fhir/pdex/{reference}"), Some(&joe)).await;
            let unknown = app.get(&format!("/fhir/pdex/{}/none", reference.split('/').next().unwrap()), Some(&joe)).await;
            assert_eq!(refused.json(404), unknown.json(404), "{reference}");
        }
        let people = app.get("/fhir/pdex/Patient", Some(&joe)).await.json(200);
        assert_eq!(people["total"], 1);
        assert!(!people.to_string().contains(WALK_MEMBER));
    }

    async fn without_a_living_token_there_is_nothing(app: &TestApp) {
        let case = submitted(app, &app.run().oxygen(FORM, None, 87, "normal")).await;
        let ehr = app.ehr().await;
        for token in [None, Some("stolen"), Some(ehr.token.as_str())] {
            for path in [EOB.to_owned(), format!("{EOB}/{case}"), "/fhir/pdex/Patient".into(), "/fhir/pdex/Coverage".into()] {
                let reply = app.get(&path, token).await;
                assert_eq!(reply.json(401)["resourceType"], "OperationOutcome", "{path}");
                assert!(reply.headers.contains_key("www-authenticate"));
            }
        }
        let narrow = app.tokens("ruth", "patient/Patient.rs").await;
        let narrow = narrow["access_token"].as_str();
        app.get(EOB, narrow).await.json(403);
        app.get(&format!("{EOB}/{case}"), narrow).await.json(403);
        let ruth = token(app, "ruth").await;
        app.clock.advance(Duration::hours(1));
        app.get(EOB, Some(&ruth)).await.json(401);
    }

    async fn what_is_sensitive_needs_the_members_word(app: &TestApp) {
        let mut request = app.run().oxygen(FORM, None, 87, "normal");
        request["entry"][0]["resource"]["diagnosis"] = json!([{
            "sequence": 1, "diagnosisCodeableConcept": { "coding": [{
                "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20" }] } }]);
        let case = submitted(app, &request).await;
        let ruth = token(app, "ruth").await;
        assert_eq!(found(app, &ruth, "").await.len(), 1);
        let query = crate::support::consent::authorize_query("patient/ExplanationOfBenefit.rs", &[]);
        let back = app.allowed("ruth", &query, false).await.unwrap();
        let code = crate::support::consent::parameter(&back, "code").unwrap();
        let discreet = app.token_request(&crate::support::consent::redemption(&code)).await.json(200);
        let discreet = discreet["access_token"].as_str().unwrap();
        assert!(found(app, discreet, "").await.is_empty());
        app.get(&format!("{EOB}/{case}"), Some(discreet)).await.json(404);
    }

    async fn reading_changes_nothing(app: &TestApp) {
        submitted(app, &app.run().surgery()).await;
        let ruth = token(app, "ruth").await;
        let before = app.row_counts().await;
        found(app, &ruth, "").await;
        app.get("/fhir/pdex/Coverage", Some(&ruth)).await.json(200);
        assert_eq!(app.row_counts().await, before);
        app.post(EOB, Some(&ruth), "application/fhir+json", "{}").await.json(405);
    }
}
