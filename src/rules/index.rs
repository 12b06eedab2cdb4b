//! Which policy or list row answers for an item: a hash of (system, code), then line, state and date; the most
//! specific scope wins. Looking up is constant in the number of rows.

use super::case_document::CaseDocument;
use super::lists::{Row, holds_on};
use super::model::Basis;
use super::policy::Policy;
use crate::fhir::coding::{CPT, HCPCS, is_billing_system, normal_system};
use std::collections::HashMap;

/// The key of a code. CPT and HCPCS share one space: senders put either's codes under either's URL, and the shape
/// tells them apart.
pub(super) fn code_key(system: &str, code: &str) -> String {
    let system = normal_system(system);
    let system = match system.as_ref() {
        HCPCS | CPT if is_cpt_shaped(code) => CPT,
        HCPCS | CPT => HCPCS,
        other => other,
    };
    format!("{system}|{code}")
}

/// Five characters: four digits, then a digit or one of the letters of CPT's other categories.
fn is_cpt_shaped(code: &str) -> bool {
    let Some((last, first)) = code.as_bytes().split_last() else {
        return false;
    };
    first.len() == 4
        && first.iter().all(u8::is_ascii_digit)
        && (last.is_ascii_digit() || matches!(last, b'A' | b'F' | b'M' | b'T' | b'U'))
}

/// What answers for an item.
pub(super) enum Answering<'a> {
    Policy(&'a Policy),
    Row(&'a Row),
    /// A row defers to a policy that has no version for the day.
    Deferred(&'a Row),
    NoBillingCode,
    /// No row speaks for the line on that day.
    Nothing,
}

/// Policies and rows by code.
#[derive(Debug, Default)]
pub(super) struct Index {
    policies: HashMap<String, Vec<usize>>,
    rows: HashMap<String, Vec<usize>>,
    /// Rows whose code is `*`.
    others: Vec<usize>,
}

impl Index {
    /// Indexes the active policies and every row.
    pub(super) fn build(policies: &[Policy], rows: &[Row]) -> Self {
        let mut index = Self::default();
        for (n, policy) in policies.iter().enumerate().filter(|(_, p)| p.is_active()) {
            for key in policy.code_keys() {
                index.policies.entry(key).or_default().push(n);
            }
        }
        for (n, row) in rows.iter().enumerate() {
            if row.code == "*" {
                index.others.push(n);
            } else {
                index
                    .rows
                    .entry(code_key(&row.system, &row.code))
                    .or_default()
                    .push(n);
            }
        }
        index
    }

    /// Every active policy that has one of these codes in its scope, whatever the line and day.
    pub(super) fn policies_of<'a>(
        &self,
        codes: &[(String, String)],
        policies: &'a [Policy],
    ) -> Vec<&'a Policy> {
        let mut places: Vec<usize> = codes
            .iter()
            .filter_map(|(system, code)| self.policies.get(&code_key(system, code)))
            .flatten()
            .copied()
            .collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|n| policies.get(n)).collect()
    }

    /// What answers for the document's item. `demanding` says whether a row's answer asks for anything: of several
    /// codes of one item, the one that asks wins.
    pub(super) fn answering<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
        rows: &'a [Row],
        demanding: impl Fn(&Row) -> bool,
    ) -> Answering<'a> {
        let keys: Vec<String> = document
            .codes()
            .iter()
            .filter(|(system, _)| is_billing_system(system))
            .map(|(system, code)| code_key(system, code))
            .collect();
        if keys.is_empty() {
            return Answering::NoBillingCode;
        }
        let (line, state) = (document.line(), document.state());
        let matching = keys.iter().filter_map(|k| self.policies.get(k)).flatten();
        let policy = first_greatest(
            matching
                .filter_map(|n| policies.get(*n))
                .filter(|p| p.speaks_for(line, state, document)),
            Policy::rank,
        );
        if let Some(policy) = policy {
            return Answering::Policy(policy);
        }
        let speaking = |n: &usize| {
            let row = rows.get(*n)?;
            row.speaks_for(line, state, document.received_day())
                .then_some(row)
        };
        let listed = keys
            .iter()
            .filter_map(|k| self.rows.get(k))
            .flatten()
            .filter_map(speaking);
        let row = first_greatest(listed, |r| (demanding(r), r.rank()))
            .or_else(|| first_greatest(self.others.iter().filter_map(speaking), |r| (true, r.rank())));
        match row {
            None => Answering::Nothing,
            Some(row) if row.policy.is_some() => Answering::Deferred(row),
            Some(row) => Answering::Row(row),
        }
    }
}

/// The first of the greatest: `max_by_key` alone would take the last.
fn first_greatest<T: Copy, K: Ord>(all: impl Iterator<Item = T>, key: impl Fn(T) -> K) -> Option<T> {
    let mut best: Option<(K, T)> = None;
    for one in all {
        let own = key(one);
        if best.as_ref().is_none_or(|(k, _)| own > *k) {
            best = Some((own, one));
        }
    }
    best.map(|(_, one)| one)
}

impl Policy {
    /// State over any, then line over any.
    pub(super) fn rank(&self) -> (bool, bool) {
        (self.states().is_some(), self.lines().is_some())
    }

    fn speaks_for(&self, line: &str, state: Option<&str>, document: &CaseDocument) -> bool {
        let window = self.effective();
        let day = match window.basis {
            Basis::Received => document.received_day(),
            Basis::ServiceStart => document.service_start().unwrap_or(document.received_day()),
        };
        self.lines().is_none_or(|all| all.iter().any(|l| l == line))
            && self
                .states()
                .is_none_or(|all| all.iter().any(|s| Some(s.as_str()) == state))
            && holds_on(window.from, window.to, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpt_shaped_codes_are_one_under_both_urls() {
        assert_eq!(code_key(HCPCS, "33510"), code_key(CPT, "33510"));
        assert_eq!(
            code_key(
                "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
                "0075T"
            ),
            code_key(CPT, "0075T")
        );
        assert_eq!(code_key(CPT, "E1390"), code_key(HCPCS, "E1390"));
        assert_ne!(code_key("http://loinc.org", "33510"), code_key(CPT, "33510"));
        assert_eq!(code_key("", ""), "|");
    }
}
