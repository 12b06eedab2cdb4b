//! The integration tests, one binary: one module per door, plus the checks on the project itself.

// Says to clippy that all of this is test code, the functions between the tests too.
#![cfg(test)]

mod access;
mod architecture;
mod backtest;
mod browser;
mod conformance;
mod crd;
mod dtr;
mod examples;
mod gold_cards;
mod lease;
mod oauth;
mod operator;
mod pack;
mod pages;
mod pas;
mod policy_commands;
mod publication;
mod routes;
mod runs;
mod schema;
mod store;
mod stored;
mod support;
mod walk;
