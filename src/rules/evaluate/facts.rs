//! Facts: finds nodes in the case document and reads their values. Missing data is not found, a value of another unit
//! or type is unusable, and neither is guessed. Work is limited by steps and not by time, so a repeated evaluation
//! always has the same result.

use crate::fhir::dates::{self, DateRange};
use crate::fhir::{list, text};
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::jsonpath::{FoundNode, Path};
use crate::rules::evaluate::values::{
    FactLookup, FoundValue, ValueType, same_value, span, typed_code, unusable,
};
use crate::rules::format::codes::code_key;
use crate::rules::format::policy_file::{FactType, PickRule, ResourceSearch};
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Named sets of codes, as keys of `code_key`.
pub(in crate::rules) type Sets = BTreeMap<String, HashSet<String>>;

/// A fact of a policy, compiled.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Fact {
    /// What people read instead of the fact's name.
    pub label: Option<String>,
    pub source: FactSource,
    /// Nodes are kept if, for each entry, they have a code of the set at the path.
    pub keep: Vec<(Arc<Path>, String)>,
    /// The path from the node to the value. `None`: the node is the value.
    pub read: Option<Arc<Path>>,
    /// The path from the node to its date or period.
    pub dated: Option<Arc<Path>>,
    /// Which of several nodes is used. `None`: they must have the same value.
    pub pick: Option<PickRule>,
    pub kind: FactType,
    /// The UCUM unit of a quantity.
    pub unit: Option<String>,
    /// Other units, and the factors by which their values are multiplied.
    pub convert: BTreeMap<String, f64>,
}

/// Where a fact is found.
#[derive(Debug, Clone)]
pub(in crate::rules) enum FactSource {
    Search(ResourceSearch),
    /// A path from the root of the case document.
    Path(Arc<Path>),
    /// The link id of a question.
    Answer(String),
}

/// A fact that every policy can use without defining it.
pub(in crate::rules) struct BuiltInFact {
    pub name: &'static str,
    pub label: &'static str,
    pub path: &'static str,
    pub kind: FactType,
    pub pick: Option<PickRule>,
}

/// The facts about the member, as of the day of receipt.
pub(in crate::rules) const BUILT_IN_FACTS: [BuiltInFact; 4] = [
    BuiltInFact {
        name: "member.age",
        label: "Age in years",
        path: "$.member.age",
        kind: FactType::Number,
        pick: None,
    },
    BuiltInFact {
        name: "member.coverage-from",
        label: "First day of coverage",
        path: "$.member.coverage_from",
        kind: FactType::Date,
        pick: None,
    },
    // Treatment that began before enrollment continues without authorization until this day
    // (42 CFR 422.112(b)(8)(i)(B)).
    BuiltInFact {
        name: "member.transition-until",
        label: "Last day of the transition period",
        path: "$.member.transition_until",
        kind: FactType::Date,
        pick: None,
    },
    // An NPI of the requester that is exempt from authorization for this service.
    BuiltInFact {
        name: "member.gold-card",
        label: "Provider exempt from authorization",
        path: "$.member.gold_card[*]",
        kind: FactType::Text,
        pick: Some(PickRule::First),
    },
];

/// The number of steps that an evaluation may still take. A step is one node that is visited; a path costs as many
/// steps as it could visit nodes.
#[derive(Debug)]
pub(in crate::rules) struct StepBudget(pub usize);

impl StepBudget {
    /// Far above the cost of a request with a thousand resources.
    pub(in crate::rules) const DEFAULT: usize = 20_000_000;

    pub(in crate::rules) fn spend(&mut self, steps: usize) -> Result<(), String> {
        self.0 = self
            .0
            .checked_sub(steps)
            .ok_or("the policy needs more steps than allowed")?;
        Ok(())
    }
}

impl Fact {
    /// Looks the fact up in a case document. An error means that the evaluation fails.
    pub(in crate::rules) fn look_up(
        &self,
        document: &CaseDocument,
        sets: &Sets,
        budget: &mut StepBudget,
    ) -> Result<FactLookup, String> {
        let nodes = self.filtered(self.nodes(document, sets, budget)?, sets, budget)?;
        let zone = document.zone();
        match (nodes.as_slice(), self.pick) {
            ([], _) => Ok(FactLookup::NotFound),
            ([only], _) => self.read(only, zone, budget),
            ([first, ..], Some(PickRule::First)) => self.read(first, zone, budget),
            (many, Some(pick @ (PickRule::Newest | PickRule::Oldest))) => {
                self.by_date(many, pick, zone, budget)
            }
            (many, Some(pick @ (PickRule::Lowest | PickRule::Highest))) => {
                self.by_value(many, pick, zone, budget)
            }
            (many, None) => self.agreed(many, zone, budget),
        }
    }

    fn nodes<'d>(
        &self,
        document: &'d CaseDocument,
        sets: &Sets,
        budget: &mut StepBudget,
    ) -> Result<Vec<FoundNode<'d>>, String> {
        match &self.source {
            FactSource::Path(path) => {
                budget.spend(1 + path.fan_out() * document.weight())?;
                path.find(document.as_json())
            }
            FactSource::Answer(link_id) => {
                let answers = document.answers(link_id);
                budget.spend(1 + answers.len())?;
                let place = |n| format!("$['answers']['{}'][{n}]", link_id.replace('\'', "\\'"));
                Ok(answers.iter().enumerate().map(|(n, a)| (a, place(n))).collect())
            }
            FactSource::Search(search) => {
                let all = document.of_type(&search.resource);
                let places: Vec<usize> = match &search.code_in {
                    None => (0..all.len()).collect(),
                    Some(set) => {
                        let keys = sets.get(set);
                        budget.spend(keys.map_or(0, HashSet::len))?;
                        document.places_of(&search.resource, keys.into_iter().flatten())
                    }
                };
                budget.spend(1 + places.len())?;
                Ok(places
                    .into_iter()
                    .filter_map(|n| Some((n, all.get(n)?)))
                    .filter(|(_, resource)| search.matches(resource))
                    .map(|(n, resource)| (resource, format!("$['res']['{}'][{n}]", search.resource)))
                    .collect())
            }
        }
    }

    /// The nodes that pass every entry of `keep`.
    fn filtered<'d>(
        &self,
        nodes: Vec<FoundNode<'d>>,
        sets: &Sets,
        budget: &mut StepBudget,
    ) -> Result<Vec<FoundNode<'d>>, String> {
        let mut passed = Vec::new();
        'nodes: for node in nodes {
            for (path, set) in &self.keep {
                let codes = path.find(node.0)?;
                budget.spend(1 + codes.len())?;
                let has_code = |value: &Value| {
                    typed_code(value).is_some_and(|(system, code)| {
                        sets.get(set)
                            .is_some_and(|s| s.contains(&code_key(&system, &code)))
                    })
                };
                if !codes.iter().any(|(value, _)| has_code(value)) {
                    continue 'nodes;
                }
            }
            passed.push(node);
        }
        Ok(passed)
    }

    /// Reads the value of one node.
    fn read(&self, node: &FoundNode<'_>, zone: Tz, budget: &mut StepBudget) -> Result<FactLookup, String> {
        let (value, path) = match &self.read {
            None => (node.0, node.1.clone()),
            Some(read) => {
                let found = read.find(node.0)?;
                budget.spend(1 + found.len())?;
                let mut found = found.into_iter().filter(|(value, _)| !value.is_null());
                match (found.next(), found.next()) {
                    (None, _) => return Ok(FactLookup::NotFound),
                    (Some((value, below)), None) => (value, join(&node.1, &below)),
                    (Some(_), Some(_)) => {
                        return Ok(unusable("several values found where one is expected", node));
                    }
                }
            }
        };
        if value.is_null() {
            return Ok(FactLookup::NotFound);
        }
        let value_type = ValueType {
            kind: self.kind,
            unit: self.unit.as_deref(),
            convert: &self.convert,
        };
        Ok(match value_type.read(value, zone) {
            Ok(value) => FactLookup::Found(FoundValue {
                value,
                date: self.date(node.0, zone)?,
                path,
            }),
            Err(reason) => FactLookup::Unusable {
                reason,
                path: Some(path),
            },
        })
    }

    /// The date of a node: the date or period that `dated` finds. A fact that is a date itself needs none.
    fn date(&self, node: &Value, zone: Tz) -> Result<Option<(String, DateRange)>, String> {
        let Some(dated) = &self.dated else {
            return Ok(None);
        };
        let found = dated.find(node)?;
        Ok(found.first().and_then(|(value, _)| match value {
            Value::String(text) => Some((text.clone(), DateRange::read(text, zone)?)),
            Value::Object(_) => {
                let range = dates::period_days(value, zone)?;
                Some((format!("{}/{}", range.first, range.last), range))
            }
            _ => None,
        }))
    }

    /// The newest or oldest node. Unusable if a node has no date, or if nodes of the same time have different values.
    fn by_date(
        &self,
        many: &[FoundNode<'_>],
        pick: PickRule,
        zone: Tz,
        budget: &mut StepBudget,
    ) -> Result<FactLookup, String> {
        let mut dated = Vec::with_capacity(many.len());
        for node in many {
            budget.spend(1)?;
            match self
                .date(node.0, zone)?
                .and_then(|(text, days)| span(&text, days, zone))
            {
                Some(span) => dated.push((span, node)),
                None => return Ok(unusable("several found, and at least one has no date", node)),
            }
        }
        let newest = pick == PickRule::Newest;
        dated.sort_by(|a, b| if newest { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
        let mut dated = dated.into_iter();
        let Some((span, chosen)) = dated.next() else {
            return Ok(FactLookup::NotFound);
        };
        let lookup = self.read(chosen, zone, budget)?;
        for (other, node) in dated {
            let overlap = other.0 <= span.1 && span.0 <= other.1;
            if overlap && !same_value(&lookup, &self.read(node, zone, budget)?) {
                return Ok(unusable(
                    "several found with the same date and different values",
                    node,
                ));
            }
        }
        Ok(lookup)
    }

    /// The node with the lowest or highest value.
    fn by_value(
        &self,
        many: &[FoundNode<'_>],
        pick: PickRule,
        zone: Tz,
        budget: &mut StepBudget,
    ) -> Result<FactLookup, String> {
        let mut best: Option<(f64, FactLookup)> = None;
        for node in many {
            let lookup = self.read(node, zone, budget)?;
            let number = match &lookup {
                FactLookup::Found(found) => found.value.number(),
                FactLookup::NotFound | FactLookup::Unusable { .. } => None,
            };
            let Some(number) = number else {
                return Ok(unusable(
                    "several found, and at least one cannot be compared",
                    node,
                ));
            };
            let better = |(before, _): &(f64, FactLookup)| {
                if pick == PickRule::Lowest {
                    number < *before
                } else {
                    number > *before
                }
            };
            if best.as_ref().is_none_or(better) {
                best = Some((number, lookup));
            }
        }
        Ok(best.map_or(FactLookup::NotFound, |(_, lookup)| lookup))
    }

    /// Several nodes without `pick`: usable only if they have the same value.
    fn agreed(
        &self,
        many: &[FoundNode<'_>],
        zone: Tz,
        budget: &mut StepBudget,
    ) -> Result<FactLookup, String> {
        let mut agreed: Option<FactLookup> = None;
        for node in many {
            let lookup = self.read(node, zone, budget)?;
            match &agreed {
                None => agreed = Some(lookup),
                Some(before) if same_value(before, &lookup) => {}
                Some(_) => return Ok(unusable("several found with different values", node)),
            }
        }
        Ok(agreed.unwrap_or(FactLookup::NotFound))
    }
}

impl ResourceSearch {
    /// Whether status and category of a resource are among those searched for.
    fn matches(&self, resource: &Value) -> bool {
        let status =
            text(resource, &["status"]).or_else(|| text(resource, &["clinicalStatus", "coding", "code"]));
        let has_status = |searched: &Vec<String>| searched.iter().any(|one| Some(one.as_str()) == status);
        let has_category = |searched: &Vec<String>| {
            list(resource, "category")
                .flat_map(|c| list(c, "coding"))
                .filter_map(|c| text(c, &["code"]))
                .any(|code| searched.iter().any(|one| one == code))
        };
        self.status.as_ref().is_none_or(has_status) && self.category.as_ref().is_none_or(has_category)
    }
}

/// `$['a'][0]` and `$['b']` give `$['a'][0]['b']`.
fn join(base: &str, below: &str) -> String {
    format!("{base}{}", below.strip_prefix('$').unwrap_or(below))
}
