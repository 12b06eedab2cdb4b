//! Reads YAML files. A mistake becomes a finding with file and line, a number without quotes is never read as a text,
//! and the line of every key is available for the checks that follow.

use crate::rules::finding::Finding;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};
use std::collections::HashMap;
use std::fmt;

/// The finding for a key that no rule file may have.
const NO_DENY: &str = "A rule cannot deny, and this format has no key 'deny'";
/// What to do instead of denying.
const USE_PEND: &str = "Route requests that are not approved to manual review: decision.otherwise.pend";

/// The greatest depth of nested lists and maps: three times what a policy needs, and not deep enough to exhaust the
/// stack.
const MAX_DEPTH: usize = 32;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        no_schema: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Reads one file. The finding has the line where reading stopped.
pub(crate) fn read_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Finding> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| finding(file, &error))
}

fn finding(file: &str, error: &serde_saphyr::Error) -> Finding {
    let line = error
        .location()
        .and_then(|l| usize::try_from(l.line()).ok())
        .filter(|l| *l > 0);
    let text = error.to_string();
    // The library repeats the place at the end, and names one of its own settings.
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    let message = message
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(message);
    Finding::new(file, line, message).fix(fix(message))
}

/// How to fix a mistake, by a part of its message.
fn fix(message: &str) -> &'static str {
    [
        (
            "unknown field",
            "Correct the key; docs/policies.md lists the keys of each section",
        ),
        ("missing field", "Add the key; docs/policies.md explains it"),
        ("unknown variant", "Write one of the words in the message"),
        ("must be quoted", "Put it in quotes; codes and versions are texts"),
        ("duplicate", "Keep one of the two"),
        ("input", "Write a day as 2026-10-01"),
        (
            "not a length of time",
            "Write a number and days, weeks, months or years",
        ),
        (
            "not a number with a unit",
            "Write the UCUM unit without a space inside: mm[Hg]",
        ),
        (
            "only one of these keys",
            "Keep one; to use several, put them into a list under all, any or first_known",
        ),
        ("one of these keys is missing", "Add one of them"),
        ("needs the key 'fact'", "Write { fact: name, equals: true }"),
    ]
    .into_iter()
    .find(|(part, _)| message.contains(part))
    .map_or(
        "Correct the YAML at this line: indentation, brackets and quotes",
        |(_, fix)| fix,
    )
}

/// The line of every key, by the path of the key: `criteria/test-age/all/0/fact`.
#[derive(Debug, Default)]
pub(in crate::rules) struct KeyLineIndex {
    by_path: HashMap<String, usize>,
    deny: Option<usize>,
}

impl KeyLineIndex {
    /// Reads the file. A key named `deny` is an error wherever it is.
    pub(in crate::rules) fn read(file: &str, text: &str) -> Result<Self, Finding> {
        let mut lines = Self::default();
        let visit = |de: serde_saphyr::Deserializer<'_, '_>| {
            KeyVisitor {
                path: String::new(),
                lines: &mut lines,
            }
            .deserialize(de)
        };
        serde_saphyr::with_deserializer_from_str_with_options(text, options(), visit)
            .map_err(|error| finding(file, &error))?;
        match lines.deny {
            Some(line) => Err(Finding::new(file, Some(line), NO_DENY).fix(USE_PEND)),
            None => Ok(lines),
        }
    }

    /// The line of a key; if there is no such key, the line of the nearest key above it, or 1.
    pub(in crate::rules) fn line_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            match (self.by_path.get(path), path.rsplit_once('/')) {
                (Some(line), _) => return *line,
                (None, Some((above, _))) => path = above,
                (None, None) => return 1,
            }
        }
    }
}

/// Records the lines of the keys below `path`.
struct KeyVisitor<'l> {
    path: String,
    lines: &'l mut KeyLineIndex,
}

impl KeyVisitor<'_> {
    fn child(&mut self, step: &str) -> KeyVisitor<'_> {
        let path = if self.path.is_empty() {
            step.to_owned()
        } else {
            format!("{}/{step}", self.path)
        };
        KeyVisitor {
            path,
            lines: self.lines,
        }
    }
}

impl<'de> DeserializeSeed<'de> for KeyVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let child = self.child(&key.value);
            if let Ok(line) = usize::try_from(key.referenced.line()) {
                child.lines.by_path.insert(child.path.clone(), line);
                if key.value == "deny" {
                    child.lines.deny.get_or_insert(line);
                }
            }
            map.next_value_seed(child)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 0;
        while seq.next_element_seed(self.child(&n.to_string()))?.is_some() {
            n += 1;
        }
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_every_key_is_known() {
        let lines = KeyLineIndex::read("a.yaml", "a: 1\nb:\n  c: [x]\n  d: { e: ~ }\n").unwrap();
        assert_eq!(lines.line_of("b/c"), 3);
        assert_eq!(lines.line_of("b/d/e"), 4);
        assert_eq!(lines.line_of("b/unknown/deeper"), 2);
        assert_eq!(lines.line_of("z"), 1);
    }

    #[test]
    fn a_key_named_deny_is_refused_with_its_line() {
        let finding =
            KeyLineIndex::read("a.yaml", "decision:\n  approve: 1\n  deny: { when: x }\n").unwrap_err();
        assert_eq!(finding.message, NO_DENY);
        assert_eq!(finding.line, Some(3));
    }

    #[test]
    fn a_number_without_quotes_is_not_a_text() {
        let finding = read_yaml::<Vec<String>>("a.yaml", "- \"97161\"\n- 97161\n").unwrap_err();
        assert_eq!(finding.line, Some(2), "{finding}");
    }
}
