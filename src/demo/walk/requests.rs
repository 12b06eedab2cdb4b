//! Steps 3 and 4, the EHR's requests: one that is approved immediately, five that are pended or not required, and one
//! with errors.

use super::ehr::access_token;
use super::messages::{Messages, extension, item_extension, review_action_code, review_action_part};
use super::{Check, Outcome, require, text_at};
use serde_json::Value;

const SUBMIT: &str = "/pas/2.2/Claim/$submit";
const REVIEWER: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-claimResponseReviewer";

/// Submits a request twice and returns its ClaimResponse, after verifying what is true of every reply. `name` is the
/// request's name in this check.
async fn submit(check: &mut Check, name: &'static str, request: Value) -> Result<Value, String> {
    let token = access_token(check).await?;
    let reply = check.http.post(SUBMIT, &token, &request).await?.json(200)?;
    let repeated = check.http.post(SUBMIT, &token, &request).await?.json(200)?;
    require(repeated == reply, || {
        "the same request, sent again, got a different reply".to_owned()
    })?;
    let response = reply
        .pointer("/entry/0/resource")
        .cloned()
        .ok_or("the reply has no entries")?;
    require(text_at(&response, "/resourceType")? == "ClaimResponse", || {
        "the first entry is not a ClaimResponse".to_owned()
    })?;
    verify_references(&reply)?;
    verify_trace_numbers(&request, &response)?;
    check.cases.insert(name, text_at(&response, "/id")?.to_owned());
    check.responses.insert(name, response.clone());
    Ok(response)
}

/// Every reference except `request` resolves inside the reply.
fn verify_references(reply: &Value) -> Result<(), String> {
    let entries = reply
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("the reply has no entries")?;
    let urls: Vec<&str> = entries
        .iter()
        .filter_map(|e| e.get("fullUrl")?.as_str())
        .collect();
    for entry in entries {
        let mut resource = entry.get("resource").cloned().unwrap_or_default();
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("request");
        }
        let mut unresolved = None;
        crate::fhir::reference::walk(&resource, "", &mut |reference, place| {
            if !urls.contains(&reference) {
                unresolved = Some(format!("{reference} at {place} is not in the reply"));
            }
        });
        if let Some(unresolved) = unresolved {
            return Err(unresolved);
        }
    }
    Ok(())
}

/// Every item of the request is answered with the requester's trace number.
fn verify_trace_numbers(request: &Value, response: &Value) -> Result<(), String> {
    let requested = request
        .pointer("/entry/0/resource/item")
        .and_then(Value::as_array)
        .ok_or("the request has no items")?;
    for item in requested {
        let sequence = item.get("sequence");
        let answered = response_items(response)
            .find(|answered| answered.get("itemSequence") == sequence)
            .ok_or_else(|| "an item has no result".to_owned())?;
        let trace_number = item_extension(item, "extension-itemTraceNumber");
        require(
            trace_number == item_extension(answered, "extension-itemTraceNumber"),
            || "an item's trace number was not returned".to_owned(),
        )?;
    }
    Ok(())
}

pub(super) fn response_items(response: &Value) -> impl Iterator<Item = &Value> {
    response
        .pointer("/item")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The X12 review action code of each item.
pub(super) fn action_codes(response: &Value) -> Vec<&str> {
    response_items(response).filter_map(review_action_code).collect()
}

/// Action codes and process notes of a ClaimResponse, for failure messages.
pub(super) fn summary(response: &Value) -> String {
    let items: Vec<String> = response_items(response)
        .map(|item| {
            format!(
                "item {}: {}",
                item.get("itemSequence").unwrap_or(&Value::Null),
                review_action_code(item).unwrap_or("no action")
            )
        })
        .collect();
    format!(
        "{}; notes: {}",
        items.join(", "),
        response.pointer("/processNote").unwrap_or(&Value::Null)
    )
}

fn form_of_step_1(check: &Check) -> Result<String, String> {
    check
        .form
        .clone()
        .ok_or_else(|| "step 1 returned no form".to_owned())
}

/// Step 3: a request that meets the policy is approved without a reviewer.
pub async fn approved(check: &mut Check) -> Outcome {
    let form = form_of_step_1(check)?;
    let request = check
        .messages
        .oxygen_request(&form, check.assertion.as_deref(), 87, "normal");
    let response = submit(check, "approved", request).await?;
    require(action_codes(&response) == ["A1"], || {
        format!("the request was not approved: {}", summary(&response))
    })?;
    let item = response_items(&response)
        .next()
        .ok_or("the response has no item")?;
    let number = review_action_part(item, "number").ok_or("the approval has no authorization number")?;
    let number = text_at(number, "/valueString")?.to_owned();
    let period = item_extension(item, "extension-itemPreAuthPeriod").ok_or("the approval has no period")?;
    let (start, end) = (
        text_at(period, "/valuePeriod/start")?,
        text_at(period, "/valuePeriod/end")?,
    );
    require(start < end, || {
        format!("the authorized period starts {start} and ends {end}")
    })?;
    let human_reviewed = extension(&response, REVIEWER)
        .and_then(|reviewer| extension(reviewer, "wasHumanReviewedFlag"))
        .and_then(|flag| flag.get("valueBoolean")?.as_bool());
    require(human_reviewed == Some(false), || {
        "wasHumanReviewedFlag of an automatic approval is not false".to_owned()
    })?;
    Ok(format!("A1, authorization {number}, {start} to {end}"))
}

/// Step 4: pended requests, services that need no authorization, and a request with four errors.
pub async fn pended(check: &mut Check) -> Outcome {
    let form = form_of_step_1(check)?;
    subscribe(check).await?;

    let standard = check.messages.oxygen_request(&form, None, 91, "normal");
    submit_expecting(check, "standard", standard, &["A4"]).await?;
    let urgent = check.messages.oxygen_request(&form, None, 91, "stat");
    submit_expecting(check, "urgent", urgent, &["A4"]).await?;
    let referral = check.messages.referral_request();
    submit_expecting(check, "referral", referral, &["NA"]).await?;
    let surgery = check.messages.surgery_request();
    submit_expecting(check, "surgery", surgery, &["A4", "A4"]).await?;
    let home_care = check.messages.home_care_request();
    submit_expecting(check, "home-care", home_care, &["A4", "NA"]).await?;

    let places = submit_four_errors(check).await?;
    Ok(format!(
        "oxygen at 91%: A4; oxygen at 91%, stat: A4; referral: NA; surgery: A4 A4; home care: A4 NA\n\
         four errors reported at {}",
        places.join(", ")
    ))
}

async fn subscribe(check: &mut Check) -> Result<(), String> {
    let token = access_token(check).await?;
    let subscription = Messages::subscription(&check.subscriber.url);
    let created = check
        .http
        .post("/pas/2.2/Subscription", &token, &subscription)
        .await?
        .json(201)?;
    require(text_at(&created, "/status")? == "requested", || {
        "a new subscription does not have the status requested".to_owned()
    })
}

async fn submit_expecting(
    check: &mut Check,
    name: &'static str,
    request: Value,
    expected: &[&str],
) -> Result<(), String> {
    let response = submit(check, name, request).await?;
    require(action_codes(&response) == expected, || {
        format!(
            "request {name}: expected {}, got {}",
            expected.join(" "),
            summary(&response)
        )
    })
}

/// All four errors of one request are reported, each with its place. Returns the places.
async fn submit_four_errors(check: &mut Check) -> Result<Vec<String>, String> {
    let token = access_token(check).await?;
    let outcome = check
        .http
        .post(SUBMIT, &token, &check.messages.request_with_four_errors())
        .await?
        .json(422)?;
    require(text_at(&outcome, "/resourceType")? == "OperationOutcome", || {
        "the reply is not an OperationOutcome".to_owned()
    })?;
    let issues = outcome.pointer("/issue").and_then(Value::as_array);
    let places: Vec<String> = issues
        .into_iter()
        .flatten()
        .filter_map(|issue| issue.pointer("/expression/0")?.as_str())
        .map(str::to_owned)
        .collect();
    let expected = [
        "Bundle.timestamp",
        "Bundle.entry[0].resource.item[1].sequence",
        "Bundle.entry[0].resource.item[1].location",
        "Bundle.entry[0].resource.insurance[0].coverage",
    ];
    require(
        expected.iter().all(|place| places.iter().any(|p| p == place)) && places.len() == 4,
        || format!("the request has errors at {expected:?}, reported were {places:?}"),
    )?;
    Ok(places)
}
