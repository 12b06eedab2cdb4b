//! The queue and the sign-in of reviewers.

use super::*;

pub fn staff_sign_in() -> StaffSignIn {
    StaffSignIn {
        frame: Frame::default(),
        csrf: "c5rf-token".to_owned(),
        login: "m.okafor".to_owned(),
        problem: some("The user name or the password is not right."),
        next: some("/staff/cases/018f3c"),
    }
}

fn row(number: &str, due: Option<&str>, band: Mark, urgent: bool) -> QueueRow {
    QueueRow {
        href: format!("/staff/cases/{number}"),
        number: number.to_owned(),
        due: due.map(at),
        band,
        urgent,
        line: "MA".to_owned(),
        service: service("E1390", Some("Oxygen concentrator"), 0),
        member: Brief {
            initials: "J. S.".to_owned(),
            id: "12345678901".to_owned(),
        },
        requester: "Dr. Susan Watson, Lakeside Pulmonary".to_owned(),
        state: Mark::new(Tone::Open, "Clinical review"),
        queue: "respiratory".to_owned(),
        received: Some(at("2026-10-01T14:05:00Z")),
        counts: Some(Counts {
            met: 4,
            not_met: 1,
            unknown: 1,
        }),
    }
}

fn rows() -> Vec<QueueRow> {
    let late = Mark::new(Tone::Late, "late");
    vec![
        QueueRow {
            received: None,
            counts: None,
            queue: "intake".to_owned(),
            state: Mark::new(Tone::Open, "Intake"),
            ..row("PA-2026-00412", None, late.clone(), false)
        },
        QueueRow {
            state: Mark::new(Tone::Open, "Physician review"),
            ..row("PA-2026-00398", Some("2026-10-06T11:25:00Z"), late, true)
        },
        QueueRow {
            line: "Medicaid".to_owned(),
            service: service("K0823", None, 2),
            requester: "Riverbend Mobility".to_owned(),
            ..row(
                "PA-2026-00405",
                Some("2026-10-06T14:40:00Z"),
                Mark::new(Tone::Now, "now"),
                true,
            )
        },
        row(
            "PA-2026-00391",
            Some("2026-10-07T01:05:00Z"),
            Mark::new(Tone::Soon, "soon"),
            false,
        ),
        QueueRow {
            state: Mark::new(Tone::Waiting, "Waiting for papers"),
            ..row(
                "PA-2026-00400",
                Some("2026-10-08T14:05:00Z"),
                Mark::new(Tone::Watch, "watch"),
                false,
            )
        },
        row(
            "PA-2026-00410",
            Some("2026-10-12T15:30:00Z"),
            Mark::new(Tone::Calm, "calm"),
            false,
        ),
    ]
}

fn queue_table() -> QueueTable {
    QueueTable {
        now: at("2026-10-06T12:00:00Z"),
        zone: ZONE.to_owned(),
        chips: vec![Chip {
            label: "Queue: respiratory".to_owned(),
            remove: "/staff".to_owned(),
        }],
        everything: "/staff?all=1".to_owned(),
        hidden: 14,
        rows: rows(),
    }
}

pub fn queue() -> QueuePage {
    QueuePage {
        frame: frame("Maya Okafor", Some("Nurse reviewer, RN (OH)"), "/staff"),
        filters: vec![
            Filter {
                name: "queue".to_owned(),
                label: "Queue".to_owned(),
                options: vec![
                    choice("", "All", false),
                    choice("respiratory", "respiratory", true),
                ],
            },
            Filter {
                name: "urgency".to_owned(),
                label: "Urgency".to_owned(),
                options: vec![
                    choice("", "All", true),
                    choice("expedited", "Expedited", false),
                    choice("standard", "Standard", false),
                ],
            },
        ],
        fragment: "/staff/queue/table?queue=respiratory".to_owned(),
        events: "/staff/queue/events".to_owned(),
        table: queue_table(),
    }
}

pub fn queue_hidden_by_filters() -> QueuePage {
    QueuePage {
        table: QueueTable {
            rows: Vec::new(),
            ..queue_table()
        },
        ..queue()
    }
}

pub fn queue_fragment() -> QueueFragment {
    QueueFragment { table: queue_table() }
}
