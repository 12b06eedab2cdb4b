//! The policies and forms that are compiled into the program. They are used where no folders are.

use include_dir::{Dir, DirEntry, include_dir};

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");
static FORMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/questionnaires");

/// The files of the policies as (path, text), as `read_folder` returns those of a folder.
pub fn builtin_rules() -> Vec<(String, String)> {
    files(&RULES)
}

/// The files of the forms.
pub fn builtin_forms() -> Vec<(String, String)> {
    files(&FORMS)
}

fn files(folder: &Dir<'static>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<&DirEntry<'static>> = folder.entries().iter().collect();
    while let Some(entry) = waiting.pop() {
        let name = entry.path().file_name();
        if name.is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        match entry {
            DirEntry::Dir(inner) => waiting.extend(inner.entries()),
            DirEntry::File(file) => {
                let path = file.path().to_string_lossy().replace('\\', "/");
                files.extend(file.contents_utf8().map(|text| (path, text.to_owned())));
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::read_folder;
    use std::path::Path;

    #[test]
    fn the_program_contains_the_shipped_folders() {
        assert_eq!(builtin_rules(), read_folder(Path::new("rules")).unwrap());
        assert_eq!(builtin_forms(), read_folder(Path::new("questionnaires")).unwrap());
    }
}
