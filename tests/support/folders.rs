//! The folders of policies and forms of one test: the shipped ones behind links, or copies that it may change.

use std::path::{Path, PathBuf};

/// `rules` and `questionnaires`.
pub struct Folders {
    pub rules: PathBuf,
    pub forms: PathBuf,
}

impl Folders {
    /// Links to the shipped ones, in a folder of the test's.
    pub fn shipped(below: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = Self {
            rules: below.join("rules"),
            forms: below.join("questionnaires"),
        };
        std::os::unix::fs::symlink(root.join("rules"), &folders.rules).unwrap();
        std::os::unix::fs::symlink(root.join("questionnaires"), &folders.forms).unwrap();
        folders
    }

    /// Copies in the place of the links.
    pub fn make_own(&self) {
        for folder in [&self.rules, &self.forms] {
            let shipped = std::fs::read_link(folder).unwrap();
            std::fs::remove_file(folder).unwrap();
            copy(&shipped, folder);
        }
    }

    /// Replaces a text in a file of the rules.
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
