//! The verdict of an item. Items of one request often have equal verdicts; such items share one in memory, and only the
//! first of them is stored with it, so that a request with a thousand items does not store a thousand equal traces.

use super::event::{Event, EventBody};
use crate::rules::{CoverageAnswer, Decision, Outcome, Pend, TraceNode, Verdict, VerdictSource};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The verdict of an item. It is read like a [`Verdict`].
#[derive(Debug, Clone)]
pub struct ItemVerdict {
    /// Empty only in an event that was just read and names `same_as`.
    verdict: Arc<Verdict>,
    /// The sequence of an earlier item of the same case that has an equal verdict.
    same_as: Option<u32>,
}

impl From<Verdict> for ItemVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict: Arc::new(verdict),
            same_as: None,
        }
    }
}

impl Deref for ItemVerdict {
    type Target = Verdict;

    fn deref(&self) -> &Verdict {
        &self.verdict
    }
}

impl DerefMut for ItemVerdict {
    fn deref_mut(&mut self) -> &mut Verdict {
        self.same_as = None;
        Arc::make_mut(&mut self.verdict)
    }
}

impl PartialEq for ItemVerdict {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.verdict, &other.verdict) || self.verdict == other.verdict
    }
}

impl Serialize for ItemVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(sequence) = self.same_as else {
            return self.verdict.serialize(serializer);
        };
        let mut reference = serializer.serialize_struct("Verdict", 1)?;
        reference.serialize_field("same_as", &sequence)?;
        reference.end()
    }
}

/// A verdict, or the reference to that of another item, as an event stores it.
#[derive(Deserialize)]
struct StoredVerdict {
    #[serde(default)]
    same_as: Option<u32>,
    #[serde(default)]
    source: Option<VerdictSource>,
    #[serde(default)]
    coverage: CoverageAnswer,
    #[serde(default)]
    decision: Option<Decision>,
    #[serde(default)]
    criteria: BTreeMap<String, Outcome>,
    #[serde(default)]
    trace: Vec<TraceNode>,
    #[serde(default)]
    trace_hash: String,
    #[serde(default)]
    error: Option<String>,
}

impl<'de> Deserialize<'de> for ItemVerdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredVerdict::deserialize(deserializer)?;
        if stored.same_as.is_some() {
            return Ok(Self {
                verdict: Arc::new(no_verdict()),
                same_as: stored.same_as,
            });
        }
        Ok(Self::from(Verdict {
            source: stored.source.ok_or_else(|| de::Error::missing_field("source"))?,
            coverage: stored.coverage,
            decision: stored
                .decision
                .ok_or_else(|| de::Error::missing_field("decision"))?,
            criteria: stored.criteria,
            trace: stored.trace,
            trace_hash: stored.trace_hash,
            error: stored.error,
        }))
    }
}

/// What stands in a read event until `read_shared` has put the verdict there.
fn no_verdict() -> Verdict {
    Verdict {
        source: VerdictSource::NoBillingCode,
        coverage: CoverageAnswer::default(),
        decision: Decision::Pend(Pend {
            queue: "intake".to_owned(),
            reason: "evaluation-error".to_owned(),
            documents_needed: Vec::new(),
        }),
        criteria: BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: String::new(),
        error: None,
    }
}

/// The verdicts of the items of a new case, each kept once.
#[derive(Debug, Default)]
pub(super) struct SharedVerdicts(HashMap<(String, String), (u32, Arc<Verdict>)>);

impl SharedVerdicts {
    /// The verdict of an item, shared with an earlier item that has an equal one. Looks at one earlier verdict at most, so
    /// the cost does not grow with the number of items.
    pub(super) fn share(&mut self, sequence: u32, verdict: Verdict) -> ItemVerdict {
        let key = (source_key(&verdict.source), verdict.trace_hash.clone());
        match self.0.get(&key) {
            Some((first, known)) if **known == verdict => ItemVerdict {
                verdict: known.clone(),
                same_as: Some(*first),
            },
            Some(_) => ItemVerdict::from(verdict),
            None => {
                let own = ItemVerdict::from(verdict);
                self.0.insert(key, (sequence, own.verdict.clone()));
                own
            }
        }
    }
}

/// Tells most verdicts apart. Equal verdicts have equal keys.
fn source_key(source: &VerdictSource) -> String {
    match source {
        VerdictSource::Policy { hash, .. } => hash.clone(),
        VerdictSource::List { file, line, .. } => format!("{file}:{line}"),
        VerdictSource::Coverage => "coverage".to_owned(),
        VerdictSource::NoBillingCode => "none".to_owned(),
    }
}

/// Puts the shared verdicts into events that were read. The error is the sequence of an item that names an item which the
/// events before it do not have.
pub fn read_shared_verdicts(events: &mut [Event]) -> Result<(), u32> {
    let mut own: HashMap<u32, Arc<Verdict>> = HashMap::new();
    for event in events {
        let EventBody::Evaluated(item) = &mut event.body else {
            continue;
        };
        match item.verdict.same_as {
            None => drop(own.insert(item.sequence, item.verdict.verdict.clone())),
            Some(first) => item.verdict.verdict = own.get(&first).ok_or(item.sequence)?.clone(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reason: &str) -> Verdict {
        Verdict {
            decision: Decision::NotRequired {
                reason: reason.to_owned(),
            },
            ..no_verdict()
        }
    }

    #[test]
    fn equal_verdicts_are_kept_once_and_others_are_not_mixed_up() {
        let mut shared = SharedVerdicts::default();
        let kept: Vec<ItemVerdict> = (1..)
            .zip(["a", "b", "a", "b"])
            .map(|(sequence, reason)| shared.share(sequence, verdict(reason)))
            .collect();
        assert_eq!(
            kept.iter().map(|v| v.same_as).collect::<Vec<_>>(),
            [None, None, Some(1), None]
        );
        assert!(Arc::ptr_eq(&kept[0].verdict, &kept[2].verdict));
        assert_eq!(kept[1], kept[3]);
        assert_ne!(kept[1], kept[0]);
        assert_eq!(serde_json::to_string(&kept[2]).unwrap(), r#"{"same_as":1}"#);
        let read: ItemVerdict = serde_json::from_str(&serde_json::to_string(&kept[1]).unwrap()).unwrap();
        assert_eq!(read, kept[1]);
    }
}
