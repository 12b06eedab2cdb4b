//! The error type of the server: a kind (what went wrong, without naming HTTP), a sentence for the caller, issues
//! located in the caller's message, and a detail for the log that the caller never sees.
//!
//! `wire` turns an error into the response of its protocol. An error never holds a member's name, a birth date or a
//! medical code: its texts name elements and ids, never their content.

use std::fmt;

/// The result of every function of the server that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, from the caller's point of view. Only `wire` knows the HTTP status of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The body cannot be read: it is not JSON, or not the resource that this address takes.
    Malformed,
    /// The body can be read but breaks a rule; the issues say where.
    Invalid,
    /// The caller is not known, or its sign-in or token has ended.
    Unauthorized,
    /// The caller is known but has no permission.
    Forbidden,
    /// The resource does not exist, or the caller may not know that it exists.
    NotFound,
    /// The resource changed since the caller read it, or it exists already.
    Conflict,
    /// Data needed for the response were not sent and cannot be fetched.
    PreconditionFailed,
    /// The body exceeds the size limit.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// This address does not take the body's media type.
    UnsupportedMediaType,
    /// This address does not take the method.
    MethodNotAllowed,
    /// The server does not offer this interaction for any resource.
    NotImplemented,
    /// The caller sent too many requests.
    TooManyRequests,
    /// The result could not be stored, or a part of the server is down. The same request may succeed later.
    Unavailable,
    /// A fault of the server.
    Internal,
}

/// FHIR's `IssueType` (`OperationOutcome.issue.code`), as far as the server uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are FHIR's own codes")]
pub enum IssueCode {
    Invalid,
    Structure,
    Required,
    Value,
    CodeInvalid,
    Extension,
    Invariant,
    NotFound,
    NotSupported,
    Login,
    Forbidden,
    Expired,
    Conflict,
    Duplicate,
    Incomplete,
    TooLong,
    TooCostly,
    Throttled,
    Transient,
    Exception,
    BusinessRule,
    Informational,
}

impl IssueCode {
    /// The code as FHIR writes it, such as `business-rule`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::CodeInvalid => "code-invalid",
            Self::Extension => "extension",
            Self::Invariant => "invariant",
            Self::NotFound => "not-found",
            Self::NotSupported => "not-supported",
            Self::Login => "login",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
            Self::Duplicate => "duplicate",
            Self::Incomplete => "incomplete",
            Self::TooLong => "too-long",
            Self::TooCostly => "too-costly",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Exception => "exception",
            Self::BusinessRule => "business-rule",
            Self::Informational => "informational",
        }
    }
}

/// FHIR's `IssueSeverity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The message cannot be processed.
    Error,
    /// The message was processed; somebody should look at the issue.
    Warning,
    /// For the reader's information.
    Information,
}

impl Severity {
    /// The code as FHIR writes it, such as `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One problem in a message: severity, issue type, place and one sentence. `fhir::outcome` writes it as
/// `OperationOutcome.issue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// `issue.severity`.
    pub severity: Severity,
    /// `issue.code`.
    pub code: IssueCode,
    /// FHIRPath of the element; empty when the issue concerns the whole message.
    pub expression: String,
    /// One sentence that does not repeat content of the message.
    pub message: String,
}

impl Issue {
    /// An issue because of which the message is refused.
    pub fn error(code: IssueCode, expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            expression: expression.into(),
            message: message.into(),
        }
    }

    /// An issue in a message that was processed.
    pub fn warning(code: IssueCode, expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, expression, message)
        }
    }

    /// Information about the whole message.
    pub fn information(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Information,
            ..Self::error(IssueCode::Informational, "", message)
        }
    }
}

/// What the database reported, as far as callers act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFailure {
    /// The response to the same request is stored already.
    RepeatedSubmission,
    /// Two units of work collided; the unit can be run again.
    Retryable,
    /// The connection was lost, perhaps before the unit of work began.
    ConnectionLost,
}

/// An error: what the caller may read, and a detail for the log.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    issues: Vec<Issue>,
    log_detail: Option<String>,
    oauth_code: Option<&'static str>,
    database: Option<DatabaseFailure>,
}

impl Error {
    /// An error of `kind` with a sentence for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            issues: Vec::new(),
            log_detail: None,
            oauth_code: None,
            database: None,
        }
    }

    /// The body is not JSON, or not the resource that this address takes.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// One element (`expression` is FHIRPath) breaks a rule.
    pub fn invalid(expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with_issues(vec![Issue::error(IssueCode::Invalid, expression, message)])
    }

    /// A message that breaks one or more rules; the issues say which and where.
    pub fn with_issues(issues: Vec<Issue>) -> Self {
        let message = match issues.as_slice() {
            [only] => only.message.clone(),
            several => format!("The message has {} problems", several.len()),
        };
        Self {
            issues,
            ..Self::new(ErrorKind::Invalid, message)
        }
    }

    /// `Error::not_found("coverage", id)` reads "Coverage 12 was not found".
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        let mut letters = what.chars();
        let capital = letters.next().map(|first| first.to_ascii_uppercase());
        let capitalized: String = capital.into_iter().chain(letters).collect();
        Self::new(ErrorKind::NotFound, format!("{capitalized} {id} was not found"))
    }

    /// Nobody is signed in, or the token is not valid.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unauthorized, message)
    }

    /// The caller is known but has no permission.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// The resource changed since the caller read it; the message says what changed.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// The result could not be stored. The caller receives 503 and nothing of the work is kept.
    pub fn unavailable(log_detail: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "The server could not store the request. Send it again.",
        )
        .with_log_detail(log_detail)
    }

    /// A fault of the server; only the log says what it was.
    pub fn internal(log_detail: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Internal,
            "The server failed to process the request. The failure was logged.",
        )
        .with_log_detail(log_detail)
    }

    /// An OAuth error code (RFC 6749, section 5.2) with its description.
    pub fn oauth(code: &'static str, message: impl Into<String>) -> Self {
        let kind = if code == "invalid_client" {
            ErrorKind::Unauthorized
        } else {
            ErrorKind::Malformed
        };
        Self {
            oauth_code: Some(code),
            ..Self::new(kind, message)
        }
    }

    /// Adds the detail that only the log sees.
    #[must_use]
    pub fn with_log_detail(mut self, log_detail: impl fmt::Display) -> Self {
        self.log_detail = Some(log_detail.to_string());
        self
    }

    /// Adds the place (FHIRPath) to an error that has none yet.
    #[must_use]
    pub fn at_element(mut self, expression: impl Into<String>) -> Self {
        if self.issues.is_empty() {
            self.issues
                .push(Issue::error(self.issue_code(), expression, self.message.clone()));
        }
        self
    }

    /// Adds what the database reported.
    #[must_use]
    pub fn caused_by(mut self, failure: DatabaseFailure) -> Self {
        self.database = Some(failure);
        self
    }

    /// What the database reported, if callers act on it.
    pub fn database_failure(&self) -> Option<DatabaseFailure> {
        self.database
    }

    /// Whether the response to the same request is stored already.
    pub fn is_repetition(&self) -> bool {
        self.database == Some(DatabaseFailure::RepeatedSubmission)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The located issues; empty when the message alone describes the error.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The OAuth error code, if `oauth` made this error.
    pub fn oauth_code(&self) -> Option<&'static str> {
        self.oauth_code
    }

    /// The detail for the log.
    pub fn log_detail(&self) -> Option<&str> {
        self.log_detail.as_deref()
    }

    /// The FHIR issue type of an error without located issues.
    pub fn issue_code(&self) -> IssueCode {
        match self.kind {
            ErrorKind::Malformed => IssueCode::Structure,
            ErrorKind::Invalid => IssueCode::Invalid,
            ErrorKind::Unauthorized => IssueCode::Login,
            ErrorKind::Forbidden => IssueCode::Forbidden,
            ErrorKind::NotFound => IssueCode::NotFound,
            ErrorKind::Conflict => IssueCode::Conflict,
            ErrorKind::PreconditionFailed => IssueCode::Incomplete,
            ErrorKind::TooLarge => IssueCode::TooLong,
            ErrorKind::TooSlow => IssueCode::Incomplete,
            ErrorKind::UnsupportedMediaType | ErrorKind::MethodNotAllowed | ErrorKind::NotImplemented => {
                IssueCode::NotSupported
            }
            ErrorKind::TooManyRequests => IssueCode::Throttled,
            ErrorKind::Unavailable => IssueCode::Transient,
            ErrorKind::Internal => IssueCode::Exception,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.log_detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
