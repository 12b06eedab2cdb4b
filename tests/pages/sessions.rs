//! Sign-in, sessions, forms, headers.

use super::pended;
use crate::support::{Browser, both};
use axum::http::header;
use chrono::Duration;

async fn try_sign_in(browser: &mut Browser<'_>, name: &str, password: &str) -> (u16, String) {
    let form = browser.form("/staff/sign-in", "password").await;
    let reply = browser
        .send(&form, &[("login", name), ("password", password)])
        .await;
    (reply.status.as_u16(), reply.text)
}

both! {
    async fn a_failed_sign_in_does_not_tell_what_was_wrong(app: &TestApp) {
        let mut browser = Browser::new(app);
        let (wrong, one) = try_sign_in(&mut browser, "nora", "not the password").await;
        let (unknown, other) = try_sign_in(&mut browser, "nobody", "not the password").await;
        assert_eq!((wrong, unknown), (401, 401));
        let sentence = "The user name or the password is not right.";
        assert!(one.contains(sentence) && other.contains(sentence));
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
    }

    async fn a_name_rests_after_ten_failures_even_for_the_right_password(app: &TestApp) {
        let mut browser = Browser::new(app);
        for _ in 0..10 {
            assert_eq!(try_sign_in(&mut browser, "nora", "not the password").await.0, 401);
        }
        let right = app.sign_ins["nora"].password.clone();
        assert_eq!(try_sign_in(&mut browser, " Nora ", &right).await.0, 429);
        app.clock.advance(Duration::minutes(16));
        assert_eq!(try_sign_in(&mut browser, "nora", &right).await.0, 303);
    }

    async fn a_sign_in_form_from_elsewhere_is_not_taken(app: &TestApp) {
        let form = Browser::new(app).form("/staff/sign-in", "password").await;
        let password = app.sign_ins["nora"].password.clone();
        let mut other = Browser::new(app);
        let reply = other.send(&form, &[("login", "nora"), ("password", &password)]).await;
        assert_eq!(reply.status, 403);
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
    }

    async fn a_session_ends_after_idle_time_and_what_a_script_fetches_is_no_use(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff").await.status, 200, "use moves the end");
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff/queue").await.status, 200);
        app.clock.advance(Duration::minutes(11));
        assert_eq!(nurse.get("/staff/queue").await.status, 401);
        let reply = nurse.get("/staff?state=intake").await;
        assert_eq!(reply.headers[header::LOCATION], "/staff/sign-in?next=%2Fstaff%3Fstate%3Dintake");
    }

    async fn a_session_ends_after_half_a_day_however_busy(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for _ in 0..(12 * 60 / 20 - 1) {
            app.clock.advance(Duration::minutes(20));
            assert_eq!(nurse.get("/staff").await.status, 200);
        }
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn signing_out_ends_the_session_for_good(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        let form = nurse.form("/staff", "csrf").await;
        assert_eq!(form.action, "/staff/sign-out");
        let reply = nurse.send(&form, &[]).await;
        assert!(reply.status == 200 && reply.text.contains("You are signed out"), "{}", reply.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn a_person_who_is_shut_out_is_out_at_once(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        app.sql("UPDATE person SET disabled = (1 = 1) WHERE username = 'nora'").await;
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn a_form_without_the_token_of_its_session_does_nothing(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let before = app.row_counts().await;
        for token in ["", "x"] {
            let fields = [("csrf", token), ("line", "1"), ("decision", "approve"), ("note", "n")];
            assert_eq!(physician.send(&form, &fields).await.status, 403);
        }
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }

    async fn a_members_session_opens_no_reviewers_page(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in("/me", "ruth").await;
        assert_eq!(member.get("/staff").await.status, 303);
        assert_eq!(app.staff("nora").await.get("/me").await.status, 303);
    }

    async fn every_page_forbids_what_it_does_not_need(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for path in ["/", "/staff", "/staff/sign-in", "/me/sign-in", "/staff/nothing", "/k/anything"] {
            let reply = nurse.get(path).await;
            let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(policy.contains("form-action 'self';"), "{path}: {policy}");
            assert_eq!(reply.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(reply.headers[header::REFERRER_POLICY], "no-referrer", "{path}");
            assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert!(!reply.text.contains("<script>") && !reply.text.contains(" style="), "{path}");
        }
    }

    async fn a_session_cookie_is_out_of_reach_of_scripts(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/staff/sign-in", "password").await;
        let password = app.sign_ins["nora"].password.clone();
        let reply = browser.send(&form, &[("login", "nora"), ("password", &password), ("next", "//evil.example")]).await;
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
        assert_eq!(reply.headers[header::LOCATION], "/staff", "nobody is led out of the house");
    }
}
