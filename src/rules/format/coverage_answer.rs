//! Coverage answers of rule files, and the invariants of CRD 2.2 `ext-coverage-information` that they must keep. Codes
//! are those of CRD 2.2 (`coverage-information-codes`). `satisfied` cannot be written: it needs the number of an
//! authorization, which exists only in a case.

use crate::fhir::code_shape::{CodeShape, shape};
use crate::rules::period::Period;
use crate::rules::verdict::{Code, CoverageAnswer, CoverageContact, CoverageDetail, CoverageReason};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// An enum of codes: serde reads a code, and `code` returns it.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub(in crate::rules) enum $name { $(#[serde(rename = $code)] $variant),+ }

        impl $name {
            fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

codes!(Coverage { Covered = "covered", NotCovered = "not-covered", Conditional = "conditional", Indeterminate = "indeterminate" });
codes!(PaNeeded { NoAuth = "no-auth", AuthNeeded = "auth-needed", PerformPa = "performpa", Conditional = "conditional", Indeterminate = "indeterminate" });
codes!(DocNeeded { Clinical = "clinical", Admin = "admin", Patient = "patient", Conditional = "conditional", Indeterminate = "indeterminate" });
codes!(DocPurpose { WithPa = "withpa", WithClaim = "withclaim", WithOrder = "withorder", RetainDoc = "retain-doc", Other = "OTH" });
codes!(InfoNeeded { Performer = "performer", Location = "location", Timeframe = "timeframe", ContractWindow = "contract-window", DetailCode = "detail-code", Other = "OTH" });
codes!(DetailCategory { Limitation = "cat-limitation", Decisional = "cat-decisional", Other = "cat-other" });

/// An invariant that an answer violates: what is wrong, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::rules) struct InvariantViolation {
    pub message: &'static str,
    pub fix: &'static str,
}

/// A coverage answer in a rule file.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::rules) struct AnswerKeys {
    covered: Coverage,
    pa: Option<PaNeeded>,
    #[serde(default)]
    doc: Vec<DocNeeded>,
    #[serde(default)]
    doc_purpose: Vec<DocPurpose>,
    #[serde(default)]
    info_needed: Vec<InfoNeeded>,
    #[serde(default)]
    questionnaires: Vec<String>,
    #[serde(default, deserialize_with = "reasons")]
    #[cfg_attr(test, schemars(with = "crate::rules::format::schema::Reasons"))]
    reason: Vec<ReasonKeys>,
    #[serde(default)]
    detail: Vec<DetailKeys>,
    #[serde(default)]
    contact: Vec<ContactKeys>,
    expires: Option<Period>,
    #[serde(default)]
    billing_codes: Vec<CodeKeys>,
    #[serde(default)]
    dependency: Vec<CodeKeys>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct ReasonKeys {
    code: Option<String>,
    text: String,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct DetailKeys {
    category: DetailCategory,
    code: String,
    value: Value,
    qualification: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct ContactKeys {
    name: String,
    phone: Option<String>,
    url: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct CodeKeys {
    system: String,
    code: String,
}

impl CodeKeys {
    /// Whether the code is not shaped like a code of its system.
    fn is_malformed(&self) -> bool {
        shape(&self.system, &self.code) == CodeShape::Malformed
    }
}

/// One sentence, or a list of sentences with their codes.
fn reasons<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ReasonKeys>, D::Error> {
    struct Reasons;
    impl<'de> Visitor<'de> for Reasons {
        type Value = Vec<ReasonKeys>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sentence, or a list of { code, text }")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![ReasonKeys {
                code: None,
                text: text.to_owned(),
            }])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = seq.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }
    from.deserialize_any(Reasons)
}

impl AnswerKeys {
    /// Whether authorization may be needed, so that the criteria are evaluated.
    pub(in crate::rules) fn needs_authorization(&self) -> bool {
        self.covered != Coverage::NotCovered && self.pa != Some(PaNeeded::NoAuth)
    }

    /// The forms (`name|version`) that the answer names.
    pub(in crate::rules) fn questionnaires(&self) -> &[String] {
        &self.questionnaires
    }

    /// The invariants that the answer violates.
    pub(in crate::rules) fn invariant_violations(&self) -> Vec<InvariantViolation> {
        let mut checks = self.code_checks();
        checks.extend(self.text_checks());
        checks
            .into_iter()
            .filter(|(is_violated, ..)| *is_violated)
            .map(|(_, message, fix)| InvariantViolation { message, fix })
            .collect()
    }

    /// Codes that contradict or need each other: whether the answer violates the invariant, message, fix.
    fn code_checks(&self) -> Vec<(bool, &'static str, &'static str)> {
        let not_covered = self.covered == Coverage::NotCovered;
        let needs_no_authorization = not_covered || self.pa == Some(PaNeeded::NoAuth);
        let conditional = self.covered == Coverage::Conditional
            || self.pa == Some(PaNeeded::Conditional)
            || self.doc.contains(&DocNeeded::Conditional);
        vec![
            (
                not_covered && self.pa.is_some(),
                "'not-covered' cannot have 'pa'",
                "Remove 'pa'",
            ),
            (
                self.pa.is_none() && !not_covered && self.covered != Coverage::Indeterminate,
                "'pa' is missing",
                "Write whether authorization is needed: pa: auth-needed or pa: no-auth",
            ),
            (
                !self.questionnaires.is_empty() && self.doc.is_empty(),
                "'questionnaires' needs 'doc'",
                "Write what kind of documentation the form collects: doc: [clinical]",
            ),
            (
                conditional && self.info_needed.is_empty(),
                "'conditional' needs 'info_needed'",
                "Write what the answer depends on: info_needed: [performer]",
            ),
            (
                !conditional && !self.info_needed.is_empty(),
                "'info_needed' is only allowed with a 'conditional' answer",
                "Make covered, pa or doc conditional, or remove 'info_needed'",
            ),
            (
                needs_no_authorization && self.doc_purpose.contains(&DocPurpose::WithPa),
                "'withpa' contradicts an answer that needs no authorization",
                "Use withclaim, withorder or retain-doc",
            ),
        ]
    }

    /// Reasons, details, contacts and codes that are missing or incomplete.
    fn text_checks(&self) -> Vec<(bool, &'static str, &'static str)> {
        let indeterminate = self.covered == Coverage::Indeterminate
            || self.pa == Some(PaNeeded::Indeterminate)
            || self.doc.contains(&DocNeeded::Indeterminate);
        let is_empty = |reason: &ReasonKeys| reason.text.trim().is_empty();
        let no_reason = self.reason.iter().all(is_empty);
        let has_no_system = |codes: &[CodeKeys]| {
            codes
                .iter()
                .any(|code| code.system.is_empty() || code.code.is_empty())
        };
        let add_reason = "Write the reason in one sentence under 'reason'";
        vec![
            (
                !self.doc_purpose.is_empty() && no_reason,
                "'doc_purpose' needs a 'reason'",
                add_reason,
            ),
            (
                indeterminate && no_reason,
                "'indeterminate' needs a 'reason'",
                add_reason,
            ),
            (
                self.info_needed.contains(&InfoNeeded::Other) && no_reason,
                "'info_needed: OTH' needs a 'reason'",
                add_reason,
            ),
            (
                self.reason.iter().any(is_empty),
                "a reason has no text",
                "Write the sentence that the provider reads",
            ),
            (
                self.detail.iter().any(|detail| !is_typed(&detail.value)),
                "the 'value' of a detail has no type",
                "Write one of valueBoolean, valueString, valueUrl, valueQuantity, valuePeriod",
            ),
            (
                self.contact
                    .iter()
                    .any(|contact| contact.phone.is_none() && contact.url.is_none()),
                "a contact has neither 'phone' nor 'url'",
                "Write a phone number or a web address",
            ),
            (
                has_no_system(&self.billing_codes) || has_no_system(&self.dependency),
                "a code needs its system",
                "Write { system, code }",
            ),
            (
                self.billing_codes
                    .iter()
                    .chain(&self.dependency)
                    .any(CodeKeys::is_malformed),
                "a code is not shaped like a code of its system",
                "Write the code as its system has it, such as E1390",
            ),
        ]
    }

    /// The coverage answer.
    pub(in crate::rules) fn answer(&self) -> CoverageAnswer {
        let code = |c: &CodeKeys| Code {
            system: c.system.clone(),
            code: c.code.clone(),
        };
        CoverageAnswer {
            covered: self.covered.code().into(),
            pa: self.pa.map(|c| c.code().into()),
            doc: self.doc.iter().map(|c| c.code().into()).collect(),
            doc_purpose: self.doc_purpose.iter().map(|c| c.code().into()).collect(),
            info_needed: self.info_needed.iter().map(|c| c.code().into()).collect(),
            questionnaires: self.questionnaires.clone(),
            reason: self.reason.iter().map(ReasonKeys::reason).collect(),
            detail: self.detail.iter().map(DetailKeys::detail).collect(),
            contact: self.contact.iter().map(ContactKeys::contact).collect(),
            expires: self.expires.map(|p| p.to_string()),
            billing_codes: self.billing_codes.iter().map(code).collect(),
            dependency: self.dependency.iter().map(code).collect(),
        }
    }
}

impl ReasonKeys {
    fn reason(&self) -> CoverageReason {
        CoverageReason {
            code: self.code.clone(),
            text: self.text.clone(),
        }
    }
}

impl DetailKeys {
    fn detail(&self) -> CoverageDetail {
        CoverageDetail {
            category: self.category.code().into(),
            code: self.code.clone(),
            value: self.value.clone(),
            qualification: self.qualification.clone(),
        }
    }
}

impl ContactKeys {
    fn contact(&self) -> CoverageContact {
        CoverageContact {
            name: self.name.clone(),
            phone: self.phone.clone(),
            url: self.url.clone(),
        }
    }
}

/// Whether a detail's value is an object with exactly one member, of the type that its name says.
fn is_typed(value: &Value) -> bool {
    let Some((name, inner)) = value
        .as_object()
        .filter(|o| o.len() == 1)
        .and_then(|o| o.iter().next())
    else {
        return false;
    };
    match name.as_str() {
        "valueBoolean" => inner.is_boolean(),
        "valueString" | "valueUrl" => inner.is_string(),
        "valueQuantity" | "valuePeriod" => inner.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::read_yaml;

    fn violations(yaml: &str) -> Vec<&'static str> {
        let answer = read_yaml::<AnswerKeys>("a.yaml", yaml).unwrap();
        answer
            .invariant_violations()
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    #[test]
    fn an_answer_that_keeps_the_invariants_of_crd_is_accepted() {
        for yaml in [
            "{ covered: covered, pa: no-auth, reason: nothing is needed }",
            "{ covered: not-covered, reason: [ { code: no-active-coverage, text: ended } ] }",
            "{ covered: conditional, pa: conditional, info_needed: [performer] }",
            "{ covered: covered, pa: auth-needed, doc: [clinical], doc_purpose: [withpa], questionnaires: [\"f|1.0.0\"], reason: r }",
        ] {
            assert_eq!(violations(yaml), Vec::<&str>::new(), "{yaml}");
        }
    }

    #[test]
    fn each_violated_invariant_has_a_message() {
        for (yaml, part) in [
            ("{ covered: not-covered, pa: auth-needed }", "cannot have 'pa'"),
            ("{ covered: covered }", "'pa' is missing"),
            (
                "{ covered: covered, pa: auth-needed, questionnaires: [\"f|1\"] }",
                "needs 'doc'",
            ),
            ("{ covered: covered, pa: conditional }", "needs 'info_needed'"),
            (
                "{ covered: covered, pa: auth-needed, info_needed: [performer] }",
                "'conditional'",
            ),
            (
                "{ covered: covered, pa: no-auth, doc: [clinical], doc_purpose: [withpa], reason: r }",
                "'withpa'",
            ),
            (
                "{ covered: covered, pa: auth-needed, doc: [clinical], doc_purpose: [withpa] }",
                "'doc_purpose' needs",
            ),
            ("{ covered: indeterminate }", "'indeterminate' needs"),
            (
                "{ covered: conditional, pa: auth-needed, info_needed: [OTH] }",
                "OTH",
            ),
            (
                "{ covered: covered, pa: no-auth, detail: [ { category: cat-other, code: policy-link, value: here } ] }",
                "has no type",
            ),
        ] {
            let violations = violations(yaml);
            assert!(
                violations.len() == 1 && violations[0].contains(part),
                "{yaml}: {violations:?}"
            );
        }
    }

    #[test]
    fn no_file_can_have_the_code_satisfied() {
        let finding = read_yaml::<AnswerKeys>("a.yaml", "{ covered: covered, pa: satisfied }").unwrap_err();
        assert!(finding.message.contains("satisfied"), "{finding}");
    }
}
