//! Sign-in, sessions, CSRF tokens and response headers of pages.

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
    async fn a_failed_sign_in_does_not_reveal_what_was_wrong(app: &TestApp) {
        let mut browser = Browser::new(app);
        let (wrong, one) = try_sign_in(&mut browser, "nora", "not the password").await;
        let (unknown, other) = try_sign_in(&mut browser, "nobody", "not the password").await;
        assert_eq!((wrong, unknown), (401, 401));
        let sentence = "The user name or password is not correct.";
        assert!(one.contains(sentence) && other.contains(sentence));
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
    }

    async fn ten_failures_block_a_user_name_even_with_the_right_password(app: &TestApp) {
        let mut browser = Browser::new(app);
        for _ in 0..10 {
            assert_eq!(try_sign_in(&mut browser, "nora", "not the password").await.0, 401);
        }
        let right = app.sign_ins["nora"].password.clone();
        assert_eq!(try_sign_in(&mut browser, " Nora ", &right).await.0, 429);
        app.clock.advance(Duration::minutes(16));
        assert_eq!(try_sign_in(&mut browser, "nora", &right).await.0, 303);
    }

    async fn a_sign_in_form_of_another_browser_is_not_accepted(app: &TestApp) {
        let form = Browser::new(app).form("/staff/sign-in", "password").await;
        let password = app.sign_ins["nora"].password.clone();
        let mut other = Browser::new(app);
        let reply = other.send(&form, &[("login", "nora"), ("password", &password)]).await;
        assert_eq!(reply.status, 403);
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
    }

    async fn a_session_ends_without_activity_and_script_requests_do_not_extend_it(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff").await.status, 200, "activity extends the session");
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff/queue").await.status, 200);
        app.clock.advance(Duration::minutes(11));
        assert_eq!(nurse.get("/staff/queue").await.status, 401);
        let reply = nurse.get("/staff?status=intake").await;
        assert_eq!(reply.headers[header::LOCATION], "/staff/sign-in?next=%2Fstaff%3Fstatus%3Dintake");
    }

    async fn a_session_ends_after_twelve_hours_even_with_activity(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for _ in 0..(12 * 60 / 20 - 1) {
            app.clock.advance(Duration::minutes(20));
            assert_eq!(nurse.get("/staff").await.status, 200);
        }
        app.clock.advance(Duration::minutes(20));
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn signing_out_deletes_the_session(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        let form = nurse.form("/staff", "csrf").await;
        assert_eq!(form.action, "/staff/sign-out");
        let reply = nurse.send(&form, &[]).await;
        assert!(reply.status == 200 && reply.text.contains("You are signed out"), "{}", reply.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM session").await, 0);
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn a_disabled_account_loses_access_at_once(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        app.sql("UPDATE staff_member SET disabled = (1 = 1) WHERE username = 'nora'").await;
        assert_eq!(nurse.get("/staff").await.status, 303);
    }

    async fn a_form_without_its_csrf_token_does_nothing(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let before = app.row_counts().await;
        for token in ["", "x"] {
            let fields = [("csrf", token), ("item", "1"), ("decision", "approve"), ("note", "n")];
            assert_eq!(physician.send(&form, &fields).await.status, 403);
        }
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }

    async fn a_member_session_does_not_open_staff_pages(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in("/me", "ruth").await;
        assert_eq!(member.get("/staff").await.status, 303);
        assert_eq!(app.staff("nora").await.get("/me").await.status, 303);
    }

    async fn every_page_sets_the_security_headers(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for path in ["/", "/staff", "/staff/sign-in", "/me/sign-in", "/staff/nothing", "/notice/anything"] {
            let reply = nurse.get(path).await;
            let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(policy.contains("form-action 'self';"), "{path}: {policy}");
            assert_eq!(reply.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(reply.headers[header::REFERRER_POLICY], "same-origin", "{path}");
            assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert!(!reply.text.contains("<script>") && !reply.text.contains(" style="), "{path}");
        }
    }

    async fn scripts_cannot_read_the_session_cookie(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/staff/sign-in", "password").await;
        let password = app.sign_ins["nora"].password.clone();
        let fields = [("login", "nora"), ("password", password.as_str()), ("next", "//evil.example")];
        let reply = browser.send(&form, &fields).await;
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
        assert_eq!(reply.headers[header::LOCATION], "/staff", "sign-in does not redirect to another site");
    }
}
