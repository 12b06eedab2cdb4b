//! The case screen: lines, criteria beside the evidence, clock, people, what this person may do, history.

use super::fields::Fields;
use super::history::{credential, history, policy_words, verdict_words};
use super::queue_page::{band_mark, case_state, counts, number, service_words, state_mark};
use super::session::Staff;
use super::views::{
    Actions, Answer, Approval, Asked, CaseClock, CasePage, CasePolicy, Choice, Counts, Criterion, Denial,
    Evidence, Fact, Found, LeafView, Line, Mark, Observation, Person, ServiceName, Step, Tone,
};
use crate::fhir::{self, dates};
use crate::prior_auth::{Decided, Item, ItemStatus, Outcome as Decision, Reviewer, Role};
use crate::review::{self, CaseView, Spot};
use crate::rules::{DenialReason, Leaf, Outcome, Source, TraceNode};
use crate::state::State;
use chrono::NaiveDate;
use serde_json::Value;

/// A form that was refused: why, and what was in it.
pub(super) struct Typed<'a> {
    /// The sentence.
    pub refused: String,
    /// What was typed.
    pub fields: &'a Fields,
}

/// The whole page.
pub(super) fn page(state: &State, staff: &Staff, view: &CaseView, typed: Option<&Typed<'_>>) -> CasePage {
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
    let evidence = evidence(view);
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
        criteria: criteria(view),
        asks: asks(case.items.as_slice()),
        evidence,
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

/// The policy of the first line that has one; with several lines the tree names each.
fn policy(items: &[Item]) -> Option<CasePolicy> {
    let (item, title) = items.iter().find_map(|item| match &item.verdict.source {
        Source::Policy { title, .. } => Some((item, title)),
        _ => None,
    })?;
    let all = items.iter().filter_map(|item| counts(&item.verdict));
    let counts = all.fold(Counts::default(), |sum, one| Counts {
        met: sum.met + one.met,
        not_met: sum.not_met + one.not_met,
        unknown: sum.unknown + one.unknown,
    });
    let verdict = verdict_words(&item.verdict);
    Some(CasePolicy {
        title: title.clone(),
        version: policy_words(&item.verdict).unwrap_or_default(),
        verdict: capital(&verdict),
        counts,
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).chain(['.']).collect()
    })
}

/// The conditions of each line; with several lines one branch for each.
fn criteria(view: &CaseView) -> Vec<Criterion> {
    let items = view.case.items.as_slice();
    let of = |item: &Item| -> Vec<Criterion> {
        review::conditions(&item.verdict)
            .iter()
            .map(|node| criterion(view, node))
            .collect()
    };
    if let [only] = items {
        return of(only);
    }
    items
        .iter()
        .filter(|item| !item.verdict.trace.is_empty())
        .map(|item| Criterion {
            mark: state_mark(item.status),
            text: Some(format!("Line {}, {}", item.sequence, item.code)),
            cite: policy_words(&item.verdict),
            leaf: None,
            of: of(item),
        })
        .collect()
}

fn criterion(view: &CaseView, node: &TraceNode) -> Criterion {
    let how = node
        .combine
        .as_deref()
        .map(combine_words)
        .filter(|_| node.of.len() > 1);
    let text = match (&node.text, how) {
        (Some(text), Some(how)) => Some(format!("{text} ({how})")),
        (Some(text), None) => Some(text.clone()),
        (None, how) if node.leaf.is_none() => how,
        (None, _) => None,
    };
    Criterion {
        mark: outcome_mark(node.outcome),
        text,
        cite: node.cite.clone(),
        leaf: node.leaf.as_ref().map(|leaf| leaf_view(view, leaf)),
        of: node.of.iter().map(|below| criterion(view, below)).collect(),
    }
}

fn combine_words(combine: &str) -> String {
    match combine {
        "all" => "all of".to_owned(),
        "any" => "any of".to_owned(),
        "first_known" => "the first that is known of".to_owned(),
        "not" => "not".to_owned(),
        other => format!("{} of", other.replace('_', " ")),
    }
}

fn outcome_mark(outcome: Outcome) -> Mark {
    match outcome {
        Outcome::Met => Mark::new(Tone::Met, "met"),
        Outcome::NotMet => Mark::new(Tone::NotMet, "not met"),
        Outcome::Unknown => Mark::new(Tone::Unknown, "unknown"),
    }
}

fn leaf_view(view: &CaseView, leaf: &Leaf) -> LeafView {
    let value = leaf
        .value
        .as_ref()
        .map(value_words)
        .map(|value| match &leaf.unit {
            Some(unit) => format!("{value} {unit}"),
            None => value,
        });
    LeafView {
        fact: leaf.fact.clone(),
        value,
        date: leaf
            .date
            .clone()
            .filter(|date| dates::DateRange::read(date, chrono_tz::UTC).is_some()),
        wants: leaf.wants.replace('_', " ").replace('"', ""),
        found: leaf.path.as_deref().and_then(|path| found(view, path)),
        note: leaf.note.clone(),
    }
}

fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn found(view: &CaseView, path: &str) -> Option<Found> {
    let (anchor, place) = match view.evidence.find(path)? {
        Spot::Entry(n) => (entry_anchor(n), view.evidence.entries.get(n)?.name.clone()),
        Spot::Answer(n) => (answer_anchor(n), format!("Answer {}", n + 1)),
        Spot::Order(n) => (order_anchor(n), "Order".to_owned()),
        Spot::Line => ("lines".to_owned(), "Requested".to_owned()),
        Spot::Member => ("people".to_owned(), "Member".to_owned()),
    };
    Some(Found { anchor, place })
}

fn entry_anchor(n: usize) -> String {
    format!("entry-{}", n + 1)
}

fn answer_anchor(n: usize) -> String {
    format!("answer-{}", n + 1)
}

fn order_anchor(n: usize) -> String {
    format!("order-{}", n + 1)
}

fn evidence(view: &CaseView) -> Evidence {
    let sent = &view.evidence;
    Evidence {
        observations: sent
            .entries
            .iter()
            .enumerate()
            .map(|(n, entry)| Observation {
                anchor: entry_anchor(n),
                what: entry.what.clone(),
                value: entry.value.clone(),
                date: entry.date.clone(),
                status: entry.status.clone(),
            })
            .collect(),
        answers: sent
            .answers
            .iter()
            .enumerate()
            .map(|(n, answer)| Answer {
                anchor: answer_anchor(n),
                question: answer.question.clone(),
                value: answer.value.clone(),
                origin: answer.origin.map(|origin| origin.words().to_owned()),
            })
            .collect(),
        order: sent
            .order
            .iter()
            .enumerate()
            .map(|(n, fact)| Fact {
                anchor: order_anchor(n),
                label: fact.label.clone(),
                value: fact.value.clone(),
            })
            .collect(),
    }
}

/// Papers that would settle what is unknown on an open line, each once.
fn asks(items: &[Item]) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    for item in items.iter().filter(|item| item.status.is_open()) {
        let crate::rules::Decision::Pend(pend) = &item.verdict.decision else {
            continue;
        };
        for ask in &pend.ask {
            if all.iter().any(|known| known.text == ask.text) {
                continue;
            }
            let loinc = ask.loinc.as_ref().map(|code| format!("LOINC {code}"));
            let form = ask
                .questionnaire
                .as_ref()
                .map(|form| format!("form {}", form.replace('|', " ")));
            all.push(Asked {
                text: ask.text.clone(),
                code: loinc.or(form),
            });
        }
    }
    all
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

fn actions(
    view: &CaseView,
    staff: &Staff,
    reasons: &[DenialReason],
    today: NaiveDate,
    typed: Option<&Typed<'_>>,
) -> Actions {
    let by = staff.reviewer();
    let case = &view.case;
    let open: Vec<&Item> = case.items.iter().filter(|item| item.status.is_open()).collect();
    let fields = typed.map(|t| t.fields);
    let chosen = |item: &Item| match fields {
        Some(fields) => fields.all("line").any(|line| line == item.sequence.to_string()),
        None => open.len() == 1,
    };
    let may_approve = by.may_approve(today);
    let may_deny = by.may_deny(today);
    let waits_below = open.iter().any(|item| item.status != ItemStatus::PhysicianReview);
    Actions {
        post: format!("/staff/cases/{}/decide", case.id),
        csrf: staff.session.csrf.clone(),
        version: i64::from(case.version),
        open: open
            .iter()
            .map(|item| Step {
                sequence: item.sequence,
                label: label(view, item),
                chosen: chosen(item),
            })
            .collect(),
        signs_as: format!("{}, {}", by.name, credential(&by)),
        approve: may_approve.then(|| approval(view, &open, today, fields)),
        deny: may_deny.then(|| denial(&open, reasons, fields)),
        refer: may_approve && !may_deny && waits_below,
        limits: limits(&by, may_approve, may_deny),
        refused: typed.map(|t| t.refused.clone()),
        note: fields.map(|f| f.get("note").to_owned()).unwrap_or_default(),
    }
}

fn label(view: &CaseView, item: &Item) -> String {
    let quantity = view.line(item.sequence).quantity;
    let parts = [Some(item.code.clone()), quantity];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn limits(by: &Reviewer, may_approve: bool, may_deny: bool) -> Option<String> {
    let clinical = by.is(Role::Nurse) || by.is(Role::Physician);
    let words = match (may_approve, may_deny) {
        (true, true) => return None,
        (true, false) => "Only a physician may deny, or approve less than was asked.",
        _ if clinical => "There is no license on record for you that holds today, so you cannot decide.",
        _ => "You can read this case. A nurse or a physician decides it.",
    };
    Some(words.to_owned())
}

fn approval(view: &CaseView, open: &[&Item], today: NaiveDate, fields: Option<&Fields>) -> Approval {
    let start = |item: &Item| item.serviced.unwrap_or(today).max(today);
    let asked = open
        .iter()
        .filter_map(|item| view.line(item.sequence).last_day(start(item)))
        .max();
    let typed = fields
        .and_then(|f| f.filled("until"))
        .and_then(|text| text.parse().ok());
    let sum = open.iter().filter_map(|item| counts(&item.verdict));
    let (not_met, unknown) = sum.fold((0, 0), |(n, u), c| (n + c.not_met, u + c.unknown));
    Approval {
        from: open.iter().map(|item| start(item)).min(),
        until: typed.or(asked),
        against: against(not_met, unknown),
    }
}

fn against(not_met: usize, unknown: usize) -> Option<String> {
    let count = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 criterion is {what}")),
        n => Some(format!("{n} criteria are {what}")),
    };
    let found: Vec<String> = [count(not_met, "not met"), count(unknown, "unknown")]
        .into_iter()
        .flatten()
        .collect();
    (!found.is_empty()).then(|| {
        format!(
            "{}: say in the note why you approve all the same.",
            found.join(" and ")
        )
    })
}

fn denial(open: &[&Item], reasons: &[DenialReason], fields: Option<&Fields>) -> Denial {
    let given = |name| fields.map(|f| f.get(name)).unwrap_or_default();
    let choice = |value: &str, label: String, name| Choice {
        value: value.to_owned(),
        label,
        chosen: !value.is_empty() && given(name) == value,
    };
    let mut criteria: Vec<Choice> = Vec::new();
    for named in open.iter().flat_map(|item| review::named(&item.verdict)) {
        if !criteria.iter().any(|known| known.value == named.name) {
            let label = format!("{}: {}", outcome_mark(named.outcome).word, named.text);
            criteria.push(choice(named.name, label, "criterion"));
        }
    }
    Denial {
        open: given("decision") == "deny",
        reasons: reasons
            .iter()
            .map(|r| choice(&r.code, r.text.clone(), "reason"))
            .collect(),
        criteria,
        text: given("text").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{Evidence as Sent, samples};

    fn view() -> CaseView {
        CaseView {
            case: samples::case(),
            events: samples::events(),
            member: samples::member(),
            coverage: samples::coverage(),
            plan: Some("Harbor Medicare Advantage".to_owned()),
            systems: [(samples::CLIENT, "Demo EHR".to_owned())].into(),
            lines: Vec::new(),
            evidence: Sent::of(&samples::request()),
        }
    }

    #[test]
    fn a_leaf_points_at_the_evidence_that_it_was_judged_by() {
        let tree = criteria(&view());
        let leaf = tree[0].of[0].of[0].leaf.as_ref().unwrap();
        assert_eq!(
            (leaf.value.as_deref(), leaf.wants.as_str()),
            (Some("91 %"), "at most 88 %")
        );
        let found = leaf.found.as_ref().unwrap();
        assert_eq!(
            (found.anchor.as_str(), found.place.as_str()),
            ("entry-1", "Observation 1")
        );
        let shown = evidence(&view());
        assert!(shown.observations.iter().any(|row| row.anchor == found.anchor));
    }

    #[test]
    fn each_role_learns_what_it_may_not_do() {
        let today = samples::now().date_naive();
        let told = |by: &Reviewer| limits(by, by.may_approve(today), by.may_deny(today));
        assert_eq!(told(&samples::physician()), None);
        assert!(told(&samples::nurse()).unwrap().contains("Only a physician"));
        assert!(told(&samples::supervisor()).unwrap().contains("read this case"));
        let unlicensed = Reviewer {
            credential: None,
            ..samples::physician()
        };
        assert!(told(&unlicensed).unwrap().contains("license"));
    }

    #[test]
    fn approving_against_criteria_asks_for_a_note() {
        assert_eq!(against(0, 0), None);
        let words = against(1, 2).unwrap();
        assert!(
            words.starts_with("1 criterion is not met and 2 criteria are unknown"),
            "{words}"
        );
    }

    #[test]
    fn a_denial_can_cite_each_criterion_once_with_its_outcome() {
        let case = samples::case();
        let open: Vec<&Item> = case.items.iter().collect();
        let fields = Fields::read("decision=deny&criterion=test-age&text=because");
        let denial = denial(&open, &[], Some(&fields));
        let labels: Vec<&str> = denial.criteria.iter().map(|c| c.label.as_str()).collect();
        assert!(labels.contains(&"not met: Test age"), "{labels:?}");
        assert!(denial.open && denial.text == "because");
        assert_eq!(denial.criteria.iter().filter(|c| c.chosen).count(), 1);
    }

    #[test]
    fn the_history_names_people_systems_and_policies() {
        let history = history(&view());
        assert_eq!(history[0].actor, "Demo EHR");
        assert_eq!(history[1].credential.as_deref(), Some("dme.home-oxygen 2026.2"));
        assert!(history[1].detail.as_deref().unwrap().contains("1 not met"));
    }
}
