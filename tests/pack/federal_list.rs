//! The federal list of equipment that needs authorization (42 CFR 414.234), code for code with how long a decision
//! holds, against what the rules answer and what the public list says; and that nothing else is asked for.

use super::{HCPCS, rules, verdict_of};
use assent::rules::{Decision, Source};
use std::collections::BTreeSet;

/// The day of most questions.
const TODAY: &str = "2026-11-20";
/// The first day of the codes that were added in 2026, and the day before.
const ADDED: &str = "2026-04-13";
const BEFORE: &str = "2026-04-12";

/// Codes, and how long a decision holds.
const LISTED: [(&str, &[&str]); 5] = [
    (
        "120 days",
        &["L5856", "L5857", "L5858", "L5973", "L5980", "L5987"],
    ),
    (
        "60 days",
        &[
            "L0648", "L0650", "L1832", "L1851", "L0631", "L0637", "L0639", "L1843", "L1845", "L1951",
        ],
    ),
    (
        "6 months",
        &[
            "K0800-K0802",
            "K0806-K0808",
            "K0813-K0816",
            "K0820-K0829",
            "K0835-K0843",
            "K0848-K0864",
        ],
    ),
    ("1 month", &["E0193", "E0277", "E0371", "E0372", "E0373"]),
    ("60 days", ADDED_IN_2026),
];

/// Braces and pumps that came in on 2026-04-13.
const ADDED_IN_2026: &[&str] = &["L0651", "L1844", "L1846", "L1852", "L1932", "E0651", "E0652"];

/// What the plan asks for on its own account.
const THE_PLANS_OWN: [&str; 8] = [
    "E0250", "E0251", "E0424", "E0439", "E0470", "E0601", "E1390", "E1391",
];

/// Accessories that the base's authorization covers.
const RIDING_ALONG: [&str; 16] = [
    "E0950",
    "E0955",
    "E1002-E1010",
    "E1012",
    "E1029",
    "E1030",
    "E2310-E2313",
    "E2321-E2330",
    "E2351",
    "E2373",
    "E2377",
    "E2601-E2608",
    "E2611-E2616",
    "E2620-E2625",
    "K0020",
    "K0195",
];

/// Every code of a range, or the one.
fn each(codes: &str) -> Vec<String> {
    let number = |code: &str| code[1..].parse::<u32>().unwrap();
    let (first, last) = codes.split_once('-').unwrap_or((codes, codes));
    (number(first)..=number(last))
        .map(|n| format!("{}{n:04}", &first[..1]))
        .collect()
}

fn all_listed() -> BTreeSet<String> {
    LISTED
        .iter()
        .flat_map(|(_, codes)| codes.iter())
        .flat_map(|codes| each(codes))
        .collect()
}

fn asked_for(code: &str, day: &str) -> bool {
    verdict_of(code, day).coverage.pa.as_deref() == Some("auth-needed")
}

#[test]
fn every_listed_code_needs_authorization_and_a_decision_holds_as_long_as_the_list_says() {
    for (holds, ranges) in LISTED {
        for code in ranges.iter().flat_map(|range| each(range)) {
            let verdict = verdict_of(&code, TODAY);
            assert_eq!(verdict.coverage.covered, "covered", "{code}");
            assert_eq!(verdict.coverage.pa.as_deref(), Some("auth-needed"), "{code}");
            assert_eq!(verdict.coverage.expires.as_deref(), Some(holds), "{code}");
            assert!(
                matches!(verdict.source, Source::Policy { .. }),
                "{code} has no criteria"
            );
            assert!(
                matches!(verdict.decision, Decision::Pend(_)),
                "{code} is decided without data"
            );
        }
    }
    assert_eq!(all_listed().len(), 6 + 10 + (3 + 3 + 4 + 10 + 9 + 17) + 5 + 7);
}

#[test]
fn codes_of_2026_are_asked_for_from_their_day_on() {
    for code in ADDED_IN_2026 {
        assert!(!asked_for(code, BEFORE), "{code} is asked for too early");
        assert!(asked_for(code, ADDED), "{code} is not asked for on its first day");
    }
    for code in all_listed()
        .iter()
        .filter(|code| !ADDED_IN_2026.contains(&code.as_str()))
    {
        assert!(asked_for(code, BEFORE), "{code} was on the list before");
    }
}

#[test]
fn until_the_policies_for_braces_answered_the_list_gave_the_same_days() {
    for code in LISTED[1].1 {
        let verdict = verdict_of(code, BEFORE);
        assert_eq!(verdict.coverage.expires.as_deref(), Some("60 days"), "{code}");
        assert!(matches!(verdict.source, Source::List { .. }), "{code}");
    }
}

#[test]
fn the_public_list_names_every_listed_code() {
    let list = rules().public_list(TODAY.parse().unwrap());
    for code in all_listed() {
        let rows = list.find(&code, Some("MA"));
        let row = rows.iter().find(|row| row.system == HCPCS && row.code != "*");
        let row = row.unwrap_or_else(|| panic!("{code} is not in the public list"));
        assert!(
            row.to.is_none() && !list.about(row).unwrap().forms.is_empty(),
            "{code}"
        );
    }
}

#[test]
fn no_other_equipment_brace_or_prosthesis_is_asked_for() {
    let families = ["E0100-E2699", "K0001-K0999", "L0100-L9999"];
    let came: BTreeSet<String> = families
        .iter()
        .flat_map(|range| each(range))
        .filter(|code| asked_for(code, TODAY))
        .collect();
    let mut wanted = all_listed();
    wanted.extend(THE_PLANS_OWN.map(str::to_owned));
    assert_eq!(came, wanted);
}

#[test]
fn accessories_and_suspended_or_removed_codes_need_none() {
    let others = ["E0747", "E0748", "E0760", "L1833"];
    for code in RIDING_ALONG.iter().chain(&others).flat_map(|range| each(range)) {
        let verdict = verdict_of(&code, TODAY);
        assert_eq!(verdict.coverage.covered, "covered", "{code}");
        assert_eq!(verdict.coverage.pa.as_deref(), Some("no-auth"), "{code}");
        let Source::List { file, .. } = &verdict.source else {
            panic!("{code}: {:?}", verdict.source)
        };
        assert!(
            file.contains("cms-required-prior-authorization"),
            "{code} has no row of its own: {file}"
        );
    }
}

#[test]
fn a_pump_against_clots_is_not_covered_and_a_person_says_so() {
    let verdict = verdict_of("E0676", TODAY);
    assert_eq!(verdict.coverage.covered, "not-covered");
    assert!(
        matches!(verdict.decision, Decision::Pend(_)),
        "{:?}",
        verdict.decision
    );
}
