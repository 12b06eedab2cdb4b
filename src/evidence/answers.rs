//! The answers of a response, checked against the form that it names.

use super::resources::LocatedResource;
use super::{SetAside, SetAsideCode};
use crate::fhir::{list, text};
use crate::forms::{AnswerProblem, AnswerProblemKind, Form, Forms};
use serde_json::Value;
use std::collections::HashMap;

/// Adds the answers that may not decide. A response to a form that the plan does not have answers no question of a
/// policy, so it is not checked.
pub(super) fn set_aside(forms: &Forms, located: &LocatedResource<'_>, into: &mut Vec<SetAside>) {
    if located.resource_type() != "QuestionnaireResponse" {
        return;
    }
    let answered = answered_forms(forms, located.resource);
    for problem in problems(&answered, located.resource) {
        into.push(SetAside {
            path: format!("{}.{}", located.path, problem.path),
            reference: located.reference(),
            resource_type: located.resource_type().to_owned(),
            link_id: Some(problem.link_id),
            code: match problem.kind {
                AnswerProblemKind::UnknownQuestion => SetAsideCode::UnknownQuestion,
                AnswerProblemKind::WrongType => SetAsideCode::WrongType,
                AnswerProblemKind::NotAnOption => SetAsideCode::NotAnOption,
                AnswerProblemKind::TooManyAnswers => SetAsideCode::TooManyAnswers,
                AnswerProblemKind::DisabledQuestion => SetAsideCode::DisabledQuestion,
            },
            reason: problem.reason,
            codes: Vec::new(),
        });
    }
}

/// The forms that a response may answer: those of its canonical, in every version if the canonical has none. An
/// adaptive response contains its questionnaire, whose `derivedFrom` names the form.
fn answered_forms<'f>(forms: &'f Forms, response: &Value) -> Vec<&'f Form> {
    let Some(canonical) = text(response, &["questionnaire"]) else {
        return Vec::new();
    };
    let Some(id) = canonical.strip_prefix('#') else {
        return forms.named(canonical);
    };
    let contained = list(response, "contained").find(|c| text(c, &["id"]) == Some(id));
    contained.map_or_else(Vec::new, |questionnaire| {
        list(questionnaire, "derivedFrom")
            .filter_map(Value::as_str)
            .chain(text(questionnaire, &["url"]))
            .flat_map(|canonical| forms.named(canonical))
            .collect()
    })
}

/// The problems in any of the forms. A question counts as unknown only if none of them has it.
fn problems(forms: &[&Form], response: &Value) -> Vec<AnswerProblem> {
    let mut found: Vec<AnswerProblem> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut unknown_in: HashMap<String, usize> = HashMap::new();
    for form in forms {
        for problem in form.answer_problems(response) {
            let is_unknown = problem.kind == AnswerProblemKind::UnknownQuestion;
            if is_unknown {
                *unknown_in.entry(problem.path.clone()).or_default() += 1;
            }
            match places.get(&problem.path).and_then(|n| found.get_mut(*n)) {
                Some(known) if known.kind == AnswerProblemKind::UnknownQuestion => *known = problem,
                Some(_) => {}
                None => {
                    places.insert(problem.path.clone(), found.len());
                    found.push(problem);
                }
            }
        }
    }
    found.retain(|problem| {
        problem.kind != AnswerProblemKind::UnknownQuestion
            || unknown_in.get(&problem.path) == Some(&forms.len())
    });
    found
}
