//! The facts that all items of one request share, because they are read from the evidence and the answers alone. Each is
//! looked up once; every item that uses it spends the same steps, so a verdict does not depend on which item came first.

use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::values::FactLookup;
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The facts of one policy that were looked up, by name, with the steps that it took.
pub(in crate::rules) type FactsOfPolicy = Mutex<HashMap<String, (usize, Arc<FactLookup>)>>;

/// The facts by policy (the hash of everything that it reads) and time zone.
#[derive(Default)]
pub(in crate::rules) struct SharedFacts(Mutex<HashMap<Tz, HashMap<String, Arc<FactsOfPolicy>>>>);

impl SharedFacts {
    /// The facts of the policy with this hash.
    pub(in crate::rules) fn of_policy(&self, hash: &str, zone: Tz) -> Arc<FactsOfPolicy> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_policy = all.entry(zone).or_default();
        if let Some(known) = by_policy.get(hash) {
            return known.clone();
        }
        by_policy.entry(hash.to_owned()).or_default().clone()
    }
}

/// The fact with this name: as it was looked up before, or by `look_up`.
pub(in crate::rules) fn shared_or(
    facts: &FactsOfPolicy,
    name: &str,
    budget: &mut StepBudget,
    look_up: impl FnOnce(&mut StepBudget) -> Result<FactLookup, String>,
) -> Result<Arc<FactLookup>, String> {
    let lock = || facts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((steps, known)) = lock().get(name).cloned() {
        budget.spend(steps)?;
        return Ok(known);
    }
    let before = budget.0;
    let lookup = Arc::new(look_up(budget)?);
    let steps = before.saturating_sub(budget.0);
    lock().insert(name.to_owned(), (steps, lookup.clone()));
    Ok(lookup)
}
