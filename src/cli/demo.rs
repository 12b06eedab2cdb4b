//! `assent demo`: the server with the demo plan. Everything that it generates stays in the data folder.

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::keys::SignIns;
use crate::demo::seed;
use crate::error::Result;
use crate::jobs::Reload;
use crate::publication::StartFrom;
use crate::store::create_private_folder;
use crate::telemetry;
use std::fmt::Write as _;

/// Stores the demo plan, prints addresses and sign-ins, and serves until it is stopped.
pub async fn run(config: Config, log: &str) -> Result<()> {
    telemetry::start_logging(if log == "info" { "warn" } else { log });
    create_private_folder(&config.data)?;
    let data = config.data.clone();
    let mut app = App::build_starting_from(config, Clock::System, StartFrom::Folders).await?;
    app.reload = Reload::OnSignalAndChange;
    let listener = app.listen().await?;
    let sign_ins = seed::fill_plan(&app.state, &data).await?;
    let text = welcome(&app.state.config, &sign_ins);
    #[expect(clippy::print_stdout, reason = "a command writes to the terminal")]
    {
        println!("{text}");
    }
    app.serve(listener, super::serve::stop_signal()).await
}

/// Addresses, sign-ins with passwords, and where the files are.
fn welcome(config: &Config, sign_ins: &SignIns) -> String {
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
    let _ = write!(
        text,
        "\nKeys, passwords and the database are in {}. Mail is written to files in {}.\n\
         To check this server end to end, run: assent walk --server {url}\n",
        config.data.display(),
        config.data.join("mail").display()
    );
    text
}
