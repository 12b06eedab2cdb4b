//! One authorization per state, as an app sees it; the closed slices; the searches; the words of the member's page.

use super::answer::searchset;
use super::chart::Chart;
use super::explanation_of_benefit::explanation_of_benefit;
use super::kinds;
use super::names;
use super::request::Request;
use super::samples::*;
use super::search::{Kind, Search};
use super::timeline::timeline;
use crate::fhir;
use crate::prior_auth::PriorAuth;
use serde_json::{Value, json};
use uuid::Uuid;

fn eob(case: &PriorAuth) -> Value {
    shown(case, &request()).unwrap()
}

fn shown(case: &PriorAuth, message: &Value) -> Option<Value> {
    let (payer, reasons) = (payer(), reasons());
    let request = Request::open(case, message).unwrap();
    let eob = explanation_of_benefit(&request, setting(&payer, &reasons))?;
    check_slices(&eob);
    Some(eob)
}

/// Each adjudication must fall into exactly one closed slice, with what that slice asks for and at most as often.
fn check_slices(eob: &Value) {
    let header = fhir::list(eob, "adjudication").collect::<Vec<_>>();
    check_adjudications(&header, false);
    for item in fhir::list(eob, "item") {
        let adjudications = fhir::list(item, "adjudication").collect::<Vec<_>>();
        assert!(
            !adjudications.is_empty(),
            "a line says nothing of where it stands"
        );
        check_adjudications(&adjudications, true);
        let actions = adjudications
            .iter()
            .filter(|a| fhir::extension(a, names::REVIEW_ACTION).is_some());
        assert_eq!(actions.count(), 1, "one review action per line: {item}");
    }
    for total in fhir::list(eob, "total") {
        assert!(
            total.pointer("/category/coding/0/code").is_some() && total.pointer("/amount/value").is_some()
        );
    }
    assert!(fhir::list(eob, "preAuthRefPeriod").count() <= 1);
    check_nothing_is_empty(eob);
}

fn check_adjudications(adjudications: &[&Value], of_line: bool) {
    let mut allowed = 0;
    for adjudication in adjudications {
        let category = adjudication.get("category").unwrap();
        let in_system = |system| fhir::coding::code_in(category, system);
        match (in_system(names::DISCRIMINATOR), in_system(names::ADJUDICATION)) {
            (Some("allowedunits"), None) if of_line => {
                allowed += 1;
                assert!(adjudication.get("value").is_some_and(Value::is_number));
            }
            (Some("denialreason"), None) => {
                assert!(
                    adjudication
                        .pointer("/reason/coding/0/code")
                        .is_some_and(Value::is_string)
                );
            }
            (None, Some("submitted")) => assert!(adjudication.pointer("/amount/value").is_some()),
            _ => panic!("no slice takes {adjudication}"),
        }
        let action = fhir::extension(adjudication, names::REVIEW_ACTION);
        let code = action.and_then(|action| fhir::extension(action, names::REVIEW_ACTION_CODE));
        assert_eq!(
            code.is_some(),
            action.is_some() && of_line,
            "the code stands on lines alone"
        );
    }
    assert!(allowed <= 1, "allowedunits repeats");
}

fn check_nothing_is_empty(value: &Value) {
    match value {
        Value::Object(members) => {
            assert!(!members.is_empty());
            members.values().for_each(check_nothing_is_empty);
        }
        Value::Array(list) => {
            assert!(!list.is_empty());
            list.iter().for_each(check_nothing_is_empty);
        }
        Value::Null => panic!("null"),
        _ => {}
    }
}

#[test]
fn a_pended_request_reads_as_in_review() {
    insta::assert_json_snapshot!(
        "pended",
        eob(&case(CASE, vec![pend("clinical"), pend("clinical")]))
    );
}

#[test]
fn an_approved_request_shows_number_period_and_units() {
    insta::assert_json_snapshot!("approved", eob(&case(CASE, vec![approve(), approve()])));
}

#[test]
fn a_denied_request_shows_why_and_how_to_appeal() {
    let case = denied(denied(case(CASE, vec![pend("clinical"), pend("clinical")]), 1), 2);
    insta::assert_json_snapshot!("denied", eob(&case));
}

#[test]
fn a_request_that_needs_no_authorization_says_so() {
    insta::assert_json_snapshot!(
        "not_required",
        eob(&case(CASE, vec![not_required(), not_required()]))
    );
}

#[test]
fn the_reason_of_a_denial_is_there_as_code_and_as_text() {
    let eob = eob(&denied(case(CASE, vec![pend("clinical")]), 1));
    let line = eob.pointer("/item/0/adjudication/0").unwrap();
    assert_eq!(
        line.pointer("/reason/coding/0"),
        Some(&json!({ "system": names::CARC, "code": "50" }))
    );
    assert!(
        line.pointer("/reason/text")
            .unwrap()
            .as_str()
            .unwrap()
            .contains("93 percent")
    );
    let action = fhir::extension(line, names::REVIEW_ACTION).unwrap();
    let reason = fhir::extension(action, "reasonCode").unwrap();
    assert_eq!(
        reason.pointer("/valueCodeableConcept/coding/0"),
        Some(&json!({ "system": names::X12_886, "code": "0F" }))
    );
    assert_eq!(
        eob.pointer("/adjudication/0/reason/coding/0/code"),
        Some(&json!("50"))
    );
    let notes: Vec<&str> = fhir::list(&eob, "processNote")
        .filter_map(|n| fhir::text(n, &["text"]))
        .collect();
    assert!(notes.iter().any(|note| note.contains("93 percent")));
    assert!(notes.iter().any(|note| note.contains("within 65 days")));
}

#[test]
fn a_proposed_denial_does_not_leak() {
    let before = case(CASE, vec![pend("clinical"), pend("clinical")]);
    let mut plain = eob(&before);
    let mut after = eob(&referred(before));
    for eob in [&mut plain, &mut after] {
        eob.get_mut("meta")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("lastUpdated");
    }
    assert_eq!(plain, after);
}

#[test]
fn decided_in_part_is_partial_and_then_part_of_it_approved() {
    let half = case(CASE, vec![approve(), pend("clinical")]);
    assert_eq!(eob(&half).get("outcome"), Some(&json!("partial")));
    let whole = eob(&denied(half, 2));
    assert_eq!(whole.get("outcome"), Some(&json!("complete")));
    assert_eq!(whole.get("disposition"), Some(&json!("Part of it approved")));
}

#[test]
fn an_approval_that_ended_says_so_and_counts_as_changed_that_day() {
    let ended = approved_until(case(CASE, vec![pend("clinical")]), "2026-10-12");
    let message = request();
    let (payer, reasons) = (payer(), reasons());
    let request = Request::open(&ended, &message).unwrap();
    let mut setting = setting(&payer, &reasons);
    setting.now = at("2026-11-20T00:00:00Z");
    let eob = explanation_of_benefit(&request, setting).unwrap();
    assert_eq!(
        eob.get("disposition"),
        Some(&json!("Approval ended on October 12, 2026"))
    );
    assert_eq!(
        eob.pointer("/meta/lastUpdated"),
        Some(&json!("2026-10-13T04:00:00Z"))
    );
}

#[test]
fn drug_lines_are_not_shown() {
    let mut message = request();
    let ndc = json!({ "coding": [{ "system": "http://hl7.org/fhir/sid/ndc", "code": "0409-4887-10" }] });
    *message
        .pointer_mut("/entry/0/resource/item/1/productOrService")
        .unwrap() = ndc.clone();
    let two = case(CASE, vec![approve(), approve()]);
    let eob = shown(&two, &message).unwrap();
    assert_eq!(fhir::list(&eob, "item").count(), 1);
    assert_eq!(eob.get("preAuthRef"), Some(&json!(["PA1"])));
    *message
        .pointer_mut("/entry/0/resource/item/0/productOrService")
        .unwrap() = ndc;
    assert_eq!(shown(&two, &message), None);
}

#[test]
fn every_reference_leads_to_something_that_can_be_read() {
    let chart = chart(1);
    let (payer, reasons) = (payer(), reasons());
    let setting = setting(&payer, &reasons);
    let mut count = 0;
    let mut resources = chart.all("ExplanationOfBenefit", setting);
    while let Some(resource) = resources.pop() {
        fhir::reference::walk(&resource, "", &mut |address, at| {
            count += 1;
            let found = chart
                .at(address, setting)
                .unwrap_or_else(|| panic!("{address} at {at}"));
            if fhir::resource_type(&resource) == Some("ExplanationOfBenefit") {
                resources.push(found);
            }
        });
    }
    assert_eq!(count, 10);
}

#[test]
fn a_form_comes_with_its_answers_and_without_the_senders_links() {
    let (payer, reasons) = (payer(), reasons());
    let setting = setting(&payer, &reasons);
    let chart = chart(1);
    let eob = chart.all("ExplanationOfBenefit", setting).pop().unwrap();
    let address = fhir::text(&eob, &["supportingInfo", "valueReference", "reference"]).unwrap();
    let form = chart.at(address, setting).unwrap();
    assert_eq!(form.pointer("/item/0/answer/0/valueDecimal"), Some(&json!(86)));
    assert_eq!(
        form.pointer("/subject/reference"),
        Some(&json!(format!("Patient/{MEMBER}")))
    );
    assert_eq!(form.get("author"), None);
}

/// A member with this many cases, each a second apart.
fn chart(cases: u128) -> Chart {
    let cases = (0..cases).map(|n| {
        (
            case(Uuid::from_u128(0xa1 + n), vec![approve(), pend("clinical")]),
            request(),
        )
    });
    Chart::new(member(), vec![coverage()], cases.collect())
}

fn search(kind: &'static Kind, query: &str) -> crate::error::Result<Search> {
    let pairs = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    Search::read(kind, pairs, "https://plan.example/fhir/pdex")
}

fn found(chart: &Chart, kind: &'static Kind, query: &str) -> Value {
    let (payer, reasons) = (payer(), reasons());
    let search = search(kind, query).unwrap_or_else(|e| panic!("{query}: {e}"));
    let bundle = searchset(chart, kind, &search, setting(&payer, &reasons), &|kind| {
        kind != "Practitioner"
    });
    check_nothing_is_empty(&bundle);
    bundle
}

fn total(chart: &Chart, kind: &'static Kind, query: &str) -> u64 {
    found(chart, kind, query).get("total").unwrap().as_u64().unwrap()
}

#[test]
fn every_parameter_finds_and_refuses_to_find() {
    let chart = chart(1);
    let me = MEMBER;
    for (query, count) in [
        (String::new(), 1),
        (format!("patient={me}"), 1),
        (format!("patient=Patient/{me}"), 1),
        (
            format!("patient=https://plan.example/fhir/pdex/Patient/{me}&use=preauthorization"),
            1,
        ),
        (format!("patient:Patient={me}"), 1),
        (format!("patient={}", Uuid::from_u128(7)), 0),
        (format!("_id={CASE}"), 1),
        (format!("_id=other,{CASE}"), 1),
        ("_id=other".into(), 0),
        ("use=claim".into(), 0),
        ("type=professional".into(), 1),
        (
            "type=http://terminology.hl7.org/CodeSystem/claim-type|professional".into(),
            1,
        ),
        ("type=http://terminology.hl7.org/CodeSystem/claim-type|".into(), 1),
        ("type=pharmacy".into(), 0),
        ("identifier=http://example.org/trace|T-1".into(), 1),
        ("identifier=RF1".into(), 1),
        ("identifier=http://example.org/other|T-1".into(), 0),
        ("service-date=2026-10-12".into(), 1),
        ("service-date=ge2026-10-10&service-date=le2026-12-31".into(), 1),
        ("service-date=lt2026-10-10".into(), 0),
        ("_lastUpdated=2026-10-05T15:00:00.123456Z".into(), 1),
        ("_lastUpdated=2026-10-05T15:00:00.123Z".into(), 1),
        ("_lastUpdated=gt2026-10-05T15:00:00.123456Z".into(), 0),
        ("_lastUpdated=ge2026-10-05&type=professional".into(), 1),
        (format!("_profile={}", names::PROFILE), 1),
        (format!("_profile={}|2.0.0", names::PROFILE), 1),
        (
            "_profile=http://hl7.org/fhir/us/carin-bb/StructureDefinition/x".into(),
            0,
        ),
    ] {
        assert_eq!(
            total(&chart, &kinds::EXPLANATION_OF_BENEFIT, &query),
            count,
            "{query}"
        );
    }
    assert_eq!(total(&chart, &kinds::PATIENT, "identifier=12345678901"), 1);
    assert_eq!(total(&chart, &kinds::PATIENT, "name=smi&birthdate=1950-03-04"), 1);
    assert_eq!(total(&chart, &kinds::PATIENT, "gender=female&name=smi"), 0);
    assert_eq!(total(&chart, &kinds::COVERAGE, &format!("patient={me}")), 1);
}

#[test]
fn a_bad_parameter_is_refused_by_name() {
    for query in [
        "colour=red",
        "service-date=soon",
        "_count=many",
        "_format=xml",
        "type:not=x",
        "_include=Claim:item",
    ] {
        let error = search(&kinds::EXPLANATION_OF_BENEFIT, query).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Malformed, "{query}");
        let name = query.split('=').next().unwrap();
        assert!(error.message().contains(name), "{}", error.message());
        assert!(!error.message().contains("soon"), "{}", error.message());
    }
}

#[test]
fn what_comes_along_stays_inside_the_scopes() {
    let bundle = found(
        &chart(1),
        &kinds::EXPLANATION_OF_BENEFIT,
        "_include=ExplanationOfBenefit:*&_include:iterate=Coverage:payor",
    );
    let modes: Vec<(&str, &str)> = fhir::list(&bundle, "entry")
        .map(|e| {
            (
                fhir::text(e, &["resource", "resourceType"]).unwrap(),
                fhir::text(e, &["search", "mode"]).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        modes,
        [
            ("ExplanationOfBenefit", "match"),
            ("Coverage", "include"),
            ("Organization", "include"),
            ("Organization", "include"),
            ("Patient", "include"),
        ]
    );
}

#[test]
fn pages_lead_through_every_match_once() {
    let chart = chart(5);
    let mut query = "_count=2".to_owned();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = found(&chart, &kinds::EXPLANATION_OF_BENEFIT, &query);
        assert_eq!(page.get("total"), Some(&json!(5)));
        seen.extend(
            fhir::list(&page, "entry").map(|e| fhir::text(e, &["resource", "id"]).unwrap().to_owned()),
        );
        let next = fhir::list(&page, "link").find(|l| fhir::text(l, &["relation"]) == Some("next"));
        let Some(next) = next else { break };
        query = fhir::text(next, &["url"])
            .unwrap()
            .split_once('?')
            .unwrap()
            .1
            .to_owned();
    }
    seen.dedup();
    assert_eq!(seen.len(), 5, "{seen:?}");
    let counted = found(&chart, &kinds::EXPLANATION_OF_BENEFIT, "_count=0");
    assert_eq!(
        (counted.get("total"), counted.get("entry")),
        (Some(&json!(5)), None)
    );
}

#[test]
fn the_members_page_says_the_same_in_words() {
    let appeal = payer().appeal;
    let open = timeline(
        &case(CASE, vec![pend("intake"), pend("clinical")]),
        &appeal,
        now(),
    );
    assert_eq!(
        (open.words.as_str(), open.answer_by),
        ("In review", Some(at("2026-10-13T03:59:59Z")))
    );
    assert_eq!(open.lines.first().unwrap().words, "Received.");
    let decided = timeline(
        &denied(case(CASE, vec![approve(), pend("clinical")]), 2),
        &appeal,
        now(),
    );
    assert_eq!(
        (decided.words.as_str(), decided.answer_by),
        ("Part of it approved", None)
    );
    let words: Vec<&str> = decided.lines.iter().map(|line| line.words.as_str()).collect();
    assert_eq!(words, ["Approved until October 9, 2027.", "Not approved."]);
    assert!(
        decided
            .lines
            .last()
            .unwrap()
            .reason
            .as_ref()
            .unwrap()
            .contains("93 percent")
    );
    assert_eq!(decided.appeal, Some(appeal));
    assert_eq!(decided.lines.first().unwrap().service, "Home oxygen");
}
