//! All runs of one verification, and what came of them.

use std::time::Duration;

use envbox_explain::Limits;
use envbox_lockfiles::base::{Context, Digest, Event};

use crate::ops::diff_runs::limits;
use crate::ops::verify::against::with_record;
use crate::ops::verify::capture::Captured;
use crate::ops::verify::compare::compare;
use crate::ops::verify::diagnose::{Runs, diagnose};
use crate::ops::verify::drawn::suspects;
use crate::ops::verify::keep::keep_outputs;
use crate::ops::verify::outcome::Output;
use crate::ops::verify::places::{explain, explain_against};
use crate::ops::verify::report::{OutputReport, RunSummary, VariationReport, told};
use crate::ops::verify::runner::{Plan, Ran, Runner};
use crate::ops::verify::{Against, Cause, Diagnosis, Difference, Drawn, Variation};
use crate::ops::verify::{Verdict, VerifyError, VerifyReport};
use crate::record::{RunRecord, Stream};
use crate::store::{Store, remove_tree};

/// The stages that are told of.
const RUNS: &str = "verify";
const DIAGNOSIS: &str = "find the cause";

/// How long an audited run may take: so many times what the others took, and at least so long. It
/// is slower the more it draws, and nothing else depends on it.
const AUDIT: (u32, Duration) = (50, Duration::from_secs(60));

/// What may make envbox itself fail where it is varied: the host forbids more than was tried.
const DARING: [Variation; 3] = [Variation::User, Variation::HostName, Variation::Date];

/// What came of all runs.
pub(super) struct Found {
    differences: Vec<Difference>,
    cause: Option<Cause>,
    against: Option<Against>,
    drawn: Vec<Drawn>,
}

/// The runs of one command.
pub(super) struct Verifying<'a> {
    context: &'a Context,
    runner: Runner<'a>,
    cpus: u32,
    variations: Vec<VariationReport>,
    log: Vec<RunSummary>,
    first: Option<Ran>,
    longest: Duration,
    not_audited: Option<String>,
}

impl<'a> Verifying<'a> {
    pub(super) fn new(
        context: &'a Context,
        runner: Runner<'a>,
        cpus: u32,
        variations: Vec<VariationReport>,
    ) -> Self {
        Self {
            context,
            runner,
            cpus,
            variations,
            log: Vec::new(),
            first: None,
            longest: Duration::ZERO,
            not_audited: None,
        }
    }
}

impl Verifying<'_> {
    /// Makes all runs.
    pub(super) fn all(
        &mut self,
        runs: u32,
        record: Option<&RunRecord>,
    ) -> Result<Found, VerifyError> {
        self.announce(RUNS, Some(runs.into()));
        let mut drawn = Vec::new();
        let first = self.made(Plan {
            audited: runs == 1,
            recorded: record.is_some() || self.runner.options.record.is_some(),
            ..Plan::default()
        })?;
        drawn.clone_from(&first.drawn);
        let ignored = &self.runner.options.ignored;
        let both = record.zip(first.record.as_ref());
        let mut against = both.map(|(record, own)| with_record(record, own, &first, ignored));
        // What cannot be opened is not explained: that it differs is known already.
        if let (Some(against), Ok(store)) = (&mut against, Store::open(&self.context.store)) {
            let limits = self.limits();
            explain_against(&mut against.differences, &store, &first, &limits);
        }
        self.first = Some(first);
        let is_other = |against: &Against| !against.differences.is_empty();
        // A record that differs may be chance's doing: then another run differs as well.
        let more = match against.as_ref().is_some_and(is_other) {
            true => runs.max(2),
            false => runs,
        };
        let mut differing = None;
        for run in 1..more {
            let ran = self.varied(run == more - 1)?;
            let differences = self.compared(&ran);
            if !ran.drawn.is_empty() {
                drawn.clone_from(&ran.drawn);
            }
            if !differences.is_empty() {
                differing = Some((ran, differences));
                break;
            }
            self.discard(&ran)?;
        }
        self.over(RUNS);
        let Some((ran, differences)) = differing else {
            return Ok(Found {
                differences: Vec::new(),
                cause: None,
                against,
                drawn,
            });
        };
        let differences = self.placed(differences, &ran)?;
        let cause = match self.runner.options.diagnosis {
            Diagnosis::None => None,
            Diagnosis::Full => {
                self.announce(DIAGNOSIS, None);
                let cause = diagnose(self, &ran.plan.varied)?;
                self.over(DIAGNOSIS);
                Some(cause)
            }
        };
        if drawn.is_empty() && self.not_audited.is_none() {
            let audited = self.made(Plan {
                audited: true,
                ..Plan::default()
            })?;
            self.compared(&audited);
            drawn = audited.drawn;
        }
        let drawn = match &cause {
            Some(cause @ Cause::Itself) => self.with_counter(drawn, cause)?,
            // It can be why runs differ by themselves, and nothing else.
            _ => drawn,
        };
        Ok(Found {
            differences,
            cause,
            against,
            drawn,
        })
    }

    /// Where nothing that was drawn can be the cause, asks for reads of the time-stamp counter too.
    /// Not at once: a step may die of that.
    fn with_counter(
        &mut self,
        drawn: Vec<Drawn>,
        cause: &Cause,
    ) -> Result<Vec<Drawn>, VerifyError> {
        let first = self.first.as_ref().expect("it is made before all others");
        let exit = first.outcome.outputs.get(&Output::Exit).cloned();
        let is_clear = !suspects(&drawn, Some(cause), &written(first)).is_empty();
        if is_clear || self.not_audited.is_some() {
            return Ok(drawn);
        }
        let plan = Plan {
            audited: true,
            counter: true,
            ..Plan::default()
        };
        let ran = match self.made(plan) {
            // What is known already is not lost by that.
            Err(VerifyError::Run { .. } | VerifyError::NoResult { .. }) => return Ok(drawn),
            other => other?,
        };
        self.not_audited = None;
        self.compared(&ran);
        let same = ran.outcome.outputs.get(&Output::Exit) == exit.as_ref();
        let counted = same && !ran.drawn.is_empty();
        Ok(if counted { ran.drawn } else { drawn })
    }

    /// Makes a run with everything varied that can be; what makes envbox fail is left from then on.
    fn varied(&mut self, audited: bool) -> Result<Ran, VerifyError> {
        let plan = |varied: Vec<Variation>| Plan {
            varied,
            audited,
            ..Plan::default()
        };
        let all = self.applied();
        let failed = match self.made(plan(all.clone())) {
            Err(error @ (VerifyError::Run { .. } | VerifyError::NoResult { .. })) => error,
            other => return other,
        };
        let tame: Vec<Variation> = all
            .iter()
            .copied()
            .filter(|one| !DARING.contains(one))
            .collect();
        if tame.len() == all.len() {
            return Err(failed);
        }
        let Ok(ran) = self.made(plan(tame)) else {
            return Err(failed);
        };
        for report in &mut self.variations {
            if report.applied && DARING.contains(&report.variation) {
                report.applied = false;
                report.note = Some(failed.to_string());
            }
        }
        Ok(ran)
    }

    fn applied(&self) -> Vec<Variation> {
        let applied = self.variations.iter().filter(|one| one.applied);
        applied.map(|one| one.variation).collect()
    }

    /// Makes a run. One that is to be audited and takes too long for that is made without.
    fn made(&mut self, mut plan: Plan) -> Result<Ran, VerifyError> {
        plan.audited &= self.not_audited.is_none();
        // The first has nothing to be measured by.
        let limit = self.longest.saturating_mul(AUDIT.0).max(AUDIT.1);
        plan.limit = (plan.audited && self.first.is_some()).then_some(limit);
        let ran = match self.runner.run(plan.clone()) {
            Err(error @ VerifyError::TooLong { .. }) => {
                self.not_audited = Some(error.to_string());
                plan.audited = false;
                plan.limit = None;
                self.runner.run(plan)?
            }
            other => other?,
        };
        self.longest = self.longest.max(ran.wall);
        let exit = ran.outcome.outputs.get(&Output::Exit);
        self.log.push(RunSummary {
            run: ran.number,
            varied: ran.plan.varied.clone(),
            cpus: ran.plan.cpus,
            audited: ran.plan.audited,
            exit: exit.map_or(String::new(), ToString::to_string),
            agrees: true,
            wall_ms: u64::try_from(ran.wall.as_millis()).unwrap_or(u64::MAX),
        });
        self.context.report(Event::ItemFinished {
            stage: RUNS.to_owned(),
            item: ran.number.to_string(),
        });
        Ok(ran)
    }

    /// Compares a run with the first, and notes whether they agree.
    fn compared(&mut self, ran: &Ran) -> Vec<Difference> {
        let first = self.first.as_ref().expect("it is made before all others");
        let ignored = &self.runner.options.ignored;
        let differences = compare(&first.outcome, &ran.outcome, ignored);
        if let Some(last) = self.log.last_mut() {
            last.agrees = differences.is_empty();
        }
        differences
    }

    /// Says where the differences are, and keeps what differs if that is wanted.
    fn placed(
        &self,
        mut differences: Vec<Difference>,
        then: &Ran,
    ) -> Result<Vec<Difference>, VerifyError> {
        let first = self.first.as_ref().expect("it is made before all others");
        explain(&mut differences, first, then, &self.limits())?;
        if let Some(keep) = &self.runner.options.keep {
            for (name, run) in [("first", first), ("then", then)] {
                keep_outputs(&keep.join(name), run, &differences)?;
            }
        }
        Ok(differences)
    }

    fn limits(&self) -> Limits {
        limits(self.context, self.runner.workplace.path())
    }

    fn discard(&self, ran: &Ran) -> Result<(), VerifyError> {
        Ok(remove_tree(&ran.directory)?)
    }

    fn announce(&self, stage: &str, total: Option<u64>) {
        let stage = stage.to_owned();
        self.context.report(Event::StageStarted { stage, total });
    }

    fn over(&self, stage: &str) {
        let stage = stage.to_owned();
        self.context.report(Event::StageFinished { stage });
    }

    /// Returns the record of the first run, with what it printed.
    pub(super) fn record(&self) -> Option<RunRecord> {
        let first = self.first.as_ref()?;
        let mut record = first.record.clone()?;
        let ignored = &self.runner.options.ignored;
        let stream = |output: &Output, captured: &Captured| {
            let stream = Stream {
                sha256: captured.digest,
                size: captured.size,
            };
            (!ignored.has(output)).then_some(stream)
        };
        if let Some(ended) = &mut record.ended {
            ended.stdout = stream(&Output::Stdout, &first.stdout);
            ended.stderr = stream(&Output::Stderr, &first.stderr);
        }
        Some(record)
    }

    /// Returns what was found.
    pub(super) fn report(self, lock: Digest, found: Found) -> VerifyReport {
        let first = self.first.expect("all runs were made");
        let against = found.against;
        let is_other = |against: &Against| !against.differences.is_empty();
        let same = found.differences.is_empty() && !against.as_ref().is_some_and(is_other);
        let suspects = match found.differences.is_empty() {
            true => Vec::new(),
            false => suspects(&found.drawn, found.cause.as_ref(), &written(&first)),
        };
        let verdict = match (same, first.outcome.succeeded()) {
            (false, _) => Verdict::Diverged,
            (true, true) => Verdict::Identical,
            (true, false) => Verdict::Failed,
        };
        VerifyReport {
            verdict,
            said: match verdict {
                Verdict::Failed => first.stderr.last_lines(),
                _ => Vec::new(),
            },
            argv: self.runner.options.argv.clone(),
            lock,
            differences: found.differences,
            cause: found.cause,
            suspects,
            against,
            outputs: first
                .outcome
                .outputs
                .into_iter()
                .map(|(output, state)| OutputReport { output, state })
                .collect(),
            variations: self.variations,
            runs: self.log,
            drawn: told(found.drawn),
            not_audited: self.not_audited,
        }
    }
}

impl Runs for Verifying<'_> {
    fn differs(&mut self, varied: &[Variation]) -> Result<bool, VerifyError> {
        let ran = self.made(Plan {
            varied: varied.to_vec(),
            ..Plan::default()
        })?;
        let differs = !self.compared(&ran).is_empty();
        self.discard(&ran)?;
        Ok(differs)
    }

    fn alone(&mut self) -> Result<Ran, VerifyError> {
        let ran = self.made(Plan {
            cpus: Some(1),
            ..Plan::default()
        })?;
        self.compared(&ran);
        self.discard(&ran)?;
        Ok(ran)
    }

    fn are_different(&self, one: &Ran, other: &Ran) -> bool {
        let ignored = &self.runner.options.ignored;
        !compare(&one.outcome, &other.outcome, ignored).is_empty()
    }

    fn cpus(&self) -> u32 {
        self.cpus
    }
}

/// Returns the paths that a run wrote.
fn written(ran: &Ran) -> Vec<&str> {
    let outputs = ran.outcome.outputs.keys();
    let paths = outputs.filter_map(|output| match output {
        Output::File(path) => Some(path.as_str()),
        _ => None,
    });
    paths.collect()
}
