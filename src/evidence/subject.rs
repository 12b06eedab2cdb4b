//! Whom a resource is about: the element that names the patient, per resource type of FHIR R4, and whether it leads to
//! the patient of the request.

use super::patient::{Patient, Target};
use super::resources::{LocatedResource, Resources};
use super::{Reason, SetAsideCode};
use crate::fhir::list;
use serde_json::Value;

/// How a type of resource names the patient.
enum SubjectRule {
    /// In this element, without which the resource cannot be about a patient.
    Required(&'static str),
    /// In this element, if it is about a patient.
    Optional(&'static str),
    /// In `participant.actor`, beside other participants.
    Participant,
    /// It is a Patient.
    Itself,
    /// It is about no patient.
    None,
}

fn subject_rule(resource_type: &str) -> Option<SubjectRule> {
    Some(match resource_type {
        "AdverseEvent"
        | "CarePlan"
        | "ChargeItem"
        | "ClinicalImpression"
        | "Communication"
        | "CommunicationRequest"
        | "Composition"
        | "Condition"
        | "DeviceRequest"
        | "DeviceUseStatement"
        | "DiagnosticReport"
        | "DocumentManifest"
        | "DocumentReference"
        | "Encounter"
        | "Flag"
        | "Goal"
        | "ImagingStudy"
        | "Media"
        | "MedicationAdministration"
        | "MedicationDispense"
        | "MedicationRequest"
        | "MedicationStatement"
        | "Observation"
        | "Procedure"
        | "QuestionnaireResponse"
        | "RiskAssessment"
        | "ServiceRequest"
        | "Specimen" => SubjectRule::Required("subject"),
        "AllergyIntolerance"
        | "BodyStructure"
        | "Claim"
        | "ClaimResponse"
        | "CoverageEligibilityRequest"
        | "CoverageEligibilityResponse"
        | "DetectedIssue"
        | "EpisodeOfCare"
        | "ExplanationOfBenefit"
        | "FamilyMemberHistory"
        | "Immunization"
        | "ImmunizationEvaluation"
        | "ImmunizationRecommendation"
        | "MolecularSequence"
        | "NutritionOrder"
        | "RelatedPerson"
        | "VisionPrescription" => SubjectRule::Required("patient"),
        "Coverage" => SubjectRule::Required("beneficiary"),
        "ResearchSubject" => SubjectRule::Required("individual"),
        "Account" | "Basic" | "CareTeam" | "Contract" | "GuidanceResponse" | "Invoice" | "List"
        | "MeasureReport" | "RequestGroup" => SubjectRule::Optional("subject"),
        "Consent" | "Device" | "SupplyDelivery" => SubjectRule::Optional("patient"),
        "Task" => SubjectRule::Optional("for"),
        "EnrollmentRequest" => SubjectRule::Optional("candidate"),
        "Appointment" | "AppointmentResponse" => SubjectRule::Participant,
        "Patient" => SubjectRule::Itself,
        "ActivityDefinition"
        | "AuditEvent"
        | "Binary"
        | "BiologicallyDerivedProduct"
        | "CapabilityStatement"
        | "CatalogEntry"
        | "ChargeItemDefinition"
        | "CodeSystem"
        | "CompartmentDefinition"
        | "ConceptMap"
        | "DeviceDefinition"
        | "DeviceMetric"
        | "EffectEvidenceSynthesis"
        | "Endpoint"
        | "EnrollmentResponse"
        | "EventDefinition"
        | "Evidence"
        | "EvidenceVariable"
        | "ExampleScenario"
        | "GraphDefinition"
        | "Group"
        | "HealthcareService"
        | "ImplementationGuide"
        | "InsurancePlan"
        | "Library"
        | "Linkage"
        | "Location"
        | "Measure"
        | "Medication"
        | "MedicationKnowledge"
        | "MedicinalProduct"
        | "MessageDefinition"
        | "MessageHeader"
        | "NamingSystem"
        | "ObservationDefinition"
        | "OperationDefinition"
        | "OperationOutcome"
        | "Organization"
        | "OrganizationAffiliation"
        | "Parameters"
        | "PaymentNotice"
        | "PaymentReconciliation"
        | "Person"
        | "PlanDefinition"
        | "Practitioner"
        | "PractitionerRole"
        | "Provenance"
        | "Questionnaire"
        | "ResearchDefinition"
        | "ResearchElementDefinition"
        | "ResearchStudy"
        | "RiskEvidenceSynthesis"
        | "Schedule"
        | "SearchParameter"
        | "Slot"
        | "SpecimenDefinition"
        | "StructureDefinition"
        | "StructureMap"
        | "Subscription"
        | "Substance"
        | "SupplyRequest"
        | "TerminologyCapabilities"
        | "TestReport"
        | "TestScript"
        | "ValueSet"
        | "VerificationResult" => SubjectRule::None,
        _ => return None,
    })
}

/// Why a resource is not certainly about the patient; `None` if it is, or if its type is about no patient.
pub fn subject_problem(
    resources: &Resources<'_>,
    patient: &Patient<'_>,
    located: &LocatedResource<'_>,
) -> Option<Reason> {
    let kind = located.resource_type();
    let Some(rule) = subject_rule(kind) else {
        let reason = "Its type is not a type of FHIR R4 that this server knows".to_owned();
        return Some((SetAsideCode::UnknownType, reason));
    };
    let (element, required) = match rule {
        SubjectRule::Required(element) => (element, true),
        SubjectRule::Optional(element) => (element, false),
        SubjectRule::None => return None,
        SubjectRule::Itself => {
            let reason = || "It is not the patient of the request".to_owned();
            let is_patient = patient.is(located.resource);
            return (!is_patient).then(|| (SetAsideCode::AnotherSubject, reason()));
        }
        SubjectRule::Participant => {
            let actors = list(located.resource, "participant").chain([located.resource]);
            let mut actors = actors.filter_map(|p| p.get("actor"));
            let is_other = |actor: &Value| patient.target(actor, located, resources) == Target::Other;
            return actors
                .any(|actor| names_a_patient(actor) && is_other(actor))
                .then(|| another("participant"));
        }
    };
    let subject = located.resource.get(element).filter(|s| !s.is_null());
    match subject {
        None if required => {
            let reason = format!("It has no {element}, so it is not certain whom it is about");
            Some((SetAsideCode::UncertainSubject, reason))
        }
        None => None,
        Some(subject) => reason_against_references(subject, element, (resources, patient, located)),
    }
    .or_else(|| {
        let focus = located.resource.get("focus").filter(|_| kind == "Observation")?;
        reason_against_references(focus, "focus", (resources, patient, located))
    })
}

/// Why the references of an element, one or several, do not all lead to the patient.
fn reason_against_references(
    element: &Value,
    name: &str,
    (resources, patient, located): (&Resources<'_>, &Patient<'_>, &LocatedResource<'_>),
) -> Option<Reason> {
    let references = match element {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    references
        .iter()
        .find_map(|reference| match patient.target(reference, located, resources) {
            Target::Patient => None,
            Target::Other => Some(another(name)),
            Target::Unresolved => {
                let reason = format!("Its {name} does not lead to the patient of the request");
                Some((SetAsideCode::UncertainSubject, reason))
            }
        })
}

fn another(element: &str) -> Reason {
    let reason = format!("Its {element} is not the patient of the request");
    (SetAsideCode::AnotherSubject, reason)
}

/// Whether a reference of a participant may be to a Patient.
fn names_a_patient(actor: &Value) -> bool {
    let literal = crate::fhir::reference::literal(actor);
    let kind = literal
        .and_then(crate::fhir::reference::type_and_id)
        .map(|(kind, _)| kind);
    matches!(kind, None | Some("Patient"))
}
