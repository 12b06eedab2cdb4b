//! The checks of a request Bundle that concern its evidence. What is wrong here is wrong in FHIR itself; evidence that
//! is valid and may not decide is set aside instead (`crate::evidence`).

use crate::error::IssueCode;
use crate::evidence::{LocatedResource, Patient, Resources, missing_status, subject_problem};
use crate::fhir::bundle::BundleEntry;
use crate::fhir::outcome::Checks;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The beneficiary of each Coverage of the Claim must be the patient of the Claim: a coverage of somebody else pays for
/// nothing.
pub(super) fn check_beneficiaries(
    resources: &Resources<'_>,
    patient: Option<BundleEntry<'_>>,
    coverages: &[BundleEntry<'_>],
    checks: &mut Checks,
) {
    let Some(patient) = patient.map(|entry| Patient::of_bundle(entry.resource)) else {
        return;
    };
    let sent: HashSet<*const Value> = coverages
        .iter()
        .map(|coverage| std::ptr::from_ref(coverage.resource))
        .collect();
    let located: HashMap<*const Value, &LocatedResource<'_>> = resources
        .all()
        .iter()
        .map(|located| (std::ptr::from_ref(located.resource), located))
        .filter(|(resource, _)| sent.contains(resource))
        .collect();
    for coverage in coverages {
        let located = located.get(&std::ptr::from_ref(coverage.resource));
        if located
            .and_then(|located| subject_problem(resources, &patient, located))
            .is_some()
        {
            checks.error(
                IssueCode::Value,
                format!("{}.beneficiary", coverage.path()),
                "Coverage.beneficiary must be the Patient that Claim.patient references",
            );
        }
    }
}

/// A status that FHIR requires must be there. `check_claim` checks the status of the Claim.
pub(super) fn check_statuses(resources: &Resources<'_>, checks: &mut Checks) {
    for located in resources
        .all()
        .iter()
        .filter(|r| r.path != "Bundle.entry[0].resource")
    {
        if let Some(element) = missing_status(located.resource) {
            checks.error(
                IssueCode::Required,
                format!("{}.{element}", located.path),
                format!("{}.{element} is missing", located.resource_type()),
            );
        }
    }
}
