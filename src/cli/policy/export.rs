//! `assent policy export FOLDER`: writes the policies and forms that are compiled into the program into a folder.

use crate::cli::print;
use crate::error::{Error, Result};
use crate::publication::{builtin_forms, builtin_rules};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `policy export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder in which the folders rules and questionnaires are created
    folder: PathBuf,
}

/// Writes the files. `Malformed` when one of the two folders exists already; nothing is written then.
pub fn run(command: &Export) -> Result<ExitCode> {
    let rules = command.folder.join("rules");
    let forms = command.folder.join("questionnaires");
    for folder in [&rules, &forms] {
        if folder.exists() {
            let message = format!("{} exists already. Nothing was written", folder.display());
            return Err(Error::malformed(message));
        }
    }
    write_all(&rules, &builtin_rules())?;
    write_all(&forms, &builtin_forms())?;
    print(&format!(
        "The policies are in {} and the forms in {}. To use them, set ASSENT_RULES and ASSENT_FORMS to these folders.",
        rules.display(),
        forms.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn write_all(folder: &Path, files: &[(String, String)]) -> Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        let written = match path.parent() {
            Some(parent) => std::fs::create_dir_all(parent),
            None => Ok(()),
        };
        written
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| Error::malformed(format!("{} cannot be written: {e}", path.display())))?;
    }
    Ok(())
}
