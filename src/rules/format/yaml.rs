//! Reading YAML with places: a mistake is a finding with file and line, a number without quotes is never a text, and
//! the line of every key is kept for the checks that come later.

use crate::rules::Finding;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};
use std::collections::HashMap;
use std::fmt;

/// The sentence for the one key that no rule file may have.
const NO_DENY: &str = "A rule cannot deny: there is no key 'deny' in this format";
/// What to do instead.
const PEND: &str = "Let what is not approved wait for a person: decision.otherwise.pend";

/// How deep lists and maps may stand in each other: three times what a policy needs, and no danger to the stack.
const DEEPEST: usize = 32;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
        no_schema: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Reads one file. The finding has the line where the reader stopped.
pub(crate) fn read_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Finding> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| finding(file, &error))
}

fn finding(file: &str, error: &serde_saphyr::Error) -> Finding {
    let line = error
        .location()
        .and_then(|l| usize::try_from(l.line()).ok())
        .filter(|l| *l > 0);
    let said = error.to_string();
    // The reader repeats the place at the end.
    let message = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(message, _)| message);
    // It names a setting of its own, which says nothing to whoever writes a policy.
    let message = message
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(message);
    Finding::new(file, line, message).mend(mend(message))
}

/// How to mend what the reader refuses.
fn mend(message: &str) -> &'static str {
    [
        (
            "unknown field",
            "Mend the key; docs/policies.md says what may stand here",
        ),
        (
            "missing field",
            "Add the key; docs/policies.md says what it holds",
        ),
        ("unknown variant", "Write one of the words that are named"),
        ("must be quoted", "Put it in quotes: codes and versions are texts"),
        ("duplicate", "Keep one of the two"),
        ("input", "Write a day as 2026-10-01"),
        (
            "no length of time",
            "Write a number and days, weeks, months or years",
        ),
        (
            "no number with a unit",
            "Write the UCUM unit without a space inside: mm[Hg]",
        ),
        (
            "only one of",
            "Keep one; put several into a list under all, any or first_known",
        ),
        ("is missing", "Add one of them"),
        ("needs the 'fact'", "Write { fact: name, equals: true }"),
    ]
    .into_iter()
    .find(|(part, _)| message.contains(part))
    .map_or(
        "Mend the YAML at this line: indentation, brackets and quotes",
        |(_, mend)| mend,
    )
}

/// The line of every key, by its path: `criteria/test-age/all/0/fact`.
#[derive(Debug, Default)]
pub(in crate::rules) struct Lines {
    by_path: HashMap<String, usize>,
    deny: Option<usize>,
}

impl Lines {
    /// Walks the file once. A key named `deny`, anywhere, is refused with its own sentence.
    pub(in crate::rules) fn of(file: &str, text: &str) -> Result<Self, Finding> {
        let mut lines = Self::default();
        let walk = |de: serde_saphyr::Deserializer<'_, '_>| {
            At {
                path: String::new(),
                lines: &mut lines,
            }
            .deserialize(de)
        };
        serde_saphyr::with_deserializer_from_str_with_options(text, options(), walk)
            .map_err(|error| finding(file, &error))?;
        match lines.deny {
            Some(line) => Err(Finding::new(file, Some(line), NO_DENY).mend(PEND)),
            None => Ok(lines),
        }
    }

    /// The line of a key; of the nearest key above it, where the path itself has none; at last of the file.
    pub(in crate::rules) fn at(&self, path: &str) -> usize {
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

/// One place of the walk.
struct At<'l> {
    path: String,
    lines: &'l mut Lines,
}

impl At<'_> {
    fn below(&mut self, step: &str) -> At<'_> {
        let path = if self.path.is_empty() {
            step.to_owned()
        } else {
            format!("{}/{step}", self.path)
        };
        At {
            path,
            lines: self.lines,
        }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let below = self.below(&key.value);
            if let Ok(line) = usize::try_from(key.referenced.line()) {
                below.lines.by_path.insert(below.path.clone(), line);
                if key.value == "deny" {
                    below.lines.deny.get_or_insert(line);
                }
            }
            map.next_value_seed(below)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 0;
        while seq.next_element_seed(self.below(&n.to_string()))?.is_some() {
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
    fn keys_have_lines() {
        let lines = Lines::of("a.yaml", "a: 1\nb:\n  c: [x]\n  d: { e: ~ }\n").unwrap();
        assert_eq!(lines.at("b/c"), 3);
        assert_eq!(lines.at("b/d/e"), 4);
        assert_eq!(lines.at("b/unknown/deeper"), 2);
        assert_eq!(lines.at("z"), 1);
    }

    #[test]
    fn a_key_named_deny_has_its_own_sentence_and_line() {
        let finding = Lines::of("a.yaml", "decision:\n  approve: 1\n  deny: { when: x }\n").unwrap_err();
        assert_eq!(finding.message, NO_DENY);
        assert_eq!(finding.line, Some(3));
    }

    #[test]
    fn a_number_without_quotes_is_no_text() {
        let finding = read_yaml::<Vec<String>>("a.yaml", "- \"97161\"\n- 97161\n").unwrap_err();
        assert_eq!(finding.line, Some(2), "{finding}");
    }
}
