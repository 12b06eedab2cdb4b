//! Fills the views of the policies page and of the page that compares one changed file.

use crate::publication::{Change, ChangeKind, Excerpt, side_by_side};
use crate::rules::{Finding, Policy, PolicyStatus, RuleSet};
use crate::state::{PolicySetFiles, State};
use crate::store::policy_sets::{Proposal, Publication, PublicationMethod, StaffName};
use crate::web::fields::url_with_query;
use crate::web::paths::{POLICIES, PUBLIC_LIST};
use crate::web::session::SignedInStaff;
use crate::web::staff::views::policies::{
    CurrentSet, FileChange, FileComparisonPage, FileExcerpt, FileLine, PendingProposal, PoliciesPage,
    PolicyRow, PublicationRow, RefusedSet,
};
use crate::web::views::{Badge, BadgeStyle};
use std::collections::HashMap;

/// How many publications the page lists.
pub(in crate::web) const MAX_PUBLICATIONS: i64 = 20;
/// How many policies are on one page.
const POLICIES_PER_PAGE: usize = 200;
/// How many findings and how many changed files the page lists.
const MAX_LISTED: usize = 200;

/// The result of a submitted form that is shown on the policies page.
#[derive(Debug)]
pub(in crate::web) enum Notice {
    /// No form was submitted.
    None,
    /// The folders match the current policy set.
    NothingToPropose,
    /// The policy set has mistakes.
    Findings(Vec<Finding>),
}

/// What the policies page shows, besides the current policy set.
pub(in crate::web) struct PageRequest<'a> {
    /// The newest publications, newest first.
    pub publications: &'a [Publication],
    /// The pending proposal with the files that it changes.
    pub proposal: Option<(Proposal, Vec<Change>)>,
    /// The page of the policies to show, from 1.
    pub page: usize,
    /// The result of a submitted form.
    pub notice: Notice,
}

/// Fills the policies page.
pub(in crate::web) fn policies_page(
    state: &State,
    staff: &SignedInStaff,
    request: PageRequest<'_>,
) -> PoliciesPage {
    let policy_set = state.policy_set();
    let rules = &policy_set.rules;
    let reviewer = staff.reviewer();
    let newest = request.publications.first().map(|publication| publication.number);
    let (nothing_to_propose, findings) = match request.notice {
        Notice::None => (false, Vec::new()),
        Notice::NothingToPropose => (true, Vec::new()),
        Notice::Findings(findings) => (false, findings),
    };
    let warnings = warnings_by_file(rules);
    let total = rules.policies().count();
    let pages = total.div_ceil(POLICIES_PER_PAGE).max(1);
    let page = request.page.clamp(1, pages);
    let page_url = |page: usize| url_with_query(POLICIES, [("page", page.to_string().as_str())].into_iter());
    PoliciesPage {
        frame: staff.frame(),
        csrf: staff.session.csrf.clone(),
        zone: rules.zone().name().to_owned(),
        current: CurrentSet {
            publication: policy_set.publication().map(publication_row),
            files: policy_set.files().all().len(),
            forms: policy_set.forms.all().count(),
            listed: policy_set.public_list().rows().len(),
        },
        refused: state.refused_policy_set().map(|refused| RefusedSet {
            hash: refused.hash.clone(),
            at: refused.at,
            findings: finding_texts(&refused.findings),
        }),
        may_publish: reviewer.may_publish(),
        nothing_to_propose,
        findings: finding_texts(&findings),
        proposal: request.proposal.map(|(proposal, changes)| PendingProposal {
            is_own: proposal.by.id == reviewer.id,
            is_outdated: newest != Some(proposal.base),
            id: proposal.id.to_string(),
            hash: proposal.set_hash,
            proposer: proposal.by.name,
            at: proposal.at,
            more_files: changes.len().saturating_sub(MAX_LISTED),
            files: changes.into_iter().take(MAX_LISTED).map(file_change).collect(),
        }),
        total,
        policies: rules
            .policies()
            .skip((page - 1) * POLICIES_PER_PAGE)
            .take(POLICIES_PER_PAGE)
            .map(|policy| policy_row(policy, &warnings))
            .collect(),
        previous_page: (page > 1).then(|| page_url(page - 1)),
        next_page: (page < pages).then(|| page_url(page + 1)),
        warning_count: rules.warnings().len(),
        warnings: finding_texts(rules.warnings()),
        publications: request.publications.iter().map(publication_row).collect(),
    }
}

fn finding_texts(findings: &[Finding]) -> Vec<String> {
    let more = findings.len().saturating_sub(MAX_LISTED);
    let listed = findings.iter().take(MAX_LISTED).map(ToString::to_string);
    listed
        .chain((more > 0).then(|| format!("{more} more, in the server's log and in `policy check`")))
        .collect()
}

/// How many warnings each file has.
fn warnings_by_file(rules: &RuleSet) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for warning in rules.warnings() {
        *counts.entry(warning.file.as_str()).or_default() += 1;
    }
    counts
}

fn publication_row(publication: &Publication) -> PublicationRow {
    let name = |person: &Option<StaffName>| person.as_ref().map(|person| person.name.clone());
    PublicationRow {
        number: publication.number,
        at: publication.at,
        method: match publication.method {
            PublicationMethod::Start => "at server start",
            PublicationMethod::Signal => "by operator signal",
            PublicationMethod::FileChange => "after a file change",
            PublicationMethod::TwoPerson => "proposed and confirmed",
        }
        .to_owned(),
        proposed_by: name(&publication.proposed_by),
        confirmed_by: name(&publication.confirmed_by),
        hash: publication.set_hash.clone(),
        list: format!("{PUBLIC_LIST}/{}", publication.id),
    }
}

fn file_change(change: Change) -> FileChange {
    FileChange {
        href: url_with_query(
            &format!("{POLICIES}/changes"),
            [("file", change.path.as_str())].into_iter(),
        ),
        kind: change_label(change.kind).to_owned(),
        path: change.path,
        added_lines: change.added_lines,
        removed_lines: change.removed_lines,
    }
}

fn change_label(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "new",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

fn policy_row(policy: &Policy, warnings: &HashMap<&str, usize>) -> PolicyRow {
    let effective = policy.effective();
    let (style, text) = match policy.status() {
        PolicyStatus::Active => (BadgeStyle::Approved, "active"),
        PolicyStatus::Shadow => (BadgeStyle::Watch, "shadow"),
        PolicyStatus::Draft => (BadgeStyle::Open, "draft"),
        PolicyStatus::Retired => (BadgeStyle::Closed, "retired"),
    };
    PolicyRow {
        title: policy.title().to_owned(),
        name: policy.name().to_owned(),
        version: policy.version().to_owned(),
        status: Badge::new(style, text),
        from: effective.from,
        to: effective.to,
        lines_of_business: policy
            .lines_of_business()
            .map_or_else(|| "all".to_owned(), |lines| lines.join(", ")),
        codes: policy.codes().count(),
        forms: policy.forms().into_iter().map(str::to_owned).collect(),
        warnings: warnings.get(policy.file()).copied().unwrap_or_default(),
    }
}

/// One file of the proposal beside the current version; `None` when the two do not differ.
pub(in crate::web) fn file_comparison_page(
    current: &PolicySetFiles,
    proposed: &PolicySetFiles,
    staff: &SignedInStaff,
    path: &str,
) -> Option<FileComparisonPage> {
    let (before, after) = (current.text(path), proposed.text(path));
    if before == after {
        return None;
    }
    let kind = match (before, after) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    let (current, proposed) = side_by_side(before.unwrap_or(""), after.unwrap_or(""));
    Some(FileComparisonPage {
        frame: staff.frame(),
        path: path.to_owned(),
        kind: change_label(kind).to_owned(),
        current: file_excerpt(current),
        proposed: file_excerpt(proposed),
    })
}

fn file_excerpt(excerpt: Excerpt) -> FileExcerpt {
    FileExcerpt {
        first_line: excerpt.first,
        lines: excerpt
            .lines
            .into_iter()
            .map(|(text, is_changed)| FileLine { text, is_changed })
            .collect(),
        omitted: excerpt.omitted,
    }
}
