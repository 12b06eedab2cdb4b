//! `{base}/.well-known/smart-configuration` of every FHIR base (SMART App Launch 2.2, "Server capabilities"): no
//! token, `application/json` whatever was asked for. It says what is there and nothing more.

use super::{MEMBER_API, TOKEN};
use crate::auth::scopes::{FOR_APPS, FOR_SYSTEMS, WORDS};
use crate::state::State;
use axum::extract;
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// The FHIR bases that have such a document.
pub const BASES: [&str; 3] = ["/dtr/2.2", "/pas/2.2", MEMBER_API];

/// What apps and back ends can do here.
const CAPABILITIES: [&str; 9] = [
    "launch-standalone",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "context-standalone-patient",
    "permission-offline",
    "permission-patient",
    "permission-v1",
    "permission-v2",
];

/// The document of the base in the address.
pub async fn get(extract::State(state): extract::State<State>, uri: Uri) -> impl IntoResponse {
    let base = uri.path().trim_end_matches("/.well-known/smart-configuration");
    let body = smart_configuration(&state, base).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}

/// The document of one base. All bases share one authorization server; they differ in the scopes that mean
/// something there. Without `issuer` and `jwks_uri`: those belong to `openid`, which is not offered.
pub fn smart_configuration(state: &State, base: &str) -> Value {
    configuration(&state.config.public_url, base)
}

fn configuration(public_url: &str, base: &str) -> Value {
    let at = |path: &str| format!("{public_url}{path}");
    json!({
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at(TOKEN),
        "introspection_endpoint": at("/oauth/introspect"),
        "revocation_endpoint": at("/oauth/revoke"),
        "management_endpoint": at("/me"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic", "client_secret_post"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": scopes(base),
        "capabilities": CAPABILITIES,
    })
}

fn scopes(base: &str) -> Vec<&'static str> {
    if base == MEMBER_API {
        let finer = "patient/ExplanationOfBenefit.rs?use=preauthorization";
        return WORDS.into_iter().chain(FOR_APPS).chain([finer]).collect();
    }
    FOR_SYSTEMS.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    #[test]
    fn each_base_names_the_scopes_that_mean_something_there() {
        let member = configuration("https://pa.example", "/fhir/pdex");
        assert_eq!(member["token_endpoint"], "https://pa.example/oauth/token");
        let scopes = member["scopes_supported"].as_array().unwrap();
        assert!(scopes.iter().all(|s| Scopes::is_one(s.as_str().unwrap())));
        assert!(scopes.iter().all(|s| !s.as_str().unwrap().starts_with("system/")));
        let dtr = configuration("https://pa.example", "/dtr/2.2");
        assert!(
            dtr["scopes_supported"]
                .as_array()
                .unwrap()
                .iter()
                .all(|s| s.as_str().unwrap().starts_with("system/"))
        );
    }

    #[test]
    fn plain_and_openid_are_not_claimed() {
        let member = configuration("https://pa.example", "/fhir/pdex");
        assert_eq!(member["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(member.get("issuer"), None);
        assert!(
            !member["capabilities"]
                .as_array()
                .unwrap()
                .contains(&json!("sso-openid-connect"))
        );
    }
}
