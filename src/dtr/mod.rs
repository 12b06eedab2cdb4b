//! The DTR API (Da Vinci DTR 2.2.0): the forms that an order needs with a draft of the answers
//! (`$questionnaire-package`), reading and searching questionnaires, and error reports from clients
//! (`$log-questionnaire-errors`). Policies (`rules`) say which form an order needs; `forms` holds the questionnaires.

mod admission;
mod capability;
mod form_selection;
mod log_errors;
mod member;
mod orders;
mod package;
mod questionnaire;
mod questionnaire_package;
mod request;
#[cfg(test)]
mod samples;

pub use capability::statement_for as capability_statement;

use crate::ig::dtr::DtrVersion;
use crate::state::State;
use axum::Router;
use axum::routing::{get, post};

/// The routes of every DTR version. The guide's text calls the operations at the base path, its operation definitions
/// at `Questionnaire`: both addresses are served.
pub fn routes() -> Router<State> {
    DtrVersion::SERVED
        .into_iter()
        .map(|version| version_routes(version.guide().base_path))
        .fold(Router::new(), Router::merge)
}

fn version_routes(base: &str) -> Router<State> {
    let operations = [
        ("questionnaire-package", post(questionnaire_package::post)),
        ("log-questionnaire-errors", post(log_errors::post)),
    ];
    let mut router = Router::new()
        .route(&format!("{base}/metadata"), get(capability::get))
        .route(&format!("{base}/Questionnaire"), get(questionnaire::search))
        .route(&format!("{base}/Questionnaire/{{id}}"), get(questionnaire::read));
    for (name, handler) in operations {
        router = router
            .route(&format!("{base}/${name}"), handler.clone())
            .route(&format!("{base}/Questionnaire/${name}"), handler);
    }
    router
}
