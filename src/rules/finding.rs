//! A finding: a mistake in a rule or form file, with its place and how to fix it. Warnings have the same shape.

use std::fmt;

/// A mistake in a rule file or form file, or something that should be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to `rules/`.
    pub file: String,
    /// The line, counted from 1, if one is known.
    pub line: Option<usize>,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: how to fix it. Empty if the message already says so.
    pub fix: String,
}

impl Finding {
    pub(crate) fn new(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
            fix: String::new(),
        }
    }

    pub(crate) fn fix(mut self, sentence: &str) -> Self {
        sentence.clone_into(&mut self.fix);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message)?,
            None => write!(f, "{}: {}", self.file, self.message)?,
        }
        if self.fix.is_empty() {
            Ok(())
        } else {
            write!(f, ". {}", self.fix)
        }
    }
}
