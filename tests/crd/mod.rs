//! The hook's door over HTTP: what an EHR gets for its orders, and what is kept.

mod caller;
mod chart;
mod messages;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use caller::{Caller, HOOK, part};
use messages::oxygen_and_mammography;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

#[tokio::test]
async fn discovery_needs_no_token_and_is_open_to_browsers() {
    let ehr = Caller::plain().await;
    let ask = Request::get("/cds-services")
        .header("origin", "https://app.example.org")
        .body(Body::empty())
        .unwrap();
    let (answer, headers) = ehr.send(ask).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["content-type"], "application/json");
    let service = &answer.json()["services"][0];
    assert_eq!(
        (&service["hook"], &service["id"]),
        (&json!("order-sign"), &json!("order-sign-crd"))
    );
    assert_eq!(service["extension"]["davinci-crd.version"], json!(["2.2"]));
    let preflight = Request::options(HOOK)
        .header("origin", "https://app.example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .body(Body::empty())
        .unwrap();
    let (answer, headers) = ehr.send(preflight).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("authorization")
    );
}

#[tokio::test]
async fn an_oxygen_order_needs_authorization_and_a_clinical_code_alone_a_billing_code() {
    let ehr = Caller::plain().await;
    let answer = ehr.sign(&oxygen_and_mammography()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let oxygen = answer.said("oxygen");
    assert_eq!(part(&oxygen, "coverage"), [json!({ "reference": "Coverage/c1" })]);
    assert_eq!(part(&oxygen, "covered"), ["covered"]);
    assert_eq!(part(&oxygen, "pa-needed"), ["auth-needed"]);
    assert_eq!(part(&oxygen, "doc-needed"), ["clinical"]);
    assert_eq!(part(&oxygen, "doc-purpose"), ["withpa"]);
    let form = "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0";
    assert_eq!(part(&oxygen, "questionnaire"), [form]);
    assert_eq!(part(&oxygen, "date"), ["2026-10-01"]);
    assert_eq!(part(&oxygen, "expiry-date").len(), 1);
    let mammography = answer.said("mammography");
    assert_eq!(part(&mammography, "covered"), ["conditional"]);
    assert_eq!(part(&mammography, "info-needed"), ["detail-code"]);
    assert_ne!(
        part(&oxygen, "coverage-assertion-id"),
        part(&mammography, "coverage-assertion-id")
    );
}

#[tokio::test]
async fn the_order_comes_back_unchanged_beside_its_answer() {
    let ehr = Caller::plain().await;
    let call = oxygen_and_mammography();
    // Written as text: a parsed number would lose its last digit before it was sent.
    let text = call.to_string().replacen(r#""value":12"#, r#""value":1.10"#, 1);
    let answer = ehr.post(HOOK, Some(&ehr.token(HOOK)), text).await;
    assert!(answer.text.contains(r#""value":1.10"#), "{}", answer.text);
    let mut echoed = answer.json()["systemActions"][1]["resource"].clone();
    echoed.as_object_mut().unwrap().remove("extension");
    assert_eq!(echoed, messages::mammography());
    assert_eq!(
        answer.json()["systemActions"][0]["resource"]["extension"][0]["valueString"],
        "kept"
    );
    assert_eq!(answer.json()["systemActions"][0]["type"], "update");
    assert!(answer.json()["systemActions"][0].get("resourceId").is_none());
}

#[tokio::test]
async fn what_was_said_is_kept_for_the_form_and_the_request() {
    let ehr = Caller::plain().await;
    let answer = ehr.sign(&oxygen_and_mammography()).await;
    let said = answer.said("oxygen");
    let kept = ehr.assertion(&said).await.unwrap();
    assert_eq!(kept.order_ref, "ServiceRequest/oxygen");
    assert_eq!(
        (kept.coverage_ref.as_str(), kept.patient_ref.as_str()),
        ("Coverage/c1", "Patient/p1")
    );
    assert_eq!(kept.policy.as_deref(), Some("dme.home-oxygen"));
    assert_eq!(kept.forms, r#"["home-oxygen|1.0.0"]"#);
    assert!(kept.member.is_some() && kept.coverage.is_some());
    assert_eq!(serde_json::from_str::<Value>(&kept.answer_json).unwrap(), said);
    assert_eq!(
        serde_json::from_str::<Value>(&kept.order_json).unwrap(),
        messages::oxygen()
    );
    let document: Value = serde_json::from_str(&kept.case_document).unwrap();
    assert_eq!(
        (&document["kind"], &document["member"]["line"]),
        (&json!("hook"), &json!("MA"))
    );
    assert!(
        !format!("{kept:?}").contains("chart-secret"),
        "the chart's token is kept"
    );
    let vague = ehr.assertion(&answer.said("mammography")).await.unwrap();
    assert_eq!((vague.policy, vague.forms.as_str()), (None, "[]"));
}

#[tokio::test]
async fn a_card_links_to_the_policy_unless_the_client_switched_it_off() {
    let ehr = Caller::plain().await;
    let mut call = oxygen_and_mammography();
    let cards = ehr.sign(&call).await.json()["cards"].clone();
    assert_eq!(cards.as_array().unwrap().len(), 1);
    assert_eq!(cards[0]["source"]["topic"]["code"], "guideline");
    assert_eq!(cards[0]["links"][0]["type"], "absolute");
    let about = json!([{ "reference": "ServiceRequest/oxygen" }]);
    assert_eq!(cards[0]["extension"]["davinci-crd.associated-resource"], about);
    for switch in [json!({ "guideline": false }), json!({ "max-cards": 0 })] {
        call["extension"] = json!({ "davinci-crd.configuration": switch });
        assert_eq!(ehr.sign(&call).await.json()["cards"], json!([]));
    }
}

#[tokio::test]
async fn without_coverage_information_nothing_is_said_about_the_orders() {
    let ehr = Caller::plain().await;
    let mut call = oxygen_and_mammography();
    call["extension"] = json!({ "davinci-crd.requestedVersion": "2.2", "davinci-crd.configuration": { "coverage-info": false } });
    let answer = ehr.sign(&call).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json().get("systemActions").is_none());
}

#[tokio::test]
async fn an_order_that_carries_the_answer_gets_no_update_and_one_without_it_gets_it_again() {
    let ehr = Caller::plain().await;
    let first = ehr.sign(&oxygen_and_mammography()).await;
    let mut again = oxygen_and_mammography();
    again["context"]["draftOrders"]["entry"][0]["resource"] =
        first.json()["systemActions"][0]["resource"].clone();
    let second = ehr.sign(&again).await;
    let ids: Vec<Value> = second.json()["systemActions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["resource"]["id"].clone())
        .collect();
    assert_eq!(ids, ["mammography"]);
    let third = ehr.sign(&oxygen_and_mammography()).await;
    assert_eq!(third.json()["systemActions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_gap_is_an_answer_with_its_reason_and_never_an_error() {
    let ehr = Caller::plain().await;
    let mut stranger = oxygen_and_mammography();
    stranger["prefetch"]["patient"]["birthDate"] = json!("1954-04-09");
    let mut former = oxygen_and_mammography();
    former["prefetch"]["patient"]["birthDate"] = json!("1950-05-05");
    former["prefetch"]["patient"]["name"] = json!([{ "family": "Former" }]);
    former["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("MA-0009");
    let mut unknown = oxygen_and_mammography();
    unknown["prefetch"]["coverage"]["entry"][0]["resource"]["subscriberId"] = json!("none-of-ours");
    let cases = [
        (stranger, "no-member-found"),
        (former, "no-active-coverage"),
        (unknown, "coverage-not-found"),
    ];
    for (call, code) in cases {
        let answer = ehr.sign(&call).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        for order in ["oxygen", "mammography"] {
            let said = answer.said(order);
            assert_eq!(part(&said, "covered"), ["not-covered"], "{code}");
            assert!(part(&said, "pa-needed").is_empty());
            let reasons = part(&said, "reason");
            assert_eq!(
                (reasons.len(), &reasons[0]["coding"][0]["code"]),
                (1, &json!(code))
            );
            assert!(ehr.assertion(&said).await.is_some());
        }
    }
}

#[tokio::test]
async fn a_call_that_is_no_call_is_refused_with_every_place() {
    let ehr = Caller::plain().await;
    let places = |text: &str| -> Vec<String> {
        let outcome: Value = serde_json::from_str(text).unwrap();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issues = outcome["issue"].as_array().unwrap();
        issues
            .iter()
            .map(|i| i["expression"][0].as_str().unwrap_or("").to_owned())
            .collect()
    };
    let mut call = oxygen_and_mammography();
    call["hook"] = json!("order-select");
    call["context"].as_object_mut().unwrap().remove("userId");
    call["extension"] = json!({ "davinci-crd.requestedVersion": "2.0" });
    let answer = ehr.sign(&call).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        places(&answer.text),
        [
            "hook",
            "context.userId",
            "extension.`davinci-crd.requestedVersion`"
        ]
    );
    let mut foreign = oxygen_and_mammography();
    foreign["prefetch"]["coverage"]["entry"][0]["resource"]["contained"][0]["identifier"][0]["value"] =
        json!("9");
    let mut none = oxygen_and_mammography();
    none["prefetch"]["coverage"] = Value::Null;
    for call in [foreign, none] {
        assert_eq!(ehr.sign(&call).await.status, StatusCode::BAD_REQUEST);
    }
    let text = ehr
        .post(HOOK, Some(&ehr.token(HOOK)), "{\"hook\":".to_owned())
        .await;
    assert_eq!(text.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_token_is_asked_for_and_good_for_one_call() {
    let ehr = Caller::plain().await;
    let call = oxygen_and_mammography().to_string();
    assert_eq!(
        ehr.post(HOOK, None, call.clone()).await.status,
        StatusCode::UNAUTHORIZED
    );
    let elsewhere = ehr.token("/cds-services/other");
    assert_eq!(
        ehr.post(HOOK, Some(&elsewhere), call.clone()).await.status,
        StatusCode::UNAUTHORIZED
    );
    let token = ehr.token(HOOK);
    assert_eq!(
        ehr.post(HOOK, Some(&token), call.clone()).await.status,
        StatusCode::OK
    );
    let before = count(&ehr, "assertion").await;
    assert_eq!(
        ehr.post(HOOK, Some(&token), call.clone()).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        count(&ehr, "assertion").await,
        before,
        "a replayed call stored something"
    );
    let unknown = "/cds-services/other";
    assert_eq!(
        ehr.post(unknown, Some(&ehr.token(unknown)), call).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_said() {
    let ehr = Caller::plain().await;
    let token = ehr.token(HOOK);
    let call = oxygen_and_mammography().to_string();
    execute(
        &ehr,
        "CREATE TRIGGER full BEFORE INSERT ON assertion BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .await;
    let answer = ehr.post(HOOK, Some(&token), call.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.text.contains("systemActions"));
    execute(&ehr, "DROP TRIGGER full").await;
    assert_eq!(
        ehr.post(HOOK, Some(&token), call).await.status,
        StatusCode::OK,
        "the token was spent for nothing"
    );
}

#[tokio::test]
async fn feedback_is_kept_as_it_came() {
    let ehr = Caller::plain().await;
    let path = "/cds-services/order-sign-crd/feedback";
    let body =
        json!({ "feedback": [{ "card": "7b0f3a54-3f2f-4c0e-8d1c-2f4f5a6f9d10", "outcome": "accepted" }] });
    let answer = ehr.post(path, Some(&ehr.token(path)), body.to_string()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(count(&ehr, "blob").await, 1);
    assert_eq!(
        ehr.post(path, Some(&ehr.token(path)), "{}".to_owned())
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        ehr.post(path, None, body.to_string()).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn withpa_is_left_out_for_a_client_that_validates() {
    let ehr = Caller::new(|doc| doc.emit_withpa = false, |_| {}).await;
    let answer = ehr.sign(&oxygen_and_mammography()).await;
    assert!(part(&answer.said("oxygen"), "doc-purpose").is_empty());
}

#[tokio::test]
async fn hl7s_own_message_gets_its_answer() {
    #[expect(
        clippy::disallowed_methods,
        reason = "where HL7's messages are is no setting of the server"
    )]
    let Ok(folder) = std::env::var("ASSENT_EXAMPLES") else {
        println!("not run: ASSENT_EXAMPLES does not say where HL7's messages are");
        return;
    };
    let path = std::path::Path::new(&folder).join("crd/CRDServiceRequest.json");
    let text = std::fs::read_to_string(path).unwrap();
    let strict = Caller::plain().await;
    let refused = strict.post(HOOK, Some(&strict.token(HOOK)), text.clone()).await;
    assert_eq!(
        refused.status,
        StatusCode::BAD_REQUEST,
        "its payer has no identifier"
    );
    let lenient = Caller::new(|doc| doc.payer_identifier_strict = false, |_| {}).await;
    let answer = lenient.post(HOOK, Some(&lenient.token(HOOK)), text).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    for order in ["1357", "2468"] {
        let said = answer.said(order);
        assert_eq!(part(&said, "coverage"), [json!({ "reference": "Coverage/COV1" })]);
        assert_eq!(part(&said, "covered"), ["covered"]);
        assert_eq!(part(&said, "pa-needed"), ["no-auth"]);
    }
}

async fn execute(ehr: &Caller, sql: &'static str) {
    let mut connection = SqliteConnectOptions::new()
        .filename(&ehr.database)
        .connect()
        .await
        .unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

async fn count(ehr: &Caller, table: &str) -> i64 {
    let mut connection = SqliteConnectOptions::new()
        .filename(&ehr.database)
        .connect()
        .await
        .unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await
        .unwrap()
}
