//! The page on which a physician reads what a denial will send, and confirms it. It works without the script: the form
//! repeats the denial in hidden fields with the digest of what is shown, and `prior_auth` records only a denial with that
//! digest.

use crate::access::summary::summarize;
use crate::prior_auth::HardText;
use crate::review::{CaseView, DenialToConfirm, ReviewDecision, ReviewDenial, named_criteria};
use crate::state::State;
use crate::web::member::item_view;
use crate::web::session::SignedInStaff;
use crate::web::staff::decision_notices::{client_name, delivery_sentences};
use crate::web::staff::labels::credential_text;
use crate::web::staff::views::ServiceName;
use crate::web::staff::views::decisions::{ConfirmDenialPage, DeniedItem, HardTextWarning, HiddenField};

/// Builds the page. `view` is the case as it is, `denial` what the decision would do to it.
pub(in crate::web) fn confirm_denial_page(
    state: &State,
    staff: &SignedInStaff,
    view: &CaseView,
    decision: &ReviewDecision,
    words: &ReviewDenial,
    denial: &DenialToConfirm,
) -> ConfirmDenialPage {
    let policy_set = state.policy_set();
    let rules = &policy_set.rules;
    let summary = summarize(&denial.after, rules, &state.config.payer.appeal, state.now());
    let is_denied = |sequence: &u32| decision.items.contains(sequence);
    let items = denial
        .after
        .items
        .iter()
        .zip(summary.items)
        .filter(|(item, _)| is_denied(&item.sequence))
        .map(|(_, summary)| {
            let shown = item_view(summary);
            DeniedItem {
                service: ServiceName {
                    code: shown.code,
                    name: Some(shown.service),
                    more: 0,
                },
                status: shown.status,
                explanation: shown.explanation,
            }
        })
        .collect();
    let reasons = rules.denial_reasons();
    let reason = reasons.iter().find(|reason| reason.code == words.reason_code);
    ConfirmDenialPage {
        frame: staff.frame(),
        number: view.case.number().to_owned(),
        post_url: format!("/staff/cases/{}/decide", view.case.id),
        csrf: staff.session.csrf.clone(),
        fields: hidden_fields(decision, words, &denial.preview.digest),
        items,
        reason: reason.map(|reason| reason.text.clone()).unwrap_or_default(),
        reason_code: words.reason_code.clone(),
        criterion: cited_criterion(denial, words),
        text: words.text.trim().to_owned(),
        appeal_instructions: summary.appeal_instructions,
        deliveries: delivery_sentences(&view.deliveries, &client_name(view)),
        hard_text: denial.preview.hard_text.as_ref().map(hard_text_warning),
        problem: denial.hard_text_not_accepted.then(|| {
            "Nothing was recorded. Change the reason, or check the box to send it as written.".to_owned()
        }),
        recorded_as: format!("{}, {}", staff.person.name, credential_text(&staff.reviewer())),
    }
}

/// The criterion's text; every denied item has the criterion.
fn cited_criterion(denial: &DenialToConfirm, words: &ReviewDenial) -> Option<String> {
    let name = words.criterion.as_deref()?;
    let mut criteria = denial
        .after
        .items
        .iter()
        .flat_map(|item| named_criteria(&item.verdict));
    let found = criteria.find(|criterion| criterion.name == name);
    Some(found.map_or(name, |criterion| criterion.text).to_owned())
}

fn hidden_fields(decision: &ReviewDecision, words: &ReviewDenial, digest: &str) -> Vec<HiddenField> {
    let field = |name, value: &str| HiddenField {
        name,
        value: value.to_owned(),
    };
    let mut fields = vec![
        field("version", &decision.version_seen.to_string()),
        field("note", &decision.note),
        field("reason", &words.reason_code),
        field("criterion", words.criterion.as_deref().unwrap_or("")),
        field("text", &words.text),
        field("confirmation", digest),
    ];
    fields.extend(decision.items.iter().map(|item| field("item", &item.to_string())));
    fields
}

fn hard_text_warning(hard: &HardText) -> HardTextWarning {
    HardTextWarning {
        summary: format!(
            "The reason is hard to read: reading grade {}, and the plan's limit is {}. Use shorter sentences and words.",
            hard.grade, hard.limit
        ),
        sentences: hard
            .sentences
            .iter()
            .map(|sentence| format!("{} (grade {})", sentence.text, sentence.grade))
            .collect(),
    }
}
