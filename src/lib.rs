//! Assent: the payer's side of electronic prior authorization, in one binary.
//!
//! One thread runs through the house: an order being signed (`crd`) → the form that it needs (`dtr`) → the request
//! (`pas`) → a decision at once or a clinician's (`review`) → what the member and the provider see of it (`access`,
//! notices, subscriptions). One policy file answers at every stage (`rules`).
//!
//! Imports go down only (`tests/architecture.rs` checks it):
//!
//! ```text
//! 4 edge      main cli app demo http web jobs telemetry
//! 3 doors     crd dtr pas review access import oauth publication     never each other
//! 2 gateways  state store auth mail net wire             store alone has sqlx, mail alone lettre, net alone reqwest
//! 1 core      prior_auth plan rules forms deadlines ig   no async, no I/O, no clock reads
//! 0 ground    fhir error clock config
//! ```

pub mod access;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crd;
pub mod deadlines;
pub mod demo;
pub mod dtr;
pub mod error;
pub mod fhir;
pub mod forms;
pub mod http;
pub mod ig;
pub mod import;
pub mod jobs;
pub mod mail;
pub mod net;
pub mod oauth;
pub mod pas;
pub mod plan;
pub mod prior_auth;
pub mod publication;
pub mod review;
pub mod rules;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod wire;
