//! What of a request may decide: data of somebody else, data that is not final, that is not understood, or that its form
//! does not allow, never approves. It is stored, shown to the reviewer, and the same when the case is evaluated again
//! (which the end of every test does).

use super::{FORM, case, case_id, resource_mut, review_actions, row_count};
use crate::support::{TestApp, both};
use assent::cli::policy::explain::explain_case;
use assent::evidence::{SetAside, SetAsideCode};
use serde_json::{Value, json};

/// A request that is approved unless it is changed.
fn request(app: &TestApp) -> Value {
    app.messages().oxygen_request(FORM, None, 87, "normal")
}

fn add(bundle: &mut Value, resource: Value) {
    let full_url = format!(
        "https://ehr.demo.example/fhir/{}/{}",
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap()
    );
    let entry = json!({ "fullUrl": full_url, "resource": resource });
    bundle["entry"].as_array_mut().unwrap().push(entry);
}

fn stranger() -> Value {
    json!({ "resourceType": "Patient", "id": "p2", "identifier": [{ "value": "99" }],
        "name": [{ "family": "Stranger", "given": ["Una"] }], "birthDate": "1990-01-01" })
}

fn path_of(bundle: &Value, kind: &str) -> String {
    let entries = bundle["entry"].as_array().unwrap();
    let at = entries
        .iter()
        .position(|e| e["resource"]["resourceType"] == kind)
        .unwrap();
    format!("Bundle.entry[{at}].resource")
}

/// Submits the request, which must not be approved, and returns what was set aside.
async fn pended(app: &TestApp, request: &Value) -> Vec<SetAside> {
    let response = app.ehr().await.submitted(request).await;
    assert_eq!(review_actions(&response), ["A4"], "{request}");
    let admission = case(app, case_id(&response)).await.received.admission.unwrap();
    assert_eq!(admission.engine_version, env!("CARGO_PKG_VERSION"));
    admission.set_aside
}

/// Changes one answer of the form in a request, or adds one.
fn answer(request: &mut Value, link_id: &str, answers: Value) {
    let items = resource_mut(request, "QuestionnaireResponse")["item"]
        .as_array_mut()
        .unwrap();
    items.retain(|item| item["linkId"] != link_id);
    items.push(json!({ "linkId": link_id, "answer": answers }));
}

both! {
    async fn a_request_whose_evidence_counts_is_approved_and_nothing_is_set_aside(app: &TestApp) {
        let response = app.ehr().await.submitted(&request(app)).await;
        assert_eq!(review_actions(&response), ["A1"]);
        let admission = case(app, case_id(&response)).await.received.admission.unwrap();
        assert_eq!(admission.set_aside, []);
        app.run_jobs().await;
    }

    async fn data_of_another_patient_never_approves(app: &TestApp) {
        for (kind, element) in [("Observation", "subject"), ("QuestionnaireResponse", "subject")] {
            for reference in ["Patient/p2", "https://ehr.demo.example/fhir/Patient/p2", "Patient/p2/_history/1"] {
                let mut request = request(app);
                add(&mut request, stranger());
                resource_mut(&mut request, kind)[element] = json!({ "reference": reference });
                let set_aside = pended(app, &request).await;
                assert_eq!(set_aside[0].path, path_of(&request, kind));
                assert_eq!(set_aside[0].code, SetAsideCode::AnotherSubject, "{kind} {reference}");
                assert_eq!(set_aside.len(), 2, "the other Patient is named too");
            }
        }
        app.leaves_work();
    }

    async fn data_without_a_certain_subject_never_approves(app: &TestApp) {
        for subject in [Value::Null, json!({ "display": "Ruth Ellery" }), json!({ "identifier": { "value": "A100200300" } })] {
            let mut request = request(app);
            resource_mut(&mut request, "Observation")["subject"] = subject.clone();
            let set_aside = pended(app, &request).await;
            assert_eq!(set_aside[0].code, SetAsideCode::UncertainSubject, "{subject}");
        }
        app.leaves_work();
    }

    async fn the_patient_is_recognized_however_the_evidence_names_the_patient(app: &TestApp) {
        let member = json!({ "system": "https://plan.example/member", "value": "A100200300" });
        for subject in [
            json!({ "reference": "https://ehr.demo.example/fhir/Patient/p1" }),
            json!({ "reference": "Patient/p1/_history/3" }),
            json!({ "reference": "#me" }),
            json!({ "identifier": member }),
        ] {
            let mut request = request(app);
            let observation = resource_mut(&mut request, "Observation");
            observation["subject"] = subject.clone();
            observation["contained"] = json!([{ "resourceType": "Patient", "id": "me", "identifier": [member] }]);
            let response = app.ehr().await.submitted(&request).await;
            assert_eq!(review_actions(&response), ["A1"], "{subject}");
        }
        let text = request(app).to_string();
        let urns = ["Patient/p1", "Observation/spo2", "Claim/"].iter().fold(text, |text, name| {
            let urn = format!("urn:uuid:{}", app.messages().uuid());
            text.replace(&format!("\"https://ehr.demo.example/fhir/{name}\""), &format!("\"{urn}\""))
                .replace(&format!("\"reference\":\"{name}\""), &format!("\"reference\":\"{urn}\""))
        });
        let response = app.ehr().await.submitted(&serde_json::from_str(&urns).unwrap()).await;
        assert_eq!(review_actions(&response), ["A1"], "urn");
        app.run_jobs().await;
    }

    async fn a_coverage_of_somebody_else_is_refused_by_submit_and_inquire(app: &TestApp) {
        let ehr = app.ehr().await;
        let mut foreign = request(app);
        add(&mut foreign, stranger());
        let before = app.row_counts().await;
        for beneficiary in [json!({ "reference": "Patient/p2" }), Value::Null] {
            resource_mut(&mut foreign, "Coverage")["beneficiary"] = beneficiary;
            let place = format!("{}.beneficiary", path_of(&foreign, "Coverage"));
            assert!(ehr.submit(&foreign).await.places(422).contains(&place));
            assert!(ehr.inquire(&foreign).await.places(422).contains(&place));
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn only_final_results_and_completed_forms_approve(app: &TestApp) {
        for (kind, statuses) in [
            ("Observation", &["preliminary", "registered", "cancelled", "entered-in-error", "unknown"][..]),
            ("QuestionnaireResponse", &["in-progress", "entered-in-error", "stopped"]),
        ] {
            for status in statuses {
                let mut request = request(app);
                resource_mut(&mut request, kind)["status"] = json!(status);
                let set_aside = pended(app, &request).await;
                assert!(matches!(set_aside[0].code, SetAsideCode::Status | SetAsideCode::Void), "{kind} {status}");
                assert!(set_aside[0].reason.contains(status), "{}", set_aside[0].reason);
            }
        }
        for (kind, status) in [("Observation", "amended"), ("QuestionnaireResponse", "amended")] {
            let mut request = request(app);
            resource_mut(&mut request, kind)["status"] = json!(status);
            assert_eq!(review_actions(&app.ehr().await.submitted(&request).await), ["A1"], "{kind} {status}");
        }
        app.run_jobs().await;
        app.leaves_work();
    }

    async fn a_status_that_fhir_requires_is_an_error_at_its_place(app: &TestApp) {
        let before = row_count(app, "prior_auth").await;
        for kind in ["Observation", "QuestionnaireResponse", "ServiceRequest", "Coverage"] {
            let mut request = request(app);
            resource_mut(&mut request, kind).as_object_mut().unwrap().remove("status");
            let places = app.ehr().await.submit(&request).await.places(422);
            assert_eq!(places, [format!("{}.status", path_of(&request, kind))]);
        }
        assert_eq!(row_count(app, "prior_auth").await, before);
    }

    async fn evidence_with_a_modifier_never_approves(app: &TestApp) {
        let modifier = json!([{ "url": "https://ehr.example/not", "valueBoolean": true }]);
        for (kind, pointer, name, value) in [
            ("Observation", "", "modifierExtension", &modifier),
            ("Observation", "/code", "modifierExtension", &modifier),
            ("Observation", "", "implicitRules", &json!("https://ehr.example/rules")),
            ("QuestionnaireResponse", "", "modifierExtension", &modifier),
            ("QuestionnaireResponse", "/item/0/answer/0", "modifierExtension", &modifier),
        ] {
            let mut request = request(app);
            resource_mut(&mut request, kind).pointer_mut(pointer).unwrap()[name] = value.clone();
            let set_aside = pended(app, &request).await;
            assert_eq!(set_aside[0].code, SetAsideCode::Modifier, "{kind} {pointer}");
            assert!(set_aside[0].reason.contains(name), "{}", set_aside[0].reason);
        }
        app.leaves_work();
    }

    async fn an_answer_that_the_form_does_not_allow_never_approves(app: &TestApp) {
        let coding = |code: &str| json!({ "valueCoding": { "code": code } });
        for (link_id, answers, code) in [
            ("oxygen.test-condition", json!([coding("bogus")]), SetAsideCode::NotAnOption),
            ("oxygen.test-condition", json!([{ "valueString": "rest-awake-room-air" }]), SetAsideCode::WrongType),
            ("oxygen.test-condition", json!([coding("rest-awake-room-air"), coding("sleep")]), SetAsideCode::TooManyAnswers),
            ("oxygen.test-ordered-by-treating-practitioner", json!([{ "valueString": "true" }]), SetAsideCode::WrongType),
            ("oxygen.test-performed-by-dme-supplier", json!([{ "valueBoolean": false }, { "valueBoolean": false }]), SetAsideCode::TooManyAnswers),
        ] {
            let mut request = request(app);
            answer(&mut request, link_id, answers);
            let set_aside = pended(app, &request).await;
            assert_eq!((set_aside[0].link_id.as_deref(), set_aside[0].code), (Some(link_id), code));
            assert!(set_aside[0].path.starts_with(&format!("{}.item[", path_of(&request, "QuestionnaireResponse"))));
        }
        app.leaves_work();
    }

    async fn an_unknown_question_is_named_and_the_other_answers_count(app: &TestApp) {
        let mut request = request(app);
        answer(&mut request, "oxygen.liters", json!([{ "valueInteger": 2 }]));
        let response = app.ehr().await.submitted(&request).await;
        assert_eq!(review_actions(&response), ["A1"]);
        let admission = case(app, case_id(&response)).await.received.admission.unwrap();
        let [one] = admission.set_aside.as_slice() else { panic!("{admission:?}") };
        assert_eq!((one.link_id.as_deref(), one.code), (Some("oxygen.liters"), SetAsideCode::UnknownQuestion));
        app.run_jobs().await;
    }

    async fn an_answer_to_a_question_that_is_not_asked_does_not_count(app: &TestApp) {
        let mut request = request(app);
        answer(&mut request, "oxygen.test-condition", json!([{ "valueCoding": { "code": "on-oxygen" } }]));
        let set_aside = pended(app, &request).await;
        let disabled = set_aside.iter().find(|one| one.code == SetAsideCode::DisabledQuestion).unwrap();
        assert_eq!(disabled.link_id.as_deref(), Some("oxygen.dependent-edema"));
        app.leaves_work();
    }

    async fn the_reviewer_sees_what_was_set_aside_and_why(app: &TestApp) {
        let mut request = request(app);
        add(&mut request, stranger());
        resource_mut(&mut request, "Observation")["subject"] = json!({ "reference": "Patient/p2" });
        answer(&mut request, "oxygen.test-condition", json!([{ "valueCoding": { "code": "bogus" } }]));
        let case = case_id(&app.ehr().await.submitted(&request).await);
        let page = app.staff("nora").await.page(&format!("/staff/cases/{case}")).await.text;
        for expected in [
            "Not used for the decision",
            "Observation/spo2",
            "Its subject is not the patient of the request.",
            "is not an option of the question.",
            "bogus",
            &path_of(&request, "Observation"),
        ] {
            assert!(page.contains(expected), "the page does not show: {expected}");
        }
        assert!(!page.contains("87%"), "data of another patient is shown");
        let explained = explain_case(&app.state.store, &case.to_string()).await.unwrap();
        let text = explained[0].to_text();
        assert!(text.contains("set aside: Observation/spo2 at Bundle.entry["), "{text}");
        assert!(text.contains("set aside: oxygen.test-condition at"), "{text}");
        assert_eq!(explained[0].matches_stored, Some(true));
        app.leaves_work();
    }

    async fn a_stored_admission_is_not_made_again(app: &TestApp) {
        let request = request(app);
        let id = case_id(&app.ehr().await.submitted(&request).await);
        let (mut stored, policy_set) = (case(app, id).await, app.state.policy_set());
        let hashes = |stored: &assent::prior_auth::PriorAuth| -> Vec<String> {
            let documents = assent::pas::stored_case_documents(stored, &request.to_string(), &policy_set.rules);
            let documents = documents.unwrap().unwrap();
            documents.iter().map(|(_, document)| policy_set.rules.evaluate(document).trace_hash).collect()
        };
        let original = vec![stored.items[0].verdict.trace_hash.clone()];
        assert_eq!(hashes(&stored), original);
        // Rules of admission that came later would have set the observation aside; the stored admission did not.
        let mut admission = stored.received.admission.clone().unwrap();
        stored.received.admission = None;
        assert_eq!(hashes(&stored), original, "a case that was stored without an admission");
        admission.set_aside.push(SetAside {
            path: path_of(&request, "Observation"),
            reference: None,
            resource_type: "Observation".to_owned(),
            link_id: None,
            code: SetAsideCode::Status,
            reason: "Its status does not count".to_owned(),
            codes: Vec::new(),
        });
        stored.received.admission = Some(admission);
        assert_ne!(hashes(&stored), original, "the stored admission is what counts");
        app.run_jobs().await;
    }

    async fn a_bundle_inside_of_the_request_is_read_by_its_own_references(app: &TestApp) {
        let mut request = request(app);
        let mut observation = resource_mut(&mut request, "Observation").clone();
        resource_mut(&mut request, "Observation")["status"] = json!("preliminary");
        observation["id"] = json!("inner");
        let mut patient = stranger();
        patient["id"] = json!("p1");
        let inner = |patient: &Value| json!({ "resourceType": "Bundle", "id": "document", "type": "collection", "entry": [
            { "fullUrl": "https://other.example/fhir/Patient/p1", "resource": patient },
            { "fullUrl": "https://other.example/fhir/Observation/inner", "resource": observation } ] });
        let mut foreign = request.clone();
        add(&mut foreign, inner(&patient));
        let set_aside = pended(app, &foreign).await;
        assert!(set_aside.iter().any(|one| one.path.ends_with(".resource.entry[1].resource")), "{set_aside:?}");
        let own = resource_mut(&mut request, "Patient").clone();
        add(&mut request, inner(&own));
        assert_eq!(review_actions(&app.ehr().await.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
        app.leaves_work();
    }
}
