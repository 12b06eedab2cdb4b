//! The tables `person` (staff) and `member_login` (members' sign-ins). A password is here as its hash alone.

use super::{Tx, bad_row, database, on};
use crate::error::{Error, Result};
use crate::prior_auth::{Credential, Reviewer, Role};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A member of staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The row.
    pub id: Uuid,
    /// The sign-in name, folded.
    pub username: String,
    /// The person's name.
    pub name: String,
    /// The hash of the password (PHC text).
    pub password: String,
    /// What the person may do.
    pub roles: Vec<Role>,
    /// The license that the person acts under.
    pub credential: Option<Credential>,
    /// Whether the person is shut out.
    pub disabled: bool,
    /// Since when the person is on record.
    pub created: DateTime<Utc>,
}

impl Person {
    /// The person as one who acts on cases.
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

/// A member's sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The row; the subject of tokens.
    pub id: Uuid,
    /// The sign-in name, folded.
    pub username: String,
    /// The hash of the password (PHC text).
    pub password: String,
    /// The member whose data it opens.
    pub member: Uuid,
    /// Where notices knock.
    pub email: Option<String>,
    /// Whether it is shut.
    pub disabled: bool,
    /// Since when it is on record.
    pub created: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    id: Uuid,
    username: String,
    name: String,
    password: String,
    roles: String,
    credential: Option<String>,
    disabled: bool,
    created: DateTime<Utc>,
}

impl PersonRow {
    fn person(self) -> Result<Person> {
        let roles = serde_json::from_str(&self.roles).map_err(|e| bad_row("person", "roles", self.id, e))?;
        let credential = self.credential.as_deref().map(serde_json::from_str).transpose();
        let credential = credential.map_err(|e| bad_row("person", "credential", self.id, e))?;
        Ok(Person {
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
struct LoginRow {
    id: Uuid,
    username: String,
    password: String,
    member: Uuid,
    email: Option<String>,
    disabled: bool,
    created: DateTime<Utc>,
}

impl From<LoginRow> for Login {
    fn from(row: LoginRow) -> Self {
        let LoginRow {
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
    /// Stores a member of staff, new or changed. A sign-in name that another has is a conflict.
    pub async fn put_person(&mut self, person: &Person) -> Result<()> {
        let roles = serde_json::to_string(&person.roles).map_err(Error::internal)?;
        let credential = person.credential.as_ref().map(serde_json::to_string).transpose();
        let credential = credential.map_err(Error::internal)?;
        on!(self, c => sqlx::query(
            "INSERT INTO person (id, username, name, password, roles, credential, disabled, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET username = excluded.username, \
             name = excluded.name, password = excluded.password, roles = excluded.roles, \
             credential = excluded.credential, disabled = excluded.disabled",
        )
        .bind(person.id)
        .bind(&person.username)
        .bind(&person.name)
        .bind(&person.password)
        .bind(&roles)
        .bind(&credential)
        .bind(person.disabled)
        .bind(person.created)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// A member of staff by row.
    pub async fn person(&mut self, id: Uuid) -> Result<Option<Person>> {
        let row = on!(self, c => sqlx::query_as::<_, PersonRow>("SELECT id, username, name, password, roles, credential, disabled, created FROM person WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(PersonRow::person).transpose()
    }

    /// A member of staff by sign-in name (folded).
    pub async fn person_by_username(&mut self, username: &str) -> Result<Option<Person>> {
        let row = on!(self, c => sqlx::query_as::<_, PersonRow>("SELECT id, username, name, password, roles, credential, disabled, created FROM person WHERE username = $1")
            .bind(username)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(PersonRow::person).transpose()
    }

    /// All members of staff, by sign-in name.
    pub async fn people(&mut self) -> Result<Vec<Person>> {
        let rows = on!(self, c => sqlx::query_as::<_, PersonRow>("SELECT id, username, name, password, roles, credential, disabled, created FROM person ORDER BY username")
            .fetch_all(c)
            .await)
        .map_err(database)?;
        rows.into_iter().map(PersonRow::person).collect()
    }

    /// Stores a member's sign-in, new or changed. A sign-in name that another has is a conflict.
    pub async fn put_login(&mut self, login: &Login) -> Result<()> {
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

    /// A member's sign-in by row.
    pub async fn login(&mut self, id: Uuid) -> Result<Option<Login>> {
        let row = on!(self, c => sqlx::query_as::<_, LoginRow>("SELECT id, username, password, member, email, disabled, created FROM member_login WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        Ok(row.map(Login::from))
    }

    /// A member's sign-in by name (folded).
    pub async fn login_by_username(&mut self, username: &str) -> Result<Option<Login>> {
        let row =
            on!(self, c => sqlx::query_as::<_, LoginRow>("SELECT id, username, password, member, email, disabled, created FROM member_login WHERE username = $1")
            .bind(username)
            .fetch_optional(c)
            .await)
            .map_err(database)?;
        Ok(row.map(Login::from))
    }

    /// All sign-ins of members, by name.
    pub async fn logins(&mut self) -> Result<Vec<Login>> {
        let rows =
            on!(self, c => sqlx::query_as::<_, LoginRow>("SELECT id, username, password, member, email, disabled, created FROM member_login ORDER BY username")
            .fetch_all(c)
            .await)
            .map_err(database)?;
        Ok(rows.into_iter().map(Login::from).collect())
    }

    /// The sign-ins of one member: where notices knock.
    pub async fn logins_of_member(&mut self, member: Uuid) -> Result<Vec<Login>> {
        let rows = on!(self, c => sqlx::query_as::<_, LoginRow>(
            "SELECT id, username, password, member, email, disabled, created FROM member_login WHERE member = $1 ORDER BY username",
        )
        .bind(member)
        .fetch_all(c)
        .await)
        .map_err(database)?;
        Ok(rows.into_iter().map(Login::from).collect())
    }
}
