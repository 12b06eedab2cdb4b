//! The facts about a member and a requester that policies use: gold cards and the transition period of new members, in
//! CRD hooks and PAS requests alike.

use crate::pas::{FORM, case, case_id, review_actions};
use crate::support::{TestApp, both};
use assent::cli::gold_card::{GoldCardCommand, run};
use assent::demo::seed::{EHR, WALK_MEMBER};
use assent::demo::walk::messages::{Messages, extension};
use assent::plan::Coverage;
use chrono::Duration;
use clap::Parser;
use serde_json::{Value, json};
use uuid::Uuid;

const INFORMATION: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
/// NPIs: the requester of the PAS requests, and the requester of the orders in the hooks.
const GROUP: &str = "1999999984";
const DOCTOR: &str = "1679576722";

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: GoldCardCommand,
}

/// Runs `assent gold-card …`.
async fn gold_card(app: &TestApp, arguments: &[&str]) -> Result<String, String> {
    let parsed =
        CommandLine::try_parse_from(["gold-card"].iter().chain(arguments)).map_err(|e| e.to_string())?;
    let result = run(parsed.command, &app.state.store, app.clock.now()).await;
    result.map_err(|e| e.message().to_owned())
}

/// Adds a gold card for MA and returns its id.
async fn add(app: &TestApp, npi: &str, code: &str, days: &[&str]) -> Result<String, String> {
    let arguments = [
        "add",
        "--npi",
        npi,
        "--code",
        code,
        "--line-of-business",
        "MA",
        "--evidence",
        "approved 96 of 100",
    ];
    let output = gold_card(app, &[&arguments[..], days].concat()).await?;
    Ok(output.split_whitespace().nth(2).unwrap().to_owned())
}

/// The coverage information for the oxygen order in the response to a hook.
async fn coverage_information(app: &TestApp) -> Value {
    let response = app
        .ehr()
        .await
        .hook("order-sign-crd", &app.messages().order_sign_hook())
        .await
        .json(200);
    let actions = response["systemActions"].as_array().unwrap();
    let oxygen = actions.iter().find(|a| a["resource"]["id"] == "oxygen").unwrap();
    extension(&oxygen["resource"], INFORMATION).unwrap().clone()
}

/// The coverage-assertion-id in coverage information.
fn assertion_id(information: &Value) -> &str {
    extension(information, "coverage-assertion-id").unwrap()["valueString"]
        .as_str()
        .unwrap()
}

/// Submits a request that is pended unless an exemption applies, and returns its review action and the case id.
async fn submit(app: &TestApp) -> (String, Uuid) {
    let response = app
        .ehr()
        .await
        .submitted(&app.messages().oxygen_request(FORM, None, 91, "normal"))
        .await;
    (review_actions(&response)[0].to_owned(), case_id(&response))
}

async fn coverage(app: &TestApp) -> Coverage {
    let read = app.state.store.read((), |tx, ()| {
        Box::pin(async move {
            let member = tx.member_by_member_id(WALK_MEMBER).await?.unwrap();
            Ok(tx.coverages_of(member.id).await?.remove(0))
        })
    });
    read.await.unwrap()
}

async fn put(app: &TestApp, coverage: Coverage) {
    let now = app.clock.now();
    let write = app.state.store.write((coverage, now), |tx, (coverage, now)| {
        Box::pin(async move { tx.put_coverage(coverage, *now).await })
    });
    write.await.unwrap();
}

both! {
    async fn a_gold_card_exempts_its_provider_from_authorization(app: &TestApp) {
        assert_eq!(submit(app).await.0, "A4");
        add(app, GROUP, "E1390", &["--from", "2026-11-01", "--to", "2026-11-20"]).await.unwrap();
        let (action, id) = submit(app).await;
        assert_eq!(action, "NA");
        let stored = case(app, id).await;
        assert_eq!(stored.items[0].gold_card, [GROUP]);
        assert_eq!(stored.received.member_facts.as_ref().unwrap().line_of_business, "MA");
        app.clock.advance(Duration::days(1));
        assert_eq!(submit(app).await.0, "A4", "the card has expired");
        app.run_jobs().await;
    }

    async fn a_gold_card_has_no_effect_if_the_client_does_not_act_for_the_provider(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        add(app, DOCTOR, "*", &["--from", "2026-11-01"]).await.unwrap();
        assert_eq!(submit(app).await.0, "NA");
        app.change_client(EHR, |client| client.doc.npis = vec![]).await;
        let (action, id) = submit(app).await;
        assert_eq!(action, "A4", "a client could send any NPI");
        assert_eq!(case(app, id).await.items[0].gold_card, Vec::<String>::new());
        let information = coverage_information(app).await;
        assert_eq!(extension(&information, "pa-needed").unwrap()["valueCode"], "auth-needed");
        let input = Messages::questionnaire_package_input(assertion_id(&information));
        let forms = app.ehr().await.package(&input).await;
        assert!(forms.text.contains("\"Questionnaire\""), "no form was returned: {}", forms.text);
        app.run_jobs().await;
    }

    async fn the_hook_reports_the_gold_card_of_the_ordering_provider(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        let information = coverage_information(app).await;
        let authorization = &extension(&information, "pa-needed").unwrap()["valueCode"];
        assert_eq!(authorization, "auth-needed", "the card is for another provider");
        add(app, DOCTOR, "E1390-E1391", &["--from", "2026-11-01"]).await.unwrap();
        app.change_client(EHR, |client| client.doc.npis.push(DOCTOR.to_owned())).await;
        let information = coverage_information(app).await;
        assert_eq!(extension(&information, "pa-needed").unwrap()["valueCode"], "no-auth");
        assert_eq!(extension(&information, "reason").unwrap()["valueCodeableConcept"], json!({
            "coding": [{ "system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": "gold-card" }],
            "text": "The ordering provider is exempt from prior authorization for this service",
        }));
        let input = Messages::questionnaire_package_input(assertion_id(&information));
        let forms = app.ehr().await.package(&input).await;
        assert!(!forms.text.contains("\"Questionnaire\""), "a form was returned although none is needed: {}", forms.text);
    }

    async fn a_gold_card_has_no_effect_unless_a_policy_uses_it(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        let response = app.ehr().await.submitted(&app.messages().surgery_request()).await;
        assert_eq!(review_actions(&response), ["A4", "A4"]);
        assert_eq!(case(app, case_id(&response)).await.items[0].gold_card, [GROUP]);
        app.run_jobs().await;
    }

    async fn gold_cards_are_ended_and_never_deleted(app: &TestApp) {
        let id = add(app, GROUP, "E1390", &["--from", "2026-01-01", "--to", "2026-12-31"]).await.unwrap();
        let overlapping = add(app, GROUP, "E1000-E1400", &["--from", "2026-12-31"]).await.unwrap_err();
        assert!(overlapping.contains(&id), "{overlapping}");
        for (npi, code, days, reason) in [
            ("1999999985", "E1390", "2027-01-01", "check digit"),
            (GROUP, "E13 90", "2027-01-01", "not a valid code"),
        ] {
            let rejected = add(app, npi, code, &["--from", days]).await.unwrap_err();
            assert!(rejected.contains(reason), "{rejected}");
        }
        let rejected = add(app, GROUP, "E1390", &["--from", "2028-01-02", "--to", "2028-01-01"]).await.unwrap_err();
        assert!(rejected.contains("before the first day"), "{rejected}");
        let end = ["end", id.as_str(), "--on", "2026-10-31", "--why", "fell to 81 of 100", "--by", "UM committee"];
        gold_card(app, &end).await.unwrap();
        assert!(gold_card(app, &end).await.unwrap_err().contains("ended before"));
        add(app, GROUP, "E1000-E1400", &["--from", "2026-12-31"]).await.unwrap();
        let listed = gold_card(app, &["list", "--npi", GROUP]).await.unwrap();
        assert!(listed.contains("2026-01-01 to 2026-10-31") && listed.contains("fell to 81 of 100"), "{listed}");
        let listed: Value = serde_json::from_str(&gold_card(app, &["list", "--json"]).await.unwrap()).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        assert_eq!(listed[0]["ended"]["by"], "UM committee");
        let unknown = ["end", "0198c0de-0000-7000-8000-000000000000", "--on", "2026-10-31", "--why", "x"];
        assert!(gold_card(app, &unknown).await.unwrap_err().contains("was not found"));
    }

    async fn a_new_member_needs_no_authorization_for_ninety_days(app: &TestApp) {
        let new = Coverage { starts: "2026-11-01".parse().ok(), ..coverage(app).await };
        put(app, new.clone()).await;
        let (action, id) = submit(app).await;
        assert_eq!(action, "NA");
        let facts = case(app, id).await.received.member_facts.unwrap();
        assert_eq!(facts.transition_until, "2027-01-29".parse().ok());
        assert_eq!(extension(&coverage_information(app).await, "pa-needed").unwrap()["valueCode"], "no-auth");
        let until: chrono::DateTime<chrono::Utc> = "2027-01-30T04:59:59Z".parse().unwrap();
        app.clock.advance(until - app.clock.now());
        assert_eq!(submit(app).await.0, "NA", "day 90 in New York");
        app.clock.advance(Duration::seconds(1));
        assert_eq!(submit(app).await.0, "A4");
        app.run_jobs().await;
    }

    async fn a_member_who_changes_plans_is_not_new(app: &TestApp) {
        let new = coverage(app).await;
        put(app, Coverage { starts: "2026-11-01".parse().ok(), ..new.clone() }).await;
        let before = Coverage {
            id: app.state.new_id(),
            key: format!("{}-before", new.key),
            ends: "2026-10-31".parse().ok(),
            ..new
        };
        put(app, before).await;
        assert_eq!(submit(app).await.0, "A4");
        assert_eq!(extension(&coverage_information(app).await, "pa-needed").unwrap()["valueCode"], "auth-needed");
    }
}
