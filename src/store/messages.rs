//! The payloads of outbox messages. They hold references to rows and no content.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The payload of a notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotificationPayload {
    /// The subscription.
    pub subscription: Uuid,
    /// A handshake has no case.
    #[serde(default)]
    pub handshake: bool,
    /// For a handshake, the version of the subscription that it tests.
    pub version: Option<i64>,
    /// The case, for an event notification.
    pub case: Option<Uuid>,
    /// The number of the event in the case's history.
    pub seq: Option<u32>,
    /// The number of the event in the subscription; for a handshake the last number used.
    pub number: Option<u64>,
}

/// The payload of an email notice: its recipient. The address is looked up when the email is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "recipient", rename_all = "kebab-case")]
pub enum EmailRecipient {
    /// The owner of a member sign-in.
    Member {
        /// The id of the sign-in.
        login: Uuid,
    },
    /// A provider.
    Provider {
        /// The provider's NPI.
        npi: String,
    },
    /// The staff address of the settings.
    Staff,
}

impl EmailRecipient {
    /// The recipient in `outbox.recipient`: `member/{login}`, `provider/{npi}`, `staff`.
    pub fn reference(&self) -> String {
        match self {
            Self::Member { login } => format!("member/{login}"),
            Self::Provider { npi } => format!("provider/{npi}"),
            Self::Staff => "staff".to_owned(),
        }
    }
}
