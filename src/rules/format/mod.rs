//! What may be written in the files of `rules/`: the policy format `pa-policy/1` key by key, conditions, coverage
//! answers, codes and their ranges, lengths of time. Reading only: names are resolved and checked in `load`.

pub mod codes;
pub mod conditions;
pub mod coverage_answer;
pub mod period;
pub mod policy_file;
#[cfg(test)]
pub mod schema;
pub mod yaml;
