//! Da Vinci Payer Data Exchange (PDex): what differs per version, and the names that all versions share.

/// A version of PDex that this server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PdexVersion {
    /// PDex 2.2.0.
    V2_2,
}

/// What one version of PDex asks for.
#[derive(Debug)]
pub struct PdexGuide {
    /// The FHIR base path that serves it: the member's API.
    pub base_path: &'static str,
    /// What an `ExplanationOfBenefit` names in `meta.profile`. The prior authorization profile of 2.1 and later is
    /// named without its version; 2.0.0 requires the version, and the resources conform to both.
    pub prior_authorization_profiles: &'static [&'static str],
}

static V2_2: PdexGuide = PdexGuide {
    base_path: "/fhir/pdex",
    prior_authorization_profiles: &[
        PRIOR_AUTHORIZATION,
        "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-priorauthorization|2.0.0",
    ],
};

impl PdexVersion {
    /// The newest version that this server answers.
    pub const NEWEST: Self = Self::V2_2;

    /// The table of this version.
    pub const fn guide(self) -> &'static PdexGuide {
        match self {
            Self::V2_2 => &V2_2,
        }
    }
}

/// The prior authorization profile without a version.
pub const PRIOR_AUTHORIZATION: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-priorauthorization";
/// The US Core Patient profile.
pub const US_CORE_PATIENT: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient";
/// The US Core Organization profile.
pub const US_CORE_ORGANIZATION: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-organization";
/// The US Core Practitioner profile.
pub const US_CORE_PRACTITIONER: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-practitioner";
/// The US Core Location profile.
pub const US_CORE_LOCATION: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-location";
/// The HRex Coverage profile.
pub const HREX_COVERAGE: &str = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-coverage";

/// The extension `reviewAction` of PDex. PAS defines its own.
pub const REVIEW_ACTION: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-reviewAction";
/// The part of `reviewAction` that holds the code. Unlike the other parts it has a full URL.
pub const REVIEW_ACTION_CODE: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-reviewActionCode";
/// The extension for the time at which an item was decided.
pub const WHEN_ADJUDICATED: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/base-ext-when-adjudicated";
/// The extension for the level of service, on the resource.
pub const LEVEL_OF_SERVICE: &str =
    "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/extension-levelOfServiceCode";

/// Claim adjustment reason codes.
pub const CARC: &str = "https://x12.org/codes/claim-adjustment-reason-codes";
/// HL7 adjudication value codes: the type of an amount.
pub const ADJUDICATION: &str = "http://terminology.hl7.org/CodeSystem/adjudication";
/// The discriminator between the slices of `adjudication`.
pub const DISCRIMINATOR: &str =
    "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PDexAdjudicationDiscriminator";
/// Network status: in network, out of network, other.
pub const PAYER_STATUS: &str = "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PDexPayerAdjudicationStatus";
/// The type of a total.
pub const VALUE_CODES: &str = "http://hl7.org/fhir/us/davinci-pdex/CodeSystem/PriorAuthorizationValueCodes";
/// The reason why an element has no code.
pub const DATA_ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
