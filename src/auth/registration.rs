//! How clients, staff and members' sign-ins come in: one way for the command line and for the demo. Each is checked
//! before it is stored; every mistake is told at once.

use super::client::{Client, ClientDoc};
use super::{fingerprint, password, scopes::Scopes};
use crate::clock::{new_id, new_secret};
use crate::config::PasswordWork;
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::store::{Store, people::Login, people::Person};
use chrono::{DateTime, Utc};

/// The least length of a password that somebody chose.
const LEAST: usize = 12;

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

/// Gives a confidential app its secret; the answer is the only copy.
pub fn give_secret(client: &mut Client) -> String {
    let secret = new_secret();
    client.doc.secret_hash = Some(fingerprint(&secret));
    secret
}

/// Stores a client after checking it. One with the same row is replaced; the same `client_id` or issuer elsewhere is
/// a conflict.
pub async fn register(store: &Store, client: Client, now: DateTime<Utc>) -> Result<()> {
    told(&mistakes(&client))?;
    store
        .write((client, now), |tx, (client, now)| {
            Box::pin(async move { tx.put_client(client, *now).await })
        })
        .await
        .map_err(|error| taken(error, "Another client has this client_id or issuer"))
}

/// One sentence per thing that is wrong with a client.
pub fn mistakes(client: &Client) -> Vec<String> {
    let doc = &client.doc;
    let mut all = Vec::new();
    let mut check = |held: bool, sentence: String| {
        if !held {
            all.push(sentence);
        }
    };
    let plain =
        |text: &str| !text.is_empty() && text.len() <= 255 && text.chars().all(|c| c.is_ascii_graphic());
    check(
        plain(&client.client_id),
        "client_id must be 1 to 255 letters without blanks.".to_owned(),
    );
    check(
        !client.name.trim().is_empty(),
        "name must not be empty: members and staff see it.".to_owned(),
    );
    check(
        doc.issuer.as_deref().is_none_or(plain),
        "issuer must be 1 to 255 letters without blanks.".to_owned(),
    );
    check(
        doc.jwks.is_none() || doc.jwks_uri.is_none(),
        "Give jwks or jwks_uri, not both.".to_owned(),
    );
    check(
        doc.jwks
            .as_ref()
            .is_none_or(|keys| keys.get("keys").is_some_and(serde_json::Value::is_array)),
        "jwks must be a JWK set: {\"keys\": […]}.".to_owned(),
    );
    let with_keys = doc.jwks.is_some() || doc.jwks_uri.is_some();
    check(
        doc.issuer.is_none() || with_keys,
        "A client with an issuer needs jwks or jwks_uri.".to_owned(),
    );
    check(
        !(doc.public && doc.secret_hash.is_some()),
        "A public app has no secret.".to_owned(),
    );
    check(
        doc.redirect_uris.is_empty() || doc.public || doc.secret_hash.is_some() || with_keys,
        "An app is public, has a secret, or has keys.".to_owned(),
    );
    check(
        (1..=86_400).contains(&doc.max_token_lifetime_s),
        "max_token_lifetime_s must lie between 1 and 86400.".to_owned(),
    );
    for scope in &doc.scopes {
        check(Scopes::is_one(scope), format!("{scope} is no scope."));
    }
    let pages = doc.client_uri.iter().chain(&doc.policy_uri);
    for address in doc
        .redirect_uris
        .iter()
        .chain(&doc.jwks_uri)
        .chain(&doc.fhir_hosts)
        .chain(pages)
    {
        check(
            doc.may_use(address),
            format!("{address} must be an https address (http on loopback: loopback_http)."),
        );
    }
    all
}

/// A member of staff who is to come in.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The sign-in name.
    pub username: String,
    /// The person's name.
    pub name: String,
    /// What the person may do.
    pub roles: Vec<Role>,
    /// The license that the person acts under.
    pub credential: Option<Credential>,
    /// The password in clear; only its hash is stored.
    pub password: String,
}

/// Stores a member of staff.
pub async fn enroll(store: &Store, new: NewPerson, work: PasswordWork, now: DateTime<Utc>) -> Result<Person> {
    let mut all = sign_in_mistakes(&new.username, &new.password);
    if new.name.trim().is_empty() {
        all.push("The name must not be empty: it stands under every decision.".to_owned());
    }
    if new.roles.is_empty() {
        all.push(
            "Give at least one role: intake, nurse, physician, supervisor, policy-author or policy-approver."
                .to_owned(),
        );
    }
    let kind = new.credential.as_ref().map(|c| c.kind);
    if new.roles.contains(&Role::Physician) && kind != Some(CredentialKind::Physician) {
        all.push("A physician needs a physician's license.".to_owned());
    }
    if new.roles.contains(&Role::Nurse) && kind.is_none() {
        all.push("A nurse needs a license.".to_owned());
    }
    told(&all)?;
    let person = Person {
        id: new_id(now),
        username: fold_name(&new.username),
        name: new.name.trim().to_owned(),
        password: hash(new.password, work).await?,
        roles: new.roles,
        credential: new.credential,
        disabled: false,
        created: now,
    };
    store
        .write(person.clone(), |tx, person| {
            Box::pin(async move { tx.put_person(person).await })
        })
        .await
        .map_err(|error| taken(error, "Another member of staff has this sign-in name"))?;
    Ok(person)
}

/// A sign-in of a member that is to be made.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The sign-in name.
    pub username: String,
    /// The plan's member id, as on the card.
    pub member_id: String,
    /// Where notices knock.
    pub email: Option<String>,
    /// The password in clear; only its hash is stored.
    pub password: String,
}

/// Stores a member's sign-in.
pub async fn enroll_member(
    store: &Store,
    new: NewLogin,
    work: PasswordWork,
    now: DateTime<Utc>,
) -> Result<Login> {
    let mut all = sign_in_mistakes(&new.username, &new.password);
    if new.email.as_ref().is_some_and(|email| !email.contains('@')) {
        all.push("The e-mail address has no @.".to_owned());
    }
    told(&all)?;
    let member = store
        .read(new.member_id, |tx, id| {
            Box::pin(async move { tx.member_by_member_id(id).await })
        })
        .await?
        .ok_or_else(|| Error::malformed("No member has this member id; import the plan's members first"))?;
    let login = Login {
        id: new_id(now),
        username: fold_name(&new.username),
        password: hash(new.password, work).await?,
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
        .map_err(|error| taken(error, "Another member has this sign-in name"))?;
    Ok(login)
}

/// Sign-in names are compared without regard to case and outer blanks.
pub fn fold_name(username: &str) -> String {
    username.trim().to_lowercase()
}

fn sign_in_mistakes(username: &str, password: &str) -> Vec<String> {
    let mut all = Vec::new();
    let name = fold_name(username);
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        all.push("The sign-in name must be 1 to 255 letters without blanks.".to_owned());
    }
    if password.chars().count() < LEAST {
        all.push(format!("The password must have at least {LEAST} letters."));
    }
    all
}

async fn hash(clear: String, work: PasswordWork) -> Result<String> {
    tokio::task::spawn_blocking(move || password::hash(&clear, work))
        .await
        .map_err(Error::internal)?
}

fn told(mistakes: &[String]) -> Result<()> {
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Error::malformed(mistakes.join("\n")))
    }
}

fn taken(error: Error, sentence: &str) -> Error {
    if error.kind() == crate::error::Kind::Conflict {
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
    fn a_sound_client_has_no_mistakes() {
        let app = ClientDoc {
            public: true,
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            scopes: vec!["patient/*.rs".to_owned(), "offline_access".to_owned()],
            ..ClientDoc::default()
        };
        assert!(mistakes(&client(app)).is_empty());
    }

    #[test]
    fn every_mistake_of_a_client_is_told_at_once() {
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
        assert_eq!(mistakes(&client(both)), ["Give jwks or jwks_uri, not both."]);
    }

    #[test]
    fn a_secret_is_kept_as_its_fingerprint() {
        let mut app = client(ClientDoc::default());
        let secret = give_secret(&mut app);
        assert_eq!(app.doc.secret_hash, Some(fingerprint(&secret)));
        assert!(!serde_json::to_string(&app.doc).unwrap().contains(&secret));
    }

    #[test]
    fn a_short_password_and_a_name_with_blanks_are_refused() {
        assert_eq!(sign_in_mistakes("nora nurse", "short").len(), 2);
        assert!(sign_in_mistakes(" Nora ", "long enough it is").is_empty());
        assert_eq!(fold_name(" Nora "), "nora");
    }
}
