//! What `$submit` evaluates, and a stored case as it was evaluated: one function makes both documents, so that the
//! second cannot drift from the first. Facts come from the case's own receipt and from the request as it was sent;
//! nothing is looked up again.

use super::request::Request;
use crate::error::{Error, Result};
use crate::ig::pas::V2_2;
use crate::prior_auth::{PriorAuth, Received};
use crate::rules::{CaseDocument, CaseInput, CaseKind, MemberFacts, RuleSet, Source, item_of_claim};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// What stands still while the lines of one request are evaluated.
pub(super) struct Basis<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// What is fixed since receipt.
    pub received: &'a Received,
    /// What rules may know of the member.
    pub facts: &'a MemberFacts,
    /// The instant of receipt.
    pub at: DateTime<Utc>,
}

impl Basis<'_> {
    /// The document of one line: its item facts (`item_of_claim`) and the NPIs that are exempt for it. A case that is
    /// run again is a request still, so its `kind` is that of a request: a policy that reads it sees what it saw.
    pub(super) fn document(&self, rules: &RuleSet, item: Value, gold_card: &[String]) -> CaseDocument {
        rules.document(CaseInput {
            kind: CaseKind::Pas,
            received: self.at,
            zone: self.received.zone,
            priority: self.request.priority(),
            member: MemberFacts {
                gold_card: gold_card.to_vec(),
                ..self.facts.clone()
            },
            item,
            resources: self.request.resources(),
        })
    }
}

/// The documents of a stored case's lines, as `$submit` evaluated them, each with its sequence; the forms whose answers
/// count are those of `rules`. Lines that no rule was asked about (the coverage was not in force) are left out. None
/// when the case is older than the facts that are kept with a case: it cannot be run again.
pub fn documents(
    case: &PriorAuth,
    request_text: &str,
    rules: &RuleSet,
) -> Result<Option<Vec<(u32, CaseDocument)>>> {
    let Some(facts) = &case.received.facts else {
        return Ok(None);
    };
    let body: Value = serde_json::from_str(request_text)
        .map_err(|e| Error::internal(format!("the request of case {} cannot be read: {e}", case.id)))?;
    let request = Request::read(&V2_2, &body)
        .map_err(|e| Error::internal(format!("the request of case {} no longer holds: {e}", case.id)))?;
    let basis = Basis {
        request: &request,
        received: &case.received,
        facts,
        at: case.received_at,
    };
    let asked = case.items.iter().filter(|i| i.verdict.source != Source::Coverage);
    let documents = asked.filter_map(|item| {
        let sent = request
            .items()
            .find(|sent| sequence(sent) == Some(item.sequence))?;
        let facts = item_of_claim(request.claim.resource, sent);
        Some((item.sequence, basis.document(rules, facts, &item.gold_card)))
    });
    Ok(Some(documents.collect()))
}

/// `Claim.item.sequence`.
pub(super) fn sequence(item: &Value) -> Option<u32> {
    let sequence = item.get("sequence").and_then(Value::as_u64)?;
    u32::try_from(sequence).ok()
}
