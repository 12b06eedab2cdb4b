//! A member's app after consent: tokens, their renewal, and their end.

use super::{ALL, record, refreshed, refusal, text};
use crate::support::both;
use crate::support::consent::{VERIFIER, authorize_query, parameter, redemption};
use assent::auth::fingerprint;
use assent::demo::seed::{APP, APP_REDIRECT};
use assent::oauth::members;
use axum::body::Body;
use axum::http::Request;
use chrono::Duration;

const FORM: &str = "application/x-www-form-urlencoded";

both! {
    async fn a_code_opens_one_members_record_for_an_hour(app: &TestApp) {
        let code = app.code("ruth", ALL).await;
        let reply = app.token_request(&redemption(&code)).await;
        let tokens = reply.json(200);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["pragma"], "no-cache");
        assert_eq!((text(&tokens, "token_type"), text(&tokens, "scope")), ("Bearer", ALL));
        assert_eq!((&tokens["expires_in"], &tokens["need_patient_banner"]), (&3600.into(), &true.into()));
        assert_eq!(record(app, &tokens).await, 200);
        for name in ["access_token", "refresh_token"] {
            let kept = app.number(&format!("SELECT COUNT(*) FROM token WHERE hash = '{}'", text(&tokens, name))).await;
            assert_eq!(kept, 0, "{name} itself is stored");
            let print = fingerprint(text(&tokens, name));
            assert_eq!(app.number(&format!("SELECT COUNT(*) FROM token WHERE hash = '{print}'")).await, 1);
        }
        app.clock.advance(Duration::seconds(3599));
        assert_eq!(record(app, &tokens).await, 200);
        app.clock.advance(Duration::seconds(1));
        assert_eq!(record(app, &tokens).await, 401);
    }

    async fn a_code_without_the_verifier_of_its_challenge_is_worth_nothing(app: &TestApp) {
        let code = app.code("ruth", ALL).await;
        let bare: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "code_verifier").collect();
        assert_eq!(refusal(&app.token_request(&bare).await, 400), "invalid_request");
        let before = app.row_counts().await;
        let other = "another-verifier-of-more-than-forty-three-letters";
        for wrong in [other, &VERIFIER[1..], "short"] {
            let code = app.code("ruth", ALL).await;
            let mut fields = redemption(&code);
            fields[4].1 = wrong;
            assert_eq!(refusal(&app.token_request(&fields).await, 400), "invalid_grant");
            let again = app.token_request(&redemption(&code)).await;
            assert_eq!(refusal(&again, 400), "invalid_grant", "a code is good for one try");
        }
        let tokens = |counts: &[(String, i64)]| counts.iter().find(|(table, _)| table == "token").unwrap().1;
        assert_eq!(tokens(&app.row_counts().await), tokens(&before));
    }

    async fn a_code_is_for_its_app_its_address_and_its_minute(app: &TestApp) {
        let code = app.code("ruth", ALL).await;
        let mut elsewhere = redemption(&code);
        elsewhere[2].1 = "http://127.0.0.1:8643/callback2";
        assert_eq!(refusal(&app.token_request(&elsewhere).await, 400), "invalid_grant");
        let code = app.code("ruth", ALL).await;
        app.clock.advance(Duration::seconds(60));
        assert_eq!(refusal(&app.token_request(&redemption(&code)).await, 400), "invalid_grant");
        let unknown = app.token_request(&redemption("nothing")).await;
        assert_eq!(refusal(&unknown, 400), "invalid_grant");
    }

    async fn a_code_used_twice_ends_the_grant(app: &TestApp) {
        let code = app.code("ruth", ALL).await;
        let tokens = app.token_request(&redemption(&code)).await.json(200);
        assert_eq!(refusal(&app.token_request(&redemption(&code)).await, 400), "invalid_grant");
        assert_eq!(record(app, &tokens).await, 401);
        let renewed = refreshed(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(refusal(&renewed, 400), "invalid_grant");
    }

    async fn a_refresh_token_changes_with_each_use_and_an_old_one_ends_the_grant(app: &TestApp) {
        let first = app.tokens("ruth", ALL).await;
        let second = refreshed(app, text(&first, "refresh_token"), &[]).await.json(200);
        assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));
        assert_eq!((text(&second, "scope"), &second["patient"]), (ALL, &first["patient"]));
        assert_eq!((text(&second, "token_type"), &second["expires_in"]), ("Bearer", &3600.into()));
        let third = refreshed(app, text(&second, "refresh_token"), &[]).await.json(200);
        assert_eq!(record(app, &third).await, 200);
        let stolen = refreshed(app, text(&first, "refresh_token"), &[]).await;
        assert_eq!(refusal(&stolen, 400), "invalid_grant");
        assert_eq!(record(app, &third).await, 401);
        let after = refreshed(app, text(&third, "refresh_token"), &[]).await;
        assert_eq!(refusal(&after, 400), "invalid_grant");
    }

    async fn a_refresh_may_ask_for_less_and_never_for_more(app: &TestApp) {
        let tokens = app.tokens("ruth", "launch/patient patient/Patient.rs patient/Coverage.rs offline_access").await;
        let refresh = text(&tokens, "refresh_token");
        for more in ["patient/ExplanationOfBenefit.rs", "patient/Patient.cruds", "offline_access"] {
            let reply = refreshed(app, refresh, &[("scope", more)]).await;
            assert_eq!(refusal(&reply, 400), "invalid_scope", "{more}");
        }
        let less = refreshed(app, refresh, &[("scope", "patient/Coverage.rs")]).await.json(200);
        assert_eq!(text(&less, "scope"), "patient/Coverage.rs");
        assert_eq!(record(app, &less).await, 403);
        let again = refreshed(app, text(&less, "refresh_token"), &[]).await.json(200);
        assert_eq!(record(app, &again).await, 200, "what was granted is still granted");
    }

    async fn a_refresh_token_waits_ninety_days(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL).await;
        app.clock.advance(Duration::days(89));
        let next = refreshed(app, text(&tokens, "refresh_token"), &[]).await.json(200);
        app.clock.advance(Duration::days(90));
        let late = refreshed(app, text(&next, "refresh_token"), &[]).await;
        assert_eq!(refusal(&late, 400), "invalid_grant");
    }

    async fn without_offline_access_there_is_no_refresh_token(app: &TestApp) {
        let tokens = app.tokens("ruth", "launch/patient patient/Patient.rs").await;
        assert!(tokens.get("refresh_token").is_none());
        assert_eq!(record(app, &tokens).await, 200);
    }

    async fn each_kind_of_token_opens_its_own_door_alone(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL).await;
        let path = format!("/fhir/pdex/Patient/{}", text(&tokens, "patient"));
        assert_eq!(app.get(&path, Some(text(&tokens, "refresh_token"))).await.status.as_u16(), 401);
        let ehr = app.ehr().await;
        assert_eq!(app.get(&path, Some(&ehr.token)).await.status.as_u16(), 401);
        let submit = app.post("/pas/2.2/Claim/$submit", tokens["access_token"].as_str(), "application/fhir+json", "{}").await;
        submit.json(401);
        let refused = refreshed(app, text(&tokens, "access_token"), &[]).await;
        assert_eq!(refusal(&refused, 400), "invalid_grant");
    }

    async fn a_disabled_app_is_out_at_once(app: &TestApp) {
        let (tokens, code) = (app.tokens("ruth", ALL).await, app.code("ruth", ALL).await);
        app.change_client(APP, |client| client.disabled = true).await;
        assert_eq!(record(app, &tokens).await, 401);
        assert_eq!(refusal(&app.token_request(&redemption(&code)).await, 401), "invalid_client");
        let renewed = refreshed(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(refusal(&renewed, 401), "invalid_client");
        assert!(app.allowed("ruth", &authorize_query(ALL, &[]), true).await.is_err());
    }

    async fn a_member_whose_sign_in_is_shut_is_out_with_every_app(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL).await;
        app.sql("UPDATE member_login SET disabled = TRUE WHERE username = 'ruth'").await;
        assert_eq!(record(app, &tokens).await, 401);
        let renewed = refreshed(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(refusal(&renewed, 400), "invalid_grant");
    }

    async fn a_token_given_back_is_over_and_a_refresh_token_takes_the_rest_with_it(app: &TestApp) {
        let revoke = async |token: &str| {
            let body = crate::support::ehr::form_body(&[("token", token), ("client_id", APP)]);
            app.post("/oauth/revoke", None, FORM, body).await.json(200);
        };
        let tokens = app.tokens("ruth", ALL).await;
        revoke(text(&tokens, "access_token")).await;
        assert_eq!(record(app, &tokens).await, 401);
        let next = refreshed(app, text(&tokens, "refresh_token"), &[]).await.json(200);
        assert_eq!(record(app, &next).await, 200, "the access token alone was given back");
        revoke("nothing").await;
        revoke(text(&next, "refresh_token")).await;
        assert_eq!(record(app, &next).await, 401);
        let over = refreshed(app, text(&next, "refresh_token"), &[]).await;
        assert_eq!(refusal(&over, 400), "invalid_grant");
        let stranger = crate::support::ehr::form_body(&[("token", "x"), ("client_id", "nobody")]);
        assert_eq!(refusal(&app.post("/oauth/revoke", None, FORM, stranger).await, 401), "invalid_client");
    }

    async fn a_confidential_app_shows_its_secret(app: &TestApp) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        app.change_client(APP, |client| {
            client.doc.public = false;
            client.doc.secret_hash = Some(fingerprint("a secret"));
        })
        .await;
        let code = app.code("ruth", ALL).await;
        let bare = app.token_request(&redemption(&code)).await;
        assert_eq!(refusal(&bare, 401), "invalid_client");
        let with = async |secret: &str| {
            let basic = format!("Basic {}", STANDARD.encode(format!("{APP}:{secret}")));
            let fields: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
            let request = Request::post("/oauth/token").header("content-type", FORM).header("authorization", basic);
            app.call(request.body(Body::from(crate::support::ehr::form_body(&fields))).unwrap()).await
        };
        let wrong = with("another secret").await;
        assert_eq!(refusal(&wrong, 401), "invalid_client");
        assert!(wrong.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        with("a secret").await.json(200);
    }

    async fn introspection_tells_a_client_of_its_own_living_tokens(app: &TestApp) {
        let tokens = app.tokens("ruth", ALL).await;
        let ehr = app.ehr().await;
        let ask = async |guard: &str, token: &str| {
            let request = Request::post("/oauth/introspect")
                .header("content-type", FORM)
                .header("authorization", format!("Bearer {guard}"));
            let body = crate::support::ehr::form_body(&[("token", token)]);
            app.call(request.body(Body::from(body)).unwrap()).await
        };
        let own = text(&tokens, "access_token");
        let told = ask(own, own).await.json(200);
        assert_eq!((&told["active"], text(&told, "scope"), text(&told, "client_id")), (&true.into(), ALL, APP));
        assert_eq!(told["exp"].as_i64().unwrap(), app.clock.now().timestamp() + 3600);
        assert_eq!(told["patient"], tokens["patient"]);
        let nothing = serde_json::json!({ "active": false });
        assert_eq!(ask(&ehr.token, own).await.json(200), nothing, "another client's token");
        assert_eq!(ask(own, "nothing").await.json(200), nothing);
        ask("nothing", own).await.json(401);
        let public = crate::support::ehr::form_body(&[("token", own), ("client_id", APP)]);
        app.post("/oauth/introspect", None, FORM, public).await.json(401);
        app.clock.advance(Duration::hours(1));
        ask(own, own).await.json(401);
    }

    async fn each_launch_is_a_grant_of_its_own(app: &TestApp) {
        let (first, second) = (app.tokens("ruth", ALL).await, app.tokens("ruth", ALL).await);
        assert_ne!(first["access_token"], second["access_token"]);
        let joe = app.tokens("joe", ALL).await;
        assert_ne!(first["patient"], joe["patient"]);
        let path = format!("/fhir/pdex/Patient/{}", text(&first, "patient"));
        assert_eq!(app.get(&path, joe["access_token"].as_str()).await.status.as_u16(), 404);
        let back = app.allowed("ruth", &authorize_query(ALL, &[]), true).await.unwrap();
        assert!(back.starts_with(APP_REDIRECT));
        assert_eq!(parameter(&back, "state").unwrap(), "state-1");
        assert!(parameter(&back, "code").unwrap().len() >= 22, "a code that can be guessed");
    }

    async fn a_member_sees_each_app_and_ends_what_it_may_do(app: &TestApp) {
        let (tokens, joe) = (app.tokens("ruth", ALL).await, app.tokens("joe", ALL).await);
        let member = |tokens: &serde_json::Value| text(tokens, "patient").parse::<uuid::Uuid>().unwrap();
        let shown = members::grants(&app.state, member(&tokens)).await.unwrap();
        assert_eq!((shown.len(), shown[0].app.name.as_str()), (1, "My Health Binder"));
        assert!(shown[0].lasts() && shown[0].until.is_some());
        let foreign = members::end_grant(&app.state, member(&joe), shown[0].id).await.unwrap_err();
        assert_eq!(foreign.kind(), assent::error::Kind::NotFound);
        assert_eq!(record(app, &tokens).await, 200);
        members::end_grant(&app.state, member(&tokens), shown[0].id).await.unwrap();
        assert_eq!(record(app, &tokens).await, 401);
        let after = refreshed(app, text(&tokens, "refresh_token"), &[]).await;
        assert_eq!(refusal(&after, 400), "invalid_grant");
        assert!(members::grants(&app.state, member(&tokens)).await.unwrap().is_empty());
        assert_eq!(record(app, &joe).await, 200);
    }
}
