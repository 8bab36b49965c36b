//! Progress, told to whoever embeds the library.

use crate::base::Digest;

/// Something that happened while a stage worked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A stage began: `resolve python`, `fetch`, `build`.
    StageStarted {
        /// Its name.
        stage: String,
        /// How many items it has, when that is known.
        total: Option<u64>,
    },
    /// A stage ended well.
    StageFinished {
        /// Its name.
        stage: String,
    },
    /// A download began.
    DownloadStarted {
        /// The file name.
        file: String,
        /// The size in bytes, from the lock.
        size: u64,
    },
    /// Bytes of a download arrived.
    DownloadProgress {
        /// The file name.
        file: String,
        /// How many more bytes are there.
        bytes: u64,
    },
    /// A download is complete and verified.
    DownloadFinished {
        /// The file name.
        file: String,
        /// Its digest.
        digest: Digest,
    },
    /// An upload began.
    UploadStarted {
        /// What is sent.
        file: String,
        /// The size in bytes.
        size: u64,
    },
    /// Bytes of an upload were sent.
    UploadProgress {
        /// What is sent.
        file: String,
        /// How many more bytes were sent.
        bytes: u64,
    },
    /// The registry has the whole upload.
    UploadFinished {
        /// What was sent.
        file: String,
        /// Its digest.
        digest: Digest,
    },
    /// One item of a stage is done.
    ItemFinished {
        /// The stage.
        stage: String,
        /// The item.
        item: String,
    },
    /// The step runs.
    StepStarted {
        /// The run's name, if runs have one.
        run: Option<String>,
        /// The process that everything of the step ends with: pid 1 of its namespace, as the host
        /// numbers it.
        pid: u32,
    },
    /// The step ended, and nothing of it is left. Its outputs are not home yet.
    StepEnded {
        /// The run's name, if runs have one.
        run: Option<String>,
        /// The status that it ended with, if not by a signal.
        code: Option<u8>,
        /// The signal that it ended by.
        signal: Option<i32>,
    },
    /// Something the user should know although nothing failed.
    Warning {
        /// One sentence.
        message: String,
    },
}

/// Receives events; called from several threads.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Throws every event away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event) {}
}
