//! The staff and member pages over HTTP, on both databases, with users who may and may not do what they submit.

mod access_log;
mod decisions;
mod member;
mod queue;
mod review;
mod sessions;

use crate::support::{Browser, Reply, TestApp};
use assent::demo::walk::http::form_with_field;
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

/// A reason for a member that is easy to read.
pub const DENIAL_TEXT: &str =
    "Your oxygen level at rest was 91 percent. The rule asks for 88 percent or less.";

/// The fields of a denial of item 1.
pub fn denial() -> [(&'static str, &'static str); 5] {
    [
        ("item", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("criterion", "qualifying"),
        ("text", DENIAL_TEXT),
    ]
}

/// Opens the case page and submits its form with these fields.
pub async fn decide(browser: &mut Browser<'_>, case: Uuid, fields: &[(&str, &str)]) -> Reply {
    let form = browser.form(&format!("/staff/cases/{case}"), "version").await;
    browser.send(&form, fields).await
}

/// Confirms the denial that a page shows.
pub async fn confirm(browser: &mut Browser<'_>, shown: &Reply) -> Reply {
    assert_eq!(shown.status, 200, "{}", shown.text);
    let form = form_with_field(&shown.text, "confirmation").unwrap_or_else(|e| panic!("{e}: {}", shown.text));
    browser.send(&form, &[("decision", "deny")]).await
}

/// Denies item 1 of a case and confirms the denial.
pub async fn deny(browser: &mut Browser<'_>, case: Uuid) -> Reply {
    let shown = decide(browser, case, &denial()).await;
    confirm(browser, &shown).await
}
