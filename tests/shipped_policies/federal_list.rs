//! The federal list of equipment that needs prior authorization (42 CFR 414.234): each code, with how long a decision
//! is valid, compared with the answers of the rules and with the public list. No other equipment needs authorization,
//! except what the plan adds itself.

use super::{HCPCS, rules, verdict_of};
use assent::rules::{CaseDocument, Decision, VerdictSource};
use serde_json::json;
use std::collections::BTreeSet;

/// The day of most tests.
const TODAY: &str = "2026-11-20";
/// The first day of the codes that were added in 2026, and the day before.
const ADDED: &str = "2026-04-13";
const BEFORE: &str = "2026-04-12";

/// How long a decision is valid, and the codes.
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

/// Braces and pumps that were added to the list on 2026-04-13.
const ADDED_IN_2026: &[&str] = &["L0651", "L1844", "L1846", "L1852", "L1932", "E0651", "E0652"];

/// Codes for which the plan itself requires authorization.
const ADDED_BY_PLAN: [&str; 8] = [
    "E0250", "E0251", "E0424", "E0439", "E0470", "E0601", "E1390", "E1391",
];

/// Accessories that the authorization of a power wheelchair covers.
const ACCESSORIES: [&str; 16] = [
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

/// All codes of a range, or the single code.
fn codes_of(codes: &str) -> Vec<String> {
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
        .flat_map(|codes| codes_of(codes))
        .collect()
}

fn needs_authorization(code: &str, day: &str) -> bool {
    verdict_of(code, day).coverage.pa.as_deref() == Some("auth-needed")
}

#[test]
fn every_listed_code_needs_authorization_for_the_period_of_the_list() {
    for (period, ranges) in LISTED {
        for code in ranges.iter().flat_map(|range| codes_of(range)) {
            let verdict = verdict_of(&code, TODAY);
            assert_eq!(verdict.coverage.covered, "covered", "{code}");
            assert_eq!(verdict.coverage.pa.as_deref(), Some("auth-needed"), "{code}");
            assert_eq!(verdict.coverage.expires.as_deref(), Some(period), "{code}");
            assert!(
                matches!(verdict.source, VerdictSource::Policy { .. }),
                "{code} has no criteria"
            );
            assert!(
                matches!(verdict.decision, Decision::Pend(_)),
                "{code} is decided without any data"
            );
        }
    }
    assert_eq!(all_listed().len(), 6 + 10 + (3 + 3 + 4 + 10 + 9 + 17) + 5 + 7);
}

#[test]
fn codes_added_in_2026_need_authorization_from_their_first_day() {
    for code in ADDED_IN_2026 {
        assert!(
            !needs_authorization(code, BEFORE),
            "{code} needs authorization too early"
        );
        assert!(
            needs_authorization(code, ADDED),
            "{code} needs no authorization on its first day"
        );
    }
    for code in all_listed()
        .iter()
        .filter(|code| !ADDED_IN_2026.contains(&code.as_str()))
    {
        assert!(
            needs_authorization(code, BEFORE),
            "{code} was on the list before 2026"
        );
    }
}

#[test]
fn before_the_policies_for_braces_their_list_rows_had_the_same_period() {
    for code in LISTED[1].1 {
        let verdict = verdict_of(code, BEFORE);
        assert_eq!(verdict.coverage.expires.as_deref(), Some("60 days"), "{code}");
        assert!(matches!(verdict.source, VerdictSource::List { .. }), "{code}");
    }
}

#[test]
fn the_public_list_has_every_listed_code() {
    let list = rules().public_list(TODAY.parse().unwrap());
    for code in all_listed() {
        let rows = list.find(&code, Some("MA"));
        let row = rows.iter().find(|row| row.system == HCPCS && row.code != "*");
        let row = row.unwrap_or_else(|| panic!("{code} is not in the public list"));
        assert!(
            row.to.is_none() && !list.details(row).unwrap().forms.is_empty(),
            "{code}"
        );
    }
}

#[test]
fn no_other_equipment_brace_or_prosthesis_needs_authorization() {
    let families = ["E0100-E2699", "K0001-K0999", "L0100-L9999"];
    let needed: BTreeSet<String> = families
        .iter()
        .flat_map(|range| codes_of(range))
        .filter(|code| needs_authorization(code, TODAY))
        .collect();
    let mut expected = all_listed();
    expected.extend(ADDED_BY_PLAN.map(str::to_owned));
    assert_eq!(needed, expected);
}

#[test]
fn accessories_and_suspended_or_removed_codes_need_no_authorization() {
    let others = ["E0747", "E0748", "E0760", "L1833"];
    for code in ACCESSORIES
        .iter()
        .chain(&others)
        .flat_map(|range| codes_of(range))
    {
        let verdict = verdict_of(&code, TODAY);
        assert_eq!(verdict.coverage.covered, "covered", "{code}");
        assert_eq!(verdict.coverage.pa.as_deref(), Some("no-auth"), "{code}");
        let VerdictSource::List { file, .. } = &verdict.source else {
            panic!("{code}: {:?}", verdict.source)
        };
        assert!(
            file.contains("cms-required-prior-authorization"),
            "{code} has no list row of its own: {file}"
        );
    }
}

/// The modifier ST marks a brace that is supplied urgently: prior authorization is suspended (87 FR 48609).
#[test]
fn an_urgent_brace_needs_no_authorization_and_other_equipment_does() {
    let verdict = |code: &str, modifier: &str| {
        let document = json!({
            "kind": "pas", "received": format!("{TODAY}T15:00:00Z"), "zone": "America/New_York",
            "member": { "line_of_business": "MA", "age": 71 },
            "item": { "sequence": 1, "codes": [{ "system": HCPCS, "code": code }], "quantity": { "value": 1 },
                "modifiers": [{ "system": HCPCS, "code": "RT" }, { "system": HCPCS, "code": modifier }] },
            "res": {}, "answers": {},
        });
        rules().evaluate(&CaseDocument::from_json(document).unwrap())
    };
    for code in all_listed() {
        let is_brace = code.starts_with("L0") || code.starts_with("L1");
        let expected = if is_brace { "no-auth" } else { "auth-needed" };
        assert_eq!(
            verdict(&code, "ST").coverage.pa.as_deref(),
            Some(expected),
            "{code}"
        );
        assert_eq!(
            verdict(&code, "KX").coverage.pa.as_deref(),
            Some("auth-needed"),
            "{code}"
        );
    }
}

#[test]
fn a_pump_to_prevent_clots_is_not_covered_and_is_pended() {
    let verdict = verdict_of("E0676", TODAY);
    assert_eq!(verdict.coverage.covered, "not-covered");
    let reason = format!("{:?}", verdict.coverage.reason);
    assert!(reason.contains("A52488") && !reason.contains("NCD"), "{reason}");
    assert!(
        matches!(verdict.decision, Decision::Pend(_)),
        "{:?}",
        verdict.decision
    );
}
