//! What a step drew, source by source.

use std::fmt;
use std::path::Path;

use envbox_lockfiles::manifest::{SandboxPolicy, StepNetwork};
use envbox_sandbox::{Cpuid, Finding, Place, Source};
use serde::Serialize;

use crate::ops::audit::Held;
use crate::ops::audit::held::{bound, judge};
use crate::ops::run::{Access, FailedBy, Isolation, Mounted, RunReport};

/// The schema of the document. A field never changes its meaning under the same number.
const SCHEMA: &str = "envbox.audit/1";

/// What no audit sees, whatever the step is.
pub const UNSEEN: [&str; 5] = [
    "what the processor says of itself (CPUID), its random numbers (RDRAND) and, unless --counter \
     asks for it, its counter (RDTSC)",
    "more than 5,000 reads of a clock by one thread, where the clock is held",
    "the order in which threads and processes run, and what they see of each other's memory",
    "draws of a generator that lives in the step: only its seed comes from outside",
    "how a GPU splits and orders its work",
];

/// What became of a step, and what it drew.
#[derive(Debug)]
pub struct AuditReport {
    /// The run.
    pub run: RunReport,
    /// The sources that it drew from, in a fixed order.
    pub sources: Vec<SourceReport>,
}

/// A source that a step drew from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceReport {
    /// Its name.
    pub source: &'static str,
    /// Whether every run draws the same.
    pub held: Held,
    /// How often it was drawn from.
    pub count: u64,
    /// What drew from it, what is not held first.
    pub draws: Vec<Draw>,
}

/// Draws that have everything in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Draw {
    /// Whose doing it was: `code`, `program`, `import` or `start`.
    pub origin: &'static str,
    /// The program, by its path inside.
    pub program: String,
    /// What was called, and with what.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Whether every run draws the same.
    pub held: Held,
    /// By what, or why not.
    pub by: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
    /// The first: the innermost line of the step's own code that led there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Line>,
    /// The innermost line of all, if that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<Line>,
}

/// A line of Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file; relative to the project if it is in there.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The function; `<module>` outside of any.
    pub function: String,
}

impl fmt::Display for Draw {
    /// Writes one line: what was called, by which program, how often, and where first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.what, self.program)?;
        if self.count > 1 {
            write!(f, ", {} times", self.count)?;
        }
        match &self.first {
            Some(Line { file, line, .. }) => write!(f, ", first at {file}:{line}"),
            None => Ok(()),
        }
    }
}

impl AuditReport {
    pub(super) fn new(mut run: RunReport) -> Self {
        let findings = std::mem::take(&mut run.findings);
        let sources = sources(findings, &run.isolation, &run.binds);
        Self { run, sources }
    }

    /// Returns what no audit sees, one phrase each.
    pub fn unseen(&self) -> &'static [&'static str] {
        &UNSEEN
    }

    /// Returns the document that `--json` gives: that of the run, and the sources.
    pub fn document(&self) -> impl Serialize + '_ {
        Document {
            schema: SCHEMA,
            envbox: env!("CARGO_PKG_VERSION"),
            failed_by: self.run.failed_by(),
            sources: &self.sources,
            unseen: &UNSEEN,
            run: &self.run,
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    envbox: &'static str,
    failed_by: Option<FailedBy>,
    sources: &'a [SourceReport],
    unseen: &'a [&'static str],
    #[serde(flatten)]
    run: &'a RunReport,
}

/// Judges what a step drew in a container that is not ours.
pub(in crate::ops) fn sources_in_container(
    findings: Vec<Finding>,
    policy: &SandboxPolicy,
    cpuid: Cpuid,
) -> Vec<SourceReport> {
    let isolation = Isolation {
        network: StepNetwork::Host,
        ..Isolation::of(policy, Access::Direct, cpuid)
    };
    sources(findings, &isolation, &[])
}

/// Gathers findings, which come in the order of their sources.
pub(in crate::ops) fn sources(
    findings: Vec<Finding>,
    isolation: &Isolation,
    binds: &[Mounted],
) -> Vec<SourceReport> {
    let mut sources: Vec<SourceReport> = Vec::new();
    for finding in findings {
        let name = finding.source.name();
        let draw = draw(finding, isolation, binds);
        match sources.last_mut().filter(|last| last.source == name) {
            Some(last) => {
                last.held = last.held.min(draw.held);
                last.count += draw.count;
                last.draws.push(draw);
            }
            None => sources.push(SourceReport {
                source: name,
                held: draw.held,
                count: draw.count,
                draws: vec![draw],
            }),
        }
    }
    for source in &mut sources {
        // The rest of the order stays.
        source.draws.sort_by_key(|draw| draw.held);
    }
    sources
}

fn draw(finding: Finding, isolation: &Isolation, binds: &[Mounted]) -> Draw {
    let is_in = |bind: &Mounted| Path::new(&finding.what).starts_with(&bind.target);
    let verdict = match finding.source == Source::Outside && binds.iter().any(is_in) {
        true => bound(),
        false => judge(finding.source, &finding.what, isolation),
    };
    Draw {
        origin: finding.origin.name(),
        program: finding.program,
        what: finding.what,
        count: finding.count,
        held: verdict.held,
        by: verdict.by,
        remedy: verdict.remedy,
        first: finding.place.map(line),
        through: finding.through.map(line),
    }
}

fn line(place: Place) -> Line {
    let file = place.file;
    Line {
        file: match file.strip_prefix("/project/") {
            Some(inside) => inside.to_owned(),
            None => file,
        },
        line: place.line,
        function: place.function,
    }
}
