//! Stored cases, run again: under their own set they come out as they were, under another they may not.

use crate::pas::{FORM, case, case_id, reference_number};
use crate::support::{altered_policies, both, evaluate_again};
use assent::cli::policy::explain::of_case;
use assent::cli::policy::pinned::pinned;
use assent::pas::stored;
use assent::rules::{Decision, Source};

/// A change of the oxygen policy that its own tests do not notice.
pub const STRICTER: (&str, &str, &str) = (
    "policies/dme/home-oxygen/2026.2.yaml",
    "{ fact: spo2.rest, at_most: \"88 %\" }",
    "{ fact: spo2.rest, at_most: \"87 %\" }",
);

both! {
    async fn a_case_comes_out_again_under_its_own_set_and_otherwise_under_another(app: &TestApp) {
        let ehr = app.ehr().await;
        let id = case_id(&ehr.submitted(&app.run().oxygen(FORM, None, 88, "normal")).await);
        ehr.submitted(&app.run().home_care()).await;
        app.run_jobs().await;
        app.state.publish(altered_policies(&app.state.config, &[STRICTER]));
        let before = case(app, id).await;
        let published = app.state.published();
        assert_ne!(before.received.rules, published.rules.hash());
        let text = app.state.store.read(id, |tx, id| Box::pin(async move { tx.stored_case(*id).await }));
        let (_, text) = text.await.unwrap();
        let own = pinned(&app.state.store, &before.received.rules, &published.forms).await.unwrap().unwrap();
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
        app.state.publish(altered_policies(&app.state.config, &[STRICTER]));
        let number = reference_number(&answer);
        for named in [case_id(&answer).to_string(), number] {
            let explained = of_case(&app.state.store, &app.state.published(), &named).await.unwrap();
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
        let unknown = of_case(&app.state.store, &app.state.published(), "PA-NOSUCH").await;
        assert!(unknown.is_err());
    }
}
