//! The shapes of codes: what a code of each known code system looks like. A string without the shape of its system is
//! not a code of that system (`E1390-RR`, `e1390`, a trailing blank), so nothing may be decided on it. A well-formed
//! code may still not exist.

use super::coding::{
    CPT, CVX, Coding, HCPCS, ICD10CM, ICD10PCS, LOINC, NDC, RXNORM, SERVICE_TYPE, SNOMED, normal_system,
};

/// Whether a string has the shape of its code system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeShape {
    /// It has the shape.
    WellFormed,
    /// It does not have the shape.
    Malformed,
    /// The table has no shape for this system.
    NoKnownShape,
}

/// One row: a code system in its stored spelling, and whether a string has the shape of its codes.
type Row = (&'static str, fn(&[u8]) -> bool);

/// The shapes. Senders put HCPCS and CPT codes under the URL of the other system, so both have the shapes of both.
const SHAPES: [Row; 10] = [
    (HCPCS, is_procedure),
    (CPT, is_procedure),
    (ICD10CM, is_icd10cm),
    (ICD10PCS, is_icd10pcs),
    (NDC, is_ndc),
    (RXNORM, |code| is_number(code, 1, 8)),
    (LOINC, is_loinc),
    (SNOMED, |code| is_number(code, 6, 18)),
    (SERVICE_TYPE, |code| {
        matches!(code.len(), 1 | 2) && code.iter().all(is_upper_or_digit)
    }),
    (CVX, |code| {
        matches!(code.len(), 1..=3) && code.iter().all(u8::is_ascii_digit)
    }),
];

/// Whether `code` has the shape of the codes of `system`, in any spelling of the system's URL.
pub fn shape(system: &str, code: &str) -> CodeShape {
    let system = normal_system(system);
    match SHAPES.iter().find(|(own, _)| *own == system.as_ref()) {
        None => CodeShape::NoKnownShape,
        Some((_, has_shape)) if has_shape(code.as_bytes()) => CodeShape::WellFormed,
        Some(_) => CodeShape::Malformed,
    }
}

/// Whether a string has the shape of a HCPCS or CPT modifier: two upper-case letters or digits (`RR`, `25`). Modifiers
/// have the URL of HCPCS or CPT and a shape of their own.
pub fn modifier_shape(system: &str, code: &str) -> CodeShape {
    if !matches!(normal_system(system).as_ref(), HCPCS | CPT) {
        return CodeShape::NoKnownShape;
    }
    if code.len() == 2 && code.bytes().all(|c| is_upper_or_digit(&c)) {
        CodeShape::WellFormed
    } else {
        CodeShape::Malformed
    }
}

impl Coding<'_> {
    /// Whether the code has the shape of its system.
    pub fn shape(&self) -> CodeShape {
        shape(&self.system, self.code)
    }
}

fn is_upper_or_digit(c: &u8) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

/// Digits without a leading zero.
fn is_number(code: &[u8], shortest: usize, longest: usize) -> bool {
    (shortest..=longest).contains(&code.len())
        && code.iter().all(u8::is_ascii_digit)
        && code.first() != Some(&b'0')
}

/// HCPCS level II: a letter and four digits. CPT: five digits, or four digits and the letter of its categories II and
/// III and its other code sets.
fn is_procedure(code: &[u8]) -> bool {
    let [first, middle @ .., last] = code else {
        return false;
    };
    let ends_fit = match (first.is_ascii_digit(), last.is_ascii_digit()) {
        (true, true) => true,
        (true, false) => matches!(last, b'A' | b'F' | b'M' | b'T' | b'U'),
        (false, true) => first.is_ascii_uppercase(),
        (false, false) => false,
    };
    ends_fit && middle.len() == 3 && middle.iter().all(u8::is_ascii_digit)
}

/// A letter, a digit, a digit or letter (or `QA0`); then, after a dot, one to four digits or letters. FHIR writes the dot.
fn is_icd10cm(code: &[u8]) -> bool {
    let mut parts = code.splitn(2, |c| *c == b'.');
    let category = match parts.next() {
        Some([first, second, third]) => {
            // Chapter 17 goes on after Q99 with QA0.
            let is_second = second.is_ascii_digit() || (*first == b'Q' && *second == b'A');
            first.is_ascii_uppercase() && is_second && is_upper_or_digit(third)
        }
        _ => false,
    };
    let has_detail = |detail: &[u8]| matches!(detail.len(), 1..=4) && detail.iter().all(is_upper_or_digit);
    category && parts.next().is_none_or(has_detail)
}

/// Seven digits or upper-case letters other than I and O.
fn is_icd10pcs(code: &[u8]) -> bool {
    code.len() == 7
        && code
            .iter()
            .all(|c| is_upper_or_digit(c) && !matches!(c, b'I' | b'O'))
}

/// Eleven digits, or ten digits with hyphens in one of the three formats of the FDA, or the eleven digits with hyphens.
/// Ten digits without hyphens can mean several products, so they are no code.
fn is_ndc(code: &[u8]) -> bool {
    let parts: Vec<&[u8]> = code.split(|c| *c == b'-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    parts.iter().all(|part| part.iter().all(u8::is_ascii_digit))
        && matches!(
            lengths.as_slice(),
            [11] | [4, 4, 2] | [5, 3, 2] | [5, 4, 1] | [5, 4, 2]
        )
}

/// Digits, a hyphen and a check digit: `59408-5`. Answers, lists, parts and groups begin with `LA`, `LL`, `LP` and
/// `LG`.
fn is_loinc(code: &[u8]) -> bool {
    let code = match code {
        [b'L', b'A' | b'L' | b'P' | b'G', rest @ ..] => rest,
        all => all,
    };
    let [number @ .., b'-', check] = code else {
        return false;
    };
    check.is_ascii_digit() && is_number(number, 1, 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CodeShape::{Malformed, NoKnownShape, WellFormed};

    #[test]
    fn codes_of_each_system_are_well_formed() {
        for (system, codes) in [
            (HCPCS, &["E1390", "G0154", "99212", "0001F"][..]),
            (
                CPT,
                &["99212", "33510", "0075T", "0001U", "0001A", "0001M", "E1390"],
            ),
            (
                ICD10CM,
                &[
                    "J44", "J44.9", "E08.00", "S72.001A", "C7A.00", "Z00.0", "U07.1", "QA0.0141",
                ],
            ),
            (ICD10PCS, &["0210093", "3E0G76Z", "02HV33Z"]),
            (
                NDC,
                &[
                    "00409653102",
                    "0409-6531-02",
                    "50580-506-02",
                    "12345-1234-1",
                    "12345-1234-12",
                ],
            ),
            (RXNORM, &["1", "161", "1049502"]),
            (LOINC, &["59408-5", "102089-0", "4544-3", "LA6576-8", "LP29684-5"]),
            (SNOMED, &["24623002", "726551006", "900000000000207008"]),
            (SERVICE_TYPE, &["1", "42", "A6", "DM"]),
            (CVX, &["8", "08", "207"]),
        ] {
            for code in codes {
                assert_eq!(shape(system, code), WellFormed, "{system} {code}");
            }
        }
    }

    #[test]
    fn other_strings_are_malformed() {
        for (system, codes) in [
            (
                HCPCS,
                &[
                    "E1390-RR", "e1390", "X", "E1390 ", " E1390", "E1390RR", "E139O", "E13900", "", "*",
                    "Ｅ1390",
                ][..],
            ),
            (
                CPT,
                &[
                    "99212-25", "9921", "992123", "99212X", "0075t", "99212\n", "A0001A",
                ],
            ),
            (
                ICD10CM,
                &[
                    "j44.9",
                    "J449",
                    "J44.",
                    "J44.90000",
                    "J44,9",
                    "44.9",
                    "J4",
                    "J44.9 ",
                ],
            ),
            (ICD10PCS, &["021009", "02100933", "0210O93", "02i0093"]),
            (
                NDC,
                &[
                    "0409653102",
                    "409-6531-02",
                    "0409-6531",
                    "0409_6531_02",
                    "0409-6531-0x",
                ],
            ),
            (RXNORM, &["0161", "RX161", "161 ", ""]),
            (
                LOINC,
                &[
                    "59408",
                    "59408-",
                    "-5",
                    "059408-5",
                    "59408-55",
                    "la6576-8",
                    "59408−5",
                ],
            ),
            (
                SNOMED,
                &["024623002", "12345", "24623002 |Mammography|", "246230O2"],
            ),
            (SERVICE_TYPE, &["a6", "123", "", "1 "]),
            (CVX, &["2070", "x"]),
        ] {
            for code in codes {
                assert_eq!(shape(system, code), Malformed, "{system} {code:?}");
            }
        }
    }

    #[test]
    fn every_spelling_of_a_system_has_its_shape() {
        let https = HCPCS.replace("http:", "https:");
        assert_eq!(shape(&https, "e1390"), Malformed);
        assert_eq!(shape("urn:oid:2.16.840.1.113883.6.96", "12"), Malformed);
        assert_eq!(shape("urn:oid:1.2.3", "anything"), NoKnownShape);
        assert_eq!(shape("", "E1390"), NoKnownShape);
    }

    #[test]
    fn modifiers_have_a_shape_of_their_own() {
        for code in ["RR", "25", "1P", "E1"] {
            assert_eq!(modifier_shape(HCPCS, code), WellFormed, "{code}");
        }
        for code in ["rr", "R", "RR ", "RR1", "E1390", "-R", ""] {
            assert_eq!(modifier_shape(CPT, code), Malformed, "{code}");
        }
        assert_eq!(modifier_shape("urn:own", "rental"), NoKnownShape);
    }
}
