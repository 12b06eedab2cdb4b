//! The types that can be searched here and their parameters (PDex 2.2.0 CapabilityStatement pdex-server-6-1, US Core
//! 6.1.0 for Patient and Coverage). `use` and `_profile` stand beside the required ones: apps ask for them.

use super::names;
use super::search::{Form, Found, Kind, Parameter};
use super::span::Span;
use crate::fhir::{self, coding};
use serde_json::Value;

/// The authorizations.
pub static EXPLANATION_OF_BENEFIT: Kind = Kind {
    name: "ExplanationOfBenefit",
    profile: names::PROFILE,
    parameters: &[
        ID,
        LAST_UPDATED,
        PROFILE,
        IDENTIFIER,
        Parameter {
            name: "patient",
            form: Form::Reference("Patient"),
            found: |eob| reference(eob, "patient"),
        },
        Parameter {
            name: "type",
            form: Form::Token,
            found: |eob| concept(eob.get("type")),
        },
        Parameter {
            name: "use",
            form: Form::Token,
            found: |eob| code(eob, "use", "http://hl7.org/fhir/claim-use"),
        },
        Parameter {
            name: "service-date",
            form: Form::Date,
            found: service_dates,
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
pub static PATIENT: Kind = Kind {
    name: "Patient",
    profile: names::US_CORE_PATIENT,
    parameters: &[
        ID,
        IDENTIFIER,
        Parameter {
            name: "name",
            form: Form::Text,
            found: |patient| names_of(patient, &["family", "given", "text"]),
        },
        Parameter {
            name: "family",
            form: Form::Text,
            found: |patient| names_of(patient, &["family"]),
        },
        Parameter {
            name: "given",
            form: Form::Text,
            found: |patient| names_of(patient, &["given"]),
        },
        Parameter {
            name: "birthdate",
            form: Form::Date,
            found: |patient| times(patient, &["birthDate"]),
        },
        Parameter {
            name: "gender",
            form: Form::Token,
            found: |patient| code(patient, "gender", "http://hl7.org/fhir/administrative-gender"),
        },
    ],
    includes: &[],
};

/// The member's coverages.
pub static COVERAGE: Kind = Kind {
    name: "Coverage",
    profile: names::HREX_COVERAGE,
    parameters: &[
        ID,
        IDENTIFIER,
        Parameter {
            name: "patient",
            form: Form::Reference("Patient"),
            found: |coverage| reference(coverage, "beneficiary"),
        },
        Parameter {
            name: "beneficiary",
            form: Form::Reference("Patient"),
            found: |coverage| reference(coverage, "beneficiary"),
        },
    ],
    includes: &[
        ("payor", &["/payor/*"]),
        ("beneficiary", &["/beneficiary"]),
        ("patient", &["/beneficiary"]),
    ],
};

/// Every type that can be searched.
pub static ALL: [&Kind; 3] = [&EXPLANATION_OF_BENEFIT, &PATIENT, &COVERAGE];

const ID: Parameter = Parameter {
    name: "_id",
    form: Form::Token,
    found: |r| code(r, "id", ""),
};
const LAST_UPDATED: Parameter = Parameter {
    name: "_lastUpdated",
    form: Form::Date,
    found: |r| times(r, &["meta", "lastUpdated"]),
};
const PROFILE: Parameter = Parameter {
    name: "_profile",
    form: Form::Canonical,
    found: profiles,
};
const IDENTIFIER: Parameter = Parameter {
    name: "identifier",
    form: Form::Token,
    found: identifiers,
};

fn code(resource: &Value, name: &str, system: &str) -> Vec<Found> {
    fhir::text(resource, &[name])
        .map(|code| Found::Code(system.to_owned(), code.to_owned()))
        .into_iter()
        .collect()
}

fn concept(concept: Option<&Value>) -> Vec<Found> {
    let codings = concept.into_iter().flat_map(coding::codings);
    codings
        .map(|c| Found::Code(c.system.into_owned(), c.code.to_owned()))
        .collect()
}

fn identifiers(resource: &Value) -> Vec<Found> {
    fhir::identifiers(resource)
        .map(|(system, value)| Found::Code(system.to_owned(), value.to_owned()))
        .collect()
}

fn reference(resource: &Value, name: &str) -> Vec<Found> {
    fhir::text(resource, &[name, "reference"])
        .map(|literal| Found::Text(literal.to_owned()))
        .into_iter()
        .collect()
}

fn profiles(resource: &Value) -> Vec<Found> {
    let meta = resource.get("meta").unwrap_or(&Value::Null);
    fhir::list(meta, "profile")
        .filter_map(Value::as_str)
        .map(|p| Found::Text(p.to_owned()))
        .collect()
}

fn times(resource: &Value, path: &[&str]) -> Vec<Found> {
    fhir::text(resource, path)
        .and_then(Span::read)
        .map(Found::Time)
        .into_iter()
        .collect()
}

fn names_of(patient: &Value, parts: &[&str]) -> Vec<Found> {
    fhir::list(patient, "name")
        .flat_map(|name| parts.iter().filter_map(|part| name.get(*part)))
        .flat_map(|part| match part {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        })
        .filter_map(|text| Some(Found::Text(text.as_str()?.to_owned())))
        .collect()
}

/// `billablePeriod`, or `serviced[x]` of any line.
fn service_dates(eob: &Value) -> Vec<Found> {
    let days = fhir::list(eob, "item").filter_map(|item| Span::read(fhir::text(item, &["servicedDate"])?));
    let periods = fhir::list(eob, "item").filter_map(|item| item.get("servicedPeriod"));
    let periods = periods.chain(eob.get("billablePeriod"));
    let periods = periods.filter_map(|p| Span::of_period(fhir::text(p, &["start"]), fhir::text(p, &["end"])));
    days.chain(periods).map(Found::Time).collect()
}
