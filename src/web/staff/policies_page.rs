//! Fills the page of the policies and that of one changed file.

use crate::publication::{Change, ChangeKind, Side, sides};
use crate::rules::policy_file::Status;
use crate::rules::{Finding, Policy, RuleSet};
use crate::state::{SetFiles, State};
use crate::store::policy_sets::{How, Proposal, Publication};
use crate::web::fields::address;
use crate::web::public::public_list::LIST;
use crate::web::session::Staff;
use crate::web::staff::policies::POLICIES;
use crate::web::views::{
    FileChange, InForce, LogEntry, Mark, PoliciesPage, PolicyChanges, PolicyRow, RefusedSet, Tone, WaitingSet,
};

/// Entries of the log that are shown.
pub(in crate::web) const LOG: i64 = 20;
/// Policies of one page.
const ROWS: usize = 200;

/// What a form came to, when the page itself tells it.
#[derive(Debug)]
pub(in crate::web) enum Said {
    /// Nothing was sent.
    Nothing,
    /// The folders hold what is in force.
    Same,
    /// The set has mistakes.
    Findings(Vec<Finding>),
}

/// The page.
pub(in crate::web) fn page(
    state: &State,
    staff: &Staff,
    log: &[Publication],
    waiting: Option<(Proposal, Vec<Change>)>,
    at: usize,
    said: Said,
) -> PoliciesPage {
    let published = state.published();
    let person = staff.reviewer();
    let newest = log.first().map(|entry| entry.number);
    let (same, findings) = match said {
        Said::Nothing => (false, Vec::new()),
        Said::Same => (true, Vec::new()),
        Said::Findings(findings) => (false, findings),
    };
    let total = published.rules.policies().count();
    let pages = total.div_ceil(ROWS).max(1);
    let at = at.clamp(1, pages);
    let turn = |to: usize| address(POLICIES, [("page", to.to_string().as_str())].into_iter());
    PoliciesPage {
        frame: staff.frame(),
        csrf: staff.session.csrf.clone(),
        zone: published.rules.zone().name().to_owned(),
        in_force: InForce {
            entry: published.publication().map(log_entry),
            files: published.files().all().len(),
            forms: published.forms.all().count(),
            listed: published.list().rows().len(),
        },
        refused: state.refused().map(|refused| RefusedSet {
            hash: refused.hash.clone(),
            at: refused.at,
            findings: lines(&refused.findings),
        }),
        may_publish: person.may_publish(),
        same,
        findings: lines(&findings),
        waiting: waiting.map(|(proposal, changes)| WaitingSet {
            mine: proposal.by.id == person.id,
            stale: newest != Some(proposal.base),
            id: proposal.id.to_string(),
            hash: proposal.set,
            by: proposal.by.name,
            at: proposal.at,
            files: changes.into_iter().map(file_change).collect(),
        }),
        total,
        policies: published
            .rules
            .policies()
            .skip((at - 1) * ROWS)
            .take(ROWS)
            .map(|policy| row(&published.rules, policy))
            .collect(),
        back: (at > 1).then(|| turn(at - 1)),
        on: (at < pages).then(|| turn(at + 1)),
        warnings: lines(published.rules.warnings()),
        log: log.iter().map(log_entry).collect(),
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn log_entry(entry: &Publication) -> LogEntry {
    let name = |who: &Option<crate::store::policy_sets::Named>| who.as_ref().map(|who| who.name.clone());
    LogEntry {
        number: entry.number,
        at: entry.at,
        how: match entry.how {
            How::Start => "when a server started",
            How::Signal => "by the operator's signal",
            How::FileChange => "because a file changed",
            How::TwoPeople => "by two people",
        }
        .to_owned(),
        proposed_by: name(&entry.proposed_by),
        confirmed_by: name(&entry.confirmed_by),
        hash: entry.set.clone(),
        list: format!("{LIST}/{}", entry.id),
    }
}

fn file_change(change: Change) -> FileChange {
    FileChange {
        href: address(
            &format!("{POLICIES}/changes"),
            [("file", change.path.as_str())].into_iter(),
        ),
        what: what(change.kind).to_owned(),
        path: change.path,
        plus: change.plus,
        minus: change.minus,
    }
}

fn what(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "new",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

fn row(rules: &RuleSet, policy: &Policy) -> PolicyRow {
    let window = policy.effective();
    let (tone, word) = match policy.status() {
        Status::Active => (Tone::Approved, "active"),
        Status::Shadow => (Tone::Watch, "shadow"),
        Status::Draft => (Tone::Open, "draft"),
        Status::Retired => (Tone::Closed, "retired"),
    };
    let warnings = rules.warnings().iter();
    PolicyRow {
        title: policy.title().to_owned(),
        name: policy.name().to_owned(),
        version: policy.version().to_owned(),
        status: Mark::new(tone, word),
        from: window.from,
        to: window.to,
        lines: policy
            .lines()
            .map_or_else(|| "all".to_owned(), |lines| lines.join(", ")),
        codes: policy.codes().count(),
        forms: policy.forms().into_iter().map(str::to_owned).collect(),
        warnings: warnings.filter(|warning| warning.file == policy.file()).count(),
    }
}

/// One file of the proposal beside the set in force; none when it does not differ.
pub(in crate::web) fn one_file(
    held: &SetFiles,
    new: &SetFiles,
    staff: &Staff,
    path: &str,
) -> Option<PolicyChanges> {
    let (before, after) = (held.text(path), new.text(path));
    if before == after {
        return None;
    }
    let kind = match (before, after) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    let (old, new) = sides(before.unwrap_or(""), after.unwrap_or(""));
    Some(PolicyChanges {
        frame: staff.frame(),
        path: path.to_owned(),
        what: what(kind).to_owned(),
        old: side(old),
        new: side(new),
    })
}

fn side(side: Side) -> crate::web::views::TextSide {
    crate::web::views::TextSide {
        first: side.first,
        lines: side
            .lines
            .into_iter()
            .map(|(text, own)| crate::web::views::TextLine { text, own })
            .collect(),
        more: side.more,
    }
}
