//! A member's app after consent: codes, tokens, refresh, revocation and introspection.

use super::{ALL_SCOPES, oauth_error, read_patient, refresh, text};
use crate::support::consent::{VERIFIER, authorize_query, parameter, redemption};
use crate::support::{TestApp, both};
use assent::auth::fingerprint;
use assent::demo::seed::{APP, APP_REDIRECT};
use assent::oauth::members;
use axum::body::Body;
use axum::http::Request;
use chrono::Duration;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn no_token_is_issued_for_a_grant_that_the_member_ends_at_the_same_time() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    let member = app.member("ruth").await;
    let tokens = "SELECT COUNT(*) FROM token";
    let before = app.number(tokens).await;
    let ending = app.open_change("UPDATE \"grant\" SET ended = created").await;
    let committed = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        ending.commit().await;
    };
    let (reply, ()) = tokio::join!(member.refresh(), committed);
    assert_eq!(oauth_error(&reply, 400), "invalid_grant");
    assert_eq!(app.number(tokens).await, before);
    app.finish().await;
}

both! {
    async fn a_code_gives_access_to_one_member_for_an_hour(app: &TestApp) {
        let code = app.code("ruth", ALL_SCOPES).await;
        let reply = app.token_request(&redemption(&code)).await;
        let tokens = reply.json(200);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["pragma"], "no-cache");
        assert_eq!((text(&tokens, "token_type"), text(&tokens, "scope")), ("Bearer", ALL_SCOPES));
        assert_eq!((&tokens["expires_in"], &tokens["need_patient_banner"]), (&3600.into(), &true.into()));
        assert_eq!(read_patient(app, &tokens).await, 200);
        for name in ["access_token", "refresh_token"] {
            let stored = app.number(&format!("SELECT COUNT(*) FROM token WHERE hash = '{}'", text(&tokens, name))).await;
            assert_eq!(stored, 0, "{name} must not be stored in plain text");
            let hash = fingerprint(text(&tokens, name));
            assert_eq!(app.number(&format!("SELECT COUNT(*) FROM token WHERE hash = '{hash}'")).await, 1);
        }
        app.clock.advance(Duration::seconds(3599));
        assert_eq!(read_patient(app, &tokens).await, 200);
        app.clock.advance(Duration::seconds(1));
        assert_eq!(read_patient(app, &tokens).await, 401);
    }

    async fn a_code_without_its_pkce_verifier_is_refused(app: &TestApp) {
        let code = app.code("ruth", ALL_SCOPES).await;
        let without_verifier: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "code_verifier").collect();
        assert_eq!(oauth_error(&app.token_request(&without_verifier).await, 400), "invalid_request");
        let before = app.row_counts().await;
        let other = "another-verifier-of-more-than-forty-three-letters";
        for wrong in [other, &VERIFIER[1..], "short"] {
            let code = app.code("ruth", ALL_SCOPES).await;
            let mut fields = redemption(&code);
            fields[4].1 = wrong;
            assert_eq!(oauth_error(&app.token_request(&fields).await, 400), "invalid_grant");
            let again = app.token_request(&redemption(&code)).await;
            assert_eq!(oauth_error(&again, 400), "invalid_grant", "a code can be used in one attempt only");
        }
        let tokens = |counts: &[(String, i64)]| counts.iter().find(|(table, _)| table == "token").unwrap().1;
        assert_eq!(tokens(&app.row_counts().await), tokens(&before));
    }

    async fn a_code_is_bound_to_its_redirect_uri_and_expires_after_a_minute(app: &TestApp) {
        let code = app.code("ruth", ALL_SCOPES).await;
        let mut other_uri = redemption(&code);
        other_uri[2].1 = "http://127.0.0.1:8643/callback2";
        assert_eq!(oauth_error(&app.token_request(&other_uri).await, 400), "invalid_grant");
        let code = app.code("ruth", ALL_SCOPES).await;
        app.clock.advance(Duration::seconds(60));
        assert_eq!(oauth_error(&app.token_request(&redemption(&code)).await, 400), "invalid_grant");
        let unknown = app.token_request(&redemption("unknown")).await;
        assert_eq!(oauth_error(&unknown, 400), "invalid_grant");
    }

    async fn a_code_used_twice_ends_the_grant(app: &TestApp) {
        let code = app.code("ruth", ALL_SCOPES).await;
        let tokens = app.token_request(&redemption(&code)).await.json(200);
        assert_eq!(oauth_error(&app.token_request(&redemption(&code)).await, 400), "invalid_grant");
        assert_eq!(read_patient(app, &tokens).await, 401);
        let renewed = refresh(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&renewed, 400), "invalid_grant");
    }

    async fn a_refresh_token_rotates_and_its_reuse_ends_the_grant(app: &TestApp) {
        let first = app.tokens("ruth", ALL_SCOPES).await;
        let second = refresh(app, text(&first, "refresh_token"), &[]).await.json(200);
        assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));
        assert_eq!((text(&second, "scope"), &second["patient"]), (ALL_SCOPES, &first["patient"]));
        assert_eq!((text(&second, "token_type"), &second["expires_in"]), ("Bearer", &3600.into()));
        let third = refresh(app, text(&second, "refresh_token"), &[]).await.json(200);
        assert_eq!(read_patient(app, &third).await, 200);
        let reused = refresh(app, text(&first, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&reused, 400), "invalid_grant");
        assert_eq!(read_patient(app, &third).await, 401);
        let after = refresh(app, text(&third, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&after, 400), "invalid_grant");
    }

    async fn a_refresh_may_request_fewer_scopes_but_not_more(app: &TestApp) {
        let tokens = app.tokens("ruth", "launch/patient patient/Patient.rs patient/Coverage.rs offline_access").await;
        let refresh_token = text(&tokens, "refresh_token");
        for scope in ["patient/ExplanationOfBenefit.rs", "patient/Patient.cruds", "offline_access"] {
            let reply = refresh(app, refresh_token, &[("scope", scope)]).await;
            assert_eq!(oauth_error(&reply, 400), "invalid_scope", "{scope}");
        }
        let fewer = refresh(app, refresh_token, &[("scope", "patient/Coverage.rs")]).await.json(200);
        assert_eq!(text(&fewer, "scope"), "patient/Coverage.rs");
        assert_eq!(read_patient(app, &fewer).await, 403);
        let again = refresh(app, text(&fewer, "refresh_token"), &[]).await.json(200);
        assert_eq!(read_patient(app, &again).await, 200, "the grant still has all its scopes");
    }

    async fn a_refresh_token_expires_after_ninety_days(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL_SCOPES).await;
        app.clock.advance(Duration::days(89));
        let next = refresh(app, text(&tokens, "refresh_token"), &[]).await.json(200);
        app.clock.advance(Duration::days(90));
        let expired = refresh(app, text(&next, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&expired, 400), "invalid_grant");
    }

    async fn without_offline_access_there_is_no_refresh_token(app: &TestApp) {
        let tokens = app.tokens("ruth", "launch/patient patient/Patient.rs").await;
        assert!(tokens.get("refresh_token").is_none());
        assert_eq!(read_patient(app, &tokens).await, 200);
    }

    async fn each_type_of_token_works_only_where_it_belongs(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL_SCOPES).await;
        let path = format!("/fhir/pdex/Patient/{}", text(&tokens, "patient"));
        assert_eq!(app.get(&path, Some(text(&tokens, "refresh_token"))).await.status.as_u16(), 401);
        let ehr = app.ehr().await;
        assert_eq!(app.get(&path, Some(&ehr.token)).await.status.as_u16(), 401);
        let submit = app.post("/pas/2.2/Claim/$submit", tokens["access_token"].as_str(), "application/fhir+json", "{}").await;
        submit.json(401);
        let refused = refresh(app, text(&tokens, "access_token"), &[]).await;
        assert_eq!(oauth_error(&refused, 400), "invalid_grant");
    }

    async fn a_disabled_app_loses_access_immediately(app: &TestApp) {
        let (tokens, code) = (app.tokens("ruth", ALL_SCOPES).await, app.code("ruth", ALL_SCOPES).await);
        app.change_client(APP, |client| client.disabled = true).await;
        assert_eq!(read_patient(app, &tokens).await, 401);
        assert_eq!(oauth_error(&app.token_request(&redemption(&code)).await, 401), "invalid_client");
        let renewed = refresh(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&renewed, 401), "invalid_client");
        assert!(app.allowed("ruth", &authorize_query(ALL_SCOPES, &[]), true).await.is_err());
    }

    async fn a_disabled_member_account_ends_the_access_of_every_app(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL_SCOPES).await;
        app.sql("UPDATE member_login SET disabled = TRUE WHERE username = 'ruth'").await;
        assert_eq!(read_patient(app, &tokens).await, 401);
        let renewed = refresh(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&renewed, 400), "invalid_grant");
    }

    async fn revoking_a_refresh_token_revokes_all_tokens_of_the_grant(app: &TestApp) {
        let revoke = async |token: &str| {
            let body = crate::support::ehr::form_body(&[("token", token), ("client_id", APP)]);
            app.post("/oauth/revoke", None, FORM, body).await.json(200);
        };
        let tokens = app.tokens("ruth", ALL_SCOPES).await;
        revoke(text(&tokens, "access_token")).await;
        assert_eq!(read_patient(app, &tokens).await, 401);
        let next = refresh(app, text(&tokens, "refresh_token"), &[]).await.json(200);
        assert_eq!(read_patient(app, &next).await, 200, "only the access token was revoked");
        revoke("unknown").await;
        revoke(text(&next, "refresh_token")).await;
        assert_eq!(read_patient(app, &next).await, 401);
        let revoked = refresh(app, text(&next, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&revoked, 400), "invalid_grant");
        let unknown_client = crate::support::ehr::form_body(&[("token", "x"), ("client_id", "nobody")]);
        assert_eq!(oauth_error(&app.post("/oauth/revoke", None, FORM, unknown_client).await, 401), "invalid_client");
    }

    async fn a_confidential_app_must_send_its_secret(app: &TestApp) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        app.change_client(APP, |client| {
            client.doc.public = false;
            client.doc.secret_hash = Some(fingerprint("a secret"));
        })
        .await;
        let code = app.code("ruth", ALL_SCOPES).await;
        let without_secret = app.token_request(&redemption(&code)).await;
        assert_eq!(oauth_error(&without_secret, 401), "invalid_client");
        let with_secret = async |secret: &str| {
            let basic = format!("Basic {}", STANDARD.encode(format!("{APP}:{secret}")));
            let fields: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
            let request = Request::post("/oauth/token").header("content-type", FORM).header("authorization", basic);
            app.call(request.body(Body::from(crate::support::ehr::form_body(&fields))).unwrap()).await
        };
        let wrong = with_secret("another secret").await;
        assert_eq!(oauth_error(&wrong, 401), "invalid_client");
        assert!(wrong.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        with_secret("a secret").await.json(200);
    }

    async fn a_client_can_introspect_only_its_own_active_tokens(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL_SCOPES).await;
        let ehr = app.ehr().await;
        let ask = async |own_token: &str, token: &str| {
            let request = Request::post("/oauth/introspect")
                .header("content-type", FORM)
                .header("authorization", format!("Bearer {own_token}"));
            let body = crate::support::ehr::form_body(&[("token", token)]);
            app.call(request.body(Body::from(body)).unwrap()).await
        };
        let own = text(&tokens, "access_token");
        let introspected = ask(own, own).await.json(200);
        assert_eq!((&introspected["active"], text(&introspected, "scope"), text(&introspected, "client_id")), (&true.into(), ALL_SCOPES, APP));
        assert_eq!(introspected["exp"].as_i64().unwrap(), app.clock.now().timestamp() + 3600);
        assert_eq!(introspected["patient"], tokens["patient"]);
        let inactive = serde_json::json!({ "active": false });
        assert_eq!(ask(&ehr.token, own).await.json(200), inactive, "a token of another client");
        assert_eq!(ask(own, "unknown").await.json(200), inactive);
        ask("unknown", own).await.json(401);
        let public = crate::support::ehr::form_body(&[("token", own), ("client_id", APP)]);
        app.post("/oauth/introspect", None, FORM, public).await.json(401);
        app.clock.advance(Duration::hours(1));
        ask(own, own).await.json(401);
    }

    async fn each_launch_creates_a_separate_grant(app: &TestApp) {
        let (first, second) = (app.tokens("ruth", ALL_SCOPES).await, app.tokens("ruth", ALL_SCOPES).await);
        assert_ne!(first["access_token"], second["access_token"]);
        let joe = app.tokens("joe", ALL_SCOPES).await;
        assert_ne!(first["patient"], joe["patient"]);
        let path = format!("/fhir/pdex/Patient/{}", text(&first, "patient"));
        assert_eq!(app.get(&path, joe["access_token"].as_str()).await.status.as_u16(), 404);
        let back = app.allowed("ruth", &authorize_query(ALL_SCOPES, &[]), true).await.unwrap();
        assert!(back.starts_with(APP_REDIRECT));
        assert_eq!(parameter(&back, "state").unwrap(), "state-1");
        assert!(parameter(&back, "code").unwrap().len() >= 22, "the code is too short to be safe");
    }

    async fn a_member_can_list_and_end_app_grants(app: &TestApp) {
        let (tokens, joe) = (app.tokens("ruth", ALL_SCOPES).await, app.tokens("joe", ALL_SCOPES).await);
        let member = |tokens: &serde_json::Value| text(tokens, "patient").parse::<uuid::Uuid>().unwrap();
        let shown = members::list_grants(&app.state, member(&tokens)).await.unwrap();
        assert_eq!((shown.len(), shown[0].app.name.as_str()), (1, "My Health Binder"));
        assert!(shown[0].is_offline() && shown[0].until.is_some());
        let error = members::end_grant(&app.state, member(&joe), shown[0].id).await.unwrap_err();
        assert_eq!(error.kind(), assent::error::ErrorKind::NotFound);
        assert_eq!(read_patient(app, &tokens).await, 200);
        members::end_grant(&app.state, member(&tokens), shown[0].id).await.unwrap();
        assert_eq!(read_patient(app, &tokens).await, 401);
        let after = refresh(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(oauth_error(&after, 400), "invalid_grant");
        assert!(members::list_grants(&app.state, member(&tokens)).await.unwrap().is_empty());
        assert_eq!(read_patient(app, &joe).await, 200);
    }
}
