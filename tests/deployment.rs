//! The container file, the systemd unit and the commands in the documents name options, settings and paths that exist.

use crate::architecture::root;
use assent::cli::Command;
use assent::config::{Config, SettingsFile};
use clap::Parser;
use std::path::Path;

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The words of a command line, as a shell splits them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Checks a command line with the program's own parser.
#[track_caller]
fn assert_parses(line: &[String]) {
    if let Err(error) = Command::try_parse_from(line) {
        let asks_for_help = error.exit_code() == 0;
        assert!(asks_for_help, "{line:?}: {error}");
    }
}

/// The command lines of a document: lines of its code blocks that begin with `program`, with continued lines joined.
fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let blocks = joined.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix(program))
        .map(|rest| {
            let mut line = vec!["assent".to_owned()];
            // The documents shorten ids.
            line.extend(words(
                &rest.replace("0198…", "01980000-0000-7000-8000-000000000000"),
            ));
            line
        })
        .collect()
}

#[test]
fn every_command_in_the_documents_is_accepted_by_the_program() {
    let mut count = 0;
    for name in ["README.md", "docs/operations.md", "docs/policies.md"] {
        let text = read(name);
        for program in ["assent ", "sudo -u assent assent ", "cargo run --release -- "] {
            for line in commands(&text, program) {
                assert_parses(&line);
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

/// The JSON list at the end of an instruction of the container file.
fn list(line: &str) -> Vec<String> {
    let start = line.find('[').unwrap_or_else(|| panic!("{line} has no list"));
    serde_json::from_str(&line[start..]).unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn the_container_file_names_commands_settings_and_paths_that_exist() {
    let text = read("Containerfile");
    let final_stage = text.rsplit("\nFROM ").next().unwrap();
    let instruction = |name: &str| {
        let mut lines = final_stage.lines().filter(|line| line.starts_with(name));
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("the final stage has no {name}"));
        assert!(lines.next().is_none(), "the final stage has two {name}");
        line.to_owned()
    };
    let program = list(&instruction("ENTRYPOINT "));
    assert_eq!(program, ["/usr/local/bin/assent"]);
    assert_parses(&[program.clone(), list(&instruction("CMD "))].concat());
    assert_parses(&list(&instruction("HEALTHCHECK ")));
    let user = instruction("USER ");
    assert!(user != "USER root" && !user.starts_with("USER 0"), "{user}");
    let variables = final_stage
        .lines()
        .filter_map(|line| line.strip_prefix("ENV ASSENT_"));
    let variables: Vec<(String, String)> = variables
        .map(|set| set.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let config = Config::layered(None, variables.into_iter(), Vec::new()).unwrap();
    let volume = list(&instruction("VOLUME ")).remove(0);
    assert_eq!(config.data, Path::new(&volume));
    assert!(config.database.starts_with(&format!("sqlite:{volume}/")));
    assert!(
        config.listen.ip().is_unspecified(),
        "the port must be reachable from outside of the container"
    );
    let lower = text.to_lowercase();
    for word in ["arg ", "password=", "secret="] {
        assert!(
            !lower.lines().any(|line| line.starts_with(word)),
            "the file takes a secret: {word}"
        );
    }
    let ignored = read(".containerignore");
    for folder in [
        "src",
        "migrations",
        "rules",
        "questionnaires",
        "build.rs",
        "Cargo.lock",
        "benches",
        "tests",
    ] {
        assert!(root().join(folder).exists(), "{folder}");
        assert!(
            !ignored.lines().any(|line| line == folder),
            "the build needs {folder}"
        );
    }
}

#[test]
fn the_systemd_unit_names_commands_and_paths_that_exist_and_is_hardened() {
    let unit = read("deploy/assent.service");
    let value = |name: &str| {
        let mut lines = unit
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let value = lines.next().unwrap_or_else(|| panic!("the unit has no {name}"));
        assert!(lines.next().is_none(), "the unit has two {name}");
        value
    };
    let command = words(value("ExecStart"));
    assert_parses(&command);
    assert_eq!(command[1..3], ["--config", "/etc/assent/assent.toml"]);
    assert_eq!(value("ExecReload"), "/bin/kill -HUP $MAINPID");
    let settings = SettingsFile {
        path: "deploy/assent.toml".into(),
        text: read("deploy/assent.toml"),
    };
    let config = Config::layered(Some(&settings), std::iter::empty(), Vec::new()).unwrap();
    let state = Path::new("/var/lib").join(value("StateDirectory"));
    assert_eq!(value("WorkingDirectory"), state.to_str().unwrap());
    assert!(
        config.data.starts_with(&state),
        "ProtectSystem=strict allows writing to {state:?} only"
    );
    assert!(
        config
            .database
            .starts_with(&format!("sqlite:{}/", state.display()))
    );
    assert_ne!(value("User"), "root");
    for (name, expected) in [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallFilter", "@system-service"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LimitCORE", "0"),
        ("UMask", "0077"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let operations = read("docs/operations.md");
    for path in [
        "deploy/assent.service",
        "deploy/assent.toml",
        "Containerfile",
        "/etc/assent/environment",
    ] {
        assert!(
            operations.contains(path),
            "docs/operations.md does not explain {path}"
        );
    }
}

#[test]
fn every_setting_is_in_the_table_of_the_operators_page() {
    let operations = read("docs/operations.md");
    let table: toml::Table = read("src/config/default.toml").parse().unwrap();
    let mut missing = Vec::new();
    for (name, value) in &table {
        let names = match value {
            toml::Value::Table(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
            _ => vec![name.clone()],
        };
        let rows = |setting: &String| {
            let cell = format!("`{setting}`");
            let mut rows = operations.lines().filter(|line| line.starts_with('|'));
            rows.any(|line| line.split('|').nth(1).is_some_and(|first| first.contains(&cell)))
        };
        missing.extend(names.into_iter().filter(|setting| !rows(setting)));
    }
    assert!(missing.is_empty(), "not in the table of settings: {missing:?}");
}

#[test]
fn every_metric_is_in_the_table_of_the_operators_page() {
    let operations = read("docs/operations.md");
    let mut waiting = vec![root().join("src")];
    let mut missing = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for call in ["counter!(", "gauge!(", "histogram!("] {
                for after in text.split(call).skip(1) {
                    let name = after
                        .trim_start()
                        .strip_prefix('"')
                        .and_then(|rest| rest.split('"').next());
                    let is_missing = |name: &&str| {
                        name.starts_with("assent_") && !operations.contains(&format!("`{name}`"))
                    };
                    missing.extend(name.filter(is_missing).map(str::to_owned));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
}
