//! Reading and searching Questionnaire resources (search parameters `url` and `version`). Every client with the scope
//! may read every form; forms contain no member data.

use crate::error::{Error, Result};
use crate::fhir::put;
use crate::forms::{Form, Forms};
use crate::ig::dtr::DtrGuide;
use crate::state::State;
use crate::wire::interaction;
use crate::wire::resource::Questionnaire;
use crate::wire::{BackendToken, FhirFailure, FhirResponse, Guide};
use axum::extract::{Path, Query, State as AppState};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};

/// The supported search parameters. Others are ignored and do not appear in the `self` link of the result.
#[derive(Debug, Deserialize)]
pub(super) struct SearchParameters {
    url: Option<String>,
    version: Option<String>,
}

/// `GET Questionnaire/{id}`: the newest current version; if none is current, the newest version.
pub(super) async fn read(
    AppState(state): AppState<State>,
    _: BackendToken<Questionnaire, interaction::Read>,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    let policy_set = state.policy_set();
    let form = newest_version(&policy_set.forms, &id, state.now().date_naive())
        .ok_or_else(|| Error::not_found("questionnaire", &id))?;
    Ok(FhirResponse::read(&form.questionnaire(&state.config.public_url)))
}

fn newest_version<'f>(forms: &'f Forms, name: &str, today: NaiveDate) -> Option<&'f Form> {
    let versions = || forms.all().filter(|form| form.name() == name);
    let current = versions()
        .filter(|form| form.is_current(today))
        .max_by_key(|form| form.version());
    current.or_else(|| versions().max_by_key(|form| form.version()))
}

/// `GET Questionnaire?url=…&version=…`.
pub(super) async fn search(
    AppState(state): AppState<State>,
    _: BackendToken<Questionnaire, interaction::Search>,
    Guide(guide): Guide<DtrGuide>,
    Query(parameters): Query<SearchParameters>,
) -> Result<FhirResponse, FhirFailure> {
    let public_url = &state.config.public_url;
    let address = format!("{public_url}{}/Questionnaire", guide.base_path);
    Ok(FhirResponse::ok(&search_result(
        &state.policy_set().forms,
        &parameters,
        public_url,
        &address,
    )?))
}

/// The Bundle of type `searchset`. `address` is the search address without parameters.
fn search_result(
    forms: &Forms,
    parameters: &SearchParameters,
    public_url: &str,
    address: &str,
) -> Result<Value> {
    let (url, version_in_url) = match parameters
        .url
        .as_deref()
        .map(|url| url.split_once('|').unwrap_or((url, "")))
    {
        Some((url, version)) => (Some(url), Some(version).filter(|v| !v.is_empty())),
        None => (None, None),
    };
    let matches = |form: &&Form| {
        let version = form.version().to_string();
        url.is_none_or(|url| form.url(public_url) == url)
            && [parameters.version.as_deref(), version_in_url]
                .into_iter()
                .flatten()
                .all(|requested| requested == version)
    };
    let entries: Vec<Value> = forms
        .all()
        .filter(matches)
        .map(|form| entry(form, public_url))
        .collect();
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": entries.len(),
        "link": [{ "relation": "self", "url": self_link(parameters, address)? }],
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

/// The search with the parameters that were used.
fn self_link(parameters: &SearchParameters, address: &str) -> Result<String> {
    let used: Vec<(&str, &str)> = [("url", &parameters.url), ("version", &parameters.version)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    if used.is_empty() {
        return Ok(address.to_owned());
    }
    let link = url::Url::parse_with_params(address, used).map_err(Error::internal)?;
    Ok(link.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples::{PUBLIC, forms};

    const ADDRESS: &str = "https://plan.example/dtr/2.2/Questionnaire";

    /// The canonicals that a search finds.
    fn search(url: Option<&str>, version: Option<&str>) -> Vec<String> {
        let forms = forms(&[
            ("oxygen", "1.0.0", true),
            ("oxygen", "1.1.0", true),
            ("beds", "1.0.0", true),
        ]);
        let parameters = SearchParameters {
            url: url.map(str::to_owned),
            version: version.map(str::to_owned),
        };
        let bundle = search_result(&forms, &parameters, PUBLIC, ADDRESS).unwrap();
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
        assert_eq!(search(None, None).len(), 3);
        assert_eq!(
            search(Some(oxygen), None),
            [format!("{oxygen}|1.0.0"), format!("{oxygen}|1.1.0")]
        );
        assert_eq!(search(Some(oxygen), Some("1.1.0")), [format!("{oxygen}|1.1.0")]);
        assert_eq!(
            search(Some(&format!("{oxygen}|1.1.0")), None),
            [format!("{oxygen}|1.1.0")]
        );
        assert!(search(Some("https://other.example/dtr/2.2/Questionnaire/oxygen"), None).is_empty());
        assert!(search(Some(oxygen), Some("9.0.0")).is_empty());
    }

    #[test]
    fn the_self_link_has_the_parameters_that_were_used() {
        let parameters = SearchParameters {
            url: Some("https://a/b c".into()),
            version: None,
        };
        assert_eq!(
            self_link(&parameters, ADDRESS).unwrap(),
            "https://plan.example/dtr/2.2/Questionnaire?url=https%3A%2F%2Fa%2Fb+c"
        );
    }

    #[test]
    fn a_read_returns_the_newest_current_version() {
        let forms = forms(&[
            ("oxygen", "1.0.0", true),
            ("oxygen", "1.10.0", true),
            ("oxygen", "1.9.0", true),
        ]);
        let day = "2026-10-01".parse().unwrap();
        assert_eq!(
            newest_version(&forms, "oxygen", day).unwrap().key(),
            "oxygen|1.10.0"
        );
        assert!(newest_version(&forms, "beds", day).is_none());
    }
}
