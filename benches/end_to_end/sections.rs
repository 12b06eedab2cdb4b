//! How many requests per second the server answers, each kind beside its limit: the same client, the same bytes and the
//! same number of connections.

use crate::Bench;
use crate::client::Template;
use crate::database::{Database, Kind};
use crate::generator::Generator;
use crate::installation::{Installation, load};
use crate::limits::LimitServer;
use crate::requests;
use assent::error::Result;

/// The columns of a table of rates.
pub const RATES: &str = "| | connections | per second | p50 ms | p99 ms | limit per second | ratio |\n\
                         |---|---:|---:|---:|---:|---:|---:|";

/// Numbers of connections, each with the number of requests.
const LOADS: [(usize, usize); 3] = [(1, 1000), (8, 3000), (32, 6000)];
/// How many cases the member has while the search is measured.
pub const SEARCHED_CASES: usize = 6;

/// Hooks of three sizes with tokens of two algorithms.
pub fn hook(bench: &Bench, kind: &Kind) -> Result<()> {
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    let server = installation.start()?;
    let limit = Limit::start(bench, kind)?;
    for algorithm in ["ES384", "RS384"] {
        for size in [0, 20_000, 60_000] {
            let messages = Installation::messages();
            let template = requests::hook(&messages, installation.signing(algorithm), size);
            let row = format!("hook, {} bytes, {algorithm}, {}", template.size(), kind.name());
            limit.compare(&row, &installation, &template, "/parse")?;
        }
    }
    limit.end(bench)?;
    server.stop()?;
    installation.delete()
}

/// Requests that are approved at once.
pub fn submit(bench: &Bench, kind: &Kind) -> Result<()> {
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    let server = installation.start()?;
    let limit = Limit::start(bench, kind)?;
    for (items, size) in [(1, 0), (1, 20_000), (20, 20_000)] {
        let template = installation.submit(items, size);
        let item = if items == 1 { "item" } else { "items" };
        let row = format!(
            "`$submit`, {} bytes, {items} {item}, {}",
            template.size(),
            kind.name()
        );
        limit.compare(&row, &installation, &template, "/insert")?;
    }
    limit.end(bench)?;
    server.stop()?;
    installation.delete()
}

/// The prior authorizations of a member with six cases.
pub fn search(bench: &Bench, kind: &Kind) -> Result<()> {
    let row = format!("member's search over {SEARCHED_CASES} cases");
    read(bench, kind, &row, search_request, 0)
}

/// One case by its number.
pub fn inquire(bench: &Bench, kind: &Kind) -> Result<()> {
    read(bench, kind, "inquiry by number", inquiry, 0)
}

/// The first page of the queue.
pub fn queue(bench: &Bench, kind: &Kind) -> Result<()> {
    read(bench, kind, "queue page, 500 open cases", queue_request, 1000)
}

/// Compares a read with a server that answers with the same text. `make` builds the request from the installation and
/// the number of a case; `more` other cases are added before.
fn read(
    bench: &Bench,
    kind: &Kind,
    row: &str,
    make: fn(&Installation<'_>, &str) -> Template,
    more: usize,
) -> Result<()> {
    let installation = Installation::new(&bench.runtime, kind, &bench.folder)?;
    open_examples(&installation)?;
    let generator = bench.runtime.block_on(Generator::new(installation.store()?))?;
    bench
        .runtime
        .block_on(generator.add_cases_of("joe", SEARCHED_CASES))?;
    let number = bench.runtime.block_on(generator.add_cases_of("ruth", 1))?;
    bench.runtime.block_on(generator.add_members_with_cases(more))?;
    bench.runtime.block_on(generator.close());
    let server = installation.start()?;
    let limit = Limit::start(bench, kind)?;
    let template = make(&installation, &number);
    let answer = installation.send(&template)?;
    limit.keep(bench, &answer)?;
    let row = format!("{row}, answer of {} bytes, {}", answer.len(), kind.name());
    limit.compare(&row, &installation, &template, "/kept")?;
    limit.end(bench)?;
    server.stop()?;
    installation.delete()
}

/// Opens one approved and one pended case, from which others are copied.
pub fn open_examples(installation: &Installation<'_>) -> Result<()> {
    let server = installation.start()?;
    installation.send(&installation.submit(1, 0))?;
    let access = &installation.access;
    let pended = requests::pended(&Installation::messages(), &access.form, &access.backend);
    installation.send(&pended)?;
    server.stop()
}

/// The member's search.
pub fn search_request(installation: &Installation<'_>, _: &str) -> Template {
    let path = "/fhir/pdex/ExplanationOfBenefit?use=preauthorization";
    Template::with_token(path, &installation.access.app, None, "\"total\":6")
}

/// An inquiry by number.
pub fn inquiry(installation: &Installation<'_>, number: &str) -> Template {
    requests::inquire(&Installation::messages(), &installation.access.backend, number)
}

/// The queue page of a nurse.
pub fn queue_request(installation: &Installation<'_>, _: &str) -> Template {
    Template {
        path: "/staff".to_owned(),
        headers: vec![("cookie".to_owned(), installation.access.cookie.clone())],
        body: None,
        signing: None,
        contains: "/staff/cases/".to_owned(),
    }
}

/// The limit server with its own empty database.
struct Limit {
    server: LimitServer,
    database: Database,
}

impl Limit {
    fn start(bench: &Bench, kind: &Kind) -> Result<Self> {
        let database = bench.runtime.block_on(Database::create(kind, &bench.folder))?;
        let server = LimitServer::start(&database.url)?;
        Ok(Self { server, database })
    }

    fn end(self, bench: &Bench) -> Result<()> {
        drop(self.server);
        bench.runtime.block_on(self.database.delete())
    }

    /// Stores the text that `/kept` answers with.
    fn keep(&self, bench: &Bench, text: &str) -> Result<()> {
        let keep = Template::with_token("/keep", "", Some(text.to_owned()), "");
        let client = crate::client::HttpClient::new();
        let kept = bench
            .runtime
            .block_on(client.send(&self.server.address, &keep, None));
        kept.map(drop)
    }

    /// Prints one row for each number of connections.
    fn compare(
        &self,
        row: &str,
        installation: &Installation<'_>,
        template: &Template,
        path: &str,
    ) -> Result<()> {
        let least = LimitServer::request(path, template);
        for (connections, count) in LOADS {
            let limit = load(&self.server.address, &least, connections, count)?.per_second;
            let figures = installation.load(template, connections, count)?;
            println!(
                "| {row} | {connections} | {:.0} | {:.2} | {:.2} | {limit:.0} | 1/{:.1} |",
                figures.per_second,
                figures.p50_ms,
                figures.p99_ms,
                limit / figures.per_second
            );
        }
        Ok(())
    }
}
