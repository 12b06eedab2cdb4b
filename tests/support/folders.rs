//! The folders of policies and forms of one test: links to the shipped folders, or copies that the test may edit.

use std::path::{Path, PathBuf};

/// The folders `rules` and `questionnaires`.
pub struct Folders {
    pub rules: PathBuf,
    pub forms: PathBuf,
}

impl Folders {
    /// Creates links to the shipped folders in a folder of the test.
    pub fn shipped(parent: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = Self {
            rules: parent.join("rules"),
            forms: parent.join("questionnaires"),
        };
        std::os::unix::fs::symlink(root.join("rules"), &folders.rules).unwrap();
        std::os::unix::fs::symlink(root.join("questionnaires"), &folders.forms).unwrap();
        folders
    }

    /// Replaces the links with copies that the test may edit.
    pub fn make_editable(&self) {
        for folder in [&self.rules, &self.forms] {
            let shipped = std::fs::read_link(folder).unwrap();
            std::fs::remove_file(folder).unwrap();
            copy(&shipped, folder);
        }
    }

    /// Replaces the first occurrence of a text in a rule file.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.rules.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not contain {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}
