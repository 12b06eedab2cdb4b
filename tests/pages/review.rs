//! Pages of reviewers: the queue, the case, the decision.

use super::{events, pended};
use crate::support::{Browser, Reply, both};
use assent::prior_auth::Actor;
use uuid::Uuid;

const DENIAL_TEXT: &str = "A resting saturation of 91 percent does not meet the criteria for you.";

/// Opens the case page and submits its form with these fields.
async fn decide(browser: &mut Browser<'_>, case: Uuid, fields: &[(&str, &str)]) -> Reply {
    let form = browser.form(&format!("/staff/cases/{case}"), "version").await;
    browser.send(&form, fields).await
}

fn denial() -> [(&'static str, &'static str); 5] {
    [
        ("item", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("criterion", "qualifying"),
        ("text", DENIAL_TEXT),
    ]
}

both! {
    async fn the_queue_is_sorted_by_due_time_and_counts_hidden_cases(app: &TestApp) {
        let standard = pended(app, "normal").await;
        let urgent = pended(app, "stat").await;
        let mut nurse = app.staff("nora").await;
        let queue = nurse.page("/staff").await.text;
        let position = |id: Uuid| queue.find(&format!("/staff/cases/{id}")).unwrap();
        assert!(position(urgent) < position(standard), "the case due in 72 hours comes before the one due in 7 days");
        let filtered = nurse.page("/staff?urgency=urgent").await.text;
        assert!(filtered.contains("1 shown, 1 hidden by filters"), "{filtered}");
        let table = nurse.page("/staff/queue?urgency=standard").await.text;
        assert!(!table.contains("<html") && table.contains(&standard.to_string()));
        app.leaves_work();
    }

    async fn the_case_page_shows_criteria_and_links_to_their_evidence(app: &TestApp) {
        let case = pended(app, "normal").await;
        let page = app.staff("nora").await.page(&format!("/staff/cases/{case}")).await.text;
        for expected in [
            "Hypoxemia as defined by group I or group II",
            "CMS NCD 240.2",
            "href=\"#entry-1\">Observation 1",
            "<tr id=\"entry-1\">",
            "Was the test ordered and evaluated by the treating practitioner?",
            "1 criterion is not met. To approve, explain in the note",
            "Lakeside EHR",
        ] {
            assert!(page.contains(expected), "the page does not show: {expected}");
        }
        app.leaves_work();
    }

    async fn a_denial_by_a_nurse_is_refused_and_stores_nothing(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let form = nurse.form(&format!("/staff/cases/{case}"), "version").await;
        let before = app.row_counts().await;
        let refused = nurse.send(&form, &denial()).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        assert!(refused.text.contains("Only a physician reviewer"), "{}", refused.text);
        assert_eq!(nurse.send(&form, &[("decision", "deny")]).await.status, 403);
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }

    async fn users_who_may_only_view_cases_cannot_decide(app: &TestApp) {
        let case = pended(app, "normal").await;
        let path = format!("/staff/cases/{case}");
        let mut nurse = app.staff("nora").await;
        let mut form = nurse.form(&path, "version").await;
        for username in ["sam", "ivy"] {
            let mut reader = app.staff(username).await;
            let page = reader.page(&path).await.text;
            assert!(page.contains("You can view this case") && !page.contains("name=\"version\""));
            let own = reader.form(&path, "csrf").await;
            form.fields.retain(|(name, _)| name != "csrf");
            form.fields.extend(own.fields.into_iter().filter(|(name, _)| name == "csrf"));
            let approval = [("item", "1"), ("decision", "approve"), ("note", "I would approve")];
            assert_eq!(reader.send(&form, &approval).await.status, 403, "{username}");
        }
        app.leaves_work();
    }

    async fn a_denial_needs_a_reason_of_the_plan_and_a_text_for_the_member(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let invalid = [("reason", ""), ("reason", "ZZ"), ("text", "No."), ("criterion", "mood"), ("item", "9")];
        for (field, value) in invalid {
            let fields = denial().map(|(name, own)| (name, if name == field { value } else { own }));
            let refused = decide(&mut physician, case, &fields).await;
            assert!(refused.status.is_client_error(), "{field}: {}", refused.status);
        }
        let kept = decide(&mut physician, case, &[("item", "1"), ("decision", "deny"), ("text", DENIAL_TEXT)]).await;
        assert_eq!(kept.status, 422);
        assert!(kept.text.contains(DENIAL_TEXT) && kept.text.contains("role=\"alert\""), "the submitted text is kept");
        assert_eq!(events(app, case).await.len(), 2);
        app.leaves_work();
    }

    async fn a_denial_is_recorded_under_the_physicians_license_and_sent_once(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303);
        let history = events(app, case).await;
        let Actor::Staff(by) = &history.last().unwrap().actor else { panic!("{history:?}") };
        assert_eq!((by.username.as_str(), by.credential.as_ref().unwrap().license.as_str()), ("paul", "35-088123"));
        let jobs = "SELECT COUNT(*) FROM job WHERE kind = 'fan-out'";
        let before = app.number(jobs).await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303, "the same decision a second time");
        assert_eq!(events(app, case).await.len(), history.len());
        assert_eq!(app.number(jobs).await, before);
        app.run_jobs().await;
    }

    async fn an_approval_must_cover_everything_requested(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let without_note = decide(&mut nurse, case, &[("item", "1"), ("decision", "approve")]).await;
        assert_eq!(without_note.status, 422, "a note is required when a criterion is not met");
        let shortened = [("item", "1"), ("decision", "approve"), ("note", "short"), ("until", "2027-01-31")];
        let refused = decide(&mut nurse, case, &shortened).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("must cover everything that was requested"), "{}", refused.text);
        let complete = [("item", "1"), ("decision", "approve"), ("note", "Called the practice.")];
        assert_eq!(decide(&mut nurse, case, &complete).await.status, 303);
        let page = nurse.page(&format!("/staff/cases/{case}")).await.text;
        assert!(page.contains("Approved as requested until") && page.contains("note: Called the practice."), "{page}");
        app.run_jobs().await;
    }

    async fn a_decision_on_an_outdated_case_shows_the_new_state_and_keeps_the_form(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let old = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let mut nurse = app.staff("nora").await;
        let referral = [("item", "1"), ("decision", "refer"), ("note", "Is 91 percent after exercise?")];
        assert_eq!(decide(&mut nurse, case, &referral).await.status, 303);
        let stale = physician.send(&old, &denial()).await;
        assert_eq!(stale.status, 409, "{}", stale.text);
        assert!(stale.text.contains("This case was updated while you were working"), "{}", stale.text);
        assert!(stale.text.contains(DENIAL_TEXT), "the submitted text is kept");
        assert!(stale.text.contains("Is 91 percent after exercise?"), "the page shows the new history");
        assert_eq!(events(app, case).await.len(), 3);
        app.leaves_work();
    }

    async fn a_decided_case_accepts_no_other_decision(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303);
        let other = [("item", "1"), ("decision", "approve"), ("note", "On second thought")];
        let refused = physician.send(&form, &other).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        let page = physician.page(&format!("/staff/cases/{case}")).await.text;
        assert!(page.contains("All items of this case are decided"), "{page}");
        app.run_jobs().await;
    }

    async fn an_unknown_case_is_a_404_page_that_does_not_repeat_the_id(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for path in ["/staff/cases/no-such-case", "/staff/cases/00000000-0000-0000-0000-000000000000"] {
            let reply = nurse.get(path).await;
            assert_eq!(reply.status, 404);
            assert!(reply.text.contains("This page does not exist") && !reply.text.contains("no-such"));
        }
    }
}
