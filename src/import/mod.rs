//! The plan's members, coverages, providers and organizations from FHIR files: NDJSON (one resource per line) or
//! bundles. Rows are upserted by identifier, so a file may be read again; a row that cannot be taken is reported
//! with its place and reason, and the rest goes on.

use crate::clock::new_id;
use crate::error::Result;
use crate::fhir::{self, reference};
use crate::plan::{Coverage, Member, Provider, coverage_of, member_of, provider_of};
use crate::state::Published;
use crate::store::{Store, Tx};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Rows per commit.
const TOGETHER: usize = 200;

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub file: String,
    /// Its line; the entry's number in a bundle.
    pub line: usize,
    /// Why, without content.
    pub reason: String,
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Members, coverages and providers that were written.
    pub taken: usize,
    /// Resources of types that the plan's records do not hold.
    pub skipped: usize,
    /// Rows that were not taken.
    pub refused: Vec<Refused>,
}

/// An import under way.
pub struct Import {
    store: Store,
    published: Arc<Published>,
    now: DateTime<Utc>,
    report: Report,
    waiting: Vec<Record>,
    /// `Patient/x` and member ids to rows.
    members: HashMap<String, Uuid>,
    /// Coverages wait for the end: their members may stand in a later file.
    coverages: Vec<(String, usize, Value)>,
}

#[derive(Clone)]
enum Record {
    Member(Member, Option<String>),
    Coverage(Coverage),
    Provider(Provider),
}

impl Import {
    /// Nothing read yet.
    pub fn new(store: Store, published: Arc<Published>, now: DateTime<Utc>) -> Self {
        Self {
            store,
            published,
            now,
            report: Report::default(),
            waiting: Vec::new(),
            members: HashMap::new(),
            coverages: Vec::new(),
        }
    }

    /// Reads one line of NDJSON; an empty line is none.
    pub async fn line(&mut self, file: &str, line: usize, text: &str) -> Result<()> {
        if text.trim().is_empty() {
            return Ok(());
        }
        match serde_json::from_str(text) {
            Ok(resource) => self.resource(file, line, resource).await,
            Err(e) => {
                self.refuse(file, line, format!("not JSON: column {}", e.column()));
                Ok(())
            }
        }
    }

    /// Takes one resource, or every entry of a bundle.
    pub async fn resource(&mut self, file: &str, line: usize, resource: Value) -> Result<()> {
        if fhir::resource_type(&resource) == Some("Bundle") {
            for (n, entry) in fhir::list(&resource, "entry").enumerate() {
                match entry.get("resource") {
                    Some(inner) => self.one(file, n + 1, inner.clone()).await?,
                    None => self.refuse(file, n + 1, "the entry has no resource".to_owned()),
                }
            }
            return Ok(());
        }
        self.one(file, line, resource).await
    }

    async fn one(&mut self, file: &str, line: usize, resource: Value) -> Result<()> {
        let id = new_id(self.now);
        let made = match fhir::resource_type(&resource) {
            Some("Patient") => {
                let local = fhir::text(&resource, &["id"]).map(|id| format!("Patient/{id}"));
                member_of(id, &resource).map(|member| Record::Member(member, local))
            }
            Some("Practitioner" | "Organization") => provider_of(id, &resource).map(Record::Provider),
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
        match made {
            Ok(record) => self.add(record).await,
            Err(reason) => {
                self.refuse(file, line, reason);
                Ok(())
            }
        }
    }

    /// Links and writes the coverages, then tells what came of it all.
    pub async fn finish(mut self) -> Result<Report> {
        self.flush().await?;
        for (file, line, coverage) in std::mem::take(&mut self.coverages) {
            match self.linked(&coverage).await? {
                Ok(record) => self.add(record).await?,
                Err(reason) => self.refuse(&file, line, reason),
            }
        }
        self.flush().await?;
        Ok(self.report)
    }

    /// How many rows were read so far.
    pub fn seen(&self) -> usize {
        self.report.taken
            + self.report.skipped
            + self.report.refused.len()
            + self.waiting.len()
            + self.coverages.len()
    }

    async fn linked(&mut self, coverage: &Value) -> Result<Result<Record, String>> {
        let beneficiary = coverage.get("beneficiary").unwrap_or(&Value::Null);
        let named = reference::literal(beneficiary)
            .and_then(reference::type_and_id)
            .map(|(kind, id)| format!("{kind}/{id}"))
            .or_else(|| fhir::text(beneficiary, &["identifier", "value"]).map(str::to_owned));
        let Some(named) = named else {
            return Ok(Err("Coverage.beneficiary is missing".to_owned()));
        };
        let member = match self.members.get(&named) {
            Some(id) => Some(*id),
            None => {
                let found = self
                    .store
                    .read(named, |tx, id| {
                        Box::pin(async move { tx.member_by_member_id(id).await })
                    })
                    .await?;
                found.map(|m| m.id)
            }
        };
        let Some(member) = member else {
            return Ok(Err(
                "Coverage.beneficiary names nobody in these files or in the plan's records".to_owned(),
            ));
        };
        let day = self.now.date_naive();
        let published = self.published.clone();
        let made = coverage_of(new_id(self.now), member, coverage, |code| {
            published.rules.plan(code, day)
        });
        Ok(made.map(Record::Coverage))
    }

    async fn add(&mut self, record: Record) -> Result<()> {
        self.waiting.push(record);
        if self.waiting.len() >= TOGETHER {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Writes what waits, in one commit.
    async fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let count = waiting.len();
        let known = self
            .store
            .write((waiting, self.now), |tx, (waiting, now)| {
                Box::pin(put(tx, waiting, *now))
            })
            .await?;
        self.members.extend(known);
        self.report.taken += count;
        Ok(())
    }

    fn refuse(&mut self, file: &str, line: usize, reason: String) {
        self.report.refused.push(Refused {
            file: file.to_owned(),
            line,
            reason,
        });
    }
}

async fn put(tx: &mut Tx, records: &[Record], now: DateTime<Utc>) -> Result<Vec<(String, Uuid)>> {
    let mut known = Vec::new();
    for record in records {
        match record {
            Record::Member(member, local) => {
                let id = tx.put_member(member, now).await?;
                known.push((member.member_id.clone(), id));
                known.extend(local.clone().map(|local| (local, id)));
            }
            Record::Coverage(coverage) => drop(tx.put_coverage(coverage, now).await?),
            Record::Provider(provider) => drop(tx.put_provider(provider, now).await?),
        }
    }
    Ok(known)
}
