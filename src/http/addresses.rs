//! Spellings of a path that mean the same URL: with or without a slash at the end, and with `%24` or `$` (RFC 3986,
//! section 6.2.2.2). A request is changed to the spelling of the routes before its route is chosen.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::Next;
use axum::response::Response;

/// Changes the path of a request to the spelling of the routes.
pub(super) async fn normalize(mut request: Request, next: Next) -> Response {
    if let Some(uri) = normalized(request.uri()) {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// The URI with the path as the routes spell it; `None` if it is spelled so already.
fn normalized(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/').replace("%24", "$");
    let spelled = if trimmed.is_empty() {
        "/".to_owned()
    } else {
        trimmed
    };
    if spelled == path {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{spelled}?{query}"),
        None => spelled,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_and_an_encoded_dollar_sign_make_no_difference() {
        for (sent, spelled) in [
            ("/pas/2.2/Claim/%24submit", Some("/pas/2.2/Claim/$submit")),
            ("/pas/2.2/Claim/$submit/", Some("/pas/2.2/Claim/$submit")),
            (
                "/fhir/pdex/Patient/?name=a%24b/",
                Some("/fhir/pdex/Patient?name=a%24b/"),
            ),
            ("//", Some("/")),
            ("/", None),
            ("/fhir/pdex/Patient/1", None),
        ] {
            let found = normalized(&Uri::try_from(sent).unwrap());
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), spelled, "{sent}");
        }
    }
}
