//! The pages of members.

use super::*;

pub fn member_sign_in() -> MemberSignInPage {
    MemberSignInPage {
        frame: PageFrame::default(),
        action: "/me/sign-in".to_owned(),
        csrf: "c5rf-token".to_owned(),
        login: "joe".to_owned(),
        problem: some("The user name or password is not correct."),
        next: some("/oauth/authorize?request=1"),
        app: some("Care Ledger"),
        contact: contact(),
    }
}

fn app() -> App {
    App {
        name: "Care Ledger".to_owned(),
        company: some("Ledger Health Inc."),
        site: WebLink::parse("https://careledger.example/"),
        policy: WebLink::parse("https://careledger.example/privacy"),
    }
}

fn member_request(number: &str, item: MemberItem) -> MemberRequest {
    MemberRequest {
        reference_number: number.to_owned(),
        requester: "Dr. Susan Watson".to_owned(),
        received: at("2026-10-01T14:05:00Z"),
        urgent: false,
        decision_due: None,
        items: vec![item],
        appeal_instructions: None,
    }
}

pub fn member_home() -> MemberHomePage {
    let item = |service: &str, code: &str, status: Badge, explanation: &str| MemberItem {
        service: service.to_owned(),
        code: code.to_owned(),
        status,
        explanation: explanation.to_owned(),
        reason: None,
        decided: None,
    };
    MemberHomePage {
        frame: frame("Joe Smith", None, "/me"),
        zone: ZONE.to_owned(),
        message: Some(Message {
            done: true,
            text: "Fit Diary can no longer read your data.".to_owned(),
        }),
        requests: vec![
            MemberRequest {
                urgent: true,
                decision_due: Some(at("2026-10-06T19:05:00Z")),
                ..member_request(
                    "PA-2026-00398",
                    item(
                        "Oxygen concentrator",
                        "HCPCS E1390",
                        Badge::new(BadgeStyle::Open, "In review"),
                        "A nurse or a doctor will review the request.",
                    ),
                )
            },
            MemberRequest {
                appeal_instructions: some("Write to Appeals, PO Box 100, within 65 days of the notice."),
                ..member_request(
                    "PA-2026-00217",
                    MemberItem {
                        reason: some(
                            "The records show that you can walk 200 feet in your home without help, and the rule for a power \
                             wheelchair asks that a walker or manual chair is not enough.",
                        ),
                        decided: Some(at("2026-09-16T15:00:00Z")),
                        ..item(
                            "Power wheelchair",
                            "HCPCS K0823",
                            Badge::new(BadgeStyle::Denied, "Not approved"),
                            "We did not approve this service.",
                        )
                    },
                )
            },
            member_request(
                "PA-2026-00120",
                MemberItem {
                    decided: Some(at("2026-06-02T15:00:00Z")),
                    ..item(
                        "CPAP device",
                        "HCPCS E0601",
                        Badge::new(BadgeStyle::Approved, "Approved"),
                        "Approved through Jun 1, 2027.",
                    )
                },
            ),
        ],
        older: None,
        newest: None,
        apps: vec![ConnectedApp {
            app: app(),
            data: vec!["Your prior authorization requests, our decisions, and the reasons".to_owned()],
            since: at("2026-08-01T12:00:00Z"),
            until: Some(at("2026-10-30T12:00:00Z")),
            last_used: None,
            remove_action: "/me/apps/018f/remove".to_owned(),
        }],
        csrf: "c5rf-token".to_owned(),
        contact: contact(),
    }
}

pub fn member_home_empty() -> MemberHomePage {
    MemberHomePage {
        message: None,
        requests: Vec::new(),
        older: None,
        newest: None,
        apps: Vec::new(),
        ..member_home()
    }
}

pub fn consent() -> ConsentPage {
    ConsentPage {
        frame: frame("Joe Smith", None, "/me"),
        action: "/oauth/authorize/answer".to_owned(),
        csrf: "c5rf-token".to_owned(),
        request: "018f-pending".to_owned(),
        app: app(),
        member: "Joe Smith (member 12345678901)".to_owned(),
        data: vec![
            "Your name, birth date, address and member number".to_owned(),
            "Your prior authorization requests, our decisions, and the reasons".to_owned(),
        ],
        duration: "The app has access until you have not used it for 90 days.".to_owned(),
        renews: true,
        contact: contact(),
    }
}
