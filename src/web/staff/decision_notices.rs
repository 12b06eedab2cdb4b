//! What a person reads after submitting a decision: what was recorded and what is sent next, or why nothing was recorded
//! and who changed the case in between.

use crate::prior_auth::{Actor, Event, EventBody, Outcome, PriorAuth, Reviewer};
use crate::review::{CaseView, Deliveries};
use crate::rules::RuleSet;
use crate::web::fields::FormFields;
use crate::web::staff::case_actions::SubmittedForm;
use crate::web::staff::history::history_row;
use crate::web::staff::labels::service_text;
use crate::web::staff::views::decisions::{CaseChange, RecordedDecision, Rejection, UnsavedText};

/// The decision whose last event has this number, if this person made it.
pub(in crate::web) fn recorded_decision(
    view: &CaseView,
    rules: &RuleSet,
    by: &Reviewer,
    last: u32,
) -> Option<RecordedDecision> {
    let is_own = |event: &Event| matches!(&event.actor, Actor::Staff(actor) if actor.id == by.id);
    let end = view
        .events
        .iter()
        .find(|event| event.seq == last && is_own(event))?;
    // The items of one decision have the same time.
    let events: Vec<&Event> = view
        .events
        .iter()
        .filter(|event| event.at == end.at && is_own(event))
        .collect();
    let is_decision = events
        .iter()
        .any(|event| matches!(event.body, EventBody::Decided { .. }));
    Some(RecordedDecision {
        happened: events
            .iter()
            .filter_map(|event| sentence(&view.case, rules, event))
            .collect(),
        next: if is_decision {
            delivery_sentences(&view.deliveries, &client_name(view))
        } else {
            vec![
                "Nothing is sent to the provider or the member. The due time does not change.".to_owned(),
                "The case stays in the queue until a physician decides.".to_owned(),
            ]
        },
    })
}

fn sentence(case: &PriorAuth, rules: &RuleSet, event: &Event) -> Option<String> {
    let name = |sequence: u32| {
        let service = case.item(sequence).map(|item| service_text(rules, item));
        format!("item {sequence}, {}", service.unwrap_or_default())
    };
    Some(match &event.body {
        EventBody::Decided {
            sequence, outcome, ..
        } => match outcome.as_ref() {
            Outcome::Approved(approval) => {
                let until = approval
                    .end
                    .map(|end| format!(" until {end}"))
                    .unwrap_or_default();
                format!(
                    "You approved {} from {}{until}. The authorization number is {}.",
                    name(*sequence),
                    approval.start,
                    approval.number
                )
            }
            Outcome::Denied(denial) => {
                format!(
                    "You denied {} with reason code {}.",
                    name(*sequence),
                    denial.reason_code()
                )
            }
            Outcome::NotRequired { .. } => return None,
        },
        EventBody::Referred { sequence, .. } => format!("You referred {} to a physician.", name(*sequence)),
        _ => return None,
    })
}

/// The name of the system that sent the request.
pub(in crate::web) fn client_name(view: &CaseView) -> String {
    let name = view.client_names.get(&view.case.received.client);
    name.map_or("The sending system", String::as_str).to_owned()
}

/// Who is informed of a decision and how, and what the software does not do.
pub(in crate::web) fn delivery_sentences(deliveries: &Deliveries, client: &str) -> Vec<String> {
    let mut sentences = vec![match deliveries.subscriptions {
        0 => {
            format!("{client} has no active subscription. It reads the decision when it asks for the status.")
        }
        1 => format!("{client} gets a notification with the decision."),
        n => format!("{client} gets {n} notifications with the decision."),
    }];
    if deliveries.stopped_subscriptions > 0 {
        sentences.push(format!(
            "{} of its subscriptions get no notification because the endpoint does not answer.",
            deliveries.stopped_subscriptions
        ));
    }
    sentences.push(match &deliveries.provider {
        Some(name) => format!("{name} gets an email notice that does not name the decision."),
        None => "The requesting provider gets no email notice because no address is on record.".to_owned(),
    });
    sentences.push(
        "The member can read the decision on the member pages and in connected apps at once.".to_owned(),
    );
    sentences.push(match deliveries.member_logins {
        0 => "The member gets no email notice because no sign-in with an address is on record.".to_owned(),
        1 => "The member gets an email notice that does not name the decision.".to_owned(),
        n => format!("The member gets an email notice that does not name the decision, at {n} addresses."),
    });
    sentences.push(
        "Assent sends no letter. If a written notice is required, send it through the plan's own process."
            .to_owned(),
    );
    sentences
}

/// Why a form was not recorded, with the changes of the case since the person opened it and, if the page has no form
/// for them, the texts that were typed.
pub(in crate::web) fn rejection(
    view: &CaseView,
    rules: &RuleSet,
    form: &SubmittedForm<'_>,
) -> Option<Rejection> {
    let reason = form.rejection.clone()?;
    let version: Option<u32> = form.fields.get("version").trim().parse().ok();
    let changes = view
        .events
        .iter()
        .filter(|event| version.is_some_and(|version| event.seq > version))
        .map(|event| {
            let row = history_row(view, rules, event);
            CaseChange {
                at: event.at,
                text: format!("{}, by {}", row.summary, row.actor),
            }
        })
        .collect();
    let unsaved = if view.case.is_open() {
        Vec::new()
    } else {
        unsaved_texts(form.fields)
    };
    Some(Rejection {
        reason,
        changes,
        unsaved,
    })
}

fn unsaved_texts(fields: &FormFields) -> Vec<UnsavedText> {
    [("note", "Case note"), ("text", "Specific reason for this member")]
        .into_iter()
        .filter(|(name, _)| !fields.get(name).trim().is_empty())
        .map(|(name, label)| UnsavedText {
            id: format!("unsaved-{name}"),
            label: label.to_owned(),
            text: fields.get(name).to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior_auth::Refer;
    use crate::review::samples;
    use crate::web::staff::samples::{case_view, no_rules};

    /// The sample case after a nurse referred it; the referral is event 3.
    fn referred() -> CaseView {
        let mut view = case_view();
        let nurse = samples::nurse();
        let command = Refer {
            by: &nurse,
            version_seen: view.case.version,
            sequence: 1,
            question: "Is 91 percent after exercise?".to_owned(),
        };
        for event in view.case.refer(command, samples::now()).unwrap() {
            view.case.apply(&event);
            view.events.push(event);
        }
        view
    }

    #[test]
    fn a_referral_is_confirmed_to_the_person_who_made_it_only() {
        let view = referred();
        let shown = recorded_decision(&view, &no_rules(), &samples::nurse(), 3).unwrap();
        assert_eq!(shown.happened.len(), 1);
        assert!(shown.happened[0].starts_with("You referred item 1"), "{shown:?}");
        assert!(shown.next[0].starts_with("Nothing is sent"), "{shown:?}");
        let physician = Reviewer {
            id: uuid::Uuid::from_u128(8),
            ..samples::physician()
        };
        assert!(recorded_decision(&view, &no_rules(), &physician, 3).is_none());
        assert!(recorded_decision(&view, &no_rules(), &samples::nurse(), 2).is_none());
    }

    #[test]
    fn a_stale_form_names_who_changed_what() {
        let fields = FormFields::parse("version=2&note=typed");
        let form = SubmittedForm {
            rejection: Some("Outdated.".to_owned()),
            fields: &fields,
        };
        let shown = rejection(&referred(), &no_rules(), &form).unwrap();
        let texts: Vec<&str> = shown.changes.iter().map(|change| change.text.as_str()).collect();
        assert_eq!(texts, ["Item 1: referred to a physician, by Maya Okafor"]);
        assert!(
            shown.unsaved.is_empty(),
            "the form of the open case shows the note"
        );
    }

    #[test]
    fn nothing_is_announced_that_is_not_sent() {
        let none = delivery_sentences(&Deliveries::default(), "Demo EHR").join(" ");
        for expected in [
            "Demo EHR has no active subscription",
            "no address is on record",
            "Assent sends no letter",
        ] {
            assert!(none.contains(expected), "{none}");
        }
        let all = Deliveries {
            subscriptions: 1,
            stopped_subscriptions: 2,
            provider: Some("Lakeside Group".to_owned()),
            member_logins: 1,
        };
        let all = delivery_sentences(&all, "Demo EHR").join(" ");
        for expected in [
            "Demo EHR gets a notification",
            "2 of its subscriptions get no notification",
            "Lakeside Group gets an email notice",
            "The member gets an email notice",
        ] {
            assert!(all.contains(expected), "{all}");
        }
    }
}
