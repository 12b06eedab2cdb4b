//! The jobs that send out a decision. Whoever stores a decision enqueues them in the same unit of work; `jobs` runs
//! them.

use super::Tx;
use super::accounts::MemberLogin;
use super::subscriptions::Subscription;
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::plan::Provider;
use crate::prior_auth::{Event, EventBody, PriorAuth};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The payload of a fan-out job: one decision, for which notifications and email notices are to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOutJob {
    /// The case.
    pub case: Uuid,
    /// The number of the `decided` event in the case's history.
    pub seq: u32,
    /// The provider received this decision in the response to the submission, so only the member is notified.
    pub in_submit_response: bool,
}

impl FanOutJob {
    /// What is stored in the column `job.kind`.
    pub const KIND: &'static str = "fan-out";

    fn dedupe_key(&self) -> String {
        format!("case/{}/{}", self.case, self.seq)
    }
}

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

impl Tx {
    /// Who is informed of a decision on this case.
    pub async fn recipients(&mut self, case: &PriorAuth, now: DateTime<Utc>) -> Result<Recipients> {
        let received = &case.received;
        let mut subscriptions = self.subscriptions_of(received.client).await?;
        subscriptions.retain(|subscription| {
            let mut senders = subscription.senders.iter();
            subscription.status_at(now) != "off" && senders.any(|sender| received.senders.contains(sender))
        });
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

    /// Adds a fan-out job for each decision among `events`. Adding the same decision again changes nothing.
    pub async fn enqueue_fan_out(
        &mut self,
        case: Uuid,
        events: &[Event],
        in_submit_response: bool,
    ) -> Result<()> {
        for event in events
            .iter()
            .filter(|e| matches!(e.body, EventBody::Decided { .. }))
        {
            let job = FanOutJob {
                case,
                seq: event.seq,
                in_submit_response,
            };
            self.enqueue_fan_out_job(&job, event.at).await?;
        }
        Ok(())
    }

    /// Adds one fan-out job.
    pub async fn enqueue_fan_out_job(&mut self, job: &FanOutJob, now: DateTime<Utc>) -> Result<()> {
        let payload = serde_json::to_string(job).map_err(Error::internal)?;
        self.enqueue_job(new_id(now), FanOutJob::KIND, &payload, &job.dedupe_key(), now)
            .await
    }
}
