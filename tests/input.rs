//! What no database can store and what no request should hold, through every API: U+0000, half surrogate pairs, very long
//! texts, extreme dates and numbers, deep nesting, repeated members. Both databases give the same answer, never 5xx.

use crate::routes::app_token;
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::demo::walk::messages::Messages;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;

/// The value of one text, number or truth value in a message, as a JSON pointer.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(all) => {
            for (n, one) in all.iter().enumerate() {
                leaves(one, &format!("{pointer}/{n}"), found);
            }
        }
        other => found.push((pointer.to_owned(), other.clone())),
    }
}

/// The FHIRPath of a JSON pointer.
fn path(message: &Value, pointer: &str) -> String {
    let mut path = message["resourceType"].as_str().unwrap_or("").to_owned();
    for step in pointer.split('/').skip(1) {
        if step.parse::<usize>().is_ok() {
            path += &format!("[{step}]");
        } else {
            path += if path.is_empty() { "" } else { "." };
            path += step;
        }
    }
    path
}

/// The message with this text of JSON in the place of one value.
fn with(message: &Value, pointer: &str, json_text: &str) -> String {
    const PLACEHOLDER: &str = "placeholder of this test";
    let mut changed = message.clone();
    *changed.pointer_mut(pointer).unwrap() = PLACEHOLDER.into();
    changed
        .to_string()
        .replace(&format!("\"{PLACEHOLDER}\""), json_text)
}

/// A text that does not become short when it is compressed.
fn long_text() -> String {
    let mut state = 1_u64;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap())
    };
    (0..20_000).map(|_| letter()).collect()
}

/// Extreme values of the kind that a value has.
fn extremes(value: &Value) -> Vec<String> {
    let is_date = value.as_str().is_some_and(|text| {
        let digits = text.bytes().take(4).filter(u8::is_ascii_digit).count();
        digits == 4 && text.len() >= 10 && text.as_bytes()[4] == b'-'
    });
    match value {
        Value::String(_) if is_date => [
            "0000-01-01",
            "0001-01-01",
            "9999-12-31",
            "9999-12-31T23:59:60Z",
            "9999-12-31T23:59:59-14:00",
            "+292277026596-12-04T15:30:07Z",
            "-0001-01-01",
            "2026-02-30",
        ]
        .map(|date| format!("\"{date}\""))
        .to_vec(),
        Value::String(_) => vec![format!("\"{}\"", long_text())],
        Value::Number(_) => vec![
            "1e308".to_owned(),
            "-1e308".to_owned(),
            "1e-400".to_owned(),
            "9".repeat(300),
            "0".to_owned(),
            "18446744073709551616".to_owned(),
            "-9223372036854775809".to_owned(),
        ],
        _ => vec!["\"\"".to_owned()],
    }
}

/// The answers of the first database that ran a test. The second one must give the same.
static ANSWERS: Mutex<Option<HashMap<String, Answers>>> = Mutex::new(None);

/// What was sent, and the status of each answer.
type Answers = Vec<(String, u16)>;

#[track_caller]
fn same_on_both_databases(test: &str, answers: Answers) {
    for (what, status) in &answers {
        assert!(*status < 500, "{test}: {status} for {what}");
    }
    let mut all = ANSWERS.lock().unwrap();
    match all.get_or_insert_default().remove(test) {
        Some(others) => assert_eq!(answers, others, "{test}"),
        None => {
            all.get_or_insert_default().insert(test.to_owned(), answers);
        }
    }
}

#[track_caller]
fn is_refused_at(reply: &Reply, place: &str) {
    assert_eq!(reply.places(400), [place], "{}", reply.text);
}

/// Sends JSON text to a FHIR operation.
async fn send(app: &TestApp, path: &str, token: &str, text: String) -> Reply {
    app.post(path, Some(token), "application/fhir+json", text).await
}

const SUBMIT: &str = "/pas/2.2/Claim/$submit";
const HOOK: &str = "/cds-services/order-sign-crd";

both! {
    async fn no_text_of_a_request_may_hold_what_cannot_be_stored(app: &TestApp) {
        app.receives_errors();
        let token = app.ehr().await.token;
        let before = app.row_counts().await;
        let bundle = app.messages().referral_request();
        let mut found = Vec::new();
        leaves(&bundle, "", &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for (pointer, _) in found.iter().filter(|(_, value)| value.is_string()) {
            // Without its type the message has no name for the place.
            let place = if pointer == "/resourceType" { "resourceType".to_owned() } else { path(&bundle, pointer) };
            for text in [r#""a\u0000b""#, r#""\ud800""#, r#""\udc00 x""#] {
                let reply = send(app, SUBMIT, &token, with(&bundle, pointer, text)).await;
                assert!(place == "resourceType" || reply.places(400) == [place.as_str()], "{place}: {}", reply.text);
                assert_eq!(reply.status, 400);
            }
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn extreme_values_in_a_request_are_never_a_failure_of_the_server(app: &TestApp) {
        app.receives_errors();
        let ehr = app.ehr().await;
        let mut answers = Vec::new();
        let sample = app.messages().referral_request();
        let mut found = Vec::new();
        leaves(&sample, "", &mut found);
        for (pointer, value) in &found {
            for extreme in extremes(value) {
                let text = with(&app.messages().referral_request(), pointer, &extreme);
                let reply = send(app, SUBMIT, &ehr.token, text).await;
                answers.push((format!("{pointer} = {extreme:.40}"), reply.status.as_u16()));
            }
        }
        same_on_both_databases("submit", answers);
        app.leaves_work();
    }

    async fn extreme_values_in_a_hook_call_are_never_a_failure_of_the_server(app: &TestApp) {
        app.receives_errors();
        let ehr = app.ehr().await;
        let mut answers = Vec::new();
        let call = app.messages().order_sign_hook();
        let mut found = Vec::new();
        leaves(&call, "", &mut found);
        for (pointer, value) in &found {
            for extreme in extremes(value) {
                let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{HOOK}"));
                let text = with(&call, pointer, &extreme);
                let reply = app.post(HOOK, Some(&token), "application/json", text).await;
                answers.push((format!("{pointer} = {extreme:.40}"), reply.status.as_u16()));
            }
        }
        same_on_both_databases("hook", answers);
        app.leaves_work();
    }

    async fn extreme_values_in_other_messages_are_never_a_failure_of_the_server(app: &TestApp) {
        app.receives_errors();
        let ehr = app.ehr().await;
        let run = app.messages();
        let mut answers = Vec::new();
        for (address, message) in [
            ("/pas/2.2/Claim/$inquire", run.inquiry("N-1")),
            ("/pas/2.2/Subscription", Messages::subscription("http://127.0.0.1:1/hook")),
            ("/dtr/2.2/Questionnaire/$questionnaire-package", Messages::questionnaire_package_input("1")),
        ] {
            let mut found = Vec::new();
            leaves(&message, "", &mut found);
            for (pointer, value) in &found {
                for extreme in extremes(value) {
                    let reply = send(app, address, &ehr.token, with(&message, pointer, &extreme)).await;
                    answers.push((format!("{address} {pointer} = {extreme:.40}"), reply.status.as_u16()));
                }
            }
        }
        same_on_both_databases("other messages", answers);
        app.leaves_work();
    }

    async fn a_row_of_an_import_that_cannot_be_stored_is_refused_with_its_place(app: &TestApp) {
        let mut records = assent::demo::seed::plan_records();
        records.sort_by_key(|record| record["resourceType"].to_string());
        records.dedup_by_key(|record| record["resourceType"].to_string());
        assert!(records.len() >= 3, "{records:?}");
        let mut import =
            assent::import::Import::new(app.state.store.clone(), app.state.policy_set(), app.clock.now());
        let mut places = Vec::new();
        for record in &records {
            let mut found = Vec::new();
            leaves(record, "", &mut found);
            for (pointer, value) in &found {
                for bad in [r#""a\u0000b""#, r#""\ud800""#] {
                    places.push(if pointer == "/resourceType" { String::new() } else { path(record, pointer) });
                    import.read_line("members", places.len(), &with(record, pointer, bad)).await.unwrap();
                }
                for extreme in extremes(value) {
                    import.read_line("extremes", 1, &with(record, pointer, &extreme)).await.unwrap();
                }
            }
        }
        let report = import.finish().await.unwrap();
        let refused: Vec<_> = report.rejected.iter().filter(|row| row.file == "members").collect();
        assert_eq!(refused.len(), places.len());
        for (row, place) in refused.iter().zip(&places) {
            assert!(row.reason.starts_with(place), "{place}: {}", row.reason);
        }
    }

    async fn every_api_refuses_a_character_that_cannot_be_stored_with_its_place(app: &TestApp) {
        let ehr = app.ehr().await;
        let run = app.messages();
        let nul = r#""a\u0000b""#;
        let before = app.row_counts().await;
        for (path, message, pointer, place) in [
            ("/pas/2.2/Claim/$inquire", run.inquiry("N-1"), "/identifier/value", "Bundle.identifier.value"),
            ("/pas/2.2/Subscription", Messages::subscription("http://127.0.0.1:1/hook"), "/reason", "Subscription.reason"),
            ("/dtr/2.2/Questionnaire/$questionnaire-package", Messages::questionnaire_package_input("1"),
                "/parameter/0/name", "Parameters.parameter[0].name"),
            ("/dtr/2.2/Questionnaire/$log-questionnaire-errors", json!({ "resourceType": "Parameters", "id": "x" }),
                "/id", "Parameters.id"),
        ] {
            is_refused_at(&send(app, path, &ehr.token, with(&message, pointer, nul)).await, place);
        }
        let header = json!({ "resourceType": "Subscription", "channel": { "header": ["x"] } });
        let refused = send(app, "/pas/2.2/Subscription", &ehr.token, with(&header, "/channel/header/0", nul)).await;
        is_refused_at(&refused, "Subscription.channel.header[0]");
        let call = app.messages().order_sign_hook();
        let feedback = json!({ "feedback": [{ "card": "1", "outcome": "accepted" }] });
        for (path, message, pointer, place) in [
            (HOOK.to_owned(), &call, "/context/draftOrders/entry/0/resource/id", "context.draftOrders.entry[0].resource.id"),
            (format!("{HOOK}/feedback"), &feedback, "/feedback/0/card", "feedback[0].card"),
        ] {
            let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{path}"));
            let reply = app.post(&path, Some(&token), "application/json", with(message, pointer, nul)).await;
            is_refused_at(&reply, place);
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn numbers_out_of_range_deep_nesting_and_repeated_members_are_refused(app: &TestApp) {
        app.receives_errors();
        let token = app.ehr().await.token;
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for text in ["1e999".to_owned(), "-1e999".to_owned(), "9".repeat(400)] {
            let reply = send(app, SUBMIT, &token, format!("{{\"resourceType\":\"Bundle\",\"total\":{text}}}")).await;
            is_refused_at(&reply, "Bundle.total");
        }
        let reply = send(app, SUBMIT, &token, format!("{{\"resourceType\":\"Bundle\",\"entry\":{deep}}}")).await;
        assert!(reply.places(400)[0].starts_with("Bundle.entry[0][0]"), "{}", reply.text);
        let text = r#"{"resourceType":"Bundle","type":"collection","type":"batch"}"#;
        is_refused_at(&send(app, SUBMIT, &token, text.to_owned()).await, "Bundle.type");
    }

    async fn addresses_and_forms_with_a_character_that_cannot_be_stored_are_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let token = app_token(app, "ruth", "patient/*.rs").await.1;
        for (path, token) in [
            ("/fhir/pdex/Patient?family=a%00b", &token), ("/fhir/pdex/Patient/a%00b", &token),
            ("/fhir/pdex/ExplanationOfBenefit?identifier=x%7C%00", &token),
            ("/pas/2.2/Subscription?url=%00", &ehr.token), ("/pas/2.2/Subscription/%00", &ehr.token),
            ("/dtr/2.2/Questionnaire?url=%00", &ehr.token), ("/fhir/pdex/Patient/%ff", &token),
        ] {
            let outcome = app.get(path, Some(token)).await.json(400);
            assert_eq!(outcome["resourceType"], "OperationOutcome", "{path}");
        }
        for path in ["/staff?queue=%00", "/me/sign-in?next=%00", "/prior-authorization-list?code=%00", "/notice/%00"] {
            assert_eq!(app.get(path, None).await.status, 400, "{path}");
        }
        let form = "application/x-www-form-urlencoded";
        for body in ["family=a%00b".to_owned(), "family=a\0b".to_owned(), format!("family={}", long_text())] {
            let reply = app.post("/fhir/pdex/Patient/_search", Some(&token), form, body).await;
            assert!(matches!(reply.status.as_u16(), 400 | 413), "{}", reply.text);
        }
        for body in ["grant_type=%00", "grant_type=authorization_code&client_id=a%00&code=b&redirect_uri=c&code_verifier=d"] {
            let refused = app.post("/oauth/token", None, form, body).await.json(400);
            assert_eq!(refused["error"], "invalid_request");
        }
        let long = format!("grant_type=authorization_code&client_id={}", "x".repeat(201));
        assert_eq!(app.post("/oauth/token", None, form, long).await.json(400)["error"], "invalid_request");
        // a%00:b
        let basic = Request::post("/oauth/token").header(header::CONTENT_TYPE, form)
            .header(header::AUTHORIZATION, "Basic YSUwMDpi")
            .body(Body::from("grant_type=refresh_token&refresh_token=x"));
        assert_eq!(app.call(basic.unwrap()).await.json(400)["error"], "invalid_request");
        for (path, query) in [("/oauth/authorize", "client_id=%00"), ("/oauth/authorize", "state=a%00b&client_id=x")] {
            assert_eq!(app.get(&format!("{path}?{query}"), None).await.status, 400, "{query}");
        }
        for page in ["/staff/sign-in", "/me/sign-in"] {
            for body in ["login=a%00b&password=c".to_owned(), format!("login={}&password=c", "x".repeat(201))] {
                let reply = app.post(page, None, form, body).await;
                assert_eq!(reply.status, 400, "{}", reply.text);
                assert!(reply.text.contains("<h1>"), "{}", reply.text);
            }
        }
    }

    async fn claims_of_a_token_that_cannot_be_stored_are_refused(app: &TestApp) {
        let ehr = app.ehr().await;
        let now = app.clock.now().timestamp();
        let audience = format!("{PUBLIC_URL}{HOOK}");
        let call = app.messages().order_sign_hook().to_string();
        let claims = |name: &str, value: Value| {
            let mut claims = json!({
                "iss": "https://ehr.demo.example", "sub": "https://ehr.demo.example", "aud": audience,
                "iat": now, "exp": now + 240, "jti": "1",
            });
            claims[name] = value;
            claims
        };
        for (name, value) in [
            ("jti", json!("a\0b")), ("iss", json!("a\0b")), ("jti", json!(long_text())), ("sub", json!("\0")),
            ("exp", json!(1e300)), ("iat", json!(-1e300)), ("exp", json!(i64::MAX)), ("nbf", json!(i64::MIN)),
        ] {
            let token = ehr.signed(&claims(name, value));
            let reply = app.post(HOOK, Some(&token), "application/json", call.clone()).await;
            let expected = if name == "nbf" { 200 } else { 401 };
            assert_eq!(reply.status, expected, "{name}: {}", reply.text);
        }
    }

    async fn a_form_is_accepted_from_pages_of_this_server_only(app: &TestApp) {
        let staff = app.staff("nora").await;
        drop(staff);
        let form = "application/x-www-form-urlencoded";
        for path in [
            "/staff/sign-in", "/staff/sign-out", "/staff/cases/1/decide", "/staff/access-log", "/staff/policies/propose",
            "/staff/policies/confirm", "/staff/policies/withdraw", "/me/sign-in", "/me/sign-out", "/me/apps/1/remove",
            "/oauth/authorize",
        ] {
            for (name, value, is_foreign) in [
                ("origin", "https://evil.example", true), ("origin", "null", true), ("sec-fetch-site", "cross-site", true),
                ("sec-fetch-site", "same-site", true), ("origin", PUBLIC_URL, false), ("sec-fetch-site", "same-origin", false),
            ] {
                let request = Request::post(path).header(header::CONTENT_TYPE, form).header(name, value);
                let reply = app.call(request.body(Body::empty()).unwrap()).await;
                let is_refused = reply.text.contains("from a page of another site");
                assert_eq!(is_refused, is_foreign, "{path} with {name}: {value}: {}", reply.text);
                assert!(!is_refused || reply.status == 403, "{path}");
            }
        }
        // The APIs take no cookies, so that an origin means nothing there.
        let request = Request::post("/oauth/token").header(header::CONTENT_TYPE, form).header("origin", "https://evil.example");
        assert_eq!(app.call(request.body(Body::empty()).unwrap()).await.json(400)["error"], "invalid_request");
    }

    async fn unknown_addresses_give_people_a_page_and_programs_an_outcome(app: &TestApp) {
        let get = async |path: &str, accept: &str| {
            let request = Request::get(path).header(header::ACCEPT, accept);
            app.call(request.body(Body::empty()).unwrap()).await
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for path in ["/nothing", "/fhir/pdex/Nothing", "/oauth/nothing", "/cds-services/a/b/c", "/assets", "/staff/nothing"] {
            let reply = get(path, browser).await;
            assert_eq!(reply.status, 404, "{path}");
            assert!(reply.text.contains("<h1>Page not found</h1>"), "{path}: {}", reply.text);
            assert!(reply.headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
        }
        for path in ["/fhir/pdex/Nothing", "/fhir/nothing", "/pas/2.2/Nothing", "/dtr/2.2/Nothing"] {
            assert_eq!(get(path, "*/*").await.json(404)["resourceType"], "OperationOutcome", "{path}");
        }
        assert_eq!(get("/oauth/nothing", "application/json").await.json(404)["error"], "invalid_request");
        let other = get("/nothing", "*/*").await;
        assert_eq!((other.status.as_u16(), other.text.as_str()), (404, "There is no resource at this URL\n"));
        assert_eq!(get("/nothing", "application/fhir+json").await.json(404)["resourceType"], "OperationOutcome");
        let method = get("/oauth/token", browser).await;
        assert_eq!(method.status, 405);
        assert!(method.headers.contains_key(header::ALLOW) && method.text.contains("<h1>"), "{}", method.text);
    }
}

#[tokio::test]
async fn cookies_of_a_server_with_tls_belong_to_this_host_alone() {
    let app = TestApp::sqlite().await;
    let mut config = app.state.config.clone();
    config.public_url = "https://pa.plan.example".to_owned();
    let secure = assent::app::App::build(config, app.clock.clone()).await.unwrap();
    let router = assent::http::router(secure.state.clone());
    let page = async |path: &str, cookies: &str| {
        let request = Request::get(path).header(header::COOKIE, cookies.to_owned());
        app.call_at(router.clone(), request.body(Body::empty()).unwrap())
            .await
    };
    let set_cookies = |reply: &Reply| {
        let all = reply.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (path, name, username) in [
        ("/staff/sign-in", "__Host-assent_session", "nora"),
        ("/me/sign-in", "__Host-assent_member", "ruth"),
    ] {
        let shown = page(path, "").await;
        let form_cookie = &set_cookies(&shown)[0];
        assert!(form_cookie.starts_with("__Host-assent_form="), "{form_cookie}");
        let token = form_cookie.split(['=', ';']).nth(1).unwrap().to_owned();
        let password = &app.sign_ins[username].password;
        let fields = [
            ("login", username),
            ("password", password.as_str()),
            ("csrf", token.as_str()),
        ];
        let body = crate::support::ehr::form_body(&fields);
        let sign_in = |cookie: String| {
            Request::post(path)
                .header(header::COOKIE, cookie)
                .header(header::ORIGIN, "https://pa.plan.example")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(body.clone()))
                .unwrap()
        };
        // A cookie without the prefix could have been set by another host of the same domain.
        let planted = app
            .call_at(router.clone(), sign_in(format!("assent_form={token}")))
            .await;
        assert_eq!(planted.status, 403);
        let signed_in = app
            .call_at(router.clone(), sign_in(format!("__Host-assent_form={token}")))
            .await;
        assert_eq!(signed_in.status, 303, "{}", signed_in.text);
        let cookie = &set_cookies(&signed_in)[0];
        assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        assert_eq!(attributes, ["HttpOnly", "SameSite=Lax", "Path=/", "Secure"]);
    }
    app.finish().await;
}
