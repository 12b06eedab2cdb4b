//! ICD-10-CM in the order of its tabular list: ranges such as `E08-E13` or `E08.00-E13.9`, and prefixes such as `E11*`.
//! Both include everything below their codes in the hierarchy.

use crate::fhir::code_shape::{CodeShape, shape};
use crate::fhir::coding::ICD10CM;

/// The codes from a first to a last code, each with everything below the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Icd10CmRange {
    first: Vec<u16>,
    last: Vec<u16>,
}

impl Icd10CmRange {
    /// Reads `FIRST-LAST` or `CODE*`. `None`: the text is a single code. The error is a sentence.
    pub(in crate::rules) fn read(text: &str) -> Option<Result<Self, String>> {
        let (first, last) = match (text.strip_suffix('*'), text.split_once('-')) {
            (Some(prefix), _) => (prefix, prefix),
            (None, Some(ends)) => ends,
            (None, None) => return None,
        };
        let range = || {
            let (low, high) = (position(first)?, position(last)?);
            (low <= high).then_some(Self {
                first: low,
                last: high,
            })
        };
        Some(range().ok_or_else(|| {
            format!(
                "'{text}' is not a valid range or prefix of ICD-10-CM codes: write the lower code first, with the dot and in uppercase"
            )
        }))
    }

    /// Whether a code lies in the range. A text that is not shaped like a code of ICD-10-CM does not.
    pub(in crate::rules) fn holds(&self, code: &str) -> bool {
        position(code)
            .is_some_and(|place| self.first <= place && (place <= self.last || place.starts_with(&self.last)))
    }
}

/// The place of a code in the tabular list, comparable element by element. A code comes before everything below it.
/// `None` for a text that is not shaped like a code.
fn position(code: &str) -> Option<Vec<u16>> {
    if shape(ICD10CM, code) != CodeShape::WellFormed {
        return None;
    }
    let characters: Vec<char> = code.chars().filter(|c| *c != '.').collect();
    let place = |at: usize, one: char| -> Option<u16> {
        let before: String = characters.get(..at)?.iter().collect();
        let own = rank(one)?;
        // Chapter 22 (U) is the last one.
        if at == 0 && one == 'U' {
            return Some(LAST);
        }
        let exception = LETTERS_BEFORE_DIGITS
            .iter()
            .find(|(parent, letters, _)| *parent == before && letters.contains(one));
        match exception {
            Some((_, _, digit)) => rank(*digit)?.checked_sub(STEP)?.checked_add(own / STEP),
            None => Some(own),
        }
    };
    characters
        .iter()
        .enumerate()
        .map(|(at, one)| place(at, *one))
        .collect()
}

/// The distance between two characters: large enough for all letters between two digits.
const STEP: u16 = 100;
/// After every other first letter.
const LAST: u16 = 99 * STEP;

/// Digits come before letters.
fn rank(character: char) -> Option<u16> {
    let number = character.to_digit(36)?;
    u16::try_from(number + 1).ok()?.checked_mul(STEP)
}

/// Where a letter comes before a digit: the code above, the letters, and the digit before which they lie. Everywhere
/// else letters come after digits. From the tabular list of CMS, April 2026; it has no other exception.
const LETTERS_BEFORE_DIGITS: &[(&str, &str, char)] = &[
    ("C4", "A", '4'),
    ("C7", "AB", '6'),
    ("C84", "AZ", '9'),
    ("C91", "AZ", '9'),
    ("C92", "AZ", '9'),
    ("C93", "Z", '9'),
    ("C96", "AZ", '9'),
    ("D3", "A", '7'),
    ("D46", "ABC", '4'),
    ("D46", "Z", '9'),
    ("D47", "Z", '9'),
    ("F68", "A", '8'),
    ("G40", "ABC", '4'),
    ("G43", "ABCD", '8'),
    ("H93", "A", '2'),
    ("I82", "ABC", '8'),
    ("J4", "A", '5'),
    ("L98", "A", '5'),
    ("M1", "A", '0'),
    ("M350", "ABC", '9'),
    ("M79", "A", '8'),
    ("N80", "ABCD", '8'),
    ("N803", "ABC", '9'),
    ("O09", "A", '2'),
    ("O35", "ABCDEFGH", '2'),
    ("P041", "A", '8'),
    ("S060X", "A", '9'),
    ("S061X", "A", '9'),
    ("S062X", "A", '9'),
    ("S0630", "A", '9'),
    ("S0631", "A", '9'),
    ("S0632", "A", '9'),
    ("S0633", "A", '9'),
    ("S0634", "A", '9'),
    ("S0635", "A", '9'),
    ("S0636", "A", '9'),
    ("S0637", "A", '9'),
    ("S0638", "A", '9'),
    ("S064X", "A", '9'),
    ("S065X", "A", '9'),
    ("S066X", "A", '9'),
    ("S068", "A", '9'),
    ("S0681", "A", '9'),
    ("S0682", "A", '9'),
    ("S0689", "A", '9'),
    ("S068A", "A", '9'),
    ("S069X", "A", '9'),
    ("T50", "ABZ", '9'),
    ("T79", "A", '8'),
    ("T80", "A", '5'),
    ("W44", "ABCDEFGH", '8'),
    ("Y93", "ABCDEFGHIJKL", '8'),
    ("Y936", "A", '9'),
    ("Z3", "A", '7'),
    ("Z91", "A", '4'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Icd10CmRange {
        Icd10CmRange::read(text).unwrap().unwrap()
    }

    #[test]
    fn a_range_includes_everything_below_its_last_code() {
        let diabetes = range("E08-E13");
        for code in ["E08", "E08.00", "E10.9", "E11.A", "E11.3551", "E13", "E13.9"] {
            assert!(diabetes.holds(code), "{code}");
        }
        for code in ["E07.9", "E14", "F08", "D08.9"] {
            assert!(!diabetes.holds(code), "{code}");
        }
        let to_a_code = range("E08.00-E13.9");
        assert!(to_a_code.holds("E08.00") && to_a_code.holds("E08.01") && to_a_code.holds("E13.9"));
        // The category itself lies before its first code.
        assert!(!to_a_code.holds("E08") && !to_a_code.holds("E13.A"));
        assert!(range("S72.00-S72.01").holds("S72.012A"));
    }

    #[test]
    fn a_prefix_includes_its_code_and_everything_below() {
        let prefix = range("E11.2*");
        assert!(prefix.holds("E11.2") && prefix.holds("E11.21"));
        assert!(!prefix.holds("E11.3") && !prefix.holds("E11"));
        assert!(range("E11*").holds("E11.65"));
    }

    #[test]
    fn codes_with_letters_lie_where_the_tabular_list_has_them() {
        for (text, inside, outside) in [
            ("C43-C44", "C4A.0", "C4B"),
            ("C69-C75", "C73", "C7A.00"),
            ("C76-C80", "C77.0", "C7B.1"),
            ("M05-M10", "M1A.0110", "M11.0"),
            ("J40-J44", "J44.9", "J4A.0"),
            ("J40-J4A", "J4A.0", "J45.20"),
            ("I10-I1A", "I1A.0", "I20.0"),
            ("Z30-Z36", "Z36.0", "Z3A.20"),
            ("C91.0-C91.9", "C91.Z0", "C92.00"),
            ("O35.2-O35.9", "O35.2XX0", "O35.HXX0"),
            ("V00-Y99", "W44.H0XA", "U07.1"),
            ("A00-U09", "Z99.2", "U10.9"),
            ("Q00-QA0", "QA0.0141", "R00.0"),
        ] {
            assert!(range(text).holds(inside), "{text} {inside}");
            assert!(!range(text).holds(outside), "{text} {outside}");
        }
    }

    #[test]
    fn a_range_that_is_not_made_of_codes_is_refused() {
        for text in [
            "E13-E08",
            "E08-",
            "-E13",
            "*",
            "E1*",
            "e11*",
            "E0800-E139",
            "E08-E13-E15",
            "E08 - E13",
            "E*1",
            "E11.*",
        ] {
            assert!(
                Icd10CmRange::read(text).is_none_or(|range| range.is_err()),
                "{text}"
            );
        }
        assert_eq!(Icd10CmRange::read("E11.9"), None);
    }

    #[test]
    fn a_text_that_is_not_a_code_lies_in_no_range() {
        for code in ["E119", "e11.9", "E11.9 ", "E11.", "", "E11.9-E11.8", "É11.9"] {
            assert!(!range("E08-E13").holds(code), "{code}");
        }
    }
}
