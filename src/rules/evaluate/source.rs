//! One source of a fact: a search for resources, a path, or a question of a form. It finds nodes of the case document,
//! selects one of them, and reads its value and date.

use crate::fhir::coding::codings;
use crate::fhir::dates::{self, DateRange};
use crate::fhir::{list, text};
use crate::rules::evaluate::agreement;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::case_evidence::{ANSWER_MEMBERS, EVIDENCE_MEMBERS};
use crate::rules::evaluate::facts::{Fact, Sets, StepBudget};
use crate::rules::evaluate::jsonpath::{FoundNode, Path};
use crate::rules::evaluate::values::{
    FactLookup, FoundValue, TypedValue, Unusable, ValueType, span, typed_code,
};
use crate::rules::format::code_set::CodeSet;
use crate::rules::format::policy_file::{PickRule, ResourceSearch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a fact is stated, and how it is read there.
#[derive(Debug, Clone)]
pub(in crate::rules) struct FactSource {
    pub found_in: FoundIn,
    /// Nodes are kept if, for each entry, they have a code of the set at the path.
    pub keep: Vec<(Arc<Path>, String)>,
    /// The path from the node to the value. `None`: the node is the value.
    pub read: Option<Arc<Path>>,
    /// The value that a node stands for. Then nothing is read from the node.
    pub means: Option<TypedValue>,
    /// The path from the node to its date or period.
    pub dated: Option<Arc<Path>>,
    /// The link id of the question whose answer is the date of the value.
    pub dated_by: Option<String>,
    /// Which of several nodes is used. `None`: they must have the same value.
    pub pick: Option<PickRule>,
    /// Other units, and the factors by which their values are multiplied.
    pub convert: BTreeMap<String, f64>,
}

/// Where the nodes of a source are found.
#[derive(Debug, Clone)]
pub(in crate::rules) enum FoundIn {
    Search(ResourceSearch),
    /// A path from the root of the case document.
    Path(Arc<Path>),
    /// The link id of a question.
    Answer(String),
}

/// What reading a fact needs.
pub(in crate::rules) struct Reader<'r> {
    pub fact: &'r Fact,
    pub document: &'r CaseDocument,
    pub sets: &'r Sets,
    pub budget: &'r mut StepBudget,
}

impl FactSource {
    /// What the source states. An error means that the evaluation fails.
    pub(in crate::rules) fn look_up(&self, reader: &mut Reader<'_>) -> Result<FactLookup, String> {
        if let Some(reason) = self.answer_set_aside(reader.document) {
            return Ok(FactLookup::Unusable(reason));
        }
        let found = self.nodes(reader)?;
        let nodes = self.filtered(found, reader)?;
        match (nodes.as_slice(), self.pick) {
            ([], _) => Ok(FactLookup::NotFound),
            ([only], _) => self.read(only, reader),
            ([first, ..], Some(PickRule::First)) => self.read(first, reader),
            (many, Some(pick @ (PickRule::Newest | PickRule::Oldest))) => self.by_date(many, pick, reader),
            (many, Some(pick @ (PickRule::Lowest | PickRule::Highest))) => self.by_value(many, pick, reader),
            (many, None) => {
                let lookups = self.read_all(many.iter(), reader)?;
                Ok(agreement::within_source(
                    lookups,
                    "several found with different values",
                ))
            }
        }
    }

    /// Whether the source reads only what all items of a request share.
    pub(in crate::rules) fn is_shared(&self) -> bool {
        match &self.found_in {
            FoundIn::Search(_) | FoundIn::Answer(_) => true,
            FoundIn::Path(path) => path
                .first_step()
                .is_some_and(|name| EVIDENCE_MEMBERS.contains(&name) || ANSWER_MEMBERS.contains(&name)),
        }
    }

    /// Why the answer that the source reads may not decide.
    fn answer_set_aside(&self, document: &CaseDocument) -> Option<Unusable> {
        let FoundIn::Answer(link_id) = &self.found_in else {
            return None;
        };
        let reason = document.shared_answers().set_aside(link_id)?;
        Some(Unusable::set_aside("the answer", reason))
    }

    /// Why a resource that the source would read may not decide, for a source that finds nothing.
    pub(in crate::rules) fn resource_set_aside(
        &self,
        document: &CaseDocument,
        sets: &Sets,
    ) -> Option<Unusable> {
        let of_keep = self.keep.iter().map(|(_, set)| set);
        let (kind, names): (&str, Vec<&String>) = match &self.found_in {
            FoundIn::Answer(_) => {
                let reason = document.shared_answers().responses_set_aside()?;
                return Some(Unusable::set_aside("the response to the form", reason));
            }
            FoundIn::Search(search) => (&search.resource, of_keep.chain(&search.code_in).collect()),
            FoundIn::Path(path) => (path.resource_type()?, of_keep.collect()),
        };
        let sets: Vec<&CodeSet> = names.into_iter().filter_map(|name| sets.get(name)).collect();
        let reason = document.evidence().resource_set_aside(kind, &sets)?;
        Some(Unusable::set_aside(kind, reason))
    }

    fn nodes<'d>(&self, reader: &mut Reader<'d>) -> Result<Vec<FoundNode<'d>>, String> {
        let document = reader.document;
        match &self.found_in {
            FoundIn::Path(path) => {
                reader.budget.spend(1 + path.fan_out() * document.weight())?;
                path.find(document.part(path.first_step()))
            }
            FoundIn::Answer(link_id) => {
                let answers = document.shared_answers().to(link_id);
                reader.budget.spend(1 + answers.len())?;
                let place = |n| format!("$['answers']['{}'][{n}]", link_id.replace('\'', "\\'"));
                Ok(answers.iter().enumerate().map(|(n, a)| (a, place(n))).collect())
            }
            FoundIn::Search(search) => {
                let all = document.evidence().of_type(&search.resource);
                let places: Vec<usize> = match &search.code_in {
                    None => (0..all.len()).collect(),
                    Some(set) => {
                        let set = reader.sets.get(set).ok_or("a set is missing")?;
                        document
                            .evidence()
                            .places_of(&search.resource, set, reader.budget)?
                    }
                };
                reader.budget.spend(1 + places.len())?;
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
        reader: &mut Reader<'d>,
    ) -> Result<Vec<FoundNode<'d>>, String> {
        let mut kept = Vec::new();
        'nodes: for node in nodes {
            for (path, set) in &self.keep {
                let codes = path.find(node.0)?;
                reader.budget.spend(1 + codes.len())?;
                let set = reader.sets.get(set);
                let holds = |value: &Value| {
                    typed_code(value)
                        .is_some_and(|(system, code)| set.is_some_and(|set| set.holds(&system, &code)))
                };
                if !codes.iter().any(|(value, _)| holds(value)) {
                    continue 'nodes;
                }
            }
            kept.push(node);
        }
        Ok(kept)
    }

    fn read_all<'n, 'd: 'n>(
        &self,
        nodes: impl Iterator<Item = &'n FoundNode<'d>>,
        reader: &mut Reader<'_>,
    ) -> Result<Vec<FactLookup>, String> {
        nodes.map(|node| self.read(node, reader)).collect()
    }

    fn read(&self, node: &FoundNode<'_>, reader: &mut Reader<'_>) -> Result<FactLookup, String> {
        let (value, path) = match (&self.means, &self.read) {
            (Some(value), _) => {
                let value = value.clone();
                return self.found(value, node, node.1.clone(), reader);
            }
            (None, None) => (node.0, node.1.clone()),
            (None, Some(read)) => {
                let found = read.find(node.0)?;
                reader.budget.spend(1 + found.len())?;
                let mut found = found.into_iter().filter(|(value, _)| !value.is_null());
                match (found.next(), found.next()) {
                    (None, _) => return Ok(FactLookup::NotFound),
                    (Some((value, below)), None) => (value, join(&node.1, &below)),
                    (Some(_), Some(_)) => {
                        return Ok(FactLookup::unusable(
                            "several values found where one is expected",
                            &node.1,
                        ));
                    }
                }
            }
        };
        if value.is_null() {
            return Ok(FactLookup::NotFound);
        }
        let value_type = ValueType {
            kind: reader.fact.kind,
            unit: reader.fact.unit.as_deref(),
            convert: &self.convert,
        };
        match value_type.read(value, reader.document.zone()) {
            Ok(value) => self.found(value, node, path, reader),
            Err(reason) => Ok(FactLookup::unusable(reason, &path)),
        }
    }

    /// A value with its date, unless it is not plausible.
    fn found(
        &self,
        value: TypedValue,
        node: &FoundNode<'_>,
        path: String,
        reader: &mut Reader<'_>,
    ) -> Result<FactLookup, String> {
        let found = FoundValue {
            value,
            date: self.date(node.0, reader)?,
            path,
            others: Vec::new(),
        };
        match reader.fact.implausible(&found.value) {
            None => Ok(FactLookup::Found(found)),
            Some(reason) => Ok(FactLookup::unusable_values(&reason, vec![found])),
        }
    }

    /// The date of a node: the date or period that `dated` finds, or the answer to the question of `dated_by`. A fact
    /// that is a date itself needs none.
    fn date(&self, node: &Value, reader: &Reader<'_>) -> Result<Option<(String, DateRange)>, String> {
        let zone = reader.document.zone();
        if let Some(link_id) = &self.dated_by {
            let [Value::String(text)] = reader.document.shared_answers().to(link_id) else {
                return Ok(None);
            };
            return Ok(DateRange::read(text, zone).map(|days| (text.clone(), days)));
        }
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

    /// The newest or oldest node. Unusable if a node has no date, or if nodes of the same day have different values.
    fn by_date(
        &self,
        many: &[FoundNode<'_>],
        pick: PickRule,
        reader: &mut Reader<'_>,
    ) -> Result<FactLookup, String> {
        let zone = reader.document.zone();
        let mut dated = Vec::with_capacity(many.len());
        for node in many {
            reader.budget.spend(1)?;
            let date = self.date(node.0, reader)?;
            match date.and_then(|(text, days)| Some((span(&text, days, zone)?, days))) {
                Some((span, days)) => dated.push((span, days, node)),
                None => {
                    return Ok(FactLookup::unusable(
                        "several found, and at least one has no date",
                        &node.1,
                    ));
                }
            }
        }
        let newest = pick == PickRule::Newest;
        dated.sort_by(|a, b| if newest { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
        let Some((_, chosen, _)) = dated.first().copied() else {
            return Ok(FactLookup::NotFound);
        };
        let same_day = dated.iter().filter(|(_, days, _)| days.meets(chosen));
        let lookups = self.read_all(same_day.map(|(_, _, node)| *node), reader)?;
        Ok(agreement::within_source(
            lookups,
            "several found with the same date and different values",
        ))
    }

    /// The node with the lowest or highest value.
    fn by_value(
        &self,
        many: &[FoundNode<'_>],
        pick: PickRule,
        reader: &mut Reader<'_>,
    ) -> Result<FactLookup, String> {
        let mut best: Option<(f64, FoundValue)> = None;
        for node in many {
            let found = match self.read(node, reader)? {
                FactLookup::Found(found) => found,
                FactLookup::Unusable(unusable) => return Ok(FactLookup::Unusable(unusable)),
                FactLookup::NotFound => {
                    return Ok(FactLookup::unusable(
                        "several found, and at least one has no value",
                        &node.1,
                    ));
                }
            };
            let Some(number) = found.value.number() else {
                return Ok(FactLookup::unusable(
                    "several found, and at least one cannot be compared",
                    &node.1,
                ));
            };
            let better = |(before, _): &(f64, FoundValue)| {
                if pick == PickRule::Lowest {
                    number < *before
                } else {
                    number > *before
                }
            };
            if best.as_ref().is_none_or(better) {
                best = Some((number, found));
            }
        }
        Ok(best.map_or(FactLookup::NotFound, |(_, found)| FactLookup::Found(found)))
    }
}

impl ResourceSearch {
    /// Whether status and category of a resource are among those searched for.
    fn matches(&self, resource: &Value) -> bool {
        let is_in = |searched: &[String], code: &str| searched.iter().any(|one| one == code);
        let has_status = |searched: &Vec<String>| match text(resource, &["status"]) {
            Some(status) => is_in(searched, status),
            None => resource
                .get("clinicalStatus")
                .is_some_and(|status| codings(status).any(|coding| is_in(searched, coding.code))),
        };
        let has_category = |searched: &Vec<String>| {
            list(resource, "category")
                .flat_map(codings)
                .any(|coding| is_in(searched, coding.code))
        };
        self.status.as_ref().is_none_or(has_status) && self.category.as_ref().is_none_or(has_category)
    }
}

/// `$['a'][0]` and `$['b']` give `$['a'][0]['b']`.
fn join(base: &str, below: &str) -> String {
    format!("{base}{}", below.strip_prefix('$').unwrap_or(below))
}
