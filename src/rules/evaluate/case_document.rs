//! The case document: everything that policies evaluate, as one JSON object. Hooks, requests and stored cases have the
//! same shape, so a policy can be evaluated again over the same data. This module does not read the clock; callers pass
//! the time of receipt.

use crate::fhir::coding::normal_system;
use crate::fhir::dates::{self, DateRange, instant_text};
use crate::fhir::{get, list, text};
use crate::rules::evaluate::case_evidence::{
    ANSWER_MEMBERS, Answers, CaseEvidence, EVIDENCE_MEMBERS, weight,
};
use crate::rules::evaluate::request_limits::days_asked_for;
use crate::rules::evaluate::shared_facts::FactsOfPolicy;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

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
    /// The item or order, from `ClaimParts` or `order_item_facts`.
    pub item: Value,
    /// The resources and answers that may decide.
    pub evidence: &'a CaseEvidence,
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

/// One case as a JSON object: `kind, received, zone, today, priority, member, item, res, answers`, and `admission`,
/// `answers_set_aside` and `responses_set_aside` for what may not decide. The evidence and the answers are shared with the
/// documents of the other items of the same request.
#[derive(Clone)]
pub struct CaseDocument {
    /// The members that are not shared.
    own: Value,
    own_weight: usize,
    evidence: CaseEvidence,
    answers: Arc<Answers>,
    /// All members in one object, made when somebody asks for it.
    whole: OnceLock<Value>,
    zone: Tz,
    received_day: NaiveDate,
    service: Option<DateRange>,
}

impl fmt::Debug for CaseDocument {
    // The content is PHI and must not appear in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaseDocument")
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}

impl CaseDocument {
    /// Builds the document without answers: which forms count depends on the policy that applies.
    pub(in crate::rules) fn build(input: CaseInput<'_>) -> Self {
        let received_day = input.received.with_timezone(&input.zone).date_naive();
        let members = [
            ("kind", json!(input.kind.code())),
            ("received", json!(instant_text(input.received))),
            ("zone", json!(input.zone.name())),
            ("today", json!(received_day.to_string())),
            ("priority", json!(input.priority)),
            ("member", json!(input.member)),
            ("item", input.item),
        ];
        let own = members.map(|(name, value)| (name.to_owned(), value));
        let own = Value::Object(own.into_iter().collect());
        let answers = Arc::new(Answers::stored(json!({ "answers": {} })));
        Self::assembled(own, (input.evidence.clone(), answers), input.zone, received_day)
    }

    /// The document with the answers from its responses to these forms (`name|version`), and no other answers.
    pub(in crate::rules) fn with_answers(mut self, forms: &[&str]) -> Self {
        self.answers = self.evidence.answers(forms);
        self.whole = OnceLock::new();
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
        let evidence = CaseEvidence::indexed(taken(&mut json, &EVIDENCE_MEMBERS));
        let answers = Arc::new(Answers::stored(taken(&mut json, &ANSWER_MEMBERS)));
        Ok(Self::assembled(json, (evidence, answers), zone, received_day))
    }

    fn assembled(
        own: Value,
        (evidence, answers): (CaseEvidence, Arc<Answers>),
        zone: Tz,
        received_day: NaiveDate,
    ) -> Self {
        let period = own.get("item").and_then(|item| item.get("period"));
        Self {
            service: period.and_then(|period| dates::period_days(period, zone)),
            own_weight: weight(&own),
            own,
            evidence,
            answers,
            whole: OnceLock::new(),
            zone,
            received_day,
        }
    }

    /// The whole document in one value. It copies the evidence when it is called first; policies do not need it.
    pub fn as_json(&self) -> &Value {
        self.whole.get_or_init(|| {
            let mut whole = self.own.clone();
            if let Value::Object(members) = &mut whole {
                let shared = [self.evidence.as_json(), self.answers.as_json()];
                let shared = shared.into_iter().filter_map(Value::as_object).flatten();
                members.extend(shared.map(|(name, value)| (name.clone(), value.clone())));
            }
            whole
        })
    }

    /// The document without the evidence, as it is stored beside the evidence.
    pub fn own_text(&self) -> String {
        let parts = [&self.own, self.answers.as_json()];
        let members = parts.into_iter().filter_map(Value::as_object).flatten();
        let members: BTreeMap<&String, &Value> = members.collect();
        // Texts as names and JSON values can always be written.
        serde_json::to_string(&members).unwrap_or_default()
    }

    /// Reads a document that was stored without its evidence.
    pub fn from_own(own: Value, evidence: CaseEvidence) -> Result<Self, String> {
        Ok(Self {
            evidence,
            ..Self::from_json(own)?
        })
    }

    /// The resources and what was set aside.
    pub fn evidence(&self) -> &CaseEvidence {
        &self.evidence
    }

    /// The answers to the forms of the policy.
    pub(in crate::rules) fn shared_answers(&self) -> &Answers {
        &self.answers
    }

    /// The facts of a policy that all items of the request share; none for a document that was not built from a request.
    pub(in crate::rules) fn facts_of(&self, policy_hash: &str) -> Option<Arc<FactsOfPolicy>> {
        Some(self.answers.facts()?.of_policy(policy_hash, self.zone))
    }

    /// The part of the document in which a path finds its nodes, given the name of the path's first step.
    pub(in crate::rules) fn part(&self, first_step: Option<&str>) -> &Value {
        match first_step {
            Some(name) if EVIDENCE_MEMBERS.contains(&name) => self.evidence.as_json(),
            Some(name) if ANSWER_MEMBERS.contains(&name) => self.answers.as_json(),
            Some(_) => &self.own,
            None => self.as_json(),
        }
    }

    /// The facts of the item or order.
    pub fn item(&self) -> Option<&Value> {
        self.own.get("item")
    }

    /// How many days before the day of receipt a requested service may be, if the plan allows any.
    pub(in crate::rules) fn retrospective_days(&self) -> Option<u64> {
        get(&self.own, &["member", "retrospective_days"]).and_then(Value::as_u64)
    }

    /// The plan's time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The day of receipt in the plan's time zone.
    pub(in crate::rules) fn received_day(&self) -> NaiveDate {
        self.received_day
    }

    /// What the document was built from; `None` if it does not say.
    pub(in crate::rules) fn kind(&self) -> Option<CaseKind> {
        let kind = text(&self.own, &["kind"])?;
        [CaseKind::Hook, CaseKind::Pas]
            .into_iter()
            .find(|own| own.code() == kind)
    }

    /// The days of service that the item asks for.
    pub(in crate::rules) fn days_asked_for(&self) -> Option<DateRange> {
        days_asked_for(self.item()?, self.zone, self.received_day)
    }

    /// The first day of service, if the item has one.
    pub(in crate::rules) fn service_start(&self) -> Option<NaiveDate> {
        self.service.map(|s| s.first)
    }

    /// The number of JSON values in the document: an upper limit for the cost of a path with one filter.
    pub(in crate::rules) fn weight(&self) -> usize {
        // Each of the three parts counts the object itself.
        (self.own_weight + self.evidence.weight() + self.answers.weight()).saturating_sub(2)
    }

    /// The line of business, or an empty text if the document has none.
    pub(in crate::rules) fn line_of_business(&self) -> &str {
        text(&self.own, &["member", "line_of_business"]).unwrap_or("")
    }

    /// The state of the plan.
    pub(in crate::rules) fn state(&self) -> Option<&str> {
        text(&self.own, &["member", "state"])
    }

    /// The (system, code) pairs of the item, systems in their stored spelling.
    pub(in crate::rules) fn codes(&self) -> Vec<(String, String)> {
        item_codes(self.item().unwrap_or(&Value::Null))
    }
}

/// An object with these members of a document, which are removed from it.
fn taken(json: &mut Value, names: &[&str]) -> Value {
    let mut taken = Map::new();
    if let Value::Object(members) = json {
        taken.extend(names.iter().filter_map(|name| members.remove_entry(*name)));
    }
    Value::Object(taken)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Resources};

    fn input(evidence: &CaseEvidence) -> CaseInput<'_> {
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

    fn nothing() -> CaseEvidence {
        CaseEvidence::new(&Evidence::new(&Resources::default(), None))
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
        let evidence = CaseEvidence::new(&Evidence::new(&Resources::of_bundle(&bundle), None));
        assert_eq!(evidence.of_type("Observation").len(), 1);
        assert_eq!(evidence.of_type("Condition").len(), 1);
        assert_eq!(evidence.of_type("Bundle").len(), 0);
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
