//! What a run is started with, as if it had been typed.

use std::ffi::{OsStr, OsString};

use envbox_lockfiles::lock::Groups;
use envbox_lockfiles::manifest::{StepClock, StepNetwork};
use envbox_sandbox::gpu::{CdiPolicy, DriverPolicy};

use crate::ops::run::{GpuOptions, HostBind, Variable};
use crate::ops::verify::VerifyOptions;
use crate::ops::verify::runner::Plan;
use crate::ops::verify::workplace::Place;

/// Returns what the program is started with once its surroundings are there.
pub(super) fn arguments(
    options: &VerifyOptions,
    groups: &Groups,
    plan: &Plan,
    place: &Place,
) -> Vec<OsString> {
    let mut line = Line(vec![place.program.clone().into()]);
    line.words(&["run", "--quiet", "--offline", "--frozen"]);
    line.words(&["--no-pty", "--color", "never"]);
    line.option("--store", &place.store);
    line.option("--result-file", place.runs_file("result.json"));
    match plan.recorded {
        true => line.option("--record", place.runs_file("record.json")),
        false => line.words(&["--no-record"]),
    }
    if plan.audited {
        line.option("--audit", place.runs_file("audit.json"));
    }
    if plan.counter {
        line.words(&["--counter"]);
    }
    if options.script.is_none() {
        line.option("--project", place.runs_project());
    }
    match groups {
        Groups::None => {}
        Groups::All => line.words(&["--all-groups"]),
        Groups::Named(names) => names
            .iter()
            .for_each(|name| line.option("--group", name.as_str())),
    }
    line.world(options, plan);
    line.sight(options);
    line.words(&["--"]);
    let mut argv = options.argv.iter();
    if let Some(script) = &options.script {
        argv.next();
        line.0.push(place.runs_project().join(script).into());
    }
    line.0.extend(argv.cloned());
    line.0
}

/// A command line that is written.
struct Line(Vec<OsString>);

impl Line {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn option(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.0.extend([name.into(), value.as_ref().to_os_string()]);
    }

    /// The world that the step sees.
    fn world(&mut self, options: &VerifyOptions, plan: &Plan) {
        for variable in &options.env {
            match variable {
                Variable::Pass(name) => self.option("--env", name),
                Variable::Set(name, value) => self.option("--env", joined(name, "=", value)),
            }
        }
        if let Some(seed) = options.seed {
            self.option("--seed", seed.to_string());
        }
        if let Some(clock) = options.clock {
            self.option("--clock", clock_name(clock));
        }
        if let Some(cpus) = plan.cpus.or(options.cpus) {
            self.option("--cpus", cpus.to_string());
        }
    }

    /// What it sees of the host.
    fn sight(&mut self, options: &VerifyOptions) {
        for HostBind { source, target, .. } in &options.binds {
            let target = target.as_ref().unwrap_or(source);
            self.option("--bind", joined(source, ":", target));
        }
        if let Some(network) = options.network {
            self.option("--network", network_name(network));
        }
        if let Some(directory) = &options.working_directory {
            self.option("--workdir", directory);
        }
        if let Some(gpu) = &options.gpu {
            self.gpu(gpu);
        }
    }

    fn gpu(&mut self, gpu: &GpuOptions) {
        self.words(&[&format!("--gpu={}", gpu.selection)]);
        match gpu.driver {
            DriverPolicy::Locked => {}
            DriverPolicy::Compatible => self.words(&["--driver", "compatible"]),
        }
        match gpu.cdi {
            CdiPolicy::Auto => {}
            CdiPolicy::Require => self.words(&["--cdi", "require"]),
            CdiPolicy::Off => self.words(&["--cdi", "off"]),
        }
    }
}

fn joined(left: impl AsRef<OsStr>, sign: &str, right: impl AsRef<OsStr>) -> OsString {
    let mut both = left.as_ref().to_os_string();
    both.push(sign);
    both.push(right.as_ref());
    both
}

/// Returns the name that the command line has for a clock.
fn clock_name(clock: StepClock) -> &'static str {
    match clock {
        StepClock::Frozen => "frozen",
        StepClock::Logical => "logical",
        StepClock::Ticking => "ticking",
        StepClock::Real => "real",
    }
}

/// Returns the name that the command line has for a network.
fn network_name(network: StepNetwork) -> &'static str {
    match network {
        StepNetwork::None => "none",
        StepNetwork::Loopback => "loopback",
        StepNetwork::Host => "host",
    }
}
