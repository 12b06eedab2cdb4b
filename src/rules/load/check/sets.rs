//! Compiles the sets of a policy. Every entry is a code of its system, a range or a prefix that codes can match.

use crate::rules::evaluate::facts::Sets;
use crate::rules::format::code_set::{CodeSet, read_set_entry};
use crate::rules::format::policy_file::{PolicyKeys, SetKeys};
use crate::rules::load::check::collector::FindingCollector;
use crate::rules::load::files::ParsedFiles;

/// Compiles every set of the policy. A set with a finding is incomplete; the policy is then refused anyway.
pub(in crate::rules) fn sets(
    keys: &PolicyKeys,
    parsed: &ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) -> Sets {
    let compile = |(name, set): (&String, &SetKeys)| {
        let key = format!("sets/{name}");
        let mut codes = CodeSet::default();
        let entries = entries(set, &key, parsed, collector);
        if entries.as_ref().is_some_and(Vec::is_empty) {
            collector.error(
                &key,
                format!("The set '{name}' is empty"),
                "Name at least one code",
            );
        }
        for (system, text) in entries.into_iter().flatten() {
            match read_set_entry(system, text) {
                Ok(entry) => codes.add(entry),
                Err(message) => collector.error(
                    &key,
                    format!("In the set '{name}': {message}"),
                    "Write a code as its system has it, a range of HCPCS, CPT or ICD-10-CM codes (E08-E13), or an \
                     ICD-10-CM prefix (E11*)",
                ),
            }
        }
        (name.clone(), codes)
    };
    keys.sets.iter().map(compile).collect()
}

/// The (system, code, range or prefix) pairs of a set. `None` after a finding.
fn entries<'s>(
    set: &'s SetKeys,
    key: &str,
    parsed: &'s ParsedFiles<'_>,
    collector: &mut FindingCollector<'_>,
) -> Option<Vec<(&'s str, &'s str)>> {
    let with_system =
        |system: &'s str, codes: &'s [String]| codes.iter().map(|code| (system, code.as_str())).collect();
    match (&set.system, &set.any, &set.file, &set.valueset) {
        (Some(system), Some(codes), None, None) => Some(with_system(system, codes)),
        (Some(system), None, Some(file), None) => {
            let codes = parsed.sets.get(file);
            if codes.is_none() {
                collector.error(
                    key,
                    format!("The file {file} does not exist"),
                    "Add the file to sets/, with one code per line",
                );
            }
            Some(with_system(system, codes?))
        }
        (None, None, None, Some(canonical)) => {
            let codes = parsed.value_sets.get(canonical);
            if codes.is_none() {
                collector.error(
                    key,
                    format!("sets/ has no expanded ValueSet '{canonical}'"),
                    "Add its expansion to sets/ as JSON, and name it here as url|version",
                );
            }
            let pairs = codes?
                .iter()
                .map(|(system, code)| (system.as_str(), code.as_str()));
            Some(pairs.collect())
        }
        _ => {
            collector.error(
                key,
                "A set has either 'system' and 'any', or 'system' and 'file', or 'valueset'",
                "Keep one of the three forms",
            );
            None
        }
    }
}
