//! The jobs that send out a decision. Whoever stores a decision enqueues them in the same unit of work; `jobs` runs
//! them.

use super::Tx;
use crate::clock::new_id;
use crate::error::{Error, Result};
use crate::prior_auth::{Event, EventBody};
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

impl Tx {
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
