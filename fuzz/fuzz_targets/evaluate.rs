//! The bytes become a case document: JSON as it stands, and the same JSON as chart and answers of a case that the small
//! set's policy answers for. Every verdict comes, and comes again.

#![no_main]

use assent::rules::{CaseDocument, RuleSet, readable};
use assent_fuzz::{files, load};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

static SET: LazyLock<RuleSet> = LazyLock::new(|| load(&files()).expect("the small set is sound"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    judge(value.clone());
    judge(json!({
        "received": "2026-10-01T12:00:00Z",
        "member": { "line": "MA" },
        "item": { "codes": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
        "res": value,
        "answers": value,
    }));
});

fn judge(document: Value) {
    let Ok(document) = CaseDocument::from_json(document) else {
        return;
    };
    let verdict = SET.evaluate(&document);
    assert_eq!(verdict, SET.evaluate(&document));
    assert!(readable(&verdict).contains("decision: "));
}
