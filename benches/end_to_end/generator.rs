//! Fills the database of an installation with members, coverages and cases, without the server: each case has the
//! history of one that the server opened, with its own member, numbers, times and ids.

use assent::clock::{Clock, new_id, new_number};
use assent::error::{Error, Result};
use assent::plan::{Coverage, Member};
use assent::prior_auth::{Event, EventBody, Outcome, PriorAuth};
use assent::store::Store;
use chrono::{DateTime, Duration, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// The number of cases in one unit of work.
const BATCH: usize = 100;
/// Units of work at once. SQLite commits them together.
const AT_ONCE: usize = 8;

/// A case that the server opened, with its request.
pub struct Example {
    events: Vec<Event>,
    request: String,
}

/// Everything that generated rows are copied from.
pub struct Generator {
    store: Store,
    examples: Arc<Vec<Example>>,
    member: Member,
    coverage: Coverage,
}

impl Generator {
    /// Copies the cases and the member that are in the database now.
    pub async fn new(store: Store) -> Result<Self> {
        let read = store.read((), |tx, ()| {
            Box::pin(async move {
                let mut examples = Vec::new();
                for (id, stored) in tx.stored_cases(Uuid::nil(), DateTime::UNIX_EPOCH, 10).await? {
                    let (case, request) = stored?;
                    let member = tx.member(case.received.member).await?;
                    let coverages = tx.coverages_of(case.received.member).await?;
                    let events = tx.events(id).await?;
                    examples.push((Example { events, request }, member, coverages));
                }
                Ok(examples)
            })
        });
        let mut found = read.await?;
        let missing = || Error::internal("the database has no case to copy");
        let (_, member, coverages) = found.first_mut().ok_or_else(missing)?;
        let member = member.take().ok_or_else(missing)?;
        let coverage = coverages.pop().ok_or_else(missing)?;
        let examples = found.into_iter().map(|(example, ..)| example).collect();
        Ok(Self {
            store,
            examples: Arc::new(examples),
            member,
            coverage,
        })
    }

    /// Closes the database, so that the server may use it.
    pub async fn close(self) {
        self.store.close().await;
    }

    /// Adds so many members with one case each. The requests of the cases are short, so that the database has rows
    /// rather than bytes.
    pub async fn add_members_with_cases(&self, count: usize) -> Result<()> {
        let batches = (0..count).step_by(BATCH).map(|first| {
            let number = BATCH.min(count - first);
            self.add_batch(number)
        });
        stream::iter(batches)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    async fn add_batch(&self, count: usize) -> Result<()> {
        let now = Clock::System.now();
        let rows: Vec<(Member, Coverage, NewCase)> = (0..count)
            .filter_map(|n| {
                let (member, coverage) = self.new_member(now);
                let example = self.examples.get(n % self.examples.len().max(1))?;
                let text = "{\"resourceType\":\"Bundle\"}".to_owned();
                let at = now - Duration::seconds(i64::try_from(n).unwrap_or(0));
                let case = new_case(example, member.id, coverage.id, text, at)?;
                Some((member, coverage, case))
            })
            .collect();
        let unit = self.store.write((rows, now), |tx, (rows, now)| {
            Box::pin(async move {
                for (member, coverage, new) in rows {
                    tx.put_member(member, *now).await?;
                    tx.put_coverage(coverage, *now).await?;
                    tx.open_case(&new.case, &new.events, &new.text).await?;
                }
                Ok(())
            })
        });
        unit.await
    }

    /// A member with a coverage, like the one of the examples.
    fn new_member(&self, now: DateTime<Utc>) -> (Member, Coverage) {
        let number = new_number("M");
        let mut member = Member {
            id: new_id(now),
            member_id: number.clone(),
            family: format!("family{}", number.to_lowercase()),
            ..self.member.clone()
        };
        if let Some(value) = member.doc.pointer_mut("/identifier/0/value") {
            *value = json!(number);
        }
        let coverage = Coverage {
            id: new_id(now),
            key: format!("https://plan.example/coverage|{number}"),
            member: member.id,
            subscriber_id: Some(number),
            ..self.coverage.clone()
        };
        (member, coverage)
    }

    /// Adds cases of one member, with whole requests. Returns the number of the first.
    pub async fn add_cases_of(&self, username: &str, count: usize) -> Result<String> {
        let read = self.store.read(username.to_owned(), |tx, username| {
            Box::pin(async move {
                let login = tx.login_by_username(username).await?;
                let login = login.ok_or_else(|| Error::not_found("sign-in", username))?;
                Ok((login.member, tx.coverages_of(login.member).await?))
            })
        });
        let (member, coverages) = read.await?;
        let coverage = coverages.first().map_or(self.coverage.id, |coverage| coverage.id);
        let now = Clock::System.now();
        let cases: Vec<NewCase> = (0..count)
            .filter_map(|n| {
                let example = self.examples.get(n % self.examples.len().max(1))?;
                new_case(example, member, coverage, example.request.clone(), now)
            })
            .collect();
        let number = cases.first().and_then(|new| new.case.items.first());
        let number = number
            .map(|item| item.reference_number.clone())
            .unwrap_or_default();
        let unit = self.store.write(cases, |tx, cases| {
            Box::pin(async move {
                for new in cases {
                    tx.open_case(&new.case, &new.events, &new.text).await?;
                }
                Ok(())
            })
        });
        unit.await.map(|()| number)
    }
}

/// A case that is not stored yet.
struct NewCase {
    case: PriorAuth,
    events: Vec<Event>,
    text: String,
}

/// A case with the history of the example that was received at `at`.
fn new_case(
    example: &Example,
    member: Uuid,
    coverage: Uuid,
    text: String,
    at: DateTime<Utc>,
) -> Option<NewCase> {
    let later = at - example.events.first()?.at;
    let mut events = example.events.clone();
    for event in &mut events {
        event.at += later;
        match &mut event.body {
            EventBody::Received(received) => {
                received.member = member;
                received.coverage = coverage;
                received.request = new_id(at);
                received.due.internal += later;
                received.due.legal += later;
            }
            EventBody::Evaluated(item) => item.reference_number = new_number("RF"),
            EventBody::Decided { outcome, .. } => {
                if let Outcome::Approved(approval) = outcome.as_mut() {
                    approval.number = new_number("PA");
                }
            }
            EventBody::Referred { .. } => {}
        }
    }
    let case = PriorAuth::replay(new_id(at), &events)?;
    Some(NewCase { case, events, text })
}
