//! The part of a case document that all items of one request share: the resources that may decide with their index, the
//! answers to forms, and the facts read from both. It is built once for each request, so the cost of one more item does
//! not depend on the size of the evidence.

use crate::evidence::{Evidence, SetAsideCode};
use crate::fhir::coding::codings;
use crate::fhir::{list, resource_type, text};
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::responses;
use crate::rules::evaluate::shared_facts::SharedFacts;
use crate::rules::format::code_set::CodeSet;
use crate::rules::format::codes::code_key;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The members of a case document that are evidence.
pub(in crate::rules) const EVIDENCE_MEMBERS: [&str; 2] = ["res", "admission"];
/// The members of a case document that are answers.
pub(in crate::rules) const ANSWER_MEMBERS: [&str; 3] = ["answers", ANSWERS_SET_ASIDE, RESPONSES_SET_ASIDE];

/// The link ids of the answers that may not decide, with the reasons.
const ANSWERS_SET_ASIDE: &str = "answers_set_aside";
/// The reason why no response decides, although there is one.
const RESPONSES_SET_ASIDE: &str = "responses_set_aside";

/// The evidence of one request as policies read it. Cloning it is cheap, and clones share what was read.
#[derive(Clone)]
pub struct CaseEvidence(Arc<Shared>);

struct Shared {
    /// The members `res` and `admission` of the case document.
    json: Value,
    /// Places in `res[type]`, by resource type and by the key of a code.
    by_code: HashMap<String, HashMap<String, Vec<usize>>>,
    weight: usize,
    /// The answers by the forms that count, joined.
    answers: Mutex<HashMap<String, Arc<Answers>>>,
}

/// The answers to some forms, and the facts that do not depend on the item.
pub(in crate::rules) struct Answers {
    /// The members of the case document about answers.
    json: Value,
    weight: usize,
    facts: Option<SharedFacts>,
}

impl fmt::Debug for CaseEvidence {
    // The content is PHI and must not appear in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseEvidence")
            .field("weight", &self.0.weight)
            .finish_non_exhaustive()
    }
}

impl CaseEvidence {
    /// Indexes what may decide.
    pub fn new(evidence: &Evidence<'_>) -> Self {
        let mut res: Map<String, Value> = Map::new();
        for resource in evidence.resources() {
            if let Some(kind) = resource_type(resource)
                && let Some(all) = of_kind(&mut res, kind)
            {
                all.push(resource.clone());
            }
        }
        let mut members = Map::new();
        members.insert("res".into(), Value::Object(res));
        if let Some(admission) = evidence.admission() {
            members.insert("admission".into(), json!(admission));
        }
        Self::indexed(Value::Object(members))
    }

    /// From the members of a stored document.
    pub(in crate::rules) fn indexed(json: Value) -> Self {
        let mut by_code: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (kind, resources) in json.get("res").and_then(Value::as_object).into_iter().flatten() {
            let codes = by_code.entry(kind.clone()).or_default();
            for (n, resource) in resources.as_array().into_iter().flatten().enumerate() {
                for coding in ["code", "codeCodeableConcept", "medicationCodeableConcept"]
                    .iter()
                    .filter_map(|name| resource.get(*name))
                    .flat_map(codings)
                {
                    let places = codes.entry(code_key(&coding.system, coding.code)).or_default();
                    if places.last() != Some(&n) {
                        places.push(n);
                    }
                }
            }
        }
        Self(Arc::new(Shared {
            weight: weight(&json),
            json,
            by_code,
            answers: Mutex::default(),
        }))
    }

    /// The members `res` and `admission`.
    pub fn as_json(&self) -> &Value {
        &self.0.json
    }

    pub(in crate::rules) fn weight(&self) -> usize {
        self.0.weight
    }

    /// The resources of one type, in order.
    pub(in crate::rules) fn of_type(&self, kind: &str) -> &[Value] {
        let all = self.0.json.get("res").and_then(|r| r.get(kind));
        all.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The places of the resources of one type that have a code of the set.
    pub(in crate::rules) fn places_of(
        &self,
        kind: &str,
        set: &CodeSet,
        budget: &mut StepBudget,
    ) -> Result<Vec<usize>, String> {
        let Some(codes) = self.0.by_code.get(kind) else {
            return Ok(Vec::new());
        };
        let mut places: Vec<usize> = match set.single_codes().filter(|keys| keys.len() < codes.len()) {
            Some(keys) => {
                budget.spend(keys.len())?;
                keys.iter()
                    .filter_map(|key| codes.get(key))
                    .flatten()
                    .copied()
                    .collect()
            }
            None => {
                budget.spend(codes.len())?;
                let in_set = codes.iter().filter(|(key, _)| set.holds_key(key));
                in_set.flat_map(|(_, places)| places).copied().collect()
            }
        };
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    /// Why something that a fact could be read from may not decide: the first resource of this type that was set aside
    /// although it exists. With `sets`, it must have a code of each set.
    pub(in crate::rules) fn resource_set_aside(&self, kind: &str, sets: &[&CodeSet]) -> Option<&str> {
        let admission = self.0.json.get("admission")?;
        let of_type = list(admission, "set_aside")
            .filter(|one| text(one, &["resource_type"]) == Some(kind) && one.get("link_id").is_none());
        let leaves_unknown = |one: &&Value| {
            let code = one
                .get("code")
                .and_then(|code| SetAsideCode::deserialize(code).ok());
            code.is_some_and(SetAsideCode::leaves_facts_unknown)
        };
        let has_codes = |one: &&Value| {
            let keys: Vec<String> = list(one, "codes")
                .filter_map(|code| code.as_str()?.split_once('|'))
                .map(|(system, code)| code_key(system, code))
                .collect();
            sets.iter().all(|set| keys.iter().any(|key| set.holds_key(key)))
        };
        of_type
            .filter(leaves_unknown)
            .find(has_codes)
            .and_then(|one| text(one, &["reason"]))
    }

    /// The answers to these forms (`name|version`) and no others. They are read once for all items.
    pub(in crate::rules) fn answers(&self, forms: &[&str]) -> Arc<Answers> {
        let mut known = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Arc::new(self.read_answers(forms));
        known.entry(forms.join("\n")).or_insert_with(read).clone()
    }

    fn read_answers(&self, forms: &[&str]) -> Answers {
        let responses: Vec<&Value> = self.of_type("QuestionnaireResponse").iter().collect();
        let read = responses::answers(&responses, forms);
        let without_response = self.resource_set_aside("QuestionnaireResponse", &[]);
        let without_response = without_response.filter(|_| !read.has_response);
        let mut members = Map::new();
        members.insert("answers".into(), read.answers);
        if !read.set_aside.is_empty() {
            members.insert(ANSWERS_SET_ASIDE.into(), Value::Object(read.set_aside));
        }
        members.extend(without_response.map(|reason| (RESPONSES_SET_ASIDE.to_owned(), Value::from(reason))));
        Answers {
            facts: Some(SharedFacts::default()),
            ..Answers::stored(Value::Object(members))
        }
    }
}

impl Answers {
    /// From the members of a stored document. Its facts are read anew for each evaluation.
    pub(in crate::rules) fn stored(json: Value) -> Self {
        Self {
            weight: weight(&json),
            json,
            facts: None,
        }
    }

    pub(in crate::rules) fn as_json(&self) -> &Value {
        &self.json
    }

    pub(in crate::rules) fn weight(&self) -> usize {
        self.weight
    }

    /// The facts that items share; none for a document that was not built from a request.
    pub(in crate::rules) fn facts(&self) -> Option<&SharedFacts> {
        self.facts.as_ref()
    }

    /// The answers to the question with a link id.
    pub(in crate::rules) fn to(&self, link_id: &str) -> &[Value] {
        let all = self.json.get("answers").and_then(|a| a.get(link_id));
        all.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Why the answers to a question may not decide; `None` if they may, or if there are none.
    pub(in crate::rules) fn set_aside(&self, link_id: &str) -> Option<&str> {
        self.json.get(ANSWERS_SET_ASIDE)?.get(link_id)?.as_str()
    }

    /// Why no response to a form may decide, although one was sent.
    pub(in crate::rules) fn responses_set_aside(&self) -> Option<&str> {
        text(&self.json, &[RESPONSES_SET_ASIDE])
    }
}

fn of_kind<'m>(res: &'m mut Map<String, Value>, kind: &str) -> Option<&'m mut Vec<Value>> {
    if !res.contains_key(kind) {
        res.insert(kind.to_owned(), Value::Array(Vec::new()));
    }
    res.get_mut(kind)?.as_array_mut()
}

/// The number of JSON values in a value.
pub(in crate::rules) fn weight(value: &Value) -> usize {
    match value {
        Value::Array(all) => 1 + all.iter().map(weight).sum::<usize>(),
        Value::Object(all) => 1 + all.values().map(weight).sum::<usize>(),
        _ => 1,
    }
}
