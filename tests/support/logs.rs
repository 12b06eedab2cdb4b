//! The log lines of one test. Tracing keeps one cache of call sites for the whole process, so a subscriber that a test
//! installs for its own thread can lose lines when another thread reaches a call site first. All tests therefore share
//! one global subscriber that asks, line by line, whether somebody captures.

use super::query_plans::Recorder;
use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use tracing_subscriber::filter::{dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

type Lines = Arc<Mutex<Vec<u8>>>;

/// How many captures are active in the process.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
/// Lines of threads without a capture of their own (database threads), written while any capture was active.
static OTHER_THREADS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Installs the subscriber of the process, which also records the statements that the server runs.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let capturing = dynamic_filter_fn(|metadata, _| {
            *metadata.level() <= tracing::Level::DEBUG && ACTIVE.load(Ordering::Relaxed) > 0
        })
        .with_max_level_hint(tracing::level_filters::LevelFilter::DEBUG);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(Router)
            .with_filter(capturing);
        let recorder = Recorder.with_filter(filter_fn(|metadata| metadata.target() == "sqlx::query"));
        let subscriber = tracing_subscriber::registry().with(lines).with(recorder);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// Captures what the current thread logs, at every level down to debug, until it is dropped.
pub struct CapturedLogs(Lines);

impl CapturedLogs {
    /// Starts the capture. Tests run on one thread each, with their tasks.
    pub fn start() -> Self {
        install();
        let own = Lines::default();
        OWN.with_borrow_mut(|slot| *slot = Some(own.clone()));
        ACTIVE.fetch_add(1, Ordering::Relaxed);
        Self(own)
    }

    /// What this thread has logged so far.
    pub fn own(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// What this thread and the threads without a capture have logged so far.
    pub fn with_other_threads(&self) -> String {
        self.own() + &String::from_utf8_lossy(&OTHER_THREADS.lock().unwrap())
    }
}

impl Drop for CapturedLogs {
    fn drop(&mut self) {
        OWN.with_borrow_mut(|slot| *slot = None);
        ACTIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes each line to the capture of the thread that logs it.
struct Router;

impl MakeWriter<'_> for Router {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for Router {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        OWN.with_borrow(|own| {
            let lines: &Mutex<Vec<u8>> = own.as_deref().unwrap_or(&OTHER_THREADS);
            lines.lock().unwrap().extend_from_slice(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
