//! The guide's invariants for the coverage-information extension (CRD section "Invariants and how to stay clean"). An
//! extension that breaks one is never sent.

use crate::fhir::{extensions, text};
use serde_json::Value;

/// The invariants of the guide (q1 to q9) that an extension breaks, checked as they are described. The guide's own
/// expression for q4 can never be true.
pub(super) fn broken_invariants(extension: &Value) -> Vec<&'static str> {
    let codes = |url: &'static str| {
        extensions(extension, url)
            .filter_map(|e| text(e, &["valueCode"]))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let has = |url: &'static str| extensions(extension, url).next().is_some();
    let (covered, pa, doc) = (codes("covered"), codes("pa-needed"), codes("doc-needed"));
    let any = |wanted: &str| {
        [&covered, &pa, &doc]
            .iter()
            .any(|all| all.iter().any(|c| c == wanted))
    };
    let has_one_of = |all: &[String], wanted: &[&str]| all.iter().any(|c| wanted.contains(&c.as_str()));
    let not_covered = has_one_of(&covered, &["not-covered"]);
    let pa_closed = not_covered || has_one_of(&pa, &["satisfied", "no-auth"]);
    let reason_without_text =
        extensions(extension, "reason").any(|r| text(r, &["valueCodeableConcept", "text"]).is_none());
    [
        ("q1", has("questionnaire") && doc.is_empty()),
        ("q2", not_covered && !pa.is_empty()),
        ("q3", any("conditional") != has("info-needed")),
        ("q4", pa_closed && has_one_of(&codes("doc-purpose"), &["withpa"])),
        ("q5", has_one_of(&pa, &["satisfied"]) != has("satisfied-pa-id")),
        (
            "q6",
            has_one_of(&codes("info-needed"), &["OTH"]) && !has("reason"),
        ),
        ("q7", reason_without_text),
        ("q8", has("doc-purpose") && !has("reason")),
        ("q9", any("indeterminate") && !has("reason")),
    ]
    .into_iter()
    .filter_map(|(key, broken)| broken.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::coverage_information::{ExtensionContext, coverage_information};
    use super::*;
    use crate::ig::crd::CrdVersion;
    use crate::rules::CoverageAnswer;
    use serde_json::json;

    fn context(forms: &[String]) -> ExtensionContext<'_> {
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

    /// The invariants that a covered answer breaks after `change`.
    fn broken_after(change: impl FnOnce(&mut CoverageAnswer), forms: &[String]) -> Vec<&'static str> {
        let mut answer = CoverageAnswer {
            covered: "covered".into(),
            ..CoverageAnswer::default()
        };
        change(&mut answer);
        broken_invariants(&coverage_information(&answer, &context(forms)))
    }

    #[test]
    fn each_broken_invariant_is_reported() {
        let forms = ["https://plan.example/Questionnaire/x|1".to_owned()];
        assert_eq!(broken_after(|_| {}, &forms), ["q1"]);
        let not_covered = |answer: &mut CoverageAnswer| {
            answer.covered = "not-covered".into();
            answer.pa = Some("no-auth".into());
        };
        assert_eq!(broken_after(not_covered, &[]), ["q2"]);
        assert_eq!(broken_after(|a| a.covered = "conditional".into(), &[]), ["q3"]);
        assert_eq!(
            broken_after(|a| a.info_needed = vec!["performer".into()], &[]),
            ["q3"]
        );
        assert_eq!(broken_after(|a| a.pa = Some("satisfied".into()), &[]), ["q5"]);
        let other_information = |answer: &mut CoverageAnswer| {
            answer.covered = "conditional".into();
            answer.info_needed = vec!["OTH".into()];
        };
        assert_eq!(broken_after(other_information, &[]), ["q6"]);
        assert_eq!(
            broken_after(|a| a.doc_purpose = vec!["withclaim".into()], &[]),
            ["q8"]
        );
        assert_eq!(broken_after(|a| a.pa = Some("indeterminate".into()), &[]), ["q9"]);
        let handmade = json!({ "extension": [{ "url": "pa-needed", "valueCode": "no-auth" },
            { "url": "doc-purpose", "valueCode": "withpa" }, { "url": "reason", "valueCodeableConcept": {} }] });
        assert_eq!(broken_invariants(&handmade), ["q4", "q7"]);
    }
}
