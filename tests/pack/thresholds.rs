//! The numbers that the shipped policies must hold, each beside the policy that holds it, and apart by how sure they
//! are: read in a text of CMS, of a contractor or of the federal code (`CONFIRMED`), or in texts that quote those
//! (`SECOND_HAND`). A number that leaves its policy turns one of these tests red. To move one, change it here first.

use super::{active, policy, rules, verdict_of};
use crate::support::config;
use assent::app::files;
use assent::rules::{CaseDocument, Decision, TraceNode, readable};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// What one criterion must want of which facts, as the trace writes it, and words of its sentence.
struct Holds {
    policy: &'static str,
    criterion: &'static str,
    wants: &'static [&'static str],
    words: &'static [&'static str],
}

const fn holds(
    policy: &'static str,
    criterion: &'static str,
    wants: &'static [&'static str],
    words: &'static [&'static str],
) -> Holds {
    Holds {
        policy,
        criterion,
        wants,
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

const CONFIRMED: &[Holds] = &[
    holds(
        OXYGEN,
        "test-source",
        &[
            "test.ordered-by-treating equals true",
            "test.by-supplier equals false",
        ],
        &["treating practitioner", "not performed by the equipment supplier"],
    ),
    holds(OXYGEN, "qualifying", &[], &["Hypoxemia"]),
    holds(
        PAP,
        "index-15",
        &["index at_least 15", "minutes at_least 120"],
        &["15 or more events in an hour"],
    ),
    holds(
        PAP,
        "index-5",
        &["index between 5 and 14"],
        &["5 to 14 events in an hour"],
    ),
    holds(
        PAP,
        "severity",
        &["symptoms equals true", "illnesses equals true"],
        &["5 to 14 with a symptom or an illness"],
    ),
    holds(
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
    holds(
        PAP,
        "scoring",
        &["scored-by-rule equals true"],
        &[
            "at least 10 seconds",
            "at least 30% less airflow",
            "at least 4% less saturation",
        ],
    ),
    holds(PAP, "adult", &["member.age at_least 18"], &[]),
];

const SECOND_HAND: &[Holds] = &[
    holds(
        OXYGEN,
        "group-1-rest",
        &["pao2.rest at_most \"55 mm[Hg]\"", "spo2.rest at_most \"88 %\""],
        &["55 mm Hg or less", "88% or less", "at rest", "room air"],
    ),
    holds(
        OXYGEN,
        "test-condition",
        &["test.condition equals rest-awake-room-air"],
        &[],
    ),
    holds(
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
    holds(
        PAP,
        "index-15",
        &["minutes less_than 120", "events at_least 30"],
        &["less than 2 hours recorded, 30 or more"],
    ),
    holds(
        PAP,
        "index-5",
        &["minutes less_than 120", "events at_least 10"],
        &["10 or more"],
    ),
    holds(
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
            "high blood pressure",
            "ischemic heart disease",
            "stroke",
        ],
    ),
    holds(
        PAP,
        "evaluated-before-study",
        &["evaluated-first equals true"],
        &["in person", "before the sleep study"],
    ),
    holds(
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
            "21 of 30 nights in a row",
        ],
    ),
    holds(
        PAP,
        "device-fits",
        &[
            "device equals E0601",
            "device equals E0470",
            "single-level-failed equals true",
        ],
        &["only after a single-level device was tried and failed"],
    ),
    holds(
        CHAIR,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "eating", "dressing", "grooming", "bathing"],
    ),
    holds(
        CHAIR,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    holds(
        CHAIR,
        "operator",
        &["operator equals patient", "operator equals caregiver"],
        &["safely"],
    ),
    holds(
        CHAIR,
        "walking-aid",
        &["walking-aid equals false"],
        &["cane", "walker"],
    ),
    holds(CHAIR, "home", &["home-suits equals true"], &[]),
    holds(
        CHAIR,
        "manual-chair",
        &["self-propels equals false", "caregiver-pushes equals false"],
        &[],
    ),
    holds(
        CHAIR,
        "scooter",
        &["scooter equals posture", "scooter equals home"],
        &[],
    ),
    holds(CHAIR, "features", &["takes-part equals true"], &[]),
    holds(
        CHAIR,
        "group-3-cause",
        &[
            "cause equals neurological",
            "cause equals myopathy",
            "cause equals congenital-skeletal",
        ],
        &["Group 3"],
    ),
    holds(
        CHAIR,
        "one-power-option",
        &[
            "other-control equals true",
            "seating equals tilt",
            "seating equals recline",
        ],
        &["used"],
    ),
    holds(
        CHAIR,
        "several-power-options",
        &["seating equals tilt-and-recline", "ventilator equals true"],
        &["ventilator"],
    ),
    holds(
        CHAIR,
        "evaluations",
        &["face-to-face equals true", "specialist equals true"],
        &["in person", "specialist"],
    ),
    holds(
        SCOOTER,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "bathing"],
    ),
    holds(
        SCOOTER,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    holds(SCOOTER, "walking-aid", &["walking-aid equals false"], &[]),
    holds(SCOOTER, "manual-chair", &["self-propels equals false"], &[]),
    holds(
        SCOOTER,
        "driver",
        &["gets-on-and-off equals true", "steers equals true"],
        &[],
    ),
    holds(SCOOTER, "home", &["home-suits equals true"], &[]),
    holds(
        SURFACE,
        "location",
        &["trunk-or-pelvis equals true"],
        &["trunk or pelvis"],
    ),
    holds(
        SURFACE,
        "stage-2-not-improving",
        &[
            "ulcers equals multiple-stage-2",
            "program-one-month equals true",
            "not-improving equals true",
        ],
        &["Multiple stage 2", "a month", "group 1 surface"],
    ),
    holds(
        SURFACE,
        "stage-3-or-4",
        &["ulcers equals large-or-multiple-stage-3-or-4"],
        &["Large or multiple stage 3 or stage 4"],
    ),
    holds(
        SURFACE,
        "flap-or-graft",
        &[
            "flap-date dated within \"60 days\" of \"received\"",
            "surface-before equals true",
            "discharge-date dated within \"30 days\" of \"received\"",
        ],
        &["60 days", "group 2 or 3", "30 days"],
    ),
    // A month granted on day 29 or before ends by day 60.
    holds(
        SURFACE,
        "flap-period",
        &["flap-date dated within \"29 days\" of \"received\""],
        &["within 60 days of surgery"],
    ),
    holds(
        LEG,
        "functional-level",
        &["level equals k3", "level equals k4"],
        &["level 3 or 4"],
    ),
    holds(
        LEG,
        "candidate",
        &["reaches-level equals true", "motivated equals true"],
        &["reasonable time"],
    ),
    holds(
        PUMP,
        "diagnosis",
        &[
            "diagnosis equals lymphedema",
            "diagnosis equals venous-insufficiency-with-ulcers",
        ],
        &["Lymphedema", "venous stasis ulcers"],
    ),
    holds(
        PUMP,
        "lymphedema-trial",
        &["diagnosis equals lymphedema", "trial-weeks at_least 4"],
        &["four weeks"],
    ),
];

/// What the policies of these sections want, by policy and criterion, from the traces of the fixtures. A trace shows
/// every branch, also those that do not decide.
fn wanted_by() -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut wanted = BTreeMap::new();
    for (name, document) in fixtures() {
        let policy = rules()
            .policy_for(&document)
            .unwrap_or_else(|| panic!("{name}: no policy"));
        let verdict = rules().evaluate(&document);
        for node in &verdict.trace {
            gather(policy.name(), node, &mut wanted);
        }
    }
    wanted
}

fn fixtures() -> Vec<(String, CaseDocument)> {
    let shipped = files(&config(&TempDir::new().unwrap()).rules).unwrap();
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

fn gather(policy: &str, node: &TraceNode, wanted: &mut BTreeMap<(String, String), BTreeSet<String>>) {
    if let Some(criterion) = &node.criterion {
        let leaves = wanted.entry((policy.to_owned(), criterion.clone())).or_default();
        leaves_below(node, leaves);
    }
    node.of.iter().for_each(|below| gather(policy, below, wanted));
}

fn leaves_below(node: &TraceNode, leaves: &mut BTreeSet<String>) {
    leaves.extend(
        node.leaf
            .iter()
            .map(|leaf| format!("{} {}", leaf.fact, leaf.wants)),
    );
    node.of.iter().for_each(|below| leaves_below(below, leaves));
}

/// What the policies do not hold of a table.
fn missing(table: &[Holds]) -> Vec<String> {
    let wanted = wanted_by();
    let mut missing = Vec::new();
    for row in table {
        let (name, criterion) = (row.policy, row.criterion);
        let texts = policy(name).criteria().find(|(own, ..)| *own == criterion);
        let Some((_, text, _)) = texts else {
            missing.push(format!("{name} has no criterion {criterion}"));
            continue;
        };
        let own = &wanted[&(name.to_owned(), criterion.to_owned())];
        let lost = row.wants.iter().filter(|wants| !own.contains(**wants));
        missing.extend(
            lost.map(|wants| format!("{name} {criterion} no longer wants: {wants}; it wants {own:?}")),
        );
        let unsaid = row.words.iter().filter(|words| !text.contains(**words));
        missing.extend(
            unsaid.map(|words| format!("{name} {criterion} no longer says: {words}; it says: {text}")),
        );
    }
    missing
}

#[test]
fn what_is_confirmed_stands_in_the_criteria() {
    assert_eq!(missing(CONFIRMED), [""; 0]);
}

#[test]
fn what_is_known_at_second_hand_stands_in_the_criteria() {
    assert_eq!(missing(SECOND_HAND), [""; 0]);
}

#[test]
fn a_number_that_disappears_is_noticed() {
    let moved = [
        holds(OXYGEN, "group-1-rest", &["spo2.rest at_most \"89 %\""], &[]),
        holds(OXYGEN, "group-1-rest", &[], &["89% or less"]),
        holds(OXYGEN, "group-9", &[], &[]),
    ];
    assert_eq!(missing(&moved).len(), 3);
}

#[test]
fn every_criterion_of_the_tables_is_part_of_what_approves() {
    let wanted = wanted_by();
    for row in CONFIRMED.iter().chain(SECOND_HAND) {
        assert!(
            wanted.contains_key(&(row.policy.to_owned(), row.criterion.to_owned())),
            "{}",
            row.criterion
        );
    }
}

#[test]
fn grants_are_as_long_as_decisions_hold() {
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
    let mut granted = BTreeMap::new();
    for (_, document) in fixtures() {
        let Decision::Approve(grant) = rules().evaluate(&document).decision else {
            continue;
        };
        granted.insert(
            rules().policy_for(&document).unwrap().name(),
            grant.period.unwrap(),
        );
    }
    for (name, period) in periods {
        assert_eq!(granted[name], period, "{name}");
    }
}

#[test]
fn limits_of_a_first_period_are_told_with_the_coverage() {
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
    let (days, unit, who) = limit("E1390");
    assert_eq!((days, unit), (json!(90), json!("d")));
    assert!(who.contains("neither group I nor group II"), "{who}");
    let (weeks, unit, _) = limit("E0601");
    assert_eq!((weeks, unit), (json!(12), json!("wk")));
}

#[test]
fn the_codes_of_results_that_the_published_logic_reads_are_read_here() {
    let observed = |loinc: &str, value: u32, unit: &str| {
        let document = fixture("oxygen", |json| {
            let result = &mut json["res"]["Observation"][0];
            result["code"]["coding"][0]["code"] = json!(loinc);
            result["valueQuantity"] =
                json!({ "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit });
        });
        readable(&rules().evaluate(&document))
    };
    for (loinc, value, unit, fact) in [
        ("59408-5", 88, "%", "spo2.rest"),
        ("2703-7", 55, "mm[Hg]", "pao2.rest"),
    ] {
        let trace = observed(loinc, value, unit);
        assert!(
            trace.contains(&format!("[met] {fact} = {value} {unit}")),
            "{trace}"
        );
        let trace = observed("99999-0", value, unit);
        assert!(trace.contains(&format!("[unknown] {fact} = none")), "{trace}");
    }
}

/// What no question of a form can settle is named at the head of the policy, and a nurse decides.
#[test]
fn what_is_left_to_a_nurse_is_named_in_the_file() {
    let left: &[(&str, &[&str])] = &[
        (
            OXYGEN,
            &[
                "asleep",
                "more than 10 mm Hg",
                "more than 5%",
                "5 minutes in 2 hours",
                "exercise",
                "three readings",
                "2 days before discharge",
                "90 days",
                "blood gas that outranks oximetry",
                "angina",
                "terminal illness",
            ],
        ),
        (PUMP, &["E0676", "E0652"]),
        (LEG, &["level 2 goes to a person"]),
    ];
    let shipped = files(&config(&TempDir::new().unwrap()).rules).unwrap();
    for (name, words) in left {
        let file = policy(name).file();
        let text = &shipped.iter().find(|(path, _)| path == file).unwrap().1;
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let head = head
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        for word in *words {
            assert!(
                head.contains(&word.to_lowercase()),
                "{name} no longer says: {word}"
            );
        }
    }
    for (asked, answer) in [
        ("oxygen.test-condition", "sleep"),
        ("oxygen.test-condition", "exercise"),
    ] {
        let document = fixture("oxygen", |json| json["answers"][asked] = json!([answer]));
        let verdict = rules().evaluate(&document);
        let Decision::Pend(pend) = verdict.decision else {
            panic!("{answer} is approved")
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
fn the_revisions_that_were_read_are_cited() {
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
fn every_source_is_a_page_and_every_citation_names_a_source() {
    for policy in active() {
        for source in policy.sources() {
            let page = url::Url::parse(&source.url).unwrap();
            assert!(
                page.path().len() > 1,
                "{}: {page} is a site and no page",
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
