//! The integration tests, one binary: one module per door, plus the checks on the project itself.

mod conformance;
