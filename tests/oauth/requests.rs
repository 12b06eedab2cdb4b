//! What an app may ask for: authorization requests that hold, those that go back, those that go nowhere; discovery.

use super::{record, text};
use crate::support::consent::{authorize_query, parameter, redemption};
use crate::support::{PUBLIC_URL, both};
use assent::demo::seed::APP_REDIRECT;
use assent::oauth::authorize::Fault;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

const SCOPE: &str = "launch/patient patient/Patient.rs";

both! {
    async fn a_request_of_nobody_knows_whom_never_leads_away(app: &TestApp) {
        let before = app.row_counts().await;
        let cases = [
            ("client_id", Some("nobody")),
            ("client_id", None),
            ("redirect_uri", None),
            ("redirect_uri", Some("https://evil.example/callback")),
            ("redirect_uri", Some("http://127.0.0.1:8643/callback/more")),
            ("redirect_uri", Some("http://127.0.0.1:8643/callback?more=1")),
            ("redirect_uri", Some("http://127.0.0.1:8643/callbac")),
            ("redirect_uri", Some("http://127.0.0.1:8643@evil.example/callback")),
            ("redirect_uri", Some("HTTP://127.0.0.1:8643/callback")),
        ];
        for change in cases {
            let query = authorize_query(SCOPE, &[change]);
            let asked = app.allowed("ruth", &query, true).await;
            assert!(matches!(asked, Err(Fault::Page(_))), "{change:?}");
            let page = app.get(&format!("/oauth/authorize?{query}"), None).await;
            assert!(page.status.is_client_error(), "{change:?} {}", page.status);
            assert!(!page.headers.contains_key("location"), "{change:?}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn other_faults_go_back_to_the_app_with_its_state(app: &TestApp) {
        let before = app.row_counts().await;
        let elsewhere = format!("{PUBLIC_URL}/fhir/pdex/");
        let cases = [
            ("response_type", Some("token"), "unsupported_response_type"),
            ("response_type", None, "invalid_request"),
            ("aud", None, "invalid_request"),
            ("aud", Some("https://other.example/fhir"), "invalid_request"),
            ("aud", Some(elsewhere.as_str()), "invalid_request"),
            ("code_challenge", None, "invalid_request"),
            ("code_challenge", Some("too-short"), "invalid_request"),
            ("code_challenge_method", None, "invalid_request"),
            ("code_challenge_method", Some("plain"), "invalid_request"),
            ("scope", Some("system/*.cruds"), "invalid_scope"),
            ("scope", Some("openid fhirUser"), "invalid_scope"),
            ("scope", None, "invalid_scope"),
        ];
        for (name, value, code) in cases {
            let asked = app.allowed("ruth", &authorize_query(SCOPE, &[(name, value)]), true).await;
            let Err(Fault::Redirect(back)) = asked else { panic!("{name} {value:?}: {asked:?}") };
            assert!(back.starts_with(&format!("{APP_REDIRECT}?")), "{back}");
            assert_eq!(parameter(&back, "error").unwrap(), code, "{name} {value:?}");
            assert_eq!(parameter(&back, "state").unwrap(), "state-1");
            assert!(parameter(&back, "code").is_none());
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_request_without_state_is_refused(app: &TestApp) {
        let asked = app.allowed("ruth", &authorize_query(SCOPE, &[("state", None)]), true).await;
        let Err(Fault::Redirect(back)) = asked else { panic!("{asked:?}") };
        assert_eq!(parameter(&back, "error").unwrap(), "invalid_request");
    }

    async fn no_more_is_granted_than_is_offered_and_registered(app: &TestApp) {
        let granted = async |asked: &str| {
            let tokens = app.tokens("ruth", asked).await;
            text(&tokens, "scope").to_owned()
        };
        assert_eq!(granted("patient/Patient.cruds").await, "patient/Patient.rs");
        assert_eq!(granted("patient/Patient.read").await, "patient/Patient.read");
        assert_eq!(granted("openid fhirUser patient/Coverage.rs user/*.cruds system/Claim.c nonsense").await, "patient/Coverage.rs");
        let all = granted("patient/*.rs").await;
        assert!(all.contains("patient/ExplanationOfBenefit.rs") && !all.contains('*'), "{all}");
    }

    async fn a_narrow_token_reads_what_it_names_and_nothing_else(app: &TestApp) {
        let tokens = app.tokens("ruth", "patient/Patient.rs").await;
        assert_eq!(record(app, &tokens).await, 200);
        for kind in ["ExplanationOfBenefit", "Coverage"] {
            let found = app.get(&format!("/fhir/pdex/{kind}"), tokens["access_token"].as_str()).await;
            assert_eq!(found.json(403)["resourceType"], "OperationOutcome");
        }
        let old = app.tokens("ruth", "patient/Patient.read").await;
        assert_eq!(record(app, &old).await, 200, "the older spelling");
    }

    async fn a_member_who_says_no_sends_the_app_away_empty_handed(app: &TestApp) {
        let request = assent::oauth::authorize::read(&app.state, &authorize_query(SCOPE, &[])).await.unwrap();
        let back = assent::oauth::authorize::deny(&request).unwrap();
        assert_eq!(parameter(&back, "error").unwrap(), "access_denied");
        assert_eq!(parameter(&back, "state").unwrap(), "state-1");
        assert_eq!(app.number("SELECT COUNT(*) FROM oauth_code").await, 0);
    }

    async fn each_base_says_where_tokens_are_given_without_asking_for_one(app: &TestApp) {
        for base in ["/fhir/pdex", "/dtr/2.2", "/pas/2.2"] {
            let request = Request::get(format!("{base}/.well-known/smart-configuration"))
                .header("accept", "application/fhir+json")
                .header("origin", "https://app.example");
            let reply = app.call(request.body(Body::empty()).unwrap()).await;
            let told = reply.json(200);
            assert_eq!(reply.headers["content-type"], "application/json", "{base}");
            assert_eq!(reply.headers["access-control-allow-origin"], "*", "{base}");
            for (name, path) in [
                ("authorization_endpoint", "/oauth/authorize"), ("token_endpoint", "/oauth/token"),
                ("introspection_endpoint", "/oauth/introspect"), ("revocation_endpoint", "/oauth/revoke"),
            ] {
                assert_eq!(text(&told, name), format!("{PUBLIC_URL}{path}"), "{base}");
            }
            assert_eq!(told["code_challenge_methods_supported"], json!(["S256"]));
            let can = |what: &str| told["capabilities"].as_array().unwrap().contains(&Value::from(what));
            assert!(can("launch-standalone") && can("client-public") && can("permission-v2") && can("permission-v1"));
            assert!(!can("sso-openid-connect") && told.get("issuer").is_none(), "what is not there is not claimed");
            let grants = told["grant_types_supported"].as_array().unwrap();
            assert!(grants.contains(&json!("authorization_code")) && grants.contains(&json!("client_credentials")));
            let lists = |name: &str, value: &str| told[name].as_array().unwrap().contains(&json!(value));
            assert!(can("client-confidential-asymmetric") && lists("token_endpoint_auth_methods_supported", "private_key_jwt"));
            assert!(lists("token_endpoint_auth_signing_alg_values_supported", "ES384") && lists("response_types_supported", "code"));
            assert!(!told["scopes_supported"].as_array().unwrap().is_empty());
        }
        let statement = app.get("/fhir/pdex/metadata", None).await.json(200);
        assert!(statement["rest"][0]["security"].to_string().contains(&format!("{PUBLIC_URL}/oauth/token")));
        app.get("/oauth/jwks", None).await.json(200);
    }

    async fn browsers_of_any_origin_may_ask_for_tokens_and_records(app: &TestApp) {
        for (path, method) in [("/oauth/token", "POST"), ("/oauth/revoke", "POST"), ("/fhir/pdex/Coverage", "GET")] {
            let preflight = Request::options(path)
                .header("origin", "https://app.example")
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "authorization");
            let reply = app.call(preflight.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.status.as_u16(), 200, "{path}");
            assert_eq!(reply.headers["access-control-allow-origin"], "*", "{path}");
            assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        }
        assert_eq!(app.get("/oauth/token", None).await.status.as_u16(), 405);
    }

    async fn a_code_in_the_redirect_is_good_once_it_reaches_the_app(app: &TestApp) {
        let back = app.allowed("ruth", &authorize_query(SCOPE, &[]), true).await.unwrap();
        assert!(back.starts_with(&format!("{APP_REDIRECT}?")));
        let code = parameter(&back, "code").unwrap();
        let tokens = app.token_request(&redemption(&code)).await.json(200);
        assert_eq!(text(&tokens, "scope"), SCOPE);
    }

    async fn the_pages_lead_an_app_to_its_tokens(app: &TestApp) {
        let mut phone = app.member("ruth").await;
        let mine = phone.authorizations().await;
        assert_eq!((&mine["resourceType"], &mine["total"]), (&json!("Bundle"), &json!(0)));
        let other = app.member("joe").await;
        assert_ne!(phone.patient, other.patient);
        let foreign = other.read(&format!("/fhir/pdex/Patient/{}", phone.patient)).await;
        foreign.json(404);
        phone.access = phone.refresh().await.json(200)["access_token"].as_str().unwrap().to_owned();
        phone.read("/fhir/pdex/Coverage").await.json(200);
    }
}
