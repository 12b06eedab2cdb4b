//! How often a request waits for the database: a change of these numbers is on purpose or a mistake.

use crate::access::{EOB, access_token};
use crate::crd::messages::{call_order_sign, oxygen_call};
use crate::pas::FORM;
use crate::support::{TestApp, both};
use assent::store::{Store, Usage};

/// What a store did since `before`.
fn since(app: &TestApp, before: Usage) -> Usage {
    let now = app.state.store.usage();
    Usage {
        statements: now.statements - before.statements,
        round_trips: now.round_trips - before.round_trips,
        commits: now.commits - before.commits,
    }
}

/// What a request needs: statements, round trips and commits on SQLite, and on PostgreSQL.
type Needs = ([u64; 3], [u64; 3]);

/// The requests that do not need what they should.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, app: &TestApp, before: Usage, request: &str, (sqlite, postgres): Needs) {
        let used = since(app, before);
        let used = [used.statements, used.round_trips, used.commits];
        let needs = match app.state.store {
            Store::Sqlite(_) => sqlite,
            Store::Postgres(_) => postgres,
        };
        if used != needs {
            self.0.push(format!("{request}: {used:?} instead of {needs:?}"));
        }
    }
}

both! {
    async fn each_request_waits_for_the_database_only_so_often(app: &TestApp) {
        let mut found = Differences::default();
        let ehr = app.ehr().await;
        let usage = || app.state.store.usage();

        let before = usage();
        call_order_sign(&ehr, &oxygen_call(|_| ())).await.json(200);
        found.compare(app, before, "hook", ([3, 5, 1], [3, 3, 1]));

        let before = usage();
        ehr.submitted(&app.messages().oxygen_request(FORM, None, 87, "normal")).await;
        found.compare(app, before, "approved submit", ([6, 8, 1], [6, 6, 1]));

        let before = usage();
        ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        found.compare(app, before, "pended submit", ([6, 8, 1], [6, 6, 1]));

        let before = usage();
        ehr.inquire(&app.messages().inquiry("")).await.json(200);
        found.compare(app, before, "inquiry", ([3, 3, 0], [3, 4, 0]));

        let ruth = access_token(app, "ruth").await;
        let before = usage();
        app.get(EOB, Some(&ruth)).await.json(200);
        found.compare(app, before, "first search", ([4, 4, 0], [4, 5, 0]));
        let before = usage();
        app.get(EOB, Some(&ruth)).await.json(200);
        found.compare(app, before, "second search", ([2, 2, 0], [2, 2, 0]));
        app.run_jobs().await;
        assert!(found.0.is_empty(), "statements, round trips and commits:\n{}", found.0.join("\n"));
    }
}
