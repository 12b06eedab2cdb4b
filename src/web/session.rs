//! Who is signed in on a page. The cookie holds a secret, the store its fingerprint; a session ends after idle time
//! and, whatever happens, after half a day. Every form of a session carries the session's own token.
//!
//! The person is read anew with each request: a role or license that is taken away is gone at once.

use crate::auth::{fingerprint, same};
use crate::clock::new_secret;
use crate::error::{Error, Result};
use crate::fhir;
use crate::plan::Member;
use crate::prior_auth::Reviewer;
use crate::state::State;
use crate::store::people::{Login, Person};
use crate::store::sessions::{Session, SessionKind};
use crate::web::fields::{Fields, address};
use crate::web::reply::{MemberRefusal, StaffRefusal, go, page};
use crate::web::staff::policies::POLICIES;
use crate::web::views::{Frame, SignedIn, SignedOut};
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// The cookie of reviewers.
const STAFF: &str = "assent_session";
/// The cookie of members: another one, so that both can be signed in side by side.
const MEMBER: &str = "assent_member";
/// The cookie that ties a sign-in form to the browser that asked for it.
const FORM: &str = "assent_form";
/// The longest a session lasts, however busy, in hours.
const LONGEST: i64 = 12;

fn cookie_of(kind: SessionKind) -> (&'static str, &'static str) {
    match kind {
        SessionKind::Staff => (STAFF, "/staff"),
        SessionKind::Member => (MEMBER, "/"),
    }
}

/// A member of staff with a session. As what a page asks for it means: one who may look at cases.
#[derive(Debug)]
pub(in crate::web) struct Staff {
    /// The person, as on record now.
    pub person: Person,
    /// The session.
    pub session: Session,
}

impl Staff {
    /// The person as one who acts on cases.
    pub(in crate::web) fn reviewer(&self) -> Reviewer {
        self.person.reviewer()
    }

    /// Whether the person may look at cases.
    pub(in crate::web) fn sees_cases(&self) -> bool {
        self.reviewer().may_see_cases()
    }

    /// The page's surroundings.
    pub(in crate::web) fn frame(&self) -> Frame {
        let role = self.reviewer().acting_role().as_str();
        let state = self
            .person
            .credential
            .as_ref()
            .map(|c| format!(" ({})", c.state))
            .unwrap_or_default();
        Frame {
            signed_in: Some(SignedIn {
                name: self.person.name.clone(),
                role: Some(format!("{role}{state}")),
                home: if self.sees_cases() { "/staff" } else { POLICIES }.to_owned(),
                sign_out: "/staff/sign-out".to_owned(),
                csrf: self.session.csrf.clone(),
                cases: self.sees_cases(),
                policies: self.reviewer().may_see_policies(),
            }),
        }
    }
}

/// A member of staff of any role: for pages that show no case.
#[derive(Debug)]
pub(in crate::web) struct AnyStaff(pub Staff);

/// Reads what a script fetches by itself: it does not count as use, or no session would ever end.
#[derive(Debug)]
pub(in crate::web) struct Watching(pub Staff);

/// A member with a session.
#[derive(Debug)]
pub(in crate::web) struct SignedMember {
    /// The sign-in.
    pub login: Login,
    /// The member whose data it opens.
    pub member: Member,
    /// The session.
    pub session: Session,
}

impl SignedMember {
    /// The member's name.
    pub(in crate::web) fn name(&self) -> String {
        fhir::human_name(&self.member.doc).unwrap_or_else(|| self.login.username.clone())
    }

    /// The page's surroundings.
    pub(in crate::web) fn frame(&self) -> Frame {
        Frame {
            signed_in: Some(SignedIn {
                name: self.name(),
                role: None,
                home: "/me".to_owned(),
                sign_out: "/me/sign-out".to_owned(),
                csrf: self.session.csrf.clone(),
                cases: false,
                policies: false,
            }),
        }
    }
}

impl FromRequestParts<State> for Staff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let AnyStaff(staff) = AnyStaff::from_request_parts(parts, state).await?;
        if staff.sees_cases() {
            return Ok(staff);
        }
        // The way in is the same for everybody; it leads on to the page that this person works with.
        if parts.method == Method::GET && parts.uri.path() == "/staff" {
            return Err(go(POLICIES).unwrap_or_else(|e| StaffRefusal::from(e).into_response()));
        }
        Err(no_cases())
    }
}

impl FromRequestParts<State> for AnyStaff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = staff(state, &parts.headers)
            .await
            .map_err(|e| StaffRefusal::from(e).into_response())?;
        let staff = found.ok_or_else(|| sign_in_first(parts, "/staff/sign-in"))?;
        touch(state, &staff.session)
            .await
            .map_err(|e| StaffRefusal::from(e).into_response())?;
        Ok(Self(staff))
    }
}

fn no_cases() -> Response {
    let error = Error::forbidden("Your role gives no right to look at cases");
    StaffRefusal::from(error).into_response()
}

impl FromRequestParts<State> for Watching {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = staff(state, &parts.headers)
            .await
            .map_err(|e| StaffRefusal::from(e).into_response())?;
        let staff = found.ok_or_else(|| signed_out("/staff/sign-in"))?;
        if staff.sees_cases() {
            Ok(Self(staff))
        } else {
            Err(no_cases())
        }
    }
}

impl FromRequestParts<State> for SignedMember {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let found = member(state, &parts.headers)
            .await
            .map_err(|e| MemberRefusal::from(e).into_response())?;
        found.ok_or_else(|| sign_in_first(parts, "/me/sign-in"))
    }
}

/// The member of staff behind the cookie.
pub(in crate::web) async fn staff(state: &State, headers: &HeaderMap) -> Result<Option<Staff>> {
    let Some(secret) = cookie(headers, STAFF) else {
        return Ok(None);
    };
    staff_by(state, fingerprint(secret)).await
}

/// The member of staff of a session, by the fingerprint of its secret.
pub(in crate::web) async fn staff_by(state: &State, hash: String) -> Result<Option<Staff>> {
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
                    .person(session.subject)
                    .await?
                    .filter(|person| !person.disabled);
                Ok(person.map(|person| Staff { person, session }))
            })
        })
        .await
}

/// The member behind the cookie; the session counts as used.
pub(in crate::web) async fn member(state: &State, headers: &HeaderMap) -> Result<Option<SignedMember>> {
    let Some(secret) = cookie(headers, MEMBER) else {
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
                Ok(member.map(|member| SignedMember {
                    login,
                    member,
                    session,
                }))
            })
        })
        .await?;
    if let Some(signed) = &found {
        touch(state, &signed.session).await?;
    }
    Ok(found)
}

/// Moves the session's end, at most once a minute.
async fn touch(state: &State, session: &Session) -> Result<()> {
    let now = state.now();
    if now - session.seen < Duration::minutes(1) {
        return Ok(());
    }
    let end = end(state, session.created, now);
    state
        .store
        .write((session.hash.clone(), now, end), |tx, (hash, now, end)| {
            Box::pin(async move { tx.touch_session(hash, *now, *end).await })
        })
        .await
}

fn end(state: &State, created: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let idle = Duration::minutes(i64::from(state.config.sessions.idle_minutes));
    (now + idle).min(created + Duration::hours(LONGEST))
}

/// Opens a session with a secret of its own and ends the one that the browser had. Gives the cookie.
pub(in crate::web) async fn open(
    state: &State,
    headers: &HeaderMap,
    kind: SessionKind,
    subject: Uuid,
) -> Result<HeaderValue> {
    let (name, path) = cookie_of(kind);
    let secret = new_secret();
    let now = state.now();
    let session = Session {
        hash: fingerprint(&secret),
        kind,
        subject,
        csrf: new_secret(),
        created: now,
        seen: now,
        expires: end(state, now, now),
    };
    let before = cookie(headers, name).map(fingerprint);
    state
        .store
        .write((session, before), |tx, (session, before)| {
            Box::pin(async move {
                if let Some(before) = before {
                    tx.close_session(before).await?;
                }
                tx.open_session(session).await
            })
        })
        .await?;
    set_cookie(state, name, &secret, path)
}

/// Ends a session and answers with the page that says so.
pub(in crate::web) async fn close(state: &State, session: Session, sign_in: &str) -> Result<Response> {
    let (name, path) = cookie_of(session.kind);
    state
        .store
        .write(session.hash, |tx, hash| {
            Box::pin(async move { tx.close_session(hash).await })
        })
        .await?;
    let view = SignedOut {
        frame: Frame::default(),
        reason: Some("You have signed out.".to_owned()),
        sign_in: sign_in.to_owned(),
    };
    let mut response = page(StatusCode::OK, &view)?;
    let gone = format!("{name}=; Max-Age=0; HttpOnly; SameSite=Lax; Path={path}");
    let gone = HeaderValue::from_str(&gone).map_err(Error::internal)?;
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

/// The form was made for this session.
pub(in crate::web) fn check_form(session: &Session, fields: &Fields) -> Result<()> {
    if same(fields.get("csrf"), &session.csrf) {
        return Ok(());
    }
    Err(Error::forbidden(
        "This form does not belong to your session; open its page again and send it from there",
    ))
}

/// The token of a sign-in form: the browser's own, or a new one with its cookie.
pub(in crate::web) fn form_token(
    state: &State,
    headers: &HeaderMap,
) -> Result<(String, Option<HeaderValue>)> {
    if let Some(token) = cookie(headers, FORM).filter(|token| token.len() == 43) {
        return Ok((token.to_owned(), None));
    }
    let token = new_secret();
    let cookie = set_cookie(state, FORM, &token, "/")?;
    Ok((token, Some(cookie)))
}

/// A sign-in form comes from the browser that asked for it: it repeats what the cookie says.
pub(in crate::web) fn is_own_form(headers: &HeaderMap, fields: &Fields) -> bool {
    cookie(headers, FORM).is_some_and(|token| same(token, fields.get("csrf")))
}

fn set_cookie(state: &State, name: &str, value: &str, path: &str) -> Result<HeaderValue> {
    let secure = if state.config.public_url.starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    HeaderValue::from_str(&format!(
        "{name}={value}; HttpOnly; SameSite=Lax; Path={path}{secure}"
    ))
    .map_err(Error::internal)
}

/// The value of a cookie that is not empty.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, value)| *own == name && !value.is_empty())
        .map(|(_, value)| value)
}

/// Who opens a page goes to sign-in and comes back; what was sent by a form is not sent again by itself.
fn sign_in_first(parts: &Parts, sign_in: &str) -> Response {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return signed_out(sign_in);
    }
    let wish = parts.uri.path_and_query().map_or("", |uri| uri.as_str());
    let next = (!matches!(wish, "/staff" | "/me")).then_some(("next", wish));
    go(&address(sign_in, next.into_iter())).unwrap_or_else(|_| signed_out(sign_in))
}

/// The page of a session that is over.
fn signed_out(sign_in: &str) -> Response {
    let view = SignedOut {
        frame: Frame::default(),
        reason: Some("Your session is over, or you are not signed in. Nothing was saved.".to_owned()),
        sign_in: sign_in.to_owned(),
    };
    page(StatusCode::UNAUTHORIZED, &view).unwrap_or_else(|_| StatusCode::UNAUTHORIZED.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        cookies
            .iter()
            .map(|line| (header::COOKIE, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&["xassent_session=a; assent_session=b; assent_member=", "other=1"]);
        assert_eq!(cookie(&headers, STAFF), Some("b"));
        assert_eq!(cookie(&headers, MEMBER), None);
    }

    #[test]
    fn a_sign_in_form_from_elsewhere_is_not_ours() {
        let headers = headers(&["assent_form=tok"]);
        assert!(is_own_form(&headers, &Fields::read("csrf=tok")));
        assert!(!is_own_form(&headers, &Fields::read("csrf=other")));
        assert!(!is_own_form(&headers, &Fields::read("")));
        assert!(!is_own_form(&HeaderMap::new(), &Fields::read("csrf=")));
    }

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
        assert!(check_form(&session, &Fields::read("csrf=mine")).is_ok());
        assert!(check_form(&session, &Fields::read("csrf=theirs")).is_err());
        assert!(check_form(&session, &Fields::read("")).is_err());
    }
}
