//! Checks of a questionnaire when it is loaded: the mandatory rules of `dtr-std-questionnaire` 2.2.0 and SDC 4, and the
//! invariants of FHIR R4, for items at every depth (validators apply the profile's item rules to the first level only).
//! `prefill.yaml` is checked in `forms::prefill`.

mod items;

use crate::fhir;
use crate::ig::dtr::extension_url;
use items::Item;
use serde_json::Value;
use std::collections::HashMap;

/// The DTR extension for a form that needs one response per order.
pub(super) const REQUEST_SPECIFIC: &str =
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/request-specific";
const VERSION_ALGORITHM: &str = "http://hl7.org/fhir/StructureDefinition/artifact-versionAlgorithm";
const XHTML: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";

/// The root extensions that a form may use, with their maximum number: every client supports them, and none needs an
/// expression.
const ROOT_EXTENSIONS: [(&str, usize); 7] = [
    (VERSION_ALGORITHM, 1),
    (
        "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-performerType",
        usize::MAX,
    ),
    (
        "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/estimated-completion-time",
        1,
    ),
    (
        "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/questionnaireAudience",
        usize::MAX,
    ),
    (REQUEST_SPECIFIC, 1),
    (
        "http://hl7.org/fhir/StructureDefinition/questionnaire-signatureRequired",
        1,
    ),
    (
        "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-entryMode",
        1,
    ),
];

/// Checks the form of the folder `name/version`. Each finding is `element: message` or a message about the whole form.
pub(super) fn questionnaire(form: &Value, name: &str, version: &str) -> Vec<String> {
    let mut findings = Findings::default();
    if fhir::resource_type(form) != Some("Questionnaire") {
        findings.add("", "resourceType must be Questionnaire");
        return findings.messages;
    }
    check_root(form, name, version, &mut findings);
    check_root_extensions(form, &mut findings);
    let questions = questions(form, &mut findings);
    super::form::walk(form, &mut |item| {
        let item = Item {
            json: item,
            form,
            questions: &questions,
        };
        item.check(&mut findings);
    });
    findings.messages
}

/// The findings so far.
#[derive(Default)]
struct Findings {
    messages: Vec<String>,
}

impl Findings {
    /// Adds a finding about `element`: an element name or a link id; empty for the whole form.
    fn add(&mut self, element: &str, message: &str) {
        let separator = if element.is_empty() { "" } else { ": " };
        self.messages.push(format!("{element}{separator}{message}"));
    }

    /// Adds a finding unless `holds`.
    fn require(&mut self, holds: bool, element: &str, message: &str) {
        if !holds {
            self.add(element, message);
        }
    }
}

fn check_root(form: &Value, name: &str, version: &str, findings: &mut Findings) {
    let text = |path: &[&str]| fhir::text(form, path);
    let name_is_valid = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    findings.require(
        name_is_valid && !name.is_empty(),
        "",
        "the folder name may contain only a-z, 0-9 and -",
    );
    findings.require(
        form.get("url").is_none(),
        "url",
        "must be left out: it is completed from the public address",
    );
    findings.require(text(&["id"]) == Some(name), "id", "must be the folder name");
    findings.require(
        super::Version::read(version).is_some(),
        "version",
        "the version in the folder name must have the form 1.0.0",
    );
    findings.require(
        text(&["version"]) == Some(version),
        "version",
        "must be the version in the folder name",
    );
    findings.require(
        text(&["name"]).is_some_and(is_computable),
        "name",
        "must match [A-Z][A-Za-z0-9_]+",
    );
    findings.require(
        text(&["title"]).is_some_and(|t| !t.trim().is_empty()),
        "title",
        "is missing",
    );
    let status = text(&["status"]).is_some_and(|s| ["draft", "active", "retired"].contains(&s));
    findings.require(status, "status", "must be draft, active or retired");
    let subject: Vec<_> = fhir::list(form, "subjectType")
        .filter_map(Value::as_str)
        .collect();
    findings.require(subject == ["Patient"], "subjectType", "must be Patient only");
    let narrative =
        text(&["text", "div"]).is_some_and(|div| div.starts_with(XHTML) && div.ends_with("</div>"));
    findings.require(
        narrative && text(&["text", "status"]).is_some(),
        "text",
        "must have a status and an XHTML narrative",
    );
    findings.require(
        fhir::list(form, "item").next().is_some(),
        "item",
        "is missing: a standard form has at least one item",
    );
    let contained = fhir::list(form, "contained").all(|r| fhir::resource_type(r) == Some("ValueSet"));
    findings.require(contained, "contained", "may contain ValueSet resources only");
}

/// Invariant `cnl-0`.
fn is_computable(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|b| b.is_ascii_uppercase())
        && name.len() > 1
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_root_extensions(form: &Value, findings: &mut Findings) {
    for url in fhir::list(form, "extension").filter_map(|e| fhir::text(e, &["url"])) {
        let known = ROOT_EXTENSIONS.iter().any(|(u, _)| *u == url);
        findings.require(
            known,
            "extension",
            &format!("{url} is not supported on a questionnaire"),
        );
    }
    for (url, maximum) in ROOT_EXTENSIONS {
        let count = fhir::extensions(form, url).count();
        let message = format!("{url} is used {count} times; allowed: {maximum}");
        findings.require(count <= maximum, "extension", &message);
    }
    let algorithm = fhir::extension(form, VERSION_ALGORITHM);
    let semver = algorithm.is_some_and(|e| {
        fhir::text(e, &["valueCoding", "system"]) == Some("http://hl7.org/fhir/version-algorithm")
            && fhir::text(e, &["valueCoding", "code"]) == Some("semver")
    });
    findings.require(
        semver,
        "extension",
        "artifact-versionAlgorithm with code semver is missing (sdc-2)",
    );
    check_audience(form, findings);
}

/// Invariant `dtrq-6`, and the codes of the two extensions that it concerns.
fn check_audience(form: &Value, findings: &mut Findings) {
    let audiences: Vec<_> = fhir::extensions(form, &extension_url("questionnaireAudience"))
        .map(|e| fhir::text(e, &["valueCode"]).unwrap_or(""))
        .collect();
    let known = audiences
        .iter()
        .all(|a| ["clinical", "admin", "patient"].contains(a));
    findings.require(
        known,
        "extension",
        "questionnaireAudience must be clinical, admin or patient",
    );
    let Some(time) = fhir::extension(form, &extension_url("estimated-completion-time")) else {
        return;
    };
    let part = |name| fhir::extension(time, name).and_then(|e| fhir::text(e, &["valueCode"]));
    findings.require(
        part("totalTime").is_some_and(is_completion_time),
        "extension",
        "totalTime is missing or not a valid code",
    );
    let clinical = part("clinicalTime");
    findings.require(
        clinical.is_none_or(is_completion_time),
        "extension",
        "clinicalTime is not a valid code",
    );
    let required = audiences.iter().any(|a| ["clinical", "patient"].contains(a));
    findings.require(
        !required || clinical.is_some(),
        "extension",
        "clinicalTime is missing; the audience includes clinical or patient (dtrq-6)",
    );
}

/// Codes of estimated completion times.
fn is_completion_time(code: &str) -> bool {
    ["under-1min", "under-3min", "under-5min", "over-5min"].contains(&code)
}

/// The items by link id. Adds findings for missing, long and repeated link ids.
fn questions<'a>(form: &'a Value, findings: &mut Findings) -> HashMap<&'a str, &'a Value> {
    let mut questions = HashMap::new();
    super::form::walk(form, &mut |item| match fhir::text(item, &["linkId"]) {
        None | Some("") => findings.add("item", "linkId is missing"),
        Some(id) => {
            findings.require(
                id.chars().count() <= 255,
                id,
                "linkId is longer than 255 characters (que-15)",
            );
            let is_new = questions.insert(id, item).is_none();
            findings.require(is_new, id, "linkId is used more than once (que-2)");
        }
    });
    questions
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    fn form() -> Value {
        let text = include_str!("../../../questionnaires/pneumatic-compression/1.0.0/questionnaire.json");
        serde_json::from_str(text).unwrap()
    }

    fn findings(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut form = form();
        change(&mut form);
        questionnaire(&form, "pneumatic-compression", "1.0.0")
    }

    /// Asserts that the changed form has exactly one finding, which contains `message`.
    pub(in crate::forms::check) fn assert_only_finding(change: impl Fn(&mut Value), message: &str) {
        let findings = findings(change);
        assert!(
            findings.len() == 1 && findings[0].contains(message),
            "{message}: {findings:?}"
        );
    }

    #[test]
    fn a_valid_form_has_no_findings() {
        assert_eq!(findings(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn the_rules_for_the_root_are_checked() {
        assert_only_finding(
            |f| f["url"] = json!("https://x.example/q"),
            "url: must be left out",
        );
        assert_only_finding(|f| f["subjectType"] = json!(["Patient", "Group"]), "subjectType");
        assert_only_finding(|f| f["version"] = json!("1.0.1"), "version: must be the version");
        assert_only_finding(|f| f["name"] = json!("pneumatic compression"), "name");
        assert_only_finding(
            |f| f["text"] = json!({ "status": "generated", "div": "words" }),
            "narrative",
        );
        assert_only_finding(
            |f| f["extension"][0]["valueCoding"]["code"] = json!("alpha"),
            "sdc-2",
        );
        assert_only_finding(
            |f| f["extension"][2]["extension"] = json!([f["extension"][2]["extension"][0]]),
            "dtrq-6",
        );
        assert_only_finding(
            |f| f["extension"][4] = json!({ "url": "https://x.example/e", "valueBoolean": true }),
            "x.example/e",
        );
        let twice = |f: &mut Value| {
            let again = f["extension"][4].clone();
            f["extension"].as_array_mut().unwrap().push(again);
        };
        assert_only_finding(twice, "is used 2 times");
    }

    #[test]
    fn an_expression_is_a_finding_since_forms_have_no_libraries() {
        let url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression";
        let expression = json!([{ "url": url, "valueExpression": { "language": "text/cql" } }]);
        assert_only_finding(
            |f| f["item"][1]["extension"] = expression.clone(),
            "sdc-questionnaire-initialExpression",
        );
    }
}
