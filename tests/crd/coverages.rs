//! Which Coverage answers: several copies of one membership, one that the order names, another payer's beside the
//! plan's, one without an id, and days outside of the coverage.

use super::messages::{
    call_order_sign, call_with_order, coverage, coverage_information, oxygen_and_mammography_call,
    oxygen_call, oxygen_with, reason, summary, values,
};
use crate::support::{Reply, both};
use assent::demo::seed::EHR;
use serde_json::{Value, json};

/// The plan's coverage of Ruth Ellery as the EHR has it, with more elements.
fn copy(id: &str, more: Value) -> Value {
    let mut copy = coverage();
    copy["id"] = json!(id);
    for (name, value) in more.as_object().unwrap() {
        copy[name] = value.clone();
    }
    copy
}

/// A Coverage of another payer.
fn other_payer(id: &str) -> Value {
    copy(
        id,
        json!({ "subscriberId": "9", "payor": [{ "identifier": { "value": "9" } }] }),
    )
}

fn with_coverages(call: &mut Value, coverages: &[Value]) {
    let entries: Vec<Value> = coverages.iter().map(|c| json!({ "resource": c })).collect();
    call["prefetch"]["coverage"] = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries });
}

/// The Coverage that the answer is about.
#[track_caller]
fn answered(reply: &Reply, order: &str) -> String {
    let coverage = values(&coverage_information(reply, order), "coverage");
    coverage[0]["reference"].as_str().unwrap().to_owned()
}

both! {
    async fn an_insured_member_is_covered_whatever_copies_the_ehr_has(app: &TestApp) {
        let ehr = app.ehr().await;
        let same = |id: &str| copy(id, json!({}));
        let cancelled = |id: &str| copy(id, json!({ "status": "cancelled" }));
        let ended = |id: &str| copy(id, json!({ "period": { "start": "2024-01-01", "end": "2025-12-31" } }));
        let old_number = |id: &str| copy(id, json!({ "subscriberId": "OLD-NUMBER" }));
        let primary_old = |id: &str| copy(id, json!({ "subscriberId": "OLD-NUMBER", "order": 1 }));
        for (coverages, insurance, answer) in [
            (vec![same("c1"), same("c2")], None, "Coverage/c1"),
            (vec![same("c1"), same("c2")], Some("Coverage/c2"), "Coverage/c2"),
            (vec![same("c1"), same("c2")], Some("https://ehr.example.org/fhir/Coverage/c2/_history/2"), "Coverage/c2"),
            (vec![cancelled("c1"), same("c2")], None, "Coverage/c2"),
            (vec![cancelled("c1"), same("c2")], Some("Coverage/c1"), "Coverage/c1"),
            (vec![cancelled("c1")], None, "Coverage/c1"),
            (vec![ended("c1"), same("c2")], None, "Coverage/c2"),
            (vec![old_number("c1"), same("c2")], None, "Coverage/c2"),
            (vec![old_number("c1"), same("c2")], Some("Coverage/c1"), "Coverage/c2"),
            (vec![primary_old("c1"), same("c2")], None, "Coverage/c2"),
            (vec![other_payer("c1"), same("c2")], None, "Coverage/c2"),
            (vec![other_payer("c1"), same("c2")], Some("Coverage/c1"), "Coverage/c2"),
            (vec![same("c1"), other_payer("c2"), same("c3")], Some("Coverage/c3"), "Coverage/c3"),
        ] {
            let mut order = json!({});
            if let Some(insurance) = insurance {
                order["insurance"] = json!([{ "reference": insurance }]);
            }
            let mut call = call_with_order(oxygen_with(order));
            with_coverages(&mut call, &coverages);
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(summary(&reply, "oxygen"), "covered auth-needed", "{coverages:?} {insurance:?}");
            assert_eq!(answered(&reply, "oxygen"), answer, "{coverages:?} {insurance:?}");
        }
    }

    async fn each_order_is_answered_for_the_coverage_that_it_names(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut call = oxygen_and_mammography_call();
        with_coverages(&mut call, &[copy("c1", json!({})), copy("c2", json!({}))]);
        for (n, id) in [(0, "Coverage/c2"), (1, "Coverage/c1")] {
            call["context"]["draftOrders"]["entry"][n]["resource"]["insurance"] = json!([{ "reference": id }]);
        }
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!(answered(&reply, "oxygen"), "Coverage/c2");
        assert_eq!(answered(&reply, "mammography"), "Coverage/c1");
    }

    async fn a_copy_without_payer_identifier_counts_where_the_client_may_leave_it_out(app: &TestApp) {
        let ehr = app.ehr().await;
        let bare = copy("c2", json!({ "payor": [{ "display": "Assent" }] }));
        let old = copy("c1", json!({ "subscriberId": "OLD-NUMBER" }));
        let call = oxygen_call(|call| with_coverages(call, &[old, bare]));
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!((summary(&reply, "oxygen").as_str(), answered(&reply, "oxygen").as_str()), ("covered auth-needed", "Coverage/c2"));
        app.change_client(EHR, |client| client.doc.payer_identifier_strict = true).await;
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!(summary(&reply, "oxygen"), "not-covered");
    }

    async fn a_copy_whose_payer_is_unknown_leaves_no_negative_answer(app: &TestApp) {
        let ehr = app.ehr().await;
        let old = copy("c1", json!({ "subscriberId": "OLD-NUMBER" }));
        let modified = copy("c2", json!({ "modifierExtension": [{ "url": "https://ehr.example.org/x", "valueBoolean": true }] }));
        let call = oxygen_call(|call| with_coverages(call, &[old, modified]));
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!((summary(&reply, "oxygen").as_str(), answered(&reply, "oxygen").as_str()), ("indeterminate", "Coverage/c2"));
    }

    async fn a_coverage_without_id_is_answered_as_what_it_is(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        let mut without_id = copy("x", json!({}));
        without_id.as_object_mut().unwrap().remove("id");
        let call = oxygen_call(|call| with_coverages(call, std::slice::from_ref(&without_id)));
        let reply = call_order_sign(&ehr, &call).await;
        assert_eq!(reply.places(400), ["prefetch.coverage.entry[0].resource.id"]);
        assert!(reply.text.contains("The Coverage has no id"), "{}", reply.text);
        assert_eq!(app.row_counts().await, before);
        let call = oxygen_call(|call| with_coverages(call, &[without_id.clone(), copy("c2", json!({}))]));
        assert_eq!(answered(&call_order_sign(&ehr, &call).await, "oxygen"), "Coverage/c2");
        let call = oxygen_call(|call| {
            with_coverages(call, &[without_id]);
            call["prefetch"]["coverage"]["entry"][0]["fullUrl"] = json!("https://ehr.example.org/fhir/Coverage/c7");
        });
        assert_eq!(answered(&call_order_sign(&ehr, &call).await, "oxygen"), "Coverage/c7");
    }

    async fn a_call_without_a_coverage_and_without_a_way_to_read_one_is_412(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for prefetch in [json!({}), json!({ "coverage": null }), json!({ "coverage": { "resourceType": "Bundle" } })] {
            let call = oxygen_call(|call| {
                call["prefetch"] = prefetch.clone();
                for name in ["fhirServer", "fhirAuthorization"] {
                    call.as_object_mut().unwrap().remove(name);
                }
            });
            assert_eq!(call_order_sign(&ehr, &call).await.places(412), ["prefetch.coverage"], "{prefetch}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn an_answer_depends_on_the_days_of_the_coverage(app: &TestApp) {
        let ehr = app.ehr().await;
        // Ruth Ellery's coverage began on 2025-01-01 and has no end; it ends for this test.
        app.sql("UPDATE coverage SET ends = '2026-12-31' WHERE subscriber_id = 'A100200300'").await;
        for (days, expected) in [
            (json!({ "occurrenceDateTime": "2026-12-31" }), "covered auth-needed"),
            (json!({ "occurrencePeriod": { "start": "2026-12-01", "end": "2026-12-31" } }), "covered auth-needed"),
            (json!({ "occurrenceDateTime": "2024-12-31" }), "not-covered"),
            (json!({ "occurrenceDateTime": "2027-01-01" }), "not-covered"),
            (json!({ "occurrencePeriod": { "start": "2026-12-01", "end": "2027-11-30" } }), "conditional auth-needed timeframe"),
            (json!({ "occurrencePeriod": { "start": "2024-12-01", "end": "2025-11-30" } }), "conditional auth-needed timeframe"),
            (json!({ "occurrenceDateTime": "2025" }), "covered auth-needed"),
            (json!({ "occurrenceTiming": { "event": ["2026-12-31", "2027-01-01"] } }), "conditional auth-needed timeframe"),
        ] {
            let reply = call_order_sign(&ehr, &call_with_order(oxygen_with(days.clone()))).await;
            assert_eq!(summary(&reply, "oxygen"), expected, "{days}");
            if expected.starts_with("conditional") {
                assert!(reason(&reply, "oxygen").contains("not active on all requested days"));
            }
        }
    }

    async fn the_answer_says_which_datum_matched_no_member(app: &TestApp) {
        let ehr = app.ehr().await;
        for (name, value, words) in [
            ("birthDate", json!("1954-03-14"), "birth date"),
            ("name", json!([{ "family": "Stranger" }]), "name"),
            ("gender", json!("male"), "gender"),
        ] {
            let call = oxygen_call(|call| call["prefetch"]["patient"][name] = value);
            let reply = call_order_sign(&ehr, &call).await;
            assert_eq!(summary(&reply, "oxygen"), "not-covered");
            let text = reason(&reply, "oxygen");
            assert!(text.contains(words), "{text}");
            for stored in ["1953", "Ellery"] {
                assert!(!text.contains(stored), "{text}");
            }
        }
    }
}
