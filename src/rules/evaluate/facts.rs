//! Facts: the values that a policy reads from the case document. A fact has one or more sources. Missing data is not
//! found, a value of another unit or type is unusable, and neither is guessed. Work is limited by steps and not by time,
//! so a repeated evaluation always has the same result.

use crate::rules::evaluate::agreement;
use crate::rules::evaluate::case_document::CaseDocument;
use crate::rules::evaluate::source::{FactSource, Reader};
use crate::rules::evaluate::values::{FactLookup, TypedValue};
use crate::rules::format::code_set::CodeSet;
use crate::rules::format::policy_file::{FactType, IfDifferent, PickRule};
use crate::rules::units::quantity_text;
use std::collections::BTreeMap;

/// Named sets of codes.
pub(in crate::rules) type Sets = BTreeMap<String, CodeSet>;

/// A fact of a policy, compiled.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Fact {
    /// What people read instead of the fact's name.
    pub label: Option<String>,
    pub kind: FactType,
    /// The UCUM unit of a quantity.
    pub unit: Option<String>,
    /// Where the fact is stated, in the policy's order.
    pub sources: Vec<FactSource>,
    /// What counts if the sources state different things.
    pub if_different: IfDifferent,
    /// The lowest and the highest plausible value. A value outside cannot be used.
    pub plausible: Option<(f64, f64)>,
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
        let mut reader = Reader {
            fact: self,
            document,
            sets,
            budget,
        };
        let lookups = self.sources.iter().map(|source| source.look_up(&mut reader));
        let lookups = lookups.collect::<Result<Vec<FactLookup>, String>>()?;
        let lookup = agreement::across_sources(lookups, self.if_different);
        if lookup != FactLookup::NotFound {
            return Ok(lookup);
        }
        // What was set aside exists, so the fact is unknown and not absent.
        let mut set_aside = self
            .sources
            .iter()
            .filter_map(|s| s.resource_set_aside(document, sets));
        Ok(set_aside
            .next()
            .map_or(FactLookup::NotFound, FactLookup::Unusable))
    }

    /// Whether the fact is the same for all items of a request.
    pub(in crate::rules) fn is_shared(&self) -> bool {
        self.sources.iter().all(FactSource::is_shared)
    }

    /// Whether the fact is a date, or a source dates its value.
    pub(in crate::rules) fn is_dated(&self) -> bool {
        let dates = |source: &FactSource| source.dated.is_some() || source.dated_by.is_some();
        self.kind == FactType::Date || self.sources.iter().any(dates)
    }

    /// Why a value is not plausible. `None` if it is, or if the fact has no plausible range.
    pub(in crate::rules) fn implausible(&self, value: &TypedValue) -> Option<String> {
        let (low, high) = self.plausible?;
        let number = value.number()?;
        let text = |limit: f64| quantity_text(&limit.to_string(), self.unit.as_deref());
        let is_plausible = low <= number && number <= high;
        (!is_plausible).then(|| {
            format!(
                "the value is outside the plausible range, {} to {}",
                text(low),
                text(high)
            )
        })
    }
}
