//! Facts whose evidence was set aside: unknown, whatever the policy says about missing data.

use crate::evidence::{Admission, AdmissionInput, Evidence, Patient, Resources, admit};
use crate::forms::tests::shipped as shipped_forms;
use crate::rules::evaluate::case_document::{CaseDocument, CaseInput, CaseKind, MemberFacts};
use crate::rules::evaluate::case_evidence::CaseEvidence;
use crate::rules::evaluate::facts::StepBudget;
use crate::rules::evaluate::policy::evaluate_policy;
use crate::rules::evaluate::tests::one_policy;
use crate::rules::verdict::Outcome;
use serde_json::{Value, json};

const FORM: &str = "skilled-nursing-visits|1.0.0";

/// The document for a request with these resources of one patient. `admission` is none for a case without one.
fn document(resources: &[Value], admitted: bool) -> CaseDocument {
    let patient = json!({ "resourceType": "Patient", "id": "p" });
    let entries: Vec<Value> = [patient]
        .iter()
        .chain(resources)
        .enumerate()
        .map(|(n, resource)| {
            let mut resource = resource.clone();
            if n > 0 && resource.get("subject").is_none() {
                resource["subject"] = json!({ "reference": "Patient/p" });
            }
            json!({ "fullUrl": format!("urn:uuid:{n}"), "resource": resource })
        })
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "entry": entries });
    let resources = Resources::of_bundle(&bundle);
    let admission: Option<Admission> = admitted.then(|| {
        admit(AdmissionInput {
            resources: &resources,
            patient: &Patient::of_bundle(&bundle["entry"][0]["resource"]),
            forms: &shipped_forms(),
        })
    });
    CaseDocument::build(CaseInput {
        kind: CaseKind::Pas,
        received: "2026-10-01T03:30:00Z".parse().unwrap(),
        zone: chrono_tz::UTC,
        priority: "normal",
        member: MemberFacts::default(),
        item: json!({ "codes": [] }),
        evidence: &CaseEvidence::new(&Evidence::new(&resources, admission.as_ref())),
    })
    .with_answers(&[FORM])
}

fn outcome(fact: &str, condition: &str, document: &CaseDocument) -> (Outcome, String) {
    let policy = one_policy(fact, condition);
    let verdict = evaluate_policy(&policy, document, StepBudget(StepBudget::DEFAULT));
    assert_eq!(verdict.error, None);
    let leaf = verdict.trace[0].of[0].leaf.clone();
    let note = leaf.and_then(|leaf| leaf.note).unwrap_or_default();
    (verdict.criteria["c"], note)
}

fn skill(code: &str) -> Value {
    json!({ "resourceType": "QuestionnaireResponse", "status": "completed",
        "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/skilled-nursing-visits|1.0.0",
        "item": [{ "linkId": "visits.skill", "answer": [{ "valueCoding": { "code": code } }] }] })
}

#[test]
fn a_fact_is_unknown_if_its_answer_was_set_aside() {
    let fact = "{ answer: visits.skill, as: code }";
    let (bogus, wound) = (
        document(&[skill("bogus")], true),
        document(&[skill("wound")], true),
    );
    let not_none = "not: { fact: f, equals: none }";
    let policy = |condition: &str, document: &CaseDocument| {
        let verdict = evaluate_policy(
            &one_policy(fact, condition),
            document,
            StepBudget(StepBudget::DEFAULT),
        );
        verdict.criteria["c"]
    };
    assert_eq!(policy(not_none, &wound), Outcome::Met);
    assert_eq!(policy(not_none, &bogus), Outcome::Unknown, "it passed before");
    for condition in [
        "{ fact: f, exists: true, if_missing: not-met }",
        "{ fact: f, exists: false, if_missing: met }",
        "{ fact: f, equals: wound, if_missing: not-met }",
    ] {
        let (outcome, note) = outcome(fact, condition, &bogus);
        assert_eq!(outcome, Outcome::Unknown, "{condition}");
        assert!(
            note.contains("was set aside") && note.contains("'bogus'"),
            "{note}"
        );
    }
}

#[test]
fn of_several_responses_only_the_one_that_counts_can_make_a_fact_unknown() {
    let fact = "{ answer: visits.skill, as: code }";
    let condition = "{ fact: f, equals: wound }";
    let at = |mut response: Value, day: &str| {
        response["authored"] = json!(format!("{day}T10:00:00Z"));
        response
    };
    let newer_is_good = document(
        &[at(skill("bogus"), "2026-09-01"), at(skill("wound"), "2026-09-02")],
        true,
    );
    assert_eq!(outcome(fact, condition, &newer_is_good).0, Outcome::Met);
    let newer_is_bogus = document(
        &[at(skill("bogus"), "2026-09-03"), at(skill("wound"), "2026-09-02")],
        true,
    );
    assert_eq!(outcome(fact, condition, &newer_is_bogus).0, Outcome::Unknown);
}

#[test]
fn a_response_that_does_not_count_leaves_an_earlier_one_in_place() {
    let fact = "{ answer: visits.skill, as: code }";
    let mut draft = skill("none");
    draft["status"] = json!("in-progress");
    draft["authored"] = json!("2026-09-05T10:00:00Z");
    let both = document(&[skill("wound"), draft.clone()], true);
    assert_eq!(outcome(fact, "{ fact: f, equals: wound }", &both).0, Outcome::Met);
    let exists = "{ fact: f, exists: true, if_missing: not-met }";
    let (found, note) = outcome(fact, exists, &document(&[draft], true));
    assert_eq!(found, Outcome::Unknown);
    assert!(note.contains("in-progress"), "{note}");
    assert_eq!(
        outcome(fact, exists, &document(&[], true)).0,
        Outcome::NotMet,
        "no response at all"
    );
}

#[test]
fn a_fact_is_unknown_if_a_result_exists_that_may_not_decide() {
    let fact =
        "{ from: { type: Condition, code_in: icd }, read: { path: \"$.code\", as: code }, pick: first }";
    let path = "{ from: \"$.res.Condition[?@.id]\", keep: [ { path: \"$.code.coding[*]\", in_set: icd } ], \
                read: { path: \"$.id\", as: text }, pick: first }";
    let condition = |status: &str, code: &str| {
        json!({ "resourceType": "Condition", "id": "c", "verificationStatus": { "coding": [{ "code": status }] },
            "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code }] } })
    };
    let absent = "{ fact: f, exists: false, if_missing: met }";
    for fact in [fact, path] {
        let found = |resource: Value| outcome(fact, absent, &document(&[resource], true)).0;
        assert_eq!(found(condition("provisional", "J44.9")), Outcome::Unknown);
        assert_eq!(
            found(condition("provisional", "M17.0")),
            Outcome::Met,
            "another disease"
        );
        assert_eq!(
            found(condition("refuted", "J44.9")),
            Outcome::Met,
            "it does not exist"
        );
        let mut of_another = condition("confirmed", "J44.9");
        of_another["subject"] = json!({ "reference": "urn:uuid:2" });
        let other = json!({ "resourceType": "Patient", "id": "q", "subject": null });
        let document = document(&[of_another, other], true);
        assert_eq!(
            outcome(fact, absent, &document).0,
            Outcome::Met,
            "it is another patient's"
        );
    }
}

#[test]
fn a_case_without_a_stored_admission_is_evaluated_as_it_was() {
    let fact = "{ answer: visits.skill, as: code }";
    let old = document(&[skill("bogus")], false);
    assert_eq!(
        outcome(fact, "{ fact: f, exists: true, if_missing: not-met }", &old).0,
        Outcome::Met
    );
    assert!(old.as_json().get("admission").is_none());
    let again = CaseDocument::from_json(old.as_json().clone()).unwrap();
    assert_eq!(again.as_json(), old.as_json());
}

#[test]
fn a_stored_document_keeps_what_was_set_aside() {
    let fact = "{ answer: visits.skill, as: code }";
    let bogus = document(&[skill("bogus")], true);
    let stored = CaseDocument::from_json(bogus.as_json().clone()).unwrap();
    assert_eq!(
        outcome(fact, "{ fact: f, exists: true, if_missing: not-met }", &stored).0,
        Outcome::Unknown
    );
    let again = stored.with_answers(&[FORM]);
    assert_eq!(
        again.as_json(),
        bogus.as_json(),
        "the answers are read from the response again"
    );
}
