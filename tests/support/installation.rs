//! Runs the real binary in a temporary folder: commands to their end, and servers as child processes.

use super::{Folders, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A temporary folder, a port and settings for the binary.
pub struct Installation {
    pub folder: TempDir,
    pub port: u16,
    settings: Vec<(String, String)>,
}

impl Installation {
    /// An installation with the shipped policies and forms, and an SQLite database that does not exist yet.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let root = env!("CARGO_MANIFEST_DIR");
        let database = format!("sqlite:{}", folder.path().join("plan/assent.db").display());
        let mut installation = Self {
            folder,
            port,
            settings: Vec::new(),
        };
        installation.set("DATABASE", &database);
        installation.set("LISTEN", &format!("127.0.0.1:{port}"));
        installation.set("PUBLIC_URL", &format!("http://127.0.0.1:{port}"));
        installation.set("RULES", &format!("{root}/rules"));
        installation.set("FORMS", &format!("{root}/questionnaires"));
        installation
    }

    /// Sets the environment variable `ASSENT_{name}` for the binary.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings
            .retain(|(other, _)| other != &format!("ASSENT_{name}"));
        self.settings.push((format!("ASSENT_{name}"), value.to_owned()));
    }

    /// Writes a file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary with these arguments, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASSENT_")) {
            command.env_remove(name);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end; returns exit code, standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        result_of(&self.command(arguments).output().unwrap())
    }

    /// Like `run`, with this text on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        result_of(&child.wait_with_output().unwrap())
    }

    /// Gives the installation its own copies of the policies and forms, which a test may edit.
    pub fn editable_folders(&mut self) -> Folders {
        let folders = Folders::shipped(self.folder.path());
        folders.make_editable();
        self.set("RULES", &folders.rules.display().to_string());
        self.set("FORMS", &folders.forms.display().to_string());
        folders
    }

    /// Starts `serve` and waits until it is ready.
    pub fn serve(&self) -> Server {
        self.start(&["serve"])
    }

    /// Removes a setting that [`Installation::new`] made.
    pub fn unset(&mut self, name: &str) {
        self.settings
            .retain(|(other, _)| other != &format!("ASSENT_{name}"));
    }

    /// Starts `serve` or `demo` with these arguments and waits until the server is ready.
    pub fn start(&self, arguments: &[&str]) -> Server {
        self.start_and_wait_for(arguments, "GET /readyz HTTP/1.1")
    }

    /// Starts `serve` and waits until it answers, also when it is not ready.
    pub fn serve_without_being_ready(&self) -> Server {
        self.start_and_wait_for(&["serve"], "GET /healthz HTTP/1.1")
    }

    fn start_and_wait_for(&self, arguments: &[&str], probe: &str) -> Server {
        let log = self.folder.path().join(format!("log-{}", self.port));
        let file = std::fs::File::create(&log).unwrap();
        let child = self
            .command(arguments)
            .stderr(file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server {
            child,
            port: self.port,
            log,
        };
        let began = Instant::now();
        while server
            .try_request(probe, "")
            .is_none_or(|reply| !reply.starts_with("HTTP/1.1 200"))
        {
            let exited = server.child.try_wait().unwrap();
            assert!(exited.is_none(), "the server exited: {}", server.log());
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "the server is not ready after 60 seconds: {}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

fn result_of(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A running server; it is killed when dropped.
pub struct Server {
    pub child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// A process that was started in another way, on this port and without a log file.
    pub fn of(child: Child, installation: &Installation) -> Self {
        Self {
            child,
            port: installation.port,
            log: PathBuf::new(),
        }
    }

    /// Waits until the server answers a request.
    pub fn wait_for_answer(&self) {
        let began = Instant::now();
        while self.try_request("GET /healthz HTTP/1.1", "").is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no answer after 60 seconds"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request, given as request line and header lines; returns the whole response.
    pub fn request(&self, line: &str, headers: &str) -> String {
        self.try_request(line, headers).expect("a response")
    }

    fn try_request(&self, line: &str, headers: &str) -> Option<String> {
        let mut stream = self.connect().ok()?;
        write!(
            stream,
            "{line}\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        )
        .ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        Some(response)
    }

    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(stream)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGHUP.
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    /// The body of `/readyz`.
    pub fn readiness(&self) -> serde_json::Value {
        let response = self.request("GET /readyz HTTP/1.1", "");
        serde_json::from_str(response.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// Waits until the body of `/readyz` meets a condition; returns the body.
    pub fn wait_until_ready(&self, condition: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let began = Instant::now();
        loop {
            let body = self.readiness();
            if condition(&body) {
                return body;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "after 30 seconds /readyz is {body}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until the server exits; returns its exit code.
    pub fn wait_for_exit(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the server did not exit within 30 seconds: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
