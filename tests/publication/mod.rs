//! How a policy set comes into force: checked whole or not at all, stored, logged, followed by every process.

mod processes;
mod public_list;
mod two_people;

use crate::support::{TestApp, both};
use assent::app::App;
use assent::clock::Clock;
use assent::mail::Mailer;
use assent::publication::{self, Reloaded};
use assent::state::{Published, State};
use assent::store::policy_sets::{How, Publication};
use chrono::Duration;

pub const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";
pub const TITLE: &str = "title: Home oxygen, stationary equipment";

/// The log, the newest entry first.
pub async fn log(app: &TestApp) -> Vec<Publication> {
    let read = app
        .state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.publications(100).await }));
    read.await.unwrap()
}

async fn reload(state: &State) -> Reloaded {
    publication::reload(state, How::Signal).await.unwrap()
}

/// Another process on the same database, under what was published last.
async fn second_process(app: &TestApp) -> State {
    let held = &app.state;
    let published = publication::in_force(&held.clock, &held.store)
        .await
        .unwrap()
        .unwrap();
    let mail = Mailer::new(&held.config.mail, &held.config.payer, &held.config.data).unwrap();
    State::new(
        held.config.clone(),
        held.clock.clone(),
        held.store.clone(),
        held.net.clone(),
        mail,
        published,
    )
}

both! {
    async fn a_set_with_a_mistake_changes_nothing_and_is_told_with_file_and_line(app: &TestApp) {
        app.folders.make_own();
        let before = app.state.published().hash.clone();
        app.folders.edit(OXYGEN, "at_most: \"55 mm[Hg]\"", "at_most: \"55 somethings\"");
        let rows = app.row_counts().await;
        let Reloaded::Refused(findings) = reload(&app.state).await else { panic!("it is published") };
        let place = format!("rules/{OXYGEN}:");
        assert!(
            findings.iter().any(|f| f.to_string().starts_with(&place) && f.line.is_some()),
            "{findings:?}"
        );
        assert_eq!(app.state.published().hash, before);
        assert_eq!(app.row_counts().await, rows, "nothing is stored");
        let ready = app.get("/readyz", None).await.json(200);
        assert_eq!((&ready["ready"], &ready["policies"]), (&true.into(), &before.clone().into()));
        assert!(ready["refused"]["first"].as_str().unwrap().starts_with(&place), "{ready}");
        assert_ne!(ready["refused"]["policies"], before.as_str());
        app.folders.edit(OXYGEN, "at_most: \"55 somethings\"", "at_most: \"55 mm[Hg]\"");
        assert!(matches!(reload(&app.state).await, Reloaded::Same));
        assert!(app.get("/readyz", None).await.json(200).get("refused").is_none());
    }

    async fn a_form_with_a_mistake_keeps_the_policies_out_too(app: &TestApp) {
        app.folders.make_own();
        let form = app.folders.forms.join("home-oxygen/1.0.0/questionnaire.json");
        std::fs::write(form, "{").unwrap();
        let Reloaded::Refused(findings) = reload(&app.state).await else { panic!("it is published") };
        assert_eq!(findings[0].file, "questionnaires/home-oxygen/1.0.0/questionnaire.json");
    }

    async fn a_sound_set_is_stored_logged_and_in_force(app: &TestApp) {
        app.folders.make_own();
        let first = log(app).await.remove(0);
        assert_eq!((first.number, first.how), (1, How::Start));
        app.folders.edit(OXYGEN, TITLE, "title: Home oxygen, as amended");
        app.clock.advance(Duration::hours(3));
        let Reloaded::Published(entry) = reload(&app.state).await else { panic!("it is refused") };
        assert_eq!((entry.number, entry.at, entry.how), (2, app.clock.now(), How::Signal));
        assert_ne!(entry.set, first.set);
        let ready = app.get("/readyz", None).await.json(200);
        assert_eq!((&ready["policies"], &ready["publication"]), (&entry.set.clone().into(), &2.into()));
        assert!(app.state.published().rules.policies().any(|p| p.title() == "Home oxygen, as amended"));
        assert!(matches!(reload(&app.state).await, Reloaded::Same), "the same again is nothing");
        assert_eq!(log(app).await, [entry, first]);
        assert_eq!(app.number("SELECT COUNT(*) FROM policy_set").await, 2);
    }

    async fn a_form_alone_makes_another_set(app: &TestApp) {
        app.folders.make_own();
        let before = app.state.published().hash.clone();
        let form = app.folders.forms.join("home-oxygen/1.0.0/questionnaire.json");
        let text = std::fs::read_to_string(&form).unwrap();
        std::fs::write(form, format!("{text}\n")).unwrap();
        let Reloaded::Published(entry) = reload(&app.state).await else { panic!("it is no other set") };
        assert_ne!(entry.set, before);
    }

    async fn two_processes_that_publish_at_once_end_on_the_newest_entry(app: &TestApp) {
        app.folders.make_own();
        let other = second_process(app).await;
        app.folders.edit(OXYGEN, TITLE, "title: One");
        let one = tokio::join!(reload(&app.state), reload(&other));
        assert!(matches!(one.0, Reloaded::Published(_)) && matches!(one.1, Reloaded::Published(_)), "{one:?}");
        assert_eq!(log(app).await.len(), 2, "the same set has one entry");
        app.folders.edit(OXYGEN, "title: One", "title: Two");
        reload(&app.state).await;
        assert_eq!(publication::follow(&other).await.unwrap(), 1);
        assert_eq!(publication::follow(&other).await.unwrap(), 0, "once is enough");
        assert_eq!(other.published().hash, app.state.published().hash);
        assert_eq!(other.published().number(), Some(3));
        assert_eq!(other.published().list(), app.state.published().list());
    }

    async fn a_stored_set_that_does_not_load_is_told_and_the_old_one_stays(app: &TestApp) {
        app.folders.make_own();
        let other = second_process(app).await;
        let before = other.published().hash.clone();
        app.folders.edit(OXYGEN, TITLE, "title: As amended");
        let Reloaded::Published(entry) = reload(&app.state).await else { panic!("it is refused") };
        let set = &entry.set;
        app.sql(&format!("UPDATE policy_set SET files = replace(files, 'pa-policy/1', 'pa-policy/9') WHERE hash = '{set}'")).await;
        assert_eq!(publication::follow(&other).await.unwrap(), 0);
        assert_eq!(other.published().hash, before);
        let refused = other.refused().unwrap();
        assert_eq!((refused.hash.as_deref(), refused.number, refused.how), (Some(set.as_str()), Some(2), "follow"));
        let error = publication::in_force(&app.clock, &app.state.store).await.unwrap_err();
        assert!(
            error.message().contains(set) && error.message().contains("serve --publish"),
            "{error}"
        );
    }

    async fn a_restart_takes_the_stored_set_and_not_the_folders(app: &TestApp) {
        app.folders.make_own();
        let before = app.state.published().hash.clone();
        std::fs::remove_dir_all(&app.folders.rules).unwrap();
        let stored = publication::in_force(&app.clock, &app.state.store).await.unwrap().unwrap();
        assert_eq!(stored.hash, before);
        assert_eq!(stored.files(), app.state.published().files());
        assert_eq!(log(app).await.len(), 1);
    }
}

#[tokio::test]
async fn an_empty_database_gets_the_folders_as_its_first_publication() {
    let data = tempfile::TempDir::new().unwrap();
    let mut config = crate::support::config(&data);
    config.database = format!("sqlite:{}", data.path().join("empty.db").display());
    let app = App::build(config, Clock::System).await.unwrap();
    let entry = app.state.published().publication().cloned().unwrap();
    assert_eq!((entry.number, entry.how), (1, How::Start));
    assert_eq!(entry.set, app.state.published().hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_keeps_the_set_that_it_began_with() {
    let app = TestApp::sqlite().await;
    app.folders.make_own();
    let before = app.state.published().hash.clone();
    let ehr = app.ehr().await;
    // The one writer is busy: the request has its verdict and waits to be stored.
    let store = app.state.store.clone();
    let busy = store.write((), |_, ()| {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            Ok(())
        })
    });
    let form = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
    let (bundle, state) = (app.run().oxygen(form, None, 91, "normal"), app.state.clone());
    let swap = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        app.folders.edit(OXYGEN, TITLE, "title: As amended");
        let read = |folder| publication::files(folder).unwrap();
        let new = Published::load(&read(&app.folders.rules), &read(&app.folders.forms)).unwrap();
        state.publish(new);
        state.published().hash.clone()
    };
    let (busy, submitted, after) = tokio::join!(busy, ehr.submitted(&bundle), swap);
    busy.unwrap();
    drop(submitted);
    assert_ne!(after, before);
    let cases = app
        .state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.open_cases().await }));
    let rules: Vec<String> = cases
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.received.rules)
        .collect();
    assert_eq!(rules, [before]);
    app.leaves_work();
    app.finish().await;
}
