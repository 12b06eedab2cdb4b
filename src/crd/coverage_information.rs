//! The coverage-information extension (CRD section "The coverage-information extension"): builds it from a coverage
//! answer, and recognizes an order that already has the same answer.

use crate::fhir::reference::{type_and_id, unversioned};
use crate::fhir::{extensions, list, text};
use crate::ig::crd::{COVERAGE_INFORMATION, COVERAGE_REASONS, CrdGuide};
use crate::rules::{Code, CoverageAnswer, CoverageContact, CoverageDetail, CoverageReason};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// What an extension contains in addition to the coverage answer.
#[derive(Debug, Clone)]
pub(super) struct ExtensionContext<'a> {
    /// The version of the guide.
    pub guide: &'static CrdGuide,
    /// The Coverage on the client's server: `Coverage/c1`.
    pub coverage: &'a str,
    /// The coverage-assertion-id.
    pub assertion: &'a str,
    /// The date of the answer in the plan's time zone.
    pub date: NaiveDate,
    /// The forms, as canonicals `url|version`.
    pub forms: &'a [String],
    /// References to the other orders of the call on which the answer depends.
    pub dependencies: &'a [String],
    /// Whether to include the purpose `withpa`. Validators reject it because of an error in the guide's invariant q4,
    /// but DTR clients look for it.
    pub withpa: bool,
}

/// The extension for a coverage answer.
pub(super) fn coverage_information(answer: &CoverageAnswer, context: &ExtensionContext<'_>) -> Value {
    let code = |url: &str, code: &str| json!({ "url": url, "valueCode": code });
    let mut parts = vec![
        json!({ "url": "coverage", "valueReference": { "reference": context.coverage } }),
        code("covered", &answer.covered),
    ];
    parts.extend(answer.pa.iter().map(|c| code("pa-needed", c)));
    parts.extend(answer.doc.iter().map(|c| code("doc-needed", c)));
    parts.extend(doc_purposes(answer, context.withpa).map(|c| code("doc-purpose", c)));
    parts.extend(answer.info_needed.iter().map(|c| code("info-needed", c)));
    parts.extend(answer.billing_codes.iter().map(billing_code));
    parts.extend(answer.reason.iter().map(reason));
    parts.extend(answer.detail.iter().map(|d| detail(d, context.guide)));
    parts.extend(
        context
            .dependencies
            .iter()
            .map(|r| json!({ "url": "dependency", "valueReference": { "reference": r } })),
    );
    parts.extend(
        context
            .forms
            .iter()
            .map(|form| json!({ "url": "questionnaire", "valueCanonical": form })),
    );
    parts.push(json!({ "url": "date", "valueDate": context.date.to_string() }));
    parts.push(json!({ "url": "coverage-assertion-id", "valueString": context.assertion }));
    parts.extend(answer.contact.iter().map(contact));
    if let Some(day) = answer.expiry_date(context.date) {
        parts.push(json!({ "url": "expiry-date", "valueDate": day.to_string() }));
    }
    json!({ "url": COVERAGE_INFORMATION, "extension": parts })
}

/// The purposes of the answer. `withpa` is left out if no authorization is needed, or if `withpa` is false.
fn doc_purposes(answer: &CoverageAnswer, withpa: bool) -> impl Iterator<Item = &str> {
    let pa_open =
        answer.covered != "not-covered" && !matches!(answer.pa.as_deref(), Some("satisfied" | "no-auth"));
    answer
        .doc_purpose
        .iter()
        .map(String::as_str)
        .filter(move |purpose| *purpose != "withpa" || (withpa && pa_open))
}

fn billing_code(code: &Code) -> Value {
    json!({ "url": "billingCode", "valueCoding": { "system": code.system, "code": code.code } })
}

fn reason(reason: &CoverageReason) -> Value {
    let mut concept = json!({ "text": reason.text });
    if let Some(code) = &reason.code {
        crate::fhir::put(
            &mut concept,
            "coding",
            json!([{ "system": COVERAGE_REASONS, "code": code }]),
        );
    }
    json!({ "url": "reason", "valueCodeableConcept": concept })
}

fn detail(detail: &CoverageDetail, guide: &CrdGuide) -> Value {
    let mut value = detail.value.clone();
    crate::fhir::put(&mut value, "url", json!("value"));
    let code = json!({ "coding": [{ "system": guide.coverage_details, "code": detail.code }] });
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

fn contact(contact: &CoverageContact) -> Value {
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

/// Whether an order already has this answer: exactly one extension for the coverage, which differs only in date and
/// coverage-assertion-id (resp-35).
pub(super) fn has_same_answer(order: &Value, extension: &Value) -> bool {
    let coverage = coverage_reference(extension);
    let mut same = extensions(order, COVERAGE_INFORMATION)
        .filter(|e| coverage_reference(e).is_some_and(|c| coverage == Some(c)));
    match (same.next(), same.next()) {
        (Some(only), None) => answer_parts(only) == answer_parts(extension),
        _ => false,
    }
}

/// `Type/id` of the coverage that an extension is about.
pub(super) fn coverage_reference(extension: &Value) -> Option<&str> {
    let part = extensions(extension, "coverage").next()?;
    let reference = unversioned(text(part, &["valueReference", "reference"])?);
    let tail = type_and_id(reference).map_or(0, |(kind, id)| reference.len() - kind.len() - id.len() - 1);
    reference.get(tail..)
}

/// The parts of an extension without coverage, date and assertion id, sorted.
fn answer_parts(extension: &Value) -> Vec<String> {
    let is_answer = |part: &&Value| {
        !matches!(
            text(part, &["url"]),
            Some("coverage" | "date" | "coverage-assertion-id")
        )
    };
    let mut parts: Vec<String> = list(extension, "extension")
        .filter(is_answer)
        .map(Value::to_string)
        .collect();
    parts.sort_unstable();
    parts
}

#[cfg(test)]
mod tests {
    use super::super::invariants::broken_invariants;
    use super::*;
    use crate::ig::crd::CrdVersion;
    use proptest::prelude::*;

    fn context<'a>(forms: &'a [String]) -> ExtensionContext<'a> {
        ExtensionContext {
            guide: CrdVersion::V2_2.guide(),
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
            reason: vec![CoverageReason {
                code: None,
                text: "Home oxygen needs authorization".into(),
            }],
            detail: vec![CoverageDetail {
                category: "cat-other".into(),
                code: "policy-link".into(),
                value: json!({ "valueUrl": "https://plan.example/policies/dme-014" }),
                qualification: Some("Section 3".into()),
            }],
            contact: vec![CoverageContact {
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
    fn an_answer_with_every_part_has_the_structure_of_the_guide() {
        let forms = ["https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0".to_owned()];
        let extension = coverage_information(
            &oxygen(),
            &ExtensionContext {
                dependencies: &["ServiceRequest/2".to_owned()],
                ..context(&forms)
            },
        );
        assert_eq!(broken_invariants(&extension), Vec::<&str>::new());
        assert_eq!(
            extension,
            json!({ "url": COVERAGE_INFORMATION, "extension": [
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
                    { "url": "code", "valueCodeableConcept": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/crd-coverage-detail", "code": "policy-link" }] } },
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
    fn not_covered_and_technical_problems_have_one_coded_reason() {
        let cases = [
            (
                CoverageAnswer::not_covered("no-member-found", "No member matches"),
                "not-covered",
                "no-member-found",
            ),
            (
                CoverageAnswer::indeterminate("The patient could not be read"),
                "indeterminate",
                "technical",
            ),
        ];
        for (answer, covered, code) in cases {
            let extension = coverage_information(&answer, &context(&[]));
            assert_eq!(broken_invariants(&extension), Vec::<&str>::new());
            assert_eq!(
                extensions(&extension, "covered").next().unwrap()["valueCode"],
                covered
            );
            let reasons: Vec<&Value> = extensions(&extension, "reason").collect();
            assert_eq!(reasons.len(), 1);
            let coding = json!([{ "system": COVERAGE_REASONS, "code": code }]);
            assert_eq!(reasons[0]["valueCodeableConcept"]["coding"], coding);
        }
    }

    #[test]
    fn withpa_can_be_left_out_and_is_never_sent_if_no_authorization_is_needed() {
        let purpose_count = |answer: &CoverageAnswer, withpa: bool| {
            extensions(
                &coverage_information(
                    answer,
                    &ExtensionContext {
                        withpa,
                        ..context(&[])
                    },
                ),
                "doc-purpose",
            )
            .count()
        };
        assert_eq!(purpose_count(&oxygen(), true), 1);
        assert_eq!(purpose_count(&oxygen(), false), 0);
        let closed = CoverageAnswer {
            pa: Some("no-auth".into()),
            ..oxygen()
        };
        assert_eq!(purpose_count(&closed, true), 0);
    }

    #[test]
    fn the_same_answer_is_recognized_by_its_content() {
        let forms = ["https://plan.example/Questionnaire/x|1".to_owned()];
        let now = coverage_information(&oxygen(), &context(&forms));
        let mut before = coverage_information(
            &oxygen(),
            &ExtensionContext {
                assertion: "CA-0",
                ..context(&forms)
            },
        );
        before["extension"].as_array_mut().unwrap().reverse();
        let absolute = json!({ "reference": "https://ehr.example.org/fhir/Coverage/c1" });
        let place = before["extension"].as_array().unwrap().len() - 1;
        before["extension"][place]["valueReference"] = absolute;
        let order = |all: &[&Value]| json!({ "extension": all });
        assert!(has_same_answer(&order(&[&before]), &now));
        assert!(!has_same_answer(&order(&[]), &now));
        assert!(!has_same_answer(&order(&[&before, &before]), &now));
        let other = coverage_information(
            &oxygen(),
            &ExtensionContext {
                coverage: "Coverage/c2",
                ..context(&forms)
            },
        );
        assert!(!has_same_answer(&order(&[&other]), &now));
        let changed = coverage_information(
            &CoverageAnswer {
                pa: Some("no-auth".into()),
                ..oxygen()
            },
            &context(&forms),
        );
        assert!(!has_same_answer(&order(&[&before]), &changed));
    }

    proptest! {
        #[test]
        fn no_value_of_an_extension_is_empty(
            covered in "covered|not-covered|conditional|indeterminate",
            pa in proptest::option::of("no-auth|auth-needed|conditional"),
            doc in proptest::collection::vec("clinical|admin|patient", 0..3),
            reason in proptest::option::of("[a-z]{1,9}"),
            withpa in any::<bool>(),
        ) {
            let answer = CoverageAnswer {
                covered, pa, doc, doc_purpose: vec!["withpa".into()],
                reason: reason.into_iter().map(|text| CoverageReason { code: None, text }).collect(),
                ..CoverageAnswer::default()
            };
            let extension = coverage_information(&answer, &ExtensionContext { withpa, ..context(&[]) });
            let text = extension.to_string();
            for empty in [":null", ":\"\"", "[]", "{}"] {
                prop_assert!(!text.contains(empty), "{}", text);
            }
            prop_assert!(!broken_invariants(&extension).contains(&"q4"));
        }
    }
}
