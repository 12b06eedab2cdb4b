//! The numbers and words that the shipped policies must have, grouped by how well they are confirmed: read in a text of
//! CMS, of a Medicare contractor or of the Code of Federal Regulations (`CONFIRMED`), or in texts that quote those
//! (`SECOND_HAND`). If a number is changed in a policy, one of these tests fails until it is changed here too.

use super::{active, policy, rules, verdict_of};
use crate::support::config;
use assent::app::read_folder;
use assent::rules::{CaseDocument, Decision, Outcome, TraceNode, Verdict, quantity_text, trace_text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// The tests of facts that a criterion must have, as the trace writes them, and parts of its text.
struct ExpectedCriterion {
    policy: &'static str,
    criterion: &'static str,
    tests: &'static [&'static str],
    words: &'static [&'static str],
}

const fn expected(
    policy: &'static str,
    criterion: &'static str,
    tests: &'static [&'static str],
    words: &'static [&'static str],
) -> ExpectedCriterion {
    ExpectedCriterion {
        policy,
        criterion,
        tests,
        words,
    }
}

const OXYGEN: &str = "dme.home-oxygen";
const PAP: &str = "dme.positive-airway-pressure";
const CHAIR: &str = "dme.power-wheelchair";
const SCOOTER: &str = "dme.power-operated-vehicle";
const SURFACE: &str = "dme.support-surfaces-group-2";
const PUMP: &str = "dme.pneumatic-compression";
const LEG: &str = "prosthetics.lower-limb";

const CONFIRMED: &[ExpectedCriterion] = &[
    expected(
        OXYGEN,
        "test-source",
        &[
            "test.ordered-by-treating equals true",
            "test.by-supplier equals false",
        ],
        &["treating practitioner", "not performed by the equipment supplier"],
    ),
    expected(OXYGEN, "qualifying", &[], &["Hypoxemia"]),
    expected(
        PAP,
        "index-15",
        &["index at_least 15", "minutes at_least 120"],
        &["15 or more events per hour"],
    ),
    expected(
        PAP,
        "index-5",
        &["index between 5 and 14"],
        &["5 to 14 events per hour"],
    ),
    expected(
        PAP,
        "severity",
        &["symptoms equals true", "illnesses equals true"],
        &["5 to 14 with a symptom or a related illness"],
    ),
    expected(
        PAP,
        "study-type",
        &[
            "study equals facility",
            "study equals home-type-2",
            "study equals home-type-3",
            "study equals home-type-4",
            "channels at_least 3",
        ],
        &["at least 3 channels"],
    ),
    expected(
        PAP,
        "scoring",
        &["scored-by-rule equals true"],
        &[
            "at least 10 seconds",
            "at least 30% less airflow",
            "at least 4% less oxygen saturation",
        ],
    ),
    expected(PAP, "adult", &["member.age at_least 18"], &[]),
];

const SECOND_HAND: &[ExpectedCriterion] = &[
    expected(
        OXYGEN,
        "group-1-rest",
        &["pao2.rest at_most \"55 mm[Hg]\"", "spo2.rest at_most \"88 %\""],
        &["55 mm Hg or less", "88% or less", "at rest", "room air"],
    ),
    expected(
        OXYGEN,
        "test-condition",
        &["test.condition equals rest-awake-room-air"],
        &[],
    ),
    expected(
        OXYGEN,
        "group-2",
        &[
            "pao2.rest between \"56 mm[Hg]\" and \"59 mm[Hg]\"",
            "spo2.rest between \"89 %\" and \"89 %\"",
            "edema equals true",
            "cor-pulmonale exists true",
            "hematocrit more_than \"56 %\"",
        ],
        &["56 to 59 mm Hg", "89%", "above 56%"],
    ),
    expected(
        PAP,
        "index-15",
        &["minutes less_than 120", "events at_least 30"],
        &["less than 2 hours were recorded, 30 or more"],
    ),
    expected(
        PAP,
        "index-5",
        &["minutes less_than 120", "events at_least 10"],
        &["10 or more"],
    ),
    expected(
        PAP,
        "symptom-or-illness",
        &[
            "hypertension exists true",
            "ischemic-heart exists true",
            "earlier-stroke exists true",
        ],
        &[
            "sleepiness",
            "cognition",
            "mood disorder",
            "insomnia",
            "hypertension",
            "ischemic heart disease",
            "stroke",
        ],
    ),
    expected(
        PAP,
        "evaluated-before-study",
        &["evaluated-first equals true"],
        &["In-person", "before the sleep study"],
    ),
    expected(
        PAP,
        "benefit",
        &[
            "reevaluation-day between 31 and 91",
            "nights-used at_least 21",
            "improved equals true",
        ],
        &[
            "day 31 and day 91",
            "at least 4 hours",
            "21 of 30 consecutive nights",
        ],
    ),
    expected(
        PAP,
        "device-fits",
        &[
            "device equals E0601",
            "device equals E0470",
            "single-level-failed equals true",
        ],
        &["only after a single-level device was tried and failed"],
    ),
    expected(
        CHAIR,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "eating", "dressing", "grooming", "bathing"],
    ),
    expected(
        CHAIR,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    expected(
        CHAIR,
        "operator",
        &["operator equals patient", "operator equals caregiver"],
        &["safely"],
    ),
    expected(
        CHAIR,
        "walking-aid",
        &["walking-aid equals false"],
        &["cane", "walker"],
    ),
    expected(CHAIR, "home", &["home-suits equals true"], &[]),
    expected(
        CHAIR,
        "manual-chair",
        &["self-propels equals false", "caregiver-pushes equals false"],
        &[],
    ),
    expected(
        CHAIR,
        "scooter",
        &["scooter equals posture", "scooter equals home"],
        &[],
    ),
    expected(CHAIR, "features", &["takes-part equals true"], &[]),
    expected(
        CHAIR,
        "group-3-cause",
        &[
            "cause equals neurological",
            "cause equals myopathy",
            "cause equals congenital-skeletal",
        ],
        &["Group 3"],
    ),
    expected(
        CHAIR,
        "one-power-option",
        &[
            "other-control equals true",
            "seating equals tilt",
            "seating equals recline",
        ],
        &["used"],
    ),
    expected(
        CHAIR,
        "several-power-options",
        &["seating equals tilt-and-recline", "ventilator equals true"],
        &["ventilator"],
    ),
    expected(
        CHAIR,
        "evaluations",
        &["face-to-face equals true", "specialist equals true"],
        &["In-person", "specialist"],
    ),
    expected(
        SCOOTER,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "bathing"],
    ),
    expected(
        SCOOTER,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    expected(SCOOTER, "walking-aid", &["walking-aid equals false"], &[]),
    expected(SCOOTER, "manual-chair", &["self-propels equals false"], &[]),
    expected(
        SCOOTER,
        "driver",
        &["gets-on-and-off equals true", "steers equals true"],
        &[],
    ),
    expected(SCOOTER, "home", &["home-suits equals true"], &[]),
    expected(
        SURFACE,
        "location",
        &["trunk-or-pelvis equals true"],
        &["trunk or pelvis"],
    ),
    expected(
        SURFACE,
        "stage-2-not-improving",
        &[
            "ulcers equals multiple-stage-2",
            "program-one-month equals true",
            "not-improving equals true",
        ],
        &["Multiple stage 2", "one month", "group 1 surface"],
    ),
    expected(
        SURFACE,
        "stage-3-or-4",
        &["ulcers equals large-or-multiple-stage-3-or-4"],
        &["Large or multiple stage 3 or stage 4"],
    ),
    expected(
        SURFACE,
        "flap-or-graft",
        &[
            "flap-date dated within \"60 days\" of \"received\"",
            "surface-before equals true",
            "discharge-date dated within \"30 days\" of \"received\"",
        ],
        &["60 days", "group 2 or 3", "30 days"],
    ),
    // A month that is approved on day 29 or earlier ends by day 60.
    expected(
        SURFACE,
        "flap-period",
        &["flap-date dated within \"29 days\" of \"received\""],
        &["within 60 days of surgery"],
    ),
    expected(
        LEG,
        "functional-level",
        &["level equals k3", "level equals k4"],
        &["level 3 or 4"],
    ),
    expected(
        LEG,
        "candidate",
        &["reaches-level equals true", "motivated equals true"],
        &["reasonable time"],
    ),
    expected(
        PUMP,
        "diagnosis",
        &[
            "diagnosis equals lymphedema",
            "diagnosis equals venous-insufficiency-with-ulcers",
        ],
        &["Lymphedema", "venous stasis ulcers"],
    ),
    expected(
        PUMP,
        "lymphedema-trial",
        &["diagnosis equals lymphedema", "trial-weeks at_least 4"],
        &["at least 4 weeks"],
    ),
];

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
    for row in CONFIRMED.iter().chain(SECOND_HAND) {
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
        ("orthotics.spinal", "60 days"),
        ("orthotics.lower-limb", "60 days"),
        ("outpatient.blepharoplasty", "120 days"),
        ("outpatient.botulinum-toxin", "120 days"),
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
            tests_of(&verdict, fact).contains(&(Outcome::Unknown, None)),
            "{}",
            trace_text(&verdict)
        );
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
        (PUMP, &["E0676", "E0652"]),
        (LEG, &["level 2 is pended and never approved by rule"]),
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
