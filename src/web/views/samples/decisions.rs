//! What follows a submitted decision: a stale one, the confirmation of a denial; and the access log.

use super::*;

/// The decided case when somebody else decided it first.
pub fn case_decided_by_another() -> CasePage {
    CasePage {
        recorded: None,
        rejection: Some(Rejection {
            reason: "This item has already been decided. A decision cannot be changed.".to_owned(),
            changes: vec![CaseChange {
                at: at("2026-10-06T11:58:00Z"),
                text: "Item 1: approved as requested, by Maya Okafor".to_owned(),
            }],
            unsaved: vec![UnsavedText {
                id: "unsaved-text".to_owned(),
                label: "Specific reason for this member".to_owned(),
                text: "The saturation on file is from 47 days ago.".to_owned(),
            }],
        }),
        ..decided_case()
    }
}

/// A denial with every warning.
pub fn confirm_denial() -> ConfirmDenialPage {
    ConfirmDenialPage {
        frame: frame("Ruth Lindqvist", Some("Physician reviewer (OH)"), "/staff"),
        number: "PA-2026-00398".to_owned(),
        post_url: "/staff/cases/018f3c/decide".to_owned(),
        csrf: "c5rf-token".to_owned(),
        fields: vec![HiddenField {
            name: "text",
            value: "The test on file is 47 days old.".to_owned(),
        }],
        items: vec![DeniedItem {
            service: service("E1390", Some("Oxygen concentrator"), 0),
            status: Badge::new(BadgeStyle::Denied, "Not approved"),
            explanation: "We did not approve this service.".to_owned(),
        }],
        reason: "The records do not show that this service is medically necessary".to_owned(),
        reason_code: "0F".to_owned(),
        criterion: some("The qualifying test was performed within 30 days"),
        text: "The test on file is 47 days old.".to_owned(),
        appeal_instructions: some("Write to Appeals, PO Box 100, within 65 days of the notice."),
        deliveries: vec!["Demo EHR gets a notification with the decision.".to_owned()],
        hard_text: Some(HardTextWarning {
            summary: "The reason is hard to read: reading grade 12, and the plan's limit is 8.".to_owned(),
            sentences: vec!["The documentation substantiates nothing. (grade 14)".to_owned()],
        }),
        problem: some("Nothing was recorded. Change the reason, or check the box."),
        recorded_as: "Ruth Lindqvist, Physician reviewer, physician license OH 35.123456".to_owned(),
    }
}

/// A page of the access log between two others, with a filter that names nothing.
pub fn access_log() -> AccessLogPage {
    AccessLogPage {
        frame: frame("Uma Castle", Some("Auditor"), "/staff/access-log"),
        csrf: "c5rf-token".to_owned(),
        zone: ZONE.to_owned(),
        filters: AccessLogFilters {
            case: "RF-0000000001".to_owned(),
            member: "12345678901".to_owned(),
            person: "nora".to_owned(),
            from: "2026-10-01".to_owned(),
            to: "2026-10-06".to_owned(),
        },
        problems: vec!["No case has this number.".to_owned()],
        rows: vec![AccessLogRow {
            at: at("2026-10-06T11:58:00Z"),
            name: "Maya Okafor".to_owned(),
            username: "nora".to_owned(),
            role: "Nurse reviewer".to_owned(),
            case_number: "RF-0000000001".to_owned(),
            member_id: "12345678901".to_owned(),
            address: some("192.0.2.7"),
        }],
        older: some("position"),
        is_later_page: true,
    }
}
