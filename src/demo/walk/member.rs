//! The member's step: an app does the SMART standalone launch, reads the authorization, and loses its access when the
//! member removes it.

use super::http::{Jar, form_with};
use super::{Outcome, Walk, at, expect};
use crate::demo::seed::{APP, APP_REDIRECT};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// An app's tokens for one member.
struct Granted {
    access: String,
    refresh: String,
    patient: String,
}

/// Step 7.
pub async fn app(walk: &mut Walk) -> Outcome {
    let mut ruth = Jar::default();
    let granted = launch(walk, &mut ruth, "ruth").await?;
    let search = format!(
        "/fhir/pdex/ExplanationOfBenefit?patient={}&use=preauthorization",
        granted.patient
    );
    let found = walk.http.get(&search, Some(&granted.access)).await?.json(200)?;
    let denied = eob(&found, walk.cases.get("standard").ok_or("no denied case")?)?;
    let text = denied.to_string();
    expect(text.contains(&walk.denial_text), || {
        "the denial's words are not there".to_owned()
    })?;
    expect(text.contains("https://codesystem.x12.org/external/886"), || {
        "the denial's code is not there".to_owned()
    })?;
    expect(at(denied, "/outcome")? == "complete", || {
        "the denied case is not complete".to_owned()
    })?;
    let approved = eob(&found, walk.cases.get("urgent").ok_or("no approved case")?)?;
    expect(approved.pointer("/preAuthRef/0").is_some(), || {
        "the approval has no number".to_owned()
    })?;
    let open = eob(&found, walk.cases.get("surgery").ok_or("no open case")?)?;
    expect(at(open, "/outcome")? == "queued", || {
        "the open case is not queued".to_owned()
    })?;
    let count = found.pointer("/total").and_then(Value::as_u64).unwrap_or(0);

    let mut joe = Jar::default();
    let other = launch(walk, &mut joe, "joe").await?;
    let foreign = walk.http.get(&search, Some(&other.access)).await?;
    expect(!foreign.text.contains(&walk.denial_text), || {
        "another member reads the denial".to_owned()
    })?;
    let id = at(denied, "/id")?;
    let read = walk
        .http
        .get(
            &format!("/fhir/pdex/ExplanationOfBenefit/{id}"),
            Some(&other.access),
        )
        .await?;
    expect(read.status.as_u16() == 404, || {
        format!("another member's read was answered {}", read.status)
    })?;

    remove_app(walk, &mut ruth).await?;
    let access = walk.http.get(&search, Some(&granted.access)).await?;
    expect(access.status.as_u16() == 401, || {
        format!("after removal the access token got {}", access.status)
    })?;
    let refreshed = refresh(walk, &granted.refresh).await?;
    expect(refreshed.contains("invalid_grant"), || {
        format!("after removal the refresh token got {refreshed}")
    })?;
    Ok(format!(
        "{count} authorizations read by the app; the denial with code and text\nanother member: nothing; after removal: \
         access 401, refresh invalid_grant"
    ))
}

/// The member's record of a case: its id is the case's id.
fn eob<'a>(found: &'a Value, case: &str) -> Result<&'a Value, String> {
    let entries = found
        .pointer("/entry")
        .and_then(Value::as_array)
        .ok_or("the member's search is empty")?;
    entries
        .iter()
        .filter_map(|e| e.get("resource"))
        .find(|r| r.get("id").and_then(Value::as_str) == Some(case))
        .ok_or_else(|| "a case is missing in the member's records".to_owned())
}

/// Authorization code with PKCE S256: the member signs in and consents.
async fn launch(walk: &Walk, jar: &mut Jar, who: &str) -> Result<Granted, String> {
    let base = format!("{}/fhir/pdex", walk.http.base());
    let configuration = walk
        .http
        .get("/fhir/pdex/.well-known/smart-configuration", None)
        .await?
        .json(200)?;
    let verifier = format!("{}{}", walk.run.uuid(), walk.run.uuid());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let state = walk.run.uuid();
    let mut authorize =
        url::Url::parse(at(&configuration, "/authorization_endpoint")?).map_err(|e| e.to_string())?;
    authorize
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", APP)
        .append_pair("redirect_uri", APP_REDIRECT)
        .append_pair(
            "scope",
            "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs offline_access",
        )
        .append_pair("state", &state)
        .append_pair("aud", &base)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    let password = walk
        .sign_ins
        .get(who)
        .map(|s| s.password.clone())
        .ok_or(format!("no sign-in for {who}"))?;
    let consent = walk.http.sign_in(jar, authorize.as_str(), who, &password).await?;
    let form = form_with(&consent.text, "answer").or_else(|_| form_with(&consent.text, "request"))?;
    let allowed = walk
        .http
        .send(jar, &form, &[("answer", "allow"), ("sensitive", "include")])
        .await?;
    let back = allowed
        .location
        .ok_or_else(|| format!("consent was answered {}", allowed.status))?;
    expect(back.starts_with(APP_REDIRECT), || {
        "the app is not called back".to_owned()
    })?;
    let back = url::Url::parse(&back).map_err(|e| e.to_string())?;
    let query = |name: &str| {
        back.query_pairs()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
    };
    expect(query("state").as_deref() == Some(state.as_str()), || {
        "state came back changed".to_owned()
    })?;
    let code = query("code").ok_or("no code came back")?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", APP_REDIRECT),
        ("client_id", APP),
        ("code_verifier", verifier.as_str()),
    ];
    let token_endpoint = at(&configuration, "/token_endpoint")?;
    let tokens = walk.http.form(token_endpoint, &fields).await?.json(200)?;
    let tokens_text = |pointer: &str| at(&tokens, pointer).map(str::to_owned);
    Ok(Granted {
        access: tokens_text("/access_token")?,
        refresh: tokens_text("/refresh_token")?,
        patient: tokens_text("/patient")?,
    })
}

async fn refresh(walk: &Walk, token: &str) -> Result<String, String> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", APP),
    ];
    let answer = walk.http.form("/oauth/token", &fields).await?;
    Ok(format!("{} {}", answer.status, answer.text))
}

/// The member's page lists the app; its button ends the grant.
async fn remove_app(walk: &Walk, jar: &mut Jar) -> Result<(), String> {
    let mut page = walk.http.page(jar, "/me").await?;
    for _ in 0..20 {
        let Some(form) = removal(&page.text) else { break };
        walk.http.send(jar, &form, &[]).await?;
        page = walk.http.page(jar, "/me").await?;
    }
    expect(removal(&page.text).is_none(), || {
        "the app is still on the member's page".to_owned()
    })
}

fn removal(html: &str) -> Option<super::http::Form> {
    let html = html.replace("&#x2f;", "/");
    let start = html.find("/me/apps/")?;
    let form = html.get(..start)?.rfind("<form")?;
    form_with(html.get(form..)?, "csrf").ok()
}
