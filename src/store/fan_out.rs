//! What follows from a decision: a notification for each subscription and an email notice for each address. It is
//! stored in the unit of work of the decision itself. The rows of the subscriptions are locked in the order of their
//! ids, so that event numbers have no gaps and no two decisions wait for each other in a circle.

use super::accounts::MemberLogin;
use super::messages::{EmailRecipient, NotificationPayload};
use super::queues::NewMessage;
use super::subscriptions::Subscription;
use super::{Batch, Tx, database, on};
use crate::error::{Error, Result};
use crate::plan::Provider;
use crate::prior_auth::{Event, EventBody, PriorAuth};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Who is informed of a decision on a case.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// The subscriptions that the case belongs to, including those whose endpoint does not answer (status `error`) and
    /// without those that are off.
    pub subscriptions: Vec<Subscription>,
    /// The requester's record, if it has an email address.
    pub provider: Option<Provider>,
    /// The member's sign-ins that have an email address.
    pub logins: Vec<MemberLogin>,
}

/// Who gets an email notice of a decision. It may be read before the unit of work of the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailRecipients {
    /// The member's sign-ins that have an email address.
    pub member_logins: Vec<Uuid>,
    /// The requester's NPI, if the provider has an email address.
    pub provider_npi: Option<String>,
}

/// Decisions on one case that were just stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredDecisions<'a> {
    /// The case.
    pub case: &'a PriorAuth,
    /// Its new events; those that are no decisions cause nothing.
    pub events: &'a [Event],
    /// Who gets an email notice.
    pub mail: &'a MailRecipients,
}

impl StoredDecisions<'_> {
    fn decided(&self) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(|event| matches!(event.body, EventBody::Decided { .. }))
    }

    /// One notice for each recipient and each time: items that are decided together have the same time.
    fn notices(&self, recipients: &[EmailRecipient]) -> Result<Vec<NewMessage>> {
        let times: BTreeSet<DateTime<Utc>> = self.decided().map(|event| event.at).collect();
        let mut notices = Vec::new();
        for _ in times {
            for recipient in recipients {
                notices.push(NewMessage {
                    case: Some(self.case.id),
                    kind: "mail",
                    recipient: recipient.reference(),
                    line: None,
                    payload: serde_json::to_string(recipient).map_err(Error::internal)?,
                });
            }
        }
        Ok(notices)
    }
}

impl MailRecipients {
    fn members(&self) -> Vec<EmailRecipient> {
        let logins = self.member_logins.iter();
        logins
            .map(|login| EmailRecipient::Member { login: *login })
            .collect()
    }

    fn all(&self) -> Vec<EmailRecipient> {
        let provider = self.provider_npi.iter();
        let mut all: Vec<EmailRecipient> = provider
            .map(|npi| EmailRecipient::Provider { npi: npi.clone() })
            .collect();
        all.extend(self.members());
        all
    }
}

impl Tx {
    /// Who is informed of a decision on this case.
    pub async fn recipients(&mut self, case: &PriorAuth, now: DateTime<Utc>) -> Result<Recipients> {
        let received = &case.received;
        let mut subscriptions = self.subscriptions_of(received.client).await?;
        subscriptions.retain(|subscription| is_addressed(subscription, case, now));
        let provider = match &received.requester_npi {
            Some(npi) => self.provider_by_npi(npi).await?,
            None => None,
        };
        let mut logins = self.logins_of_member(received.member).await?;
        logins.retain(|login| login.email.is_some() && !login.disabled);
        Ok(Recipients {
            subscriptions,
            provider: provider.filter(|provider| provider.email.is_some()),
            logins,
        })
    }

    /// The member's sign-ins that get an email notice.
    pub async fn notified_logins(&mut self, member: Uuid) -> Result<Vec<Uuid>> {
        on!(self, c => sqlx::query_scalar(
            "SELECT id FROM member_login WHERE member = $1 AND email IS NOT NULL AND disabled = $2 ORDER BY id")
            .bind(member).bind(false).fetch_all(c).await)
        .map_err(database)
    }

    /// Who gets an email notice of a decision on this case.
    pub async fn mail_recipients(&mut self, case: &PriorAuth) -> Result<MailRecipients> {
        let provider = match &case.received.requester_npi {
            Some(npi) => self.provider_by_npi(npi).await?,
            None => None,
        };
        Ok(MailRecipients {
            member_logins: self.notified_logins(case.received.member).await?,
            provider_npi: provider
                .filter(|provider| provider.email.is_some())
                .and_then(|provider| provider.npi),
        })
    }

    /// Stores what follows from decisions that the provider receives in the response to its submission: only the member
    /// is informed.
    pub(super) fn fan_out_submission(
        &mut self,
        batch: &mut Batch,
        decisions: &StoredDecisions<'_>,
    ) -> Result<()> {
        if let Some(now) = decisions.decided().map(|event| event.at).max() {
            let notices = decisions.notices(&decisions.mail.members())?;
            self.add_messages(batch, notices, now);
        }
        Ok(())
    }

    /// Stores what follows from decisions of a reviewer.
    pub async fn fan_out(&mut self, decisions: &StoredDecisions<'_>) -> Result<()> {
        let Some(now) = decisions.decided().map(|event| event.at).max() else {
            return Ok(());
        };
        let mut messages = Vec::new();
        for subscription in self.lock_subscriptions_of(decisions.case.received.client).await? {
            if is_addressed(&subscription, decisions.case, now) {
                messages.extend(self.number_events(&subscription, decisions, now).await?);
            }
        }
        messages.extend(decisions.notices(&decisions.mail.all())?);
        self.enqueue_messages(messages, now).await
    }

    /// Takes the next event numbers of a locked subscription. One in error counts its events and gets no messages.
    async fn number_events(
        &mut self,
        subscription: &Subscription,
        decisions: &StoredDecisions<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<NewMessage>> {
        let seqs: Vec<u32> = decisions.decided().map(|event| event.seq).collect();
        let count = i64::try_from(seqs.len()).map_err(Error::internal)?;
        let is_sent = subscription.status != "error";
        self.count_events(subscription.id, count, is_sent.then_some(now))
            .await?;
        if !is_sent {
            return Ok(Vec::new());
        }
        let numbers = subscription.event_count + 1..;
        let messages = numbers.zip(seqs).map(|(number, seq)| {
            let payload = NotificationPayload {
                subscription: subscription.id,
                handshake: false,
                version: None,
                case: Some(decisions.case.id),
                seq: Some(seq),
                number: Some(number),
            };
            let place = i64::try_from(number).map_err(Error::internal)?;
            Ok(NewMessage {
                case: Some(decisions.case.id),
                kind: "notification",
                recipient: format!("subscription/{}", subscription.id),
                line: Some((subscription.id, place)),
                payload: serde_json::to_string(&payload).map_err(Error::internal)?,
            })
        });
        messages.collect()
    }
}

/// Whether a case belongs to a subscription that is not off.
fn is_addressed(subscription: &Subscription, case: &PriorAuth, now: DateTime<Utc>) -> bool {
    let mut senders = subscription.senders.iter();
    subscription.status_at(now) != "off" && senders.any(|sender| case.received.senders.contains(sender))
}
