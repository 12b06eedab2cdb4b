//! The views of the members' pages: sign-in, requests and apps, consent. Plain words; codes stand beside them.

use crate::web::render::Page;
use crate::web::views::{Contact, Frame, Mark};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The members' sign-in form; also shown on the way to a consent page.
#[derive(Debug, Serialize)]
pub struct MemberSignIn {
    /// The page's surroundings.
    pub frame: Frame,
    /// Where the form posts to.
    pub post: String,
    /// Ties the form to the browser that asked for it.
    pub csrf: String,
    /// The name as typed, after a failed try.
    pub login: String,
    /// Why the last try failed; the same words whatever was wrong.
    pub problem: Option<String>,
    /// The page to go to afterwards.
    pub next: Option<String>,
    /// The app that sent the member here.
    pub app: Option<String>,
    /// Whom to call.
    pub contact: Contact,
}

impl Page for MemberSignIn {
    const TEMPLATE: &'static str = "member_sign_in.html";
}

/// `/me`: the member's requests and the apps with access.
#[derive(Debug, Serialize)]
pub struct MemberHome {
    /// The page's surroundings.
    pub frame: Frame,
    /// The plan's time zone (IANA name).
    pub zone: String,
    /// A sentence about what was just done.
    pub message: Option<Message>,
    /// Newest first.
    pub requests: Vec<MemberRequest>,
    /// Apps with access.
    pub apps: Vec<Connection>,
    /// The token of the session.
    pub csrf: String,
    /// Whom to call.
    pub contact: Contact,
}

impl Page for MemberHome {
    const TEMPLATE: &'static str = "member_home.html";
}

/// What came of the last thing that was asked for.
#[derive(Debug, Serialize)]
pub struct Message {
    /// Whether it was done.
    pub done: bool,
    /// The sentence.
    pub text: String,
}

/// One request for authorization.
#[derive(Debug, Serialize)]
pub struct MemberRequest {
    /// Its number, to quote on the telephone.
    pub number: String,
    /// Who asked.
    pub requester: String,
    /// When it came in.
    pub received: Option<DateTime<Utc>>,
    /// Whether it was asked for as urgent.
    pub urgent: bool,
    /// By when the plan answers; none once it has.
    pub answer_by: Option<DateTime<Utc>>,
    /// What was asked for.
    pub lines: Vec<MemberLine>,
    /// How to appeal, once something was not approved.
    pub appeal: Option<Appeal>,
}

/// One service of a request.
#[derive(Debug, Serialize)]
pub struct MemberLine {
    /// The plan's words for the service, or the code's system and code.
    pub service: String,
    /// The billing code.
    pub code: String,
    /// The state.
    pub status: Mark,
    /// The state in a sentence: `Approved until Oct 5, 2027.`
    pub words: String,
    /// Why, for what was not approved.
    pub reason: Option<String>,
    /// When it was decided.
    pub decided: Option<DateTime<Utc>>,
}

/// The member's way to have a decision looked at again.
#[derive(Debug, Serialize)]
pub struct Appeal {
    /// Where, until when and how, in the plan's words.
    pub how: String,
}

/// An app with access.
#[derive(Debug, Serialize)]
pub struct Connection {
    /// The app.
    pub app: App,
    /// What it may read, in words.
    pub data: Vec<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The last day of access.
    pub until: Option<DateTime<Utc>>,
    /// When it last read.
    pub last_used: Option<DateTime<Utc>>,
    /// Where the button to end it posts to.
    pub remove: String,
}

/// An app as it was registered.
#[derive(Debug, Clone, Serialize)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub company: Option<String>,
    /// Its site.
    pub site: Option<WebLink>,
    /// Its privacy policy.
    pub policy: Option<WebLink>,
}

/// An address that may stand in a link: https and nothing else, so that a registration cannot smuggle in a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebLink(String);

impl WebLink {
    /// Takes an absolute https address.
    pub fn read(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        (url.scheme() == "https" && url.has_host()).then(|| Self(url.into()))
    }
}

/// The authorization page of an app.
#[derive(Debug, Serialize)]
pub struct Consent {
    /// The page's surroundings.
    pub frame: Frame,
    /// Where the form posts to.
    pub post: String,
    /// The token of the session.
    pub csrf: String,
    /// The pending authorization that the answer belongs to.
    pub request: String,
    /// Who asks.
    pub app: App,
    /// Whose data.
    pub member: String,
    /// What it would read, in words.
    pub data: Vec<String>,
    /// For how long: `for one hour`, `for 90 days`.
    pub duration: String,
    /// Whether the app can read again without asking until then.
    pub renews: bool,
    /// Whom to call.
    pub contact: Contact,
}

impl Page for Consent {
    const TEMPLATE: &'static str = "consent.html";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_becomes_a_link() {
        assert!(WebLink::read("https://app.example/privacy").is_some());
        for text in [
            "http://app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/me",
            "https:",
        ] {
            assert_eq!(WebLink::read(text), None, "{text}");
        }
    }
}
