//! `OperationOutcome` and the collector that reports every problem of a message at once.
//! FHIR R4, section 2.36 (OperationOutcome); PAS 2.2.1 spec-38 to spec-41.

use serde_json::{Value, json};

/// `IssueType`, as far as this house needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are FHIR's own codes")]
pub enum Code {
    Invalid,
    Structure,
    Required,
    Value,
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

impl Code {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
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

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The message cannot be processed.
    Error,
    /// It can, and somebody should look.
    Warning,
    /// For the reader's information.
    Information,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One finding: how bad, of which type, where (FHIRPath), in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// FHIR's issue type.
    pub code: Code,
    /// FHIRPath of the place; empty when the whole message is meant.
    pub expression: String,
    /// One sentence, without content of the message.
    pub message: String,
}

impl Issue {
    /// A finding that stops the message.
    pub fn error(code: Code, expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            expression: expression.into(),
            message: message.into(),
        }
    }

    /// A finding that does not stop the message.
    pub fn warning(code: Code, expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, expression, message)
        }
    }

    /// A remark.
    pub fn information(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Information,
            ..Self::error(Code::Informational, "", message)
        }
    }

    fn to_json(&self) -> Value {
        let mut issue = json!({
            "severity": self.severity.as_str(),
            "code": self.code.as_str(),
            "details": { "text": self.message },
        });
        if !self.expression.is_empty() {
            super::put(&mut issue, "expression", json!([self.expression]));
        }
        issue
    }
}

/// The resource with these issues; an empty list becomes one informational issue, since FHIR wants at least one.
pub fn operation_outcome(issues: &[Issue]) -> Value {
    let all_well = [Issue::information("No problem was found")];
    let issues = if issues.is_empty() { &all_well[..] } else { issues };
    json!({ "resourceType": "OperationOutcome", "issue": issues.iter().map(Issue::to_json).collect::<Vec<_>>() })
}

/// Collects findings while a message is read, so that the sender hears of all of them at once.
#[derive(Debug, Default)]
pub struct Checks {
    issues: Vec<Issue>,
}

impl Checks {
    /// Notes an error at a place.
    pub fn error(&mut self, code: Code, expression: impl Into<String>, message: impl Into<String>) {
        self.issues.push(Issue::error(code, expression, message));
    }

    /// Notes an error unless `held`.
    pub fn require(&mut self, held: bool, code: Code, expression: impl Into<String>, message: &str) {
        if !held {
            self.error(code, expression, message);
        }
    }

    /// Everything found so far.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// `Ok` when nothing was found, else one error that holds all findings.
    pub fn finish(self) -> crate::error::Result<()> {
        if self.issues.is_empty() {
            Ok(())
        } else {
            Err(crate::error::Error::found(self.issues))
        }
    }
}
