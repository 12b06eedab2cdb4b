//! Da Vinci Documentation Templates and Rules (DTR): what differs per version, and the names that all versions share.

use super::ServedAtAddress;

/// A version of DTR that this server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtrVersion {
    /// DTR 2.2.0.
    V2_2,
}

/// What one version of DTR asks for.
#[derive(Debug)]
pub struct DtrGuide {
    /// The published version: `2.2.0`. Canonicals of the guide carry it.
    pub number: &'static str,
    /// The FHIR base path that serves it, and under which questionnaires have their canonicals.
    pub base_path: &'static str,
    /// The output parameter of `$questionnaire-package` that holds a package.
    pub package_parameter: &'static str,
    /// The output parameter of `$questionnaire-package` that holds the `OperationOutcome`.
    pub outcome_parameter: &'static str,
    /// `information-origin.source` of an answer that the server filled in.
    pub prefilled_by_server: &'static str,
    /// The code system of `intendedUse`.
    pub intended_uses: &'static str,
}

static V2_2: DtrGuide = DtrGuide {
    number: "2.2.0",
    base_path: "/dtr/2.2",
    package_parameter: "packagebundle",
    outcome_parameter: "outcome",
    prefilled_by_server: "auto-server",
    intended_uses: "http://hl7.org/fhir/us/davinci-crd/CodeSystem/coverage-information-codes",
};

impl DtrVersion {
    /// The versions that this server answers, oldest first.
    pub const SERVED: [Self; 1] = [Self::V2_2];
    /// The newest version. Questionnaires have their canonicals and profiles in it.
    pub const NEWEST: Self = Self::V2_2;

    /// The table of this version.
    pub const fn guide(self) -> &'static DtrGuide {
        match self {
            Self::V2_2 => &V2_2,
        }
    }
}

impl DtrGuide {
    /// A canonical of the guide with its version: `canonical("CapabilityStatement/dtr-payer-service")`.
    pub fn canonical(&self, artifact: &str) -> String {
        format!("{CANONICAL}/{artifact}|{}", self.number)
    }

    /// A profile's canonical with its version.
    pub fn profile(&self, profile: Profile) -> String {
        let name = match profile {
            Profile::StandardQuestionnaire => "dtr-std-questionnaire",
            Profile::QuestionnaireResponse => "dtr-questionnaireresponse",
            Profile::PackageBundle => "DTR-QPackageBundle",
            Profile::PackageOutput => "dtr-qpackage-output-parameters",
        };
        self.canonical(&format!("StructureDefinition/{name}"))
    }
}

impl ServedAtAddress for DtrGuide {
    fn at_address(path: &str) -> Option<&'static Self> {
        DtrVersion::SERVED
            .into_iter()
            .map(DtrVersion::guide)
            .find(|guide| super::is_below(path, guide.base_path))
    }
}

/// The profiles of DTR that the server names in its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A questionnaire that is not adaptive.
    StandardQuestionnaire,
    /// A draft of the answers.
    QuestionnaireResponse,
    /// A questionnaire with its draft.
    PackageBundle,
    /// The output of `$questionnaire-package`.
    PackageOutput,
}

const CANONICAL: &str = "http://hl7.org/fhir/us/davinci-dtr";

/// The URL of a DTR extension: `extension_url("qr-context")`.
pub fn extension_url(name: &str) -> String {
    format!("{CANONICAL}/StructureDefinition/{name}")
}

/// The extension that says where an answer came from. All versions share the URL and differ in the codes.
pub const INFORMATION_ORIGIN: &str =
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_address_and_names_itself_in_its_canonicals() {
        for guide in DtrVersion::SERVED.map(DtrVersion::guide) {
            let path = format!("{}/Questionnaire", guide.base_path);
            assert_eq!(DtrGuide::at_address(&path).unwrap().number, guide.number);
            assert!(
                guide
                    .profile(Profile::PackageBundle)
                    .ends_with(&format!("|{}", guide.number))
            );
        }
        assert!(DtrGuide::at_address("/dtr/1.0/Questionnaire").is_none());
    }
}
