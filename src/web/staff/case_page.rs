//! The case page: items, criteria and evidence, deadline, member and provider, actions, history.

use crate::fhir::{self, dates};
use crate::prior_auth::{Item, ItemDecision, Outcome};
use crate::review::CaseView;
use crate::rules::RuleSet;
use crate::state::State;
use crate::web::session::SignedInStaff;
use crate::web::staff::case_actions::{SubmittedForm, actions};
use crate::web::staff::case_criteria::{applied_policy, criteria_tree, evidence_tables, needed_documents};
use crate::web::staff::decision_notices::{recorded_decision, rejection};
use crate::web::staff::history::history;
use crate::web::staff::labels::{case_status_badge, escalation_badge, service_name, status_badge};
use crate::web::staff::views::{CaseDeadline, CaseItem, CasePage, CaseParty};
use crate::web::views::{Badge, BadgeStyle};

/// What the person did just before the page is shown.
#[derive(Clone, Copy)]
pub(in crate::web) enum Before<'a> {
    /// Nothing.
    Nothing,
    /// The person asked for all events of a long history.
    WholeHistory,
    /// The person recorded a decision; the number of its last event.
    Recorded(u32),
    /// The person submitted a form that was not recorded.
    Submitted(&'a SubmittedForm<'a>),
}

/// Builds the case page.
pub(in crate::web) fn case_page(
    state: &State,
    staff: &SignedInStaff,
    view: &CaseView,
    before: Before<'_>,
) -> CasePage {
    let case = &view.case;
    let received = &case.received;
    let now = state.now();
    let policy_set = state.policy_set();
    let rules = &policy_set.rules;
    let today = now.with_timezone(&received.zone).date_naive();
    let submitted = match before {
        Before::Submitted(form) => Some(form),
        _ => None,
    };
    let escalation = if case.is_open() {
        escalation_badge(policy_set.clocks.escalation_step(&received.due, now))
    } else {
        Badge::new(BadgeStyle::Closed, "decided")
    };
    CasePage {
        frame: staff.frame(),
        now,
        zone: received.zone.name().to_owned(),
        number: case.number().to_owned(),
        status: case_status_badge(case),
        urgent: received.urgent,
        plan: match &view.plan_name {
            Some(plan) => format!("{} · {plan}", received.line_of_business),
            None => received.line_of_business.clone(),
        },
        queue: case.queue().map(str::to_owned),
        deadline: CaseDeadline {
            received: Some(case.received_at),
            due: case.is_open().then_some(received.due.internal),
            legal: case.is_open().then_some(received.due.legal),
            escalation,
            rule: Some(format!("{} ({})", received.due.clock, received.due.source)),
        },
        items: case
            .items
            .iter()
            .map(|item| case_item(view, rules, item))
            .collect(),
        policy: applied_policy(case.items.as_slice()),
        criteria: criteria_tree(view, rules),
        needed_documents: needed_documents(case.items.as_slice()),
        evidence: evidence_tables(view),
        parties: parties(view),
        recorded: match before {
            Before::Recorded(last) => recorded_decision(view, rules, &staff.reviewer(), last),
            _ => None,
        },
        rejection: submitted.and_then(|form| rejection(view, rules, form)),
        actions: case
            .is_open()
            .then(|| actions(view, staff, rules, today, submitted)),
        history: history(view, rules, matches!(before, Before::WholeHistory)),
    }
}

fn case_item(view: &CaseView, rules: &RuleSet, item: &Item) -> CaseItem {
    let requested = view.requested_item(item.sequence);
    CaseItem {
        sequence: item.sequence,
        service: service_name(rules, item),
        modifiers: requested.modifiers,
        quantity: requested.quantity,
        period: requested.period,
        performer: requested.performer,
        status: status_badge(item.status),
        decision: item.decision.as_ref().map(decision_text),
    }
}

fn decision_text(decision: &ItemDecision) -> String {
    match &decision.outcome {
        Outcome::Approved(approval) => {
            let until = approval
                .end
                .map(|end| format!(" until {end}"))
                .unwrap_or_default();
            format!(
                "Approved as requested{until}, authorization number {}.",
                approval.number
            )
        }
        Outcome::Denied(denial) => {
            format!(
                "Denied by {}: {} (code {})",
                denial.attested_by().name,
                denial.reason(),
                denial.reason_code()
            )
        }
        Outcome::NotRequired { reason } => reason.clone(),
    }
}

fn parties(view: &CaseView) -> Vec<CaseParty> {
    let received = &view.case.received;
    let day = view.case.received_at.with_timezone(&received.zone).date_naive();
    let born = view.member.birth_date.map(|birth| {
        let age = dates::age_on(birth, day)
            .map(|age| format!(" (age {age} at receipt)"))
            .unwrap_or_default();
        format!("born {birth}{age}")
    });
    let member = CaseParty {
        role: "Member".to_owned(),
        name: fhir::human_name(&view.member.doc).unwrap_or_default(),
        details: std::iter::once(format!("member ID {}", view.member.member_id))
            .chain(born)
            .collect(),
    };
    let coverage = CaseParty {
        role: "Coverage".to_owned(),
        name: view
            .plan_name
            .clone()
            .unwrap_or_else(|| view.coverage.plan.clone()),
        details: view
            .coverage
            .subscriber_id
            .iter()
            .map(|id| format!("subscriber ID {id}"))
            .collect(),
    };
    let requester = CaseParty {
        role: "Requesting provider".to_owned(),
        name: received.requester_name.clone(),
        details: received
            .requester_npi
            .iter()
            .map(|npi| format!("NPI {npi}"))
            .collect(),
    };
    let client = view.client_names.get(&received.client).map(|name| CaseParty {
        role: "Sent by".to_owned(),
        name: name.clone(),
        details: Vec::new(),
    });
    [member, coverage, requester].into_iter().chain(client).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::staff::samples::{case_view, no_rules};

    #[test]
    fn the_history_names_people_clients_and_policies() {
        let history = history(&case_view(), &no_rules(), false).rows;
        assert_eq!(history[0].actor, "Demo EHR");
        assert_eq!(history[1].credential.as_deref(), Some("dme.home-oxygen 2026.2"));
        assert!(history[1].detail.as_deref().unwrap().contains("1 not met"));
    }
}
