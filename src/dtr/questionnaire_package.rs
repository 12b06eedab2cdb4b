//! `$questionnaire-package`: read the call, find member, coverage and context, judge the orders, choose the forms,
//! answer (DTR 2.2.0, operation `questionnaire-package`). Nothing is stored: what a client sends here serves this
//! answer alone (sec-9).

use super::choice::{self, Ground};
use super::member::{self, Known};
use super::orders::{self, Judged, Stored};
use super::package::{self, Frame};
use super::request::Request;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Code, Issue};
use crate::fhir::text;
use crate::state::{Published, State};
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as Held;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The handler.
pub(super) async fn post(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Questionnaire", 'r')?;
    let now = state.now();
    let request = Request::read(&body.value)?;
    let known = member::look_up(&state, caller.client.id, &request, now).await?;
    let house = House {
        published: &state.published(),
        public_url: &state.config.public_url,
        phone: &state.config.payer.phone,
    };
    let answer = answer(&request, &known, house, now)?;
    metrics::counter!("assent_dtr_packages_total").increment(1);
    Ok(FhirResponse::ok(&answer))
}

/// What the plan brings to an answer.
#[derive(Clone, Copy)]
struct House<'a> {
    published: &'a Published,
    public_url: &'a str,
    phone: &'a str,
}

fn answer(request: &Request<'_>, known: &Known, house: House<'_>, now: DateTime<Utc>) -> Result<Value> {
    let stored = known.assertion.as_ref().map(Stored::read).transpose()?;
    let judged = orders::judge(request, stored.as_ref(), &known.insured, house.published, now);
    let ground = Ground {
        forms: &house.published.forms,
        today: now.with_timezone(&known.insured.coverage.zone).date_naive(),
        published: known.published,
        phone: house.phone,
    };
    let (packages, chosen) = choice::choose(request, &judged, ground);
    let mut issues = request.remarks.clone();
    if !known.insured.in_force {
        let message = "The coverage is not in force today";
        issues.push(Issue::warning(Code::BusinessRule, request.coverage.path.clone(), message));
    }
    issues.extend(choice::remarks(&judged, stored.is_some()));
    issues.extend(chosen);
    let frame = Frame {
        public_url: house.public_url,
        now,
        subject: &subject(request, known, &judged)?,
        coverage: &coverage(request, known)?,
    };
    Ok(package::answer(&packages, &issues, frame))
}

/// The patient on the client: of the coverage, of an order, or of the hook.
fn subject(request: &Request<'_>, known: &Known, judged: &[Judged<'_>]) -> Result<String> {
    let of_hook = || known.assertion.as_ref().map(|a| a.patient_ref.as_str());
    let candidates = [text(request.coverage.what, &["beneficiary", "reference"]), choice::subject(judged), of_hook()];
    let outside = candidates.into_iter().flatten().find(|r| is_the_clients(r));
    let at = format!("{}.beneficiary", request.coverage.path);
    outside
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid(at, "The coverage does not say whose it is, so no response can be drafted"))
}

/// The coverage on the client.
fn coverage(request: &Request<'_>, known: &Known) -> Result<String> {
    let sent = text(request.coverage.what, &["id"]).map(|id| format!("Coverage/{id}"));
    let of_hook = || known.assertion.as_ref().map(|a| a.coverage_ref.clone());
    let at = format!("{}.id", request.coverage.path);
    sent.or_else(of_hook)
        .ok_or_else(|| Error::invalid(at, "The coverage has no id, so no response can point at it"))
}

/// A reference that leads to a resource of the client: not into a resource, not nowhere.
fn is_the_clients(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with('#')
}
