//! A project with a built environment of a few tools.

use std::process::Command;

use crate::debs;
use crate::support::{Run, User, World};

pub const MANIFEST: &str = "[environment]\nname = \"tools\"\n[debian]\nsuite = \"bookworm\"\n[sandbox]\nenv = { GREETING = \"hello\" }\n";

pub struct Tools {
    pub world: World,
    pub registry: String,
}

impl Tools {
    pub fn new(user: User) -> Self {
        let world = World::new(user);
        let registry = debs::install(&world, MANIFEST);
        Self { world, registry }
    }

    pub fn run(&self, command: &[&str]) -> Run {
        self.run_with(&[], command)
    }

    pub fn run_with(&self, options: &[&str], command: &[&str]) -> Run {
        self.world.run(&self.arguments(options, command))
    }

    /// Runs `envbox audit`, with options in front of it.
    pub fn audit(&self, global: &[&str], command: &[&str]) -> Run {
        let head = ["audit", "--frozen", "--registry", self.registry.as_str()];
        self.world.run(&[global, &head, &["--"], command].concat())
    }

    pub fn sh(&self, script: &str) -> Run {
        self.run(&["sh", "-c", script])
    }

    /// What starts `envbox run` with a script for a step.
    pub fn command(&self, script: &str) -> Command {
        self.world
            .command(&self.arguments(&[], &["sh", "-c", script]))
    }

    fn arguments<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        let head = ["run", "--frozen", "--registry", self.registry.as_str()];
        [&head, options, &["--"], command].concat()
    }

    /// Runs a script of the host's shell in a mount namespace of its own, in which it may mount.
    /// `$run` starts `envbox run` with the rest of its line for a step.
    pub fn with_mounts(&self, script: &str) -> Run {
        let run = format!(
            "{} run --frozen --registry {}",
            self.world.program().display(),
            self.registry
        );
        let unshare = match rustix::process::geteuid().is_root() {
            true => "unshare -m",
            false => "unshare -Urm",
        };
        let mut shell = self.world.shell(&format!("exec {unshare} sh -c \"$0\""));
        shell
            .arg(script)
            .env("run", run)
            .env("root", self.world.path());
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.world.finished(shell)
    }
}

/// Does `test` as whoever runs the tests and as an unprivileged user.
pub fn for_both(test: impl Fn(Tools)) {
    for user in User::ALL {
        test(Tools::new(user));
    }
}
