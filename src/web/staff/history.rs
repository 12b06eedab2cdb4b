//! The history of a case as text: what happened, when, who did it and with which license.

use crate::prior_auth::{Actor, Event, EventBody, InternalNote, Item, Outcome, Received};
use crate::review::{CaseView, count_conditions, named_criteria};
use crate::rules::RuleSet;
use crate::web::staff::labels::{credential_text, service_text, source_text, verdict_text};
use crate::web::staff::views::{CaseHistory, HistoryRow};

/// The most events that the page shows unless the person asks for all.
const MAX_SHOWN: usize = 200;

/// One row for each event, oldest first. Of a long history only the newest ones, unless `whole`.
pub(in crate::web) fn history(view: &CaseView, rules: &RuleSet, whole: bool) -> CaseHistory {
    let most = if whole { view.events.len() } else { MAX_SHOWN };
    let omitted = view.events.len().saturating_sub(most);
    CaseHistory {
        rows: view
            .events
            .iter()
            .skip(omitted)
            .map(|event| history_row(view, rules, event))
            .collect(),
        omitted,
        whole_url: format!("/staff/cases/{}?history=all#history", view.case.id),
    }
}

/// One event as text.
pub(in crate::web) fn history_row(view: &CaseView, rules: &RuleSet, event: &Event) -> HistoryRow {
    let (actor, credential) = actor(view, event);
    let (summary, detail) = match &event.body {
        EventBody::Received(received) => ("Request received".to_owned(), Some(receipt_detail(received))),
        EventBody::Evaluated(item) => evaluation(rules, item),
        EventBody::Decided {
            sequence,
            outcome,
            note,
        } => (
            format!("Item {sequence}: {}", outcome_label(outcome)),
            Some(decision_detail(outcome, note, view.case.item(*sequence))).filter(|text| !text.is_empty()),
        ),
        EventBody::Referred { sequence, question } => (
            format!("Item {sequence}: referred to a physician"),
            Some(question.clone()),
        ),
    };
    HistoryRow {
        seq: i64::from(event.seq),
        at: event.at,
        summary,
        actor,
        credential,
        detail,
    }
}

/// The actor's name, with the license of a reviewer or the policy version of an evaluation.
fn actor(view: &CaseView, event: &Event) -> (String, Option<String>) {
    match &event.actor {
        Actor::Software => {
            let policy = match &event.body {
                EventBody::Evaluated(item) => source_text(&item.verdict),
                _ => None,
            };
            ("Policies (automatic)".to_owned(), policy)
        }
        Actor::Client { id } => {
            let name = view
                .client_names
                .get(id)
                .map_or("Provider system", String::as_str);
            (name.to_owned(), None)
        }
        Actor::Staff(reviewer) => (reviewer.name.clone(), Some(credential_text(reviewer))),
    }
}

fn receipt_detail(received: &Received) -> String {
    match &received.assertion {
        Some(_) => format!(
            "via {}, after a coverage determination by this plan",
            received.channel
        ),
        None => format!("via {}", received.channel),
    }
}

fn evaluation(rules: &RuleSet, item: &Item) -> (String, Option<String>) {
    let counts = count_conditions(&item.verdict).map(|counts| {
        format!(
            "{} met, {} not met, {} unknown",
            counts.met, counts.not_met, counts.unknown
        )
    });
    let error = item
        .verdict
        .error
        .as_ref()
        .map(|error| format!("evaluation error: {error}"));
    let detail: Vec<String> = counts.into_iter().chain(error).collect();
    let summary = format!(
        "Item {}, {}: {}",
        item.sequence,
        service_text(rules, item),
        verdict_text(&item.verdict)
    );
    (summary, (!detail.is_empty()).then(|| detail.join("; ")))
}

fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Approved(_) => "approved as requested",
        Outcome::Denied(_) => "denied",
        Outcome::NotRequired { .. } => "authorization not required",
    }
}

fn decision_detail(outcome: &Outcome, note: &InternalNote, item: Option<&Item>) -> String {
    let mut parts = match outcome {
        Outcome::Approved(approval) => vec![
            match approval.end {
                Some(end) => format!("{} to {end}", approval.start),
                None => format!("from {}", approval.start),
            },
            format!("authorization number {}", approval.number),
        ],
        Outcome::Denied(denial) => vec![format!("reason {}: {}", denial.reason_code(), denial.reason())],
        Outcome::NotRequired { reason } => vec![reason.clone()],
    };
    parts.extend(note.criterion.as_ref().map(|name| {
        let named = item.map(|item| named_criteria(&item.verdict)).unwrap_or_default();
        let criterion = named.iter().find(|criterion| criterion.name == name);
        format!(
            "criterion: {}",
            criterion.map_or(name.as_str(), |criterion| criterion.text)
        )
    }));
    parts.extend(note.text.as_ref().map(|text| format!("note: {text}")));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::staff::samples::{case_view, no_rules};

    #[test]
    fn a_long_history_shows_its_newest_events_unless_all_are_asked_for() {
        let mut view = case_view();
        let last = view.events.last().unwrap().clone();
        view.events.resize(MAX_SHOWN + 50, last);
        let newest = history(&view, &no_rules(), false);
        assert_eq!((newest.rows.len(), newest.omitted), (MAX_SHOWN, 50));
        let whole = history(&view, &no_rules(), true);
        assert_eq!((whole.rows.len(), whole.omitted), (MAX_SHOWN + 50, 0));
        assert_eq!(whole.rows[0].summary, "Request received");
    }
}
