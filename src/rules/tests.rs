//! The rule set as it is shipped: it loads, its embedded tests pass, items find their policy or row, and nothing
//! panics on any document.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// Every file below a folder.
pub(in crate::rules) fn files_below(folder: &Path) -> Vec<(String, String)> {
    fn walk(folder: &Path, below: &str, files: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), files);
            } else {
                files.push((name, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(folder, "", &mut files);
    files
}

/// Every file below `rules/`.
pub(in crate::rules) fn shipped_files() -> Vec<(String, String)> {
    files_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")))
}

/// The questions of a shipped form.
pub(in crate::rules) fn forms(form: &str) -> Option<Vec<String>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/questionnaires"));
    let (name, version) = form.split_once('|')?;
    let text = std::fs::read_to_string(folder.join(name).join(version).join("questionnaire.json")).ok()?;
    let mut open = vec![serde_json::from_str::<Value>(&text).ok()?];
    let mut ids = Vec::new();
    while let Some(item) = open.pop() {
        ids.extend(item["linkId"].as_str().map(str::to_owned));
        open.extend(item["item"].as_array().into_iter().flatten().cloned());
    }
    Some(ids)
}

/// The shipped rules.
pub(in crate::rules) fn shipped() -> RuleSet {
    RuleSet::load(&shipped_files(), &forms).unwrap_or_else(|findings| {
        let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", all.join("\n"))
    })
}

/// A fixture with one member changed.
pub(in crate::rules) fn fixture(name: &str, change: impl FnOnce(&mut Value)) -> CaseDocument {
    let path = format!("{}/rules/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut json);
    CaseDocument::from_json(json).unwrap()
}

fn with_code(system: &str, code: &str, line: &str) -> CaseDocument {
    fixture("oxygen", |json| {
        json["item"]["codes"] = json!([{ "system": system, "code": code }]);
        json["member"]["line"] = json!(line);
    })
}

#[test]
fn every_embedded_test_of_the_pack_passes_and_notices_every_mutant() {
    let rules = shipped();
    assert!(rules.policies().count() >= 10);
    for policy in rules.policies() {
        for report in rules.run_tests_of(policy) {
            assert!(
                report.passed(),
                "{}: {}: {:?}",
                report.policy,
                report.name,
                report.differences
            );
        }
        let living: Vec<Mutant> = rules
            .mutants(policy)
            .into_iter()
            .filter(|m| m.killed_by.is_none())
            .collect();
        assert_eq!(living, [], "{}", policy.file());
    }
}

#[test]
fn a_replay_gives_the_identical_verdict_and_trace_hash() {
    let rules = shipped();
    let first = rules.evaluate(&fixture("oxygen", |_| ()));
    let stored: Verdict = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    let document = CaseDocument::from_json(fixture("oxygen", |_| ()).as_json().clone()).unwrap();
    let again = shipped().evaluate(&document);
    assert_eq!(stored, again);
    assert!(first.trace_hash.starts_with("sha256:") && first.trace_hash.len() == 71);
    let other = rules.evaluate(&fixture("oxygen", |j| {
        j["res"]["Observation"][0]["valueQuantity"]["value"] = json!(88)
    }));
    assert_ne!(first.trace_hash, other.trace_hash);
}

#[test]
fn an_approval_grants_what_was_asked_for_the_policys_period() {
    let verdict = shipped().evaluate(&fixture("oxygen", |_| ()));
    let Decision::Approve(grant) = &verdict.decision else {
        panic!("{verdict:?}");
    };
    assert_eq!(grant.period.as_deref(), Some("12 months"));
    assert!(
        matches!(&verdict.source, Source::Policy { policy, version, .. } if policy == "dme.home-oxygen" && version == "2026.2")
    );
    assert_eq!(verdict.coverage.questionnaires, ["home-oxygen|1.0.0"]);
}

#[test]
fn the_trace_reads_as_text() {
    let text = readable(&shipped().evaluate(&fixture("oxygen", |_| ())));
    for line in [
        "    [unknown] member.transition-until = none (nothing found); wants on_or_after \"received\"\n",
        "coverage: auth-needed\n",
        "        first_known of:\n",
        "[met] spo2.rest = 87 % on 2026-09-24T09:30:00-04:00; wants at_most \"88 %\"  <- $['res']['Observation'][0]['valueQuantity']\n",
        "[not-met] cor-pulmonale = none (nothing found; missing counts as not met); wants exists true\n",
        "[met] months.asked = 12 mo; wants at_most \"12 mo\"  <- $['item']['quantity']\n",
        "decision: approve\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_list_row_that_needs_authorization_pends_to_its_queue() {
    let rules = shipped();
    for (system, code) in [(HCPCS, "33510"), ("http://www.ama-assn.org/go/cpt", "33510")] {
        let verdict = rules.evaluate(&with_code(system, code, "QHP"));
        assert!(
            matches!(&verdict.decision, Decision::Pend(p) if p.queue == "clinical-review"),
            "{code}: {verdict:?}"
        );
        assert_eq!(verdict.coverage.pa.as_deref(), Some("auth-needed"));
        assert_eq!(verdict.error, None);
    }
}

#[test]
fn a_code_without_a_row_is_answered_by_the_row_of_its_line() {
    let rules = shipped();
    for (code, line, answer) in [
        ("B4184", "MA", "covered-nutrition-supply"),
        ("99212", "CHIP", "no-authorization"),
        ("E1390", "QHP", "no-authorization"),
    ] {
        let verdict = rules.evaluate(&with_code(HCPCS, code, line));
        assert!(
            matches!(&verdict.decision, Decision::NotRequired { .. }),
            "{code} {verdict:?}"
        );
        assert!(
            matches!(&verdict.source, Source::List { answer: a, .. } if a == answer),
            "{code} {verdict:?}"
        );
    }
}

#[test]
fn an_item_without_a_billing_code_waits_in_intake() {
    let rules = shipped();
    for document in [
        with_code("http://snomed.info/sct", "426160001", "MA"),
        fixture("oxygen", |j| j["item"]["codes"] = json!([])),
        fixture("oxygen", |j| j["item"] = json!("nothing")),
    ] {
        let verdict = rules.evaluate(&document);
        assert_eq!(verdict.source, Source::NoBillingCode);
        assert_eq!(verdict.coverage.covered, "conditional");
        assert_eq!(verdict.coverage.info_needed, ["detail-code"]);
        assert!(matches!(&verdict.decision, Decision::Pend(p) if p.queue == "intake"));
    }
}

#[test]
fn a_line_that_no_row_speaks_for_pends_with_an_error() {
    let verdict = shipped().evaluate(&with_code(HCPCS, "99212", "VISION"));
    assert!(verdict.error.is_some());
    assert_eq!(verdict.coverage.covered, "indeterminate");
    assert!(matches!(&verdict.decision, Decision::Pend(p) if p.queue == "administrative"));
}

#[test]
fn of_several_codes_the_one_that_asks_for_something_wins() {
    let rules = shipped();
    let several = |codes: [&str; 2]| {
        fixture("oxygen", |j| {
            j["item"]["codes"] = codes
                .map(|c| json!({ "system": HCPCS, "code": c }))
                .into_iter()
                .collect();
        })
    };
    let verdict = rules.evaluate(&several(["B4184", "33510"]));
    assert!(matches!(&verdict.source, Source::List { answer, .. } if answer == "auth-needed-surgery"));
    let verdict = rules.evaluate(&several(["33510", "E1390"]));
    assert!(matches!(&verdict.source, Source::Policy { .. }));
}

#[test]
fn a_policy_answers_only_inside_its_window() {
    let verdict = shipped().evaluate(&fixture("oxygen", |j| {
        j["received"] = json!("2026-06-30T23:30:00Z")
    }));
    assert!(matches!(&verdict.source, Source::List { answer, .. } if answer == "no-authorization"));
    // The first day begins at midnight of the plan's zone.
    let edge = |received: &str| {
        fixture("oxygen", |j| {
            j["received"] = json!(received);
            j["zone"] = json!("America/New_York");
        })
    };
    assert!(matches!(
        shipped().evaluate(&edge("2026-07-01T03:59:59Z")).source,
        Source::List { .. }
    ));
    assert!(matches!(
        shipped().evaluate(&edge("2026-07-01T04:00:00Z")).source,
        Source::Policy { .. }
    ));
}

/// A request for oxygen equipment with these resources.
fn oxygen(resources: Vec<&Value>) -> CaseInput<'_> {
    CaseInput {
        kind: CaseKind::Pas,
        received: "2026-10-01T14:05:00Z".parse().unwrap(),
        zone: chrono_tz::America::New_York,
        priority: "normal",
        member: MemberFacts {
            line: "MA".into(),
            ..MemberFacts::default()
        },
        item: json!({ "codes": [{ "system": HCPCS, "code": "E1390" }] }),
        resources,
    }
}

#[test]
fn a_document_holds_the_answers_of_the_policys_forms() {
    let rules = shipped();
    let response = json!({ "resourceType": "QuestionnaireResponse", "status": "completed", "authored": "2026-10-01T10:00:00Z",
        "questionnaire": "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
        "item": [{ "linkId": "oxygen.dependent-edema", "answer": [{ "valueBoolean": true }] }] });
    let foreign = json!({ "resourceType": "QuestionnaireResponse", "status": "completed",
        "questionnaire": "http://elsewhere.example/Questionnaire/other|1.0.0",
        "item": [{ "linkId": "oxygen.test-condition", "answer": [{ "valueString": "exercise" }] }] });
    let bundle =
        json!({ "resourceType": "Bundle", "entry": [{ "resource": response }, { "resource": foreign }] });
    let document = rules.document(oxygen(vec![&bundle]));
    assert_eq!(
        document.as_json()["answers"],
        json!({ "oxygen.dependent-edema": [true] })
    );
    assert_eq!(document.as_json()["kind"], "pas");
    assert!(matches!(rules.evaluate(&document).source, Source::Policy { .. }));
}

#[test]
fn plans_and_denial_reasons_are_read() {
    let rules = shipped();
    let plan = rules.plan("H1234-001", "2026-10-01".parse().unwrap()).unwrap();
    assert_eq!(
        (plan.line.as_str(), plan.contract.as_str(), plan.zone),
        ("MA", "H1234", chrono_tz::America::New_York)
    );
    assert_eq!(rules.plan("H1234-001", "2020-01-01".parse().unwrap()), None);
    assert!(
        rules
            .denial_reasons()
            .iter()
            .any(|r| r.code == "0F" && r.carc == "50")
    );
}

/// Any JSON, with the names and values that rules look for sprinkled in.
pub(in crate::rules) fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "",
        "E1390",
        HCPCS,
        "http://loinc.org",
        "59408-5",
        "2703-7",
        "final",
        "%",
        "mm[Hg]",
        "mo",
        "active",
        "2026",
        "2026-09",
        "2026-09-24",
        "2026-09-24T09:30:00-04:00",
        "9999-12-31",
        "rest-awake-room-air",
        "MA",
        "OH",
        "'",
        "é€😀",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "code",
        "coding",
        "system",
        "status",
        "valueQuantity",
        "value",
        "unit",
        "effectiveDateTime",
        "clinicalStatus",
        "codes",
        "quantity",
        "period",
        "start",
        "end",
        "line",
        "state",
        "transition_until",
        "Observation",
        "Condition",
        "comparator",
        "oxygen.test-condition",
        "oxygen.dependent-edema",
        "resourceType",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_document_makes_a_rule_panic(
        member in any_json(), item in any_json(), res in any_json(), answers in any_json(), observations in any_json(),
        whole in 0..4_u8,
    ) {
        thread_local!(static RULES: RuleSet = shipped());
        let mut json = json!({ "received": "2026-10-01T14:05:00Z", "zone": "America/New_York",
            "member": member, "item": item, "res": res, "answers": answers });
        if whole > 0 {
            json["member"] = json!({ "line": "MA" });
            json["item"] = json!({ "codes": [{ "system": HCPCS, "code": "E1390" }] });
        }
        if whole > 1 {
            json["res"] = json!({ "Observation": observations, "Condition": res });
        }
        let document = CaseDocument::from_json(json).unwrap();
        RULES.with(|rules| {
            let verdict = rules.evaluate(&document);
            assert_eq!(verdict, rules.evaluate(&document));
            assert!(!readable(&verdict).is_empty());
            let text = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
        });
    }

    #[test]
    fn no_order_or_claim_makes_the_item_panic(claim in any_json(), item in any_json()) {
        prop_assert!(item_of_claim(&claim, &item).is_object());
        prop_assert!(item_of_order(&item).is_object());
    }
}

/// The small set of the checks' tests, with one file changed and put under another name.
fn with_another(file: &str, name: &str, changes: &[(&str, &str)]) -> RuleSet {
    let mut files = files_below(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/rules/load/check/mistakes/base"
    )));
    let mut text = files.iter().find(|(f, _)| f == file).unwrap().1.clone();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    files.retain(|(f, _)| f != name);
    files.push((name.to_owned(), text));
    let forms = |form: &str| {
        form.starts_with("oxygen|")
            .then(|| vec!["oxygen.edema".to_owned(), "oxygen.flow".to_owned()])
    };
    RuleSet::load(&files, &forms).unwrap_or_else(|findings| panic!("{findings:?}"))
}

const SMALL: &str = "policies/dme/oxygen/1.yaml";

/// A shadow version that asks by another form.
fn with_shadow() -> RuleSet {
    let changes = [
        ("version: \"1\"", "version: \"2\""),
        ("status: active", "status: shadow"),
        ("oxygen|1", "oxygen|2"),
        ("at_most: \"88 %\"", "at_most: \"87 %\""),
    ];
    with_another(SMALL, "policies/dme/oxygen/2.yaml", &changes)
}

/// The file of the policy that answers for E1390 in a line and state, on a day of receipt, for a service that begins.
fn answering(rules: &RuleSet, state: Option<&str>, begins: &str) -> Option<String> {
    let document = CaseDocument::from_json(json!({ "received": "2026-10-01T12:00:00Z",
        "member": { "line": "MA", "state": state },
        "item": { "codes": [{ "system": HCPCS, "code": "E1390" }], "period": { "start": begins } } }))
    .unwrap();
    rules.policy_for(&document).map(|p| p.file().to_owned())
}

#[test]
fn a_version_is_picked_by_the_day_that_it_names() {
    let same_file = [(
        "basis: received, from: 2026-07-01",
        "basis: service-start, from: 2026-11-01",
    )];
    let rules = with_another(SMALL, SMALL, &same_file);
    assert_eq!(answering(&rules, None, "2026-11-01").as_deref(), Some(SMALL));
    assert_eq!(answering(&rules, None, "2026-10-31"), None);
    let by_receipt = with_another(SMALL, SMALL, &[]);
    assert_eq!(answering(&by_receipt, None, "2026-01-01").as_deref(), Some(SMALL));
}

#[test]
fn a_named_state_goes_before_any() {
    let ohio = "policies/dme/oxygen/2.yaml";
    let rules = with_another(
        SMALL,
        ohio,
        &[
            ("version: \"1\"", "version: \"2\""),
            ("states: [any]", "states: [OH]"),
        ],
    );
    assert_eq!(answering(&rules, Some("OH"), "2026-10-01").as_deref(), Some(ohio));
    assert_eq!(
        answering(&rules, Some("NY"), "2026-10-01").as_deref(),
        Some(SMALL)
    );
    assert_eq!(answering(&rules, None, "2026-10-01").as_deref(), Some(SMALL));
}

#[test]
fn a_shadow_version_is_evaluated_beside_and_neither_reads_the_others_form() {
    let rules = with_shadow();
    let says = |version: u32, edema: bool| {
        json!({ "resourceType": "QuestionnaireResponse", "status": "completed",
            "questionnaire": format!("https://plan.example/Questionnaire/oxygen|{version}"),
            "item": [{ "linkId": "oxygen.edema", "answer": [{ "valueBoolean": edema }] }] })
    };
    let (first, second) = (says(1, true), says(2, false));
    let document = rules.document(oxygen(vec![&first, &second]));
    let edema = |verdict: &Verdict| {
        let text = readable(verdict);
        text.lines()
            .find(|l| l.contains("edema"))
            .map(|l| l.trim().to_owned())
            .unwrap()
    };
    assert!(edema(&rules.evaluate(&document)).contains("edema = true"));
    let shadows = rules.shadows(&document);
    assert!(
        matches!(&shadows[..], [Verdict { source: Source::Policy { version, .. }, .. }] if version == "2"),
        "{shadows:?}"
    );
    assert!(edema(&shadows[0]).contains("edema = false"));
}

#[test]
fn a_code_goes_before_a_range_and_a_range_finds_its_policy() {
    let rules = with_shadow();
    let of = |code: &str| {
        let document = CaseDocument::from_json(json!({ "received": "2026-10-01T12:00:00Z",
            "member": { "line": "MA" }, "item": { "codes": [{ "system": HCPCS, "code": code }] } }))
        .unwrap();
        rules.policy_for(&document).map(|p| p.name().to_owned())
    };
    assert_eq!(of("K0738").as_deref(), Some("dme.oxygen"));
    assert_eq!(of("K0739").as_deref(), Some("dme.oxygen"));
    assert_eq!(of("K0740"), None);
    assert_eq!(of("A4617"), None, "a row of its own and no policy");
}

#[test]
fn an_evaluator_that_breaks_down_pends_the_case() {
    let rules = shipped();
    let policy = rules.policies().next().unwrap();
    let verdict = evaluate::broken(policy);
    assert!(verdict.error.is_some() && verdict.trace.is_empty());
    assert!(
        matches!(verdict.decision, Decision::Pend(p) if p.queue == policy.queue() && p.reason == "evaluation-error")
    );
    assert_eq!(verdict.coverage.covered, "indeterminate");
}

#[test]
fn the_answer_of_a_row_stands_in_while_its_policy_has_no_version() {
    let changes = [("from: 2026-07-01", "from: 2026-12-01")];
    let rules = with_another(SMALL, SMALL, &changes);
    let document = CaseDocument::from_json(json!({ "received": "2026-10-01T12:00:00Z",
        "member": { "line": "MA" }, "item": { "codes": [{ "system": HCPCS, "code": "E1390" }] } }))
    .unwrap();
    let verdict = rules.evaluate(&document);
    assert!(matches!(&verdict.source, Source::List { answer, .. } if answer == "equipment"));
    assert!(
        matches!(&verdict.decision, Decision::Pend(p) if p.reason == "clinical-review"),
        "{verdict:?}"
    );
    assert_eq!(verdict.error, None);
}
