//! What the machine offers to the tests: settings of the test run, programs, free ports.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// An environment variable that configures the test run; an empty one counts as unset.
pub fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    let value = std::env::var(name).ok();
    value.filter(|value| !value.is_empty())
}

/// The path of chromedriver, if it is installed.
pub fn chromedriver() -> Option<PathBuf> {
    let path = setting("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("chromedriver"))
        .find(|file| file.is_file())
}

/// A port on loopback that no other test of this process gets. The system's own choice (port 0) would not do: it may
/// give the same port to another test between this call and the start of the server. The ports lie below the range
/// from which the system chooses.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
