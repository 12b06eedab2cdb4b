//! The facts of one claim item or one order: `item` of the case document. Both have the same shape.

use crate::fhir::{coding, extension, extensions, get, list, quantity, reference, resource_type, text};
use serde_json::{Map, Value, json};

const REQUESTED_SERVICE: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-requestedService";
const BILLING_OPTIONS: &str = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options";

/// The facts of a `Claim.item`. The codes are those of `productOrService`, their systems in the stored spelling. X12
/// units become UCUM units where a UCUM unit exists.
pub fn claim_item_facts(claim: &Value, item: &Value) -> Value {
    let mut facts = Map::new();
    put(&mut facts, "sequence", item.get("sequence").cloned());
    let codes = item
        .get("productOrService")
        .into_iter()
        .flat_map(codes_of)
        .collect();
    put(&mut facts, "codes", Some(Value::Array(distinct(codes))));
    put(&mut facts, "quantity", item.get("quantity").and_then(quantity_of));
    put(&mut facts, "period", period_of(item, "serviced"));
    put(&mut facts, "place", place_of(item));
    put(
        &mut facts,
        "performer",
        performer_of(claim, item).map(Value::from),
    );
    let requested =
        extension(item, REQUESTED_SERVICE).and_then(|e| text(e, &["valueReference", "reference"]));
    put(&mut facts, "request_ref", requested.map(Value::from));
    Value::Object(facts)
}

/// The facts of an order (`ServiceRequest`, `DeviceRequest`, `MedicationRequest`, `NutritionOrder`,
/// `CommunicationRequest` or `VisionPrescription`). Its billing options (CRD `ext-billing-options`) count as codes.
pub fn order_item_facts(order: &Value) -> Value {
    let mut facts = Map::new();
    put(&mut facts, "sequence", Some(json!(1)));
    put(
        &mut facts,
        "codes",
        Some(Value::Array(distinct(order_codes(order)))),
    );
    put(&mut facts, "quantity", order_quantity(order));
    put(&mut facts, "period", period_of(order, "occurrence"));
    let place = list(order, "locationCode").flat_map(codes_of).next();
    put(&mut facts, "place", place.and_then(|c| c.get("code").cloned()));
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

fn distinct(codes: Vec<Value>) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::with_capacity(codes.len());
    for code in codes {
        if !seen.contains(&code) {
            seen.push(code);
        }
    }
    seen
}

fn order_codes(order: &Value) -> Vec<Value> {
    let mut concepts: Vec<&Value> = ["code", "codeCodeableConcept", "medicationCodeableConcept"]
        .iter()
        .filter_map(|name| order.get(*name))
        .collect();
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
        .flat_map(|at| extensions(at, BILLING_OPTIONS));
    let options: Vec<&Value> = options.filter_map(|e| e.get("valueCodeableConcept")).collect();
    concepts.into_iter().chain(options).flat_map(codes_of).collect()
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

fn place_of(item: &Value) -> Option<Value> {
    codes_of(item.get("locationCodeableConcept")?)
        .first()?
        .get("code")
        .cloned()
}

/// The reference to the provider of the first care-team member that the item names.
fn performer_of<'a>(claim: &'a Value, item: &Value) -> Option<&'a str> {
    let sequence = list(item, "careTeamSequence").next()?;
    let member = list(claim, "careTeam").find(|member| member.get("sequence") == Some(sequence))?;
    text(member, &["provider", "reference"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::coding::{CPT, HCPCS};

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
        assert_eq!(claim_item_facts(&claim, &item), order_item_facts(&order));
        assert_eq!(
            order_item_facts(&order)["quantity"],
            json!({ "value": 12, "unit": "mo" })
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
        let item = order_item_facts(&order);
        let codes: Vec<&str> = list(&item, "codes").filter_map(|c| text(c, &["code"])).collect();
        assert_eq!(codes, ["24623002", "77061", "77062"]);
    }

    #[test]
    fn the_quantity_of_a_device_order_is_the_duration_of_its_timing() {
        let order = json!({ "resourceType": "DeviceRequest", "codeCodeableConcept": { "coding": [{ "system": HCPCS, "code": "E1390" }] },
            "occurrenceTiming": { "repeat": { "boundsDuration": { "value": 12, "code": "mo" } } } });
        assert_eq!(
            order_item_facts(&order)["quantity"],
            json!({ "value": 12, "unit": "mo" })
        );
    }
}
