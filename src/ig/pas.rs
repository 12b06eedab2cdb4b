//! Da Vinci PAS: names, addresses and minimums, per version.

/// What one version of the guide asks for.
#[derive(Debug)]
pub struct Pas {
    /// `2.2.1`.
    pub version: &'static str,
    /// Our base path for it.
    pub base: &'static str,
    /// The word for it in `Received.channel`.
    pub channel: &'static str,
    /// Each item must carry request type, certification type and a location (2.2.1 minimums).
    pub item_minimums: bool,
    /// `ClaimResponse.request` is mandatory, with a data-absent-reason where it points nowhere.
    pub request_is_mandatory: bool,
    /// `$inquire` answers with a `Parameters` of bundles; else with one bundle.
    pub inquiry_in_parameters: bool,
}

/// PAS 2.2.1.
pub static V2_2: Pas = Pas {
    version: "2.2.1",
    base: "/pas/2.2",
    channel: "pas-2.2",
    item_minimums: true,
    request_is_mandatory: true,
    inquiry_in_parameters: true,
};

/// A PAS structure definition's URL.
pub fn sd(name: &str) -> String {
    format!("http://hl7.org/fhir/us/davinci-pas/StructureDefinition/{name}")
}

/// X12 data element `n` as a code system.
pub fn x12(element: &str) -> String {
    format!("https://codesystem.x12.org/005010/{element}")
}

/// The external X12 list of decision reasons (data element 886).
pub const X12_886: &str = "https://codesystem.x12.org/external/886";
/// The one topic of PAS.
pub const TOPIC: &str = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic";
/// FHIR's reason why an element has no value.
pub const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// The category that every PAS adjudication carries.
pub const ADJUDICATION: &str = "http://terminology.hl7.org/CodeSystem/adjudication";
/// The LOINC code for "a questionnaire package" (PAS ainfo-3).
pub const QUESTIONNAIRE_PACKAGE: &str = "102089-0";
