//! `Request::read` on arbitrary changes of a Bundle: it may return an error but must not panic.

use super::FORM;
use assent::demo::walk::messages::Messages;
use assent::ig::pas::PasVersion;
use assent::pas::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A change at one place of the Bundle.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Put(Value),
    Double,
}

fn change() -> impl Strategy<Value = Change> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("#p1")),
        Just(json!("Patient/p1/_history/2")),
        Just(json!("urn:uuid:")),
        Just(json!("https://ehr.demo.example/fhir/Claim/")),
        Just(json!({ "reference": "Organization/payer" })),
        Just(json!([[], {}, [{}]])),
    ];
    prop_oneof![
        Just(Change::Remove),
        leaf.prop_map(Change::Put),
        Just(Change::Double)
    ]
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            places(member, &format!("{at}/{name}"), found);
        }),
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(n, member)| places(member, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

fn apply(bundle: &mut Value, place: &str, change: &Change) {
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", ""));
    match change {
        Change::Put(value) => {
            if let Some(target) = bundle.pointer_mut(place) {
                *target = value.clone();
            }
        }
        Change::Remove => match bundle.pointer_mut(parent) {
            Some(Value::Object(members)) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
            Some(Value::Array(list)) => drop(
                name.parse()
                    .ok()
                    .filter(|n| *n < list.len())
                    .map(|n: usize| list.remove(n)),
            ),
            _ => {}
        },
        Change::Double => {
            if let Some(Value::Array(list)) = bundle.pointer_mut(parent)
                && let Some(copy) = name.parse().ok().and_then(|n: usize| list.get(n)).cloned()
            {
                list.push(copy);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_reader_never_panics_on_a_changed_bundle(changes in proptest::collection::vec((any::<prop::sample::Index>(), change()), 1..5)) {
        let guide = PasVersion::V2_2.guide();
        let now = crate::support::start();
        let mut bundle = Messages::new(now).oxygen_request(FORM, Some("assertion"), 87, "stat");
        for (index, change) in &changes {
            let mut all = Vec::new();
            places(&bundle, "", &mut all);
            apply(&mut bundle, &all[index.index(all.len())], change);
        }
        for read in [Request::read(guide, &bundle), Request::read_inquiry(guide, &bundle)] {
            match read {
                Ok(request) => {
                    let _ = (request.urgent(), request.priority(), request.claim_identifier(), request.items().count());
                    prop_assert!(request.claim_identifier().contains('|'));
                }
                Err(error) => prop_assert!(!error.issues().is_empty(), "the error has no issue with a place: {error}"),
            }
        }
    }
}

#[test]
fn the_unchanged_bundle_passes_the_checks() {
    let bundle = Messages::new(crate::support::start()).oxygen_request(FORM, None, 87, "stat");
    let request = Request::read(PasVersion::V2_2.guide(), &bundle).unwrap();
    assert!(request.urgent());
    assert_eq!(request.items().count(), 1);
}
