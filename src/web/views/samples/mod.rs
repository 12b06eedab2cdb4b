//! Sample views with realistic values, for the tests of the templates.

mod case;
mod decisions;
mod member;
mod policies;
mod queue;

pub use case::{case_for_nurse, case_for_physician, decided_case};
pub use decisions::{access_log, case_decided_by_another, confirm_denial};
pub use member::{consent, member_home, member_home_empty, member_sign_in};
pub use policies::{file_comparison, policies, public_list};
pub use queue::{queue, queue_hidden_by_filters, queue_table_fragment, staff_sign_in};

use super::*;
use crate::review::CriteriaCounts;
use crate::web::member::views::{
    App, ConnectedApp, ConsentPage, MemberHomePage, MemberItem, MemberRequest, MemberSignInPage, Message,
    WebLink,
};
use crate::web::public::views::{ListedRow, PublicListPage, PublicationLink, Source};
use crate::web::staff::views::access_log::{AccessLogFilters, AccessLogPage, AccessLogRow};
use crate::web::staff::views::decisions::{
    CaseChange, ConfirmDenialPage, DeniedItem, HardTextWarning, HiddenField, RecordedDecision, Rejection,
    UnsavedText,
};
use crate::web::staff::views::policies::{
    CurrentSet, FileChange, FileComparisonPage, FileExcerpt, FileLine, PendingProposal, PoliciesPage,
    PolicyRow, PublicationRow, RefusedSet,
};
use crate::web::staff::views::set_aside::SetAsideRow;
use crate::web::staff::views::{
    ActiveFilter, AppliedPolicy, ApprovalForm, CaseActions, CaseDeadline, CaseHistory, CaseItem, CasePage,
    CaseParty, ClinicalEntryRow, CriterionNode, DenialForm, EvidenceLink, EvidenceTables, FactTest,
    FilterSelect, FormAnswerRow, HistoryRow, MemberSummary, NeededDocument, OpenItem, OrderDetailRow,
    QueuePage, QueueRow, QueueTable, QueueTableFragment, ServiceName, StaffSignInPage,
};
use chrono::{DateTime, NaiveDate, Utc};

const ZONE: &str = "America/New_York";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "samples use it for optional fields")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn frame(name: &str, role: Option<&str>, home: &str) -> PageFrame {
    PageFrame {
        signed_in: Some(SignedInUser {
            name: name.to_owned(),
            role: role.map(ToOwned::to_owned),
            home: home.to_owned(),
            sign_out: format!("{home}/sign-out"),
            csrf: "c5rf-token".to_owned(),
            may_see_cases: home == "/staff",
            may_see_policies: home == "/staff/policies",
            may_see_access_log: home == "/staff/access-log",
        }),
    }
}

fn contact() -> PlanContact {
    PlanContact {
        plan: "Ohio Valley Advantage".to_owned(),
        phone: some("1-800-555-0142"),
        tty: some("711"),
    }
}

fn service(code: &str, name: Option<&str>, more: usize) -> ServiceName {
    ServiceName {
        code: code.to_owned(),
        name: name.map(ToOwned::to_owned),
        more,
    }
}

fn option(value: &str, label: &str, selected: bool) -> SelectOption {
    SelectOption {
        value: value.to_owned(),
        label: label.to_owned(),
        selected,
    }
}

pub fn error() -> ErrorPage {
    ErrorPage {
        frame: PageFrame::default(),
        status: 404,
        title: "Page not found".to_owned(),
        message: "This page does not exist, or you do not have access to it.".to_owned(),
        request_id: some("01999f6a-7c1e"),
        back: "/staff".to_owned(),
        back_label: "Back to the queue".to_owned(),
    }
}

pub fn signed_out() -> SignedOutPage {
    SignedOutPage {
        frame: PageFrame::default(),
        reason: some("You were signed out after 15 minutes without activity."),
        sign_in: "/staff/sign-in".to_owned(),
    }
}

pub fn front_page() -> FrontPage {
    FrontPage {
        frame: PageFrame::default(),
        title: "About the email from the plan".to_owned(),
        message: "To protect your privacy, the email does not contain any details.".to_owned(),
        links: vec![FrontPageLink {
            href: "/me".to_owned(),
            label: "Members".to_owned(),
            text: "Your requests and our decisions".to_owned(),
        }],
        contact: contact(),
    }
}
