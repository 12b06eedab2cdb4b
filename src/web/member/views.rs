//! The views of the member pages: sign-in, requests and connected apps, consent. Their texts are in plain words.

use crate::web::render::Page;
use crate::web::views::{Badge, PageFrame, PlanContact};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The member sign-in page. It is also shown before a consent page.
#[derive(Debug, Serialize)]
pub struct MemberSignInPage {
    /// The frame around the page's content.
    pub frame: PageFrame,
    /// The URL that the form posts to.
    pub action: String,
    /// The CSRF token of the form.
    pub csrf: String,
    /// The user name as typed in a failed attempt.
    pub login: String,
    /// Why the last attempt failed. The text does not say which part was wrong.
    pub problem: Option<String>,
    /// The page to go to after sign-in.
    pub next: Option<String>,
    /// The name of the app that sent the member here.
    pub app: Option<String>,
    /// The plan's contact details.
    pub contact: PlanContact,
}

impl Page for MemberSignInPage {
    const TEMPLATE: &'static str = "member_sign_in.html";
}

/// `/me`: the member's requests and connected apps.
#[derive(Debug, Serialize)]
pub struct MemberHomePage {
    /// The frame around the page's content.
    pub frame: PageFrame,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// The result of what the member just did.
    pub message: Option<Message>,
    /// The member's requests, newest first.
    pub requests: Vec<MemberRequest>,
    /// The page with older requests, if there are any.
    pub older: Option<String>,
    /// The page with the newest requests, if this is another one.
    pub newest: Option<String>,
    /// The apps that can read the member's data.
    pub apps: Vec<ConnectedApp>,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The plan's contact details.
    pub contact: PlanContact,
}

impl Page for MemberHomePage {
    const TEMPLATE: &'static str = "member_home.html";
}

/// The result of an action.
#[derive(Debug, Serialize)]
pub struct Message {
    /// Whether the action succeeded.
    pub done: bool,
    /// The result in a sentence.
    pub text: String,
}

/// A prior authorization request.
#[derive(Debug, Serialize)]
pub struct MemberRequest {
    /// The number to give on the phone.
    pub reference_number: String,
    /// The name of the requester.
    pub requester: String,
    /// When the plan received the request.
    pub received: DateTime<Utc>,
    /// Whether the request is urgent (expedited).
    pub urgent: bool,
    /// When the plan must decide; `None` once it has decided.
    pub decision_due: Option<DateTime<Utc>>,
    /// The requested services.
    pub items: Vec<MemberItem>,
    /// How to appeal, if an item was denied: where, until when and how, in the plan's words.
    pub appeal_instructions: Option<String>,
}

/// A requested service.
#[derive(Debug, Serialize)]
pub struct MemberItem {
    /// The plain name of the service.
    pub service: String,
    /// The billing code.
    pub code: String,
    /// The status.
    pub status: Badge,
    /// The status in a sentence: `Approved through Oct 5, 2027.`
    pub explanation: String,
    /// The reason for a denial, or why no authorization is needed.
    pub reason: Option<String>,
    /// When the item was decided.
    pub decided: Option<DateTime<Utc>>,
}

/// An app that can read the member's data.
#[derive(Debug, Serialize)]
pub struct ConnectedApp {
    /// The app.
    pub app: App,
    /// What the app may read, in plain words.
    pub data: Vec<String>,
    /// When the member allowed it.
    pub since: DateTime<Utc>,
    /// When the access ends unless the app renews it.
    pub until: Option<DateTime<Utc>>,
    /// When the app last got a token.
    pub last_used: Option<DateTime<Utc>>,
    /// The URL that the form to end the access posts to.
    pub remove_action: String,
}

/// An app, as registered.
#[derive(Debug, Clone, Serialize)]
pub struct App {
    /// The app's name.
    pub name: String,
    /// The company that makes the app.
    pub company: Option<String>,
    /// The app's website.
    pub site: Option<WebLink>,
    /// The app's privacy policy.
    pub policy: Option<WebLink>,
}

/// An https URL that is safe to use in a link. Other schemes are refused because they could run a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebLink(String);

impl WebLink {
    /// Parses an absolute https URL. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        (url.scheme() == "https" && url.has_host()).then(|| Self(url.into()))
    }
}

/// The page on which a member allows an app to read data, or does not.
#[derive(Debug, Serialize)]
pub struct ConsentPage {
    /// The frame around the page's content.
    pub frame: PageFrame,
    /// The URL that the form posts to.
    pub action: String,
    /// The CSRF token of the session.
    pub csrf: String,
    /// The query of the authorization request.
    pub request: String,
    /// The app that asks.
    pub app: App,
    /// The member's name and number.
    pub member: String,
    /// What the app could read, in plain words.
    pub data: Vec<String>,
    /// How long the app has access, in a sentence.
    pub duration: String,
    /// Whether the app can renew its access without asking again.
    pub renews: bool,
    /// The plan's contact details.
    pub contact: PlanContact,
}

impl Page for ConsentPage {
    const TEMPLATE: &'static str = "consent.html";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_https_url_becomes_a_link() {
        assert!(WebLink::parse("https://app.example/privacy").is_some());
        for text in [
            "http://app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/me",
            "https:",
        ] {
            assert_eq!(WebLink::parse(text), None, "{text}");
        }
    }
}
