//! Finds the caller's subscriptions: `GET Subscription` with the search parameters of the backport guide, and the
//! operation `$status` (Subscriptions R5 Backport for R4, 1.1.0).

use super::notification::status_parameters;
use super::rest_hook::endpoint;
use super::subscription::{find_own, resource_json, url};
use crate::auth::BackendCaller;
use crate::error::{Error, Result};
use crate::fhir::put;
use crate::ig::pas::PasGuide;
use crate::state::State;
use crate::store::subscriptions::Subscription;
use crate::wire::interaction::{Read, Search};
use crate::wire::resource;
use crate::wire::{BackendToken, FhirFailure, FhirResponse, Guide, Handling};
use axum::extract::{Path, Query, State as StateExtractor};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

/// The supported search parameters with their types.
pub(super) const SEARCH_PARAMETERS: [(&str, &str); 3] =
    [("_id", "token"), ("url", "uri"), ("status", "token")];

/// `GET Subscription?url=…&status=…&_id=…`: the client's subscriptions that match. Several values of a parameter are
/// alternatives.
pub async fn search(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Search>,
    handling: Handling,
    Query(mut pairs): Query<Vec<(String, String)>>,
) -> Result<FhirResponse, FhirFailure> {
    pairs.retain(|(_, value)| !value.is_empty());
    let is_supported = |name: &str| SEARCH_PARAMETERS.iter().any(|(supported, _)| *supported == name);
    if handling == Handling::Lenient {
        pairs.retain(|(name, _)| is_supported(name));
    } else if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_supported(name)) {
        return Err(unsupported_parameter(name).into());
    }
    let now = state.now();
    let mut own = find_all_own(&state, &caller).await?;
    own.retain(|subscription| {
        pairs
            .iter()
            .all(|(name, values)| matches(subscription, name, values, now))
    });
    let entries = own.iter().map(|subscription| {
        json!({
            "fullUrl": url(&state, guide, subscription.id),
            "resource": resource_json(subscription, now),
            "search": { "mode": "match" },
        })
    });
    let mut bundle = searchset(entries.collect());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&pairs)
        .finish();
    let separator = if query.is_empty() { "" } else { "?" };
    let address = format!(
        "{}{}/Subscription{separator}{query}",
        state.config.public_url, guide.base_path
    );
    put(
        &mut bundle,
        "link",
        json!([{ "relation": "self", "url": address }]),
    );
    Ok(FhirResponse::ok(&bundle))
}

fn unsupported_parameter(name: &str) -> Error {
    let supported = SEARCH_PARAMETERS.map(|(name, _)| name).join(", ");
    Error::malformed(format!(
        "The search parameter {name} is not supported for Subscription. Supported: {supported}"
    ))
}

fn matches(subscription: &Subscription, name: &str, values: &str, now: DateTime<Utc>) -> bool {
    let id = subscription.id.to_string();
    let own = match name {
        "_id" => &id,
        "url" => return endpoint(&subscription.doc) == Some(values),
        _ => subscription.status_at(now),
    };
    values
        .split(',')
        .any(|value| value.rsplit('|').next() == Some(own))
}

/// `Subscription/{id}/$status`.
pub async fn status(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Path(id): Path<String>,
) -> Result<FhirResponse, FhirFailure> {
    let own = find_own(&state, &caller, &id).await?;
    Ok(FhirResponse::ok(&searchset(vec![status_entry(
        &state, guide, &own,
    )])))
}

/// `Subscription/$status`: of the client's subscriptions with the ids and statuses in the query. A parameter that is not
/// in the query does not restrict the result.
pub async fn status_of_all(
    StateExtractor(state): StateExtractor<State>,
    Guide(guide): Guide<PasGuide>,
    BackendToken { caller, .. }: BackendToken<resource::Subscription, Read>,
    Query(filters): Query<Vec<(String, String)>>,
) -> Result<FhirResponse, FhirFailure> {
    let now = state.now();
    let is_wanted = |name: &str, value: &str| {
        let mut of_name = filters.iter().filter(|(n, _)| n == name).peekable();
        of_name.peek().is_none() || of_name.any(|(_, v)| v.split(',').any(|part| part == value))
    };
    let own = find_all_own(&state, &caller).await?;
    let wanted = own
        .iter()
        .filter(|s| is_wanted("id", &s.id.to_string()) && is_wanted("status", s.status_at(now)));
    let entries = wanted.map(|subscription| status_entry(&state, guide, subscription));
    Ok(FhirResponse::ok(&searchset(entries.collect())))
}

fn status_entry(state: &State, guide: &PasGuide, subscription: &Subscription) -> Value {
    let mut parameters = status_parameters(
        &url(state, guide, subscription.id),
        subscription.status_at(state.now()),
        "query-status",
        subscription.event_count,
        None,
    );
    // Every resource of a searchset has an id.
    let id = state.new_id();
    put(&mut parameters, "id", json!(id));
    let full_url = format!("urn:uuid:{id}");
    json!({ "fullUrl": full_url, "resource": parameters, "search": { "mode": "match" } })
}

fn searchset(entries: Vec<Value>) -> Value {
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len() });
    if !entries.is_empty() {
        put(&mut bundle, "entry", Value::Array(entries));
    }
    bundle
}

async fn find_all_own(state: &State, caller: &BackendCaller) -> Result<Vec<Subscription>> {
    let client = caller.client.id;
    state
        .store
        .read_one(client, |tx, id| {
            Box::pin(async move { tx.subscriptions_of(*id).await })
        })
        .await
}
