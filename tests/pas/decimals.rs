//! Decimals of the request come back as they were sent, in every message that returns them.

use super::{FORM, ReviewerAction, case_id, reference_number, review_item};
use crate::support::{TestApp, both};
use serde_json::{Value, json};

/// The text of a request whose Patient has an address with the latitude `39.10` and the longitude `-8.250e1`.
fn request_text(app: &TestApp, percent: u32) -> String {
    let mut request = app.messages().oxygen_request(FORM, None, percent, "normal");
    request["entry"][1]["resource"]["address"] = json!([{ "city": "Columbus", "state": "OH", "extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/geolocation",
        "extension": [
            { "url": "latitude", "valueDecimal": "LATITUDE" },
            { "url": "longitude", "valueDecimal": "LONGITUDE" },
        ],
    }] }]);
    let text = request.to_string();
    text.replace("\"LATITUDE\"", "39.10")
        .replace("\"LONGITUDE\"", "-8.250e1")
}

#[track_caller]
fn assert_as_sent(text: &str) {
    for number in ["39.10", "-8.250e1"] {
        assert!(
            text.contains(&format!("\"valueDecimal\":{number}")),
            "{number}: {text}"
        );
    }
    serde_json::from_str::<Value>(text).unwrap();
}

both! {
    async fn decimals_come_back_as_sent_in_every_response(app: &TestApp) {
        let ehr = app.ehr().await;
        let text = request_text(app, 91);
        let submit = || app.post("/pas/2.2/Claim/$submit", Some(&ehr.token), "application/fhir+json", text.clone());
        let first = submit().await;
        assert_as_sent(&first.text);
        assert_as_sent(&submit().await.text);
        let claim_response = first.json(200)["entry"][0]["resource"].clone();
        let inquiry = app.messages().inquiry(&reference_number(&claim_response));
        assert_as_sent(&ehr.inquire(&inquiry).await.text);
        review_item(app, case_id(&claim_response), ReviewerAction::Approve).await;
        let decided = submit().await;
        assert_ne!(decided.text, first.text);
        assert_as_sent(&decided.text);
        app.leaves_work();
    }

    async fn decimals_come_back_as_sent_in_a_business_error(app: &TestApp) {
        let ehr = app.ehr().await;
        let text = request_text(app, 87).replace("1953-03-14", "1953-03-15");
        let reply = app.post("/pas/2.2/Claim/$submit", Some(&ehr.token), "application/fhir+json", text).await;
        assert_eq!(reply.json(200)["entry"][0]["resource"]["outcome"], "error");
        assert_as_sent(&reply.text);
    }
}
