//! The EHR's steps: hook, form, requests.

use super::messages::{self, action, action_part, item_part, parameter, part};
use super::{Outcome, Walk, at, expect};
use crate::demo::keys;
use crate::demo::seed::EHR;
use serde_json::{Value, json};

const COVERAGE_INFORMATION: &str =
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
const ORIGIN: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin";

/// A JWT of the demo EHR for an audience.
fn jwt(walk: &Walk, issuer: &str, audience: &str) -> Result<String, String> {
    let now = walk.run.seconds();
    let claims = json!({
        "iss": issuer, "sub": issuer, "aud": audience, "iat": now, "exp": now + 240, "jti": walk.run.uuid(),
    });
    let key = keys::partner_key(&walk.data, EHR).map_err(|e| e.to_string())?;
    key.sign(&claims).map_err(|e| e.to_string())
}

/// A backend-services token, kept for the steps after.
pub(super) async fn token(walk: &mut Walk) -> Result<String, String> {
    if let Some(token) = &walk.token {
        return Ok(token.clone());
    }
    let configuration = walk
        .http
        .get("/pas/2.2/.well-known/smart-configuration", None)
        .await?
        .json(200)?;
    let endpoint = at(&configuration, "/token_endpoint")?.to_owned();
    let assertion = jwt(walk, EHR, &endpoint)?;
    let answer = walk
        .http
        .form(
            &endpoint,
            &[
                ("grant_type", "client_credentials"),
                (
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ),
                ("client_assertion", &assertion),
                (
                    "scope",
                    "system/Claim.cruds system/Subscription.cruds system/Questionnaire.rs",
                ),
            ],
        )
        .await?
        .json(200)?;
    let token = at(&answer, "/access_token")?.to_owned();
    walk.token = Some(token.clone());
    Ok(token)
}

/// Step 1.
pub async fn hook(walk: &mut Walk) -> Outcome {
    let services = walk.http.get("/cds-services", None).await?.json(200)?;
    let listed = services
        .pointer("/services")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let service = listed
        .iter()
        .find(|s| s.pointer("/hook").and_then(Value::as_str) == Some("order-sign"))
        .ok_or("no service for order-sign is published")?;
    let path = format!("/cds-services/{}", at(service, "/id")?);
    let token = jwt(
        walk,
        "https://ehr.demo.example",
        &format!("{}{path}", walk.http.base()),
    )?;
    let answer = walk.http.post(&path, &token, &walk.run.hook()).await?.json(200)?;
    let actions = answer
        .pointer("/systemActions")
        .and_then(Value::as_array)
        .ok_or("no systemActions")?;
    expect(actions.len() == 2, || {
        format!("two orders, {} answers", actions.len())
    })?;
    let information = |id: &str| {
        actions
            .iter()
            .filter_map(|a| a.get("resource"))
            .find(|r| r.get("id").and_then(Value::as_str) == Some(id))
            .and_then(|r| part(r, COVERAGE_INFORMATION))
            .ok_or(format!("no coverage-information on {id}"))
    };
    let code =
        |e: &Value, name: &str| part(e, name).and_then(|p| p.get("valueCode")?.as_str().map(str::to_owned));
    let oxygen = information("oxygen")?;
    expect(code(oxygen, "covered").as_deref() == Some("covered"), || {
        "oxygen is not covered".to_owned()
    })?;
    expect(
        code(oxygen, "pa-needed").as_deref() == Some("auth-needed"),
        || format!("oxygen: {oxygen}"),
    )?;
    let form = part(oxygen, "questionnaire").ok_or("no form is named for oxygen")?;
    let form = at(form, "/valueCanonical")?.to_owned();
    let assertion = part(oxygen, "coverage-assertion-id").ok_or("no assertion id for oxygen")?;
    let assertion = at(assertion, "/valueString")?.to_owned();
    let mammography = information("mammography")?;
    expect(
        code(mammography, "covered").as_deref() == Some("conditional"),
        || format!("mammography: {mammography}"),
    )?;
    expect(
        code(mammography, "info-needed").as_deref() == Some("detail-code"),
        || format!("mammography: {mammography}"),
    )?;
    let second = part(mammography, "coverage-assertion-id").ok_or("no assertion id for mammography")?;
    expect(at(second, "/valueString")? != assertion, || {
        "two orders share one assertion id".to_owned()
    })?;
    let detail =
        format!("E1390 covered, auth-needed; form {form}\nmammography conditional, needs detail-code");
    walk.assertion = Some(assertion);
    walk.form = Some(form);
    Ok(detail)
}

/// Step 2.
pub async fn package(walk: &mut Walk) -> Outcome {
    let assertion = walk
        .assertion
        .clone()
        .ok_or("there is no assertion from step 1")?;
    let form = walk.form.clone().ok_or("there is no form from step 1")?;
    let token = token(walk).await?;
    let input = messages::Run::package_input(&assertion);
    let answer = walk
        .http
        .post("/dtr/2.2/Questionnaire/$questionnaire-package", &token, &input)
        .await?
        .json(200)?;
    let bundle = parameter(&answer, "packagebundle")
        .and_then(|p| p.get("resource"))
        .ok_or("no packagebundle")?;
    let questionnaire = bundle
        .pointer("/entry/0/resource")
        .ok_or("the package is empty")?;
    let canonical = format!(
        "{}|{}",
        at(questionnaire, "/url")?,
        at(questionnaire, "/version")?
    );
    expect(canonical == form, || {
        format!("the package holds {canonical}, the hook named {form}")
    })?;
    let entries = bundle
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("the package has no entries")?;
    let draft = entries
        .iter()
        .filter_map(|e| e.get("resource"))
        .find(|r| r.get("resourceType").and_then(Value::as_str) == Some("QuestionnaireResponse"))
        .ok_or("the package has no draft")?;
    expect(at(draft, "/questionnaire")? == form, || {
        "the draft is of another form".to_owned()
    })?;
    expect(at(draft, "/status")? == "in-progress", || {
        "the draft is not in progress".to_owned()
    })?;
    let mut answers = Vec::new();
    collect_answers(draft, &mut answers);
    for wanted in [
        "oxygen.spo2",
        "oxygen.test-date",
        "oxygen.months",
        "oxygen.prescriber",
    ] {
        expect(answers.iter().any(|(id, _)| id == wanted), || {
            format!("{wanted} is not pre-filled")
        })?;
    }
    for (id, answer) in &answers {
        let source = part(answer, ORIGIN)
            .and_then(|o| part(o, "source"))
            .and_then(|s| s.get("valueCode")?.as_str());
        expect(source == Some("auto-server"), || {
            format!("{id} does not say where it comes from")
        })?;
    }
    let names: Vec<&str> = answers.iter().map(|(id, _)| id.as_str()).collect();
    Ok(format!(
        "{canonical}\npre-filled with origin: {}",
        names.join(", ")
    ))
}

fn collect_answers(element: &Value, found: &mut Vec<(String, Value)>) {
    let items = element.get("item").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let link = item
            .get("linkId")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned();
        for answer in item.get("answer").and_then(Value::as_array).into_iter().flatten() {
            found.push((link.clone(), answer.clone()));
            collect_answers(answer, found);
        }
        collect_answers(item, found);
    }
}

/// Sends a request and answers with the `ClaimResponse`, after checking what holds for every answer.
async fn submit(walk: &mut Walk, name: &'static str, bundle: Value) -> Result<Value, String> {
    let token = token(walk).await?;
    let answer = walk
        .http
        .post("/pas/2.2/Claim/$submit", &token, &bundle)
        .await?
        .json(200)?;
    let again = walk
        .http
        .post("/pas/2.2/Claim/$submit", &token, &bundle)
        .await?
        .json(200)?;
    expect(again == answer, || {
        "the same request again got another answer".to_owned()
    })?;
    let response = answer
        .pointer("/entry/0/resource")
        .cloned()
        .ok_or("the answer is empty")?;
    expect(at(&response, "/resourceType")? == "ClaimResponse", || {
        "the first entry is no ClaimResponse".to_owned()
    })?;
    closed(&answer)?;
    traces(&bundle, &response)?;
    walk.cases.insert(name, at(&response, "/id")?.to_owned());
    walk.bundles.insert(name, response.clone());
    Ok(response)
}

/// Every reference but `request` resolves inside the answer.
fn closed(answer: &Value) -> Result<(), String> {
    let entries = answer
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("no entries")?;
    let urls: Vec<&str> = entries
        .iter()
        .filter_map(|e| e.get("fullUrl")?.as_str())
        .collect();
    for entry in entries {
        let mut resource = entry.get("resource").cloned().unwrap_or_default();
        if let Some(members) = resource.as_object_mut() {
            members.remove("request");
        }
        let mut dangling = None;
        crate::fhir::reference::walk(&resource, "", &mut |found, place| {
            if !urls.contains(&found) {
                dangling = Some(format!("{found} at {place} is not in the answer"));
            }
        });
        if let Some(dangling) = dangling {
            return Err(dangling);
        }
    }
    Ok(())
}

/// The requester's trace numbers come back on their lines.
fn traces(bundle: &Value, response: &Value) -> Result<(), String> {
    let asked = bundle
        .pointer("/entry/0/resource/item")
        .and_then(Value::as_array)
        .ok_or("no items asked")?;
    for item in asked {
        let sequence = item.get("sequence");
        let line = response_items(response)
            .find(|line| line.get("itemSequence") == sequence)
            .ok_or_else(|| "a line has no answer".to_owned())?;
        let sent = item_part(item, "extension-itemTraceNumber");
        expect(sent == item_part(line, "extension-itemTraceNumber"), || {
            "a trace number is lost".to_owned()
        })?;
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

pub(super) fn actions(response: &Value) -> Vec<&str> {
    response_items(response).filter_map(action).collect()
}

/// Step 3.
pub async fn approved_at_once(walk: &mut Walk) -> Outcome {
    let form = walk.form.clone().ok_or("there is no form from step 1")?;
    let bundle = walk.run.oxygen(&form, walk.assertion.as_deref(), 87, "normal");
    let response = submit(walk, "approved", bundle).await?;
    expect(actions(&response) == ["A1"], || {
        format!("not approved: {}", short(&response))
    })?;
    let item = response_items(&response).next().ok_or("no item")?;
    let number = at(
        action_part(item, "number").ok_or("no authorization number")?,
        "/valueString",
    )?
    .to_owned();
    let period = item_part(item, "extension-itemPreAuthPeriod").ok_or("no period")?;
    let (start, end) = (at(period, "/valuePeriod/start")?, at(period, "/valuePeriod/end")?);
    expect(start < end, || format!("the period runs from {start} to {end}"))?;
    let human = part(
        &response,
        "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-claimResponseReviewer",
    )
    .and_then(|r| part(r, "wasHumanReviewedFlag"))
    .and_then(|f| f.get("valueBoolean")?.as_bool());
    expect(human == Some(false), || {
        "a machine's approval must say so".to_owned()
    })?;
    Ok(format!("A1, number {number}, {start} to {end}"))
}

/// Step 4.
pub async fn pended(walk: &mut Walk) -> Outcome {
    let form = walk.form.clone().ok_or("there is no form from step 1")?;
    let token = token(walk).await?;
    let subscription = messages::Run::subscription(&walk.subscriber.url);
    let made = walk
        .http
        .post("/pas/2.2/Subscription", &token, &subscription)
        .await?
        .json(201)?;
    expect(at(&made, "/status")? == "requested", || {
        "a new subscription must be requested".to_owned()
    })?;

    let standard = walk.run.oxygen(&form, None, 91, "normal");
    let standard = submit(walk, "standard", standard).await?;
    expect(actions(&standard) == ["A4"], || {
        format!("91 % must pend: {}", short(&standard))
    })?;
    let urgent = walk.run.oxygen(&form, None, 91, "stat");
    let urgent = submit(walk, "urgent", urgent).await?;
    expect(actions(&urgent) == ["A4"], || {
        format!("91 % stat must pend: {}", short(&urgent))
    })?;
    let referral = walk.run.referral();
    let referral = submit(walk, "referral", referral).await?;
    expect(actions(&referral) == ["NA"], || {
        format!("a referral needs nothing: {}", short(&referral))
    })?;
    let surgery = walk.run.surgery();
    let surgery = submit(walk, "surgery", surgery).await?;
    expect(actions(&surgery) == ["A4", "A4"], || {
        format!("a surgery must pend: {}", short(&surgery))
    })?;
    let home_care = walk.run.home_care();
    let home_care = submit(walk, "home-care", home_care).await?;
    expect(actions(&home_care) == ["A4", "NA"], || {
        format!("home care: {}", short(&home_care))
    })?;

    let faults = walk
        .http
        .post("/pas/2.2/Claim/$submit", &token, &walk.run.four_faults())
        .await?
        .json(422)?;
    expect(at(&faults, "/resourceType")? == "OperationOutcome", || {
        "no OperationOutcome".to_owned()
    })?;
    let issues = faults
        .pointer("/issue")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let places: Vec<&str> = issues
        .iter()
        .filter_map(|i| i.pointer("/expression/0")?.as_str())
        .collect();
    let wanted = [
        "Bundle.timestamp",
        "Bundle.entry[0].resource.item[1].sequence",
        "Bundle.entry[0].resource.item[1].location",
        "Bundle.entry[0].resource.insurance[0].coverage",
    ];
    expect(
        wanted.iter().all(|w| places.contains(w)) && places.len() == 4,
        || format!("four faults, told: {places:?}"),
    )?;
    Ok(format!(
        "91 %: A4; stat: A4; referral NA; surgery A4 A4; home care A4 NA\nfour faults: {}",
        places.join(", ")
    ))
}

pub(super) fn short(response: &Value) -> String {
    let told: Vec<String> = response_items(response)
        .map(|item| {
            format!(
                "{} {}",
                item.get("itemSequence").unwrap_or(&Value::Null),
                action(item).unwrap_or("-")
            )
        })
        .collect();
    format!(
        "lines {}; notes {}",
        told.join(", "),
        response.pointer("/processNote").unwrap_or(&Value::Null)
    )
}
