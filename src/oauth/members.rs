//! What a member sees and ends: the apps that may read the member's data. The page is in `web`.

use crate::auth::{Client, Scopes};
use crate::error::{Error, Result};
use crate::state::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An app's access, as the member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberGrant {
    /// The row; what the Remove button sends.
    pub id: Uuid,
    /// The app as registered.
    pub app: Client,
    /// What it may read.
    pub scopes: Scopes,
    /// Whether the member shares what is marked sensitive.
    pub sensitive: bool,
    /// Since when.
    pub created: DateTime<Utc>,
    /// When the app last got a token for it.
    pub last_used: Option<DateTime<Utc>>,
    /// When it ends unless the app comes again.
    pub until: Option<DateTime<Utc>>,
}

impl MemberGrant {
    /// Whether it lasts until it is ended; else it ends within the hour.
    pub fn lasts(&self) -> bool {
        self.scopes.has("offline_access")
    }
}

/// The apps that can read this member's data now, newest first.
pub async fn grants(state: &State, member: Uuid) -> Result<Vec<MemberGrant>> {
    state
        .store
        .read((member, state.now()), |tx, (member, now)| {
            Box::pin(async move {
                let mut all = Vec::new();
                for grant in tx.live_grants(*member, *now).await? {
                    let Some(client) = tx.client(grant.client).await? else {
                        continue;
                    };
                    let until = tx.grant_until(grant.id).await?;
                    all.push(MemberGrant {
                        id: grant.id,
                        app: client,
                        scopes: Scopes::read(&grant.scope),
                        sensitive: grant.sensitive,
                        created: grant.created,
                        last_used: grant.last_used,
                        until,
                    });
                }
                Ok(all)
            })
        })
        .await
}

/// Ends an app's access at once. Another member's grant is not found.
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
