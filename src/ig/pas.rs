//! Da Vinci Prior Authorization Support (PAS): what differs per version, and the names that all versions share.

use super::ServedAtAddress;

/// A version of PAS that this server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasVersion {
    /// PAS 2.2.1.
    V2_2,
}

/// What one version of PAS asks for.
#[derive(Debug)]
pub struct PasGuide {
    /// The version's name in client registrations and in stored cases: `pas-2.2`.
    pub name: &'static str,
    /// The published version: `2.2.1`.
    pub number: &'static str,
    /// The FHIR base path that serves it (PAS conf-1: one base per version).
    pub base_path: &'static str,
    /// Each item of a request must have a category, a location, a request type and a certification type.
    pub requires_item_details: bool,
    /// `ClaimResponse.request` is mandatory, with a data-absent-reason where no Claim can be referenced.
    pub requires_claim_reference: bool,
}

static V2_2: PasGuide = PasGuide {
    name: "pas-2.2",
    number: "2.2.1",
    base_path: "/pas/2.2",
    requires_item_details: true,
    requires_claim_reference: true,
};

impl PasVersion {
    /// The versions that this server answers, oldest first.
    pub const SERVED: [Self; 1] = [Self::V2_2];

    /// The table of this version.
    pub const fn guide(self) -> &'static PasGuide {
        match self {
            Self::V2_2 => &V2_2,
        }
    }
}

impl PasGuide {
    fn served() -> impl DoubleEndedIterator<Item = &'static Self> {
        PasVersion::SERVED.into_iter().map(PasVersion::guide)
    }

    /// The version with this name, such as the one under which a case was received.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::served().find(|guide| guide.name == name)
    }

    /// The newest version that a client's registration names, otherwise the newest one: for messages that the server
    /// sends on its own.
    pub fn for_client(names: &[String]) -> &'static Self {
        Self::served()
            .rev()
            .find(|guide| names.iter().any(|name| name == guide.name))
            .unwrap_or(&V2_2)
    }
}

impl ServedAtAddress for PasGuide {
    fn at_address(path: &str) -> Option<&'static Self> {
        Self::served().find(|guide| super::is_below(path, guide.base_path))
    }
}

/// The profiles of PAS that the server names in its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The response to `$submit`, and the focus of a notification.
    ClaimResponse,
    /// The response to `$inquire`.
    ClaimInquiryResponse,
    /// The Bundle around a `ClaimResponse`.
    ResponseBundle,
    /// The Bundle around a `ClaimInquiryResponse`.
    InquiryResponseBundle,
    /// A request for additional information.
    CommunicationRequest,
    /// A subscription to PAS notifications.
    Subscription,
}

impl Profile {
    /// The canonical URL.
    pub fn url(self) -> String {
        structure_definition(match self {
            Self::ClaimResponse => "profile-claimresponse",
            Self::ClaimInquiryResponse => "profile-claiminquiryresponse",
            Self::ResponseBundle => "profile-pas-response-bundle",
            Self::InquiryResponseBundle => "profile-pas-inquiry-response-bundle",
            Self::CommunicationRequest => "profile-communicationrequest",
            Self::Subscription => "profile-subscription",
        })
    }
}

/// The guide's canonical base.
pub const CANONICAL: &str = "http://hl7.org/fhir/us/davinci-pas";

fn structure_definition(name: &str) -> String {
    format!("{CANONICAL}/StructureDefinition/{name}")
}

/// The URL of a PAS extension: `extension_url("itemTraceNumber")`.
pub fn extension_url(name: &str) -> String {
    structure_definition(&format!("extension-{name}"))
}

/// The modifier extension of an item or supporting information that an update withdraws, if its value is true.
pub const INFO_CANCELLED: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/modifierextension-infoCancelled";

/// The code system of an X12 005010 data element: `x12_system("306")`.
pub fn x12_system(element: &str) -> String {
    format!("https://codesystem.x12.org/005010/{element}")
}

/// The external X12 list of decision reasons (data element 886).
pub const DECISION_REASONS: &str = "https://codesystem.x12.org/external/886";
/// The code system of PAS for codes that have no other home, such as `CDEX`.
pub const TEMPORARY_CODES: &str = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";
/// The one subscription topic of PAS.
pub const SUBSCRIPTION_TOPIC: &str =
    "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic";
/// FHIR's extension that says why an element has no value.
pub const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// The code system of `adjudication.category`.
pub const ADJUDICATION_CATEGORIES: &str = "http://terminology.hl7.org/CodeSystem/adjudication";
/// The LOINC code that requests a questionnaire package (PAS ainfo-3).
pub const QUESTIONNAIRE_PACKAGE_LOINC: &str = "102089-0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_address_name_and_client() {
        for guide in PasGuide::served() {
            let path = format!("{}/Claim/$submit", guide.base_path);
            assert_eq!(PasGuide::at_address(&path).unwrap().name, guide.name);
            assert_eq!(PasGuide::named(guide.name).unwrap().number, guide.number);
            let names = ["crd-2.2".to_owned(), guide.name.to_owned()];
            assert_eq!(PasGuide::for_client(&names).name, guide.name);
        }
        assert!(PasGuide::at_address("/pas/2.20/Claim/$submit").is_none());
        assert!(PasGuide::named("pas-1.0").is_none());
    }

    #[test]
    fn a_client_that_names_no_version_gets_the_newest() {
        let newest = PasGuide::served().next_back().unwrap();
        assert_eq!(PasGuide::for_client(&[]).name, newest.name);
    }
}
