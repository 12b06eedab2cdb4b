//! The coverage-information extension: from what the rules say to what CRD 2.2 writes (section "The
//! coverage-information extension"), the guide's invariants over it, and whether an order carries the same answer
//! already. Knows no order and no member.

use crate::fhir::reference::{type_and_id, unversioned};
use crate::fhir::{extensions, list, text};
use crate::rules::{Code, Contact, CoverageAnswer, Detail, Reason};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// The extension's url.
pub(super) const URL: &str =
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
const REASONS: &str = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp";
const DETAILS: &str = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail";

/// What an answer needs beside its content.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    /// The Coverage on the client: `Coverage/c1`.
    pub coverage: &'a str,
    /// The id of this assertion.
    pub assertion: &'a str,
    /// The day of the answer in the plan's zone.
    pub date: NaiveDate,
    /// The forms as canonicals `url|version`.
    pub forms: &'a [String],
    /// Other orders of the call that the answer depends on.
    pub dependencies: &'a [String],
    /// Whether `withpa` is written: no validator of the guide accepts it (its invariant q4 is misspelt), DTR
    /// clients look for it.
    pub withpa: bool,
}

/// The extension that says `answer`.
pub(super) fn extension(answer: &CoverageAnswer, frame: &Frame<'_>) -> Value {
    let code = |url: &str, code: &str| json!({ "url": url, "valueCode": code });
    let mut parts = vec![
        json!({ "url": "coverage", "valueReference": { "reference": frame.coverage } }),
        code("covered", &answer.covered),
    ];
    parts.extend(answer.pa.iter().map(|c| code("pa-needed", c)));
    parts.extend(answer.doc.iter().map(|c| code("doc-needed", c)));
    parts.extend(purposes(answer, frame.withpa).map(|c| code("doc-purpose", c)));
    parts.extend(answer.info_needed.iter().map(|c| code("info-needed", c)));
    parts.extend(answer.billing_codes.iter().map(billing_code));
    parts.extend(answer.reason.iter().map(reason));
    parts.extend(answer.detail.iter().map(detail));
    parts.extend(
        frame
            .dependencies
            .iter()
            .map(|r| json!({ "url": "dependency", "valueReference": { "reference": r } })),
    );
    parts.extend(
        frame
            .forms
            .iter()
            .map(|form| json!({ "url": "questionnaire", "valueCanonical": form })),
    );
    parts.push(json!({ "url": "date", "valueDate": frame.date.to_string() }));
    parts.push(json!({ "url": "coverage-assertion-id", "valueString": frame.assertion }));
    parts.extend(answer.contact.iter().map(contact));
    if let Some(day) = answer.expiry_date(frame.date) {
        parts.push(json!({ "url": "expiry-date", "valueDate": day.to_string() }));
    }
    json!({ "url": URL, "extension": parts })
}

/// `withpa` means nothing where no authorization is open.
fn purposes(answer: &CoverageAnswer, withpa: bool) -> impl Iterator<Item = &str> {
    let open =
        answer.covered != "not-covered" && !matches!(answer.pa.as_deref(), Some("satisfied" | "no-auth"));
    answer
        .doc_purpose
        .iter()
        .map(String::as_str)
        .filter(move |purpose| *purpose != "withpa" || (withpa && open))
}

fn billing_code(code: &Code) -> Value {
    json!({ "url": "billingCode", "valueCoding": { "system": code.system, "code": code.code } })
}

fn reason(reason: &Reason) -> Value {
    let mut concept = json!({ "text": reason.text });
    if let Some(code) = &reason.code {
        crate::fhir::put(
            &mut concept,
            "coding",
            json!([{ "system": REASONS, "code": code }]),
        );
    }
    json!({ "url": "reason", "valueCodeableConcept": concept })
}

fn detail(detail: &Detail) -> Value {
    let mut value = detail.value.clone();
    crate::fhir::put(&mut value, "url", json!("value"));
    let code = json!({ "coding": [{ "system": DETAILS, "code": detail.code }] });
    let mut parts = vec![
        json!({ "url": "category", "valueCode": detail.category }),
        json!({ "url": "code", "valueCodeableConcept": code }),
        value,
    ];
    parts.extend(
        detail
            .qualification
            .iter()
            .map(|q| json!({ "url": "qualification", "valueString": q })),
    );
    json!({ "url": "detail", "extension": parts })
}

fn contact(contact: &Contact) -> Value {
    let point = |system: &str, value: &Option<String>| {
        value.as_ref().map(|v| json!({ "system": system, "value": v }))
    };
    let telecom: Vec<Value> = [point("phone", &contact.phone), point("url", &contact.url)]
        .into_iter()
        .flatten()
        .collect();
    let mut value = json!({ "name": contact.name });
    if !telecom.is_empty() {
        crate::fhir::put(&mut value, "telecom", json!(telecom));
    }
    json!({ "url": "contact", "valueContactDetail": value })
}

/// Whether an order carries this very answer already: one repetition for the coverage, equal beside its date and
/// assertion id (resp-35).
pub(super) fn says_nothing_new(order: &Value, extension: &Value) -> bool {
    let coverage = coverage_of(extension);
    let mut same = extensions(order, URL).filter(|e| coverage_of(e).is_some_and(|c| coverage == Some(c)));
    match (same.next(), same.next()) {
        (Some(one), None) => content(one) == content(extension),
        _ => false,
    }
}

/// `Type/id` of the coverage that a repetition is about.
pub(super) fn coverage_of(extension: &Value) -> Option<&str> {
    let part = extensions(extension, "coverage").next()?;
    let reference = unversioned(text(part, &["valueReference", "reference"])?);
    let tail = type_and_id(reference).map_or(0, |(kind, id)| reference.len() - kind.len() - id.len() - 1);
    reference.get(tail..)
}

/// What a repetition says, in an order of its own.
fn content(extension: &Value) -> Vec<String> {
    let passing = |part: &&Value| {
        !matches!(
            text(part, &["url"]),
            Some("coverage" | "date" | "coverage-assertion-id")
        )
    };
    let mut parts: Vec<String> = list(extension, "extension")
        .filter(passing)
        .map(Value::to_string)
        .collect();
    parts.sort_unstable();
    parts
}

#[cfg(test)]
mod tests {
    use super::super::invariants::broken_invariants;
    use super::*;
    use proptest::prelude::*;

    fn frame<'a>(forms: &'a [String]) -> Frame<'a> {
        Frame {
            coverage: "Coverage/c1",
            assertion: "CA-1",
            date: "2026-10-01".parse().unwrap(),
            forms,
            dependencies: &[],
            withpa: true,
        }
    }

    fn oxygen() -> CoverageAnswer {
        CoverageAnswer {
            covered: "covered".into(),
            pa: Some("auth-needed".into()),
            doc: vec!["clinical".into()],
            doc_purpose: vec!["withpa".into()],
            questionnaires: vec!["home-oxygen|1.0.0".into()],
            reason: vec![Reason {
                code: None,
                text: "Home oxygen needs authorization".into(),
            }],
            detail: vec![Detail {
                category: "cat-other".into(),
                code: "policy-link".into(),
                value: json!({ "valueUrl": "https://plan.example/policies/dme-014" }),
                qualification: Some("Section 3".into()),
            }],
            contact: vec![Contact {
                name: "Equipment desk".into(),
                phone: Some("+1-555-0100".into()),
                url: None,
            }],
            expires: Some("90 days".into()),
            billing_codes: vec![Code {
                system: crate::fhir::coding::HCPCS.into(),
                code: "E1390".into(),
            }],
            ..CoverageAnswer::default()
        }
    }

    #[test]
    fn an_answer_with_everything_is_written_in_the_guides_shape() {
        let forms = ["https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0".to_owned()];
        let written = extension(
            &oxygen(),
            &Frame {
                dependencies: &["ServiceRequest/2".to_owned()],
                ..frame(&forms)
            },
        );
        assert_eq!(broken_invariants(&written), Vec::<&str>::new());
        assert_eq!(
            written,
            json!({ "url": URL, "extension": [
                { "url": "coverage", "valueReference": { "reference": "Coverage/c1" } },
                { "url": "covered", "valueCode": "covered" },
                { "url": "pa-needed", "valueCode": "auth-needed" },
                { "url": "doc-needed", "valueCode": "clinical" },
                { "url": "doc-purpose", "valueCode": "withpa" },
                { "url": "billingCode", "valueCoding": {
                    "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" } },
                { "url": "reason", "valueCodeableConcept": { "text": "Home oxygen needs authorization" } },
                { "url": "detail", "extension": [
                    { "url": "category", "valueCode": "cat-other" },
                    { "url": "code", "valueCodeableConcept": { "coding": [{ "system": DETAILS, "code": "policy-link" }] } },
                    { "url": "value", "valueUrl": "https://plan.example/policies/dme-014" },
                    { "url": "qualification", "valueString": "Section 3" },
                ] },
                { "url": "dependency", "valueReference": { "reference": "ServiceRequest/2" } },
                { "url": "questionnaire",
                  "valueCanonical": "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0" },
                { "url": "date", "valueDate": "2026-10-01" },
                { "url": "coverage-assertion-id", "valueString": "CA-1" },
                { "url": "contact", "valueContactDetail": {
                    "name": "Equipment desk", "telecom": [{ "system": "phone", "value": "+1-555-0100" }] } },
                { "url": "expiry-date", "valueDate": "2026-12-30" },
            ] })
        );
    }

    #[test]
    fn gaps_and_trouble_carry_one_reason_with_its_code() {
        let cases = [
            (
                CoverageAnswer::not_covered("no-member-found", "Nobody fits"),
                "not-covered",
                "no-member-found",
            ),
            (
                CoverageAnswer::indeterminate("The chart could not be read"),
                "indeterminate",
                "technical",
            ),
        ];
        for (answer, covered, code) in cases {
            let written = extension(&answer, &frame(&[]));
            assert_eq!(broken_invariants(&written), Vec::<&str>::new());
            assert_eq!(
                extensions(&written, "covered").next().unwrap()["valueCode"],
                covered
            );
            let reasons: Vec<&Value> = extensions(&written, "reason").collect();
            assert_eq!(reasons.len(), 1);
            let coding = json!([{ "system": REASONS, "code": code }]);
            assert_eq!(reasons[0]["valueCodeableConcept"]["coding"], coding);
        }
    }

    #[test]
    fn withpa_is_a_switch_and_never_stands_where_nothing_is_open() {
        let purposes = |answer: &CoverageAnswer, withpa: bool| {
            extensions(&extension(answer, &Frame { withpa, ..frame(&[]) }), "doc-purpose").count()
        };
        assert_eq!(purposes(&oxygen(), true), 1);
        assert_eq!(purposes(&oxygen(), false), 0);
        let closed = CoverageAnswer {
            pa: Some("no-auth".into()),
            ..oxygen()
        };
        assert_eq!(purposes(&closed, true), 0);
    }

    #[test]
    fn the_same_answer_is_known_by_its_content() {
        let forms = ["https://plan.example/Questionnaire/x|1".to_owned()];
        let now = extension(&oxygen(), &frame(&forms));
        let mut before = extension(
            &oxygen(),
            &Frame {
                assertion: "CA-0",
                ..frame(&forms)
            },
        );
        before["extension"].as_array_mut().unwrap().reverse();
        let absolute = json!({ "reference": "https://ehr.example.org/fhir/Coverage/c1" });
        let place = before["extension"].as_array().unwrap().len() - 1;
        before["extension"][place]["valueReference"] = absolute;
        let order = |all: &[&Value]| json!({ "extension": all });
        assert!(says_nothing_new(&order(&[&before]), &now));
        assert!(!says_nothing_new(&order(&[]), &now));
        assert!(!says_nothing_new(&order(&[&before, &before]), &now));
        let other = extension(
            &oxygen(),
            &Frame {
                coverage: "Coverage/c2",
                ..frame(&forms)
            },
        );
        assert!(!says_nothing_new(&order(&[&other]), &now));
        let changed = extension(
            &CoverageAnswer {
                pa: Some("no-auth".into()),
                ..oxygen()
            },
            &frame(&forms),
        );
        assert!(!says_nothing_new(&order(&[&before]), &changed));
    }

    proptest! {
        #[test]
        fn nothing_written_is_ever_empty(
            covered in "covered|not-covered|conditional|indeterminate",
            pa in proptest::option::of("no-auth|auth-needed|conditional"),
            doc in proptest::collection::vec("clinical|admin|patient", 0..3),
            reason in proptest::option::of("[a-z]{1,9}"),
            withpa in any::<bool>(),
        ) {
            let answer = CoverageAnswer {
                covered, pa, doc, doc_purpose: vec!["withpa".into()],
                reason: reason.into_iter().map(|text| Reason { code: None, text }).collect(),
                ..CoverageAnswer::default()
            };
            let written = extension(&answer, &Frame { withpa, ..frame(&[]) });
            let text = written.to_string();
            for empty in [":null", ":\"\"", "[]", "{}"] {
                prop_assert!(!text.contains(empty), "{}", text);
            }
            prop_assert!(!broken_invariants(&written).contains(&"q4"));
        }
    }
}
