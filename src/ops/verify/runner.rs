//! Runs: each a process of envbox's own program in a fresh copy of the project.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use envbox_lockfiles::lock::Groups;
use envbox_sandbox::SignalRelay;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::ops::verify::arguments::arguments;
use crate::ops::verify::capture::{Captured, capture};
use crate::ops::verify::drawn::{Drawn, read_audit};
use crate::ops::verify::load::Load;
use crate::ops::verify::outcome::{Outcome, Output, read_result};
use crate::ops::verify::variation::{variables, wanted};
use crate::ops::verify::workplace::{Place, Workplace};
use crate::ops::verify::{Surroundings, Variation, VerifyError, VerifyOptions};
use crate::record::{JournalError, RunRecord};

/// How long a step that is told to end has for it.
const GRACE: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// What the host is called where that is varied.
const OTHER_NAME: &str = "elsewhere";

/// What is added to the nice value where that is varied.
const OTHER_PRIORITY: i32 = 5;

/// What one run is to be like.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// What is varied.
    pub(super) varied: Vec<Variation>,
    /// How many processors the step sees, instead of what the caller asked for.
    pub(super) cpus: Option<u32>,
    /// Whether what it draws is counted.
    pub(super) audited: bool,
    /// Whether reads of the time-stamp counter are then.
    pub(super) counter: bool,
    /// Whether what it stood on is recorded.
    pub(super) recorded: bool,
    /// How long it may take.
    pub(super) limit: Option<Duration>,
}

/// A run that was made.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) plan: Plan,
    /// Its number, from 0.
    pub(super) number: u32,
    pub(super) outcome: Outcome,
    /// Where its copy of the project is, as `project`.
    pub(super) directory: PathBuf,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    /// Its record, if that was wanted.
    pub(super) record: Option<RunRecord>,
    /// What it drew, if that was counted.
    pub(super) drawn: Vec<Drawn>,
    /// How long it took, with all that is around the step.
    pub(super) wall: Duration,
}

/// Makes runs, one after the other.
pub(super) struct Runner<'a> {
    pub(super) options: &'a VerifyOptions,
    pub(super) groups: &'a Groups,
    pub(super) workplace: Workplace<'a>,
    pub(super) relay: SignalRelay,
    /// The variables that the step gets from the caller.
    pub(super) passed: Vec<OsString>,
    /// How many runs were made.
    pub(super) made: u32,
    /// When the last one began.
    pub(super) began: Option<Instant>,
}

impl Runner<'_> {
    /// Makes a run.
    pub(super) fn run(&mut self, plan: Plan) -> Result<Ran, VerifyError> {
        self.go_on()?;
        let place = self.workplace.make(&plan.varied, &|| self.go_on())?;
        if plan.varied.contains(&Variation::Second) {
            self.wait_for_another_second()?;
        }
        let load = plan.varied.contains(&Variation::Load).then(Load::begin);
        let load = load.transpose().map_err(VerifyError::Capture)?;
        let began = Instant::now();
        self.began = Some(began);
        let (stdout, stderr, status) = self.start_and_wait(&plan, &place)?;
        let wall = began.elapsed();
        drop(load);
        let result = place.file("result.json");
        if !result.exists() {
            return Err(no_result(status, &stderr));
        }
        let mut outcome = read_result(&result)?;
        outcome.printed(Output::Stdout, &stdout);
        outcome.printed(Output::Stderr, &stderr);
        let drawn = match plan.audited {
            true => read_audit(&place.file("audit.json"))?,
            false => Vec::new(),
        };
        let record = plan.recorded.then(|| place.file("record.json"));
        let record = record.map(|file| RunRecord::read(&file)).transpose();
        let record = record.map_err(JournalError::from)?;
        let directory = self.workplace.keep(&place, self.made)?;
        let number = self.made;
        self.made += 1;
        Ok(Ran {
            plan,
            number,
            outcome,
            directory,
            stdout,
            stderr,
            record,
            drawn,
            wall,
        })
    }

    /// Returns an error when the caller was told to stop.
    pub(super) fn go_on(&self) -> Result<(), VerifyError> {
        while let Some(caught) = self.relay.take().map_err(VerifyError::Capture)? {
            match Signal::from_named_raw(caught.signal) {
                Some(Signal::WINCH | Signal::CONT) | None => {}
                // The runs got it too, if a terminal sent it.
                Some(Signal::TSTP) => {
                    let _goes_on = kill_process(getpid(), Signal::STOP);
                }
                Some(_) => {
                    let signal = caught.signal;
                    return Err(VerifyError::Interrupted { signal });
                }
            }
        }
        Ok(())
    }

    /// Lets time pass until no run that starts now has the second of the last one.
    fn wait_for_another_second(&self) -> Result<(), VerifyError> {
        let Some(began) = self.began else {
            return Ok(());
        };
        let left = Duration::from_millis(1001).saturating_sub(began.elapsed());
        let left = Timespec::try_from(left).expect("it is about a second");
        let mut waited = [PollFd::new(&self.relay, PollFlags::IN)];
        interrupted(poll(&mut waited, Some(&left)))?;
        self.go_on()
    }

    fn start_and_wait(
        &self,
        plan: &Plan,
        place: &Place,
    ) -> Result<(Captured, Captured, ExitStatus), VerifyError> {
        let mut command = self.command(plan, place);
        let mut child = command.spawn().map_err(|source| VerifyError::Start {
            program: self.options.program.clone(),
            source,
        })?;
        let stdout = child.stdout.take().expect("it is a pipe");
        let stderr = child.stderr.take().expect("it is a pipe");
        let captured = capture(stdout).and_then(|stdout| Ok((stdout, capture(stderr)?)));
        let status = self.wait(&mut child, plan.limit);
        let (stdout, stderr) = captured.map_err(VerifyError::Capture)?;
        // The step is dead, with all it started: nobody holds the other ends.
        let stdout = stdout.join().expect("a capture does not panic");
        let stderr = stderr.join().expect("a capture does not panic");
        let status = status?;
        Ok((
            stdout.map_err(VerifyError::Capture)?,
            stderr.map_err(VerifyError::Capture)?,
            status,
        ))
    }

    /// Waits for a run, which ends when the caller is told to stop.
    fn wait(&self, child: &mut Child, limit: Option<Duration>) -> Result<ExitStatus, VerifyError> {
        let began = Instant::now();
        let pid = Pid::from_child(child);
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                drop(child.kill());
                drop(child.wait());
                return Err(VerifyError::Capture(error.into()));
            }
        };
        let stopped = loop {
            let mut waited = [
                PollFd::new(&self.relay, PollFlags::IN),
                PollFd::new(&pidfd, PollFlags::IN),
            ];
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            let least = left.and_then(|left| Timespec::try_from(left).ok());
            let polled = interrupted(poll(&mut waited, least.as_ref()));
            let ended = !waited[1].revents().is_empty();
            match polled.and_then(|()| self.go_on()) {
                Err(error) => break Some(error),
                Ok(()) if ended => break None,
                Ok(()) => {}
            }
            if let Some(limit) = limit.filter(|limit| began.elapsed() >= *limit) {
                let seconds = limit.as_secs();
                break Some(VerifyError::TooLong { seconds });
            }
        };
        if stopped.is_some() {
            // It passes the signal on to the step, and then takes its own directories away.
            let _gone = kill_process(pid, Signal::TERM);
            let mut waited = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
            if interrupted(poll(&mut waited, Some(&GRACE))).is_err()
                || waited[0].revents().is_empty()
            {
                drop(child.kill());
            }
        }
        let status = child.wait().map_err(VerifyError::Capture)?;
        forget_other_date(pid);
        stopped.map_or(Ok(status), Err)
    }

    fn command(&self, plan: &Plan, place: &Place) -> Command {
        let mut command = Command::new(&self.options.program);
        command
            .arg("vary")
            .args(self.surroundings(plan, place).arguments())
            .arg("--")
            .args(arguments(self.options, self.groups, plan, place))
            .env_clear()
            .envs(self.environment(&plan.varied))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn surroundings(&self, plan: &Plan, place: &Place) -> Surroundings {
        let has = |variation| plan.varied.contains(&variation);
        Surroundings {
            // What a login gives; that of who verifies may be another.
            umask: Some(if has(Variation::Umask) { 0o077 } else { 0o022 }),
            priority: has(Variation::Priority).then_some(OTHER_PRIORITY),
            processor: has(Variation::Processors).then(last_processor).flatten(),
            hostname: has(Variation::HostName).then(|| OTHER_NAME.into()),
            binds: place.binds.clone(),
            user: place.user,
            directory: place.runs_project().join(&self.options.directory),
            variables: match (has(Variation::Date), &self.options.faketime) {
                (true, Some(library)) => other_date(library),
                _ => Vec::new(),
            },
        }
    }

    fn environment(&self, varied: &[Variation]) -> BTreeMap<OsString, OsString> {
        let mut all = self.options.host_env.clone();
        // A run of a verification is nothing for the user's journal.
        let state = self.workplace.path().join("state").into();
        all.insert("XDG_STATE_HOME".into(), state);
        for variation in varied {
            let wanted = wanted(*variation, &self.passed);
            let set = variables(*variation).into_iter();
            all.extend(set.filter(|(name, _)| !wanted.contains(&name.as_os_str())));
        }
        all
    }
}

/// Returns the variables that show a program another date.
fn other_date(library: &Path) -> Vec<OsString> {
    let mut preload = OsString::from("LD_PRELOAD=");
    preload.push(library);
    let others = [
        "FAKETIME=+400d",
        // Waits are for real time, and files have the times that they have.
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "NO_FAKE_STAT=1",
    ];
    let others = others.map(OsString::from);
    [preload].into_iter().chain(others).collect()
}

/// Removes what `libfaketime` leaves of a process that was killed: nobody else does.
fn forget_other_date(pid: Pid) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        let file = Path::new("/dev/shm").join(format!("{name}{}", pid.as_raw_nonzero()));
        // There is none, unless the date was varied.
        let _gone = std::fs::remove_file(file);
    }
}

/// Returns the last of the processors that this process may run on, if there are others.
pub(super) fn last_processor() -> Option<usize> {
    let set = sched_getaffinity(None).ok()?;
    let all = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    all.skip(1).last()
}

/// A signal that was queued elsewhere may end a wait.
fn interrupted(polled: Result<usize, Errno>) -> Result<(), VerifyError> {
    match polled {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(VerifyError::Capture(error.into())),
    }
}

fn no_result(status: ExitStatus, stderr: &Captured) -> VerifyError {
    VerifyError::NoResult {
        status: status.to_string(),
        said: stderr.last_lines(),
    }
}
