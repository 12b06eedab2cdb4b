//! What this machine offers to the tests.

use std::path::PathBuf;

/// A setting of the tests themselves; an empty one is none.
pub fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    let value = std::env::var(name).ok();
    value.filter(|value| !value.is_empty())
}

/// Where chromedriver is, if it is installed.
pub fn chromedriver() -> Option<PathBuf> {
    let path = setting("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("chromedriver")).find(|file| file.is_file())
}
