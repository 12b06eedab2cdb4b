//! Import of the plan's members, coverages, practitioners and organizations from FHIR: NDJSON (one resource per line)
//! or bundles. Records are inserted or updated by identifier, so the same file can be imported again. A row that cannot
//! be imported is reported with its file, line and reason, and the import continues.

use crate::clock::new_id;
use crate::error::Result;
use crate::fhir::{self, reference};
use crate::plan::{Coverage, Member, Provider, coverage_from_fhir, member_from_patient, provider_from_fhir};
use crate::state::PolicySet;
use crate::store::{Store, Tx};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Records written in one unit of work.
const RECORDS_PER_COMMIT: usize = 200;

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Name of the file.
    pub file: String,
    /// Line of the file, from 1; in a bundle, the number of the entry.
    pub line: usize,
    /// One sentence without member data.
    pub reason: String,
}

/// The result of an import.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Members, coverages and providers that were written.
    pub written: usize,
    /// Resources of types that are not imported.
    pub skipped: usize,
    /// Rows that were not imported.
    pub rejected: Vec<RejectedRow>,
}

/// An import in progress: call [`Import::read_line`] or [`Import::read_resource`] for each row, then
/// [`Import::finish`].
pub struct Import {
    store: Store,
    policy_set: Arc<PolicySet>,
    now: DateTime<Utc>,
    report: ImportReport,
    /// Records that are not written yet.
    batch: Vec<Record>,
    /// Primary keys of members by `Patient/<id>` and by member id.
    members: HashMap<String, Uuid>,
    /// File, line and resource of each Coverage. They are linked in `finish`, because a later file may contain the
    /// member.
    coverages: Vec<(String, usize, Value)>,
}

/// One record to write.
#[derive(Clone)]
enum Record {
    /// The member and the reference `Patient/<id>` by which coverages name it, if the Patient has an id.
    Member(Member, Option<String>),
    Coverage(Coverage),
    Provider(Provider),
}

impl Import {
    /// Starts an import. Plan codes are looked up in `policy_set`; `now` is the time of the import.
    pub fn new(store: Store, policy_set: Arc<PolicySet>, now: DateTime<Utc>) -> Self {
        Self {
            store,
            policy_set,
            now,
            report: ImportReport::default(),
            batch: Vec::new(),
            members: HashMap::new(),
            coverages: Vec::new(),
        }
    }

    /// Imports one line of NDJSON; an empty line is ignored. Fails only when the store fails.
    pub async fn read_line(&mut self, file: &str, line: usize, text: &str) -> Result<()> {
        if text.trim().is_empty() {
            return Ok(());
        }
        match fhir::json::parse(text, "The line") {
            Ok(resource) => self.read_resource(file, line, resource).await,
            Err(error) => {
                let place = error.issues().first().map(|issue| issue.expression.as_str());
                let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
                self.reject(file, line, format!("{place}{}", error.message()));
                Ok(())
            }
        }
    }

    /// Imports one resource, or every entry of a bundle. Fails only when the store fails.
    pub async fn read_resource(&mut self, file: &str, line: usize, resource: Value) -> Result<()> {
        if fhir::resource_type(&resource) == Some("Bundle") {
            for (n, entry) in fhir::list(&resource, "entry").enumerate() {
                match entry.get("resource") {
                    Some(inner) => self.read_single(file, n + 1, inner.clone()).await?,
                    None => self.reject(file, n + 1, "The entry has no resource".to_owned()),
                }
            }
            return Ok(());
        }
        self.read_single(file, line, resource).await
    }

    async fn read_single(&mut self, file: &str, line: usize, resource: Value) -> Result<()> {
        let id = new_id(self.now);
        let converted = match fhir::resource_type(&resource) {
            Some("Patient") => {
                let reference = fhir::text(&resource, &["id"]).map(|id| format!("Patient/{id}"));
                member_from_patient(id, &resource).map(|member| Record::Member(member, reference))
            }
            Some("Practitioner" | "Organization") => provider_from_fhir(id, &resource).map(Record::Provider),
            Some("Coverage") => {
                self.coverages.push((file.to_owned(), line, resource));
                return Ok(());
            }
            Some(_) => {
                self.report.skipped += 1;
                return Ok(());
            }
            None => Err("resourceType is missing".to_owned()),
        };
        match converted {
            Ok(record) => self.add(record).await,
            Err(reason) => {
                self.reject(file, line, reason);
                Ok(())
            }
        }
    }

    /// Links the coverages to their members, writes what is left, and returns the report.
    pub async fn finish(mut self) -> Result<ImportReport> {
        self.flush().await?;
        for (file, line, coverage) in std::mem::take(&mut self.coverages) {
            match self.link_coverage(&coverage).await? {
                Ok(record) => self.add(record).await?,
                Err(reason) => self.reject(&file, line, reason),
            }
        }
        self.flush().await?;
        Ok(self.report)
    }

    /// How many rows were read so far.
    pub fn rows_read(&self) -> usize {
        self.report.written
            + self.report.skipped
            + self.report.rejected.len()
            + self.batch.len()
            + self.coverages.len()
    }

    /// Finds the member of a Coverage, in these files or in the store. The inner error is the reason for rejection.
    async fn link_coverage(&mut self, coverage: &Value) -> Result<Result<Record, String>> {
        let beneficiary = coverage.get("beneficiary").unwrap_or(&Value::Null);
        let member_key = reference::literal(beneficiary)
            .and_then(reference::type_and_id)
            .map(|(kind, id)| format!("{kind}/{id}"))
            .or_else(|| fhir::text(beneficiary, &["identifier", "value"]).map(str::to_owned));
        let Some(member_key) = member_key else {
            return Ok(Err("Coverage.beneficiary is missing".to_owned()));
        };
        let member = if let Some(id) = self.members.get(&member_key) {
            Some(*id)
        } else {
            let found = self
                .store
                .read(member_key, |tx, id| {
                    Box::pin(async move { tx.member_by_member_id(id).await })
                })
                .await?;
            found.map(|m| m.id)
        };
        let Some(member) = member else {
            return Ok(Err(
                "Coverage.beneficiary does not match a member in these files or in the plan's records"
                    .to_owned(),
            ));
        };
        let day = self.now.date_naive();
        let policy_set = self.policy_set.clone();
        let converted = coverage_from_fhir(new_id(self.now), member, coverage, |code| {
            policy_set.rules.plan(code, day)
        });
        Ok(converted.map(Record::Coverage))
    }

    async fn add(&mut self, record: Record) -> Result<()> {
        self.batch.push(record);
        if self.batch.len() >= RECORDS_PER_COMMIT {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Writes the batch in one unit of work.
    async fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let count = batch.len();
        let members = self
            .store
            .write((batch, self.now), |tx, (batch, now)| {
                Box::pin(write_records(tx, batch, *now))
            })
            .await?;
        self.members.extend(members);
        self.report.written += count;
        Ok(())
    }

    fn reject(&mut self, file: &str, line: usize, reason: String) {
        self.report.rejected.push(RejectedRow {
            file: file.to_owned(),
            line,
            reason,
        });
    }
}

/// Writes the records and returns the primary key of each member, by member id and by `Patient/<id>`.
async fn write_records(tx: &mut Tx, records: &[Record], now: DateTime<Utc>) -> Result<Vec<(String, Uuid)>> {
    let mut members = Vec::new();
    for record in records {
        match record {
            Record::Member(member, reference) => {
                let id = tx.put_member(member, now).await?;
                members.push((member.member_id.clone(), id));
                members.extend(reference.clone().map(|reference| (reference, id)));
            }
            Record::Coverage(coverage) => drop(tx.put_coverage(coverage, now).await?),
            Record::Provider(provider) => drop(tx.put_provider(provider, now).await?),
        }
    }
    Ok(members)
}
