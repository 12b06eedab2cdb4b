//! Requests for what the FHIR APIs do not offer: another resource type, another interaction, a history. The
//! `OperationOutcome` names what is offered, as the CapabilityStatement of the base says.

use super::audience;
use crate::error::{Error, ErrorKind};
use crate::fhir;
use crate::state::State;
use crate::wire::FhirFailure;
use crate::{access, dtr, pas};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The last segment, or the one before it, of every request for a history.
const HISTORY: &str = "_history";

/// The response to a URL without a route.
pub(super) async fn unknown_url(Shared(state): Shared<State>, uri: Uri, headers: HeaderMap) -> Response {
    refuse(
        ErrorKind::NotFound,
        "There is no resource at this URL",
        &state,
        &uri,
        &headers,
    )
}

/// The response of a URL to a method that it does not support. The header `Allow` names the methods that it does.
pub(super) async fn unknown_method(Shared(state): Shared<State>, uri: Uri, headers: HeaderMap) -> Response {
    let message = "This URL does not support this method";
    refuse(ErrorKind::MethodNotAllowed, message, &state, &uri, &headers)
}

/// A person gets a page. A program that called a FHIR base also reads what is offered there.
fn refuse(kind: ErrorKind, message: &str, state: &State, uri: &Uri, headers: &HeaderMap) -> Response {
    let message = if audience::prefers_page(headers) {
        message.to_owned()
    } else {
        with_offer(message, state, uri.path())
    };
    audience::respond(Error::new(kind, message), uri.path(), headers)
}

/// Answers requests for a history (`history` and `vread`), which no base offers.
pub(super) async fn refuse_history(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let asks_for_history = path.rsplit('/').take(2).any(|segment| segment == HISTORY);
    if !asks_for_history || statement(&state, path).is_none() {
        return next.run(request).await;
    }
    let message = with_offer("This server keeps no history of resources", &state, path);
    FhirFailure::from(Error::new(ErrorKind::NotImplemented, message)).into_response()
}

/// The message with what is offered: by the resource type in the path, or by the base if the path names none of its
/// types. The path itself is not repeated because the caller may have typed anything.
fn with_offer(message: &str, state: &State, path: &str) -> String {
    let Some((base, statement)) = statement(state, path) else {
        return message.to_owned();
    };
    let resources: Vec<&Value> =
        fhir::list(statement.pointer("/rest/0").unwrap_or(&Value::Null), "resource").collect();
    let is_in_path = |resource: &&&Value| {
        let segment = path.strip_prefix(base).and_then(|rest| rest.split('/').nth(1));
        segment.is_some() && fhir::text(resource, &["type"]) == segment
    };
    if let Some(resource) = resources.iter().find(is_in_path) {
        return format!("{message}. {base} offers {}", offer(resource));
    }
    let all: Vec<String> = resources.iter().map(|resource| offer(resource)).collect();
    format!("{message}. {base} offers {}", all.join("; "))
}

/// What a resource type offers: `Patient: read, search-type`.
fn offer(resource: &Value) -> String {
    let interactions =
        fhir::list(resource, "interaction").filter_map(|i| fhir::text(i, &["code"]).map(str::to_owned));
    let operations =
        fhir::list(resource, "operation").filter_map(|o| Some(format!("${}", fhir::text(o, &["name"])?)));
    let offered: Vec<String> = interactions.chain(operations).collect();
    let resource_type = fhir::text(resource, &["type"]).unwrap_or("");
    format!("{resource_type}: {}", offered.join(", "))
}

/// The FHIR base that a path is below, with its CapabilityStatement.
fn statement(state: &State, path: &str) -> Option<(&'static str, Value)> {
    let public_url = &state.config.public_url;
    access::capability_statement(path, public_url)
        .or_else(|| dtr::capability_statement(path, public_url))
        .or_else(|| pas::capability_statement(path, public_url))
}
