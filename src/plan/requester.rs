//! The NPIs of the requester: the provider that a request or an order names. For a `PractitionerRole` they are the NPIs
//! of its practitioner and its organization.

use crate::fhir::reference::literal;
use crate::fhir::{NPI, identifiers, resource_type, text};
use serde_json::Value;

/// One requester, identified by National Provider Identifiers (NPI).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// NPIs without repetition, in the order in which they were found.
    pub npis: Vec<String>,
}

impl Requester {
    /// Reads the requester from a `Reference` element: from the reference's own identifier and from the resource that
    /// `find` returns for it. `find` takes a literal reference.
    pub fn resolve<'a>(reference: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) -> Self {
        let mut requester = Self::default();
        requester.add(reference, find);
        let role = literal(reference)
            .and_then(find)
            .filter(|r| resource_type(r) == Some("PractitionerRole"));
        for name in ["practitioner", "organization"] {
            if let Some(part) = role.and_then(|role| role.get(name)) {
                requester.add(part, find);
            }
        }
        requester
    }

    fn add<'a>(&mut self, reference: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) {
        let own_identifier = reference
            .get("identifier")
            .filter(|i| text(i, &["system"]) == Some(NPI))
            .and_then(|i| text(i, &["value"]));
        let resource = literal(reference).and_then(find);
        let of_resource = resource
            .into_iter()
            .flat_map(identifiers)
            .filter(|(system, _)| *system == NPI)
            .map(|(_, value)| value);
        for npi in own_identifier.into_iter().chain(of_resource) {
            if !self.npis.iter().any(|known| known == npi) {
                self.npis.push(npi.to_owned());
            }
        }
    }
}

/// The requester of an order. `find` returns the resource that a literal reference of the order names.
pub fn requester_of_order<'a>(order: &'a Value, find: &dyn Fn(&str) -> Option<&'a Value>) -> Requester {
    let element = match resource_type(order) {
        Some("VisionPrescription") => "prescriber",
        Some("NutritionOrder") => "orderer",
        _ => "requester",
    };
    order.get(element).map_or_else(Requester::default, |requester| {
        Requester::resolve(requester, find)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::reference::ByTypeAndId;
    use serde_json::json;

    fn npis(order: &Value, resources: &[&Value]) -> Vec<String> {
        let index = ByTypeAndId::new(resources.iter().copied());
        requester_of_order(order, &|reference| index.find(reference, order)).npis
    }

    fn practitioner(id: &str, npi: &str) -> Value {
        json!({ "resourceType": "Practitioner", "id": id, "identifier": [{ "system": NPI, "value": npi }] })
    }

    #[test]
    fn an_order_leads_to_its_practitioner() {
        let order = json!({ "resourceType": "ServiceRequest", "requester": { "reference": "https://e.example/fhir/Practitioner/a" } });
        let (a, b) = (practitioner("a", "1"), practitioner("b", "2"));
        assert_eq!(npis(&order, &[&b, &a]), ["1"]);
        assert!(npis(&order, &[&b]).is_empty());
    }

    #[test]
    fn a_role_leads_to_its_practitioner_and_its_organization() {
        let role = json!({ "resourceType": "PractitionerRole", "id": "r",
            "practitioner": { "reference": "Practitioner/a" },
            "organization": { "identifier": { "system": NPI, "value": "3" } } });
        let order =
            json!({ "resourceType": "DeviceRequest", "requester": { "reference": "PractitionerRole/r" } });
        let a = practitioner("a", "1");
        assert_eq!(npis(&order, &[&role, &a]), ["1", "3"]);
    }

    #[test]
    fn a_contained_requester_and_one_named_by_identifier_are_found() {
        let order = json!({ "resourceType": "NutritionOrder", "contained": [practitioner("in", "1")],
            "orderer": { "reference": "#in", "identifier": { "system": NPI, "value": "2" } } });
        assert_eq!(npis(&order, &[]), ["2", "1"]);
        assert!(npis(&json!({ "resourceType": "ServiceRequest" }), &[]).is_empty());
    }
}
