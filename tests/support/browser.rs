//! A person's browser without scripts: cookies and forms.

use super::ehr::form_body;
use super::{PUBLIC_URL, Reply, TestApp};
use assent::demo::walk::http::{Form, form_with_field};
use axum::body::Body;
use axum::http::{Request, header};
use std::collections::BTreeMap;

/// A browser with its own cookies.
pub struct Browser<'a> {
    app: &'a TestApp,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            cookies: BTreeMap::new(),
        }
    }

    /// GET of a page. Follows redirects within the server.
    pub async fn page(&mut self, path: &str) -> Reply {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let reply = self.get(&path).await;
            match location(&reply) {
                Some(next) if reply.status.is_redirection() && next.starts_with('/') => path = next,
                _ => return reply,
            }
        }
        panic!("{path} redirects more than 8 times")
    }

    /// GET of a page. Does not follow a redirect.
    pub async fn get(&mut self, path: &str) -> Reply {
        let request = self.with_cookies(Request::get(path)).body(Body::empty()).unwrap();
        let reply = self.app.call(request).await;
        self.store_cookies(&reply);
        reply
    }

    /// POST of a page's form with more fields. Does not follow a redirect.
    pub async fn send(&mut self, form: &Form, more: &[(&str, &str)]) -> Reply {
        let reply = self.app.call(self.post(form, more)).await;
        self.store_cookies(&reply);
        reply
    }

    /// The request that sends a page's form with more fields.
    pub fn post(&self, form: &Form, more: &[(&str, &str)]) -> Request<Body> {
        let mut fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend_from_slice(more);
        self.with_cookies(Request::post(&form.action))
            .header(header::ORIGIN, PUBLIC_URL)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form_body(&fields)))
            .unwrap()
    }

    /// The form with this field on a page.
    pub async fn form(&mut self, path: &str, field: &str) -> Form {
        let page = self.page(path).await;
        form_with_field(&page.text, field).unwrap_or_else(|e| panic!("{e}: {} {}", page.status, page.text))
    }

    /// Opens a page that requires sign-in, signs in, and returns the page.
    pub async fn sign_in(&mut self, path: &str, username: &str) -> Reply {
        let form = self.form(path, "password").await;
        let password = self.app.sign_ins[username].password.clone();
        let reply = self
            .send(&form, &[("login", username), ("password", &password)])
            .await;
        assert!(
            reply.status.is_redirection(),
            "sign-in returned {} {}",
            reply.status,
            reply.text
        );
        let next = location(&reply).unwrap();
        self.page(next.strip_prefix(PUBLIC_URL).unwrap_or(&next)).await
    }

    fn with_cookies(&self, request: axum::http::request::Builder) -> axum::http::request::Builder {
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        if cookies.is_empty() {
            request
        } else {
            request.header(header::COOKIE, cookies.join("; "))
        }
    }

    fn store_cookies(&mut self, reply: &Reply) {
        for cookie in reply.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// `Location`, if the reply has one.
pub fn location(reply: &Reply) -> Option<String> {
    Some(reply.headers.get(header::LOCATION)?.to_str().unwrap().to_owned())
}
