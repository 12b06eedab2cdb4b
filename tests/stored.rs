//! Stored cases evaluated again: the result is the same with the policy set of the decision, and may differ with
//! another.

use crate::pas::{FORM, case, case_id, reference_number, review_actions};
use crate::support::{TestApp, altered_policies, both, evaluate_again};
use assent::cli::policy::explain::explain_case;
use assent::cli::policy::stored_set::load_stored_set;
use assent::pas::stored_case_documents;
use assent::publication::read_folder;
use assent::rules::{Decision, VerdictSource};
use assent::state::PolicySet;
use serde_json::Value;

/// The oxygen policy.
pub const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";

/// Changes to the oxygen policy that make it stricter: 88% is no longer enough. Its embedded test of that limit changes
/// too.
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
    async fn a_case_is_evaluated_the_same_with_its_own_policy_set_and_differently_with_another(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.messages().oxygen_request(FORM, None, 88, "normal")).await);
        ehr.submitted(&app.messages().home_care_request()).await;
        app.run_jobs().await;
        app.state.make_current(altered_policies(&app.state.config, &STRICTER));
        let before = case(app, id).await;
        let policy_set = app.state.policy_set();
        assert_ne!(before.received.policy_set, policy_set.hash);
        let text = app.state.store.read(id, |tx, id| Box::pin(async move { tx.stored_case(*id).await }));
        let (_, text) = text.await.unwrap();
        let own = load_stored_set(&app.state.store, &before.received.policy_set).await.unwrap().unwrap().rules;
        let verdict = &before.items[0].verdict;
        assert!(matches!(verdict.source, VerdictSource::Policy { .. }));
        let (sequence, document) = stored_case_documents(&before, &text, &own).unwrap().unwrap().remove(0);
        assert_eq!(sequence, 1);
        assert_eq!(own.evaluate(&document), **verdict);
        let (_, document) = stored_case_documents(&before, &text, &policy_set.rules).unwrap().unwrap().remove(0);
        let other = policy_set.rules.evaluate(&document);
        assert_ne!(other.trace_hash, verdict.trace_hash);
        assert!(matches!((&verdict.decision, &other.decision), (Decision::Approve(_), Decision::Pend(_))));
        assert!(evaluate_again(app).await > 0, "no item with a policy was evaluated again");
    }

    async fn the_explanation_of_a_stored_case_contains_only_its_trace(app: &TestApp) {
        let ehr = app.ehr().await;
        let answer = ehr.submitted(&app.messages().oxygen_request(FORM, None, 91, "normal")).await;
        app.state.make_current(altered_policies(&app.state.config, &STRICTER));
        let number = reference_number(&answer);
        for id in [case_id(&answer).to_string(), number] {
            let explained = explain_case(&app.state.store, &id).await.unwrap();
            assert_eq!(explained.len(), 1);
            assert_eq!(explained[0].matches_stored, Some(true));
            let text = explained[0].to_text();
            for expected in ["policy dme.home-oxygen@2026.2 sha256:", "Oxygen saturation at rest (required: 88% or less, found: 91%", "decision: pend to dme-nurse", "This equals the stored verdict"] {
                assert!(text.contains(expected), "{text}");
            }
            for identifying in ["Ellery", "ellery", "Ruth", "A100200300", "1953"] {
                assert!(!text.contains(identifying), "{identifying} in {text}");
            }
        }
        let unknown = explain_case(&app.state.store, "PA-NOSUCH").await;
        assert!(unknown.is_err());
    }

    async fn a_shadow_version_is_stored_with_the_case_and_shown_to_no_one(app: &TestApp) {
        let ehr = app.ehr().await;
        let (request, hook) = (app.messages().oxygen_request(FORM, None, 88, "normal"), app.messages().order_sign_hook());
        let before = ehr.hook("order-sign-crd", &hook).await;
        add_shadow_version(app);
        let after = ehr.hook("order-sign-crd", &hook).await;
        assert_eq!(without_ids(&after.json(200)), without_ids(&before.json(200)));
        let stored_calls = "SELECT COUNT(*) FROM hook_call WHERE shadow LIKE '%2026.3%'";
        assert_eq!(app.number(stored_calls).await, 1);

        let reply = ehr.submit(&request).await;
        let answer = reply.json(200)["entry"][0]["resource"].clone();
        assert_eq!(review_actions(&answer), ["A1"]);
        assert!(!reply.text.contains("2026.3"));
        let stored = case(app, case_id(&answer)).await;
        let [shadow] = stored.items[0].shadow.as_slice() else {
            panic!("{} shadow verdicts", stored.items[0].shadow.len());
        };
        assert!(matches!(&shadow.source, VerdictSource::Policy { version, .. } if version == "2026.3"));
        assert!(matches!(shadow.decision, Decision::Pend(_)), "the shadow version is stricter");
        let page = app.staff("nora").await.get(&format!("/staff/cases/{}", stored.id)).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("2026.3"));
        app.run_jobs().await;
    }
}

/// Makes the shipped policies current, with a stricter version of the oxygen policy in the status shadow.
fn add_shadow_version(app: &TestApp) {
    let mut rules = read_folder(&app.state.config.rules).unwrap();
    let active = &rules.iter().find(|(path, _)| path == OXYGEN).unwrap().1;
    let header = [
        ("version: \"2026.2\"", "version: \"2026.3\""),
        ("status: active", "status: shadow"),
    ];
    let changes = STRICTER.map(|(_, from, to)| (from, to)).into_iter().chain(header);
    let shadow = changes.fold(active.clone(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    rules.push((OXYGEN.replace("2026.2", "2026.3"), shadow));
    rules.sort();
    app.state
        .make_current(PolicySet::load(&rules, &read_folder(&app.state.config.forms).unwrap()).unwrap());
}

/// A hook response without the ids that are different in every response.
fn without_ids(response: &Value) -> Value {
    let mut response = response.clone();
    for card in response["cards"].as_array_mut().unwrap() {
        card["uuid"] = Value::Null;
    }
    for action in response["systemActions"].as_array_mut().unwrap() {
        for information in action["resource"]["extension"].as_array_mut().unwrap() {
            let parts = information["extension"].as_array_mut().unwrap();
            parts.retain(|part| part["url"] != "coverage-assertion-id");
        }
    }
    response
}
