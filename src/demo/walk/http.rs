//! A plain HTTP client: JSON for partners, a jar of cookies and the forms of pages for people.

use crate::error::{Error, Result};
use reqwest::{Client, Method, StatusCode, header, redirect};
use serde_json::Value;
use std::collections::BTreeMap;

/// A client of one server.
pub struct Http {
    base: String,
    client: Client,
}

/// An answer, read whole.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// `Location`, if any.
    pub location: Option<String>,
    /// The body.
    pub text: String,
    cookies: Vec<String>,
}

impl Answer {
    /// The body as JSON when the status is the one expected; else what came instead.
    pub fn json(&self, status: u16) -> Result<Value, String> {
        if self.status.as_u16() != status {
            let start: String = self.text.chars().take(600).collect();
            return Err(format!("expected {status}, got {}: {start}", self.status));
        }
        serde_json::from_str(&self.text).map_err(|e| format!("the answer is no JSON: {e}"))
    }
}

/// A person's browser: cookies, no script.
#[derive(Default)]
pub struct Jar(BTreeMap<String, String>);

/// A form of a page: where it goes and what it carries.
#[derive(Debug)]
pub struct Form {
    /// Its address.
    pub action: String,
    /// Hidden fields with their values.
    pub fields: Vec<(String, String)>,
}

impl Http {
    /// A client of the server at `base`.
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

    /// The server's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET, with a token or without.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Result<Answer, String> {
        let mut request = self.client.request(Method::GET, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer, String> {
        let request = self.client.post(self.url(path)).bearer_auth(token);
        answer(
            request
                .header(header::CONTENT_TYPE, "application/fhir+json")
                .body(body.to_string()),
        )
        .await
    }

    /// POST of a form, as OAuth wants it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        answer(self.client.post(self.url(path)).form(fields)).await
    }

    /// GET of a page, following redirects inside the server.
    pub async fn page(&self, jar: &mut Jar, path: &str) -> Result<Answer, String> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let got = answer(self.with_cookies(self.client.get(self.url(&path)), jar)).await?;
            jar.keep(&got);
            match got.location.as_deref().and_then(|l| self.inside(l)) {
                Some(next) if got.status.is_redirection() => path = next,
                _ => return Ok(got),
            }
        }
        Err("the pages redirect in a circle".to_owned())
    }

    /// POST of a page's form with more fields; answers with what came, a redirect included.
    pub async fn send(&self, jar: &mut Jar, form: &Form, more: &[(&str, &str)]) -> Result<Answer, String> {
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
        let got = answer(self.with_cookies(request.form(&fields), jar)).await?;
        jar.keep(&got);
        Ok(got)
    }

    /// Signs in on the page at `path` and answers with the page that comes after it.
    pub async fn sign_in(
        &self,
        jar: &mut Jar,
        path: &str,
        login: &str,
        password: &str,
    ) -> Result<Answer, String> {
        let page = self.page(jar, path).await?;
        let form = form_with(&page.text, "password")?;
        let got = self
            .send(jar, &form, &[("login", login), ("password", password)])
            .await?;
        match got.location.as_deref() {
            Some(next) if got.status.is_redirection() => match self.inside(next) {
                Some(inside) => self.page(jar, &inside).await,
                None => Ok(got),
            },
            _ => Err(format!("the sign-in of {login} was answered {}", got.status)),
        }
    }

    fn with_cookies(&self, request: reqwest::RequestBuilder, jar: &Jar) -> reqwest::RequestBuilder {
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

    /// The path of an address of this server.
    fn inside(&self, location: &str) -> Option<String> {
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        location
            .strip_prefix(&self.base)
            .map(|path| if path.is_empty() { "/" } else { path }.to_owned())
    }
}

impl Jar {
    fn keep(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap_or("");
            if let Some((name, value)) = pair.split_once('=') {
                self.0.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|e| format!("no answer: {e}"))?;
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
        .map_err(|e| format!("the answer broke off: {e}"))?;
    Ok(Answer {
        status,
        location,
        text,
        cookies,
    })
}

/// The form of a page that has a field of this name.
pub fn form_with(html: &str, field: &str) -> Result<Form, String> {
    let wanted = format!("name=\"{field}\"");
    let form = html
        .split("<form")
        .skip(1)
        .filter_map(|rest| rest.split("</form>").next())
        .find(|form| form.contains(&wanted))
        .ok_or_else(|| format!("the page has no form with {field}"))?;
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

/// An attribute's value, with the entities that templates write undone.
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
