//! The index: which policy or list row applies to an item. A hash of (system, code) finds candidates; line of
//! business, state and day select among them, and the most specific scope wins. The cost does not grow with the number
//! of rows.

use crate::fhir::code_shape::{CodeShape, shape};
use crate::fhir::coding::is_billing_system;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::format::codes::CodeTable;
use crate::rules::format::policy_file::{EffectiveDateBasis, PolicyStatus};
use crate::rules::load::tables::{ListRow, contains_day};
use crate::rules::policy::Policy;

/// What applies to an item.
pub(in crate::rules) enum ApplicableRule<'a> {
    Policy(&'a Policy),
    /// Also a row that names a policy, on days when no version of the policy is effective.
    Row(&'a ListRow),
    NoBillingCode,
    /// No row has the line of business on that day.
    None,
}

/// Policies and rows by code. Numbers are places in the lists of policies and rows of the rule set.
#[derive(Debug, Default)]
pub(in crate::rules) struct Index {
    policies: CodeTable,
    shadows: CodeTable,
    rows: CodeTable,
    /// Rows with the code `*`.
    rows_for_all_codes: Vec<u32>,
}

/// How specific a scope is, greatest last: a named state, a named line of business, a code instead of a range.
type Specificity = (bool, bool, bool);

impl Index {
    /// Indexes active policies, shadow versions and all rows.
    pub(in crate::rules) fn build(policies: &[Policy], rows: &[ListRow]) -> Self {
        let mut index = Self::default();
        for (n, policy) in (0..).zip(policies) {
            let table = match policy.status() {
                PolicyStatus::Active => &mut index.policies,
                PolicyStatus::Shadow => &mut index.shadows,
                PolicyStatus::Draft | PolicyStatus::Retired => continue,
            };
            for (system, code) in policy.codes() {
                table.insert(system, code, n);
            }
        }
        for (n, row) in (0..).zip(rows) {
            if &*row.code == "*" {
                index.rows_for_all_codes.push(n);
            } else {
                index.rows.insert(&row.system, &row.code, n);
            }
        }
        Self {
            policies: index.policies.sealed(),
            shadows: index.shadows.sealed(),
            rows: index.rows.sealed(),
            rows_for_all_codes: index.rows_for_all_codes,
        }
    }

    /// What applies to the document's item. If the item has several codes, a row for which `has_requirement` is true
    /// goes before a row that requires nothing.
    pub(in crate::rules) fn applicable_rule<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
        rows: &'a [ListRow],
        has_requirement: impl Fn(&ListRow) -> bool,
    ) -> ApplicableRule<'a> {
        let codes = billing_codes(document);
        if codes.is_empty() {
            return ApplicableRule::NoBillingCode;
        }
        if let Some(policy) = best_policy(&self.policies, &codes, document, policies) {
            return ApplicableRule::Policy(policy);
        }
        let (lob, state) = (document.line_of_business(), document.state());
        let applicable = |n: &u32| {
            let row = rows.get(*n as usize)?;
            row.applies_to(lob, state, document.received_day()).then_some(row)
        };
        let candidates = entries(&self.rows, &codes).filter_map(|(n, exact)| Some((applicable(n)?, exact)));
        let row = first_greatest(candidates, |(row, exact)| {
            (has_requirement(row), specificity(row.specificity(), *exact))
        })
        .map(|(row, _)| row)
        .or_else(|| {
            let rows = self.rows_for_all_codes.iter().filter_map(applicable);
            first_greatest(rows, |row| row.specificity())
        });
        row.map_or(ApplicableRule::None, ApplicableRule::Row)
    }

    /// The active policy that applies to the document's item.
    pub(in crate::rules) fn policy<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
    ) -> Option<&'a Policy> {
        best_policy(&self.policies, &billing_codes(document), document, policies)
    }

    /// The shadow versions that would apply to the document's item, by file.
    pub(in crate::rules) fn shadows<'a>(
        &self,
        document: &CaseDocument,
        policies: &'a [Policy],
    ) -> Vec<&'a Policy> {
        let codes = billing_codes(document);
        let mut shadows: Vec<&Policy> = entries(&self.shadows, &codes)
            .filter_map(|(n, _)| policies.get(*n as usize))
            .filter(|policy| policy.applies_to(document))
            .collect();
        shadows.sort_by_key(|policy| policy.file());
        shadows.dedup_by_key(|policy| policy.file());
        shadows
    }
}

/// The item's codes that can be billed. None if one of them is malformed: a string that is not shaped like a code of its
/// system may mean any code, so no row for all codes may answer.
fn billing_codes(document: &CaseDocument) -> Vec<(String, String)> {
    let mut codes = document.codes();
    codes.retain(|(system, _)| is_billing_system(system));
    if codes
        .iter()
        .any(|(system, code)| shape(system, code) == CodeShape::Malformed)
    {
        codes.clear();
    }
    codes
}

/// The entries of all codes, each with whether it is an entry of the code itself and not of a range.
fn entries<'t>(table: &'t CodeTable, codes: &[(String, String)]) -> impl Iterator<Item = (&'t u32, bool)> {
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
    let applicable = entries(table, codes)
        .filter_map(|(n, exact)| Some((policies.get(*n as usize)?, exact)))
        .filter(|(policy, _)| policy.applies_to(document));
    first_greatest(applicable, |(policy, exact)| {
        specificity(policy.specificity(), *exact)
    })
    .map(|(policy, _)| policy)
}

fn specificity((state, line_of_business): (bool, bool), exact: bool) -> Specificity {
    (state, line_of_business, exact)
}

/// The first of the greatest elements. `max_by_key` would return the last.
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
    /// Whether the scope names states, and whether it names lines of business.
    pub(in crate::rules) fn specificity(&self) -> (bool, bool) {
        (self.states().is_some(), self.lines_of_business().is_some())
    }

    /// Whether line of business, state and day are in scope. Codes are not compared.
    fn applies_to(&self, document: &CaseDocument) -> bool {
        let window = self.effective();
        let day = match window.basis {
            EffectiveDateBasis::Received => document.received_day(),
            EffectiveDateBasis::ServiceStart => document.service_start().unwrap_or(document.received_day()),
        };
        let (lob, state) = (document.line_of_business(), document.state());
        self.lines_of_business()
            .is_none_or(|all| all.iter().any(|own| own == lob))
            && self
                .states()
                .is_none_or(|all| all.iter().any(|own| Some(own.as_str()) == state))
            && contains_day(window.from, window.to, day)
    }
}
