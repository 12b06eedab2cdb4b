//! The member pages: sign-in, the member's requests in plain words, and the apps that can read the member's data.

pub mod consent;
pub mod views;

use crate::access::MemberStatus;
use crate::access::summary::{self, ItemSummary, RequestSummary};
use crate::auth::{Client, Scopes};
use crate::error::{Error, ErrorKind, Result};
use crate::oauth::members::{self, MemberGrant};
use crate::state::State;
use crate::store::sessions::SessionKind;
use crate::web::fields::{FormFields, allowed_next_page};
use crate::web::member::views::{
    App, ConnectedApp, MemberHomePage, MemberItem, MemberRequest, MemberSignInPage, Message, WebLink,
};
use crate::web::public::front_page::plan_contact;
use crate::web::reply::{MemberPageError, redirect, render_page};
use crate::web::session::{self, SignedInMember};
use crate::web::sign_in::{STALE_FORM, WRONG_CREDENTIALS, check_credentials};
use crate::web::views::{Badge, BadgeStyle, PageFrame};
use crate::wire::ClientAddress;
use axum::extract::{Path, RawQuery, State as AppState};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use uuid::Uuid;

/// The pages that sign-in may redirect a member to, with all pages below them.
pub(in crate::web) const NEXT_PAGE_ROOTS: [&str; 2] = ["/me", "/oauth/authorize"];

type PageResult = Result<Response, MemberPageError>;

/// `GET /me/sign-in`.
pub(in crate::web) async fn sign_in_page(
    AppState(state): AppState<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> PageResult {
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    if session::signed_in_member(&state, &headers).await?.is_some() {
        return Ok(redirect(
            allowed_next_page(query.get("next"), &NEXT_PAGE_ROOTS).unwrap_or("/me"),
        )?);
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
    AppState(state): AppState<State>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    fields: FormFields,
) -> PageResult {
    let form = SignInForm {
        login: fields.get("login"),
        next: fields.get("next"),
        app: None,
    };
    if !session::is_own_sign_in_form(&state, &headers, &fields) {
        return form.page(&state, &headers, StatusCode::FORBIDDEN, Some(STALE_FORM));
    }
    let login = match check_credentials(
        &state,
        SessionKind::Member,
        form.login,
        fields.get("password"),
        address,
    )
    .await
    {
        Ok(Some(login)) => login,
        Ok(None) => {
            return form.page(
                &state,
                &headers,
                StatusCode::UNAUTHORIZED,
                Some(WRONG_CREDENTIALS),
            );
        }
        Err(e) if e.kind() == ErrorKind::TooManyRequests => {
            return form.page(&state, &headers, StatusCode::TOO_MANY_REQUESTS, Some(e.message()));
        }
        Err(e) => return Err(e.into()),
    };
    let cookie = session::start_session(&state, &headers, SessionKind::Member, login).await?;
    let mut response = redirect(allowed_next_page(form.next, &NEXT_PAGE_ROOTS).unwrap_or("/me"))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// The contents of the member sign-in form.
pub(in crate::web) struct SignInForm<'a> {
    /// The user name as typed.
    pub login: &'a str,
    /// The page to go to after sign-in, as received. It is checked before it is used.
    pub next: &'a str,
    /// The name of the app that sent the member, if one did.
    pub app: Option<&'a str>,
}

impl SignInForm<'_> {
    /// Renders the sign-in page. `problem` says why the last attempt failed.
    pub(in crate::web) fn page(
        &self,
        state: &State,
        headers: &HeaderMap,
        status: StatusCode,
        problem: Option<&str>,
    ) -> PageResult {
        let (csrf, cookie) = session::sign_in_form_token(state, headers)?;
        let view = MemberSignInPage {
            frame: PageFrame::default(),
            action: "/me/sign-in".to_owned(),
            csrf,
            login: self.login.to_owned(),
            problem: problem.map(str::to_owned),
            next: allowed_next_page(self.next, &NEXT_PAGE_ROOTS).map(str::to_owned),
            app: self.app.map(str::to_owned),
            contact: plan_contact(state),
        };
        let mut response = render_page(status, &view)?;
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

/// `POST /me/sign-out`.
pub(in crate::web) async fn sign_out(
    AppState(state): AppState<State>,
    member: SignedInMember,
    fields: FormFields,
) -> PageResult {
    session::check_csrf_token(&member.session, &fields)?;
    Ok(session::sign_out(&state, member.session, "/me/sign-in").await?)
}

/// `GET /me`.
pub(in crate::web) async fn home(
    AppState(state): AppState<State>,
    member: SignedInMember,
    RawQuery(query): RawQuery,
) -> PageResult {
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    let removed = query.get("removed") == "1";
    let message = removed.then(|| Message {
        done: true,
        text: "The app can no longer read your data. It keeps the data it has already copied.".to_owned(),
    });
    home_page(&state, &member, query.get("before").parse().ok(), message).await
}

/// `POST /me/apps/{grant}/remove`.
pub(in crate::web) async fn remove_app(
    AppState(state): AppState<State>,
    member: SignedInMember,
    Path(grant): Path<String>,
    fields: FormFields,
) -> PageResult {
    session::check_csrf_token(&member.session, &fields)?;
    let grant = grant
        .parse()
        .map_err(|_| Error::new(ErrorKind::NotFound, "App access not found"))?;
    members::end_grant(&state, member.member.id, grant).await?;
    Ok(redirect("/me?removed=1#apps")?)
}

/// The member's page; `before` is the last case of the page of newer requests.
async fn home_page(
    state: &State,
    member: &SignedInMember,
    before: Option<Uuid>,
    message: Option<Message>,
) -> PageResult {
    let page = summary::load_for_member(state, member.member.id, before).await?;
    let summaries = page.requests;
    let grants = members::list_grants(state, member.member.id).await?;
    let zone = summaries.first().map_or(chrono_tz::UTC, |first| first.zone);
    let view = MemberHomePage {
        frame: member.frame(),
        zone: zone.name().to_owned(),
        message,
        requests: summaries.into_iter().map(request_view).collect(),
        older: page.older_than.map(|case| format!("/me?before={case}#requests")),
        newest: before.map(|_| "/me#requests".to_owned()),
        apps: grants.iter().map(connected_app).collect(),
        csrf: member.session.csrf.clone(),
        contact: plan_contact(state),
    };
    Ok(render_page(StatusCode::OK, &view)?)
}

fn request_view(request: RequestSummary) -> MemberRequest {
    MemberRequest {
        reference_number: request.reference_number,
        requester: Some(request.requester)
            .filter(|name| !name.is_empty())
            .unwrap_or("your provider".to_owned()),
        received: request.received,
        urgent: request.urgent,
        decision_due: request.decision_due,
        items: request.items.into_iter().map(item_view).collect(),
        appeal_instructions: request.appeal_instructions,
    }
}

/// An item with its status in plain words.
pub(in crate::web) fn item_view(item: ItemSummary) -> MemberItem {
    let explanation = match (item.status, item.authorization_number) {
        (MemberStatus::Received, _) => {
            "We received the request. We will check that it is complete.".to_owned()
        }
        (MemberStatus::InReview, _) => "A nurse or a doctor will review the request.".to_owned(),
        (MemberStatus::NotApproved, _) => "We did not approve this service.".to_owned(),
        (MemberStatus::NotRequired, _) => "You do not need our approval for this service.".to_owned(),
        (_, Some(number)) => format!("{} The authorization number is {number}.", item.status_text),
        (_, None) => item.status_text,
    };
    MemberItem {
        service: item.service,
        code: item.code,
        status: status_badge(item.status),
        explanation,
        reason: item.reason,
        decided: item.decided,
    }
}

fn status_badge(status: MemberStatus) -> Badge {
    let (style, text) = match status {
        MemberStatus::Received => (BadgeStyle::Open, "Received"),
        MemberStatus::InReview => (BadgeStyle::Open, "In review"),
        MemberStatus::Approved { .. } => (BadgeStyle::Approved, "Approved"),
        MemberStatus::Ended { .. } => (BadgeStyle::Closed, "Ended"),
        MemberStatus::NotApproved => (BadgeStyle::Denied, "Not approved"),
        MemberStatus::NotRequired => (BadgeStyle::Closed, "No approval needed"),
    };
    Badge::new(style, text)
}

fn connected_app(grant: &MemberGrant) -> ConnectedApp {
    ConnectedApp {
        app: app(&grant.app),
        data: describe_scopes(&grant.scopes, Some(grant.sensitive)),
        since: grant.created,
        until: grant.until,
        last_used: grant.last_used,
        remove_action: format!("/me/apps/{}/remove", grant.id),
    }
}

/// The view of an app, from its registration.
pub(in crate::web) fn app(client: &Client) -> App {
    let link = |address: &Option<String>| address.as_deref().and_then(WebLink::parse);
    App {
        name: client.name.clone(),
        company: client.doc.company.clone(),
        site: link(&client.doc.client_uri),
        policy: link(&client.doc.policy_uri),
    }
}

/// What scopes allow an app to read, in plain words. `sensitive` is the member's choice about sensitive care, if it has
/// been made.
pub(in crate::web) fn describe_scopes(scopes: &Scopes, sensitive: Option<bool>) -> Vec<String> {
    let reads = |resource_type: &str| {
        scopes
            .resource_types()
            .any(|granted| granted == "*" || granted.eq_ignore_ascii_case(resource_type))
    };
    let descriptions = [
        (
            reads("Patient"),
            "Your name, birth date, address and member number",
        ),
        (reads("Coverage"), "Your plan and when your coverage started"),
        (
            reads("ExplanationOfBenefit"),
            "Your prior authorization requests, our decisions, and the reasons",
        ),
        (
            reads("Practitioner") || reads("Organization") || reads("Location"),
            "The names of the providers and places of care in these requests",
        ),
        (
            reads("QuestionnaireResponse"),
            "The forms that your providers filled in for these requests",
        ),
        (
            sensitive == Some(true),
            "Requests about sensitive care are included",
        ),
        (
            sensitive == Some(false),
            "Requests that we recognize as sensitive care are left out",
        ),
    ];
    descriptions
        .into_iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, text)| text.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_described_in_plain_words() {
        let eob = Scopes::parse("launch/patient patient/ExplanationOfBenefit.rs");
        assert_eq!(
            describe_scopes(&eob, None),
            ["Your prior authorization requests, our decisions, and the reasons"]
        );
        assert_eq!(
            describe_scopes(&Scopes::parse("patient/*.rs"), Some(false)).len(),
            6
        );
        assert!(describe_scopes(&Scopes::parse("offline_access"), None).is_empty());
    }

    #[test]
    fn an_approved_item_shows_its_authorization_number() {
        let shown = item_view(ItemSummary {
            service: "Home oxygen".to_owned(),
            code: "E1390".to_owned(),
            status: MemberStatus::Approved { until: None },
            status_text: "Approved.".to_owned(),
            reason: None,
            authorization_number: Some("PA-1".to_owned()),
            decided: None,
        });
        assert_eq!(shown.explanation, "Approved. The authorization number is PA-1.");
        assert_eq!(shown.status.style, BadgeStyle::Approved);
    }
}
