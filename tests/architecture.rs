//! The rules of the house, read from its sources: who may import whom, which crate lives in which room, what every
//! file holds. The map itself stands in `src/lib.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most lines of code that a file may hold, comments and tests not counted.
const LONGEST: usize = 450;

const EDGE: [&str; 8] = ["main", "cli", "app", "demo", "http", "web", "jobs", "telemetry"];
const DOORS: [&str; 8] = [
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
const CORE: [&str; 6] = ["prior_auth", "plan", "rules", "forms", "deadlines", "ig"];
const GROUND: [&str; 4] = ["fhir", "error", "clock", "config"];

/// The height of a room; none for what is no room.
fn layer(room: &str) -> Option<usize> {
    let layers: [&[&str]; 5] = [&GROUND, &CORE, &GATEWAYS, &DOORS, &EDGE];
    layers.iter().position(|rooms| rooms.contains(&room))
}

/// One source file.
struct Source {
    /// Below the project's folder.
    path: String,
    /// The first part of its path below `src`.
    room: String,
    text: String,
    /// Only compiled for tests.
    test: bool,
}

impl Source {
    /// The text without comments and without what is compiled for tests alone.
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

/// Where the module `name`, declared in `path`, stands: as a file or a folder.
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
    let room = |path: &str| {
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
            room: room(&path),
            test: is_test(&path),
            path,
            text,
        })
        .collect()
}

/// The rooms that a text names after `crate::`, in paths and in `use crate::{…}`.
fn named_rooms(text: &str) -> BTreeSet<String> {
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

/// The names of a text, one by one: `sqlx` in `sqlx::query`, not in `my_sqlx`.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect()
}

#[test]
fn the_scan_sees_what_it_judges() {
    let found =
        named_rooms("use crate::{access, store::{self, Tx}, web};\nlet x = crate::pas::Request::read();");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["access", "pas", "store", "web"]
    );
    assert_eq!(children("src/access/mod.rs", "tests")[0], "src/access/tests.rs");
    assert_eq!(
        children("src/oauth/exchange.rs", "tests")[0],
        "src/oauth/exchange/tests.rs"
    );
    let sources = sources();
    assert!(sources.iter().any(|s| s.path == "src/access/tests.rs" && s.test));
    assert!(sources.iter().any(|s| s.path == "src/pas/submit.rs" && !s.test));
    assert!(words("let a = sqlx::query(x);").contains("sqlx"));
}

#[test]
fn every_room_of_the_house_has_its_place_on_the_map() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for source in sources() {
        if source.room == "lib" {
            continue;
        }
        assert!(
            layer(&source.room).is_some(),
            "{} stands in no layer",
            source.path
        );
        let declared = source.room == "main" || lib.contains(&format!("mod {};", source.room));
        assert!(declared, "{} is not declared in lib.rs", source.room);
    }
}

#[test]
fn imports_go_down_only_and_doors_never_import_each_other() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.room) else { continue };
        for other in named_rooms(&source.shipped()) {
            let Some(theirs) = layer(&other) else { continue };
            let door_to_door = other != source.room
                && DOORS.contains(&source.room.as_str())
                && DOORS.contains(&other.as_str());
            if theirs > own || door_to_door {
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
    for source in sources().iter().filter(|s| CORE.contains(&s.room.as_str())) {
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
    assert!(broken.is_empty(), "the core is not pure:\n{}", broken.join("\n"));
}

#[test]
fn each_way_out_of_the_house_has_one_room() {
    let homes: [(&str, &[&str]); 5] = [
        ("sqlx", &["store"]),
        ("lettre", &["mail"]),
        ("reqwest", &["net", "demo"]),
        ("clap", &["cli", "main"]),
        ("minijinja", &["web"]),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        let text = source.shipped();
        for (name, rooms) in homes {
            if words(&text).contains(name)
                && text.contains(&format!("{name}::"))
                && !rooms.contains(&source.room.as_str())
            {
                broken.push(format!("{} uses {name}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    for below in ["src", "tests", "benches"] {
        for (path, text) in rust_files(below) {
            assert!(text.starts_with("//! "), "{path} does not open with //!");
        }
    }
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
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
fn nothing_is_left_to_do_in_the_sources() {
    for (path, text) in rust_files("src") {
        for mark in ["TODO", "FIXME", "XXX", "unimplemented!", "todo!"] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[test]
fn one_crypto_provider_is_linked_and_no_other() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(
        lock.contains("name = \"rustls\""),
        "the check reads the wrong file"
    );
    for name in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} came in");
    }
}

#[test]
fn every_setting_is_explained_where_it_has_its_default() {
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
            "{key} has no line that explains it"
        );
    }
    assert!(keys > 25, "only {keys} settings were seen");
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
