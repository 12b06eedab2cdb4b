//! Reading and searching the forms themselves (`url`, `version`). The whole content of a form is public to every
//! partner with the scope; nothing of a member is in it.

use super::BASE;
use crate::error::{Error, Result};
use crate::fhir::put;
use crate::forms::{Form, Forms};
use crate::state::State;
use crate::wire::{BackendToken, FhirFailure, FhirResponse};
use axum::extract::{Path, Query, State as Held};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};

/// What can be searched for; other parameters are passed over and missing in the answer's own link.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    url: Option<String>,
    version: Option<String>,
}

/// `GET Questionnaire/{id}`: the newest current version, else the newest at all.
pub(super) async fn read(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Questionnaire", 'r')?;
    let published = state.published();
    let form = newest(&published.forms, &id, state.now().date_naive())
        .ok_or_else(|| Error::not_found("questionnaire", &id))?;
    Ok(FhirResponse::ok(&form.questionnaire(&state.config.public_url)))
}

fn newest<'f>(forms: &'f Forms, name: &str, today: NaiveDate) -> Option<&'f Form> {
    let of_name = || forms.all().filter(|form| form.name() == name);
    let current = of_name()
        .filter(|form| form.is_current(today))
        .max_by_key(|form| form.version());
    current.or_else(|| of_name().max_by_key(|form| form.version()))
}

/// `GET Questionnaire?url=…&version=…`.
pub(super) async fn search(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    Query(asked): Query<Search>,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Questionnaire", 's')?;
    Ok(FhirResponse::ok(&found(
        &state.published().forms,
        &asked,
        &state.config.public_url,
    )?))
}

fn found(forms: &Forms, asked: &Search, public_url: &str) -> Result<Value> {
    let (url, in_url) = match asked
        .url
        .as_deref()
        .map(|url| url.split_once('|').unwrap_or((url, "")))
    {
        Some((url, version)) => (Some(url), Some(version).filter(|v| !v.is_empty())),
        None => (None, None),
    };
    let wanted = |form: &&Form| {
        let version = form.version().to_string();
        url.is_none_or(|url| form.url(public_url) == url)
            && [asked.version.as_deref(), in_url]
                .into_iter()
                .flatten()
                .all(|wanted| wanted == version)
    };
    let entries: Vec<Value> = forms
        .all()
        .filter(wanted)
        .map(|form| entry(form, public_url))
        .collect();
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": entries.len(),
        "link": [{ "relation": "self", "url": own_address(asked, public_url)? }],
    });
    if !entries.is_empty() {
        put(&mut bundle, "entry", Value::Array(entries));
    }
    Ok(bundle)
}

fn entry(form: &Form, public_url: &str) -> Value {
    json!({
        "fullUrl": form.url(public_url),
        "resource": form.questionnaire(public_url),
        "search": { "mode": "match" },
    })
}

/// The search as it was understood.
fn own_address(asked: &Search, public_url: &str) -> Result<String> {
    let base = format!("{public_url}{BASE}/Questionnaire");
    let used: Vec<(&str, &str)> = [("url", &asked.url), ("version", &asked.version)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    if used.is_empty() {
        return Ok(base);
    }
    let address = url::Url::parse_with_params(&base, used).map_err(Error::internal)?;
    Ok(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples::{PUBLIC, forms};

    fn urls(url: Option<&str>, version: Option<&str>) -> Vec<String> {
        let forms = forms(&[
            ("oxygen", "1.0.0", true),
            ("oxygen", "1.1.0", true),
            ("beds", "1.0.0", true),
        ]);
        let asked = Search {
            url: url.map(str::to_owned),
            version: version.map(str::to_owned),
        };
        let bundle = found(&forms, &asked, PUBLIC).unwrap();
        let entries = bundle
            .get("entry")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        assert_eq!(bundle["total"], entries.len());
        entries
            .iter()
            .map(|e| {
                format!(
                    "{}|{}",
                    e["resource"]["url"].as_str().unwrap(),
                    e["resource"]["version"].as_str().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn forms_are_found_by_url_and_version() {
        let oxygen = "https://plan.example/dtr/2.2/Questionnaire/oxygen";
        assert_eq!(urls(None, None).len(), 3);
        assert_eq!(
            urls(Some(oxygen), None),
            [format!("{oxygen}|1.0.0"), format!("{oxygen}|1.1.0")]
        );
        assert_eq!(urls(Some(oxygen), Some("1.1.0")), [format!("{oxygen}|1.1.0")]);
        assert_eq!(
            urls(Some(&format!("{oxygen}|1.1.0")), None),
            [format!("{oxygen}|1.1.0")]
        );
        assert!(urls(Some("https://other.example/dtr/2.2/Questionnaire/oxygen"), None).is_empty());
        assert!(urls(Some(oxygen), Some("9.0.0")).is_empty());
    }

    #[test]
    fn the_answer_names_the_search_as_it_was_understood() {
        let asked = Search {
            url: Some("https://a/b c".into()),
            version: None,
        };
        assert_eq!(
            own_address(&asked, PUBLIC).unwrap(),
            "https://plan.example/dtr/2.2/Questionnaire?url=https%3A%2F%2Fa%2Fb+c"
        );
    }

    #[test]
    fn a_read_gives_the_newest_current_version() {
        let forms = forms(&[
            ("oxygen", "1.0.0", true),
            ("oxygen", "1.10.0", true),
            ("oxygen", "1.9.0", true),
        ]);
        let day = "2026-10-01".parse().unwrap();
        assert_eq!(newest(&forms, "oxygen", day).unwrap().key(), "oxygen|1.10.0");
        assert!(newest(&forms, "beds", day).is_none());
    }
}
