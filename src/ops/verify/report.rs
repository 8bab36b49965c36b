//! What was found, for people and programs.

use std::ffi::OsString;

use envbox_lockfiles::base::Digest;
use serde::{Serialize, Serializer};

use crate::ops::run::lossy;
use crate::ops::verify::drawn::is_told;
use crate::ops::verify::outcome::{Output, State};
use crate::ops::verify::{Against, Difference, Drawn, Variation};

/// The schema of the document. A field never changes its meaning under the same number; readers
/// pass fields by that they do not know.
const SCHEMA: &str = "envbox.verify/1";

/// Whether a step does the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every run left the same.
    Identical,
    /// Two runs, or a run and the record, left different outputs.
    Diverged,
    /// Every run failed in the same way: there is nothing that could be trusted.
    Failed,
}

/// Why runs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// They differ when these are varied together, and not without any of them.
    Varied {
        /// What was varied.
        variations: Vec<Variation>,
    },
    /// They differ when nothing is varied, and not with one processor: threads or processes race.
    Threads,
    /// They differ when nothing is varied.
    Itself,
}

/// A run that was made.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Its number, from 0.
    pub run: u32,
    /// What was varied.
    pub varied: Vec<Variation>,
    /// How many processors the step saw, where that was not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Whether what it drew was counted.
    pub audited: bool,
    /// How the step ended.
    pub exit: String,
    /// Whether it left what the run left that it was compared with.
    pub agrees: bool,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
}

/// What became of a variation.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VariationReport {
    /// Its name.
    pub variation: Variation,
    /// What is done.
    pub what: &'static str,
    /// Whether the caller wants it.
    pub wanted: bool,
    /// Whether it was done.
    pub applied: bool,
    /// Why not, or what of it not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a run left, output by output.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OutputReport {
    /// Which output.
    #[serde(flatten)]
    pub output: Output,
    /// What it was in the first run.
    pub state: State,
}

/// What was found.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Whether the step does the same each time.
    pub verdict: Verdict,
    /// The command.
    #[serde(serialize_with = "argv")]
    pub argv: Vec<OsString>,
    /// The digest of the lockfile.
    pub lock: Digest,
    /// What differed between runs, sorted.
    pub differences: Vec<Difference>,
    /// Why, if that was looked for.
    pub cause: Option<Cause>,
    /// What can be behind it, likeliest first: what the step drew from sources that are not held.
    pub suspects: Vec<Drawn>,
    /// The comparison with a record, if there was one.
    pub against: Option<Against>,
    /// What the first run said last on standard error, where it failed.
    pub said: Vec<String>,
    /// What the first run left, sorted.
    pub outputs: Vec<OutputReport>,
    /// What was varied, and what could not be.
    pub variations: Vec<VariationReport>,
    /// Every run.
    pub runs: Vec<RunSummary>,
    /// What the step's own code drew, held or not, and what seeds the modules that it imports.
    pub drawn: Vec<Drawn>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_audited: Option<String>,
}

fn argv<S: Serializer>(argv: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    lossy(argv, serializer)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    envbox: &'static str,
    exit_code: u8,
    #[serde(flatten)]
    report: &'a VerifyReport,
}

impl VerifyReport {
    /// Returns the document that `--json` gives.
    pub fn document(&self) -> impl Serialize + '_ {
        Document {
            schema: SCHEMA,
            envbox: env!("CARGO_PKG_VERSION"),
            exit_code: self.exit_code(),
            report: self,
        }
    }

    /// Returns the code to exit with: 0 when runs are identical, 1 when they diverged, 2 when
    /// nothing can be said because the step failed.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Identical => 0,
            Verdict::Diverged => 1,
            Verdict::Failed => 2,
        }
    }

    /// Returns how the step ended in the first run.
    pub fn exit(&self) -> String {
        let exit = self.outputs.iter().find(|one| one.output == Output::Exit);
        exit.map_or(String::new(), |exit| exit.state.to_string())
    }

    /// Returns everything that differed: between runs, and from the record.
    pub fn all_differences(&self) -> impl Iterator<Item = &Difference> {
        let against = self.against.iter().flat_map(|against| &against.differences);
        self.differences.iter().chain(against)
    }

    /// Returns the verdict and its cause in one sentence, for people.
    pub fn sentence(&self) -> String {
        let runs = self.runs.len();
        match (&self.verdict, &self.cause) {
            (Verdict::Identical, _) if runs == 1 => "the run left what the record has".to_owned(),
            (Verdict::Identical, _) => format!("{runs} runs left the same"),
            (Verdict::Failed, _) => format!(
                "the step fails, in the same way each time: exit status {}",
                self.exit()
            ),
            (_, Some(Cause::Varied { variations })) => {
                let names = variations.iter();
                let names: Vec<String> = names
                    .map(|one| format!("{} ({})", one.name(), one.what()))
                    .collect();
                format!("runs differ with: {}", names.join("; "))
            }
            (_, Some(Cause::Threads)) => {
                "runs differ although nothing is varied, and not with one \
                                          processor: threads or processes race"
                    .to_owned()
            }
            (_, Some(Cause::Itself)) => {
                let race = self
                    .suspects
                    .first()
                    .is_some_and(|one| one.source == "threads");
                let race = if race {
                    ": threads or processes race"
                } else {
                    ""
                };
                format!("runs differ although nothing is varied{race}")
            }
            (_, None) if self.differences.is_empty() => {
                "runs are the same, and differ from the record".to_owned()
            }
            (_, None) => "runs differ".to_owned(),
        }
    }
}

/// Returns those draws that people want to know of.
pub(super) fn told(drawn: Vec<Drawn>) -> Vec<Drawn> {
    drawn.into_iter().filter(is_told).collect()
}
