//! Views as a working day fills them, for the tests of the pages.

mod case;
mod member;
mod policies;
mod queue;

pub use case::{case_for_nurse, case_for_physician, decided_case};
pub use member::{consent, member_home, member_home_empty, member_sign_in};
pub use policies::{policies, policy_changes, public_list};
pub use queue::{queue, queue_fragment, queue_hidden_by_filters, staff_sign_in};

use super::*;
use chrono::{DateTime, NaiveDate, Utc};

const ZONE: &str = "America/New_York";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it writes the optional fields of the samples"
)]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn frame(name: &str, role: Option<&str>, home: &str) -> Frame {
    Frame {
        signed_in: Some(SignedIn {
            name: name.to_owned(),
            role: role.map(ToOwned::to_owned),
            home: home.to_owned(),
            sign_out: format!("{home}/sign-out"),
            csrf: "c5rf-token".to_owned(),
            cases: home == "/staff",
            policies: home == "/staff/policies",
        }),
    }
}

fn contact() -> Contact {
    Contact {
        plan: "Ohio Valley Advantage".to_owned(),
        phone: some("1-800-555-0142"),
        tty: some("711"),
    }
}

fn service(code: &str, words: Option<&str>, more: usize) -> ServiceName {
    ServiceName {
        code: code.to_owned(),
        words: words.map(ToOwned::to_owned),
        more,
    }
}

fn choice(value: &str, label: &str, chosen: bool) -> Choice {
    Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen,
    }
}

pub fn problem() -> Problem {
    Problem {
        frame: Frame::default(),
        status: 404,
        title: "Page not found".to_owned(),
        message: "There is no such case, or it is not yours to see.".to_owned(),
        request_id: some("01999f6a-7c1e"),
        back: "/staff".to_owned(),
    }
}

pub fn signed_out() -> SignedOut {
    SignedOut {
        frame: Frame::default(),
        reason: some("You were signed out after 15 minutes without activity."),
        sign_in: "/staff/sign-in".to_owned(),
    }
}

pub fn doorstep() -> Doorstep {
    Doorstep {
        frame: Frame::default(),
        title: "Sign in to read it".to_owned(),
        message: "For your privacy the e-mail says no more.".to_owned(),
        doors: vec![Door {
            href: "/me".to_owned(),
            label: "Members".to_owned(),
            text: "Your requests and what we decided.".to_owned(),
        }],
        contact: contact(),
    }
}
