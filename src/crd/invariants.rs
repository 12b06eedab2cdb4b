//! The guide's own rules over a coverage-information extension (CRD section "Invariants and how to stay clean"). An
//! answer that breaks one never leaves.

use crate::fhir::{extensions, text};
use serde_json::Value;

/// The invariants of the guide (q1 to q9) that an extension breaks, in the sense that they are meant (q4 as coded
/// can never hold).
pub(super) fn broken_invariants(extension: &Value) -> Vec<&'static str> {
    let codes = |url: &'static str| {
        extensions(extension, url)
            .filter_map(|e| text(e, &["valueCode"]))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let has = |url: &'static str| extensions(extension, url).next().is_some();
    let (covered, pa, doc) = (codes("covered"), codes("pa-needed"), codes("doc-needed"));
    let any = |word: &str| {
        [&covered, &pa, &doc]
            .iter()
            .any(|all| all.iter().any(|c| c == word))
    };
    let one = |all: &[String], words: &[&str]| all.iter().any(|c| words.contains(&c.as_str()));
    let not_covered = one(&covered, &["not-covered"]);
    let closed = not_covered || one(&pa, &["satisfied", "no-auth"]);
    let textless =
        extensions(extension, "reason").any(|r| text(r, &["valueCodeableConcept", "text"]).is_none());
    [
        ("q1", has("questionnaire") && doc.is_empty()),
        ("q2", not_covered && !pa.is_empty()),
        ("q3", any("conditional") != has("info-needed")),
        ("q4", closed && one(&codes("doc-purpose"), &["withpa"])),
        ("q5", one(&pa, &["satisfied"]) != has("satisfied-pa-id")),
        ("q6", one(&codes("info-needed"), &["OTH"]) && !has("reason")),
        ("q7", textless),
        ("q8", has("doc-purpose") && !has("reason")),
        ("q9", any("indeterminate") && !has("reason")),
    ]
    .into_iter()
    .filter_map(|(key, broken)| broken.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::coverage_information::{Frame, extension};
    use super::*;
    use crate::rules::CoverageAnswer;
    use serde_json::json;

    fn frame(forms: &[String]) -> Frame<'_> {
        Frame {
            coverage: "Coverage/c1",
            assertion: "CA-1",
            date: "2026-10-01".parse().unwrap(),
            forms,
            dependencies: &[],
            withpa: true,
        }
    }

    #[test]
    fn each_broken_invariant_is_named() {
        let base = || CoverageAnswer {
            covered: "covered".into(),
            ..CoverageAnswer::default()
        };
        let forms = ["https://plan.example/Questionnaire/x|1".to_owned()];
        let broken =
            |answer: CoverageAnswer, forms: &[String]| broken_invariants(&extension(&answer, &frame(forms)));
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(broken(base(), &forms), ["q1"]);
        assert_eq!(
            broken(
                CoverageAnswer {
                    covered: "not-covered".into(),
                    pa: Some("no-auth".into()),
                    ..base()
                },
                &[]
            ),
            ["q2"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    covered: "conditional".into(),
                    ..base()
                },
                &[]
            ),
            ["q3"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    info_needed: words(&["performer"]),
                    ..base()
                },
                &[]
            ),
            ["q3"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    pa: Some("satisfied".into()),
                    ..base()
                },
                &[]
            ),
            ["q5"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    covered: "conditional".into(),
                    info_needed: words(&["OTH"]),
                    ..base()
                },
                &[]
            ),
            ["q6"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    doc_purpose: words(&["withclaim"]),
                    ..base()
                },
                &[]
            ),
            ["q8"]
        );
        assert_eq!(
            broken(
                CoverageAnswer {
                    pa: Some("indeterminate".into()),
                    ..base()
                },
                &[]
            ),
            ["q9"]
        );
        let by_hand = json!({ "extension": [{ "url": "pa-needed", "valueCode": "no-auth" },
            { "url": "doc-purpose", "valueCode": "withpa" }, { "url": "reason", "valueCodeableConcept": {} }] });
        assert_eq!(broken_invariants(&by_hand), ["q4", "q7"]);
    }
}
