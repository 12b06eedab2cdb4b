//! The member API: a member's prior authorizations in FHIR for the apps that the member chooses (42 CFR
//! 422.119(b)(1)(iv) and the same rule in 431.60, 457.730 and 45 CFR 156.221; PDex 2.2.0). The module also provides the
//! same information in plain words for the member's page (`summary`).
//!
//! Responses are computed from the case as it is at the time of the call. What was built for the same version of a case is
//! taken from memory. Every token is for one member, and only that member's records are loaded. This module only reads; it changes nothing and decides nothing.

mod adjudication;
mod authorizations;
mod capability;
mod codes;
mod date_range;
mod explanation_of_benefit;
mod item;
mod json;
mod member_status;
mod records;
mod related;
mod search;
mod searchable;
mod searchset;
mod sort;
mod stored_request;
mod subset;
pub mod summary;

#[cfg(test)]
mod api_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use member_status::MemberStatus;

use crate::auth::{AppCaller, Permission};
use crate::error::{Error, ErrorKind};
use crate::fhir::decimals;
use crate::fhir::json::is_storable;
use crate::ig::is_below;
use crate::ig::pdex::PdexVersion;
use crate::state::State;
use crate::wire::interaction;
use crate::wire::resource::{
    Coverage, ExplanationOfBenefit, Location, Organization, Patient, Practitioner, QuestionnaireResponse,
    ResourceType,
};
use crate::wire::{AppToken, FORM_BYTES, FhirFailure, FhirResponse, Handling, read_body};
use authorizations::Authorizations;
use axum::Router;
use axum::extract::{self, Path, RawQuery, Request};
use axum::http::header;
use axum::routing::{get, post};
use explanation_of_benefit::ResponseContext;
use records::MemberRecords;
use search::{Search, SearchableType};
use serde_json::Value;
use stored_request::PAYER_REFERENCE;
use subset::Subset;
use uuid::Uuid;

/// The path of this FHIR base below the server's public URL.
pub const BASE: &str = PdexVersion::NEWEST.guide().base_path;

/// A resource type that apps can search, with its search parameters.
trait Searchable: ResourceType {
    /// The search parameters of the type.
    const SEARCH: &'static SearchableType;
}

impl Searchable for ExplanationOfBenefit {
    const SEARCH: &'static SearchableType = &searchable::EXPLANATION_OF_BENEFIT;
}

impl Searchable for Patient {
    const SEARCH: &'static SearchableType = &searchable::PATIENT;
}

impl Searchable for Coverage {
    const SEARCH: &'static SearchableType = &searchable::COVERAGE;
}

/// The routes of the member's FHIR API.
pub fn routes() -> Router<State> {
    Router::new()
        .route(&format!("{BASE}/metadata"), get(metadata))
        .merge(searchable_routes::<ExplanationOfBenefit>())
        .merge(searchable_routes::<Patient>())
        .merge(searchable_routes::<Coverage>())
        .merge(read_route::<Organization>())
        .merge(read_route::<Practitioner>())
        .merge(read_route::<Location>())
        .merge(read_route::<QuestionnaireResponse>())
}

/// Search by GET and by POST, and read, of one resource type.
fn searchable_routes<R: Searchable>() -> Router<State> {
    Router::new()
        .route(&format!("{BASE}/{}", R::NAME), get(search_by_query::<R>))
        .route(&format!("{BASE}/{}/_search", R::NAME), post(search_by_form::<R>))
        .merge(read_route::<R>())
}

fn read_route<R: ResourceType>() -> Router<State> {
    Router::new().route(&format!("{BASE}/{}/{{id}}", R::NAME), get(read::<R>))
}

fn not_a_form() -> Error {
    Error::new(
        ErrorKind::UnsupportedMediaType,
        "The body must be a form: set Content-Type to application/x-www-form-urlencoded",
    )
}

async fn metadata(extract::State(state): extract::State<State>) -> FhirResponse {
    FhirResponse::read(&capability::statement(&state.config.public_url))
}

/// The path of this FHIR base and its CapabilityStatement, if a path is below it.
pub fn capability_statement(path: &str, public_url: &str) -> Option<(&'static str, Value)> {
    is_below(path, BASE).then(|| (BASE, capability::statement(public_url)))
}

/// `GET [type]?…`.
async fn search_by_query<R: Searchable>(
    extract::State(state): extract::State<State>,
    AppToken { caller, .. }: AppToken<R, interaction::Search>,
    handling: Handling,
    RawQuery(query): RawQuery,
) -> Result<FhirResponse, FhirFailure> {
    let pairs = pairs(query.as_deref().unwrap_or("").as_bytes()).collect();
    search(R::SEARCH, &state, &caller, pairs, handling).await
}

/// `POST [type]/_search`, with parameters in the query, the form, or both.
async fn search_by_form<R: Searchable>(
    extract::State(state): extract::State<State>,
    AppToken { caller, .. }: AppToken<R, interaction::Search>,
    handling: Handling,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<FhirResponse, FhirFailure> {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(not_a_form().into());
    }
    let form = read_body(request, FORM_BYTES).await?;
    let of_query = pairs(query.as_deref().unwrap_or("").as_bytes());
    search(
        R::SEARCH,
        &state,
        &caller,
        of_query.chain(pairs(&form)).collect(),
        handling,
    )
    .await
}

/// The names and values of a query string or a form.
fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(text).into_owned()
}

/// Whether a search can use a name or a value.
fn is_usable(text: &str) -> bool {
    text.len() <= 1024 && is_storable(text)
}

async fn search(
    searchable: &'static SearchableType,
    state: &State,
    caller: &AppCaller,
    pairs: Vec<(String, String)>,
    handling: Handling,
) -> Result<FhirResponse, FhirFailure> {
    if !pairs
        .iter()
        .all(|(name, value)| is_usable(name) && is_usable(value))
    {
        let message = "A search parameter is longer than 1024 bytes or contains the character U+0000";
        return Err(Error::malformed(message).into());
    }
    let search = Search::parse(searchable, pairs, &state.url(BASE), handling)?;
    if searchable.name == ExplanationOfBenefit::NAME {
        return Ok(FhirResponse::text(
            Authorizations::of(state, caller).search(&search).await?,
        ));
    }
    let records = MemberRecords::load(&state.store, caller, &[]).await?;
    let policy_set = state.policy_set();
    let context = context(state, policy_set.rules.denial_reasons());
    let may_read = |resource_type: &str| caller.may(resource_type, Permission::Read);
    let bundle = searchset::searchset(&records, searchable, &search, context, &may_read);
    Ok(FhirResponse::text(bundle))
}

/// `GET [type]/[id]`, with `_summary` or `_elements` for a part of the resource.
async fn read<R: ResourceType>(
    extract::State(state): extract::State<State>,
    AppToken { caller, .. }: AppToken<R, interaction::Read>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<FhirResponse, FhirFailure> {
    let resource_type = R::NAME;
    let subset = requested_part(query.as_deref().unwrap_or(""))?;
    let found = find(&state, &caller, resource_type, &id).await?;
    // The id is not repeated because the caller may have typed anything.
    let found = found.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("{resource_type} not found for this member"),
        )
    })?;
    let part = subset.of(found);
    Ok(FhirResponse::read_text(decimals::write(&part), &part))
}

/// The resource of the member with this type and id.
async fn find(
    state: &State,
    caller: &AppCaller,
    resource_type: &str,
    id: &str,
) -> Result<Option<Value>, Error> {
    let reference = format!("{resource_type}/{id}");
    let own = matches!(resource_type, "Patient" | "Coverage") || reference == PAYER_REFERENCE;
    if own {
        let records = MemberRecords::load(&state.store, caller, &[]).await?;
        let policy_set = state.policy_set();
        let context = context(state, policy_set.rules.denial_reasons());
        return Ok(records.resource_at(&reference, context));
    }
    let authorizations = Authorizations::of(state, caller);
    if resource_type != ExplanationOfBenefit::NAME {
        return authorizations.read_related(&reference).await;
    }
    // A case has one id, in lower case.
    let Some(case) = id.parse().ok().filter(|case: &Uuid| case.to_string() == id) else {
        return Ok(None);
    };
    let found = authorizations.read(case).await?;
    found.map(|resource| authorizations::value(&resource)).transpose()
}

/// The part of a resource that the query of a read asks for. A read has no other parameters.
fn requested_part(query: &str) -> Result<Subset, Error> {
    let mut subset = Subset::Whole;
    for (name, value) in pairs(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        if matches!(name.as_str(), "_summary" | "_elements") {
            subset = Subset::parse(&name, &value)?;
        }
    }
    match subset {
        Subset::Count => Err(search::invalid_parameter(
            "_summary",
            "can be count in a search only",
        )),
        other => Ok(other),
    }
}

fn context<'a>(state: &'a State, denial_reasons: &'a [crate::rules::DenialReason]) -> ResponseContext<'a> {
    ResponseContext {
        public_url: &state.config.public_url,
        payer: &state.config.payer,
        denial_reasons,
        now: state.now(),
    }
}
