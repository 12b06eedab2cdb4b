//! The output of `$questionnaire-package` (DTR 2.2.0, profiles `dtr-qpackage-output-parameters` and
//! `DTR-QPackageBundle`): one Bundle per form with the Questionnaire and the draft QuestionnaireResponse, then the
//! OperationOutcome.

use super::form_selection::{FormPackage, intended_uses, order_references};
use crate::clock::new_id;
use crate::error::Issue;
use crate::fhir::dates::instant_text;
use crate::fhir::outcome::operation_outcome;
use crate::forms::draft::Draft;
use crate::ig::dtr::{DtrGuide, Profile};
use crate::rules::CaseDocument;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The data that all packages of a response share.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackageHeader<'a> {
    /// The DTR version of the request.
    pub guide: &'static DtrGuide,
    /// The public address of this server.
    pub public_url: &'a str,
    /// When the request was received.
    pub now: DateTime<Utc>,
    /// The patient, as the client references it.
    pub subject: &'a str,
    /// The coverage, as the client references it.
    pub coverage: &'a str,
}

/// The output Parameters. The profile requires at least one parameter: without packages and issues, the outcome says
/// that no form is needed.
pub(super) fn output_parameters(
    packages: &[FormPackage<'_>],
    issues: &[Issue],
    header: PackageHeader<'_>,
) -> Value {
    let guide = header.guide;
    let mut parameters: Vec<Value> = packages
        .iter()
        .map(|package| json!({ "name": guide.package_parameter, "resource": bundle(package, header) }))
        .collect();
    let no_form = [Issue::information("No form is needed")];
    let issues = if packages.is_empty() && issues.is_empty() {
        &no_form
    } else {
        issues
    };
    if !issues.is_empty() {
        parameters.push(json!({ "name": guide.outcome_parameter, "resource": operation_outcome(issues) }));
    }
    json!({
        "resourceType": "Parameters",
        "meta": { "profile": [guide.profile(Profile::PackageOutput)] },
        "parameter": parameters,
    })
}

fn bundle(package: &FormPackage<'_>, header: PackageHeader<'_>) -> Value {
    let form = package.form;
    // One order's facts do not apply to the others; the evidence is common to all.
    let only = match package.orders.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    let first = package.orders.first().map(|order| &order.document);
    let draft = Draft {
        guide: header.guide,
        form,
        public_url: header.public_url,
        authored: header.now,
        subject: header.subject,
        coverage: header.coverage,
        orders: &order_references(package),
        intended_use: &intended_uses(package),
        order: only.map(|only| only.order),
        item: only.and_then(|only| only.document.item()),
        evidence: first.map(|document| document.evidence().as_json()),
        zone: first.map(CaseDocument::zone),
    };
    json!({
        "resourceType": "Bundle",
        "meta": { "profile": [header.guide.profile(Profile::PackageBundle)] },
        "type": "collection",
        "timestamp": instant_text(header.now),
        "entry": [
            { "fullUrl": form.url(header.public_url), "resource": form.questionnaire(header.public_url) },
            { "fullUrl": format!("urn:uuid:{}", new_id(header.now)), "resource": draft.response() },
        ],
    })
}
