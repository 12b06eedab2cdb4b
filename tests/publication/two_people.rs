//! One person proposes what the folders hold, another puts it in force; the pages of both, and who sees nothing of them.

use super::{OXYGEN, TITLE, log};
use crate::support::{Browser, Reply, both};
use assent::publication;
use assent::store::policy_sets::How;

const PAGE: &str = "/staff/policies";

/// Sends one of the page's forms.
async fn press(browser: &mut Browser<'_>, what: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = browser.form(PAGE, "csrf").await;
    form.action = format!("{PAGE}/{what}");
    browser.send(&form, more).await
}

/// The id of the proposal that waits, as the page's forms carry it.
async fn waiting(browser: &mut Browser<'_>) -> String {
    let form = browser.form(PAGE, "proposal").await;
    let field = form.fields.iter().find(|(name, _)| name == "proposal");
    field.unwrap().1.clone()
}

both! {
    async fn a_set_needs_a_second_person_and_comes_into_force_byte_for_byte(app: &TestApp) {
        app.folders.make_own();
        let before = app.state.published().hash.clone();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: Home oxygen, as proposed");
        assert_eq!(press(&mut alma, "propose", &[]).await.status, 303);
        let page = otto.page(PAGE).await.text;
        assert!(page.contains("Alma Reyes proposed") && page.contains(&format!("rules/{OXYGEN}")), "{page}");
        assert!(page.contains("+1 −1") && page.contains("Put in force"), "{page}");
        let change = otto.page(&format!("{PAGE}/changes?file=rules/{OXYGEN}")).await;
        assert!(
            change.status == 200 && change.text.contains("as proposed") && change.text.contains("stationary equipment"),
            "{}", change.text
        );
        let proposal = waiting(&mut alma).await;
        assert!(!alma.page(PAGE).await.text.contains("Put in force"), "the proposer has no such button");
        let refused = press(&mut alma, "confirm", &[("proposal", &proposal)]).await;
        assert_eq!(refused.status, 403, "and a raw POST meets the same guard");
        assert!(refused.text.contains("You proposed this set yourself"), "{}", refused.text);
        assert_eq!(app.state.published().hash, before);
        app.folders.edit(OXYGEN, "title: Home oxygen, as proposed", "title: Written afterwards");
        assert_eq!(press(&mut otto, "confirm", &[("proposal", &proposal)]).await.status, 303);
        let published = app.state.published();
        assert!(published.rules.policies().any(|p| p.title() == "Home oxygen, as proposed"));
        assert!(published.rules.policies().all(|p| p.title() != "Written afterwards"));
        let entry = log(app).await.remove(0);
        let who = |named: &Option<assent::store::policy_sets::Named>| named.as_ref().unwrap().username.clone();
        assert_eq!((entry.number, entry.how), (2, How::TwoPeople));
        assert_eq!((who(&entry.proposed_by), who(&entry.confirmed_by)), ("alma".to_owned(), "otto".to_owned()));
        let page = alma.page(PAGE).await.text;
        assert!(page.contains("proposed by Alma Reyes, confirmed by Otto Lang"), "{page}");
        assert_eq!(press(&mut otto, "confirm", &[("proposal", &proposal)]).await.status, 409, "once");
    }

    async fn a_set_with_mistakes_is_shown_with_file_and_line_and_not_kept(app: &TestApp) {
        app.folders.make_own();
        app.folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
        let mut alma = app.staff("alma").await;
        let before = app.row_counts().await;
        let reply = press(&mut alma, "propose", &[]).await;
        assert_eq!(reply.status, 422);
        assert!(reply.text.contains(&format!("rules/{OXYGEN}:")), "{}", reply.text);
        assert_eq!(app.row_counts().await, before);
        assert!(alma.page(PAGE).await.text.contains("Nothing waits"));
    }

    async fn folders_that_hold_what_is_in_force_are_nothing_to_propose(app: &TestApp) {
        let mut otto = app.staff("otto").await;
        let reply = press(&mut otto, "propose", &[]).await;
        assert!(reply.status == 200 && reply.text.contains("There is nothing to propose"), "{}", reply.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal").await, 0);
    }

    async fn one_proposal_waits_at_a_time_and_can_be_withdrawn(app: &TestApp) {
        app.folders.make_own();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: One");
        press(&mut alma, "propose", &[]).await;
        let first = waiting(&mut otto).await;
        app.folders.edit(OXYGEN, "title: One", "title: Two");
        assert_eq!(press(&mut otto, "propose", &[]).await.status, 409);
        assert_eq!(press(&mut otto, "withdraw", &[("proposal", &first)]).await.status, 303);
        assert_eq!(press(&mut otto, "confirm", &[("proposal", &first)]).await.status, 409);
        assert_eq!(press(&mut otto, "propose", &[]).await.status, 303);
        let second = waiting(&mut alma).await;
        assert_eq!(press(&mut alma, "confirm", &[("proposal", &second)]).await.status, 303, "roles may change places");
        assert_eq!(log(app).await.len(), 2);
    }

    async fn a_proposal_whose_base_is_gone_must_be_made_again(app: &TestApp) {
        app.folders.make_own();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: Proposed");
        press(&mut alma, "propose", &[]).await;
        let old = waiting(&mut otto).await;
        app.folders.edit(OXYGEN, "title: Proposed", "title: By signal");
        publication::reload(&app.state, How::Signal).await.unwrap();
        let reply = press(&mut otto, "confirm", &[("proposal", &old)]).await;
        assert!(reply.status == 409 && reply.text.contains("propose it again"), "{}", reply.text);
        assert!(otto.page(PAGE).await.text.contains("It must be proposed again"));
        app.folders.edit(OXYGEN, "title: By signal", "title: Proposed");
        assert_eq!(press(&mut otto, "propose", &[]).await.status, 303, "the stale one gives way");
        let new = waiting(&mut alma).await;
        assert_ne!(old, new);
        assert_eq!(press(&mut alma, "confirm", &[("proposal", &new)]).await.status, 303);
        assert_eq!(log(app).await.len(), 3);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal WHERE state = 'overtaken'").await, 1);
    }

    async fn supervisors_look_and_nurses_do_not(app: &TestApp) {
        let mut sam = app.staff("sam").await;
        let page = sam.page(PAGE).await;
        assert!(page.status == 200 && page.text.contains("dme.home-oxygen"), "{}", page.text);
        assert!(!page.text.contains("propose them"), "a supervisor has no button");
        assert_eq!(press(&mut sam, "propose", &[]).await.status, 403);
        assert!(sam.page("/staff").await.text.contains("href=\"/staff/policies\""));
        let mut nora = app.staff("nora").await;
        assert_eq!(nora.get(PAGE).await.status, 403);
        assert!(!nora.page("/staff").await.text.contains("href=\"/staff/policies\""));
    }

    async fn the_roles_of_policies_give_no_right_to_see_a_case_or_to_decide(app: &TestApp) {
        let form = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
        let answer = app.ehr().await.submitted(&app.run().oxygen(form, None, 91, "normal")).await;
        let case = answer["id"].as_str().unwrap().to_owned();
        let mut alma = app.staff("alma").await;
        let reply = alma.get("/staff").await;
        assert_eq!((reply.status.as_u16(), reply.headers["location"].to_str().unwrap()), (303, PAGE));
        for path in ["/staff/queue", "/staff/queue/events", &format!("/staff/cases/{case}")] {
            let reply = alma.get(path).await;
            assert_eq!(reply.status, 403, "{path}");
            assert!(!reply.text.contains("Ellery"), "{path}");
        }
        let mut form = alma.form(PAGE, "csrf").await;
        form.action = format!("/staff/cases/{case}/decide");
        let fields = [("version", "1"), ("line", "1"), ("decision", "refer"), ("note", "x")];
        assert_eq!(alma.send(&form, &fields).await.status, 403);
        form.action = "/staff/sign-out".to_owned();
        assert_eq!(alma.send(&form, &[]).await.status, 200, "the way out is open");
        app.leaves_work();
    }

    async fn a_form_of_another_session_proposes_nothing(app: &TestApp) {
        app.folders.make_own();
        app.folders.edit(OXYGEN, TITLE, "title: Proposed");
        let mut alma = app.staff("alma").await;
        assert_eq!(press(&mut alma, "propose", &[("csrf", "theirs")]).await.status, 403);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal").await, 0);
    }
}
