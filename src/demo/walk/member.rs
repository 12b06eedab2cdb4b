//! Step 7: a member's app is launched (SMART standalone launch), reads the member's authorizations, and loses its
//! access when the member removes it.

use super::http::{CookieJar, Form, form_with_field};
use super::{Check, Outcome, require, text_at};
use crate::demo::seed::{APP, APP_REDIRECT};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// An app's tokens for one member, and the member's id in the Patient Access API.
struct AppTokens {
    access: String,
    refresh: String,
    patient: String,
}

/// Step 7.
pub async fn app_access(check: &mut Check) -> Outcome {
    let mut ruth = CookieJar::default();
    let tokens = launch_app(check, &mut ruth, "ruth").await?;
    let search = format!(
        "/fhir/pdex/ExplanationOfBenefit?patient={}&use=preauthorization",
        tokens.patient
    );
    let found = check.http.get(&search, Some(&tokens.access)).await?.json(200)?;
    verify_authorizations(check, &found)?;
    let count = found.pointer("/total").and_then(Value::as_u64).unwrap_or(0);
    let denied = eob_of(&found, check, "standard")?;
    other_member_sees_nothing(check, &search, text_at(denied, "/id")?).await?;

    remove_app(check, &mut ruth).await?;
    let reply = check.http.get(&search, Some(&tokens.access)).await?;
    require(reply.status.as_u16() == 401, || {
        format!("after removal the access token got HTTP {}", reply.status)
    })?;
    let refreshed = refresh(check, &tokens.refresh).await?;
    require(refreshed.contains("invalid_grant"), || {
        format!("after removal the refresh token got {refreshed}")
    })?;
    Ok(format!(
        "the app read {count} authorizations, the denial with its code and text\nanother member's app read none of \
         them; after removal: access token 401, refresh token invalid_grant"
    ))
}

/// A denied, an approved and an open case, as the member's app reads them.
fn verify_authorizations(check: &Check, found: &Value) -> Result<(), String> {
    let denied = eob_of(found, check, "standard")?;
    let text = denied.to_string();
    require(text.contains(&check.denial_text), || {
        "the denial does not contain the reviewer's text".to_owned()
    })?;
    require(text.contains("https://codesystem.x12.org/external/886"), || {
        "the denial has no reason code".to_owned()
    })?;
    require(text_at(denied, "/outcome")? == "complete", || {
        "the outcome of the denied case is not complete".to_owned()
    })?;
    let approved = eob_of(found, check, "urgent")?;
    require(approved.pointer("/preAuthRef/0").is_some(), || {
        "the approved case has no authorization number".to_owned()
    })?;
    let open = eob_of(found, check, "surgery")?;
    require(text_at(open, "/outcome")? == "queued", || {
        "the outcome of the open case is not queued".to_owned()
    })
}

/// The `ExplanationOfBenefit` of a request of an earlier step; its id is the case id.
fn eob_of<'a>(found: &'a Value, check: &Check, name: &str) -> Result<&'a Value, String> {
    let case = check
        .cases
        .get(name)
        .ok_or_else(|| format!("request {name} was not submitted in an earlier step"))?;
    let entries = found
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("the member's search returned nothing")?;
    entries
        .iter()
        .filter_map(|e| e.get("resource"))
        .find(|r| r.get("id").and_then(Value::as_str) == Some(case))
        .ok_or_else(|| format!("the member's search did not return the case of request {name}"))
}

/// Another member's app can neither search nor read this member's authorizations.
async fn other_member_sees_nothing(check: &Check, search: &str, id: &str) -> Result<(), String> {
    let mut joe = CookieJar::default();
    let tokens = launch_app(check, &mut joe, "joe").await?;
    let found = check.http.get(search, Some(&tokens.access)).await?;
    require(!found.text.contains(&check.denial_text), || {
        "another member's app can search the denial".to_owned()
    })?;
    let path = format!("/fhir/pdex/ExplanationOfBenefit/{id}");
    let read = check.http.get(&path, Some(&tokens.access)).await?;
    require(read.status.as_u16() == 404, || {
        format!("another member's read returned HTTP {}", read.status)
    })
}

/// SMART standalone launch: the member signs in and consents, the app exchanges the code (PKCE, S256) for tokens.
async fn launch_app(check: &Check, jar: &mut CookieJar, username: &str) -> Result<AppTokens, String> {
    let configuration = check
        .http
        .get("/fhir/pdex/.well-known/smart-configuration", None)
        .await?
        .json(200)?;
    let verifier = format!("{}{}", check.messages.uuid(), check.messages.uuid());
    let code = authorization_code(check, jar, username, &configuration, &verifier).await?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", APP_REDIRECT),
        ("client_id", APP),
        ("code_verifier", verifier.as_str()),
    ];
    let token_endpoint = text_at(&configuration, "/token_endpoint")?;
    let tokens = check.http.post_form(token_endpoint, &fields).await?.json(200)?;
    let text = |pointer: &str| text_at(&tokens, pointer).map(str::to_owned);
    Ok(AppTokens {
        access: text("/access_token")?,
        refresh: text("/refresh_token")?,
        patient: text("/patient")?,
    })
}

/// The member signs in and allows everything that the app requests; returns the authorization code.
async fn authorization_code(
    check: &Check,
    jar: &mut CookieJar,
    username: &str,
    configuration: &Value,
    verifier: &str,
) -> Result<String, String> {
    let state = check.messages.uuid();
    let authorize = authorize_url(check, configuration, verifier, &state)?;
    let password = check
        .sign_ins
        .get(username)
        .map(|s| s.password.clone())
        .ok_or_else(|| format!("the data folder has no sign-in for {username}"))?;
    let consent = check
        .http
        .sign_in(jar, authorize.as_str(), username, &password)
        .await?;
    let form =
        form_with_field(&consent.text, "answer").or_else(|_| form_with_field(&consent.text, "request"))?;
    let allowed = check
        .http
        .submit(jar, &form, &[("answer", "allow"), ("sensitive", "include")])
        .await?;
    let callback = allowed
        .location
        .ok_or_else(|| format!("consent returned HTTP {} without a redirect", allowed.status))?;
    require(callback.starts_with(APP_REDIRECT), || {
        "consent does not redirect to the app".to_owned()
    })?;
    let callback = url::Url::parse(&callback).map_err(|e| e.to_string())?;
    let parameter = |name: &str| {
        callback
            .query_pairs()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
    };
    require(parameter("state").as_deref() == Some(state.as_str()), || {
        "the redirect to the app has another state".to_owned()
    })?;
    parameter("code").ok_or_else(|| "the redirect to the app has no code".to_owned())
}

/// Where the app sends the member's browser.
fn authorize_url(
    check: &Check,
    configuration: &Value,
    verifier: &str,
    state: &str,
) -> Result<url::Url, String> {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let mut url =
        url::Url::parse(text_at(configuration, "/authorization_endpoint")?).map_err(|e| e.to_string())?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", APP)
        .append_pair("redirect_uri", APP_REDIRECT)
        .append_pair(
            "scope",
            "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs offline_access",
        )
        .append_pair("state", state)
        .append_pair("aud", &format!("{}/fhir/pdex", check.http.base()))
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(url)
}

async fn refresh(check: &Check, token: &str) -> Result<String, String> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", APP),
    ];
    let reply = check.http.post_form("/oauth/token", &fields).await?;
    Ok(format!("{} {}", reply.status, reply.text))
}

/// Removes every app on the member's page; an earlier run may have left one.
async fn remove_app(check: &Check, jar: &mut CookieJar) -> Result<(), String> {
    let mut page = check.http.page(jar, "/me").await?;
    for _ in 0..20 {
        let Some(form) = removal_form(&page.text) else {
            break;
        };
        check.http.submit(jar, &form, &[]).await?;
        page = check.http.page(jar, "/me").await?;
    }
    require(removal_form(&page.text).is_none(), || {
        "the app is still on the member's page after it was removed".to_owned()
    })
}

/// The form that removes the first app on the member's page.
fn removal_form(html: &str) -> Option<Form> {
    let html = html.replace("&#x2f;", "/");
    let start = html.find("/me/apps/")?;
    let form = html.get(..start)?.rfind("<form")?;
    form_with_field(html.get(form..)?, "csrf").ok()
}
