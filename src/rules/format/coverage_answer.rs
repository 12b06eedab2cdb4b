//! A coverage answer as rule files write it, and what CRD demands of it. Codes are those of CRD 2.2
//! (`coverage-information-codes`); the rules are the invariants of `ext-coverage-information`.
//! `satisfied` cannot be written: it carries the number of an authorization, which no file knows.

use crate::rules::evaluate::verdict::{Code, Contact, CoverageAnswer, Detail, Reason};
use crate::rules::format::period::Period;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// An enum of codes: serde reads the code, `code` gives it back.
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

/// What is wrong with an answer, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::rules) struct Mistake {
    pub what: &'static str,
    pub mend: &'static str,
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
    /// Whether authorization may be needed, so that the criteria are worth evaluating.
    pub(in crate::rules) fn needs_authorization(&self) -> bool {
        self.covered != Coverage::NotCovered && self.pa != Some(PaNeeded::NoAuth)
    }

    /// The forms that the answer names.
    pub(in crate::rules) fn questionnaires(&self) -> &[String] {
        &self.questionnaires
    }

    /// What CRD's invariants find wrong.
    pub(in crate::rules) fn mistakes(&self) -> Vec<Mistake> {
        let not_covered = self.covered == Coverage::NotCovered;
        let settled = not_covered || self.pa == Some(PaNeeded::NoAuth);
        let conditional = self.covered == Coverage::Conditional
            || self.pa == Some(PaNeeded::Conditional)
            || self.doc.contains(&DocNeeded::Conditional);
        let indeterminate = self.covered == Coverage::Indeterminate
            || self.pa == Some(PaNeeded::Indeterminate)
            || self.doc.contains(&DocNeeded::Indeterminate);
        let no_reason = self.reason.iter().all(|r| r.text.trim().is_empty());
        let silent = self.reason.iter().any(|r| r.text.trim().is_empty());
        let unreachable = self.contact.iter().any(|c| c.phone.is_none() && c.url.is_none());
        let no_code = |codes: &[CodeKeys]| codes.iter().any(|c| c.system.is_empty() || c.code.is_empty());
        let why = "Say why in one sentence under 'reason'";
        [
            (
                not_covered && self.pa.is_some(),
                "'not-covered' forbids 'pa'",
                "Take 'pa' out",
            ),
            (
                self.pa.is_none() && !not_covered && self.covered != Coverage::Indeterminate,
                "'pa' is missing",
                "Say whether authorization is needed: pa: auth-needed or pa: no-auth",
            ),
            (
                !self.questionnaires.is_empty() && self.doc.is_empty(),
                "'questionnaires' needs 'doc'",
                "Say what kind of documentation the form gathers: doc: [clinical]",
            ),
            (
                conditional && self.info_needed.is_empty(),
                "'conditional' needs 'info_needed'",
                "Say on what it depends: info_needed: [performer]",
            ),
            (
                !conditional && !self.info_needed.is_empty(),
                "'info_needed' needs something that is 'conditional'",
                "Make covered, pa or doc conditional, or take 'info_needed' out",
            ),
            (
                settled && self.doc_purpose.contains(&DocPurpose::WithPa),
                "'withpa' contradicts an answer that needs no authorization",
                "Use withclaim, withorder or retain-doc",
            ),
            (
                !self.doc_purpose.is_empty() && no_reason,
                "'doc_purpose' needs a 'reason'",
                why,
            ),
            (
                indeterminate && no_reason,
                "'indeterminate' needs a 'reason'",
                why,
            ),
            (
                self.info_needed.contains(&InfoNeeded::Other) && no_reason,
                "'info_needed: OTH' needs a 'reason'",
                why,
            ),
            (
                silent,
                "a reason has no text",
                "Write the sentence that the provider reads",
            ),
            (
                self.detail.iter().any(|d| !well_valued(&d.value)),
                "the 'value' of a detail has no type",
                "Write one of valueBoolean, valueString, valueUrl, valueQuantity, valuePeriod",
            ),
            (
                unreachable,
                "a contact has neither 'phone' nor 'url'",
                "Say how the desk is reached",
            ),
            (
                no_code(&self.billing_codes) || no_code(&self.dependency),
                "a code needs its system",
                "Write { system, code }",
            ),
        ]
        .into_iter()
        .filter(|(broken, ..)| *broken)
        .map(|(_, what, mend)| Mistake { what, mend })
        .collect()
    }

    /// The answer as it is given.
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
    fn reason(&self) -> Reason {
        Reason {
            code: self.code.clone(),
            text: self.text.clone(),
        }
    }
}

impl DetailKeys {
    fn detail(&self) -> Detail {
        Detail {
            category: self.category.code().into(),
            code: self.code.clone(),
            value: self.value.clone(),
            qualification: self.qualification.clone(),
        }
    }
}

impl ContactKeys {
    fn contact(&self) -> Contact {
        Contact {
            name: self.name.clone(),
            phone: self.phone.clone(),
            url: self.url.clone(),
        }
    }
}

fn well_valued(value: &Value) -> bool {
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

    fn mistakes(yaml: &str) -> Vec<&'static str> {
        let answer = read_yaml::<AnswerKeys>("a.yaml", yaml).unwrap();
        answer.mistakes().into_iter().map(|m| m.what).collect()
    }

    #[test]
    fn answers_that_keep_crds_invariants_pass() {
        for yaml in [
            "{ covered: covered, pa: no-auth, reason: nothing is needed }",
            "{ covered: not-covered, reason: [ { code: no-active-coverage, text: ended } ] }",
            "{ covered: conditional, pa: conditional, info_needed: [performer] }",
            "{ covered: covered, pa: auth-needed, doc: [clinical], doc_purpose: [withpa], questionnaires: [\"f|1.0.0\"], reason: r }",
        ] {
            assert_eq!(mistakes(yaml), Vec::<&str>::new(), "{yaml}");
        }
    }

    #[test]
    fn each_broken_invariant_has_its_sentence() {
        for (yaml, word) in [
            ("{ covered: not-covered, pa: auth-needed }", "forbids 'pa'"),
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
            let found = mistakes(yaml);
            assert!(found.len() == 1 && found[0].contains(word), "{yaml}: {found:?}");
        }
    }

    #[test]
    fn no_file_can_say_satisfied() {
        let finding = read_yaml::<AnswerKeys>("a.yaml", "{ covered: covered, pa: satisfied }").unwrap_err();
        assert!(finding.message.contains("satisfied"), "{finding}");
    }
}
