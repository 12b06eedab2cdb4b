//! One error for the whole house: a kind (what went wrong, without naming HTTP), a sentence for the caller,
//! the located findings, and a line for the log that the caller never sees.
//!
//! Doors turn it into their protocol's form in `wire`. Nothing here may hold a name, a birth date or a code of a
//! member: messages name elements and ids, not their content.

use crate::fhir::outcome::{Code, Issue};
use std::fmt;

/// The result of anything in the house that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, seen from the caller. `wire` alone knows which status each kind becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The text cannot be read at all: not JSON, not the resource that was asked for.
    Malformed,
    /// It can be read and breaks a rule; the issues say where.
    Invalid,
    /// Who is calling is not known, or no longer.
    Unauthorized,
    /// The caller is known and may not do this.
    Forbidden,
    /// There is no such thing, or it is none of the caller's business.
    NotFound,
    /// The thing changed since the caller looked, or the same thing exists already.
    Conflict,
    /// Data that the answer needs was not sent and cannot be fetched.
    Precondition,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is of a type that this address does not take.
    UnsupportedMedia,
    /// The method does not exist here.
    NotAllowed,
    /// Too many calls.
    TooMany,
    /// The work could not be made durable, or a part of the house is down; the same call may succeed later.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// An error with what the caller is told and what only the log is told.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    issues: Vec<Issue>,
    log: Option<String>,
    oauth: Option<&'static str>,
}

impl Error {
    /// An error of `kind` with a sentence for the caller.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            issues: Vec::new(),
            log: None,
            oauth: None,
        }
    }

    /// The text is no JSON, or not the resource that this address takes.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    /// One rule broken at one place (`expression` is FHIRPath).
    pub fn invalid(expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self::found(vec![Issue::error(Code::Invalid, expression, message)])
    }

    /// Several rules broken; the issues say which and where.
    pub fn found(issues: Vec<Issue>) -> Self {
        let message = match issues.as_slice() {
            [one] => one.message.clone(),
            many => format!("{} problems were found", many.len()),
        };
        Self {
            issues,
            ..Self::new(Kind::Invalid, message)
        }
    }

    /// `Error::not_found("coverage", id)`.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("There is no {what} {id}"))
    }

    /// Nobody is signed in, or the token does not hold.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthorized, message)
    }

    /// The caller is known and may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    /// What the caller saw is no longer so; the message says what changed.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// The work could not be made durable. The caller gets 503 and nothing half-exists.
    pub fn unavailable(log: impl fmt::Display) -> Self {
        Self::new(
            Kind::Unavailable,
            "The request could not be stored; send it again",
        )
        .logged(log)
    }

    /// A fault of ours; only the log is told what it was.
    pub fn internal(log: impl fmt::Display) -> Self {
        Self::new(
            Kind::Internal,
            "Something went wrong on our side; it has been logged",
        )
        .logged(log)
    }

    /// An OAuth error code (RFC 6749, section 5.2) with its description.
    pub fn oauth(code: &'static str, message: impl Into<String>) -> Self {
        let kind = if code == "invalid_client" {
            Kind::Unauthorized
        } else {
            Kind::Malformed
        };
        Self {
            oauth: Some(code),
            ..Self::new(kind, message)
        }
    }

    /// Adds the line that only the log sees.
    #[must_use]
    pub fn logged(mut self, log: impl fmt::Display) -> Self {
        self.log = Some(log.to_string());
        self
    }

    /// Puts a place (FHIRPath) to an error that has none yet.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        if self.issues.is_empty() {
            self.issues
                .push(Issue::error(self.issue_code(), expression, self.message.clone()));
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The located findings; empty when the message says it all.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The OAuth error code, where the OAuth door made this error.
    pub fn oauth_code(&self) -> Option<&'static str> {
        self.oauth
    }

    /// The line for the log.
    pub fn log_line(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// The FHIR issue type (`IssueType`) that stands for this kind.
    pub fn issue_code(&self) -> Code {
        match self.kind {
            Kind::Malformed => Code::Structure,
            Kind::Invalid => Code::Invalid,
            Kind::Unauthorized => Code::Login,
            Kind::Forbidden => Code::Forbidden,
            Kind::NotFound => Code::NotFound,
            Kind::Conflict => Code::Conflict,
            Kind::Precondition => Code::Incomplete,
            Kind::TooLarge => Code::TooLong,
            Kind::UnsupportedMedia | Kind::NotAllowed => Code::NotSupported,
            Kind::TooMany => Code::Throttled,
            Kind::Unavailable => Code::Transient,
            Kind::Internal => Code::Exception,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.log {
            Some(log) => write!(f, " ({log})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
