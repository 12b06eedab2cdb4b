//! What may decide: the resources of a request without what its admission set aside.

use super::resources::Resources;
use super::{Admission, SetAside};
use crate::fhir::put;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The member of an answered item that has, in place of its answers, the reason why they were set aside.
pub const SET_ASIDE: &str = "setAside";

/// The resources that may decide.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    admission: Option<&'a Admission>,
    resources: Vec<Cow<'a, Value>>,
}

impl<'a> Evidence<'a> {
    /// What an admission leaves of the resources. A case that was stored without an admission has none: all of its
    /// resources decided.
    pub fn new(resources: &Resources<'a>, admission: Option<&'a Admission>) -> Self {
        let set_aside = SetAsidePlaces::new(resources, admission);
        let admitted = resources.all().iter().filter_map(|located| {
            if set_aside.resources.contains(located.path.as_str()) {
                return None;
            }
            Some(match set_aside.answers.get(located.path.as_str()) {
                None => Cow::Borrowed(located.resource),
                Some(reasons) => {
                    let mut response = located.resource.clone();
                    remove_answers(&mut response, "", reasons);
                    Cow::Owned(response)
                }
            })
        });
        Self {
            admission,
            resources: admitted.collect(),
        }
    }

    /// Adds resources that were admitted before.
    pub fn add_admitted(&mut self, resources: impl Iterator<Item = &'a Value>) {
        self.resources.extend(resources.map(Cow::Borrowed));
    }

    /// The admission; none for a case that was stored without one.
    pub fn admission(&self) -> Option<&'a Admission> {
        self.admission
    }

    /// The resources that may decide, in the order of the request. Answers that were set aside are removed.
    pub fn resources(&self) -> impl Iterator<Item = &Value> {
        self.resources.iter().map(AsRef::as_ref)
    }
}

/// The places of an admission, by resource.
struct SetAsidePlaces<'s> {
    /// The paths of whole resources.
    resources: HashSet<&'s str>,
    /// By the path of the response: paths of its items below it, with the reasons.
    answers: HashMap<&'s str, HashMap<&'s str, &'s str>>,
}

impl<'s> SetAsidePlaces<'s> {
    fn new(resources: &Resources<'_>, admission: Option<&'s Admission>) -> Self {
        let paths: HashSet<&str> = resources.all().iter().map(|r| r.path.as_str()).collect();
        let mut places = Self {
            resources: HashSet::new(),
            answers: HashMap::new(),
        };
        for one in admission.into_iter().flat_map(|a| &a.set_aside) {
            match one.link_id.as_ref().and_then(|_| response_and_item(one, &paths)) {
                Some((response, item)) => {
                    let items = places.answers.entry(response).or_default();
                    items.insert(item, &one.reason);
                }
                None => drop(places.resources.insert(&one.path)),
            }
        }
        places
    }
}

/// The path of the response of an answer, and the path of the item below it.
fn response_and_item<'s>(answer: &'s SetAside, paths: &HashSet<&str>) -> Option<(&'s str, &'s str)> {
    let starts = answer.path.match_indices(".item[").map(|(at, _)| at);
    starts
        .filter_map(|at| Some((answer.path.get(..at)?, answer.path.get(at + 1..)?)))
        .find(|(response, _)| paths.contains(response))
}

/// Puts the reason in place of the answers of each item in `reasons`.
fn remove_answers(parent: &mut Value, path: &str, reasons: &HashMap<&str, &str>) {
    let items = parent.get_mut("item").and_then(Value::as_array_mut);
    for (n, item) in items.into_iter().flatten().enumerate() {
        let separator = if path.is_empty() { "" } else { "." };
        let own_path = format!("{path}{separator}item[{n}]");
        if let Some(reason) = reasons.get(own_path.as_str()) {
            if let Some(members) = item.as_object_mut() {
                members.remove("answer");
            }
            put(item, SET_ASIDE, Value::from(*reason));
        }
        let answers = item.get_mut("answer").and_then(Value::as_array_mut);
        for (n, answer) in answers.into_iter().flatten().enumerate() {
            remove_answers(answer, &format!("{own_path}.answer[{n}]"), reasons);
        }
        remove_answers(item, &own_path, reasons);
    }
}
