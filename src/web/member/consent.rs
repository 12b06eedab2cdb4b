//! `/oauth/authorize`: the page on which a member lets an app read, or does not. What the app may ask for is judged by
//! `oauth::authorize`; the request is read and judged again when the answer comes, nothing is trusted from the form.

use crate::error::{Error, Result};
use crate::oauth::authorize::{self, AuthorizeRequest, Fault};
use crate::state::State;
use crate::web::content_policy;
use crate::web::fields::Fields;
use crate::web::member::{SignInForm, app, data_words};
use crate::web::public::front_page::contact;
use crate::web::reply::{MemberRefusal, go, page, problem};
use crate::web::session::{self, SignedMember};
use crate::web::views::Consent;
use axum::extract::{RawQuery, State as Held};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

type Answer = Result<Response, MemberRefusal>;

/// `GET /oauth/authorize`: sign-in first, then the question.
pub(in crate::web) async fn ask(
    Held(state): Held<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = query.unwrap_or_default();
    let request = match authorize::read(&state, &query).await {
        Ok(request) => request,
        Err(fault) => return faulty(fault),
    };
    let Some(member) = session::member(&state, &headers).await? else {
        let next = format!("/oauth/authorize?{}", request.query);
        let form = SignInForm {
            login: "",
            next: &next,
            app: Some(&request.client.name),
        };
        return form.page(&state, &headers, StatusCode::OK, None);
    };
    question(&state, &member, &request)
}

/// `POST /oauth/authorize`: the member's answer.
pub(in crate::web) async fn answer(Held(state): Held<State>, member: SignedMember, fields: Fields) -> Answer {
    session::check_form(&member.session, &fields)?;
    let request = match authorize::read(&state, fields.get("request")).await {
        Ok(request) => request,
        Err(fault) => return faulty(fault),
    };
    let back = match fields.get("answer") {
        "allow" => {
            let sensitive = fields.get("sensitive") == "include";
            authorize::allow(&state, &request, &member.login, sensitive).await?
        }
        "deny" => authorize::deny(&request)?,
        _ => return Err(Error::malformed("Choose whether the app may read your data").into()),
    };
    Ok(go(&back)?)
}

fn faulty(fault: Fault) -> Answer {
    match fault {
        Fault::Page(error) => Ok(problem(&error, "/me")),
        Fault::Redirect(back) => Ok(go(&back)?),
    }
}

fn question(state: &State, member: &SignedMember, request: &AuthorizeRequest) -> Answer {
    let view = Consent {
        frame: member.frame(),
        post: "/oauth/authorize".to_owned(),
        csrf: member.session.csrf.clone(),
        request: request.query.clone(),
        app: app(&request.client),
        member: format!("{} (member {})", member.name(), member.member.member_id),
        data: data_words(&request.scopes, None),
        duration: duration(request),
        renews: request.lasts(),
        contact: contact(state),
    };
    let mut response = page(StatusCode::OK, &view)?;
    // The browser follows the answer's redirect to the app only if the policy of the form's page names its origin.
    let policy =
        HeaderValue::from_str(&content_policy(&request.redirect_origin())).map_err(Error::internal)?;
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn duration(request: &AuthorizeRequest) -> String {
    let time = request.duration();
    match (request.lasts(), time.num_days(), time.num_hours()) {
        (true, days, _) => format!("Until the app has not been used for {days} days."),
        (false, 0, 1) => "For one hour.".to_owned(),
        (false, 0, hours) => format!("For {hours} hours."),
        (false, days, _) => format!("For {days} days."),
    }
}
