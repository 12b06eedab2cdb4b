//! Outbound HTTP calls. The only module that uses `reqwest`. Every call passes the list of hosts that it may reach.
//!
//! Protection against server-side request forgery: only https (http to loopback if the client's registration allows
//! it), only hosts on the list, no private, loopback or link-local addresses (checked on the resolved address at
//! connect time, so that a later change of DNS makes no difference), no redirects, a time limit and a limit on the
//! response size.

mod guard;

pub use guard::AllowedHosts;

use crate::error::{Error, Result};
use guard::PublicAddressResolver;
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The largest response body, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The HTTP client for calls to the servers of clients.
#[derive(Debug, Clone)]
pub struct HttpClient {
    /// Connects only to public addresses.
    public: Client,
    /// Also connects to loopback; used only for clients whose registration allows it.
    loopback: Client,
}

/// The result of a read from a client's server. A failed read is never reported as not found.
#[derive(Debug, Clone, PartialEq)]
pub enum FetchResult {
    /// The JSON that was read: a resource, a searchset or a key set.
    Found(Value),
    /// The server returned 404 or 410, or the call may not reach the address.
    NotFound,
    /// The server refused, could not be reached, was too slow or sent unusable data. The reason holds no content.
    Failed(String),
}

/// What is sent in a POST.
#[derive(Debug, Clone)]
pub struct PostMessage<'a> {
    /// Headers (name, value) besides the content type.
    pub headers: &'a [(String, String)],
    /// The content type.
    pub content_type: &'a str,
    /// The body.
    pub body: String,
    /// The time limit for the whole exchange.
    pub time_limit: Duration,
}

/// The result of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostResult {
    /// The receiver returned 2xx.
    Accepted,
    /// The POST can be retried.
    RetryLater {
        /// What went wrong, without content.
        reason: String,
        /// The receiver's `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// A retry will not help. The reason holds no content.
    Rejected(String),
}

impl HttpClient {
    /// Builds the client.
    pub fn new() -> Result<Self> {
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .connect_timeout(Duration::from_secs(5))
                .timeout(Duration::from_secs(30))
                .user_agent("assent")
                .no_proxy()
        };
        let loopback = builder().build().map_err(Error::internal)?;
        let public = builder()
            .dns_resolver(Arc::new(PublicAddressResolver))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { public, loopback })
    }

    /// Reads JSON without a token, such as a key set.
    pub async fn get_json(&self, url: &str, allowed: AllowedHosts<'_>) -> Result<Value> {
        let client = self.client(url, allowed)?;
        let response = client
            .get(url)
            .header(header::ACCEPT, "application/json")
            .send()
            .await;
        match read(response).await {
            FetchResult::Found(value) => Ok(value),
            FetchResult::NotFound => Err(Error::unavailable("the server returned 404 or 410")),
            FetchResult::Failed(why) => Err(Error::unavailable(why)),
        }
    }

    /// Reads FHIR JSON with the access token that the client sent, within `budget`.
    pub async fn get_fhir(
        &self,
        url: &str,
        bearer: &str,
        allowed: AllowedHosts<'_>,
        budget: Duration,
    ) -> FetchResult {
        let Ok(client) = self.client(url, allowed) else {
            return FetchResult::NotFound;
        };
        let request = client
            .get(url)
            .bearer_auth(bearer)
            .header(header::ACCEPT, "application/fhir+json")
            .timeout(budget);
        read(request.send().await).await
    }

    /// Posts a message to an address of the client.
    pub async fn post(&self, url: &str, message: PostMessage<'_>, allowed: AllowedHosts<'_>) -> PostResult {
        let client = match self.client(url, allowed) {
            Ok(client) => client,
            Err(refused) => return PostResult::Rejected(refused.message().to_owned()),
        };
        let mut request = client
            .post(url)
            .header(header::CONTENT_TYPE, message.content_type)
            .timeout(message.time_limit)
            .body(message.body);
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(response) => post_result(response.status(), retry_after(&response)),
            Err(e) if e.is_builder() => PostResult::Rejected("the request could not be built".to_owned()),
            Err(e) => PostResult::RetryLater {
                reason: describe(&e).to_owned(),
                retry_after: None,
            },
        }
    }

    fn client(&self, url: &str, allowed: AllowedHosts<'_>) -> Result<&Client> {
        allowed.check(url)?;
        Ok(if allowed.loopback_http {
            &self.loopback
        } else {
            &self.public
        })
    }
}

async fn read(response: reqwest::Result<reqwest::Response>) -> FetchResult {
    let response = match response {
        Ok(response) => response,
        Err(e) => return FetchResult::Failed(describe(&e).to_owned()),
    };
    let status = response.status();
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return FetchResult::NotFound;
    }
    if !status.is_success() {
        return FetchResult::Failed(format!("the server returned {}", status.as_u16()));
    }
    if response.content_length().is_some_and(|n| n > MAX_BODY as u64) {
        return FetchResult::Failed("the response is too large".to_owned());
    }
    match response.bytes().await {
        Ok(bytes) if bytes.len() > MAX_BODY => FetchResult::Failed("the response is too large".to_owned()),
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok();
            match text.and_then(|text| crate::fhir::json::parse(text, "The response").ok()) {
                Some(found) => FetchResult::Found(found),
                None => FetchResult::Failed("the response is not JSON that can be stored".to_owned()),
            }
        }
        Err(e) => FetchResult::Failed(describe(&e).to_owned()),
    }
}

/// The statuses 408, 425, 429 and 5xx can be retried; all other failures are final.
fn post_result(status: StatusCode, retry_after: Option<u64>) -> PostResult {
    let reason = format!("the receiver returned {}", status.as_u16());
    match status.as_u16() {
        200..=299 => PostResult::Accepted,
        408 | 425 | 429 | 500..=599 => PostResult::RetryLater { reason, retry_after },
        _ => PostResult::Rejected(reason),
    }
}

fn retry_after(response: &reqwest::Response) -> Option<u64> {
    response
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// What went wrong, without the address.
fn describe(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connect() {
        "the server could not be reached"
    } else {
        "the response was interrupted"
    }
}
