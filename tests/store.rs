//! The store: units of work are atomic and independent, readers never wait for the writer, one server uses a SQLite
//! file, times are stored exactly, and only the owner can access the file.

use crate::support::{TestApp, both, config};
use assent::error::{Error, ErrorKind};
use assent::store::queues::{FailedAttempt, LeasedMessage, OutboxMessage};
use assent::store::{Store, Tx};
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration as Time, Instant};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

/// Stores one text: the smallest unit of work.
async fn store_text(tx: &mut Tx, id: Uuid, kind: &str, now: DateTime<Utc>) -> assent::error::Result<()> {
    tx.add_blob(id, kind, "{}", now).await
}

/// Adds a notice with this key that is due at that time. Returns false when there is one already.
async fn add_notice(app: &TestApp, key: &str, at: DateTime<Utc>) -> bool {
    let unit = app.state.store.write((key.to_owned(), at), |tx, (key, at)| {
        Box::pin(async move {
            let message = OutboxMessage {
                id: assent::clock::new_id(*at),
                case: None,
                kind: "mail",
                recipient: "staff",
                payload: "{\"recipient\":\"staff\"}",
                dedupe_key: key,
            };
            tx.enqueue_message(&message, *at).await
        })
    });
    unit.await.unwrap()
}

async fn lease_mail(app: &TestApp, owner: Uuid, now: DateTime<Utc>) -> Vec<LeasedMessage> {
    let unit = app.state.store.write((owner, now), |tx, (owner, now)| {
        Box::pin(async move { tx.lease_mail(*owner, *now, 50).await })
    });
    unit.await.unwrap()
}

async fn count_texts(app: &TestApp, kind: &str) -> i64 {
    app.number(&format!("SELECT COUNT(*) FROM blob WHERE kind = '{kind}'"))
        .await
}

/// Keeps the SQLite writer busy until the returned `Notify` is notified.
async fn block_writer(store: &Store) -> (Arc<Notify>, tokio::task::JoinHandle<assent::error::Result<()>>) {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (store, own) = (store.clone(), (started.clone(), release.clone()));
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test's runtime")]
    let blocked = tokio::spawn(async move {
        store
            .write(own, |_, (started, release)| {
                Box::pin(async move {
                    started.notify_one();
                    release.notified().await;
                    Ok(())
                })
            })
            .await
    });
    started.notified().await;
    (release, blocked)
}

both! {
    async fn a_failed_unit_of_work_is_rolled_back_alone(app: &TestApp) {
        let now = app.clock.now();
        let ids: Vec<(usize, Uuid)> = (0..60).map(|n| (n, app.state.new_id())).collect();
        let work = ids.iter().map(|&(n, id)| {
            app.state.store.write((n, id, now), |tx, (n, id, now)| {
                Box::pin(async move {
                    store_text(tx, *id, "together", *now).await?;
                    match n % 3 {
                        0 => Ok(()),
                        1 => Err(Error::forbidden("rejected by the test")),
                        // Storing the same row again violates a unique constraint.
                        _ => store_text(tx, *id, "together", *now).await,
                    }
                })
            })
        });
        let results = futures_util::future::join_all(work).await;
        for (n, result) in results.iter().enumerate() {
            let expected = [None, Some(ErrorKind::Forbidden), Some(ErrorKind::Conflict)][n % 3];
            assert_eq!(result.as_ref().err().map(Error::kind), expected, "unit of work {n}: {result:?}");
        }
        assert_eq!(count_texts(app, "together").await, 20);
    }

    async fn uncommitted_writes_are_visible_only_inside_their_unit_of_work(app: &TestApp) {
        let (id, now) = (app.state.new_id(), app.clock.now());
        let unit = app.state.store.write((app.state.store.clone(), id, now), |tx, (store, id, now)| {
            Box::pin(async move {
                store_text(tx, *id, "own", *now).await?;
                let own = tx.request_text(*id).await?;
                let elsewhere = store.read(*id, |tx, id| Box::pin(async move { tx.request_text(*id).await })).await;
                assert!(elsewhere.is_err(), "an uncommitted text is visible to others");
                Ok(own)
            })
        });
        assert_eq!(unit.await.unwrap(), "{}");
        let after = app.state.store.read(id, |tx, id| Box::pin(async move { tx.request_text(*id).await }));
        assert_eq!(after.await.unwrap(), "{}");
    }

    async fn a_cancelled_read_leaves_its_connection_usable(app: &TestApp) {
        for _ in 0..40 {
            let slow = app.state.store.read((), |tx, ()| {
                Box::pin(async move {
                    tx.last_worker_run("none").await?;
                    tokio::time::sleep(Time::from_secs(60)).await;
                    Ok(())
                })
            });
            assert!(tokio::time::timeout(Time::from_millis(20), slow).await.is_err());
        }
        app.state.store.ping().await.unwrap();
    }

    async fn times_are_stored_to_the_microsecond_and_compared_in_order(app: &TestApp) {
        let base: DateTime<Utc> = "2026-11-20T15:04:05Z".parse().unwrap();
        let micros = [0, 1, 10, 100, 1000, 100_000, 123_000, 123_456, 500_000, 999_999, 1_000_000];
        for micro in micros {
            let at = base + Duration::microseconds(micro);
            let record = app.state.store.write(at, |tx, at| {
                Box::pin(async move { tx.record_worker_run("times", *at, 0, 0).await })
            });
            record.await.unwrap();
            let read = app.state.store.read((), |tx, ()| Box::pin(async move { tx.last_worker_run("times").await }));
            assert_eq!(read.await.unwrap(), Some(at));
        }
        // Each notice is due at its own time and not a microsecond earlier.
        for (n, micro) in micros.into_iter().enumerate() {
            assert!(add_notice(app, &format!("times/{n}"), base + Duration::microseconds(micro)).await);
        }
        for (n, micro) in micros.into_iter().enumerate() {
            let leased = lease_mail(app, Uuid::nil(), base + Duration::microseconds(micro)).await;
            assert_eq!(leased.len(), 1, "notice {n} is not due at its time");
        }
        app.leaves_work();
    }

    async fn what_a_process_without_its_lease_reports_changes_nothing_but_that_a_message_was_sent(app: &TestApp) {
        let now = app.clock.now();
        let (first, second) = (app.state.new_id(), app.state.new_id());
        assert!(add_notice(app, "lost", now).await);
        assert!(!add_notice(app, "lost", now).await, "the same notice is stored once");
        let message = lease_mail(app, first, now).await.pop().unwrap();
        assert!(lease_mail(app, second, now).await.is_empty(), "it is leased");
        let free = app.state.store.write((), |tx, ()| Box::pin(async move { tx.free_all_leases().await }));
        free.await.unwrap();
        assert_eq!(lease_mail(app, second, now).await.pop().unwrap().id, message.id);
        let fail = async |owner: Uuid| {
            let failed = FailedAttempt {
                message: message.id,
                next_at: Some(now),
                reason: "no answer".to_owned(),
            };
            let unit = app.state.store.write((owner, failed, now), |tx, (owner, failed, now)| {
                Box::pin(async move { tx.record_mail_failure(*owner, failed, *now).await })
            });
            unit.await.unwrap();
            app.number("SELECT attempts FROM outbox").await
        };
        assert_eq!(fail(first).await, 0, "the first process has lost the lease");
        assert_eq!(fail(second).await, 1);
        let sent = app.state.store.write((message.id, now), |tx, (id, now)| {
            Box::pin(async move { tx.record_sent(&[*id], *now).await })
        });
        sent.await.unwrap();
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'sent'").await, 1);
        assert_eq!(fail(second).await, 2, "a message that was sent stays so");
        assert_eq!(app.number("SELECT COUNT(*) FROM outbox WHERE state = 'sent'").await, 1);
    }

    async fn a_process_that_does_not_report_loses_its_leases(app: &TestApp) {
        let now = app.clock.now();
        let (silent, alive) = (app.state.new_id(), app.state.new_id());
        assert!(add_notice(app, "silent", now).await);
        for process in [silent, alive] {
            let unit = app.state.store.write(process, |tx, id| Box::pin(async move { tx.add_process(*id).await }));
            unit.await.unwrap();
        }
        assert_eq!(lease_mail(app, silent, now).await.len(), 1);
        let report = async |process: Uuid| {
            let unit = app.state.store.write(process, |tx, id| Box::pin(async move { tx.report_process(*id).await }));
            unit.await.unwrap()
        };
        let remove = async |beats: i64| {
            let unit = app.state.store.write((silent, beats), |tx, (id, beats)| {
                Box::pin(async move { tx.remove_silent_process(*id, *beats).await })
            });
            unit.await.unwrap()
        };
        assert!(report(silent).await);
        assert!(!remove(0).await, "it has reported in between");
        assert!(lease_mail(app, alive, now).await.is_empty());
        assert!(remove(1).await);
        assert!(!remove(1).await, "another process was faster");
        assert_eq!(lease_mail(app, alive, now).await.len(), 1);
        assert!(!report(silent).await, "it learns that its leases are lost");
        app.leaves_work();
    }

    async fn workers_are_woken_only_by_new_work(app: &TestApp) {
        let wake = app.state.store.wake();
        let mut woken = std::pin::pin!(wake.notified());
        woken.as_mut().enable();
        let now = app.clock.now();
        assert!(lease_mail(app, Uuid::nil(), now).await.is_empty());
        let early = tokio::time::timeout(Time::from_millis(100), woken.as_mut()).await;
        assert!(early.is_err(), "looking for work wakes other workers");
        assert!(add_notice(app, "wake", now).await);
        tokio::time::timeout(Time::from_secs(5), woken).await.expect("new work does not wake a worker");
        app.leaves_work();
    }
}

#[tokio::test]
async fn a_unit_of_work_that_panics_does_not_affect_others() {
    let app = TestApp::sqlite().await;
    let now = app.clock.now();
    let work = (0..12).map(|n| {
        app.state
            .store
            .write((n, app.state.new_id(), now), |tx, (n, id, now)| {
                Box::pin(async move {
                    store_text(tx, *id, "panic", *now).await?;
                    assert!(n % 4 != 3, "this unit of work panics on purpose");
                    Ok(())
                })
            })
    });
    let results = futures_util::future::join_all(work).await;
    for (n, result) in results.iter().enumerate() {
        let expected = (n % 4 == 3).then_some(ErrorKind::Internal);
        assert_eq!(
            result.as_ref().err().map(Error::kind),
            expected,
            "unit of work {n}"
        );
    }
    assert_eq!(count_texts(&app, "panic").await, 9);
    app.state.store.ping().await.unwrap();
    app.finish().await;
}

#[tokio::test]
async fn writes_beyond_the_queue_limit_fail_as_unavailable() {
    let app = TestApp::sqlite().await;
    let (release, blocked) = block_writer(&app.state.store).await;
    let unit = || {
        app.state.store.write((), |tx, ()| {
            Box::pin(async move { tx.last_worker_run("none").await })
        })
    };
    let mut waiting = Vec::new();
    for _ in 0..1200 {
        let mut one = Box::pin(unit());
        if let Some(result) = (&mut one).now_or_never() {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
            break;
        }
        waiting.push(one);
    }
    assert!(
        (900..=1100).contains(&waiting.len()),
        "{} units of work are queued",
        waiting.len()
    );
    release.notify_one();
    blocked.await.unwrap().unwrap();
    for result in futures_util::future::join_all(waiting).await {
        result.expect("a queued unit of work is run");
    }
    unit().await.expect("the queue has space again");
    app.finish().await;
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let app = TestApp::sqlite().await;
    let (release, blocked) = block_writer(&app.state.store).await;
    let began = Instant::now();
    for _ in 0..20 {
        app.state.store.ping().await.unwrap();
    }
    assert!(
        began.elapsed() < Time::from_secs(8),
        "reads took {:?}",
        began.elapsed()
    );
    release.notify_one();
    blocked.await.unwrap().unwrap();
    app.finish().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_rejected_and_a_command_is_not() {
    let app = TestApp::sqlite().await;
    let config = app.state.config.clone();
    let first = Store::open(&config).await.unwrap();
    let lock = Store::lock(&config).unwrap().expect("SQLite has a lock");
    let second = Store::open(&config).await.unwrap();
    let refused = Store::lock(&config).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(
        refused.message().contains("Another server is using the database"),
        "{refused}"
    );
    let id = app.state.new_id();
    let write = second.write((id, app.clock.now()), |tx, (id, now)| {
        Box::pin(store_text(tx, *id, "command", *now))
    });
    write.await.expect("a command can write while the server runs");
    assert_eq!(count_texts(&app, "command").await, 1);
    let seen = first
        .read(id, |tx, id| Box::pin(async move { tx.request_text(*id).await }))
        .await;
    assert_eq!(seen.unwrap(), "{}", "the server sees the write immediately");
    drop(lock);
    Store::lock(&config).expect("the lock is released with its holder");
    app.finish().await;
}

#[tokio::test]
async fn only_the_owner_can_access_the_file_and_its_folder() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("new/folder");
    let mut config = config(&data);
    config.database = format!("sqlite:{}", folder.join("assent.db").display());
    let store = Store::open(&config).await.unwrap();
    let write = store.write((Uuid::nil(), crate::support::start()), |tx, (id, now)| {
        Box::pin(store_text(tx, *id, "x", *now))
    });
    write.await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 2, "the write-ahead log was not checked");
    store.close().await;
}
