//! Searches (FHIR R4, section 3.1.1): parameters read against a table per resource type, matched on the resources as
//! they are shown. Values of one parameter are alternatives, parameters add up. Error sentences name parameters, never
//! their values.

use super::span::{Prefix, Span};
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A type that can be searched.
#[derive(Debug)]
pub struct Kind {
    /// The resource type.
    pub name: &'static str,
    /// Its profile, for the capability statement.
    pub profile: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Its `_include` values: parameter name and the elements that it follows (JSON pointers, `*` = each).
    pub includes: &'static [(&'static str, &'static [&'static str])],
}

/// One search parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// How its values are written.
    pub form: Form,
    /// What a resource has to compare them with.
    pub found: fn(&Value) -> Vec<Found>,
}

/// How values of a parameter are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `system|code`
    Token,
    /// With a prefix.
    Date,
    /// To this resource type: `id`, `Type/id` or a full URL.
    Reference(&'static str),
    /// The beginning of a text, letters alone counted.
    Text,
    /// A canonical, with or without its version.
    Canonical,
}

impl Form {
    /// The code in a capability statement.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Date => "date",
            Self::Reference(_) => "reference",
            Self::Text => "string",
            Self::Canonical => "uri",
        }
    }
}

/// Something of a resource that a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A code and its system (empty = none).
    Code(String, String),
    /// A time.
    Time(Span),
    /// A reference `Type/id`, a name or a canonical.
    Text(String),
}

/// One value of a query.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    Date(Prefix, Span),
    Text(String),
}

/// A search that was read.
#[derive(Debug)]
pub struct Search {
    clauses: Vec<(&'static Parameter, Vec<Wanted>)>,
    /// The includes that were asked for: the element paths to follow.
    pub follow: Vec<&'static str>,
    /// Whether the payors of included coverages are wanted too.
    pub follow_payor: bool,
    /// How many matches a page holds.
    pub count: usize,
    /// The last match of the page before.
    pub after: Option<String>,
    asked: Vec<(String, String)>,
}

/// How many matches a page holds when nothing else is asked.
const PAGE: usize = 50;
/// How many matches a page holds at most.
const MOST: usize = 200;
/// Parameters about the answer that change nothing here.
const WITHOUT_EFFECT: [&str; 3] = ["_pretty", "_total", "_revinclude"];

impl Search {
    /// Reads the pairs of a query and of a posted form. `base` is this FHIR base.
    pub fn read(kind: &'static Kind, pairs: Vec<(String, String)>, base: &str) -> Result<Self> {
        let mut search = Self {
            clauses: Vec::new(),
            follow: Vec::new(),
            follow_payor: false,
            count: PAGE,
            after: None,
            asked: Vec::new(),
        };
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            search.add(kind, &name, &value, base)?;
            search.asked.push((name, value));
        }
        Ok(search)
    }

    fn add(&mut self, kind: &'static Kind, name: &str, value: &str, base: &str) -> Result<()> {
        match name {
            "_count" => {
                let count: usize = value.parse().map_err(|_| bad(name, "takes a whole number"))?;
                self.count = count.min(MOST);
            }
            "_after" => self.after = Some(value.to_owned()),
            "_format" if !value.contains("json") => return Err(bad(name, "can only be json here")),
            "_format" => {}
            "_include" | "_include:iterate" => self.include(kind, name, value)?,
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ => {
                let parameter = parameter(kind, name)?;
                let wanted: Result<Vec<Wanted>> =
                    value.split(',').map(|one| wanted(parameter, one, base)).collect();
                self.clauses.push((parameter, wanted?));
            }
        }
        Ok(())
    }

    fn include(&mut self, kind: &'static Kind, name: &str, value: &str) -> Result<()> {
        if value == "Coverage:payor" {
            self.follow_payor = true;
            if kind.name != "Coverage" {
                return Ok(());
            }
        }
        let parameter = value
            .split_once(':')
            .filter(|(of, _)| *of == kind.name)
            .map(|(_, parameter)| parameter);
        let parameter = parameter.and_then(|p| p.split(':').next());
        let known = kind
            .includes
            .iter()
            .filter(|(name, _)| parameter == Some("*") || parameter == Some(*name));
        let before = self.follow.len();
        self.follow
            .extend(known.flat_map(|(_, paths)| paths.iter().copied()));
        if self.follow.len() > before {
            Ok(())
        } else {
            Err(bad(name, "names a reference that is not known here"))
        }
    }

    /// Whether a resource is a match.
    pub fn matches(&self, resource: &Value, now: DateTime<Utc>) -> bool {
        self.clauses.iter().all(|(parameter, any)| {
            let found = (parameter.found)(resource);
            any.iter()
                .any(|wanted| found.iter().any(|found| fits(parameter.form, wanted, found, now)))
        })
    }

    /// The query as it was understood, for the link to this page, or to the one after `last`.
    pub fn query(&self, last: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            self.asked
                .iter()
                .filter(|(name, _)| last.is_none() || name != "_after"),
        );
        if let Some(last) = last {
            query.append_pair("_after", last);
        }
        query.finish()
    }
}

fn bad(name: &str, why: &str) -> Error {
    Error::malformed(format!("The parameter {name} {why}"))
}

/// The parameter of this name; a reference may carry its type as modifier.
fn parameter(kind: &'static Kind, name: &str) -> Result<&'static Parameter> {
    let (bare, modifier) = name
        .split_once(':')
        .map_or((name, None), |(bare, modifier)| (bare, Some(modifier)));
    let parameter = kind.parameters.iter().find(|parameter| parameter.name == bare);
    let Some(parameter) = parameter else {
        let known: Vec<&str> = kind.parameters.iter().map(|parameter| parameter.name).collect();
        return Err(bad(
            name,
            &format!("is not known for {}; known are {}", kind.name, known.join(", ")),
        ));
    };
    match (modifier, parameter.form) {
        (None, _) => Ok(parameter),
        (Some(modifier), Form::Reference(target)) if modifier == target => Ok(parameter),
        _ => Err(bad(name, "has a modifier that is not known here")),
    }
}

fn wanted(parameter: &Parameter, value: &str, base: &str) -> Result<Wanted> {
    Ok(match parameter.form {
        Form::Token => match value.split_once('|') {
            Some((system, code)) => Wanted::Token {
                system: Some(system.to_owned()),
                code: Some(code.to_owned()).filter(|code| !code.is_empty()),
            },
            None => Wanted::Token {
                system: None,
                code: Some(value.to_owned()),
            },
        },
        Form::Date => {
            let (prefix, date) = Prefix::split(value);
            let span = Span::read(date).ok_or_else(|| bad(parameter.name, "takes a date or an instant"))?;
            Wanted::Date(prefix, span)
        }
        Form::Reference(target) => {
            let own = value
                .strip_prefix(base)
                .map_or(value, |rest| rest.trim_start_matches('/'));
            Wanted::Text(if own.contains('/') {
                own.to_owned()
            } else {
                format!("{target}/{own}")
            })
        }
        Form::Text => Wanted::Text(crate::plan::fold(value)),
        Form::Canonical => Wanted::Text(value.to_owned()),
    })
}

fn fits(form: Form, wanted: &Wanted, found: &Found, now: DateTime<Utc>) -> bool {
    match (wanted, found) {
        (Wanted::Token { system, code }, Found::Code(has_system, has_code)) => {
            system.as_ref().is_none_or(|system| system == has_system)
                && code.as_ref().is_none_or(|code| code == has_code)
        }
        (Wanted::Date(prefix, asked), Found::Time(found)) => prefix.holds(*found, *asked, now),
        (Wanted::Text(wanted), Found::Text(found)) if form == Form::Text => {
            crate::plan::fold(found).starts_with(wanted)
        }
        (Wanted::Text(wanted), Found::Text(found)) => wanted == found,
        _ => false,
    }
}
