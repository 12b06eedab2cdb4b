//! Plain names of services, from `codes/services.csv`: what people read before a code.

use crate::fhir::coding::{CPT, HCPCS, SERVICE_TYPE, normal_system};
use crate::rules::format::codes::{CodeRange, CodeTable};

/// A row of `codes/services.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Service {
    pub system: String,
    /// One code, or a range as `K0813-K0816`.
    pub code: String,
    pub name: String,
}

/// The names by code.
#[derive(Debug, Default)]
pub(in crate::rules) struct ServiceNames {
    table: CodeTable,
    services: Vec<(Option<CodeRange>, Box<str>)>,
}

impl ServiceNames {
    pub(in crate::rules) fn build(rows: Vec<Service>) -> Self {
        let mut table = CodeTable::default();
        let mut services = Vec::with_capacity(rows.len());
        for (place, row) in (0..).zip(rows) {
            table.insert(&row.system, &row.code, place);
            let range = CodeRange::read(&row.system, &row.code).and_then(Result::ok);
            services.push((range, row.name.into_boxed_str()));
        }
        Self {
            table: table.sealed(),
            services,
        }
    }

    /// The name of a code, or of a range that one row holds whole. A row for the code itself goes before ranges, a
    /// narrow range before a wide one.
    pub(in crate::rules) fn find(&self, system: &str, code: &str) -> Option<&str> {
        let range = CodeRange::read(system, code).and_then(Result::ok);
        let first = match &range {
            Some(_) => code.split_once('-').map_or(code, |(first, _)| first),
            None => code,
        };
        let (exact, ranged) = self.table.find(system, first);
        let holds = |row: &&(Option<CodeRange>, Box<str>)| match (&range, &row.0) {
            (None, _) => true,
            (Some(asked), Some(own)) => own.holds(asked),
            (Some(_), None) => false,
        };
        let rows = exact.iter().chain(ranged);
        rows.filter_map(|place| self.services.get(*place as usize))
            .filter(holds)
            .min_by_key(|(range, _)| range.as_ref().map_or(0, CodeRange::width))
            .map(|(_, name)| &**name)
    }
}

/// A code with the plain word of its system: `HCPCS E1390`. For a system without one, `code E1390`.
pub(in crate::rules) fn code_text(system: &str, code: &str) -> String {
    let system = match normal_system(system).as_ref() {
        HCPCS => "HCPCS",
        CPT => "CPT",
        SERVICE_TYPE => "service type",
        "http://hl7.org/fhir/sid/ndc" => "NDC",
        "http://www.cms.gov/Medicare/Coding/ICD10" => "ICD-10-PCS",
        "http://snomed.info/sct" => "SNOMED CT",
        "http://www.nlm.nih.gov/research/umls/rxnorm" => "RxNorm",
        _ => "code",
    };
    format!("{system} {code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[(&str, &str)]) -> ServiceNames {
        let row = |(code, name): &(&str, &str)| Service {
            system: HCPCS.into(),
            code: (*code).into(),
            name: (*name).into(),
        };
        ServiceNames::build(rows.iter().map(row).collect())
    }

    #[test]
    fn a_code_goes_before_a_range_and_a_narrow_range_before_a_wide_one() {
        let names = names(&[
            ("K0800-K0899", "Power mobility"),
            ("K0813-K0816", "Power wheelchair, group 1"),
            ("K0814", "This one"),
        ]);
        assert_eq!(names.find(HCPCS, "K0814"), Some("This one"));
        assert_eq!(names.find(HCPCS, "K0815"), Some("Power wheelchair, group 1"));
        assert_eq!(names.find(HCPCS, "K0820"), Some("Power mobility"));
        assert_eq!(names.find(HCPCS, "K0900"), None);
        assert_eq!(names.find("http://snomed.info/sct", "K0814"), None);
    }

    #[test]
    fn a_range_has_the_name_of_the_row_that_holds_all_of_it() {
        let names = names(&[("K0813-K0816", "Group 1"), ("K0813", "This one")]);
        assert_eq!(names.find(HCPCS, "K0813-K0816"), Some("Group 1"));
        assert_eq!(names.find(HCPCS, "K0814-K0815"), Some("Group 1"));
        assert_eq!(names.find(HCPCS, "K0813-K0820"), None);
    }

    #[test]
    fn a_code_without_a_name_is_shown_with_the_word_for_its_system() {
        assert_eq!(code_text(HCPCS, "E1390"), "HCPCS E1390");
        assert_eq!(code_text(CPT, "33510"), "CPT 33510");
        assert_eq!(code_text("urn:x", "1"), "code 1");
    }
}
