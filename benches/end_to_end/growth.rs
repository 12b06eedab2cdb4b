//! The same requests at growing numbers of members and cases, and the time to start. `BENCH_CASES` sets the largest
//! number; each step has ten times as many as the one before.

use crate::Bench;
use crate::client::Template;
use crate::database::Kind;
use crate::generator::Generator;
use crate::installation::Installation;
use crate::{requests, sections, setting};
use assent::error::Result;
use std::collections::BTreeMap;

/// The columns of [`growth`].
pub const GROWTH: &str = "| | members and cases | per second | p50 ms | time to the time at the first size |\n\
                          |---|---:|---:|---:|---:|";

/// The first number of members and cases.
const FIRST: usize = 1000;
/// The largest number where `BENCH_CASES` does not set it.
const LARGEST: usize = 100_000;
/// How many requests of each kind are sent at each size, and over how many connections.
const COUNT: usize = 3000;
const CONNECTIONS: usize = 8;

/// Measures at each size.
pub fn growth(bench: &Bench, kind: &Kind) -> Result<()> {
    let largest: usize = setting("BENCH_CASES")
        .and_then(|n| n.parse().ok())
        .unwrap_or(LARGEST);
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    sections::open_examples(&installation)?;
    let generator = bench.runtime.block_on(Generator::new(installation.store()?))?;
    bench
        .runtime
        .block_on(generator.add_cases_of("joe", sections::SEARCHED_CASES))?;
    let number = bench.runtime.block_on(generator.add_cases_of("ruth", 1))?;
    bench.runtime.block_on(generator.close());
    let mut first_times = BTreeMap::new();
    let (mut size, mut stored) = (FIRST, 0);
    while size <= largest {
        let generator = bench.runtime.block_on(Generator::new(installation.store()?))?;
        bench
            .runtime
            .block_on(generator.add_members_with_cases(size - stored))?;
        bench.runtime.block_on(generator.close());
        bench.runtime.block_on(installation.database.settle())?;
        measure(&installation, kind, size, &number, &mut first_times)?;
        stored = size;
        size *= 10;
    }
    installation.delete()
}

/// Starts the server and measures every kind of request.
fn measure(
    installation: &Installation<'_>,
    kind: &Kind,
    size: usize,
    number: &str,
    first_times: &mut BTreeMap<&'static str, f64>,
) -> Result<()> {
    let server = installation.start()?;
    let seconds = server.start_up.as_secs_f64();
    println!(
        "| start until ready, {} | {size} | | {:.0} | |",
        kind.name(),
        seconds * 1000.0
    );
    let hook = requests::hook(&Installation::messages(), installation.signing("ES384"), 0);
    let rows: [(&'static str, Template); 5] = [
        ("hook, 3 KB", hook),
        ("`$submit`, 7 KB", installation.submit(1, 0)),
        (
            "member's search over 6 cases",
            sections::search_request(installation, ""),
        ),
        ("inquiry by number", sections::inquiry(installation, number)),
        ("queue page", sections::queue_request(installation, "")),
    ];
    for (row, template) in rows {
        let figures = installation.load(&template, CONNECTIONS, COUNT)?;
        let time = 1.0 / figures.per_second;
        let first = *first_times.entry(row).or_insert(time);
        println!(
            "| {row}, {} | {size} | {:.0} | {:.2} | {:.2} |",
            kind.name(),
            figures.per_second,
            figures.p50_ms,
            time / first
        );
    }
    server.stop()
}
