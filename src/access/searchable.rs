//! The resource types that can be searched and their parameters (PDex 2.2.0, CapabilityStatement pdex-server-6-1; US
//! Core 6.1.0 for Patient and Coverage). `use` and `_profile` are not required but commonly sent by apps.

use super::date_range::DateRange;
use super::search::{IndexedValue, ParameterType, SearchParameter, SearchableType};
use crate::fhir::{self, coding};
use crate::ig::pdex;
use serde_json::Value;

/// Prior authorizations.
pub static EXPLANATION_OF_BENEFIT: SearchableType = SearchableType {
    name: "ExplanationOfBenefit",
    profile: pdex::PRIOR_AUTHORIZATION,
    parameters: &[
        ID,
        LAST_UPDATED,
        PROFILE,
        IDENTIFIER,
        SearchParameter {
            name: "patient",
            parameter_type: ParameterType::Reference("Patient"),
            values: |eob| references(eob, "patient"),
        },
        SearchParameter {
            name: "type",
            parameter_type: ParameterType::Token,
            values: |eob| concept_codes(eob.get("type")),
        },
        SearchParameter {
            name: "use",
            parameter_type: ParameterType::Token,
            values: |eob| codes(eob, "use", "http://hl7.org/fhir/claim-use"),
        },
        SearchParameter {
            name: "service-date",
            parameter_type: ParameterType::Date,
            values: service_dates,
        },
    ],
    includes: &[
        ("patient", &["/patient"]),
        ("provider", &["/provider"]),
        ("care-team", &["/careTeam/*/provider"]),
        ("coverage", &["/insurance/*/coverage"]),
        ("insurer", &["/insurer"]),
        ("enterer", &["/enterer"]),
        ("facility", &["/facility"]),
    ],
};

/// The member.
pub static PATIENT: SearchableType = SearchableType {
    name: "Patient",
    profile: pdex::US_CORE_PATIENT,
    parameters: &[
        ID,
        IDENTIFIER,
        SearchParameter {
            name: "name",
            parameter_type: ParameterType::String,
            values: |patient| name_parts(patient, &["family", "given", "text"]),
        },
        SearchParameter {
            name: "family",
            parameter_type: ParameterType::String,
            values: |patient| name_parts(patient, &["family"]),
        },
        SearchParameter {
            name: "given",
            parameter_type: ParameterType::String,
            values: |patient| name_parts(patient, &["given"]),
        },
        SearchParameter {
            name: "birthdate",
            parameter_type: ParameterType::Date,
            values: |patient| dates(patient, &["birthDate"]),
        },
        SearchParameter {
            name: "gender",
            parameter_type: ParameterType::Token,
            values: |patient| codes(patient, "gender", "http://hl7.org/fhir/administrative-gender"),
        },
    ],
    includes: &[],
};

/// The member's coverages.
pub static COVERAGE: SearchableType = SearchableType {
    name: "Coverage",
    profile: pdex::HREX_COVERAGE,
    parameters: &[
        ID,
        IDENTIFIER,
        SearchParameter {
            name: "patient",
            parameter_type: ParameterType::Reference("Patient"),
            values: |coverage| references(coverage, "beneficiary"),
        },
        SearchParameter {
            name: "beneficiary",
            parameter_type: ParameterType::Reference("Patient"),
            values: |coverage| references(coverage, "beneficiary"),
        },
    ],
    includes: &[
        ("payor", &["/payor/*"]),
        ("beneficiary", &["/beneficiary"]),
        ("patient", &["/beneficiary"]),
    ],
};

/// Every resource type that can be searched.
pub static ALL: [&SearchableType; 3] = [&EXPLANATION_OF_BENEFIT, &PATIENT, &COVERAGE];

const ID: SearchParameter = SearchParameter {
    name: "_id",
    parameter_type: ParameterType::Token,
    values: |r| codes(r, "id", ""),
};
const LAST_UPDATED: SearchParameter = SearchParameter {
    name: "_lastUpdated",
    parameter_type: ParameterType::Date,
    values: |r| dates(r, &["meta", "lastUpdated"]),
};
const PROFILE: SearchParameter = SearchParameter {
    name: "_profile",
    parameter_type: ParameterType::Canonical,
    values: profiles,
};
const IDENTIFIER: SearchParameter = SearchParameter {
    name: "identifier",
    parameter_type: ParameterType::Token,
    values: identifiers,
};

fn codes(resource: &Value, name: &str, system: &str) -> Vec<IndexedValue> {
    fhir::text(resource, &[name])
        .map(|code| IndexedValue::Code(system.to_owned(), code.to_owned()))
        .into_iter()
        .collect()
}

fn concept_codes(concept: Option<&Value>) -> Vec<IndexedValue> {
    let codings = concept.into_iter().flat_map(coding::codings);
    codings
        .map(|coding| IndexedValue::Code(coding.system.into_owned(), coding.code.to_owned()))
        .collect()
}

fn identifiers(resource: &Value) -> Vec<IndexedValue> {
    fhir::identifiers(resource)
        .map(|(system, value)| IndexedValue::Code(system.to_owned(), value.to_owned()))
        .collect()
}

fn references(resource: &Value, name: &str) -> Vec<IndexedValue> {
    fhir::text(resource, &[name, "reference"])
        .map(|literal| IndexedValue::Text(literal.to_owned()))
        .into_iter()
        .collect()
}

fn profiles(resource: &Value) -> Vec<IndexedValue> {
    let meta = resource.get("meta").unwrap_or(&Value::Null);
    fhir::list(meta, "profile")
        .filter_map(Value::as_str)
        .map(|profile| IndexedValue::Text(profile.to_owned()))
        .collect()
}

fn dates(resource: &Value, path: &[&str]) -> Vec<IndexedValue> {
    fhir::text(resource, path)
        .and_then(DateRange::parse)
        .map(IndexedValue::Date)
        .into_iter()
        .collect()
}

fn name_parts(patient: &Value, parts: &[&str]) -> Vec<IndexedValue> {
    fhir::list(patient, "name")
        .flat_map(|name| parts.iter().filter_map(|part| name.get(*part)))
        .flat_map(|part| match part {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        })
        .filter_map(|text| Some(IndexedValue::Text(text.as_str()?.to_owned())))
        .collect()
}

/// The dates of `billablePeriod` and of every item's `serviced[x]`.
fn service_dates(eob: &Value) -> Vec<IndexedValue> {
    let days =
        fhir::list(eob, "item").filter_map(|item| DateRange::parse(fhir::text(item, &["servicedDate"])?));
    let periods = fhir::list(eob, "item").filter_map(|item| item.get("servicedPeriod"));
    let periods = periods.chain(eob.get("billablePeriod"));
    let periods = periods.filter_map(|period| {
        DateRange::from_period(fhir::text(period, &["start"]), fhir::text(period, &["end"]))
    });
    days.chain(periods).map(IndexedValue::Date).collect()
}
