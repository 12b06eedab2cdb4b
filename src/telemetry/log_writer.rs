//! Writes log lines on a thread of its own. A line that cannot be written is dropped and counted: a closed pipe, a full
//! disk or a reader that has stopped never delays or ends a request.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait for the thread.
const MAX_WAITING: usize = 8192;
/// About how many bytes are written in one call.
const MAX_BYTES: usize = 64 * 1024;
/// How long the end of the process waits for the last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Answered when every earlier line was written or dropped.
    Flush(SyncSender<()>),
}

/// Passes lines to the thread. Never waits and never fails.
#[derive(Debug, Clone)]
pub(super) struct LogWriter(SyncSender<Message>);

/// Waits for the last lines when it is dropped, for at most a second.
#[derive(Debug)]
pub struct LogFlush(SyncSender<Message>);

impl LogWriter {
    /// Starts the thread, which writes to `target`.
    pub(super) fn start(target: impl Write + Send + 'static) -> io::Result<(Self, LogFlush)> {
        let (sender, receiver) = mpsc::sync_channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, target))?;
        Ok((Self(sender.clone()), LogFlush(sender)))
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.0.try_send(Message::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => count_dropped(1, "slow"),
            Err(TrySendError::Disconnected(_)) => count_dropped(1, "failed"),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for LogFlush {
    fn drop(&mut self) {
        let (done, flushed) = mpsc::sync_channel(1);
        if self.0.try_send(Message::Flush(done)).is_ok() {
            // The lines that are not written by now are lost; the process must end.
            let _: Result<(), RecvTimeoutError> = flushed.recv_timeout(FLUSH_LIMIT);
        }
    }
}

fn count_dropped(lines: u64, reason: &'static str) {
    metrics::counter!("assent_log_lines_dropped_total", "reason" => reason).increment(lines);
}

/// Writes lines until the last sender is gone, several in one call when several wait.
fn write_lines(receiver: &Receiver<Message>, mut target: impl Write) {
    let mut text = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut lines = 0;
        let mut flush = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => {
                    lines += 1;
                    text.extend_from_slice(&line);
                }
                Message::Flush(done) => {
                    flush = Some(done);
                    break;
                }
            }
            if text.len() >= MAX_BYTES {
                break;
            }
            next = receiver.try_recv().ok();
        }
        if target.write_all(&text).and_then(|()| target.flush()).is_err() {
            count_dropped(lines, "failed");
        }
        text.clear();
        if let Some(done) = flush {
            // The process may have stopped waiting.
            let _ = done.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_end() {
        let written = Written::default();
        let (mut writer, flush) = LogWriter::start(written.clone()).unwrap();
        for n in 0..1000 {
            writeln!(writer, "line {n}").unwrap();
        }
        drop(flush);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert!(text.starts_with("line 0\n") && text.ends_with("line 999\n"));
    }

    /// A pipe whose reader is gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_is_no_error_for_the_one_who_logs() {
        let (mut writer, flush) = LogWriter::start(Closed).unwrap();
        for _ in 0..10 {
            writeln!(writer, "line").unwrap();
        }
        drop(flush);
    }

    /// A reader that never reads: the first write waits until the other end is dropped.
    struct Stopped(Receiver<()>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_stopped_delays_nobody() {
        let (resume, stopped) = mpsc::channel();
        let (mut writer, flush) = LogWriter::start(Stopped(stopped)).unwrap();
        for _ in 0..3 * MAX_WAITING {
            writeln!(writer, "line").unwrap();
        }
        drop(resume);
        drop(flush);
    }
}
