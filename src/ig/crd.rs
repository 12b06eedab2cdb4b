//! Da Vinci Coverage Requirements Discovery (CRD): what differs per version, and the names that all versions share.

/// A version of CRD that this server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrdVersion {
    /// CRD 2.2.1.
    V2_2,
}

/// What one version of CRD asks for. All versions have the same address; the client names the version.
#[derive(Debug)]
pub struct CrdGuide {
    /// The version's name in client registrations: `crd-2.2`.
    pub name: &'static str,
    /// The version as `davinci-crd.version` and `davinci-crd.requestedVersion` name it: `2.2`.
    pub requested_version: &'static str,
    /// The code system of `card.source.topic`.
    pub card_topics: &'static str,
    /// The code system of `detail.code` in the coverage-information extension.
    pub coverage_details: &'static str,
}

static V2_2: CrdGuide = CrdGuide {
    name: "crd-2.2",
    requested_version: "2.2",
    card_topics: "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
    coverage_details: "http://terminology.hl7.org/CodeSystem/crd-coverage-detail",
};

impl CrdVersion {
    /// The versions that this server answers, oldest first.
    pub const SERVED: [Self; 1] = [Self::V2_2];

    /// The table of this version.
    pub const fn guide(self) -> &'static CrdGuide {
        match self {
            Self::V2_2 => &V2_2,
        }
    }
}

impl CrdGuide {
    /// The versions that this server answers, oldest first.
    pub fn served() -> impl DoubleEndedIterator<Item = &'static Self> {
        CrdVersion::SERVED.into_iter().map(CrdVersion::guide)
    }

    /// The version that a hook call asks for in `davinci-crd.requestedVersion`. A patch version (`2.2.1`) means its
    /// minor version (`2.2`).
    pub fn requested(version: &str) -> Option<&'static Self> {
        let is_patch = |patch: &str| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
        Self::served().find(|guide| match version.strip_prefix(guide.requested_version) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('.').is_some_and(is_patch),
            None => false,
        })
    }

    /// The newest version that a client's registration names, otherwise the newest one: for a hook call that does not
    /// ask for a version.
    pub fn for_client(names: &[String]) -> &'static Self {
        Self::served()
            .rev()
            .find(|guide| names.iter().any(|name| name == guide.name))
            .unwrap_or(&V2_2)
    }
}

/// The coverage-information extension.
pub const COVERAGE_INFORMATION: &str =
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
/// The code system of `reason` in the coverage-information extension.
pub const COVERAGE_REASONS: &str = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_request_and_by_client() {
        for guide in CrdGuide::served() {
            let requested = CrdGuide::requested(guide.requested_version);
            assert_eq!(requested.unwrap().name, guide.name);
            assert_eq!(CrdGuide::for_client(&[guide.name.to_owned()]).name, guide.name);
        }
        assert_eq!(CrdGuide::requested("2.2.1").unwrap().name, "crd-2.2");
        for other in ["2.0", "2.0.1", "2", "2.22", "2.2.", "2.2.x", "2.2.1.1", ""] {
            assert!(CrdGuide::requested(other).is_none(), "{other}");
        }
        let newest = CrdGuide::served().next_back().unwrap();
        assert_eq!(CrdGuide::for_client(&[]).name, newest.name);
    }
}
