//! What applies to every route: cross-origin requests, compression, spellings of a path, and bodies with a byte order
//! mark or a compression.

use super::app_token;
use crate::support::{PUBLIC_URL, Reply, TestApp, both};
use assent::demo::seed::{APP, APP_REDIRECT, EHR, EHR_ORIGIN};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, header};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::io::Read;
use tower::ServiceExt;

/// The origin of the demo app's redirect URI.
const APP_ORIGIN: &str = "http://127.0.0.1:8643";
const STRANGER: &str = "https://stranger.example";

async fn preflight(app: &TestApp, path: &str, method: &str, origin: &str) -> Reply {
    let request = Request::options(path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header(
            "access-control-request-headers",
            "authorization,content-type,cache-control,prefer,if-none-match",
        );
    app.call(request.body(Body::empty()).unwrap()).await
}

async fn call_from(app: &TestApp, method: &Method, path: &str, origin: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", origin);
    app.call(request.body(Body::empty()).unwrap()).await
}

/// The origin that may read a response.
fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("access-control-allow-origin")
        .map(|value| value.to_str().unwrap())
}

/// Calls the router for a response whose body is not text.
async fn get_compressed(app: &TestApp, path: &str) -> (HeaderMap, Bytes) {
    let request = Request::get(path).header("accept-encoding", "br, gzip");
    let router = assent::http::router(app.state.clone());
    let response = router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    assert_eq!(parts.status, 200, "{path}");
    (parts.headers, body.collect().await.unwrap().to_bytes())
}

fn content_encoding(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap())
}

async fn post_raw(app: &TestApp, path: &str, token: &str, encoding: Option<&str>, body: String) -> Reply {
    let mut request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/fhir+json");
    if let Some(encoding) = encoding {
        request = request.header(header::CONTENT_ENCODING, encoding);
    }
    app.call(request.body(Body::from(body)).unwrap()).await
}

both! {
    async fn a_preflight_from_a_registered_origin_is_answered_on_every_api(app: &TestApp) {
        assert!(APP_REDIRECT.starts_with(APP_ORIGIN));
        for (path, method) in [
            ("/fhir/pdex/Patient/x", "GET"), ("/fhir/pdex/ExplanationOfBenefit/_search", "POST"),
            ("/dtr/2.2/Questionnaire/$questionnaire-package", "POST"), ("/dtr/2.2/$questionnaire-package", "POST"),
            ("/pas/2.2/Claim/$submit", "POST"), ("/pas/2.2/Claim/%24submit/", "POST"),
            ("/pas/2.2/Subscription/1", "DELETE"), ("/cds-services/order-sign-crd", "POST"),
            ("/oauth/token", "POST"), ("/oauth/revoke", "POST"), ("/fhir/pdex/Nothing", "PUT"),
        ] {
            for origin in [APP_ORIGIN, EHR_ORIGIN, STRANGER] {
                let reply = preflight(app, path, method, origin).await;
                assert_eq!(reply.status, 200, "{path}");
                assert_eq!(allowed(&reply.headers), Some(origin).filter(|o| *o != STRANGER), "{path}");
                let headers = reply.headers["access-control-allow-headers"].to_str().unwrap();
                for name in ["authorization", "content-type", "cache-control", "prefer", "if-none-match"] {
                    assert!(headers.contains(name), "{path}: {headers}");
                }
                assert!(reply.headers["access-control-allow-methods"].to_str().unwrap().contains(method), "{path}");
                assert!(reply.headers["vary"].to_str().unwrap().contains("origin"), "{path}");
                assert!(!reply.headers.contains_key("access-control-allow-credentials"), "{path}");
            }
        }
    }

    async fn every_response_of_an_api_can_be_read_from_a_registered_origin(app: &TestApp) {
        for (method, path, status) in [
            (Method::GET, "/fhir/pdex/Patient", 401), (Method::GET, "/fhir/pdex/Nothing", 404),
            (Method::PUT, "/fhir/pdex/Patient/1", 405), (Method::GET, "/fhir/nothing", 404),
            (Method::GET, "/dtr/2.2/Questionnaire", 401), (Method::POST, "/dtr/2.2/nothing", 404),
            (Method::POST, "/pas/2.2/Claim/$submit", 401), (Method::GET, "/pas/2.2/Claim/$submit", 405),
            (Method::GET, "/fhir/pdex/Patient/1/_history", 501),
            (Method::POST, "/cds-services/order-sign-crd", 401), (Method::POST, "/cds-services/nothing", 404),
            (Method::POST, "/oauth/token", 400), (Method::GET, "/oauth/nothing", 404),
        ] {
            let reply = call_from(app, &method, path, EHR_ORIGIN).await;
            assert_eq!(reply.status.as_u16(), status, "{method} {path}");
            assert_eq!(allowed(&reply.headers), Some(EHR_ORIGIN), "{method} {path}");
            let exposed = reply.headers["access-control-expose-headers"].to_str().unwrap();
            for name in ["www-authenticate", "etag", "location"] {
                assert!(exposed.contains(name), "{exposed}");
            }
            let stranger = call_from(app, &method, path, STRANGER).await;
            assert_eq!((stranger.status, allowed(&stranger.headers)), (reply.status, None), "{method} {path}");
            assert!(stranger.headers["vary"].to_str().unwrap().contains("origin"), "{method} {path}");
        }
        let token = app_token(app, "ruth", "patient/*.rs").await.1;
        let request = Request::get("/fhir/pdex/Patient").header("origin", APP_ORIGIN)
            .header("authorization", format!("Bearer {token}"));
        let found = app.call(request.body(Body::empty()).unwrap()).await;
        assert_eq!((found.status.as_u16(), allowed(&found.headers)), (200, Some(APP_ORIGIN)));
    }

    async fn open_reads_can_be_read_from_every_origin_and_pages_from_none(app: &TestApp) {
        for path in [
            "/fhir/pdex/metadata", "/dtr/2.2/metadata", "/pas/2.2/metadata", "/cds-services", "/oauth/jwks",
            "/pas/2.2/.well-known/smart-configuration", "/prior-authorization-list.csv",
        ] {
            let reply = call_from(app, &Method::GET, path, STRANGER).await;
            assert_eq!((reply.status.as_u16(), allowed(&reply.headers)), (200, Some("*")), "{path}");
            assert_eq!(allowed(&preflight(app, path, "GET", STRANGER).await.headers), Some("*"), "{path}");
        }
        for path in ["/staff/sign-in", "/me/sign-in", "/oauth/authorize", "/healthz"] {
            assert_eq!(allowed(&call_from(app, &Method::GET, path, EHR_ORIGIN).await.headers), None, "{path}");
        }
    }

    async fn a_disabled_client_loses_its_origins_and_a_changed_one_gets_new_ones(app: &TestApp) {
        let path = "/dtr/2.2/Questionnaire/$questionnaire-package";
        let origin = async |origin: &str| preflight(app, path, "POST", origin).await.headers.contains_key("access-control-allow-origin");
        app.change_client(EHR, |client| client.doc.origins = vec!["https://forms.example".to_owned()]).await;
        assert!(!origin(EHR_ORIGIN).await && origin("https://forms.example").await);
        app.change_client(EHR, |client| client.disabled = true).await;
        assert!(!origin("https://forms.example").await && origin(APP_ORIGIN).await);
        app.change_client(APP, |client| client.doc.redirect_uris.clear()).await;
        assert!(!origin(APP_ORIGIN).await && !origin("null").await);
    }

    async fn data_and_public_pages_are_compressed_and_pages_with_secrets_are_not(app: &TestApp) {
        for path in ["/fhir/pdex/metadata", "/dtr/2.2/metadata", "/prior-authorization-list"] {
            let (headers, body) = get_compressed(app, path).await;
            assert_eq!(content_encoding(&headers), Some("gzip"), "{path}");
            assert!(headers.get_all("vary").iter().any(|v| v.to_str().unwrap().contains("accept-encoding")), "{path}");
            let mut text = String::new();
            GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
            let plain = app.get(path, None).await;
            assert_eq!(text, plain.text, "{path}");
            assert_eq!(content_encoding(&plain.headers), None, "{path}");
        }
        for path in ["/staff/sign-in", "/me/sign-in", "/healthz"] {
            assert_eq!(content_encoding(&get_compressed(app, path).await.0), None, "{path}");
        }
    }

    async fn a_slash_at_the_end_and_an_encoded_dollar_sign_make_no_difference(app: &TestApp) {
        let ehr = app.ehr().await;
        let body = app.messages().referral_request();
        for path in ["/pas/2.2/Claim/%24submit", "/pas/2.2/Claim/$submit/", "/pas/2.2/Claim/%24submit/"] {
            ehr.post(path, &body).await.json(200);
        }
        for path in ["/dtr/2.2/Questionnaire/", "/dtr/2.2/metadata/", "/pas/2.2/Subscription/%24status/?status=active"] {
            app.get(path, Some(&ehr.token)).await.json(200);
        }
        let token = app_token(app, "ruth", "patient/*.rs").await.1;
        let found = app.get("/fhir/pdex/Patient/?family=ell", Some(&token)).await.json(200);
        assert_eq!(found["link"][0]["url"], format!("{PUBLIC_URL}/fhir/pdex/Patient?family=ell"));
        app.leaves_work();
    }

    async fn a_hook_call_may_name_its_address_with_a_slash_at_the_end(app: &TestApp) {
        let ehr = app.ehr().await;
        let hook = "/cds-services/order-sign-crd";
        for (path, audience) in [(hook, format!("{hook}/")), ("/cds-services/order-sign-crd/", hook.to_owned())] {
            let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}{audience}"));
            let body = app.messages().order_sign_hook().to_string();
            app.post(path, Some(&token), "application/json", body).await.json(200);
        }
    }

    async fn a_byte_order_mark_in_front_of_the_body_is_ignored(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().referral_request().to_string();
        post_raw(app, "/pas/2.2/Claim/$submit", &ehr.token, None, format!("\u{feff}{bundle}")).await.json(200);
        let token = ehr.jwt("https://ehr.demo.example", &format!("{PUBLIC_URL}/cds-services/order-sign-crd"));
        let call = format!("\u{feff}{}", app.messages().order_sign_hook());
        app.post("/cds-services/order-sign-crd", Some(&token), "application/json", call).await.json(200);
        app.run_jobs().await;
        assert_eq!(app.number("SELECT COUNT(*) FROM prior_auth").await, 1);
    }

    async fn a_compressed_body_is_refused_as_an_unsupported_type(app: &TestApp) {
        let ehr = app.ehr().await;
        let bundle = app.messages().referral_request().to_string();
        let reply = post_raw(app, "/pas/2.2/Claim/$submit", &ehr.token, Some("gzip"), bundle.clone()).await;
        assert_eq!(reply.json(415)["issue"][0]["code"], "not-supported");
        post_raw(app, "/pas/2.2/Claim/$submit", &ehr.token, Some("identity"), bundle).await.json(200);
        let form = |path: &str, token: &str| {
            Request::post(path)
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::CONTENT_ENCODING, "deflate")
                .body(Body::from("use=claim"))
                .unwrap()
        };
        let token = app_token(app, "ruth", "patient/*.rs").await.1;
        app.call(form("/fhir/pdex/ExplanationOfBenefit/_search", &token)).await.json(415);
        let refused: Value = app.call(form("/oauth/token", &token)).await.json(415);
        assert_eq!(refused["error"], json!("invalid_request"));
        app.run_jobs().await;
    }
}
