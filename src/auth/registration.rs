//! Adding clients, staff and members' accounts, for the command line and the demo. Each is checked before it is stored,
//! and the error lists all mistakes.

mod client_checks;

pub use client_checks::mistakes;

use super::client::{Client, ClientDoc};
use super::throttle::MAX_NAME_LENGTH;
use super::{fingerprint, password};
use crate::clock::{new_id, new_secret};
use crate::config::PasswordCost;
use crate::error::{Error, Result};
use crate::plan::is_npi;
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::store::Store;
use crate::store::accounts::{MemberLogin, StaffMember};
use chrono::{DateTime, Utc};

/// The minimum length of a chosen password.
const MIN_PASSWORD_LENGTH: usize = 12;
/// The longest password that is accepted when somebody signs in, in bytes.
pub const MAX_PASSWORD_LENGTH: usize = 1024;

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
            "Give at least one --role: intake, nurse, physician, supervisor, policy-author, policy-approver or auditor."
                .to_owned(),
        );
    }
    all.extend(new.credential.iter().flat_map(|c| license_mistakes(c, now)));
    let kind = new.credential.as_ref().map(|c| c.kind);
    if new.roles.contains(&Role::Physician) && kind != Some(CredentialKind::Physician) {
        all.push("A physician must have a physician's license: give --license, --license-kind physician and --license-state.".to_owned());
    }
    if new.roles.contains(&Role::Nurse) && kind.is_none() {
        all.push(
            "A nurse must have a license: give --license, --license-kind and --license-state.".to_owned(),
        );
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
    if new.email.as_deref().is_some_and(|email| !is_email(email)) {
        all.push("--email must be an email address, such as ruth@mail.example.".to_owned());
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

/// The mistakes in a license.
fn license_mistakes(license: &Credential, now: DateTime<Utc>) -> Vec<String> {
    let mut all = Vec::new();
    if license.license.trim().is_empty() {
        all.push("--license must be the number of the license.".to_owned());
    }
    if license.state.len() != 2 || !license.state.bytes().all(|b| b.is_ascii_uppercase()) {
        all.push("--license-state must be the two letters of a state, such as OH.".to_owned());
    }
    if license.expires.is_some_and(|day| day < now.date_naive()) {
        all.push("The license has expired (--license-until). Nothing can be decided with it.".to_owned());
    }
    if license.npi.as_deref().is_some_and(|npi| !is_npi(npi)) {
        all.push("--npi must be ten digits of which the last is the check digit.".to_owned());
    }
    all
}

/// Whether a text has the form of an email address: one @, a name before it and a domain after it.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| {
        let has_space = text.chars().any(|c| c.is_whitespace() || c.is_control());
        !name.is_empty() && !domain.is_empty() && !domain.contains('@') && !has_space
    })
}

fn account_mistakes(username: &str, password: &str) -> Vec<String> {
    let mut all = Vec::new();
    let name = normalize_username(username);
    let length = name.chars().count();
    if !(1..=MAX_NAME_LENGTH).contains(&length) || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        all.push(format!(
            "The sign-in name must be 1 to {MAX_NAME_LENGTH} characters without spaces."
        ));
    }
    if password.chars().count() < MIN_PASSWORD_LENGTH || password.len() > MAX_PASSWORD_LENGTH {
        all.push(format!(
            "The password must have at least {MIN_PASSWORD_LENGTH} characters, and at most {MAX_PASSWORD_LENGTH} bytes."
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

    fn client(doc: ClientDoc) -> Client {
        new_client(
            "app",
            "An app",
            doc,
            DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        )
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

    #[test]
    fn a_license_that_could_decide_nothing_is_rejected() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let license = Credential {
            kind: CredentialKind::Physician,
            license: " ".to_owned(),
            state: "Ohio".to_owned(),
            npi: Some("1720398765".to_owned()),
            specialty: None,
            expires: Some(now.date_naive().pred_opt().unwrap()),
        };
        assert_eq!(license_mistakes(&license, now).len(), 4);
        let valid = Credential {
            license: "35-090456".to_owned(),
            state: "OH".to_owned(),
            npi: Some("1720398761".to_owned()),
            expires: Some(now.date_naive()),
            ..license
        };
        assert!(license_mistakes(&valid, now).is_empty());
        assert!(is_email("ruth@mail.example") && !is_email("ruth") && !is_email("@x") && !is_email("a b@x"));
    }
}
