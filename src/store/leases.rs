//! The table `process` and the leases of processes. A process reports by counting up its row. Another process that sees
//! the same count for too long frees what the silent one has leased: the count, not a time, is compared, so that the
//! clocks of the machines do not matter. With the embedded database there is one server, and its lock file proves that
//! all leases of earlier ones are void.

use super::{Tx, database, on};
use crate::error::Result;
use uuid::Uuid;

impl Tx {
    /// Registers a process before it leases anything.
    pub async fn add_process(&mut self, owner: Uuid) -> Result<()> {
        on!(self, c => sqlx::query("INSERT INTO process (id, beats) VALUES ($1, 0)")
            .bind(owner).execute(c).await.map(drop))
        .map_err(database)
    }

    /// Reports that a process is alive. Returns false when another process has freed its leases.
    pub async fn report_process(&mut self, owner: Uuid) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE process SET beats = beats + 1 WHERE id = $1")
            .bind(owner).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// All processes and how often they have reported.
    pub async fn processes(&mut self) -> Result<Vec<(Uuid, i64)>> {
        on!(self, c => sqlx::query_as("SELECT id, beats FROM process ORDER BY id").fetch_all(c).await)
            .map_err(database)
    }

    /// Removes a process that has not reported since `beats`, and frees what it has leased. Returns false when it has
    /// reported or another process was faster.
    pub async fn remove_silent_process(&mut self, owner: Uuid, beats: i64) -> Result<bool> {
        let removed = on!(self, c => sqlx::query("DELETE FROM process WHERE id = $1 AND beats = $2")
            .bind(owner).bind(beats).execute(c).await.map(|r| r.rows_affected() == 1))
        .map_err(database)?;
        if removed {
            self.free_leases(owner).await?;
        }
        Ok(removed)
    }

    /// Removes a process that has stopped, and frees what it has leased.
    pub async fn remove_process(&mut self, owner: Uuid) -> Result<()> {
        on!(self, c => sqlx::query("DELETE FROM process WHERE id = $1").bind(owner).execute(c).await.map(drop))
            .map_err(database)?;
        self.free_leases(owner).await
    }

    /// Frees all leases. Only for the one server of the embedded database.
    pub async fn free_all_leases(&mut self) -> Result<()> {
        self.free_orphaned_leases(&[]).await
    }

    /// Frees leases of processes that are not registered: a process may lease in its last moment, after it was removed.
    pub async fn free_orphaned_leases(&mut self, registered: &[Uuid]) -> Result<()> {
        for owner in self.lease_owners().await? {
            if !registered.contains(&owner) {
                self.free_leases(owner).await?;
            }
        }
        Ok(())
    }

    /// The processes that have leased something. Each query reads one entry of an index, however many there are.
    async fn lease_owners(&mut self) -> Result<Vec<Uuid>> {
        let mut owners = Vec::new();
        let mut last = Some(Uuid::nil());
        while let Some(owner) = last {
            last = on!(self, c => sqlx::query_scalar(
                "SELECT lease_owner FROM outbox WHERE state = 'leased' AND lease_owner > $1 \
                 ORDER BY lease_owner LIMIT 1")
                .bind(owner).fetch_optional(c).await)
            .map_err(database)?;
            owners.extend(last);
        }
        let mut last = Some(Uuid::nil());
        while let Some(owner) = last {
            last = on!(self, c => sqlx::query_scalar(
                "SELECT lease_owner FROM subscription WHERE lease_owner IS NOT NULL AND lease_owner > $1 \
                 ORDER BY lease_owner LIMIT 1")
                .bind(owner).fetch_optional(c).await)
            .map_err(database)?;
            owners.extend(last);
        }
        Ok(owners)
    }

    async fn free_leases(&mut self, owner: Uuid) -> Result<()> {
        self.added.queued();
        on!(self, c => sqlx::query(
            "UPDATE outbox SET state = 'queued', lease_owner = NULL WHERE state = 'leased' AND lease_owner = $1")
            .bind(owner).execute(c).await.map(drop))
        .map_err(database)?;
        on!(self, c => sqlx::query("UPDATE subscription SET lease_owner = NULL WHERE lease_owner = $1")
            .bind(owner).execute(c).await.map(drop))
        .map_err(database)
    }
}
