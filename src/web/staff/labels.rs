//! Texts and badges that several staff pages share: case numbers, statuses, services, verdicts and licenses.

use crate::deadlines::EscalationStep;
use crate::prior_auth::{Credential, CredentialKind, Item, ItemStatus, Outcome, PriorAuth, Reviewer};
use crate::rules::{self, Decision, RuleSet, Verdict, VerdictSource};
use crate::web::session::role_label;
use crate::web::staff::views::ServiceName;
use crate::web::views::{Badge, BadgeStyle};

/// The service of an item: its plain name from the plan's list of services, or the title of the policy that was
/// applied.
pub(in crate::web) fn service_name(rules: &RuleSet, item: &Item) -> ServiceName {
    let policy_title = match &item.verdict.source {
        VerdictSource::Policy { title, .. } => Some(title.as_str()),
        _ => None,
    };
    code_name(rules, &item.system, &item.code, policy_title)
}

/// The service of a code: its plain name from the plan's list of services, or else the title of a policy.
pub(in crate::web) fn code_name(
    rules: &RuleSet,
    system: &str,
    code: &str,
    policy_title: Option<&str>,
) -> ServiceName {
    let name = rules.service_name(system, code).or(policy_title);
    ServiceName {
        code: code.to_owned(),
        name: name.map(str::to_owned),
        more: 0,
    }
}

/// `Home oxygen, portable (E0431)`; only the code when the service has no name.
pub(in crate::web) fn service_text(rules: &RuleSet, item: &Item) -> String {
    let service = service_name(rules, item);
    match service.name {
        Some(name) => format!("{name} ({})", service.code),
        None => service.code,
    }
}

/// A text with its first letter as a capital.
pub(in crate::web) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// An item's status as text.
pub(in crate::web) fn status_label(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Intake => "Intake",
        ItemStatus::ClinicalReview => "Clinical review",
        ItemStatus::PhysicianReview => "Physician review",
        ItemStatus::Approved => "Approved",
        ItemStatus::Denied => "Denied",
        ItemStatus::NotRequired => "Authorization not required",
    }
}

/// An item's status as a badge.
pub(in crate::web) fn status_badge(status: ItemStatus) -> Badge {
    let style = match status {
        ItemStatus::Approved => BadgeStyle::Approved,
        ItemStatus::Denied => BadgeStyle::Denied,
        ItemStatus::NotRequired => BadgeStyle::Closed,
        _ => BadgeStyle::Open,
    };
    Badge::new(style, status_label(status))
}

/// The status of the whole case: that of its least advanced open item; without open items, what was decided.
pub(in crate::web) fn case_status_badge(case: &PriorAuth) -> Badge {
    if let Some(open) = case.items.iter().map(|i| i.status).filter(|s| s.is_open()).min() {
        return status_badge(open);
    }
    let any = |matches: fn(&Outcome) -> bool| {
        case.items
            .iter()
            .filter_map(|i| i.decision.as_ref())
            .any(|decision| matches(&decision.outcome))
    };
    let approved = any(|o| matches!(o, Outcome::Approved(_)));
    let denied = any(|o| matches!(o, Outcome::Denied(_)));
    match (approved, denied) {
        (true, true) => Badge::new(BadgeStyle::PartlyApproved, "Partially approved"),
        (true, false) => status_badge(ItemStatus::Approved),
        (false, true) => status_badge(ItemStatus::Denied),
        (false, false) => status_badge(ItemStatus::NotRequired),
    }
}

/// How near a due time is, as a badge.
pub(in crate::web) fn escalation_badge(step: EscalationStep) -> Badge {
    let style = match step {
        EscalationStep::OnTrack => BadgeStyle::OnTrack,
        EscalationStep::Watch => BadgeStyle::Watch,
        EscalationStep::DueSoon => BadgeStyle::DueSoon,
        EscalationStep::DueNow => BadgeStyle::DueNow,
        EscalationStep::Overdue => BadgeStyle::Overdue,
    };
    Badge::new(style, step.label())
}

/// The outcome of a criterion as a badge.
pub(in crate::web) fn outcome_badge(outcome: rules::Outcome) -> Badge {
    match outcome {
        rules::Outcome::Met => Badge::new(BadgeStyle::Met, "met"),
        rules::Outcome::NotMet => Badge::new(BadgeStyle::NotMet, "not met"),
        rules::Outcome::Unknown => Badge::new(BadgeStyle::Unknown, "unknown"),
    }
}

/// The policy version or list row that answered: `dme.home-oxygen 2026.2`, `2026.csv, line 12`.
pub(in crate::web) fn source_text(verdict: &Verdict) -> Option<String> {
    match &verdict.source {
        VerdictSource::Policy { policy, version, .. } => Some(format!("{policy} {version}")),
        VerdictSource::List { file, line, .. } if !file.is_empty() => Some(format!("{file}, line {line}")),
        _ => None,
    }
}

/// What a verdict means for the item: `routed to manual review, queue dme-nurse (clinical review)`.
pub(in crate::web) fn verdict_text(verdict: &Verdict) -> String {
    match &verdict.decision {
        Decision::Approve(terms) => format!("approved automatically ({})", terms.reason),
        Decision::NotRequired { reason } => format!("authorization not required ({reason})"),
        Decision::Pend(pend) => format!(
            "routed to manual review, queue {} ({})",
            pend.queue,
            pend.limit_text()
                .map_or_else(|| pend.reason.replace('-', " "), str::to_owned)
        ),
    }
}

/// The reviewer's role and license: `Physician reviewer, physician license OH 35.123456`.
pub(in crate::web) fn credential_text(reviewer: &Reviewer) -> String {
    let role = role_label(reviewer.acting_role());
    match &reviewer.credential {
        Some(credential) => format!("{role}, {}", license_text(credential)),
        None => role.to_owned(),
    }
}

fn license_text(credential: &Credential) -> String {
    let kind = match credential.kind {
        CredentialKind::Physician => "physician license",
        CredentialKind::Nurse => "nursing license",
    };
    format!("{kind} {} {}", credential.state, credential.license)
}
