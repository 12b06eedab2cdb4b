//! `prefill.yaml`: which questions of a form the plan can answer from the order and its case document, and from which
//! elements (`questionnaires/README.md`). The file is a table of sources without expressions. A value in another unit,
//! or without the needed date or name, is not used.

use crate::fhir::{self, coding, dates::DateRange, quantity};
use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const UCUM: &str = "http://unitsofmeasure.org";
/// The finding for a link id that [`fillable_questions`] does not return.
const NOT_FILLABLE: &str = "this question cannot be prefilled: it is unknown, hidden, read-only, conditional or below \
                            another question";

/// The sources of a form's prefilled answers, by link id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prefill {
    answers: BTreeMap<String, Source>,
}

/// The source of one answer.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    Observation(ObservationSource),
    Order(OrderSource),
}

/// The value or the date of the newest matching Observation in the case document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObservationSource {
    observation: ObservationFilter,
    take: Take,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObservationFilter {
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

/// A part of the order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderSource {
    order: OrderPart,
    unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OrderPart {
    Quantity,
    Requester,
}

/// The data from which answers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrefillSources<'a> {
    /// The order.
    pub(super) order: Option<&'a Value>,
    /// The facts of the order.
    pub(super) item: Option<&'a Value>,
    /// The evidence of the case document, with its resources by type in `res`.
    pub(super) evidence: Option<&'a Value>,
    /// The time zone in which days begin and end.
    pub(super) zone: Option<Tz>,
}

impl Prefill {
    /// Reads the text of `prefill.yaml` and checks it against its form. An empty text prefills nothing. The error holds
    /// one sentence per problem, beginning with the link id.
    pub(super) fn read(text: &str, form: &Value) -> Result<Self, Vec<String>> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let prefill: Self = serde_saphyr::from_str(text).map_err(|e| vec![e.to_string()])?;
        let mut questions = HashMap::new();
        fillable_questions(form, &mut questions);
        let findings: Vec<String> = prefill
            .answers
            .iter()
            .filter_map(|(id, source)| {
                let problem = match questions.get(id.as_str()) {
                    None => NOT_FILLABLE,
                    Some(kind) if *kind != source.question_type() => {
                        "the source does not give an answer of the question's type"
                    }
                    Some(_) if !source.is_complete() => "unit is missing: the order's quantity needs one",
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

    /// The answers that the sources contain, by link id: the name of the `value[x]` element and its value.
    pub(super) fn answers(&self, sources: PrefillSources<'_>) -> HashMap<&str, (&'static str, Value)> {
        self.answers
            .iter()
            .filter_map(|(id, source)| {
                let value = source.value(sources)?;
                let element = match source.question_type() {
                    "quantity" => "valueQuantity",
                    "date" => "valueDate",
                    _ => "valueString",
                };
                Some((id.as_str(), (element, value)))
            })
            .collect()
    }
}

/// Collects the questions that may be prefilled, with their types, by link id. Hidden and read-only questions are never
/// prefilled (DTR sec-4), nor are conditional ones, since they may not be asked.
fn fillable_questions<'a>(parent: &'a Value, questions: &mut HashMap<&'a str, &'a str>) {
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
            (_, Some("group")) => fillable_questions(item, questions),
            (Some(id), Some(kind)) => drop(questions.insert(id, kind)),
            _ => {}
        }
    }
}

impl Source {
    /// The type of the question that this source can answer.
    fn question_type(&self) -> &'static str {
        match self {
            Self::Observation(source) if source.take == Take::Date => "date",
            Self::Order(source) if source.order == OrderPart::Requester => "string",
            Self::Observation(_) | Self::Order(_) => "quantity",
        }
    }

    /// Whether a source for the order's quantity names its unit.
    fn is_complete(&self) -> bool {
        !matches!(
            self,
            Self::Order(OrderSource {
                order: OrderPart::Quantity,
                unit: None
            })
        )
    }

    fn value(&self, sources: PrefillSources<'_>) -> Option<Value> {
        match self {
            Self::Observation(source) => source.value(sources.evidence?, sources.zone),
            Self::Order(OrderSource {
                order: OrderPart::Quantity,
                unit,
            }) => ordered_quantity(sources, unit.as_deref()?),
            Self::Order(OrderSource {
                order: OrderPart::Requester,
                ..
            }) => requester_name(sources).map(Value::String),
        }
    }
}

impl ObservationSource {
    fn value(&self, evidence: &Value, zone: Option<Tz>) -> Option<Value> {
        let resources = evidence.get("res")?;
        let newest = fhir::list(resources, "Observation")
            .filter(|o| self.observation.matches(o))
            .filter_map(|o| Some((effective_instant(o)?, o)))
            .max_by_key(|(at, _)| *at)?
            .1;
        match self.take {
            Take::Value => quantity_in_unit(newest.get("valueQuantity")?, &self.observation.unit),
            Take::Date => Some(json!(day_of(effective_text(newest)?, zone))),
        }
    }
}

impl ObservationFilter {
    fn matches(&self, observation: &Value) -> bool {
        let code_matches = observation.get("code").is_some_and(|concept| {
            coding::codings(concept)
                .any(|c| c.system == coding::LOINC && self.loinc.iter().any(|l| l == c.code))
        });
        let status = fhir::text(observation, &["status"]);
        code_matches
            && self.status.iter().any(|s| Some(s.as_str()) == status)
            && observation
                .get("valueQuantity")
                .is_some_and(|q| quantity_in_unit(q, &self.unit).is_some())
    }
}

/// `Observation.effective[x]` as text: the start of a period.
fn effective_text(observation: &Value) -> Option<&str> {
    ["effectiveDateTime", "effectiveInstant"]
        .iter()
        .find_map(|name| fhir::text(observation, &[name]))
        .or_else(|| fhir::text(observation, &["effectivePeriod", "start"]))
}

/// The day of a result in the time zone of the case, as policies read it; a month or a year stays as it is.
fn day_of(text: &str, zone: Option<Tz>) -> String {
    let days = zone.and_then(|zone| DateRange::read(text, zone));
    match days.filter(|days| days.is_day()) {
        Some(days) => days.first.to_string(),
        None => text.get(..10).unwrap_or(text).to_owned(),
    }
}

/// `Observation.effective[x]` as an instant, for sorting: a day, month or year is represented by its first moment.
fn effective_instant(observation: &Value) -> Option<DateTime<FixedOffset>> {
    let text = effective_text(observation)?;
    fhir::dates::instant(text).or_else(|| {
        let first = DateRange::read(text, chrono_tz::UTC)?.first;
        Some(first.and_hms_opt(0, 0, 0)?.and_utc().fixed_offset())
    })
}

/// The quantity as a FHIR Quantity in the UCUM unit `unit`, if it was sent in that unit. The number is not reformatted.
fn quantity_in_unit(sent: &Value, unit: &str) -> Option<Value> {
    let quantity = quantity::Quantity::read(sent)?;
    let sent_unit = quantity::ucum_of_x12(quantity.unit?).or(quantity.unit)?;
    let value = sent.get("value")?;
    (sent_unit == unit).then(|| json!({ "value": value, "unit": unit, "system": UCUM, "code": unit }))
}

/// The ordered quantity: from the order, else from its facts.
fn ordered_quantity(sources: PrefillSources<'_>, unit: &str) -> Option<Value> {
    let of_order = sources.order.and_then(|o| o.get("quantityQuantity"));
    let of_item = sources.item.and_then(|item| item.get("quantity"));
    [of_order, of_item]
        .into_iter()
        .flatten()
        .find_map(|q| quantity_in_unit(q, unit))
}

/// The requester's name: from the resource in the evidence, else `Reference.display`.
fn requester_name(sources: PrefillSources<'_>) -> Option<String> {
    let order = sources.order?;
    let reference = ["requester", "orderer", "prescriber"]
        .iter()
        .find_map(|name| order.get(*name))?;
    referenced_name(reference, sources.evidence)
}

fn referenced_name(reference: &Value, evidence: Option<&Value>) -> Option<String> {
    let resource = fhir::reference::literal(reference)
        .and_then(fhir::reference::type_and_id)
        .zip(evidence)
        .and_then(|((kind, id), evidence)| {
            fhir::list(evidence.get("res")?, kind).find(|r| fhir::text(r, &["id"]) == Some(id))
        });
    let from_resource = resource.and_then(|resource| match fhir::resource_type(resource) {
        Some("PractitionerRole") => referenced_name(resource.get("practitioner")?, evidence),
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
            .answers(PrefillSources {
                order,
                item: case_document.and_then(|document| document.get("item")),
                evidence: case_document,
                zone: case_document.and_then(|document| fhir::text(document, &["zone"])?.parse().ok()),
            })
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
    fn the_date_is_the_day_in_the_time_zone_of_the_case() {
        let day = |zone: Option<&str>, at: &str| {
            let document =
                json!({ "zone": zone, "res": { "Observation": [saturation("a", "final", at, 87, "%")] } });
            answer(None, Some(&document), "oxygen.test-date").unwrap()
        };
        assert_eq!(
            day(Some("America/New_York"), "2026-09-25T02:00:00Z"),
            "2026-09-24"
        );
        assert_eq!(day(None, "2026-09-25T02:00:00Z"), "2026-09-25");
        assert_eq!(day(Some("America/New_York"), "2026-09-25"), "2026-09-25");
        assert_eq!(day(Some("America/New_York"), "2026-09"), "2026-09");
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
    fn a_source_must_match_a_question_that_can_be_prefilled() {
        let finding = |line: &str| Prefill::read(&format!("answers:\n  {line}\n"), &form()).unwrap_err();
        assert!(finding("oxygen.none: { order: requester }")[0].contains("cannot be prefilled"));
        assert!(finding("oxygen.months: { order: requester }")[0].contains("question's type"));
        assert!(finding("oxygen.months: { order: quantity }")[0].contains("unit"));
        assert!(finding("oxygen.dependent-edema: { order: requester }")[0].contains("conditional"));
        assert!(!finding("oxygen.months: { order: quantity, units: mo }").is_empty());
        let mut hidden = form();
        hidden["item"][2]["item"][1]["readOnly"] = json!(true);
        let text = "answers:\n  oxygen.prescriber: { order: requester }\n";
        assert!(Prefill::read(text, &hidden).unwrap_err()[0].contains("read-only"));
    }
}
