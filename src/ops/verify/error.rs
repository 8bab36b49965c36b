//! Why nothing could be verified.

use std::io;
use std::path::PathBuf;

use envbox_lockfiles::base::{Explain, FsError, Kind};

use crate::record::{JournalError, RunId};

/// The runs could not be made, or not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// One run is compared with nothing.
    #[error("one run has nothing to be compared with")]
    OneRun,
    /// The runs would write to one place.
    #[error("the runs would write to `{}`, and see what those before them wrote", path.display())]
    WritableBind {
        /// What they are to see.
        path: PathBuf,
    },
    /// envbox failed before or around a step.
    #[error("a run failed before or around the step: {message}{}", lines(causes))]
    Run {
        /// What it says.
        message: String,
        /// Why.
        causes: Vec<String>,
        /// What to do.
        hints: Vec<String>,
    },
    /// A run ended without saying how.
    #[error("a run ended without a result: {status}{}", lines(said))]
    NoResult {
        /// How it ended.
        status: String,
        /// What it said last.
        said: Vec<String>,
    },
    /// A result file is malformed.
    #[error("failed to read `{}` as the result of a run: {reason}", file.display())]
    Result {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A run could not be started.
    #[error("failed to start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A run took much longer than others of the same step.
    #[error("a run was given up after {} s", seconds)]
    TooLong {
        /// How long it had.
        seconds: u64,
    },
    /// What a step prints could not be read.
    #[error("failed to read what the step prints")]
    Capture(#[source] io::Error),
    /// The caller was told to stop.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The record cannot be had.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The record cannot be compared with.
    #[error("the run {run} {reason}")]
    Record {
        /// The recorded run.
        run: RunId,
        /// What is with it.
        reason: &'static str,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
}

/// Errors of another process come as text.
fn lines(more: &[String]) -> String {
    more.iter().map(|line| format!(": {line}")).collect()
}

impl Explain for VerifyError {
    fn kind(&self) -> Kind {
        match self {
            Self::OneRun | Self::WritableBind { .. } | Self::Record { .. } => Kind::User,
            Self::Journal(error) => error.kind(),
            Self::Result { .. } => Kind::Internal,
            Self::File(error) => error.kind(),
            _ => Kind::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::OneRun => vec![
                "run it twice or more, `-n 2`, or compare with a recorded run: `--against FILE`"
                    .to_owned(),
            ],
            Self::WritableBind { .. } => {
                vec!["bind it with `--bind`, and let the step write to the project".to_owned()]
            }
            Self::Run { hints, .. } => hints.clone(),
            Self::Journal(error) => error.hints(),
            Self::Record { .. } => {
                vec!["compare with another: `envbox run --record FILE` makes one".to_owned()]
            }
            Self::File(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
