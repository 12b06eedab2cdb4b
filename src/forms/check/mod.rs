//! What a questionnaire must fulfil before it is served: the hard rules of `dtr-std-questionnaire` 2.2.0, SDC 4 and
//! FHIR's own invariants, at every depth (validators apply the profile's item rules to the first level only).
//! Nothing here looks at how a form is filled.

mod items;

use crate::fhir;
use items::Item;
use serde_json::Value;
use std::collections::HashMap;

const DTR: &str = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/";
/// DTR's mark for one response per request.
pub(super) const REQUEST_SPECIFIC: &str =
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/request-specific";
const VERSION_ALGORITHM: &str = "http://hl7.org/fhir/StructureDefinition/artifact-versionAlgorithm";
const XHTML: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";

/// Root extensions that every client handles and that need no expression, with how often they may stand.
const ON_ROOT: [(&str, usize); 7] = [
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

/// Everything wrong with a form that stands in the folder `name/version`; one sentence each.
pub(super) fn questionnaire(form: &Value, name: &str, version: &str) -> Vec<String> {
    let mut found = Findings::default();
    if fhir::resource_type(form) != Some("Questionnaire") {
        found.note("", "is no Questionnaire");
        return found.messages;
    }
    root(form, name, version, &mut found);
    root_extensions(form, &mut found);
    let questions = questions(form, &mut found);
    super::form::walk(form, &mut |item| {
        let item = Item {
            json: item,
            form,
            questions: &questions,
        };
        item.check(&mut found);
    });
    found.messages
}

#[derive(Default)]
struct Findings {
    messages: Vec<String>,
}

impl Findings {
    fn note(&mut self, place: &str, message: &str) {
        let space = if place.is_empty() { "" } else { ": " };
        self.messages.push(format!("{place}{space}{message}"));
    }

    fn require(&mut self, held: bool, place: &str, message: &str) {
        if !held {
            self.note(place, message);
        }
    }
}

fn root(form: &Value, name: &str, version: &str, found: &mut Findings) {
    let text = |path: &[&str]| fhir::text(form, path);
    let folder = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    found.require(
        folder && !name.is_empty(),
        "",
        "the folder's name has other signs than a-z, 0-9 and -",
    );
    found.require(
        form.get("url").is_none(),
        "url",
        "is made from the public address: leave it out",
    );
    found.require(text(&["id"]) == Some(name), "id", "is not the folder's name");
    found.require(
        super::Version::read(version).is_some(),
        "version",
        "the folder's version is not like 1.0.0",
    );
    found.require(
        text(&["version"]) == Some(version),
        "version",
        "is not the folder's version",
    );
    found.require(
        text(&["name"]).is_some_and(is_computable),
        "name",
        "must match [A-Z][A-Za-z0-9_]+",
    );
    found.require(
        text(&["title"]).is_some_and(|t| !t.trim().is_empty()),
        "title",
        "is missing",
    );
    let status = text(&["status"]).is_some_and(|s| ["draft", "active", "retired"].contains(&s));
    found.require(status, "status", "must be draft, active or retired");
    let subject: Vec<_> = fhir::list(form, "subjectType")
        .filter_map(Value::as_str)
        .collect();
    found.require(subject == ["Patient"], "subjectType", "must be Patient, once");
    let narrative =
        text(&["text", "div"]).is_some_and(|div| div.starts_with(XHTML) && div.ends_with("</div>"));
    found.require(
        narrative && text(&["text", "status"]).is_some(),
        "text",
        "a narrative in XHTML is missing",
    );
    found.require(
        fhir::list(form, "item").next().is_some(),
        "item",
        "a standard form has items",
    );
    let contained = fhir::list(form, "contained").all(|r| fhir::resource_type(r) == Some("ValueSet"));
    found.require(contained, "contained", "may hold value sets only");
}

/// `cnl-0`.
fn is_computable(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|b| b.is_ascii_uppercase())
        && name.len() > 1
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn root_extensions(form: &Value, found: &mut Findings) {
    for url in fhir::list(form, "extension").filter_map(|e| fhir::text(e, &["url"])) {
        let known = ON_ROOT.iter().any(|(u, _)| *u == url);
        found.require(
            known,
            "extension",
            &format!("{url} is not one that this server serves on a form"),
        );
    }
    for (url, most) in ON_ROOT {
        let often = fhir::extensions(form, url).count();
        found.require(often <= most, "extension", &format!("{url} occurs {often} times"));
    }
    let algorithm = fhir::extension(form, VERSION_ALGORITHM);
    let semver = algorithm.is_some_and(|e| {
        fhir::text(e, &["valueCoding", "system"]) == Some("http://hl7.org/fhir/version-algorithm")
            && fhir::text(e, &["valueCoding", "code"]) == Some("semver")
    });
    found.require(
        semver,
        "extension",
        "artifact-versionAlgorithm semver is missing (sdc-2)",
    );
    audience(form, found);
}

/// `dtrq-6`, and the codes of both extensions.
fn audience(form: &Value, found: &mut Findings) {
    let audiences: Vec<_> = fhir::extensions(form, &format!("{DTR}questionnaireAudience"))
        .map(|e| fhir::text(e, &["valueCode"]).unwrap_or(""))
        .collect();
    let known = audiences
        .iter()
        .all(|a| ["clinical", "admin", "patient"].contains(a));
    found.require(
        known,
        "extension",
        "questionnaireAudience must be clinical, admin or patient",
    );
    let Some(time) = fhir::extension(form, &format!("{DTR}estimated-completion-time")) else {
        return;
    };
    let part = |name| fhir::extension(time, name).and_then(|e| fhir::text(e, &["valueCode"]));
    found.require(
        part("totalTime").is_some_and(is_time),
        "extension",
        "totalTime is missing or unknown",
    );
    let clinical = part("clinicalTime");
    found.require(
        clinical.is_none_or(is_time),
        "extension",
        "clinicalTime is unknown",
    );
    let wanted = audiences.iter().any(|a| ["clinical", "patient"].contains(a));
    found.require(
        !wanted || clinical.is_some(),
        "extension",
        "clinicalTime is missing (dtrq-6)",
    );
}

fn is_time(code: &str) -> bool {
    ["under-1min", "under-3min", "under-5min", "over-5min"].contains(&code)
}

/// The items by link id; notes missing, long and repeated ids.
fn questions<'a>(form: &'a Value, found: &mut Findings) -> HashMap<&'a str, &'a Value> {
    let mut questions = HashMap::new();
    super::form::walk(form, &mut |item| match fhir::text(item, &["linkId"]) {
        None | Some("") => found.note("item", "linkId is missing"),
        Some(id) => {
            found.require(
                id.chars().count() <= 255,
                id,
                "linkId is longer than 255 signs (que-15)",
            );
            let first = questions.insert(id, item).is_none();
            found.require(first, id, "linkId occurs more than once (que-2)");
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

    fn found(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut form = form();
        change(&mut form);
        questionnaire(&form, "pneumatic-compression", "1.0.0")
    }

    /// Asserts that this change leads to this finding and to no other.
    pub(in crate::forms::check) fn only(change: impl Fn(&mut Value), message: &str) {
        let found = found(change);
        assert!(
            found.len() == 1 && found[0].contains(message),
            "{message}: {found:?}"
        );
    }

    #[test]
    fn a_sound_form_has_no_findings() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn the_root_rules_of_the_profile_are_kept() {
        only(|f| f["url"] = json!("https://x.example/q"), "url: is made from");
        only(|f| f["subjectType"] = json!(["Patient", "Group"]), "subjectType");
        only(|f| f["version"] = json!("1.0.1"), "version: is not the folder's");
        only(|f| f["name"] = json!("pneumatic compression"), "name");
        only(
            |f| f["text"] = json!({ "status": "generated", "div": "words" }),
            "narrative",
        );
        only(
            |f| f["extension"][0]["valueCoding"]["code"] = json!("alpha"),
            "sdc-2",
        );
        only(
            |f| f["extension"][2]["extension"] = json!([f["extension"][2]["extension"][0]]),
            "dtrq-6",
        );
        only(
            |f| f["extension"][4] = json!({ "url": "https://x.example/e", "valueBoolean": true }),
            "x.example/e",
        );
        let twice = |f: &mut Value| {
            let again = f["extension"][4].clone();
            f["extension"].as_array_mut().unwrap().push(again);
        };
        only(twice, "occurs 2 times");
    }

    #[test]
    fn an_expression_is_refused_since_no_library_ships_with_it() {
        let url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression";
        let expression = json!([{ "url": url, "valueExpression": { "language": "text/cql" } }]);
        only(
            |f| f["item"][1]["extension"] = expression.clone(),
            "sdc-questionnaire-initialExpression",
        );
    }
}
