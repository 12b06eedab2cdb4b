//! Requests that are about an earlier one: updates, cancellations, extensions, renewals, revisions and appeals (PAS
//! 2.2.1, section "Updates"). This server does not process them yet, and they are never decided as new requests.

use super::business_error::BusinessError;
use super::request::Request;
use crate::fhir;
use crate::fhir::coding::codings;
use crate::ig::pas::{INFO_CANCELLED, extension_url, x12_system};
use serde_json::Value;

/// What a request asks about an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlierRequestKind {
    /// To cancel it, or a part of it.
    Cancellation,
    /// To extend it.
    Extension,
    /// To revise it.
    Revision,
    /// To renew it.
    Renewal,
    /// An appeal against its decision.
    Appeal,
    /// The certification type is not one that this server knows.
    Unknown,
}

impl EarlierRequestKind {
    /// The kind for a code of X12 data element 1322; `None` for the initial request.
    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "I" => return None,
            "1" | "2" => Self::Appeal,
            "3" => Self::Cancellation,
            "4" => Self::Extension,
            "R" => Self::Renewal,
            "S" => Self::Revision,
            _ => Self::Unknown,
        })
    }

    /// X12 889: an unknown code can be corrected, the others cannot be sent again.
    pub(super) fn follow_up(self) -> &'static str {
        match self {
            Self::Unknown => "C",
            _ => "N",
        }
    }

    /// Two sentences for the provider.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Cancellation => {
                "This server does not accept cancellations of an earlier request (spec-64). Nothing was decided."
            }
            Self::Extension => {
                "This server does not accept extensions of an earlier request (spec-64). Send a new request."
            }
            Self::Revision => {
                "This server does not accept revisions of an earlier request (spec-64). Send a new request."
            }
            Self::Renewal => {
                "This server does not accept renewals of an earlier request (spec-64). Send a new request."
            }
            Self::Appeal => {
                "This server does not accept appeals. Use the address in the notice of the decision. Nothing was decided."
            }
            Self::Unknown => {
                "The certification type is not one that this server knows. Send I for a new request. Nothing was decided."
            }
        }
    }
}

/// The error for a request that is not a new one; `None` for a new request.
pub(super) fn refusal(request: &Request<'_>) -> Option<BusinessError> {
    if request.is_update() {
        return Some(BusinessError::update_not_supported());
    }
    let claim = request.claim.resource;
    let path = request.claim.path();
    let of_claim = by_certification_type(claim, &path);
    let mut of_items = elements(claim, &path, "item").filter_map(|(item, path)| {
        by_certification_type(item, &path).or_else(|| by_cancelled_mark(item, &path))
    });
    let mut of_information =
        elements(claim, &path, "supportingInfo").filter_map(|(info, path)| by_cancelled_mark(info, &path));
    let (kind, path) = of_claim
        .or_else(|| of_items.next())
        .or_else(|| of_information.next())?;
    Some(BusinessError::not_a_new_request(kind, path))
}

fn elements<'a>(claim: &'a Value, path: &str, name: &str) -> impl Iterator<Item = (&'a Value, String)> {
    let path = format!("{path}.{name}");
    fhir::list(claim, name)
        .enumerate()
        .map(move |(n, element)| (element, format!("{path}[{n}]")))
}

/// The kind that a certification type of an element gives. Every repetition and every coding of X12's list must say
/// that the request is new; codings of other lists say nothing.
fn by_certification_type(element: &Value, path: &str) -> Option<(EarlierRequestKind, String)> {
    let url = extension_url("certificationType");
    let system = x12_system("1322");
    fhir::extensions(element, &url).find_map(|extension| {
        let codes: Vec<&str> = extension
            .get("valueCodeableConcept")
            .into_iter()
            .flat_map(codings)
            .filter(|coding| coding.system.is_empty() || coding.system == system)
            .map(|coding| coding.code)
            .collect();
        let kind = if codes.is_empty() {
            Some(EarlierRequestKind::Unknown)
        } else {
            codes.into_iter().find_map(EarlierRequestKind::of_code)
        };
        Some((kind?, format!("{path}.extension('{url}')")))
    })
}

/// `infoCancelled` with the value true marks what was withdrawn from an earlier request; false means nothing.
fn by_cancelled_mark(element: &Value, path: &str) -> Option<(EarlierRequestKind, String)> {
    let is_mark = |extension: &Value| {
        fhir::text(extension, &["url"]) == Some(INFO_CANCELLED)
            && extension.get("valueBoolean").and_then(Value::as_bool) == Some(true)
    };
    let n = fhir::list(element, "modifierExtension").position(is_mark)?;
    Some((
        EarlierRequestKind::Cancellation,
        format!("{path}.modifierExtension[{n}]"),
    ))
}
