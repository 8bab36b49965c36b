//! A run, and one that was recorded before.

use serde::Serialize;

use crate::ops::verify::compare::same_content;
use crate::ops::verify::outcome::{Output, State};
use crate::ops::verify::runner::Ran;
use crate::ops::verify::{Difference, Ignored, VerifyError};
use crate::record::{self, BlockComparison, BlockName, EntryType, RunId, RunRecord};

/// A comparison with a run that was recorded before.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Against {
    /// The recorded run.
    pub run: RunId,
    /// What it stood on, compared with what the first run here stood on, the highest block first.
    pub blocks: Vec<BlockComparison>,
    /// The lowest block that differs: it may be why all above differ.
    pub lowest: Option<BlockName>,
    /// Outputs that differ, sorted.
    pub differences: Vec<Difference>,
}

impl Against {
    /// Says what of the lowest block that differs the step could see, for people.
    pub fn moved(&self) -> Option<String> {
        let lowest = self.lowest?;
        let block = self.blocks.iter().find(|block| block.block == lowest)?;
        let seen = block.seen.iter().map(|one| {
            let text = |value: &Option<String>| value.clone().unwrap_or("nothing".to_owned());
            format!("{}: {}; now {}", one.name, text(&one.old), text(&one.new))
        });
        let seen: Vec<String> = seen.collect();
        Some(format!("{} ({})", lowest.name(), seen.join("; ")))
    }
}

/// Checks that a record can be compared with at all.
pub(super) fn usable(record: &RunRecord) -> Result<(), VerifyError> {
    let refused = |reason| {
        let run = record.run;
        Err(VerifyError::Record { run, reason })
    };
    match &record.ended {
        None => refused("never came to its end"),
        Some(ended) if ended.outputs.is_none() => refused("did not note its outputs"),
        Some(_) => Ok(()),
    }
}

/// Compares a run with a record.
pub(super) fn with_record(
    record: &RunRecord,
    own: &RunRecord,
    ran: &Ran,
    ignored: &Ignored,
) -> Against {
    let compared = record::compare(record, own);
    let outputs = compared.outputs.into_iter().flatten().map(|one| {
        let state = |output: &Option<record::Output>| output.as_ref().map(State::from);
        difference(Output::File(one.path), state(&one.old), state(&one.new))
    });
    let exit = compared.ended.into_iter().map(|one| {
        let state = |status: Option<String>| status.map(|status| State::Exit { status });
        difference(Output::Exit, state(one.old), state(one.new))
    });
    let printed = record.ended.iter().flat_map(|ended| {
        let streams = [
            (Output::Stdout, ended.stdout),
            (Output::Stderr, ended.stderr),
        ];
        streams.into_iter().filter_map(|(output, stream)| {
            // What was not looked at then cannot be compared now.
            let stream = stream?;
            let old = State::Stream {
                digest: stream.sha256,
                size: stream.size,
            };
            let new = ran.outcome.outputs.get(&output).cloned();
            (new.as_ref() != Some(&old)).then(|| difference(output, Some(old), new))
        })
    });
    let all = exit.chain(printed).chain(outputs);
    Against {
        run: record.run,
        lowest: compared.lowest,
        blocks: compared.blocks,
        differences: all.filter(|one| !ignored.has(&one.output)).collect(),
    }
}

fn difference(output: Output, first: Option<State>, then: Option<State>) -> Difference {
    Difference {
        output,
        metadata_only: same_content(first.as_ref(), then.as_ref()),
        first,
        then,
        explanation: None,
    }
}

impl From<&record::Output> for State {
    fn from(output: &record::Output) -> Self {
        let mode = || output.mode.clone().unwrap_or_default();
        match (output.kind, output.r#type) {
            (record::ChangeKind::Deleted, _) => Self::Deleted,
            (_, EntryType::Directory) => Self::Directory { mode: mode() },
            (_, EntryType::Symlink) => Self::Symlink {
                target: output.target.clone().unwrap_or_default(),
            },
            (_, EntryType::File | EntryType::Special) => match (output.sha256, output.size) {
                (Some(digest), Some(size)) => Self::File {
                    digest,
                    size,
                    mode: mode(),
                },
                _ => Self::Refused {
                    reason: "its content was not noted".to_owned(),
                },
            },
        }
    }
}
