//! Resources that were built for member apps, kept in memory so that the next call need not build them again. A kept
//! resource counts only for the version of the case that the caller has just read from the database, for the policy set
//! that is current, and until an approval in it ends: what is kept is never shown instead of what is true now. Whether a
//! caller may see it is decided at each call.

use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// A case as member apps see it.
#[derive(Debug)]
pub struct MemberResource {
    /// The case.
    pub case: Uuid,
    /// The number of its last event.
    pub version: u32,
    /// The hash of the policy set with whose texts it was built.
    pub policy_set: String,
    /// The first time for which it is right.
    pub from: DateTime<Utc>,
    /// When it is no longer right, because an approval ends; none if nothing in it ends.
    pub until: Option<DateTime<Utc>>,
    /// Whether the request is sensitive.
    pub sensitive: bool,
    /// The JSON; none if no item is shown.
    pub text: Option<Arc<str>>,
    /// The references of the other resources of the request that can be read: providers, places, forms.
    pub related: Vec<String>,
}

impl MemberResource {
    fn is_current(&self, version: u32, policy_set: &str, now: DateTime<Utc>) -> bool {
        self.version == version
            && self.policy_set == policy_set
            && self.from <= now
            && self.until.is_none_or(|until| now < until)
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.len());
        let related: usize = self.related.iter().map(|reference| reference.len() + 24).sum();
        text + related + self.policy_set.len() + 256
    }
}

/// The resources that are kept. Two generations: what was used since the last change of generations, and what was used
/// in the one before. Each has at most half of the bytes.
#[derive(Debug)]
pub struct MemberResources {
    most_bytes: usize,
    kept: Mutex<Kept>,
    built: AtomicU64,
}

type Generation = HashMap<Uuid, Arc<MemberResource>>;

#[derive(Debug, Default)]
struct Kept {
    newer: Generation,
    newer_bytes: usize,
    older: Generation,
}

impl MemberResources {
    /// Keeps at most so many bytes; 0 keeps nothing.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            kept: Mutex::default(),
            built: AtomicU64::new(0),
        }
    }

    /// What is kept of these cases and versions, in their order.
    pub fn get(
        &self,
        cases: impl Iterator<Item = (Uuid, u32)>,
        policy_set: &str,
        now: DateTime<Utc>,
    ) -> Vec<Option<Arc<MemberResource>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        cases
            .map(|(case, version)| {
                let found = match kept.newer.get(&case) {
                    Some(found) => found.clone(),
                    None => {
                        let found = kept.older.remove(&case)?;
                        kept.add(found.clone(), self.most_bytes / 2);
                        found
                    }
                };
                found.is_current(version, policy_set, now).then_some(found)
            })
            .collect()
    }

    /// Keeps a resource that was built. An older version does not replace a newer one.
    pub fn keep(&self, resource: Arc<MemberResource>) {
        self.built.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("assent_member_resources_built_total").increment(1);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.add(resource, self.most_bytes / 2);
    }

    /// How many resources were built since the start.
    pub fn built(&self) -> u64 {
        self.built.load(Ordering::Relaxed)
    }

    /// About how many bytes are kept.
    pub fn bytes(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.newer_bytes + kept.older.values().map(|resource| resource.size()).sum::<usize>()
    }
}

impl Kept {
    fn add(&mut self, resource: Arc<MemberResource>, most_bytes: usize) {
        let size = resource.size();
        let is_older = |other: &Arc<MemberResource>| resource.version < other.version;
        if size > most_bytes || self.newer.get(&resource.case).is_some_and(is_older) {
            return;
        }
        if self.newer_bytes + size > most_bytes {
            self.older = std::mem::take(&mut self.newer);
            self.newer_bytes = 0;
        }
        self.older.remove(&resource.case);
        self.newer_bytes += size;
        if let Some(replaced) = self.newer.insert(resource.case, resource) {
            self.newer_bytes = self.newer_bytes.saturating_sub(replaced.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn resource(case: u128, version: u32) -> Arc<MemberResource> {
        Arc::new(MemberResource {
            case: Uuid::from_u128(case),
            version,
            policy_set: "set".to_owned(),
            from: at("2026-11-01T00:00:00Z"),
            until: Some(at("2026-12-01T05:00:00Z")),
            sensitive: false,
            text: Some("x".repeat(1000).into()),
            related: Vec::new(),
        })
    }

    fn is_kept(resources: &MemberResources, case: u128, version: u32, set: &str, now: &str) -> bool {
        let found = resources.get([(Uuid::from_u128(case), version)].into_iter(), set, at(now));
        found.first().unwrap().is_some()
    }

    #[test]
    fn only_the_version_the_policy_set_and_the_time_it_was_built_for_are_found() {
        let resources = MemberResources::new(1_000_000);
        resources.keep(resource(1, 2));
        let now = "2026-11-20T00:00:00Z";
        assert!(is_kept(&resources, 1, 2, "set", now));
        assert!(!is_kept(&resources, 1, 3, "set", now));
        assert!(!is_kept(&resources, 1, 1, "set", now));
        assert!(!is_kept(&resources, 1, 2, "other", now));
        assert!(!is_kept(&resources, 1, 2, "set", "2026-12-01T05:00:00Z"));
        assert!(!is_kept(&resources, 1, 2, "set", "2026-10-31T00:00:00Z"));
        resources.keep(resource(1, 1));
        assert!(
            is_kept(&resources, 1, 2, "set", now),
            "an older version does not replace a newer one"
        );
    }

    #[test]
    fn the_bytes_are_bounded_and_what_is_used_stays() {
        let resources = MemberResources::new(20_000);
        let now = "2026-11-20T00:00:00Z";
        for case in 0..1000 {
            resources.keep(resource(case, 1));
            assert!(is_kept(&resources, 0, 1, "set", now), "{case}");
            assert!(resources.bytes() <= 20_000, "{}", resources.bytes());
        }
        assert!(!is_kept(&resources, 1, 1, "set", now));
        assert_eq!(resources.built(), 1000);
        let none = MemberResources::new(0);
        none.keep(resource(1, 1));
        assert_eq!(none.bytes(), 0);
    }
}
