//! Slurm's tasks in the sandbox, on a cluster of this one machine. Slurm's daemons need root.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::downloads;
use crate::project::{self, INSIDE, Listener, PROBE};
use crate::support::{Run, User, World};
use crate::venv::succeeds;

/// `nobody`, whom Slurm finds in the list of users.
const NOBODY: u32 = 65_534;

struct Cluster {
    world: World,
    user: u32,
}

impl Cluster {
    /// Starts one whose jobs are of `user`.
    fn start(user: u32) -> Self {
        let world = World::new(User::Current);
        project::example(&world, "slurm/example");
        downloads::share(&world);
        let task = world.path().join("envbox-task");
        fs::copy(project::integration("slurm/envbox-task"), task).unwrap();
        let cluster = Self { world, user };
        succeeds(Command::new("chmod").arg("755").arg(cluster.world.path()));
        let mut own = Command::new("chown");
        own.args(["--recursive", &user.to_string()]);
        own.args(["home", "project"].map(|name| cluster.world.path().join(name)));
        succeeds(&mut own);
        let ports = [Listener::new(), Listener::new()].map(|free| free.port().to_string());
        let mut start = cluster.script("start");
        start.args(ports);
        let output = cluster.world.path().join("cluster.log");
        // The daemons keep standard output: it must be no pipe that somebody reads to its end.
        let output = fs::File::create(output).unwrap();
        start.stdout(output.try_clone().unwrap()).stderr(output);
        let log = || fs::read_to_string(cluster.world.path().join("cluster.log")).unwrap();
        assert!(start.status().unwrap().success(), "{}", log());
        cluster
    }

    fn script(&self, verb: &str) -> Command {
        let mut script = Command::new(project::beside("slurm/cluster.sh"));
        script.arg(verb).arg(self.directory());
        script
    }

    fn directory(&self) -> PathBuf {
        self.world.path().join("slurm")
    }

    fn command(&self, script: &str) -> Command {
        let mut shell = self.world.shell(script);
        let own = self.world.path().display();
        shell
            .env("PATH", format!("{own}:/usr/bin:/bin"))
            .env("SLURM_CONF", self.directory().join("slurm.conf"));
        if self.user != 0 {
            shell.uid(self.user).gid(self.user);
        }
        shell
    }

    fn run(&self, script: &str) -> Run {
        self.world.finished(self.command(script))
    }

    fn succeeds(&self, script: &str) -> String {
        let run = self.run(script);
        assert_eq!(run.code(), Some(0), "{script}: {}", run.whole());
        run.stdout()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.world.project().join(name)).unwrap_or_default()
    }

    fn exists(&self, name: &str) -> bool {
        Path::new(&self.world.project()).join(name).exists()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script("stop").status().unwrap();
    }
}

#[test]
fn root_net_slurm_tasks_run_inside() {
    for user in [0, NOBODY] {
        let cluster = Cluster::start(user);
        let listener = Listener::new();
        let all = |cluster: &Cluster| [1, 2, 3].map(|n| cluster.read(&format!("weights-{n}.txt")));
        // The store is empty but for downloads: three tasks build one environment.
        cluster.succeeds("sbatch --wait --array=1-3 envbox-task python sweep.py");
        let first = all(&cluster);
        assert!(
            first
                .iter()
                .all(|text| text.starts_with("envbox 2020-01-01")),
            "{first:?}"
        );
        assert_ne!(first[0], first[1]);
        cluster.succeeds("rm weights-*; sbatch --wait --array=1-3 envbox-task python sweep.py");
        assert_eq!(all(&cluster), first);
        let runs = cluster.succeeds("envbox runs");
        assert!(runs.contains("[slurm-1_2]"), "{runs}");

        cluster.world.write("probe.py", PROBE);
        let probe = format!("srun envbox run -- python probe.py {}", listener.port());
        assert_eq!(cluster.succeeds(&probe).trim(), INSIDE);
        listener.assert_alone();
        assert_eq!(
            cluster.run("srun envbox-task -- bash -c 'exit 7'").code(),
            Some(7)
        );

        // Two tasks, one file: it is one task's.
        let same = "sbatch --wait --array=1-2 envbox-task -- bash -c 'for i in $(seq 9999); do \
                    echo $SLURM_ARRAY_TASK_ID; done > same.txt'";
        cluster.succeeds(same);
        let same = cluster.read("same.txt");
        assert!(same == "1\n".repeat(9999) || same == "2\n".repeat(9999));
    }
}

#[test]
fn root_net_slurm_signals_reach_tasks_and_leave_nothing() {
    let cluster = Cluster::start(NOBODY);
    let trap = fs::read_to_string(project::beside("slurm/trap.py")).unwrap();
    cluster.world.write("trap.py", &trap);
    for (how, sleep) in [("polite", "73574"), ("rude", "73575")] {
        let log = format!("{how}.log");
        let job =
            format!("sbatch --parsable --output={log} envbox-task python trap.py {how} {sleep}");
        let job = cluster.succeeds(&job);
        let job = job.trim();
        project::until(|| cluster.read(&log).contains("ready"));
        assert!(project::sleeping(sleep));
        cluster.succeeds(&format!("scancel --batch --signal=USR1 {job}"));
        project::until(|| cluster.read(&log).contains("SIGUSR1"));
        cluster.succeeds(&format!("scancel {job}"));
        project::until(|| cluster.succeeds("squeue --noheader").is_empty());
        let heard: Vec<_> = ["SIGUSR1", "SIGTERM"]
            .map(|signal| cluster.read(&log).matches(signal).count())
            .into();
        assert_eq!(heard, [1, 1], "{}", cluster.read(&log));
        assert!(!project::sleeping(sleep));
    }
    // One ended by itself, the other was killed: what it had written is gone with it.
    assert_eq!(cluster.read("started.txt"), "polite");
    let shown = cluster.succeeds("scontrol --oneliner show job 1");
    assert!(shown.contains("ExitCode=3:0"), "{shown}");
}

#[test]
fn root_net_slurm_nodes_that_cannot_run_say_why() {
    let cluster = Cluster::start(NOBODY);
    let absent = cluster.run("ENVBOX=/absent srun envbox-task -- true");
    assert_eq!(absent.code(), Some(125));
    assert!(
        absent.stderr().contains("on node one"),
        "{}",
        absent.whole()
    );

    let nothing = cluster.run("srun envbox-task");
    assert_eq!(nothing.code(), Some(125));
    assert!(
        nothing.stderr().contains("there is no command"),
        "{}",
        nothing.whole()
    );

    // A node where nobody may make a user namespace.
    let closed = "srun unshare --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces \
                  && exec envbox-task -- true'";
    let closed = cluster.run(closed);
    assert_eq!(closed.code(), Some(125), "{}", closed.whole());
    assert!(
        closed.stderr().contains("user namespace"),
        "{}",
        closed.whole()
    );
    assert!(!cluster.exists("started.txt"));
}
