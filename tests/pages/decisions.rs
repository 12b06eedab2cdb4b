//! Decisions on the case page: what each needs, the confirmation of a denial, what the page says afterwards, and
//! decisions on a case that somebody else has changed.

use super::{DENIAL_TEXT, FORM, confirm, decide, denial, deny, events, pended};
use crate::support::both;
use assent::demo::walk::http::form_with_field;
use assent::prior_auth::{Actor, EventBody, Outcome};
use axum::http::header;
use uuid::Uuid;

/// A reason that is hard to read.
const HARD_TEXT: &str =
    "The documentation submitted insufficiently substantiates the medical necessity of supplemental oxygen.";

/// The denial of [`denial`] with one field changed.
fn denial_with<'a>(field: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    denial()
        .into_iter()
        .map(|(name, own)| (name, if name == field { value } else { own }))
        .collect()
}

both! {
    async fn a_denial_needs_a_reason_of_the_plan_and_words_for_the_member(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let too_long = "word ".repeat(401);
        let invalid = [
            ("reason", ""), ("reason", "ZZ"), ("item", "9"), ("criterion", "mood"),
            ("criterion", "test-age"),
            ("text", "No."),
            ("text", "0F E1390 J44.9 59408-5 NCD 240.2 qualifying test-age group-1-rest"),
            ("text", &too_long),
        ];
        for (field, value) in invalid {
            let refused = decide(&mut physician, case, &denial_with(field, value)).await;
            assert!(refused.status.is_client_error(), "{field}: {}", refused.status);
        }
        let met = decide(&mut physician, case, &denial_with("criterion", "test-age")).await;
        assert_eq!(met.status, 422);
        assert!(met.text.contains("This criterion is met, so a denial cannot be based on it"), "{}", met.text);
        assert!(!met.text.contains("value=\"test-age\""), "the form offers no criterion that is met");
        let kept = decide(&mut physician, case, &[("item", "1"), ("decision", "deny"), ("text", DENIAL_TEXT)]).await;
        assert_eq!(kept.status, 422);
        assert!(kept.text.contains(DENIAL_TEXT) && kept.text.contains("role=\"alert\""), "the submitted text is kept");
        assert_eq!(events(app, case).await.len(), 2);
        app.leaves_work();
    }

    async fn a_denial_shows_what_will_be_sent_and_is_recorded_after_a_confirmation(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let shown = decide(&mut physician, case, &denial()).await;
        assert_eq!(shown.status, 200);
        for expected in [
            "Nothing is recorded yet",
            "The member reads",
            "We did not approve this service.",
            DENIAL_TEXT,
            "How to appeal",
            "Not certified (<span class=\"code\">A3</span>)",
            "Lakeside EHR has no active subscription",
            "Lakeside Pulmonary Group gets an email notice that does not name the decision",
            "Assent sends no letter",
            "Hypoxemia as defined by group I or group II",
        ] {
            assert!(shown.text.contains(expected), "{expected}: {}", shown.text);
        }
        assert_eq!(events(app, case).await.len(), 2, "nothing is recorded before the confirmation");

        let form = form_with_field(&shown.text, "confirmation").unwrap();
        let other = "Your oxygen level at rest was 92 percent. The rule asks for 88 percent or less.";
        for changed in [("confirmation", ""), ("confirmation", "x"), ("text", other), ("reason", "44")] {
            let again = physician.send(&form, &[("decision", "deny"), changed]).await;
            assert!(again.status == 200 && again.text.contains("Nothing is recorded yet"), "{changed:?}");
        }
        assert_eq!(events(app, case).await.len(), 2, "only the denial that was shown is recorded");

        let recorded = confirm(&mut physician, &shown).await;
        assert_eq!(recorded.status, 303, "{}", recorded.text);
        let history = events(app, case).await;
        let Actor::Staff(by) = &history.last().unwrap().actor else { panic!("{history:?}") };
        assert_eq!((by.username.as_str(), by.credential.as_ref().unwrap().license.as_str()), ("paul", "35-088123"));
        app.run_jobs().await;
    }

    async fn after_a_decision_the_page_says_what_happened_and_what_is_sent(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let recorded = deny(&mut physician, case).await;
        let location = recorded.headers[header::LOCATION].to_str().unwrap().to_owned();
        assert_eq!(location, format!("/staff/cases/{case}?recorded=3"), "the address holds ids only");
        let page = physician.page(&location).await.text;
        for expected in ["You denied item 1", "with reason code 0F", "gets an email notice that does not name the decision"] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        let later = physician.page(&format!("/staff/cases/{case}")).await.text;
        assert!(!later.contains("You denied item 1"), "the notice is shown once");
        let other = app.staff("nora").await.page(&location).await.text;
        assert!(!other.contains("You denied item 1"), "nobody else reads that they denied it");
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 2, "one to the member and one to the provider, as announced");
    }

    async fn the_same_denial_twice_is_recorded_and_sent_once(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let shown = decide(&mut physician, case, &denial()).await;
        assert_eq!(confirm(&mut physician, &shown).await.status, 303);
        let messages = "SELECT COUNT(*) FROM outbox";
        let (history, before) = (events(app, case).await, app.number(messages).await);
        assert_eq!(confirm(&mut physician, &shown).await.status, 303, "the same decision a second time");
        assert_eq!(events(app, case).await.len(), history.len());
        assert_eq!(app.number(messages).await, before);
        app.run_jobs().await;
    }

    async fn a_reason_that_is_hard_to_read_is_named_and_can_be_accepted(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let shown = decide(&mut physician, case, &denial_with("text", HARD_TEXT)).await;
        assert!(shown.text.contains("The reason is hard to read"), "{}", shown.text);
        assert!(shown.text.contains(&format!("<li>{HARD_TEXT} (grade ")), "the sentence is named: {}", shown.text);
        let form = form_with_field(&shown.text, "confirmation").unwrap();
        let not_accepted = physician.send(&form, &[("decision", "deny")]).await;
        assert_eq!(not_accepted.status, 422);
        assert!(not_accepted.text.contains("check the box to send it as written"), "{}", not_accepted.text);
        assert_eq!(events(app, case).await.len(), 2);
        let accepted = physician.send(&form, &[("decision", "deny"), ("hard_text", "accept")]).await;
        assert_eq!(accepted.status, 303, "{}", accepted.text);
        app.run_jobs().await;
    }

    async fn a_denial_that_is_not_confirmed_can_be_changed(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let mut fields = denial().to_vec();
        fields.push(("note", "Called the practice."));
        let shown = decide(&mut physician, case, &fields).await;
        let form = form_with_field(&shown.text, "confirmation").unwrap();
        let page = physician.send(&form, &[("decision", "change")]).await;
        assert_eq!(page.status, 200);
        for kept in [DENIAL_TEXT, "Called the practice.", "<details class=\"deny\" open>", "value=\"0F\" selected"] {
            assert!(page.text.contains(kept), "{kept}: {}", page.text);
        }
        assert_eq!(events(app, case).await.len(), 2);
        app.leaves_work();
    }

    async fn a_confirmation_of_an_outdated_case_is_refused(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let shown = decide(&mut physician, case, &denial()).await;
        let mut nurse = app.staff("nora").await;
        let referral = [("item", "1"), ("decision", "refer"), ("note", "Is 91 percent after exercise?")];
        assert_eq!(decide(&mut nurse, case, &referral).await.status, 303);
        let stale = confirm(&mut physician, &shown).await;
        assert_eq!(stale.status, 409, "{}", stale.text);
        assert!(stale.text.contains("Item 1: referred to a physician, by Nora Lindqvist RN"), "{}", stale.text);
        assert!(stale.text.contains(DENIAL_TEXT), "the submitted text is kept");
        assert_eq!(events(app, case).await.len(), 3);
        app.leaves_work();
    }

    async fn an_approval_beyond_the_policy_needs_a_note_and_a_last_day(app: &TestApp) {
        let mut without_dates = app.messages().oxygen_request(FORM, None, 91, "normal");
        let item = &mut crate::pas::resource_mut(&mut without_dates, "Claim")["item"][0];
        for name in ["quantity", "servicedPeriod", "servicedDate"] {
            item.as_object_mut().unwrap().remove(name);
        }
        let response = app.ehr().await.submitted(&without_dates).await;
        let case: Uuid = response["id"].as_str().unwrap().parse().unwrap();
        for username in ["nora", "paul"] {
            let mut reviewer = app.staff(username).await;
            let base = [("item", "1"), ("decision", "approve")];
            let without_note = decide(&mut reviewer, case, &[base[0], base[1], ("until", "2027-11-19")]).await;
            assert_eq!(without_note.status, 422, "{username}");
            assert!(without_note.text.contains("Explain in the note why you are approving anyway"), "{}", without_note.text);
            let without_day = decide(&mut reviewer, case, &[base[0], base[1], ("note", "Called.")]).await;
            assert_eq!(without_day.status, 422, "{username}");
            assert!(without_day.text.contains("Enter the last day of the approval"), "{}", without_day.text);
        }
        let mut nurse = app.staff("nora").await;
        let complete = [("item", "1"), ("decision", "approve"), ("note", "Called."), ("until", "2027-11-19")];
        assert_eq!(decide(&mut nurse, case, &complete).await.status, 303);
        let history = events(app, case).await;
        let EventBody::Decided { note, outcome, .. } = &history.last().unwrap().body else { panic!("{history:?}") };
        let Outcome::Approved(approval) = outcome.as_ref() else { panic!("{outcome:?}") };
        assert_eq!((note.text.as_deref(), approval.end), (Some("Called."), "2027-11-19".parse().ok()));
        app.run_jobs().await;
    }

    async fn an_approval_must_cover_everything_requested(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let shortened = [("item", "1"), ("decision", "approve"), ("note", "short"), ("until", "2027-01-31")];
        let refused = decide(&mut nurse, case, &shortened).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains("must cover everything that was requested"), "{}", refused.text);
        let complete = [("item", "1"), ("decision", "approve"), ("note", "Called the practice.")];
        let recorded = decide(&mut nurse, case, &complete).await;
        assert_eq!(recorded.status, 303);
        let page = nurse.page(recorded.headers[header::LOCATION].to_str().unwrap()).await.text;
        assert!(page.contains("You approved item 1") && page.contains("The authorization number is PA-"), "{page}");
        assert!(page.contains("Approved as requested until") && page.contains("note: Called the practice."), "{page}");
        app.run_jobs().await;
    }

    async fn a_referral_says_that_nothing_is_sent(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let referral = [("item", "1"), ("decision", "refer"), ("note", "Is 91 percent after exercise?")];
        let recorded = decide(&mut nurse, case, &referral).await;
        let page = nurse.page(recorded.headers[header::LOCATION].to_str().unwrap()).await.text;
        assert!(page.contains("You referred item 1"), "{page}");
        assert!(page.contains("Nothing is sent to the provider or the member."), "{page}");
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 0);
        app.leaves_work();
    }

    async fn a_stale_decision_on_an_open_case_keeps_the_form_and_names_who_changed_what(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let old = physician.form(&format!("/staff/cases/{case}"), "version").await;
        let mut nurse = app.staff("nora").await;
        let referral = [("item", "1"), ("decision", "refer"), ("note", "Is 91 percent after exercise?")];
        assert_eq!(decide(&mut nurse, case, &referral).await.status, 303);
        let stale = physician.send(&old, &denial()).await;
        assert_eq!(stale.status, 409, "{}", stale.text);
        assert!(stale.text.contains("This case was updated while you were working"), "{}", stale.text);
        assert!(stale.text.contains("Item 1: referred to a physician, by Nora Lindqvist RN"), "{}", stale.text);
        assert!(stale.text.contains(DENIAL_TEXT), "the submitted text is kept");
        assert!(stale.text.contains("Is 91 percent after exercise?"), "the page shows the new history");
        assert_eq!(events(app, case).await.len(), 3);
        app.leaves_work();
    }

    async fn a_stale_decision_on_a_decided_case_keeps_the_text_and_names_who_decided(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(deny(&mut app.staff("petra").await, case).await.status, 303);
        let own = "Your test was done while you were ill. The rule asks for a test when you are stable.";
        let fields: Vec<_> = denial_with("text", own).into_iter().chain([("note", "My own note")]).collect();
        for decision in ["deny", "approve"] {
            let mut fields = fields.clone();
            fields.push(("decision", decision));
            let refused = physician.send(&form, &fields).await;
            assert_eq!(refused.status, 409, "{}", refused.text);
            for expected in [
                "This item has already been decided",
                "Item 1: denied, by Petra Hale MD",
                own,
                "My own note",
                "All items of this case are decided",
            ] {
                assert!(refused.text.contains(expected), "{expected}: {}", refused.text);
            }
        }
        app.run_jobs().await;
    }
}
