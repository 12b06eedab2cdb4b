//! The case document: everything that policies evaluate, as one JSON object, with an index of resources by type and
//! code. Hooks, requests and stored cases have the same shape, so a policy can be evaluated again over the same data.
//! This module does not read the clock; callers pass the time of receipt.

use crate::evidence::{Evidence, SetAsideCode};
use crate::fhir::coding::{codings, normal_system};
use crate::fhir::dates::{self, DateRange, instant_text};
use crate::fhir::{list, resource_type, text};
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::request_limits::days_asked_for;
use crate::rules::evaluate::responses;
use crate::rules::format::code_set::CodeSet;
use crate::rules::format::codes::code_key;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt;

/// What a case document was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseKind {
    /// An order at a CDS hook.
    Hook,
    /// A PAS request, or a stored case that is evaluated again.
    Pas,
}

impl CaseKind {
    fn code(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Pas => "pas",
        }
    }
}

/// What a case document is built from.
#[derive(Debug, Clone)]
pub struct CaseInput<'a> {
    /// A hook or a request.
    pub kind: CaseKind,
    /// The time of receipt.
    pub received: DateTime<Utc>,
    /// The plan's time zone. Days begin and end in it.
    pub zone: Tz,
    /// `Claim.priority` or the order's priority: `normal`, `stat`, …
    pub priority: &'a str,
    /// The facts about the member.
    pub member: MemberFacts,
    /// The item or order, from `claim_item_facts` or `order_item_facts`.
    pub item: Value,
    /// The resources and answers that may decide.
    pub evidence: &'a Evidence<'a>,
}

/// What policies may know about the member. It has no name, no member number and no birth date.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberFacts {
    /// The line of business: `MA`, `MEDICAID-MC`, `CHIP`, `QHP`, `ERISA`.
    pub line_of_business: String,
    /// The state of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Whole years at receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u32>,
    /// The first day of coverage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_from: Option<NaiveDate>,
    /// The last day of the transition period, in which treatment that began before enrollment continues without
    /// authorization (42 CFR 422.112(b)(8)(i)(B)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition_until: Option<NaiveDate>,
    /// How many days before the day of receipt a requested service may be. None: it must not be in the past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrospective_days: Option<u32>,
    /// NPIs that are exempt from authorization for this item (gold cards).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gold_card: Vec<String>,
}

/// One case as a JSON object, with its index: `kind, received, zone, today, priority, member, item, res, answers`, and
/// `admission`, `answers_set_aside` and `responses_set_aside` for what may not decide.
#[derive(Clone)]
pub struct CaseDocument {
    json: Value,
    /// Places in `res[type]`, by resource type and by the key of a code.
    by_code: HashMap<String, HashMap<String, Vec<usize>>>,
    zone: Tz,
    received_day: NaiveDate,
    service: Option<DateRange>,
    weight: usize,
}

impl fmt::Debug for CaseDocument {
    // The content is PHI and must not appear in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseDocument")
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

impl CaseDocument {
    /// Builds the document without answers: which forms count depends on the policy that applies.
    pub(in crate::rules) fn build(input: CaseInput<'_>) -> Self {
        let mut res: Map<String, Value> = Map::new();
        for resource in input.evidence.resources() {
            if let Some(kind) = resource_type(resource)
                && let Value::Array(all) = res.entry(kind).or_insert_with(|| json!([]))
            {
                all.push(resource.clone());
            }
        }
        let received_day = input.received.with_timezone(&input.zone).date_naive();
        let members = [
            ("kind", json!(input.kind.code())),
            ("received", json!(instant_text(input.received))),
            ("zone", json!(input.zone.name())),
            ("today", json!(received_day.to_string())),
            ("priority", json!(input.priority)),
            ("member", json!(input.member)),
            ("item", input.item),
            ("res", Value::Object(res)),
            ("answers", json!({})),
        ];
        let mut json: Map<String, Value> = members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        if let Some(admission) = input.evidence.admission() {
            json.insert("admission".into(), json!(admission));
        }
        Self::indexed(Value::Object(json), input.zone, received_day)
    }

    /// The document with the answers from its responses to these forms (`name|version`), and no other answers.
    pub(in crate::rules) fn with_answers(mut self, forms: &[&str]) -> Self {
        let responses: Vec<&Value> = self.of_type("QuestionnaireResponse").iter().collect();
        let read = responses::answers(&responses, forms);
        let without_response = self
            .resource_set_aside("QuestionnaireResponse", &[])
            .map(Value::from);
        let without_response = without_response.filter(|_| !read.has_response);
        let replaced = self.json.get("answers").map_or(0, weight);
        self.weight = self.weight + weight(&read.answers) - replaced;
        if let Value::Object(members) = &mut self.json {
            members.insert("answers".into(), read.answers);
            members.remove(ANSWERS_SET_ASIDE);
            if !read.set_aside.is_empty() {
                members.insert(ANSWERS_SET_ASIDE.into(), Value::Object(read.set_aside));
            }
            members.remove(RESPONSES_SET_ASIDE);
            members.extend(without_response.map(|reason| (RESPONSES_SET_ASIDE.to_owned(), reason)));
        }
        self
    }

    /// Reads a stored document or a fixture: an object whose `received` is an instant. `zone` defaults to UTC, `today`
    /// to the day of receipt in that zone.
    pub fn from_json(mut json: Value) -> Result<Self, String> {
        let received = text(&json, &["received"]).ok_or("the case document has no 'received'")?;
        let received = dates::instant(received).ok_or("'received' of the case document is not an instant")?;
        let zone: Tz = match text(&json, &["zone"]) {
            None => Tz::UTC,
            Some(name) => name
                .parse()
                .map_err(|_| "'zone' of the case document is not a time zone")?,
        };
        let received_day = received.with_timezone(&zone).date_naive();
        if let Value::Object(members) = &mut json {
            members.entry("zone").or_insert_with(|| json!(zone.name()));
            members
                .entry("today")
                .or_insert_with(|| json!(received_day.to_string()));
        }
        Ok(Self::indexed(json, zone, received_day))
    }

    /// The document as it is stored.
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    fn indexed(json: Value, zone: Tz, received_day: NaiveDate) -> Self {
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
        let service = json
            .get("item")
            .and_then(|i| i.get("period"))
            .and_then(|p| dates::period_days(p, zone));
        Self {
            weight: weight(&json),
            json,
            by_code,
            zone,
            received_day,
            service,
        }
    }

    /// The plan's time zone.
    pub(in crate::rules) fn zone(&self) -> Tz {
        self.zone
    }

    /// The day of receipt in the plan's time zone.
    pub(in crate::rules) fn received_day(&self) -> NaiveDate {
        self.received_day
    }

    /// What the document was built from; `None` if it does not say.
    pub(in crate::rules) fn kind(&self) -> Option<CaseKind> {
        let kind = text(&self.json, &["kind"])?;
        [CaseKind::Hook, CaseKind::Pas]
            .into_iter()
            .find(|own| own.code() == kind)
    }

    /// The days of service that the item asks for.
    pub(in crate::rules) fn days_asked_for(&self) -> Option<DateRange> {
        days_asked_for(self.json.get("item")?, self.zone, self.received_day)
    }

    /// The first day of service, if the item has one.
    pub(in crate::rules) fn service_start(&self) -> Option<NaiveDate> {
        self.service.map(|s| s.first)
    }

    /// The number of JSON values in the document: an upper limit for the cost of a path with one filter.
    pub(in crate::rules) fn weight(&self) -> usize {
        self.weight
    }

    /// The line of business, or an empty text if the document has none.
    pub(in crate::rules) fn line_of_business(&self) -> &str {
        text(&self.json, &["member", "line_of_business"]).unwrap_or("")
    }

    /// The state of the plan.
    pub(in crate::rules) fn state(&self) -> Option<&str> {
        text(&self.json, &["member", "state"])
    }

    /// The (system, code) pairs of the item, systems in their stored spelling.
    pub(in crate::rules) fn codes(&self) -> Vec<(String, String)> {
        item_codes(self.json.get("item").unwrap_or(&Value::Null))
    }

    /// The resources of one type, in order.
    pub(in crate::rules) fn of_type(&self, kind: &str) -> &[Value] {
        let all = self
            .json
            .get("res")
            .and_then(|r| r.get(kind))
            .and_then(Value::as_array);
        all.map_or(&[], Vec::as_slice)
    }

    /// The places of the resources of one type that have a code of the set.
    pub(in crate::rules) fn places_of(
        &self,
        kind: &str,
        set: &CodeSet,
        budget: &mut StepBudget,
    ) -> Result<Vec<usize>, String> {
        let Some(codes) = self.by_code.get(kind) else {
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

    /// The answers to the question with a link id.
    pub(in crate::rules) fn answers(&self, link_id: &str) -> &[Value] {
        let all = self
            .json
            .get("answers")
            .and_then(|a| a.get(link_id))
            .and_then(Value::as_array);
        all.map_or(&[], Vec::as_slice)
    }
}

/// The member of the document with the link ids of the answers that may not decide, and the reasons.
const ANSWERS_SET_ASIDE: &str = "answers_set_aside";
/// The member of the document with the reason why no response decides, although there is one.
const RESPONSES_SET_ASIDE: &str = "responses_set_aside";

impl CaseDocument {
    /// Why the answers to a question may not decide; `None` if they may, or if there are none.
    pub(in crate::rules) fn answer_set_aside(&self, link_id: &str) -> Option<&str> {
        self.json.get(ANSWERS_SET_ASIDE)?.get(link_id)?.as_str()
    }

    /// Why no response to a form may decide, although one was sent.
    pub(in crate::rules) fn responses_set_aside(&self) -> Option<&str> {
        text(&self.json, &[RESPONSES_SET_ASIDE])
    }

    /// Why something that a fact could be read from may not decide: the first resource of this type that was set aside
    /// although it exists. With `sets`, it must have a code of each set.
    pub(in crate::rules) fn resource_set_aside(&self, kind: &str, sets: &[&CodeSet]) -> Option<&str> {
        let admission = self.json.get("admission")?;
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
}

/// The (system, code) pairs in an item's facts.
pub(in crate::rules) fn item_codes(item: &Value) -> Vec<(String, String)> {
    list(item, "codes")
        .filter_map(|c| {
            let system = c.get("system").and_then(Value::as_str).unwrap_or("");
            Some((
                normal_system(system).into_owned(),
                c.get("code")?.as_str()?.to_owned(),
            ))
        })
        .collect()
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Array(all) => 1 + all.iter().map(weight).sum::<usize>(),
        Value::Object(all) => 1 + all.values().map(weight).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Resources;

    fn input<'a>(evidence: &'a Evidence<'a>) -> CaseInput<'a> {
        CaseInput {
            kind: CaseKind::Pas,
            received: "2026-10-01T03:30:00Z".parse().unwrap(),
            zone: chrono_tz::America::New_York,
            priority: "normal",
            member: MemberFacts {
                line_of_business: "MA".into(),
                age: Some(71),
                ..MemberFacts::default()
            },
            item: json!({ "sequence": 1, "codes": [] }),
            evidence,
        }
    }

    fn nothing() -> Evidence<'static> {
        Evidence::new(&Resources::default(), None)
    }

    #[test]
    fn today_is_the_day_of_receipt_in_the_plans_time_zone() {
        let document = CaseDocument::build(input(&nothing()));
        assert_eq!(document.as_json()["today"], "2026-09-30");
    }

    #[test]
    fn entries_of_a_bundle_count_as_resources() {
        let bundle = json!({ "resourceType": "Bundle", "entry": [
            { "resource": { "resourceType": "Bundle", "entry": [{ "resource": { "resourceType": "Observation", "id": "o" } }] } },
            { "resource": { "resourceType": "Condition", "id": "c" } }
        ]});
        let evidence = Evidence::new(&Resources::of_bundle(&bundle), None);
        let document = CaseDocument::build(input(&evidence));
        assert_eq!(document.of_type("Observation").len(), 1);
        assert_eq!(document.of_type("Condition").len(), 1);
        assert_eq!(document.of_type("Bundle").len(), 0);
    }

    #[test]
    fn a_stored_document_is_read_back_unchanged() {
        let document = CaseDocument::build(input(&nothing()));
        let again = CaseDocument::from_json(document.as_json().clone()).unwrap();
        assert_eq!(document.as_json(), again.as_json());
        assert_eq!(document.received_day(), again.received_day());
    }

    #[test]
    fn a_document_without_time_of_receipt_is_refused() {
        assert!(
            CaseDocument::from_json(json!({}))
                .unwrap_err()
                .contains("received")
        );
        assert!(CaseDocument::from_json(json!([1])).is_err());
        assert!(CaseDocument::from_json(json!({ "received": "2026-10-01" })).is_err());
    }
}
