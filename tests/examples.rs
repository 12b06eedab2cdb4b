//! The example messages that HL7 publishes with the guides, posted to the running house. They are read from the folder
//! that `ASSENT_EXAMPLES` names and are no part of the project. What each *request* gets is the tables here; answers
//! and bare resources that are sent where a request belongs get the located error.

use crate::pas::{actions, check_answer};
use crate::support::both;
use assent::demo::walk::messages::part;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// PAS 2.2.1 requests with the review action of each line. Home care: a visit that needs authorization, a nutrition
/// supply that does not. The office visit and the referral have no row of their own in the lists, so `*` answers.
const REQUESTS: [(&str, &[&str]); 3] = [
    ("Bundle-HomecareAuthorizationBundleExample.json", &["A4", "NA"]),
    ("Bundle-MedicalServicesAuthorizationBundleExample.json", &["NA"]),
    ("Bundle-ReferralAuthorizationBundleExample.json", &["NA"]),
];

/// PAS messages that `$submit` does not take, each with what is wrong and where.
const NOT_SUBMITTED: [(&str, u16, &[&str]); 8] = [
    // Two referenced resources are missing in the published bundle.
    (
        "Bundle-SurgicalRequestBundleExample.json",
        422,
        &[
            "Bundle.entry[6].resource.location[0]",
            "Bundle.entry[6].resource.practitioner",
        ],
    ),
    // An inquiry has softer items than a request.
    (
        "Bundle-PASClaimInquiryBundleExample.json",
        422,
        &[
            "Bundle.entry[0].resource.item[0].category",
            "Bundle.entry[0].resource.item[0].location",
        ],
    ),
    (
        "Bundle-ErrorResponseBundleExample.json",
        422,
        &["Bundle.entry[0].resource"],
    ),
    (
        "Bundle-PASClaimInquiryResponseBundleExample.json",
        422,
        &["Bundle.entry[0].resource"],
    ),
    (
        "Bundle-ReferralAuthorizationResponseBundleExample.json",
        422,
        &["Bundle.entry[0].resource"],
    ),
    (
        "Bundle-ReferralPendingAuthorizationResponseBundleExample.json",
        422,
        &["Bundle.entry[0].resource"],
    ),
    (
        "Bundle-RejectionResponseBundleExample.json",
        422,
        &["Bundle.entry[0].resource"],
    ),
    (
        "Bundle-PASSubscriptionNotification.json",
        422,
        &["Bundle.type", "Bundle.identifier", "Bundle.entry[0].resource"],
    ),
];

/// The one update, which is refused in X12's words (spec-64).
const UPDATE: &str = "Bundle-HomecareAuthorizationUpdateBundleExample.json";
const INQUIRY: &str = "Bundle-PASClaimInquiryBundleExample.json";

/// The folder, if it is there; with CI it must be.
fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    let (folder, ci) = (std::env::var("ASSENT_EXAMPLES").ok(), std::env::var("CI").is_ok());
    assert!(folder.is_some() || !ci, "CI needs ASSENT_EXAMPLES");
    if folder.is_none() {
        eprintln!("HL7's examples did not run: ASSENT_EXAMPLES names no folder");
    }
    folder.map(PathBuf::from)
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Value)> {
    let names = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<PathBuf> = names
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .iter()
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), read(p)))
        .collect()
}

/// What a hook says of each order: id, covered, pa-needed.
fn said(hook: &Value) -> Vec<(&str, &str, &str)> {
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    let actions = hook["systemActions"].as_array().unwrap();
    actions
        .iter()
        .map(|action| {
            let information = part(&action["resource"], url).unwrap();
            let code = |name: &str| part(information, name).unwrap()["valueCode"].as_str().unwrap();
            (
                action["resource"]["id"].as_str().unwrap(),
                code("covered"),
                code("pa-needed"),
            )
        })
        .collect()
}

both! {
    async fn every_order_that_is_signed_is_answered(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let ehr = app.ehr().await;
        // Oxygen needs nothing in Amy Baxter's plan; the mammography's answer depends on which billing option is done.
        let first = ehr.hook("order-sign-crd", &read(&folder.join("crd/CRDServiceRequest.json"))).await.json(200);
        assert_eq!(said(&first), [("1357", "covered", "conditional"), ("2468", "covered", "no-auth")]);
        let before = app.row_counts().await;
        // No prefetch and no chart that can be read: no Coverage to hang an answer on (hook-13).
        let third = ehr.hook("order-sign-crd", &read(&folder.join("crd/CRDServiceRequest3.json"))).await;
        assert_eq!(third.places(400), ["prefetch.coverage"]);
        // Hooks of other kinds do not belong to this service.
        for name in ["crd/CRDServiceRequest2.json", "crd/CRDServiceRequest4.json"] {
            let places = ehr.hook("order-sign-crd", &read(&folder.join(name))).await.places(400);
            assert!(places.contains(&"hook".to_owned()), "{name}: {places:?}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn questionnaire_requests_are_answered(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let folder = folder.join("dtr-2.2.0");
        let ehr = app.ehr().await;
        let input = |name: &str| read(&folder.join(format!("Parameters-{name}.json")));
        let log = input("LogQuestionnaireErrorsInputParamsExample");
        let log = ehr.post("/dtr/2.2/Questionnaire/$log-questionnaire-errors", &log).await;
        assert_eq!(log.json(200)["resourceType"], "OperationOutcome");
        let before = app.row_counts().await;
        // The card belongs to nobody of this plan, and the payer on it is another one.
        let package = ehr.package(&input("QuestionnairePackageInputParamsExample")).await;
        assert_eq!(package.places(422), ["Parameters.parameter[0].resource"]);
        // Adaptive forms are not offered.
        let next = ehr.post("/dtr/2.2/Questionnaire/$next-question", &input("NextQuestionInputParamsExample")).await;
        assert!(next.status == 404 || next.status == 405, "{}", next.status);
        assert_eq!(next.json(next.status.as_u16())["resourceType"], "OperationOutcome");
        for (name, message) in files(&folder) {
            let reply = ehr.package(&message).await;
            let status = if name.starts_with("Parameters-") { 422 } else { 400 };
            assert!(!reply.places(status).is_empty(), "{name} has no place");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn authorization_requests_are_answered_line_by_line(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let folder = folder.join("pas-2.2.1");
        let ehr = app.ehr().await;
        for (name, wanted) in REQUESTS {
            let request = read(&folder.join(name));
            let bundle = ehr.submit(&request).await.json(200);
            check_answer(&bundle, Some(&request));
            assert_eq!(actions(&bundle["entry"][0]["resource"]), wanted, "{name}");
        }
        let before = app.row_counts().await;
        let update = read(&folder.join(UPDATE));
        let bundle = ehr.submit(&update).await.json(200);
        check_answer(&bundle, Some(&update));
        let answer = &bundle["entry"][0]["resource"];
        assert_eq!((&answer["outcome"], answer["error"].as_array().unwrap().len()), (&json!("error"), 1));
        let inquiry = ehr.inquire(&read(&folder.join(INQUIRY))).await.json(200);
        assert_eq!(inquiry["resourceType"], "Parameters");
        let found = inquiry["parameter"].as_array().unwrap();
        assert_eq!(found.len(), 1, "the home care that was asked about");
        check_answer(&found[0]["resource"], None);
        assert_eq!(actions(&found[0]["resource"]["entry"][0]["resource"]), ["A4", "NA"]);
        assert_eq!(app.row_counts().await, before);
        app.run_jobs().await;
    }

    async fn what_is_no_request_gets_the_located_error(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let folder = folder.join("pas-2.2.1");
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for (name, message) in files(&folder) {
            if name == UPDATE || REQUESTS.iter().any(|(request, _)| *request == name) {
                continue;
            }
            let reply = ehr.submit(&message).await;
            match NOT_SUBMITTED.iter().find(|(listed, _, _)| *listed == name) {
                Some((_, status, wanted)) => {
                    let places = reply.places(*status);
                    assert!(wanted.iter().all(|w| places.iter().any(|p| p == w)), "{name}: {places:?}");
                    assert!(name == INQUIRY || places.len() == wanted.len(), "{name}: {places:?}");
                }
                None => {
                    assert!(!name.starts_with("Bundle-"), "{name} stands in no table");
                    assert_eq!(reply.places(400), ["resourceType"], "{name}");
                }
            }
        }
        // Another plan's example: neither the endpoint nor the sending system is registered for the caller.
        let subscription = read(&folder.join("Subscription-PASSubscriptionExample.json"));
        let places = ehr.post("/pas/2.2/Subscription", &subscription).await.places(422);
        assert_eq!(places, ["Subscription.channel.endpoint", "Subscription.criteria.extension"]);
        assert_eq!(app.row_counts().await, before);
    }
}
