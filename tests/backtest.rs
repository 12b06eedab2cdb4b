//! The back-test: a thousand stored cases are evaluated under another policy set, and exactly the expected ones change.

use crate::pas::{FORM, nurse, physician, resource_mut};
use crate::stored::{OXYGEN, STRICTER};
use crate::support::{Installation, TestApp, altered_policies, both, decisions};
use assent::cli::policy::backtest::{Progress, compare_all};
use assent::clock::{new_id, new_number};
use assent::demo::seed::{EHR, WALK_MEMBER};
use assent::demo::walk::messages::Messages;
use assent::pas::stored_case_documents;
use assent::plan;
use assent::prior_auth::comparison::{Change, Comparison};
use assent::prior_auth::{Event, NewCase, NewItem, PriorAuth, Received};
use assent::publication::read_folder;
use assent::rules::{CoverageAnswer, RuleSet, Verdict, VerdictSource};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How many cases are stored.
const CASES: usize = 1000;

/// A less strict oxygen policy: with edema a saturation of 90% qualifies, not only 89%. Its embedded test of that limit
/// is changed with it.
const LESS_STRICT: [(&str, &str, &str); 2] = [
    (
        OXYGEN,
        "{ fact: spo2.rest, between: [\"89 %\", \"89 %\"] }",
        "{ fact: spo2.rest, between: [\"89 %\", \"90 %\"] }",
    ),
    (
        OXYGEN,
        "/valueQuantity/value, value: 90 }",
        "/valueQuantity/value, value: 92 }",
    ),
];

/// A case with its events, the text of its request and its oxygen saturation in percent.
struct StoredCase {
    case: PriorAuth,
    events: Vec<Event>,
    text: String,
    percent: u32,
}

/// Stores the cases: saturations from 84% to 93% in turn, all with edema. Returns ids and saturations.
async fn store_cases(app: &TestApp) -> Vec<(Uuid, u32)> {
    let records = app.state.store.read((), |tx, ()| {
        Box::pin(async move {
            let client = tx.client_by_client_id(EHR).await?.unwrap();
            let member = tx.member_by_member_id(WALK_MEMBER).await?.unwrap();
            let coverages = tx.coverages_of(member.id).await?;
            Ok((client.id, member, coverages))
        })
    });
    let (client, member, coverages) = records.await.unwrap();
    let coverage = &coverages[0];
    let (now, policy_set) = (app.clock.now(), app.state.policy_set());
    let due = policy_set
        .clocks
        .due(&coverage.line_of_business, false, now, coverage.zone)
        .unwrap();
    let received = Received {
        client,
        member: member.id,
        coverage: coverage.id,
        line_of_business: coverage.line_of_business.clone(),
        zone: coverage.zone,
        channel: "pas-2.2".into(),
        urgent: false,
        due,
        request: Uuid::nil(),
        policy_set: policy_set.hash.clone(),
        requester_npi: None,
        requester_name: String::new(),
        senders: Vec::new(),
        assertion: None,
        member_facts: Some(plan::member_facts(
            &member,
            coverage,
            &coverages,
            now.date_naive(),
        )),
        admission: None,
        app_access: assent::prior_auth::AppAccess::All,
    };
    let messages = app.messages();
    let stored: Vec<StoredCase> = (0..CASES)
        .map(|n| {
            let percent = 84 + u32::try_from(n % 10).unwrap();
            new_case(&messages, percent, &received, &policy_set.rules, now)
        })
        .collect();
    let saturations = stored
        .iter()
        .map(|stored| (stored.case.id, stored.percent))
        .collect();
    let write = app.state.store.write(stored, |tx, stored| {
        Box::pin(async move {
            for stored in stored {
                tx.open_case(&stored.case, &stored.events, &stored.text).await?;
            }
            Ok(())
        })
    });
    write.await.unwrap();
    saturations
}

/// The text of an oxygen request with this saturation, whose form reports edema.
fn request_with_edema(messages: &Messages, percent: u32) -> String {
    let mut bundle = messages.oxygen_request(FORM, None, percent, "normal");
    let answers = resource_mut(&mut bundle, "QuestionnaireResponse")["item"]
        .as_array_mut()
        .unwrap();
    let edema = answers
        .iter_mut()
        .find(|i| i["linkId"] == "oxygen.dependent-edema")
        .unwrap();
    edema["answer"][0]["valueBoolean"] = json!(true);
    bundle.to_string()
}

/// A case as `$submit` would have opened it.
fn new_case(
    messages: &Messages,
    percent: u32,
    received: &Received,
    rules: &RuleSet,
    now: DateTime<Utc>,
) -> StoredCase {
    let text = request_with_edema(messages, percent);
    let received = Received {
        request: new_id(now),
        ..received.clone()
    };
    let id = new_id(now);
    let open = |verdict: Verdict| {
        PriorAuth::open(NewCase {
            id,
            at: now,
            received: received.clone(),
            items: vec![NewItem {
                sequence: 1,
                system: assent::fhir::coding::HCPCS.into(),
                code: "E1390".into(),
                quantity: None,
                serviced: None,
                serviced_until: None,
                reference_number: new_number("RF"),
                authorization_number: new_number("PA"),
                verdict,
                gold_card: Vec::new(),
                shadow: Vec::new(),
            }],
        })
    };
    let no_verdict = Verdict {
        source: VerdictSource::NoBillingCode,
        coverage: CoverageAnswer::detail_code_needed(),
        decision: assent::rules::Decision::NotRequired {
            reason: String::new(),
        },
        criteria: std::collections::BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: String::new(),
        error: None,
    };
    let case_without_verdict = PriorAuth::replay(id, &open(no_verdict)).unwrap();
    let (_, document) = stored_case_documents(&case_without_verdict, &text, rules)
        .unwrap()
        .unwrap()
        .remove(0);
    let events = open(rules.evaluate(&document));
    let case = PriorAuth::replay(id, &events).unwrap();
    StoredCase {
        case,
        events,
        text,
        percent,
    }
}

async fn compare(app: &TestApp, rules: &RuleSet) -> Comparison {
    let (mut cases, mut items) = (0, 0);
    let began = Instant::now();
    let mut count = |progress: Progress<'_>| {
        match progress {
            Progress::Case => cases += 1,
            Progress::Item(_) => items += 1,
        }
        Ok(())
    };
    let comparison = compare_all(&app.state.store, rules, DateTime::UNIX_EPOCH, &mut count);
    let comparison = comparison.await.unwrap();
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    assert_eq!(
        (cases, items),
        (comparison.cases + comparison.skipped.len(), comparison.items)
    );
    comparison
}

/// The cases with this saturation.
fn ids(saturations: &[(Uuid, u32)], percent: u32) -> BTreeSet<Uuid> {
    saturations
        .iter()
        .filter(|(_, p)| *p == percent)
        .map(|(id, _)| *id)
        .collect()
}

/// The cases with this change.
fn changed(comparison: &Comparison, change: Change) -> BTreeSet<Uuid> {
    comparison
        .changes
        .get(&change)
        .into_iter()
        .flatten()
        .copied()
        .collect()
}

/// Of the pended cases, a nurse approves the first and a physician denies the second.
async fn decide(app: &TestApp, pended: &BTreeSet<Uuid>) -> (Uuid, Uuid) {
    let mut pended = pended.iter();
    let (approved, denied) = (*pended.next().unwrap(), *pended.next().unwrap());
    let now = app.clock.now();
    for (id, deny) in [(approved, false), (denied, true)] {
        let before = crate::pas::case(app, id).await;
        let events = if deny {
            let reason = "Saturation is above the limit of the policy";
            decisions::denial(&before, &physician(), 1, reason, now)
        } else {
            decisions::approval(&before, &nurse(), 1, None, now)
        };
        let write = app
            .state
            .store
            .write((before, events.unwrap()), |tx, (before, events)| {
                Box::pin(async move { tx.append(before, events).await })
            });
        write.await.unwrap();
    }
    (approved, denied)
}

both! {
    async fn of_a_thousand_cases_exactly_those_at_a_changed_threshold_change(app: &TestApp) {
        let saturations = store_cases(app).await;
        let same = compare(app, &app.state.policy_set().rules).await;
        assert_eq!((same.cases, same.items, same.skipped.len()), (CASES, CASES, 0));
        assert!(same.is_empty(), "{:?}", same.changes);

        let stricter = altered_policies(&app.state.config, &STRICTER).rules;
        let comparison = compare(app, &stricter).await;
        assert_eq!(changed(&comparison, Change::ApproveToPend), ids(&saturations, 88));
        assert_eq!(comparison.changes.len(), 1, "{:?}", comparison.changes.keys());

        let pended = ids(&saturations, 90);
        let (approved, denied) = decide(app, &pended).await;
        let less_strict = altered_policies(&app.state.config, &LESS_STRICT).rules;
        let comparison = compare(app, &less_strict).await;
        assert_eq!(changed(&comparison, Change::PendToApprove), pended);
        assert_eq!(comparison.changes.len(), 1, "{:?}", comparison.changes.keys());
        let approvals = &comparison.new_approvals;
        assert_eq!((&approvals.approved, &approvals.denied), (&vec![approved], &vec![denied]));
        assert_eq!(approvals.total(), pended.len());
        app.leaves_work();
    }

    async fn a_case_without_member_facts_is_read_and_skipped(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        let id = crate::pas::case_id(&answer);
        remove_member_facts(app, id).await;
        let case = crate::pas::case(app, id).await;
        assert_eq!(case.received.member_facts, None);
        let comparison = compare(app, &app.state.policy_set().rules).await;
        assert_eq!((comparison.cases, comparison.skipped.len()), (0, 1));
        assert_eq!(comparison.skipped[0].0, id);
    }
}

both! {
    async fn backtest_and_explain_read_the_cases_of_a_running_server_and_change_nothing(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = crate::pas::case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 88, "normal")).await);
        ehr.submitted(&app.messages().home_care_request()).await;
        app.run_jobs().await;
        let mut installation = Installation::new();
        installation.set("DATABASE", &app.state.config.database);
        let candidate = installation.folder.path().join("candidate");
        for (path, text) in read_folder(&app.state.config.rules).unwrap() {
            let changes = STRICTER.iter().filter(|(file, _, _)| *file == path);
            let text = changes.fold(text, |text, (_, from, to)| text.replace(from, to));
            let path = candidate.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let csv = installation.folder.path().join("items.csv");
        let arguments = ["policy", "backtest", "--with", candidate.to_str().unwrap(), "--csv", csv.to_str().unwrap()];
        let before = app.row_counts().await;
        let (code, out, err) = installation.run(&arguments);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("2 cases with 3 items were evaluated under"), "{out}");
        assert!(out.contains("approve -> pend") && out.contains(&id.to_string()), "{out}");
        let lines = std::fs::read_to_string(&csv).unwrap();
        assert_eq!(lines.lines().count(), 4, "{lines}");
        let row = format!("{id},1,approve -> pend,dme.home-oxygen@2026.2,dme.home-oxygen@2026.2,approve,pend,");
        assert!(lines.contains(&row), "{lines}");
        let (code, out, err) = installation.run(&["policy", "explain", "--id", &id.to_string(), "--item", "1"]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("decision: approve") && out.contains("This equals the stored verdict."), "{out}");
        assert_eq!(installation.run(&["policy", "explain", "--id", &id.to_string(), "--item", "7"]).0, 1);
        assert_eq!(app.row_counts().await, before, "the commands changed the database");
    }
}

/// Stores a case as earlier versions did: the same events without the member facts, hashed again.
async fn remove_member_facts(app: &TestApp, id: Uuid) {
    let mut events = crate::pas::events(app, id).await;
    if let assent::prior_auth::EventBody::Received(received) = &mut events[0].body {
        received.member_facts = None;
    }
    app.sql("DELETE FROM outbox; DELETE FROM queue_entry; DELETE FROM event; DELETE FROM item; DELETE FROM number_alias; DELETE FROM submission; DELETE FROM prior_auth; DELETE FROM blob WHERE kind = 'pas-request'").await;
    let case = PriorAuth::replay(id, &events).unwrap();
    let text = app
        .messages()
        .oxygen_request(FORM, None, 91, "normal")
        .to_string();
    let write = app
        .state
        .store
        .write((case, events, text), |tx, (case, events, text)| {
            Box::pin(async move { tx.open_case(case, events, text).await })
        });
    write.await.unwrap();
}

#[test]
fn backtest_reports_findings_with_their_place_and_writes_every_item() {
    let installation = Installation::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let rules = format!("{root}/rules");
    let (code, out, err) = installation.run(&["policy", "backtest", "--with", &rules]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("0 cases with 0 items") && out.contains("Nothing would change."),
        "{out}"
    );
    let csv = installation.folder.path().join("items.csv");
    let csv = csv.to_str().unwrap();
    let (code, _, err) = installation.run(&[
        "policy",
        "backtest",
        "--with",
        &rules,
        "--since",
        "2026-01-01",
        "--csv",
        csv,
    ]);
    assert_eq!(code, 0, "{err}");
    assert!(
        std::fs::read_to_string(csv)
            .unwrap()
            .starts_with("case,item,changes,policy_before")
    );
    let json = installation.folder.path().join("items.json");
    let json = json.to_str().unwrap();
    assert_eq!(
        installation
            .run(&["policy", "backtest", "--with", &rules, "--json", json])
            .0,
        0
    );
    let items: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(items, json!([]));

    let candidate = installation.folder.path().join("candidate");
    std::fs::create_dir_all(candidate.join("answers")).unwrap();
    std::fs::write(
        candidate.join("answers/wrong.yaml"),
        "format: pa-answers/2\nanswers: {}\n",
    )
    .unwrap();
    let (code, out, err) = installation.run(&["policy", "backtest", "--with", candidate.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("answers/wrong.yaml:1: "), "{err}");
}

#[test]
fn a_fixture_is_explained_under_the_rules_in_the_folders() {
    let installation = Installation::new();
    let fixture = format!("{}/rules/fixtures/oxygen.json", env!("CARGO_MANIFEST_DIR"));
    let (code, out, err) = installation.run(&["policy", "explain", "--case", &fixture]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("policy dme.home-oxygen@2026.2") && out.contains("decision: approve"),
        "{out}"
    );
    let (code, out, _) = installation.run(&["policy", "explain", "--case", &fixture, "--json"]);
    assert_eq!(code, 0);
    let explanations: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(explanations[0]["verdict"]["decision"]["kind"], "approve");
    assert_eq!(
        installation.run(&["policy", "explain"]).0,
        2,
        "explain without --case and --id"
    );
    assert_eq!(installation.run(&["policy", "explain", "--id", "RF-0"]).0, 1);
}
