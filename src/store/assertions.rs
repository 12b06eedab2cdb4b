//! The tables `hook_call` and `assertion`: calls of a hook, and the coverage determinations of their orders, which form
//! calls and requests find again by their `coverage-assertion-id`. What the orders of a call share is stored once, with
//! the call. Only the client that called the hook can find its assertions.

use super::{Tx, database, on};
use crate::auth::{Jti, JtiReplay};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A stored call of a hook. Each field is a column.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHookCall {
    /// The row.
    pub id: Uuid,
    /// The client that called.
    pub client: Uuid,
    /// The name of the hook: `order-sign`.
    pub hook: String,
    /// The call's `hookInstance`.
    pub hook_instance: String,
    /// The call as received, without its access token.
    pub request: String,
    /// What was read from the EHR, a JSON array of `[path, resource]`.
    pub fetched: String,
    /// What may not decide, as JSON.
    pub admission: String,
    /// The response as sent.
    pub response: String,
    /// The verdicts of policies in state `shadow`, if there are any.
    pub shadow: Option<String>,
    /// When the hook was called.
    pub created: DateTime<Utc>,
}

/// The evidence of a stored call. Each field is a column.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StoredEvidence {
    /// The call as received, without its access token.
    pub request: String,
    /// What was read from the EHR, a JSON array of `[path, resource]`.
    pub fetched: String,
    /// What may not decide, as JSON.
    pub admission: String,
}

/// A stored coverage determination for one order. Each field is a column.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Assertion {
    /// The `coverage-assertion-id` that the EHR receives.
    pub id: String,
    /// The call of the hook.
    pub hook_call: Uuid,
    /// The client that called the hook.
    pub client: Uuid,
    /// The member's row, if the member was found.
    pub member: Option<Uuid>,
    /// The coverage's row, if a coverage was found.
    pub coverage: Option<Uuid>,
    /// The reference of the order on the client's server: `ServiceRequest/1`.
    pub order_ref: String,
    /// The reference of the Coverage on the client's server.
    pub coverage_ref: String,
    /// The reference of the Patient on the client's server.
    pub patient_ref: String,
    /// The order, exactly as received.
    pub order_json: String,
    /// The name of the policy that applied, if one did.
    pub policy: Option<String>,
    /// The version of that policy.
    pub policy_version: Option<String>,
    /// The hash of that policy's file, or of the whole rule set if no policy applied.
    pub policy_hash: String,
    /// The case document that was evaluated, without the evidence, which the call has; `{}` if none was.
    pub case_document: String,
    /// The coverage-information extension as sent.
    pub coverage_information: String,
    /// The required forms, a JSON array of `name|version`.
    pub forms: String,
    /// When the hook was called.
    pub created: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "a.id, a.hook_call, a.client, a.member, a.coverage, a.order_ref, a.coverage_ref, a.patient_ref, a.order_json, \
         a.policy, a.policy_version, a.policy_hash, a.case_document, a.coverage_information, a.forms, a.created"
    };
}

#[derive(FromRow)]
struct AssertionWithEvidence {
    #[sqlx(flatten)]
    assertion: Assertion,
    #[sqlx(flatten)]
    evidence: StoredEvidence,
}

impl Tx {
    /// Stores a call of a hook with its assertions and uses its token up, in one statement. It fails, and nothing is
    /// stored, if the token was used before or the client is disabled; `hook_refusal` then says which.
    pub async fn add_hook_call(
        &mut self,
        call: &StoredHookCall,
        assertions: &[Assertion],
        jti: &Jti,
    ) -> Result<()> {
        let mut batch = self.batch();
        if jti.replay == JtiReplay::Strict {
            // Without an enabled client the issuer is NULL, which the column refuses.
            batch
                .sql(
                    "INSERT INTO seen_jti (issuer, jti, expires) \
                     SELECT (SELECT c.issuer FROM client c WHERE c.id = $1 AND c.disabled = $2), $3, $4",
                )
                .bind(call.client)
                .bind(false)
                .bind(jti.jti.clone())
                .bind(jti.expires);
        }
        batch
            .sql(
                "INSERT INTO hook_call (id, client, hook, hook_instance, request, fetched, admission, response, shadow, \
                 created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(call.id)
            .bind(call.client)
            .bind(call.hook.as_str())
            .bind(call.hook_instance.as_str())
            .bind(call.request.as_str())
            .bind(call.fetched.as_str())
            .bind(call.admission.as_str())
            .bind(call.response.as_str())
            .bind(call.shadow.as_deref())
            .bind(call.created);
        batch.rows(
            "INSERT INTO assertion (id, hook_call, client, member, coverage, order_ref, coverage_ref, patient_ref, \
             order_json, policy, policy_version, policy_hash, case_document, coverage_information, forms, created)",
            16,
            assertions,
            |row, one| {
                row.bind(one.id.as_str()).bind(one.hook_call).bind(one.client);
                row.bind(one.member).bind(one.coverage).bind(one.order_ref.as_str());
                row.bind(one.coverage_ref.as_str()).bind(one.patient_ref.as_str());
                row.bind(one.order_json.as_str()).bind(one.policy.as_deref());
                row.bind(one.policy_version.as_deref()).bind(one.policy_hash.as_str());
                row.bind(one.case_document.as_str()).bind(one.coverage_information.as_str());
                row.bind(one.forms.as_str()).bind(one.created);
            },
        );
        batch.run(self).await.map(drop)
    }

    /// 401 if the token of a call was used before or its client is disabled.
    pub async fn hook_refusal(&mut self, client: Uuid, jti: &Jti) -> Result<()> {
        self.require_enabled(client).await?;
        let used: i64 = on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM seen_jti WHERE issuer = $1 AND jti = $2")
            .bind(&jti.issuer).bind(&jti.jti).fetch_one(c).await)
        .map_err(database)?;
        if used > 0 { Err(jti_used()) } else { Ok(()) }
    }

    /// 401 if a client is disabled.
    pub async fn require_enabled(&mut self, client: Uuid) -> Result<()> {
        let enabled: i64 = on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM client WHERE id = $1 AND disabled = $2")
            .bind(client).bind(false).fetch_one(c).await)
        .map_err(database)?;
        if enabled == 0 {
            return Err(Error::unauthorized("The token's issuer (iss) is not registered"));
        }
        Ok(())
    }

    /// The client's assertion with this id; none when the id belongs to another client.
    pub async fn assertion(&mut self, id: &str, client: Uuid) -> Result<Option<Assertion>> {
        on!(self, c => sqlx::query_as(
            concat!("SELECT ", columns!(), " FROM assertion a WHERE a.id = $1 AND a.client = $2"))
            .bind(id).bind(client).fetch_optional(c).await)
        .map_err(database)
    }

    /// The client's assertion with this id, and the evidence of its call.
    pub async fn assertion_with_evidence(
        &mut self,
        id: &str,
        client: Uuid,
    ) -> Result<Option<(Assertion, StoredEvidence)>> {
        let row: Option<AssertionWithEvidence> = on!(self, c => sqlx::query_as(
            concat!("SELECT ", columns!(), ", h.request, h.fetched, h.admission \
             FROM assertion a JOIN hook_call h ON h.id = a.hook_call WHERE a.id = $1 AND a.client = $2"))
            .bind(id).bind(client).fetch_optional(c).await)
        .map_err(database)?;
        Ok(row.map(|row| (row.assertion, row.evidence)))
    }
}

/// The token of a hook call was used before.
pub(super) fn jti_used() -> Error {
    Error::unauthorized("The token was already used (jti). Sign a new token for each request")
}
