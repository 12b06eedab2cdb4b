//! Many open cases at once: copies of one case, stored as the API stores them and without its other work.

use super::TestApp;
use assent::clock::new_id;
use assent::prior_auth::{EventBody, PriorAuth, Received};
use uuid::Uuid;

/// The most copies in one unit of work.
const BATCH_SIZE: usize = 200;

impl TestApp {
    /// Stores `count` copies of an open case, each with its own id and numbers. `change` gets the number of the copy, from
    /// 0, and what was known at its receipt. Returns the ids.
    pub async fn copy_open_case(
        &self,
        model: Uuid,
        count: usize,
        change: impl Fn(usize, &mut Received),
    ) -> Vec<Uuid> {
        let store = &self.state.store;
        let read = store.read(model, |tx, id| {
            Box::pin(async move {
                let events = tx.events(*id).await?;
                let (_, text) = tx.stored_case(*id).await?;
                Ok((events.to_vec(), text))
            })
        });
        let (events, text) = read.await.unwrap();
        let now = self.clock.now();
        let mut ids = Vec::with_capacity(count);
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(BATCH_SIZE) {
            let copies: Vec<_> = some
                .iter()
                .map(|number| {
                    let id = new_id(now);
                    let mut events = events.clone();
                    for event in &mut events {
                        match &mut event.body {
                            EventBody::Received(received) => {
                                received.request = new_id(now);
                                change(*number, received);
                            }
                            EventBody::Evaluated(item) => {
                                item.reference_number = format!("RF-{id}-{}", item.sequence);
                            }
                            _ => {}
                        }
                    }
                    ids.push(id);
                    (PriorAuth::replay(id, &events).unwrap(), events)
                })
                .collect();
            let unit = store.write((copies, text.clone()), |tx, (copies, text)| {
                Box::pin(async move {
                    for (case, events) in copies {
                        tx.open_case(case, events, text).await?;
                    }
                    Ok(())
                })
            });
            unit.await.unwrap();
        }
        ids
    }
}
