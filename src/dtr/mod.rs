//! The DTR door: the forms that an order needs, with a draft of the answers (`$questionnaire-package`), the forms
//! themselves, and what went wrong with them at the client (`$log-questionnaire-errors`). Da Vinci DTR 2.2.0. Which
//! form an order needs is said by policies (`rules`), what a form holds by `forms`; nothing is decided here.

mod capability;
mod choice;
mod log_errors;
mod member;
mod orders;
mod package;
mod questionnaire;
mod questionnaire_package;
mod request;
#[cfg(test)]
mod samples;

use crate::state::State;
use axum::Router;
use axum::routing::{get, post};

/// Where the forms stand below the public address.
const BASE: &str = "/dtr/2.2";

/// The routes of the 2.2 base. The guide's text puts the operations at the base, its definitions at the type: both
/// are served.
pub fn routes() -> Router<State> {
    let operations = [
        ("questionnaire-package", post(questionnaire_package::post)),
        ("log-questionnaire-errors", post(log_errors::post)),
    ];
    let mut router = Router::new()
        .route(&format!("{BASE}/metadata"), get(capability::get))
        .route(&format!("{BASE}/Questionnaire"), get(questionnaire::search))
        .route(&format!("{BASE}/Questionnaire/{{id}}"), get(questionnaire::read));
    for (name, handler) in operations {
        router = router
            .route(&format!("{BASE}/${name}"), handler.clone())
            .route(&format!("{BASE}/Questionnaire/${name}"), handler);
    }
    router
}
