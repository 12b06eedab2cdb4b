//! The shipped policies have the numbers and words of the tables in `numbers`, the periods, sources and headers that are
//! expected, and evidence that contradicts itself never approves.

use super::numbers::{
    BACK_BRACE, BED, CHAIR, CONFIRMED, ExpectedCriterion, LEG, LEG_BRACE, OXYGEN, PAP, PLANS_OWN, PUMP,
    SCOOTER, SECOND_HAND, SURFACE, TOXIN, expected,
};
use super::{active, policy, rules, verdict_of};
use crate::support::config;
use assent::app::read_folder;
use assent::rules::{CaseDocument, Decision, Outcome, TraceNode, Verdict, quantity_text, trace_text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// The tests of facts in the shipped policies, by policy and criterion, from the traces of the fixtures. A trace has
/// all branches, including those that did not decide.
fn tests_by_criterion() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut tests = BTreeMap::new();
    for (name, document) in fixtures() {
        let policy = rules()
            .policy_for(&document)
            .unwrap_or_else(|| panic!("{name}: no policy"));
        let verdict = rules().evaluate(&document);
        for node in &verdict.trace {
            add_tests(policy.name(), node, &mut tests);
        }
    }
    tests
}

fn fixtures() -> Vec<(String, CaseDocument)> {
    let shipped = read_folder(&config(&TempDir::new().unwrap()).rules).unwrap();
    let read = |text: &str| CaseDocument::from_json(serde_json::from_str(text).unwrap()).unwrap();
    shipped
        .iter()
        .filter(|(path, _)| path.starts_with("fixtures/"))
        .map(|(path, text)| (path.clone(), read(text)))
        .collect()
}

fn fixture(name: &str, change: impl FnOnce(&mut Value)) -> CaseDocument {
    let (_, document) = fixtures()
        .into_iter()
        .find(|(path, _)| *path == format!("fixtures/{name}.json"))
        .unwrap();
    let mut json = document.as_json().clone();
    change(&mut json);
    CaseDocument::from_json(json).unwrap()
}

fn add_tests(policy: &str, node: &TraceNode, tests: &mut BTreeMap<(String, String), BTreeSet<String>>) {
    if let Some(criterion) = &node.criterion {
        let of_criterion = tests.entry((policy.to_owned(), criterion.clone())).or_default();
        add_tests_below(node, of_criterion);
    }
    node.of.iter().for_each(|below| add_tests(policy, below, tests));
}

fn add_tests_below(node: &TraceNode, tests: &mut BTreeSet<String>) {
    tests.extend(
        node.leaf
            .iter()
            .map(|leaf| format!("{} {}", leaf.fact, leaf.test)),
    );
    node.of.iter().for_each(|below| add_tests_below(below, tests));
}

/// What the policies lack of a table.
fn missing(table: &[ExpectedCriterion]) -> Vec<String> {
    let tests = tests_by_criterion();
    let mut missing = Vec::new();
    for row in table {
        let (name, criterion) = (row.policy, row.criterion);
        let texts = policy(name).criteria().find(|(own, ..)| *own == criterion);
        let Some((_, text, _)) = texts else {
            missing.push(format!("{name} has no criterion {criterion}"));
            continue;
        };
        let own = &tests[&(name.to_owned(), criterion.to_owned())];
        let missing_tests = row.tests.iter().filter(|test| !own.contains(**test));
        missing.extend(
            missing_tests
                .map(|test| format!("{name} {criterion} no longer has the test {test}; it has {own:?}")),
        );
        let missing_words = row.words.iter().filter(|words| !text.contains(**words));
        missing.extend(
            missing_words.map(|words| format!("{name} {criterion} no longer says: {words}; it says: {text}")),
        );
    }
    missing
}

#[test]
fn the_criteria_have_the_confirmed_numbers() {
    assert_eq!(missing(CONFIRMED), [""; 0]);
}

#[test]
fn the_criteria_have_the_numbers_from_secondary_sources() {
    assert_eq!(missing(SECOND_HAND), [""; 0]);
}

#[test]
fn the_criteria_have_the_plans_own_numbers() {
    assert_eq!(missing(PLANS_OWN), [""; 0]);
}

#[test]
fn a_missing_number_is_detected() {
    let changed = [
        expected(OXYGEN, "group-1-rest", &["spo2.rest at_most \"89 %\""], &[]),
        expected(OXYGEN, "group-1-rest", &[], &["89% or less"]),
        expected(OXYGEN, "group-9", &[], &[]),
    ];
    assert_eq!(missing(&changed).len(), 3);
}

#[test]
fn every_criterion_of_the_tables_is_evaluated() {
    let tests = tests_by_criterion();
    for row in CONFIRMED.iter().chain(SECOND_HAND).chain(PLANS_OWN) {
        assert!(
            tests.contains_key(&(row.policy.to_owned(), row.criterion.to_owned())),
            "{}",
            row.criterion
        );
    }
}

#[test]
fn approvals_are_valid_for_the_expected_periods() {
    let periods = [
        (OXYGEN, "12 months"),
        (PAP, "84 days"),
        (CHAIR, "6 months"),
        (SCOOTER, "6 months"),
        (SURFACE, "1 month"),
        (PUMP, "60 days"),
        (LEG, "120 days"),
        (BACK_BRACE, "60 days"),
        (LEG_BRACE, "60 days"),
        ("outpatient.blepharoplasty", "120 days"),
        (TOXIN, "120 days"),
    ];
    let mut periods_by_policy = BTreeMap::new();
    for (_, document) in fixtures() {
        let Decision::Approve(terms) = rules().evaluate(&document).decision else {
            continue;
        };
        periods_by_policy.insert(
            rules().policy_for(&document).unwrap().name(),
            terms.period.unwrap(),
        );
    }
    for (name, period) in periods {
        assert_eq!(periods_by_policy[name], period, "{name}");
    }
}

#[test]
fn the_coverage_answer_has_the_limit_of_the_first_period() {
    let limit = |code: &str| {
        let details = verdict_of(code, "2026-11-20").coverage.detail;
        let limit = details.into_iter().find(|d| d.code == "allowed-period").unwrap();
        let quantity = &limit.value["valueQuantity"];
        (
            quantity["value"].clone(),
            quantity["code"].clone(),
            limit.qualification.unwrap(),
        )
    };
    let (days, unit, qualification) = limit("E1390");
    assert_eq!((days, unit), (json!(90), json!("d")));
    assert!(
        qualification.contains("neither group I nor group II"),
        "{qualification}"
    );
    let (weeks, unit, _) = limit("E0601");
    assert_eq!((weeks, unit), (json!(12), json!("wk")));
}

#[test]
fn results_are_found_by_the_loinc_codes_of_the_published_logic() {
    let verdict_with = |loinc: &str, value: u32, unit: &str| {
        let document = fixture("oxygen", |json| {
            let result = &mut json["res"]["Observation"][0];
            result["code"]["coding"][0]["code"] = json!(loinc);
            result["valueQuantity"] =
                json!({ "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit });
        });
        rules().evaluate(&document)
    };
    for (loinc, value, unit, fact) in [
        ("59408-5", 88, "%", "spo2.rest"),
        ("2703-7", 55, "mm[Hg]", "pao2.rest"),
    ] {
        let text = quantity_text(&value.to_string(), Some(unit));
        let verdict = verdict_with(loinc, value, unit);
        assert!(
            tests_of(&verdict, fact).contains(&(Outcome::Met, Some(text))),
            "{}",
            trace_text(&verdict)
        );
        let verdict = verdict_with("99999-0", value, unit);
        assert!(
            tests_of(&verdict, fact).iter().all(|(_, found)| found.is_none()),
            "{}",
            trace_text(&verdict)
        );
        assert!(matches!(verdict.decision, Decision::Pend(_)));
    }
}

/// The outcome and the value of each test of one fact.
fn tests_of(verdict: &Verdict, fact: &str) -> Vec<(Outcome, Option<String>)> {
    let mut tests = Vec::new();
    let mut open: Vec<&TraceNode> = verdict.trace.iter().collect();
    while let Some(node) = open.pop() {
        let leaf = node.leaf.as_ref().filter(|leaf| leaf.fact == fact);
        tests.extend(leaf.map(|leaf| (node.outcome, leaf.found())));
        open.extend(&node.of);
    }
    tests
}

/// The header of a policy names what the form does not ask and a nurse must decide.
#[test]
fn the_header_of_a_policy_names_what_a_nurse_decides() {
    let decided_by_nurse: &[(&str, &[&str])] = &[
        (
            OXYGEN,
            &[
                "asleep",
                "more than 10 mm Hg",
                "more than 5%",
                "5 minutes at these values in 2 or more hours",
                "exercise",
                "three readings",
                "2 days before discharge",
                "90 days",
                "precedence of a blood gas over oximetry",
                "angina",
                "terminal illness",
            ],
        ),
        (
            PUMP,
            &[
                "E0676",
                "A52488",
                "retired on 2024-11-14",
                "E0652",
                "still planned",
            ],
        ),
        (
            LEG,
            &[
                "level 2 is pended and never approved by rule",
                "compatible foot",
                "since 2024-09-01",
            ],
        ),
        (
            LEG_BRACE,
            &[
                "recovery after a knee operation",
                "modifier ST",
                "L1844 and L1846",
            ],
        ),
        (BACK_BRACE, &["use during a stay in a hospital", "modifier ST"]),
        (BED, &["pillows and wedges only when the head must be raised"]),
        (
            TOXIN,
            &[
                "LCD L35170",
                "contractor that is responsible for the plan's members",
            ],
        ),
    ];
    let shipped = read_folder(&config(&TempDir::new().unwrap()).rules).unwrap();
    for (name, words) in decided_by_nurse {
        let file = policy(name).file();
        let text = &shipped.iter().find(|(path, _)| path == file).unwrap().1;
        let header: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let header = header
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        for word in *words {
            assert!(
                header.contains(&word.to_lowercase()),
                "{name} no longer says: {word}"
            );
        }
    }
    for (link_id, answer) in [
        ("oxygen.test-condition", "sleep"),
        ("oxygen.test-condition", "exercise"),
    ] {
        let document = fixture("oxygen", |json| json["answers"][link_id] = json!([answer]));
        let verdict = rules().evaluate(&document);
        let Decision::Pend(pend) = verdict.decision else {
            panic!("{answer} is approved by rule")
        };
        assert_eq!(pend.queue, "dme-nurse");
    }
    let document = fixture("lower-limb-prosthesis", |json| {
        json["answers"]["prosthesis.functional-level"] = json!(["k2"]);
    });
    assert!(
        matches!(rules().evaluate(&document).decision, Decision::Pend(_)),
        "level 2 is approved by rule"
    );
}

#[test]
fn the_sources_name_the_revisions_that_were_read() {
    for (name, cited) in [
        (OXYGEN, "NCD 240.2, version 2 (effective 2021-09-27)"),
        (CHAIR, "L33789, Power Mobility Devices (revision 2023-05-16)"),
        (SCOOTER, "L33789, Power Mobility Devices (revision 2023-05-16)"),
        (LEG, "L33787, Lower Limb Prostheses (revision 2024-09-01)"),
        (SURFACE, "L33642"),
        (PAP, "NCD 240.4"),
        (PUMP, "NCD 280.6"),
        (CHAIR, "42 CFR 414.234"),
        (CHAIR, "42 CFR 410.38(d)"),
        (SCOOTER, "42 CFR 410.38(d)"),
        (OXYGEN, "42 CFR 410.38(d)"),
    ] {
        let cites: Vec<&str> = policy(name)
            .sources()
            .iter()
            .map(|source| source.cite.as_str())
            .collect();
        assert!(cites.iter().any(|cite| cite.contains(cited)), "{name}: {cites:?}");
    }
}

#[test]
fn every_source_has_the_address_of_a_page_and_every_citation_names_a_source() {
    for policy in active() {
        for source in policy.sources() {
            let page = url::Url::parse(&source.url).unwrap();
            assert!(
                page.path().len() > 1,
                "{}: {page} is the address of a site and not of a page",
                policy.name()
            );
        }
        for (criterion, _, cite) in policy.criteria() {
            let source = cite.split(',').next().unwrap().split(';').next().unwrap();
            assert!(
                policy.sources().iter().any(|s| s.id == source),
                "{} {criterion}: {cite}",
                policy.name()
            );
        }
    }
}

#[test]
fn the_reasons_for_a_hospital_bed_are_in_section_a_and_the_description_in_section_b() {
    let cite = |name: &str| policy(BED).criteria().find(|(own, ..)| *own == name).unwrap().2;
    assert!(cite("need").starts_with("ncd, section A;"), "{}", cite("need"));
    assert_eq!(cite("described"), "ncd, section B");
}

/// The codes of a file of `rules/sets/`.
fn codes_of_set(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{}/rules/sets/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_power_wheelchair_and_vehicle_has_one_weight_class() {
    let classes = [
        ("hcpcs-power-mobility-300-lb.txt", 300, 301),
        ("hcpcs-power-mobility-450-lb.txt", 285, 451),
        ("hcpcs-power-mobility-600-lb.txt", 428, 601),
        ("hcpcs-power-wheelchair-above-600-lb.txt", 570, 569),
    ];
    let mut classified = BTreeSet::new();
    for (file, fits, does_not_fit) in classes {
        for code in codes_of_set(file) {
            let (name, link_id) = match rules().policy_for(&with_code("power-wheelchair", &code)) {
                Some(policy) if policy.name() == CHAIR => ("power-wheelchair", "pwc.weight"),
                _ => ("power-operated-vehicle", "pov.weight"),
            };
            for (weight, outcome) in [(fits, Outcome::Met), (does_not_fit, Outcome::NotMet)] {
                let mut json = with_code(name, &code).as_json().clone();
                json["answers"][link_id][0]["value"] = json!(weight);
                let verdict = rules().evaluate(&CaseDocument::from_json(json).unwrap());
                assert_eq!(verdict.criteria["weight"], outcome, "{code} with {weight} lb");
            }
            assert!(classified.insert(code.clone()), "{code} has two weight classes");
        }
    }
    assert_eq!(classified.len(), 46);
}

/// A fixture with another code of its item.
fn with_code(name: &str, code: &str) -> CaseDocument {
    fixture(name, |json| json["item"]["codes"][0]["code"] = json!(code))
}

#[test]
fn every_question_of_a_form_is_read_or_has_a_reason() {
    let warnings: Vec<String> = rules().warnings().iter().map(|w| w.message.clone()).collect();
    assert_eq!(warnings, [""; 0]);
}

/// What the form says differently from the chart or from the item leaves the fact unknown, and both values are shown.
#[test]
fn a_contradiction_is_never_approved_and_shows_both_values() {
    let icd = |code: &str| {
        json!([{ "resourceType": "Condition", "id": "dx", "clinicalStatus": { "coding": [{ "code": "active" }] },
            "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code }] } }])
    };
    let percent = |value: u32| json!([{ "value": value, "unit": "%", "code": "%" }]);
    let months = json!([{ "value": 6, "unit": "months", "code": "mo" }]);
    type Change = Box<dyn Fn(&mut Value)>;
    let answer = |link_id: &'static str, value: Value| -> Change {
        Box::new(move |json: &mut Value| json["answers"][link_id] = value.clone())
    };
    let chart = |code: &'static str| -> Change {
        let conditions = icd(code);
        Box::new(move |json: &mut Value| json["res"]["Condition"] = conditions.clone())
    };
    let contradictions: [(&str, &str, Change); 8] = [
        ("oxygen", "spo2.rest", answer("oxygen.spo2", percent(97))),
        (
            "oxygen",
            "oximetry.date",
            answer("oxygen.test-date", json!(["2026-09-20"])),
        ),
        ("oxygen", "months.asked", answer("oxygen.months", months)),
        ("pneumatic-compression", "diagnosis", chart("I83.012")),
        ("botulinum-toxin", "diagnosis", chart("G24.5")),
        ("lower-limb-prosthesis", "amputation", chart("Z89.512")),
        ("blepharoplasty", "excess-skin", {
            let (denied, chart) = (answer("eyelid.excess-skin", json!([false])), chart("H02.834"));
            Box::new(move |json: &mut Value| {
                denied(json);
                chart(json);
            })
        }),
        ("positive-airway-pressure", "illnesses", {
            let (index, chart) = (answer("pap.index", json!([9])), chart("I10"));
            Box::new(move |json: &mut Value| {
                index(json);
                chart(json);
            })
        }),
    ];
    for (name, fact, change) in contradictions {
        assert!(
            matches!(
                rules().evaluate(&fixture(name, |_| {})).decision,
                Decision::Approve(_)
            ),
            "{name}"
        );
        let verdict = rules().evaluate(&fixture(name, change));
        assert!(
            matches!(verdict.decision, Decision::Pend(_)),
            "{name}: {fact} is contradicted and approved"
        );
        let stated = stated_of(&verdict, fact);
        assert!(
            stated >= 2,
            "{name}: {fact} shows {stated} values\n{}",
            trace_text(&verdict)
        );
    }
}

/// How many values the trace shows for a fact that cannot be used.
fn stated_of(verdict: &Verdict, fact: &str) -> usize {
    let mut most = 0;
    let mut open: Vec<&TraceNode> = verdict.trace.iter().collect();
    while let Some(node) = open.pop() {
        let leaf = node.leaf.as_ref().filter(|leaf| leaf.fact == fact);
        most = most.max(leaf.map_or(0, |leaf| leaf.stated.len()));
        open.extend(&node.of);
    }
    most
}
