//! `/oauth/authorize`: the page on which a member allows an app to read data, or does not. `oauth::authorize` validates
//! the authorization request; it is validated again when the member answers, because the form is not trusted.

use crate::error::{Error, Result};
use crate::oauth::authorize::{self, AuthorizeError, AuthorizeRequest};
use crate::state::State;
use crate::web::fields::FormFields;
use crate::web::headers::content_security_policy;
use crate::web::member::views::ConsentPage;
use crate::web::member::{SignInForm, app, describe_scopes};
use crate::web::public::front_page::plan_contact;
use crate::web::reply::{MemberPageError, error_page, redirect, render_page};
use crate::web::session::{self, SignedInMember};
use axum::extract::{RawQuery, State as AppState};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

type PageResult = Result<Response, MemberPageError>;

/// `GET /oauth/authorize`: the sign-in page, then the consent page.
pub(in crate::web) async fn show(
    AppState(state): AppState<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> PageResult {
    let query = query.unwrap_or_default();
    let request = match authorize::validate(&state, &query).await {
        Ok(request) => request,
        Err(error) => return error_response(error),
    };
    let Some(member) = session::signed_in_member(&state, &headers).await? else {
        let next = format!("/oauth/authorize?{}", request.query);
        let form = SignInForm {
            login: "",
            next: &next,
            app: Some(&request.client.name),
        };
        return form.page(&state, &headers, StatusCode::OK, None);
    };
    consent_page(&state, &member, &request)
}

/// `POST /oauth/authorize`: the member's choice.
pub(in crate::web) async fn submit(
    AppState(state): AppState<State>,
    member: SignedInMember,
    fields: FormFields,
) -> PageResult {
    session::check_csrf_token(&member.session, &fields)?;
    let request = match authorize::validate(&state, fields.get("request")).await {
        Ok(request) => request,
        Err(error) => return error_response(error),
    };
    let redirect_to = match fields.get("answer") {
        "allow" => {
            let sensitive = fields.get("sensitive") == "include";
            authorize::allow(&state, &request, &member.login, sensitive).await?
        }
        "deny" => authorize::deny(&request)?,
        _ => return Err(Error::malformed("Choose Allow or Do not allow").into()),
    };
    Ok(redirect(&redirect_to)?)
}

fn error_response(error: AuthorizeError) -> PageResult {
    match error {
        AuthorizeError::Page(error) => Ok(error_page(&error, "/me")),
        AuthorizeError::Redirect(back) => Ok(redirect(&back)?),
    }
}

fn consent_page(state: &State, member: &SignedInMember, request: &AuthorizeRequest) -> PageResult {
    let view = ConsentPage {
        frame: member.frame(),
        action: "/oauth/authorize".to_owned(),
        csrf: member.session.csrf.clone(),
        request: request.query.clone(),
        app: app(&request.client),
        member: format!("{} (member {})", member.name(), member.member.member_id),
        data: describe_scopes(&request.scopes, None),
        duration: describe_duration(request),
        renews: request.is_offline(),
        contact: plan_contact(state),
    };
    let mut response = render_page(StatusCode::OK, &view)?;
    // After the form is posted, the browser follows the redirect to the app only if the page's content security policy
    // allows the app's origin.
    let policy = HeaderValue::from_str(&content_security_policy(&request.redirect_origin()))
        .map_err(Error::internal)?;
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn describe_duration(request: &AuthorizeRequest) -> String {
    let time = request.access_duration();
    match (request.is_offline(), time.num_days(), time.num_hours()) {
        (true, days, _) => format!("The app has access until you have not used it for {days} days."),
        (false, 0, 1) => "The app has access for one hour.".to_owned(),
        (false, 0, hours) => format!("The app has access for {hours} hours."),
        (false, days, _) => format!("The app has access for {days} days."),
    }
}
