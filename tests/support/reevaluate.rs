//! A check at the end of every test with cases: each stored case, evaluated again with its own policy set, has the same
//! result as stored.

use super::TestApp;
use assent::cli::policy::stored_set::load_stored_set;
use assent::pas::stored_case_documents;
use assent::rules::VerdictSource;
use assent::state::PolicySet;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

/// The policy sets that this process has loaded, by hash.
static POLICY_SETS: Mutex<Option<HashMap<String, Arc<PolicySet>>>> = Mutex::const_new(None);

/// Evaluates every stored case again and returns the number of items that a policy had decided. Cases are skipped if
/// the test made their policy set current without publishing it, or made their rows unreadable.
pub async fn evaluate_again(app: &TestApp) -> usize {
    let mut items = 0;
    if app.state.store.ping().await.is_err() {
        // The test has removed the database.
        return items;
    }
    let mut after = Uuid::nil();
    loop {
        let page = app.state.store.read(after, |tx, after| {
            Box::pin(async move { tx.stored_cases(*after, chrono::DateTime::UNIX_EPOCH, 100).await })
        });
        let page = page.await.unwrap();
        let Some((last, _)) = page.last() else {
            return items;
        };
        after = *last;
        for (_, stored) in page {
            let Ok((case, text)) = stored else { continue };
            let current = app.state.policy_set();
            let own = stored_policy_set(app, &case.received.policy_set).await;
            let rules = if case.received.policy_set == current.hash {
                &current.rules
            } else if let Some(own) = &own {
                &own.rules
            } else {
                continue;
            };
            let Some(documents) = stored_case_documents(&case, &text, rules).unwrap() else {
                continue;
            };
            for (sequence, document) in documents {
                let before = &case.item(sequence).unwrap().verdict;
                let verdict = rules.evaluate(&document);
                assert_eq!(
                    verdict.trace_hash, before.trace_hash,
                    "item {sequence} of case {}",
                    case.id
                );
                assert_eq!(
                    (&verdict.decision, &verdict.coverage),
                    (&before.decision, &before.coverage)
                );
                assert_eq!(
                    rules.shadow_verdicts(&document),
                    case.item(sequence).unwrap().shadow
                );
                items += usize::from(matches!(before.source, VerdictSource::Policy { .. }));
            }
        }
    }
}

/// A policy set stored in the database.
async fn stored_policy_set(app: &TestApp, hash: &str) -> Option<Arc<PolicySet>> {
    let mut loaded = POLICY_SETS.lock().await;
    let loaded = loaded.get_or_insert_with(HashMap::new);
    if let Some(policy_set) = loaded.get(hash) {
        return Some(policy_set.clone());
    }
    let policy_set = Arc::new(load_stored_set(&app.state.store, hash).await.unwrap()?);
    loaded.insert(hash.to_owned(), policy_set.clone());
    Some(policy_set)
}
