//! Run records, as root and as an unprivileged user.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::http::Server;
use crate::support::User;
use crate::tools::{Tools, for_both};

/// Reads a file of the project and draws from a source of randomness.
const STEP: &str =
    "read word < input; read -N 4 -d '' x < /dev/urandom; printf '%s %q' \"$word\" \"$x\" > out";

impl Tools {
    fn write(&self, name: &str, text: &str) {
        self.world.write(name, text);
    }

    fn step(&self, options: &[&str]) {
        let run = self.run_with(options, &["bash", "-c", STEP]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }

    fn record(&self, name: &str) -> Value {
        let shown = self.world.run(&["--json", "show", name]);
        assert_eq!(shown.code(), Some(0), "{}", shown.stderr());
        serde_json::from_str(&shown.stdout()).unwrap()
    }

    fn journal(&self) -> PathBuf {
        self.world.path().join("home/.local/state/envbox/runs")
    }
}

#[test]
fn every_run_leaves_a_record() {
    for_both(|tools| {
        tools.write("input", "one\n");
        tools.step(&["--tag", "first", "--env", "A=b"]);
        let record = tools.record("first");
        assert_eq!(record["schema"], "envbox.run/1");
        assert_eq!(record["ended"]["exit"]["code"], 0);
        let output = &record["ended"]["outputs"][0];
        assert_eq!(
            (&output["path"], &output["kind"], &output["kept"]),
            (&"out".into(), &"created".into(), &true.into())
        );
        let parameters = &record["tower"]["parameters"];
        assert_eq!(parameters["seen"]["env"]["A"], "b");
        assert_eq!(parameters["seen"]["env"]["GREETING"], "hello");
        assert_eq!(record["tower"]["code"]["state"], "held");
        // One that fails too, and outputs are no code.
        let failed = tools.run(&["bash", "-c", "exit 3"]);
        assert_eq!(failed.code(), Some(3));
        let newest = tools.record("@1");
        assert_eq!(newest["ended"]["exit"]["code"], 3);
        assert_eq!(
            newest["tower"]["code"]["digest"],
            record["tower"]["code"]["digest"]
        );
        let list = tools.world.run(&["runs"]).stdout();
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 2, "{list}");
        assert!(lines[0].contains("status 3    bash -c exit 3"), "{list}");
        assert!(lines[1].ends_with("[first]"), "{list}");
        let shown = tools.world.run(&["show", "first"]).stdout();
        for line in [
            "code        held      sha256:",
            "entropy     held      seed 0, logical clock",
            "  created   out sha256:",
        ] {
            assert!(shown.contains(line), "{line:?} in {shown}");
        }
        // Nobody else may read command lines.
        let mode = fs::metadata(tools.journal()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // None is kept of what did not run.
        assert_eq!(tools.run(&["no-such-command"]).code(), Some(127));
        // Nor of a run that is to leave none.
        let run = tools.run_with(&["--no-record"], &["true"]);
        assert_eq!(run.code(), Some(0));
        assert_eq!(tools.world.run(&["runs"]).stdout().lines().count(), 2);
    });
}

#[test]
fn the_block_that_moved_is_named() {
    for_both(|tools| {
        tools.write("input", "one\n");
        tools.step(&[]);
        tools.step(&[]);
        let same = tools.world.run(&["diff", "@2", "@1"]);
        assert_eq!(same.code(), Some(0), "{}", same.stdout());
        assert!(same.stdout().contains("outputs     same\n"));
        let lowest = |run: &crate::support::Run| -> Value {
            let document: Value = serde_json::from_str(&run.stdout()).unwrap();
            assert_eq!(document["schema"], "envbox.comparison/1");
            document["lowest"].clone()
        };
        tools.step(&["--seed", "7"]);
        let seed = tools.world.run(&["--json", "diff", "@2", "@1"]);
        assert_eq!((seed.code(), lowest(&seed)), (Some(1), "entropy".into()));
        tools.write("input", "two\n");
        tools.step(&["--seed", "7"]);
        let code = tools.world.run(&["--json", "diff", "@2", "@1"]);
        assert_eq!((code.code(), lowest(&code)), (Some(1), "code".into()));
        // And where it shows in the output.
        let shown = tools.world.run(&["diff", "@2", "@1"]).stdout();
        assert!(shown.contains("out: text: different\n"), "{shown}");
        tools.step(&["--seed", "7", "--env", "B=c"]);
        let variable = tools.world.run(&["diff", "@2", "@1"]).stdout();
        assert!(variable.contains("env.B: nothing -> c\n"), "{variable}");
    });
}

#[test]
fn diffoscope_is_asked_of_what_nothing_else_reads() {
    let tools = Tools::new(User::Current);
    for word in ["one", "two"] {
        let script = "printf '\\001\\002\\377%s' $1 > out";
        let run = tools.run(&["bash", "-c", script, "-", word]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }
    let stand_in = "#!/bin/sh\necho said by a program > \"$3\"\nexit 1\n";
    tools.world.write_home("bin/diffoscope", stand_in);
    let bin = tools.world.path().join("home/bin");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bin.join("diffoscope"), mode).unwrap();
    let mut diff = tools.world.command(&["diff", "@2", "@1"]);
    diff.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let shown = tools.world.finished(diff).stdout();
    assert!(shown.contains("said by a program"), "{shown}");
    let without = tools.world.run(&["diff", "@2", "@1"]).stdout();
    assert!(
        !without.contains("said by a program") && without.contains("out: bytes"),
        "{without}"
    );
}

#[test]
fn a_run_is_done_again_from_its_record_alone() {
    for_both(|tools| {
        tools.write("input", "one\n");
        tools.step(&["--seed", "5", "--record", "golden.json"]);
        let out = fs::read(tools.world.project().join("out")).unwrap();
        let golden = tools.world.project().join("golden.json");
        assert!(
            !fs::read_to_string(&golden)
                .unwrap()
                .contains(tools.world.path().to_str().unwrap())
        );
        // The project goes on, and the store is tidied up.
        tools.write("input", "two\n");
        fs::remove_file(tools.world.project().join("out")).unwrap();
        let collected = tools.world.run(&["store", "gc"]);
        assert_eq!(collected.code(), Some(0), "{}", collected.stderr());
        for name in ["@1", "golden.json"] {
            let again = tools
                .world
                .run(&["replay", name, "--registry", &tools.registry]);
            assert_eq!(again.code(), Some(0), "{}", again.stderr());
            assert!(
                again.stderr().contains("outputs     same"),
                "{}",
                again.stderr()
            );
        }
        assert!(!tools.world.project().join("out").exists());
        let again = tools.world.run(&["replay", "golden.json", "--to", "again"]);
        assert_eq!(again.code(), Some(0), "{}", again.stderr());
        assert_eq!(
            fs::read(tools.world.project().join("again/out")).unwrap(),
            out
        );
        let full = tools.world.run(&["replay", "golden.json", "--to", "again"]);
        assert_eq!(full.code(), Some(10));
        assert!(full.stderr().contains("is not empty"), "{}", full.stderr());
        // Without a record the store keeps nothing of the project.
        let runs = fs::read_dir(tools.journal()).unwrap();
        let ids: Vec<String> = runs
            .filter_map(|run| {
                let name = run.unwrap().file_name().into_string().unwrap();
                Some(name.strip_suffix(".json")?.to_owned())
            })
            .collect();
        for id in ids {
            assert_eq!(tools.world.run(&["runs", "remove", &id]).code(), Some(0));
        }
        assert_eq!(tools.world.run(&["store", "gc"]).code(), Some(0));
        let lost = tools.world.run(&["replay", "golden.json"]);
        assert_eq!(lost.code(), Some(12), "{}", lost.stderr());
        assert!(
            lost.stderr().contains("is not in the store"),
            "{}",
            lost.stderr()
        );
    });
}

#[test]
fn a_killed_run_is_on_record() {
    for_both(|tools| {
        let mut command = tools.command("echo started; sleep 1000");
        let mut envbox = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(envbox.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let records = || fs::read_dir(tools.journal()).into_iter().flatten().count();
        for _ in 0..500 {
            if records() > 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(tools.world.run(&["runs"]).stdout().contains("running"));
        envbox.kill().unwrap();
        envbox.wait().unwrap();
        let list = tools.world.run(&["runs"]).stdout();
        assert!(list.contains("killed      sh -c echo started"), "{list}");
        let shown = tools.world.run(&["show"]).stdout();
        assert!(shown.contains("state       killed"), "{shown}");
    });
}

#[test]
fn what_the_host_changes_meanwhile_is_said() {
    for_both(|tools| {
        tools.write("input", "one\n");
        let script = "echo started; read line";
        let mut command = tools.command(script);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut envbox = command.spawn().unwrap();
        let mut output = BufReader::new(envbox.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        while fs::read_dir(tools.journal()).into_iter().flatten().count() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        tools.write("input", "two\n");
        drop(envbox.stdin.take());
        envbox.wait().unwrap();
        let code = &tools.record("@1")["tower"]["code"];
        assert_eq!(code["state"], "not-held");
        assert_eq!(code["noted"]["changed"], serde_json::json!(["input"]));
    });
}

#[test]
fn a_record_that_cannot_be_kept_costs_nothing_else() {
    for_both(|tools| {
        tools.write("input", "one\n");
        tools.world.write_home(".local/state", "no directory\n");
        let run = tools.run(&["bash", "-c", STEP]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        assert!(
            run.stderr().contains("the run is not on record"),
            "{}",
            run.stderr()
        );
        assert!(tools.world.project().join("out").exists());
        // A file that was asked for is missed.
        let run = tools.run_with(&["--record", "no/such/golden.json"], &["true"]);
        assert_eq!(run.code(), Some(125), "{}", run.stderr());
        assert!(
            run.stderr().contains("no/such/golden.json"),
            "{}",
            run.stderr()
        );
    });
}

#[test]
fn a_full_disk_costs_the_record_alone() {
    let tools = Tools::new(User::Current);
    tools.world.write("input", "one\n");
    let _built = tools.run(&["true"]);
    let script = "mkdir -p $HOME/.local/state/envbox && mount -t tmpfs -o size=4k none \
                      $HOME/.local/state/envbox && mkdir $HOME/.local/state/envbox/runs && \
                      head -c 64k /dev/zero > $HOME/.local/state/envbox/runs/full; \
                      $run -- sh -c 'echo here > out; exit 3'";
    let run = tools.with_mounts(script);
    assert_eq!(run.code(), Some(3), "{}", run.stderr());
    assert!(
        run.stderr().contains("the run is not on record"),
        "{}",
        run.stderr()
    );
    assert!(
        run.stderr().contains("No space left on device"),
        "{}",
        run.stderr()
    );
    let out = fs::read_to_string(tools.world.project().join("out")).unwrap();
    assert_eq!(out, "here\n");
}

#[test]
fn names_that_name_no_run_are_explained() {
    for_both(|tools| {
        tools.write("input", "one\n");
        tools.step(&["--record", "golden.json"]);
        let golden = fs::read_to_string(tools.world.project().join("golden.json")).unwrap();
        tools.write("changed.json", &golden.replace("/dev/urandom", "/dev/null"));
        tools.write(
            "later.json",
            &golden.replace("envbox.run/1", "envbox.run/9"),
        );
        for (name, code, message) in [
            (
                "@7",
                10,
                "there is no run `@7`: 1 are on record for this project",
            ),
            ("nobody", 10, "no run is named `nobody`"),
            ("changed.json", 14, "was changed after it was written"),
            (
                "later.json",
                10,
                "was written by a later envbox (`envbox.run/9`)",
            ),
            ("envbox.toml/", 12, "failed to read `envbox.toml/`"),
        ] {
            let shown = tools.world.run(&["show", name]);
            assert_eq!(shown.code(), Some(code), "{}", shown.stderr());
            assert!(shown.stderr().contains(message), "{}", shown.stderr());
            assert!(
                shown.stderr().contains("hint: ") || code == 12,
                "{}",
                shown.stderr()
            );
        }
        // A record that cannot be read is not taken for a lockfile.
        for (name, code, message) in [
            ("changed.json", 14, "was changed after it was written"),
            ("later.json", 10, "was written by a later envbox"),
        ] {
            let told = tools.world.run(&["diff", name, "@1"]);
            assert_eq!(told.code(), Some(code), "{}", told.stderr());
            assert!(told.stderr().contains(message), "{}", told.stderr());
        }
        let tag = tools.world.run(&["runs", "tag", "@1", "12ab"]);
        assert_eq!(tag.code(), Some(10), "{}", tag.stderr());
    });
}

#[test]
fn a_run_of_mlflow_is_told_of_ours() {
    for_both(|tools| {
        tools.world.write("input", "one\n");
        let run = "0123456789abcdef0123456789abcdef";
        let traced = |tracking: &str| {
            let mut command = tools.command("true");
            command.env("MLFLOW_TRACKING_URI", tracking);
            command.env("MLFLOW_RUN_ID", run);
            tools.world.finished(command)
        };
        // As the file store has it.
        tools
            .world
            .write(&format!("mlruns/0/{run}/meta.yaml"), "run_id: x\n");
        let told = traced("mlruns");
        assert_eq!((told.code(), told.stderr().as_str()), (Some(0), ""));
        let lock = tools.record("@1")["tower"]["libraries"]["seen"]["lock"].clone();
        let tags = tools.world.project().join(format!("mlruns/0/{run}/tags"));
        assert_eq!(fs::read_to_string(tags.join("envbox.lock")).unwrap(), lock);
        // Over the REST API.
        let server = Server::start();
        server.file("/api/2.0/mlflow/runs/set-tag", b"{}");
        let told = traced(&server.url());
        assert_eq!((told.code(), told.stderr().as_str()), (Some(0), ""));
        let requests = server.requests();
        let first: Value = serde_json::from_slice(&requests[0].body).unwrap();
        let id = tools.record("@1")["run"].clone();
        assert_eq!(
            first,
            serde_json::json!({ "run_id": run, "key": "envbox.run", "value": id })
        );
        // What MLflow does not hear does no harm.
        for tracking in [
            "sqlite:///mlflow.db",
            "none",
            &format!("{}/absent", server.url()),
        ] {
            let untold = traced(tracking);
            assert_eq!(untold.code(), Some(0));
            let said = untold.stderr();
            assert!(
                said.contains("warning: MLflow does not know of the run: "),
                "{said}"
            );
        }
    });
}
