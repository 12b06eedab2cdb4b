//! The evaluation of a request's items, for `$submit` and again for a stored case. One function makes the case
//! documents of both, so that they cannot differ: facts come from the time of receipt and from the request as it was
//! sent, and nothing is looked up again.

use super::member_match::MemberMatch;
use super::request::Request;
use crate::error::Result;
use crate::evidence::{Admission, AdmissionInput, Evidence, Patient, admit};
use crate::fhir::bundle::parse_stored_request;
use crate::fhir::dates::DateRange;
use crate::forms::Forms;
use crate::prior_auth::PriorAuth;
use crate::rules::{
    CaseDocument, CaseEvidence, CaseInput, CaseKind, ClaimParts, CoverageAnswer, Decision, MemberFacts, Pend,
    RuleSet, Verdict, VerdictSource, days_asked_for,
};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// What the case documents of all items of a request share.
pub(super) struct EvaluationInput<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// What the items of its claim share.
    pub claim: &'a ClaimParts<'a>,
    /// The plan's time zone.
    pub zone: Tz,
    /// What policies may read about the member.
    pub member_facts: &'a MemberFacts,
    /// The resources and answers of the request that may decide.
    pub evidence: &'a CaseEvidence,
    /// The time of receipt.
    pub received_at: DateTime<Utc>,
}

impl EvaluationInput<'_> {
    /// The case document of one item. `item` has the item's facts (`ClaimParts`), `gold_card_npis` the
    /// requester's NPIs that hold a gold card for it. A stored case has the kind of a request too, so that policies
    /// that read the kind give the same verdict.
    fn document(&self, rules: &RuleSet, item: Value, gold_card_npis: &[String]) -> CaseDocument {
        rules.case_document(CaseInput {
            kind: CaseKind::Pas,
            received: self.received_at,
            zone: self.zone,
            priority: self.request.priority(),
            member: MemberFacts {
                gold_card: gold_card_npis.to_vec(),
                ..self.member_facts.clone()
            },
            item,
            evidence: self.evidence,
        })
    }
}

/// The verdicts on one item.
pub(super) struct ItemEvaluation {
    /// The days of service that the item asks for.
    pub days: Option<DateRange>,
    /// The verdict that counts.
    pub verdict: Verdict,
    /// The requester's NPIs that hold a gold card for the item.
    pub gold_card_npis: Vec<String>,
    /// The verdicts of policies in state `shadow`.
    pub shadow: Vec<Verdict>,
}

/// Evaluates one `Claim.item`. If the coverage is not in force on every day of service, no policy is evaluated and staff
/// has to confirm it.
pub(super) fn evaluate_item(
    rules: &RuleSet,
    input: &EvaluationInput<'_>,
    matched: &MemberMatch,
    claim_item: &Value,
) -> ItemEvaluation {
    let item = input.claim.item_facts(claim_item);
    let received_day = input.received_at.with_timezone(&input.zone).date_naive();
    let days = days_asked_for(&item, input.zone, received_day);
    if let Some(reason) = matched.coverage_problem(days.unwrap_or(DateRange::day(received_day))) {
        return ItemEvaluation {
            days,
            verdict: outside_coverage(reason),
            gold_card_npis: Vec::new(),
            shadow: Vec::new(),
        };
    }
    let gold_card_npis = matched.gold_card_npis(&item, input.received_at);
    let document = input.document(rules, item, &gold_card_npis);
    ItemEvaluation {
        days,
        verdict: rules.evaluate(&document),
        shadow: rules.shadow_verdicts(&document),
        gold_card_npis,
    }
}

/// Says which resources and answers of a request may decide.
pub(super) fn admit_evidence(request: &Request<'_>, forms: &Forms) -> Admission {
    admit(AdmissionInput {
        resources: &request.resources,
        patient: &Patient::of_bundle(request.patient.resource),
        forms,
    })
}

/// The verdict on an item for days on which the coverage is not in force. `reason` is the code of the pend.
fn outside_coverage(reason: &str) -> Verdict {
    let pend = Pend {
        queue: "administrative".to_owned(),
        reason: reason.to_owned(),
        documents_needed: Vec::new(),
    };
    let text = pend.limit_text().unwrap_or(reason);
    Verdict {
        source: VerdictSource::Coverage,
        coverage: CoverageAnswer::not_covered("no-active-coverage", text),
        decision: Decision::Pend(pend),
        criteria: std::collections::BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: String::new(),
        error: None,
    }
}

/// The case documents of a stored case's items as `$submit` evaluated them, each with the item's sequence. They have the
/// evidence that was admitted at receipt, whatever would be admitted today. `rules` decides which questionnaires have answers that count. Items that no policy evaluated (the coverage was not in force)
/// are left out. `None` when the case has no stored member facts and cannot be evaluated again.
pub fn stored_case_documents(
    case: &PriorAuth,
    request_text: &str,
    rules: &RuleSet,
) -> Result<Option<Vec<(u32, CaseDocument)>>> {
    let Some(member_facts) = &case.received.member_facts else {
        return Ok(None);
    };
    let bundle = parse_stored_request(request_text, case.id)?;
    let request = Request::read_stored(case, &bundle)?;
    let evidence = Evidence::new(&request.resources, case.received.admission.as_ref());
    let evidence = CaseEvidence::new(&evidence);
    let input = EvaluationInput {
        request: &request,
        claim: &ClaimParts::new(request.claim.resource),
        evidence: &evidence,
        zone: case.received.zone,
        member_facts,
        received_at: case.received_at,
    };
    let evaluated = case
        .items
        .iter()
        .filter(|i| i.verdict.source != VerdictSource::Coverage);
    let documents = evaluated.filter_map(|item| {
        let claim_item = request.item(item.sequence)?;
        let facts = input.claim.item_facts(claim_item);
        Some((item.sequence, input.document(rules, facts, &item.gold_card)))
    });
    Ok(Some(documents.collect()))
}
