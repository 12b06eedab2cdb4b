//! Benchmarks of the rules: finding what applies to a code among 100 to 100,000 list rows and up to 2,000 policies,
//! evaluating one policy with its trace over a small and a large chart, and loading a rule set.
//!
//! `cargo bench --bench rules` runs them; `docs/performance.md` has the results. Each figure is the median of several
//! runs.

use assent::rules::{CaseDocument, EmbeddedTests, FormQuestion, LoadOptions, RuleSet};
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const OXYGEN: &str = "policies/dme/home-oxygen/2026.2.yaml";
/// Numbers of rows and policies of the rule sets that are compared.
const SIZES: [(usize, usize); 4] = [(100, 2), (1_000, 20), (10_000, 200), (100_000, 2_000)];

type Files = Vec<(String, String)>;

fn main() {
    let shipped = shipped();
    // Memory is measured in a separate process that does nothing else.
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, rows, policies] = arguments.as_slice()
        && mode == "memory"
    {
        return print_memory(&shipped, rows.parse().unwrap_or(0), policies.parse().unwrap_or(0));
    }
    measure_evaluation(&shipped);
    println!("\nrows      policies  files MB  load s  again s  tests s  memory MB  lookup ns  miss ns");
    for (rows, policies) in SIZES {
        measure_rule_set(&shipped, rows, policies);
    }
}

/// Path and text of every file of `rules/`.
fn shipped() -> Files {
    let mut files = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")];
    let root = open.first().cloned().unwrap_or_default();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let (Ok(name), Ok(text)) = (path.strip_prefix(&root), std::fs::read_to_string(&path)) {
                files.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// The questions of a shipped form.
fn forms(form: &str) -> Option<Vec<FormQuestion>> {
    let (name, version) = form.split_once('|')?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("questionnaires")
        .join(name)
        .join(version);
    let text = std::fs::read_to_string(folder.join("questionnaire.json")).ok()?;
    Some(FormQuestion::all(&serde_json::from_str(&text).ok()?))
}

fn load(files: &Files, options: &LoadOptions) -> Option<RuleSet> {
    // All policies of the benchmark name one form, which is read once.
    let oxygen_form = forms("home-oxygen|1.0.0");
    let questions = |form: &str| {
        if form == "home-oxygen|1.0.0" {
            oxygen_form.clone()
        } else {
            forms(form)
        }
    };
    match RuleSet::load_with(files, &questions, options) {
        Ok(set) => Some(set),
        Err(findings) => {
            findings.iter().take(3).for_each(|f| println!("{f}"));
            None
        }
    }
}

/// The median of `times` measurements.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median time of one call, over `rounds` rounds of `calls` calls.
fn per_call(rounds: usize, calls: u32, mut call: impl FnMut()) -> Duration {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed() / calls
    };
    round(&mut call);
    median((0..rounds).map(|_| round(&mut call)).collect())
}

/// Evaluates the home-oxygen policy over its fixture, and over a chart with 300 more observations.
fn measure_evaluation(shipped: &Files) {
    let Some(rules) = load(
        shipped,
        &LoadOptions {
            embedded_tests: EmbeddedTests::Skip,
            ..LoadOptions::default()
        },
    ) else {
        return;
    };
    let fixture = shipped.iter().find(|(name, _)| name == "fixtures/oxygen.json");
    let Some(Ok(fixture)) = fixture.map(|(_, text)| serde_json::from_str::<Value>(text)) else {
        return;
    };
    let mut large = fixture.clone();
    if let Some(observations) = large
        .pointer_mut("/res/Observation")
        .and_then(Value::as_array_mut)
    {
        for n in 0..300 {
            // A third of them are oximetry results of other days, so that the newest must be found.
            let code = if n % 3 == 0 { "59408-5" } else { "8867-4" };
            observations.push(
                json!({ "resourceType": "Observation", "id": format!("o{n}"), "status": "final",
                "category": [{ "coding": [{ "code": "vital-signs" }] }],
                "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
                "effectiveDateTime": format!("2026-0{}-{:02}T08:00:00-04:00", 1 + n % 8, 1 + n % 28),
                "valueQuantity": { "value": 90 + n % 8, "code": "%" } }),
            );
        }
    }
    println!("evaluation with trace          µs    with the document read and indexed µs");
    for (name, json) in [("fixture", &fixture), ("300 observations", &large)] {
        let Ok(document) = CaseDocument::from_json(json.clone()) else {
            return;
        };
        let evaluation = per_call(11, 200, || drop(black_box(rules.evaluate(black_box(&document)))));
        let with_reading = per_call(11, 50, || {
            if let Ok(document) = CaseDocument::from_json(json.clone()) {
                drop(black_box(rules.evaluate(&document)));
            }
        });
        println!(
            "{name:20} {:13.1} {:20.1}",
            micros(evaluation),
            micros(with_reading)
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Measures a rule set with so many rows and policies: time to load, memory, and time to find what applies to a code.
fn measure_rule_set(shipped: &Files, rows: usize, policies: usize) {
    let files = files_of(shipped, rows, policies);
    let megabytes = files.iter().map(|(_, text)| text.len()).sum::<usize>() as f64 / 1e6;
    let without_tests = LoadOptions {
        embedded_tests: EmbeddedTests::Skip,
        ..LoadOptions::default()
    };
    let times: Vec<Duration> = (0..3)
        .map(|_| {
            let start = Instant::now();
            drop(black_box(load(&files, &without_tests)));
            start.elapsed()
        })
        .collect();
    let start = Instant::now();
    let Some(set) = load(&files, &LoadOptions::default()) else {
        return;
    };
    let with_tests = start.elapsed();
    let start = Instant::now();
    let again = load(
        &files,
        &LoadOptions {
            passed_tests: set.passed_tests().clone(),
            ..LoadOptions::default()
        },
    );
    let with_passed_tests = start.elapsed();
    drop(again);
    let find = |code: &str| {
        let document = CaseDocument::from_json(json!({ "received": "2026-10-01T12:00:00Z",
            "member": { "line_of_business": "MA" }, "item": { "codes": [{ "system": HCPCS, "code": code }] } }));
        document.map_or(Duration::ZERO, |document| {
            per_call(11, 20_000, || {
                black_box(set.policy_for(black_box(&document)));
            })
        })
    };
    println!(
        "{rows:<9} {policies:<9} {megabytes:8.1} {:7.2} {:8.2} {:8.2} {:>10} {:10} {:8}",
        median(times).as_secs_f64(),
        with_passed_tests.as_secs_f64(),
        with_tests.as_secs_f64(),
        memory_of(rows, policies),
        find(&policy_code(policies / 2, 1)).as_nanos(),
        find("Z9999").as_nanos(),
    );
}

/// One of the four codes of a policy.
fn policy_code(policy: usize, n: usize) -> String {
    code_of(policy * 4 + n)
}

/// The code with number `n`: a letter and four digits.
fn code_of(n: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(n / 10_000).unwrap_or(25).min(24));
    format!("{letter}{:04}", n % 10_000)
}

/// The files of a rule set: copies of the home-oxygen policy with other codes, and a list with so many rows.
fn files_of(shipped: &Files, rows: usize, policies: usize) -> Files {
    let mut files: Files = shipped
        .iter()
        .filter(|(name, _)| {
            !name.starts_with("policies/") && !name.starts_with("lists/") && !name.starts_with("answers/")
        })
        .cloned()
        .collect();
    let answer = "{ covered: covered, pa: auth-needed, reason: r }";
    let free = "{ covered: covered, pa: no-auth, reason: r }";
    let answers = format!(
        "format: pa-answers/1\nanswers:\n  needed: {{ answer: {answer} }}\n  free: {{ answer: {free} }}\n"
    );
    files.push(("answers/bench.yaml".into(), answers));
    let mut list = "code,system,line_of_business,state,from,to,answer,policy\n".to_owned();
    for lob in ["MA", "MEDICAID-MC", "CHIP", "QHP", "ERISA"] {
        list += &format!("*,,{lob},,2026-01-01,,free,\n");
    }
    for n in 0..rows {
        let policy = if n < policies * 4 {
            format!("bench.p{}", n / 4)
        } else {
            String::new()
        };
        list += &format!("{},{HCPCS},MA,,2026-07-01,,needed,{policy}\n", code_of(n));
    }
    files.push(("lists/bench.csv".into(), list));
    let Some((_, oxygen)) = shipped.iter().find(|(name, _)| name == OXYGEN) else {
        return files;
    };
    for n in 0..policies {
        let codes: Vec<String> = (0..4).map(|k| format!("\"{}\"", policy_code(n, k))).collect();
        let text = oxygen
            .replace("policy: dme.home-oxygen", &format!("policy: bench.p{n}"))
            .replace("\"E0424\", \"E0439\", \"E1390\", \"E1391\"", &codes.join(", "));
        files.push((format!("policies/bench/p{n}/2026.2.yaml"), text));
    }
    files
}

/// The memory of a rule set in megabytes, measured in a separate process.
fn memory_of(rows: usize, policies: usize) -> String {
    let run = std::env::current_exe().and_then(|exe| {
        std::process::Command::new(exe)
            .args(["memory", &rows.to_string(), &policies.to_string()])
            .output()
    });
    run.map_or_else(
        |e| e.to_string(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}

/// Loads a rule set and prints by how many megabytes the process grew, including memory that the allocator reserves.
fn print_memory(shipped: &Files, rows: usize, policies: usize) {
    let files = files_of(shipped, rows, policies);
    let before = resident();
    let set = load(
        &files,
        &LoadOptions {
            embedded_tests: EmbeddedTests::Skip,
            ..LoadOptions::default()
        },
    );
    println!("{:.0}", resident().saturating_sub(before) as f64 / 1e6);
    drop(black_box(set));
}

/// The resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4096
}
