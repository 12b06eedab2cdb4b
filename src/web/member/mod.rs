//! The members' pages: sign-in, requests with their state in plain words, apps with access and the button that ends it.

pub mod consent;
pub mod views;

use crate::access::Standing;
use crate::access::timeline::{self, Timeline, TimelineLine};
use crate::auth::{Client, Scopes};
use crate::error::{Error, Kind, Result};
use crate::oauth::members::{self, MemberGrant};
use crate::state::State;
use crate::store::sessions::SessionKind;
use crate::web::fields::{Fields, next_page};
use crate::web::public::front_page::contact;
use crate::web::reply::{MemberRefusal, go, page};
use crate::web::session::{self, SignedMember};
use crate::web::sign_in::{STALE, Tries, WRONG, check};
use crate::web::views::{
    App, Appeal, Connection, Frame, Mark, MemberHome, MemberLine, MemberRequest, MemberSignIn, Message, Tone,
    WebLink,
};
use axum::Extension;
use axum::extract::{Path, RawQuery, State as Held};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;

/// Where a member may be led after sign-in.
pub(in crate::web) const ROOTS: [&str; 2] = ["/me", "/oauth/authorize"];

type Answer = Result<Response, MemberRefusal>;

/// `GET /me/sign-in`.
pub(in crate::web) async fn sign_in_page(
    Held(state): Held<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Fields::read(query.as_deref().unwrap_or(""));
    if session::member(&state, &headers).await?.is_some() {
        return Ok(go(next_page(query.get("next"), &ROOTS).unwrap_or("/me"))?);
    }
    let form = SignInForm {
        login: "",
        next: query.get("next"),
        app: None,
    };
    form.page(&state, &headers, StatusCode::OK, None)
}

/// `POST /me/sign-in`.
pub(in crate::web) async fn sign_in(
    Held(state): Held<State>,
    Extension(tries): Extension<Arc<Tries>>,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let form = SignInForm {
        login: fields.get("login"),
        next: fields.get("next"),
        app: None,
    };
    if !session::is_own_form(&headers, &fields) {
        return form.page(&state, &headers, StatusCode::FORBIDDEN, Some(STALE));
    }
    let login = match check(
        &state,
        &tries,
        SessionKind::Member,
        form.login,
        fields.get("password"),
    )
    .await
    {
        Ok(Some(login)) => login,
        Ok(None) => return form.page(&state, &headers, StatusCode::UNAUTHORIZED, Some(WRONG)),
        Err(e) if e.kind() == Kind::TooMany => {
            return form.page(&state, &headers, StatusCode::TOO_MANY_REQUESTS, Some(e.message()));
        }
        Err(e) => return Err(e.into()),
    };
    let cookie = session::open(&state, &headers, SessionKind::Member, login).await?;
    let mut response = go(next_page(form.next, &ROOTS).unwrap_or("/me"))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// What the members' sign-in form is filled with.
pub(in crate::web) struct SignInForm<'a> {
    /// The name as typed.
    pub login: &'a str,
    /// Where to go afterwards; checked here.
    pub next: &'a str,
    /// The app that sent the member.
    pub app: Option<&'a str>,
}

impl SignInForm<'_> {
    /// The page.
    pub(in crate::web) fn page(
        &self,
        state: &State,
        headers: &HeaderMap,
        status: StatusCode,
        problem: Option<&str>,
    ) -> Answer {
        let (csrf, cookie) = session::form_token(state, headers)?;
        let view = MemberSignIn {
            frame: Frame::default(),
            post: "/me/sign-in".to_owned(),
            csrf,
            login: self.login.to_owned(),
            problem: problem.map(str::to_owned),
            next: next_page(self.next, &ROOTS).map(str::to_owned),
            app: self.app.map(str::to_owned),
            contact: contact(state),
        };
        let mut response = page(status, &view)?;
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

/// `POST /me/sign-out`.
pub(in crate::web) async fn sign_out(
    Held(state): Held<State>,
    member: SignedMember,
    fields: Fields,
) -> Answer {
    session::check_form(&member.session, &fields)?;
    Ok(session::close(&state, member.session, "/me/sign-in").await?)
}

/// `GET /me`.
pub(in crate::web) async fn home(
    Held(state): Held<State>,
    member: SignedMember,
    RawQuery(query): RawQuery,
) -> Answer {
    let removed = Fields::read(query.as_deref().unwrap_or("")).get("removed") == "1";
    let message = removed.then(|| Message {
        done: true,
        text: "The app can no longer read your data. What it has copied stays with it.".to_owned(),
    });
    show(&state, &member, message).await
}

/// `POST /me/apps/{grant}/remove`.
pub(in crate::web) async fn remove_app(
    Held(state): Held<State>,
    member: SignedMember,
    Path(grant): Path<String>,
    fields: Fields,
) -> Answer {
    session::check_form(&member.session, &fields)?;
    let grant = grant
        .parse()
        .map_err(|_| Error::not_found("app access", "of this address"))?;
    members::end_grant(&state, member.member.id, grant).await?;
    Ok(go("/me?removed=1#apps")?)
}

async fn show(state: &State, member: &SignedMember, message: Option<Message>) -> Answer {
    let timelines = timeline::of_member(state, member.member.id).await?;
    let grants = members::grants(state, member.member.id).await?;
    let zone = timelines.first().map_or(chrono_tz::UTC, |first| first.zone);
    let view = MemberHome {
        frame: member.frame(),
        zone: zone.name().to_owned(),
        message,
        requests: timelines.into_iter().map(request).collect(),
        apps: grants.iter().map(connection).collect(),
        csrf: member.session.csrf.clone(),
        contact: contact(state),
    };
    Ok(page(StatusCode::OK, &view)?)
}

fn request(timeline: Timeline) -> MemberRequest {
    MemberRequest {
        number: timeline.number,
        requester: Some(timeline.requester)
            .filter(|name| !name.is_empty())
            .unwrap_or("your provider".to_owned()),
        received: Some(timeline.received),
        urgent: timeline.urgent,
        answer_by: timeline.answer_by,
        lines: timeline.lines.into_iter().map(line).collect(),
        appeal: timeline.appeal.map(|how| Appeal { how }),
    }
}

fn line(line: TimelineLine) -> MemberLine {
    let words = match (line.standing, line.authorization) {
        (Standing::Received, _) => "We have it and are checking that it is complete.".to_owned(),
        (Standing::InReview, _) => "One of our clinicians is looking at it.".to_owned(),
        (Standing::NotApproved, _) => "We did not approve this.".to_owned(),
        (Standing::NotRequired, _) => "You do not need our approval for this.".to_owned(),
        (_, Some(number)) => format!("{} The approval number is {number}.", line.words),
        (_, None) => line.words,
    };
    MemberLine {
        service: line.service,
        code: line.code,
        status: standing_mark(line.standing),
        words,
        reason: line.reason,
        decided: line.decided,
    }
}

fn standing_mark(standing: Standing) -> Mark {
    let (tone, word) = match standing {
        Standing::Received => (Tone::Open, "Received"),
        Standing::InReview => (Tone::Open, "In review"),
        Standing::Approved { .. } => (Tone::Approved, "Approved"),
        Standing::Ended { .. } => (Tone::Closed, "Ended"),
        Standing::NotApproved => (Tone::Denied, "Not approved"),
        Standing::NotRequired => (Tone::Closed, "No approval needed"),
    };
    Mark::new(tone, word)
}

fn connection(grant: &MemberGrant) -> Connection {
    Connection {
        app: app(&grant.app),
        data: data_words(&grant.scopes, Some(grant.sensitive)),
        since: grant.created,
        until: grant.until,
        last_used: grant.last_used,
        remove: format!("/me/apps/{}/remove", grant.id),
    }
}

/// An app as it was registered.
pub(in crate::web) fn app(client: &Client) -> App {
    let link = |address: &Option<String>| address.as_deref().and_then(WebLink::read);
    App {
        name: client.name.clone(),
        company: client.doc.company.clone(),
        site: link(&client.doc.client_uri),
        policy: link(&client.doc.policy_uri),
    }
}

/// What scopes let an app read, in words. `sensitive` is the member's choice, once it was made.
pub(in crate::web) fn data_words(scopes: &Scopes, sensitive: Option<bool>) -> Vec<String> {
    let reads = |kind: &str| {
        scopes
            .kinds()
            .any(|own| own == "*" || own.eq_ignore_ascii_case(kind))
    };
    let all = [
        (
            reads("Patient"),
            "Your name, birth date, address and member number",
        ),
        (reads("Coverage"), "Your plan and since when you have it"),
        (
            reads("ExplanationOfBenefit"),
            "Requests for approval, what we decided and why",
        ),
        (
            reads("Practitioner") || reads("Organization"),
            "The names of providers in these requests",
        ),
        (sensitive == Some(true), "Requests about sensitive care too"),
        (sensitive == Some(false), "Nothing about sensitive care"),
    ];
    all.into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, words)| words.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_become_words() {
        let eob = Scopes::read("launch/patient patient/ExplanationOfBenefit.rs");
        assert_eq!(
            data_words(&eob, None),
            ["Requests for approval, what we decided and why"]
        );
        assert_eq!(data_words(&Scopes::read("patient/*.rs"), Some(false)).len(), 5);
        assert!(data_words(&Scopes::read("offline_access"), None).is_empty());
    }

    #[test]
    fn an_approval_tells_its_number() {
        let shown = line(TimelineLine {
            service: "Home oxygen".to_owned(),
            code: "E1390".to_owned(),
            standing: Standing::Approved { until: None },
            words: "Approved.".to_owned(),
            reason: None,
            authorization: Some("PA-1".to_owned()),
            decided: None,
        });
        assert_eq!(shown.words, "Approved. The approval number is PA-1.");
        assert_eq!(shown.status.tone, Tone::Approved);
    }
}
