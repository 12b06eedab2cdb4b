//! The plan's questionnaires: loaded, checked, kept in memory and found by canonical (DTR 2.2.0, sections
//! "Questionnaire package" and "Standard questionnaires").
//!
//! Callers pass the files as (path, text) pairs: `<name>/<version>/questionnaire.json` with an optional `prefill.yaml`
//! in the same folder. This module reads no disk, clock or database. The files contain no host name: `url` and the code
//! systems of a form's own options are completed with the public address when the form is served.

mod answers;
mod check;
pub mod draft;
mod form;
mod prefill;

pub use answers::{AnswerProblem, AnswerProblemKind};
pub use form::{Form, Version};

use crate::rules::FormQuestion;
use chrono::NaiveDate;
use prefill::Prefill;
use serde_json::Value;
use std::collections::BTreeMap;

/// The result of looking up a form by name or canonical.
#[derive(Debug, Clone, Copy)]
pub enum FormLookup<'a> {
    /// The form was found.
    Found(&'a Form),
    /// The plan has the form, but not in this version; or no version was named and none is current.
    NoSuchVersion,
    /// The plan has no form with this name.
    Unknown,
}

impl<'a> FormLookup<'a> {
    /// The form, if it was found.
    pub fn form(self) -> Option<&'a Form> {
        match self {
            Self::Found(form) => Some(form),
            Self::NoSuchVersion | Self::Unknown => None,
        }
    }
}

/// Every form of a policy set, in every version. Immutable: a new policy set brings new `Forms`.
#[derive(Debug, Default)]
pub struct Forms {
    by_name: BTreeMap<String, BTreeMap<Version, Form>>,
}

impl Forms {
    /// Loads and checks the forms in `files`: pairs of a path below `questionnaires/` and its text. The error holds
    /// every finding as `path: message`. README.md is ignored.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut forms = Self::default();
        let mut findings = Vec::new();
        for (path, text) in files
            .iter()
            .filter(|(path, _)| path.ends_with("/questionnaire.json"))
        {
            let folder = path.trim_end_matches("questionnaire.json");
            let prefill_path = format!("{folder}prefill.yaml");
            let prefill = files.iter().find(|(path, _)| *path == prefill_path);
            match read_form(folder, text, prefill.map(|(_, text)| text.as_str())) {
                Ok(form) => forms.insert(form),
                Err(found) => findings.extend(found.into_iter().map(|f| format!("{folder}{f}"))),
            }
        }
        findings.extend(files.iter().filter_map(|(path, _)| unexpected_file(path, files)));
        if findings.is_empty() {
            Ok(forms)
        } else {
            Err(findings)
        }
    }

    fn insert(&mut self, form: Form) {
        let versions = self.by_name.entry(form.name().to_owned()).or_default();
        versions.insert(form.version(), form);
    }

    /// The questions of the form `name|version`; none if there is no such form.
    pub fn questions(&self, name_and_version: &str) -> Option<Vec<FormQuestion>> {
        self.by_key(name_and_version).map(Form::questions)
    }

    /// The canonical `url|version` of the form `name|version`; none if there is no such form.
    pub fn canonical(&self, name_and_version: &str, public_url: &str) -> Option<String> {
        self.by_key(name_and_version)
            .map(|form| form.canonical(public_url))
    }

    /// Looks up `name|version`, `name`, or a canonical URL of any host with or without a version. Without a version it
    /// finds the newest version that is current on the day `on`; with one, that version even if it is no longer
    /// current.
    pub fn find(&self, reference: &str, on: NaiveDate) -> FormLookup<'_> {
        let (url, version) = match reference.split_once('|') {
            Some((url, version)) => (url, Some(version)),
            None => (reference, None),
        };
        let name = match url.rsplit_once('/') {
            Some((before, name)) if before.ends_with("/Questionnaire") || before == "Questionnaire" => name,
            Some(_) => return FormLookup::Unknown,
            None => url,
        };
        let Some(versions) = self.by_name.get(name) else {
            return FormLookup::Unknown;
        };
        let form = match version {
            Some(version) => Version::read(version).and_then(|v| versions.get(&v)),
            None => versions.values().rev().find(|form| form.is_current(on)),
        };
        form.map_or(FormLookup::NoSuchVersion, FormLookup::Found)
    }

    /// The forms that a canonical of any host names by its last part: the form in that version, or in every version if
    /// the canonical has none.
    pub fn named(&self, canonical: &str) -> Vec<&Form> {
        let last = canonical.rsplit('/').next().unwrap_or(canonical);
        let (name, version) = last.split_once('|').map_or((last, None), |(n, v)| (n, Some(v)));
        let versions = self.by_name.get(name).into_iter().flat_map(BTreeMap::values);
        versions
            .filter(|form| version.is_none_or(|version| form.version().to_string() == version))
            .collect()
    }

    /// Every form in every version, sorted by name and version.
    pub fn all(&self) -> impl Iterator<Item = &Form> {
        self.by_name.values().flat_map(BTreeMap::values)
    }

    fn by_key(&self, name_and_version: &str) -> Option<&Form> {
        let (name, version) = name_and_version.split_once('|')?;
        self.by_name.get(name)?.get(&Version::read(version)?)
    }
}

/// Reads and checks one form. Each finding begins with the file name in `folder`.
fn read_form(folder: &str, text: &str, prefill: Option<&str>) -> Result<Form, Vec<String>> {
    let Some((name, version)) = folder.trim_end_matches('/').split_once('/') else {
        return Err(vec![
            "questionnaire.json: the path must be <name>/<version>/questionnaire.json".into(),
        ]);
    };
    let json: Value =
        serde_json::from_str(text).map_err(|e| vec![format!("questionnaire.json: not valid JSON: {e}")])?;
    let mut findings: Vec<String> = check::questionnaire(&json, name, version)
        .into_iter()
        .map(|f| format!("questionnaire.json: {f}"))
        .collect();
    let prefill = Prefill::read(prefill.unwrap_or(""), &json).unwrap_or_else(|found| {
        findings.extend(found.into_iter().map(|f| format!("prefill.yaml: {f}")));
        Prefill::default()
    });
    match Version::read(version) {
        Some(version) if findings.is_empty() => Ok(Form::new(name, version, json, prefill)),
        _ => Err(findings),
    }
}

/// A finding for a file that does not belong to a form.
fn unexpected_file(path: &str, files: &[(String, String)]) -> Option<String> {
    if path.ends_with("README.md") || path.ends_with("/questionnaire.json") {
        return None;
    }
    let Some(folder) = path.strip_suffix("prefill.yaml") else {
        return Some(format!(
            "{path}: unexpected file; a form folder contains questionnaire.json and prefill.yaml only"
        ));
    };
    let form = format!("{folder}questionnaire.json");
    let belongs = files.iter().any(|(path, _)| *path == form);
    (!belongs).then(|| format!("{path}: questionnaire.json is missing in this folder"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) const PUBLIC: &str = "https://plan.example";

    /// The forms that ship with the project.
    pub(crate) fn shipped_files() -> Vec<(String, String)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("questionnaires");
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                    files.push((below, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    pub(crate) fn shipped() -> Forms {
        Forms::load(&shipped_files()).unwrap()
    }

    /// The shipped home-oxygen form as `version`, after a change.
    fn oxygen(version: &str, change: impl Fn(&mut Value)) -> (String, String) {
        let files = shipped_files();
        let (_, text) = files
            .iter()
            .find(|(path, _)| path == "home-oxygen/1.0.0/questionnaire.json")
            .unwrap();
        let mut form: Value = serde_json::from_str(text).unwrap();
        form["version"] = json!(version);
        change(&mut form);
        (
            format!("home-oxygen/{version}/questionnaire.json"),
            form.to_string(),
        )
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_shipped_forms_load_and_have_the_questions_that_policies_read() {
        let forms = shipped();
        let keys: Vec<String> = forms.all().map(Form::key).collect();
        assert!(
            keys.len() >= 10 && keys.contains(&"support-surfaces|1.0.0".to_owned()),
            "{keys:?}"
        );
        let questions = forms.questions("home-oxygen|1.0.0").unwrap();
        for id in [
            "oxygen.test-ordered-by-treating-practitioner",
            "oxygen.test-performed-by-dme-supplier",
            "oxygen.test-condition",
            "oxygen.dependent-edema",
            "oxygen.spo2",
            "oxygen.test-date",
            "oxygen.months",
            "oxygen.prescriber",
        ] {
            assert!(questions.iter().any(|question| question.link_id == id), "{id}");
        }
        assert_eq!(forms.questions("home-oxygen|2.0.0"), None);
        assert_eq!(forms.questions("home-oxygen"), None);
    }

    #[test]
    fn a_served_form_has_the_public_address_and_no_relative_code_system() {
        let forms = shipped();
        for form in forms.all() {
            let served = form.questionnaire("https://plan.example/");
            assert_eq!(served["url"], form.url(PUBLIC));
            let profile =
                "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-std-questionnaire|2.2.0";
            assert_eq!(served["meta"]["profile"], json!([profile]));
            let text = served.to_string();
            assert!(!text.contains(r#""system":"CodeSystem"#), "{}", form.key());
        }
        let oxygen = forms.find("home-oxygen", day("2026-10-01")).form().unwrap();
        let served = oxygen.questionnaire(PUBLIC);
        insta::assert_json_snapshot!(served["item"][0]["item"][2]["answerOption"][0], @r#"
        {
          "valueCoding": {
            "code": "rest-awake-room-air",
            "display": "At rest, awake, breathing room air",
            "system": "https://plan.example/dtr/2.2/CodeSystem/oxygen-test-condition"
          }
        }
        "#);
        assert_eq!(
            forms.canonical("home-oxygen|1.0.0", PUBLIC).unwrap(),
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0"
        );
    }

    #[test]
    fn a_form_is_found_by_name_or_by_a_canonical_of_any_host() {
        let forms = shipped();
        for reference in [
            "home-oxygen",
            "home-oxygen|1.0.0",
            "Questionnaire/home-oxygen",
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen",
            "http://127.0.0.1:8642/dtr/2.2/Questionnaire/home-oxygen|1.0.0",
        ] {
            let found = forms.find(reference, day("2026-10-01"));
            assert_eq!(found.form().unwrap().key(), "home-oxygen|1.0.0", "{reference}");
        }
        for reference in [
            "",
            "wheelchair",
            "https://plan.example/Library/home-oxygen",
            "|1.0.0",
        ] {
            assert!(
                matches!(forms.find(reference, day("2026-10-01")), FormLookup::Unknown),
                "{reference}"
            );
        }
        for reference in ["home-oxygen|9.0.0", "home-oxygen|1", "home-oxygen|"] {
            assert!(matches!(
                forms.find(reference, day("2026-10-01")),
                FormLookup::NoSuchVersion
            ));
        }
    }

    #[test]
    fn without_a_version_the_newest_current_form_is_found() {
        let forms = Forms::load(&[
            oxygen("1.9.0", |_| {}),
            oxygen("1.10.0", |form| {
                form["effectivePeriod"] = json!({ "end": "2026-12-31" });
            }),
            oxygen("2.0.0", |form| form["status"] = json!("draft")),
        ])
        .unwrap();
        let found = |reference, on| forms.find(reference, day(on)).form().unwrap().key();
        assert_eq!(found("home-oxygen", "2026-12-31"), "home-oxygen|1.10.0");
        assert_eq!(found("home-oxygen", "2027-01-01"), "home-oxygen|1.9.0");
        assert_eq!(found("home-oxygen|1.10.0", "2027-01-01"), "home-oxygen|1.10.0");
    }

    #[test]
    fn a_file_that_does_not_belong_to_a_form_is_a_finding() {
        let text = |path: &str| (path.to_owned(), String::new());
        let findings = Forms::load(&[
            text("README.md"),
            text("a/1.0.0/prefill.yaml"),
            text("a/notes.txt"),
        ])
        .unwrap_err();
        assert_eq!(
            findings,
            [
                "a/1.0.0/prefill.yaml: questionnaire.json is missing in this folder",
                "a/notes.txt: unexpected file; a form folder contains questionnaire.json and prefill.yaml only"
            ]
        );
        let findings = Forms::load(&[("a/1.0.0/questionnaire.json".into(), "{".into())]).unwrap_err();
        assert!(findings[0].starts_with("a/1.0.0/questionnaire.json: not valid JSON"));
    }
}
