//! The demo (`assent demo`): a synthetic plan with members, providers, clients and staff (`seed`), and the end-to-end
//! check of a server (`walk`).

pub mod keys;
pub mod seed;
pub mod walk;
