//! What the signed-in person may do with a case, and the form for it. Whoever may not decide reads why; the form of a
//! refused try keeps what was typed.

use crate::prior_auth::{Item, ItemStatus, Reviewer, Role};
use crate::review::{self, CaseView};
use crate::rules::DenialReason;
use crate::web::fields::Fields;
use crate::web::session::Staff;
use crate::web::staff::case_criteria::outcome_mark;
use crate::web::staff::history::credential;
use crate::web::staff::queue_page::counts;
use crate::web::views::{Actions, Approval, Choice, Denial, Step};
use chrono::NaiveDate;

/// A form that was refused: why, and what was in it.
pub(in crate::web) struct Typed<'a> {
    /// The sentence.
    pub refused: String,
    /// What was typed.
    pub fields: &'a Fields,
}

/// What this person may do with the open lines.
pub(in crate::web) fn actions(
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
    use crate::review::samples;

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
}
