//! The case screen: lines, criteria beside the evidence, clock, people, what this person may do, history.

use crate::fhir::{self, dates};
use crate::prior_auth::{Decided, Item, Outcome as Decision};
use crate::review::CaseView;
use crate::state::State;
use crate::web::session::Staff;
use crate::web::staff::case_actions::{Typed, actions};
use crate::web::staff::case_criteria::{asks, criteria, evidence, policy};
use crate::web::staff::history::history;
use crate::web::staff::queue_page::{band_mark, case_state, number, service_words, state_mark};
use crate::web::views::{CaseClock, CasePage, Line, Mark, Person, ServiceName, Tone};
use chrono::NaiveDate;

/// The whole page.
pub(in crate::web) fn page(
    state: &State,
    staff: &Staff,
    view: &CaseView,
    typed: Option<&Typed<'_>>,
) -> CasePage {
    let case = &view.case;
    let received = &case.received;
    let now = state.now();
    let published = state.published();
    let today = now.with_timezone(&received.zone).date_naive();
    let band = if case.is_open() {
        band_mark(published.clocks.band(&received.due, now))
    } else {
        Mark::new(Tone::Closed, "answered")
    };
    let actions = case
        .is_open()
        .then(|| actions(view, staff, published.rules.denial_reasons(), today, typed));
    CasePage {
        frame: staff.frame(),
        now,
        zone: received.zone.name().to_owned(),
        number: number(case),
        state: case_state(case),
        urgent: received.urgent,
        line: match &view.plan {
            Some(plan) => format!("{} · {plan}", received.line),
            None => received.line.clone(),
        },
        queue: case.queue().map(str::to_owned),
        clock: CaseClock {
            received: Some(case.received_at),
            due: case.is_open().then_some(received.due.work),
            legal: case.is_open().then_some(received.due.legal),
            band,
            rule: Some(format!("{} ({})", received.due.rule, received.due.source)),
        },
        lines: case.items.iter().map(|item| line(view, item)).collect(),
        policy: policy(case.items.as_slice()),
        criteria: criteria(view, &published.rules),
        asks: asks(case.items.as_slice()),
        evidence: evidence(view),
        people: people(view),
        actions,
        history: history(view),
    }
}

fn line(view: &CaseView, item: &Item) -> Line {
    let asked = view.line(item.sequence);
    Line {
        sequence: item.sequence,
        service: ServiceName {
            code: item.code.clone(),
            words: service_words(&item.verdict),
            more: 0,
        },
        quantity: asked.quantity,
        period: asked.period,
        performer: asked.performer,
        state: state_mark(item.status),
        decision: item.decision.as_ref().map(decision_words),
    }
}

fn decision_words(decided: &Decided) -> String {
    match &decided.outcome {
        Decision::Approved(approval) => {
            let until = approval
                .end
                .map(|end| format!(" until {}", day_words(end)))
                .unwrap_or_default();
            format!("Approved as asked{until}, number {}.", approval.number)
        }
        Decision::Denied(denial) => {
            format!(
                "Denied by {}: {} (code {})",
                denial.attested_by().name,
                denial.reason(),
                denial.reason_code()
            )
        }
        Decision::NotRequired { reason } => reason.clone(),
    }
}

fn day_words(day: NaiveDate) -> String {
    day.format("%b %-d, %Y").to_string()
}

fn people(view: &CaseView) -> Vec<Person> {
    let received = &view.case.received;
    let day = view.case.received_at.with_timezone(&received.zone).date_naive();
    let born = view.member.birth_date.map(|birth| {
        let age = dates::age_on(birth, day)
            .map(|age| format!(" ({age} years at receipt)"))
            .unwrap_or_default();
        format!("born {}{age}", day_words(birth))
    });
    let member = Person {
        role: "Member".to_owned(),
        name: fhir::human_name(&view.member.doc).unwrap_or_default(),
        details: std::iter::once(format!("member id {}", view.member.member_id))
            .chain(born)
            .collect(),
    };
    let coverage = Person {
        role: "Coverage".to_owned(),
        name: view.plan.clone().unwrap_or_else(|| view.coverage.plan.clone()),
        details: view
            .coverage
            .subscriber_id
            .iter()
            .map(|id| format!("subscriber {id}"))
            .collect(),
    };
    let requester = Person {
        role: "Requesting provider".to_owned(),
        name: received.requester.clone(),
        details: received
            .requester_npi
            .iter()
            .map(|npi| format!("NPI {npi}"))
            .collect(),
    };
    let system = view.systems.get(&received.client).map(|name| Person {
        role: "Sent by".to_owned(),
        name: name.clone(),
        details: Vec::new(),
    });
    [member, coverage, requester].into_iter().chain(system).collect()
}

#[cfg(test)]
pub(in crate::web) mod tests {
    use super::*;
    use crate::forms::Forms;
    use crate::review::{Evidence, samples};

    /// A case as a reviewer opens it.
    pub(in crate::web) fn view() -> CaseView {
        CaseView {
            case: samples::case(),
            events: samples::events(),
            member: samples::member(),
            coverage: samples::coverage(),
            plan: Some("Harbor Medicare Advantage".to_owned()),
            systems: [(samples::CLIENT, "Demo EHR".to_owned())].into(),
            lines: Vec::new(),
            evidence: Evidence::of(
                &samples::request(),
                &Forms::default(),
                samples::now().date_naive(),
            ),
        }
    }

    #[test]
    fn the_history_names_people_systems_and_policies() {
        let history = history(&view());
        assert_eq!(history[0].actor, "Demo EHR");
        assert_eq!(history[1].credential.as_deref(), Some("dme.home-oxygen 2026.2"));
        assert!(history[1].detail.as_deref().unwrap().contains("1 not met"));
    }
}
