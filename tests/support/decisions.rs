//! Decisions of reviewers as events, without the pages.

use assent::prior_auth::{Approve, CommandError, Confirmation, Deny, Event, PriorAuth, Reviewer};
use chrono::{DateTime, Utc};

/// The events of an approval of one item, with a note. Without a last day, the approval is for one year.
pub fn approval(
    case: &PriorAuth,
    by: &Reviewer,
    sequence: u32,
    end: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, CommandError> {
    let year_later = || {
        now.date_naive()
            .checked_add_months(chrono::Months::new(12))
            .unwrap()
    };
    let command = Approve {
        by,
        version_seen: case.version,
        sequence,
        number: assent::clock::new_number("PA"),
        end: Some(end.map_or_else(year_later, |day| day.parse().unwrap())),
        reason: "Approved as requested after review".to_owned(),
        note: "Discussed with the practice".to_owned(),
    };
    case.approve(command, now)
}

/// The events of a denial of one item with reason 0F, after its confirmation.
pub fn denial(
    case: &PriorAuth,
    by: &Reviewer,
    sequence: u32,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, CommandError> {
    let command = Deny {
        by,
        version_seen: case.version,
        items: &[sequence],
        reason_code: "0F",
        criterion: None,
        reason,
        note: "",
        grade_limit: 8,
        confirmation: Confirmation::default(),
    };
    let digest = command.digest(case);
    let confirmation = Confirmation {
        digest: &digest,
        accepts_hard_text: true,
    };
    case.deny(
        &Deny {
            confirmation,
            ..command
        },
        now,
    )
}
