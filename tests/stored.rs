//! Stored cases, run again: under their own set they come out as they were, under another they may not.

use crate::pas::{FORM, actions, case, case_id, reference_number};
use crate::support::{TestApp, altered_policies, both, evaluate_again};
use assent::cli::policy::explain::of_case;
use assent::cli::policy::pinned::pinned;
use assent::pas::stored;
use assent::publication::files;
use assent::rules::{Decision, Source};
use assent::state::Published;
use serde_json::Value;

/// The oxygen policy.
pub const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";

/// A stricter oxygen policy: 88 percent is no longer enough. Its own test of that limit moves with it.
pub const STRICTER: [(&str, &str, &str); 2] = [
    (
        OXYGEN,
        "{ fact: spo2.rest, at_most: \"88 %\" }",
        "{ fact: spo2.rest, at_most: \"87 %\" }",
    ),
    (
        OXYGEN,
        "/valueQuantity/value, value: 88 }",
        "/valueQuantity/value, value: 87 }",
    ),
];

both! {
    async fn a_case_comes_out_again_under_its_own_set_and_otherwise_under_another(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.run().oxygen(FORM, None, 88, "normal")).await);
        ehr.submitted(&app.run().home_care()).await;
        app.run_jobs().await;
        app.state.publish(altered_policies(&app.state.config, &STRICTER));
        let before = case(app, id).await;
        let published = app.state.published();
        assert_ne!(before.received.rules, published.hash);
        let text = app.state.store.read(id, |tx, id| Box::pin(async move { tx.stored_case(*id).await }));
        let (_, text) = text.await.unwrap();
        let own = pinned(&app.state.store, &before.received.rules).await.unwrap().unwrap().rules;
        let verdict = &before.items[0].verdict;
        assert!(matches!(verdict.source, Source::Policy { .. }));
        let (sequence, document) = stored::documents(&before, &text, &own).unwrap().unwrap().remove(0);
        assert_eq!(sequence, 1);
        assert_eq!(own.evaluate(&document), *verdict);
        let (_, document) = stored::documents(&before, &text, &published.rules).unwrap().unwrap().remove(0);
        let other = published.rules.evaluate(&document);
        assert_ne!(other.trace_hash, verdict.trace_hash);
        assert!(matches!((&verdict.decision, &other.decision), (Decision::Approve(_), Decision::Pend(_))));
        assert!(evaluate_again(app).await > 0, "no line of a policy was evaluated again");
    }

    async fn a_stored_case_is_explained_by_its_trace_alone(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = ehr.submitted(&app.run().oxygen(FORM, None, 91, "normal")).await;
        app.state.publish(altered_policies(&app.state.config, &STRICTER));
        let number = reference_number(&answer);
        for named in [case_id(&answer).to_string(), number] {
            let explained = of_case(&app.state.store, &named).await.unwrap();
            assert_eq!(explained.len(), 1);
            assert_eq!(explained[0].as_stored, Some(true));
            let text = explained[0].as_text();
            for told in ["policy dme.home-oxygen@2026.2 sha256:", "spo2.rest = 91 %", "decision: pend to dme-nurse", "This is what was stored"] {
                assert!(text.contains(told), "{text}");
            }
            for secret in ["Ellery", "ellery", "Ruth", "A100200300", "1953"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
        let unknown = of_case(&app.state.store, "PA-NOSUCH").await;
        assert!(unknown.is_err());
    }

    async fn a_shadow_version_is_kept_with_the_case_and_nobody_is_told(app: &TestApp) {
        let ehr = app.ehr().await;
        let (request, hook) = (app.run().oxygen(FORM, None, 88, "normal"), app.run().hook());
        let before = ehr.hook("order-sign-crd", &hook).await;
        with_a_shadow(app);
        let after = ehr.hook("order-sign-crd", &hook).await;
        assert_eq!(without_ids(&after.json(200)), without_ids(&before.json(200)));
        let kept = "SELECT COUNT(*) FROM blob WHERE kind = 'hook-call' AND body LIKE '%\"shadow\"%2026.3%'";
        assert_eq!(app.number(kept).await, 1);

        let reply = ehr.submit(&request).await;
        let answer = reply.json(200)["entry"][0]["resource"].clone();
        assert_eq!(actions(&answer), ["A1"]);
        assert!(!reply.text.contains("2026.3"));
        let stored = case(app, case_id(&answer)).await;
        let [shadow] = stored.items[0].shadow.as_slice() else {
            panic!("{} shadow verdicts", stored.items[0].shadow.len());
        };
        assert!(matches!(&shadow.source, Source::Policy { version, .. } if version == "2026.3"));
        assert!(matches!(shadow.decision, Decision::Pend(_)), "the shadow is stricter");
        let page = app.staff("nora").await.get(&format!("/staff/cases/{}", stored.id)).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("2026.3"));
        app.run_jobs().await;
    }
}

/// Puts the shipped policies in force with a stricter version of the oxygen policy in shadow.
fn with_a_shadow(app: &TestApp) {
    let mut rules = files(&app.state.config.rules).unwrap();
    let active = &rules.iter().find(|(path, _)| path == OXYGEN).unwrap().1;
    let own = [
        ("version: \"2026.2\"", "version: \"2026.3\""),
        ("status: active", "status: shadow"),
    ];
    let changes = STRICTER.map(|(_, from, to)| (from, to)).into_iter().chain(own);
    let shadow = changes.fold(active.clone(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    rules.push((OXYGEN.replace("2026.2", "2026.3"), shadow));
    rules.sort();
    app.state
        .publish(Published::load(&rules, &files(&app.state.config.forms).unwrap()).unwrap());
}

/// A hook's answer without what is new in every answer.
fn without_ids(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for card in answer["cards"].as_array_mut().unwrap() {
        card["uuid"] = Value::Null;
    }
    for action in answer["systemActions"].as_array_mut().unwrap() {
        for information in action["resource"]["extension"].as_array_mut().unwrap() {
            let parts = information["extension"].as_array_mut().unwrap();
            parts.retain(|part| part["url"] != "coverage-assertion-id");
        }
    }
    answer
}
