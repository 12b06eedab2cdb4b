//! Denials. A denial can only be made by [`Denial::attest`], which requires a physician with a valid license.

use super::command_error::CommandError;
use super::reviewer::Reviewer;
use super::wording;
use aws_lc_rs::digest::{Context, SHA256};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The denial of an item: a coded reason, the specific reason for this member, and the physician who attests it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    reason_code: String,
    reason: String,
    attested_by: Reviewer,
}

impl Denial {
    /// Makes a denial. `by` must be a physician whose license is valid on `today`. `reason_code` is from X12 list 886;
    /// `reason` is the specific reason for this member, in words.
    pub fn attest(
        by: &Reviewer,
        reason_code: &str,
        reason: &str,
        today: NaiveDate,
    ) -> Result<Self, CommandError> {
        if !by.may_deny(today) {
            return Err(CommandError::NotPermitted(
                "Only a physician reviewer with a valid license on record may deny a request",
            ));
        }
        let reason = reason.trim();
        if reason_code.is_empty() {
            return Err(CommandError::Incomplete(
                "reason_code",
                "Choose a reason for the denial",
            ));
        }
        if let Some(mistake) = wording::reason_mistake(reason, &[]) {
            return Err(CommandError::Incomplete("reason", mistake));
        }
        Ok(Self {
            reason_code: reason_code.to_owned(),
            reason: reason.to_owned(),
            attested_by: by.clone(),
        })
    }

    /// The reason code from X12 list 886.
    pub fn reason_code(&self) -> &str {
        &self.reason_code
    }

    /// The specific reason for this member.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The physician who attested the denial.
    pub fn attested_by(&self) -> &Reviewer {
        &self.attested_by
    }
}

/// SHA-256 over texts and their lengths, as lower-case hex.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Context::new(&SHA256);
    for part in parts {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finish()
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
