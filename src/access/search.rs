//! Reads and evaluates searches of the member API (FHIR R4, section 3.1.1).
//!
//! Parameters are looked up in the table of the resource type (`searchable`) and compared with the resources as they
//! are shown. Several values of one parameter are alternatives (OR); several parameters must all match (AND). Error
//! texts name the parameter and never repeat its value.

use super::date_range::{DateRange, Prefix};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A resource type that can be searched.
#[derive(Debug)]
pub struct SearchableType {
    /// The resource type, such as `Coverage`.
    pub name: &'static str,
    /// The profile's canonical URL, for the capability statement.
    pub profile: &'static str,
    /// The supported search parameters.
    pub parameters: &'static [SearchParameter],
    /// The supported `_include` values: the parameter name and the paths of the references that it follows (JSON
    /// pointers; `*` stands for every element of a list).
    pub includes: &'static [(&'static str, &'static [&'static str])],
}

/// A search parameter.
#[derive(Debug)]
pub struct SearchParameter {
    /// The name, such as `service-date`.
    pub name: &'static str,
    /// How its values are written and compared.
    pub parameter_type: ParameterType,
    /// Returns the values of a resource that the parameter is compared with.
    pub values: fn(&Value) -> Vec<IndexedValue>,
}

/// The type of a search parameter (FHIR R4, section 3.1.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// `code` or `system|code`.
    Token,
    /// A date or an instant, with an optional prefix such as `ge`.
    Date,
    /// A reference to this resource type: `id`, `Type/id` or a full URL.
    Reference(&'static str),
    /// The beginning of a text. Case and punctuation are ignored.
    String,
    /// A canonical URL, with or without a version.
    Canonical,
}

impl ParameterType {
    /// The code that a capability statement uses (value set `search-param-type`).
    pub fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Date => "date",
            Self::Reference(_) => "reference",
            Self::String => "string",
            Self::Canonical => "uri",
        }
    }
}

/// A value of a resource that a search parameter is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexedValue {
    /// A system (empty if there is none) and a code.
    Code(String, String),
    /// A date, an instant or a period.
    Date(DateRange),
    /// A reference `Type/id`, a name or a canonical URL.
    Text(String),
}

/// A value that the caller searches for.
#[derive(Debug, Clone, PartialEq)]
enum QueryValue {
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    Date(Prefix, DateRange),
    Text(String),
}

/// A parsed search.
#[derive(Debug)]
pub struct Search {
    conditions: Vec<(&'static SearchParameter, Vec<QueryValue>)>,
    /// The paths of the references to include (JSON pointers; `*` stands for every element of a list).
    pub include_paths: Vec<&'static str>,
    /// Whether to include the payer of every included coverage.
    pub include_payor: bool,
    /// The number of matches per page.
    pub count: usize,
    /// The id of the last match on the previous page.
    pub after: Option<String>,
    /// The query as received, for the links of the response.
    query_pairs: Vec<(String, String)>,
}

/// The number of matches per page when the caller does not set `_count`.
const DEFAULT_PAGE_SIZE: usize = 50;
/// The largest number of matches per page.
const MAX_PAGE_SIZE: usize = 200;
/// Parameters that are accepted and have no effect.
const IGNORED_PARAMETERS: [&str; 3] = ["_pretty", "_total", "_revinclude"];

impl Search {
    /// Parses the name-value pairs of a query string and of a posted form. `base` is the URL of this FHIR base.
    ///
    /// # Errors
    ///
    /// `Malformed` for an unsupported parameter, modifier or `_include`, and for a value that cannot be read.
    pub fn parse(
        searchable: &'static SearchableType,
        pairs: Vec<(String, String)>,
        base: &str,
    ) -> Result<Self> {
        let mut search = Self {
            conditions: Vec::new(),
            include_paths: Vec::new(),
            include_payor: false,
            count: DEFAULT_PAGE_SIZE,
            after: None,
            query_pairs: Vec::new(),
        };
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            search.add_pair(searchable, &name, &value, base)?;
            search.query_pairs.push((name, value));
        }
        Ok(search)
    }

    fn add_pair(
        &mut self,
        searchable: &'static SearchableType,
        name: &str,
        value: &str,
        base: &str,
    ) -> Result<()> {
        match name {
            "_count" => {
                let count: usize = value
                    .parse()
                    .map_err(|_| invalid_parameter(name, "must be a whole number"))?;
                self.count = count.min(MAX_PAGE_SIZE);
            }
            "_after" => self.after = Some(value.to_owned()),
            "_format" if !value.contains("json") => {
                return Err(invalid_parameter(name, "must be json"));
            }
            "_format" => {}
            "_include" | "_include:iterate" => self.add_include(searchable, name, value)?,
            _ if IGNORED_PARAMETERS.contains(&name) => {}
            _ => {
                let parameter = find_parameter(searchable, name)?;
                let values: Result<Vec<QueryValue>> = value
                    .split(',')
                    .map(|one| parse_value(parameter, one, base))
                    .collect();
                self.conditions.push((parameter, values?));
            }
        }
        Ok(())
    }

    fn add_include(&mut self, searchable: &'static SearchableType, name: &str, value: &str) -> Result<()> {
        if value == "Coverage:payor" {
            self.include_payor = true;
            if searchable.name != "Coverage" {
                return Ok(());
            }
        }
        let parameter = value
            .split_once(':')
            .filter(|(source_type, _)| *source_type == searchable.name)
            .map(|(_, parameter)| parameter);
        let parameter = parameter.and_then(|p| p.split(':').next());
        let supported = searchable
            .includes
            .iter()
            .filter(|(name, _)| parameter == Some("*") || parameter == Some(*name));
        let before = self.include_paths.len();
        self.include_paths
            .extend(supported.flat_map(|(_, paths)| paths.iter().copied()));
        if self.include_paths.len() > before {
            Ok(())
        } else {
            Err(invalid_parameter(
                name,
                "has a value that is not supported; the capability statement lists the supported values",
            ))
        }
    }

    /// Whether a resource matches. `now` is used by the prefix `ap`.
    pub fn matches(&self, resource: &Value, now: DateTime<Utc>) -> bool {
        self.conditions.iter().all(|(parameter, alternatives)| {
            let indexed = (parameter.values)(resource);
            alternatives.iter().any(|wanted| {
                indexed
                    .iter()
                    .any(|value| value_matches(parameter.parameter_type, wanted, value, now))
            })
        })
    }

    /// The query string of this page, or of the page that follows the match with the id `after`.
    pub fn to_query(&self, after: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            self.query_pairs
                .iter()
                .filter(|(name, _)| after.is_none() || name != "_after"),
        );
        if let Some(after) = after {
            query.append_pair("_after", after);
        }
        query.finish()
    }
}

fn invalid_parameter(name: &str, why: &str) -> Error {
    Error::malformed(format!("The search parameter {name} {why}"))
}

/// Finds the parameter with this name. A reference parameter may carry its target type as a modifier.
fn find_parameter(searchable: &'static SearchableType, name: &str) -> Result<&'static SearchParameter> {
    let (bare_name, modifier) = name
        .split_once(':')
        .map_or((name, None), |(bare, modifier)| (bare, Some(modifier)));
    let parameter = searchable
        .parameters
        .iter()
        .find(|parameter| parameter.name == bare_name);
    let Some(parameter) = parameter else {
        let supported: Vec<&str> = searchable
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        return Err(invalid_parameter(
            name,
            &format!(
                "is not supported for {}. Supported: {}",
                searchable.name,
                supported.join(", ")
            ),
        ));
    };
    match (modifier, parameter.parameter_type) {
        (None, _) => Ok(parameter),
        (Some(modifier), ParameterType::Reference(target)) if modifier == target => Ok(parameter),
        _ => Err(invalid_parameter(name, "has a modifier that is not supported")),
    }
}

fn parse_value(parameter: &SearchParameter, value: &str, base: &str) -> Result<QueryValue> {
    Ok(match parameter.parameter_type {
        ParameterType::Token => match value.split_once('|') {
            Some((system, code)) => QueryValue::Token {
                system: Some(system.to_owned()),
                code: Some(code.to_owned()).filter(|code| !code.is_empty()),
            },
            None => QueryValue::Token {
                system: None,
                code: Some(value.to_owned()),
            },
        },
        ParameterType::Date => {
            let (prefix, date) = Prefix::split_from(value);
            let range = DateRange::parse(date)
                .ok_or_else(|| invalid_parameter(parameter.name, "must be a date or an instant"))?;
            QueryValue::Date(prefix, range)
        }
        ParameterType::Reference(target) => {
            let relative = value
                .strip_prefix(base)
                .map_or(value, |rest| rest.trim_start_matches('/'));
            QueryValue::Text(if relative.contains('/') {
                relative.to_owned()
            } else {
                format!("{target}/{relative}")
            })
        }
        ParameterType::String => QueryValue::Text(crate::plan::fold_name(value)),
        ParameterType::Canonical => QueryValue::Text(value.to_owned()),
    })
}

fn value_matches(
    parameter_type: ParameterType,
    wanted: &QueryValue,
    indexed: &IndexedValue,
    now: DateTime<Utc>,
) -> bool {
    match (wanted, indexed) {
        (QueryValue::Token { system, code }, IndexedValue::Code(indexed_system, indexed_code)) => {
            system.as_ref().is_none_or(|system| system == indexed_system)
                && code.as_ref().is_none_or(|code| code == indexed_code)
        }
        (QueryValue::Date(prefix, wanted), IndexedValue::Date(indexed)) => {
            prefix.matches(*indexed, *wanted, now)
        }
        (QueryValue::Text(wanted), IndexedValue::Text(indexed))
            if parameter_type == ParameterType::String =>
        {
            crate::plan::fold_name(indexed).starts_with(wanted)
        }
        (QueryValue::Text(wanted), IndexedValue::Text(indexed)) => wanted == indexed,
        _ => false,
    }
}
