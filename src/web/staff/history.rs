//! A case's events in words: what happened, when, who did it and under which credential.

use crate::prior_auth::{Actor, Body, Credential, CredentialKind, Event, FileNote, Item, Outcome, Reviewer};
use crate::review::CaseView;
use crate::rules::{Decision, Source, Verdict};
use crate::web::staff::queue_page::counts;
use crate::web::views::Event as Shown;

/// Every event, oldest first.
pub(in crate::web) fn history(view: &CaseView) -> Vec<Shown> {
    view.events.iter().map(|event| shown(view, event)).collect()
}

fn shown(view: &CaseView, event: &Event) -> Shown {
    let (actor, credential) = who(view, event);
    let (what, detail) = match &event.body {
        Body::Received(received) => (
            "Received".to_owned(),
            Some(match &received.assertion {
                Some(_) => format!("by {}; goes back to a coverage answer of ours", received.channel),
                None => format!("by {}", received.channel),
            }),
        ),
        Body::Evaluated(item) => evaluated(item),
        Body::Decided {
            sequence,
            outcome,
            note,
        } => (
            format!("Line {sequence}: {}", outcome_word(outcome)),
            Some(decided(outcome, note)).filter(|text| !text.is_empty()),
        ),
        Body::Referred { sequence, question } => (
            format!("Line {sequence}: referred to a physician"),
            Some(question.clone()),
        ),
    };
    Shown {
        seq: i64::from(event.seq),
        at: event.at,
        what,
        actor,
        credential,
        detail,
    }
}

fn who(view: &CaseView, event: &Event) -> (String, Option<String>) {
    match &event.actor {
        Actor::Software => {
            let policy = match &event.body {
                Body::Evaluated(item) => policy_words(&item.verdict),
                _ => None,
            };
            ("Policies".to_owned(), policy)
        }
        Actor::Client { id } => {
            let name = view.systems.get(id).map_or("A partner's system", String::as_str);
            (name.to_owned(), None)
        }
        Actor::Staff(reviewer) => (reviewer.name.clone(), Some(credential(reviewer))),
    }
}

/// `dme.home-oxygen 2026.2`.
pub(in crate::web) fn policy_words(verdict: &Verdict) -> Option<String> {
    match &verdict.source {
        Source::Policy { policy, version, .. } => Some(format!("{policy} {version}")),
        Source::List { file, line, .. } if !file.is_empty() => Some(format!("{file}, row {line}")),
        _ => None,
    }
}

fn evaluated(item: &Item) -> (String, Option<String>) {
    let found =
        counts(&item.verdict).map(|c| format!("{} met, {} not met, {} unknown", c.met, c.not_met, c.unknown));
    let trouble = item
        .verdict
        .error
        .as_ref()
        .map(|error| format!("trouble: {error}"));
    let detail: Vec<String> = found.into_iter().chain(trouble).collect();
    let what = format!(
        "Line {}, {}: {}",
        item.sequence,
        item.code,
        verdict_words(&item.verdict)
    );
    (what, (!detail.is_empty()).then(|| detail.join("; ")))
}

/// What the policies made of a line.
pub(in crate::web) fn verdict_words(verdict: &Verdict) -> String {
    match &verdict.decision {
        Decision::Approve(grant) => format!("approved by rule ({})", grant.reason),
        Decision::NotRequired { reason } => format!("no authorization needed ({reason})"),
        Decision::Pend(pend) => format!(
            "sent to people, queue {} ({})",
            pend.queue,
            pend.reason.replace('-', " ")
        ),
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Approved(_) => "approved as asked",
        Outcome::Denied(_) => "denied",
        Outcome::NotRequired { .. } => "no authorization needed",
    }
}

fn decided(outcome: &Outcome, note: &FileNote) -> String {
    let mut parts = match outcome {
        Outcome::Approved(approval) => vec![
            match approval.end {
                Some(end) => format!("{} to {end}", approval.start),
                None => format!("from {}", approval.start),
            },
            format!("number {}", approval.number),
        ],
        Outcome::Denied(denial) => vec![format!("reason {}: {}", denial.reason_code(), denial.reason())],
        Outcome::NotRequired { reason } => vec![reason.clone()],
    };
    parts.extend(note.criterion.as_ref().map(|name| format!("criterion {name}")));
    parts.extend(note.text.as_ref().map(|text| format!("note: {text}")));
    parts.join("; ")
}

/// `physician, license OH 35.123456`: as it was on the day.
pub(in crate::web) fn credential(reviewer: &Reviewer) -> String {
    let license = reviewer.credential.as_ref().map(license_words);
    match license {
        Some(license) => format!("{}, {license}", reviewer.acting_role().as_str()),
        None => reviewer.acting_role().as_str().to_owned(),
    }
}

fn license_words(credential: &Credential) -> String {
    let kind = match credential.kind {
        CredentialKind::Physician => "physician's license",
        CredentialKind::Nurse => "nurse's license",
    };
    format!("{kind} {} {}", credential.state, credential.license)
}
