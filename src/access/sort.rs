//! The order of the matches of a search: the parameter `_sort` (FHIR R4, "Search", section "Sorting"). A key is the
//! name of a search parameter of the resource type, with `-` in front for descending order.

use super::search::{IndexedValue, ParameterType, SearchParameter};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::cmp::Ordering;

/// One key of `_sort`.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    parameter: &'static SearchParameter,
    descending: bool,
}

/// A value that can be compared with another one of the same parameter.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    Time(DateTime<Utc>),
    Text(String),
}

impl SortKey {
    /// Reads one key. `None` if the resource type has no search parameter with this name.
    pub fn parse(parameters: &'static [SearchParameter], key: &str) -> Option<Self> {
        let name = key.strip_prefix('-').unwrap_or(key);
        let parameter = parameters.iter().find(|parameter| parameter.name == name)?;
        Some(Self {
            parameter,
            descending: name.len() < key.len(),
        })
    }

    /// The name of the search parameter.
    pub fn name(self) -> &'static str {
        self.parameter.name
    }

    /// The value of a resource that counts: the lowest in ascending order, the highest in descending order.
    fn value(self, resource: &Value) -> Option<SortValue> {
        let values = (self.parameter.values)(resource)
            .into_iter()
            .map(|value| match value {
                IndexedValue::Date(range) if self.descending => SortValue::Time(range.to),
                IndexedValue::Date(range) => SortValue::Time(range.from),
                IndexedValue::Code(_, code) => SortValue::Text(code),
                IndexedValue::Text(text) if self.parameter.parameter_type == ParameterType::String => {
                    SortValue::Text(crate::plan::fold_name(&text))
                }
                IndexedValue::Text(text) => SortValue::Text(text),
            });
        if self.descending {
            values.max()
        } else {
            values.min()
        }
    }

    fn compare(self, one: &Value, other: &Value) -> Ordering {
        match (self.value(one), self.value(other)) {
            (Some(one), Some(other)) if self.descending => other.cmp(&one),
            (Some(one), Some(other)) => one.cmp(&other),
            // A resource without a value comes last in both orders.
            (one, other) => other.is_some().cmp(&one.is_some()),
        }
    }
}

/// Sorts resources, each with something that belongs to it, by the keys, the first key first. Resources that are equal in
/// all of them keep their order.
pub fn sort<T>(resources: &mut [(Value, T)], keys: &[SortKey]) {
    if keys.is_empty() {
        return;
    }
    resources.sort_by(|(one, _), (other, _)| {
        let orders = keys.iter().map(|key| key.compare(one, other));
        orders.fold(Ordering::Equal, Ordering::then)
    });
}

#[cfg(test)]
mod tests {
    use super::super::searchable::PATIENT;
    use super::*;
    use serde_json::json;

    fn sorted(keys: &str) -> Vec<String> {
        let patient = |id: &str, birth_date: Option<&str>, family: &str| {
            let mut patient = json!({ "resourceType": "Patient", "id": id, "name": [{ "family": family }] });
            if let Some(birth_date) = birth_date {
                patient["birthDate"] = json!(birth_date);
            }
            patient
        };
        let mut resources = [
            patient("1", Some("1960-01-01"), "b"),
            patient("2", None, "C"),
            patient("3", Some("1950-01-01"), "a"),
            patient("4", Some("1960-01-01"), "A"),
        ]
        .map(|resource| (resource, ()));
        let keys: Vec<SortKey> = keys
            .split(',')
            .map(|key| SortKey::parse(PATIENT.parameters, key).unwrap())
            .collect();
        sort(&mut resources, &keys);
        resources
            .iter()
            .map(|(resource, ())| resource["id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn keys_sort_in_their_order_and_a_missing_value_comes_last() {
        assert_eq!(sorted("birthdate"), ["3", "1", "4", "2"]);
        assert_eq!(sorted("-birthdate"), ["1", "4", "3", "2"]);
        assert_eq!(sorted("-birthdate,family"), ["4", "1", "3", "2"]);
        assert_eq!(sorted("family,-_id"), ["4", "3", "1", "2"]);
    }

    #[test]
    fn an_unknown_key_is_not_read() {
        assert!(SortKey::parse(PATIENT.parameters, "color").is_none());
        assert!(SortKey::parse(PATIENT.parameters, "-").is_none());
    }
}
