//! Sets of codes: single codes, ranges and prefixes. Ranges exist for HCPCS, CPT and ICD-10-CM, prefixes for ICD-10-CM;
//! in other systems neither has a meaning, and both are refused.

use crate::fhir::code_shape::{CodeShape, modifier_shape, shape};
use crate::fhir::coding::{CPT, HCPCS, ICD10CM, normal_system};
use crate::rules::format::codes::{CodeRange, code_key};
use crate::rules::format::icd10cm::Icd10CmRange;
use std::collections::HashSet;

/// How to fix a billing code that is not a code of its system.
pub(in crate::rules) const WRITE_A_BILLING_CODE: &str =
    "Write a code as its system has it, such as E1390, or a range as K0813-K0816";

/// One entry of a set or of a scope, as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) enum CodeEntry {
    /// The key of one code, from `code_key`.
    Code(String),
    /// A range of HCPCS or CPT codes.
    Range(CodeRange),
    /// A range or prefix of ICD-10-CM codes.
    Icd10Cm(Icd10CmRange),
}

impl CodeEntry {
    /// Reads an entry. The error is a sentence.
    pub(in crate::rules) fn read(system: &str, text: &str) -> Result<Self, String> {
        let normal = normal_system(system);
        match normal.as_ref() {
            HCPCS | CPT => {
                if let Some(range) = CodeRange::read(system, text) {
                    // Codes that no item can have make a range that matches nothing.
                    text.split('-').try_for_each(|end| well_formed(&normal, end))?;
                    return range.map(Self::Range);
                }
            }
            ICD10CM => {
                if let Some(range) = Icd10CmRange::read(text) {
                    return range.map(Self::Icd10Cm);
                }
            }
            _ => {}
        }
        if text.contains('*') {
            return Err(format!("'{text}' is not a code: only ICD-10-CM has prefixes"));
        }
        well_formed(&normal, text)?;
        Ok(Self::Code(code_key(system, text)))
    }
}

/// Reads an entry of a set, which may also be a modifier of HCPCS or CPT: `RR`.
pub(in crate::rules) fn read_set_entry(system: &str, text: &str) -> Result<CodeEntry, String> {
    match modifier_shape(system, text) {
        CodeShape::WellFormed => Ok(CodeEntry::Code(code_key(system, text))),
        CodeShape::Malformed | CodeShape::NoKnownShape => CodeEntry::read(system, text),
    }
}

fn well_formed(system: &str, code: &str) -> Result<(), String> {
    match shape(system, code) {
        CodeShape::Malformed => Err(format!(
            "'{code}' is not shaped like a code of its system, {system}"
        )),
        CodeShape::WellFormed | CodeShape::NoKnownShape => Ok(()),
    }
}

/// A set of codes.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct CodeSet {
    entries: HashSet<String>,
    ranges: Vec<CodeRange>,
    icd_10_cm: Vec<Icd10CmRange>,
}

impl CodeSet {
    pub(in crate::rules) fn add(&mut self, entry: CodeEntry) {
        match entry {
            CodeEntry::Code(key) => drop(self.entries.insert(key)),
            CodeEntry::Range(range) => self.ranges.push(range),
            CodeEntry::Icd10Cm(range) => self.icd_10_cm.push(range),
        }
    }

    pub(in crate::rules) fn remove(&mut self, entry: &CodeEntry) {
        match entry {
            CodeEntry::Code(key) => drop(self.entries.remove(key)),
            CodeEntry::Range(range) => self.ranges.retain(|own| own != range),
            CodeEntry::Icd10Cm(range) => self.icd_10_cm.retain(|own| own != range),
        }
    }

    /// The keys of its codes, if it has no range and no prefix.
    pub(in crate::rules) fn single_codes(&self) -> Option<&HashSet<String>> {
        (self.ranges.is_empty() && self.icd_10_cm.is_empty()).then_some(&self.entries)
    }

    /// Whether the set has a code.
    pub(in crate::rules) fn holds(&self, system: &str, code: &str) -> bool {
        self.holds_key(&code_key(system, code))
    }

    /// Whether the set has the code of a key of `code_key`.
    pub(in crate::rules) fn holds_key(&self, key: &str) -> bool {
        if self.entries.contains(key) {
            return true;
        }
        let Some((system, code)) = key.split_once('|') else {
            return false;
        };
        match system {
            HCPCS | CPT => {
                let code = CodeRange::of_code(system, code);
                code.is_some_and(|code| self.ranges.iter().any(|range| range.holds(&code)))
            }
            ICD10CM => self.icd_10_cm.iter().any(|range| range.holds(code)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(system: &str, texts: &[&str]) -> CodeSet {
        let mut set = CodeSet::default();
        for text in texts {
            set.add(CodeEntry::read(system, text).unwrap());
        }
        set
    }

    #[test]
    fn a_set_has_its_codes_ranges_and_prefixes() {
        let diabetes = set(ICD10CM, &["E08-E10", "E11*", "E13.9"]);
        for code in ["E08.00", "E10.9", "E11.65", "E13.9"] {
            assert!(diabetes.holds(ICD10CM, code), "{code}");
            assert!(diabetes.holds("urn:oid:2.16.840.1.113883.6.90", code), "{code}");
            assert!(!diabetes.holds("http://hl7.org/fhir/sid/icd-10", code), "{code}");
        }
        assert!(!diabetes.holds(ICD10CM, "E13.8") && !diabetes.holds(ICD10CM, "e11.65"));
        let chairs = set(HCPCS, &["K0813-K0816", "33510-33516"]);
        assert!(chairs.holds(HCPCS, "K0814") && chairs.holds(CPT, "33512"));
        assert!(!chairs.holds(HCPCS, "K0817") && !chairs.holds(HCPCS, "K0814-RR"));
    }

    #[test]
    fn an_entry_that_no_code_can_match_is_refused() {
        for (system, text) in [
            (HCPCS, "E13*"),
            (HCPCS, "E1390-RR"),
            (HCPCS, "e1390"),
            (ICD10CM, "E119"),
            (ICD10CM, "E13-E08"),
            (ICD10CM, "E08_E13"),
            ("http://loinc.org", "59408*"),
            ("http://loinc.org", "E08-E13"),
            ("http://snomed.info/sct", "13645005-13645007"),
            ("http://hl7.org/fhir/sid/ndc", "0002*"),
        ] {
            assert!(CodeEntry::read(system, text).is_err(), "{system} {text}");
        }
        assert!(CodeEntry::read("http://loinc.org", "59408-5").is_ok());
        assert!(CodeEntry::read("https://plan.example/codes", "any-name").is_ok());
    }

    #[test]
    fn a_set_may_have_modifiers() {
        assert!(CodeEntry::read(HCPCS, "RR").is_err());
        let mut set = CodeSet::default();
        set.add(read_set_entry(HCPCS, "RR").unwrap());
        assert!(set.holds(HCPCS, "RR") && !set.holds(HCPCS, "NU"));
        assert!(read_set_entry(HCPCS, "rr").is_err());
    }
}
