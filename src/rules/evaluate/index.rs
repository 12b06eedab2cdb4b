//! Which policy or list row answers for an item: a hash of (system, code), then line, state and date; the most
//! specific scope wins. Looking up is constant in the number of rows.

use crate::fhir::coding::is_billing_system;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::format::codes::CodeTable;
use crate::rules::format::policy_file::{Basis, Status};
use crate::rules::load::tables::{Row, holds_on};
use crate::rules::policy::Policy;

/// What answers for an item.
pub(in crate::rules) enum Answering<'a> {
    Policy(&'a Policy),
    /// The answer of a row that names a policy stands in on days for which the policy has no version.
    Row(&'a Row),
    NoBillingCode,
    /// No row speaks for the line on that day.
    Nothing,
}

/// Policies and rows by code.
#[derive(Debug, Default)]
pub(in crate::rules) struct Index {
    policies: CodeTable,
    shadows: CodeTable,
    rows: CodeTable,
    /// Rows whose code is `*`.
    others: Vec<u32>,
}

/// How special a scope is: a named state before any, a named line before any, a code before a range.
type Rank = (bool, bool, bool);

impl Index {
    /// Indexes the active policies, the shadow ones and every row.
    pub(in crate::rules) fn build(policies: &[Policy], rows: &[Row]) -> Self {
        let mut index = Self::default();
        for (n, policy) in (0..).zip(policies) {
            let table = match policy.status() {
                Status::Active => &mut index.policies,
                Status::Shadow => &mut index.shadows,
                Status::Draft | Status::Retired => continue,
            };
            for (system, code) in policy.codes() {
                table.insert(system, code, n);
            }
        }
        for (n, row) in (0..).zip(rows) {
            if &*row.code == "*" {
                index.others.push(n);
            } else {
                index.rows.insert(&row.system, &row.code, n);
            }
        }
        Self {
            policies: index.policies.sealed(),
            shadows: index.shadows.sealed(),
            rows: index.rows.sealed(),
            others: index.others,
        }
    }

    /// What answers for the document's item. `demanding` says whether a row's answer asks for anything: of several
    /// codes of one item, the one that asks wins.
    pub(in crate::rules) fn answering<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
        rows: &'a [Row],
        demanding: impl Fn(&Row) -> bool,
    ) -> Answering<'a> {
        let codes = billing_codes(document);
        if codes.is_empty() {
            return Answering::NoBillingCode;
        }
        if let Some(policy) = best_policy(&self.policies, &codes, document, policies) {
            return Answering::Policy(policy);
        }
        let (line, state) = (document.line(), document.state());
        let speaking = |n: &u32| {
            let row = rows.get(*n as usize)?;
            row.speaks_for(line, state, document.received_day())
                .then_some(row)
        };
        let listed = found(&self.rows, &codes).filter_map(|(n, exact)| Some((speaking(n)?, exact)));
        let row = first_greatest(listed, |(r, exact)| (demanding(r), ranked(r.rank(), *exact)))
            .map(|(row, _)| row)
            .or_else(|| first_greatest(self.others.iter().filter_map(speaking), |r| r.rank()));
        match row {
            None => Answering::Nothing,
            Some(row) => Answering::Row(row),
        }
    }

    /// The active policy that answers for the document's item.
    pub(in crate::rules) fn policy<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
    ) -> Option<&'a Policy> {
        best_policy(&self.policies, &billing_codes(document), document, policies)
    }

    /// The shadow version of each policy that would answer for the document's item.
    pub(in crate::rules) fn shadows<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
    ) -> Vec<&'a Policy> {
        let codes = billing_codes(document);
        let mut speaking: Vec<&Policy> = found(&self.shadows, &codes)
            .filter_map(|(n, _)| policies.get(*n as usize))
            .filter(|policy| policy.speaks_for(document))
            .collect();
        speaking.sort_by_key(|policy| policy.file());
        speaking.dedup_by_key(|policy| policy.file());
        speaking
    }
}

fn billing_codes(document: &CaseDocument) -> Vec<(String, String)> {
    let mut codes = document.codes();
    codes.retain(|(system, _)| is_billing_system(system));
    codes
}

/// Every place of the codes, with whether it names the code itself.
fn found<'t>(table: &'t CodeTable, codes: &[(String, String)]) -> impl Iterator<Item = (&'t u32, bool)> {
    codes.iter().flat_map(|(system, code)| {
        let (exact, ranged) = table.find(system, code);
        exact
            .iter()
            .map(|n| (n, true))
            .chain(ranged.iter().map(|n| (n, false)))
    })
}

fn best_policy<'a>(
    table: &CodeTable,
    codes: &[(String, String)],
    document: &CaseDocument,
    policies: &'a [Policy],
) -> Option<&'a Policy> {
    let speaking = found(table, codes)
        .filter_map(|(n, exact)| Some((policies.get(*n as usize)?, exact)))
        .filter(|(policy, _)| policy.speaks_for(document));
    first_greatest(speaking, |(policy, exact)| ranked(policy.rank(), *exact)).map(|(policy, _)| policy)
}

fn ranked((state, line): (bool, bool), exact: bool) -> Rank {
    (state, line, exact)
}

/// The first of the greatest: `max_by_key` alone would take the last.
fn first_greatest<T: Copy, K: Ord>(all: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Option<T> {
    let mut best: Option<(K, T)> = None;
    for one in all {
        let own = key(&one);
        if best.as_ref().is_none_or(|(k, _)| own > *k) {
            best = Some((own, one));
        }
    }
    best.map(|(_, one)| one)
}

impl Policy {
    /// State over any, then line over any.
    pub(in crate::rules) fn rank(&self) -> (bool, bool) {
        (self.states().is_some(), self.lines().is_some())
    }

    fn speaks_for(&self, document: &CaseDocument) -> bool {
        let window = self.effective();
        let day = match window.basis {
            Basis::Received => document.received_day(),
            Basis::ServiceStart => document.service_start().unwrap_or(document.received_day()),
        };
        let (line, state) = (document.line(), document.state());
        self.lines().is_none_or(|all| all.iter().any(|l| l == line))
            && self
                .states()
                .is_none_or(|all| all.iter().any(|s| Some(s.as_str()) == state))
            && holds_on(window.from, window.to, day)
    }
}
