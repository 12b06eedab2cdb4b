//! What the signed-in person may do with a case, and the forms for it. A person who may not decide sees why. After a
//! form that was not recorded, the fields keep what the person typed.

use crate::prior_auth::{Item, ItemStatus, Reviewer, Role};
use crate::review::{self, CaseView, CriteriaCounts};
use crate::rules::{DenialReason, Outcome, RuleSet};
use crate::web::fields::FormFields;
use crate::web::session::SignedInStaff;
use crate::web::staff::labels::{capitalized, credential_text, outcome_badge, service_text};
use crate::web::staff::views::{ApprovalForm, CaseActions, DenialForm, OpenItem};
use crate::web::views::SelectOption;
use chrono::NaiveDate;

/// A submitted form that was not recorded, so that its fields are shown again.
pub(in crate::web) struct SubmittedForm<'a> {
    /// Why it was rejected, as a sentence; `None` when the person wants to change it.
    pub rejection: Option<String>,
    /// The submitted fields.
    pub fields: &'a FormFields,
}

/// What this person may do with the open items of the case.
pub(in crate::web) fn actions(
    view: &CaseView,
    staff: &SignedInStaff,
    rules: &RuleSet,
    today: NaiveDate,
    submitted: Option<&SubmittedForm<'_>>,
) -> CaseActions {
    let reviewer = staff.reviewer();
    let case = &view.case;
    let open: Vec<&Item> = case.items.iter().filter(|item| item.status.is_open()).collect();
    let fields = submitted.map(|submitted| submitted.fields);
    let is_selected = |item: &Item| match fields {
        Some(fields) => fields
            .all("item")
            .any(|sequence| sequence == item.sequence.to_string()),
        None => open.len() == 1,
    };
    let may_approve = reviewer.may_approve(today);
    let may_deny = reviewer.may_deny(today);
    let is_below_physician = open.iter().any(|item| item.status != ItemStatus::PhysicianReview);
    CaseActions {
        post_url: format!("/staff/cases/{}/decide", case.id),
        csrf: staff.session.csrf.clone(),
        version: i64::from(case.version),
        open_items: open
            .iter()
            .map(|item| OpenItem {
                sequence: item.sequence,
                label: item_label(view, rules, item),
                selected: is_selected(item),
            })
            .collect(),
        recorded_as: format!("{}, {}", reviewer.name, credential_text(&reviewer)),
        approve: may_approve.then(|| approval_form(view, &open, today, fields)),
        deny: may_deny.then(|| denial_form(&open, rules.denial_reasons(), fields)),
        can_refer: may_approve && !may_deny && is_below_physician,
        restriction: restriction(&reviewer, may_approve, may_deny),
        note: fields.map(|f| f.get("note").to_owned()).unwrap_or_default(),
    }
}

fn item_label(view: &CaseView, rules: &RuleSet, item: &Item) -> String {
    let service = service_text(rules, item);
    match view.requested_item(item.sequence).quantity {
        Some(quantity) => format!("{service}, {quantity}"),
        None => service,
    }
}

fn restriction(reviewer: &Reviewer, may_approve: bool, may_deny: bool) -> Option<String> {
    let is_clinical = reviewer.has_role(Role::Nurse) || reviewer.has_role(Role::Physician);
    let text = match (may_approve, may_deny) {
        (true, true) => return None,
        (true, false) => "Only a physician may deny a request.",
        _ if is_clinical => "You cannot decide this case because you have no valid license on record.",
        _ => "You can view this case. Only a nurse or a physician can decide it.",
    };
    Some(text.to_owned())
}

fn approval_form(
    view: &CaseView,
    open: &[&Item],
    today: NaiveDate,
    fields: Option<&FormFields>,
) -> ApprovalForm {
    let requested_end = open
        .iter()
        .filter_map(|item| {
            view.requested_item(item.sequence)
                .last_requested_day(item.first_day(today))
        })
        .max();
    let typed_end = fields
        .and_then(|f| f.non_blank("until"))
        .and_then(|text| text.parse().ok());
    ApprovalForm {
        from: open.iter().map(|item| item.first_day(today)).min(),
        until: typed_end.or(requested_end),
        note_required: note_required(open),
    }
}

/// Why an approval needs a note and a last day; `None` when the policy's criteria for an approval are met.
fn note_required(open: &[&Item]) -> Option<String> {
    let beyond: Vec<&Item> = open.iter().copied().filter(|item| !item.meets_policy()).collect();
    let mut counts = CriteriaCounts::default();
    let mut without_policy = 0;
    for item in &beyond {
        match review::count_conditions(&item.verdict) {
            Some(found) => {
                counts.not_met += found.not_met;
                counts.unknown += found.unknown;
            }
            None => without_policy += 1,
        }
    }
    let criteria = |n: usize, outcome: &str| match n {
        0 => None,
        1 => Some(format!("1 criterion is {outcome}")),
        n => Some(format!("{n} criteria are {outcome}")),
    };
    let items = match without_policy {
        0 => None,
        1 => Some("no policy was applied to 1 item".to_owned()),
        n => Some(format!("no policy was applied to {n} items")),
    };
    let parts = [
        criteria(counts.not_met, "not met"),
        criteria(counts.unknown, "unknown"),
        items,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let reasons = if parts.is_empty() {
        "the policy does not approve this request".to_owned()
    } else {
        parts.join(" and ")
    };
    (!beyond.is_empty()).then(|| {
        format!(
            "{}. To approve, explain in the note why you are approving anyway, and enter the last day.",
            capitalized(&reasons)
        )
    })
}

fn denial_form(open: &[&Item], reasons: &[DenialReason], fields: Option<&FormFields>) -> DenialForm {
    let typed = |name| fields.map(|f| f.get(name)).unwrap_or_default();
    let option = |value: &str, label: String, field| SelectOption {
        value: value.to_owned(),
        label,
        selected: !value.is_empty() && typed(field) == value,
    };
    let mut criteria: Vec<SelectOption> = Vec::new();
    let citable = open
        .iter()
        .flat_map(|item| review::named_criteria(&item.verdict))
        .filter(|criterion| criterion.outcome != Outcome::Met);
    for criterion in citable {
        if !criteria.iter().any(|known| known.value == criterion.name) {
            let label = format!("{} ({})", criterion.text, outcome_badge(criterion.outcome).text);
            criteria.push(option(criterion.name, label, "criterion"));
        }
    }
    DenialForm {
        open: matches!(typed("decision"), "deny" | "change"),
        reasons: reasons
            .iter()
            .map(|reason| option(&reason.code, reason.text.clone(), "reason"))
            .collect(),
        criteria,
        text: typed("text").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples;

    #[test]
    fn each_role_sees_what_it_may_not_do() {
        let today = samples::now().date_naive();
        let shown = |by: &Reviewer| restriction(by, by.may_approve(today), by.may_deny(today));
        assert_eq!(shown(&samples::physician()), None);
        assert!(shown(&samples::nurse()).unwrap().contains("Only a physician"));
        assert!(shown(&samples::supervisor()).unwrap().contains("view this case"));
        let unlicensed = Reviewer {
            credential: None,
            ..samples::physician()
        };
        assert!(shown(&unlicensed).unwrap().contains("license"));
    }

    #[test]
    fn approving_beyond_the_policy_requires_a_note_and_a_last_day() {
        let case = samples::case();
        let text = note_required(&[&case.items[0]]).unwrap();
        assert!(
            text.starts_with(
                "1 criterion is not met and 1 criterion is unknown. To approve, explain in the note"
            ),
            "{text}"
        );
        let mut without_policy = case.items[0].clone();
        without_policy.verdict.trace.clear();
        let text = note_required(&[&without_policy]).unwrap();
        assert!(text.starts_with("No policy was applied to 1 item."), "{text}");
        let mut met = case.items[0].clone();
        met.verdict.trace[0].outcome = Outcome::Met;
        assert_eq!(note_required(&[&met]), None);
    }

    #[test]
    fn a_denial_can_cite_each_criterion_that_is_not_met_once_with_its_outcome() {
        let case = samples::case();
        let open: Vec<&Item> = case.items.iter().collect();
        let fields = FormFields::parse("decision=deny&criterion=test-age&text=because");
        let denial = denial_form(&open, &[], Some(&fields));
        let labels: Vec<&str> = denial.criteria.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["Test age (not met)", "Test source (unknown)"]);
        assert!(denial.open && denial.text == "because");
        assert_eq!(denial.criteria.iter().filter(|c| c.selected).count(), 1);
    }
}
