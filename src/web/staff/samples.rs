//! Samples for the tests of the staff pages.

use crate::forms::Forms;
use crate::review::{CaseEvidence, CaseView, Deliveries, samples};
use crate::rules::RuleSet;

/// A sample case as a reviewer opens it.
pub fn case_view() -> CaseView {
    CaseView {
        case: samples::case(),
        events: samples::events(),
        member: samples::member(),
        coverage: samples::coverage(),
        plan_name: Some("Harbor Medicare Advantage".to_owned()),
        client_names: [(samples::CLIENT, "Demo EHR".to_owned())].into(),
        requested_items: Vec::new(),
        deliveries: Deliveries::default(),
        evidence: CaseEvidence::collect(
            &samples::request(),
            None,
            &Forms::default(),
            samples::now().date_naive(),
        ),
    }
}

/// A rule set without policies, lists and service names.
pub fn no_rules() -> RuleSet {
    RuleSet::load(&[], &|_| None).unwrap()
}
