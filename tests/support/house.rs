//! The real binary in a folder of its own: commands that end, servers that are children of this process.

use super::Folders;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder, a port and settings for the binary.
pub struct House {
    pub folder: TempDir,
    pub port: u16,
    settings: Vec<(String, String)>,
}

impl House {
    /// An empty embedded database.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let root = env!("CARGO_MANIFEST_DIR");
        let database = format!("sqlite:{}", folder.path().join("plan/assent.db").display());
        let mut house = Self {
            folder,
            port,
            settings: Vec::new(),
        };
        house.set("DATABASE", &database);
        house.set("LISTEN", &format!("127.0.0.1:{port}"));
        house.set("PUBLIC_URL", &format!("http://127.0.0.1:{port}"));
        house.set("RULES", &format!("{root}/rules"));
        house.set("FORMS", &format!("{root}/questionnaires"));
        house
    }

    /// Sets `ASSENT_…`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings
            .retain(|(other, _)| other != &format!("ASSENT_{name}"));
        self.settings.push((format!("ASSENT_{name}"), value.to_owned()));
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, not started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASSENT_")) {
            command.env_remove(name);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn run(&self, words: &[&str]) -> (i32, String, String) {
        told(&self.command(words).output().unwrap())
    }

    /// Runs a command that reads a line.
    pub fn run_with_line(&self, words: &[&str], line: &str) -> (i32, String, String) {
        let mut command = self.command(words);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        told(&child.wait_with_output().unwrap())
    }

    /// Folders of policies and forms of its own, which a test may change.
    pub fn own_folders(&mut self) -> Folders {
        let folders = Folders::shipped(self.folder.path());
        folders.make_own();
        self.set("RULES", &folders.rules.display().to_string());
        self.set("FORMS", &folders.forms.display().to_string());
        folders
    }

    /// Starts `serve` and waits until it is ready.
    pub fn serve(&self) -> Server {
        self.start(&["serve"])
    }

    /// Starts a command that serves and waits until it is ready.
    pub fn start(&self, words: &[&str]) -> Server {
        let log = self.folder.path().join(format!("log-{}", self.port));
        let file = std::fs::File::create(&log).unwrap();
        let child = self
            .command(words)
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
            .try_ask("GET /readyz HTTP/1.1", "")
            .is_none_or(|answer| !answer.starts_with("HTTP/1.1 200"))
        {
            let over = server.child.try_wait().unwrap();
            assert!(over.is_none(), "the server ended: {}", server.log());
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "the server is not ready: {}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A running server; killed when dropped.
pub struct Server {
    pub child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// One request by its first line, with more header lines; the whole answer.
    pub fn ask(&self, line: &str, headers: &str) -> String {
        self.try_ask(line, headers).expect("an answer")
    }

    fn try_ask(&self, line: &str, headers: &str) -> Option<String> {
        let mut stream = self.connect().ok()?;
        write!(
            stream,
            "{line}\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(stream)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        self.signal("-TERM");
    }

    /// SIGHUP.
    pub fn ask_to_reload(&self) {
        self.signal("-HUP");
    }

    /// The whole answer of `/readyz`.
    pub fn ready(&self) -> serde_json::Value {
        let answer = self.ask("GET /readyz HTTP/1.1", "");
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// Waits until `/readyz` is as wanted.
    pub fn until_ready(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let began = Instant::now();
        loop {
            let ready = self.ready();
            if wanted(&ready) {
                return ready;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it stays {ready}: {}",
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

    /// Waits for its end.
    pub fn end(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it does not end: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
