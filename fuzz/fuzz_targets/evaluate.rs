//! The bytes become a case document: the JSON itself, and the JSON as chart and answers of a case to which the policy of
//! the small set applies. Evaluating a document twice must give the same verdict.

#![no_main]

use assent::rules::{CaseDocument, RuleSet, trace_text};
use assent_fuzz::{files, load};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

static SET: LazyLock<RuleSet> = LazyLock::new(|| load(&files()).expect("the small set is valid"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    evaluate(value.clone());
    evaluate(json!({
        "received": "2026-10-01T12:00:00Z",
        "member": { "line_of_business": "MA" },
        "item": { "codes": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "res": value,
        "answers": value,
    }));
});

fn evaluate(document: Value) {
    let Ok(document) = CaseDocument::from_json(document) else {
        return;
    };
    let verdict = SET.evaluate(&document);
    assert_eq!(verdict, SET.evaluate(&document));
    assert!(trace_text(&verdict).contains("decision: "));
}
