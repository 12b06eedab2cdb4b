//! The queue with more cases than one page holds: pages, filters, totals, the deadline sweep, several processes.

use super::{decide, pended};
use crate::support::{Browser, TestApp, both};
use assent::app::App;
use assent::prior_auth::Received;
use chrono::Duration;
use std::collections::BTreeSet;
use uuid::Uuid;

const CASES: usize = 600;

/// What differs between the copies of a case: every second one is urgent, every third one belongs to CHIP, and each is
/// due a minute after the one before, from two hours ago.
fn varied(app: &TestApp) -> impl Fn(usize, &mut Received) {
    let first = app.clock.now() - Duration::hours(2);
    move |number, received| {
        let minutes = i64::try_from(number).unwrap();
        received.due.internal = first + Duration::minutes(minutes);
        received.urgent = number.is_multiple_of(2);
        if received.urgent {
            "ma-expedited".clone_into(&mut received.due.clock);
        }
        if number.is_multiple_of(3) {
            "CHIP".clone_into(&mut received.line_of_business);
        }
        // The copies differ from what their request says, so they must not be evaluated again.
        "sha256:none".clone_into(&mut received.policy_set);
    }
}

/// 600 open cases; the last one is the real one that the others are copies of. Returns their ids by due time.
async fn many(app: &TestApp) -> Vec<Uuid> {
    let model = pended(app, "normal").await;
    let mut ids = app.copy_open_case(model, CASES - 1, varied(app)).await;
    ids.push(model);
    app.leaves_work();
    ids
}

/// The cases of a page in their order.
fn cases(page: &str) -> Vec<Uuid> {
    let links = page.split("href=\"/staff/cases/").skip(1);
    links.map(|rest| rest[..36].parse().unwrap()).collect()
}

/// The address of the page before (`prev`) or after (`next`).
fn link(page: &str, relation: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("rel=\"{relation}\" href=\""))?;
    let (address, _) = rest.split_once('"').unwrap();
    Some(
        address
            .replace("&amp;", "&")
            .replace("&#x2f;", "/")
            .replace("&#x3d;", "="),
    )
}

/// The cases of all pages from `path` on, in one direction, and the last page.
async fn walk(browser: &mut Browser<'_>, path: &str, relation: &str) -> (Vec<Vec<Uuid>>, String) {
    let mut page = browser.page(path).await.text;
    let mut found = vec![cases(&page)];
    while let Some(next) = link(&page, relation) {
        page = browser.page(&next).await.text;
        found.push(cases(&page));
        assert!(found.len() < 30, "the pages do not end: {next}");
    }
    (found, page)
}

both! {
    async fn every_open_case_is_on_one_page_and_in_the_totals(app: &TestApp) {
        let ids = many(app).await;
        let mut nurse = app.staff("nora").await;
        let first = nurse.page("/staff").await.text;
        assert!(first.contains("50 of 600 shown"), "{first}");
        let (pages, last) = walk(&mut nurse, "/staff", "next").await;
        assert_eq!(pages.concat(), ids, "in the order of the due times, each once");
        assert!(pages.iter().all(|page| page.len() == 50));
        // The same pages backward.
        let (mut back, _) = walk(&mut nurse, &link(&last, "prev").unwrap(), "prev").await;
        back.reverse();
        assert_eq!(back, pages[..pages.len() - 1]);
    }

    async fn filters_see_every_open_case_and_their_links_keep_them(app: &TestApp) {
        let ids = many(app).await;
        let mut nurse = app.staff("nora").await;
        let copies = CASES - 1;
        let is_chip = |number: &usize| *number < copies && number.is_multiple_of(3);
        let chip: Vec<Uuid> = (0..CASES).filter(is_chip).map(|n| ids[n]).collect();
        let first = nurse.page("/staff?line_of_business=CHIP").await.text;
        assert!(first.contains("50 of 200 shown, 400 hidden by filters"), "{first}");
        let (pages, _) = walk(&mut nurse, "/staff?line_of_business=CHIP", "next").await;
        assert_eq!(pages.concat(), chip);
        let both = "/staff?line_of_business=CHIP&urgency=urgent";
        let (pages, _) = walk(&mut nurse, both, "next").await;
        let urgent: Vec<Uuid> = chip.iter().copied().step_by(2).collect();
        assert_eq!(pages.concat(), urgent);
        assert_eq!(pages.len(), 2, "an even number of pages ends without an empty one");
        // 120 copies are overdue, and each minute one more. A step of the deadline is a part of the queue of its own
        // for each decision clock.
        let overdue = nurse.page("/staff?due=overdue").await.text;
        assert!(overdue.contains("50 of 120 shown, 480 hidden by filters"), "{overdue}");
        app.clock.advance(Duration::minutes(20));
        let (pages, _) = walk(&mut nurse, "/staff?due=overdue", "next").await;
        assert_eq!(pages.concat(), ids[..140]);
        let steps = ["overdue", "due-now", "due-soon", "watch", "on-track"];
        let mut of_steps = Vec::new();
        for step in steps {
            let (pages, _) = walk(&mut nurse, &format!("/staff?due={step}"), "next").await;
            of_steps.extend(pages.concat());
        }
        assert_eq!(of_steps.len(), CASES);
        assert_eq!(of_steps.iter().collect::<BTreeSet<_>>().len(), CASES, "each case is at one step");
        let none = nurse.page("/staff?status=intake").await.text;
        assert!(none.contains("0 shown, 600 hidden by filters"), "{none}");
    }

    async fn the_next_page_is_the_same_although_cases_before_it_enter_and_leave(app: &TestApp) {
        let ids = many(app).await;
        let mut nurse = app.staff("nora").await;
        let first = nurse.page("/staff").await.text;
        let next = link(&first, "next").unwrap();
        // The first page's case that is due last is decided, and a case that is due before all others comes.
        let approval = [("item", "1"), ("decision", "approve"), ("note", "Called the practice"), ("until", "2027-11-30")];
        let reply = decide(&mut nurse, ids[49], &approval).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        let earlier = app.clock.now() - Duration::days(1);
        let new = app.copy_open_case(*ids.last().unwrap(), 1, |_, received| {
            received.due.internal = earlier;
            "sha256:none".clone_into(&mut received.policy_set);
        });
        let new = new.await;
        let page = nurse.page(&next).await.text;
        assert_eq!(cases(&page), ids[50..100]);
        assert!(page.contains("50 of 600 shown"));
        let page = nurse.page(&link(&page, "prev").unwrap()).await.text;
        let mut expected = new;
        expected.extend(&ids[..49]);
        assert_eq!(cases(&page), expected, "a full first page");
        assert_eq!(link(&page, "prev"), None);
    }

    async fn the_counts_follow_a_case_through_its_decisions(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let version = "SELECT CAST(SUM(changes) AS BIGINT) FROM queue_count";
        let seen = app.number(version).await;
        let refer = [("item", "1"), ("decision", "refer"), ("note", "Does the saturation qualify?")];
        assert_eq!(decide(&mut nurse, case, &refer).await.status, 303);
        assert!(app.number(version).await > seen, "open pages refresh");
        let page = nurse.page("/staff?status=physician-review").await.text;
        assert_eq!(cases(&page), [case]);
        assert!(!page.contains("hidden by filters"));
        let seen = app.number(version).await;
        let approval = [("item", "1"), ("decision", "approve"), ("note", "Discussed"), ("until", "2027-11-30")];
        assert_eq!(decide(&mut app.staff("petra").await, case, &approval).await.status, 303);
        assert!(app.number(version).await > seen);
        assert_eq!(app.number("SELECT COUNT(*) FROM queue_entry").await, 0);
        assert_eq!(app.number("SELECT COUNT(*) FROM queue_count WHERE open <> 0").await, 0);
        assert!(nurse.page("/staff").await.text.contains("No open cases"));
        app.run_jobs().await;
    }

    async fn the_same_decision_twice_at_once_is_recorded_once(app: &TestApp) {
        let case = pended(app, "normal").await;
        let (mut one, mut other) = (app.staff("nora").await, app.staff("nora").await);
        let approval = [("item", "1"), ("decision", "approve"), ("note", "Called the practice"), ("until", "2027-11-30")];
        let (mine, yours) = (
            one.form(&format!("/staff/cases/{case}"), "version").await,
            other.form(&format!("/staff/cases/{case}"), "version").await,
        );
        let (a, b) = tokio::join!(one.send(&mine, &approval), other.send(&yours, &approval));
        assert_eq!((a.status.as_u16(), b.status.as_u16()), (303, 303), "{} {}", a.text, b.text);
        let decisions = format!("SELECT COUNT(*) FROM event WHERE kind = 'decided' AND case_id = {}", quoted(app, case));
        assert_eq!(app.number(&decisions).await, 1);
        app.run_jobs().await;
    }
}

/// An id as SQL.
fn quoted(app: &TestApp, id: Uuid) -> String {
    if app.state.config.database.starts_with("sqlite:") {
        format!("x'{}'", id.simple())
    } else {
        format!("'{id}'")
    }
}

/// How many notices about due times are in the outbox, sent or not.
async fn notices(app: &TestApp) -> i64 {
    app.number("SELECT COUNT(*) FROM outbox WHERE recipient = 'staff'")
        .await
}

both! {
    async fn the_sweep_sees_every_case_and_every_notice_leaves(app: &TestApp) {
        many(app).await;
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let rendered = recorder.handle();
        let own_metrics = metrics::set_default_local_recorder(&recorder);
        app.clock.advance(Duration::days(6));
        assent::jobs::check_due_times(&app.state).await.unwrap();
        drop(own_metrics);
        let rendered = rendered.render();
        assert!(rendered.contains("assent_cases_open 600"), "{rendered}");
        assert!(rendered.contains("assent_cases_late 599"), "{rendered}");
        assert_eq!(app.number("SELECT seen FROM worker WHERE name = 'deadlines'").await, 600);
        // The real case has a day left.
        assert_eq!(notices(app).await, 599);
        app.clock.advance(Duration::hours(12));
        assent::jobs::check_due_times(&app.state).await.unwrap();
        assert_eq!(notices(app).await, 600);
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 600);
        assent::jobs::check_due_times(&app.state).await.unwrap();
        assert_eq!(notices(app).await, 600, "a step is notified of once");
        app.clock.advance(Duration::hours(8));
        assent::jobs::check_due_times(&app.state).await.unwrap();
        assert_eq!(notices(app).await, 601, "the next step of one case");
        app.run_jobs().await;
    }

    async fn the_sweeps_of_two_processes_notify_of_each_step_once(app: &TestApp) {
        many(app).await;
        let other = App::build(app.state.config.clone(), app.clock.clone()).await.unwrap();
        let (one, two) = tokio::join!(
            assent::jobs::check_due_times(&app.state),
            assent::jobs::check_due_times(&other.state),
        );
        one.unwrap();
        two.unwrap();
        let due = "SELECT COUNT(*) FROM queue_entry WHERE notified > 0";
        assert_eq!(app.number(due).await, 599);
        assert_eq!(notices(app).await, 599);
        other.state.store.close().await;
        app.run_jobs().await;
        assert_eq!(app.mails().len(), 599);
    }
}
