//! The pages of members.

use super::*;

pub fn member_sign_in() -> MemberSignIn {
    MemberSignIn {
        frame: Frame::default(),
        post: "/me/sign-in".to_owned(),
        csrf: "c5rf-token".to_owned(),
        login: "joe".to_owned(),
        problem: some("The user name or the password is not right."),
        next: some("/oauth/authorize?request=1"),
        app: some("Care Ledger"),
        contact: contact(),
    }
}

fn app() -> App {
    App {
        name: "Care Ledger".to_owned(),
        company: some("Ledger Health Inc."),
        site: WebLink::read("https://careledger.example/"),
        policy: WebLink::read("https://careledger.example/privacy"),
    }
}

fn member_request(number: &str, line: MemberLine) -> MemberRequest {
    MemberRequest {
        number: number.to_owned(),
        requester: "Dr. Susan Watson".to_owned(),
        received: Some(at("2026-10-01T14:05:00Z")),
        urgent: false,
        answer_by: None,
        lines: vec![line],
        appeal: None,
    }
}

pub fn member_home() -> MemberHome {
    let line = |service: &str, code: &str, status: Mark, words: &str| MemberLine {
        service: service.to_owned(),
        code: code.to_owned(),
        status,
        words: words.to_owned(),
        reason: None,
        decided: None,
    };
    MemberHome {
        frame: frame("Joe Smith", None, "/me"),
        zone: ZONE.to_owned(),
        message: Some(Message {
            done: true,
            text: "Fit Diary can no longer read your data.".to_owned(),
        }),
        requests: vec![
            MemberRequest {
                urgent: true,
                answer_by: Some(at("2026-10-06T19:05:00Z")),
                ..member_request(
                    "PA-2026-00398",
                    line(
                        "Oxygen concentrator",
                        "HCPCS E1390",
                        Mark::new(Tone::Open, "In review"),
                        "One of our clinicians is looking at it.",
                    ),
                )
            },
            MemberRequest {
                appeal: Some(Appeal {
                    how: "Write to Appeals, PO Box 100, within 65 days of the notice.".to_owned(),
                }),
                ..member_request(
                    "PA-2026-00217",
                    MemberLine {
                        reason: some(
                            "The papers show that you can walk 200 feet in your home without help, and the rule for a power \
                             wheelchair asks that a walker or manual chair is not enough.",
                        ),
                        decided: Some(at("2026-09-16T15:00:00Z")),
                        ..line(
                            "Power wheelchair",
                            "HCPCS K0823",
                            Mark::new(Tone::Denied, "Not approved"),
                            "We did not approve this.",
                        )
                    },
                )
            },
            member_request(
                "PA-2026-00120",
                MemberLine {
                    decided: Some(at("2026-06-02T15:00:00Z")),
                    ..line(
                        "CPAP device",
                        "HCPCS E0601",
                        Mark::new(Tone::Approved, "Approved"),
                        "Approved until Jun 1, 2027.",
                    )
                },
            ),
        ],
        apps: vec![Connection {
            app: app(),
            data: vec!["Requests for approval and what we decided".to_owned()],
            since: at("2026-08-01T12:00:00Z"),
            until: Some(at("2026-10-30T12:00:00Z")),
            last_used: None,
            remove: "/me/apps/018f/remove".to_owned(),
        }],
        csrf: "c5rf-token".to_owned(),
        contact: contact(),
    }
}

pub fn member_home_empty() -> MemberHome {
    MemberHome {
        message: None,
        requests: Vec::new(),
        apps: Vec::new(),
        ..member_home()
    }
}

pub fn consent() -> Consent {
    Consent {
        frame: frame("Joe Smith", None, "/me"),
        post: "/oauth/authorize/answer".to_owned(),
        csrf: "c5rf-token".to_owned(),
        request: "018f-pending".to_owned(),
        app: app(),
        member: "Joe Smith (member 12345678901)".to_owned(),
        data: vec![
            "Your name, birth date, address and member number".to_owned(),
            "Requests for approval, what we decided and why".to_owned(),
        ],
        duration: "For 90 days.".to_owned(),
        renews: true,
        contact: contact(),
    }
}
