//! `assent serve`: the server, until it is told to stop.

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::jobs::Reload;
use crate::publication::Opening;
use crate::telemetry;
use clap::Args;

/// How the server starts.
#[derive(Debug, Args)]
pub struct Serve {
    /// Publishes the folders of policies and forms instead of starting with the set that was published last
    #[arg(long)]
    publish: bool,
}

/// Runs the server; SIGTERM or Ctrl-C let it finish what it has begun, SIGHUP lets it read the folders again.
pub async fn run(command: Serve, config: Config, log: &str) -> Result<()> {
    telemetry::start_logging(log);
    let opening = if command.publish {
        Opening::Folders
    } else {
        Opening::Stored
    };
    let mut app = App::build_opening(config, Clock::System, opening).await?;
    app.reload = Reload::OnSignal;
    let listener = app.listen().await?;
    tracing::info!(public_url = %app.state.config.public_url, "serving");
    app.serve(listener, stop_signal()).await
}

/// Asks this machine's server for `/readyz`.
pub async fn ask(config: &Config) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let failed =
        |e: std::io::Error| Error::new(Kind::Unavailable, format!("The server does not answer: {e}"));
    let mut stream = tokio::net::TcpStream::connect(config.listen)
        .await
        .map_err(failed)?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(failed)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(Error::new(Kind::Unavailable, "The server is not ready"))
    }
}

/// Comes when the process is asked to stop.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
