//! The two folders of the plan, `rules/` and `questionnaires/`, read from disk as (path, text) pairs, or the files that are
//! compiled into the program. Files and folders whose names begin with a dot belong to editors and tools and are ignored.

use super::builtin::{builtin_forms, builtin_rules};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::Finding;
use crate::state::PolicySetFiles;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Every file below a folder as (path relative to the folder, with `/`; text), sorted by path. `Malformed` when a file
/// or folder cannot be read or is not UTF-8.
pub fn read_folder(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths(folder).map_err(|(path, e)| unreadable(&path, &e))? {
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        files.push((name.to_string_lossy().replace('\\', "/"), text));
    }
    files.sort();
    Ok(files)
}

/// The files of a folder of policies; without a folder, those that are compiled into the program.
pub fn read_rules(folder: Option<&Path>) -> Result<Vec<(String, String)>> {
    folder.map_or_else(|| Ok(builtin_rules()), read_folder)
}

/// The files of a folder of forms; without a folder, those that are compiled into the program.
pub fn read_forms(folder: Option<&Path>) -> Result<Vec<(String, String)>> {
    folder.map_or_else(|| Ok(builtin_forms()), read_folder)
}

/// The files of both folders that the settings name.
pub(super) fn read_both(config: &Config) -> Result<PolicySetFiles, Vec<Finding>> {
    let finding = |setting: &str, e: &Error| {
        let message = format!("{}. {}", e.message(), config.where_set(setting));
        vec![Finding::new("the folders", None, message)]
    };
    let rules = read_rules(config.rules_folder()).map_err(|e| finding("rules", &e))?;
    let forms = read_forms(config.forms_folder()).map_err(|e| finding("forms", &e))?;
    Ok(PolicySetFiles::new(&rules, &forms))
}

/// Path, size and modification time of every file in both folders. Two fingerprints are equal while no file has been
/// added, changed or removed; a folder that cannot be read counts as empty.
pub fn fingerprint(config: &Config) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut files = Vec::new();
    for folder in [config.rules_folder(), config.forms_folder()]
        .into_iter()
        .flatten()
    {
        for path in paths(folder).unwrap_or_default() {
            let (size, modified) =
                std::fs::metadata(&path).map_or((0, None), |m| (m.len(), m.modified().ok()));
            files.push((path, size, modified));
        }
    }
    files.sort();
    files
}

/// Every file below a folder; the error names the folder that could not be read.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let mut files = Vec::new();
    let mut unread_folders = vec![folder.to_owned()];
    while let Some(current) = unread_folders.pop() {
        let failed = |e| (current.clone(), e);
        for entry in std::fs::read_dir(&current).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                unread_folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::malformed(format!("{} cannot be read: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_and_hidden_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (name, text) in [("b/2", "two"), ("a", "one"), (".a.swp", "\u{1}"), (".git/x", "x")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(
            read_folder(folder.path()).unwrap(),
            [pair("a", "one"), pair("b/2", "two")]
        );
        std::fs::write(folder.path().join("c"), [0xff, 0xfe]).unwrap();
        let error = read_folder(folder.path()).unwrap_err();
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
