//! The pages over HTTP, on both databases: reviewers' and members', with and without the right to do what is sent.

mod member;
mod review;
mod sessions;

use crate::support::TestApp;
use assent::prior_auth::Event;
use uuid::Uuid;

/// The form of the oxygen requests.
pub const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";

/// A request that pends: a saturation of 91 percent does not qualify.
pub async fn pended(app: &TestApp, priority: &str) -> Uuid {
    let bundle = app.run().oxygen(FORM, None, 91, priority);
    let response = app.ehr().await.submitted(&bundle).await;
    response["id"].as_str().unwrap().parse().unwrap()
}

/// A case's history.
pub async fn events(app: &TestApp, case: Uuid) -> Vec<Event> {
    let read = app
        .state
        .store
        .read(case, |tx, id| Box::pin(async move { tx.events(*id).await }));
    read.await.unwrap()
}
