//! Admission: the one place that says which resources and answers of a request, a hook call or a form call may decide,
//! before any policy reads them.
//!
//! A resource is admitted if it is certainly about the patient, has a status that counts, and holds nothing that this
//! server does not understand; an answer, if its form has the question and allows the value. Everything else is set
//! aside with a reason. What is set aside is stored with the case and shown to the reviewer; it never decides. A case
//! that is evaluated again uses the stored admission, so new rules of admission do not change an old verdict.

mod admitted;
mod answers;
mod modifiers;
mod patient;
mod resources;
mod status;
mod subject;

pub use admitted::{Evidence, SET_ASIDE};
pub use modifiers::first_modifier;
pub use patient::Patient;
pub use resources::{DRAFT_ORDERS, LocatedResource, Resources};
pub use status::missing_status;
pub use subject::subject_problem;

use crate::fhir::coding::codings;
use crate::fhir::text;
use crate::forms::Forms;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the server, stored with each admission.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which resources and answers may not decide; all others of the same request may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The version of the server that admitted them.
    pub engine_version: String,
    /// What was set aside, in the order of the request.
    pub set_aside: Vec<SetAside>,
}

/// A resource or an answer that may not decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The FHIRPath of the resource, or of the answered item: `Bundle.entry[6].resource`.
    pub path: String,
    /// `Type/id` of the resource, if it has an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The type of the resource.
    pub resource_type: String,
    /// The question, if an answer was set aside and not a whole resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<String>,
    /// Why, as a code.
    pub code: SetAsideCode,
    /// Why, in one sentence.
    pub reason: String,
    /// What the resource is about, as `system|code`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
}

/// Why a resource or an answer may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetAsideCode {
    /// It is about somebody or something else.
    AnotherSubject,
    /// It does not say whom it is about, or the reference does not resolve.
    UncertainSubject,
    /// It has a modifier extension or implicit rules, which change its meaning in a way that this server does not
    /// understand.
    Modifier,
    /// Its status says that it is not final, or it has none.
    Status,
    /// Its status says that it is void: entered in error, cancelled, refuted, not done.
    Void,
    /// It is of a type that this server does not know.
    UnknownType,
    /// The form has no such question.
    UnknownQuestion,
    /// The answer has another type than its question.
    WrongType,
    /// The answer is not an option of its question.
    NotAnOption,
    /// The question allows one answer and has several.
    TooManyAnswers,
    /// The form does not ask the question, given the other answers.
    DisabledQuestion,
}

impl SetAsideCode {
    /// Whether something is known to exist that cannot be used, so that a fact is unknown and not absent. What is void
    /// or about somebody else does not exist for the patient.
    pub fn leaves_facts_unknown(self) -> bool {
        !matches!(self, Self::AnotherSubject | Self::Void)
    }
}

/// What an admission is made from.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionInput<'i, 'a> {
    /// Every resource with its place.
    pub resources: &'i Resources<'a>,
    /// The patient of the request.
    pub patient: &'i Patient<'a>,
    /// The plan's forms.
    pub forms: &'i Forms,
}

/// Says of each resource and of each answer whether it may decide. The cost grows with the size of the request only.
pub fn admit(input: AdmissionInput<'_, '_>) -> Admission {
    let mut set_aside = Vec::new();
    for located in input.resources.all() {
        match reason_against(input, located) {
            Some(reason) => set_aside.push(of_resource(located, reason)),
            None => answers::set_aside(input.forms, located, &mut set_aside),
        }
    }
    Admission {
        engine_version: ENGINE_VERSION.to_owned(),
        set_aside,
    }
}

/// Why something may not decide: a code and a sentence.
pub type Reason = (SetAsideCode, String);

/// Why a resource may not decide; `None` if it may.
fn reason_against(input: AdmissionInput<'_, '_>, located: &LocatedResource<'_>) -> Option<Reason> {
    let resource = located.resource;
    subject_problem(input.resources, input.patient, located)
        .or_else(|| {
            let place = located
                .modifier_around
                .map(str::to_owned)
                .or_else(|| first_modifier(resource))?;
            let reason = format!(
                "The element {place} changes its meaning in a way that this server does not understand"
            );
            Some((SetAsideCode::Modifier, reason))
        })
        .or_else(|| status::reason_against(resource))
}

fn of_resource(located: &LocatedResource<'_>, (code, reason): Reason) -> SetAside {
    let codes = if code.leaves_facts_unknown() {
        codes_of(located.resource)
    } else {
        Vec::new()
    };
    SetAside {
        path: located.path.clone(),
        reference: located.reference(),
        resource_type: located.resource_type().to_owned(),
        link_id: None,
        code,
        reason,
        codes,
    }
}

/// The codes by which policies find the resource.
fn codes_of(resource: &Value) -> Vec<String> {
    ["code", "codeCodeableConcept", "medicationCodeableConcept"]
        .iter()
        .filter_map(|name| resource.get(*name))
        .flat_map(codings)
        .map(|coding| format!("{}|{}", coding.system, coding.code))
        .collect()
}

/// `Type/id` of a resource; none without an id.
fn reference_of(resource_type: &str, resource: &Value) -> Option<String> {
    text(resource, &["id"]).map(|id| format!("{resource_type}/{id}"))
}

#[cfg(test)]
mod tests;
