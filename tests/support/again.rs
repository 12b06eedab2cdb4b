//! What every story's database has to show at its end: each stored case, evaluated again under the set that it names,
//! comes out as it is stored.

use super::TestApp;
use assent::cli::policy::pinned::pinned;
use assent::pas::stored;
use assent::rules::Source;
use assent::state::Published;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Sets that were loaded before in this process, by hash.
static SETS: Mutex<Option<HashMap<String, Arc<Published>>>> = Mutex::const_new(None);

/// Evaluates every stored case again and answers with how many lines a policy had answered. Cases of a set that a story
/// put in force without publishing it are passed over, and so are those that a story made unreadable.
pub async fn evaluate_again(app: &TestApp) -> usize {
    let mut lines = 0;
    if app.state.store.ping().await.is_err() {
        // The story took the database away.
        return lines;
    }
    let mut after = Uuid::nil();
    loop {
        let page = app.state.store.read(after, |tx, after| {
            Box::pin(async move { tx.stored_cases(*after, chrono::DateTime::UNIX_EPOCH, 100).await })
        });
        let page = page.await.unwrap();
        let Some((last, _)) = page.last() else {
            return lines;
        };
        after = *last;
        for (_, stored) in page {
            let Ok((case, text)) = stored else { continue };
            let published = app.state.published();
            let own = kept(app, &case.received.rules).await;
            let rules = if case.received.rules == published.hash {
                &published.rules
            } else if let Some(own) = &own {
                &own.rules
            } else {
                continue;
            };
            let Some(documents) = stored::documents(&case, &text, rules).unwrap() else {
                continue;
            };
            for (sequence, document) in documents {
                let before = &case.item(sequence).unwrap().verdict;
                let verdict = rules.evaluate(&document);
                assert_eq!(
                    verdict.trace_hash, before.trace_hash,
                    "line {sequence} of {}",
                    case.id
                );
                assert_eq!(
                    (&verdict.decision, &verdict.coverage),
                    (&before.decision, &before.coverage)
                );
                assert_eq!(rules.shadows(&document), case.item(sequence).unwrap().shadow);
                lines += usize::from(matches!(before.source, Source::Policy { .. }));
            }
        }
    }
}

/// A set that was published, from the database.
async fn kept(app: &TestApp, hash: &str) -> Option<Arc<Published>> {
    let mut sets = SETS.lock().await;
    let sets = sets.get_or_insert_with(HashMap::new);
    if let Some(known) = sets.get(hash) {
        return Some(known.clone());
    }
    let found = Arc::new(pinned(&app.state.store, hash).await.unwrap()?);
    sets.insert(hash.to_owned(), found.clone());
    Some(found)
}
