//! A member's grants: the apps that can read the member's data. The member page in `web` lists and ends them.

use crate::auth::{Client, Scopes};
use crate::error::{Error, Result};
use crate::state::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A grant as the member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberGrant {
    /// The grant's id.
    pub id: Uuid,
    /// The app.
    pub app: Client,
    /// What the app may read.
    pub scopes: Scopes,
    /// Whether the member shares sensitive care.
    pub sensitive: bool,
    /// When the member allowed it.
    pub created: DateTime<Utc>,
    /// When the app last got a token.
    pub last_used: Option<DateTime<Utc>>,
    /// When the access ends unless the app gets new tokens.
    pub until: Option<DateTime<Utc>>,
}

impl MemberGrant {
    /// Whether the app has `offline_access`. Otherwise its access ends within an hour.
    pub fn is_offline(&self) -> bool {
        self.scopes.has("offline_access")
    }
}

/// Lists the grants of a member that are active now, newest first.
pub async fn list_grants(state: &State, member: Uuid) -> Result<Vec<MemberGrant>> {
    state
        .store
        .read((member, state.now()), |tx, (member, now)| {
            Box::pin(async move {
                let mut grants = Vec::new();
                for grant in tx.active_grants(*member, *now).await? {
                    let Some(client) = tx.client(grant.client).await? else {
                        continue;
                    };
                    let until = tx.grant_expiry(grant.id).await?;
                    grants.push(MemberGrant {
                        id: grant.id,
                        app: client,
                        scopes: Scopes::parse(&grant.scope),
                        sensitive: grant.sensitive,
                        created: grant.created,
                        last_used: grant.last_used,
                        until,
                    });
                }
                Ok(grants)
            })
        })
        .await
}

/// Ends a grant immediately.
///
/// # Errors
///
/// `NotFound` if the member has no grant with this id.
pub async fn end_grant(state: &State, member: Uuid, grant: Uuid) -> Result<()> {
    state
        .store
        .write((member, grant, state.now()), |tx, (member, grant, now)| {
            Box::pin(async move {
                let found = tx.grant(*grant).await?.filter(|found| found.member == *member);
                let found = found.ok_or_else(|| Error::not_found("app access", grant))?;
                tx.end_grant(found.id, *now).await
            })
        })
        .await
}
