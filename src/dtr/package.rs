//! What goes out of `$questionnaire-package` (DTR 2.2.0, profiles `dtr-qpackage-output-parameters` and
//! `DTR-QPackageBundle`): one bundle for each form, the form first, then the draft response; then the outcome.

use super::choice::{Package, purposes, references};
use super::orders::facts_of;
use crate::clock::new_id;
use crate::fhir::dates::instant_text;
use crate::fhir::outcome::{Issue, operation_outcome};
use crate::forms::draft::Draft;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const DTR: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/";

/// What every package of a call shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The public address of this server.
    pub public_url: &'a str,
    /// The instant of the call.
    pub now: DateTime<Utc>,
    /// The patient, as the client references it.
    pub subject: &'a str,
    /// The coverage, as the client references it.
    pub coverage: &'a str,
}

/// The whole answer. With neither a package nor an issue the outcome says that nothing is needed: the profile wants
/// at least one parameter.
pub(super) fn answer(packages: &[Package<'_>], issues: &[Issue], frame: Frame<'_>) -> Value {
    let mut parameters: Vec<Value> = packages
        .iter()
        .map(|package| json!({ "name": "packagebundle", "resource": bundle(package, frame) }))
        .collect();
    let nothing = [Issue::information("No form is needed")];
    let issues = if packages.is_empty() && issues.is_empty() {
        &nothing
    } else {
        issues
    };
    if !issues.is_empty() {
        parameters.push(json!({ "name": "outcome", "resource": operation_outcome(issues) }));
    }
    json!({
        "resourceType": "Parameters",
        "meta": { "profile": [format!("{DTR}dtr-qpackage-output-parameters|2.2.0")] },
        "parameter": parameters,
    })
}

fn bundle(package: &Package<'_>, frame: Frame<'_>) -> Value {
    let form = package.form;
    let facts = facts_of(&package.orders);
    let order = match package.orders.as_slice() {
        [only] => Some(only.order),
        _ => None,
    };
    let draft = Draft {
        form,
        public_url: frame.public_url,
        authored: frame.now,
        subject: frame.subject,
        coverage: frame.coverage,
        orders: &references(package),
        intended_use: &purposes(package),
        order,
        case_document: facts.as_ref(),
    };
    json!({
        "resourceType": "Bundle",
        "meta": { "profile": [format!("{DTR}DTR-QPackageBundle|2.2.0")] },
        "type": "collection",
        "timestamp": instant_text(frame.now),
        "entry": [
            { "fullUrl": form.url(frame.public_url), "resource": form.questionnaire(frame.public_url) },
            { "fullUrl": format!("urn:uuid:{}", new_id(frame.now)), "resource": draft.response() },
        ],
    })
}
