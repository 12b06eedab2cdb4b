//! Assertions: what the hook said about one order, kept so that forms and requests find it again by its id.
//! An assertion belongs to the client that asked; nobody else finds it.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// One answer about one order, one field per column.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Assertion {
    /// The coverage assertion id, as the EHR sees it.
    pub id: String,
    /// The client that asked.
    pub client: Uuid,
    /// The hook: `order-sign`.
    pub hook: String,
    /// The call's `hookInstance`.
    pub hook_instance: String,
    /// The member's row, where one was found.
    pub member: Option<Uuid>,
    /// The coverage's row, where one was found.
    pub coverage: Option<Uuid>,
    /// The order on the client: `ServiceRequest/1`.
    pub order_ref: String,
    /// The Coverage on the client.
    pub coverage_ref: String,
    /// The Patient on the client.
    pub patient_ref: String,
    /// The order, byte for byte as received.
    pub order_json: String,
    /// The policy that answered, if one did.
    pub policy: Option<String>,
    /// Its version.
    pub policy_version: Option<String>,
    /// The hash of the policy's file; of the whole rule set where no policy answered.
    pub policy_hash: String,
    /// The case document that was evaluated; `{}` where nothing was.
    pub case_document: String,
    /// The coverage-information extension as it was sent.
    pub answer_json: String,
    /// The forms that were asked for: a JSON array of `name|version`.
    pub forms: String,
    /// When.
    pub created: DateTime<Utc>,
}

impl Tx {
    /// Stores an assertion.
    pub async fn add_assertion(&mut self, a: &Assertion) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO assertion (id, client, hook, hook_instance, member, coverage, order_ref, coverage_ref, \
             patient_ref, order_json, policy, policy_version, policy_hash, case_document, answer_json, forms, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)")
            .bind(&a.id).bind(a.client).bind(&a.hook).bind(&a.hook_instance).bind(a.member).bind(a.coverage)
            .bind(&a.order_ref).bind(&a.coverage_ref).bind(&a.patient_ref).bind(&a.order_json)
            .bind(&a.policy).bind(&a.policy_version).bind(&a.policy_hash).bind(&a.case_document)
            .bind(&a.answer_json).bind(&a.forms).bind(a.created)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// The client's own assertion with this id; another client's is none.
    pub async fn assertion(&mut self, id: &str, client: Uuid) -> Result<Option<Assertion>> {
        on!(self, c => sqlx::query_as(
            "SELECT id, client, hook, hook_instance, member, coverage, order_ref, coverage_ref, patient_ref, \
             order_json, policy, policy_version, policy_hash, case_document, answer_json, forms, created \
             FROM assertion WHERE id = $1 AND client = $2")
            .bind(id).bind(client).fetch_optional(c).await)
        .map_err(database)
    }
}
