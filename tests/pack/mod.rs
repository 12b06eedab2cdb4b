//! The shipped policies as partners meet them: the hook gives each one's answer, the package holds its form and no
//! other. What stands in their criteria is in `thresholds`, the federal list in `federal_list`.

mod federal_list;
mod thresholds;

use crate::support::{Ehr, PUBLIC_URL, TestApp, both, config};
use assent::demo::walk::messages::{Run, part};
use assent::rules::policy_file::Status;
use assent::rules::{CaseDocument, Policy, RuleSet, Verdict};
use assent::state::Published;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tempfile::TempDir;

const INFORMATION: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";

/// What each policy says of an order that carries its first code and nothing else: authorization, the day on which the
/// answer lapses when it is given on 2026-11-20, and the form.
const SAID: [(&str, &str, &str, &str); 14] = [
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

/// The shipped set, loaded once: its embedded tests run then.
static SHIPPED: LazyLock<Published> = LazyLock::new(|| {
    let data = TempDir::new().unwrap();
    crate::support::altered_policies(&config(&data), &[])
});

fn rules() -> &'static RuleSet {
    &SHIPPED.rules
}

fn active() -> impl Iterator<Item = &'static Policy> {
    rules()
        .policies()
        .filter(|policy| policy.status() == Status::Active)
}

fn policy(name: &str) -> &'static Policy {
    let mut all = active().filter(|policy| policy.name() == name);
    let one = all.next().unwrap_or_else(|| panic!("there is no active {name}"));
    assert!(all.next().is_none(), "{name} has two active versions");
    one
}

/// What the set says of a code of HCPCS for a member in Medicare Advantage on a day, knowing nothing else.
fn verdict_of(code: &str, day: &str) -> Verdict {
    let document = json!({
        "kind": "pas", "received": format!("{day}T15:00:00Z"), "zone": "America/New_York",
        "member": { "line": "MA", "age": 71 },
        "item": { "sequence": 1, "codes": [{ "system": HCPCS, "code": code }], "quantity": { "value": 1 } },
        "res": {}, "answers": {},
    });
    rules().evaluate(&CaseDocument::from_json(document).unwrap())
}

const CPT: &str = "http://www.ama-assn.org/go/cpt";
const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// The first code of a policy; of a range the first.
fn first_code(policy: &Policy) -> (&str, &str) {
    let (system, code) = policy.codes().next().unwrap();
    (system, code.split('-').next().unwrap())
}

/// A member of the demo's plan in the policy's line: policies for every line are asked for someone with an exchange
/// plan, the others for someone in Medicare Advantage.
fn member(policy: &Policy) -> (&'static str, &'static str, &'static str) {
    match policy.lines() {
        None => ("88800933501", "Baxter", "1987-02-20"),
        Some(lines) => {
            assert!(lines.iter().any(|line| line == "MA"), "{}", policy.name());
            ("A100200300", "Ellery", "1953-03-14")
        }
    }
}

/// Patient and coverage of a member, as the EHR knows them.
fn person((number, family, born): (&str, &str, &str)) -> (Value, Value) {
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
        "resourceType": "ServiceRequest", "id": "asked", "status": "draft", "intent": "order",
        "code": { "coding": [{ "system": system, "code": code }] }, "subject": { "reference": "Patient/p1" },
        "authoredOn": "2026-11-20", "requester": { "reference": "Practitioner/dr1" },
    })
}

/// The hook's coverage-information on an order for the policy.
async fn told(app: &TestApp, ehr: &Ehr<'_>, policy: &Policy) -> Value {
    let (patient, coverage) = person(member(policy));
    let mut call = app.run().hook();
    call["context"]["draftOrders"]["entry"] = json!([{ "fullUrl": "https://ehr.demo.example/fhir/ServiceRequest/asked", "resource": order(policy) }]);
    call["prefetch"]["patient"] = patient;
    call["prefetch"]["coverage"]["entry"][0]["resource"] = coverage;
    call["prefetch"].as_object_mut().unwrap().remove("observations");
    let answer = ehr.hook("order-sign-crd", &call).await.json(200);
    let resource = &answer["systemActions"][0]["resource"];
    let repetitions = resource["extension"].as_array().unwrap();
    assert_eq!(
        repetitions.iter().filter(|e| e["url"] == INFORMATION).count(),
        1,
        "{}",
        policy.name()
    );
    part(resource, INFORMATION)
        .unwrap_or_else(|| panic!("{}: {answer}", policy.name()))
        .clone()
}

/// The forms of the packages that come for these parameters and the member's coverage.
async fn packaged(ehr: &Ehr<'_>, policy: &Policy, parameter: Value) -> BTreeSet<String> {
    let (_, coverage) = person(member(policy));
    let input = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "coverage", "resource": coverage }, parameter,
    ] });
    let answer = ehr.package(&input).await.json(200);
    let bundles = answer["parameter"]
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
    assert_eq!(names, SAID.map(|(name, ..)| name));
}

both! {
    async fn the_hook_gives_the_answer_of_each_policy(app: &TestApp) {
        let ehr = app.ehr().await;
        for (name, pa, lapses, form) in SAID {
            let told = told(app, &ehr, policy(name)).await;
            let value = |url: &str, kind: &str| part(&told, url).map(|found| found[kind].clone());
            assert_eq!(value("covered", "valueCode"), Some(json!("covered")), "{name}");
            assert_eq!(value("pa-needed", "valueCode"), Some(json!(pa)), "{name}");
            assert_eq!(value("doc-needed", "valueCode"), Some(json!("clinical")), "{name}");
            assert_eq!(value("doc-purpose", "valueCode"), Some(json!("withpa")), "{name}");
            assert_eq!(value("questionnaire", "valueCanonical"), Some(json!(canonical(form))), "{name}");
            assert_eq!(value("expiry-date", "valueDate"), Some(json!(lapses)), "{name}");
            let reasons = told["extension"].as_array().unwrap().iter().filter(|p| p["url"] == "reason");
            let reasons: Vec<&Value> = reasons.map(|reason| &reason["valueCodeableConcept"]["text"]).collect();
            // One reason, so nobody asks which part of the answer it explains.
            assert!(reasons.len() == 1 && reasons[0].as_str().is_some_and(|text| text.len() > 20), "{name}: {told}");
            let url = part(&told, "detail").map(|detail| part(detail, "value").unwrap()["valueUrl"].clone());
            let pages = policy(name).sources().iter().map(|source| json!(source.url));
            assert!(pages.map(Some).any(|page| page == url), "{name}: {url:?} is not the page of one of its sources");
            let parts = told["extension"].as_array().unwrap();
            assert_eq!(parts.iter().filter(|p| p["url"] == "questionnaire").count(), 1, "{name}");
        }
    }

    async fn each_policys_order_gets_a_package_with_its_form_and_no_other(app: &TestApp) {
        let ehr = app.ehr().await;
        for (name, _, _, form) in SAID {
            let policy = policy(name);
            assert_eq!(policy.forms(), [form], "{name} names another form");
            let wanted = BTreeSet::from([canonical(form)]);
            let by_order = packaged(&ehr, policy, json!({ "name": "order", "resource": order(policy) })).await;
            assert_eq!(by_order, wanted, "{name}, by order");
            let told = told(app, &ehr, policy).await;
            let assertion = part(&told, "coverage-assertion-id").unwrap()["valueString"].clone();
            let by_context = packaged(&ehr, policy, json!({ "name": "context", "valueString": assertion })).await;
            assert_eq!(by_context, wanted, "{name}, by the hook's context");
        }
    }

    async fn an_order_that_can_be_billed_in_two_ways_hears_what_the_answer_depends_on(app: &TestApp) {
        let ehr = app.ehr().await;
        let policy = policy("imaging.breast");
        let mut call = app.run().hook();
        let mut order = order(policy);
        order["code"]["coding"].as_array_mut().unwrap().push(json!({ "system": CPT, "code": "77065" }));
        call["context"]["draftOrders"]["entry"] = json!([{ "resource": order }]);
        let answer = ehr.hook("order-sign-crd", &call).await.json(200);
        let told = part(&answer["systemActions"][0]["resource"], INFORMATION).unwrap();
        assert_eq!(part(told, "pa-needed").unwrap()["valueCode"], "conditional");
        assert_eq!(part(told, "info-needed").unwrap()["valueCode"], "detail-code");
        let parts = told["extension"].as_array().unwrap();
        let free = parts.iter().filter(|p| p["url"] == "billingCode").map(|p| p["valueCoding"]["code"].clone());
        assert_eq!(free.collect::<Vec<_>>(), ["77065", "77066"]);
        assert!(part(told, "questionnaire").is_none(), "no form before the code is known");
    }

    async fn a_code_that_needs_nothing_brings_no_form(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut free = order(policy("imaging.breast"));
        free["code"]["coding"][0]["code"] = json!("77065");
        let forms = packaged(&ehr, policy("imaging.breast"), json!({ "name": "order", "resource": free })).await;
        assert_eq!(forms, BTreeSet::new());
        // The same code for a member of a line that asks for nothing.
        let oxygen = json!({ "name": "order", "resource": order(policy("dme.home-oxygen")) });
        let input = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "coverage", "resource": person(member(policy("imaging.breast"))).1 }, oxygen.clone(),
        ] });
        let answer = ehr.package(&input).await.json(200);
        assert!(!answer.to_string().contains("\"Questionnaire\""), "{answer}");
        let walk = Run::package_input("-")["parameter"][0].clone();
        let input = json!({ "resourceType": "Parameters", "parameter": [walk, oxygen] });
        assert!(ehr.package(&input).await.json(200).to_string().contains("\"Questionnaire\""));
    }
}
