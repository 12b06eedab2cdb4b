//! Steps 1 and 2, the EHR before the request: the CRD hook `order-sign`, then the DTR package with the form. Also the
//! EHR's access token for the other steps.

use super::messages::{Messages, extension, parameter};
use super::{Check, Outcome, require, text_at};
use crate::demo::keys;
use crate::demo::seed::EHR;
use serde_json::{Value, json};

const COVERAGE_INFORMATION: &str =
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
const INFORMATION_ORIGIN: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin";

/// A JWT signed with the demo EHR's key.
fn jwt(check: &Check, issuer: &str, audience: &str) -> Result<String, String> {
    let now = check.messages.seconds();
    let claims = json!({
        "iss": issuer, "sub": issuer, "aud": audience, "iat": now, "exp": now + 240, "jti": check.messages.uuid(),
    });
    let key = keys::client_key(&check.data, EHR).map_err(|e| e.to_string())?;
    key.sign(&claims).map_err(|e| e.to_string())
}

/// The EHR's access token (SMART backend services), requested at the first call.
pub(super) async fn access_token(check: &mut Check) -> Result<String, String> {
    if let Some(token) = &check.token {
        return Ok(token.clone());
    }
    let configuration = check
        .http
        .get("/pas/2.2/.well-known/smart-configuration", None)
        .await?
        .json(200)?;
    let endpoint = text_at(&configuration, "/token_endpoint")?.to_owned();
    let assertion = jwt(check, EHR, &endpoint)?;
    let reply = check
        .http
        .post_form(
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
    let token = text_at(&reply, "/access_token")?.to_owned();
    check.token = Some(token.clone());
    Ok(token)
}

/// Step 1: the hook reports coverage and prior authorization for two orders.
pub async fn order_sign(check: &mut Check) -> Outcome {
    let path = order_sign_path(check).await?;
    let token = jwt(
        check,
        "https://ehr.demo.example",
        &format!("{}{path}", check.http.base()),
    )?;
    let reply = check
        .http
        .post(&path, &token, &check.messages.order_sign_hook())
        .await?
        .json(200)?;
    let actions = reply
        .pointer("/systemActions")
        .and_then(Value::as_array)
        .ok_or("the reply has no systemActions")?;
    require(actions.len() == 2, || {
        format!(
            "2 orders were sent, {} system actions were returned",
            actions.len()
        )
    })?;
    let (form, assertion) = verify_oxygen(coverage_information(actions, "oxygen")?)?;
    verify_mammography(coverage_information(actions, "mammography")?, &assertion)?;
    let detail = format!(
        "E1390: covered, authorization needed, form {form}\nmammography: conditional, a more specific code is needed"
    );
    check.assertion = Some(assertion);
    check.form = Some(form);
    Ok(detail)
}

/// The path of the service for the hook `order-sign`.
async fn order_sign_path(check: &Check) -> Result<String, String> {
    let discovery = check.http.get("/cds-services", None).await?.json(200)?;
    let services = discovery
        .pointer("/services")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let service = services
        .iter()
        .find(|s| s.pointer("/hook").and_then(Value::as_str) == Some("order-sign"))
        .ok_or("/cds-services lists no service for order-sign")?;
    Ok(format!("/cds-services/{}", text_at(service, "/id")?))
}

/// The coverage information that the hook added to an order.
fn coverage_information<'a>(actions: &'a [Value], order: &str) -> Result<&'a Value, String> {
    actions
        .iter()
        .filter_map(|a| a.get("resource"))
        .find(|r| r.get("id").and_then(Value::as_str) == Some(order))
        .and_then(|r| extension(r, COVERAGE_INFORMATION))
        .ok_or_else(|| format!("the order {order} has no coverage information"))
}

/// `valueCode` of a named part of the coverage information.
fn code<'a>(information: &'a Value, name: &str) -> Option<&'a str> {
    extension(information, name)?.get("valueCode")?.as_str()
}

/// Verifies the answer for oxygen; returns the form's canonical URL and the coverage-assertion-id.
fn verify_oxygen(information: &Value) -> Result<(String, String), String> {
    require(code(information, "covered") == Some("covered"), || {
        "oxygen is not covered".to_owned()
    })?;
    require(code(information, "pa-needed") == Some("auth-needed"), || {
        format!("oxygen does not need authorization: {information}")
    })?;
    let form = extension(information, "questionnaire").ok_or("no form is named for oxygen")?;
    let form = text_at(form, "/valueCanonical")?.to_owned();
    let assertion =
        extension(information, "coverage-assertion-id").ok_or("oxygen has no coverage-assertion-id")?;
    Ok((form, text_at(assertion, "/valueString")?.to_owned()))
}

/// Verifies the answer for a mammography without a billing code, and that it has its own coverage-assertion-id.
fn verify_mammography(information: &Value, oxygen_assertion: &str) -> Result<(), String> {
    require(code(information, "covered") == Some("conditional"), || {
        format!("the coverage of the mammography is not conditional: {information}")
    })?;
    require(code(information, "info-needed") == Some("detail-code"), || {
        format!("the mammography does not need a detailed code: {information}")
    })?;
    let assertion = extension(information, "coverage-assertion-id")
        .ok_or("the mammography has no coverage-assertion-id")?;
    require(text_at(assertion, "/valueString")? != oxygen_assertion, || {
        "both orders have the same coverage-assertion-id".to_owned()
    })
}

/// Step 2: `$questionnaire-package` returns the form and a draft with answers from the hook's data.
pub async fn form_package(check: &mut Check) -> Outcome {
    let assertion = check
        .assertion
        .clone()
        .ok_or("step 1 returned no coverage-assertion-id")?;
    let form = check.form.clone().ok_or("step 1 returned no form")?;
    let token = access_token(check).await?;
    let input = Messages::questionnaire_package_input(&assertion);
    let reply = check
        .http
        .post("/dtr/2.2/Questionnaire/$questionnaire-package", &token, &input)
        .await?
        .json(200)?;
    let package = parameter(&reply, "packagebundle")
        .and_then(|p| p.get("resource"))
        .ok_or("the reply has no packagebundle")?;
    let questionnaire = package
        .pointer("/entry/0/resource")
        .ok_or("the package has no entries")?;
    let canonical = format!(
        "{}|{}",
        text_at(questionnaire, "/url")?,
        text_at(questionnaire, "/version")?
    );
    require(canonical == form, || {
        format!("the package contains {canonical}, but the hook named {form}")
    })?;
    let prefilled = verify_draft(package, &form)?;
    Ok(format!(
        "{canonical}\npre-filled, each with its origin: {}",
        prefilled.join(", ")
    ))
}

/// Verifies the draft QuestionnaireResponse of a package; returns the link ids of its answers.
fn verify_draft(package: &Value, form: &str) -> Result<Vec<String>, String> {
    let entries = package
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("the package has no entries")?;
    let draft = entries
        .iter()
        .filter_map(|e| e.get("resource"))
        .find(|r| r.get("resourceType").and_then(Value::as_str) == Some("QuestionnaireResponse"))
        .ok_or("the package has no draft QuestionnaireResponse")?;
    require(text_at(draft, "/questionnaire")? == form, || {
        "the draft belongs to another form".to_owned()
    })?;
    require(text_at(draft, "/status")? == "in-progress", || {
        "the draft's status is not in-progress".to_owned()
    })?;
    let mut answers = Vec::new();
    collect_answers(draft, &mut answers);
    for link_id in [
        "oxygen.spo2",
        "oxygen.test-date",
        "oxygen.months",
        "oxygen.prescriber",
    ] {
        require(answers.iter().any(|(id, _)| id == link_id), || {
            format!("{link_id} is not pre-filled")
        })?;
    }
    for (link_id, answer) in &answers {
        let source = extension(answer, INFORMATION_ORIGIN)
            .and_then(|origin| extension(origin, "source"))
            .and_then(|source| source.get("valueCode")?.as_str());
        require(source == Some("auto-server"), || {
            format!("the answer to {link_id} does not have the origin auto-server")
        })?;
    }
    Ok(answers.into_iter().map(|(link_id, _)| link_id).collect())
}

/// Collects every answer below an element, with its link id.
fn collect_answers(element: &Value, answers: &mut Vec<(String, Value)>) {
    let items = element.get("item").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let link_id = item.get("linkId").and_then(Value::as_str).unwrap_or("");
        for answer in item.get("answer").and_then(Value::as_array).into_iter().flatten() {
            answers.push((link_id.to_owned(), answer.clone()));
            collect_answers(answer, answers);
        }
        collect_answers(item, answers);
    }
}
