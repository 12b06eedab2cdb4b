//! The example messages that HL7 publishes with the guides, sent to the server. They are read from the folder that
//! `ASSENT_EXAMPLES` names and are not part of the project. The tables below have the expected result of each request.
//! Responses and single resources that are sent as a request get a located error.

use crate::pas::{assert_valid_response, review_actions};
use crate::support::both;
use assent::demo::walk::messages::extension;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// PAS 2.2.1 requests with the review action code of each item. Home care: a visit that needs authorization and a
/// nutrition supply that does not. The office visit was in 2005, before the coverage began. The referral matches only the
/// list row `*`.
const REQUESTS: [(&str, &[&str]); 3] = [
    ("Bundle-HomecareAuthorizationBundleExample.json", &["A4", "NA"]),
    ("Bundle-MedicalServicesAuthorizationBundleExample.json", &["A4"]),
    ("Bundle-ReferralAuthorizationBundleExample.json", &["NA"]),
];

/// PAS messages that `$submit` refuses, with the status and the places of the errors.
const NOT_SUBMITTED: [(&str, u16, &[&str]); 8] = [
    // The published Bundle lacks two referenced resources.
    (
        "Bundle-SurgicalRequestBundleExample.json",
        422,
        &[
            "Bundle.entry[6].resource.location[0]",
            "Bundle.entry[6].resource.practitioner",
        ],
    ),
    // The items of an inquiry have fewer elements than those of a request.
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

/// The only update, which gets a business error (spec-64).
const UPDATE: &str = "Bundle-HomecareAuthorizationUpdateBundleExample.json";
const INQUIRY: &str = "Bundle-PASClaimInquiryBundleExample.json";

/// The folder with the examples. It must be set when `CI` is set.
fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    let (folder, ci) = (std::env::var("ASSENT_EXAMPLES").ok(), std::env::var("CI").is_ok());
    assert!(
        folder.is_some() || !ci,
        "ASSENT_EXAMPLES must be set when CI is set"
    );
    if folder.is_none() {
        eprintln!("the examples of HL7 were not tested: ASSENT_EXAMPLES is not set");
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

/// The coverage information of each order in a hook response: order id, covered, pa-needed.
fn coverage_information(response: &Value) -> Vec<(&str, &str, &str)> {
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    let actions = response["systemActions"].as_array().unwrap();
    actions
        .iter()
        .map(|action| {
            let information = extension(&action["resource"], url).unwrap();
            let code = |name: &str| {
                extension(information, name).unwrap()["valueCode"]
                    .as_str()
                    .unwrap()
            };
            (
                action["resource"]["id"].as_str().unwrap(),
                code("covered"),
                code("pa-needed"),
            )
        })
        .collect()
}

both! {
    async fn every_signed_order_of_the_examples_gets_coverage_information(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let ehr = app.ehr().await;
        // Oxygen needs no authorization in Amy Baxter's plan. For the mammography it depends on the billing option.
        let first = ehr.hook("order-sign-crd", &read(&folder.join("crd/CRDServiceRequest.json"))).await.json(200);
        assert_eq!(coverage_information(&first), [("1357", "covered", "conditional"), ("2468", "covered", "no-auth")]);
        let before = app.row_counts().await;
        // No prefetch and no FHIR server that can be read: there is no Coverage for the response.
        let third = ehr.hook("order-sign-crd", &read(&folder.join("crd/CRDServiceRequest3.json"))).await;
        assert_eq!(third.places(412), ["prefetch.coverage"]);
        // This service answers no other hooks.
        for name in ["crd/CRDServiceRequest2.json", "crd/CRDServiceRequest4.json"] {
            let places = ehr.hook("order-sign-crd", &read(&folder.join(name))).await.places(400);
            assert!(places.contains(&"hook".to_owned()), "{name}: {places:?}");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn the_questionnaire_requests_of_the_examples_get_a_response(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let folder = folder.join("dtr-2.2.0");
        let ehr = app.ehr().await;
        let input = |name: &str| read(&folder.join(format!("Parameters-{name}.json")));
        let log = input("LogQuestionnaireErrorsInputParamsExample");
        let log = ehr.post("/dtr/2.2/Questionnaire/$log-questionnaire-errors", &log).await;
        assert_eq!(log.json(200)["resourceType"], "OperationOutcome");
        let before = app.row_counts().await;
        // The Coverage belongs to no member of this plan, and its payer is another one.
        let package = ehr.package(&input("QuestionnairePackageInputParamsExample")).await;
        assert_eq!(package.places(422), ["Parameters.parameter[0].resource"]);
        // Adaptive forms are not supported.
        let next = ehr.post("/dtr/2.2/Questionnaire/$next-question", &input("NextQuestionInputParamsExample")).await;
        assert!(next.status == 404 || next.status == 405, "{}", next.status);
        assert_eq!(next.json(next.status.as_u16())["resourceType"], "OperationOutcome");
        for (name, message) in files(&folder) {
            let reply = ehr.package(&message).await;
            let status = if name.starts_with("Parameters-") { 422 } else { 400 };
            assert!(!reply.places(status).is_empty(), "{name}: the error has no place");
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn the_authorization_requests_of_the_examples_are_decided_item_by_item(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let folder = folder.join("pas-2.2.1");
        let ehr = app.ehr().await;
        for (name, expected) in REQUESTS {
            let request = read(&folder.join(name));
            let bundle = ehr.submit(&request).await.json(200);
            assert_valid_response(&bundle, Some(&request));
            assert_eq!(review_actions(&bundle["entry"][0]["resource"]), expected, "{name}");
        }
        let before = app.row_counts().await;
        let update = read(&folder.join(UPDATE));
        let bundle = ehr.submit(&update).await.json(200);
        assert_valid_response(&bundle, Some(&update));
        let claim_response = &bundle["entry"][0]["resource"];
        assert_eq!((&claim_response["outcome"], claim_response["error"].as_array().unwrap().len()), (&json!("error"), 1));
        let inquiry = ehr.inquire(&read(&folder.join(INQUIRY))).await.json(200);
        assert_eq!(inquiry["resourceType"], "Parameters");
        let found = inquiry["parameter"].as_array().unwrap();
        assert_eq!(found.len(), 1, "the home care request of the inquiry");
        assert_valid_response(&found[0]["resource"], None);
        assert_eq!(review_actions(&found[0]["resource"]["entry"][0]["resource"]), ["A4", "NA"]);
        assert_eq!(app.row_counts().await, before);
        app.run_jobs().await;
    }

    async fn examples_that_are_not_requests_get_located_errors(app: &TestApp) {
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
                Some((_, status, expected)) => {
                    let places = reply.places(*status);
                    assert!(expected.iter().all(|e| places.iter().any(|p| p == e)), "{name}: {places:?}");
                    assert!(name == INQUIRY || places.len() == expected.len(), "{name}: {places:?}");
                }
                None => {
                    assert!(!name.starts_with("Bundle-"), "{name} is in no table");
                    assert_eq!(reply.places(400), ["resourceType"], "{name}");
                }
            }
        }
        // In this example, neither the endpoint nor the sending system is registered for the client.
        let subscription = read(&folder.join("Subscription-PASSubscriptionExample.json"));
        let places = ehr.post("/pas/2.2/Subscription", &subscription).await.places(422);
        assert_eq!(places, ["Subscription.channel.endpoint", "Subscription.criteria.extension"]);
        assert_eq!(app.row_counts().await, before);
    }
}
