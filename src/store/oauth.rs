//! The tables `grant`, `authorization_code`, `token` and `seen_jti`: what members allowed apps to do, and the codes and
//! tokens issued for it. Codes and tokens are stored as fingerprints. A used refresh token stays until it expires, so
//! that a second use is noticed.

use super::{Tx, bad_row, database, on};
use crate::auth::{Jti, JtiReplay};
use crate::error::{Error, Result};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// What a member allowed an app.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Grant {
    /// The row.
    pub id: Uuid,
    /// The app's client row.
    pub client: Uuid,
    /// The member account that gave the grant.
    pub login: Uuid,
    /// The member whose data the app may read.
    pub member: Uuid,
    /// The scopes, separated by spaces.
    pub scope: String,
    /// Whether records marked sensitive are shared too.
    pub sensitive: bool,
    /// When the member gave it.
    pub created: DateTime<Utc>,
    /// When a token was last issued for it.
    pub last_used: Option<DateTime<Utc>>,
    /// When the member or the server ended it.
    pub ended: Option<DateTime<Utc>>,
}

/// An authorization code.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AuthorizationCode {
    /// The code's fingerprint.
    pub code_hash: String,
    /// The grant that it was issued for.
    pub grant_id: Uuid,
    /// The redirect URI that it was sent to.
    pub redirect_uri: String,
    /// The PKCE challenge (S256).
    pub challenge: String,
    /// When it expires.
    pub expires: DateTime<Utc>,
    /// When it was used.
    pub used: Option<DateTime<Utc>>,
}

/// What a token is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// To call the FHIR APIs.
    Access,
    /// To get new tokens.
    Refresh,
}

impl TokenKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// An issued token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token's fingerprint.
    pub hash: String,
    /// Access or refresh token.
    pub kind: TokenKind,
    /// The client that it was issued to.
    pub client: Uuid,
    /// The member's grant; none for backend services.
    pub grant: Option<Uuid>,
    /// The scopes, separated by spaces.
    pub scope: String,
    /// The FHIR base URL that it may be used at.
    pub aud: String,
    /// When it was issued.
    pub created: DateTime<Utc>,
    /// When it expires.
    pub expires: DateTime<Utc>,
    /// When it was used (refresh token) or revoked.
    pub ended: Option<DateTime<Utc>>,
}

impl Token {
    /// Whether the token has neither expired nor been used or revoked.
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        self.ended.is_none() && now < self.expires
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    hash: String,
    kind: String,
    client: Uuid,
    grant_id: Option<Uuid>,
    scope: String,
    aud: String,
    created: DateTime<Utc>,
    expires: DateTime<Utc>,
    ended: Option<DateTime<Utc>>,
}

impl TokenRow {
    fn into_token(self) -> Result<Token> {
        let kind = match self.kind.as_str() {
            "access" => TokenKind::Access,
            "refresh" => TokenKind::Refresh,
            _ => return Err(bad_row("token", "kind", self.hash, "unknown kind")),
        };
        let Self {
            hash,
            client,
            grant_id: grant,
            scope,
            aud,
            created,
            expires,
            ended,
            ..
        } = self;
        Ok(Token {
            hash,
            kind,
            client,
            grant,
            scope,
            aud,
            created,
            expires,
            ended,
        })
    }
}

impl Tx {
    /// Stores a grant.
    pub async fn add_grant(&mut self, grant: &Grant) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO \"grant\" (id, client, login, member, scope, sensitive, created, last_used, ended) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(grant.id)
        .bind(grant.client)
        .bind(grant.login)
        .bind(grant.member)
        .bind(&grant.scope)
        .bind(grant.sensitive)
        .bind(grant.created)
        .bind(grant.last_used)
        .bind(grant.ended)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// A grant by row.
    pub async fn grant(&mut self, id: Uuid) -> Result<Option<Grant>> {
        on!(self, c => sqlx::query_as::<_, Grant>(
            "SELECT id, client, login, member, scope, sensitive, created, last_used, ended \
             FROM \"grant\" WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)
    }

    /// The grants of a member that have not ended and have an unexpired token, newest first.
    pub async fn active_grants(&mut self, member: Uuid, now: DateTime<Utc>) -> Result<Vec<Grant>> {
        on!(self, c => sqlx::query_as::<_, Grant>(
            "SELECT id, client, login, member, scope, sensitive, created, last_used, ended FROM \"grant\" \
             WHERE member = $1 AND ended IS NULL AND EXISTS (SELECT 1 FROM token \
             WHERE token.grant_id = \"grant\".id AND token.ended IS NULL AND token.expires > $2) \
             ORDER BY created DESC, id DESC",
        )
        .bind(member)
        .bind(now)
        .fetch_all(c)
        .await)
        .map_err(database)
    }

    /// When the last token of a grant expires; none when it has no valid token.
    pub async fn grant_expiry(&mut self, id: Uuid) -> Result<Option<DateTime<Utc>>> {
        let row = on!(self, c => sqlx::query_scalar::<_, DateTime<Utc>>(
            "SELECT expires FROM token WHERE grant_id = $1 AND ended IS NULL ORDER BY expires DESC LIMIT 1",
        )
        .bind(id)
        .fetch_optional(c)
        .await)
        .map_err(database)?;
        Ok(row)
    }

    /// Records that a token is issued for a grant. Returns false when the grant has ended. The row stays locked until the
    /// unit of work ends, so that whoever ends the grant finds the new token too.
    pub async fn record_grant_use(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE \"grant\" SET last_used = $1 WHERE id = $2 AND ended IS NULL")
            .bind(now)
            .bind(id)
            .execute(c)
            .await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Ends a grant and revokes all its tokens.
    pub async fn end_grant(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query("UPDATE \"grant\" SET ended = $1 WHERE id = $2 AND ended IS NULL")
            .bind(now)
            .bind(id)
            .execute(c)
            .await
            .map(drop))
        .map_err(database)?;
        on!(self, c => sqlx::query("UPDATE token SET ended = $1 WHERE grant_id = $2 AND ended IS NULL")
            .bind(now)
            .bind(id)
            .execute(c)
            .await
            .map(drop))
        .map_err(database)
    }

    /// Stores an authorization code.
    pub async fn add_authorization_code(&mut self, code: &AuthorizationCode) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO authorization_code (code_hash, grant_id, redirect_uri, challenge, expires, used) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&code.code_hash)
        .bind(code.grant_id)
        .bind(&code.redirect_uri)
        .bind(&code.challenge)
        .bind(code.expires)
        .bind(code.used)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// An authorization code by its fingerprint.
    pub async fn authorization_code(&mut self, hash: &str) -> Result<Option<AuthorizationCode>> {
        on!(self, c => sqlx::query_as::<_, AuthorizationCode>(
            "SELECT code_hash, grant_id, redirect_uri, challenge, expires, used \
             FROM authorization_code WHERE code_hash = $1")
            .bind(hash)
            .fetch_optional(c)
            .await)
        .map_err(database)
    }

    /// Marks an authorization code as used. Returns false when it was used before.
    pub async fn use_authorization_code(&mut self, hash: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE authorization_code SET used = $1 WHERE code_hash = $2 AND used IS NULL")
            .bind(now)
            .bind(hash)
            .execute(c)
            .await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Stores a token.
    pub async fn add_token(&mut self, token: &Token) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO token (hash, kind, client, grant_id, scope, aud, created, expires, ended) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&token.hash)
        .bind(token.kind.as_str())
        .bind(token.client)
        .bind(token.grant)
        .bind(&token.scope)
        .bind(&token.aud)
        .bind(token.created)
        .bind(token.expires)
        .bind(token.ended)
        .execute(c)
        .await
        .map(drop))
        .map_err(database)
    }

    /// A token by its fingerprint, whether valid or not.
    pub async fn token(&mut self, hash: &str) -> Result<Option<Token>> {
        let row = on!(self, c => sqlx::query_as::<_, TokenRow>(
            "SELECT hash, kind, client, grant_id, scope, aud, created, expires, ended \
             FROM token WHERE hash = $1")
            .bind(hash)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(TokenRow::into_token).transpose()
    }

    /// Marks a token as used or revoked. Returns false when it already was.
    pub async fn end_token(&mut self, hash: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE token SET ended = $1 WHERE hash = $2 AND ended IS NULL")
            .bind(now)
            .bind(hash)
            .execute(c)
            .await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Records that a JWT's `jti` was used. The error is 401 when it was used before, unless the client's registration
    /// allows it.
    pub async fn spend_jti(&mut self, jti: &Jti) -> Result<()> {
        if jti.replay == JtiReplay::Off {
            return Ok(());
        }
        let first_use = self.insert_jti(&jti.issuer, &jti.jti, jti.expires).await?;
        // The minute after the first use is a row of its own, which expires like the others.
        let minute_key = format!("{}#60s", jti.jti);
        let accepted = match (jti.replay, first_use) {
            (JtiReplay::SameEndpoint60s, true) => {
                self.insert_jti(&jti.issuer, &minute_key, jti.seen + Duration::seconds(60))
                    .await?
            }
            (JtiReplay::SameEndpoint60s, false) => {
                self.has_unexpired_jti(&jti.issuer, &minute_key, jti.seen).await?
            }
            (_, first_use) => first_use,
        };
        if accepted {
            Ok(())
        } else {
            Err(Error::unauthorized(
                "The token was already used (jti). Sign a new token for each request",
            ))
        }
    }

    async fn insert_jti(&mut self, issuer: &str, jti: &str, expires: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query(
            "INSERT INTO seen_jti (issuer, jti, expires) VALUES ($1, $2, $3) ON CONFLICT (issuer, jti) DO NOTHING",
        )
        .bind(issuer)
        .bind(jti)
        .bind(expires)
        .execute(c)
        .await
        .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    async fn has_unexpired_jti(&mut self, issuer: &str, jti: &str, now: DateTime<Utc>) -> Result<bool> {
        let row = on!(self, c => sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM seen_jti WHERE issuer = $1 AND jti = $2 AND expires > $3",
        )
        .bind(issuer)
        .bind(jti)
        .bind(now)
        .fetch_one(c)
        .await)
        .map_err(database)?;
        Ok(row > 0)
    }
}
