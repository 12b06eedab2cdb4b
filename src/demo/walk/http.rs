//! A plain HTTP client for the end-to-end check: JSON for client systems, cookies and HTML forms for people.

use crate::error::{Error, Result};
use reqwest::{Client, Method, StatusCode, header, redirect};
use serde_json::Value;
use std::collections::BTreeMap;

/// An HTTP client of one server.
pub struct Http {
    base: String,
    client: Client,
}

/// A complete HTTP reply.
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// `Location`, if the reply has one.
    pub location: Option<String>,
    /// The body.
    pub text: String,
    cookies: Vec<String>,
}

impl Reply {
    /// The body as JSON if the status is the expected one; otherwise an error that says what was received.
    pub fn json(&self, status: u16) -> Result<Value, String> {
        if self.status.as_u16() != status {
            let start: String = self.text.chars().take(600).collect();
            return Err(format!("expected HTTP {status}, got {}: {start}", self.status));
        }
        serde_json::from_str(&self.text).map_err(|e| format!("the reply is not JSON: {e}"))
    }
}

/// The cookies of one person's browser.
#[derive(Default)]
pub struct CookieJar(BTreeMap<String, String>);

/// An HTML form.
#[derive(Debug)]
pub struct Form {
    /// Where it is sent: a path or a URL.
    pub action: String,
    /// Its hidden fields with their values.
    pub fields: Vec<(String, String)>,
}

impl Http {
    /// A client of the server at this URL.
    pub fn new(base: &str) -> Result<Self> {
        crate::app::install_crypto();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
        })
    }

    /// The server's URL, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET with an optional access token.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Result<Reply, String> {
        let mut request = self.client.request(Method::GET, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        send(request).await
    }

    /// POST of a FHIR resource or a hook.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Reply, String> {
        let request = self.client.post(self.url(path)).bearer_auth(token);
        send(
            request
                .header(header::CONTENT_TYPE, "application/fhir+json")
                .body(body.to_string()),
        )
        .await
    }

    /// POST of form fields, as OAuth requires.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Reply, String> {
        send(self.client.post(self.url(path)).form(fields)).await
    }

    /// GET of a page. Follows redirects within the server.
    pub async fn page(&self, jar: &mut CookieJar, path: &str) -> Result<Reply, String> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let reply = send(self.with_cookies(self.client.get(self.url(&path)), jar)).await?;
            jar.store(&reply);
            match reply.location.as_deref().and_then(|l| self.local_path(l)) {
                Some(next) if reply.status.is_redirection() => path = next,
                _ => return Ok(reply),
            }
        }
        Err("the page redirects more than 8 times".to_owned())
    }

    /// POST of a page's form with more fields. Does not follow a redirect.
    pub async fn submit(
        &self,
        jar: &mut CookieJar,
        form: &Form,
        more: &[(&str, &str)],
    ) -> Result<Reply, String> {
        let mut fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend_from_slice(more);
        let request = self
            .client
            .post(self.url(&form.action))
            .header(header::ORIGIN, &self.base);
        let reply = send(self.with_cookies(request.form(&fields), jar)).await?;
        jar.store(&reply);
        Ok(reply)
    }

    /// Signs in on the page at `path` and returns the page that follows.
    pub async fn sign_in(
        &self,
        jar: &mut CookieJar,
        path: &str,
        login: &str,
        password: &str,
    ) -> Result<Reply, String> {
        let page = self.page(jar, path).await?;
        let form = form_with_field(&page.text, "password")?;
        let reply = self
            .submit(jar, &form, &[("login", login), ("password", password)])
            .await?;
        match reply.location.as_deref() {
            Some(next) if reply.status.is_redirection() => match self.local_path(next) {
                Some(inside) => self.page(jar, &inside).await,
                None => Ok(reply),
            },
            _ => Err(format!("sign-in of {login} returned HTTP {}", reply.status)),
        }
    }

    fn with_cookies(&self, request: reqwest::RequestBuilder, jar: &CookieJar) -> reqwest::RequestBuilder {
        if jar.0.is_empty() {
            return request;
        }
        let cookies: Vec<String> = jar
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request.header(header::COOKIE, cookies.join("; "))
    }

    fn url(&self, path: &str) -> String {
        if path.contains("://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        }
    }

    /// The path of a URL of this server; `None` for other servers.
    fn local_path(&self, location: &str) -> Option<String> {
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        location
            .strip_prefix(&self.base)
            .map(|path| if path.is_empty() { "/" } else { path }.to_owned())
    }
}

impl CookieJar {
    fn store(&mut self, reply: &Reply) {
        for cookie in &reply.cookies {
            let pair = cookie.split(';').next().unwrap_or("");
            if let Some((name, value)) = pair.split_once('=') {
                self.0.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// The innermost cause of an error, such as "Connection refused".
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

async fn send(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let response = request
        .send()
        .await
        .map_err(|e| format!("no reply: {}", cause(&e)))?;
    let text_of = |name| {
        response
            .headers()
            .get(name)
            .and_then(|v: &header::HeaderValue| v.to_str().ok())
    };
    let location = text_of(header::LOCATION).map(str::to_owned);
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    let cookies = cookies
        .filter_map(|c| c.to_str().ok())
        .map(str::to_owned)
        .collect();
    let status = response.status();
    let text = response
        .text()
        .await
        .map_err(|e| format!("the reply ended early: {e}"))?;
    Ok(Reply {
        status,
        location,
        text,
        cookies,
    })
}

/// The form of a page that has a field with this name.
pub fn form_with_field(html: &str, field: &str) -> Result<Form, String> {
    let wanted = format!("name=\"{field}\"");
    let form = html
        .split("<form")
        .skip(1)
        .filter_map(|rest| rest.split("</form>").next())
        .find(|form| form.contains(&wanted))
        .ok_or_else(|| format!("the page has no form with the field {field}"))?;
    let opening = form.split('>').next().unwrap_or("");
    let fields = form
        .split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .filter(|input| attribute(input, "type").as_deref() == Some("hidden"))
        .filter_map(|input| {
            Some((
                attribute(input, "name")?,
                attribute(input, "value").unwrap_or_default(),
            ))
        })
        .collect();
    Ok(Form {
        action: attribute(opening, "action").unwrap_or_default(),
        fields,
    })
}

/// The value of an HTML attribute, with the character references that templates write decoded.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = format!(" {name}=\"");
    let padded = format!(" {}", tag.replace(['\n', '\t'], " "));
    let value = padded.split_once(&start)?.1.split('"').next()?.to_owned();
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#x27;", "'")
            .replace("&#x2f;", "/")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}
