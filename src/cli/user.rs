//! `assent user`: adds, lists and disables sign-ins of staff (with roles and licenses) and of members. A password is
//! read from standard input, or generated and printed once; it is never an argument.

use crate::auth::password;
use crate::auth::registration::{
    NewMemberLogin, NewStaffMember, add_member_login, add_staff_member, normalize_username,
};
use crate::config::PasswordCost;
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::store::Store;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write as _;

/// Subcommands of `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a sign-in for staff, or for a member with --member
    Add(Box<AddUser>),
    /// List the sign-ins of staff and members
    List,
    /// Disable a sign-in and end its sessions
    Disable {
        /// User name
        username: String,
    },
}

/// Options of `user add`.
#[derive(Debug, Args)]
pub struct AddUser {
    /// User name
    username: String,
    /// Member id on the member's card; adds a sign-in for the member
    #[arg(long, value_name = "MEMBER-ID", conflicts_with_all = ["name", "roles", "license"])]
    member: Option<String>,
    /// Address for the member's email notices
    #[arg(long, requires = "member")]
    email: Option<String>,
    /// Name of the staff person, shown with every decision
    #[arg(long, required_unless_present = "member")]
    name: Option<String>,
    /// Role of the staff person: intake, nurse, physician, supervisor, policy-author, policy-approver or
    /// auditor (repeatable)
    #[arg(long = "role", value_parser = parse_role, required_unless_present = "member")]
    roles: Vec<Role>,
    /// License number
    #[arg(long, requires_all = ["license_kind", "license_state"])]
    license: Option<String>,
    /// Kind of license
    #[arg(long, value_enum, requires = "license")]
    license_kind: Option<LicenseKind>,
    /// State that issued the license
    #[arg(long, value_name = "STATE", requires = "license")]
    license_state: Option<String>,
    /// Last day on which the license is valid
    #[arg(long, value_name = "YYYY-MM-DD", requires = "license")]
    license_until: Option<NaiveDate>,
    /// NPI of the license holder
    #[arg(long, requires = "license")]
    npi: Option<String>,
    /// Specialty of the license holder (NUCC taxonomy code)
    #[arg(long, requires = "license")]
    specialty: Option<String>,
    /// Read the password from the first line of standard input; without it, a password is generated
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

fn parse_role(word: &str) -> Result<Role, String> {
    Role::parse(word).ok_or_else(|| {
        "valid roles are intake, nurse, physician, supervisor, policy-author, policy-approver and auditor"
            .to_owned()
    })
}

/// Runs a subcommand and returns the text to print.
pub async fn run(
    command: UserCommand,
    store: &Store,
    work: PasswordCost,
    now: DateTime<Utc>,
) -> Result<String> {
    match command {
        UserCommand::Add(new) => {
            let password = if new.password_stdin {
                Some(first_line(&mut std::io::stdin().lock())?)
            } else {
                None
            };
            add(*new, password, store, work, now).await
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
    password: Option<String>,
    store: &Store,
    work: PasswordCost,
    now: DateTime<Utc>,
) -> Result<String> {
    let generated = password.is_none().then(password::generate);
    let password = password.or_else(|| generated.clone()).unwrap_or_default();
    let credential = credential(&new);
    let username = new.username.clone();
    if let Some(member_id) = new.member {
        let login = NewMemberLogin {
            username: new.username,
            member_id,
            email: new.email,
            password,
        };
        add_member_login(store, login, work, now).await?;
    } else {
        let name = new.name.unwrap_or_default();
        let person = NewStaffMember {
            username: new.username,
            name,
            roles: new.roles,
            credential,
            password,
        };
        add_staff_member(store, person, work, now).await?;
    }
    let mut text = format!("{} can sign in.\n", normalize_username(&username));
    if let Some(generated) = generated {
        let _ = writeln!(
            text,
            "password: {generated}\nThe password is shown only now; Assent stores only its hash."
        );
    }
    Ok(text)
}

/// The license, if kind, number and state are given.
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
            Box::pin(async move { Ok((tx.staff_members().await?, tx.logins().await?)) })
        })
        .await?;
    let state = |disabled: bool| if disabled { "disabled" } else { "enabled" };
    let mut lines = String::new();
    for person in people {
        let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
        let _ = writeln!(
            lines,
            "{}\t{}\tstaff\t{}\t{}",
            person.username,
            state(person.disabled),
            person.name,
            roles.join(" ")
        );
    }
    for login in logins {
        let _ = writeln!(
            lines,
            "{}\t{}\tmember\t{}",
            login.username,
            state(login.disabled),
            login.member
        );
    }
    Ok(if lines.is_empty() {
        "No sign-ins exist.\n".to_owned()
    } else {
        lines
    })
}

/// Disables the sign-in of staff, of a member, or both, with this username.
async fn disable(username: &str, store: &Store) -> Result<String> {
    let name = normalize_username(username);
    let found = store
        .write(name.clone(), |tx, name| {
            Box::pin(async move {
                let (person, login) = (
                    tx.staff_member_by_username(name).await?,
                    tx.login_by_username(name).await?,
                );
                let found = person.is_some() || login.is_some();
                if let Some(mut person) = person {
                    person.disabled = true;
                    tx.put_staff_member(&person).await?;
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
        Ok(format!("{name} is disabled and signed out.\n"))
    } else {
        Err(Error::not_found("sign-in", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[command(subcommand)]
        command: UserCommand,
    }

    fn parse(arguments: &[&str]) -> Result<AddUser, String> {
        let parsed = TestCommand::try_parse_from(["user", "add", "nora"].iter().chain(arguments))
            .map_err(|e| e.to_string())?;
        match parsed.command {
            UserCommand::Add(new) => Ok(*new),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_nurse_has_roles_and_a_license() {
        let new = parse(&[
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
    fn a_member_has_no_role_and_no_license() {
        assert!(parse(&["--member", "M1", "--email", "a@b.example"]).is_ok());
        assert!(parse(&["--member", "M1", "--role", "nurse"]).is_err());
        assert!(parse(&["--name", "Nora N"]).is_err(), "staff need a role");
        assert!(parse(&["--name", "N", "--role", "boss"]).is_err());
        assert!(
            parse(&["--name", "N", "--role", "nurse", "--license", "RN1"]).is_err(),
            "a license needs a kind and a state"
        );
    }

    #[test]
    fn the_password_is_the_first_line_of_standard_input() {
        assert_eq!(
            first_line(&mut "long enough it is\r\nmore\n".as_bytes()).unwrap(),
            "long enough it is"
        );
    }
}
