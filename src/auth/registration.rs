//! Adding clients, staff and members' accounts, for the command line and the demo. Each is checked before it is stored,
//! and the error lists all mistakes.

use super::client::{Client, ClientDoc, origin};
use super::{fingerprint, password, scopes::Scopes};
use crate::clock::{new_id, new_secret};
use crate::config::PasswordCost;
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::store::Store;
use crate::store::accounts::{MemberLogin, StaffMember};
use chrono::{DateTime, Utc};

/// The minimum length of a chosen password.
const MIN_PASSWORD_LENGTH: usize = 12;

/// A new client with a new id.
pub fn new_client(client_id: &str, name: &str, doc: ClientDoc, now: DateTime<Utc>) -> Client {
    Client {
        id: new_id(now),
        client_id: client_id.to_owned(),
        name: name.to_owned(),
        disabled: false,
        doc,
    }
}

/// Generates the secret of a confidential app. The returned secret is not stored.
pub fn set_new_secret(client: &mut Client) -> String {
    let secret = new_secret();
    client.doc.secret_hash = Some(fingerprint(&secret));
    secret
}

/// Checks and stores a client. A client with the same row is replaced. The error is a conflict when another client has
/// the same `client_id` or issuer.
pub async fn register(store: &Store, client: Client, now: DateTime<Utc>) -> Result<()> {
    reject(&mistakes(&client))?;
    store
        .write((client, now), |tx, (client, now)| {
            Box::pin(async move { tx.put_client(client, *now).await })
        })
        .await
        .map_err(|error| conflict_message(error, "Another client already has this client_id or issuer"))
}

/// The mistakes in a client, one sentence each.
pub fn mistakes(client: &Client) -> Vec<String> {
    let mut all = name_mistakes(client);
    all.extend(credential_mistakes(&client.doc));
    for scope in &client.doc.scopes {
        if !Scopes::is_valid(scope) {
            all.push(format!("{scope} is not a valid scope."));
        }
    }
    all.extend(url_mistakes(&client.doc));
    all
}

/// Those of these sentences whose condition is false.
fn failed(checks: &[(bool, &str)]) -> Vec<String> {
    let failed = checks.iter().filter(|(valid, _)| !valid);
    failed.map(|(_, sentence)| (*sentence).to_owned()).collect()
}

fn name_mistakes(client: &Client) -> Vec<String> {
    let is_identifier =
        |text: &str| !text.is_empty() && text.len() <= 255 && text.chars().all(|c| c.is_ascii_graphic());
    failed(&[
        (
            is_identifier(&client.client_id),
            "client_id must be 1 to 255 ASCII characters without spaces.",
        ),
        (
            !client.name.trim().is_empty(),
            "name must not be empty. Members and staff see it.",
        ),
        (
            client.doc.issuer.as_deref().is_none_or(is_identifier),
            "issuer must be 1 to 255 ASCII characters without spaces.",
        ),
    ])
}

fn credential_mistakes(doc: &ClientDoc) -> Vec<String> {
    let has_keys = doc.jwks.is_some() || doc.jwks_uri.is_some();
    let is_jwk_set = |jwks: &serde_json::Value| jwks.get("keys").is_some_and(serde_json::Value::is_array);
    failed(&[
        (
            doc.jwks.is_none() || doc.jwks_uri.is_none(),
            "Set jwks or jwks_uri, not both.",
        ),
        (
            doc.jwks.as_ref().is_none_or(is_jwk_set),
            "jwks must be a JWK set: {\"keys\": […]}.",
        ),
        (
            doc.issuer.is_none() || has_keys,
            "A client with an issuer needs jwks or jwks_uri.",
        ),
        (
            !(doc.public && doc.secret_hash.is_some()),
            "A public app must not have a secret.",
        ),
        (
            doc.redirect_uris.is_empty() || doc.public || doc.secret_hash.is_some() || has_keys,
            "An app must be public, have a secret, or have keys.",
        ),
        (
            (1..=86_400).contains(&doc.max_token_lifetime_s),
            "max_token_lifetime_s must be from 1 to 86400.",
        ),
    ])
}

fn url_mistakes(doc: &ClientDoc) -> Vec<String> {
    let urls = doc
        .redirect_uris
        .iter()
        .chain(&doc.jwks_uri)
        .chain(&doc.fhir_hosts);
    let urls = urls
        .chain(&doc.client_uri)
        .chain(&doc.policy_uri)
        .chain(&doc.origins);
    let not_allowed = urls
        .filter(|url| !doc.allows_url(url))
        .map(|url| format!("{url} must be an https URL. For http on a loopback host, set loopback_http."));
    let not_an_origin = doc
        .origins
        .iter()
        .filter(|listed| origin(listed).as_ref() != Some(*listed))
        .map(|listed| format!("{listed} must be an origin: a scheme, a host and, if needed, a port."));
    not_allowed.chain(not_an_origin).collect()
}

/// A staff account to be added.
#[derive(Debug, Clone)]
pub struct NewStaffMember {
    /// The sign-in name.
    pub username: String,
    /// The full name.
    pub name: String,
    /// The roles, which say what the person may do.
    pub roles: Vec<Role>,
    /// The license that the person acts under, for clinical staff.
    pub credential: Option<Credential>,
    /// The password in plain text; only its hash is stored.
    pub password: String,
}

/// Checks and stores a staff account.
pub async fn add_staff_member(
    store: &Store,
    new: NewStaffMember,
    cost: PasswordCost,
    now: DateTime<Utc>,
) -> Result<StaffMember> {
    let mut all = account_mistakes(&new.username, &new.password);
    if new.name.trim().is_empty() {
        all.push("The name must not be empty. It appears with every decision.".to_owned());
    }
    if new.roles.is_empty() {
        all.push(
            "Specify at least one role: intake, nurse, physician, supervisor, policy-author, policy-approver or auditor."
                .to_owned(),
        );
    }
    let kind = new.credential.as_ref().map(|c| c.kind);
    if new.roles.contains(&Role::Physician) && kind != Some(CredentialKind::Physician) {
        all.push("A physician must have a physician's license.".to_owned());
    }
    if new.roles.contains(&Role::Nurse) && kind.is_none() {
        all.push("A nurse must have a license.".to_owned());
    }
    reject(&all)?;
    let staff = StaffMember {
        id: new_id(now),
        username: normalize_username(&new.username),
        name: new.name.trim().to_owned(),
        password: hash(new.password, cost).await?,
        roles: new.roles,
        credential: new.credential,
        disabled: false,
        created: now,
    };
    store
        .write(staff.clone(), |tx, staff| {
            Box::pin(async move { tx.put_staff_member(staff).await })
        })
        .await
        .map_err(|error| conflict_message(error, "Another staff member already has this sign-in name"))?;
    Ok(staff)
}

/// A member's account to be added.
#[derive(Debug, Clone)]
pub struct NewMemberLogin {
    /// The sign-in name.
    pub username: String,
    /// The plan's member id, as on the card.
    pub member_id: String,
    /// Where email notices are sent.
    pub email: Option<String>,
    /// The password in plain text; only its hash is stored.
    pub password: String,
}

/// Checks and stores a member's account.
pub async fn add_member_login(
    store: &Store,
    new: NewMemberLogin,
    cost: PasswordCost,
    now: DateTime<Utc>,
) -> Result<MemberLogin> {
    let mut all = account_mistakes(&new.username, &new.password);
    if new.email.as_ref().is_some_and(|email| !email.contains('@')) {
        all.push("The email address is not valid: it has no @.".to_owned());
    }
    reject(&all)?;
    let member = store
        .read(new.member_id, |tx, id| {
            Box::pin(async move { tx.member_by_member_id(id).await })
        })
        .await?
        .ok_or_else(|| Error::malformed("No member has this member id. Import the plan's members first"))?;
    let login = MemberLogin {
        id: new_id(now),
        username: normalize_username(&new.username),
        password: hash(new.password, cost).await?,
        member: member.id,
        email: new.email,
        disabled: false,
        created: now,
    };
    store
        .write(login.clone(), |tx, login| {
            Box::pin(async move { tx.put_login(login).await })
        })
        .await
        .map_err(|error| conflict_message(error, "Another member already has this sign-in name"))?;
    Ok(login)
}

/// A sign-in name in the stored form: in lower case, without spaces at the ends.
pub fn normalize_username(username: &str) -> String {
    username.trim().to_lowercase()
}

fn account_mistakes(username: &str, password: &str) -> Vec<String> {
    let mut all = Vec::new();
    let name = normalize_username(username);
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        all.push("The sign-in name must be 1 to 255 characters without spaces.".to_owned());
    }
    if password.chars().count() < MIN_PASSWORD_LENGTH {
        all.push(format!(
            "The password must have at least {MIN_PASSWORD_LENGTH} characters."
        ));
    }
    all
}

async fn hash(password: String, cost: PasswordCost) -> Result<String> {
    tokio::task::spawn_blocking(move || password::hash(&password, cost))
        .await
        .map_err(Error::internal)?
}

/// An error with one mistake in each line, unless there is none.
fn reject(mistakes: &[String]) -> Result<()> {
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Error::malformed(mistakes.join("\n")))
    }
}

/// Replaces the message of a conflict.
fn conflict_message(error: Error, sentence: &str) -> Error {
    if error.kind() == crate::error::ErrorKind::Conflict {
        Error::conflict(sentence)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(doc: ClientDoc) -> Client {
        new_client(
            "app",
            "An app",
            doc,
            DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        )
    }

    #[test]
    fn a_valid_client_has_no_mistakes() {
        let app = ClientDoc {
            public: true,
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            scopes: vec!["patient/*.rs".to_owned(), "offline_access".to_owned()],
            ..ClientDoc::default()
        };
        assert!(mistakes(&client(app)).is_empty());
    }

    #[test]
    fn all_mistakes_in_a_client_are_reported_together() {
        let doc = ClientDoc {
            issuer: Some("https://ehr.example".to_owned()),
            redirect_uris: vec!["http://app.example/cb".to_owned()],
            scopes: vec!["patient/Patient.sr".to_owned()],
            max_token_lifetime_s: 0,
            ..ClientDoc::default()
        };
        assert_eq!(mistakes(&client(doc)).len(), 5);
        let both = ClientDoc {
            jwks: Some(json!({"keys": []})),
            jwks_uri: Some("https://ehr.example/jwks".to_owned()),
            ..ClientDoc::default()
        };
        assert_eq!(mistakes(&client(both)), ["Set jwks or jwks_uri, not both."]);
    }

    #[test]
    fn an_origin_is_registered_as_browsers_send_it() {
        let with_origin = |origin: &str| {
            let doc = ClientDoc {
                origins: vec![origin.to_owned()],
                ..ClientDoc::default()
            };
            mistakes(&client(doc)).len()
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

    #[test]
    fn only_the_fingerprint_of_a_secret_is_stored() {
        let mut app = client(ClientDoc::default());
        let secret = set_new_secret(&mut app);
        assert_eq!(app.doc.secret_hash, Some(fingerprint(&secret)));
        assert!(!serde_json::to_string(&app.doc).unwrap().contains(&secret));
    }

    #[test]
    fn a_short_password_and_a_name_with_spaces_are_rejected() {
        assert_eq!(account_mistakes("nora nurse", "short").len(), 2);
        assert!(account_mistakes(" Nora ", "long enough it is").is_empty());
        assert_eq!(normalize_username(" Nora "), "nora");
    }
}
