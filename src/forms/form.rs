//! One questionnaire in one version, and what it looks like when it is served from a public address
//! (DTR 2.2.0, profile `dtr-std-questionnaire`). It was checked before it came here.

use super::check;
use super::prefill::Prefill;
use crate::fhir;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::fmt;

/// Where the forms stand below the public address.
pub const BASE: &str = "dtr/2.2";
/// The profile that every served form claims.
pub(super) const PROFILE: &str =
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-std-questionnaire|2.2.0";

/// A semantic version of three numbers; later versions are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl Version {
    /// Reads `1.0.0`; anything else, leading zeros too, is none.
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
    /// As the file has it.
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

    /// The last part of its canonical, and its id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `name|version`, as policies name it.
    pub fn key(&self) -> String {
        format!("{}|{}", self.name, self.version)
    }

    /// Its title.
    pub fn title(&self) -> &str {
        fhir::text(&self.json, &["title"]).unwrap_or(&self.name)
    }

    /// When it was last changed, as its author wrote it.
    pub fn date(&self) -> Option<&str> {
        fhir::text(&self.json, &["date"])
    }

    /// `url|version`, for this public address.
    pub fn canonical(&self, public_url: &str) -> String {
        format!("{}|{}", self.url(public_url), self.version)
    }

    /// Its address without the version.
    pub fn url(&self, public_url: &str) -> String {
        format!("{}/Questionnaire/{}", base(public_url), self.name)
    }

    /// The questionnaire as it is served: with its `url`, its profile and absolute code systems.
    pub fn questionnaire(&self, public_url: &str) -> Value {
        let mut served = self.json.clone();
        complete_systems(&mut served, &base(public_url));
        if let Value::Object(members) = &mut served {
            members.insert("url".into(), json!(self.url(public_url)));
            members.insert("meta".into(), json!({ "profile": [PROFILE] }));
        }
        served
    }

    /// The link ids of all depths, in the order of the form.
    pub fn link_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        walk(&self.json, &mut |item| {
            ids.extend(fhir::text(item, &["linkId"]).map(str::to_owned));
        });
        ids
    }

    /// The text of the question with this link id.
    pub fn question(&self, link_id: &str) -> Option<&str> {
        let mut found = None;
        walk(&self.json, &mut |item| {
            if found.is_none() && fhir::text(item, &["linkId"]) == Some(link_id) {
                found = fhir::text(item, &["text"]);
            }
        });
        found
    }

    /// Whether a response is needed for each request (DTR `request-specific`).
    pub fn is_request_specific(&self) -> bool {
        fhir::extension(&self.json, check::REQUEST_SPECIFIC)
            .and_then(|e| e.get("valueBoolean")?.as_bool())
            .unwrap_or(false)
    }

    /// Whether it is offered on this day without being asked for by its version: active, and its time not over.
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

fn base(public_url: &str) -> String {
    format!("{}/{BASE}", public_url.trim_end_matches('/'))
}

/// Puts `base` before each code system without a scheme.
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
