//! Facts: finding nodes in the case document and giving them a type. What is missing is missing, what has another
//! unit or type is unreadable; neither is guessed at. Work is counted in steps, never in time, so that a replay ends
//! where the first run ended.

use crate::fhir::dates::{self, DateRange};
use crate::fhir::quantity::Quantity;
use crate::fhir::{list, text};
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::jsonpath::{Found, Path};
use crate::rules::format::codes::code_key;
use crate::rules::format::policy_file::{Kind, Pick, Search};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Named sets of codes, as keys of `code_key`.
pub(in crate::rules) type Sets = BTreeMap<String, HashSet<String>>;

/// A fact, compiled.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Fact {
    pub source: Source,
    pub keep: Vec<(Arc<Path>, String)>,
    pub read: Option<Arc<Path>>,
    pub dated: Option<Arc<Path>>,
    pub pick: Option<Pick>,
    pub kind: Kind,
    pub unit: Option<String>,
    pub convert: BTreeMap<String, f64>,
}

/// Where a fact is found.
#[derive(Debug, Clone)]
pub(in crate::rules) enum Source {
    Search(Search),
    Path(Arc<Path>),
    Answer(String),
}

/// A fact that every policy has.
pub(in crate::rules) struct BuiltIn {
    pub name: &'static str,
    pub path: &'static str,
    pub kind: Kind,
    pub pick: Option<Pick>,
}

/// What the house itself knows of the member on the day of receipt.
pub(in crate::rules) const BUILT_IN: [BuiltIn; 4] = [
    // Whole years.
    BuiltIn {
        name: "member.age",
        path: "$.member.age",
        kind: Kind::Number,
        pick: None,
    },
    // The first day of the coverage.
    BuiltIn {
        name: "member.coverage-from",
        path: "$.member.coverage_from",
        kind: Kind::Date,
        pick: None,
    },
    // The last day on which treatment begun elsewhere goes on without authorization (42 CFR 422.112(b)(8)(i)(B)).
    BuiltIn {
        name: "member.transition-until",
        path: "$.member.transition_until",
        kind: Kind::Date,
        pick: None,
    },
    // The NPI that is exempt from authorization for this very service.
    BuiltIn {
        name: "member.gold-card",
        path: "$.member.gold_card[*]",
        kind: Kind::Text,
        pick: Some(Pick::First),
    },
];

/// What is known of a fact.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Evidence {
    /// Nothing was found.
    Nothing,
    /// Something was found that cannot be used; the note says why.
    Unreadable { note: String, path: Option<String> },
    /// A value.
    Read(Reading),
}

/// A typed value with its date and its place.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) struct Reading {
    pub value: Typed,
    /// The date of the node, and how the source writes it.
    pub date: Option<(String, DateRange)>,
    pub path: String,
}

/// A value of a fact.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Typed {
    Number(f64),
    Quantity(f64, String),
    Date(String, DateRange),
    Boolean(bool),
    Text(String),
    /// A code; the system is empty where the source names none.
    Code(String, String),
}

/// How many steps are left. A step is a node looked at; a path costs as many as it may visit.
#[derive(Debug)]
pub(in crate::rules) struct Budget(pub usize);

impl Budget {
    /// Far above what a request with a thousand resources costs.
    pub(in crate::rules) const WHOLE: usize = 20_000_000;

    pub(in crate::rules) fn spend(&mut self, steps: usize) -> Result<(), String> {
        self.0 = self
            .0
            .checked_sub(steps)
            .ok_or("the rule takes more steps than are allowed")?;
        Ok(())
    }
}

impl Fact {
    /// What the document says of this fact.
    pub(in crate::rules) fn look_up(
        &self,
        document: &CaseDocument,
        sets: &Sets,
        budget: &mut Budget,
    ) -> Result<Evidence, String> {
        let nodes = self.kept(self.nodes(document, sets, budget)?, sets, budget)?;
        let zone = document.zone();
        match (nodes.as_slice(), self.pick) {
            ([], _) => Ok(Evidence::Nothing),
            ([only], _) => self.read(only, zone, budget),
            ([first, ..], Some(Pick::First)) => self.read(first, zone, budget),
            (many, Some(pick @ (Pick::Newest | Pick::Oldest))) => self.by_date(many, pick, zone, budget),
            (many, Some(pick @ (Pick::Lowest | Pick::Highest))) => self.by_value(many, pick, zone, budget),
            (many, None) => self.agreed(many, zone, budget),
        }
    }

    fn nodes<'d>(
        &self,
        document: &'d CaseDocument,
        sets: &Sets,
        budget: &mut Budget,
    ) -> Result<Vec<Found<'d>>, String> {
        match &self.source {
            Source::Path(path) => {
                budget.spend(1 + path.fan_out() * document.weight())?;
                path.find(document.as_json())
            }
            Source::Answer(link_id) => {
                let answers = document.answers(link_id);
                budget.spend(1 + answers.len())?;
                let place = |n| format!("$['answers']['{}'][{n}]", link_id.replace('\'', "\\'"));
                Ok(answers.iter().enumerate().map(|(n, a)| (a, place(n))).collect())
            }
            Source::Search(search) => {
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
                    .filter(|(_, resource)| search.admits(resource))
                    .map(|(n, resource)| (resource, format!("$['res']['{}'][{n}]", search.resource)))
                    .collect())
            }
        }
    }

    fn kept<'d>(
        &self,
        nodes: Vec<Found<'d>>,
        sets: &Sets,
        budget: &mut Budget,
    ) -> Result<Vec<Found<'d>>, String> {
        let mut kept = Vec::new();
        'nodes: for node in nodes {
            for (path, set) in &self.keep {
                let codes = path.find(node.0)?;
                budget.spend(1 + codes.len())?;
                let holds = |value: &Value| {
                    typed_code(value).is_some_and(|(system, code)| {
                        sets.get(set)
                            .is_some_and(|s| s.contains(&code_key(&system, &code)))
                    })
                };
                if !codes.iter().any(|(value, _)| holds(value)) {
                    continue 'nodes;
                }
            }
            kept.push(node);
        }
        Ok(kept)
    }

    fn read(&self, node: &Found<'_>, zone: Tz, budget: &mut Budget) -> Result<Evidence, String> {
        let (value, path) = match &self.read {
            None => (node.0, node.1.clone()),
            Some(read) => {
                let found = read.find(node.0)?;
                budget.spend(1 + found.len())?;
                let mut found = found.into_iter().filter(|(value, _)| !value.is_null());
                match (found.next(), found.next()) {
                    (None, _) => return Ok(Evidence::Nothing),
                    (Some((value, below)), None) => (value, join(&node.1, &below)),
                    (Some(_), Some(_)) => return Ok(unreadable("several values", node)),
                }
            }
        };
        if value.is_null() {
            return Ok(Evidence::Nothing);
        }
        Ok(match self.typed(value, zone) {
            Ok(value) => Evidence::Read(Reading {
                value,
                date: self.date(node.0, zone)?,
                path,
            }),
            Err(why) => Evidence::Unreadable {
                note: why,
                path: Some(path),
            },
        })
    }

    fn typed(&self, value: &Value, zone: Tz) -> Result<Typed, String> {
        let typed = match self.kind {
            Kind::Number => value.as_f64().map(Typed::Number),
            Kind::Boolean => value.as_bool().map(Typed::Boolean),
            Kind::Text => value.as_str().map(|t| Typed::Text(t.to_owned())),
            Kind::Code => typed_code(value).map(|(system, code)| Typed::Code(system, code)),
            Kind::Date => value
                .as_str()
                .and_then(|t| Some(Typed::Date(t.to_owned(), DateRange::read(t, zone)?))),
            Kind::Quantity => return self.quantity(value),
        };
        typed.ok_or_else(|| format!("found, but it is no {}", self.kind.word()))
    }

    fn quantity(&self, value: &Value) -> Result<Typed, String> {
        let quantity = Quantity::read(value).ok_or("found, but it is no quantity")?;
        if let Some(comparator) = text(value, &["comparator"]) {
            return Err(format!("the value is only a bound: {comparator}"));
        }
        let wanted = self.unit.as_deref().unwrap_or("");
        match quantity.unit {
            None => Err("a quantity without a unit".into()),
            Some(unit) if unit == wanted => Ok(Typed::Quantity(quantity.value, wanted.to_owned())),
            Some(unit) => match self.convert.get(unit) {
                Some(factor) => Ok(Typed::Quantity(quantity.value * factor, wanted.to_owned())),
                None => Err(format!("another unit: {unit}")),
            },
        }
    }

    /// The date of a node: what `dated` finds, a date or a period. A fact that is a date needs none.
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

    /// The newest or oldest node. Without a date on every node, or with two different values of one time, nobody can
    /// say which it is.
    fn by_date(
        &self,
        many: &[Found<'_>],
        pick: Pick,
        zone: Tz,
        budget: &mut Budget,
    ) -> Result<Evidence, String> {
        let mut dated = Vec::with_capacity(many.len());
        for node in many {
            budget.spend(1)?;
            match self
                .date(node.0, zone)?
                .and_then(|(text, days)| span(&text, days, zone))
            {
                Some(span) => dated.push((span, node)),
                None => return Ok(unreadable("several found, and one has no date", node)),
            }
        }
        let newest = pick == Pick::Newest;
        dated.sort_by(|a, b| if newest { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
        let mut dated = dated.into_iter();
        let Some((span, chosen)) = dated.next() else {
            return Ok(Evidence::Nothing);
        };
        let evidence = self.read(chosen, zone, budget)?;
        for (other, node) in dated {
            let together = other.0 <= span.1 && span.0 <= other.1;
            if together && !same_value(&evidence, &self.read(node, zone, budget)?) {
                return Ok(unreadable("several of the same time with different values", node));
            }
        }
        Ok(evidence)
    }

    fn by_value(
        &self,
        many: &[Found<'_>],
        pick: Pick,
        zone: Tz,
        budget: &mut Budget,
    ) -> Result<Evidence, String> {
        let mut best: Option<(f64, Evidence)> = None;
        for node in many {
            let evidence = self.read(node, zone, budget)?;
            let number = match &evidence {
                Evidence::Read(reading) => reading.value.number(),
                Evidence::Nothing | Evidence::Unreadable { .. } => None,
            };
            let Some(number) = number else {
                return Ok(unreadable("several found, and one cannot be compared", node));
            };
            let better = |(before, _): &(f64, Evidence)| {
                if pick == Pick::Lowest {
                    number < *before
                } else {
                    number > *before
                }
            };
            if best.as_ref().is_none_or(better) {
                best = Some((number, evidence));
            }
        }
        Ok(best.map_or(Evidence::Nothing, |(_, evidence)| evidence))
    }

    /// Several nodes without a rule which counts: usable only when they say the same.
    fn agreed(&self, many: &[Found<'_>], zone: Tz, budget: &mut Budget) -> Result<Evidence, String> {
        let mut agreed: Option<Evidence> = None;
        for node in many {
            let evidence = self.read(node, zone, budget)?;
            match &agreed {
                None => agreed = Some(evidence),
                Some(before) if same_value(before, &evidence) => {}
                Some(_) => return Ok(unreadable("several found that differ", node)),
            }
        }
        Ok(agreed.unwrap_or(Evidence::Nothing))
    }
}

impl Search {
    fn admits(&self, resource: &Value) -> bool {
        let status =
            text(resource, &["status"]).or_else(|| text(resource, &["clinicalStatus", "coding", "code"]));
        let has_status = |wanted: &Vec<String>| wanted.iter().any(|w| Some(w.as_str()) == status);
        let has_category = |wanted: &Vec<String>| {
            list(resource, "category")
                .flat_map(|c| list(c, "coding"))
                .filter_map(|c| text(c, &["code"]))
                .any(|code| wanted.iter().any(|w| w == code))
        };
        self.status.as_ref().is_none_or(has_status) && self.category.as_ref().is_none_or(has_category)
    }
}

impl Typed {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) | Self::Quantity(n, _) => Some(*n),
            _ => None,
        }
    }

    /// As the trace shows it.
    pub(in crate::rules) fn shown(&self) -> Value {
        match self {
            Self::Number(n) | Self::Quantity(n, _) => number_shown(*n),
            Self::Date(text, _) | Self::Text(text) | Self::Code(_, text) => Value::from(text.as_str()),
            Self::Boolean(b) => Value::from(*b),
        }
    }
}

/// Whole numbers without a decimal point, as people write them.
fn number_shown(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        let whole = n as i64;
        Value::from(whole)
    } else {
        Value::from(n)
    }
}

impl Kind {
    /// The word in files.
    pub(in crate::rules) fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Quantity => "quantity",
            Self::Date => "date",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Code => "code",
        }
    }
}

fn unreadable(why: &str, node: &Found<'_>) -> Evidence {
    Evidence::Unreadable {
        note: why.to_owned(),
        path: Some(node.1.clone()),
    }
}

fn same_value(a: &Evidence, b: &Evidence) -> bool {
    match (a, b) {
        (Evidence::Read(a), Evidence::Read(b)) => a.value == b.value,
        _ => a == b,
    }
}

/// `$['a'][0]` and `$['b']` are `$['a'][0]['b']`.
fn join(base: &str, below: &str) -> String {
    format!("{base}{}", below.strip_prefix('$').unwrap_or(below))
}

/// A code written bare, as a Coding, or as a `CodeableConcept` with one coding.
fn typed_code(value: &Value) -> Option<(String, String)> {
    if let Some(code) = value.as_str() {
        return Some((String::new(), code.to_owned()));
    }
    if let Some(codings) = value.get("coding").and_then(Value::as_array) {
        let [only] = codings.as_slice() else { return None };
        return typed_code(only);
    }
    let system = text(value, &["system"]).unwrap_or("");
    Some((system.to_owned(), text(value, &["code"])?.to_owned()))
}

/// The first and last instant that a date can mean.
fn span(text: &str, days: DateRange, zone: Tz) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    if let Some(instant) = dates::instant(text) {
        let instant = instant.with_timezone(&Utc);
        return Some((instant, instant));
    }
    Some((midnight(days.first, zone), midnight(days.last.succ_opt()?, zone)))
}

fn midnight(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let naive = day.and_time(NaiveTime::MIN);
    let local = naive.and_local_timezone(zone).earliest();
    local.map_or_else(|| naive.and_utc(), |t| t.with_timezone(&Utc))
}
