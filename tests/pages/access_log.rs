//! The access log: every opening of a case is recorded before the page is sent, and auditors can read it.

use super::{decide, denial, pended};
use crate::support::{Browser, Reply, both};
use assent::demo::walk::http::form_with_field;
use chrono::Duration;
use uuid::Uuid;

const ENTRIES: &str = "SELECT COUNT(*) FROM access_log";
const PAGE: &str = "/staff/access-log";

/// Searches the log with these filters.
async fn search(auditor: &mut Browser<'_>, filters: &[(&str, &str)]) -> Reply {
    let form = auditor.form(PAGE, "case").await;
    auditor.send(&form, filters).await
}

fn rows(page: &Reply) -> usize {
    page.text
        .matches("<td role=\"cell\" data-label=\"Person\">")
        .count()
}

async fn open(browser: &mut Browser<'_>, case: Uuid) {
    assert_eq!(browser.get(&format!("/staff/cases/{case}")).await.status, 200);
}

both! {
    async fn opening_a_case_is_recorded_with_person_role_time_and_address(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        assert_eq!(app.number(ENTRIES).await, 0, "the queue opens no case");
        open(&mut nurse, case).await;
        assert_eq!(app.number(ENTRIES).await, 1);
        let page = app.staff("uma").await.page(PAGE).await;
        let number = app.number("SELECT COUNT(*) FROM access_log WHERE case_number LIKE 'RF-%'").await;
        assert_eq!((page.status.as_u16(), rows(&page), number), (200, 1, 1), "{}", page.text);
        for expected in ["Nora Lindqvist RN", "Nurse reviewer", "A100200300", "192.0.2.10", "2026-11-20 10:04 EST"] {
            assert!(page.text.contains(expected), "{expected}: {}", page.text);
        }
        app.leaves_work();
    }

    async fn every_page_that_shows_a_case_is_recorded_and_a_redirect_is_not(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut physician = app.staff("paul").await;
        let form = physician.form(&format!("/staff/cases/{case}"), "version").await;
        assert_eq!(physician.send(&form, &[("decision", "deny")]).await.status, 422);
        assert_eq!(app.number(ENTRIES).await, 2, "the page of a rejected form");
        let shown = physician.send(&form, &denial()).await;
        assert_eq!(app.number(ENTRIES).await, 3, "the page that asks for a confirmation");
        let confirmation = form_with_field(&shown.text, "confirmation").unwrap();
        assert_eq!(physician.send(&confirmation, &[("decision", "deny")]).await.status, 303);
        assert_eq!(app.number(ENTRIES).await, 3);
        app.run_jobs().await;
    }

    async fn a_case_is_not_shown_when_the_log_cannot_be_written(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        app.sql("ALTER TABLE access_log RENAME TO access_log_away").await;
        let reply = nurse.get(&format!("/staff/cases/{case}")).await;
        assert_eq!(reply.status, 500, "a table that is missing does not come back by itself");
        assert!(!reply.text.contains("A100200300") && !reply.text.contains("E1390"), "{}", reply.text);
        app.sql("ALTER TABLE access_log_away RENAME TO access_log").await;
        app.leaves_work();
    }

    async fn an_unknown_case_leaves_no_entry(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        assert_eq!(nurse.get(&format!("/staff/cases/{}", Uuid::nil())).await.status, 404);
        assert_eq!(app.number(ENTRIES).await, 0);
    }

    async fn the_log_is_filtered_by_case_member_person_and_day(app: &TestApp) {
        let (first, second) = (pended(app, "normal").await, pended(app, "stat").await);
        let (mut nurse, mut physician) = (app.staff("nora").await, app.staff("paul").await);
        open(&mut nurse, first).await;
        open(&mut nurse, second).await;
        open(&mut physician, second).await;
        let mut auditor = app.staff("uma").await;
        let second_id = second.to_string();
        for (filters, expected) in [
            (&[][..], 3),
            (&[("case", second_id.as_str())], 2),
            (&[("case", second_id.as_str()), ("person", "nora")], 1),
            (&[("member", "A100200300")], 3),
            (&[("member", "A100200300"), ("person", "paul")], 1),
            (&[("member", "12345678901")], 0),
            (&[("person", " Nora ")], 2),
            (&[("from", "2026-11-20"), ("to", "2026-11-20")], 3),
            (&[("from", "2026-11-21")], 0),
            (&[("to", "2026-11-19"), ("person", "nora")], 0),
        ] {
            let page = search(&mut auditor, filters).await;
            assert_eq!((page.status.as_u16(), rows(&page)), (200, expected), "{filters:?}: {}", page.text);
        }
        for (filter, message) in [
            (("case", "RF-NONE"), "No case has this number."),
            (("member", "NOBODY"), "No member has this member ID."),
            (("person", "nobody"), "No staff account has this user name."),
            (("from", "2026-13-45"), "The first day is not a date."),
        ] {
            let page = search(&mut auditor, &[filter]).await;
            assert_eq!((page.status.as_u16(), rows(&page)), (422, 0), "{filter:?}");
            assert!(page.text.contains(message) && page.text.contains(filter.1), "{}", page.text);
        }
        app.leaves_work();
    }

    async fn a_case_is_found_by_its_number(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let page = nurse.page(&format!("/staff/cases/{case}")).await.text;
        let number = page.split("<h1>Case <span class=\"code\">").nth(1).unwrap().split('<').next().unwrap();
        let found = search(&mut app.staff("uma").await, &[("case", number)]).await;
        assert_eq!(rows(&found), 1, "{}", found.text);
        app.leaves_work();
    }

    async fn the_log_is_shown_in_pages_newest_first(app: &TestApp) {
        let case = pended(app, "normal").await;
        let (mut nurse, mut physician) = (app.staff("nora").await, app.staff("paul").await);
        open(&mut physician, case).await;
        for _ in 0..51 {
            app.clock.advance(Duration::seconds(1));
            open(&mut nurse, case).await;
        }
        let mut auditor = app.staff("uma").await;
        let first = auditor.page(PAGE).await;
        assert_eq!(rows(&first), 50);
        assert!(!first.text.contains("Paul Adeyemi") && first.text.contains("Older") && !first.text.contains("Newest"));
        let older = first.text.split("name=\"after\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let second = search(&mut auditor, &[("after", older)]).await;
        assert_eq!(rows(&second), 2, "{}", second.text);
        assert!(second.text.contains("Paul Adeyemi") && !second.text.contains("Older") && second.text.contains("Newest"));
        app.leaves_work();
    }

    async fn only_an_auditor_reads_the_log_and_sees_no_case(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut auditor = app.staff("uma").await;
        assert_eq!(auditor.page("/staff").await.text.matches("<h1>Access log</h1>").count(), 1);
        assert_eq!(auditor.get(&format!("/staff/cases/{case}")).await.status, 403);
        let form = auditor.form(PAGE, "case").await;
        for username in ["nora", "paul", "sam", "ivy", "alma", "otto"] {
            let mut other = app.staff(username).await;
            assert_eq!(other.get(PAGE).await.status, 403, "{username}");
            let mut own = form_with_field(&other.page("/staff").await.text, "csrf").unwrap();
            own.action.clone_from(&form.action);
            assert_eq!(other.send(&own, &[("case", "")]).await.status, 403, "{username}");
        }
        assert_eq!(auditor.send(&form, &[("csrf", "x")]).await.status, 403);
        assert_eq!(decide(&mut app.staff("nora").await, case, &[("decision", "refer")]).await.status, 422);
        app.leaves_work();
    }

    async fn entries_are_deleted_after_six_years(app: &TestApp) {
        let case = pended(app, "normal").await;
        open(&mut app.staff("nora").await, case).await;
        let purge = async || {
            assent::jobs::delete_expired(&app.state).await.unwrap()
        };
        app.clock.advance(Duration::days(6 * 365));
        purge().await;
        assert_eq!(app.number(ENTRIES).await, 1);
        app.clock.advance(Duration::days(3));
        purge().await;
        assert_eq!(app.number(ENTRIES).await, 0);
        app.leaves_work();
    }
}
