//! `assent demo`: the same server with a small plan in it. Everything that is generated stays in the data folder.

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::keys::SignIns;
use crate::demo::seed;
use crate::error::Result;
use crate::jobs::Reload;
use crate::publication::Opening;
use crate::store::private_folder;
use crate::telemetry;
use std::fmt::Write as _;

/// Seeds what is missing, prints what to open, serves.
pub async fn run(config: Config, log: &str) -> Result<()> {
    telemetry::start_logging(if log == "info" { "warn" } else { log });
    private_folder(&config.data)?;
    let data = config.data.clone();
    let mut app = App::build_opening(config, Clock::System, Opening::Folders).await?;
    app.reload = Reload::OnSignalAndChange;
    let listener = app.listen().await?;
    let sign_ins = seed::run(&app.state, &data).await?;
    let text = welcome(&app.state.config, &sign_ins);
    #[expect(
        clippy::print_stdout,
        reason = "the demo speaks to the person at the terminal"
    )]
    {
        println!("{text}");
    }
    app.serve(listener, super::serve::stop_signal()).await
}

fn welcome(config: &Config, sign_ins: &SignIns) -> String {
    let url = &config.public_url;
    let mut text = format!(
        "\n{name} is open at {url}\n\n  reviewers   {url}/staff\n  members     {url}/me\n  hook        {url}/cds-services\n  \
         PAS         {url}/pas/2.2/metadata\n  DTR         {url}/dtr/2.2/metadata\n  member API  {url}/fhir/pdex/metadata\n\n",
        name = config.payer.name
    );
    for (username, sign_in) in sign_ins {
        let _ = writeln!(text, "  {username:<8}{:<22}{}", sign_in.password, sign_in.who);
    }
    let _ = write!(
        text,
        "\nKeys, passwords, mail and the database lie in {}. Mail is written to {}.\nTry: assent walk --server {url}\n",
        config.data.display(),
        config.data.join("mail").display()
    );
    text
}
