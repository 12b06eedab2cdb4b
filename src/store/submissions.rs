//! The table `submission`: which requests opened a case, so that a repetition opens no other one and gets the same
//! response. The response itself is not stored: it is made again from the case and the request.

use super::fan_out::{MailRecipients, StoredDecisions};
use super::{Tx, database, on};
use crate::error::Result;
use crate::prior_auth::{Event, PriorAuth};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A submission that opened a case.
#[derive(Debug, Clone, FromRow)]
pub struct Submission {
    /// The case.
    pub case_id: Uuid,
    /// The id of the response Bundle.
    pub response: Uuid,
    /// When the submission was received and answered.
    pub created: DateTime<Utc>,
}

/// A new submission with everything that is stored of it.
#[derive(Debug, Clone, Copy)]
pub struct NewSubmission<'a> {
    /// The new case.
    pub case: &'a PriorAuth,
    /// Its events.
    pub events: &'a [Event],
    /// The request as received.
    pub request: &'a str,
    /// The client.
    pub client: Uuid,
    /// What a repetition has in common with this submission.
    pub replay_key: &'a str,
    /// The submission.
    pub submission: &'a Submission,
    /// The case of an earlier submission with the same key, whose replay window has ended.
    pub replaces: Option<Uuid>,
    /// Who gets an email notice of what was decided.
    pub mail: &'a MailRecipients,
}

impl Tx {
    /// Stores a submission in one batch: the database answers once, after its commit. If the same request was stored in
    /// the meantime, nothing is stored, and the error is a repetition or, if an expired submission was to be replaced, a
    /// conflict.
    pub async fn add_submission(&mut self, new: &NewSubmission<'_>) -> Result<()> {
        let mut batch = self.batch();
        batch.add_case(new.case, new.events, new.request)?;
        let insert = match new.replaces {
            None => batch
                .sql(
                    "INSERT INTO submission (client, key, case_id, response, created) \
                     VALUES ($1, $2, $3, $4, $5)",
                )
                .once(),
            // Of two that replace the same submission, one finds the case of the other.
            Some(_) => batch
                .sql(
                    "UPDATE submission SET case_id = $3, response = $4, created = $5 \
                     WHERE client = $1 AND key = $2 AND case_id = $6",
                )
                .must_change("The same request was stored at the same time"),
        };
        insert
            .bind(new.client)
            .bind(new.replay_key)
            .bind(new.submission.case_id)
            .bind(new.submission.response)
            .bind(new.submission.created);
        if let Some(case) = new.replaces {
            insert.bind(case);
        }
        let decisions = StoredDecisions {
            case: new.case,
            events: new.events,
            mail: new.mail,
        };
        self.fan_out_submission(&mut batch, &decisions)?;
        batch.run(self).await.map(drop)
    }

    /// The earlier submission of the same request.
    pub async fn submission(&mut self, client: Uuid, key: &str) -> Result<Option<Submission>> {
        on!(self, c => sqlx::query_as(
            "SELECT case_id, response, created FROM submission WHERE client = $1 AND key = $2")
            .bind(client).bind(key).fetch_optional(c).await)
        .map_err(database)
    }
}
