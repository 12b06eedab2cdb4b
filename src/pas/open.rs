//! Opening a case: due time, items with their verdicts, and the first events. Nothing is stored here.

use super::evaluate::{EvaluationInput, admit_evidence, evaluate_item};
use super::member_match::MemberMatch;
use super::request::item_sequence;
use super::requester;
use super::submit_call::SubmitCall;
use crate::clock::{new_id, new_number};
use crate::deadlines::DueTime;
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::fhir::coding;
use crate::prior_auth::{AppAccess, Event, NewCase, NewItem, PriorAuth, Received};
use crate::rules::{CaseEvidence, ClaimParts, RuleSet};
use crate::state::PolicySet;
use serde_json::Value;

/// A case that is not stored yet.
pub(super) struct OpenedCase {
    /// The case as its events make it.
    pub case: PriorAuth,
    /// Its first events.
    pub events: Vec<Event>,
}

/// Evaluates each item with the current policy set and opens the case. `assertion` is the coverage-assertion-id that
/// the request names.
pub(super) fn open_case(
    call: &SubmitCall<'_>,
    matched: &MemberMatch,
    assertion: Option<String>,
) -> Result<OpenedCase> {
    let policy_set = call.state.policy_set();
    let admission = admit_evidence(call.request, &policy_set.forms);
    let evidence = CaseEvidence::new(&Evidence::new(&call.request.resources, Some(&admission)));
    let input = EvaluationInput {
        request: call.request,
        claim: &ClaimParts::new(call.request.claim.resource),
        evidence: &evidence,
        zone: matched.coverage.zone,
        member_facts: &matched.facts,
        received_at: call.now,
    };
    let items: Vec<NewItem> = call
        .request
        .items()
        .filter_map(|claim_item| new_item(&policy_set.rules, &input, matched, claim_item))
        .collect();
    let requested = items
        .iter()
        .map(|item| (item.system.as_str(), call.request.item(item.sequence)));
    let app_access = AppAccess::of(&call.request.index, requested);
    let id = new_id(call.now);
    let events = PriorAuth::open(NewCase {
        id,
        at: call.now,
        received: Received {
            admission: Some(admission),
            app_access,
            ..received(call, matched, &policy_set, assertion)
        },
        items,
    });
    let case = PriorAuth::replay(id, &events).ok_or_else(|| Error::internal("a new case has no receipt"))?;
    Ok(OpenedCase { case, events })
}

fn received(
    call: &SubmitCall<'_>,
    matched: &MemberMatch,
    policy_set: &PolicySet,
    assertion: Option<String>,
) -> Received {
    let coverage = &matched.coverage;
    Received {
        client: call.client.id,
        member: matched.member.id,
        coverage: coverage.id,
        line_of_business: coverage.line_of_business.clone(),
        zone: coverage.zone,
        channel: call.guide.name.to_owned(),
        urgent: call.request.urgent(),
        due: due_time(call, matched, policy_set),
        request: new_id(call.now),
        policy_set: policy_set.hash.clone(),
        requester_npi: requester::first_npi(call.request),
        requester_name: requester::display_name(call.request),
        senders: requester::senders(call.request),
        assertion,
        member_facts: Some(matched.facts.clone()),
        admission: None,
        app_access: AppAccess::All,
    }
}

/// The due time. Without a decision clock for the line of business the case is due at once.
fn due_time(call: &SubmitCall<'_>, matched: &MemberMatch, policy_set: &PolicySet) -> DueTime {
    let (lob, zone) = (&matched.coverage.line_of_business, matched.coverage.zone);
    let due = policy_set.clocks.due(lob, call.request.urgent(), call.now, zone);
    due.unwrap_or_else(|| {
        tracing::error!(line_of_business = %lob, "no decision clock applies; the case is due immediately");
        DueTime {
            internal: call.now,
            legal: call.now,
            clock: "none".to_owned(),
            source: String::new(),
        }
    })
}

fn new_item(
    rules: &RuleSet,
    input: &EvaluationInput<'_>,
    matched: &MemberMatch,
    claim_item: &Value,
) -> Option<NewItem> {
    let sequence = item_sequence(claim_item)?;
    let concept = claim_item.get("productOrService").unwrap_or(&Value::Null);
    let code = coding::billing_coding(concept);
    let evaluation = evaluate_item(rules, input, matched, claim_item);
    Some(NewItem {
        sequence,
        system: code.as_ref().map(|c| c.system.to_string()).unwrap_or_default(),
        code: code.map(|c| c.code.to_owned()).unwrap_or_default(),
        quantity: claim_item.get("quantity").cloned(),
        serviced: evaluation.days.map(|days| days.first),
        serviced_until: evaluation.days.map(|days| days.last),
        reference_number: new_number("RF"),
        authorization_number: new_number("PA"),
        verdict: evaluation.verdict,
        gold_card: evaluation.gold_card_npis,
        shadow: evaluation.shadow,
    })
}
