//! `assent policy new NAME`: creates a draft policy that passes `check`, with its form, its fixture and one criterion
//! whose tests show it met, not met and unknown. A draft answers nothing until somebody approves and activates it.

use super::Folders;
use crate::cli::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::billing_code_error;
use chrono::NaiveDate;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// Options of `policy new`.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the policy: an area, a dot and a short name, such as dme.walking-aid
    name: String,
    /// HCPCS code or range of codes, such as E0143 or K0813-K0816 (repeatable)
    #[arg(long = "code", required = true, value_name = "CODE")]
    codes: Vec<String>,
    /// Line of business
    #[arg(long, default_value = "MA", value_name = "LINE-OF-BUSINESS")]
    line_of_business: String,
    /// Title; by default the short name
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    folders: Folders,
}

/// The values from which the files are made.
struct Names<'a> {
    /// `dme` of `dme.walking-aid`.
    area: &'a str,
    /// `walking-aid` of `dme.walking-aid`; also the form's name.
    short: &'a str,
    version: String,
    title: String,
    today: NaiveDate,
}

/// Creates the files and prints their paths. `Malformed` when a name, title or code is not valid or a file exists
/// already; nothing is written then.
pub fn run(command: &New, config: &Config) -> Result<ExitCode> {
    let today = Clock::System.now().date_naive();
    let names = names(command, today)?;
    if let Some(reason) = command
        .codes
        .iter()
        .find_map(|code| billing_code_error(HCPCS, code))
    {
        return Err(Error::malformed(reason));
    }
    let (Some(rules), Some(forms)) = (command.folders.rules(config), command.folders.forms(config)) else {
        return Err(Error::malformed(
            "There are no folders of rules and forms here. Write the shipped ones into a folder with \
             'assent policy export FOLDER' and name them with --rules FOLDER/rules --forms FOLDER/questionnaires",
        ));
    };
    let policy = rules.join("policies").join(names.area).join(names.short);
    let form = forms.join(names.short).join("1.0.0");
    let files: Vec<(PathBuf, String)> = vec![
        (
            policy.join(format!("{}.yaml", names.version)),
            policy_text(command, &names),
        ),
        (
            rules.join("fixtures").join(format!("{}.json", names.short)),
            fixture(command, &names)?,
        ),
        (form.join("questionnaire.json"), questionnaire(&names)?),
    ];
    for (path, _) in &files {
        if path.exists() {
            return Err(Error::malformed(format!(
                "{} exists already. Nothing was written",
                path.display()
            )));
        }
    }
    for (path, text) in &files {
        write(path, text)?;
        print(&path.display().to_string());
    }
    print(&format!(
        "\nThe draft answers nothing yet. Next steps:\n  \
         1. Write its criteria and tests. Check them with 'assent policy check' and 'assent policy test {}'.\n  \
         2. Record the approval under 'approved' and set 'status: active'.\n  \
         3. Add a row for each code to a file in lists/.",
        names.short
    ));
    Ok(ExitCode::SUCCESS)
}

fn names(command: &New, today: NaiveDate) -> Result<Names<'_>> {
    let is_valid = |text: &str| {
        text.len() > 1
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let (area, short) = command
        .name
        .split_once('.')
        .filter(|(area, short)| is_valid(area) && is_valid(short))
        .ok_or_else(|| {
            Error::malformed(
                "The policy name must be an area, a dot and a short name, such as dme.walking-aid. Each part \
                 starts with a letter and has two or more lowercase letters, digits and hyphens",
            )
        })?;
    if command
        .title
        .as_ref()
        .is_some_and(|title| title.trim().is_empty() || title.contains(['\n', '\r']))
    {
        return Err(Error::malformed("The title must be one line of text"));
    }
    let title = command.title.clone().unwrap_or_else(|| short.replace('-', " "));
    let version = today.format("%Y.1").to_string();
    Ok(Names {
        area,
        short,
        version,
        title,
        today,
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| Error::malformed(format!("{} cannot be written: {e}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// A text as a quoted YAML scalar: JSON strings are valid YAML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn policy_text(command: &New, names: &Names<'_>) -> String {
    let codes: Vec<String> = command.codes.iter().map(|code| quoted(code)).collect();
    let tomorrow = names.today.succ_opt().unwrap_or(names.today);
    let values = [
        ("@TITLE@", names.title.clone()),
        ("@QUOTED_TITLE@", quoted(&names.title)),
        ("@NAME@", command.name.clone()),
        ("@SHORT@", names.short.to_owned()),
        ("@FORM@", format!("{}|1.0.0", names.short)),
        ("@VERSION@", names.version.clone()),
        ("@HCPCS@", HCPCS.to_owned()),
        ("@CODES@", codes.join(", ")),
        ("@LINE_OF_BUSINESS@", command.line_of_business.clone()),
        ("@TODAY@", names.today.to_string()),
        ("@TOMORROW@", tomorrow.to_string()),
    ];
    fill_template(include_str!("new_policy.yaml"), &values)
}

/// Replaces the placeholders of a template. Values are not searched for placeholders.
fn fill_template(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('@') {
        let (before, from_at) = rest.split_at(start);
        text.push_str(before);
        if let Some((name, value)) = values.iter().find(|(name, _)| from_at.starts_with(name)) {
            text.push_str(value);
            rest = from_at.get(name.len()..).unwrap_or_default();
        } else {
            text.push('@');
            rest = from_at.get(1..).unwrap_or_default();
        }
    }
    text + rest
}

fn fixture(command: &New, names: &Names<'_>) -> Result<String> {
    let first = command.codes.first().map(String::as_str).unwrap_or_default();
    let code = first.split('-').next().unwrap_or(first);
    pretty(&json!({
        "kind": "pas",
        "received": format!("{}T15:00:00Z", names.today),
        "member": { "line_of_business": command.line_of_business, "age": 70 },
        "item": { "sequence": 1, "codes": [{ "system": HCPCS, "code": code }] },
        "res": {},
        "answers": { format!("{}.indication", names.short): [true] }
    }))
}

/// A form with one question, as `questionnaires/README.md` requires.
fn questionnaire(names: &Names<'_>) -> Result<String> {
    let mut form: Value =
        serde_json::from_str(include_str!("new_questionnaire.json")).map_err(Error::internal)?;
    for (field, value) in [
        ("id", json!(names.short)),
        (
            "name",
            json!(names.short.split('-').map(capitalized).collect::<String>()),
        ),
        ("title", json!(names.title)),
        ("date", json!(names.today.to_string())),
    ] {
        if let Some(form) = form.as_object_mut() {
            form.insert(field.into(), value);
        }
    }
    if let Some(link_id) = form.pointer_mut("/item/0/linkId") {
        *link_id = json!(format!("{}.indication", names.short));
    }
    pretty(&form)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct TestCommand {
        #[command(flatten)]
        new: New,
    }

    /// Whether a name and a title are accepted.
    fn is_accepted(name: &str, title: &str) -> bool {
        let command =
            TestCommand::try_parse_from(["new", name, "--code", "E0143", "--title", title]).unwrap();
        names(&command.new, NaiveDate::MIN).is_ok()
    }

    #[test]
    fn names_and_titles_that_the_files_cannot_have_are_refused() {
        assert!(is_accepted("dme.walking-aid", "Wheeled \"walkers\"") && is_accepted("dme.tens2", "TENS"));
        for name in [
            "walking-aid",
            "dme.x",
            "dme.3d-print",
            "dme.",
            "d.walking",
            "dme.Walker",
        ] {
            assert!(!is_accepted(name, "Walkers"), "{name}");
        }
        assert!(
            !is_accepted("dme.walking-aid", "Walkers\nstatus: active")
                && !is_accepted("dme.walking-aid", " ")
        );
    }
}
