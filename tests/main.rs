//! The integration tests, one binary: one module per door, plus the checks on the project itself.

// Says to clippy that all of this is test code, the functions between the tests too.
#![cfg(test)]

mod access;
mod browser;
mod conformance;
mod crd;
mod dtr;
mod examples;
mod oauth;
mod pages;
mod pas;
mod support;
