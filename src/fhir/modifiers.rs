//! Modifiers: `modifierExtension` and `implicitRules` can change what everything around them means (FHIR R4,
//! "Extensibility"). Whoever decides on a resource must understand each of them or leave the resource alone.

use serde_json::Value;

/// One modifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Modifier<'a> {
    /// The FHIRPath of the element that it modifies.
    pub element: String,
    /// The FHIRPath of the modifier itself.
    pub path: String,
    /// The extension; `None` for `implicitRules`.
    pub extension: Option<&'a Value>,
}

impl<'a> Modifier<'a> {
    /// The URL of the extension, if the modifier is one.
    pub fn url(&self) -> Option<&'a str> {
        super::text(self.extension?, &["url"])
    }
}

/// Every modifier of a resource or element, at any depth. `path` is its FHIRPath.
pub fn modifiers<'a>(value: &'a Value, path: &str) -> Vec<Modifier<'a>> {
    let mut found = Vec::new();
    visit(value, &mut path.to_owned(), &mut found);
    found
}

fn visit<'a>(value: &'a Value, path: &mut String, found: &mut Vec<Modifier<'a>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "modifierExtension" => {
                        let own = format!("{path}.{name}");
                        add_extensions(member, path, &own, found);
                    }
                    "implicitRules" | "_implicitRules" if !super::is_empty(member) => found.push(Modifier {
                        element: path.clone(),
                        path: format!("{path}.{name}"),
                        extension: None,
                    }),
                    _ if member.is_object() || member.is_array() => {
                        super::at_member(path, name, |path| visit(member, path, found));
                    }
                    _ => {}
                }
            }
        }
        Value::Array(all) => {
            for (n, one) in all.iter().enumerate() {
                super::at_index(path, n, |path| visit(one, path, found));
            }
        }
        _ => {}
    }
}

fn add_extensions<'a>(member: &'a Value, element: &str, path: &str, found: &mut Vec<Modifier<'a>>) {
    let mut add = |extension: &'a Value, path: String| {
        if !super::is_empty(extension) {
            found.push(Modifier {
                element: element.to_owned(),
                path,
                extension: Some(extension),
            });
        }
    };
    match member {
        Value::Array(all) => all
            .iter()
            .enumerate()
            .for_each(|(n, extension)| add(extension, format!("{path}[{n}]"))),
        other => add(other, path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modifiers_are_found_at_any_depth_with_their_urls() {
        let claim = json!({
            "implicitRules": "urn:rules",
            "item": [{}, { "modifierExtension": [{ "url": "a" }, { "url": "b" }],
                "detail": [{ "modifierExtension": [{ "valueBoolean": true }] }] }],
        });
        let mut found: Vec<_> = modifiers(&claim, "Claim")
            .into_iter()
            .map(|m| (m.path.clone(), m.url()))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                ("Claim.implicitRules".to_owned(), None),
                ("Claim.item[1].detail[0].modifierExtension[0]".to_owned(), None),
                ("Claim.item[1].modifierExtension[0]".to_owned(), Some("a")),
                ("Claim.item[1].modifierExtension[1]".to_owned(), Some("b")),
            ]
        );
    }

    #[test]
    fn null_and_empty_modifiers_are_none() {
        let claim = json!({ "implicitRules": null, "modifierExtension": [], "item": [{ "modifierExtension": [null] }, { "modifierExtension": null }] });
        assert_eq!(modifiers(&claim, "Claim"), []);
        assert_eq!(
            modifiers(&json!({ "modifierExtension": { "url": "a" } }), "C").len(),
            1
        );
    }
}
