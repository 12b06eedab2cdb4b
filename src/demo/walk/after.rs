//! The EHR's steps after the decisions: what it is told by itself, what it finds when it asks.

use super::ehr::{actions, response_items, short, token};
use super::messages::{item_part, parameter};
use super::{Outcome, Walk, at, expect, mails};
use crate::demo::seed::SENDER;
use serde_json::Value;
use std::time::Duration;

/// Step 6.
pub async fn told(walk: &mut Walk) -> Outcome {
    let shaken = walk
        .subscriber
        .wait("handshake", 1, Duration::from_secs(30))
        .await;
    expect(shaken.len() == 1, || format!("{} handshakes", shaken.len()))?;
    // Two decisions were made; the first POST was turned away and comes again after about five seconds.
    let events = walk
        .subscriber
        .wait("event-notification", 2, Duration::from_secs(45))
        .await;
    expect(walk.subscriber.turned_away() == 1, || {
        "the first event never came".to_owned()
    })?;
    expect(events.len() == 2, || {
        format!("two decisions, {} notifications", events.len())
    })?;
    let mut heard = Vec::new();
    for event in &events {
        let status = event.pointer("/entry/0/resource").ok_or("no status")?;
        let part_of = |name: &str| {
            let parts = parameter(status, "notification-event")?.get("part")?.as_array()?;
            parts
                .iter()
                .find(|p| p.get("name").and_then(Value::as_str) == Some(name))
                .cloned()
        };
        let number = part_of("event-number").ok_or("no event number")?;
        let focus = part_of("focus").ok_or("no focus")?;
        let focus = at(&focus, "/valueReference/reference")?;
        let entry = event.pointer("/entry/1").ok_or("no focus in the bundle")?;
        expect(at(entry, "/fullUrl")? == focus, || {
            "the focus does not resolve".to_owned()
        })?;
        let response = entry
            .pointer("/resource/entry/0/resource")
            .ok_or("the focus is empty")?;
        heard.push(format!(
            "event {}: {}",
            at(&number, "/valueString")?,
            actions(response).join(" ")
        ));
    }
    heard.sort();
    expect(heard.first().is_some_and(|h| h.starts_with("event 1:")), || {
        format!("numbers have a gap: {heard:?}")
    })?;
    let mails = new_mails(walk).await?;
    Ok(format!(
        "one handshake, first POST answered 500, then {}\n{mails}",
        heard.join("; ")
    ))
}

/// The mails since the walk began: to the member and to the provider, with nothing in them.
async fn new_mails(walk: &Walk) -> Result<String, String> {
    let mut new = Vec::new();
    for _ in 0..300 {
        new = mails(&walk.data).split_off(walk.mails_before.min(mails(&walk.data).len()));
        let to = |address: &str| new.iter().any(|m| m.contains(address));
        if to("ruth@mail.example") && to("desk@lakeside.example") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for address in ["ruth@mail.example", "desk@lakeside.example"] {
        expect(new.iter().any(|m| m.contains(address)), || {
            format!("no mail went to {address}")
        })?;
    }
    let mut secrets = vec![
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
    secrets.extend(walk.cases.values().map(String::as_str));
    for mail in &new {
        let told = secrets.iter().find(|s| mail.contains(**s));
        expect(told.is_none(), || "a mail holds more than a link".to_owned())?;
        expect(mail.contains(&format!("{}/k/", walk.http.base())), || {
            "a mail has no link".to_owned()
        })?;
    }
    Ok(format!("{} mails with a link and nothing else", new.len()))
}

/// Step 8.
pub async fn inquire(walk: &mut Walk) -> Outcome {
    let token = token(walk).await?;
    let mut lines = Vec::new();
    for (name, wanted) in [
        ("standard", "A3"),
        ("urgent", "A1"),
        ("approved", "A1"),
        ("surgery", "A4 A4"),
    ] {
        let before = walk
            .bundles
            .get(name)
            .cloned()
            .ok_or_else(|| format!("no case {name} from before"))?;
        let item = response_items(&before).next().ok_or("no item")?;
        let number =
            item_part(item, "extension-administrationReferenceNumber").ok_or("no tracking number")?;
        let inquiry = walk.run.inquiry(at(number, "/valueString")?);
        let answer = walk
            .http
            .post("/pas/2.2/Claim/$inquire", &token, &inquiry)
            .await?
            .json(200)?;
        let found: Vec<&Value> = answer
            .pointer("/parameter")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|p| p.pointer("/resource/entry/0/resource"))
            .collect();
        expect(found.len() == 1, || format!("{name}: {} answers", found.len()))?;
        let response = found.first().ok_or("no answer")?;
        expect(response.get("id") == before.get("id"), || {
            format!("{name}: another case")
        })?;
        expect(actions(response).join(" ") == wanted, || {
            format!("{name}: {}", short(response))
        })?;
        if wanted == "A3" {
            let note = at(response, "/processNote/0/text")?;
            expect(note == walk.denial_text, || {
                "the denial's words differ".to_owned()
            })?;
        }
        lines.push(format!("{name} {wanted}"));
    }
    Ok(lines.join(", "))
}
