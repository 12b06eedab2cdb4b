//! `{base}/.well-known/smart-configuration` of every FHIR base (SMART App Launch 2.2, "Server capabilities"). It needs
//! no token, is `application/json` whatever the `Accept` header says, and lists only what is supported.

use super::{MEMBER_API, TOKEN};
use crate::auth::scopes::{APP_SCOPES, NAMED_SCOPES, SYSTEM_SCOPES};
use crate::ig::dtr::DtrVersion;
use crate::ig::pas::PasVersion;
use crate::state::State;
use axum::extract;
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// The paths of the FHIR bases. Each of them has this document.
pub fn fhir_bases() -> impl Iterator<Item = &'static str> {
    let dtr = DtrVersion::SERVED
        .into_iter()
        .map(|version| version.guide().base_path);
    let pas = PasVersion::SERVED
        .into_iter()
        .map(|version| version.guide().base_path);
    dtr.chain(pas).chain([MEMBER_API])
}

/// The SMART capabilities of this server.
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

/// The document of the FHIR base in the path.
pub async fn get(extract::State(state): extract::State<State>, uri: Uri) -> impl IntoResponse {
    let base = uri.path().trim_end_matches("/.well-known/smart-configuration");
    let body = smart_configuration(&state, base).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}

/// The document of one FHIR base. All bases share one authorization server and differ in their scopes. `issuer` and
/// `jwks_uri` are left out because they belong to `openid`, which is not supported.
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
        let refined = "patient/ExplanationOfBenefit.rs?use=preauthorization";
        return NAMED_SCOPES
            .into_iter()
            .chain(APP_SCOPES)
            .chain([refined])
            .collect();
    }
    SYSTEM_SCOPES.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    #[test]
    fn each_base_lists_its_own_scopes() {
        let member = configuration("https://pa.example", "/fhir/pdex");
        assert_eq!(member["token_endpoint"], "https://pa.example/oauth/token");
        let scopes = member["scopes_supported"].as_array().unwrap();
        assert!(scopes.iter().all(|s| Scopes::is_valid(s.as_str().unwrap())));
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
    fn plain_pkce_and_openid_are_not_listed() {
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
