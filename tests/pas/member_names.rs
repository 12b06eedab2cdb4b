//! Who the member is: spellings of one name and one number match, a mismatch says which datum did not match, and several
//! records of a coverage do not hide the one in force.

use super::submit::assert_business_error;
use super::{FORM, case, case_id, resource_mut, review_actions, set_member};
use crate::support::{TestApp, both};
use serde_json::{Value, json};

/// A request for Ruth Ellery that is approved at once.
fn request(app: &TestApp) -> Value {
    app.messages().oxygen_request(FORM, None, 87, "normal")
}

/// Gives the member of the messages another family name, as an import would.
async fn rename_member(app: &TestApp, family: &str) {
    let folded = assent::plan::fold_name(family);
    app.sql(&format!(
        "UPDATE member SET family = '{folded}' WHERE member_id = 'A100200300'"
    ))
    .await;
}

/// Copies the coverage of the member in the messages, with these columns changed.
async fn add_coverage(app: &TestApp, key: &str, changes: &[(&str, &str)]) {
    let id = if super::on_postgres(app) {
        "gen_random_uuid()"
    } else {
        "randomblob(16)"
    };
    let columns = [
        "id",
        "coverage_key",
        "member",
        "plan",
        "line_of_business",
        "state",
        "zone",
        "subscriber_id",
        "status",
        "starts",
        "ends",
        "doc",
        "changed",
        "folded_subscriber_id",
    ];
    let values = columns.map(|column| match column {
        "id" => id.to_owned(),
        "coverage_key" => format!("'{key}'"),
        _ => match changes.iter().find(|(name, _)| *name == column) {
            Some((_, value)) => format!("'{value}'"),
            None => column.to_owned(),
        },
    });
    let (columns, values) = (columns.join(", "), values.join(", "));
    app.sql(&format!("INSERT INTO coverage ({columns}) SELECT {values} FROM coverage WHERE coverage_key = 'https://plan.example/coverage|A100200300'")).await;
}

both! {
    async fn spellings_of_one_name_match(app: &TestApp) {
        let ehr = app.ehr().await;
        for (stored, sent) in [
            ("Ellery", "ELLERY"),
            ("Élléry", "Ellery"),
            ("Ellery", "E\u{301}llery"),
            ("O'Ellery", "O’Ellery"),
            ("Ellery-Smith", "Ellery Smith"),
            ("Ellery", "Ellery Jr."),
            ("Ellery III", "Ellery"),
            ("Ellery", "Ellery, MD"),
        ] {
            rename_member(app, stored).await;
            let mut request = request(app);
            set_member(&mut request, "A100200300", sent, "Ruth", "1953-03-14");
            assert_eq!(review_actions(&ehr.submitted(&request).await), ["A1"], "{stored} {sent}");
        }
        app.run_jobs().await;
    }

    async fn a_member_number_matches_without_blanks_dashes_and_case(app: &TestApp) {
        let ehr = app.ehr().await;
        for number in ["a100200300", "A100-200-300", "A100 200 300", " A100200300 "] {
            let mut request = request(app);
            set_member(&mut request, number, "Ellery", "Ruth", "1953-03-14");
            assert_eq!(review_actions(&ehr.submitted(&request).await), ["A1"], "{number:?}");
            // Only the subscriber id of the Coverage.
            let mut by_subscriber = request.clone();
            let record_number = json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR" }] });
            resource_mut(&mut by_subscriber, "Patient")["identifier"] =
                json!([{ "type": record_number, "system": "https://ehr.demo.example/records", "value": "1" }]);
            resource_mut(&mut by_subscriber, "Coverage").as_object_mut().unwrap().remove("identifier");
            by_subscriber["identifier"]["value"] = json!(format!("again {number}"));
            assert_eq!(review_actions(&ehr.submitted(&by_subscriber).await), ["A1"], "{number:?}");
        }
        app.run_jobs().await;
    }

    async fn a_mismatch_says_which_datum_did_not_match_and_nothing_that_is_stored(app: &TestApp) {
        let ehr = app.ehr().await;
        let before = app.row_counts().await;
        for (number, family, given, born, element, words) in [
            ("X000", "Ellery", "Ruth", "1953-03-14", "identifier", "The member number matches no member of this plan"),
            ("A100200300", "Smith", "Ruth", "1953-03-14", "name", "The name does not match the member with this number"),
            ("A100200300", "Ellery", "Paul", "1953-03-14", "name", "The name does not match the member with this number"),
            ("A100200300", "Ellery", "Ruth", "1953-03-15", "birthDate", "The birth date does not match the member with this number"),
            ("A100200300", "Ellery", "Ruth", "1954", "birthDate", "The birth date does not match the member with this number"),
            ("A100200300", "Smith", "Ruth", "1953-03-15", "name", "The name and the birth date do not match the member with this number"),
        ] {
            let mut request = request(app);
            set_member(&mut request, number, family, given, born);
            let bundle = ehr.submit(&request).await.json(200);
            assert_business_error(&bundle, "75", &format!("Bundle.entry[1].resource.{element}"));
            let note = bundle["entry"][0]["resource"]["processNote"][0]["text"].as_str().unwrap();
            assert_eq!(note, words);
        }
        assert_eq!(app.row_counts().await, before);
    }

    async fn a_partial_birth_date_matches_if_it_contains_the_stored_one(app: &TestApp) {
        let mut request = request(app);
        set_member(&mut request, "A100200300", "Ellery", "Ruth", "1953-03");
        assert_eq!(review_actions(&app.ehr().await.submitted(&request).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn an_ended_record_of_the_same_membership_does_not_hide_the_one_in_force(app: &TestApp) {
        add_coverage(app, "https://plan.example/coverage|OLD", &[("ends", "2025-12-31")]).await;
        add_coverage(app, "https://plan.example/coverage|VOID", &[("status", "cancelled")]).await;
        let ehr = app.ehr().await;
        assert_eq!(review_actions(&ehr.submitted(&request(app)).await), ["A1"]);
        let mut old_card = request(app);
        let coverage = resource_mut(&mut old_card, "Coverage");
        coverage.as_object_mut().unwrap().remove("subscriberId");
        coverage["identifier"] = json!([{ "system": "https://plan.example/coverage", "value": "OLD" }]);
        assert_eq!(review_actions(&ehr.submitted(&old_card).await), ["A1"], "the EHR kept the old card");
        app.run_jobs().await;
    }

    async fn two_records_of_one_plan_are_one_coverage(app: &TestApp) {
        add_coverage(app, "https://plan.example/coverage|COPY", &[("starts", "2025-06-01")]).await;
        assert_eq!(review_actions(&app.ehr().await.submitted(&request(app)).await), ["A1"]);
        app.run_jobs().await;
    }

    async fn of_several_coverages_of_a_claim_the_one_of_this_plan_answers(app: &TestApp) {
        let mut request = request(app);
        let mut other = resource_mut(&mut request, "Coverage").clone();
        other["id"] = json!("other");
        other["subscriberId"] = json!("999");
        other["identifier"] = json!([{ "system": "https://other.example", "value": "999" }]);
        request["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": "https://ehr.demo.example/fhir/Coverage/other", "resource": other,
        }));
        let insurance = json!([
            { "sequence": 1, "focal": true, "coverage": { "reference": "Coverage/other" } },
            { "sequence": 2, "focal": false, "coverage": { "reference": "Coverage/c1" } },
        ]);
        resource_mut(&mut request, "Claim")["insurance"] = insurance;
        let claim_response = app.ehr().await.submitted(&request).await;
        assert_eq!(review_actions(&claim_response), ["A1"]);
        assert_eq!(case(app, case_id(&claim_response)).await.received.line_of_business, "MA");
        app.run_jobs().await;
    }
}
