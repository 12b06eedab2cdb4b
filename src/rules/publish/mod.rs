//! What a rule set publishes: the public list of items and services that need prior authorization.

pub mod public_list;
