//! Codes as keys: one key for the many spellings of a system, ranges such as `K0813-K0816`, and a table that finds by
//! either. Finding is a hash and, for ranges, a binary search: its cost does not grow with the table.

use crate::fhir::coding::{CPT, HCPCS, normal_system};
use std::collections::HashMap;

/// The key of a code. CPT and HCPCS share one space: senders put either's codes under either's URL, and the shape
/// tells them apart.
pub(in crate::rules) fn code_key(system: &str, code: &str) -> String {
    let system = normal_system(system);
    let system = own_system(system.as_ref(), code);
    let mut key = String::with_capacity(system.len() + 1 + code.len());
    key.extend([system, "|", code]);
    key
}

fn own_system<'a>(system: &'a str, code: &str) -> &'a str {
    match system {
        HCPCS | CPT if is_cpt_shaped(code) => CPT,
        HCPCS | CPT => HCPCS,
        other => other,
    }
}

/// Five characters: four digits, then a digit or one of the letters of CPT's other categories.
fn is_cpt_shaped(code: &str) -> bool {
    let Some((last, first)) = code.as_bytes().split_last() else {
        return false;
    };
    first.len() == 4
        && first.iter().all(u8::is_ascii_digit)
        && (last.is_ascii_digit() || matches!(last, b'A' | b'F' | b'M' | b'T' | b'U'))
}

/// The codes of one shape from one number to another, both included: `K0813-K0816`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct CodeRange {
    /// The system's key with the letters around the number and how many digits it has.
    shape: String,
    first: u32,
    last: u32,
}

impl CodeRange {
    /// Reads `FIRST-LAST`. None: the text is one code. The error is a sentence.
    pub(in crate::rules) fn read(system: &str, text: &str) -> Option<Result<Self, String>> {
        let (first, last) = text.split_once('-')?;
        let system = normal_system(system);
        // Other systems write hyphens inside their codes.
        if !matches!(system.as_ref(), HCPCS | CPT) {
            return None;
        }
        let system = own_system(system.as_ref(), first);
        let (low, high) = (shape(system, first), shape(system, last));
        Some(match (low, high) {
            (Some((a, first)), Some((b, last))) if a == b && first < last => Ok(Self {
                shape: a,
                first,
                last,
            }),
            _ => Err(format!(
                "'{text}' is no range of codes: both ends have the same letters and as many digits, the lower first"
            )),
        })
    }

    /// Whether the two share a code.
    pub(in crate::rules) fn meets(&self, other: &Self) -> bool {
        self.shape == other.shape && self.first <= other.last && other.first <= self.last
    }

    /// Whether every code of `other` lies in it.
    pub(in crate::rules) fn holds(&self, other: &Self) -> bool {
        self.shape == other.shape && self.first <= other.first && other.last <= self.last
    }

    /// The key of every code in it; none for a range of more than a thousand codes.
    pub(in crate::rules) fn codes(&self) -> Option<impl Iterator<Item = String>> {
        let (before, rest) = self.shape.split_once('#')?;
        let to = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(to);
        let width: usize = digits.parse().ok()?;
        let short = self.last - self.first < 1000;
        short.then(|| (self.first..=self.last).map(move |n| format!("{before}{n:0width$}{after}")))
    }

    /// What ranges are sorted by, so that those which share a code lie together.
    pub(in crate::rules) fn order(&self) -> (&str, u32) {
        (&self.shape, self.first)
    }

    /// One code as a range of its own.
    pub(in crate::rules) fn of_code(system: &str, code: &str) -> Option<Self> {
        let system = normal_system(system);
        let (shape, number) = shape(own_system(system.as_ref(), code), code)?;
        Some(Self {
            shape,
            first: number,
            last: number,
        })
    }
}

/// What is wrong with a HCPCS or CPT code or range, in one sentence.
pub fn code_mistake(system: &str, code: &str) -> Option<String> {
    let is_code = |code: &str| {
        code.len() == 5
            && code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            && code.bytes().filter(u8::is_ascii_digit).count() >= 4
    };
    match CodeRange::read(system, code) {
        Some(range) => range.err(),
        None if is_code(code) => None,
        None => Some(format!(
            "'{code}' is no HCPCS or CPT code: a letter and four digits, or five digits"
        )),
    }
}

/// `K0813` → (`…|K#4`, 813); none for a code without a number, or with one that is too long.
fn shape(system: &str, code: &str) -> Option<(String, u32)> {
    let from = code.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = code.split_at(from);
    let to = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(to);
    let number = digits.parse().ok()?;
    Some((format!("{system}|{before}#{}{after}", digits.len()), number))
}

/// What stands under codes and ranges.
#[derive(Debug, Default)]
pub(in crate::rules) struct CodeTable {
    exact: HashMap<Box<str>, Places>,
    ranges: HashMap<String, Vec<(u32, u32, Vec<u32>)>>,
}

/// Where a code leads; nearly always to one place.
#[derive(Debug, Clone)]
enum Places {
    One(u32),
    Many(Vec<u32>),
}

impl Places {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    fn push(&mut self, place: u32) {
        match self {
            Self::One(one) => *self = Self::Many(vec![*one, place]),
            Self::Many(many) => many.push(place),
        }
    }
}

impl CodeTable {
    /// Puts a place under a code, or under a range of them.
    pub(in crate::rules) fn insert(&mut self, system: &str, code: &str, place: u32) {
        match CodeRange::read(system, code) {
            Some(Ok(range)) => {
                let all = self.ranges.entry(range.shape).or_default();
                all.push((range.first, range.last, vec![place]));
            }
            // A range that cannot be read is a finding, and its file is not kept.
            Some(Err(_)) | None => {
                let key = code_key(system, code).into_boxed_str();
                match self.exact.entry(key) {
                    std::collections::hash_map::Entry::Occupied(mut held) => held.get_mut().push(place),
                    std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(Places::One(place))),
                }
            }
        }
    }

    /// Makes the ranges searchable: pieces that do not overlap, in order.
    pub(in crate::rules) fn sealed(mut self) -> Self {
        self.exact.shrink_to_fit();
        for pieces in self.ranges.values_mut() {
            *pieces = disjoint(pieces);
        }
        self
    }

    /// The places of a code itself, then those of ranges that hold it.
    pub(in crate::rules) fn find(&self, system: &str, code: &str) -> (&[u32], &[u32]) {
        let exact = self.exact.get(code_key(system, code).as_str());
        let ranged = || {
            if self.ranges.is_empty() {
                return None;
            }
            let normal = normal_system(system);
            let (shape, number) = shape(own_system(normal.as_ref(), code), code)?;
            let pieces = self.ranges.get(&shape)?;
            let at = pieces
                .partition_point(|(first, _, _)| *first <= number)
                .checked_sub(1)?;
            let (_, last, places) = pieces.get(at)?;
            (number <= *last).then_some(places.as_slice())
        };
        (exact.map_or(&[], Places::as_slice), ranged().unwrap_or(&[]))
    }
}

/// Overlapping ranges as pieces, each with every place that holds there.
fn disjoint(ranges: &[(u32, u32, Vec<u32>)]) -> Vec<(u32, u32, Vec<u32>)> {
    let mut edges: Vec<u32> = ranges
        .iter()
        .flat_map(|(first, last, _)| [*first, last.saturating_add(1)])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut pieces = Vec::new();
    // A sweep: what is open at each edge.
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
            let mut places: Vec<u32> = open.iter().flat_map(|(_, _, places)| places).copied().collect();
            places.sort_unstable();
            places.dedup();
            pieces.push((*from, to - 1, places));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpt_shaped_codes_are_one_under_both_urls() {
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
    fn a_range_finds_what_lies_in_it_and_nothing_beside_it() {
        let mut table = CodeTable::default();
        table.insert(HCPCS, "K0813-K0816", 1);
        table.insert(HCPCS, "K0815", 2);
        table.insert(CPT, "15820-15823", 3);
        let table = table.sealed();
        assert_eq!(table.find(HCPCS, "K0813"), (&[][..], &[1][..]));
        assert_eq!(table.find(HCPCS, "K0815"), (&[2][..], &[1][..]));
        for beside in [
            "K0812", "K0817", "L0815", "K815", "K08150", "K0815A", "", "-", "K",
        ] {
            assert_eq!(table.find(HCPCS, beside), (&[][..], &[][..]), "{beside}");
        }
        // A CPT-shaped number is one under both systems.
        assert_eq!(table.find(HCPCS, "15821").1, [3]);
    }

    #[test]
    fn what_is_no_range_is_told() {
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

    proptest! {
        #[test]
        fn a_table_of_ranges_answers_as_looking_at_each_range_would(
            ranges in prop::collection::vec((0u32..60, 1u32..20), 0..12), asked in 0u32..90
        ) {
            let mut table = CodeTable::default();
            let mut wanted = Vec::new();
            for (n, (first, length)) in (0u32..).zip(&ranges) {
                table.insert(HCPCS, &format!("A{first:04}-A{:04}", first + length), n);
                if (*first..=first + length).contains(&asked) {
                    wanted.push(n);
                }
            }
            let table = table.sealed();
            prop_assert_eq!(table.find(HCPCS, &format!("A{asked:04}")).1, wanted.as_slice());
        }
    }
}
