//! The member's side: prior authorizations as a FHIR API for apps of the member's choice (42 CFR 422.119(b)(1)(iv) and
//! its twins; PDex 2.2.0), and the same in words for the member's page.
//!
//! Answers are computed from the case at every read, so there is nothing to bring up to date. Every token is for one
//! member; whatever is asked, only that member's records are looked at. This door reads; it changes nothing and decides
//! nothing.

mod adjudication;
mod answer;
mod build;
mod capability;
mod chart;
mod explanation_of_benefit;
mod kinds;
mod line;
mod names;
mod parties;
mod request;
mod search;
mod sensitive;
mod span;
pub mod timeline;
mod words;

#[cfg(test)]
mod door_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use words::Standing;

use crate::auth::App;
use crate::error::{Error, Kind as Failed};
use crate::state::State;
use crate::wire::{AppToken, FhirFailure, FhirResponse, not_allowed};
use axum::Router;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{Path, RawForm, RawQuery, State as Shared};
use axum::http::{Method, header};
use axum::routing::get;
use chart::{Cases, Chart};
use explanation_of_benefit::Setting;
use search::{Kind, Search};
use tower_http::cors::{Any, CorsLayer};

/// The path of this FHIR base below the public address.
pub const BASE: &str = "/fhir/pdex";

/// Types that can be read and not searched.
const READABLE: [&str; 4] = request::SERVED;

/// The routes of the member's FHIR API. Browser apps of any origin may call: what counts is the token.
pub fn routes() -> Router<State> {
    let mut router = Router::new().route(&format!("{BASE}/metadata"), get(metadata));
    for kind in kinds::ALL {
        let by_query = move |Shared(state): Shared<State>,
                             AppToken(app): AppToken,
                             RawQuery(query): RawQuery| async move {
            find(kind, &state, &app, query.as_deref().unwrap_or(""), b"").await
        };
        let by_form = move |Shared(state): Shared<State>,
                            AppToken(app): AppToken,
                            RawQuery(query): RawQuery,
                            form: Result<RawForm, RawFormRejection>| async move {
            let RawForm(form) = form.map_err(|_| not_a_form())?;
            find(kind, &state, &app, query.as_deref().unwrap_or(""), &form).await
        };
        router = router
            .route(&format!("{BASE}/{}", kind.name), get(by_query))
            .route(
                &format!("{BASE}/{}/_search", kind.name),
                axum::routing::post(by_form),
            )
            .route(&format!("{BASE}/{}/{{id}}", kind.name), read_of(kind.name));
    }
    for name in READABLE {
        router = router.route(&format!("{BASE}/{name}/{{id}}"), read_of(name));
    }
    router.method_not_allowed_fallback(not_allowed).layer(cors())
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
}

fn not_a_form() -> Error {
    Error::new(
        Failed::UnsupportedMedia,
        "Send the search as application/x-www-form-urlencoded",
    )
}

fn read_of(kind: &'static str) -> axum::routing::MethodRouter<State> {
    get(
        move |Shared(state): Shared<State>, AppToken(app): AppToken, Path(id): Path<String>| async move {
            read(kind, &state, &app, &id).await
        },
    )
}

async fn metadata(Shared(state): Shared<State>) -> FhirResponse {
    FhirResponse::ok(&capability::statement(&state.config.public_url))
}

async fn find(
    kind: &'static Kind,
    state: &State,
    app: &App,
    query: &str,
    form: &[u8],
) -> Result<FhirResponse, FhirFailure> {
    app.require(kind.name, 's')?;
    let pairs = [query.as_bytes(), form]
        .into_iter()
        .flat_map(|text| url::form_urlencoded::parse(text).into_owned());
    let search = Search::read(kind, pairs.collect(), &state.url(BASE))?;
    let chart = Chart::load(&state.store, app, Cases::All).await?;
    let published = state.published();
    let setting = setting(state, published.rules.denial_reasons());
    let may = |kind: &str| app.require(kind, 'r').is_ok();
    Ok(FhirResponse::ok(&answer::searchset(
        &chart, kind, &search, setting, &may,
    )))
}

async fn read(kind: &'static str, state: &State, app: &App, id: &str) -> Result<FhirResponse, FhirFailure> {
    app.require(kind, 'r')?;
    let cases = match kind {
        "Patient" | "Coverage" => Cases::None,
        "ExplanationOfBenefit" => id.parse().map_or(Cases::None, Cases::One),
        _ => Cases::All,
    };
    let chart = Chart::load(&state.store, app, cases).await?;
    let published = state.published();
    let setting = setting(state, published.rules.denial_reasons());
    let found = chart.at(&format!("{kind}/{id}"), setting);
    // The id is not repeated: it may be anything that a caller typed.
    let found = found.ok_or_else(|| {
        Error::new(
            Failed::NotFound,
            format!("There is no such {kind} for this member"),
        )
    })?;
    Ok(FhirResponse::ok(&found))
}

fn setting<'a>(state: &'a State, reasons: &'a [crate::rules::DenialReason]) -> Setting<'a> {
    Setting {
        public_url: &state.config.public_url,
        payer: &state.config.payer,
        reasons,
        now: state.now(),
    }
}
