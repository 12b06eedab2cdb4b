//! The PAS door over HTTP, on both databases: requests, repetitions, inquiries, subscriptions, mail.

mod history;
mod inquire;
mod mail;
mod read;
mod refused;
mod replay;
mod submit;
mod subscriptions;

use crate::support::TestApp;
use assent::clock::{new_id, new_number};
use assent::demo::walk::messages::part;
use assent::prior_auth::{
    Approve, Body, Credential, CredentialKind, Deny, Event, PriorAuth, Refer, Reviewer, Role,
};
use assent::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The form's canonical.
pub const FORM: &str = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
const SD: &str = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition";

/// What a reviewer does with line 1.
pub enum Act<'a> {
    Approve,
    Deny(&'a str),
    Refer(&'a str),
}

/// A nurse with a license.
pub fn nurse() -> Reviewer {
    reviewer("nora", Role::Nurse, CredentialKind::Nurse, None)
}

/// A physician with a license.
pub fn physician() -> Reviewer {
    reviewer(
        "paul",
        Role::Physician,
        CredentialKind::Physician,
        Some("1720312345"),
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

/// A reviewer's act on line 1, in one unit with the work that follows from it.
pub async fn review(app: &TestApp, id: Uuid, act: Act<'_>) {
    let before = case(app, id).await;
    let (seen, now) = (before.version, app.clock.now());
    let events = match act {
        Act::Approve => {
            let (number, reason) = (new_number("PA"), "Approved as asked after review".to_owned());
            let by = &physician();
            before.approve(
                Approve {
                    by,
                    seen,
                    sequence: 1,
                    number,
                    end: None,
                    reason,
                },
                now,
            )
        }
        Act::Deny(reason) => {
            let (reason_code, reason) = ("0F".to_owned(), reason.to_owned());
            let by = &physician();
            before.deny(
                &Deny {
                    by,
                    seen,
                    sequence: 1,
                    reason_code,
                    reason,
                },
                now,
            )
        }
        Act::Refer(question) => {
            let question = question.to_owned();
            before.refer(
                Refer {
                    by: &nurse(),
                    seen,
                    sequence: 1,
                    question,
                },
                now,
            )
        }
    };
    let unit = (before, events.unwrap(), now);
    app.state
        .store
        .write(unit, |tx, (before, events, now)| {
            Box::pin(async move {
                tx.append(before, events).await?;
                for event in events.iter().filter(|e| matches!(e.body, Body::Decided { .. })) {
                    let payload = json!({ "case": before.id, "seq": event.seq }).to_string();
                    let key = format!("case/{}/{}", before.id, event.seq);
                    tx.enqueue_job(new_id(*now), "fan-out", &payload, &key, *now)
                        .await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
}

/// A case as stored.
pub async fn case(app: &TestApp, id: Uuid) -> PriorAuth {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.case(*id).await }));
    read.await.unwrap().unwrap()
}

/// A case's events.
pub async fn events(app: &TestApp, id: Uuid) -> Vec<Event> {
    let read = app
        .state
        .store
        .read(id, |tx, id| Box::pin(async move { tx.events(*id).await }));
    read.await.unwrap()
}

/// The case that a `ClaimResponse` answers.
pub fn case_id(claim_response: &Value) -> Uuid {
    claim_response["id"].as_str().unwrap().parse().unwrap()
}

/// Whether this is the PostgreSQL run.
pub fn on_server(app: &TestApp) -> bool {
    matches!(app.state.store, Store::Postgres(_))
}

/// The review action of each line.
pub fn actions(claim_response: &Value) -> Vec<&str> {
    let items = claim_response["item"].as_array().unwrap();
    items
        .iter()
        .map(|item| assent::demo::walk::messages::action(item).unwrap())
        .collect()
}

/// The tracking number of line 1.
pub fn reference_number(claim_response: &Value) -> String {
    let number = assent::demo::walk::messages::item_part(
        &claim_response["item"][0],
        "extension-administrationReferenceNumber",
    );
    number.unwrap()["valueString"].as_str().unwrap().to_owned()
}

/// The first resource of a type in a bundle.
pub fn find<'a>(bundle: &'a mut Value, kind: &str) -> &'a mut Value {
    let entries = bundle["entry"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|e| e["resource"]["resourceType"] == kind);
    &mut entry.unwrap_or_else(|| panic!("no {kind}"))["resource"]
}

/// Makes the bundle's patient this member.
pub fn for_member(bundle: &mut Value, id: &str, family: &str, given: &str, born: &str) {
    let patient = find(bundle, "Patient");
    patient["identifier"][0]["value"] = json!(id);
    patient["name"] = json!([{ "family": family, "given": [given] }]);
    patient["birthDate"] = json!(born);
    let coverage = find(bundle, "Coverage");
    coverage["identifier"][0]["value"] = json!(id);
    coverage["subscriberId"] = json!(id);
}

/// What every answer must be: the `ClaimResponse` first, one entry per URL, each reference that can be followed is an
/// entry, and what came with the request goes back as it came (PAS spec-30 to spec-33).
#[track_caller]
pub fn check_answer(bundle: &Value, request: Option<&Value>) {
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
            assert!(urls.contains(reference.as_str()), "{reference} is no entry");
        }
    }
    for sent in request.into_iter().flat_map(|r| r["entry"].as_array().unwrap()) {
        let back = entries.iter().find(|e| e["fullUrl"] == sent["fullUrl"]);
        let Some(back) = back.filter(|_| sent["resource"]["resourceType"] != "Claim") else {
            continue;
        };
        assert_eq!(back["resource"]["id"], sent["resource"]["id"]);
        assert_eq!(back["resource"]["identifier"], sent["resource"]["identifier"]);
    }
}

/// Every literal reference below a value.
pub fn references(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    assent::fhir::reference::walk(value, "", &mut |reference, _| found.push(reference.to_owned()));
    found
}

/// The extension of PAS with this name.
pub fn extension<'a>(element: &'a Value, name: &str) -> Option<&'a Value> {
    part(element, &format!("{SD}/{name}"))
}

/// A number of rows.
pub async fn rows(app: &TestApp, table: &str) -> i64 {
    app.number(&format!("SELECT COUNT(*) FROM {table}")).await
}
