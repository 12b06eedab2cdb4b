//! Everything that a PAS response is made of.

use super::request::Request;
use crate::ig::pas::{PasGuide, Profile};
use crate::prior_auth::PriorAuth;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Everything that the response for one case is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseContext<'a> {
    /// The guide version in which the response is written.
    pub guide: &'static PasGuide,
    /// The server's public address.
    pub public_url: &'a str,
    /// The case as it is now.
    pub case: &'a PriorAuth,
    /// The request that opened the case.
    pub request: &'a Request<'a>,
    /// The id of the response Bundle.
    pub bundle_id: Uuid,
    /// The time of the response.
    pub now: DateTime<Utc>,
    /// The profile of the response: `ClaimResponse` or `ClaimInquiryResponse`.
    pub profile: Profile,
}

impl ResponseContext<'_> {
    /// A full URL below the guide's FHIR base.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{}/{path}", self.public_url, self.guide.base_path)
    }
}
