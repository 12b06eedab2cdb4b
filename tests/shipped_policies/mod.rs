//! The shipped policies over the APIs: the hook returns the coverage answer of each policy, and the questionnaire
//! package has its form and no other. `thresholds` tests their criteria against the tables in `numbers`, `federal_list`
//! tests the federal list of equipment.

mod federal_list;
mod numbers;
mod thresholds;

use crate::support::{Ehr, PUBLIC_URL, TestApp, both, config};
use assent::demo::walk::messages::{Messages, extension};
use assent::rules::{CaseDocument, Policy, PolicyStatus, RuleSet, Verdict};
use assent::state::PolicySet;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tempfile::TempDir;

const INFORMATION: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";

/// The coverage answer of each policy for an order with its first code and nothing else, given on 2026-11-20: the
/// policy, `pa-needed`, the day on which the answer expires, and the form.
const COVERAGE_ANSWERS: [(&str, &str, &str, &str); 14] = [
    (
        "dme.home-oxygen",
        "auth-needed",
        "2027-02-18",
        "home-oxygen|1.0.0",
    ),
    (
        "dme.hospital-bed",
        "auth-needed",
        "2027-02-18",
        "hospital-bed|1.0.0",
    ),
    (
        "dme.pneumatic-compression",
        "auth-needed",
        "2027-01-19",
        "pneumatic-compression|1.0.0",
    ),
    (
        "dme.positive-airway-pressure",
        "auth-needed",
        "2027-02-18",
        "positive-airway-pressure|1.0.0",
    ),
    (
        "dme.power-operated-vehicle",
        "auth-needed",
        "2027-05-20",
        "power-operated-vehicle|1.0.0",
    ),
    (
        "dme.power-wheelchair",
        "auth-needed",
        "2027-05-20",
        "power-wheelchair|1.0.0",
    ),
    (
        "dme.support-surfaces-group-2",
        "auth-needed",
        "2026-12-20",
        "support-surfaces|1.0.0",
    ),
    (
        "home-health.skilled-nursing-visits",
        "auth-needed",
        "2027-01-19",
        "skilled-nursing-visits|1.0.0",
    ),
    (
        "imaging.breast",
        "auth-needed",
        "2027-02-18",
        "breast-imaging|1.0.0",
    ),
    (
        "orthotics.lower-limb",
        "auth-needed",
        "2027-01-19",
        "lower-limb-orthosis|1.0.0",
    ),
    (
        "orthotics.spinal",
        "auth-needed",
        "2027-01-19",
        "spinal-orthosis|1.0.0",
    ),
    (
        "outpatient.blepharoplasty",
        "auth-needed",
        "2027-03-20",
        "blepharoplasty|1.0.0",
    ),
    (
        "outpatient.botulinum-toxin",
        "auth-needed",
        "2027-03-20",
        "botulinum-toxin|1.0.0",
    ),
    (
        "prosthetics.lower-limb",
        "auth-needed",
        "2027-03-20",
        "lower-limb-prosthesis|1.0.0",
    ),
];

/// The shipped policy set. It is loaded once, with its embedded tests.
static SHIPPED: LazyLock<PolicySet> = LazyLock::new(|| {
    let data = TempDir::new().unwrap();
    crate::support::altered_policies(&config(&data), &[])
});

fn rules() -> &'static RuleSet {
    &SHIPPED.rules
}

fn active() -> impl Iterator<Item = &'static Policy> {
    rules()
        .policies()
        .filter(|policy| policy.status() == PolicyStatus::Active)
}

fn policy(name: &str) -> &'static Policy {
    let mut all = active().filter(|policy| policy.name() == name);
    let policy = all
        .next()
        .unwrap_or_else(|| panic!("{name} has no active version"));
    assert!(all.next().is_none(), "{name} has two active versions");
    policy
}

/// The verdict on a HCPCS code for a member of a Medicare Advantage plan on a day, without any other data.
fn verdict_of(code: &str, day: &str) -> Verdict {
    let document = json!({
        "kind": "pas", "received": format!("{day}T15:00:00Z"), "zone": "America/New_York",
        "member": { "line_of_business": "MA", "age": 71 },
        "item": { "sequence": 1, "codes": [{ "system": HCPCS, "code": code }], "quantity": { "value": 1 } },
        "res": {}, "answers": {},
    });
    rules().evaluate(&CaseDocument::from_json(document).unwrap())
}

const CPT: &str = "http://www.ama-assn.org/go/cpt";
const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// The first code of a policy. For a range, the first code of the range.
fn first_code(policy: &Policy) -> (&str, &str) {
    let (system, code) = policy.codes().next().unwrap();
    (system, code.split('-').next().unwrap())
}

/// Number, family name and birth date of a demo member with a line of business of the policy: QHP for a policy for all
/// lines of business, else Medicare Advantage.
fn member(policy: &Policy) -> (&'static str, &'static str, &'static str) {
    match policy.lines_of_business() {
        None => ("88800933501", "Baxter", "1987-02-20"),
        Some(lines_of_business) => {
            assert!(
                lines_of_business.iter().any(|lob| lob == "MA"),
                "{}",
                policy.name()
            );
            ("A100200300", "Ellery", "1953-03-14")
        }
    }
}

/// Patient and Coverage of a member in the EHR.
fn patient_and_coverage((number, family, born): (&str, &str, &str)) -> (Value, Value) {
    let kind =
        json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] });
    let patient = json!({
        "resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": born, "name": [{ "family": family }],
        "identifier": [{ "type": kind, "system": "https://plan.example/member", "value": number }],
    });
    let coverage = json!({
        "resourceType": "Coverage", "id": "c1", "status": "active", "beneficiary": { "reference": "Patient/p1" },
        "identifier": [{ "type": kind, "system": "https://plan.example/coverage", "value": number }],
        "payor": [{ "reference": "Organization/payer" }],
    });
    (patient, coverage)
}

fn order(policy: &Policy) -> Value {
    let (system, code) = first_code(policy);
    json!({
        "resourceType": "ServiceRequest", "id": "order", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": system, "code": code }] }, "subject": { "reference": "Patient/p1" },
        "authoredOn": "2026-11-20", "requester": { "reference": "Practitioner/dr1" },
    })
}

/// The coverage information that the hook returns for an order with the policy's first code.
async fn coverage_information(app: &TestApp, ehr: &Ehr<'_>, policy: &Policy) -> Value {
    let (patient, coverage) = patient_and_coverage(member(policy));
    let mut call = app.messages().order_sign_hook();
    call["context"]["draftOrders"]["entry"] = json!([{ "fullUrl": "https://ehr.demo.example/fhir/ServiceRequest/order", "resource": order(policy) }]);
    call["prefetch"]["patient"] = patient;
    call["prefetch"]["coverage"]["entry"][0]["resource"] = coverage;
    call["prefetch"].as_object_mut().unwrap().remove("observations");
    let response = ehr.hook("order-sign-crd", &call).await.json(200);
    let resource = &response["systemActions"][0]["resource"];
    let repetitions = resource["extension"].as_array().unwrap();
    assert_eq!(
        repetitions.iter().filter(|e| e["url"] == INFORMATION).count(),
        1,
        "{}",
        policy.name()
    );
    extension(resource, INFORMATION)
        .unwrap_or_else(|| panic!("{}: {response}", policy.name()))
        .clone()
}

/// The forms of the questionnaire packages for a parameter and the member's coverage.
async fn packaged_forms(ehr: &Ehr<'_>, policy: &Policy, parameter: Value) -> BTreeSet<String> {
    let (_, coverage) = patient_and_coverage(member(policy));
    let input = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "coverage", "resource": coverage }, parameter,
    ] });
    let response = ehr.package(&input).await.json(200);
    let bundles = response["parameter"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["name"] == "packagebundle");
    let entries = bundles.flat_map(|bundle| bundle["resource"]["entry"].as_array().unwrap());
    entries
        .map(|entry| &entry["resource"])
        .filter(|resource| resource["resourceType"] == "Questionnaire")
        .map(|form| {
            format!(
                "{}|{}",
                form["url"].as_str().unwrap(),
                form["version"].as_str().unwrap()
            )
        })
        .collect()
}

fn canonical(form: &str) -> String {
    format!("{PUBLIC_URL}/dtr/2.2/Questionnaire/{form}")
}

#[test]
fn every_active_policy_is_in_the_table() {
    let mut names: Vec<&str> = active().map(Policy::name).collect();
    names.sort_unstable();
    assert_eq!(names, COVERAGE_ANSWERS.map(|(name, ..)| name));
}

both! {
    async fn the_hook_returns_the_coverage_answer_of_each_policy(app: &TestApp) {
        let ehr = app.ehr().await;
        for (name, pa, expires, form) in COVERAGE_ANSWERS {
            let information = coverage_information(app, &ehr, policy(name)).await;
            let value = |url: &str, kind: &str| extension(&information, url).map(|found| found[kind].clone());
            assert_eq!(value("covered", "valueCode"), Some(json!("covered")), "{name}");
            assert_eq!(value("pa-needed", "valueCode"), Some(json!(pa)), "{name}");
            assert_eq!(value("doc-needed", "valueCode"), Some(json!("clinical")), "{name}");
            assert_eq!(value("doc-purpose", "valueCode"), Some(json!("withpa")), "{name}");
            assert_eq!(value("questionnaire", "valueCanonical"), Some(json!(canonical(form))), "{name}");
            assert_eq!(value("expiry-date", "valueDate"), Some(json!(expires)), "{name}");
            let reasons = information["extension"].as_array().unwrap().iter().filter(|p| p["url"] == "reason");
            let reasons: Vec<&Value> = reasons.map(|reason| &reason["valueCodeableConcept"]["text"]).collect();
            // There is only one reason, so it is clear which part of the answer it explains.
            assert!(reasons.len() == 1 && reasons[0].as_str().is_some_and(|text| text.len() > 20), "{name}: {information}");
            let url = extension(&information, "detail").map(|detail| extension(detail, "value").unwrap()["valueUrl"].clone());
            let pages = policy(name).sources().iter().map(|source| json!(source.url));
            assert!(pages.map(Some).any(|page| page == url), "{name}: {url:?} is not the page of one of its sources");
            let parts = information["extension"].as_array().unwrap();
            assert_eq!(parts.iter().filter(|p| p["url"] == "questionnaire").count(), 1, "{name}");
        }
    }

    async fn the_package_for_an_order_has_the_form_of_its_policy_and_no_other(app: &TestApp) {
        let ehr = app.ehr().await;
        for (name, _, _, form) in COVERAGE_ANSWERS {
            let policy = policy(name);
            assert_eq!(policy.forms(), [form], "{name} has another form");
            let expected = BTreeSet::from([canonical(form)]);
            let by_order = packaged_forms(&ehr, policy, json!({ "name": "order", "resource": order(policy) })).await;
            assert_eq!(by_order, expected, "{name}, by order");
            let information = coverage_information(app, &ehr, policy).await;
            let assertion = extension(&information, "coverage-assertion-id").unwrap()["valueString"].clone();
            let by_context = packaged_forms(&ehr, policy, json!({ "name": "context", "valueString": assertion })).await;
            assert_eq!(by_context, expected, "{name}, by the hook's context");
        }
    }

    async fn the_answer_for_an_order_with_two_billing_codes_says_what_it_depends_on(app: &TestApp) {
        let ehr = app.ehr().await;
        let policy = policy("imaging.breast");
        let mut call = app.messages().order_sign_hook();
        let mut order = order(policy);
        order["code"]["coding"].as_array_mut().unwrap().push(json!({ "system": CPT, "code": "77065" }));
        call["context"]["draftOrders"]["entry"] = json!([{ "resource": order }]);
        let response = ehr.hook("order-sign-crd", &call).await.json(200);
        let information = extension(&response["systemActions"][0]["resource"], INFORMATION).unwrap();
        assert_eq!(extension(information, "pa-needed").unwrap()["valueCode"], "conditional");
        assert_eq!(extension(information, "info-needed").unwrap()["valueCode"], "detail-code");
        let parts = information["extension"].as_array().unwrap();
        let without_authorization = parts.iter().filter(|p| p["url"] == "billingCode").map(|p| p["valueCoding"]["code"].clone());
        assert_eq!(without_authorization.collect::<Vec<_>>(), ["77065", "77066"]);
        assert!(extension(information, "questionnaire").is_none(), "no form is named before the code is known");
    }

    async fn a_code_that_needs_no_authorization_gets_no_form(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut order_without_authorization = order(policy("imaging.breast"));
        order_without_authorization["code"]["coding"][0]["code"] = json!("77065");
        let forms = packaged_forms(&ehr, policy("imaging.breast"), json!({ "name": "order", "resource": order_without_authorization })).await;
        assert_eq!(forms, BTreeSet::new());
        // Home oxygen for a member whose line of business needs no authorization for it.
        let oxygen = json!({ "name": "order", "resource": order(policy("dme.home-oxygen")) });
        let input = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "coverage", "resource": patient_and_coverage(member(policy("imaging.breast"))).1 }, oxygen.clone(),
        ] });
        let response = ehr.package(&input).await.json(200);
        assert!(!response.to_string().contains("\"Questionnaire\""), "{response}");
        let coverage = Messages::questionnaire_package_input("-")["parameter"][0].clone();
        let input = json!({ "resourceType": "Parameters", "parameter": [coverage, oxygen] });
        assert!(ehr.package(&input).await.json(200).to_string().contains("\"Questionnaire\""));
    }
}
