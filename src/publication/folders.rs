//! The two folders of the plan, `rules/` and `questionnaires/`, read from the disk as (path, text) pairs. What begins
//! with a dot is an editor's or a tool's own and is passed over.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::Finding;
use crate::state::SetFiles;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Every file below a folder as (path with `/`, text), in order.
pub fn files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for path in paths(folder).map_err(|(path, e)| unreadable(&path, &e))? {
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        found.push((name.to_string_lossy().replace('\\', "/"), text));
    }
    found.sort();
    Ok(found)
}

/// Both folders as one set.
pub(super) fn read(config: &Config) -> Result<SetFiles, Vec<Finding>> {
    let finding = |e: Error| vec![Finding::new("the folders", None, e.message())];
    let rules = files(&config.rules).map_err(finding)?;
    let forms = files(&config.forms).map_err(finding)?;
    Ok(SetFiles::new(&rules, &forms))
}

/// Path, size and time of change of every file: equal as long as nobody touched them. A folder that cannot be read is
/// a state of its own.
pub fn fingerprint(config: &Config) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut all = Vec::new();
    for folder in [&config.rules, &config.forms] {
        for path in paths(folder).unwrap_or_default() {
            let (size, changed) =
                std::fs::metadata(&path).map_or((0, None), |m| (m.len(), m.modified().ok()));
            all.push((path, size, changed));
        }
    }
    all.sort();
    all
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        let failed = |e| (at.clone(), e);
        for entry in std::fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::malformed(format!("{} cannot be read: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_order_and_hidden_ones_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (name, text) in [("b/2", "two"), ("a", "one"), (".a.swp", "\u{1}"), (".git/x", "x")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(
            files(folder.path()).unwrap(),
            [pair("a", "one"), pair("b/2", "two")]
        );
        std::fs::write(folder.path().join("c"), [0xff, 0xfe]).unwrap();
        let error = files(folder.path()).unwrap_err();
        assert!(error.message().contains("/c cannot be read"), "{error}");
    }

    #[test]
    fn a_change_of_size_or_a_new_file_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults().unwrap();
        config.rules = folder.path().to_owned();
        config.forms = folder.path().join("nothing");
        let empty = fingerprint(&config);
        std::fs::write(folder.path().join("a"), "one").unwrap();
        let one = fingerprint(&config);
        std::fs::write(folder.path().join("a"), "one more").unwrap();
        assert!(empty != one && one != fingerprint(&config));
    }
}
