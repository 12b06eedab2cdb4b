//! Steps 6 and 8, after the decisions: the notifications that the EHR receives, the email notices, and the EHR's
//! inquiries.

use super::ehr::access_token;
use super::messages::{item_extension, parameter};
use super::requests::{action_codes, response_items, summary};
use super::{Check, Outcome, mails, require, text_at};
use crate::demo::seed::SENDER;
use serde_json::Value;
use std::time::Duration;

const MEMBER_EMAIL: &str = "ruth@mail.example";
const PROVIDER_EMAIL: &str = "desk@lakeside.example";

/// Step 6: one handshake, one notification per decision (the first is sent again after an HTTP 500), and email notices.
pub async fn notifications(check: &mut Check) -> Outcome {
    let handshakes = check
        .subscriber
        .wait("handshake", 1, Duration::from_secs(30))
        .await;
    require(handshakes.len() == 1, || {
        format!("expected 1 handshake, received {}", handshakes.len())
    })?;
    // The subscriber replied 500 to the first notification; the server sends it again after about five seconds.
    let events = check
        .subscriber
        .wait("event-notification", 2, Duration::from_secs(45))
        .await;
    require(check.subscriber.rejected() == 1, || {
        "the first notification was never sent".to_owned()
    })?;
    require(events.len() == 2, || {
        format!("2 decisions were made, {} notifications arrived", events.len())
    })?;
    let mut summaries = events.iter().map(event_summary).collect::<Result<Vec<_>, _>>()?;
    summaries.sort();
    require(
        summaries
            .first()
            .is_some_and(|first| first.starts_with("event 1:")),
        || format!("the event numbers do not start at 1: {summaries:?}"),
    )?;
    let notices = email_notices(check).await?;
    Ok(format!(
        "one handshake; the first notification got HTTP 500 and was sent again; {}\n{notices}",
        summaries.join("; ")
    ))
}

/// Event number and action codes of a notification, after verifying that its focus is in the Bundle.
fn event_summary(event: &Value) -> Result<String, String> {
    let status = event
        .pointer("/entry/0/resource")
        .ok_or("the notification has no status")?;
    let part = |name: &str| {
        let parts = parameter(status, "notification-event")?.get("part")?.as_array()?;
        parts
            .iter()
            .find(|p| p.get("name").and_then(Value::as_str) == Some(name))
    };
    let number = part("event-number").ok_or("the notification has no event number")?;
    let focus = part("focus").ok_or("the notification has no focus")?;
    let focus = text_at(focus, "/valueReference/reference")?;
    let entry = event
        .pointer("/entry/1")
        .ok_or("the notification does not contain its focus")?;
    require(text_at(entry, "/fullUrl")? == focus, || {
        "the notification's focus does not resolve".to_owned()
    })?;
    let response = entry
        .pointer("/resource/entry/0/resource")
        .ok_or("the notification's focus has no entries")?;
    Ok(format!(
        "event {}: {}",
        text_at(number, "/valueString")?,
        action_codes(response).join(" ")
    ))
}

/// Waits for the email notices of this run, to the member and to the provider, and verifies that they contain a link
/// and no PHI.
async fn email_notices(check: &Check) -> Result<String, String> {
    let mut notices = Vec::new();
    for _ in 0..300 {
        notices = mails(&check.data).split_off(check.mails_before.min(mails(&check.data).len()));
        let sent_to = |address: &str| notices.iter().any(|mail| mail.contains(address));
        if sent_to(MEMBER_EMAIL) && sent_to(PROVIDER_EMAIL) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for address in [MEMBER_EMAIL, PROVIDER_EMAIL] {
        require(notices.iter().any(|mail| mail.contains(address)), || {
            format!("no mail was sent to {address}")
        })?;
    }
    let mut forbidden = vec![
        "Ellery",
        "Ruth E",
        "E1390",
        "33510",
        "G0154",
        "oxygen",
        "A100200300",
        SENDER,
        "denied",
        "approved",
    ];
    forbidden.extend(check.cases.values().map(String::as_str));
    for mail in &notices {
        let leaked = forbidden.iter().find(|text| mail.contains(**text));
        require(leaked.is_none(), || {
            "a mail contains details of the case".to_owned()
        })?;
        require(mail.contains(&format!("{}/notice/", check.http.base())), || {
            "a mail has no link".to_owned()
        })?;
    }
    Ok(format!(
        "{} email notices with a link and no details of the case",
        notices.len()
    ))
}

/// Step 8: an inquiry by tracking number returns the case with its current decision.
pub async fn inquiries(check: &mut Check) -> Outcome {
    let token = access_token(check).await?;
    let mut results = Vec::new();
    for (name, expected) in [
        ("standard", "A3"),
        ("urgent", "A1"),
        ("approved", "A1"),
        ("surgery", "A4 A4"),
    ] {
        let first_response = check
            .responses
            .get(name)
            .cloned()
            .ok_or_else(|| format!("request {name} was not answered in an earlier step"))?;
        let response = inquire(check, &token, name, &first_response).await?;
        require(response.get("id") == first_response.get("id"), || {
            format!("request {name}: the inquiry returned another case")
        })?;
        require(action_codes(&response).join(" ") == expected, || {
            format!("request {name}: expected {expected}, got {}", summary(&response))
        })?;
        if expected == "A3" {
            let note = text_at(&response, "/processNote/0/text")?;
            require(note == check.denial_text, || {
                "the denial's text differs from the reviewer's".to_owned()
            })?;
        }
        results.push(format!("{name}: {expected}"));
    }
    Ok(results.join(", "))
}

/// Asks with the tracking number of an earlier response; returns the one ClaimResponse of the reply.
async fn inquire(check: &Check, token: &str, name: &str, earlier: &Value) -> Result<Value, String> {
    let item = response_items(earlier).next().ok_or("the response has no item")?;
    let number = item_extension(item, "extension-administrationReferenceNumber")
        .ok_or("the response has no tracking number")?;
    let inquiry = check.messages.inquiry(text_at(number, "/valueString")?);
    let reply = check
        .http
        .post("/pas/2.2/Claim/$inquire", token, &inquiry)
        .await?
        .json(200)?;
    let responses: Vec<&Value> = reply
        .pointer("/parameter")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|p| p.pointer("/resource/entry/0/resource"))
        .collect();
    require(responses.len() == 1, || {
        format!(
            "request {name}: the inquiry returned {} responses",
            responses.len()
        )
    })?;
    responses
        .first()
        .map(|response| (*response).clone())
        .ok_or_else(|| "the inquiry returned no response".to_owned())
}
