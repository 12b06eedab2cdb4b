//! Tests of this module without a database: one authorization per status, the closed slices, the searches, and the text
//! of the member's page.

use super::explanation_of_benefit::explanation_of_benefit;
use super::records::MemberRecords;
use super::samples::*;
use super::search::{Search, SearchableType};
use super::searchable;
use super::searchset::searchset;
use super::stored_request::StoredRequest;
use super::summary::summarize;
use crate::fhir;
use crate::ig::pdex;
use crate::prior_auth::PriorAuth;
use crate::wire::Handling;
use serde_json::{Value, json};
use uuid::Uuid;

fn eob(case: &PriorAuth) -> Value {
    shown(case, &request()).unwrap()
}

fn shown(case: &PriorAuth, message: &Value) -> Option<Value> {
    let (payer, denial_reasons) = (payer(), denial_reasons());
    let request = StoredRequest::parse(case, message).unwrap();
    let eob = explanation_of_benefit(&request, context(&payer, &denial_reasons))?;
    check_slices(&eob);
    Some(eob)
}

/// Checks that every adjudication is in exactly one slice of the closed slicing, has that slice's required elements and
/// does not repeat more often than the slice allows.
fn check_slices(eob: &Value) {
    let header = fhir::list(eob, "adjudication").collect::<Vec<_>>();
    check_adjudications(&header, false);
    for item in fhir::list(eob, "item") {
        let adjudications = fhir::list(item, "adjudication").collect::<Vec<_>>();
        assert!(!adjudications.is_empty(), "an item has no adjudication");
        check_adjudications(&adjudications, true);
        let actions = adjudications
            .iter()
            .filter(|a| fhir::extension(a, pdex::REVIEW_ACTION).is_some());
        assert_eq!(
            actions.count(),
            1,
            "an item needs exactly one review action: {item}"
        );
    }
    for total in fhir::list(eob, "total") {
        assert!(
            total.pointer("/category/coding/0/code").is_some() && total.pointer("/amount/value").is_some()
        );
    }
    assert!(fhir::list(eob, "preAuthRefPeriod").count() <= 1);
    check_nothing_is_empty(eob);
}

fn check_adjudications(adjudications: &[&Value], of_item: bool) {
    let mut allowed = 0;
    for adjudication in adjudications {
        let category = adjudication.get("category").unwrap();
        let in_system = |system| fhir::coding::code_in(category, system);
        match (in_system(pdex::DISCRIMINATOR), in_system(pdex::ADJUDICATION)) {
            (Some("allowedunits"), None) if of_item => {
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
            _ => panic!("the adjudication fits no slice: {adjudication}"),
        }
        let action = fhir::extension(adjudication, pdex::REVIEW_ACTION);
        let code = action.and_then(|action| fhir::extension(action, pdex::REVIEW_ACTION_CODE));
        assert_eq!(
            code.is_some(),
            action.is_some() && of_item,
            "only items have a review action code"
        );
    }
    assert!(allowed <= 1, "allowedunits is repeated");
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
        Value::Null => panic!("a value is null"),
        _ => {}
    }
}

#[test]
fn a_pended_request_is_in_review() {
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
fn a_denied_request_shows_the_reason_and_how_to_appeal() {
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
fn a_denial_has_its_reason_as_code_and_as_text() {
    let eob = eob(&denied(case(CASE, vec![pend("clinical")]), 1));
    let adjudication = eob.pointer("/item/0/adjudication/0").unwrap();
    assert_eq!(
        adjudication.pointer("/reason/coding/0"),
        Some(&json!({ "system": pdex::CARC, "code": "50" }))
    );
    assert!(
        adjudication
            .pointer("/reason/text")
            .unwrap()
            .as_str()
            .unwrap()
            .contains("93 percent")
    );
    let action = fhir::extension(adjudication, pdex::REVIEW_ACTION).unwrap();
    let reason = fhir::extension(action, "reasonCode").unwrap();
    assert_eq!(
        reason.pointer("/valueCodeableConcept/coding/0"),
        Some(&json!({ "system": crate::ig::pas::DECISION_REASONS, "code": "0F" }))
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
fn a_proposed_denial_is_not_visible() {
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
fn a_partly_decided_request_has_the_outcome_partial() {
    let half = case(CASE, vec![approve(), pend("clinical")]);
    assert_eq!(eob(&half).get("outcome"), Some(&json!("partial")));
    let whole = eob(&denied(half, 2));
    assert_eq!(whole.get("outcome"), Some(&json!("complete")));
    assert_eq!(
        whole.get("disposition"),
        Some(&json!("Some services are approved, others are not"))
    );
}

#[test]
fn an_ended_approval_says_so_and_changes_last_updated() {
    let ended = approved_until(case(CASE, vec![pend("clinical")]), "2026-10-12");
    let message = request();
    let (payer, denial_reasons) = (payer(), denial_reasons());
    let request = StoredRequest::parse(&ended, &message).unwrap();
    let mut context = context(&payer, &denial_reasons);
    context.now = at("2026-11-20T00:00:00Z");
    let eob = explanation_of_benefit(&request, context).unwrap();
    assert_eq!(
        eob.get("disposition"),
        Some(&json!("Approval ended on Oct 12, 2026"))
    );
    assert_eq!(
        eob.pointer("/meta/lastUpdated"),
        Some(&json!("2026-10-13T04:00:00Z"))
    );
}

#[test]
fn drug_items_are_not_shown() {
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
fn every_reference_can_be_read() {
    let records = records(1);
    let (payer, denial_reasons) = (payer(), denial_reasons());
    let context = context(&payer, &denial_reasons);
    let mut count = 0;
    let mut resources = records.resources_of_type("ExplanationOfBenefit", context);
    while let Some(resource) = resources.pop() {
        fhir::reference::walk(&resource, "", &mut |address, at| {
            count += 1;
            let found = records
                .resource_at(address, context)
                .unwrap_or_else(|| panic!("{address} at {at}"));
            if fhir::resource_type(&resource) == Some("ExplanationOfBenefit") {
                resources.push(found);
            }
        });
    }
    assert_eq!(count, 10);
}

#[test]
fn a_questionnaire_response_keeps_its_answers_and_loses_foreign_references() {
    let (payer, denial_reasons) = (payer(), denial_reasons());
    let context = context(&payer, &denial_reasons);
    let records = records(1);
    let eob = records
        .resources_of_type("ExplanationOfBenefit", context)
        .pop()
        .unwrap();
    let address = fhir::text(&eob, &["supportingInfo", "valueReference", "reference"]).unwrap();
    let form = records.resource_at(address, context).unwrap();
    assert_eq!(form.pointer("/item/0/answer/0/valueDecimal"), Some(&json!(86)));
    assert_eq!(
        form.pointer("/subject/reference"),
        Some(&json!(format!("Patient/{MEMBER}")))
    );
    assert_eq!(form.get("author"), None);
}

/// A member's records with this many cases.
fn records(cases: u128) -> MemberRecords {
    let cases = (0..cases).map(|n| {
        (
            case(Uuid::from_u128(0xa1 + n), vec![approve(), pend("clinical")]),
            request(),
        )
    });
    MemberRecords::new(member(), vec![coverage()], cases.collect())
}

fn search(searchable: &'static SearchableType, query: &str) -> crate::error::Result<Search> {
    search_with(searchable, query, Handling::Strict)
}

fn search_with(
    searchable: &'static SearchableType,
    query: &str,
    handling: Handling,
) -> crate::error::Result<Search> {
    let pairs = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    Search::parse(searchable, pairs, "https://plan.example/fhir/pdex", handling)
}

fn found(records: &MemberRecords, searchable: &'static SearchableType, query: &str) -> Value {
    let (payer, denial_reasons) = (payer(), denial_reasons());
    let search = search(searchable, query).unwrap_or_else(|e| panic!("{query}: {e}"));
    let bundle = searchset(
        records,
        searchable,
        &search,
        context(&payer, &denial_reasons),
        &|resource_type| resource_type != "Practitioner",
    );
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    check_nothing_is_empty(&bundle);
    bundle
}

fn total(records: &MemberRecords, searchable: &'static SearchableType, query: &str) -> u64 {
    found(records, searchable, query)
        .get("total")
        .unwrap()
        .as_u64()
        .unwrap()
}

#[test]
fn every_search_parameter_matches_and_excludes() {
    let records = records(1);
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
        (format!("_profile={}", pdex::PRIOR_AUTHORIZATION), 1),
        (format!("_profile={}|2.0.0", pdex::PRIOR_AUTHORIZATION), 1),
        (
            "_profile=http://hl7.org/fhir/us/carin-bb/StructureDefinition/x".into(),
            0,
        ),
    ] {
        assert_eq!(
            total(&records, &searchable::EXPLANATION_OF_BENEFIT, &query),
            count,
            "{query}"
        );
    }
    assert_eq!(total(&records, &searchable::PATIENT, "identifier=12345678901"), 1);
    assert_eq!(
        total(&records, &searchable::PATIENT, "name=smi&birthdate=1950-03-04"),
        1
    );
    assert_eq!(total(&records, &searchable::PATIENT, "gender=female&name=smi"), 0);
    assert_eq!(
        total(&records, &searchable::COVERAGE, &format!("patient={me}")),
        1
    );
}

#[test]
fn an_invalid_parameter_is_named_in_the_error() {
    for query in [
        "color=red",
        "service-date=soon",
        "_count=many",
        "_format=xml",
        "type:not=x",
        "_include=Claim:item",
        "_sort=color",
        "_summary=some",
        "_elements=a;b",
        "_elements=item&_summary=true",
    ] {
        let error = search(&searchable::EXPLANATION_OF_BENEFIT, query).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Malformed, "{query}");
        let name = query.split(['=', '&']).next().unwrap();
        assert!(error.message().contains(name), "{}", error.message());
        assert!(!error.message().contains("soon"), "{}", error.message());
    }
}

#[test]
fn lenient_handling_ignores_what_is_not_supported_and_nothing_else() {
    let eob = &searchable::EXPLANATION_OF_BENEFIT;
    for (query, counted) in [
        ("color=red&use=claim", "use=claim"),
        (
            "use=claim&_sort=color,-_lastUpdated",
            "use=claim&_sort=-_lastUpdated",
        ),
        ("_sort=color", ""),
        ("_include=Claim:item&_id=1", "_id=1"),
        ("_pretty=true&_total=none&use=claim", "use=claim"),
        ("_count=100000", "_count=200"),
        ("_count=5&_count=7", "_count=7"),
        ("use=", ""),
    ] {
        let search = search_with(eob, query, Handling::Lenient).unwrap();
        assert_eq!(search.to_query(None), counted, "{query}");
    }
    for query in ["service-date=soon", "type:not=x", "_count=many", "_summary=some"] {
        assert!(search_with(eob, query, Handling::Lenient).is_err(), "{query}");
    }
}

#[test]
fn sorted_pages_are_complete_and_in_order() {
    let records = records(5);
    let ids = |bundle: &Value| -> Vec<String> {
        fhir::list(bundle, "entry")
            .map(|e| fhir::text(e, &["resource", "id"]).unwrap().to_owned())
            .collect()
    };
    let eob = &searchable::EXPLANATION_OF_BENEFIT;
    let newest_first = ids(&found(&records, eob, ""));
    let mut oldest_first = newest_first.clone();
    oldest_first.reverse();
    assert_eq!(ids(&found(&records, eob, "_sort=_id")), oldest_first);
    assert_eq!(ids(&found(&records, eob, "_sort=-_id")), newest_first);
    assert_eq!(
        ids(&found(&records, eob, "_sort=-_lastUpdated,_id")),
        oldest_first
    );
    let mut query = "_sort=_id&_count=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = found(&records, eob, &query);
        seen.extend(ids(&page));
        let next = fhir::list(&page, "link").find(|l| fhir::text(l, &["relation"]) == Some("next"));
        let Some(next) = next.and_then(|next| fhir::text(next, &["url"])) else {
            break;
        };
        query = next.split_once('?').unwrap().1.to_owned();
    }
    assert_eq!(seen, oldest_first);
}

#[test]
fn included_resources_stay_within_the_scopes() {
    let bundle = found(
        &records(1),
        &searchable::EXPLANATION_OF_BENEFIT,
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
fn paging_returns_every_match_once() {
    let records = records(5);
    let mut query = "_count=2".to_owned();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = found(&records, &searchable::EXPLANATION_OF_BENEFIT, &query);
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
    let counted = found(&records, &searchable::EXPLANATION_OF_BENEFIT, "_count=0");
    assert_eq!(
        (counted.get("total"), counted.get("entry")),
        (Some(&json!(5)), None)
    );
}

#[test]
fn the_summary_for_the_member_page_uses_the_same_texts() {
    let appeal = payer().appeal;
    let rules = policy_set().rules;
    let open = summarize(
        &case(CASE, vec![pend("intake"), pend("clinical")]),
        &rules,
        &appeal,
        now(),
    );
    assert_eq!(
        (open.status_text.as_str(), open.decision_due),
        ("In review", Some(at("2026-10-13T03:59:59Z")))
    );
    assert_eq!(open.items.first().unwrap().status_text, "Received.");
    let decided = summarize(
        &denied(case(CASE, vec![approve(), pend("clinical")]), 2),
        &rules,
        &appeal,
        now(),
    );
    assert_eq!(
        (decided.status_text.as_str(), decided.decision_due),
        ("Some services are approved, others are not", None)
    );
    let texts: Vec<&str> = decided
        .items
        .iter()
        .map(|item| item.status_text.as_str())
        .collect();
    assert_eq!(texts, ["Approved through Oct 9, 2027.", "Not approved."]);
    assert!(
        decided
            .items
            .last()
            .unwrap()
            .reason
            .as_ref()
            .unwrap()
            .contains("93 percent")
    );
    assert_eq!(decided.appeal_instructions, Some(appeal));
    let services: Vec<&str> = decided.items.iter().map(|item| item.service.as_str()).collect();
    assert_eq!(services, ["Oxygen concentrator, home", "Home oxygen"]);
}
