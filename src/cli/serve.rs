//! `assent serve`: the server, until it is told to stop.

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::telemetry;

/// Runs the server; SIGTERM or Ctrl-C let it finish what it has begun.
pub async fn run(config: Config, log: &str) -> Result<()> {
    telemetry::start_logging(log);
    let app = App::build(config, Clock::System).await?;
    let listener = app.listen().await?;
    tracing::info!(public_url = %app.state.config.public_url, "serving");
    app.serve(listener, stop_signal()).await
}

/// Asks this machine's server for `/readyz`.
pub async fn ask(config: &Config) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let failed = |e: std::io::Error| Error::unavailable(format!("the server does not answer: {e}"));
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
        Err(Error::unavailable("the server is not ready"))
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
