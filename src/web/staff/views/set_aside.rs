//! The view of what may not decide a case.

use serde::Serialize;

/// A resource or an answer that may not decide.
#[derive(Debug, Serialize)]
pub struct SetAsideRow {
    /// What it is: `Observation/spo2`, or the question of an answer.
    pub name: String,
    /// What it says.
    pub content: Option<String>,
    /// Its place in the request.
    pub place: String,
    /// Why it may not decide.
    pub reason: String,
}
