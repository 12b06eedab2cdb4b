//! Reviewers: the queue, the case, the decision.

use super::{events, pended};
use crate::support::{Browser, Reply, both};
use assent::prior_auth::Actor;
use uuid::Uuid;

const WHY: &str = "A resting saturation of 91 percent does not meet the criteria for you.";

/// Sends the case's form, as it stands now, with these fields.
async fn decide(browser: &mut Browser<'_>, case: Uuid, fields: &[(&str, &str)]) -> Reply {
    let form = browser.form(&format!("/staff/cases/{case}"), "version").await;
    browser.send(&form, fields).await
}

fn denial() -> [(&'static str, &'static str); 5] {
    [
        ("line", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("criterion", "qualifying"),
        ("text", WHY),
    ]
}

both! {
    async fn the_queue_is_in_the_order_of_due_times_and_says_what_filters_hide(app: &TestApp) {
        let standard = pended(app, "normal").await;
        let urgent = pended(app, "stat").await;
        let mut nurse = app.staff("nora").await;
        let queue = nurse.page("/staff").await.text;
        let at = |id: Uuid| queue.find(&format!("/staff/cases/{id}")).unwrap();
        assert!(at(urgent) < at(standard), "72 hours come before 7 days");
        let narrow = nurse.page("/staff?urgency=urgent").await.text;
        assert!(narrow.contains("1 shown, 1 hidden by filters"), "{narrow}");
        let table = nurse.page("/staff/queue?urgency=standard").await.text;
        assert!(!table.contains("<html") && table.contains(&standard.to_string()));
        app.leaves_work();
    }

    async fn the_case_shows_criteria_beside_the_evidence_that_they_were_judged_by(app: &TestApp) {
        let case = pended(app, "normal").await;
        let page = app.staff("nora").await.page(&format!("/staff/cases/{case}")).await.text;
        for wanted in [
            "Hypoxemia shown by group I or group II",
            "CMS NCD 240.2",
            "href=\"#entry-1\">Observation 1",
            "<tr id=\"entry-1\">",
            "Was the test ordered and evaluated by the treating practitioner?",
            "1 criterion is not met: say in the note",
            "Lakeside EHR",
        ] {
            assert!(page.contains(wanted), "the page lacks {wanted}");
        }
        app.leaves_work();
    }

    async fn a_nurses_denial_is_refused_however_it_is_sent_and_leaves_no_trace(app: &TestApp) {
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

    async fn who_may_only_read_gets_no_form_and_is_refused_by_hand(app: &TestApp) {
        let case = pended(app, "normal").await;
        let path = format!("/staff/cases/{case}");
        let mut nurse = app.staff("nora").await;
        let mut form = nurse.form(&path, "version").await;
        for who in ["sam", "ivy"] {
            let mut reader = app.staff(who).await;
            let page = reader.page(&path).await.text;
            assert!(page.contains("You can read this case") && !page.contains("name=\"version\""));
            let own = reader.form(&path, "csrf").await;
            form.fields.retain(|(name, _)| name != "csrf");
            form.fields.extend(own.fields.into_iter().filter(|(name, _)| name == "csrf"));
            let approval = [("line", "1"), ("decision", "approve"), ("note", "I would")];
            assert_eq!(reader.send(&form, &approval).await.status, 403, "{who}");
        }
        app.leaves_work();
    }

    async fn a_denial_needs_a_reason_of_the_plan_and_words_for_the_member(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        for (field, value) in [("reason", ""), ("reason", "ZZ"), ("text", "No."), ("criterion", "mood"), ("line", "9")] {
            let fields = denial().map(|(name, own)| (name, if name == field { value } else { own }));
            let refused = decide(&mut physician, case, &fields).await;
            assert!(refused.status.is_client_error(), "{field}: {}", refused.status);
        }
        let kept = decide(&mut physician, case, &[("line", "1"), ("decision", "deny"), ("text", WHY)]).await;
        assert_eq!(kept.status, 422);
        assert!(kept.text.contains(WHY) && kept.text.contains("role=\"alert\""), "what was typed is kept");
        assert_eq!(events(app, case).await.len(), 2);
        app.leaves_work();
    }

    async fn a_denial_is_signed_by_its_physician_and_sent_on_once(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303);
        let history = events(app, case).await;
        let Actor::Staff(by) = &history.last().unwrap().actor else { panic!("{history:?}") };
        assert_eq!((by.username.as_str(), by.credential.as_ref().unwrap().license.as_str()), ("paul", "35-088123"));
        let jobs = "SELECT COUNT(*) FROM job WHERE kind = 'fan-out'";
        let before = app.number(jobs).await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303, "the same decision again");
        assert_eq!(events(app, case).await.len(), history.len());
        assert_eq!(app.number(jobs).await, before);
        app.run_jobs().await;
    }

    async fn an_approval_is_for_all_that_was_asked(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let silent = decide(&mut nurse, case, &[("line", "1"), ("decision", "approve")]).await;
        assert_eq!(silent.status, 422, "against a criterion it wants a note");
        let less = [("line", "1"), ("decision", "approve"), ("note", "short"), ("until", "2027-01-31")];
        let refused = decide(&mut nurse, case, &less).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("for all that was asked"), "{}", refused.text);
        let whole = [("line", "1"), ("decision", "approve"), ("note", "Called the practice.")];
        assert_eq!(decide(&mut nurse, case, &whole).await.status, 303);
        let page = nurse.page(&format!("/staff/cases/{case}")).await.text;
        assert!(page.contains("Approved as asked until") && page.contains("note: Called the practice."), "{page}");
        app.run_jobs().await;
    }

    async fn who_decides_on_an_older_picture_is_shown_the_new_one_with_what_was_typed(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let old = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let mut nurse = app.staff("nora").await;
        let up = [("line", "1"), ("decision", "refer"), ("note", "Is 91 percent after exercise?")];
        assert_eq!(decide(&mut nurse, case, &up).await.status, 303);
        let stale = physician.send(&old, &denial()).await;
        assert_eq!(stale.status, 409, "{}", stale.text);
        assert!(stale.text.contains("The case has changed since you opened it") && stale.text.contains(WHY));
        assert!(stale.text.contains("Is 91 percent after exercise?"), "the new history is there");
        assert_eq!(events(app, case).await.len(), 3);
        app.leaves_work();
    }

    async fn a_decided_case_takes_no_other_decision(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(physician.send(&form, &denial()).await.status, 303);
        let other = [("line", "1"), ("decision", "approve"), ("note", "On second thought")];
        let refused = physician.send(&form, &other).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert!(physician.page(&format!("/staff/cases/{case}")).await.text.contains("Nothing is open on this case"));
        app.run_jobs().await;
    }

    async fn a_case_that_is_not_there_is_a_page_that_repeats_nothing(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for path in ["/staff/cases/no-such-case", "/staff/cases/00000000-0000-0000-0000-000000000000"] {
            let reply = nurse.get(path).await;
            assert_eq!(reply.status, 404);
            assert!(reply.text.contains("There is nothing at this address") && !reply.text.contains("no-such"));
        }
    }
}
