//! Each kind of resource and answer that may not decide, in a request Bundle and in the resources of a FHIR server.

use super::*;
use crate::forms::tests::shipped;
use serde_json::json;
use std::time::{Duration, Instant};

const EHR: &str = "https://ehr.example/fhir";

fn patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p1", "birthDate": "1953-03-14",
        "identifier": [{ "system": "https://plan.example/member", "value": "A1" }] })
}

fn other_patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p2", "birthDate": "1990-01-01",
        "identifier": [{ "system": "https://plan.example/member", "value": "B2" }] })
}

fn observation(change: impl Fn(&mut Value)) -> Value {
    let mut observation = json!({ "resourceType": "Observation", "id": "o", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
        "subject": { "reference": "Patient/p1" } });
    change(&mut observation);
    observation
}

fn entry(resource: &Value) -> Value {
    let (kind, id) = (
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap_or("none"),
    );
    json!({ "fullUrl": format!("{EHR}/{kind}/{id}"), "resource": resource })
}

fn bundle(resources: &[Value]) -> Value {
    let all: Vec<Value> = [patient()].iter().chain(resources).map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": all })
}

/// The admission of a request Bundle whose first entry is the patient.
fn admission(bundle: &Value) -> Admission {
    admit(AdmissionInput {
        resources: &Resources::of_bundle(bundle),
        patient: &Patient::of_bundle(&bundle["entry"][0]["resource"]),
        forms: &shipped(),
    })
}

/// Why these resources beside the patient may not decide.
fn codes(resources: &[Value]) -> Vec<SetAsideCode> {
    let set_aside = admission(&bundle(resources)).set_aside;
    set_aside.into_iter().map(|one| one.code).collect()
}

/// Why a resource from a FHIR server, whose address is known, may not decide.
fn codes_from_server(resource: &Value, full_url: Option<&str>) -> Vec<SetAsideCode> {
    let mut entry = json!({ "resource": resource });
    if let Some(full_url) = full_url {
        entry["fullUrl"] = json!(full_url);
    }
    let search = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [entry] });
    let (patient, other) = (patient(), other_patient());
    let mut resources = Resources::default();
    resources.add_from_server("prefetch.patient", &patient);
    resources.add_from_server("prefetch.search", &search);
    if resource["resourceType"] != "Patient" {
        resources.add_from_server("prefetch.other", &other);
    }
    let admission = admit(AdmissionInput {
        resources: &resources,
        patient: &Patient::on_server("p1", Some(&patient), [EHR]),
        forms: &shipped(),
    });
    let of_search = admission
        .set_aside
        .into_iter()
        .filter(|one| one.path != "prefetch.other");
    of_search.map(|one| one.code).collect()
}

#[test]
fn a_resource_about_the_patient_is_admitted_however_it_names_the_patient() {
    let contained = json!({ "resourceType": "Patient", "id": "in", "identifier": patient()["identifier"] });
    for subject in [
        json!({ "reference": "Patient/p1" }),
        json!({ "reference": format!("{EHR}/Patient/p1") }),
        json!({ "reference": "Patient/p1/_history/4" }),
        json!({ "reference": "#in" }),
        json!({ "identifier": { "system": "https://plan.example/member", "value": "A1" } }),
        json!({ "reference": "Patient/p1", "identifier": { "system": "urn:hospital", "value": "7" } }),
    ] {
        let resource = observation(|o| {
            o["subject"] = subject.clone();
            o["contained"] = json!([contained]);
        });
        assert_eq!(
            codes(std::slice::from_ref(&resource)),
            [],
            "in a Bundle: {subject}"
        );
        assert_eq!(codes_from_server(&resource, None), [], "from a server: {subject}");
    }
}

#[test]
fn references_in_a_bundle_with_urns_lead_to_the_patient() {
    let mut bundle = bundle(&[observation(|o| {
        o["subject"] = json!({ "reference": "urn:uuid:p" })
    })]);
    bundle["entry"][0]["fullUrl"] = json!("urn:uuid:p");
    bundle["entry"][1]["fullUrl"] = json!("urn:uuid:o");
    assert_eq!(admission(&bundle).set_aside, []);
    bundle["entry"][1]["resource"]["subject"]["reference"] = json!("Patient/p1");
    assert_eq!(admission(&bundle).set_aside, []);
    bundle["entry"][1]["resource"]["subject"]["reference"] = json!("urn:uuid:q");
    assert_eq!(
        admission(&bundle).set_aside[0].code,
        SetAsideCode::UncertainSubject
    );
}

#[test]
fn data_of_somebody_else_is_set_aside() {
    let foreign = json!({ "resourceType": "Patient", "id": "in",
        "identifier": [{ "system": "https://plan.example/member", "value": "B2" }] });
    for subject in [
        json!({ "reference": "Patient/p2" }),
        json!({ "reference": format!("{EHR}/Patient/p2") }),
        json!({ "reference": "#in" }),
        json!({ "identifier": { "system": "https://plan.example/member", "value": "B2" } }),
        json!({ "reference": "Patient/p1", "identifier": { "system": "https://plan.example/member", "value": "B2" } }),
    ] {
        let resource = observation(|o| {
            o["subject"] = subject.clone();
            o["contained"] = json!([foreign]);
        });
        let expected = [SetAsideCode::AnotherSubject];
        let with_patient = codes(&[resource.clone(), other_patient()]);
        assert_eq!(
            with_patient,
            [expected[0], expected[0]],
            "the other Patient too: {subject}"
        );
        assert_eq!(codes_from_server(&resource, None), expected, "{subject}");
    }
    let set_aside = admission(&bundle(&[
        observation(|o| o["subject"] = json!({ "reference": "Patient/p2" })),
        other_patient(),
    ]));
    assert!(
        set_aside.set_aside[0].codes.is_empty(),
        "what somebody else has is not stored again"
    );
}

#[test]
fn every_type_is_read_by_its_own_element() {
    for (kind, element) in [
        ("Coverage", "beneficiary"),
        ("Claim", "patient"),
        ("AllergyIntolerance", "patient"),
        ("QuestionnaireResponse", "subject"),
        ("ResearchSubject", "individual"),
        ("Device", "patient"),
        ("Task", "for"),
    ] {
        let status = if kind == "QuestionnaireResponse" {
            "completed"
        } else {
            "active"
        };
        let resource = |id: &str| json!({ "resourceType": kind, "id": "x", "status": status, element: { "reference": id } });
        assert_eq!(codes(&[resource("Patient/p1")]), [], "{kind}");
        let found = codes(&[resource("Patient/p2"), other_patient()]);
        assert_eq!(found[0], SetAsideCode::AnotherSubject, "{kind}");
    }
    let appointment = |actor: &str| {
        json!({ "resourceType": "Appointment", "id": "x", "status": "booked", "participant": [
        { "actor": { "reference": "Practitioner/d" } }, { "actor": { "reference": actor } }] })
    };
    assert_eq!(codes(&[appointment("Patient/p1")]), []);
    assert_eq!(
        codes(&[appointment("Patient/p2"), other_patient()])[0],
        SetAsideCode::AnotherSubject
    );
}

#[test]
fn a_resource_that_does_not_say_whom_it_is_about_is_set_aside() {
    let uncertain = [SetAsideCode::UncertainSubject];
    for subject in [
        Value::Null,
        json!({ "display": "Ruth Ellery" }),
        json!({ "reference": "Patient/unknown" }),
        json!({ "reference": "#nobody" }),
        json!({ "reference": "https://other.example/fhir/Patient/p1" }),
        json!("Patient/p1"),
    ] {
        let resource = observation(|o| o["subject"] = subject.clone());
        assert_eq!(codes(&[resource]), uncertain, "{subject}");
    }
    let coverage = json!({ "resourceType": "Coverage", "id": "c", "status": "active" });
    assert_eq!(codes(&[coverage]), uncertain);
}

#[test]
fn an_absolute_reference_counts_only_on_the_server_of_the_client() {
    let about = |url: &str| observation(|o| o["subject"] = json!({ "reference": url }));
    let own = "https://hospital.example/r4/Observation/o";
    assert_eq!(
        codes_from_server(&about("https://hospital.example/r4/Patient/p1"), Some(own)),
        []
    );
    assert_eq!(
        codes_from_server(&about("https://other.example/r4/Patient/p1"), Some(own)),
        [SetAsideCode::AnotherSubject]
    );
}

#[test]
fn the_same_person_under_another_id_is_the_patient() {
    let mut again = patient();
    again["id"] = json!("p9");
    let resource = observation(|o| o["subject"] = json!({ "reference": "Patient/p9" }));
    assert_eq!(codes(&[resource.clone(), again.clone()]), []);
    again["birthDate"] = json!("1954-01-01");
    assert_eq!(codes(&[resource, again]), [SetAsideCode::AnotherSubject; 2]);
}

#[test]
fn an_observation_whose_focus_is_not_the_patient_is_set_aside() {
    let fetus = observation(|o| o["focus"] = json!([{ "reference": "RelatedPerson/fetus" }]));
    assert_eq!(codes(&[fetus]), [SetAsideCode::UncertainSubject]);
    let patient = observation(|o| o["focus"] = json!([{ "reference": "Patient/p1" }]));
    assert_eq!(codes(&[patient]), []);
}

#[test]
fn resources_without_a_patient_pass_and_unknown_types_do_not() {
    for kind in [
        "Practitioner",
        "Organization",
        "Location",
        "Medication",
        "PractitionerRole",
        "Device",
        "ValueSet",
    ] {
        assert_eq!(codes(&[json!({ "resourceType": kind, "id": "x" })]), [], "{kind}");
    }
    let invented = json!({ "resourceType": "Oximetry", "id": "x", "subject": { "reference": "Patient/p1" } });
    assert_eq!(codes(&[invented]), [SetAsideCode::UnknownType]);
}

#[test]
fn a_modifier_at_any_depth_sets_the_resource_aside() {
    let modifier = json!([{ "url": "https://x.example/not", "valueBoolean": true }]);
    for (place, pointer) in [
        ("modifierExtension", ""),
        ("component[0].modifierExtension", "/component/0"),
        ("contained[0].modifierExtension", "/contained/0"),
        ("subject.modifierExtension", "/subject"),
    ] {
        let resource = observation(|o| {
            o["component"] = json!([{}]);
            o["contained"] = json!([{ "resourceType": "Device", "id": "d" }]);
            o.pointer_mut(pointer).unwrap()["modifierExtension"] = modifier.clone();
        });
        let found = admission(&bundle(&[resource])).set_aside;
        assert_eq!(found[0].code, SetAsideCode::Modifier);
        assert!(found[0].reason.contains(place), "{}", found[0].reason);
    }
    assert_eq!(
        codes(&[observation(
            |o| o["implicitRules"] = json!("https://x.example/rules")
        )]),
        [SetAsideCode::Modifier]
    );
    assert_eq!(codes(&[observation(|o| o["modifierExtension"] = json!([]))]), []);
    let organization = json!({ "resourceType": "Organization", "id": "x", "modifierExtension": modifier });
    assert_eq!(codes(&[organization]), [SetAsideCode::Modifier]);
}

#[test]
fn modifiers_around_a_resource_count_too() {
    let mut inner = json!({ "resourceType": "Bundle", "id": "b", "type": "collection", "entry": [entry(&observation(|_| {}))] });
    let found = |inner: &Value| admission(&bundle(std::slice::from_ref(inner))).set_aside;
    assert_eq!(found(&inner), []);
    inner["implicitRules"] = json!("https://x.example/rules");
    let set_aside = found(&inner);
    assert_eq!(set_aside[0].path, "Bundle.entry[1].resource.entry[0].resource");
    assert_eq!(set_aside[0].code, SetAsideCode::Modifier);
    inner.as_object_mut().unwrap().remove("implicitRules");
    inner["entry"][0]["modifierExtension"] = json!([{ "url": "https://x.example/x" }]);
    assert_eq!(found(&inner)[0].code, SetAsideCode::Modifier);
}

#[test]
fn references_of_a_bundle_inside_lead_to_its_own_entries_first() {
    let mut own = other_patient();
    own["id"] = json!("p1");
    let inner = json!({ "resourceType": "Bundle", "id": "b", "entry": [
        { "fullUrl": "https://other.example/fhir/Patient/p1", "resource": own },
        { "fullUrl": "https://other.example/fhir/Observation/o", "resource": observation(|_| {}) } ] });
    let found = admission(&bundle(&[inner])).set_aside;
    assert_eq!(
        found.iter().map(|one| one.code).collect::<Vec<_>>(),
        [SetAsideCode::AnotherSubject; 2]
    );
}

#[test]
fn only_final_results_and_completed_answers_count() {
    let with_status = |kind: &str, status: Value| {
        let resource = json!({ "resourceType": kind, "id": "x", "status": status, "subject": { "reference": "Patient/p1" },
            "patient": { "reference": "Patient/p1" }, "beneficiary": { "reference": "Patient/p1" } });
        codes(&[resource])
    };
    for (kind, good, void, other) in [
        (
            "Observation",
            vec!["final", "amended", "corrected"],
            vec!["cancelled", "entered-in-error"],
            vec!["preliminary", "registered", "unknown", "done"],
        ),
        (
            "QuestionnaireResponse",
            vec!["completed", "amended"],
            vec!["entered-in-error"],
            vec!["in-progress", "stopped"],
        ),
        (
            "Procedure",
            vec!["completed", "in-progress"],
            vec!["not-done", "entered-in-error"],
            vec!["preparation", "stopped", "unknown"],
        ),
        (
            "MedicationStatement",
            vec!["active", "completed", "stopped"],
            vec!["not-taken", "entered-in-error"],
            vec!["intended", "unknown"],
        ),
        (
            "ServiceRequest",
            vec!["draft", "active", "completed"],
            vec!["revoked", "entered-in-error"],
            vec!["unknown"],
        ),
        (
            "Encounter",
            vec!["finished", "in-progress"],
            vec!["cancelled"],
            vec!["planned", "unknown"],
        ),
        ("Immunization", vec!["completed"], vec!["not-done"], vec![]),
        (
            "Coverage",
            vec!["active"],
            vec!["cancelled", "entered-in-error"],
            vec!["draft"],
        ),
    ] {
        for status in good {
            assert_eq!(with_status(kind, json!(status)), [], "{kind} {status}");
        }
        for status in void {
            assert_eq!(
                with_status(kind, json!(status)),
                [SetAsideCode::Void],
                "{kind} {status}"
            );
        }
        for status in other {
            assert_eq!(
                with_status(kind, json!(status)),
                [SetAsideCode::Status],
                "{kind} {status}"
            );
        }
        for missing in [Value::Null, json!(7), json!({})] {
            assert_eq!(
                with_status(kind, missing.clone()),
                [SetAsideCode::Status],
                "{kind} {missing}"
            );
        }
    }
    let negative = json!({ "resourceType": "MedicationRequest", "id": "x", "status": "active", "doNotPerform": true,
        "subject": { "reference": "Patient/p1" } });
    assert_eq!(codes(&[negative]), [SetAsideCode::Void]);
}

#[test]
fn a_condition_counts_by_its_verification_status() {
    let with = |codings: Value| {
        let resource = json!({ "resourceType": "Condition", "id": "x", "subject": { "reference": "Patient/p1" },
            "verificationStatus": codings });
        codes(&[resource])
    };
    let coded = |codes: &[&str]| {
        let codings: Vec<Value> = codes.iter().map(|code| json!({ "code": code })).collect();
        json!({ "coding": codings })
    };
    assert_eq!(with(Value::Null), []);
    assert_eq!(with(coded(&["confirmed"])), []);
    assert_eq!(with(coded(&["refuted"])), [SetAsideCode::Void]);
    assert_eq!(with(coded(&["entered-in-error"])), [SetAsideCode::Void]);
    assert_eq!(
        with(coded(&["confirmed", "refuted"])),
        [SetAsideCode::Void],
        "every coding counts"
    );
    assert_eq!(with(coded(&["provisional"])), [SetAsideCode::Status]);
    assert_eq!(with(json!({ "text": "perhaps" })), [SetAsideCode::Status]);
    let resolved = json!({ "resourceType": "Condition", "id": "x", "subject": { "reference": "Patient/p1" },
        "clinicalStatus": { "coding": [{ "code": "resolved" }] } });
    assert_eq!(codes(&[resolved]), [], "the policy asks for the clinical status");
}

#[test]
fn a_required_status_is_known_per_type() {
    for (kind, element) in [
        ("Observation", Some("status")),
        ("Goal", Some("lifecycleStatus")),
        ("DeviceRequest", None),
        ("Device", None),
        ("Condition", None),
        ("Patient", None),
    ] {
        assert_eq!(
            missing_status(&json!({ "resourceType": kind })),
            element,
            "{kind}"
        );
    }
}

fn response(items: &Value) -> Value {
    json!({ "resourceType": "QuestionnaireResponse", "id": "answers", "status": "completed",
        "subject": { "reference": "Patient/p1" }, "item": items,
        "questionnaire": "https://plan.example/dtr/2.2/Questionnaire/skilled-nursing-visits|1.0.0" })
}

#[test]
fn an_answer_that_its_form_does_not_allow_is_set_aside_and_the_others_stay() {
    let skill =
        |code: &str| json!({ "linkId": "visits.skill", "answer": [{ "valueCoding": { "code": code } }] });
    let intermittent = json!({ "linkId": "visits.intermittent", "answer": [{ "valueBoolean": true }] });
    let group = |code: &str| json!([{ "linkId": "visits.need", "item": [skill(code), intermittent] }]);
    let sent = bundle(&[response(&group("bogus"))]);
    let admission = admission(&sent);
    let [one] = admission.set_aside.as_slice() else {
        panic!("{admission:?}")
    };
    assert_eq!(one.path, "Bundle.entry[1].resource.item[0].item[0]");
    assert_eq!(
        (one.link_id.as_deref(), one.code),
        (Some("visits.skill"), SetAsideCode::NotAnOption)
    );
    assert_eq!(one.reference.as_deref(), Some("QuestionnaireResponse/answers"));
    let evidence = Evidence::new(&Resources::of_bundle(&sent), Some(&admission));
    let admitted: Vec<&Value> = evidence.resources().collect();
    let items = &admitted[1]["item"][0]["item"];
    assert!(items[0].get("answer").is_none() && items[0][SET_ASIDE].is_string());
    assert_eq!(items[1], intermittent);
}

#[test]
fn answers_to_a_form_of_somebody_else_are_not_checked() {
    let mut foreign = response(&json!([{ "linkId": "x", "answer": [{ "valueInteger": 1 }] }]));
    foreign["questionnaire"] = json!("https://other.example/Questionnaire/pain|1");
    assert_eq!(codes(&[foreign.clone()]), []);
    foreign.as_object_mut().unwrap().remove("questionnaire");
    assert_eq!(codes(&[foreign]), []);
}

#[test]
fn a_canonical_without_version_and_an_adaptive_response_name_the_form() {
    let bogus = json!([{ "linkId": "visits.skill", "answer": [{ "valueCoding": { "code": "bogus" } }] }]);
    let mut sent = response(&bogus);
    sent["questionnaire"] = json!("https://plan.example/dtr/2.2/Questionnaire/skilled-nursing-visits");
    assert_eq!(codes(&[sent.clone()]), [SetAsideCode::NotAnOption]);
    sent["questionnaire"] = json!("#form");
    sent["contained"] = json!([{ "resourceType": "Questionnaire", "id": "form",
        "derivedFrom": ["https://plan.example/dtr/2.2/Questionnaire/skilled-nursing-visits|1.0.0"] }]);
    assert_eq!(codes(&[sent]), [SetAsideCode::NotAnOption]);
}

#[test]
fn an_admission_is_read_back_unchanged_and_applied_without_admitting_again() {
    let sent = bundle(&[
        observation(|o| o["status"] = json!("preliminary")),
        response(&json!([{ "linkId": "visits.number", "answer": [{ "valueString": "two" }] }])),
    ]);
    let admission = admission(&sent);
    assert_eq!(admission.engine_version, env!("CARGO_PKG_VERSION"));
    let stored: Admission = serde_json::from_str(&serde_json::to_string(&admission).unwrap()).unwrap();
    assert_eq!(stored, admission);
    let resources = Resources::of_bundle(&sent);
    let kinds = |admission: Option<&Admission>| -> Vec<String> {
        let evidence = Evidence::new(&resources, admission);
        let all = evidence.resources();
        all.map(|r| r["resourceType"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(Some(&stored)), ["Patient", "QuestionnaireResponse"]);
    assert_eq!(
        kinds(None).len(),
        3,
        "a case that was stored without an admission"
    );
    let nothing = Admission {
        set_aside: Vec::new(),
        ..stored
    };
    assert_eq!(kinds(Some(&nothing)).len(), 3, "what was admitted stays admitted");
}

#[test]
fn the_cost_grows_with_the_size_of_the_bundle_only() {
    let time = |count: usize| {
        let mut sent = bundle(&[]);
        let entries = sent["entry"].as_array_mut().unwrap();
        for n in 0..count {
            let resource = observation(|o| {
                o["id"] = json!(format!("o{n}"));
                o["subject"] = json!({ "reference": format!("Patient/q{n}") });
            });
            entries.push(json!({ "fullUrl": format!("urn:uuid:{n}"), "resource": resource }));
        }
        let (resources, forms) = (Resources::of_bundle(&sent), shipped());
        let patient = Patient::of_bundle(&sent["entry"][0]["resource"]);
        let start = Instant::now();
        let admission = admit(AdmissionInput {
            resources: &resources,
            patient: &patient,
            forms: &forms,
        });
        let evidence = Evidence::new(&resources, Some(&admission));
        assert_eq!(
            (admission.set_aside.len(), evidence.resources().count()),
            (count, 1)
        );
        start.elapsed()
    };
    let (small, large) = (time(1_000), time(20_000));
    assert!(
        large < small * 200 + Duration::from_millis(500),
        "{small:?} {large:?}"
    );
}
