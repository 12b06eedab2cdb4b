//! One call of `$submit`: what each of its steps reads.

use super::request::Request;
use crate::auth::Client;
use crate::ig::pas::PasGuide;
use crate::state::State;
use chrono::{DateTime, Utc};

/// One call of `$submit` while it is processed.
#[derive(Clone, Copy)]
pub(super) struct SubmitCall<'a> {
    /// The server's shared state.
    pub state: &'a State,
    /// The guide version of the address that was called.
    pub guide: &'static PasGuide,
    /// The client that sends the request.
    pub client: &'a Client,
    /// The request.
    pub request: &'a Request<'a>,
    /// The text of the request Bundle as it was sent.
    pub text: &'a str,
    /// The time of receipt.
    pub now: DateTime<Utc>,
}
