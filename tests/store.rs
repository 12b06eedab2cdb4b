//! What the store promises: units are all or nothing and harm nobody else, readers never wait for the writer, one
//! server per file, times come back as they went in, the file is the owner's alone.

use crate::support::{TestApp, both, config};
use assent::error::{Error, Kind};
use assent::store::queues::{Effect, Queue};
use assent::store::{Store, Tx};
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration as Time, Instant};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

/// Adds one text; the smallest unit of work.
async fn note(tx: &mut Tx, id: Uuid, kind: &str, now: DateTime<Utc>) -> assent::error::Result<()> {
    tx.add_blob(id, kind, "{}", now).await
}

async fn notes(app: &TestApp, kind: &str) -> i64 {
    app.number(&format!("SELECT COUNT(*) FROM blob WHERE kind = '{kind}'"))
        .await
}

/// Keeps the embedded writer busy until the answer is told to let go.
async fn occupy(store: &Store) -> (Arc<Notify>, tokio::task::JoinHandle<assent::error::Result<()>>) {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (store, own) = (store.clone(), (begun.clone(), go_on.clone()));
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let held = tokio::spawn(async move {
        store
            .write(own, |_, (begun, go_on)| {
                Box::pin(async move {
                    begun.notify_one();
                    go_on.notified().await;
                    Ok(())
                })
            })
            .await
    });
    begun.notified().await;
    (go_on, held)
}

both! {
    async fn units_that_fail_roll_back_alone(app: &TestApp) {
        let now = app.clock.now();
        let ids: Vec<(usize, Uuid)> = (0..60).map(|n| (n, app.state.new_id())).collect();
        let work = ids.iter().map(|&(n, id)| {
            app.state.store.write((n, id, now), |tx, (n, id, now)| {
                Box::pin(async move {
                    note(tx, *id, "together", *now).await?;
                    match n % 3 {
                        0 => Ok(()),
                        1 => Err(Error::forbidden("not this one")),
                        // The same row again breaks a uniqueness inside the database.
                        _ => note(tx, *id, "together", *now).await,
                    }
                })
            })
        });
        let done = futures_util::future::join_all(work).await;
        for (n, answer) in done.iter().enumerate() {
            let expected = [None, Some(Kind::Forbidden), Some(Kind::Conflict)][n % 3];
            assert_eq!(answer.as_ref().err().map(Error::kind), expected, "unit {n}: {answer:?}");
        }
        assert_eq!(notes(app, "together").await, 20);
    }

    async fn a_unit_may_read_what_it_wrote_and_nobody_else_may_before_the_commit(app: &TestApp) {
        let (id, now) = (app.state.new_id(), app.clock.now());
        let unit = app.state.store.write((app.state.store.clone(), id, now), |tx, (store, id, now)| {
            Box::pin(async move {
                note(tx, *id, "own", *now).await?;
                let own = tx.request_text(*id).await?;
                let elsewhere = store.read(*id, |tx, id| Box::pin(async move { tx.request_text(*id).await })).await;
                assert!(elsewhere.is_err(), "it is seen before its commit");
                Ok(own)
            })
        });
        assert_eq!(unit.await.unwrap(), "{}");
        let after = app.state.store.read(id, |tx, id| Box::pin(async move { tx.request_text(*id).await }));
        assert_eq!(after.await.unwrap(), "{}");
    }

    async fn a_read_that_is_given_up_leaves_its_connection_usable(app: &TestApp) {
        for _ in 0..40 {
            let slow = app.state.store.read((), |tx, ()| {
                Box::pin(async move {
                    tx.count_waiting(Queue::Job, "queued").await?;
                    tokio::time::sleep(Time::from_secs(60)).await;
                    Ok(())
                })
            });
            assert!(tokio::time::timeout(Time::from_millis(20), slow).await.is_err());
        }
        app.state.store.ping().await.unwrap();
    }

    async fn times_come_back_to_the_microsecond_and_in_their_order(app: &TestApp) {
        let base: DateTime<Utc> = "2026-11-20T15:04:05Z".parse().unwrap();
        let micros = [0, 1, 10, 100, 1000, 100_000, 123_000, 123_456, 500_000, 999_999, 1_000_000];
        for micro in micros {
            let at = base + Duration::microseconds(micro);
            let beat = app.state.store.write(at, |tx, at| Box::pin(async move { tx.beat("times", *at, 0, 0).await }));
            beat.await.unwrap();
            let read = app.state.store.read((), |tx, ()| Box::pin(async move { tx.last_beat("times").await }));
            assert_eq!(read.await.unwrap(), Some(at));
        }
        // Each is due by its own time and not a microsecond before.
        for (n, micro) in micros.into_iter().enumerate() {
            let job = (app.state.new_id(), format!("times/{n}"), base + Duration::microseconds(micro));
            let add = app.state.store.write(job, |tx, (id, key, at)| {
                Box::pin(async move { tx.enqueue_job(*id, "nothing", "{}", key, *at).await })
            });
            add.await.unwrap();
        }
        for (n, micro) in micros.into_iter().enumerate() {
            let now = base + Duration::microseconds(micro);
            let lease = app.state.store.write(now, |tx, now| {
                Box::pin(async move { tx.lease(Queue::Job, *now, *now + Duration::hours(1), 50).await })
            });
            assert_eq!(lease.await.unwrap().len(), 1, "the {n}th job at {now}");
        }
        app.leaves_work();
    }

    async fn work_whose_lease_was_lost_belongs_to_another(app: &TestApp) {
        let now = app.clock.now();
        let id = app.state.new_id();
        let lease = async |now: DateTime<Utc>| {
            let unit = app.state.store.write(now, |tx, now| {
                Box::pin(async move { tx.lease(Queue::Job, *now, *now + Duration::seconds(60), 50).await })
            });
            unit.await.unwrap()
        };
        let add = app.state.store.write((id, now), |tx, (id, now)| {
            Box::pin(async move { tx.enqueue_job(*id, "nothing", "{}", "lost", *now).await })
        });
        add.await.unwrap();
        let first = lease(now).await.pop().unwrap();
        assert!(lease(now + Duration::seconds(59)).await.is_empty(), "the lease holds");
        let second = lease(now + Duration::seconds(61)).await.pop().unwrap();
        assert_eq!((first.attempts, second.attempts), (1, 2));
        let late = now + Duration::seconds(62);
        let finish = async |work| {
            let unit = app.state.store.write(work, |tx, work| Box::pin(async move { tx.finish_job(work).await }));
            unit.await.unwrap()
        };
        assert!(!finish(first.clone()).await, "the first has lost it");
        assert!(finish(second).await);
        let back = app.state.store.write((first, late), |tx, (work, late)| {
            Box::pin(async move { tx.put_back(Queue::Job, work, Some(*late), "too late", *late).await })
        });
        back.await.unwrap();
        assert_eq!(app.number("SELECT COUNT(*) FROM job WHERE state = 'done'").await, 1, "done stays done");
    }

    async fn an_effect_given_back_counts_as_no_try(app: &TestApp) {
        let now = app.clock.now();
        for key in ["first", "second", "third", "fourth"] {
            let unit = app.state.store.write((key, now), |tx, (key, at)| {
                Box::pin(async move {
                    let id = assent::clock::new_id(*at);
                    let effect = Effect { id, case: None, kind: "none", to_ref: "x", payload: "{}", dedupe_key: key };
                    tx.enqueue_effect(&effect, *at).await
                })
            });
            assert!(unit.await.unwrap());
        }
        for _ in 0..3 {
            let unit = app.state.store.write(now, |tx, now| {
                Box::pin(async move {
                    let leased = tx.lease(Queue::Outbox, *now, *now + Duration::seconds(60), 50).await?;
                    for effect in &leased {
                        tx.hand_back(effect, *now).await?;
                    }
                    Ok(leased)
                })
            });
            let leased = unit.await.unwrap();
            assert_eq!(leased.len(), 4);
            assert!(leased.iter().all(|effect| effect.attempts == 1), "{leased:?}");
        }
        app.leaves_work();
    }

    async fn who_waits_for_work_sleeps_until_there_is_some(app: &TestApp) {
        let wake = app.state.store.wake();
        let mut woken = std::pin::pin!(wake.notified());
        woken.as_mut().enable();
        let now = app.clock.now();
        let idle = app.state.store.write(now, |tx, now| {
            Box::pin(async move { tx.lease(Queue::Job, *now, *now, 50).await })
        });
        assert!(idle.await.unwrap().is_empty());
        let early = tokio::time::timeout(Time::from_millis(100), woken.as_mut()).await;
        assert!(early.is_err(), "a look for work wakes the others, who look in turn");
        let add = app.state.store.write((app.state.new_id(), now), |tx, (id, now)| {
            Box::pin(async move { tx.enqueue_job(*id, "nothing", "{}", "wake", *now).await })
        });
        add.await.unwrap();
        tokio::time::timeout(Time::from_secs(5), woken).await.expect("new work wakes");
        app.leaves_work();
    }
}

#[tokio::test]
async fn a_unit_that_panics_harms_nobody() {
    let app = TestApp::sqlite().await;
    let now = app.clock.now();
    let work = (0..12).map(|n| {
        app.state
            .store
            .write((n, app.state.new_id(), now), |tx, (n, id, now)| {
                Box::pin(async move {
                    note(tx, *id, "panic", *now).await?;
                    assert!(n % 4 != 3, "this unit breaks on purpose");
                    Ok(())
                })
            })
    });
    let done = futures_util::future::join_all(work).await;
    for (n, answer) in done.iter().enumerate() {
        let expected = (n % 4 == 3).then_some(Kind::Internal);
        assert_eq!(answer.as_ref().err().map(Error::kind), expected, "unit {n}");
    }
    assert_eq!(notes(&app, "panic").await, 9);
    app.state.store.ping().await.unwrap();
    app.finish().await;
}

#[tokio::test]
async fn more_than_the_queue_holds_is_told_to_come_back() {
    let app = TestApp::sqlite().await;
    let (go_on, held) = occupy(&app.state.store).await;
    let unit = || {
        app.state.store.write((), |tx, ()| {
            Box::pin(async move { tx.count_waiting(Queue::Job, "queued").await })
        })
    };
    let mut waiting = Vec::new();
    for _ in 0..1200 {
        let mut one = Box::pin(unit());
        if let Some(answer) = (&mut one).now_or_never() {
            assert_eq!(answer.unwrap_err().kind(), Kind::Unavailable);
            break;
        }
        waiting.push(one);
    }
    assert!((900..=1100).contains(&waiting.len()), "{} wait", waiting.len());
    go_on.notify_one();
    held.await.unwrap().unwrap();
    for answer in futures_util::future::join_all(waiting).await {
        answer.expect("what was taken in is done");
    }
    unit().await.expect("and there is room again");
    app.finish().await;
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let app = TestApp::sqlite().await;
    let (go_on, held) = occupy(&app.state.store).await;
    let began = Instant::now();
    for _ in 0..20 {
        app.state.store.ping().await.unwrap();
    }
    assert!(
        began.elapsed() < Time::from_secs(2),
        "reads took {:?}",
        began.elapsed()
    );
    go_on.notify_one();
    held.await.unwrap().unwrap();
    app.finish().await;
}

#[tokio::test]
async fn a_second_server_on_the_file_is_refused_and_a_command_is_not() {
    let app = TestApp::sqlite().await;
    let file = app.state.config.clone();
    let first = Store::open(&file).await.unwrap();
    let lock = first.lock().unwrap().expect("an embedded file has a lock");
    let second = Store::open(&file).await.unwrap();
    let refused = second.lock().unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.message().contains("Another server runs on"), "{refused}");
    let id = app.state.new_id();
    let write = second.write((id, app.clock.now()), |tx, (id, now)| {
        Box::pin(note(tx, *id, "command", *now))
    });
    write.await.expect("a command writes beside the server");
    assert_eq!(notes(&app, "command").await, 1);
    let seen = first
        .read(id, |tx, id| Box::pin(async move { tx.request_text(*id).await }))
        .await;
    assert_eq!(seen.unwrap(), "{}", "the server sees it at once");
    drop(lock);
    second.lock().expect("the lock ends with its holder");
    app.finish().await;
}

#[tokio::test]
async fn the_file_and_its_folder_are_the_owners_alone() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("new/folder");
    let mut config = config(&data);
    config.database = format!("sqlite:{}", folder.join("assent.db").display());
    let store = Store::open(&config).await.unwrap();
    let write = store.write((Uuid::nil(), crate::support::start()), |tx, (id, now)| {
        Box::pin(note(tx, *id, "x", *now))
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
    assert!(seen >= 2, "the write-ahead log was not seen");
    store.close().await;
}
