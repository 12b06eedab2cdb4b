//! Throughput, latency, memory and bytes of the server on this machine, each beside a limit of the machine that is
//! measured in the same run with the same client. `docs/performance.md` quotes the figures.
//!
//! ```text
//! cargo bench --bench end_to_end
//! cargo bench --bench end_to_end -- submit hook
//! TEST_POSTGRES_URL=postgres://user@host/database cargo bench --bench end_to_end
//! BENCH_CASES=1000000 cargo bench --bench end_to_end -- growth
//! ```
//!
//! Sections: `hook`, `submit`, `search`, `inquire`, `queue`, `latency`, `bytes`, `cpu`, `growth` and `memory`; without
//! one, all of them. Server, client and limits are processes of their own; they share the machine's processors.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded"
)]

mod client;
mod database;
mod generator;
mod growth;
mod installation;
mod limits;
mod requests;
mod resources;
mod sections;
mod server;
mod signing;

use assent::clock::{Clock, new_id};
use assent::error::{Error, Result};
use database::Kind;
use std::path::PathBuf;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What every section needs.
pub struct Bench {
    runtime: Runtime,
    /// For databases and log files.
    folder: PathBuf,
    /// The databases that are measured.
    kinds: Vec<Kind>,
}

/// Measures one section on one database and prints rows of its table.
type Section = fn(&Bench, &Kind) -> Result<()>;

/// The sections: name, columns of the table, function.
const SECTIONS: [(&str, &str, Section); 10] = [
    ("hook", sections::RATES, sections::hook),
    ("submit", sections::RATES, sections::submit),
    ("search", sections::RATES, sections::search),
    ("inquire", sections::RATES, sections::inquire),
    ("queue", sections::RATES, sections::queue),
    ("latency", resources::LATENCY, resources::latency),
    ("bytes", resources::BYTES, resources::bytes),
    ("cpu", resources::CPU, resources::cpu),
    ("growth", growth::GROWTH, growth::growth),
    ("memory", resources::MEMORY, resources::memory),
];

fn main() -> Result<()> {
    assent::app::install_crypto();
    // Cargo adds the option --bench.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    match arguments.first().map(String::as_str) {
        Some("client") => client::run_process(),
        Some("limit") => limits::run_process(arguments.get(1).map_or("", String::as_str)),
        _ => measure(&arguments),
    }
}

fn measure(chosen: &[String]) -> Result<()> {
    let unknown = chosen
        .iter()
        .find(|name| SECTIONS.iter().all(|(known, ..)| known != name));
    if let Some(name) = unknown {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, ..)| *name).collect();
        let message = format!("{name} is not a section; the sections are {}", names.join(", "));
        return Err(Error::malformed(message));
    }
    let run = new_id(Clock::System.now()).simple().to_string();
    let folder = std::env::temp_dir().join(format!("assent-bench-{run}"));
    assent::store::create_private_folder(&folder)?;
    let postgres = setting("TEST_POSTGRES_URL").map(Kind::Postgres);
    let bench = Bench {
        runtime: Runtime::new().map_err(Error::internal)?,
        folder,
        kinds: std::iter::once(Kind::Sqlite).chain(postgres).collect(),
    };
    let sections = SECTIONS
        .iter()
        .filter(|(name, ..)| chosen.is_empty() || chosen.iter().any(|c| c == name));
    let mut measured = Ok(());
    for (name, columns, section) in sections {
        println!("\n{name}\n\n{columns}");
        for kind in &bench.kinds {
            measured = measured.and_then(|()| section(&bench, kind));
        }
    }
    // A failure is harmless: the operating system cleans up its folder for temporary files.
    let _ = std::fs::remove_dir_all(&bench.folder);
    measured
}

/// A setting of the measurement.
pub fn setting(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the measurement, not of the server"
    )]
    std::env::var(name).ok()
}
