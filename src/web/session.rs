//! Sessions of staff and members. The cookie holds a secret and the store holds the secret's fingerprint. A session
//! ends after a time without activity, and at the latest after 12 hours. Every form of a session carries its CSRF
//! token.
//!
//! The account is read from the store with every request, so a change of roles or a disabled account takes effect at
//! once.

use crate::auth::{constant_time_eq, fingerprint};
use crate::clock::new_secret;
use crate::error::{Error, Result};
use crate::fhir;
use crate::plan::Member;
use crate::prior_auth::{Reviewer, Role};
use crate::state::State;
use crate::store::accounts::{MemberLogin, StaffMember};
use crate::store::sessions::{Session, SessionKind};
use crate::web::cookies::{FORM_COOKIE, MEMBER_COOKIE, STAFF_COOKIE, session_cookie};
use crate::web::fields::{FormFields, IsSignedIn, url_with_query};
use crate::web::paths;
use crate::web::reply::{MemberPageError, StaffPageError, redirect, render_page};
use crate::web::views::{PageFrame, SignedInUser, SignedOutPage};
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// The longest time that a session lasts, in hours.
const MAX_HOURS: i64 = 12;

/// A member of staff with a session.
#[derive(Debug)]
pub(in crate::web) struct SignedInStaff {
    /// The account as stored now.
    pub person: StaffMember,
    /// The session.
    pub session: Session,
}

impl SignedInStaff {
    /// The person as a reviewer: identity, roles and license.
    pub(in crate::web) fn reviewer(&self) -> Reviewer {
        self.person.reviewer()
    }

    /// Whether the person may see cases.
    pub(in crate::web) fn may_see_cases(&self) -> bool {
        self.reviewer().may_see_cases()
    }

    /// The first page that the person may see.
    fn home(&self) -> &'static str {
        let reviewer = self.reviewer();
        if reviewer.may_see_cases() {
            paths::STAFF
        } else if reviewer.may_see_access_log() && !reviewer.may_see_policies() {
            paths::ACCESS_LOG
        } else {
            paths::POLICIES
        }
    }

    /// The page frame with this person's name and navigation.
    pub(in crate::web) fn frame(&self) -> PageFrame {
        let role = role_label(self.reviewer().acting_role());
        let state = self
            .person
            .credential
            .as_ref()
            .map(|c| format!(" ({})", c.state))
            .unwrap_or_default();
        PageFrame {
            signed_in: Some(SignedInUser {
                name: self.person.name.clone(),
                role: Some(format!("{role}{state}")),
                home: self.home().to_owned(),
                sign_out: "/staff/sign-out".to_owned(),
                csrf: self.session.csrf.clone(),
                may_see_cases: self.may_see_cases(),
                may_see_policies: self.reviewer().may_see_policies(),
                may_see_access_log: self.reviewer().may_see_access_log(),
            }),
        }
    }
}

/// A role as the pages show it.
pub(in crate::web) fn role_label(role: Role) -> &'static str {
    match role {
        Role::Intake => "Intake coordinator",
        Role::Nurse => "Nurse reviewer",
        Role::Physician => "Physician reviewer",
        Role::Supervisor => "Supervisor",
        Role::PolicyAuthor => "Policy author",
        Role::PolicyApprover => "Policy approver",
        Role::Auditor => "Auditor",
    }
}

/// The label of a stored role name; the name itself when it is not a role.
pub(in crate::web) fn role_name_label(name: &str) -> &str {
    match Role::parse(name) {
        Some(role) => role_label(role),
        None => name,
    }
}

/// Extractor: signed-in staff who may see cases.
#[derive(Debug)]
pub(in crate::web) struct CaseStaff(pub SignedInStaff);

/// Extractor: signed-in staff of any role, for pages that show no case.
#[derive(Debug)]
pub(in crate::web) struct AnyStaff(pub SignedInStaff);

/// Extractor: signed-in staff who may see cases, for requests that the script sends automatically. Such a request does
/// not extend the session; otherwise an open queue page would keep the session alive.
#[derive(Debug)]
pub(in crate::web) struct BackgroundCaseStaff(pub SignedInStaff);

/// A member with a session. Also the extractor for member pages.
#[derive(Debug)]
pub(in crate::web) struct SignedInMember {
    /// The member's login.
    pub login: MemberLogin,
    /// The member whose data the login may see.
    pub member: Member,
    /// The session.
    pub session: Session,
}

impl SignedInMember {
    /// The member's name; the user name when the record has no name.
    pub(in crate::web) fn name(&self) -> String {
        fhir::human_name(&self.member.doc).unwrap_or_else(|| self.login.username.clone())
    }

    /// The page frame with this person's name and navigation.
    pub(in crate::web) fn frame(&self) -> PageFrame {
        PageFrame {
            signed_in: Some(SignedInUser {
                name: self.name(),
                role: None,
                home: paths::MEMBER.to_owned(),
                sign_out: "/me/sign-out".to_owned(),
                csrf: self.session.csrf.clone(),
                may_see_cases: false,
                may_see_policies: false,
                may_see_access_log: false,
            }),
        }
    }
}

impl FromRequestParts<State> for CaseStaff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let AnyStaff(staff) = AnyStaff::from_request_parts(parts, state).await?;
        if staff.may_see_cases() {
            return Ok(Self(staff));
        }
        // All staff sign in at the same page. Those without access to cases are redirected to the page that they may see.
        if parts.method == Method::GET && parts.uri.path() == paths::STAFF {
            return Err(redirect(staff.home()).unwrap_or_else(error_response));
        }
        Err(no_case_access())
    }
}

impl FromRequestParts<State> for AnyStaff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = signed_in_staff(state, &parts.headers)
            .await
            .map_err(error_response)?;
        let staff = found.ok_or_else(|| redirect_to_sign_in(parts, paths::STAFF_SIGN_IN))?;
        extend_session(state, &staff.session)
            .await
            .map_err(error_response)?;
        parts.extensions.insert(IsSignedIn);
        Ok(Self(staff))
    }
}

impl FromRequestParts<State> for BackgroundCaseStaff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = signed_in_staff(state, &parts.headers)
            .await
            .map_err(error_response)?;
        let staff = found.ok_or_else(|| session_ended_page(paths::STAFF_SIGN_IN))?;
        if staff.may_see_cases() {
            Ok(Self(staff))
        } else {
            Err(no_case_access())
        }
    }
}

impl FromRequestParts<State> for SignedInMember {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = signed_in_member(state, &parts.headers)
            .await
            .map_err(|e| MemberPageError::from(e).into_response())?;
        let member = found.ok_or_else(|| redirect_to_sign_in(parts, paths::MEMBER_SIGN_IN))?;
        parts.extensions.insert(IsSignedIn);
        Ok(member)
    }
}

fn error_response(error: Error) -> Response {
    StaffPageError::from(error).into_response()
}

fn no_case_access() -> Response {
    error_response(Error::forbidden("Your role does not allow you to see cases"))
}

/// The member of staff whose session cookie the request carries.
pub(in crate::web) async fn signed_in_staff(
    state: &State,
    headers: &HeaderMap,
) -> Result<Option<SignedInStaff>> {
    let Some(secret) = STAFF_COOKIE.value(state, headers) else {
        return Ok(None);
    };
    staff_of_session(state, fingerprint(secret)).await
}

/// The member of staff of a session, found by the fingerprint of its secret.
pub(in crate::web) async fn staff_of_session(state: &State, hash: String) -> Result<Option<SignedInStaff>> {
    state
        .store
        .read((hash, state.now()), |tx, (hash, now)| {
            Box::pin(async move {
                let session = tx
                    .session(hash, *now)
                    .await?
                    .filter(|s| s.kind == SessionKind::Staff);
                let Some(session) = session else { return Ok(None) };
                let person = tx
                    .staff_member(session.subject)
                    .await?
                    .filter(|person| !person.disabled);
                Ok(person.map(|person| SignedInStaff { person, session }))
            })
        })
        .await
}

/// The member whose session cookie the request carries. Extends the session.
pub(in crate::web) async fn signed_in_member(
    state: &State,
    headers: &HeaderMap,
) -> Result<Option<SignedInMember>> {
    let Some(secret) = MEMBER_COOKIE.value(state, headers) else {
        return Ok(None);
    };
    let found = state
        .store
        .read((fingerprint(secret), state.now()), |tx, (hash, now)| {
            Box::pin(async move {
                let session = tx
                    .session(hash, *now)
                    .await?
                    .filter(|s| s.kind == SessionKind::Member);
                let Some(session) = session else { return Ok(None) };
                let Some(login) = tx.login(session.subject).await?.filter(|login| !login.disabled) else {
                    return Ok(None);
                };
                let member = tx.member(login.member).await?;
                Ok(member.map(|member| SignedInMember {
                    login,
                    member,
                    session,
                }))
            })
        })
        .await?;
    if let Some(signed) = &found {
        extend_session(state, &signed.session).await?;
    }
    Ok(found)
}

/// Moves the session's expiry, at most once a minute.
async fn extend_session(state: &State, session: &Session) -> Result<()> {
    let now = state.now();
    if now - session.seen < Duration::minutes(1) {
        return Ok(());
    }
    let expires = expiry(state, session.created, now);
    state
        .store
        .write(
            (session.hash.clone(), now, expires),
            |tx, (hash, now, expires)| Box::pin(async move { tx.touch_session(hash, *now, *expires).await }),
        )
        .await
}

fn expiry(state: &State, created: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let idle = Duration::minutes(i64::from(state.config.sessions.idle_minutes));
    (now + idle).min(created + Duration::hours(MAX_HOURS))
}

/// Starts a session and ends the previous session of the browser. Returns the Set-Cookie value.
pub(in crate::web) async fn start_session(
    state: &State,
    headers: &HeaderMap,
    kind: SessionKind,
    subject: Uuid,
) -> Result<HeaderValue> {
    let secret = new_secret();
    let now = state.now();
    let session = Session {
        hash: fingerprint(&secret),
        kind,
        subject,
        csrf: new_secret(),
        created: now,
        seen: now,
        expires: expiry(state, now, now),
    };
    let previous = session_cookie(kind).value(state, headers).map(fingerprint);
    state
        .store
        .write((session, previous), |tx, (session, previous)| {
            Box::pin(async move {
                if let Some(previous) = previous {
                    tx.close_session(previous).await?;
                }
                tx.open_session(session).await
            })
        })
        .await?;
    session_cookie(kind).header(state, &secret)
}

/// Ends a session. Responds with the signed-out page and removes the cookie.
pub(in crate::web) async fn sign_out(state: &State, session: Session, sign_in: &str) -> Result<Response> {
    let removal = session_cookie(session.kind).header(state, "")?;
    state
        .store
        .write(session.hash, |tx, hash| {
            Box::pin(async move { tx.close_session(hash).await })
        })
        .await?;
    let view = SignedOutPage {
        frame: PageFrame::default(),
        reason: Some("You have signed out.".to_owned()),
        sign_in: sign_in.to_owned(),
    };
    let mut response = render_page(StatusCode::OK, &view)?;
    response.headers_mut().append(header::SET_COOKIE, removal);
    Ok(response)
}

/// Checks that the form carries the CSRF token of this session.
pub(in crate::web) fn check_csrf_token(session: &Session, fields: &FormFields) -> Result<()> {
    if constant_time_eq(fields.get("csrf"), &session.csrf) {
        return Ok(());
    }
    Err(Error::forbidden(
        "This form does not belong to your session. Open the page again and submit the form from there",
    ))
}

/// The token for a sign-in form: the one from the browser's cookie, or a new one with the cookie to set.
pub(in crate::web) fn sign_in_form_token(
    state: &State,
    headers: &HeaderMap,
) -> Result<(String, Option<HeaderValue>)> {
    if let Some(token) = FORM_COOKIE
        .value(state, headers)
        .filter(|token| token.len() == 43)
    {
        return Ok((token.to_owned(), None));
    }
    let token = new_secret();
    let cookie = FORM_COOKIE.header(state, &token)?;
    Ok((token, Some(cookie)))
}

/// Whether a sign-in form comes from the browser that opened it: its token matches the cookie.
pub(in crate::web) fn is_own_sign_in_form(state: &State, headers: &HeaderMap, fields: &FormFields) -> bool {
    FORM_COOKIE
        .value(state, headers)
        .is_some_and(|token| constant_time_eq(token, fields.get("csrf")))
}

/// A request without a session: a page request is redirected to sign-in and returns to the page afterwards. A submitted
/// form is not repeated, so it gets the session-ended page.
fn redirect_to_sign_in(parts: &Parts, sign_in: &str) -> Response {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return session_ended_page(sign_in);
    }
    let requested = parts.uri.path_and_query().map_or("", |uri| uri.as_str());
    let next = (!matches!(requested, paths::STAFF | paths::MEMBER)).then_some(("next", requested));
    redirect(&url_with_query(sign_in, next.into_iter())).unwrap_or_else(|_| session_ended_page(sign_in))
}

/// The page shown when there is no session any more.
fn session_ended_page(sign_in: &str) -> Response {
    let view = SignedOutPage {
        frame: PageFrame::default(),
        reason: Some("Your session has ended, or you are not signed in. Nothing was saved.".to_owned()),
        sign_in: sign_in.to_owned(),
    };
    render_page(StatusCode::UNAUTHORIZED, &view).unwrap_or_else(|_| StatusCode::UNAUTHORIZED.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_session_is_refused() {
        let now = crate::review::samples::now();
        let session = Session {
            hash: "h".to_owned(),
            kind: SessionKind::Staff,
            subject: Uuid::nil(),
            csrf: "mine".to_owned(),
            created: now,
            seen: now,
            expires: now,
        };
        assert!(check_csrf_token(&session, &FormFields::parse("csrf=mine")).is_ok());
        assert!(check_csrf_token(&session, &FormFields::parse("csrf=theirs")).is_err());
        assert!(check_csrf_token(&session, &FormFields::parse("")).is_err());
    }
}
