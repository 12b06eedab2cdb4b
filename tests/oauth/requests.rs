//! Authorization requests: valid ones, errors returned to the app, errors shown on a page; discovery.

use super::{read_patient, text};
use crate::support::consent::{authorize_query, parameter, redemption};
use crate::support::{PUBLIC_URL, both};
use assent::demo::seed::APP_REDIRECT;
use assent::oauth::authorize::AuthorizeError;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

const SCOPE: &str = "launch/patient patient/Patient.rs";

both! {
    async fn an_unknown_client_or_redirect_uri_is_never_redirected(app: &TestApp) {
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
            let result = app.allowed("ruth", &query, true).await;
            assert!(matches!(result, Err(AuthorizeError::Page(_))), "{change:?}");
            let page = app.get(&format!("/oauth/authorize?{query}"), None).await;
            assert!(page.status.is_client_error(), "{change:?} {}", page.status);
            assert!(!page.headers.contains_key("location"), "{change:?}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn other_errors_are_returned_to_the_app_with_its_state(app: &TestApp) {
        let before = app.row_counts().await;
        let below = format!("{PUBLIC_URL}/fhir/pdex/Patient");
        let cases = [
            ("response_type", Some("token"), "unsupported_response_type"),
            ("response_type", None, "invalid_request"),
            ("aud", None, "invalid_request"),
            ("aud", Some("https://other.example/fhir"), "invalid_request"),
            ("aud", Some(below.as_str()), "invalid_request"),
            ("code_challenge", None, "invalid_request"),
            ("code_challenge", Some("too-short"), "invalid_request"),
            ("code_challenge_method", None, "invalid_request"),
            ("code_challenge_method", Some("plain"), "invalid_request"),
            ("scope", Some("system/*.cruds"), "invalid_scope"),
            ("scope", Some("openid fhirUser"), "invalid_scope"),
            ("scope", None, "invalid_scope"),
        ];
        for (name, value, code) in cases {
            let result = app.allowed("ruth", &authorize_query(SCOPE, &[(name, value)]), true).await;
            let Err(AuthorizeError::Redirect(back)) = result else { panic!("{name} {value:?}: {result:?}") };
            assert!(back.starts_with(&format!("{APP_REDIRECT}?")), "{back}");
            assert_eq!(parameter(&back, "error").unwrap(), code, "{name} {value:?}");
            assert_eq!(parameter(&back, "state").unwrap(), "state-1");
            assert!(parameter(&back, "code").is_none());
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_authorization_request_without_state_is_refused(app: &TestApp) {
        let result = app.allowed("ruth", &authorize_query(SCOPE, &[("state", None)]), true).await;
        let Err(AuthorizeError::Redirect(back)) = result else { panic!("{result:?}") };
        assert_eq!(parameter(&back, "error").unwrap(), "invalid_request");
    }

    async fn granted_scopes_are_limited_to_offered_and_registered_ones(app: &TestApp) {
        let granted = async |result: &str| {
            let tokens = app.tokens("ruth", result).await;
            text(&tokens, "scope").to_owned()
        };
        assert_eq!(granted("patient/Patient.cruds").await, "patient/Patient.rs");
        assert_eq!(granted("patient/Patient.read").await, "patient/Patient.read");
        assert_eq!(granted("openid fhirUser patient/Coverage.rs user/*.cruds system/Claim.c nonsense").await, "patient/Coverage.rs");
        let all = granted("patient/*.rs").await;
        assert!(all.contains("patient/ExplanationOfBenefit.rs") && !all.contains('*'), "{all}");
    }

    async fn a_token_reads_only_the_resource_types_in_its_scopes(app: &TestApp) {
        let tokens = app.tokens("ruth", "patient/Patient.rs").await;
        assert_eq!(read_patient(app, &tokens).await, 200);
        for kind in ["ExplanationOfBenefit", "Coverage"] {
            let found = app.get(&format!("/fhir/pdex/{kind}"), tokens["access_token"].as_str()).await;
            assert_eq!(found.json(403)["resourceType"], "OperationOutcome");
        }
        let old = app.tokens("ruth", "patient/Patient.read").await;
        assert_eq!(read_patient(app, &old).await, 200, "the scope syntax of SMART version 1");
    }

    async fn a_denied_authorization_returns_access_denied_to_the_app(app: &TestApp) {
        let request = assent::oauth::authorize::validate(&app.state, &authorize_query(SCOPE, &[])).await.unwrap();
        let back = assent::oauth::authorize::deny(&request).unwrap();
        assert_eq!(parameter(&back, "error").unwrap(), "access_denied");
        assert_eq!(parameter(&back, "state").unwrap(), "state-1");
        assert_eq!(app.number("SELECT COUNT(*) FROM authorization_code").await, 0);
    }

    async fn each_fhir_base_has_a_public_smart_configuration(app: &TestApp) {
        for base in ["/fhir/pdex", "/dtr/2.2", "/pas/2.2"] {
            let request = Request::get(format!("{base}/.well-known/smart-configuration"))
                .header("accept", "application/fhir+json")
                .header("origin", "https://app.example");
            let reply = app.call(request.body(Body::empty()).unwrap()).await;
            let document = reply.json(200);
            assert_eq!(reply.headers["content-type"], "application/json", "{base}");
            assert_eq!(reply.headers["access-control-allow-origin"], "*", "{base}");
            for (name, path) in [
                ("authorization_endpoint", "/oauth/authorize"), ("token_endpoint", "/oauth/token"),
                ("introspection_endpoint", "/oauth/introspect"), ("revocation_endpoint", "/oauth/revoke"),
            ] {
                assert_eq!(text(&document, name), format!("{PUBLIC_URL}{path}"), "{base}");
            }
            assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
            let can = |what: &str| document["capabilities"].as_array().unwrap().contains(&Value::from(what));
            assert!(can("launch-standalone") && can("client-public") && can("permission-v2") && can("permission-v1"));
            assert!(!can("sso-openid-connect") && document.get("issuer").is_none(), "unsupported capabilities must not be listed");
            let grants = document["grant_types_supported"].as_array().unwrap();
            assert!(grants.contains(&json!("authorization_code")) && grants.contains(&json!("client_credentials")));
            let lists = |name: &str, value: &str| document[name].as_array().unwrap().contains(&json!(value));
            assert!(can("client-confidential-asymmetric") && lists("token_endpoint_auth_methods_supported", "private_key_jwt"));
            assert!(lists("token_endpoint_auth_signing_alg_values_supported", "ES384") && lists("response_types_supported", "code"));
            assert!(!document["scopes_supported"].as_array().unwrap().is_empty());
        }
        let statement = app.get("/fhir/pdex/metadata", None).await.json(200);
        assert!(statement["rest"][0]["security"].to_string().contains(&format!("{PUBLIC_URL}/oauth/token")));
        app.get("/oauth/jwks", None).await.json(200);
    }

    async fn the_audience_may_have_a_slash_at_the_end(app: &TestApp) {
        let with_slash = format!("{PUBLIC_URL}/fhir/pdex/");
        let back = app.allowed("ruth", &authorize_query(SCOPE, &[("aud", Some(&with_slash))]), true).await.unwrap();
        let code = parameter(&back, "code").unwrap();
        let tokens = app.token_request(&redemption(&code)).await.json(200);
        assert_eq!(read_patient(app, &tokens).await, 200);
    }

    async fn browser_apps_of_registered_origins_may_call_the_token_and_fhir_endpoints(app: &TestApp) {
        for (path, method) in [("/oauth/token", "POST"), ("/oauth/revoke", "POST"), ("/fhir/pdex/Coverage", "GET")] {
            let preflight = Request::options(path)
                .header("origin", "https://app.example")
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "authorization");
            let reply = app.call(preflight.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.status.as_u16(), 200, "{path}");
            assert_eq!(reply.headers["access-control-allow-origin"], "https://app.example", "{path}");
            assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        }
        assert_eq!(app.get("/oauth/token", None).await.status.as_u16(), 405);
    }

    async fn the_code_in_the_redirect_can_be_redeemed(app: &TestApp) {
        let back = app.allowed("ruth", &authorize_query(SCOPE, &[]), true).await.unwrap();
        assert!(back.starts_with(&format!("{APP_REDIRECT}?")));
        let code = parameter(&back, "code").unwrap();
        let tokens = app.token_request(&redemption(&code)).await.json(200);
        assert_eq!(text(&tokens, "scope"), SCOPE);
    }

    async fn an_app_gets_its_tokens_through_the_pages(app: &TestApp) {
        let mut member_app = app.member("ruth").await;
        let authorizations = member_app.authorizations().await;
        assert_eq!((&authorizations["resourceType"], &authorizations["total"]), (&json!("Bundle"), &json!(0)));
        let other_app = app.member("joe").await;
        assert_ne!(member_app.patient, other_app.patient);
        let response = other_app.read(&format!("/fhir/pdex/Patient/{}", member_app.patient)).await;
        response.json(404);
        member_app.access = member_app.refresh().await.json(200)["access_token"].as_str().unwrap().to_owned();
        member_app.read("/fhir/pdex/Coverage").await.json(200);
    }
}
