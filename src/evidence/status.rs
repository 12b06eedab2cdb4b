//! Which statuses count, per resource type of FHIR R4. Codes that a policy may still choose between (a stopped
//! medication, a condition in remission) count here.

use super::{Reason, SetAsideCode};
use crate::fhir::coding::codings;
use crate::fhir::{list, resource_type, text};
use serde_json::Value;

/// The status of a type of resource.
struct StatusRule {
    /// The element with the status.
    element: &'static str,
    /// Whether FHIR requires it.
    required: bool,
    /// The codes that count; `None`: all that are neither void nor preliminary.
    counted: Option<&'static [&'static str]>,
}

/// Codes of something that does not exist or did not happen.
const VOID: [&str; 15] = [
    "entered-in-error",
    "cancelled",
    "canceled",
    "refuted",
    "not-done",
    "not-taken",
    "revoked",
    "declined",
    "rejected",
    "noshow",
    "failed",
    "abandoned",
    "aborted",
    "nullified",
    "voided",
];
/// Codes of something that may still change or is not known.
const NOT_FINAL: [&str; 6] = [
    "preliminary",
    "registered",
    "unknown",
    "proposed",
    "intended",
    "health-unknown",
];

const RESULTS: &[&str] = &["final", "amended", "corrected"];
const ORDERS: &[&str] = &["draft", "active", "on-hold", "completed"];
const MEDICATION: &[&str] = &["active", "on-hold", "completed", "stopped"];
const EVENTS: &[&str] = &["in-progress", "on-hold", "completed", "stopped"];

fn status_rule(resource_type: &str) -> Option<StatusRule> {
    let (required, counted): (bool, Option<&[&str]>) = match resource_type {
        "Observation" | "RiskAssessment" => (true, Some(RESULTS)),
        "DiagnosticReport" => (true, Some(&["final", "amended", "corrected", "appended"])),
        "QuestionnaireResponse" => (true, Some(&["completed", "amended"])),
        "Composition" => (true, Some(&["final", "amended"])),
        "Procedure" | "Media" => (true, Some(&["in-progress", "completed"])),
        "ServiceRequest" | "CommunicationRequest" | "NutritionOrder" | "RequestGroup" => (true, Some(ORDERS)),
        "DeviceRequest" | "SupplyRequest" => (false, Some(ORDERS)),
        "MedicationRequest" => (
            true,
            Some(&["draft", "active", "on-hold", "completed", "stopped"]),
        ),
        "MedicationStatement" => (true, Some(MEDICATION)),
        "MedicationAdministration" | "MedicationDispense" | "Communication" => (true, Some(EVENTS)),
        "VisionPrescription" => (true, Some(&["draft", "active"])),
        "Claim"
        | "ClaimResponse"
        | "Coverage"
        | "ExplanationOfBenefit"
        | "CoverageEligibilityRequest"
        | "CoverageEligibilityResponse" => (true, Some(&["active"])),
        "Encounter" => (
            true,
            Some(&["arrived", "triaged", "in-progress", "onleave", "finished"]),
        ),
        "EpisodeOfCare" => (true, Some(&["active", "onhold", "finished"])),
        "Immunization" | "ImmunizationEvaluation" | "ClinicalImpression" => (true, Some(&["completed"])),
        "DocumentReference" | "DocumentManifest" => (true, Some(&["current"])),
        "ImagingStudy" => (true, Some(&["available"])),
        "CarePlan" => (true, Some(&["active", "on-hold", "completed"])),
        "DeviceUseStatement" => (true, Some(&["active", "completed", "stopped", "on-hold"])),
        "FamilyMemberHistory" => (true, Some(&["partial", "completed"])),
        "DetectedIssue" => (true, Some(RESULTS)),
        "Account" | "Appointment" | "ChargeItem" | "Consent" | "Flag" | "GuidanceResponse" | "Invoice"
        | "List" | "MeasureReport" | "ResearchSubject" | "Task" => (true, None),
        "Goal" => {
            return Some(StatusRule {
                element: "lifecycleStatus",
                required: true,
                counted: None,
            });
        }
        // Their status is not one of a clinical workflow, or they have none.
        "Condition" | "AllergyIntolerance" | "Patient" | "RelatedPerson" | "Practitioner"
        | "PractitionerRole" | "Organization" | "Person" => return None,
        _ => (false, None),
    };
    Some(StatusRule {
        element: "status",
        required,
        counted,
    })
}

/// The name of the status element that FHIR requires of a resource and that the resource lacks.
pub fn missing_status(resource: &Value) -> Option<&'static str> {
    let rule = status_rule(resource_type(resource)?)?;
    (rule.required && text(resource, &[rule.element]).is_none()).then_some(rule.element)
}

/// Why the status of a resource does not count; `None` if it does.
pub(super) fn reason_against(resource: &Value) -> Option<Reason> {
    let kind = resource_type(resource).unwrap_or("");
    if resource.get("doNotPerform").and_then(Value::as_bool) == Some(true) {
        let reason = "It says that the service must not be performed".to_owned();
        return Some((SetAsideCode::Void, reason));
    }
    if let Some(element) = missing_status(resource) {
        return Some((SetAsideCode::Status, format!("It has no {element}")));
    }
    let of_rule = status_rule(kind).and_then(|rule| {
        let status = resource.get(rule.element).filter(|s| !s.is_null())?;
        let counts = |status: &str| match rule.counted {
            Some(counted) => counted.contains(&status),
            None => is_neither_void_nor_preliminary(status),
        };
        match status.as_str() {
            Some(status) if counts(status) => None,
            Some(status) => Some(against(rule.element, status)),
            None => Some((
                SetAsideCode::Status,
                format!("Its {} is not a code", rule.element),
            )),
        }
    });
    of_rule.or_else(|| match kind {
        "Condition" | "AllergyIntolerance" => verification(resource),
        "DocumentReference" => match text(resource, &["docStatus"]) {
            None | Some("final" | "amended") => None,
            Some(other) => Some(against("docStatus", other)),
        },
        _ => None,
    })
}

/// Why the verification status does not count. A diagnosis that is only suspected does not count as made.
fn verification(resource: &Value) -> Option<Reason> {
    let concept = resource.get("verificationStatus").filter(|v| !v.is_null())?;
    let mut codes = codings(concept).map(|coding| coding.code);
    let against_code = codes.find(|code| *code != "confirmed");
    match against_code {
        Some(code) => Some(against("verificationStatus", code)),
        None if list(concept, "coding").next().is_none() => {
            let reason = "Its verificationStatus has no code".to_owned();
            Some((SetAsideCode::Status, reason))
        }
        None => None,
    }
}

fn is_neither_void_nor_preliminary(status: &str) -> bool {
    !VOID.contains(&status) && !NOT_FINAL.contains(&status)
}

fn against(element: &str, status: &str) -> Reason {
    let code = if VOID.contains(&status) {
        SetAsideCode::Void
    } else {
        SetAsideCode::Status
    };
    let shown: String = status.chars().take(40).collect();
    (code, format!("Its {element} is '{shown}', which does not count"))
}
