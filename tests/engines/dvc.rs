//! DVC's stages in the sandbox.

use std::fs;

use crate::downloads;
use crate::project::{self, INSIDE, Listener, PROBE};
use crate::support::{Run, User, World};

struct Pipeline<'engine> {
    engine: &'engine project::Engine,
    world: World,
}

impl Pipeline<'_> {
    fn shell(&self, script: &str) -> Run {
        let mut shell = self.engine.shell(&self.world, script);
        shell
            .env("DVC_SITE_CACHE_DIR", self.world.path().join("home/dvc"))
            .env("DVC_NO_ANALYTICS", "true");
        self.world.finished(shell)
    }

    fn succeeds(&self, script: &str) -> String {
        let run = self.shell(script);
        assert_eq!(run.code(), Some(0), "{script}: {}", run.whole());
        run.whole()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.world.project().join(name)).unwrap()
    }

    fn runs(&self) -> usize {
        self.succeeds("envbox runs").matches(" done ").count()
    }
}

fn pipeline(engine: &project::Engine, user: User) -> Pipeline<'_> {
    let world = World::new(user);
    project::example(&world, "dvc/example");
    downloads::share(&world);
    let pipeline = Pipeline { engine, world };
    pipeline.succeeds("git init --quiet && dvc init --quiet");
    pipeline
}

/// One environment for all: pip takes longer than what is tried in it.
#[test]
fn net_dvc_runs_stages_inside() {
    let engine = project::Engine::new("dvc");
    runs_stages_when_the_lock_changes(&engine);
    hears_how_a_stage_ended(&engine);
}

fn runs_stages_when_the_lock_changes(engine: &project::Engine) {
    for user in User::ALL {
        let pipeline = pipeline(engine, user);
        pipeline.succeeds("dvc repro");
        downloads::keep(&pipeline.world);
        assert!(
            pipeline
                .read("samples.csv")
                .starts_with("envbox,2020-01-01")
        );
        assert_eq!(pipeline.runs(), 2);
        let first = pipeline.read("dvc.lock");

        let again = pipeline.succeeds("dvc repro");
        assert!(again.contains("Stage 'fit' didn't change"), "{again}");
        assert_eq!(pipeline.runs(), 2);

        // The lock has the digests of what the stages wrote.
        pipeline.succeeds("dvc repro --force --no-run-cache");
        assert_eq!(pipeline.runs(), 4);
        assert_eq!(pipeline.read("dvc.lock"), first);

        pipeline.succeeds("sed -i 's/\"numpy/\"six\", \"numpy/' envbox.toml");
        let stale = pipeline.shell("dvc repro");
        assert_ne!(stale.code(), Some(0));
        assert!(
            stale.stderr().contains("run `envbox lock`"),
            "{}",
            stale.whole()
        );
        pipeline.succeeds("envbox lock && dvc repro");
        assert_eq!(pipeline.runs(), 6);
    }
}

fn hears_how_a_stage_ended(engine: &project::Engine) {
    let pipeline = pipeline(engine, User::Unprivileged);
    let listener = Listener::new();
    pipeline.world.write("probe.py", PROBE);
    let stages = format!(
        "stages:\n  probe:\n    cmd: envbox run --frozen -- python probe.py {} > probe.txt\n    \
         outs: [probe.txt]\n  fails:\n    cmd: envbox run --frozen -- bash -c 'exit 9'\n",
        listener.port()
    );
    pipeline.world.write("dvc.yaml", &stages);
    pipeline.succeeds("dvc repro probe");
    assert_eq!(pipeline.read("probe.txt").trim(), INSIDE);
    listener.assert_alone();
    let run = pipeline.shell("dvc repro fails");
    assert_ne!(run.code(), Some(0));
    assert!(run.stderr().contains("exited with 9"), "{}", run.whole());
}
