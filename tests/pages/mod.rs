//! The staff and member pages over HTTP, on both databases, with users who may and may not do what they submit.

mod member;
mod review;
mod sessions;

use crate::support::TestApp;
use assent::prior_auth::Event;
use uuid::Uuid;

/// The form that the oxygen requests answer.
pub const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";

/// Submits a request that pends, because a saturation of 91 percent does not qualify. Returns the case id.
pub async fn pended(app: &TestApp, priority: &str) -> Uuid {
    let bundle = app.messages().oxygen_request(FORM, None, 91, priority);
    let response = app.ehr().await.submitted(&bundle).await;
    response["id"].as_str().unwrap().parse().unwrap()
}

/// The events of a case.
pub async fn events(app: &TestApp, case: Uuid) -> Vec<Event> {
    let read = app
        .state
        .store
        .read(case, |tx, id| Box::pin(async move { tx.events(*id).await }));
    read.await.unwrap()
}
