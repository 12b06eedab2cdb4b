//! Searches of the member API over HTTP: parameters, paging and included resources.

use super::{EOB, FORM, access_token, deny, search_matches, submit};
use crate::support::{PUBLIC_URL, both};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

both! {
    async fn each_search_parameter_matches_and_excludes(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        let eob = search_matches(app, &ruth, "").await.remove(0);
        let patient = eob["patient"]["reference"].as_str().unwrap();
        let patient_id = patient.strip_prefix("Patient/").unwrap();
        let trace = eob["identifier"].as_array().unwrap().last().unwrap();
        let trace = format!("{}%7C{}", trace["system"].as_str().unwrap(), trace["value"].as_str().unwrap());
        let matching = [
            format!("_id={case}"),
            format!("patient={patient_id}"),
            format!("patient={patient}"),
            format!("patient={PUBLIC_URL}/fhir/pdex/{patient}"),
            "use=preauthorization".into(),
            format!("patient={patient_id}&use=preauthorization"),
            "type=professional".into(),
            "type=institutional,professional".into(),
            format!("identifier={trace}"),
            "service-date=2026-11-23".into(),
            "service-date=ge2026-11-01&service-date=lt2026-12-01".into(),
            "_lastUpdated=2026-11-20".into(),
            "_lastUpdated=le2026-11-20T15:04:06Z".into(),
            "_profile=http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-priorauthorization".into(),
        ];
        for query in matching {
            assert_eq!(search_matches(app, &ruth, &format!("?{query}")).await.len(), 1, "{query}");
        }
        let excluding = [
            "_id=none", "patient=none", "use=claim", "type=pharmacy", "identifier=none",
            "service-date=2026-11-24", "service-date=lt2026-11-23", "_lastUpdated=gt2026-11-20",
            "_profile=http://example.org/other",
        ];
        for query in excluding {
            assert!(search_matches(app, &ruth, &format!("?{query}")).await.is_empty(), "{query}");
        }
    }

    async fn an_unsupported_search_parameter_is_an_error(app: &TestApp) {
        let ruth = access_token(app, "ruth").await;
        for query in ["color=red", "service-date=soon", "_count=many", "_include=Nobody:x", "_format=xml"] {
            let outcome = app.get(&format!("{EOB}?{query}"), Some(&ruth)).await.json(400);
            let name = query.split('=').next().unwrap();
            assert!(outcome["issue"][0]["details"]["text"].as_str().unwrap().contains(name), "{outcome}");
        }
        let posted = app.post(&format!("{EOB}/_search"), Some(&ruth), "application/json", "{}").await;
        posted.json(415);
    }

    async fn an_unknown_parameter_follows_the_preference_for_handling(app: &TestApp) {
        submit(app, &app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        let ruth = access_token(app, "ruth").await;
        let get = async |query: &str, prefer: &str| {
            let request = Request::get(format!("{EOB}?{query}"))
                .header("authorization", format!("Bearer {ruth}"))
                .header("prefer", prefer);
            app.call(request.body(Body::empty()).unwrap()).await
        };
        let query = "color=red&use=preauthorization&_sort=color,-_lastUpdated&_include=Nobody:x";
        let found = get(query, "handling=lenient").await.json(200);
        assert_eq!(found["total"], 1);
        let link = found["link"][0]["url"].as_str().unwrap();
        assert_eq!(link, format!("{PUBLIC_URL}{EOB}?use=preauthorization&_sort=-_lastUpdated"));
        for refused in ["color=red", "_sort=color", "_include=Nobody:x"] {
            get(refused, "handling=strict").await.json(400);
            get(refused, "return=minimal").await.json(400);
            get(refused, "return=minimal, handling=lenient").await.json(200);
        }
        for unreadable in ["service-date=soon", "type:not=x", "_count=many"] {
            get(unreadable, "handling=lenient").await.json(400);
        }
        let request = Request::post(format!("{EOB}/_search"))
            .header("authorization", format!("Bearer {ruth}"))
            .header("prefer", "handling=lenient")
            .header("content-type", "application/x-www-form-urlencoded");
        let posted = app.call(request.body(Body::from("color=red")).unwrap()).await.json(200);
        assert_eq!(posted["link"][0]["url"], format!("{PUBLIC_URL}{EOB}"));
    }

    async fn sorted_pages_are_complete_and_in_order(app: &TestApp) {
        let mut cases = Vec::new();
        for _ in 0..3 {
            cases.push(submit(app, &app.messages().referral_request()).await);
            app.clock.advance(chrono::Duration::seconds(1));
        }
        let ruth = access_token(app, "ruth").await;
        let ids = async |query: &str| -> Vec<String> {
            let found = search_matches(app, &ruth, query).await;
            found.iter().map(|eob| eob["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids("?_sort=_lastUpdated").await, cases);
        let first = app.get(&format!("{EOB}?_sort=_lastUpdated&_count=2"), Some(&ruth)).await.json(200);
        let next = first["link"].as_array().unwrap().iter().find(|l| l["relation"] == "next").unwrap();
        let next = next["url"].as_str().unwrap().strip_prefix(&format!("{PUBLIC_URL}{EOB}")).unwrap();
        assert_eq!(ids(next).await, cases[2..]);
        cases.reverse();
        assert_eq!(ids("?_sort=-_lastUpdated").await, cases);
    }

    async fn a_search_by_post_finds_the_same(app: &TestApp) {
        submit(app, &app.messages().surgery_request()).await;
        let ruth = access_token(app, "ruth").await;
        let form = "application/x-www-form-urlencoded";
        let posted = app.post(&format!("{EOB}/_search"), Some(&ruth), form, "use=preauthorization").await.json(200);
        assert_eq!(posted["total"], 1);
        let none = app.post(&format!("{EOB}/_search"), Some(&ruth), form, "use=claim").await.json(200);
        assert_eq!(none["total"], 0);
    }

    async fn pages_start_with_the_newest_and_are_complete(app: &TestApp) {
        let mut cases = Vec::new();
        for _ in 0..3 {
            cases.push(submit(app, &app.messages().referral_request()).await);
            app.clock.advance(chrono::Duration::seconds(1));
        }
        let ruth = access_token(app, "ruth").await;
        let mut seen = Vec::new();
        let mut next = Some(format!("{EOB}?_count=2"));
        while let Some(path) = next {
            let page = app.get(&path, Some(&ruth)).await.json(200);
            assert_eq!(page["total"], 3);
            seen.extend(page["entry"].as_array().unwrap().iter().map(|e| e["resource"]["id"].as_str().unwrap().to_owned()));
            let links = page["link"].as_array().unwrap();
            assert!(links.iter().any(|l| l["relation"] == "self"));
            let link = links.iter().find(|l| l["relation"] == "next");
            next = link.map(|l| l["url"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap().to_owned());
        }
        cases.reverse();
        assert_eq!(seen, cases);
    }

    async fn included_resources_are_limited_by_the_scopes(app: &TestApp) {
        submit(app, &app.messages().surgery_request()).await;
        let ruth = access_token(app, "ruth").await;
        let all = "?_include=ExplanationOfBenefit:patient&_include=ExplanationOfBenefit:coverage\
                   &_include=ExplanationOfBenefit:insurer&_include=ExplanationOfBenefit:provider";
        let included_types = async |token: &str| -> Vec<Value> {
            let bundle = app.get(&format!("{EOB}{all}"), Some(token)).await.json(200);
            assert_eq!(bundle["total"], 1);
            let entries = bundle["entry"].as_array().unwrap();
            let included = entries.iter().filter(|e| e["search"]["mode"] == "include");
            included.map(|e| e["resource"]["resourceType"].clone()).collect()
        };
        let mut types = included_types(&ruth).await;
        types.sort_by_key(Value::to_string);
        assert_eq!(types, ["Coverage", "Organization", "Organization", "Patient"]);
        let narrow = app.tokens("ruth", "patient/ExplanationOfBenefit.rs patient/Patient.rs").await;
        assert_eq!(included_types(narrow["access_token"].as_str().unwrap()).await, ["Patient"]);
    }

    async fn every_reference_of_an_authorization_can_be_read(app: &TestApp) {
        let case = submit(app, &app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        deny(app, &case, 1).await;
        let scope = "patient/*.rs";
        let tokens = app.tokens("ruth", scope).await;
        let token = tokens["access_token"].as_str();
        let eob = app.get(&format!("{EOB}/{case}"), token).await.json(200);
        let mut seen = Vec::new();
        assent::fhir::reference::walk(&eob, "", &mut |reference, _| seen.push(reference.to_owned()));
        assert!(seen.len() >= 4, "{seen:?}");
        for reference in seen {
            let read = app.get(&format!("/fhir/pdex/{reference}"), token).await.json(200);
            assert_eq!(format!("{}/{}", read["resourceType"].as_str().unwrap(), read["id"].as_str().unwrap()), reference);
        }
    }

    async fn the_member_and_the_coverage_can_be_searched(app: &TestApp) {
        let ruth = access_token(app, "ruth").await;
        let total = async |query: &str| app.get(&format!("/fhir/pdex/{query}"), Some(&ruth)).await.json(200)["total"].clone();
        for query in ["Patient", "Patient?family=ell", "Patient?birthdate=1953-03-14", "Patient?gender=female&given=Ruth",
            "Patient?identifier=A100200300", "Coverage", "Coverage?identifier=A100200300"] {
            assert_eq!(total(query).await, json!(1), "{query}");
        }
        for query in ["Patient?family=smith", "Patient?birthdate=1953-03-15", "Coverage?patient=none"] {
            assert_eq!(total(query).await, json!(0), "{query}");
        }
    }

    async fn the_capability_statement_lists_the_search_parameters(app: &TestApp) {
        let statement = app.get("/fhir/pdex/metadata", None).await.json(200);
        let resources = statement["rest"][0]["resource"].as_array().unwrap();
        let eob = resources.iter().find(|r| r["type"] == "ExplanationOfBenefit").unwrap();
        let names: Vec<&str> = eob["searchParam"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        for name in ["_id", "patient", "_lastUpdated", "type", "identifier", "service-date"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(eob["supportedProfile"][0].as_str().unwrap().ends_with("pdex-priorauthorization"));
    }
}
