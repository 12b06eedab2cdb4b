//! Who asks, by National Provider Identifier: the provider that a request or an order names and, behind a role, the
//! person and the organization. Reads FHIR, decides nothing.

use crate::fhir::reference::literal;
use crate::fhir::{NPI, identifiers, list, resource_type, text};
use serde_json::Value;

/// The NPIs of one requester.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// Each once, in the order in which they were found.
    pub npis: Vec<String>,
}

impl Requester {
    /// The requester that a `Reference` element names, by its own identifier or by the resource that `find` brings for
    /// a reference.
    pub fn of<'a>(named: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) -> Self {
        let mut requester = Self::default();
        requester.add(named, find);
        let role = literal(named)
            .and_then(find)
            .filter(|r| resource_type(r) == Some("PractitionerRole"));
        for name in ["practitioner", "organization"] {
            if let Some(behind) = role.and_then(|role| role.get(name)) {
                requester.add(behind, find);
            }
        }
        requester
    }

    fn add<'a>(&mut self, named: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) {
        let own = named
            .get("identifier")
            .filter(|i| text(i, &["system"]) == Some(NPI))
            .and_then(|i| text(i, &["value"]));
        let resource = literal(named).and_then(find);
        let found = resource
            .into_iter()
            .flat_map(identifiers)
            .filter(|(system, _)| *system == NPI)
            .map(|(_, value)| value);
        for npi in own.into_iter().chain(found) {
            if !self.npis.iter().any(|known| known == npi) {
                self.npis.push(npi.to_owned());
            }
        }
    }
}

/// The requester of an order, its resource looked for inside the order and among `resources`.
pub fn requester_of_order<'a>(order: &'a Value, resources: &[&'a Value]) -> Requester {
    let name = match resource_type(order) {
        Some("VisionPrescription") => "prescriber",
        Some("NutritionOrder") => "orderer",
        _ => "requester",
    };
    let Some(named) = order.get(name) else {
        return Requester::default();
    };
    Requester::of(named, &|reference| {
        if let Some(id) = reference.strip_prefix('#') {
            return list(order, "contained").find(|c| text(c, &["id"]) == Some(id));
        }
        let (kind, id) = crate::fhir::reference::type_and_id(reference)?;
        resources
            .iter()
            .copied()
            .find(|r| resource_type(r) == Some(kind) && text(r, &["id"]) == Some(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn practitioner(id: &str, npi: &str) -> Value {
        json!({ "resourceType": "Practitioner", "id": id, "identifier": [{ "system": NPI, "value": npi }] })
    }

    #[test]
    fn an_order_leads_to_its_practitioner() {
        let order = json!({ "resourceType": "ServiceRequest", "requester": { "reference": "https://e.example/fhir/Practitioner/a" } });
        let (a, b) = (practitioner("a", "1"), practitioner("b", "2"));
        assert_eq!(requester_of_order(&order, &[&b, &a]).npis, ["1"]);
        assert!(requester_of_order(&order, &[&b]).npis.is_empty());
    }

    #[test]
    fn behind_a_role_stand_a_person_and_an_organization() {
        let role = json!({ "resourceType": "PractitionerRole", "id": "r",
            "practitioner": { "reference": "Practitioner/a" },
            "organization": { "identifier": { "system": NPI, "value": "3" } } });
        let order =
            json!({ "resourceType": "DeviceRequest", "requester": { "reference": "PractitionerRole/r" } });
        let a = practitioner("a", "1");
        assert_eq!(requester_of_order(&order, &[&role, &a]).npis, ["1", "3"]);
    }

    #[test]
    fn a_requester_inside_the_order_and_one_by_number_are_found() {
        let order = json!({ "resourceType": "NutritionOrder", "contained": [practitioner("in", "1")],
            "orderer": { "reference": "#in", "identifier": { "system": NPI, "value": "2" } } });
        assert_eq!(requester_of_order(&order, &[]).npis, ["2", "1"]);
        assert!(
            requester_of_order(&json!({ "resourceType": "ServiceRequest" }), &[])
                .npis
                .is_empty()
        );
    }
}
