//! The measured server: the real binary in a process of its own, so that its processor time, memory and writes can be
//! read from `/proc`.

use assent::error::{Error, Result};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to start.
const START_LIMIT: Duration = Duration::from_secs(600);
/// How long the server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// The unit of processor times in `/proc`, per second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server.
pub struct Server {
    child: Child,
    /// Its IP address and port.
    pub address: String,
    /// From the start of the process until `/readyz` answered 200.
    pub start_up: Duration,
}

/// What a process has written so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Writes {
    /// Calls of the operating system.
    pub calls: u64,
    /// Bytes sent to the disk, in whole pages.
    pub disk_bytes: u64,
}

impl Server {
    /// Starts the server with this database and mail transport, and waits until it is ready. Log lines go to a file in
    /// `data`.
    pub fn start(database: &str, data: &Path, address: &str, mail: &str) -> Result<Self> {
        let root = env!("CARGO_MANIFEST_DIR");
        let log = std::fs::File::create(data.join("server.log")).map_err(Error::internal)?;
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASSENT_")) {
            command.env_remove(name);
        }
        let child = command
            .arg("serve")
            .env("ASSENT_DATABASE", database)
            .env("ASSENT_DATA", data)
            .env("ASSENT_LISTEN", address)
            .env("ASSENT_PUBLIC_URL", format!("http://{address}"))
            .env("ASSENT_RULES", format!("{root}/rules"))
            .env("ASSENT_FORMS", format!("{root}/questionnaires"))
            .env("ASSENT_MAIL__TRANSPORT", mail)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::internal)?;
        let mut server = Self {
            child,
            address: address.to_owned(),
            start_up: Duration::ZERO,
        };
        while !server.is_ready() {
            let exited = server.child.try_wait().map_err(Error::internal)?.is_some();
            if exited || began.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(data.join("server.log")).unwrap_or_default();
                return Err(Error::internal(format!("the server did not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.start_up = began.elapsed();
        Ok(server)
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply)?;
            Ok(reply)
        };
        ask().is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// The processor time that the process has used, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        // The name of the process is in parentheses; utime and stime are the 12th and 13th field after it.
        let stat = self.proc("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u32 = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();
        f64::from(ticks) / TICKS_PER_SECOND
    }

    /// The resident memory in megabytes.
    pub fn resident_mb(&self) -> f64 {
        number_after(&self.proc("status"), "VmRSS:") as f64 * 1024.0 / 1e6
    }

    /// What the process has written so far.
    pub fn writes(&self) -> Writes {
        let io = self.proc("io");
        Writes {
            calls: number_after(&io, "syscw:"),
            disk_bytes: number_after(&io, "\nwrite_bytes:"),
        }
    }

    /// Stops the server as an operator does and waits until it has ended.
    pub fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .map_err(Error::internal)?;
        let began = Instant::now();
        while self.child.try_wait().map_err(Error::internal)?.is_none() {
            if began.elapsed() > STOP_LIMIT {
                return Err(Error::internal("the server did not stop"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number that follows a name in a file of `/proc`.
fn number_after(text: &str, name: &str) -> u64 {
    let rest = text.split(name).nth(1).unwrap_or_default();
    rest.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
