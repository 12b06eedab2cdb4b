//! Response headers of pages: the Content-Security-Policy, caching and the usual browser protections.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

/// The Content-Security-Policy of a page: scripts, styles, images and connections from this server only. Forms post to
/// this server; `form_target` is one more origin that the reply to a form may redirect to, or empty.
pub(in crate::web) fn content_security_policy(form_target: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self' {form_target}; frame-ancestors 'none'; base-uri 'none'"
    )
    .replace(" ;", ";")
}

/// Sets the headers of a page that may hold personal data: never cached.
pub(in crate::web) async fn set_private_headers(mut response: Response) -> Response {
    add_private_headers(response.headers_mut());
    response
}

/// Adds the headers of a page that may hold personal data.
pub(in crate::web) fn add_private_headers(headers: &mut HeaderMap) {
    set_security_headers(headers);
    set(headers, header::CACHE_CONTROL, "no-store");
}

/// Sets the headers of a public page. Its handler may allow caching; without that it is not cached.
pub(in crate::web) async fn set_public_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    set_security_headers(headers);
    if !headers.contains_key(header::CACHE_CONTROL) {
        set(headers, header::CACHE_CONTROL, "no-store");
    }
    response
}

/// Sets the security headers. A Content-Security-Policy that the handler has set stays.
fn set_security_headers(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(policy) = HeaderValue::from_str(&content_security_policy(""))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // With "no-referrer" a browser would send "Origin: null" with a form, and the origin could not be checked.
    set(headers, header::REFERRER_POLICY, "same-origin");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_post_to_this_server_and_one_more_origin() {
        assert!(content_security_policy("").contains("form-action 'self'; frame-ancestors 'none'"));
        assert!(
            content_security_policy("https://app.example")
                .contains("form-action 'self' https://app.example;")
        );
    }

    #[tokio::test]
    async fn the_policy_set_by_the_handler_is_kept() {
        let mut response = Response::default();
        let own = HeaderValue::from_static("default-src 'none'");
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, own.clone());
        let response = set_private_headers(response).await;
        assert_eq!(
            response.headers().get(header::CONTENT_SECURITY_POLICY),
            Some(&own)
        );
        assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), "no-store");
    }
}
