//! `assent serve` and `assent healthcheck`: the server, and a check of whether it is ready.

use super::{ServerAddress, startup};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::jobs::Reload;
use crate::publication::StartFrom;
use crate::telemetry;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Publish the policies and forms in the folders before serving; otherwise the server uses what was published last
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    pub(super) address: ServerAddress,
}

/// Runs the server. After SIGTERM or Ctrl-C it completes the requests in progress and stops. At SIGHUP it reads the
/// folders again and publishes them.
pub async fn run(command: Serve, config: Config, log: &str) -> Result<()> {
    let _flush = telemetry::start_logging(log)?;
    let start_from = if command.publish {
        StartFrom::Folders
    } else {
        StartFrom::LatestPublication
    };
    let listener = startup::listen(&config).await?;
    let [(_, policies), (_, forms)] = startup::sources(&config);
    let mut app = startup::build(config, start_from).await?;
    app.reload = Reload::OnSignal;
    let publication = app.state.policy_set().publication_number();
    tracing::info!(public_url = %app.state.config.public_url, publication, policies, forms, "serving");
    app.serve(listener, stop_signal()).await
}

/// Requests `/readyz` from the server on this machine; `Unavailable` when it does not reply with 200.
pub async fn check_health(config: &Config) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let unreachable = |e: std::io::Error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("No server responds at {}: {e}", config.listen),
        )
    };
    let mut stream = tokio::net::TcpStream::connect(reachable(config.listen))
        .await
        .map_err(unreachable)?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .map_err(unreachable)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.map_err(unreachable)?;
    if reply.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        let problems = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("The server is not ready: {problems}"),
        ))
    }
}

/// The address at which this machine reaches a server that listens on `listen`, which may be all addresses.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Completes at Ctrl-C or SIGTERM.
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
