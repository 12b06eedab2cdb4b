//! Reads and evaluates searches of the member API (FHIR R4, section 3.1.1).
//!
//! Parameters are looked up in the table of the resource type (`searchable`) and compared with the resources as they
//! are shown. Several values of one parameter are alternatives (OR); several parameters must all match (AND). A
//! parameter that is not supported is refused or ignored, as the caller prefers (`Handling`). Error texts name the
//! parameter and never repeat its value.

use super::date_range::{DateRange, Prefix};
use super::sort::SortKey;
use super::subset::Subset;
use crate::error::{Error, Result};
use crate::wire::Handling;
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
    /// The keys of `_sort`. Without any, the newest match comes first.
    pub sort_keys: Vec<SortKey>,
    /// The part of each match that is returned.
    pub subset: Subset,
    handling: Handling,
    /// The parameters that counted, for the links of the response.
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
    /// `Malformed` for an unsupported modifier and for a value that cannot be read; with strict handling also for an
    /// unsupported parameter, sort key or `_include`.
    pub fn parse(
        searchable: &'static SearchableType,
        pairs: Vec<(String, String)>,
        base: &str,
        handling: Handling,
    ) -> Result<Self> {
        let mut search = Self {
            conditions: Vec::new(),
            include_paths: Vec::new(),
            include_payor: false,
            count: DEFAULT_PAGE_SIZE,
            after: None,
            sort_keys: Vec::new(),
            subset: Subset::Whole,
            handling,
            query_pairs: Vec::new(),
        };
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            search.add_pair(searchable, &name, &value, base)?;
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
                self.set_pair(name, self.count.to_string());
            }
            "_after" => {
                self.after = Some(value.to_owned());
                self.set_pair(name, value.to_owned());
            }
            "_sort" => self.set_sort_keys(searchable, name, value)?,
            "_summary" | "_elements" => self.set_subset(name, value)?,
            "_format" if !value.contains("json") => {
                return Err(invalid_parameter(name, "must be json"));
            }
            "_format" => self.set_pair(name, value.to_owned()),
            "_include" | "_include:iterate" => self.add_include(searchable, name, value)?,
            _ if IGNORED_PARAMETERS.contains(&name) => {}
            _ => self.add_condition(searchable, name, value, base)?,
        }
        Ok(())
    }

    /// Keeps a parameter for the links of the response, instead of an earlier one with the same name.
    fn set_pair(&mut self, name: &str, value: String) {
        self.query_pairs.retain(|(earlier, _)| earlier != name);
        self.query_pairs.push((name.to_owned(), value));
    }

    /// Lenient handling ignores what is not supported.
    fn ignore_if_lenient(&self, error: Error) -> Result<()> {
        match self.handling {
            Handling::Lenient => Ok(()),
            Handling::Strict => Err(error),
        }
    }

    fn add_condition(
        &mut self,
        searchable: &'static SearchableType,
        name: &str,
        value: &str,
        base: &str,
    ) -> Result<()> {
        let (bare_name, modifier) = match name.split_once(':') {
            Some((bare_name, modifier)) => (bare_name, Some(modifier)),
            None => (name, None),
        };
        let parameter = searchable
            .parameters
            .iter()
            .find(|parameter| parameter.name == bare_name);
        let Some(parameter) = parameter else {
            return self.ignore_if_lenient(unsupported_parameter(searchable, name));
        };
        check_modifier(parameter, name, modifier)?;
        let values = value.split(',').map(|one| parse_value(parameter, one, base));
        let values = values.collect::<Result<Vec<QueryValue>>>()?;
        self.conditions.push((parameter, values));
        self.query_pairs.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn set_sort_keys(&mut self, searchable: &'static SearchableType, name: &str, value: &str) -> Result<()> {
        let (mut keys, mut texts) = (Vec::new(), Vec::new());
        for text in value.split(',').map(str::trim) {
            match SortKey::parse(searchable.parameters, text) {
                Some(key) => {
                    keys.push(key);
                    texts.push(text);
                }
                None => self.ignore_if_lenient(invalid_parameter(
                    name,
                    "has a key that is not a search parameter of this resource type",
                ))?,
            }
        }
        if !keys.is_empty() {
            self.sort_keys = keys;
            self.set_pair(name, texts.join(","));
        }
        Ok(())
    }

    fn set_subset(&mut self, name: &str, value: &str) -> Result<()> {
        self.subset = Subset::parse(name, value)?;
        let other = if name == "_summary" {
            "_elements"
        } else {
            "_summary"
        };
        if self.query_pairs.iter().any(|(earlier, _)| earlier == other) {
            return Err(invalid_parameter(
                name,
                &format!("cannot be combined with {other}"),
            ));
        }
        self.set_pair(name, value.to_owned());
        Ok(())
    }

    fn add_include(&mut self, searchable: &'static SearchableType, name: &str, value: &str) -> Result<()> {
        if value == "Coverage:payor" {
            self.include_payor = true;
            if searchable.name != "Coverage" {
                self.query_pairs.push((name.to_owned(), value.to_owned()));
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
            self.query_pairs.push((name.to_owned(), value.to_owned()));
            return Ok(());
        }
        self.ignore_if_lenient(invalid_parameter(
            name,
            "has a value that is not supported; the capability statement lists the supported values",
        ))
    }

    /// Whether conditions and sort keys use these search parameters only.
    pub fn uses_only(&self, names: &[&str]) -> bool {
        let conditions = self.conditions.iter().map(|(parameter, _)| parameter.name);
        let keys = self.sort_keys.iter().map(|key| key.name());
        conditions.chain(keys).all(|name| names.contains(&name))
    }

    /// The ids that the search is limited to; none if it is not.
    pub fn ids(&self) -> Option<Vec<&str>> {
        let (_, values) = self
            .conditions
            .iter()
            .find(|(parameter, _)| parameter.name == "_id")?;
        let ids = values.iter().filter_map(|value| match value {
            QueryValue::Token { code, .. } => code.as_deref(),
            _ => None,
        });
        Some(ids.collect())
    }

    /// The number of matches on this page.
    pub fn page_size(&self) -> usize {
        if self.subset == Subset::Count {
            0
        } else {
            self.count
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

/// The error for a search parameter whose value or name cannot be used.
pub fn invalid_parameter(name: &str, why: &str) -> Error {
    Error::malformed(format!("The search parameter {name} {why}"))
}

fn unsupported_parameter(searchable: &SearchableType, name: &str) -> Error {
    let supported: Vec<&str> = searchable
        .parameters
        .iter()
        .map(|parameter| parameter.name)
        .collect();
    let why = format!(
        "is not supported for {}. Supported: {}",
        searchable.name,
        supported.join(", ")
    );
    invalid_parameter(name, &why)
}

/// A reference parameter may carry its target type as a modifier. A modifier that is not supported is always an error,
/// because ignoring it could reverse the meaning of the search.
fn check_modifier(parameter: &SearchParameter, name: &str, modifier: Option<&str>) -> Result<()> {
    match (modifier, parameter.parameter_type) {
        (None, _) => Ok(()),
        (Some(modifier), ParameterType::Reference(target)) if modifier == target => Ok(()),
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
