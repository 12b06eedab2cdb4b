//! The rules of the architecture, checked against the sources: which module may import which, which module may use which
//! crate, what every file starts with, which words are not used. The layers are listed in `src/lib.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most lines of code that a file may hold, comments and tests not counted.
const LONGEST: usize = 450;

const EDGE: [&str; 8] = ["main", "cli", "app", "demo", "http", "web", "jobs", "telemetry"];
const APIS: [&str; 8] = [
    "crd",
    "dtr",
    "pas",
    "review",
    "access",
    "import",
    "oauth",
    "publication",
];
const GATEWAYS: [&str; 6] = ["state", "store", "auth", "mail", "net", "wire"];
const CORE: [&str; 7] = [
    "prior_auth",
    "plan",
    "evidence",
    "rules",
    "forms",
    "deadlines",
    "ig",
];
const BASE: [&str; 4] = ["fhir", "error", "clock", "config"];

/// The layer of a module, counted from the base layer (0); none for a name that is not a module.
fn layer(module: &str) -> Option<usize> {
    let layers: [&[&str]; 5] = [&BASE, &CORE, &GATEWAYS, &APIS, &EDGE];
    layers.iter().position(|modules| modules.contains(&module))
}

/// One source file.
struct Source {
    /// The path, relative to the project's folder.
    path: String,
    /// The top-level module: the first part of the path below `src`.
    module: String,
    text: String,
    /// Whether the file is compiled for tests only.
    test: bool,
}

impl Source {
    /// The text without comments and without code that is compiled for tests only.
    fn shipped(&self) -> String {
        if self.test {
            return String::new();
        }
        let opens_module = |at: &usize| {
            let line = self.text[*at..]
                .lines()
                .skip(1)
                .find(|line| !line.starts_with("#["));
            line.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
        };
        let marks = self.text.match_indices("#[cfg(test)]\n").map(|(at, _)| at);
        let end = marks.into_iter().find(opens_module).unwrap_or(self.text.len());
        let lines = self.text[..end].lines();
        lines
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(below: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(below)];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The two places where the module `name`, declared in `path`, can be: a file or a folder.
fn children(path: &str, name: &str) -> [String; 2] {
    let path = Path::new(path);
    let stem = path.file_stem().unwrap().to_string_lossy();
    let folder = match stem.as_ref() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        own => path.parent().unwrap().join(own),
    };
    [folder.join(format!("{name}.rs")), folder.join(name)].map(|p| p.to_string_lossy().into_owned())
}

/// Everything under `src`.
fn sources() -> Vec<Source> {
    let files = rust_files("src");
    let mut test_places = Vec::new();
    for (path, text) in &files {
        for part in text.split("#[cfg(test)]\n").skip(1) {
            let declared = part.lines().find(|line| !line.starts_with("#[")).unwrap_or("");
            let name = declared
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            if let Some(name) = name.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                test_places.extend(children(path, name));
            }
        }
    }
    let is_test = |path: &str| {
        test_places
            .iter()
            .any(|place| path == place || path.strip_prefix(place).is_some_and(|r| r.starts_with('/')))
    };
    let module = |path: &str| {
        let below = path.strip_prefix("src/").unwrap();
        below
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    };
    files
        .into_iter()
        .map(|(path, text)| Source {
            module: module(&path),
            test: is_test(&path),
            path,
            text,
        })
        .collect()
}

/// The modules that a text names after `crate::`, in paths and in `use crate::{…}`.
fn named_modules(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for letter in list.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' => {
                        found.insert(first_word(&word));
                        word.clear();
                    }
                    _ if depth == 0 => word.push(letter),
                    _ => {}
                }
            }
            found.insert(first_word(&word));
        } else {
            found.insert(first_word(after));
        }
    }
    found.remove("");
    found
}

fn first_word(text: &str) -> String {
    text.trim()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The identifiers of a text: finds `sqlx` in `sqlx::query`, but not in `my_sqlx`.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect()
}

#[test]
fn the_scan_reads_imports_and_test_code_correctly() {
    let found =
        named_modules("use crate::{access, store::{self, Tx}, web};\nlet x = crate::pas::Request::read();");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["access", "pas", "store", "web"]
    );
    assert_eq!(children("src/access/mod.rs", "tests")[0], "src/access/tests.rs");
    assert_eq!(
        children("src/oauth/token_issuance.rs", "tests")[0],
        "src/oauth/token_issuance/tests.rs"
    );
    let sources = sources();
    assert!(sources.iter().any(|s| s.path == "src/access/tests.rs" && s.test));
    assert!(sources.iter().any(|s| s.path == "src/pas/submit.rs" && !s.test));
    assert!(words("let a = sqlx::query(x);").contains("sqlx"));
}

#[test]
fn every_module_is_declared_and_belongs_to_a_layer() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for source in sources() {
        if source.module == "lib" {
            continue;
        }
        assert!(
            layer(&source.module).is_some(),
            "{} belongs to no layer",
            source.path
        );
        let declared = source.module == "main" || lib.contains(&format!("mod {};", source.module));
        assert!(declared, "{} is not declared in lib.rs", source.module);
    }
}

#[test]
fn imports_go_down_only_and_api_modules_never_import_each_other() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.module) else {
            continue;
        };
        for other in named_modules(&source.shipped()) {
            let Some(theirs) = layer(&other) else { continue };
            let between_apis = other != source.module
                && APIS.contains(&source.module.as_str())
                && APIS.contains(&other.as_str());
            if theirs > own || between_apis {
                broken.push(format!("{} uses crate::{other}", source.path));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "imports that do not go down:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|s| CORE.contains(&s.module.as_str())) {
        let text = source.shipped();
        for word in ["axum", "tokio", "reqwest", "sqlx", "lettre", "async", "await"] {
            if words(&text).contains(word) {
                broken.push(format!("{} has {word}", source.path));
            }
        }
        for call in [
            "Utc::now",
            "Local::now",
            "Instant::now",
            "SystemTime::now",
            "std::fs",
            "std::env",
            "std::net",
        ] {
            if text.contains(call) {
                broken.push(format!("{} has {call}", source.path));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "the core does I/O or reads the clock:\n{}",
        broken.join("\n")
    );
}

#[test]
fn each_outbound_crate_is_used_by_its_own_module_only() {
    let owners: [(&str, &[&str]); 5] = [
        ("sqlx", &["store"]),
        ("lettre", &["mail"]),
        ("reqwest", &["net", "demo"]),
        ("clap", &["cli", "main"]),
        ("minijinja", &["web"]),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        let text = source.shipped();
        for (name, modules) in owners {
            if words(&text).contains(name)
                && text.contains(&format!("{name}::"))
                && !modules.contains(&source.module.as_str())
            {
                broken.push(format!("{} uses {name}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_opens_with_a_module_comment() {
    for below in ["src", "tests", "benches"] {
        for (path, text) in rust_files(below) {
            assert!(text.starts_with("//! "), "{path} does not open with //!");
        }
    }
}

#[test]
fn no_file_has_more_lines_of_code_than_allowed() {
    let mut long = Vec::new();
    for source in sources() {
        let lines = source.shipped().lines().count();
        if lines > LONGEST {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert!(
        long.is_empty(),
        "files of more than {LONGEST} lines of code:\n{}",
        long.join("\n")
    );
}

#[test]
fn no_unfinished_work_is_marked_in_the_sources() {
    for (path, text) in rust_files("src") {
        for mark in ["TODO", "FIXME", "XXX", "unimplemented!", "todo!"] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[test]
fn no_second_crypto_provider_is_linked() {
    // Cargo.lock also lists optional packages that nothing uses, so cargo says what is built.
    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--target",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let built: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("rustls") && built.contains("aws-lc-rs"), "{tree}");
    for name in [
        "openssl",
        "openssl-sys",
        "native-tls",
        "ring",
        "p256",
        "p384",
        "ecdsa",
        "rsa",
        "ed25519-dalek",
    ] {
        assert!(!built.contains(name), "{name} is built");
    }
}

#[test]
fn every_setting_is_explained_beside_its_default() {
    let text = std::fs::read_to_string(root().join("src/config/default.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut keys = 0;
    for (n, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else {
            continue;
        };
        keys += 1;
        assert!(
            n > 0 && lines[n - 1].starts_with("# "),
            "{key} has no comment that explains it"
        );
    }
    assert!(keys > 25, "only {keys} settings were found");
}

#[test]
fn the_two_sets_of_migrations_have_the_same_names() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join("migrations").join(folder)).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// Words of a private vocabulary that must not come back: each has a standard term in the glossary of
/// `docs/architecture.md`.
#[test]
fn private_vocabulary_is_not_used() {
    let banned = [
        "house", "houses", "room", "rooms", "door", "doors", "doorstep", "knock", "knocks", "told", "Desk",
        "Ground", "Whose", "Bringing", "Given", "mend", "mended",
    ];
    let mut found = Vec::new();
    for below in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for (path, text) in rust_files(below) {
            if path == "tests/architecture.rs" {
                continue;
            }
            for (n, line) in text.lines().enumerate() {
                // "Room air" is a condition of an oximetry test.
                let line = line.replace("room air", "").replace("room-air", "");
                let words: BTreeSet<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
                if let Some(word) = banned.iter().find(|word| words.contains(**word)) {
                    found.push(format!("{path}:{}: {word}", n + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "private vocabulary:\n{}", found.join("\n"));
}
