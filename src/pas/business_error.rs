//! Business errors of PAS (spec-38): a request that was understood but cannot be processed is answered with
//! `ClaimResponse.error`, in codes of X12.

use super::earlier_request::EarlierRequestKind;
use crate::fhir::coding::concept;
use crate::ig::pas::{extension_url, x12_system};
use crate::plan::NoMember;
use serde_json::{Value, json};

/// One `ClaimResponse.error`.
#[derive(Debug)]
pub(super) struct BusinessError {
    /// X12 901: reject reason.
    pub code: &'static str,
    /// X12 889: follow-up action.
    pub follow_up: &'static str,
    /// The X12 element in error, such as `2010BA-NM109`.
    pub element: &'static str,
    /// The FHIRPath of the element in error, from `Bundle`.
    pub path: String,
    /// One or two sentences for `ClaimResponse.processNote`, without content of the message.
    pub text: &'static str,
}

impl BusinessError {
    /// The request is an update of an earlier one, which this server does not support (PAS spec-64).
    pub(super) fn update_not_supported() -> Self {
        Self {
            code: "33",
            follow_up: "N",
            element: "2000E-UM02",
            path: "Bundle.entry[0].resource.related".to_owned(),
            text: "This server does not accept updates of an earlier request (spec-64). \
                   Send the change as a new request.",
        }
    }

    /// The request is not a new one although it names no earlier one: a cancellation, an appeal, … `path` is the place of
    /// the element that says so.
    pub(super) fn not_a_new_request(kind: EarlierRequestKind, path: String) -> Self {
        Self {
            code: "33",
            follow_up: kind.follow_up(),
            element: "2000F-UM02",
            path,
            text: kind.sentence(),
        }
    }

    /// No member of the plan is the Patient of the request. `patient` is the path of the Patient.
    pub(super) fn member_not_found(reason: NoMember, patient: &str) -> Self {
        Self {
            code: "75",
            follow_up: "C",
            element: match reason.element() {
                "name" => "2010C-NM103",
                "birthDate" => "2010C-DMG02",
                _ => "2010C-NM109",
            },
            path: format!("{patient}.{}", reason.element()),
            text: reason.sentence(),
        }
    }

    /// The member has no such coverage. `coverage` is the path of the Coverage.
    pub(super) fn coverage_not_found(coverage: &str) -> Self {
        Self {
            code: "75",
            follow_up: "C",
            element: "2010C-NM109",
            path: format!("{coverage}.subscriberId"),
            text: "The Coverage matches none of the coverages that this member has with this plan.",
        }
    }

    /// The element of `ClaimResponse.error`; `note` is the number of its `processNote`.
    pub(super) fn to_json(&self, note: u32) -> Value {
        json!({
            "extension": [
                {
                    "url": extension_url("errorFollowupAction"),
                    "valueCodeableConcept": concept(&x12_system("889"), self.follow_up),
                },
                { "url": extension_url("errorElement"), "extension": [
                    { "url": "error", "valueString": self.element },
                    { "url": "processNote", "valuePositiveInt": note },
                ] },
                { "url": extension_url("errorPath"), "valueString": self.path },
            ],
            "code": concept(&x12_system("901"), self.code),
        })
    }
}
