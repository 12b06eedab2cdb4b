//! Members: requests in plain words, apps, consent.

use super::{FORM, pended};
use crate::support::{Browser, both, consent};
use axum::http::header;

both! {
    async fn a_member_reads_the_decision_the_reason_and_how_to_appeal(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut member = Browser::new(app);
        let waiting = member.sign_in("/me", "ruth").await.text;
        assert!(waiting.contains("One of our clinicians is looking at it.") && waiting.contains("We answer by"));
        assert!(!waiting.contains("how to appeal"));
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let why = "A resting saturation of 91 percent does not meet the criteria for you.";
        let denial =
            [("line", "1"), ("decision", "deny"), ("reason", "0F"), ("text", why), ("note", "For the file alone")];
        assert_eq!(physician.send(&form, &denial).await.status, 303);
        let home = member.page("/me").await.text;
        assert!(home.contains(why) && home.contains("Appeals, PO Box 100"), "{home}");
        assert!(!home.contains("For the file alone"), "the note for the file is for the file");
        app.run_jobs().await;
    }

    async fn a_proposed_denial_never_shows_to_the_member(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let form = nurse.form(&format!("/staff/cases/{case}"), "version").await;
        let up = [("line", "1"), ("decision", "refer"), ("note", "I propose to deny this")];
        assert_eq!(nurse.send(&form, &up).await.status, 303);
        let mut member = Browser::new(app);
        let home = member.sign_in("/me", "ruth").await.text;
        assert!(home.contains("In review") && !home.contains("propose"));
        app.leaves_work();
    }

    async fn another_member_sees_nothing_of_it(app: &TestApp) {
        let approved = app.run().oxygen(FORM, None, 87, "normal");
        app.ehr().await.submitted(&approved).await;
        let mut own = Browser::new(app);
        assert!(own.sign_in("/me", "ruth").await.text.contains("The approval number is PA-"));
        let mut other = Browser::new(app);
        let home = other.sign_in("/me", "joe").await.text;
        assert!(home.contains("There are no requests yet"), "{home}");
        app.run_jobs().await;
    }

    async fn the_consent_page_names_app_and_data_and_lets_only_the_apps_origin_follow(app: &TestApp) {
        let mut member = Browser::new(app);
        let page = member.sign_in(&consent_path(), "ruth").await;
        for words in ["Requests for approval, what we decided and why", "Ruth Ellery", "HIPAA", "Do not allow"] {
            assert!(page.text.contains(words), "{words}: {}", page.text);
        }
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("form-action 'self' http://127.0.0.1:8643;"), "{policy}");
    }

    async fn a_member_who_says_no_sends_the_app_away_with_nothing(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in(&consent_path(), "ruth").await;
        let form = member.form(&consent_path(), "request").await;
        let reply = member.send(&form, &[("answer", "deny")]).await;
        let back = reply.headers[header::LOCATION].to_str().unwrap();
        assert!(back.contains("error=access_denied") && back.contains("state=state-1"), "{back}");
        assert_eq!(app.number("SELECT COUNT(*) FROM \"grant\"").await, 0);
    }

    async fn an_answer_without_session_or_token_grants_nothing(app: &TestApp) {
        let mut member = Browser::new(app);
        member.sign_in(&consent_path(), "ruth").await;
        let form = member.form(&consent_path(), "request").await;
        assert_eq!(member.send(&form, &[("answer", "allow"), ("csrf", "x")]).await.status, 403);
        assert_eq!(Browser::new(app).send(&form, &[("answer", "allow")]).await.status, 401);
        assert_eq!(member.send(&form, &[("answer", "maybe")]).await.status, 400);
        assert_eq!(app.number("SELECT COUNT(*) FROM \"grant\"").await, 0);
    }

    async fn an_app_that_nobody_knows_gets_a_page_and_no_redirect(app: &TestApp) {
        let path = consent_path().replace("client_id=demo-app", "client_id=unknown");
        let reply = Browser::new(app).get(&path).await;
        assert_eq!(reply.status, 400);
        assert!(reply.headers.get(header::LOCATION).is_none() && reply.text.contains("not registered here"));
    }

    async fn only_the_member_can_remove_an_apps_access(app: &TestApp) {
        let mut phone = app.member("ruth").await;
        let home = phone.browser.page("/me").await.text;
        let at = home.find("/me/apps/").unwrap();
        let path = home[at..].split('"').next().unwrap().to_owned();
        let mut other = Browser::new(app);
        other.sign_in("/me", "joe").await;
        let mut form = other.form("/me", "csrf").await;
        form.action = path.clone();
        assert_eq!(other.send(&form, &[]).await.status, 404);
        assert_eq!(phone.read("/fhir/pdex/ExplanationOfBenefit").await.status, 200);
        let mut form = phone.browser.form("/me", "csrf").await;
        form.action = path;
        assert_eq!(phone.browser.send(&form, &[]).await.status, 303);
        assert_eq!(phone.read("/fhir/pdex/ExplanationOfBenefit").await.status, 401);
    }

    async fn the_link_of_an_e_mail_shows_the_same_page_for_everybody_and_does_nothing(app: &TestApp) {
        let case = pended(app, "normal").await;
        let before = app.row_counts().await;
        let mut nobody = Browser::new(app);
        let one = nobody.get(&format!("/k/{case}")).await;
        let other = nobody.get("/k/never-sent").await;
        assert_eq!((one.status.as_u16(), &one.text), (200, &other.text));
        assert!(!one.text.contains(&case.to_string()));
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }
}

/// Where the demo's app sends a member.
fn consent_path() -> String {
    let scope = "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs offline_access";
    format!("/oauth/authorize?{}", consent::authorize_query(scope, &[]))
}
