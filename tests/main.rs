//! The integration tests in one binary: one module per API, and the checks of the project itself.

// Tells clippy that all of this is test code, including helper functions.
#![cfg(test)]

mod access;
mod architecture;
mod backtest;
mod browser;
mod conformance;
mod connections;
mod crd;
mod database_errors;
mod delivery;
mod deployment;
mod dtr;
mod examples;
mod gold_cards;
mod input;
mod kill;
mod lease;
mod oauth;
mod operator;
mod pages;
mod pas;
mod policy_commands;
mod publication;
mod retention;
mod routes;
mod runs;
mod schema;
mod shipped_policies;
mod startup;
mod statements;
mod store;
mod stored;
mod support;
mod telemetry;
mod throttles;
mod walk;
