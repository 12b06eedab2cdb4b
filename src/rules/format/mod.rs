//! The formats of rule files: `pa-policy/1` key by key, conditions, coverage answers, codes and ranges of codes. This
//! module reads; `load` resolves and checks names.

pub mod code_set;
pub mod codes;
pub mod conditions;
pub mod coverage_answer;
pub mod icd10cm;
pub mod policy_file;
#[cfg(test)]
pub mod schema;
pub mod yaml;
