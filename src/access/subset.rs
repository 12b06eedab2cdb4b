//! Parts of a resource: the parameters `_summary` and `_elements` (FHIR R4, "Search", sections "Summary" and
//! "Elements"). A resource with elements left out is marked `SUBSETTED`. Elements that are mandatory or that change the
//! meaning of others are never left out.

use super::search::invalid_parameter;
use crate::error::Result;
use crate::fhir::{self, put};
use serde_json::{Value, json};

/// The part of each resource that is returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Subset {
    /// All of it.
    #[default]
    Whole,
    /// `_summary=true`: the elements that FHIR marks as summary.
    Summary,
    /// `_summary=text`: the narrative and what is mandatory.
    Narrative,
    /// `_summary=data`: everything but the narrative.
    Data,
    /// `_summary=count`: no resource, only the number of matches.
    Count,
    /// `_elements`: these elements and what is mandatory.
    Elements(Vec<String>),
}

/// The elements of a resource type that matter here, without those that every type has.
struct TypeElements {
    name: &'static str,
    /// The mandatory elements and those that change the meaning of others.
    kept: &'static [&'static str],
    /// The other elements that FHIR R4 marks as summary.
    summary: &'static [&'static str],
}

static TYPES: [TypeElements; 7] = [
    TypeElements {
        name: "ExplanationOfBenefit",
        kept: &[
            "status",
            "type",
            "use",
            "patient",
            "created",
            "insurer",
            "provider",
            "outcome",
            "insurance",
        ],
        summary: &["billablePeriod", "total"],
    },
    TypeElements {
        name: "Patient",
        kept: &["active", "deceasedBoolean", "deceasedDateTime", "link"],
        summary: &[
            "identifier",
            "name",
            "telecom",
            "gender",
            "birthDate",
            "address",
            "managingOrganization",
        ],
    },
    TypeElements {
        name: "Coverage",
        kept: &["status", "beneficiary", "payor"],
        summary: &[
            "identifier",
            "type",
            "policyHolder",
            "subscriber",
            "subscriberId",
            "dependent",
            "period",
            "order",
            "network",
        ],
    },
    TypeElements {
        name: "Organization",
        kept: &["active"],
        summary: &["identifier", "type", "name", "partOf"],
    },
    TypeElements {
        name: "Practitioner",
        kept: &[],
        summary: &[
            "identifier",
            "active",
            "name",
            "telecom",
            "address",
            "gender",
            "birthDate",
        ],
    },
    TypeElements {
        name: "Location",
        kept: &["status"],
        summary: &[
            "identifier",
            "operationalStatus",
            "name",
            "description",
            "mode",
            "type",
            "physicalType",
            "managingOrganization",
        ],
    },
    TypeElements {
        name: "QuestionnaireResponse",
        kept: &["status"],
        summary: &[
            "identifier",
            "basedOn",
            "partOf",
            "questionnaire",
            "subject",
            "encounter",
            "authored",
            "author",
            "source",
        ],
    },
];

/// Elements of every type that are never left out.
const ALWAYS_KEPT: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];

impl Subset {
    /// Reads the parameter `_summary` or `_elements`.
    ///
    /// # Errors
    ///
    /// `Malformed` for a value that FHIR does not define.
    pub fn parse(name: &str, value: &str) -> Result<Self> {
        let (read, expected) = if name == "_summary" {
            (
                Self::from_summary(value),
                "must be true, text, data, count or false",
            )
        } else {
            (
                Self::from_elements(value),
                "must be the names of elements, separated by commas",
            )
        };
        read.ok_or_else(|| invalid_parameter(name, expected))
    }

    fn from_summary(value: &str) -> Option<Self> {
        Some(match value {
            "true" => Self::Summary,
            "text" => Self::Narrative,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::Whole,
            _ => return None,
        })
    }

    /// Names separated by commas, with or without the resource type.
    fn from_elements(value: &str) -> Option<Self> {
        let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        let bare = names.map(|name| name.split_once('.').map_or(name, |(_, element)| element));
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
        let names: Vec<String> = bare.map(str::to_owned).collect();
        (!names.is_empty() && names.iter().all(|name| is_name(name))).then_some(Self::Elements(names))
    }

    /// The part of a resource.
    pub fn of(&self, mut resource: Value) -> Value {
        let resource_type = fhir::resource_type(&resource).unwrap_or("").to_owned();
        let listed = TYPES.iter().find(|listed| listed.name == resource_type);
        let (kept, summary) = listed.map_or((&[][..], &[][..]), |listed| (listed.kept, listed.summary));
        let is_returned = |element: &str| match self {
            Self::Whole | Self::Count => true,
            Self::Data => element != "text",
            Self::Summary => summary.contains(&element),
            Self::Narrative => element == "text",
            Self::Elements(names) => names.iter().any(|name| is_element(element, name)),
        };
        let Some(elements) = resource.as_object_mut() else {
            return resource;
        };
        let before = elements.len();
        elements.retain(|name, _| {
            let element = name.strip_prefix('_').unwrap_or(name);
            ALWAYS_KEPT.contains(&element) || kept.contains(&element) || is_returned(element)
        });
        if elements.len() < before || matches!(self, Self::Summary | Self::Narrative | Self::Elements(_)) {
            mark_subsetted(&mut resource);
        }
        resource
    }
}

/// Whether an element has this name. The name of a choice has no type at its end: `multipleBirth` for
/// `multipleBirthInteger`.
fn is_element(element: &str, name: &str) -> bool {
    element == name || (name == "multipleBirth" && element.starts_with(name))
}

fn mark_subsetted(resource: &mut Value) {
    let mut meta = resource.get("meta").cloned().unwrap_or_else(|| json!({}));
    let tag =
        json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED" });
    let tags = fhir::list(&meta, "tag").cloned().chain([tag]).collect();
    put(&mut meta, "tag", Value::Array(tags));
    if let Some(elements) = meta.as_object_mut() {
        // A part of a resource need not have what the profile requires.
        elements.remove("profile");
    }
    put(resource, "meta", meta);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> Value {
        json!({
            "resourceType": "Patient", "id": "1", "text": { "status": "generated" }, "active": true,
            "name": [{ "family": "Ellery" }], "birthDate": "1953-03-14", "_birthDate": { "extension": [] },
            "multipleBirthInteger": 2, "communication": [], "meta": { "lastUpdated": "2026-11-20T00:00:00Z", "profile": ["http://p"] },
        })
    }

    fn names(subset: &Subset) -> Vec<String> {
        let part = subset.of(patient());
        part.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn each_subset_keeps_its_elements_and_the_mandatory_ones() {
        let mut summary = names(&Subset::Summary);
        summary.sort();
        assert_eq!(
            summary,
            [
                "_birthDate",
                "active",
                "birthDate",
                "id",
                "meta",
                "name",
                "resourceType"
            ]
        );
        let elements = Subset::from_elements("birthDate, Patient.multipleBirth").unwrap();
        let mut some = names(&elements);
        some.sort();
        assert_eq!(
            some,
            [
                "_birthDate",
                "active",
                "birthDate",
                "id",
                "meta",
                "multipleBirthInteger",
                "resourceType"
            ]
        );
        let mut narrative = names(&Subset::Narrative);
        narrative.sort();
        assert_eq!(narrative, ["active", "id", "meta", "resourceType", "text"]);
        assert_eq!(Subset::Whole.of(patient()), patient());
        assert!(!names(&Subset::Data).contains(&"text".to_owned()));
    }

    #[test]
    fn a_part_of_a_resource_is_marked_and_keeps_its_meta() {
        let part = Subset::Summary.of(patient());
        assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(part["meta"]["lastUpdated"], "2026-11-20T00:00:00Z");
        assert!(part["meta"].get("profile").is_none());
        assert!(Subset::Whole.of(patient())["meta"].get("tag").is_none());
    }

    #[test]
    fn a_value_that_fhir_does_not_define_is_not_read() {
        assert_eq!(Subset::from_summary("yes"), None);
        assert_eq!(Subset::from_elements(","), None);
        assert_eq!(Subset::from_elements("name;drop"), None);
    }
}
