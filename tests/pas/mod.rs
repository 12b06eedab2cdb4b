//! The PAS API over HTTP, on both databases: submissions, repetitions, inquiries, subscriptions and email notices.

mod codes;
mod contradictions;
mod decimals;
mod evidence;
mod history;
mod inquire;
mod mail;
mod member_names;
mod modifiers;
mod parameters;
mod read;
mod refused;
mod replay;
mod service_days;
mod size;
mod submit;
pub mod subscription_changes;
pub mod subscriptions;

use crate::support::{TestApp, decisions};
use assent::prior_auth::{Credential, CredentialKind, Event, PriorAuth, Refer, Reviewer, Role};
use assent::store::Store;
use assent::store::fan_out::StoredDecisions;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The canonical of the home oxygen questionnaire.
pub const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
const SD: &str = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition";

/// What a reviewer does with item 1.
pub enum ReviewerAction<'a> {
    Approve,
    Deny(&'a str),
    Refer(&'a str),
}

/// A nurse reviewer with a license.
pub fn nurse() -> Reviewer {
    reviewer("nora", Role::Nurse, CredentialKind::Nurse, None)
}

/// A physician reviewer with a license.
pub fn physician() -> Reviewer {
    reviewer(
        "paul",
        Role::Physician,
        CredentialKind::Physician,
        Some("1720312341"),
    )
}

fn reviewer(name: &str, role: Role, kind: CredentialKind, npi: Option<&str>) -> Reviewer {
    Reviewer {
        id: Uuid::from_u128(u128::from(name.len() as u64)),
        username: name.to_owned(),
        name: name.to_owned(),
        roles: vec![role],
        credential: Some(Credential {
            kind,
            license: "35-088123".to_owned(),
            state: "OH".to_owned(),
            npi: npi.map(str::to_owned),
            specialty: npi.map(|_| "207R00000X".to_owned()),
            expires: None,
        }),
    }
}

/// Lets a reviewer act on item 1, in one unit of work with what follows from it.
pub async fn review_item(app: &TestApp, id: Uuid, action: ReviewerAction<'_>) {
    let before = case(app, id).await;
    let (version_seen, now) = (before.version, app.clock.now());
    let events = match action {
        ReviewerAction::Approve => decisions::approval(&before, &physician(), 1, None, now),
        ReviewerAction::Deny(reason) => decisions::denial(&before, &physician(), 1, reason, now),
        ReviewerAction::Refer(question) => {
            let question = question.to_owned();
            before.refer(
                Refer {
                    by: &nurse(),
                    version_seen,
                    sequence: 1,
                    question,
                },
                now,
            )
        }
    };
    let unit = (before, events.unwrap());
    app.state
        .store
        .write(unit, |tx, (before, events)| {
            Box::pin(async move {
                tx.append(before, events).await?;
                let mail = tx.mail_recipients(before).await?;
                let decisions = StoredDecisions {
                    case: before,
                    events,
                    mail: &mail,
                };
                tx.fan_out(&decisions).await
            })
        })
        .await
        .unwrap();
}

/// The stored case.
pub async fn case(app: &TestApp, id: Uuid) -> PriorAuth {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
    read.await.unwrap().unwrap()
}

/// The stored events of a case.
pub async fn events(app: &TestApp, id: Uuid) -> Vec<Event> {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.events(*id).await }));
    read.await.unwrap()
}

/// The case of a `ClaimResponse`.
pub fn case_id(claim_response: &Value) -> Uuid {
    claim_response["id"].as_str().unwrap().parse().unwrap()
}

/// Whether this is the PostgreSQL run.
pub fn on_postgres(app: &TestApp) -> bool {
    matches!(app.state.store, Store::Postgres(_))
}

/// The review action code of each item.
pub fn review_actions(claim_response: &Value) -> Vec<&str> {
    let items = claim_response["item"].as_array().unwrap();
    items
        .iter()
        .map(|item| assent::demo::walk::messages::review_action_code(item).unwrap())
        .collect()
}

/// The tracking number of item 1.
pub fn reference_number(claim_response: &Value) -> String {
    let number = assent::demo::walk::messages::item_extension(
        &claim_response["item"][0],
        "extension-administrationReferenceNumber",
    );
    number.unwrap()["valueString"].as_str().unwrap().to_owned()
}

/// The first resource of a type in a Bundle.
pub fn resource_mut<'a>(bundle: &'a mut Value, kind: &str) -> &'a mut Value {
    let entries = bundle["entry"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|e| e["resource"]["resourceType"] == kind);
    &mut entry.unwrap_or_else(|| panic!("no {kind}"))["resource"]
}

/// Puts this member into Patient and Coverage of a Bundle.
pub fn set_member(bundle: &mut Value, id: &str, family: &str, given: &str, born: &str) {
    let patient = resource_mut(bundle, "Patient");
    patient["identifier"][0]["value"] = json!(id);
    patient["name"] = json!([{ "family": family, "given": [given] }]);
    patient["birthDate"] = json!(born);
    let coverage = resource_mut(bundle, "Coverage");
    coverage["identifier"][0]["value"] = json!(id);
    coverage["subscriberId"] = json!(id);
}

/// Checks a response Bundle: the `ClaimResponse` is first, each URL occurs once, each reference resolves, and entries
/// of the request have the same id and identifiers (PAS spec-30 to spec-33).
#[track_caller]
pub fn assert_valid_response(bundle: &Value, request: Option<&Value>) {
    assert_eq!(bundle["type"], "collection");
    assert!(bundle["identifier"]["value"].is_string() && bundle["timestamp"].is_string());
    assert_eq!(bundle["entry"][0]["resource"]["resourceType"], "ClaimResponse");
    let entries = bundle["entry"].as_array().unwrap();
    let urls: BTreeSet<&str> = entries.iter().map(|e| e["fullUrl"].as_str().unwrap()).collect();
    assert_eq!(urls.len(), entries.len(), "an entry occurs twice");
    for (n, entry) in entries.iter().enumerate() {
        assert!(entry.get("request").is_none() && entry.get("search").is_none());
        let mut resource = entry["resource"].clone();
        if n == 0 {
            resource.as_object_mut().unwrap().remove("request");
        }
        for reference in references(&resource) {
            assert!(urls.contains(reference.as_str()), "{reference} is not an entry");
        }
    }
    for sent in request.into_iter().flat_map(|r| r["entry"].as_array().unwrap()) {
        let returned = entries.iter().find(|e| e["fullUrl"] == sent["fullUrl"]);
        let Some(returned) = returned.filter(|_| sent["resource"]["resourceType"] != "Claim") else {
            continue;
        };
        assert_eq!(returned["resource"]["id"], sent["resource"]["id"]);
        assert_eq!(returned["resource"]["identifier"], sent["resource"]["identifier"]);
    }
}

/// Every literal reference below a value.
pub fn references(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    assent::fhir::reference::walk(value, "", &mut |reference, _| found.push(reference.to_owned()));
    found
}

/// The PAS extension with this name.
pub fn extension<'a>(element: &'a Value, name: &str) -> Option<&'a Value> {
    assent::demo::walk::messages::extension(element, &format!("{SD}/{name}"))
}

/// The number of rows of a table.
pub async fn row_count(app: &TestApp, table: &str) -> i64 {
    app.number(&format!("SELECT COUNT(*) FROM {table}")).await
}
