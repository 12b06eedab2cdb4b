//! One questionnaire in one version, and its representation when it is served from a public address
//! (DTR 2.2.0, profile `dtr-std-questionnaire`). Only checked questionnaires become a [`Form`].

use super::check;
use super::prefill::Prefill;
use crate::fhir;
use crate::ig::dtr::{DtrVersion, Profile};
use crate::rules::FormQuestion;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::fmt;

/// A semantic version of three numbers; later versions are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl Version {
    /// Parses a version such as `1.0.0`. Returns none for any other text, including numbers with leading zeros.
    pub fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|n| n.parse::<u32>().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        (version.to_string() == text).then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One questionnaire in one version.
#[derive(Debug)]
pub struct Form {
    name: String,
    version: Version,
    /// The content of `questionnaire.json`.
    pub(super) json: Value,
    pub(super) prefill: Prefill,
}

impl Form {
    pub(super) fn new(name: &str, version: Version, json: Value, prefill: Prefill) -> Self {
        Self {
            name: name.to_owned(),
            version,
            json,
            prefill,
        }
    }

    /// The last part of the canonical URL, which is also the resource id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `Questionnaire.version`.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `name|version`, the form in which policies refer to it.
    pub fn key(&self) -> String {
        format!("{}|{}", self.name, self.version)
    }

    /// `Questionnaire.title`.
    pub fn title(&self) -> &str {
        fhir::text(&self.json, &["title"]).unwrap_or(&self.name)
    }

    /// `Questionnaire.date` as written in the file: when its author last changed it.
    pub fn date(&self) -> Option<&str> {
        fhir::text(&self.json, &["date"])
    }

    /// The canonical `url|version` on a server with this public address.
    pub fn canonical(&self, public_url: &str) -> String {
        format!("{}|{}", self.url(public_url), self.version)
    }

    /// The canonical URL without the version.
    pub fn url(&self, public_url: &str) -> String {
        format!("{}/Questionnaire/{}", base(public_url), self.name)
    }

    /// The resource as served: with `url`, `meta.profile` and absolute code system URLs.
    pub fn questionnaire(&self, public_url: &str) -> Value {
        let mut served = self.json.clone();
        complete_systems(&mut served, &base(public_url));
        if let Value::Object(members) = &mut served {
            members.insert("url".into(), json!(self.url(public_url)));
            let profile = DtrVersion::NEWEST.guide().profile(Profile::StandardQuestionnaire);
            members.insert("meta".into(), json!({ "profile": [profile] }));
        }
        served
    }

    /// The questions at every depth, in document order.
    pub fn questions(&self) -> Vec<FormQuestion> {
        FormQuestion::all(&self.json)
    }

    /// The text of the item with this link id.
    pub fn question(&self, link_id: &str) -> Option<&str> {
        let mut found = None;
        walk(&self.json, &mut |item| {
            if found.is_none() && fhir::text(item, &["linkId"]) == Some(link_id) {
                found = fhir::text(item, &["text"]);
            }
        });
        found
    }

    /// What the option of a question with this code is called.
    pub fn option_display(&self, link_id: &str, code: &str) -> Option<&str> {
        let mut found = None;
        walk(&self.json, &mut |item| {
            if fhir::text(item, &["linkId"]) == Some(link_id) {
                found = fhir::list(item, "answerOption")
                    .filter_map(|option| option.get("valueCoding"))
                    .find(|option| fhir::text(option, &["code"]) == Some(code))
                    .and_then(|option| fhir::text(option, &["display"]));
            }
        });
        found
    }

    /// Whether each order needs a response of its own (DTR extension `request-specific`).
    pub fn is_request_specific(&self) -> bool {
        fhir::extension(&self.json, check::REQUEST_SPECIFIC)
            .and_then(|e| e.get("valueBoolean")?.as_bool())
            .unwrap_or(false)
    }

    /// Whether the form is offered on this day to clients that do not name its version: its status is active and its
    /// effective period has not ended.
    pub fn is_current(&self, on: NaiveDate) -> bool {
        let ended = fhir::text(&self.json, &["effectivePeriod", "end"])
            .and_then(|end| fhir::dates::DateRange::read(end, chrono_tz::UTC))
            .is_some_and(|end| end.last < on);
        fhir::text(&self.json, &["status"]) == Some("active") && !ended
    }
}

/// Calls `visit` with each item below `parent`, in document order.
pub(super) fn walk<'a>(parent: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    for item in fhir::list(parent, "item") {
        visit(item);
        walk(item, visit);
    }
}

/// The address below which questionnaires have their canonicals.
fn base(public_url: &str) -> String {
    let path = DtrVersion::NEWEST.guide().base_path;
    format!("{}{path}", public_url.trim_end_matches('/'))
}

/// Prepends `base` to each `system` that has no URL scheme.
fn complete_systems(value: &mut Value, base: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(system) if name == "system" && !system.contains(':') => {
                        *system = format!("{base}/{system}");
                    }
                    _ => complete_systems(member, base),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|member| complete_systems(member, base)),
        _ => {}
    }
}
