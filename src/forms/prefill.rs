//! `prefill.yaml`: which answers the plan can give itself, from the order that the hook stored and the case document
//! made of it. A table of sources, no expressions. It never guesses: another unit, no date or no name means no answer.

use crate::fhir::{self, coding, dates::DateRange, quantity};
use chrono::{DateTime, FixedOffset};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const UCUM: &str = "http://unitsofmeasure.org";

/// The sources of a form's answers, by link id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prefill {
    answers: BTreeMap<String, Source>,
}

/// Where one answer comes from.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    Observation(FromObservation),
    Order(FromOrder),
}

/// The newest matching result in the case document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromObservation {
    observation: Results,
    take: Take,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Results {
    loinc: Vec<String>,
    status: Vec<String>,
    unit: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Take {
    Value,
    Date,
}

/// A part of the stored order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromOrder {
    order: Part,
    unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Quantity,
    Requester,
}

/// What the answers are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The order as the hook stored it.
    pub(super) order: Option<&'a Value>,
    /// The case document of that order.
    pub(super) case_document: Option<&'a Value>,
}

impl Prefill {
    /// Reads the file and holds it against its form; an empty text fills nothing.
    pub(super) fn read(text: &str, form: &Value) -> Result<Self, Vec<String>> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let prefill: Self = serde_saphyr::from_str(text).map_err(|e| vec![e.to_string()])?;
        let mut open = HashMap::new();
        fillable(form, &mut open);
        let findings: Vec<String> = prefill
            .answers
            .iter()
            .filter_map(|(id, source)| {
                let problem = match open.get(id.as_str()) {
                    None => "is no question that can be filled: unknown, hidden, read-only or conditional",
                    Some(kind) if *kind != source.answers() => "its source gives another type of answer",
                    Some(_) if !source.is_complete() => "a quantity of the order needs its unit",
                    Some(_) => return None,
                };
                Some(format!("{id}: {problem}"))
            })
            .collect();
        if findings.is_empty() {
            Ok(prefill)
        } else {
            Err(findings)
        }
    }

    /// The answers that are known, by link id: the name of the `value[x]` member and its value.
    pub(super) fn answers(&self, known: Known<'_>) -> HashMap<&str, (&'static str, Value)> {
        self.answers
            .iter()
            .filter_map(|(id, source)| {
                let value = source.value(known)?;
                let member = match source.answers() {
                    "quantity" => "valueQuantity",
                    "date" => "valueDate",
                    _ => "valueString",
                };
                Some((id.as_str(), (member, value)))
            })
            .collect()
    }
}

/// The questions that may be answered before the form is opened, with their types. A hidden or read-only question is
/// never filled (DTR sec-4), a conditional one might not be asked at all.
fn fillable<'a>(parent: &'a Value, open: &mut HashMap<&'a str, &'a str>) {
    for item in fhir::list(parent, "item") {
        let hidden = "http://hl7.org/fhir/StructureDefinition/questionnaire-hidden";
        let hidden = fhir::extension(item, hidden)
            .and_then(|e| e.get("valueBoolean")?.as_bool())
            .unwrap_or(false);
        let read_only = item.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
        if hidden || read_only || item.get("enableWhen").is_some() {
            continue;
        }
        match (fhir::text(item, &["linkId"]), fhir::text(item, &["type"])) {
            (_, Some("group")) => fillable(item, open),
            (Some(id), Some(kind)) => drop(open.insert(id, kind)),
            _ => {}
        }
    }
}

impl Source {
    /// The type of question that it answers.
    fn answers(&self) -> &'static str {
        match self {
            Self::Observation(from) if from.take == Take::Date => "date",
            Self::Order(from) if from.order == Part::Requester => "string",
            Self::Observation(_) | Self::Order(_) => "quantity",
        }
    }

    fn is_complete(&self) -> bool {
        !matches!(
            self,
            Self::Order(FromOrder {
                order: Part::Quantity,
                unit: None
            })
        )
    }

    fn value(&self, known: Known<'_>) -> Option<Value> {
        match self {
            Self::Observation(from) => from.value(known.case_document?),
            Self::Order(FromOrder {
                order: Part::Quantity,
                unit,
            }) => ordered(known, unit.as_deref()?),
            Self::Order(FromOrder {
                order: Part::Requester,
                ..
            }) => requester(known).map(Value::String),
        }
    }
}

impl FromObservation {
    fn value(&self, case_document: &Value) -> Option<Value> {
        let resources = case_document.get("res")?;
        let newest = fhir::list(resources, "Observation")
            .filter(|o| self.observation.matches(o))
            .filter_map(|o| Some((taken_at(o)?, o)))
            .max_by_key(|(at, _)| *at)?
            .1;
        match self.take {
            Take::Value => as_ucum(newest.get("valueQuantity")?, &self.observation.unit),
            Take::Date => effective(newest)?
                .get(..10)
                .or_else(|| effective(newest))
                .map(|d| json!(d)),
        }
    }
}

impl Results {
    fn matches(&self, observation: &Value) -> bool {
        let code = observation.get("code").is_some_and(|concept| {
            coding::codings(concept)
                .any(|c| c.system == coding::LOINC && self.loinc.iter().any(|l| l == c.code))
        });
        let status = fhir::text(observation, &["status"]);
        code && self.status.iter().any(|s| Some(s.as_str()) == status)
            && observation
                .get("valueQuantity")
                .is_some_and(|q| as_ucum(q, &self.unit).is_some())
    }
}

/// When the result was taken, as the sender wrote it.
fn effective(observation: &Value) -> Option<&str> {
    ["effectiveDateTime", "effectiveInstant"]
        .iter()
        .find_map(|name| fhir::text(observation, &[name]))
        .or_else(|| fhir::text(observation, &["effectivePeriod", "start"]))
}

/// A sortable time: a day or month counts from its beginning.
fn taken_at(observation: &Value) -> Option<DateTime<FixedOffset>> {
    let text = effective(observation)?;
    fhir::dates::instant(text).or_else(|| {
        let first = DateRange::read(text, chrono_tz::UTC)?.first;
        Some(first.and_hms_opt(0, 0, 0)?.and_utc().fixed_offset())
    })
}

/// The quantity with its unit in UCUM, if it came in that unit; the number stays as it was written.
fn as_ucum(given: &Value, unit: &str) -> Option<Value> {
    let read = quantity::Quantity::read(given)?;
    let came_in = quantity::ucum_of_x12(read.unit?).or(read.unit)?;
    let value = given.get("value")?;
    (came_in == unit).then(|| json!({ "value": value, "unit": unit, "system": UCUM, "code": unit }))
}

/// The quantity ordered: the order's own, else that of the case document.
fn ordered(known: Known<'_>, unit: &str) -> Option<Value> {
    let own = known.order.and_then(|o| o.get("quantityQuantity"));
    let item = known
        .case_document
        .and_then(|c| fhir::get(c, &["item", "quantity"]));
    [own, item].into_iter().flatten().find_map(|q| as_ucum(q, unit))
}

/// The name of who ordered: of the resource that came along, else what the reference displays.
fn requester(known: Known<'_>) -> Option<String> {
    let order = known.order?;
    let reference = ["requester", "orderer", "prescriber"]
        .iter()
        .find_map(|name| order.get(*name))?;
    named(reference, known.case_document)
}

fn named(reference: &Value, case_document: Option<&Value>) -> Option<String> {
    let sent = fhir::reference::literal(reference)
        .and_then(fhir::reference::type_and_id)
        .zip(case_document)
        .and_then(|((kind, id), document)| {
            fhir::list(document.get("res")?, kind).find(|r| fhir::text(r, &["id"]) == Some(id))
        });
    let from_resource = sent.and_then(|resource| match fhir::resource_type(resource) {
        Some("PractitionerRole") => named(resource.get("practitioner")?, case_document),
        Some("Organization") => None,
        _ => fhir::human_name(resource),
    });
    from_resource.or_else(|| fhir::text(reference, &["display"]).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OXYGEN: &str = include_str!("../../questionnaires/home-oxygen/1.0.0/questionnaire.json");
    const PREFILL: &str = include_str!("../../questionnaires/home-oxygen/1.0.0/prefill.yaml");

    fn form() -> Value {
        serde_json::from_str(OXYGEN).unwrap()
    }

    fn saturation(id: &str, status: &str, at: &str, value: i32, unit: &str) -> Value {
        json!({ "resourceType": "Observation", "id": id, "status": status, "effectiveDateTime": at,
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
            "valueQuantity": { "value": value, "unit": unit, "code": unit } })
    }

    fn answer(order: Option<&Value>, case_document: Option<&Value>, id: &str) -> Option<Value> {
        let prefill = Prefill::read(PREFILL, &form()).unwrap();
        prefill
            .answers(Known { order, case_document })
            .remove(id)
            .map(|(_, value)| value)
    }

    #[test]
    fn the_newest_result_in_the_right_unit_fills_value_and_date() {
        let document = json!({ "res": { "Observation": [
            saturation("a", "final", "2026-09-20", 85, "%"),
            saturation("b", "final", "2026-09-24T23:30:00-04:00", 87, "%"),
            saturation("c", "preliminary", "2026-09-28", 80, "%"),
            saturation("d", "final", "2026-09-29", 1, "1"),
        ] } });
        let spo2 = answer(None, Some(&document), "oxygen.spo2").unwrap();
        assert_eq!(
            spo2,
            json!({ "value": 87, "unit": "%", "system": UCUM, "code": "%" })
        );
        assert_eq!(
            answer(None, Some(&document), "oxygen.test-date"),
            Some(json!("2026-09-24"))
        );
    }

    #[test]
    fn months_come_from_the_order_and_only_as_months() {
        let months = |unit: &str| {
            let order = json!({ "quantityQuantity": { "value": 12, "unit": unit } });
            answer(Some(&order), None, "oxygen.months")
        };
        assert_eq!(months("mo").unwrap()["value"], 12);
        assert_eq!(months("MO").unwrap()["code"], "mo");
        assert_eq!(months("d"), None);
        let bare = json!({ "quantityQuantity": { "value": 12 } });
        assert_eq!(answer(Some(&bare), None, "oxygen.months"), None);
        let document = json!({ "item": { "quantity": { "value": 6, "unit": "mo" } } });
        assert_eq!(
            answer(None, Some(&document), "oxygen.months").unwrap()["value"],
            6
        );
    }

    #[test]
    fn the_prescriber_is_named_from_the_resource_or_the_display() {
        let order = json!({ "requester": { "reference": "PractitionerRole/r1", "display": "Clinic" } });
        let document = json!({ "res": {
            "PractitionerRole": [{ "resourceType": "PractitionerRole", "id": "r1",
                "practitioner": { "reference": "Practitioner/p1" } }],
            "Practitioner": [{ "resourceType": "Practitioner", "id": "p1",
                "name": [{ "given": ["Ada"], "family": "Lung" }] }] } });
        assert_eq!(
            answer(Some(&order), Some(&document), "oxygen.prescriber"),
            Some(json!("Ada Lung"))
        );
        assert_eq!(
            answer(Some(&order), None, "oxygen.prescriber"),
            Some(json!("Clinic"))
        );
        let bare = json!({ "requester": { "reference": "Practitioner/p9" } });
        assert_eq!(answer(Some(&bare), None, "oxygen.prescriber"), None);
    }

    #[test]
    fn a_source_must_fit_a_question_that_may_be_filled() {
        let finding = |line: &str| Prefill::read(&format!("answers:\n  {line}\n"), &form()).unwrap_err();
        assert!(finding("oxygen.none: { order: requester }")[0].contains("no question"));
        assert!(finding("oxygen.months: { order: requester }")[0].contains("another type"));
        assert!(finding("oxygen.months: { order: quantity }")[0].contains("unit"));
        assert!(finding("oxygen.dependent-edema: { order: requester }")[0].contains("conditional"));
        assert!(!finding("oxygen.months: { order: quantity, units: mo }").is_empty());
        let mut hidden = form();
        hidden["item"][2]["item"][1]["readOnly"] = json!(true);
        let text = "answers:\n  oxygen.prescriber: { order: requester }\n";
        assert!(Prefill::read(text, &hidden).unwrap_err()[0].contains("read-only"));
    }
}
