//! One person proposes the files in the folders, another publishes them: the pages of both, and who may not see them.

use super::{OXYGEN, TITLE, log};
use crate::support::{Browser, Reply, TestApp, both};
use assent::publication;
use assent::store::policy_sets::{PublicationMethod, StaffName};

const PAGE: &str = "/staff/policies";

/// Submits one of the forms of the policies page.
async fn submit(browser: &mut Browser<'_>, action: &str, fields: &[(&str, &str)]) -> Reply {
    let mut form = browser.form(PAGE, "csrf").await;
    form.action = format!("{PAGE}/{action}");
    browser.send(&form, fields).await
}

/// The id of the pending proposal, from the forms of the page.
async fn pending_proposal(browser: &mut Browser<'_>) -> String {
    let form = browser.form(PAGE, "proposal").await;
    let field = form.fields.iter().find(|(name, _)| name == "proposal");
    field.unwrap().1.clone()
}

#[tokio::test]
async fn a_proposal_that_is_withdrawn_while_it_is_confirmed_is_not_published() {
    let Some(app) = TestApp::postgres().await else {
        return;
    };
    app.folders.make_editable();
    let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
    app.folders
        .edit(OXYGEN, TITLE, "title: Withdrawn in the meantime");
    assert_eq!(submit(&mut alma, "propose", &[]).await.status, 303);
    let proposal = pending_proposal(&mut otto).await;
    let mut form = otto.form(PAGE, "csrf").await;
    form.action = format!("{PAGE}/confirm");
    let withdrawal = app.open_change("UPDATE proposal SET state = 'withdrawn'").await;
    let committed = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        withdrawal.commit().await;
    };
    let fields = [("proposal", proposal.as_str())];
    let (reply, ()) = tokio::join!(otto.send(&form, &fields), committed);
    assert_eq!(reply.status, 409, "{}", reply.text);
    assert_eq!(log(&app).await.len(), 1, "nothing was published");
    app.finish().await;
}

both! {
    async fn a_policy_set_needs_a_second_person_and_is_published_byte_for_byte(app: &TestApp) {
        app.folders.make_editable();
        let before = app.state.policy_set().hash.clone();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: Home oxygen, as proposed");
        assert_eq!(submit(&mut alma, "propose", &[]).await.status, 303);
        let page = otto.page(PAGE).await.text;
        assert!(page.contains("Alma Reyes proposed") && page.contains(&format!("rules/{OXYGEN}")), "{page}");
        assert!(page.contains("+1 −1") && page.contains(">Publish</button>"), "{page}");
        let change = otto.page(&format!("{PAGE}/changes?file=rules/{OXYGEN}")).await;
        assert!(
            change.status == 200 && change.text.contains("as proposed") && change.text.contains("stationary equipment"),
            "{}", change.text
        );
        let proposal = pending_proposal(&mut alma).await;
        assert!(!alma.page(PAGE).await.text.contains(">Publish</button>"), "the proposer has no button to publish");
        let refused = submit(&mut alma, "confirm", &[("proposal", &proposal)]).await;
        assert_eq!(refused.status, 403, "a POST without the button is refused too");
        assert!(refused.text.contains("You proposed this policy set"), "{}", refused.text);
        assert_eq!(app.state.policy_set().hash, before);
        app.folders.edit(OXYGEN, "title: Home oxygen, as proposed", "title: Written afterwards");
        assert_eq!(submit(&mut otto, "confirm", &[("proposal", &proposal)]).await.status, 303);
        let policy_set = app.state.policy_set();
        assert!(policy_set.rules.policies().any(|p| p.title() == "Home oxygen, as proposed"));
        assert!(policy_set.rules.policies().all(|p| p.title() != "Written afterwards"));
        let entry = log(app).await.remove(0);
        let username = |person: &Option<StaffName>| person.as_ref().unwrap().username.clone();
        assert_eq!((entry.number, entry.method), (2, PublicationMethod::TwoPerson));
        assert_eq!(username(&entry.proposed_by), "alma");
        assert_eq!(username(&entry.confirmed_by), "otto");
        let page = alma.page(PAGE).await.text;
        assert!(page.contains("proposed by Alma Reyes, confirmed by Otto Lang"), "{page}");
        let repeated = submit(&mut otto, "confirm", &[("proposal", &proposal)]).await;
        assert_eq!(repeated.status, 409, "a proposal is published only once");
    }

    async fn mistakes_of_a_proposed_set_are_shown_with_file_and_line_and_nothing_is_stored(app: &TestApp) {
        app.folders.make_editable();
        app.folders.edit(OXYGEN, "format: pa-policy/1", "format: pa-policy/9");
        let mut alma = app.staff("alma").await;
        let before = app.row_counts().await;
        let reply = submit(&mut alma, "propose", &[]).await;
        assert_eq!(reply.status, 422);
        assert!(reply.text.contains(&format!("rules/{OXYGEN}:")), "{}", reply.text);
        assert_eq!(app.row_counts().await, before);
        assert!(alma.page(PAGE).await.text.contains("No proposal is pending"));
    }

    async fn folders_that_match_the_current_set_cannot_be_proposed(app: &TestApp) {
        let mut otto = app.staff("otto").await;
        let reply = submit(&mut otto, "propose", &[]).await;
        assert!(reply.status == 200 && reply.text.contains("There is nothing to propose"), "{}", reply.text);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal").await, 0);
    }

    async fn only_one_proposal_can_be_pending_and_it_can_be_withdrawn(app: &TestApp) {
        app.folders.make_editable();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: One");
        submit(&mut alma, "propose", &[]).await;
        let first = pending_proposal(&mut otto).await;
        app.folders.edit(OXYGEN, "title: One", "title: Two");
        assert_eq!(submit(&mut otto, "propose", &[]).await.status, 409);
        assert_eq!(submit(&mut otto, "withdraw", &[("proposal", &first)]).await.status, 303);
        assert_eq!(submit(&mut otto, "confirm", &[("proposal", &first)]).await.status, 409);
        assert_eq!(submit(&mut otto, "propose", &[]).await.status, 303);
        let second = pending_proposal(&mut alma).await;
        let confirmed = submit(&mut alma, "confirm", &[("proposal", &second)]).await;
        assert_eq!(confirmed.status, 303, "the two people may swap their parts");
        assert_eq!(log(app).await.len(), 2);
    }

    async fn a_proposal_must_be_made_again_after_another_publication(app: &TestApp) {
        app.folders.make_editable();
        let (mut alma, mut otto) = (app.staff("alma").await, app.staff("otto").await);
        app.folders.edit(OXYGEN, TITLE, "title: Proposed");
        submit(&mut alma, "propose", &[]).await;
        let old = pending_proposal(&mut otto).await;
        app.folders.edit(OXYGEN, "title: Proposed", "title: By signal");
        publication::reload(&app.state, PublicationMethod::Signal).await.unwrap();
        let reply = submit(&mut otto, "confirm", &[("proposal", &old)]).await;
        assert!(reply.status == 409 && reply.text.contains("Propose it again"), "{}", reply.text);
        assert!(otto.page(PAGE).await.text.contains("It must be proposed again"));
        app.folders.edit(OXYGEN, "title: By signal", "title: Proposed");
        assert_eq!(submit(&mut otto, "propose", &[]).await.status, 303, "the outdated proposal is replaced");
        let new = pending_proposal(&mut alma).await;
        assert_ne!(old, new);
        assert_eq!(submit(&mut alma, "confirm", &[("proposal", &new)]).await.status, 303);
        assert_eq!(log(app).await.len(), 3);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal WHERE state = 'superseded'").await, 1);
    }

    async fn supervisors_may_see_the_policies_and_nurses_may_not(app: &TestApp) {
        let mut sam = app.staff("sam").await;
        let page = sam.page(PAGE).await;
        assert!(page.status == 200 && page.text.contains("dme.home-oxygen"), "{}", page.text);
        assert!(!page.text.contains("Check and propose"), "a supervisor has no button to propose");
        assert_eq!(submit(&mut sam, "propose", &[]).await.status, 403);
        assert!(sam.page("/staff").await.text.contains("href=\"/staff/policies\""));
        let mut nora = app.staff("nora").await;
        assert_eq!(nora.get(PAGE).await.status, 403);
        assert!(!nora.page("/staff").await.text.contains("href=\"/staff/policies\""));
    }

    async fn policy_roles_may_neither_see_nor_decide_cases(app: &TestApp) {
        let form = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
        let answer = app.ehr().await.submitted(&app.messages().oxygen_request(form, None, 91, "normal")).await;
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
        let fields = [("version", "1"), ("item", "1"), ("decision", "refer"), ("note", "x")];
        assert_eq!(alma.send(&form, &fields).await.status, 403);
        form.action = "/staff/sign-out".to_owned();
        assert_eq!(alma.send(&form, &[]).await.status, 200, "signing out works");
        app.leaves_work();
    }

    async fn a_form_with_another_csrf_token_proposes_nothing(app: &TestApp) {
        app.folders.make_editable();
        app.folders.edit(OXYGEN, TITLE, "title: Proposed");
        let mut alma = app.staff("alma").await;
        assert_eq!(submit(&mut alma, "propose", &[("csrf", "other")]).await.status, 403);
        assert_eq!(app.number("SELECT COUNT(*) FROM proposal").await, 0);
    }
}
