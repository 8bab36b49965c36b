//! Snakemake's rules in the sandbox.

use std::fs;
use std::process::{Command, Stdio};

use crate::downloads;
use crate::project::{self, INSIDE, Listener, PROBE};
use crate::support::{Run, User, World};

struct Engine(project::Engine);

impl Engine {
    fn new() -> Self {
        Self(project::Engine::new("snakemake"))
    }

    fn world(&self, user: User, example: &str) -> World {
        let world = World::new(user);
        project::example(&world, example);
        downloads::share(&world);
        world
    }

    fn command(&self, world: &World, script: &str) -> Command {
        self.0.shell(world, script)
    }

    fn run(&self, world: &World, script: &str) -> Run {
        world.finished(self.command(world, script))
    }

    fn succeeds(&self, world: &World, script: &str) -> String {
        let run = self.run(world, script);
        assert_eq!(run.code(), Some(0), "{script}: {}", run.whole());
        run.whole()
    }
}

fn read(world: &World, name: &str) -> Vec<u8> {
    fs::read(world.project().join(name)).unwrap()
}

fn outputs(world: &World) -> Vec<Vec<u8>> {
    ["a.txt", "b.txt", "c.txt", "model.npy", "report.txt"]
        .iter()
        .map(|name| read(world, &format!("out/{name}")))
        .collect()
}

/// One environment for all: pip takes longer than what is tried in it.
#[test]
fn net_snakemake_runs_rules_inside() {
    let engine = Engine::new();
    runs_rules_again_when_the_lock_changes(&engine);
    hears_how_a_job_ended(&engine);
    executes_whole_jobs(&engine);
}

fn runs_rules_again_when_the_lock_changes(engine: &Engine) {
    for user in User::ALL {
        let world = engine.world(user, "snakemake/example");
        engine.succeeds(&world, "snakemake -j 2");
        downloads::keep(&world);
        let first = outputs(&world);
        let text = String::from_utf8(first[0].clone()).unwrap();
        let lines: Vec<_> = text.lines().skip(1).take(2).collect();
        assert_eq!(lines, ["envbox", "2020-01-01"]);

        engine.succeeds(&world, "rm -r out && snakemake -j 2");
        assert_eq!(outputs(&world), first);
        let idle = engine.succeeds(&world, "snakemake -j 2");
        assert!(idle.contains("Nothing to be done"), "{idle}");

        let asked = "sed -i 's/\"numpy=/\"six\", \"numpy=/' envs/numpy/envbox.toml";
        let stale = engine.run(&world, &format!("{asked} && snakemake -j 2"));
        assert_ne!(stale.code(), Some(0));
        assert!(stale.stderr().contains("envbox lock"), "{}", stale.whole());
        let again = "envbox --project envs/numpy lock && snakemake -j 2";
        let again = engine.succeeds(&world, again);
        let reason = "Software environment definition has changed";
        assert!(again.contains(reason), "{again}");
        assert_eq!(outputs(&world), first);
    }
}

fn hears_how_a_job_ended(engine: &Engine) {
    let world = engine.world(User::Unprivileged, "snakemake/example");
    let listener = Listener::new();
    world.write("probe.py", PROBE);
    let rule = |name: &str, command: &str| {
        format!(
            "rule {name}:\n    output: \"{name}.txt\"\n    container: envbox(\"envs/numpy\")\n    \
             shell: \"{command}\"\n\n"
        )
    };
    let rules = [
        "from snakemake_envbox import envbox\n\n".to_owned(),
        rule(
            "probe",
            &format!("python probe.py {} > {{output}}", listener.port()),
        ),
        rule("fails", "echo part > {output}; exit 5"),
        rule("piped", "exit 6 | cat > {output}"),
        rule("sleeps", "sleep 73571 | cat > {output}"),
    ];
    world.write("Snakefile", &rules.concat());

    engine.succeeds(&world, "snakemake -j 1 probe");
    assert_eq!(
        String::from_utf8(read(&world, "probe.txt")).unwrap().trim(),
        INSIDE
    );
    listener.assert_alone();

    for (rule, status) in [("fails", 5), ("piped", 6)] {
        let failed = engine.run(&world, &format!("snakemake -j 1 {rule}"));
        assert_ne!(failed.code(), Some(0));
        let said = format!("non-zero exit status {status}");
        assert!(failed.stderr().contains(&said), "{}", failed.whole());
        assert!(!world.project().join(format!("{rule}.txt")).exists());
    }

    let host = engine.run(&world, "snakemake -j 1 fails --workflow-profile none");
    assert_ne!(host.code(), Some(0));
    assert!(
        host.stderr().contains("outside the sandbox"),
        "{}",
        host.whole()
    );

    let absent = engine.run(&world, "ENVBOX=/absent snakemake -j 1 fails");
    assert_ne!(absent.code(), Some(0));
    let said = "there is no program `/absent`";
    assert!(absent.stderr().contains(said), "{}", absent.whole());

    let mut killed = engine
        .command(&world, "exec snakemake -j 1 sleeps")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    project::until(|| project::sleeping("73571"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    project::until(|| !project::sleeping("73571"));
}

fn executes_whole_jobs(engine: &Engine) {
    let world = engine.world(User::Current, "snakemake/example-run");
    engine.succeeds(&world, "snakemake --executor envbox -j 2");
    downloads::keep(&world);
    let first = read(&world, "out/sum.txt");
    let text = String::from_utf8(first.clone()).unwrap();
    assert!(
        text.lines()
            .all(|line| line.starts_with("envbox 2020-01-01 ")),
        "{text}"
    );
    engine.succeeds(&world, "rm -r out && snakemake --executor envbox -j 2");
    assert_eq!(read(&world, "out/sum.txt"), first);
}
