//! One case, as a physician, a nurse and a later reader see it.

use super::*;

fn leaf(tone: Tone, word: &str, leaf: LeafView) -> Criterion {
    Criterion {
        mark: Mark::new(tone, word),
        text: None,
        cite: None,
        leaf: Some(leaf),
        of: Vec::new(),
    }
}

fn node(tone: Tone, word: &str, text: &str, cite: Option<&str>, of: Vec<Criterion>) -> Criterion {
    Criterion {
        mark: Mark::new(tone, word),
        text: some(text),
        cite: cite.map(ToOwned::to_owned),
        leaf: None,
        of,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it writes an optional field of the samples"
)]
fn found(anchor: &str, place: &str) -> Option<Found> {
    Some(Found {
        anchor: anchor.to_owned(),
        place: place.to_owned(),
    })
}

fn criteria() -> Vec<Criterion> {
    let nothing = |fact: &str, wants: &str| LeafView {
        fact: fact.to_owned(),
        value: None,
        date: None,
        wants: wants.to_owned(),
        found: None,
        note: some("nothing found"),
    };
    let saturation = |wants: &str| LeafView {
        fact: "spo2.rest".to_owned(),
        value: some("87 %"),
        date: some("2026-08-15T13:30:00Z"),
        wants: wants.to_owned(),
        found: found("observation-1", "Observation 1"),
        note: None,
    };
    vec![
        node(
            Tone::Met,
            "met",
            "Hypoxemia shown by group I or group II",
            Some("CMS NCD 240.2, section B"),
            vec![node(
                Tone::Met,
                "met",
                "Awake at rest on room air: PaO2 of 55 mm Hg or less, or saturation of 88% or less",
                Some("CMS NCD 240.2, section B, group I (1)"),
                vec![
                    leaf(
                        Tone::Unknown,
                        "unknown",
                        nothing("pao2.rest", "at most 55 mm[Hg]"),
                    ),
                    leaf(Tone::Met, "met", saturation("at most 88 %")),
                ],
            )],
        ),
        node(
            Tone::NotMet,
            "not met",
            "The qualifying test is no older than 30 days when the request arrives",
            Some("Plan medical policy DME-014, section 3"),
            vec![leaf(
                Tone::NotMet,
                "not met",
                saturation("within 30 days of receipt"),
            )],
        ),
        node(
            Tone::Unknown,
            "unknown",
            "Ordered and evaluated by the treating practitioner; not performed by the equipment supplier",
            Some("CMS NCD 240.2, section B"),
            vec![node(
                Tone::Unknown,
                "unknown",
                "all of",
                None,
                vec![
                    leaf(
                        Tone::Met,
                        "met",
                        LeafView {
                            fact: "test.ordered-by-treating".to_owned(),
                            value: some("yes"),
                            date: None,
                            wants: "yes".to_owned(),
                            found: found("answer-1", "Answer 1"),
                            note: None,
                        },
                    ),
                    leaf(Tone::Unknown, "unknown", nothing("test.by-supplier", "no")),
                ],
            )],
        ),
    ]
}

fn evidence() -> Evidence {
    Evidence {
        observations: vec![
            Observation {
                anchor: "observation-1".to_owned(),
                what: "LOINC 59408-5".to_owned(),
                value: "87 %".to_owned(),
                date: some("2026-08-15T09:30:00-04:00"),
                status: some("final"),
            },
            Observation {
                anchor: "condition-1".to_owned(),
                what: "Condition".to_owned(),
                value: "ICD-10 J44.9".to_owned(),
                date: None,
                status: some("active"),
            },
        ],
        answers: vec![Answer {
            anchor: "answer-1".to_owned(),
            question: "Was the test ordered by the treating practitioner?".to_owned(),
            value: "yes".to_owned(),
            origin: some("typed by the practitioner"),
        }],
        order: vec![Fact {
            anchor: "order-1".to_owned(),
            label: "Asked for".to_owned(),
            value: "E1390, 12 months".to_owned(),
        }],
    }
}

fn people() -> Vec<Person> {
    let person = |role: &str, name: &str, details: &[&str]| Person {
        role: role.to_owned(),
        name: name.to_owned(),
        details: details.iter().map(|&one| one.to_owned()).collect(),
    };
    vec![
        person(
            "Member",
            "Joe Smith",
            &["12345678901", "born Jan 18, 1951 (75 years at receipt)"],
        ),
        person(
            "Requesting provider",
            "Dr. Susan Watson",
            &["NPI 1234567893", "Lakeside Pulmonary, 1-614-555-0199"],
        ),
    ]
}

fn history() -> Vec<Event> {
    let event = |seq, time, what: &str, actor: &str, credential: Option<&str>, detail: Option<&str>| Event {
        seq,
        at: at(time),
        what: what.to_owned(),
        actor: actor.to_owned(),
        credential: credential.map(ToOwned::to_owned),
        detail: detail.map(ToOwned::to_owned),
    };
    vec![
        event(
            1,
            "2026-10-01T14:05:00Z",
            "Received",
            "Demo EHR (client)",
            None,
            None,
        ),
        event(
            2,
            "2026-10-01T14:05:00Z",
            "Rules evaluated: referred",
            "rules",
            Some("dme.home-oxygen 2026.2"),
            Some("4 met, 1 not met, 1 unknown"),
        ),
        event(
            3,
            "2026-10-06T11:58:00Z",
            "Records arrived",
            "Demo EHR (client)",
            None,
            Some("1 attachment"),
        ),
    ]
}

fn actions() -> Actions {
    Actions {
        post: "/staff/cases/018f3c/decide".to_owned(),
        csrf: "c5rf-token".to_owned(),
        version: 7,
        open: vec![Step {
            sequence: 1,
            label: "E1390 Oxygen concentrator, 12 months".to_owned(),
            chosen: true,
        }],
        signs_as: "Ruth Lindqvist, MD (OH 35.123456)".to_owned(),
        approve: Some(Approval {
            from: Some(date("2026-10-06")),
            until: Some(date("2027-10-05")),
            against: some(
                "1 criterion is not met and 1 is unknown: say in the note why you approve all the same.",
            ),
        }),
        deny: Some(Denial {
            open: true,
            reasons: vec![choice("0F", "Not medically necessary as shown", true)],
            criteria: vec![choice(
                "test-age",
                "The qualifying test is no older than 30 days",
                true,
            )],
            text: "The saturation on file is from 47 days ago.".to_owned(),
        }),
        refer: false,
        limits: None,
        refused: some("Records arrived 2 minutes ago, after this page was shown. Look at them, then decide."),
        note: "Called the practice, no newer test.".to_owned(),
    }
}

pub fn case_for_physician() -> CasePage {
    CasePage {
        frame: frame("Ruth Lindqvist", Some("Medical director, MD (OH)"), "/staff"),
        now: at("2026-10-06T12:00:00Z"),
        zone: ZONE.to_owned(),
        number: "PA-2026-00398".to_owned(),
        state: Mark::new(Tone::Open, "Physician review"),
        urgent: true,
        line: "MA · Ohio Valley Advantage HMO (OH)".to_owned(),
        queue: some("respiratory"),
        clock: CaseClock {
            received: Some(at("2026-10-01T14:05:00Z")),
            due: Some(at("2026-10-06T19:05:00Z")),
            legal: Some(at("2026-10-06T19:05:00Z")),
            band: Mark::new(Tone::Soon, "soon"),
            rule: some("MA expedited, 72 hours (42 CFR 422.572(a))"),
        },
        lines: vec![Line {
            sequence: 1,
            service: service("E1390", Some("Oxygen concentrator"), 0),
            quantity: some("12 months"),
            period: some("Oct 6, 2026 to Oct 5, 2027"),
            performer: some("Riverbend Home Medical, NPI 1457389203"),
            state: Mark::new(Tone::Open, "Physician review"),
            decision: None,
        }],
        policy: Some(CasePolicy {
            title: "Home oxygen, stationary equipment".to_owned(),
            version: "dme.home-oxygen 2026.2".to_owned(),
            verdict: "Referred: a criterion is not met and one cannot be told.".to_owned(),
            counts: Counts {
                met: 4,
                not_met: 1,
                unknown: 1,
            },
        }),
        criteria: criteria(),
        asks: vec![Asked {
            text: "The report of the qualifying test, with who performed it".to_owned(),
            code: some("LOINC 11502-2"),
        }],
        evidence: evidence(),
        people: people(),
        actions: Some(actions()),
        history: history(),
    }
}

pub fn case_for_nurse() -> CasePage {
    CasePage {
        frame: frame("Maya Okafor", Some("Nurse reviewer, RN (OH)"), "/staff"),
        actions: Some(Actions {
            signs_as: "Maya Okafor, RN (OH 412345)".to_owned(),
            deny: None,
            refer: true,
            limits: some("Only a physician may deny or approve less than asked."),
            refused: None,
            note: String::new(),
            ..actions()
        }),
        ..case_for_physician()
    }
}

pub fn decided_case() -> CasePage {
    CasePage {
        state: Mark::new(Tone::Approved, "Approved"),
        queue: None,
        clock: CaseClock {
            received: None,
            due: None,
            legal: None,
            band: Mark::new(Tone::Closed, "answered"),
            rule: None,
        },
        lines: vec![Line {
            sequence: 1,
            service: service("E1390", None, 0),
            quantity: None,
            period: None,
            performer: None,
            state: Mark::new(Tone::Approved, "Approved"),
            decision: some("Approved as asked until Oct 5, 2027, number A-7731."),
        }],
        policy: None,
        criteria: Vec::new(),
        asks: Vec::new(),
        evidence: Evidence {
            observations: Vec::new(),
            answers: Vec::new(),
            order: Vec::new(),
        },
        actions: None,
        ..case_for_physician()
    }
}
