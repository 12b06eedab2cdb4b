//! `assent demo`: the server with the demo plan. Everything that it generates stays in the data folder.

use super::{ServerAddress, invocation, print, startup};
use crate::config::{Config, Database};
use crate::demo::keys::SignIns;
use crate::demo::seed;
use crate::error::Result;
use crate::jobs::Reload;
use crate::publication::StartFrom;
use crate::store::create_private_folder;
use crate::telemetry;
use clap::Args;
use std::fmt::Write as _;
use std::path::Path;

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub(super) address: ServerAddress,
}

/// Stores the demo plan, prints addresses and sign-ins, and serves until it is stopped.
pub async fn run(mut config: Config, log: &str) -> Result<()> {
    let _flush = telemetry::start_logging(if log == "info" { "warn" } else { log })?;
    if !config.is_set("public_url") {
        config.public_url = format!("http://{}", super::serve::reachable(config.listen));
    }
    let listener = startup::listen(&config).await?;
    let data = config.data.clone();
    let mut app = startup::build(config, StartFrom::Folders).await?;
    create_private_folder(&data)?;
    app.reload = Reload::OnSignalAndChange;
    let sign_ins = seed::fill_plan(&app.state, &data).await?;
    print(&welcome(&app.state.config, &sign_ins, &invocation::program()));
    app.serve(listener, super::serve::stop_signal()).await
}

/// Addresses, sign-ins with passwords, where everything is, and the command that checks the server.
fn welcome(config: &Config, sign_ins: &SignIns, program: &str) -> String {
    let url = &config.public_url;
    let mut text = format!(
        "\n{name} is running at {url}\n\n  Staff pages      {url}/staff\n  Member pages     {url}/me\n  \
         CRD hooks        {url}/cds-services\n  PAS              {url}/pas/2.2/metadata\n  \
         DTR              {url}/dtr/2.2/metadata\n  Patient Access   {url}/fhir/pdex/metadata\n\n\
         Sign-ins (username, password, person):\n\n",
        name = config.payer.name
    );
    for (username, sign_in) in sign_ins {
        let _ = writeln!(text, "  {username:<8}{:<22}{}", sign_in.password, sign_in.who);
    }
    let database = match config.database() {
        Ok(Database::Sqlite(file)) => file.display().to_string(),
        _ => "PostgreSQL".to_owned(),
    };
    let [(_, policies), (_, forms)] = startup::sources(config);
    let places = [
        ("Database", database),
        ("Keys, passwords", config.data.display().to_string()),
        ("Mail as files", config.data.join("mail").display().to_string()),
        ("Policies", policies),
        ("Forms", forms),
    ];
    text.push_str("\nWhere everything is:\n\n");
    for (name, place) in places {
        let _ = writeln!(text, "  {name:<17}{place}");
    }
    let data = if config.data == Path::new("data") {
        String::new()
    } else {
        format!(" --data {}", config.data.display())
    };
    let _ = write!(
        text,
        "\nTo check this server end to end, run in another terminal:\n\n  {program} walk --server {url}{data}\n\n\
         Press Ctrl-C to stop the server.\n",
    );
    text
}
