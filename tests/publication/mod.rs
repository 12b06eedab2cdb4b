//! Publishing a policy set: it is checked as a whole, stored, logged, and followed by every process.

mod processes;
mod public_list;
mod two_people;

use crate::support::{TestApp, both};
use assent::app::App;
use assent::clock::Clock;
use assent::mail::Mailer;
use assent::publication::{self, ReloadOutcome};
use assent::state::{PolicySet, State};
use assent::store::policy_sets::{Publication, PublicationMethod};
use chrono::Duration;

pub const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";
pub const TITLE: &str = "title: Home oxygen, stationary equipment";

/// The publication log, newest entry first.
pub async fn log(app: &TestApp) -> Vec<Publication> {
    let read = app
        .state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.publications(100).await }));
    read.await.unwrap()
}

async fn reload(state: &State) -> ReloadOutcome {
    publication::reload(state, PublicationMethod::Signal)
        .await
        .unwrap()
}

/// The state of another process on the same database, with the latest publication.
async fn second_process(app: &TestApp) -> State {
    let first = &app.state;
    let policy_set = publication::current(&first.clock, &first.store)
        .await
        .unwrap()
        .unwrap();
    let mail = Mailer::new(&first.config.mail, &first.config.payer, &first.config.data).unwrap();
    State::new(
        first.config.clone(),
        first.clock.clone(),
        first.store.clone(),
        first.net.clone(),
        mail,
        policy_set,
    )
}

both! {
    async fn a_set_with_an_error_changes_nothing_and_is_reported_with_file_and_line(app: &TestApp) {
        app.folders.make_editable();
        let before = app.state.policy_set().hash.clone();
        app.folders.edit(OXYGEN, "at_most: \"55 mm[Hg]\"", "at_most: \"55 somethings\"");
        let rows = app.row_counts().await;
        let ReloadOutcome::Refused(findings) = reload(&app.state).await else { panic!("the set was published") };
        let place = format!("rules/{OXYGEN}:");
        assert!(
            findings.iter().any(|f| f.to_string().starts_with(&place) && f.line.is_some()),
            "{findings:?}"
        );
        assert_eq!(app.state.policy_set().hash, before);
        assert_eq!(app.row_counts().await, rows, "the refused set was stored");
        let ready = app.get("/readyz", None).await.json(200);
        assert_eq!((&ready["ready"], &ready["policy_set"]), (&true.into(), &before.clone().into()));
        assert!(ready["refused"]["first_finding"].as_str().unwrap().starts_with(&place), "{ready}");
        assert_ne!(ready["refused"]["policy_set"], before.as_str());
        app.folders.edit(OXYGEN, "at_most: \"55 somethings\"", "at_most: \"55 mm[Hg]\"");
        assert!(matches!(reload(&app.state).await, ReloadOutcome::Unchanged));
        assert!(app.get("/readyz", None).await.json(200)["refused"].is_null());
    }

    async fn a_set_with_an_error_in_a_form_is_refused(app: &TestApp) {
        app.folders.make_editable();
        let form = app.folders.forms.join("home-oxygen/1.0.0/questionnaire.json");
        std::fs::write(form, "{").unwrap();
        let ReloadOutcome::Refused(findings) = reload(&app.state).await else { panic!("the set was published") };
        assert_eq!(findings[0].file, "questionnaires/home-oxygen/1.0.0/questionnaire.json");
    }

    async fn a_valid_set_is_stored_logged_and_becomes_current(app: &TestApp) {
        app.folders.make_editable();
        let first = log(app).await.remove(0);
        assert_eq!((first.number, first.method), (1, PublicationMethod::Start));
        app.folders.edit(OXYGEN, TITLE, "title: Home oxygen, as amended");
        app.clock.advance(Duration::hours(3));
        let ReloadOutcome::Published(entry) = reload(&app.state).await else { panic!("the set was refused") };
        assert_eq!((entry.number, entry.at, entry.method), (2, app.clock.now(), PublicationMethod::Signal));
        assert_ne!(entry.set_hash, first.set_hash);
        let ready = app.get("/readyz", None).await.json(200);
        assert_eq!((&ready["policy_set"], &ready["publication"]), (&entry.set_hash.clone().into(), &2.into()));
        assert!(app.state.policy_set().rules.policies().any(|p| p.title() == "Home oxygen, as amended"));
        assert!(matches!(reload(&app.state).await, ReloadOutcome::Unchanged), "an unchanged set was published again");
        assert_eq!(log(app).await, [entry, first]);
        assert_eq!(app.number("SELECT COUNT(*) FROM policy_set").await, 2);
    }

    async fn a_changed_form_makes_a_new_set(app: &TestApp) {
        app.folders.make_editable();
        let before = app.state.policy_set().hash.clone();
        let form = app.folders.forms.join("home-oxygen/1.0.0/questionnaire.json");
        let text = std::fs::read_to_string(&form).unwrap();
        std::fs::write(form, format!("{text}\n")).unwrap();
        let ReloadOutcome::Published(entry) = reload(&app.state).await else { panic!("the set with the changed form was not published") };
        assert_ne!(entry.set_hash, before);
    }

    async fn two_processes_that_publish_at_the_same_time_end_with_the_newest_entry(app: &TestApp) {
        app.folders.make_editable();
        let other = second_process(app).await;
        app.folders.edit(OXYGEN, TITLE, "title: One");
        let one = tokio::join!(reload(&app.state), reload(&other));
        assert!(matches!(one.0, ReloadOutcome::Published(_)) && matches!(one.1, ReloadOutcome::Published(_)), "{one:?}");
        assert_eq!(log(app).await.len(), 2, "the same set has two entries");
        app.folders.edit(OXYGEN, "title: One", "title: Two");
        reload(&app.state).await;
        assert_eq!(publication::follow(&other).await.unwrap(), 1);
        assert_eq!(publication::follow(&other).await.unwrap(), 0, "the same publication was followed twice");
        assert_eq!(other.policy_set().hash, app.state.policy_set().hash);
        assert_eq!(other.policy_set().publication_number(), Some(3));
        assert_eq!(other.policy_set().public_list(), app.state.policy_set().public_list());
    }

    async fn a_stored_set_that_does_not_load_is_reported_and_the_current_set_stays(app: &TestApp) {
        app.folders.make_editable();
        let other = second_process(app).await;
        let before = other.policy_set().hash.clone();
        app.folders.edit(OXYGEN, TITLE, "title: As amended");
        let ReloadOutcome::Published(entry) = reload(&app.state).await else { panic!("the set was refused") };
        let set = &entry.set_hash;
        app.sql(&format!("UPDATE policy_set SET files = replace(files, 'pa-policy/1', 'pa-policy/9') WHERE hash = '{set}'")).await;
        assert_eq!(publication::follow(&other).await.unwrap(), 0);
        assert_eq!(other.policy_set().hash, before);
        let refused = other.refused_policy_set().unwrap();
        assert_eq!((refused.hash.as_deref(), refused.publication, refused.method), (Some(set.as_str()), Some(2), "follow"));
        let error = publication::current(&app.clock, &app.state.store).await.unwrap_err();
        assert!(
            error.message().contains(set) && error.message().contains("serve --publish"),
            "{error}"
        );
    }

    async fn the_current_set_is_loaded_from_the_store_and_not_from_the_folders(app: &TestApp) {
        app.folders.make_editable();
        let before = app.state.policy_set().hash.clone();
        std::fs::remove_dir_all(&app.folders.rules).unwrap();
        let stored = publication::current(&app.clock, &app.state.store).await.unwrap().unwrap();
        assert_eq!(stored.hash, before);
        assert_eq!(stored.files(), app.state.policy_set().files());
        assert_eq!(log(app).await.len(), 1);
    }
}

#[tokio::test]
async fn with_an_empty_database_the_folders_are_the_first_publication() {
    let data = tempfile::TempDir::new().unwrap();
    let mut config = crate::support::config(&data);
    config.database = format!("sqlite:{}", data.path().join("empty.db").display());
    let app = App::build(config, Clock::System).await.unwrap();
    let entry = app.state.policy_set().publication().cloned().unwrap();
    assert_eq!((entry.number, entry.method), (1, PublicationMethod::Start));
    assert_eq!(entry.set_hash, app.state.policy_set().hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_progress_keeps_the_policy_set_that_it_started_with() {
    let app = TestApp::sqlite().await;
    app.folders.make_editable();
    let before = app.state.policy_set().hash.clone();
    let ehr = app.ehr().await;
    // SQLite has one writer. While it is busy, the request has its verdict and waits to be stored.
    let store = app.state.store.clone();
    let busy = store.write((), |_, ()| {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            Ok(())
        })
    });
    let form = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
    let (bundle, state) = (
        app.messages().oxygen_request(form, None, 91, "normal"),
        app.state.clone(),
    );
    let publish = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        app.folders.edit(OXYGEN, TITLE, "title: As amended");
        let read = |folder| publication::read_folder(folder).unwrap();
        let new = PolicySet::load(&read(&app.folders.rules), &read(&app.folders.forms)).unwrap();
        state.make_current(new);
        state.policy_set().hash.clone()
    };
    let (busy, submitted, after) = tokio::join!(busy, ehr.submitted(&bundle), publish);
    busy.unwrap();
    drop(submitted);
    assert_ne!(after, before);
    let cases = app.state.store.read((), |tx, ()| {
        Box::pin(async move {
            tx.stored_cases(uuid::Uuid::nil(), chrono::DateTime::UNIX_EPOCH, 10)
                .await
        })
    });
    let policy_sets: Vec<String> = cases
        .await
        .unwrap()
        .into_iter()
        .map(|(_, stored)| stored.unwrap().0.received.policy_set)
        .collect();
    assert_eq!(policy_sets, [before]);
    app.leaves_work();
    app.finish().await;
}
