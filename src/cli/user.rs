//! `assent user`: staff with roles and licenses, and members' sign-ins, come in, are listed and shut out. A password
//! is read from standard input or made here and printed once; it never stands on the command line.

use crate::auth::password;
use crate::auth::registration::{NewLogin, NewPerson, enroll, enroll_member, fold_name};
use crate::config::PasswordWork;
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write as _;

/// What can be done with sign-ins.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Adds a member of staff, or with --member a member's sign-in
    Add(Box<AddUser>),
    /// Lists staff and members' sign-ins
    List,
    /// Shuts a sign-in out; its sessions end at once
    Disable {
        /// The sign-in name
        username: String,
    },
}

/// A sign-in on the command line.
#[derive(Debug, Args)]
pub struct AddUser {
    /// The sign-in name
    username: String,
    /// Makes a member's sign-in: the member id on the card
    #[arg(long, value_name = "MEMBER-ID", conflicts_with_all = ["name", "roles", "license"])]
    member: Option<String>,
    /// Where the member's notices go
    #[arg(long, requires = "member")]
    email: Option<String>,
    /// The name of a member of staff; it stands under every decision
    #[arg(long, required_unless_present = "member")]
    name: Option<String>,
    /// A role: intake, nurse, physician, supervisor, policy-author or policy-approver (may be repeated)
    #[arg(long = "role", value_parser = role, required_unless_present = "member")]
    roles: Vec<Role>,
    /// The license number
    #[arg(long, requires_all = ["license_kind", "license_state"])]
    license: Option<String>,
    /// Whose license it is
    #[arg(long, value_enum, requires = "license")]
    license_kind: Option<LicenseKind>,
    /// The state that gave the license
    #[arg(long, value_name = "STATE", requires = "license")]
    license_state: Option<String>,
    /// The last day of the license
    #[arg(long, value_name = "YYYY-MM-DD", requires = "license")]
    license_until: Option<NaiveDate>,
    /// The holder's NPI
    #[arg(long, requires = "license")]
    npi: Option<String>,
    /// The holder's specialty, a NUCC taxonomy code
    #[arg(long, requires = "license")]
    specialty: Option<String>,
    /// Reads the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// [`CredentialKind`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LicenseKind {
    /// MD or DO
    Physician,
    /// RN or LPN
    Nurse,
}

impl From<LicenseKind> for CredentialKind {
    fn from(kind: LicenseKind) -> Self {
        match kind {
            LicenseKind::Physician => Self::Physician,
            LicenseKind::Nurse => Self::Nurse,
        }
    }
}

fn role(word: &str) -> Result<Role, String> {
    Role::read(word).ok_or_else(|| {
        "a role is intake, nurse, physician, supervisor, policy-author or policy-approver".to_owned()
    })
}

/// Does it and gives what to print.
pub async fn run(
    command: UserCommand,
    store: &Store,
    work: PasswordWork,
    now: DateTime<Utc>,
) -> Result<String> {
    match command {
        UserCommand::Add(new) => {
            let typed = if new.password_stdin {
                Some(first_line(&mut std::io::stdin().lock())?)
            } else {
                None
            };
            add(*new, typed, store, work, now).await
        }
        UserCommand::List => list(store).await,
        UserCommand::Disable { username } => disable(&username, store).await,
    }
}

fn first_line(input: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    input
        .read_line(&mut line)
        .map_err(|e| Error::malformed(format!("The password cannot be read: {e}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn add(
    new: AddUser,
    typed: Option<String>,
    store: &Store,
    work: PasswordWork,
    now: DateTime<Utc>,
) -> Result<String> {
    let made = typed.is_none().then(password::generate);
    let password = typed.or_else(|| made.clone()).unwrap_or_default();
    let credential = credential(&new);
    let username = new.username.clone();
    if let Some(member_id) = new.member {
        let login = NewLogin {
            username: new.username,
            member_id,
            email: new.email,
            password,
        };
        enroll_member(store, login, work, now).await?;
    } else {
        let name = new.name.unwrap_or_default();
        let person = NewPerson {
            username: new.username,
            name,
            roles: new.roles,
            credential,
            password,
        };
        enroll(store, person, work, now).await?;
    }
    let mut told = format!("{} can sign in.\n", fold_name(&username));
    if let Some(made) = made {
        let _ = writeln!(told, "password: {made}\nIt is not stored and not shown again.");
    }
    Ok(told)
}

/// The license of the line, if it names one whole.
fn credential(new: &AddUser) -> Option<Credential> {
    Some(Credential {
        kind: new.license_kind?.into(),
        license: new.license.clone()?,
        state: new.license_state.clone()?,
        npi: new.npi.clone(),
        specialty: new.specialty.clone(),
        expires: new.license_until,
    })
}

async fn list(store: &Store) -> Result<String> {
    let (people, logins) = store
        .read((), |tx, ()| {
            Box::pin(async move { Ok((tx.people().await?, tx.logins().await?)) })
        })
        .await?;
    let word = |disabled: bool| if disabled { "disabled" } else { "enabled" };
    let mut lines = String::new();
    for person in people {
        let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
        let _ = writeln!(
            lines,
            "{}\t{}\tstaff\t{}\t{}",
            person.username,
            word(person.disabled),
            person.name,
            roles.join(" ")
        );
    }
    for login in logins {
        let _ = writeln!(
            lines,
            "{}\t{}\tmember\t{}",
            login.username,
            word(login.disabled),
            login.member
        );
    }
    Ok(if lines.is_empty() {
        "Nobody can sign in.\n".to_owned()
    } else {
        lines
    })
}

/// Shuts out whoever has this name, staff and member alike.
async fn disable(username: &str, store: &Store) -> Result<String> {
    let name = fold_name(username);
    let found = store
        .write(name.clone(), |tx, name| {
            Box::pin(async move {
                let (person, login) = (
                    tx.person_by_username(name).await?,
                    tx.login_by_username(name).await?,
                );
                let found = person.is_some() || login.is_some();
                if let Some(mut person) = person {
                    person.disabled = true;
                    tx.put_person(&person).await?;
                    tx.close_sessions_of(person.id).await?;
                }
                if let Some(mut login) = login {
                    login.disabled = true;
                    tx.put_login(&login).await?;
                    tx.close_sessions_of(login.id).await?;
                }
                Ok(found)
            })
        })
        .await?;
    if found {
        Ok(format!("{name} is shut out.\n"))
    } else {
        Err(Error::not_found("sign-in", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: UserCommand,
    }

    fn read(words: &[&str]) -> Result<AddUser, String> {
        let line =
            Line::try_parse_from(["user", "add", "nora"].iter().chain(words)).map_err(|e| e.to_string())?;
        match line.command {
            UserCommand::Add(new) => Ok(*new),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_nurse_has_roles_and_a_license() {
        let new = read(&[
            "--name",
            "Nora N",
            "--role",
            "nurse",
            "--role",
            "intake",
            "--license",
            "RN1",
            "--license-kind",
            "nurse",
            "--license-state",
            "OH",
            "--license-until",
            "2027-06-30",
        ])
        .unwrap();
        assert_eq!(new.roles, [Role::Nurse, Role::Intake]);
        let credential = credential(&new).unwrap();
        assert_eq!(
            (credential.kind, credential.license.as_str()),
            (CredentialKind::Nurse, "RN1")
        );
        assert_eq!(credential.expires, NaiveDate::from_ymd_opt(2027, 6, 30));
    }

    #[test]
    fn a_member_has_neither_role_nor_license() {
        assert!(read(&["--member", "M1", "--email", "a@b.example"]).is_ok());
        assert!(read(&["--member", "M1", "--role", "nurse"]).is_err());
        assert!(read(&["--name", "Nora N"]).is_err(), "staff need a role");
        assert!(read(&["--name", "N", "--role", "boss"]).is_err());
        assert!(
            read(&["--name", "N", "--role", "nurse", "--license", "RN1"]).is_err(),
            "a license has a kind and a state"
        );
    }

    #[test]
    fn a_typed_password_is_the_first_line() {
        assert_eq!(
            first_line(&mut "long enough it is\r\nmore\n".as_bytes()).unwrap(),
            "long enough it is"
        );
    }
}
