//! What is wrong with a client that is to be registered: mistakes because of which it could never sign in, never call
//! anything or never receive anything. Options are named as the command `client add` has them.

use super::super::client::{Client, ClientDoc, origin};
use super::super::jwt::{CLIENT_ASSERTION_ALGORITHMS, HOOK_ALGORITHMS, has_usable_key};
use super::super::scopes::{APP_SCOPES, SYSTEM_SCOPES, Scopes};
use super::super::throttle::MAX_NAME_LENGTH;
use crate::plan::is_npi;
use serde_json::Value;
use url::Url;

/// The versions of the guides that a client can use.
const GUIDE_VERSIONS: [&str; 3] = ["crd-2.2", "dtr-2.2", "pas-2.2"];

/// The mistakes in a client, one sentence each.
pub fn mistakes(client: &Client) -> Vec<String> {
    let doc = &client.doc;
    let mut all = name_mistakes(client);
    all.extend(credential_mistakes(doc));
    all.extend(purpose_mistakes(doc));
    all.extend(key_mistakes(doc));
    all.extend(scope_mistakes(doc));
    all.extend(url_mistakes(doc));
    all.extend(host_mistakes(doc));
    all.extend(value_mistakes(doc));
    all
}

/// Those of these sentences whose condition is false.
fn failed(checks: &[(bool, &str)]) -> Vec<String> {
    let failed = checks.iter().filter(|(valid, _)| !valid);
    failed.map(|(_, sentence)| (*sentence).to_owned()).collect()
}

/// One sentence for each of these texts that is not valid.
fn each<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    is_valid: impl Fn(&str) -> bool,
    sentence: &str,
) -> Vec<String> {
    let wrong = texts.into_iter().filter(|text| !is_valid(text));
    wrong.map(|text| format!("{text} {sentence}")).collect()
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_LENGTH && text.chars().all(|c| c.is_ascii_graphic())
}

fn name_mistakes(client: &Client) -> Vec<String> {
    let is_url = |text: &str| Url::parse(text).is_ok_and(|url| url.has_host());
    failed(&[
        (
            is_identifier(&client.client_id),
            "The client_id must be 1 to 200 ASCII characters without spaces.",
        ),
        (
            !client.name.trim().is_empty(),
            "--name must not be empty. Members and staff see it.",
        ),
        (
            client
                .doc
                .issuer
                .as_deref()
                .is_none_or(|iss| is_identifier(iss) && is_url(iss)),
            "--issuer must be the URL in the iss of the client's CDS Hooks tokens, such as https://ehr.example.",
        ),
    ])
}

fn has_keys(doc: &ClientDoc) -> bool {
    doc.jwks.is_some() || doc.jwks_uri.is_some()
}

fn has_scopes(doc: &ClientDoc, beginning: &str) -> bool {
    doc.scopes.iter().any(|scope| scope.starts_with(beginning))
}

/// How the client proves who it is: with keys, with a secret, or not at all.
fn credential_mistakes(doc: &ClientDoc) -> Vec<String> {
    let has_secret = doc.secret_hash.is_some();
    failed(&[
        (
            doc.jwks.is_none() || doc.jwks_uri.is_none(),
            "Give --jwks or --jwks-uri, not both.",
        ),
        (
            !(has_keys(doc) && has_secret),
            "Give keys (--jwks or --jwks-uri) or --secret, not both.",
        ),
        (
            !(doc.public && (has_secret || has_keys(doc))),
            "A --public app has no secret and no keys. Leave out --public, or --secret, --jwks and --jwks-uri.",
        ),
        (
            doc.issuer.is_none() || has_keys(doc),
            "A client with --issuer needs its public keys: give --jwks or --jwks-uri.",
        ),
        (
            !has_scopes(doc, "system/") || has_keys(doc),
            "A client with system scopes needs its public keys to sign in: give --jwks or --jwks-uri.",
        ),
        (
            doc.redirect_uris.is_empty() || doc.public || has_secret || has_keys(doc),
            "An app with --redirect-uri needs a way to sign in: give --public, --secret, --jwks or --jwks-uri.",
        ),
    ])
}

/// What the client can do once it has signed in.
fn purpose_mistakes(doc: &ClientDoc) -> Vec<String> {
    let for_members = has_scopes(doc, "patient/");
    failed(&[
        (
            doc.issuer.is_some() || !doc.scopes.is_empty(),
            "The client could do nothing: give --issuer for CDS Hooks calls, or a --scope for each API.",
        ),
        (
            !for_members || !doc.redirect_uris.is_empty(),
            "An app with patient scopes needs a --redirect-uri, to which the member returns after signing in.",
        ),
        (
            doc.redirect_uris.is_empty() || for_members,
            "An app with --redirect-uri needs a patient scope, such as --scope 'patient/*.rs'.",
        ),
        (
            doc.secret_hash.is_none() || !doc.redirect_uris.is_empty(),
            "A --secret is for apps with --redirect-uri. Other clients sign in with keys: give --jwks or --jwks-uri.",
        ),
        (
            !has_scopes(doc, "system/Subscription.c") || !doc.callback_hosts.is_empty(),
            "A client that creates subscriptions needs a --callback-host, to which notifications are sent.",
        ),
    ])
}

fn key_mistakes(doc: &ClientDoc) -> Vec<String> {
    let Some(jwks) = &doc.jwks else {
        return Vec::new();
    };
    let Some(keys) = jwks.get("keys").and_then(Value::as_array) else {
        return vec!["The file of --jwks must be a JWK set: {\"keys\": […]}.".to_owned()];
    };
    let is_private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    failed(&[
        (
            !keys.iter().any(is_private),
            "The file of --jwks contains a private or symmetric key. Register the public keys only, and replace the key.",
        ),
        (
            !has_scopes(doc, "system/") || has_usable_key(jwks, &CLIENT_ASSERTION_ALGORITHMS),
            "The file of --jwks has no key that can sign in: a key with a kid that is EC on P-384 (ES384), or RSA with \
             at least 2048 bits (RS384).",
        ),
        (
            doc.issuer.is_none() || has_usable_key(jwks, &HOOK_ALGORITHMS),
            "The file of --jwks has no key for CDS Hooks tokens: a key with a kid that is EC on P-256 or P-384, or RSA \
             with at least 2048 bits.",
        ),
        (
            has_scopes(doc, "system/")
                || doc.issuer.is_some()
                || has_usable_key(jwks, &CLIENT_ASSERTION_ALGORITHMS),
            "The file of --jwks has no key with a kid for ES384 or RS384.",
        ),
    ])
}

fn scope_mistakes(doc: &ClientDoc) -> Vec<String> {
    let mut all = Vec::new();
    for scope in &doc.scopes {
        if !Scopes::is_valid(scope) {
            all.push(format!(
                "--scope {scope} is not a valid scope. Write system/Claim.c, patient/*.rs, launch/patient or offline_access."
            ));
            continue;
        }
        let offered: &[&str] = match scope.split_once('/').map(|(level, _)| level) {
            Some("system") => &SYSTEM_SCOPES,
            Some("patient") => &APP_SCOPES,
            Some("user") => &[],
            _ => continue,
        };
        let one = Scopes::parse(scope);
        if !one.narrowed(&one, offered).include_resources() {
            all.push(format!(
                "--scope {scope} is never granted. This server offers {}.",
                [&SYSTEM_SCOPES[..], &APP_SCOPES[..]].concat().join(", ")
            ));
        }
    }
    all
}

fn url_mistakes(doc: &ClientDoc) -> Vec<String> {
    let urls = [
        ("--redirect-uri", doc.redirect_uris.iter().collect::<Vec<_>>()),
        ("--jwks-uri", doc.jwks_uri.iter().collect()),
        ("--fhir-host", doc.fhir_hosts.iter().collect()),
        ("--client-uri", doc.client_uri.iter().collect()),
        ("--policy-uri", doc.policy_uri.iter().collect()),
        ("--origin", doc.origins.iter().collect()),
    ];
    let mut all = Vec::new();
    for (option, urls) in urls {
        let wrong = urls.into_iter().filter(|url| !doc.allows_url(url));
        all.extend(wrong.map(|url| {
            format!(
                "{option} {url} must be an https URL without user name and fragment. For http on a loopback host, give \
                 --loopback-http."
            )
        }));
    }
    let is_origin = |text: &str| origin(text).as_deref() == Some(text);
    all.extend(each(
        &doc.origins,
        is_origin,
        "must be an origin (--origin): a scheme, a host and, if needed, a port.",
    ));
    all
}

/// A callback host is a host name or address, with a port if needed, or the beginning of a URL.
fn host_mistakes(doc: &ClientDoc) -> Vec<String> {
    let is_host = |text: &str| {
        if text.contains("://") {
            return doc.allows_url(text);
        }
        let url = Url::parse(&format!("https://{text}/"));
        url.is_ok_and(|url| {
            url.has_host() && url.path() == "/" && url.username().is_empty() && url.query().is_none()
        }) && !text.is_empty()
            && !text.contains(['/', '@', '*', ' ', '?', '#'])
    };
    each(
        &doc.callback_hosts,
        is_host,
        "must be the name of a host (--callback-host), such as ehr.example or ehr.example:8443.",
    )
}

fn value_mistakes(doc: &ClientDoc) -> Vec<String> {
    let mut all = each(
        &doc.npis,
        is_npi,
        "must be an NPI (--npi): ten digits of which the last is the check digit.",
    );
    all.extend(each(
        &doc.senders,
        is_identifier,
        "must be the id of a sending system (--sender), without spaces.",
    ));
    let known = format!(
        "must be a guide version (--guide-version): {}.",
        GUIDE_VERSIONS.join(", ")
    );
    all.extend(each(&doc.versions, |name| GUIDE_VERSIONS.contains(&name), &known));
    if !(1..=86_400).contains(&doc.max_token_lifetime_s) {
        all.push("--max-token-lifetime must be from 1 to 86400.".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::new_es384;
    use crate::auth::registration::new_client;
    use serde_json::json;

    fn mistakes_of(doc: ClientDoc) -> Vec<String> {
        let now = chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        mistakes(&new_client("client", "A client", doc, now))
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    /// A partner system that can call every API.
    fn system() -> ClientDoc {
        ClientDoc {
            issuer: Some("https://ehr.example".to_owned()),
            jwks: Some(new_es384("k").unwrap().jwks()),
            scopes: strings(&["system/Claim.cruds", "system/Subscription.cruds"]),
            callback_hosts: strings(&["ehr.example", "127.0.0.1:8080", "https://ehr.example/notify"]),
            npis: strings(&["1999999984"]),
            senders: strings(&["EHR01"]),
            versions: strings(&["crd-2.2"]),
            ..ClientDoc::default()
        }
    }

    /// A member's app.
    fn app() -> ClientDoc {
        ClientDoc {
            public: true,
            redirect_uris: strings(&["https://app.example/cb"]),
            scopes: strings(&["patient/*.rs", "launch/patient", "openid", "offline_access"]),
            ..ClientDoc::default()
        }
    }

    #[track_caller]
    fn assert_one(doc: ClientDoc, part: &str) {
        let all = mistakes_of(doc);
        assert!(all.len() == 1 && all[0].contains(part), "{part}: {all:?}");
    }

    #[test]
    fn clients_that_can_sign_in_have_no_mistakes() {
        assert_eq!(mistakes_of(system()), Vec::<String>::new());
        assert_eq!(mistakes_of(app()), Vec::<String>::new());
    }

    #[test]
    fn a_client_that_could_never_sign_in_is_refused() {
        let without_keys = ClientDoc {
            jwks: None,
            issuer: None,
            ..system()
        };
        assert_one(without_keys, "needs its public keys to sign in");
        assert_one(
            ClientDoc {
                public: false,
                ..app()
            },
            "needs a way to sign in",
        );
        let both = ClientDoc {
            secret_hash: Some("h".to_owned()),
            ..app()
        };
        assert_one(both, "has no secret and no keys");
        let two_sets = ClientDoc {
            jwks_uri: Some("https://ehr.example/jwks".to_owned()),
            ..system()
        };
        assert_one(two_sets, "--jwks or --jwks-uri, not both");
        let nothing = mistakes_of(ClientDoc::default());
        assert!(
            nothing.iter().any(|m| m.contains("could do nothing")),
            "{nothing:?}"
        );
        assert_one(
            ClientDoc {
                redirect_uris: Vec::new(),
                ..app()
            },
            "needs a --redirect-uri",
        );
        assert_one(
            ClientDoc {
                callback_hosts: Vec::new(),
                ..system()
            },
            "--callback-host",
        );
    }

    #[test]
    fn a_key_set_without_a_usable_key_is_refused() {
        let with = |jwks: Value| ClientDoc {
            jwks: Some(jwks),
            issuer: None,
            ..system()
        };
        let key = new_es384("k").unwrap().jwk;
        let changed = |name: &str, value: Value| {
            let mut key = key.clone();
            key[name] = value;
            with(json!({ "keys": [key] }))
        };
        assert_one(with(json!({ "keys": [] })), "no key that can sign in");
        assert_one(with(json!([])), "must be a JWK set");
        assert_one(changed("kid", Value::Null), "no key that can sign in");
        assert_one(changed("use", json!("enc")), "no key that can sign in");
        assert_one(changed("crv", json!("P-256")), "no key that can sign in");
        assert_one(changed("x", json!("AAAA")), "no key that can sign in");
        assert_one(changed("d", json!("AAAA")), "contains a private");
    }

    #[test]
    fn each_value_that_could_never_match_is_refused() {
        let set = |change: &dyn Fn(&mut ClientDoc)| {
            let mut doc = system();
            change(&mut doc);
            doc
        };
        assert_one(
            set(&|d| d.issuer = Some("ehr".to_owned())),
            "--issuer must be the URL",
        );
        assert_one(
            set(&|d| d.scopes.push("anything".to_owned())),
            "--scope anything is not a valid scope",
        );
        assert_one(
            set(&|d| d.scopes.push("system/Observation.rs".to_owned())),
            "is never granted",
        );
        assert_one(
            set(&|d| d.fhir_hosts.push("http://ehr.example".to_owned())),
            "--fhir-host http://ehr.example",
        );
        for host in [
            "",
            "*",
            "ehr.example/path",
            "user@ehr.example",
            "ehr example",
            "http://ehr.example",
        ] {
            assert_one(
                set(&|d| d.callback_hosts.push(host.to_owned())),
                "--callback-host",
            );
        }
        assert_one(
            set(&|d| d.npis.push("1999999985".to_owned())),
            "1999999985 must be an NPI",
        );
        assert_one(set(&|d| d.senders.push(String::new())), "--sender");
        assert_one(
            set(&|d| d.versions.push("crd-9".to_owned())),
            "crd-9 must be a guide version",
        );
        assert_one(set(&|d| d.max_token_lifetime_s = 0), "--max-token-lifetime");
    }

    #[test]
    fn http_is_accepted_on_a_loopback_host_if_asked_for() {
        let http = ClientDoc {
            redirect_uris: strings(&["http://app.example/cb"]),
            ..app()
        };
        assert_one(http, "--redirect-uri http://app.example/cb must be an https URL");
        let loopback = ClientDoc {
            redirect_uris: strings(&["http://127.0.0.1:8643/cb"]),
            loopback_http: true,
            ..app()
        };
        assert!(mistakes_of(loopback).is_empty());
    }

    #[test]
    fn an_origin_is_registered_as_browsers_send_it() {
        let with_origin = |origin: &str| {
            let doc = ClientDoc {
                origins: strings(&[origin]),
                ..system()
            };
            mistakes_of(doc).len()
        };
        assert_eq!(with_origin("https://forms.example:8443"), 0);
        for wrong in [
            "https://forms.example/",
            "https://forms.example/app",
            "https://Forms.example",
            "forms.example",
            "*",
        ] {
            assert!(with_origin(wrong) > 0, "{wrong}");
        }
    }
}
