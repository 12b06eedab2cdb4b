//! `OperationOutcome` (FHIR R4; PAS 2.2.1 spec-38 to spec-41), and the collector that reports every problem of a
//! message in one response.

use crate::error::{Error, Issue, IssueCode, Result};
use serde_json::{Value, json};

/// The `OperationOutcome` with these issues. Without any it holds one informational issue, because FHIR requires at
/// least one.
pub fn operation_outcome(issues: &[Issue]) -> Value {
    let no_problem = [Issue::information("No problem was found")];
    let issues = if issues.is_empty() {
        &no_problem[..]
    } else {
        issues
    };
    json!({ "resourceType": "OperationOutcome", "issue": issues.iter().map(issue_json).collect::<Vec<_>>() })
}

fn issue_json(issue: &Issue) -> Value {
    let mut json = json!({
        "severity": issue.severity.as_str(),
        "code": issue.code.as_str(),
        "details": { "text": issue.message },
    });
    if !issue.expression.is_empty() {
        super::put(&mut json, "expression", json!([issue.expression]));
    }
    json
}

/// Collects the problems of a message while it is read, so that the sender receives all of them at once.
#[derive(Debug, Default)]
pub struct Checks {
    issues: Vec<Issue>,
}

impl Checks {
    /// Adds an error at an element (`expression` is FHIRPath).
    pub fn error(&mut self, code: IssueCode, expression: impl Into<String>, message: impl Into<String>) {
        self.issues.push(Issue::error(code, expression, message));
    }

    /// Adds an error unless `holds`.
    pub fn require(&mut self, holds: bool, code: IssueCode, expression: impl Into<String>, message: &str) {
        if !holds {
            self.error(code, expression, message);
        }
    }

    /// The problems collected so far.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// `Ok` without problems, otherwise one error with all of them.
    pub fn finish(self) -> Result<()> {
        if self.issues.is_empty() {
            Ok(())
        } else {
            Err(Error::with_issues(self.issues))
        }
    }
}
