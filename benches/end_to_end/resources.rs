//! What requests cost besides time: latency at half of the peak, bytes written and stored, processor time, memory.

use crate::Bench;
use crate::database::Kind;
use crate::generator::Generator;
use crate::installation::Installation;
use crate::{requests, sections, setting};
use assent::error::Result;
use std::time::Duration;

/// The columns of [`latency`].
pub const LATENCY: &str =
    "| | peak per second | per second | p50 ms | p99 ms | longest ms |\n|---|---:|---:|---:|---:|---:|";
/// The columns of [`bytes`].
pub const BYTES: &str = "| | received | log, per byte received | stored, per byte received | write calls | to the disk, per byte received |\n\
                         |---|---:|---:|---:|---:|---:|";
/// The columns of [`cpu`].
pub const CPU: &str = "| | processor time per request, ms | write calls |\n|---|---:|---:|";
/// The columns of [`memory`].
pub const MEMORY: &str = "| | requests | per second | resident memory, MB |\n|---|---:|---:|---:|";

/// How long the workers get to finish what the requests caused.
const WORKERS: Duration = Duration::from_secs(3);
/// How long the load at half of the peak lasts, in seconds.
const STEADY_SECONDS: f64 = 15.0;

/// `$submit` of 20 KB at half of the rate that 32 connections reach.
pub fn latency(bench: &Bench, kind: &Kind) -> Result<()> {
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    let server = installation.start()?;
    let template = installation.submit(1, 20_000);
    let peak = installation.load(&template, 32, 6000)?.per_second;
    let rate = peak / 2.0;
    std::thread::sleep(WORKERS);
    let count = (rate * STEADY_SECONDS).round() as usize;
    let figures = installation.mixed_load(vec![template.clone()], count, Some(rate))?;
    println!(
        "| `$submit`, {} bytes, {} | {peak:.0} | {:.0} | {:.2} | {:.2} | {:.1} |",
        template.size(),
        kind.name(),
        figures.per_second,
        figures.p50_ms,
        figures.p99_ms,
        figures.longest_ms
    );
    server.stop()?;
    installation.delete()
}

/// What `$submit` writes and stores at one connection and at 32.
pub fn bytes(bench: &Bench, kind: &Kind) -> Result<()> {
    for (size, connections, count) in [(0, 1, 1000), (20_000, 1, 1000), (20_000, 32, 6000)] {
        let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
        let server = installation.start()?;
        let template = installation.submit(1, size);
        installation.mixed_load(vec![template.clone()], 500, None)?;
        std::thread::sleep(WORKERS);
        let stored_before = bench.runtime.block_on(installation.database.stored_bytes())?;
        let log = bench.runtime.block_on(installation.database.watch_log())?;
        let before = server.writes();
        crate::client::run(&crate::client::Load {
            address: server.address.clone(),
            requests: vec![template.clone()],
            connections,
            warm_up: 0,
            count,
            per_second: None,
        })?;
        std::thread::sleep(WORKERS);
        let after = server.writes();
        let log = bench.runtime.block_on(log.bytes())?;
        let stored = bench.runtime.block_on(installation.database.stored_bytes())? - stored_before;
        let received = (template.size() * count) as f64;
        println!(
            "| `$submit`, {connections} connections, {} | {} | {:.2} | {:.2} | {:.1} | {:.2} |",
            kind.name(),
            template.size(),
            log / received,
            stored / received,
            (after.calls - before.calls) as f64 / count as f64,
            (after.disk_bytes - before.disk_bytes) as f64 / received,
        );
        server.stop()?;
        installation.delete()?;
    }
    Ok(())
}

/// The processor time of the server for one request, at one connection, with what its workers do afterward.
pub fn cpu(bench: &Bench, kind: &Kind) -> Result<()> {
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    let server = installation.start()?;
    let messages = Installation::messages();
    for (row, template) in [
        ("`$submit`, 7 KB", installation.submit(1, 0)),
        ("`$submit`, 20 KB", installation.submit(1, 20_000)),
        (
            "hook, 20 KB, ES384",
            requests::hook(&messages, installation.signing("ES384"), 20_000),
        ),
    ] {
        const COUNT: usize = 3000;
        installation.load(&template, 1, 500)?;
        std::thread::sleep(WORKERS);
        let (cpu, writes) = (server.cpu_seconds(), server.writes());
        crate::client::run(&crate::client::Load {
            address: server.address.clone(),
            requests: vec![template],
            connections: 1,
            warm_up: 0,
            count: COUNT,
            per_second: None,
        })?;
        std::thread::sleep(WORKERS);
        let calls = (server.writes().calls - writes.calls) as f64 / COUNT as f64;
        let cpu = (server.cpu_seconds() - cpu) * 1000.0 / COUNT as f64;
        println!("| {row}, {} | {cpu:.2} | {calls:.1} |", kind.name());
    }
    server.stop()?;
    installation.delete()
}

/// Resident memory after many requests of all kinds, and after as many again. `BENCH_REQUESTS` sets how many.
pub fn memory(bench: &Bench, kind: &Kind) -> Result<()> {
    let count: usize = setting("BENCH_REQUESTS")
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    sections::open_examples(&installation)?;
    let generator = bench.runtime.block_on(Generator::new(installation.store()?))?;
    bench
        .runtime
        .block_on(generator.add_cases_of("joe", sections::SEARCHED_CASES))?;
    let number = bench.runtime.block_on(generator.add_cases_of("ruth", 1))?;
    bench.runtime.block_on(generator.close());
    let server = installation.start_with_mail_files()?;
    println!("| {}, started | 0 | | {:.0} |", kind.name(), server.resident_mb());
    let messages = Installation::messages();
    let all = vec![
        installation.submit(1, 0),
        requests::hook(&messages, installation.signing("ES384"), 20_000),
        sections::search_request(&installation, ""),
        sections::inquiry(&installation, &number),
        installation.submit(1, 20_000),
        sections::queue_request(&installation, ""),
    ];
    for round in 1..=2 {
        let figures = installation.mixed_load(all.clone(), count, None)?;
        println!(
            "| {}, all kinds in turn | {} | {:.0} | {:.0} |",
            kind.name(),
            count * round,
            figures.per_second,
            server.resident_mb()
        );
    }
    server.stop()?;
    installation.delete()
}
