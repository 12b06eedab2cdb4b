//! Where each setting was set: a line of the settings file, an environment variable, or an option of the command line.

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a settings file.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// An option of the command line that sets a setting.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The option as typed, such as `--public-url`.
    pub option: &'static str,
    /// The setting's dotted name.
    pub setting: &'static str,
    /// The value as typed.
    pub value: String,
}

/// Settings that have an option, each with its option.
const OPTIONS: [(&str, &str); 3] = [
    ("database", "--database"),
    ("listen", "--listen"),
    ("public_url", "--public-url"),
];

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// In a settings file, in this line.
    File(PathBuf, usize),
    /// In the environment variable with this name.
    Environment(String),
    /// By this option of the command line.
    Option(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "in line {line} of {}", path.display()),
            Self::Environment(name) => write!(f, "in the environment variable {name}"),
            Self::Option(option) => write!(f, "by the option {option}"),
        }
    }
}

/// The source of each setting that does not have its default, by the setting's dotted name.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(HashMap<String, Source>);

impl Sources {
    pub(super) fn set(&mut self, setting: String, source: Source) {
        self.0.insert(setting, source);
    }

    pub(super) fn get(&self, setting: &str) -> Option<&Source> {
        self.0.get(setting)
    }

    /// Adds every setting of a file.
    pub(super) fn add_file(&mut self, file: &SettingsFile) -> Result<()> {
        let table = DeTable::parse(&file.text)
            .map_err(|e| Error::malformed(format!("{} is not a settings file: {e}", file.path.display())))?;
        let mut waiting = vec![(String::new(), table.into_inner())];
        while let Some((prefix, table)) = waiting.pop() {
            for (name, value) in table {
                let setting = format!("{prefix}{}", name.get_ref());
                let line = line_of(&file.text, &name);
                match value.into_inner() {
                    DeValue::Table(inner) => waiting.push((format!("{setting}."), inner)),
                    _ => self.set(setting, Source::File(file.path.clone(), line)),
                }
            }
        }
        Ok(())
    }

    /// A sentence that says where a setting was set, or how to set it when it has its default.
    pub(super) fn sentence(&self, setting: &str) -> String {
        if let Some(source) = self.get(setting) {
            return format!("{setting} was set {source}.");
        }
        let option = OPTIONS.iter().find(|(name, _)| *name == setting);
        let option = option
            .map(|(_, option)| format!("{option}, "))
            .unwrap_or_default();
        let variable = environment_variable(setting);
        format!(
            "{setting} has its default value. Set another one with {option}{variable}, or in a settings file (--config)."
        )
    }
}

/// The environment variable of a setting.
pub(super) fn environment_variable(setting: &str) -> String {
    format!("ASSENT_{}", setting.replace('.', "__").to_uppercase())
}

/// The number of the line in which a name begins.
fn line_of<T>(text: &str, name: &Spanned<T>) -> usize {
    let before = text.get(..name.span().start).unwrap_or(text);
    before.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_a_file_has_its_line() {
        let file = SettingsFile {
            path: "assent.toml".into(),
            text: "listen = \"x\"\n# comment\nmail.from = \"y\"\n\n[limits]\norders = 3\n".to_owned(),
        };
        let mut sources = Sources::default();
        sources.add_file(&file).unwrap();
        let line = |setting: &str| sources.get(setting).map(ToString::to_string);
        assert_eq!(line("listen").as_deref(), Some("in line 1 of assent.toml"));
        assert_eq!(line("mail.from").as_deref(), Some("in line 3 of assent.toml"));
        assert_eq!(line("limits.orders").as_deref(), Some("in line 6 of assent.toml"));
        assert_eq!(line("data"), None);
    }

    #[test]
    fn a_default_is_explained_with_the_ways_to_change_it() {
        let sources = Sources::default();
        assert_eq!(
            sources.sentence("listen"),
            "listen has its default value. Set another one with --listen, ASSENT_LISTEN, or in a settings file (--config)."
        );
        assert!(
            sources
                .sentence("mail.from")
                .contains("with ASSENT_MAIL__FROM, or")
        );
    }
}
