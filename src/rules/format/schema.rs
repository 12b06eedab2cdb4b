//! The JSON Schemas in `rules/schema/`, generated from the types that read the files, so that an editor completes and
//! checks exactly what loading accepts. `UPDATE_SCHEMA=1 cargo test --lib rules::format::schema` generates them again.

use crate::rules::format::conditions::{
    AtLeastKeys, Condition, ConditionKeys, CountKeys, Criterion, CriterionKeys, DayLimit, Limit, Literal,
};
use crate::rules::format::policy_file::{FromKeys, PolicyKeys, ResourceSearch};
use crate::rules::load::files::AnswersFile;
use crate::rules::period::Period;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;
use std::borrow::Cow;
use std::path::Path;

/// One sentence, or a list of sentences with their codes.
pub(in crate::rules) struct Reasons;

/// The schema of a type that is read through another type, or that has several forms.
macro_rules! schemas {
    ($($name:ident: $(#[$one:ident])? $build:expr;)+) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let build: fn(&mut SchemaGenerator) -> Schema = $build;
                build(generator)
            }
        })+
    };
}

schemas! {
    Criterion: |g| CriterionKeys::json_schema(g);
    Condition: |g| ConditionKeys::json_schema(g);
    Literal: |_| json_schema!({ "type": ["boolean", "number", "string"] });
    Limit: |_| json_schema!({
        "description": "A number, or a number with its UCUM unit: \"55 mm[Hg]\".",
        "anyOf": [{ "type": "number" }, { "type": "string", "pattern": "^-?[0-9]+([.][0-9]+)? [!-~]+$" }]
    });
    DayLimit: |_| json_schema!({
        "description": "A day of the case, or a date.",
        "anyOf": [{ "enum": ["received", "service-start"] }, { "type": "string", "format": "date" }]
    });
    Period: |_| json_schema!({
        "description": "A number and days, weeks, months or years.",
        "type": "string", "pattern": "^[0-9]+ (day|week|month|year)s?$"
    });
    FromKeys: |g| {
        let search = g.subschema_for::<ResourceSearch>();
        json_schema!({ "anyOf": [{ "type": "string", "description": "A JSONPath (RFC 9535) that finds nodes." }, search] })
    };
    AtLeastKeys: |g| {
        let (count, limit) = (g.subschema_for::<CountKeys>(), g.subschema_for::<Limit>());
        json_schema!({ "anyOf": [count, limit] })
    };
    Reasons: |_| json_schema!({
        "description": "The reason in one sentence, or a list of reasons, each with a code of CRD's value set if one fits.",
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["text"],
                "properties": { "code": { "type": ["string", "null"] }, "text": { "type": "string" } } } }
        ]
    });
}

fn schema_of<T: JsonSchema>(title: &str) -> String {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    text
}

fn assert_current(file: &str, schema: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/schema")).join(file);
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    if std::env::var("UPDATE_SCHEMA").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, schema).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, schema,
        "rules/schema/{file} is out of date; run the test with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schema_of_policies_is_up_to_date() {
    assert_current("pa-policy-1.schema.json", &schema_of::<PolicyKeys>("pa-policy/1"));
}

#[test]
fn the_schema_of_answers_is_up_to_date() {
    assert_current(
        "pa-answers-1.schema.json",
        &schema_of::<AnswersFile>("pa-answers/1"),
    );
}

#[test]
fn every_object_of_the_schema_refuses_unknown_keys() {
    fn objects<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
        if value.get("properties").is_some() {
            found.push(value);
        }
        match value {
            Value::Object(members) => members.values().for_each(|v| objects(v, found)),
            Value::Array(all) => all.iter().for_each(|v| objects(v, found)),
            _ => {}
        }
    }
    let schema: Value = serde_json::from_str(&schema_of::<PolicyKeys>("x")).unwrap();
    let mut all = Vec::new();
    objects(&schema, &mut all);
    assert!(all.len() > 20, "{}", all.len());
    for one in all {
        assert_eq!(one["additionalProperties"], false, "{one}");
    }
    assert!(
        !schema.to_string().contains("deny\""),
        "the format has a key that denies"
    );
}
