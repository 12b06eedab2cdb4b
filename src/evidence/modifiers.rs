//! Modifiers: elements that can change what a resource means (FHIR R4, "Modifier extensions" and `implicitRules`). This
//! server understands none, so a resource that has one is not understood.

use serde_json::Value;

/// The place of the first modifier in a resource or element, at any depth: `component[0].modifierExtension`.
pub fn first_modifier(value: &Value) -> Option<String> {
    let mut steps = Vec::new();
    if !find(value, &mut steps) {
        return None;
    }
    let mut place = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Member(name) if place.is_empty() => place.push_str(name),
            Step::Member(name) => place.extend([".", name]),
            Step::Index(n) => place.push_str(&format!("[{n}]")),
        }
    }
    Some(place)
}

enum Step<'a> {
    Member(&'a str),
    Index(usize),
}

/// Whether there is a modifier. `steps` gets the way to the first one, innermost step first.
fn find<'a>(value: &'a Value, steps: &mut Vec<Step<'a>>) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, member)| {
            let found = match name.as_str() {
                "modifierExtension" => !is_empty(member),
                "implicitRules" | "_implicitRules" => !member.is_null(),
                _ => find(member, steps),
            };
            if found {
                steps.push(Step::Member(name));
            }
            found
        }),
        Value::Array(all) => all.iter().enumerate().any(|(n, member)| {
            let found = find(member, steps);
            if found {
                steps.push(Step::Index(n));
            }
            found
        }),
        _ => false,
    }
}

fn is_empty(extensions: &Value) -> bool {
    extensions.is_null() || extensions.as_array().is_some_and(Vec::is_empty)
}
