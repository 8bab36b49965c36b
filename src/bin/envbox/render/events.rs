//! `--events`: what happens, as it happens, one JSON object a line, for the program that started this
//! one.
//!
//! The first line says `hello` and names the schema, the last one is the `result`. A thread writes, so
//! that a reader who is slow or gone holds nothing up: that is said once, and the rest is dropped.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use envbox::base::{Event, FsError, Reporter};
use envbox_sandbox::inherited_descriptor;
use jiff::Timestamp;
use serde::Serialize;

use crate::ambient::{self, AmbientError};
use crate::render;

/// The schema of the lines. A field never changes its meaning under the same number; readers pass
/// over types and fields that they do not know.
pub(crate) const SCHEMA: &str = "envbox.events/1";

/// The name of all that `docs/interface.md` promises.
pub(crate) const INTERFACE: &str = "envbox.interface/1";

/// How long a reader has for the rest when all is done.
const PATIENCE: Duration = Duration::from_secs(5);

/// The one stream of this program.
static STREAM: OnceLock<Stream> = OnceLock::new();

struct Stream {
    lines: Mutex<Option<Sender<Vec<u8>>>>,
    /// Ends when everything is written, or nothing can be.
    written: Mutex<Receiver<()>>,
    /// Whether the result was told.
    has_result: AtomicBool,
}

#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(flatten)]
    what: &'a T,
    time: Timestamp,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Frame<T> {
    Hello {
        schema: &'static str,
        interface: &'static str,
        envbox: &'static str,
        pid: u32,
    },
    Result {
        result: Option<T>,
    },
}

/// Opens the stream that `--events` names: `fd:N` or a file.
///
/// # Errors
/// Returns [`AmbientError`] when nothing can be meant by it, or the file cannot be written. That a
/// descriptor is closed is none.
pub(crate) fn open(named: &str) -> Result<(), AmbientError> {
    let writer = match named.strip_prefix("fd:") {
        Some(number) => match number.parse::<u16>() {
            // The step's own, and what a `--json` document goes to.
            Ok(number @ 3..) => descriptor(number),
            _ => {
                let found = named.to_owned();
                return Err(AmbientError::Events { found });
            }
        },
        None => {
            let path = ambient::absolute(named.as_ref())?;
            Some(File::create(&path).map_err(FsError::at("write", &path))?)
        }
    };
    let (lines, received) = channel();
    let (done, written) = channel();
    thread::spawn(move || {
        write(writer, received);
        drop(done);
    });
    let stream = Stream {
        lines: Mutex::new(Some(lines)),
        written: Mutex::new(written),
        has_result: AtomicBool::new(false),
    };
    if STREAM.set(stream).is_ok() {
        send(&Frame::<()>::Hello {
            schema: SCHEMA,
            interface: INTERFACE,
            envbox: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
        });
    }
    Ok(())
}

fn descriptor(number: u16) -> Option<File> {
    match inherited_descriptor(number) {
        Ok(descriptor) => Some(File::from(descriptor)),
        Err(error) => {
            lost(&error);
            None
        }
    }
}

fn write(mut writer: Option<File>, lines: Receiver<Vec<u8>>) {
    for line in lines {
        if let Some(file) = &mut writer
            && let Err(error) = file.write_all(&line)
        {
            lost(&error);
            writer = None;
        }
    }
}

fn lost(error: &io::Error) {
    render::warning(&format!("`--events` cannot be written to: {error}"));
}

fn send(what: &impl Serialize) {
    let Some(stream) = STREAM.get() else {
        return;
    };
    let time = ambient::now();
    let mut line = serde_json::to_vec(&Line { what, time }).expect("all keys are text");
    line.push(b'\n');
    let lines = stream.lines.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lines) = &*lines {
        // The thread ends after its sender only.
        let _ends = lines.send(line);
    }
}

/// Tells the result, if nothing else was told to be it.
pub(crate) fn result(document: &impl Serialize) {
    let told = |stream: &Stream| stream.has_result.swap(true, Ordering::SeqCst);
    if STREAM.get().is_some_and(|stream| !told(stream)) {
        send(&Frame::Result {
            result: Some(document),
        });
    }
}

/// Sees to it that the result is the last line, and waits until the reader has it.
pub(crate) fn finish() {
    let Some(stream) = STREAM.get() else {
        return;
    };
    if !stream.has_result.swap(true, Ordering::SeqCst) {
        send(&Frame::<()>::Result { result: None });
    }
    let lines = stream
        .lines
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if lines.is_none() {
        return;
    }
    drop(lines);
    let written = stream
        .written
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = written.recv_timeout(PATIENCE) {
        render::warning("nobody reads what `--events` writes; the rest of it is dropped");
    }
}

/// Returns a reporter that tells the stream what it tells `other`.
pub(crate) fn reporter(other: Arc<dyn Reporter>) -> Arc<dyn Reporter> {
    match STREAM.get() {
        Some(_) => Arc::new(Both(other)),
        None => other,
    }
}

struct Both(Arc<dyn Reporter>);

impl Reporter for Both {
    fn report(&self, event: Event) {
        // Bytes are for bars: each transfer would be thousands of lines.
        let bytes = matches!(
            event,
            Event::DownloadProgress { .. } | Event::UploadProgress { .. }
        );
        // Nothing may follow the result.
        let ended = STREAM
            .get()
            .is_none_or(|stream| stream.has_result.load(Ordering::SeqCst));
        if !bytes && !ended {
            send(&event);
        }
        self.0.report(event);
    }
}
