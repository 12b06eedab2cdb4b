//! The tables `staff_member` and `member_login`: the accounts that sign in to the pages. Passwords are stored as
//! hashes.

use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, Reviewer, Role};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A staff member's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffMember {
    /// The row.
    pub id: Uuid,
    /// The sign-in name in lower case.
    pub username: String,
    /// The full name, as it appears in decisions.
    pub name: String,
    /// The password hash (PHC string).
    pub password: String,
    /// The roles, which say what the person may do.
    pub roles: Vec<Role>,
    /// The license that the person acts under, for clinical staff.
    pub credential: Option<Credential>,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// When the account was created.
    pub created: DateTime<Utc>,
}

impl StaffMember {
    /// The staff member as the author of events.
    pub fn reviewer(&self) -> Reviewer {
        Reviewer {
            id: self.id,
            username: self.username.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            credential: self.credential.clone(),
        }
    }
}

/// A member's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberLogin {
    /// The row.
    pub id: Uuid,
    /// The sign-in name in lower case.
    pub username: String,
    /// The password hash (PHC string).
    pub password: String,
    /// The row of the member whose data the account shows.
    pub member: Uuid,
    /// Where email notices are sent.
    pub email: Option<String>,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// When the account was created.
    pub created: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct StaffMemberRow {
    id: Uuid,
    username: String,
    name: String,
    password: String,
    roles: String,
    credential: Option<String>,
    disabled: bool,
    created: DateTime<Utc>,
}

impl StaffMemberRow {
    fn into_staff_member(self) -> Result<StaffMember> {
        let roles =
            serde_json::from_str(&self.roles).map_err(|e| bad_row("staff_member", "roles", self.id, e))?;
        let credential = self.credential.as_deref().map(serde_json::from_str).transpose();
        let credential = credential.map_err(|e| bad_row("staff_member", "credential", self.id, e))?;
        Ok(StaffMember {
            id: self.id,
            username: self.username,
            name: self.name,
            password: self.password,
            roles,
            credential,
            disabled: self.disabled,
            created: self.created,
        })
    }
}

#[derive(sqlx::FromRow)]
struct MemberLoginRow {
    id: Uuid,
    username: String,
    password: String,
    member: Uuid,
    email: Option<String>,
    disabled: bool,
    created: DateTime<Utc>,
}

impl From<MemberLoginRow> for MemberLogin {
    fn from(row: MemberLoginRow) -> Self {
        let MemberLoginRow {
            id,
            username,
            password,
            member,
            email,
            disabled,
            created,
        } = row;
        Self {
            id,
            username,
            password,
            member,
            email,
            disabled,
            created,
        }
    }
}

impl Tx {
    /// Stores a new or changed staff account. The error is a conflict when another account has the sign-in name.
    pub async fn put_staff_member(&mut self, staff: &StaffMember) -> Result<()> {
        let roles = serde_json::to_string(&staff.roles).map_err(Error::internal)?;
        let credential = staff.credential.as_ref().map(serde_json::to_string).transpose();
        let credential = credential.map_err(Error::internal)?;
        on!(self, c => sqlx::query(
            "INSERT INTO staff_member (id, username, name, password, roles, credential, disabled, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET username = excluded.username, \
             name = excluded.name, password = excluded.password, roles = excluded.roles, \
             credential = excluded.credential, disabled = excluded.disabled",
        )
        .bind(staff.id)
        .bind(&staff.username)
        .bind(&staff.name)
        .bind(&staff.password)
        .bind(&roles)
        .bind(&credential)
        .bind(staff.disabled)
        .bind(staff.created)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// A staff account by row.
    pub async fn staff_member(&mut self, id: Uuid) -> Result<Option<StaffMember>> {
        let row = on!(self, c => sqlx::query_as::<_, StaffMemberRow>(
            "SELECT id, username, name, password, roles, credential, disabled, created \
             FROM staff_member WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(StaffMemberRow::into_staff_member).transpose()
    }

    /// A staff account by its sign-in name in lower case.
    pub async fn staff_member_by_username(&mut self, username: &str) -> Result<Option<StaffMember>> {
        let row = on!(self, c => sqlx::query_as::<_, StaffMemberRow>(
            "SELECT id, username, name, password, roles, credential, disabled, created \
             FROM staff_member WHERE username = $1")
            .bind(username)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(StaffMemberRow::into_staff_member).transpose()
    }

    /// All staff accounts, in the order of their sign-in names.
    pub async fn staff_members(&mut self) -> Result<Vec<StaffMember>> {
        let rows = on!(self, c => sqlx::query_as::<_, StaffMemberRow>(
            "SELECT id, username, name, password, roles, credential, disabled, created \
             FROM staff_member ORDER BY username")
            .fetch_all(c)
            .await)
        .map_err(database)?;
        rows.into_iter().map(StaffMemberRow::into_staff_member).collect()
    }

    /// Stores a new or changed member account. The error is a conflict when another account has the sign-in name.
    pub async fn put_login(&mut self, login: &MemberLogin) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO member_login (id, username, password, member, email, disabled, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET username = excluded.username, \
             password = excluded.password, email = excluded.email, disabled = excluded.disabled",
        )
        .bind(login.id)
        .bind(&login.username)
        .bind(&login.password)
        .bind(login.member)
        .bind(&login.email)
        .bind(login.disabled)
        .bind(login.created)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// A member account by row.
    pub async fn login(&mut self, id: Uuid) -> Result<Option<MemberLogin>> {
        let row = on!(self, c => sqlx::query_as::<_, MemberLoginRow>(
            "SELECT id, username, password, member, email, disabled, created \
             FROM member_login WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        Ok(row.map(MemberLogin::from))
    }

    /// A member account by its sign-in name in lower case.
    pub async fn login_by_username(&mut self, username: &str) -> Result<Option<MemberLogin>> {
        let row = on!(self, c => sqlx::query_as::<_, MemberLoginRow>(
                "SELECT id, username, password, member, email, disabled, created \
                 FROM member_login WHERE username = $1")
            .bind(username)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        Ok(row.map(MemberLogin::from))
    }

    /// All member accounts, in the order of their sign-in names.
    pub async fn logins(&mut self) -> Result<Vec<MemberLogin>> {
        let rows = on!(self, c => sqlx::query_as::<_, MemberLoginRow>(
                "SELECT id, username, password, member, email, disabled, created \
                 FROM member_login ORDER BY username")
            .fetch_all(c)
            .await)
        .map_err(database)?;
        Ok(rows.into_iter().map(MemberLogin::from).collect())
    }

    /// The accounts of one member, to which email notices are sent.
    pub async fn logins_of_member(&mut self, member: Uuid) -> Result<Vec<MemberLogin>> {
        let rows = on!(self, c => sqlx::query_as::<_, MemberLoginRow>(
            "SELECT id, username, password, member, email, disabled, created FROM member_login \
             WHERE member = $1 ORDER BY username",
        )
        .bind(member)
        .fetch_all(c)
        .await)
        .map_err(database)?;
        Ok(rows.into_iter().map(MemberLogin::from).collect())
    }
}
