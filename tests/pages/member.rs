//! The member pages over HTTP: requests, connected apps, consent, and the link of an email notice.

use super::{DENIAL_TEXT, FORM, confirm, decide, denial, pended};
use crate::support::{Browser, both, consent};
use axum::http::header;

both! {
    async fn a_member_sees_the_decision_the_reason_and_how_to_appeal(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut member = Browser::new(app);
        let pending = member.sign_in("/me", "ruth").await.text;
        assert!(pending.contains("A nurse or a doctor will review the request.") && pending.contains("We must decide by"));
        assert!(!pending.contains("how to appeal"));
        let mut physician = app.staff("paul").await;
        let mut fields = denial().to_vec();
        fields.push(("note", "Internal note"));
        let shown = decide(&mut physician, case, &fields).await;
        assert_eq!(confirm(&mut physician, &shown).await.status, 303);
        let home = member.page("/me").await.text;
        assert!(home.contains(DENIAL_TEXT) && home.contains("Appeals, PO Box 100"), "{home}");
        assert!(!home.contains("letter we sent"), "Assent sends no letter");
        assert!(!home.contains("Internal note"), "an internal note must not be visible to the member");
        app.run_jobs().await;
    }

    async fn the_page_shows_twenty_requests_and_links_to_the_older_ones(app: &TestApp) {
        let model = pended(app, "normal").await;
        app.clock.advance(chrono::Duration::seconds(1));
        app.copy_open_case(model, 44, |_, _| ()).await;
        let mut member = Browser::new(app);
        let mut page = member.sign_in("/me", "ruth").await.text;
        let mut shown = Vec::new();
        loop {
            shown.push(page.matches("<article class=\"panel request\">").count());
            let Some((_, rest)) = page.split_once("rel=\"next\" href=\"") else { break };
            let next = rest.split('"').next().unwrap().replace("&#x2f;", "/").replace("&#x3d;", "=");
            page = member.page(next.split('#').next().unwrap()).await.text;
            assert!(page.contains("Newest requests"));
        }
        assert_eq!(shown, [20, 20, 5]);
        app.leaves_work();
    }

    async fn a_proposed_denial_is_not_visible_to_the_member(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let form = nurse.form(&format!("/staff/cases/{case}"), "version").await;
        let referral = [("item", "1"), ("decision", "refer"), ("note", "I propose to deny this")];
        assert_eq!(nurse.send(&form, &referral).await.status, 303);
        let mut member = Browser::new(app);
        let home = member.sign_in("/me", "ruth").await.text;
        assert!(home.contains("In review") && !home.contains("propose"));
        app.leaves_work();
    }

    async fn another_member_does_not_see_the_request(app: &TestApp) {
        let approved = app.messages().oxygen_request(FORM, None, 87, "normal");
        app.ehr().await.submitted(&approved).await;
        let mut own = Browser::new(app);
        assert!(own.sign_in("/me", "ruth").await.text.contains("The authorization number is PA-"));
        let mut other = Browser::new(app);
        let home = other.sign_in("/me", "joe").await.text;
        assert!(home.contains("You have no requests yet"), "{home}");
        app.run_jobs().await;
    }

    async fn the_consent_page_describes_the_access_and_allows_only_the_apps_origin(app: &TestApp) {
        let mut member = Browser::new(app);
        let page = member.sign_in(&consent_path(), "ruth").await;
        for text in ["Your prior authorization requests, our decisions, and the reasons", "Ruth Ellery", "HIPAA", "Do not allow"] {
            assert!(page.text.contains(text), "{text}: {}", page.text);
        }
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("form-action 'self' http://127.0.0.1:8643;"), "{policy}");
    }

    async fn a_member_who_denies_access_stores_no_grant(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in(&consent_path(), "ruth").await;
        let form = member.form(&consent_path(), "request").await;
        let reply = member.send(&form, &[("answer", "deny")]).await;
        let back = reply.headers[header::LOCATION].to_str().unwrap();
        assert!(back.contains("error=access_denied") && back.contains("state=state-1"), "{back}");
        assert_eq!(app.number("SELECT COUNT(*) FROM \"grant\"").await, 0);
    }

    async fn a_consent_without_session_or_csrf_token_grants_nothing(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in(&consent_path(), "ruth").await;
        let form = member.form(&consent_path(), "request").await;
        assert_eq!(member.send(&form, &[("answer", "allow"), ("csrf", "x")]).await.status, 403);
        assert_eq!(Browser::new(app).send(&form, &[("answer", "allow")]).await.status, 401);
        assert_eq!(member.send(&form, &[("answer", "maybe")]).await.status, 400);
        assert_eq!(app.number("SELECT COUNT(*) FROM \"grant\"").await, 0);
    }

    async fn an_unknown_app_gets_an_error_page_and_no_redirect(app: &TestApp) {
        let path = consent_path().replace("client_id=demo-app", "client_id=unknown");
        let reply = Browser::new(app).get(&path).await;
        assert_eq!(reply.status, 400);
        assert!(reply.headers.get(header::LOCATION).is_none() && reply.text.contains("not registered with your plan"));
    }

    async fn only_the_member_can_remove_an_apps_access(app: &TestApp) {
        let mut member_app = app.member("ruth").await;
        let home = member_app.browser.page("/me").await.text;
        let start = home.find("/me/apps/").unwrap();
        let path = home[start..].split('"').next().unwrap().to_owned();
        let mut other = Browser::new(app);
        other.sign_in("/me", "joe").await;
        let mut form = other.form("/me", "csrf").await;
        form.action = path.clone();
        assert_eq!(other.send(&form, &[]).await.status, 404);
        assert_eq!(member_app.read("/fhir/pdex/ExplanationOfBenefit").await.status, 200);
        let mut form = member_app.browser.form("/me", "csrf").await;
        form.action = path;
        assert_eq!(member_app.browser.send(&form, &[]).await.status, 303);
        assert_eq!(member_app.read("/fhir/pdex/ExplanationOfBenefit").await.status, 401);
    }

    async fn the_link_of_an_email_notice_shows_the_same_page_to_everybody(app: &TestApp) {
        let case = pended(app, "normal").await;
        let before = app.row_counts().await;
        let mut visitor = Browser::new(app);
        let sent = visitor.get(&format!("/notice/{case}")).await;
        let never_sent = visitor.get("/notice/never-sent").await;
        assert_eq!((sent.status.as_u16(), &sent.text), (200, &never_sent.text));
        assert!(!sent.text.contains(&case.to_string()));
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }
}

/// The path that the demo app sends a member to.
fn consent_path() -> String {
    let scope = "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs offline_access";
    format!("/oauth/authorize?{}", consent::authorize_query(scope, &[]))
}
