//! The messages that are sent: those of the demo's end-to-end check, made longer with more observations and items.

use crate::client::{Template, UNIQUE};
use crate::signing::Signing;
use assent::demo::walk::messages::Messages;
use serde_json::{Value, json};

/// The path of the hook.
pub const HOOK: &str = "/cds-services/order-sign-crd";
const SUBMIT: &str = "/pas/2.2/Claim/$submit";
const INQUIRE: &str = "/pas/2.2/Claim/$inquire";

/// A hook with two orders and a prefetch of at least this many bytes.
pub fn hook(messages: &Messages, signing: Signing, size: usize) -> Template {
    let mut call = messages.order_sign_hook();
    replace(&mut call, "/hookInstance", UNIQUE);
    let mut n = 0;
    while call.to_string().len() < size {
        n += 1;
        let (id, resource) = observation(messages, n);
        if let Some(entries) = call
            .pointer_mut("/prefetch/observations/entry")
            .and_then(Value::as_array_mut)
        {
            let address = format!("https://ehr.demo.example/fhir/Observation/{id}");
            entries.push(json!({ "fullUrl": address, "resource": resource }));
        }
    }
    Template {
        path: HOOK.to_owned(),
        headers: Vec::new(),
        body: Some(call.to_string()),
        signing: Some(signing),
        contains: "systemActions".to_owned(),
    }
}

/// A request that is approved at once, with this many items and at least this many bytes.
pub fn submit(messages: &Messages, form: &str, token: &str, items: usize, size: usize) -> Template {
    Template::with_token(
        SUBMIT,
        token,
        Some(request(messages, form, 87, items, size)),
        "\"A1\"",
    )
}

/// A request that is pended for a reviewer.
pub fn pended(messages: &Messages, form: &str, token: &str) -> Template {
    Template::with_token(SUBMIT, token, Some(request(messages, form, 91, 1, 0)), "\"A4\"")
}

/// An inquiry for one case by its number.
pub fn inquire(messages: &Messages, token: &str, number: &str) -> Template {
    let mut inquiry = messages.inquiry(number);
    replace(&mut inquiry, "/identifier/value", UNIQUE);
    Template::with_token(INQUIRE, token, Some(inquiry.to_string()), "ClaimResponse")
}

/// The text of a request with an oxygen saturation of `percent`.
fn request(messages: &Messages, form: &str, percent: u32, items: usize, size: usize) -> String {
    let mut bundle = messages.oxygen_request(form, None, percent, "normal");
    let claim_id = bundle.pointer("/entry/0/resource/id").and_then(Value::as_str);
    let claim_id = claim_id.unwrap_or_default().to_owned();
    replace(&mut bundle, "/identifier/value", UNIQUE);
    replace(&mut bundle, "/entry/0/resource/identifier/0/value", UNIQUE);
    repeat_item(&mut bundle, items);
    let mut n = 0;
    while bundle.to_string().len() < size {
        n += 1;
        add_observation(&mut bundle, messages, n);
    }
    bundle
        .to_string()
        .replace(&claim_id, UNIQUE)
        .replace(&messages.tag, UNIQUE)
}

/// Repeats the only item, each with a sequence of its own.
fn repeat_item(bundle: &mut Value, items: usize) {
    let list = bundle
        .pointer_mut("/entry/0/resource/item")
        .and_then(Value::as_array_mut);
    let Some(list) = list else { return };
    let Some(first) = list.first().cloned() else {
        return;
    };
    for sequence in 2..=items {
        let mut item = first.clone();
        if let Some(fields) = item.as_object_mut() {
            fields.insert("sequence".to_owned(), json!(sequence));
        }
        if let Some(trace) = item.pointer_mut("/extension/2/valueIdentifier/value") {
            *trace = json!(format!("{UNIQUE}-{sequence}"));
        }
        list.push(item);
    }
}

fn add_observation(bundle: &mut Value, messages: &Messages, n: usize) {
    let (id, resource) = observation(messages, n);
    let information = bundle
        .pointer_mut("/entry/0/resource/supportingInfo")
        .and_then(Value::as_array_mut);
    if let Some(information) = information
        && let Some(mut entry) = information.first().cloned()
    {
        if let Some(fields) = entry.as_object_mut() {
            fields.insert("sequence".to_owned(), json!(information.len() + 1));
            fields.insert(
                "valueReference".to_owned(),
                json!({ "reference": format!("Observation/{id}") }),
            );
        }
        information.push(entry);
    }
    if let Some(entries) = bundle.pointer_mut("/entry").and_then(Value::as_array_mut) {
        let address = format!("https://ehr.demo.example/fhir/Observation/{id}");
        entries.push(json!({ "fullUrl": address, "resource": resource }));
    }
}

/// A heart rate with a number of its own: the id and the resource.
fn observation(messages: &Messages, n: usize) -> (String, Value) {
    let id = format!("heart-rate-{n}");
    let mut resource = messages.oximetry(60);
    replace(&mut resource, "/id", &id);
    replace(&mut resource, "/code/coding/0/code", "8867-4");
    replace(&mut resource, "/valueQuantity/unit", "/min");
    replace(&mut resource, "/valueQuantity/code", "/min");
    (id, resource)
}

/// Replaces a text.
fn replace(value: &mut Value, pointer: &str, text: &str) {
    if let Some(place) = value.pointer_mut(pointer) {
        *place = json!(text);
    }
}
