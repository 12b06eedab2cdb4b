//! `assent policy new NAME`: a skeleton that passes `check`, with its form, its fixture, its list rows and one criterion
//! whose tests show it met, not met and unknown. It is a draft: it answers nothing until somebody approves it.

use super::Folders;
use crate::cli::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rules::code_mistake;
use chrono::NaiveDate;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// What to write.
#[derive(Debug, Args)]
pub struct New {
    /// Area and name, such as dme.walking-aid
    name: String,
    /// HCPCS codes that it answers for, such as E0143 or K0813-K0816
    #[arg(long = "code", required = true, value_name = "CODE")]
    codes: Vec<String>,
    /// The line of business
    #[arg(long, default_value = "MA")]
    line: String,
    /// What people read above it; the name without an area when left out
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    folders: Folders,
}

/// The names that the files are made of.
struct Names<'a> {
    area: &'a str,
    short: &'a str,
    version: String,
    title: String,
    today: NaiveDate,
}

/// Writes the files and names them. Nothing is overwritten.
pub fn run(command: &New, config: &Config) -> Result<ExitCode> {
    let today = Clock::System.now().date_naive();
    let names = names(command, today)?;
    if let Some(why) = command.codes.iter().find_map(|code| code_mistake(HCPCS, code)) {
        return Err(Error::malformed(why));
    }
    let (rules, forms) = (command.folders.rules(config), command.folders.forms(config));
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
                "{} is there already; nothing was written",
                path.display()
            )));
        }
    }
    for (path, text) in &files {
        write(path, text)?;
        say(&path.display().to_string());
    }
    say(&format!(
        "A draft answers nothing. Write its criteria and tests, record the approval, set the status to active and give\n\
         each code a row in a file of lists/. Until then: assent policy check, assent policy test {}",
        names.short
    ));
    Ok(ExitCode::SUCCESS)
}

fn names(command: &New, today: NaiveDate) -> Result<Names<'_>> {
    let word = |text: &str| {
        text.len() > 1
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let (area, short) = command
        .name
        .split_once('.')
        .filter(|(area, short)| word(area) && word(short))
        .ok_or_else(|| {
            Error::malformed("A name is an area, a dot and a name, each of two or more small letters, digits and hyphens, a letter first: dme.walking-aid")
        })?;
    if command
        .title
        .as_ref()
        .is_some_and(|title| title.trim().is_empty() || title.contains(['\n', '\r']))
    {
        return Err(Error::malformed("A title is one line of text"));
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

/// A text as YAML takes it in quotes: JSON's way is one of them.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn policy_text(command: &New, names: &Names<'_>) -> String {
    let codes: Vec<String> = command.codes.iter().map(|code| quoted(code)).collect();
    let (name, form) = (&command.name, format!("{}|1.0.0", names.short));
    format!(
        r#"# yaml-language-server: $schema=../../../schema/pa-policy-1.schema.json
# {title}: what is approved by rule, what goes to a person. docs/policies.md explains each key.
format: pa-policy/1
policy: {name}
version: "{version}"
status: draft                  # draft | shadow | active | retired
effective: {{ basis: received, from: {today}, to: null }}
title: {title_quoted}
owner: um-policy
# approved: {{ by: UM committee, on: {today}, record: … }}
sources:
  - {{ id: plan, cite: "Plan medical policy, section 1", url: "https://plan.example/policies", checked: {today} }}

scope:
  codes:
    - {{ system: "{HCPCS}", any: [{codes}] }}
  lines: [{line}]
  states: [any]

facts:
  indication: {{ answer: "{short}.indication", as: boolean }}

criteria:
  indication:
    text: "The condition that this service treats is documented"
    cite: "plan, section 1"
    all: [ {{ fact: indication, equals: true }} ]

coverage:
  - when: {{ all: [ {{ fact: member.transition-until, on_or_after: received }} ] }}
    answer: {{ covered: covered, pa: no-auth, reason: "New member in an active course of treatment" }}
  - when: {{ all: [ {{ fact: member.gold-card, exists: true, if_missing: not-met }} ] }}
    answer: {{ covered: covered, pa: no-auth, reason: [ {{ code: gold-card, text: "The ordering practitioner is exempt" }} ] }}
  - answer:
      covered: covered
      pa: auth-needed
      doc: [clinical]
      doc_purpose: [withpa]
      questionnaires: ["{form}"]
      reason: "This service needs authorization"
      expires: "60 days"

decision:
  approve:
    when: {{ all: [ {{ criterion: indication }} ] }}
    grant: {{ units: as-asked, period: "60 days", reason: "Meets the plan's policy" }}
  otherwise:
    pend: {{ queue: clinical-review, reason: clinical-review }}
    ask_for:
      indication: {{ questionnaire: "{form}", text: "The condition that the service treats" }}

tests:
  - name: a documented condition is approved
    given: {{ base: fixtures/{short}.json }}
    expect: {{ coverage: auth-needed, decision: approve, criteria: {{ indication: met }} }}
  - name: without the condition a person decides
    given: {{ base: fixtures/{short}.json, change: [ {{ op: replace, path: /answers/{short}.indication, value: [false] }} ] }}
    expect: {{ decision: pend, criteria: {{ indication: not-met }}, ask: [] }}
  - name: no answer asks for one
    given: {{ base: fixtures/{short}.json, change: [ {{ op: remove, path: /answers/{short}.indication }} ] }}
    expect: {{ decision: pend, criteria: {{ indication: unknown }}, ask: [indication] }}
  - name: a new member in transition needs no authorization
    given: {{ base: fixtures/{short}.json, change: [ {{ op: add, path: /member/transition_until, value: "{tomorrow}" }} ] }}
    expect: {{ coverage: no-auth, decision: not-required }}
  - name: an exempt practitioner needs no authorization
    given: {{ base: fixtures/{short}.json, change: [ {{ op: add, path: /member/gold_card, value: ["1234567893"] }} ] }}
    expect: {{ coverage: no-auth, decision: not-required }}
"#,
        title = names.title,
        title_quoted = quoted(&names.title),
        version = names.version,
        today = names.today,
        tomorrow = names.today.succ_opt().unwrap_or(names.today),
        codes = codes.join(", "),
        line = command.line,
        short = names.short,
    )
}

fn fixture(command: &New, names: &Names<'_>) -> Result<String> {
    let first = command.codes.first().map(String::as_str).unwrap_or_default();
    let code = first.split('-').next().unwrap_or(first);
    pretty(&json!({
        "kind": "pas",
        "received": format!("{}T15:00:00Z", names.today),
        "member": { "line": command.line, "age": 70 },
        "item": { "sequence": 1, "codes": [{ "system": HCPCS, "code": code }] },
        "res": {},
        "answers": { format!("{}.indication", names.short): [true] }
    }))
}

/// A form with one question, as `questionnaires/README.md` wants it.
fn questionnaire(names: &Names<'_>) -> Result<String> {
    let mut form: Value = serde_json::from_str(include_str!("form.json")).map_err(Error::internal)?;
    for (member, value) in [
        ("id", json!(names.short)),
        (
            "name",
            json!(names.short.split('-').map(capital).collect::<String>()),
        ),
        ("title", json!(names.title)),
        ("date", json!(names.today.to_string())),
    ] {
        if let Some(form) = form.as_object_mut() {
            form.insert(member.into(), value);
        }
    }
    if let Some(link_id) = form.pointer_mut("/item/0/linkId") {
        *link_id = json!(format!("{}.indication", names.short));
    }
    pretty(&form)
}

fn capital(word: &str) -> String {
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
    struct Line {
        #[command(flatten)]
        new: New,
    }

    /// What becomes of a name and a title.
    fn named(name: &str, title: &str) -> bool {
        let line = Line::try_parse_from(["new", name, "--code", "E0143", "--title", title]).unwrap();
        names(&line.new, NaiveDate::MIN).is_ok()
    }

    #[test]
    fn a_name_that_its_form_cannot_have_is_refused_before_anything_is_written() {
        assert!(named("dme.walking-aid", "Wheeled \"walkers\"") && named("dme.tens2", "TENS"));
        for name in [
            "walking-aid",
            "dme.x",
            "dme.3d-print",
            "dme.",
            "d.walking",
            "dme.Walker",
        ] {
            assert!(!named(name, "Walkers"), "{name}");
        }
        assert!(!named("dme.walking-aid", "Walkers\nstatus: active") && !named("dme.walking-aid", " "));
    }
}
