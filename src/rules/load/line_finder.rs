//! Finds the line of a key in a policy file after the file has been read. The lines of a file are counted only when a
//! finding needs one: most files have no findings.

use crate::rules::finding::Finding;
use crate::rules::format::yaml::KeyLineIndex;
use std::collections::HashMap;

pub(in crate::rules) struct LineFinder<'a> {
    /// Text by file.
    texts: HashMap<&'a str, &'a str>,
    /// The files whose lines have been counted.
    counted: HashMap<String, KeyLineIndex>,
}

impl<'a> LineFinder<'a> {
    /// `files`: path and text.
    pub(in crate::rules) fn new(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            texts: files.collect(),
            counted: HashMap::new(),
        }
    }

    /// The finding with the line of a key of its file.
    pub(in crate::rules) fn with_line(&mut self, mut finding: Finding, key: &str) -> Finding {
        if let Some(text) = self.texts.get(finding.file.as_str()) {
            let file = &finding.file;
            let lines = self
                .counted
                .entry(file.clone())
                .or_insert_with(|| KeyLineIndex::read(file, text).unwrap_or_default());
            finding.line = Some(lines.line_of(key));
        }
        finding
    }
}
