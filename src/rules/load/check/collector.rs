//! Collects the findings and warnings of one policy file, and the names that the policy uses. Lines are counted when
//! the first finding needs one.

use crate::rules::evaluate::jsonpath::Path;
use crate::rules::finding::Finding;
use crate::rules::format::yaml::KeyLineIndex;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Compiled paths by their text, shared by all policies of a set.
pub(in crate::rules) type Paths = HashMap<String, Arc<Path>>;

/// Where the findings of one file go. `key` arguments are paths of keys in the file: `criteria/test-age/cite`.
pub(in crate::rules) struct FindingCollector<'a> {
    file: &'a str,
    text: &'a str,
    lines: OnceCell<KeyLineIndex>,
    findings: &'a mut Vec<Finding>,
    warnings: &'a mut Vec<Finding>,
    paths: &'a mut Paths,
}

impl<'a> FindingCollector<'a> {
    pub(in crate::rules) fn new(
        file: &'a str,
        text: &'a str,
        findings: &'a mut Vec<Finding>,
        warnings: &'a mut Vec<Finding>,
        paths: &'a mut Paths,
    ) -> Self {
        Self {
            file,
            text,
            lines: OnceCell::new(),
            findings,
            warnings,
            paths,
        }
    }

    /// The file, relative to `rules/`.
    pub(in crate::rules) fn file(&self) -> &'a str {
        self.file
    }

    pub(in crate::rules) fn lines(&self) -> &KeyLineIndex {
        self.lines
            .get_or_init(|| KeyLineIndex::read(self.file, self.text).unwrap_or_default())
    }

    pub(in crate::rules) fn error(&mut self, key: &str, message: impl Into<String>, fix: &str) {
        let line = Some(self.lines().line_of(key));
        self.findings
            .push(Finding::new(self.file, line, message).fix(fix));
    }

    pub(in crate::rules) fn warning(&mut self, key: &str, message: impl Into<String>, fix: &str) {
        let line = Some(self.lines().line_of(key));
        self.warnings
            .push(Finding::new(self.file, line, message).fix(fix));
    }

    /// Compiles a path, or gives the path that was compiled from the same text before.
    pub(in crate::rules) fn path(&mut self, key: &str, text: &str) -> Option<Arc<Path>> {
        if let Some(path) = self.paths.get(text) {
            return Some(Arc::clone(path));
        }
        match Path::compile(text) {
            Ok(path) => {
                let path = Arc::new(path);
                self.paths.insert(text.to_owned(), Arc::clone(&path));
                Some(path)
            }
            Err(message) => {
                self.error(
                    key,
                    message,
                    "Write a path that only finds nodes, such as $.res.Condition[?@.code.text=='x'], and use keys \
                     for everything else",
                );
                None
            }
        }
    }
}

/// The names that a policy's conditions and facts use, each with the key where it is used first.
#[derive(Default)]
pub(in crate::rules) struct UsedNames {
    pub facts: BTreeMap<String, String>,
    pub sets: BTreeMap<String, String>,
    pub criteria: BTreeMap<String, String>,
}

/// Adds a name with the key where it is used, unless it is there already.
pub(in crate::rules) fn add_name(names: &mut BTreeMap<String, String>, name: &str, key: &str) {
    if !names.contains_key(name) {
        names.insert(name.to_owned(), key.to_owned());
    }
}
