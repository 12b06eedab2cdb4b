//! `Parameters`, the body of FHIR operations (FHIR R4, section "Executing an Operation"): one reader for PAS `$submit`
//! and `$inquire` and for the operations of DTR.

use super::bundle::require_bundle;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One parameter of a `Parameters` resource, with its place.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    index: usize,
    element: &'a Value,
}

impl<'a> Parameter<'a> {
    /// The FHIRPath of the parameter: `Parameters.parameter[0]`.
    pub fn path(&self) -> String {
        format!("Parameters.parameter[{}]", self.index)
    }

    /// `parameter.name`.
    pub fn name(&self) -> Option<&'a str> {
        super::text(self.element, &["name"])
    }

    /// `parameter.resource`, if it has a `resourceType`.
    pub fn resource(&self) -> Option<&'a Value> {
        let resource = self.element.get("resource")?;
        super::resource_type(resource).map(|_| resource)
    }

    /// A value that is text, such as `valueString`; `member` is the JSON name.
    pub fn text(&self, member: &str) -> Option<&'a str> {
        super::text(self.element, &[member])
    }
}

/// The parameters of a body, in its order. A body that is not a `Parameters` resource is an error.
pub fn read_parameters(body: &Value) -> Result<Vec<Parameter<'_>>> {
    if super::resource_type(body) != Some("Parameters") {
        return Err(Error::malformed("The body must be a Parameters resource").at_element("Parameters"));
    }
    Ok(super::list(body, "parameter")
        .enumerate()
        .map(|(index, element)| Parameter { index, element })
        .collect())
}

/// The Bundle that the body of an operation holds. Both fields are the Bundle alone, also when the client sent it in
/// `Parameters`, so that whoever reads the stored text later reads what the operation read.
#[derive(Debug)]
pub struct BundleBody {
    /// The Bundle's text, byte for byte as received.
    pub text: String,
    /// The same, parsed.
    pub value: Value,
}

/// A `Parameters` resource of which the parameters are text.
#[derive(Deserialize)]
struct ParametersText<'a> {
    #[serde(borrow)]
    parameter: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ParameterText<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
}

impl BundleBody {
    /// Takes a Bundle as it is and unwraps the one Bundle in the parameter `resource` of a `Parameters` resource
    /// (PAS operations `Claim-submit` and `Claim-inquiry`). `value` is `text`, parsed. A `Parameters`
    /// resource with more than one Bundle is refused at the second.
    pub fn read(text: String, value: Value) -> Result<Self> {
        if super::resource_type(&value) != Some("Parameters") {
            require_bundle(&value)?;
            return Ok(Self { text, value });
        }
        let parameters = read_parameters(&value)?;
        let mut bundles = parameters
            .iter()
            .filter(|p| p.resource().is_some_and(|r| require_bundle(r).is_ok()));
        let first = bundles.next().filter(|p| p.name() == Some("resource"));
        if let Some(second) = bundles.next() {
            return Err(Error::invalid(
                second.path(),
                "Parameters must hold one Bundle. Send each request in a call of its own.",
            ));
        }
        let Some(parameter) = first else {
            let message =
                "The body must be a Bundle, or Parameters with a Bundle in the parameter 'resource'";
            return Err(Error::malformed(message).at_element("resourceType"));
        };
        Self::cut(&text, parameter.index)
    }

    /// The Bundle in the parameter with this index.
    fn cut(text: &str, index: usize) -> Result<Self> {
        // `Value` keeps the last of two members with the same name, these structs refuse both: a text that could be
        // read in two ways is not stored.
        let ambiguous = |_| {
            let message = "A parameter must not have the members 'parameter' or 'resource' twice";
            Error::malformed(message).at_element(format!("Parameters.parameter[{index}]"))
        };
        let outer: ParametersText<'_> = serde_json::from_str(text).map_err(ambiguous)?;
        let parameter = outer.parameter.get(index).map_or("", |raw| raw.get());
        let inner: ParameterText<'_> = serde_json::from_str(parameter).map_err(ambiguous)?;
        let text = inner.resource.get();
        Ok(Self {
            text: text.to_owned(),
            value: serde_json::from_str(text).map_err(ambiguous)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BundleBody> {
        BundleBody::read(text.to_owned(), serde_json::from_str(text).unwrap())
    }

    fn refused(text: &str) -> (crate::error::ErrorKind, String) {
        let error = read(text).unwrap_err();
        (error.kind(), error.issues()[0].expression.clone())
    }

    #[test]
    fn a_bundle_is_taken_as_it_is() {
        let text = r#" { "resourceType": "Bundle",  "total": 1.10 } "#;
        assert_eq!(read(text).unwrap().text, text);
    }

    #[test]
    fn the_bundle_in_parameters_keeps_its_own_text() {
        let bundle = r#"{ "resourceType" : "Bundle", "n":1.10,
            "entry": [ {"fullUrl":"urn:1" } ] }"#;
        let text = format!(
            r#"{{ "resourceType": "Parameters", "parameter": [ null, {{ "name": "note", "valueString": "x" }},
            {{ "name": "resource", "resource": {bundle} }} ] }}"#
        );
        let body = read(&text).unwrap();
        assert_eq!(body.text, bundle);
        assert_eq!(body.value, serde_json::from_str::<Value>(bundle).unwrap());
    }

    #[test]
    fn a_second_bundle_is_refused_at_its_parameter() {
        let text = r#"{ "resourceType": "Parameters", "parameter": [
            { "name": "resource", "resource": { "resourceType": "Bundle" } }, { "name": "note", "valueString": "x" },
            { "name": "other", "resource": { "resourceType": "Bundle" } } ] }"#;
        let place = "Parameters.parameter[2]".to_owned();
        assert_eq!(refused(text), (crate::error::ErrorKind::Invalid, place));
    }

    #[test]
    fn what_is_neither_a_bundle_nor_parameters_with_one_is_refused() {
        for text in [
            r#"{ "resourceType": "Claim" }"#,
            "[]",
            r#"{ "resourceType": "Parameters" }"#,
            r#"{ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": { "resourceType": "Claim" } }] }"#,
            r#"{ "resourceType": "Parameters", "parameter": [{ "name": "return", "resource": { "resourceType": "Bundle" } }] }"#,
        ] {
            let place = "resourceType".to_owned();
            assert_eq!(
                refused(text),
                (crate::error::ErrorKind::Malformed, place),
                "{text}"
            );
        }
    }

    #[test]
    fn parameters_that_can_be_read_in_two_ways_are_refused() {
        let bundle = r#"{ "name": "resource", "resource": { "resourceType": "Bundle" } }"#;
        let twice = r#"{ "name": "resource", "resource": { "resourceType": "Bundle", "id": "a" },
            "resource": { "resourceType": "Bundle", "id": "b" } }"#;
        for text in [
            format!(r#"{{ "resourceType": "Parameters", "parameter": [{twice}] }}"#),
            format!(r#"{{ "resourceType": "Parameters", "parameter": [], "parameter": [{bundle}] }}"#),
        ] {
            let place = "Parameters.parameter[0]".to_owned();
            assert_eq!(refused(&text), (crate::error::ErrorKind::Malformed, place));
        }
    }
}
