//! The facts of one claim item or one order: `item` of the case document. Both have the same shape.

use crate::fhir::{coding, extension, extensions, get, list, quantity, reference, resource_type, text};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

const REQUESTED_SERVICE: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-requestedService";
const CODE_END: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-productOrServiceCodeEnd";
const PLACE_OF_SERVICE: &str =
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set";

/// The elements of an order whose concept says what is ordered.
const ORDERED_CONCEPTS: [&str; 4] = [
    "code",
    "codeCodeableConcept",
    "medicationCodeableConcept",
    "itemCodeableConcept",
];
const BILLING_OPTIONS: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options";

/// What the items of a claim share, read once for all of them.
#[derive(Debug)]
pub struct ClaimParts<'a> {
    /// The provider of each care-team member, by sequence.
    providers: HashMap<u64, &'a str>,
    /// The days of the whole claim, for items without their own.
    period: Option<Value>,
}

impl<'a> ClaimParts<'a> {
    /// Reads the claim.
    pub fn new(claim: &'a Value) -> Self {
        let mut providers = HashMap::new();
        for member in list(claim, "careTeam") {
            let sequence = member.get("sequence").and_then(Value::as_u64);
            if let Some((sequence, provider)) = sequence.zip(text(member, &["provider", "reference"])) {
                providers.entry(sequence).or_insert(provider);
            }
        }
        Self {
            providers,
            period: period_of_claim(claim),
        }
    }

    /// The facts of a `Claim.item`. The codes are those of `productOrService`, their systems in the stored spelling. X12
    /// units become UCUM units where a UCUM unit exists.
    pub fn item_facts(&self, item: &Value) -> Value {
        let mut facts = Map::new();
        put(&mut facts, "sequence", item.get("sequence").cloned());
        let codes = item
            .get("productOrService")
            .into_iter()
            .flat_map(codes_of)
            .collect();
        put(&mut facts, "codes", Some(Value::Array(distinct(codes))));
        put(&mut facts, "modifiers", claim_modifiers(item));
        let end_of_range = extension(item, CODE_END).and_then(|e| e.get("valueCodeableConcept"));
        let code_end = end_of_range.and_then(|concept| codes_of(concept).into_iter().next());
        put(&mut facts, "code_end", code_end);
        put(&mut facts, "quantity", item.get("quantity").and_then(quantity_of));
        let period = period_of(item, "serviced").or_else(|| self.period.clone());
        put(&mut facts, "period", period);
        put(
            &mut facts,
            "place",
            place_in(item.get("locationCodeableConcept").into_iter()),
        );
        put(&mut facts, "performer", self.performer(item).map(Value::from));
        let requested =
            extension(item, REQUESTED_SERVICE).and_then(|e| text(e, &["valueReference", "reference"]));
        put(&mut facts, "request_ref", requested.map(Value::from));
        Value::Object(facts)
    }

    /// The reference to the provider of the first care-team member that the item names.
    fn performer(&self, item: &Value) -> Option<&'a str> {
        let sequence = list(item, "careTeamSequence").next()?.as_u64()?;
        self.providers.get(&sequence).copied()
    }
}

/// The facts of an order (`ServiceRequest`, `DeviceRequest`, `MedicationRequest`, `NutritionOrder`,
/// `CommunicationRequest`, `VisionPrescription` or `SupplyRequest`). Its billing options (CRD `ext-billing-options`)
/// count as codes. `find` returns the resource that a literal reference of the order names, because a Medication or a
/// Device may hold the codes.
pub fn order_item_facts<'a>(order: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) -> Value {
    let mut facts = Map::new();
    put(&mut facts, "sequence", Some(json!(1)));
    put(
        &mut facts,
        "codes",
        Some(Value::Array(distinct(order_codes(order, find)))),
    );
    put(&mut facts, "modifiers", order_modifiers(order));
    put(&mut facts, "quantity", order_quantity(order));
    put(&mut facts, "period", period_of(order, "occurrence"));
    put(&mut facts, "place", place_in(list(order, "locationCode")));
    let performer = get(order, &["performer"]).and_then(|p| match p {
        Value::Array(all) => all.first().and_then(reference::literal),
        one => reference::literal(one),
    });
    put(&mut facts, "performer", performer.map(Value::from));
    let own = resource_type(order)
        .zip(text(order, &["id"]))
        .map(|(kind, id)| format!("{kind}/{id}"));
    put(&mut facts, "request_ref", own.map(Value::from));
    Value::Object(facts)
}

fn put(facts: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        facts.insert(name.into(), value);
    }
}

fn codes_of(concept: &Value) -> Vec<Value> {
    coding::codings(concept)
        .map(|c| json!({ "system": c.system, "code": c.code }))
        .collect()
}

/// Each code once. A list may be as long as a sender likes.
fn distinct(codes: Vec<Value>) -> Vec<Value> {
    if codes.len() < 2 {
        return codes;
    }
    let mut seen = HashSet::with_capacity(codes.len());
    codes
        .into_iter()
        .filter(|code| {
            let part = |name| text(code, &[name]).unwrap_or("").to_owned();
            seen.insert((part("system"), part("code")))
        })
        .collect()
}

/// The references of an order to the resource that says what is ordered, a Medication or a Device.
pub fn ordered_references(order: &Value) -> impl Iterator<Item = &str> {
    ["medicationReference", "codeReference", "itemReference"]
        .into_iter()
        .filter_map(|name| reference::literal(order.get(name)?))
}

fn order_codes<'a>(order: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) -> Vec<Value> {
    let mut concepts: Vec<&Value> = ORDERED_CONCEPTS
        .iter()
        .filter_map(|name| order.get(*name))
        .collect();
    let ordered: Vec<&Value> = ordered_references(order).filter_map(find).collect();
    concepts.extend(
        ordered
            .iter()
            .flat_map(|resource| ["code", "type"].iter().filter_map(|name| resource.get(*name))),
    );
    match resource_type(order) {
        Some("NutritionOrder") => {
            concepts.extend(order.get("oralDiet").into_iter().flat_map(|d| list(d, "type")));
            concepts.extend(list(order, "supplement").filter_map(|s| s.get("type")));
            concepts.extend(get(order, &["enteralFormula", "baseFormulaType"]));
        }
        Some("VisionPrescription") => {
            concepts.extend(list(order, "lensSpecification").filter_map(|l| l.get("product")));
        }
        // The requested item is in R5's `payload.content[x]`, which R4 carries as an extension of the payload.
        Some("CommunicationRequest") => {
            concepts.extend(
                list(order, "payload")
                    .flat_map(|p| list(p, "extension"))
                    .filter_map(|e| e.get("valueCodeableConcept")),
            );
        }
        _ => {}
    }
    let options = concepts
        .iter()
        .copied()
        .chain([order])
        .chain(ordered.iter().copied())
        .flat_map(|at| extensions(at, BILLING_OPTIONS));
    let options: Vec<&Value> = options.filter_map(|e| e.get("valueCodeableConcept")).collect();
    concepts.into_iter().chain(options).flat_map(codes_of).collect()
}

/// The codes of an order that are modifiers of HCPCS or CPT: two letters or digits in `ServiceRequest.orderDetail` or in
/// the parameters of a `DeviceRequest`.
fn order_modifiers(order: &Value) -> Option<Value> {
    let parameters = list(order, "parameter").filter_map(|p| p.get("valueCodeableConcept"));
    let codings = list(order, "orderDetail")
        .chain(parameters)
        .flat_map(coding::codings);
    let modifiers: Vec<Value> = codings
        .filter(|c| matches!(c.system.as_ref(), coding::HCPCS | coding::CPT) && is_modifier(c.code))
        .map(|c| json!({ "system": c.system, "code": c.code }))
        .collect();
    (!modifiers.is_empty()).then(|| Value::Array(distinct(modifiers)))
}

fn is_modifier(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The codes of `Claim.item.modifier`, whatever their system.
fn claim_modifiers(item: &Value) -> Option<Value> {
    let modifiers: Vec<Value> = list(item, "modifier").flat_map(codes_of).collect();
    (!modifiers.is_empty()).then(|| Value::Array(distinct(modifiers)))
}

/// The quantity of an order: `quantityQuantity` of a ServiceRequest, the dispensed quantity of a MedicationRequest, or
/// the duration of the timing of a DeviceRequest, which has no quantity.
fn order_quantity(order: &Value) -> Option<Value> {
    [
        &["quantityQuantity"][..],
        &["dispenseRequest", "quantity"],
        &["occurrenceTiming", "repeat", "boundsDuration"],
    ]
    .iter()
    .find_map(|path| get(order, path).and_then(quantity_of))
}

fn quantity_of(quantity: &Value) -> Option<Value> {
    let read = quantity::Quantity::read(quantity)?;
    let value = quantity.get("value")?;
    let unit = read.unit.map(|u| quantity::ucum_of_x12(u).unwrap_or(u));
    Some(match unit {
        Some(unit) => json!({ "value": value, "unit": unit }),
        None => json!({ "value": value }),
    })
}

/// `{start, end}` as the resource writes them. A single date is both start and end.
fn period_of(element: &Value, prefix: &str) -> Option<Value> {
    let one = ["Date", "DateTime"]
        .iter()
        .find_map(|s| element.get(format!("{prefix}{s}")).and_then(Value::as_str));
    if let Some(date) = one {
        return Some(json!({ "start": date, "end": date }));
    }
    let period = element
        .get(format!("{prefix}Period"))
        .or_else(|| get(element, &["occurrenceTiming", "repeat", "boundsPeriod"]))?;
    let mut facts = Map::new();
    for end in ["start", "end"] {
        put(
            &mut facts,
            end,
            period.get(end).filter(|d| d.is_string()).cloned(),
        );
    }
    (!facts.is_empty()).then_some(Value::Object(facts))
}

/// The days of the whole claim, for items without their own: the patient event, the admission, or the billable period
/// (PAS 2.2.1, `supportingInfo`).
fn period_of_claim(claim: &Value) -> Option<Value> {
    let of_category = |code: &str| {
        list(claim, "supportingInfo")
            .filter(|info| {
                info.get("category")
                    .is_some_and(|category| coding::codings(category).any(|c| c.code == code))
            })
            .find_map(|info| period_of(info, "timing"))
    };
    of_category("patientEvent")
        .or_else(|| of_category("admissionDates"))
        .or_else(|| period_of(claim, "billable"))
}

/// The code for the place of service among all codings of these concepts: one in the CMS list of places, otherwise the
/// first code.
fn place_in<'a>(concepts: impl Iterator<Item = &'a Value>) -> Option<Value> {
    let concepts: Vec<&Value> = concepts.collect();
    let listed = concepts.iter().find_map(|c| coding::code_in(c, PLACE_OF_SERVICE));
    let first = || {
        concepts
            .iter()
            .find_map(|c| coding::codings(c).next().map(|c| c.code))
    };
    listed.or_else(first).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::coding::{CPT, HCPCS};

    fn claim_item_facts(claim: &Value, item: &Value) -> Value {
        ClaimParts::new(claim).item_facts(item)
    }

    #[test]
    fn a_claim_item_and_an_order_have_the_same_facts() {
        let claim = json!({ "careTeam": [{ "sequence": 1, "provider": { "reference": "Practitioner/p" } }] });
        let item = json!({
            "sequence": 1, "careTeamSequence": [1],
            "productOrService": { "coding": [{ "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390" }] },
            "quantity": { "value": 12, "code": "MO", "system": "https://codesystem.x12.org/005010/673" },
            "servicedPeriod": { "start": "2026-10-05", "end": "2027-10-04" },
            "extension": [{ "url": REQUESTED_SERVICE, "valueReference": { "reference": "ServiceRequest/s" } }]
        });
        let order = json!({
            "resourceType": "ServiceRequest", "id": "s",
            "code": { "coding": [{ "system": HCPCS, "code": "E1390" }] },
            "quantityQuantity": { "value": 12, "unit": "months", "code": "mo", "system": "http://unitsofmeasure.org" },
            "occurrencePeriod": { "start": "2026-10-05", "end": "2027-10-04" },
            "performer": [{ "reference": "Practitioner/p" }]
        });
        assert_eq!(
            claim_item_facts(&claim, &item),
            order_item_facts(&order, &|_| None)
        );
        assert_eq!(
            order_item_facts(&order, &|_| None)["quantity"],
            json!({ "value": 12, "unit": "mo" })
        );
    }

    #[test]
    fn modifiers_and_the_end_of_a_range_are_facts_of_a_claim_item() {
        let modifier = |code: &str| json!({ "coding": [{ "system": HCPCS, "code": code }] });
        let item = json!({
            "productOrService": { "coding": [{ "system": HCPCS, "code": "E1390" }] },
            "modifier": [modifier("RR"), modifier("KX"), modifier("RR")],
            "extension": [{ "url": CODE_END, "valueCodeableConcept": modifier("E1392") }]
        });
        let facts = claim_item_facts(&json!({}), &item);
        let code = |code: &str| json!({ "system": HCPCS, "code": code });
        assert_eq!(facts["modifiers"], json!([code("RR"), code("KX")]));
        assert_eq!(facts["code_end"], code("E1392"));
        assert_eq!(facts["codes"], json!([code("E1390")]));
    }

    #[test]
    fn an_item_without_days_has_those_of_the_claim() {
        let category = |code: &str| json!({ "coding": [{ "system": "urn:own", "code": "x" }, { "system": "urn:temp", "code": code }] });
        let claim = json!({
            "billablePeriod": { "start": "2026-01-01", "end": "2026-01-31" },
            "supportingInfo": [
                { "category": category("admissionDates"), "timingPeriod": { "start": "2026-10-05", "end": "2026-10-09" } },
                { "category": category("patientEvent"), "timingDate": "2026-10-04" },
            ],
        });
        let period = |claim: &Value, item: Value| claim_item_facts(claim, &item)["period"].clone();
        assert_eq!(period(&claim, json!({}))["start"], "2026-10-04");
        assert_eq!(
            period(&claim, json!({ "servicedDate": "2026-11-01" }))["start"],
            "2026-11-01"
        );
        let without_event = json!({ "billablePeriod": claim["billablePeriod"], "supportingInfo": [claim["supportingInfo"][0]] });
        assert_eq!(period(&without_event, json!({}))["end"], "2026-10-09");
        assert_eq!(
            period(&json!({ "billablePeriod": claim["billablePeriod"] }), json!({}))["end"],
            "2026-01-31"
        );
    }

    #[test]
    fn billing_options_count_as_codes() {
        let options = |code: &str| json!([{ "url": BILLING_OPTIONS, "valueCodeableConcept": { "coding": [{ "system": CPT, "code": code }] } }]);
        let order = json!({
            "resourceType": "ServiceRequest",
            "extension": options("77062"),
            "code": { "extension": options("77061"), "coding": [{ "system": "http://snomed.info/sct", "code": "24623002" }] }
        });
        let item = order_item_facts(&order, &|_| None);
        let codes: Vec<&str> = list(&item, "codes").filter_map(|c| text(c, &["code"])).collect();
        assert_eq!(codes, ["24623002", "77061", "77062"]);
    }

    #[test]
    fn the_quantity_of_a_device_order_is_the_duration_of_its_timing() {
        let order = json!({ "resourceType": "DeviceRequest", "codeCodeableConcept": { "coding": [{ "system": HCPCS, "code": "E1390" }] },
            "occurrenceTiming": { "repeat": { "boundsDuration": { "value": 12, "code": "mo" } } } });
        assert_eq!(
            order_item_facts(&order, &|_| None)["quantity"],
            json!({ "value": 12, "unit": "mo" })
        );
    }
}
