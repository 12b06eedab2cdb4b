//! Codes: one key for all spellings of a code system, ranges such as `K0813-K0816`, and a table that finds entries by
//! code or range. A lookup is a hash and, for ranges, a binary search, so large lists do not slow it down.

use crate::fhir::code_shape::{self, CodeShape};
use crate::fhir::coding::{CPT, HCPCS, normal_system};
use std::collections::HashMap;

/// The key of a code. The shape distinguishes CPT codes from HCPCS codes, because senders put the codes of either
/// system under the URL of the other.
pub(crate) fn code_key(system: &str, code: &str) -> String {
    let system = normal_system(system);
    let system = system_by_shape(system.as_ref(), code);
    let mut key = String::with_capacity(system.len() + 1 + code.len());
    key.extend([system, "|", code]);
    key
}

fn system_by_shape<'a>(system: &'a str, code: &str) -> &'a str {
    match system {
        HCPCS | CPT if is_cpt_shaped(code) => CPT,
        HCPCS | CPT => HCPCS,
        other => other,
    }
}

/// Five characters: four digits, then a digit or a letter of CPT's categories II and III and its other code sets.
fn is_cpt_shaped(code: &str) -> bool {
    let Some((last, first)) = code.as_bytes().split_last() else {
        return false;
    };
    first.len() == 4
        && first.iter().all(u8::is_ascii_digit)
        && (last.is_ascii_digit() || matches!(last, b'A' | b'F' | b'M' | b'T' | b'U'))
}

/// The codes of one shape from a first to a last number, both included: `K0813-K0816`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeRange {
    /// System, letters around the number, and number of digits, from `shape`.
    shape: String,
    first: u32,
    last: u32,
}

impl CodeRange {
    /// Reads `FIRST-LAST`. `None`: the text is a single code. The error is a sentence.
    pub(crate) fn read(system: &str, text: &str) -> Option<Result<Self, String>> {
        let (first, last) = text.split_once('-')?;
        let system = normal_system(system);
        // Codes of other systems can contain hyphens.
        if !matches!(system.as_ref(), HCPCS | CPT) {
            return None;
        }
        let system = system_by_shape(system.as_ref(), first);
        let (low, high) = (shape(system, first), shape(system, last));
        Some(match (low, high) {
            (Some((a, first)), Some((b, last))) if a == b && first < last => Ok(Self {
                shape: a,
                first,
                last,
            }),
            _ => Err(format!(
                "'{text}' is not a valid range of codes: both codes need the same letters and the same number of digits, with the lower code first"
            )),
        })
    }

    /// Whether the two ranges have a code in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.shape == other.shape && self.first <= other.last && other.first <= self.last
    }

    /// Whether this range has every code of `other`.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.shape == other.shape && self.first <= other.first && other.last <= self.last
    }

    /// The keys of all codes in the range. `None` for a range of more than a thousand codes.
    pub(in crate::rules) fn codes(&self) -> Option<impl Iterator<Item = String>> {
        let (before, rest) = self.shape.split_once('#')?;
        let to = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(to);
        let width: usize = digits.parse().ok()?;
        let is_short = self.last - self.first < 1000;
        is_short.then(|| (self.first..=self.last).map(move |n| format!("{before}{n:0width$}{after}")))
    }

    /// The number of codes after the first.
    pub(in crate::rules) fn width(&self) -> u32 {
        self.last - self.first
    }

    /// The key by which ranges are sorted so that overlapping ranges are adjacent.
    pub(in crate::rules) fn order(&self) -> (&str, u32) {
        (&self.shape, self.first)
    }

    /// A single code as a range.
    pub(crate) fn of_code(system: &str, code: &str) -> Option<Self> {
        let system = normal_system(system);
        let (shape, number) = shape(system_by_shape(system.as_ref(), code), code)?;
        Some(Self {
            shape,
            first: number,
            last: number,
        })
    }
}

/// Every pair of ranges that have a code in common. Both keep the order in which they were passed.
pub(in crate::rules) fn pairs_that_overlap<T: Copy>(mut ranges: Vec<(CodeRange, T)>) -> Vec<(T, T)> {
    ranges.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let mut pairs = Vec::new();
    let mut open: Vec<(CodeRange, T)> = Vec::new();
    for (range, one) in ranges {
        open.retain(|(before, _)| before.meets(&range));
        pairs.extend(open.iter().map(|(_, other)| (*other, one)));
        open.push((range, one));
    }
    pairs
}

/// What is wrong with a HCPCS or CPT code or range, in one sentence. `None` if it is valid.
pub fn billing_code_error(system: &str, code: &str) -> Option<String> {
    if let Some(Err(error)) = CodeRange::read(system, code) {
        return Some(error);
    }
    let malformed = code
        .split('-')
        .find(|code| code_shape::shape(system, code) != CodeShape::WellFormed);
    malformed.map(|code| {
        format!("'{code}' is not a valid HCPCS or CPT code: write a letter and four digits, or five digits")
    })
}

/// `K0813` gives (`…|K#4`, 813). `None` for a code without a number, or with a number that is too long.
fn shape(system: &str, code: &str) -> Option<(String, u32)> {
    let from = code.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = code.split_at(from);
    let to = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(to);
    let number = digits.parse().ok()?;
    Some((format!("{system}|{before}#{}{after}", digits.len()), number))
}

/// Entries by code and by range. An entry is a number that the owner of the table understands.
#[derive(Debug, Default)]
pub(in crate::rules) struct CodeTable {
    exact: HashMap<Box<str>, Entries>,
    /// By shape: first number, last number, entries.
    ranges: HashMap<String, Vec<(u32, u32, Vec<u32>)>>,
}

/// The entries of one code: nearly always a single one, which needs no heap allocation.
#[derive(Debug, Clone)]
enum Entries {
    One(u32),
    Many(Vec<u32>),
}

impl Entries {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    fn push(&mut self, entry: u32) {
        match self {
            Self::One(one) => *self = Self::Many(vec![*one, entry]),
            Self::Many(many) => many.push(entry),
        }
    }
}

impl CodeTable {
    /// Adds an entry for a code or for a range.
    pub(in crate::rules) fn insert(&mut self, system: &str, code: &str, entry: u32) {
        match CodeRange::read(system, code) {
            Some(Ok(range)) => {
                let all = self.ranges.entry(range.shape).or_default();
                all.push((range.first, range.last, vec![entry]));
            }
            // An invalid range is reported as a finding, and the set is not kept.
            Some(Err(_)) | None => {
                let key = code_key(system, code).into_boxed_str();
                match self.exact.entry(key) {
                    std::collections::hash_map::Entry::Occupied(mut held) => held.get_mut().push(entry),
                    std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(Entries::One(entry))),
                }
            }
        }
    }

    /// Prepares the ranges for binary search: pieces in order that do not overlap.
    pub(in crate::rules) fn sealed(mut self) -> Self {
        self.exact.shrink_to_fit();
        for pieces in self.ranges.values_mut() {
            *pieces = disjoint(pieces);
        }
        self
    }

    /// The entries of a code itself, and the entries of the ranges that have it. Call `sealed` first.
    pub(in crate::rules) fn find(&self, system: &str, code: &str) -> (&[u32], &[u32]) {
        let exact = self.exact.get(code_key(system, code).as_str());
        let ranged = || {
            if self.ranges.is_empty() {
                return None;
            }
            let normal = normal_system(system);
            let (shape, number) = shape(system_by_shape(normal.as_ref(), code), code)?;
            let pieces = self.ranges.get(&shape)?;
            let at = pieces
                .partition_point(|(first, _, _)| *first <= number)
                .checked_sub(1)?;
            let (_, last, entries) = pieces.get(at)?;
            (number <= *last).then_some(entries.as_slice())
        };
        (exact.map_or(&[], Entries::as_slice), ranged().unwrap_or(&[]))
    }
}

/// Splits overlapping ranges into pieces, each with the entries of all ranges that cover it.
fn disjoint(ranges: &[(u32, u32, Vec<u32>)]) -> Vec<(u32, u32, Vec<u32>)> {
    let mut edges: Vec<u32> = ranges
        .iter()
        .flat_map(|(first, last, _)| [*first, last.saturating_add(1)])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut pieces = Vec::new();
    // Visits the edges in order and keeps the ranges that are open at each.
    let mut starts: Vec<&(u32, u32, Vec<u32>)> = ranges.iter().collect();
    starts.sort_by_key(|(first, _, _)| *first);
    let mut open: Vec<&(u32, u32, Vec<u32>)> = Vec::new();
    let mut next = starts.into_iter().peekable();
    for pair in edges.windows(2) {
        let [from, to] = pair else { continue };
        open.retain(|(_, last, _)| last >= from);
        while let Some(range) = next.next_if(|(first, _, _)| first <= from) {
            open.push(range);
        }
        if !open.is_empty() {
            let mut entries: Vec<u32> = open.iter().flat_map(|(_, _, entries)| entries).copied().collect();
            entries.sort_unstable();
            entries.dedup();
            pieces.push((*from, to - 1, entries));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_with_cpt_shape_have_one_key_under_both_urls() {
        assert_eq!(code_key(HCPCS, "33510"), code_key(CPT, "33510"));
        assert_eq!(
            code_key(
                "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
                "0075T"
            ),
            code_key(CPT, "0075T")
        );
        assert_eq!(code_key(CPT, "E1390"), code_key(HCPCS, "E1390"));
        assert_ne!(code_key("http://loinc.org", "33510"), code_key(CPT, "33510"));
        assert_eq!(code_key("", ""), "|");
    }

    #[test]
    fn a_range_finds_its_codes_and_no_others() {
        let mut table = CodeTable::default();
        table.insert(HCPCS, "K0813-K0816", 1);
        table.insert(HCPCS, "K0815", 2);
        table.insert(CPT, "15820-15823", 3);
        let table = table.sealed();
        assert_eq!(table.find(HCPCS, "K0813"), (&[][..], &[1][..]));
        assert_eq!(table.find(HCPCS, "K0815"), (&[2][..], &[1][..]));
        for other in [
            "K0812", "K0817", "L0815", "K815", "K08150", "K0815A", "", "-", "K",
        ] {
            assert_eq!(table.find(HCPCS, other), (&[][..], &[][..]), "{other}");
        }
        // A code with CPT's shape is found under both systems.
        assert_eq!(table.find(HCPCS, "15821").1, [3]);
    }

    #[test]
    fn an_invalid_range_is_refused() {
        let keys: Vec<String> = CodeRange::read(HCPCS, "K0098-K0100")
            .unwrap()
            .unwrap()
            .codes()
            .unwrap()
            .collect();
        assert_eq!(
            keys,
            ["K0098", "K0099", "K0100"].map(|code| code_key(HCPCS, code))
        );
        for text in ["K0816-K0813", "K0813-L0816", "K0813-K08160", "K-L", "K0813-"] {
            assert!(CodeRange::read(HCPCS, text).unwrap().is_err(), "{text}");
        }
        assert_eq!(CodeRange::read(HCPCS, "K0813"), None);
        assert_eq!(CodeRange::read("http://hl7.org/fhir/sid/ndc", "0002-1433"), None);
    }

    #[test]
    fn a_code_or_range_that_no_item_can_have_is_named() {
        for code in ["E1390", "K0813-K0816", "0075T", "33510-33516"] {
            assert_eq!(billing_code_error(HCPCS, code), None, "{code}");
        }
        for code in [
            "e1390",
            "1A234",
            "E139",
            "E1390-RR",
            "K813-K816",
            "K0816-K0813",
            "",
        ] {
            assert!(billing_code_error(HCPCS, code).is_some(), "{code}");
        }
    }

    proptest! {
        #[test]
        fn a_table_of_ranges_finds_the_same_as_a_search_through_all_ranges(
            ranges in prop::collection::vec((0u32..60, 1u32..20), 0..12), number in 0u32..90
        ) {
            let mut table = CodeTable::default();
            let mut expected = Vec::new();
            for (n, (first, length)) in (0u32..).zip(&ranges) {
                table.insert(HCPCS, &format!("A{first:04}-A{:04}", first + length), n);
                if (*first..=first + length).contains(&number) {
                    expected.push(n);
                }
            }
            let table = table.sealed();
            prop_assert_eq!(table.find(HCPCS, &format!("A{number:04}")).1, expected.as_slice());
        }
    }
}
