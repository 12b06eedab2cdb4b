//! Members with many cases: a search reads and builds what it shows, and what was built before is never shown instead of
//! what is true now, nor to anybody who may not see it.

use super::{EOB, FORM, access_token, approve, read_authorization, review_actions, search_matches, submit};
use crate::support::{PUBLIC_URL, TestApp, both, consent};
use chrono::Duration;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const CASES: usize = 300;

/// Cases of the member of the messages; their ids, newest first.
async fn many(app: &TestApp) -> Vec<String> {
    let model = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
    app.clock.advance(Duration::seconds(1));
    let mut ids: Vec<Uuid> = vec![model.parse().unwrap()];
    ids.extend(app.copy_open_case(ids[0], CASES - 1, |_, _| ()).await);
    ids.reverse();
    ids.iter().map(Uuid::to_string).collect()
}

fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|e| e["resource"]["id"].as_str().unwrap().to_owned())
        .collect()
}

fn next_page(bundle: &Value) -> Option<String> {
    let next = bundle["link"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["relation"] == "next")?;
    Some(
        next["url"]
            .as_str()
            .unwrap()
            .strip_prefix(PUBLIC_URL)
            .unwrap()
            .to_owned(),
    )
}

/// A search, and how many resources were built for it.
async fn search(app: &TestApp, token: &str, path: &str) -> (Value, u64) {
    let before = app.state.member_resources.built();
    let bundle = app.get(path, Some(token)).await.json(200);
    (bundle, app.state.member_resources.built() - before)
}

both! {
    async fn a_search_builds_only_what_it_shows(app: &TestApp) {
        let newest_first = many(app).await;
        let ruth = access_token(app, "ruth").await;
        for (query, total, shown, built) in [
            ("_summary=count", CASES, &newest_first[..0], 0),
            ("use=claim", 0, &newest_first[..0], 0),
            ("_lastUpdated=gt2030", 0, &newest_first[..0], 0),
            ("_count=20", CASES, &newest_first[..20], 20),
            ("_count=20&use=preauthorization", CASES, &newest_first[..20], 0),
            ("_lastUpdated=le2030&_count=25", CASES, &newest_first[..25], 5),
            (&format!("_id={}", newest_first[100]), 1, &newest_first[100..101], 1),
            (&format!("_count=3&_after={}", newest_first[199]), CASES, &newest_first[200..203], 3),
            ("_count=10&_elements=outcome", CASES, &newest_first[..10], 0),
        ] {
            let (bundle, count) = search(app, &ruth, &format!("{EOB}?{query}")).await;
            assert_eq!((ids(&bundle).as_slice(), count), (shown, built), "{query}");
            assert_eq!(bundle["total"], json!(total), "{query}");
        }
        let (oldest, built) = search(app, &ruth, &format!("{EOB}?_sort=_id&_count=2")).await;
        assert_eq!((ids(&oldest), built), (vec![newest_first[299].clone(), newest_first[298].clone()], 2));
        app.leaves_work();
    }

    async fn all_pages_of_a_search_hold_every_case_once(app: &TestApp) {
        let newest_first = many(app).await;
        let ruth = access_token(app, "ruth").await;
        for query in ["_count=70", "_count=70&type=professional", "_count=200&_sort=-_lastUpdated"] {
            let (mut seen, mut next) = (Vec::new(), Some(format!("{EOB}?{query}")));
            while let Some(path) = next {
                let (page, _) = search(app, &ruth, &path).await;
                assert_eq!(page["total"], json!(CASES), "{path}");
                seen.extend(ids(&page));
                next = next_page(&page);
                assert!(seen.len() <= CASES, "the pages do not end: {path}");
            }
            if query.contains("_sort") {
                let unique: BTreeSet<&String> = seen.iter().collect();
                assert_eq!((seen.len(), unique.len()), (CASES, CASES), "{query}");
            } else {
                assert_eq!(seen, newest_first, "{query}");
            }
        }
        let oldest = read_authorization(app, &ruth, newest_first.last().unwrap()).await;
        let provider = oldest["provider"]["reference"].as_str().unwrap();
        app.get(&format!("/fhir/pdex/{provider}"), Some(&ruth)).await.json(200);
        app.get("/fhir/pdex/Organization/npi-1234567890", Some(&ruth)).await.json(404);
        app.leaves_work();
    }

    async fn what_was_built_before_is_not_shown_after_a_change(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        for _ in 0..2 {
            assert_eq!(review_actions(&search_matches(app, &ruth, "").await[0]), ["A4"]);
        }
        app.clock.advance(Duration::seconds(61));
        approve(app, &case, 1, Some("2026-12-31")).await;
        assert_eq!(review_actions(&search_matches(app, &ruth, "").await[0]), ["A1"]);
        let newer = search_matches(app, &ruth, "?_lastUpdated=gt2026-11-20T15:05:00Z").await;
        assert_eq!(newer.len(), 1);
        // The approval ends without an event.
        app.clock.advance(Duration::days(41));
        let ruth = access_token(app, "ruth").await;
        assert_eq!(search_matches(app, &ruth, "").await[0]["disposition"], "Approved through Dec 31, 2026");
        app.clock.advance(Duration::days(1));
        let ruth = access_token(app, "ruth").await;
        let ended = search_matches(app, &ruth, "?_lastUpdated=2027-01-01T05:00:00Z").await;
        assert_eq!(ended[0]["disposition"], "Approval ended on Dec 31, 2026");
        assert_eq!(ended[0]["meta"]["lastUpdated"], "2027-01-01T05:00:00Z");
    }

    async fn what_was_built_for_one_app_does_not_reach_another_that_may_not_see_it(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 87, "normal");
        request["entry"][0]["resource"]["diagnosis"] = json!([{
            "sequence": 1, "diagnosisCodeableConcept": { "coding": [{
                "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20" }] } }]);
        let sensitive = submit(app, &request).await;
        let ruth = access_token(app, "ruth").await;
        let provider = read_authorization(app, &ruth, &sensitive).await["provider"]["reference"].clone();
        let provider = format!("/fhir/pdex/{}", provider.as_str().unwrap());
        app.get(&provider, Some(&ruth)).await.json(200);
        let query = consent::authorize_query("patient/ExplanationOfBenefit.rs patient/Organization.rs", &[]);
        let back = app.allowed("ruth", &query, false).await.unwrap();
        let code = consent::parameter(&back, "code").unwrap();
        let without = app.token_request(&consent::redemption(&code)).await.json(200);
        let without = without["access_token"].as_str().unwrap();
        for query in ["", "?_summary=count", "?_lastUpdated=ge2020", "?type=professional", &format!("?_id={sensitive}")] {
            let found = app.get(&format!("{EOB}{query}"), Some(without)).await.json(200);
            assert_eq!((&found["total"], found.get("entry")), (&json!(0), None), "{query}");
        }
        app.get(&format!("{EOB}/{sensitive}"), Some(without)).await.json(404);
        app.get(&provider, Some(without)).await.json(404);
        // A row that says that every app may read the case does not make it so.
        app.sql("UPDATE prior_auth SET app_access = 'all'").await;
        assert!(search_matches(app, without, "").await.is_empty());
        app.get(&format!("{EOB}/{sensitive}"), Some(without)).await.json(404);
        let joe = access_token(app, "joe").await;
        assert!(search_matches(app, &joe, &format!("?_id={sensitive}")).await.is_empty());
        let mut member = app.member("ruth").await;
        assert_eq!(member.read(EOB).await.json(200)["total"], json!(1));
        let home = member.browser.page("/me").await.text;
        let paths: Vec<String> = home.split("action=\"/me/apps/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        assert!(!paths.is_empty(), "{home}");
        for path in paths {
            let mut form = member.browser.form("/me", "csrf").await;
            form.action = format!("/me/apps/{path}");
            assert_eq!(member.browser.send(&form, &[]).await.status, 303);
        }
        assert_eq!(member.read(EOB).await.status, 401);
        app.get(EOB, Some(&ruth)).await.json(401);
    }

    async fn a_search_needs_few_statements(app: &TestApp) {
        for _ in 0..6 {
            submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        }
        let ruth = access_token(app, "ruth").await;
        search_matches(app, &ruth, "").await;
        let before = app.state.store.usage();
        assert_eq!(search_matches(app, &ruth, "").await.len(), 6);
        let after = app.state.store.usage();
        let statements = after.statements - before.statements;
        assert!(statements <= 2, "one for the token and one for the page: {statements}");
    }
}
