//! Conversion of imported FHIR resources (Patient, Coverage, Practitioner, Organization) to the plan's records. An
//! error is one sentence that says which element is missing or wrong; it contains no member data.

use super::{Coverage, Member, Provider, fold_name};
use crate::fhir;
use crate::rules::Plan;
use chrono::NaiveDate;
use serde_json::Value;
use uuid::Uuid;

/// Converts a Patient to a member. The member id is the identifier of type `MB`; if there is none, the only identifier.
pub fn member_from_patient(id: Uuid, patient: &Value) -> Result<Member, String> {
    let member_id = member_id(patient).ok_or("Patient.identifier has no member id (type MB)")?;
    let name = fhir::list(patient, "name")
        .next()
        .ok_or("Patient.name is missing")?;
    Ok(Member {
        id,
        member_id: member_id.to_owned(),
        family: fold_name(fhir::text(name, &["family"]).ok_or("Patient.name.family is missing")?),
        given: fold_name(
            fhir::list(name, "given")
                .next()
                .and_then(Value::as_str)
                .unwrap_or(""),
        ),
        birth_date: date(patient, "birthDate")?,
        gender: fhir::text(patient, &["gender"]).map(str::to_owned),
        doc: patient.clone(),
    })
}

fn member_id(patient: &Value) -> Option<&str> {
    let typed = fhir::list(patient, "identifier").find(|i| {
        i.get("type")
            .is_some_and(|t| fhir::coding::codings(t).any(|c| c.code == "MB"))
    });
    let mut all = fhir::list(patient, "identifier");
    let one = match (typed, all.next(), all.next()) {
        (Some(typed), _, _) => typed,
        (None, Some(only), None) => only,
        _ => return None,
    };
    fhir::text(one, &["value"])
}

fn date(resource: &Value, name: &str) -> Result<Option<NaiveDate>, String> {
    let Some(text) = fhir::text(resource, &[name]) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| format!("{name} is not a full date (YYYY-MM-DD)"))
}

/// The plan's code: `Coverage.class` of type `plan`.
pub fn plan_code(coverage: &Value) -> Option<&str> {
    fhir::list(coverage, "class")
        .find(|class| {
            class
                .get("type")
                .is_some_and(|t| fhir::coding::codings(t).any(|c| c.code == "plan"))
        })
        .and_then(|class| fhir::text(class, &["value"]))
}

/// Converts a Coverage of the member with row id `member`. `plan` looks up a plan code in the plans table
/// (`plans.csv`).
pub fn coverage_from_fhir<'p>(
    id: Uuid,
    member: Uuid,
    coverage: &Value,
    plan: impl Fn(&str) -> Option<&'p Plan>,
) -> Result<Coverage, String> {
    let code = plan_code(coverage).ok_or("Coverage.class has no entry of type plan")?;
    let plan = plan(code).ok_or_else(|| format!("The plan {code} is not in the plans table"))?;
    let (system, value) = fhir::identifiers(coverage)
        .next()
        .ok_or("Coverage.identifier is missing")?;
    let period = coverage.get("period").unwrap_or(&Value::Null);
    Ok(Coverage {
        id,
        key: format!("{system}|{value}"),
        member,
        plan: code.to_owned(),
        line_of_business: plan.line_of_business.clone(),
        state: plan.state.clone(),
        zone: plan.zone,
        subscriber_id: fhir::text(coverage, &["subscriberId"]).map(str::to_owned),
        status: fhir::text(coverage, &["status"])
            .ok_or("Coverage.status is missing")?
            .to_owned(),
        starts: date(period, "start")?,
        ends: date(period, "end")?,
        doc: coverage.clone(),
    })
}

/// Converts a Practitioner or an Organization to a provider.
pub fn provider_from_fhir(id: Uuid, resource: &Value) -> Result<Provider, String> {
    let kind = fhir::resource_type(resource).unwrap_or("");
    let name = match kind {
        "Organization" => fhir::text(resource, &["name"]).map(str::to_owned),
        _ => fhir::human_name(resource),
    };
    let npi = fhir::npi(resource).map(str::to_owned);
    let key = match (&npi, fhir::identifiers(resource).next()) {
        (Some(npi), _) => format!("{kind}|{npi}"),
        (None, Some((system, value))) => format!("{kind}|{system}|{value}"),
        (None, None) => return Err(format!("{kind}.identifier is missing")),
    };
    let email = fhir::list(resource, "telecom")
        .find(|t| fhir::text(t, &["system"]) == Some("email"))
        .and_then(|t| fhir::text(t, &["value"]));
    Ok(Provider {
        id,
        key,
        kind: kind.to_owned(),
        npi,
        name: name.ok_or_else(|| format!("{kind}.name is missing"))?,
        email: email.map(str::to_owned),
        doc: resource.clone(),
    })
}
