//! Reads of the member API over HTTP: copies that are current, parts of a resource, decimals, and what is not offered.

use super::{EOB, FORM, access_token, read_authorization, search_matches, submit};
use crate::support::{Reply, TestApp, both};
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

/// Stands for a decimal that a JSON value cannot hold with its spelling.
const PLACEHOLDER: i64 = -777_777;

async fn get_with(app: &TestApp, path: &str, token: &str, (name, value): (&str, &str)) -> Reply {
    let request = Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(name, value);
    app.call(request.body(Body::empty()).unwrap()).await
}

fn header_of(reply: &Reply, name: &str) -> String {
    reply.headers[name].to_str().unwrap().to_owned()
}

/// The names of the elements of a resource.
fn elements(resource: &Value) -> Vec<&str> {
    resource.as_object().unwrap().keys().map(String::as_str).collect()
}

both! {
    async fn a_copy_that_is_current_is_not_sent_again(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        let path = format!("{EOB}/{case}");
        let first = app.get(&path, Some(&ruth)).await;
        first.json(200);
        let (tag, time) = (header_of(&first, "etag"), header_of(&first, "last-modified"));
        assert_eq!(time, "Fri, 20 Nov 2026 15:04:05 GMT");
        for condition in [("if-none-match", tag.as_str()), ("if-none-match", "*"), ("if-modified-since", &time)] {
            let reply = get_with(app, &path, &ruth, condition).await;
            assert_eq!((reply.status.as_u16(), reply.text.as_str()), (304, ""), "{condition:?}");
            assert_eq!(header_of(&reply, "etag"), tag);
        }
        for condition in [("if-none-match", "W/\"other\""), ("if-modified-since", "Fri, 20 Nov 2026 15:04:04 GMT")] {
            get_with(app, &path, &ruth, condition).await.json(200);
        }
        app.clock.advance(chrono::Duration::seconds(61));
        super::approve(app, &case, 1, Some("2027-11-30")).await;
        let changed = get_with(app, &path, &ruth, ("if-none-match", &tag)).await;
        changed.json(200);
        assert_ne!(header_of(&changed, "etag"), tag);
        get_with(app, &path, &ruth, ("if-modified-since", &time)).await.json(200);
        let refused = get_with(app, &path, "unknown", ("if-none-match", "*")).await;
        refused.json(401);
        let metadata = app.get("/fhir/pdex/metadata", None).await;
        let tag = header_of(&metadata, "etag");
        assert_eq!(get_with(app, "/fhir/pdex/metadata", "", ("if-none-match", &tag)).await.status, 304);
    }

    async fn a_read_returns_the_part_that_it_asks_for(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        let whole = read_authorization(app, &ruth, &case).await;
        let get = async |query: &str| app.get(&format!("{EOB}/{case}?{query}"), Some(&ruth)).await.json(200);
        let summary = get("_summary=true").await;
        assert!(whole.get("item").is_some() && summary.get("item").is_none() && summary.get("insurance").is_some());
        assert_eq!(summary["meta"]["tag"][0]["code"], "SUBSETTED");
        let chosen = get("_elements=disposition,item").await;
        assert_eq!((&chosen["item"], &chosen["disposition"]), (&whole["item"], &whole["disposition"]));
        assert!(chosen.get("status").is_some() && chosen.get("adjudication").is_none() && chosen.get("identifier").is_none());
        assert_eq!(elements(&get("_summary=false").await), elements(&whole));
        for query in ["_summary=count", "_summary=some", "_elements=a;b"] {
            app.get(&format!("{EOB}/{case}?{query}"), Some(&ruth)).await.json(400);
        }
    }

    async fn a_search_returns_the_part_that_it_asks_for(app: &TestApp) {
        submit(app, &app.messages().surgery_request()).await;
        let ruth = access_token(app, "ruth").await;
        let summary = search_matches(app, &ruth, "?_summary=true").await;
        assert!(summary[0].get("item").is_none() && summary[0].get("outcome").is_some());
        let query = "?_elements=item&_include=ExplanationOfBenefit:patient";
        let bundle = app.get(&format!("{EOB}{query}"), Some(&ruth)).await.json(200);
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!(entries[0]["resource"]["meta"]["tag"][0]["code"], "SUBSETTED");
        assert!(entries[1]["resource"].get("name").is_some(), "the elements are those of the matches");
        let counted = app.get(&format!("{EOB}?_summary=count"), Some(&ruth)).await.json(200);
        assert_eq!((&counted["total"], counted.get("entry")), (&json!(1), None));
    }

    async fn decimals_of_the_request_are_returned_as_sent(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let entries = request["entry"].as_array_mut().unwrap();
        let claim = &mut entries[0]["resource"];
        claim["item"][0]["net"] = json!({ "value": PLACEHOLDER, "currency": "USD" });
        let provider = claim["provider"]["reference"].as_str().unwrap().to_owned();
        let provider = entries.iter_mut().find(|e| e["fullUrl"].as_str().is_some_and(|url| url.ends_with(&provider)));
        let position = json!([{ "url": "latitude", "valueDecimal": PLACEHOLDER }, { "url": "longitude", "valueDecimal": -82.5 }]);
        provider.unwrap()["resource"]["address"] = json!([{ "city": "Columbus", "state": "OH", "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/geolocation", "extension": position }] }]);
        let text = request.to_string().replace(&PLACEHOLDER.to_string(), "39.10");
        let ehr = app.ehr().await;
        let reply = app.post("/pas/2.2/Claim/$submit", Some(&ehr.token), "application/fhir+json", text).await;
        let case = reply.json(200)["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        app.run_jobs().await;
        let ruth = access_token(app, "ruth").await;
        let eob = app.get(&format!("{EOB}/{case}"), Some(&ruth)).await;
        assert!(eob.text.contains(r#""value":39.10"#) && !eob.text.contains(r#""39.10""#), "{}", eob.text);
        assert_eq!(eob.json(200)["item"][0]["net"]["value"], json!(39.1));
        let provider = eob.json(200)["provider"]["reference"].as_str().unwrap().to_owned();
        let provider = app.get(&format!("/fhir/pdex/{provider}"), Some(&ruth)).await;
        assert!(provider.text.contains(r#""valueDecimal":39.10"#), "{}", provider.text);
        let found = app.get(&format!("{EOB}?_include=ExplanationOfBenefit:provider"), Some(&ruth)).await;
        assert!(found.text.contains(r#""value":39.10"#) && found.text.contains(r#""valueDecimal":39.10"#));
    }

    async fn what_is_not_offered_is_answered_with_what_is(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        let eob = format!("{EOB}/{case}");
        let history = format!("{eob}/_history");
        let version = format!("{eob}/_history/1");
        let (one, all) = ("ExplanationOfBenefit: read, search-type", "Patient: read, search-type");
        let cases = [
            (Method::PUT, eob.as_str(), 405, one),
            (Method::DELETE, eob.as_str(), 405, one),
            (Method::POST, EOB, 405, one),
            (Method::GET, "/fhir/pdex/Observation", 404, all),
            (Method::GET, "/fhir/pdex/Observation/1", 404, all),
            (Method::POST, "/fhir/pdex", 404, all),
            (Method::GET, &history, 501, one),
            (Method::GET, &version, 501, one),
            (Method::GET, "/fhir/pdex/Patient/_history", 501, all),
            (Method::GET, "/fhir/pdex/_history", 501, all),
            (Method::GET, "/pas/2.2/Claim/1", 404, "Claim: $submit, $inquire"),
            (Method::GET, "/pas/2.2/Claim/$submit", 405, "Claim: $submit, $inquire"),
            (Method::PATCH, "/pas/2.2/Subscription/1", 405, "Subscription: create, read, update, delete, search-type, $status"),
            (Method::GET, "/dtr/2.2/ValueSet/$expand", 404, "Questionnaire: read, search-type, $questionnaire-package"),
        ];
        for (method, path, status, offered) in cases {
            let request = Request::builder().method(&method).uri(path);
            let request = request.header(header::AUTHORIZATION, format!("Bearer {ruth}"));
            let reply = app.call(request.body(Body::empty()).unwrap()).await;
            let outcome = reply.json(status);
            let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
            assert!(text.contains(offered), "{method} {path}: {text}");
            assert_eq!(reply.headers.contains_key("allow"), status == 405, "{method} {path}");
            assert!(!text.contains(&case) && !text.contains("Observation"), "{text}");
        }
    }
}
