//! Names and numbers in a form in which they can be compared: people and systems write the same name with and without
//! diacritics, hyphens and suffixes, and the same number with and without blanks and dashes.

use super::Member;
use crate::fhir;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words after a name that are no part of it.
const SUFFIXES: [&str; 12] = [
    "jr", "sr", "ii", "iii", "iv", "v", "2nd", "3rd", "md", "phd", "esq", "rn",
];

/// Folds a name for comparison: letters and digits in lower case, without diacritics, blanks, hyphens, apostrophes and
/// suffixes such as `Jr.` and `III`. A word that is the whole name is no suffix.
pub fn fold_name(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    let mut words: Vec<String> = words.map(fold_letters).filter(|word| !word.is_empty()).collect();
    while words.len() > 1 && words.last().is_some_and(|last| SUFFIXES.contains(&last.as_str())) {
        words.pop();
    }
    words.concat()
}

/// Folds a number for comparison: its letters and digits, in upper case.
pub fn fold_number(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect()
}

fn fold_letters(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            // Apostrophes that Unicode counts as letters, such as the okina.
            '\u{2b0}'..='\u{2ff}' => {}
            other if other.is_alphanumeric() => folded.push(other),
            _ => {}
        }
    }
    folded
}

/// Whether a `HumanName` is the name of the member: the family name, and the first given name or the beginning of it.
/// A name that is only text must have both.
pub(super) fn name_matches(member: &Member, name: &Value) -> bool {
    let folded = |text: &str| Some(fold_name(text)).filter(|folded| !folded.is_empty());
    let family = fhir::text(name, &["family"]).and_then(folded);
    let given = fhir::list(name, "given").find_map(|given| folded(given.as_str()?));
    if family.is_none() && given.is_none() {
        return fhir::text(name, &["text"]).is_none_or(|text| text_matches(member, text));
    }
    family.is_none_or(|family| family == member.family)
        && given.is_none_or(|given| given_matches(&member.given, &given))
}

fn given_matches(of_member: &str, given: &str) -> bool {
    of_member.is_empty() || given.starts_with(of_member) || of_member.starts_with(given)
}

/// Whether a name in one text is the member's: with the family name, and with a word that is the given name.
fn text_matches(member: &Member, text: &str) -> bool {
    let folded = fold_name(text);
    let words = text.split(|c: char| c.is_whitespace() || c == ',').map(fold_name);
    let given =
        |word: String| !word.is_empty() && word != member.family && given_matches(&member.given, &word);
    folded.contains(&member.family) && (member.given.is_empty() || words.into_iter().any(given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn member(family: &str, given: &str) -> Member {
        Member {
            id: Uuid::nil(),
            member_id: String::new(),
            family: fold_name(family),
            given: fold_name(given),
            birth_date: None,
            gender: None,
            doc: Value::Null,
        }
    }

    #[test]
    fn spellings_of_one_name_fold_to_the_same_text() {
        for (one, other) in [
            ("Müller", "MULLER"),
            ("Nuñez", "Nun\u{303}ez"),
            ("O'Brien", "O’BRIEN"),
            ("O'Brien", "OBrien"),
            ("Kealiʻi", "Kealii"),
            ("Smith-Jones", "Smith Jones"),
            ("Smith‐Jones", "SmithJones"),
            ("Smith", "Smith, Jr."),
            ("Smith", "Smith III"),
            ("Smith", "Smith Jr MD"),
            ("de la Cruz", "De La Cruz"),
            ("Straße", "STRASSE"),
            ("Sørensen", "Sorensen"),
            ("Wałęsa", "Walesa"),
            ("İnan", "Inan"),
            (" Ellery ", "ellery"),
        ] {
            assert_eq!(fold_name(one), fold_name(other), "{one} {other}");
        }
    }

    #[test]
    fn other_names_stay_different() {
        for (one, other) in [
            ("Smith", "Smyth"),
            ("Smith", "Smith-Jones"),
            ("Jr", "Sr"),
            ("李", "王"),
        ] {
            assert_ne!(fold_name(one), fold_name(other));
        }
        assert_eq!(fold_name("V"), "v", "a word that is the whole name is no suffix");
    }

    #[test]
    fn a_number_is_compared_without_blanks_dashes_and_case() {
        for other in ["a100 200 300", "A100-200-300", " A100200300 ", "A100.200.300"] {
            assert_eq!(fold_number(other), "A100200300");
        }
        assert_ne!(fold_number("A100200301"), "A100200300");
    }

    #[test]
    fn a_name_in_one_text_needs_family_and_given_name() {
        let ruth = member("Ellery", "Ruth");
        let matches = |text: &str| name_matches(&ruth, &json!({ "text": text }));
        assert!(matches("Ruth Ellery") && matches("ELLERY, Ruth A.") && matches("R. Ellery"));
        assert!(!matches("Paul Ellery") && !matches("Ellery") && !matches("Ruth Smith"));
        assert!(
            name_matches(&ruth, &json!({ "use": "usual" })),
            "a name without content says nothing"
        );
    }

    #[test]
    fn a_given_name_without_letters_is_no_given_name() {
        let ruth = member("Ellery", "Ruth");
        assert!(name_matches(
            &ruth,
            &json!({ "family": "Ellery", "given": ["-", "Ruth"] })
        ));
        assert!(!name_matches(
            &ruth,
            &json!({ "family": "Ellery", "given": ["-", "Paul"] })
        ));
        assert!(name_matches(
            &ruth,
            &json!({ "family": "Ellery", "given": ["Ruth Ann"] })
        ));
    }
}
