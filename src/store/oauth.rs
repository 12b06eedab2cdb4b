//! The tables `grant`, `oauth_code`, `token` and `seen_jti`: what members allowed, and what was given out for it.
//! Codes and tokens are here as fingerprints alone. A token that was used up stays until its end, so that a second
//! use is noticed.

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
    /// The app.
    pub client: Uuid,
    /// The sign-in that allowed it.
    pub login: Uuid,
    /// Whose data.
    pub member: Uuid,
    /// The scopes, blanks between.
    pub scope: String,
    /// Whether sensitive data is shared too.
    pub sensitive: bool,
    /// Since when.
    pub created: DateTime<Utc>,
    /// When a token was last given out for it.
    pub last_used: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

/// An authorization code.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Code {
    /// The fingerprint of the code.
    pub code_hash: String,
    /// What it opens.
    pub grant_id: Uuid,
    /// Where it was sent.
    pub redirect_uri: String,
    /// PKCE: the S256 challenge.
    pub challenge: String,
    /// When it ends.
    pub expires: DateTime<Utc>,
    /// When it was used.
    pub used: Option<DateTime<Utc>>,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Opens data.
    Access,
    /// Gets new tokens.
    Refresh,
}

impl TokenKind {
    fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A token that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The fingerprint of the token.
    pub hash: String,
    /// What it is good for.
    pub kind: TokenKind,
    /// Whom it was given to.
    pub client: Uuid,
    /// The member's permission behind it; none for a back end.
    pub grant: Option<Uuid>,
    /// The scopes, blanks between.
    pub scope: String,
    /// The FHIR base that it is for.
    pub aud: String,
    /// Since when.
    pub created: DateTime<Utc>,
    /// Until when.
    pub expires: DateTime<Utc>,
    /// When it was used up or taken back.
    pub ended: Option<DateTime<Utc>>,
}

impl Token {
    /// Neither over nor taken back.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
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
    fn token(self) -> Result<Token> {
        let kind = match self.kind.as_str() {
            "access" => TokenKind::Access,
            "refresh" => TokenKind::Refresh,
            _ => return Err(bad_row("token", "kind", self.hash, "no such kind")),
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
    /// Stores a member's permission.
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

    /// A permission by row.
    pub async fn grant(&mut self, id: Uuid) -> Result<Option<Grant>> {
        on!(self, c => sqlx::query_as::<_, Grant>("SELECT id, client, login, member, scope, sensitive, created, last_used, ended FROM \"grant\" WHERE id = $1")
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(database)
    }

    /// The permissions of a member that still open something, newest first.
    pub async fn live_grants(&mut self, member: Uuid, now: DateTime<Utc>) -> Result<Vec<Grant>> {
        on!(self, c => sqlx::query_as::<_, Grant>(
            "SELECT id, client, login, member, scope, sensitive, created, last_used, ended FROM \"grant\" WHERE member = $1 AND ended IS NULL AND EXISTS (SELECT 1 FROM token \
             WHERE token.grant_id = \"grant\".id AND token.ended IS NULL AND token.expires > $2) \
             ORDER BY created DESC, id DESC",
        )
        .bind(member)
        .bind(now)
        .fetch_all(c)
        .await)
        .map_err(database)
    }

    /// When the last token of a permission ends by itself; none when none holds.
    pub async fn grant_until(&mut self, id: Uuid) -> Result<Option<DateTime<Utc>>> {
        let row = on!(self, c => sqlx::query_scalar::<_, DateTime<Utc>>(
            "SELECT expires FROM token WHERE grant_id = $1 AND ended IS NULL ORDER BY expires DESC LIMIT 1",
        )
        .bind(id)
        .fetch_optional(c)
        .await)
        .map_err(database)?;
        Ok(row)
    }

    /// Notes that a token was given out for a permission.
    pub async fn use_grant(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<()> {
        on!(self, c => sqlx::query("UPDATE \"grant\" SET last_used = $1 WHERE id = $2")
            .bind(now)
            .bind(id)
            .execute(c)
            .await
            .map(drop))
        .map_err(database)
    }

    /// Ends a permission and every token of it, at once.
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

    /// Stores a code.
    pub async fn add_code(&mut self, code: &Code) -> Result<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO oauth_code (code_hash, grant_id, redirect_uri, challenge, expires, used) \
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

    /// A code by its fingerprint.
    pub async fn code(&mut self, hash: &str) -> Result<Option<Code>> {
        on!(self, c => sqlx::query_as::<_, Code>("SELECT code_hash, grant_id, redirect_uri, challenge, expires, used FROM oauth_code WHERE code_hash = $1")
            .bind(hash)
            .fetch_optional(c)
            .await)
        .map_err(database)
    }

    /// Uses a code up; false when it was used before.
    pub async fn use_code(&mut self, hash: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE oauth_code SET used = $1 WHERE code_hash = $2 AND used IS NULL")
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
        .bind(token.kind.word())
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

    /// A token by its fingerprint, over or not.
    pub async fn token(&mut self, hash: &str) -> Result<Option<Token>> {
        let row = on!(self, c => sqlx::query_as::<_, TokenRow>("SELECT hash, kind, client, grant_id, scope, aud, created, expires, ended FROM token WHERE hash = $1")
            .bind(hash)
            .fetch_optional(c)
            .await)
        .map_err(database)?;
        row.map(TokenRow::token).transpose()
    }

    /// Uses a token up or takes it back; false when it was so before.
    pub async fn end_token(&mut self, hash: &str, now: DateTime<Utc>) -> Result<bool> {
        on!(self, c => sqlx::query("UPDATE token SET ended = $1 WHERE hash = $2 AND ended IS NULL")
            .bind(now)
            .bind(hash)
            .execute(c)
            .await
            .map(|r| r.rows_affected() == 1))
        .map_err(database)
    }

    /// Spends the id of a signed token. One that was spent before is refused, unless the client's registration
    /// allows the second use.
    pub async fn spend_jti(&mut self, jti: &Jti) -> Result<()> {
        if jti.replay == JtiReplay::Off {
            return Ok(());
        }
        let first = self.note_jti(&jti.issuer, &jti.jti, jti.expires).await?;
        // The minute after the first use is a row of its own, so that it ends by itself.
        let minute = format!("{}#60s", jti.jti);
        let held = match (jti.replay, first) {
            (JtiReplay::SameEndpoint60s, true) => {
                self.note_jti(&jti.issuer, &minute, jti.seen + Duration::seconds(60))
                    .await?
            }
            (JtiReplay::SameEndpoint60s, false) => self.jti_holds(&jti.issuer, &minute, jti.seen).await?,
            (_, first) => first,
        };
        if held {
            Ok(())
        } else {
            Err(Error::unauthorized(
                "The token was used before (jti): it is replayed",
            ))
        }
    }

    async fn note_jti(&mut self, issuer: &str, jti: &str, expires: DateTime<Utc>) -> Result<bool> {
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

    async fn jti_holds(&mut self, issuer: &str, jti: &str, now: DateTime<Utc>) -> Result<bool> {
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
