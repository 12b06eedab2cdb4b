//! Calls to the outside: the one room with `reqwest`. Every call names what it may reach; nothing else is reached.
//!
//! The guard: https only (http to loopback where the client's registration says so), the host on the caller's list,
//! no address in a private, loopback or link-local range (checked on what the name resolves to, at connect time, so
//! a name that changes its address in between gains nothing), no redirects, one time budget, bounded answers.

mod guard;

pub use guard::Allowed;

use crate::error::{Error, Result};
use guard::PublicOnly;
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Largest answer that is read, in bytes.
const ANSWER: usize = 4 * 1024 * 1024;

/// The ways out of the house.
#[derive(Debug, Clone)]
pub struct Net {
    /// Reaches public addresses alone.
    public: Client,
    /// Reaches loopback too; used only for clients that are registered so.
    near: Client,
}

/// What a read from a partner's FHIR server came to. A failed read is never "not there".
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// The resource or searchset.
    Found(Value),
    /// 404 or 410, or an address that this call may not reach.
    NotThere,
    /// Refused, broken or too slow; says which, without content.
    Failed(String),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// 2xx.
    Yes,
    /// Try again; not before so many seconds, if the receiver said so.
    Later(String, Option<u64>),
    /// Never.
    No(String),
}

impl Net {
    /// Builds both clients.
    pub fn new() -> Result<Self> {
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .connect_timeout(Duration::from_secs(5))
                .timeout(Duration::from_secs(30))
                .user_agent("assent")
                .no_proxy()
        };
        let near = builder().build().map_err(Error::internal)?;
        let public = builder()
            .dns_resolver(Arc::new(PublicOnly))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { public, near })
    }

    /// Reads JSON without a token (a key set).
    pub async fn get_json(&self, url: &str, allowed: Allowed<'_>) -> Result<Value> {
        let client = self.client(url, allowed)?;
        let answer = client
            .get(url)
            .header(header::ACCEPT, "application/json")
            .send()
            .await;
        match read(answer).await {
            Fetched::Found(value) => Ok(value),
            Fetched::NotThere => Err(Error::unavailable("the address answered that nothing is there")),
            Fetched::Failed(why) => Err(Error::unavailable(why)),
        }
    }

    /// Reads FHIR JSON with a partner's token, within a budget.
    pub async fn get_json_as(
        &self,
        url: &str,
        bearer: &str,
        allowed: Allowed<'_>,
        budget: Duration,
    ) -> Fetched {
        let Ok(client) = self.client(url, allowed) else {
            return Fetched::NotThere;
        };
        let request = client
            .get(url)
            .bearer_auth(bearer)
            .header(header::ACCEPT, "application/fhir+json")
            .timeout(budget);
        read(request.send().await).await
    }

    /// Posts a body with the receiver's own headers.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        content_type: &str,
        body: String,
        allowed: Allowed<'_>,
    ) -> Delivered {
        let client = match self.client(url, allowed) {
            Ok(client) => client,
            Err(refused) => return Delivered::No(refused.message().to_owned()),
        };
        let mut request = client
            .post(url)
            .header(header::CONTENT_TYPE, content_type)
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(answer) => delivered(answer.status(), retry_after(&answer)),
            Err(e) if e.is_builder() => Delivered::No("the request could not be built".to_owned()),
            Err(e) => Delivered::Later(kind_of(&e).to_owned(), None),
        }
    }

    fn client(&self, url: &str, allowed: Allowed<'_>) -> Result<&Client> {
        allowed.check(url)?;
        Ok(if allowed.loopback_http {
            &self.near
        } else {
            &self.public
        })
    }
}

async fn read(answer: reqwest::Result<reqwest::Response>) -> Fetched {
    let answer = match answer {
        Ok(answer) => answer,
        Err(e) => return Fetched::Failed(kind_of(&e).to_owned()),
    };
    let status = answer.status();
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Fetched::NotThere;
    }
    if !status.is_success() {
        return Fetched::Failed(format!("the server answered {}", status.as_u16()));
    }
    if answer.content_length().is_some_and(|n| n > ANSWER as u64) {
        return Fetched::Failed("the answer is too large".to_owned());
    }
    match answer.bytes().await {
        Ok(bytes) if bytes.len() > ANSWER => Fetched::Failed("the answer is too large".to_owned()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_or_else(
            |_| Fetched::Failed("the answer is no JSON".to_owned()),
            Fetched::Found,
        ),
        Err(e) => Fetched::Failed(kind_of(&e).to_owned()),
    }
}

/// Which answers are worth another try: 408, 425, 429 and 5xx. The rest will not get better.
fn delivered(status: StatusCode, retry_after: Option<u64>) -> Delivered {
    let word = format!("the receiver answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Delivered::Yes,
        408 | 425 | 429 | 500..=599 => Delivered::Later(word, retry_after),
        _ => Delivered::No(word),
    }
}

fn retry_after(answer: &reqwest::Response) -> Option<u64> {
    answer
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// What went wrong, without the address.
fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connect() {
        "the server could not be reached"
    } else {
        "the answer broke off"
    }
}
