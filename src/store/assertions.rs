//! The table `assertion`: stored coverage determinations, which form calls and requests find again by their
//! `coverage-assertion-id`. Only the client that called the hook can find its assertions.

use super::{Tx, database, on};
use crate::error::Result;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A stored coverage determination for one order. Each field is a column.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Assertion {
    /// The `coverage-assertion-id` that the EHR receives.
    pub id: String,
    /// The client that called the hook.
    pub client: Uuid,
    /// The name of the hook: `order-sign`.
    pub hook: String,
    /// The call's `hookInstance`.
    pub hook_instance: String,
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
    /// The case document that was evaluated; `{}` if none was.
    pub case_document: String,
    /// The coverage-information extension as sent.
    pub coverage_information: String,
    /// The required forms, a JSON array of `name|version`.
    pub forms: String,
    /// When the hook was called.
    pub created: DateTime<Utc>,
}

impl Tx {
    /// Stores an assertion.
    pub async fn add_assertion(&mut self, assertion: &Assertion) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO assertion (id, client, hook, hook_instance, member, coverage, order_ref, coverage_ref, \
             patient_ref, order_json, policy, policy_version, policy_hash, case_document, coverage_information, forms, \
             created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)")
            .bind(&assertion.id).bind(assertion.client).bind(&assertion.hook).bind(&assertion.hook_instance)
            .bind(assertion.member).bind(assertion.coverage).bind(&assertion.order_ref)
            .bind(&assertion.coverage_ref).bind(&assertion.patient_ref).bind(&assertion.order_json)
            .bind(&assertion.policy).bind(&assertion.policy_version).bind(&assertion.policy_hash)
            .bind(&assertion.case_document).bind(&assertion.coverage_information).bind(&assertion.forms)
            .bind(assertion.created)
            .execute(c).await.map(drop))
        .map_err(database)
    }

    /// The client's assertion with this id; none when the id belongs to another client.
    pub async fn assertion(&mut self, id: &str, client: Uuid) -> Result<Option<Assertion>> {
        on!(self, c => sqlx::query_as(
            "SELECT id, client, hook, hook_instance, member, coverage, order_ref, coverage_ref, patient_ref, \
             order_json, policy, policy_version, policy_hash, case_document, coverage_information, forms, created \
             FROM assertion WHERE id = $1 AND client = $2")
            .bind(id).bind(client).fetch_optional(c).await)
        .map_err(database)
    }
}
