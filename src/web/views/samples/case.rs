//! One case as a physician and a nurse see it, and a decided case.

use super::*;

fn leaf(style: BadgeStyle, text: &str, test: FactTest) -> CriterionNode {
    CriterionNode {
        status: Badge::new(style, text),
        text: None,
        combine: None,
        cite: None,
        test: Some(test),
        parts: Vec::new(),
    }
}

fn node(
    style: BadgeStyle,
    outcome: &str,
    text: &str,
    cite: Option<&str>,
    parts: Vec<CriterionNode>,
) -> CriterionNode {
    CriterionNode {
        status: Badge::new(style, outcome),
        text: some(text),
        combine: (parts.len() > 1).then(|| "Any of:".to_owned()),
        cite: cite.map(ToOwned::to_owned),
        test: None,
        parts,
    }
}

fn evidence_link(anchor: &str, label: &str) -> EvidenceLink {
    EvidenceLink {
        anchor: anchor.to_owned(),
        label: label.to_owned(),
    }
}

fn criteria() -> Vec<CriterionNode> {
    let missing = |fact: &str, required: &str| FactTest {
        fact: fact.to_owned(),
        value: None,
        date: None,
        required: required.to_owned(),
        evidence: None,
        note: some("nothing found"),
        stated: Vec::new(),
    };
    let saturation = |required: &str| FactTest {
        fact: "Oxygen saturation at rest".to_owned(),
        value: some("87%"),
        date: some("2026-08-15T13:30:00Z"),
        required: required.to_owned(),
        evidence: Some(evidence_link("entry-1", "Observation 1")),
        note: None,
        stated: Vec::new(),
    };
    let ordered_by_treating_practitioner = FactTest {
        fact: "Test ordered by the treating practitioner".to_owned(),
        value: some("yes"),
        date: None,
        required: "yes".to_owned(),
        evidence: Some(evidence_link("answer-1", "Form answer 1")),
        note: None,
        stated: Vec::new(),
    };
    vec![
        node(
            BadgeStyle::Met,
            "met",
            "Hypoxemia as defined by group I or group II",
            Some("CMS NCD 240.2, section B"),
            vec![node(
                BadgeStyle::Met,
                "met",
                "Awake at rest on room air: PaO2 of 55 mm Hg or less, or saturation of 88% or less",
                Some("CMS NCD 240.2, section B, group I (1)"),
                vec![
                    leaf(
                        BadgeStyle::Unknown,
                        "unknown",
                        missing("PaO2 at rest", "55 mm Hg or less"),
                    ),
                    leaf(BadgeStyle::Met, "met", saturation("88% or less")),
                ],
            )],
        ),
        node(
            BadgeStyle::NotMet,
            "not met",
            "The qualifying test was performed within 30 days before the request was received",
            Some("Plan medical policy DME-014, section 3"),
            vec![leaf(
                BadgeStyle::NotMet,
                "not met",
                saturation("dated no more than 30 days before the day of receipt"),
            )],
        ),
        node(
            BadgeStyle::Unknown,
            "unknown",
            "Ordered and evaluated by the treating practitioner; not performed by the equipment supplier",
            Some("CMS NCD 240.2, section B"),
            vec![
                leaf(BadgeStyle::Met, "met", ordered_by_treating_practitioner),
                leaf(
                    BadgeStyle::Unknown,
                    "unknown",
                    missing("Test performed by the supplier", "no"),
                ),
            ],
        ),
    ]
}

fn evidence() -> EvidenceTables {
    EvidenceTables {
        clinical_entries: vec![
            ClinicalEntryRow {
                anchor: "entry-1".to_owned(),
                subject: "LOINC 59408-5".to_owned(),
                value: "87%".to_owned(),
                date: some("2026-08-15T09:30:00-04:00"),
                status: some("final"),
            },
            ClinicalEntryRow {
                anchor: "entry-2".to_owned(),
                subject: "Condition".to_owned(),
                value: "ICD-10 J44.9".to_owned(),
                date: None,
                status: some("active"),
            },
        ],
        form_answers: vec![FormAnswerRow {
            anchor: "answer-1".to_owned(),
            question: "Was the test ordered by the treating practitioner?".to_owned(),
            value: "yes".to_owned(),
            origin: some("entered by a person"),
        }],
        order_details: vec![OrderDetailRow {
            anchor: "order-1".to_owned(),
            label: "Ordered service".to_owned(),
            value: "E1390, 12 months".to_owned(),
        }],
        set_aside: vec![SetAsideRow {
            name: "Observation/spo2-2".to_owned(),
            content: some("LOINC 59408-5: 86%, 2026-09-28"),
            place: "Bundle.entry[9].resource".to_owned(),
            reason: "Its status is 'preliminary', which does not count".to_owned(),
        }],
    }
}

fn parties() -> Vec<CaseParty> {
    let party = |role: &str, name: &str, details: &[&str]| CaseParty {
        role: role.to_owned(),
        name: name.to_owned(),
        details: details.iter().map(|&detail| detail.to_owned()).collect(),
    };
    vec![
        party(
            "Member",
            "Joe Smith",
            &["member ID 12345678901", "born 1951-01-18 (age 75 at receipt)"],
        ),
        party(
            "Requesting provider",
            "Dr. Susan Watson",
            &["NPI 1234567893", "Lakeside Pulmonary, 1-614-555-0199"],
        ),
    ]
}

fn history() -> Vec<HistoryRow> {
    let event =
        |seq, time, summary: &str, actor: &str, credential: Option<&str>, detail: Option<&str>| HistoryRow {
            seq,
            at: at(time),
            summary: summary.to_owned(),
            actor: actor.to_owned(),
            credential: credential.map(ToOwned::to_owned),
            detail: detail.map(ToOwned::to_owned),
        };
    vec![
        event(
            1,
            "2026-10-01T14:05:00Z",
            "Request received",
            "Demo EHR",
            None,
            None,
        ),
        event(
            2,
            "2026-10-01T14:05:00Z",
            "Item 1: routed to manual review",
            "Policies (automatic)",
            Some("dme.home-oxygen 2026.2"),
            Some("4 met, 1 not met, 1 unknown"),
        ),
        event(
            3,
            "2026-10-06T11:58:00Z",
            "Documents received",
            "Demo EHR",
            None,
            Some("1 attachment"),
        ),
    ]
}

fn actions() -> CaseActions {
    CaseActions {
        post_url: "/staff/cases/018f3c/decide".to_owned(),
        csrf: "c5rf-token".to_owned(),
        version: 7,
        open_items: vec![OpenItem {
            sequence: 1,
            label: "Oxygen concentrator (E1390), 12 months".to_owned(),
            selected: true,
        }],
        recorded_as: "Ruth Lindqvist, Physician reviewer, physician license OH 35.123456".to_owned(),
        approve: Some(ApprovalForm {
            from: Some(date("2026-10-06")),
            until: Some(date("2027-10-05")),
            note_required: some(
                "1 criterion is not met and 1 criterion is unknown. To approve, explain in the note why you are \
                 approving anyway.",
            ),
        }),
        deny: Some(DenialForm {
            open: true,
            reasons: vec![option("0F", "Not medically necessary as shown", true)],
            criteria: vec![option(
                "test-age",
                "The qualifying test was performed within 30 days",
                true,
            )],
            text: "The saturation on file is from 47 days ago.".to_owned(),
        }),
        can_refer: false,
        restriction: None,
        note: "Called the practice, no newer test.".to_owned(),
    }
}

pub fn case_for_physician() -> CasePage {
    CasePage {
        frame: frame("Ruth Lindqvist", Some("Physician reviewer (OH)"), "/staff"),
        now: at("2026-10-06T12:00:00Z"),
        zone: ZONE.to_owned(),
        number: "PA-2026-00398".to_owned(),
        status: Badge::new(BadgeStyle::Open, "Physician review"),
        urgent: true,
        plan: "MA · Ohio Valley Advantage HMO (OH)".to_owned(),
        queue: some("respiratory"),
        deadline: CaseDeadline {
            received: Some(at("2026-10-01T14:05:00Z")),
            due: Some(at("2026-10-06T19:05:00Z")),
            legal: Some(at("2026-10-06T19:05:00Z")),
            escalation: Badge::new(BadgeStyle::DueSoon, "due soon"),
            rule: some("MA expedited, 72 hours (42 CFR 422.572(a))"),
        },
        items: vec![CaseItem {
            sequence: 1,
            service: service("E1390", Some("Oxygen concentrator"), 0),
            modifiers: vec!["HCPCS RR".to_owned(), "HCPCS KX".to_owned()],
            quantity: some("12 months"),
            period: some("2026-10-06 to 2027-10-05"),
            performer: some("Riverbend Home Medical, NPI 1457389203"),
            status: Badge::new(BadgeStyle::Open, "Physician review"),
            decision: None,
        }],
        policy: Some(AppliedPolicy {
            title: "Home oxygen, stationary equipment".to_owned(),
            version: "dme.home-oxygen 2026.2".to_owned(),
            verdict: "Routed to manual review, queue respiratory (clinical review).".to_owned(),
            counts: CriteriaCounts {
                met: 4,
                not_met: 1,
                unknown: 1,
            },
        }),
        criteria: criteria(),
        needed_documents: vec![NeededDocument {
            text: "The report of the qualifying test, with who performed it".to_owned(),
            code: some("LOINC 11502-2"),
        }],
        evidence: evidence(),
        parties: parties(),
        recorded: None,
        rejection: Some(Rejection {
            reason: "Documents arrived 2 minutes ago, after you opened this page. Review them, then decide."
                .to_owned(),
            changes: vec![CaseChange {
                at: at("2026-10-06T11:58:00Z"),
                text: "Documents received, by Demo EHR".to_owned(),
            }],
            unsaved: Vec::new(),
        }),
        actions: Some(actions()),
        history: CaseHistory {
            rows: history(),
            omitted: 12,
            whole_url: "/staff/cases/018f3c?history=all#history".to_owned(),
        },
    }
}

pub fn case_for_nurse() -> CasePage {
    CasePage {
        frame: frame("Maya Okafor", Some("Nurse reviewer (OH)"), "/staff"),
        actions: Some(CaseActions {
            recorded_as: "Maya Okafor, Nurse reviewer, nursing license OH 412345".to_owned(),
            deny: None,
            can_refer: true,
            restriction: some("Only a physician may deny a request."),
            note: String::new(),
            ..actions()
        }),
        ..case_for_physician()
    }
}

pub fn decided_case() -> CasePage {
    CasePage {
        status: Badge::new(BadgeStyle::Approved, "Approved"),
        queue: None,
        deadline: CaseDeadline {
            received: None,
            due: None,
            legal: None,
            escalation: Badge::new(BadgeStyle::Closed, "decided"),
            rule: None,
        },
        items: vec![CaseItem {
            sequence: 1,
            service: service("E1390", None, 0),
            modifiers: Vec::new(),
            quantity: None,
            period: None,
            performer: None,
            status: Badge::new(BadgeStyle::Approved, "Approved"),
            decision: some("Approved as requested until 2027-10-05, authorization number A-7731."),
        }],
        policy: None,
        criteria: Vec::new(),
        needed_documents: Vec::new(),
        evidence: EvidenceTables {
            clinical_entries: Vec::new(),
            form_answers: Vec::new(),
            order_details: Vec::new(),
            set_aside: Vec::new(),
        },
        recorded: Some(RecordedDecision {
            happened: vec!["You approved item 1, Oxygen concentrator (E1390).".to_owned()],
            next: vec!["Demo EHR gets a notification with the decision.".to_owned()],
        }),
        rejection: None,
        actions: None,
        ..case_for_physician()
    }
}
