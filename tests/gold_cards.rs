//! What the rules know of a member and of who asks: gold cards and the transition of new members, seen by the hook and
//! by the request alike.

use crate::pas::{FORM, actions, case, case_id};
use crate::support::{TestApp, both};
use assent::cli::gold_card::{GoldCardCommand, run};
use assent::demo::seed::{EHR, WALK_MEMBER};
use assent::demo::walk::messages::{Run, part};
use assent::plan::Coverage;
use chrono::Duration;
use clap::Parser;
use serde_json::{Value, json};
use uuid::Uuid;

const INFORMATION: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
/// Who asks in the requests, who orders in the hooks.
const GROUP: &str = "1999999984";
const DOCTOR: &str = "1679576722";

#[derive(Debug, Parser)]
struct Words {
    #[command(subcommand)]
    command: GoldCardCommand,
}

/// `assent gold-card …`
async fn gold_card(app: &TestApp, words: &[&str]) -> Result<String, String> {
    let words = Words::try_parse_from(["gold-card"].iter().chain(words)).map_err(|e| e.to_string())?;
    let done = run(words.command, &app.state.store, app.clock.now()).await;
    done.map_err(|e| e.message().to_owned())
}

async fn add(app: &TestApp, npi: &str, code: &str, days: &[&str]) -> Result<String, String> {
    let words = [
        "add",
        "--npi",
        npi,
        "--code",
        code,
        "--line",
        "MA",
        "--evidence",
        "approved 96 of 100",
    ];
    let told = gold_card(app, &[&words[..], days].concat()).await?;
    Ok(told.split_whitespace().nth(2).unwrap().to_owned())
}

/// The coverage information about the oxygen order of a hook.
async fn hooked(app: &TestApp) -> Value {
    let answer = app
        .ehr()
        .await
        .hook("order-sign-crd", &app.run().hook())
        .await
        .json(200);
    let actions = answer["systemActions"].as_array().unwrap();
    let oxygen = actions.iter().find(|a| a["resource"]["id"] == "oxygen").unwrap();
    part(&oxygen["resource"], INFORMATION).unwrap().clone()
}

/// The review action of a request that pends unless something spares it.
async fn asked(app: &TestApp) -> (String, Uuid) {
    let answer = app
        .ehr()
        .await
        .submitted(&app.run().oxygen(FORM, None, 91, "normal"))
        .await;
    (actions(&answer)[0].to_owned(), case_id(&answer))
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
    async fn a_gold_card_spares_its_holder_the_authorization(app: &TestApp) {
        assert_eq!(asked(app).await.0, "A4");
        add(app, GROUP, "E1390", &["--from", "2026-11-01", "--to", "2026-11-20"]).await.unwrap();
        let (action, id) = asked(app).await;
        assert_eq!(action, "NA");
        let stored = case(app, id).await;
        assert_eq!(stored.items[0].gold_card, [GROUP]);
        assert_eq!(stored.received.facts.as_ref().unwrap().line, "MA");
        app.clock.advance(Duration::days(1));
        assert_eq!(asked(app).await.0, "A4", "its last day is over");
        app.run_jobs().await;
    }

    async fn a_gold_card_of_a_provider_whom_the_client_does_not_act_for_spares_nothing(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        add(app, DOCTOR, "*", &["--from", "2026-11-01"]).await.unwrap();
        assert_eq!(asked(app).await.0, "NA");
        app.change_client(EHR, |client| client.doc.npis = vec![]).await;
        let (action, id) = asked(app).await;
        assert_eq!(action, "A4", "anybody could name the number");
        assert_eq!(case(app, id).await.items[0].gold_card, Vec::<String>::new());
        let said = hooked(app).await;
        assert_eq!(part(&said, "pa-needed").unwrap()["valueCode"], "auth-needed");
        let assertion = part(&said, "coverage-assertion-id").unwrap()["valueString"].as_str().unwrap().to_owned();
        let forms = app.ehr().await.package(&Run::package_input(&assertion)).await;
        assert!(forms.text.contains("\"Questionnaire\""), "no form: {}", forms.text);
        app.run_jobs().await;
    }

    async fn the_hook_says_that_the_one_who_orders_holds_a_gold_card(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        assert_eq!(part(&hooked(app).await, "pa-needed").unwrap()["valueCode"], "auth-needed", "another holds it");
        add(app, DOCTOR, "E1390-E1391", &["--from", "2026-11-01"]).await.unwrap();
        app.change_client(EHR, |client| client.doc.npis.push(DOCTOR.to_owned())).await;
        let said = hooked(app).await;
        assert_eq!(part(&said, "pa-needed").unwrap()["valueCode"], "no-auth");
        assert_eq!(part(&said, "reason").unwrap()["valueCodeableConcept"], json!({
            "coding": [{ "system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": "gold-card" }],
            "text": "The ordering provider is exempt from authorization for this service",
        }));
        let assertion = part(&said, "coverage-assertion-id").unwrap()["valueString"].as_str().unwrap().to_owned();
        let forms = app.ehr().await.package(&Run::package_input(&assertion)).await;
        assert!(!forms.text.contains("\"Questionnaire\""), "a form for nothing: {}", forms.text);
    }

    async fn without_a_policys_word_a_gold_card_changes_nothing(app: &TestApp) {
        add(app, GROUP, "*", &["--from", "2026-11-01"]).await.unwrap();
        let answer = app.ehr().await.submitted(&app.run().surgery()).await;
        assert_eq!(actions(&answer), ["A4", "A4"]);
        assert_eq!(case(app, case_id(&answer)).await.items[0].gold_card, [GROUP]);
        app.run_jobs().await;
    }

    async fn cards_are_ended_and_never_deleted(app: &TestApp) {
        let id = add(app, GROUP, "E1390", &["--from", "2026-01-01", "--to", "2026-12-31"]).await.unwrap();
        let again = add(app, GROUP, "E1000-E1400", &["--from", "2026-12-31"]).await.unwrap_err();
        assert!(again.contains(&id), "{again}");
        for (npi, code, days, why) in [
            ("1999999985", "E1390", "2027-01-01", "check digit"),
            (GROUP, "E13 90", "2027-01-01", "no code"),
        ] {
            let refused = add(app, npi, code, &["--from", days]).await.unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        let refused = add(app, GROUP, "E1390", &["--from", "2028-01-02", "--to", "2028-01-01"]).await.unwrap_err();
        assert!(refused.contains("before the first"), "{refused}");
        let end = ["end", id.as_str(), "--on", "2026-10-31", "--why", "fell to 81 of 100", "--by", "UM committee"];
        gold_card(app, &end).await.unwrap();
        assert!(gold_card(app, &end).await.unwrap_err().contains("ended before"));
        add(app, GROUP, "E1000-E1400", &["--from", "2026-12-31"]).await.unwrap();
        let listed = gold_card(app, &["list", "--npi", GROUP]).await.unwrap();
        assert!(listed.contains("2026-01-01 to 2026-10-31") && listed.contains("fell to 81 of 100"), "{listed}");
        let listed: Value = serde_json::from_str(&gold_card(app, &["list", "--json"]).await.unwrap()).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        assert_eq!(listed[0]["ended"]["by"], "UM committee");
        let nobody = ["end", "0198c0de-0000-7000-8000-000000000000", "--on", "2026-10-31", "--why", "x"];
        assert!(gold_card(app, &nobody).await.unwrap_err().contains("no gold card"));
    }

    async fn a_new_members_first_ninety_days_need_no_authorization(app: &TestApp) {
        let new = Coverage { starts: "2026-11-01".parse().ok(), ..coverage(app).await };
        put(app, new.clone()).await;
        let (action, id) = asked(app).await;
        assert_eq!(action, "NA");
        let facts = case(app, id).await.received.facts.unwrap();
        assert_eq!(facts.transition_until, "2027-01-29".parse().ok());
        assert_eq!(part(&hooked(app).await, "pa-needed").unwrap()["valueCode"], "no-auth");
        let until: chrono::DateTime<chrono::Utc> = "2027-01-30T04:59:59Z".parse().unwrap();
        app.clock.advance(until - app.clock.now());
        assert_eq!(asked(app).await.0, "NA", "the ninetieth day in New York");
        app.clock.advance(Duration::seconds(1));
        assert_eq!(asked(app).await.0, "A4");
        app.run_jobs().await;
    }

    async fn a_member_who_only_changed_plans_is_not_new(app: &TestApp) {
        let new = coverage(app).await;
        put(app, Coverage { starts: "2026-11-01".parse().ok(), ..new.clone() }).await;
        let before = Coverage {
            id: app.state.new_id(),
            key: format!("{}-before", new.key),
            ends: "2026-10-31".parse().ok(),
            ..new
        };
        put(app, before).await;
        assert_eq!(asked(app).await.0, "A4");
        assert_eq!(part(&hooked(app).await, "pa-needed").unwrap()["valueCode"], "auth-needed");
    }
}
