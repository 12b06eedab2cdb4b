//! The queue page and the sign-in page of staff.

use super::*;

pub fn staff_sign_in() -> StaffSignInPage {
    StaffSignInPage {
        frame: PageFrame::default(),
        csrf: "c5rf-token".to_owned(),
        login: "m.okafor".to_owned(),
        problem: some("The user name or password is not correct."),
        next: some("/staff/cases/018f3c"),
    }
}

fn row(number: &str, due: Option<&str>, escalation: Badge, urgent: bool) -> QueueRow {
    QueueRow {
        href: format!("/staff/cases/{number}"),
        number: number.to_owned(),
        due: due.map(at),
        escalation,
        urgent,
        line_of_business: "MA".to_owned(),
        service: service("E1390", Some("Oxygen concentrator"), 0),
        member: MemberSummary {
            initials: "J. S.".to_owned(),
            id: "12345678901".to_owned(),
        },
        requester: "Dr. Susan Watson, Lakeside Pulmonary".to_owned(),
        status: Badge::new(BadgeStyle::Open, "Clinical review"),
        queue: "respiratory".to_owned(),
        received: Some(at("2026-10-01T14:05:00Z")),
        counts: Some(CriteriaCounts {
            met: 4,
            not_met: 1,
            unknown: 1,
        }),
    }
}

fn rows() -> Vec<QueueRow> {
    let overdue = Badge::new(BadgeStyle::Overdue, "overdue");
    vec![
        QueueRow {
            received: None,
            counts: None,
            queue: "intake".to_owned(),
            status: Badge::new(BadgeStyle::Open, "Intake"),
            ..row("PA-2026-00412", None, overdue.clone(), false)
        },
        QueueRow {
            status: Badge::new(BadgeStyle::Open, "Physician review"),
            ..row("PA-2026-00398", Some("2026-10-06T11:25:00Z"), overdue, true)
        },
        QueueRow {
            line_of_business: "Medicaid".to_owned(),
            service: service("K0823", None, 2),
            requester: "Riverbend Mobility".to_owned(),
            ..row(
                "PA-2026-00405",
                Some("2026-10-06T14:40:00Z"),
                Badge::new(BadgeStyle::DueNow, "due now"),
                true,
            )
        },
        row(
            "PA-2026-00391",
            Some("2026-10-07T01:05:00Z"),
            Badge::new(BadgeStyle::DueSoon, "due soon"),
            false,
        ),
        QueueRow {
            status: Badge::new(BadgeStyle::Waiting, "Waiting for documents"),
            ..row(
                "PA-2026-00400",
                Some("2026-10-08T14:05:00Z"),
                Badge::new(BadgeStyle::Watch, "watch"),
                false,
            )
        },
        row(
            "PA-2026-00410",
            Some("2026-10-12T15:30:00Z"),
            Badge::new(BadgeStyle::OnTrack, "on track"),
            false,
        ),
    ]
}

fn queue_table() -> QueueTable {
    QueueTable {
        now: at("2026-10-06T12:00:00Z"),
        zone: ZONE.to_owned(),
        active_filters: vec![ActiveFilter {
            label: "Queue: respiratory".to_owned(),
            remove_url: "/staff".to_owned(),
        }],
        unfiltered_url: "/staff?all=1".to_owned(),
        matching: 306,
        hidden: 14,
        rows: rows(),
        previous_page: some("/staff?queue=respiratory&before=1.2.a"),
        next_page: some("/staff?queue=respiratory&after=3.4.b"),
    }
}

pub fn queue() -> QueuePage {
    QueuePage {
        frame: frame("Maya Okafor", Some("Nurse reviewer (OH)"), "/staff"),
        filters: vec![
            FilterSelect {
                name: "queue".to_owned(),
                label: "Queue".to_owned(),
                options: vec![
                    option("", "All", false),
                    option("respiratory", "respiratory", true),
                ],
            },
            FilterSelect {
                name: "urgency".to_owned(),
                label: "Urgency".to_owned(),
                options: vec![
                    option("", "All", true),
                    option("expedited", "Expedited", false),
                    option("standard", "Standard", false),
                ],
            },
        ],
        table_url: "/staff/queue/table?queue=respiratory".to_owned(),
        events_url: "/staff/queue/events".to_owned(),
        table: queue_table(),
    }
}

pub fn queue_hidden_by_filters() -> QueuePage {
    QueuePage {
        table: QueueTable {
            matching: 0,
            rows: Vec::new(),
            previous_page: None,
            next_page: None,
            ..queue_table()
        },
        ..queue()
    }
}

pub fn queue_table_fragment() -> QueueTableFragment {
    QueueTableFragment { table: queue_table() }
}
