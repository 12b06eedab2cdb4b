//! Assent: the payer's side of electronic prior authorization, in one binary.
//!
//! A request goes through these modules: an order is signed (`crd`) → its form is filled in (`dtr`) → the request is
//! submitted (`pas`) → it is approved automatically or decided by a clinician (`review`) → the member and the provider
//! see the result (`access`, email notices, subscriptions). The same policy file applies at every stage (`rules`).
//!
//! Modules are in layers and import only from lower layers (`tests/architecture.rs` checks this):
//!
//! ```text
//! 4 edge         main cli app demo http web jobs telemetry
//! 3 API modules  crd dtr pas review access import oauth publication   do not import each other
//! 2 gateways     state store auth mail net wire              only store uses sqlx, mail lettre, net reqwest
//! 1 core         prior_auth plan evidence rules forms deadlines ig   no async, no I/O, no clock reads
//! 0 base         fhir error clock config
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
pub mod evidence;
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
