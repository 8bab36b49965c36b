//! `envbox verify`: what is the same, what is not, why, and what is left behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::interface::follows;
use crate::support::{Run, User};
use crate::tools::{MANIFEST, Tools, for_both};

impl Tools {
    /// Runs `envbox verify` on a script, with options.
    fn verify(&self, options: &[&str], script: &str) -> Run {
        self.world.run(&self.verify_arguments(options, script))
    }

    fn verify_arguments<'a>(&'a self, options: &[&'a str], script: &'a str) -> Vec<&'a str> {
        let head = ["verify", "--registry", self.registry.as_str()];
        [&head, options, &["--", "bash", "-c", script]].concat()
    }

    /// As [`Tools::verify`]; returns the exit code and the document, which follows its schema.
    fn verified(&self, options: &[&str], script: &str) -> (Option<i32>, Value) {
        let run = self.verify(&[&["--json"], options].concat(), script);
        let document = serde_json::from_str(&run.stdout());
        let document = document.unwrap_or_else(|_| panic!("{}{}", run.stdout(), run.stderr()));
        follows("verify", &document);
        (run.code(), document)
    }

    /// What verifications leave in the store: nothing.
    fn leftovers(&self) -> usize {
        let store = self.world.path().join("home/.cache/envbox");
        let count = |name: &str| fs::read_dir(store.join(name)).into_iter().flatten().count();
        count("tmp/build") + count("runs")
    }
}

/// Every path below a directory, with what tells whether it was touched.
fn state(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let (inode, changed) = (metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()));
            all.push(format!("{} {inode} {changed:?}", path.display()));
            if metadata.is_dir() {
                open.push(path);
            }
        }
    }
    all.sort();
    all
}

/// Draws from what the sandbox holds.
const HELD: &str = "echo $EPOCHREALTIME $RANDOM $$; read -N 4 -d '' x < /dev/urandom; \
                    printf %q \"$x\" > out; ls parts; cat /etc/hostname; umask; env >&2";

#[test]
fn what_the_sandbox_holds_is_identical() {
    for_both(|tools| {
        fs::create_dir(tools.world.project().join("parts")).unwrap();
        for name in ["b", "a", "c"] {
            tools.world.write(&format!("parts/{name}"), name);
        }
        let (code, found) = tools.verified(&["-n", "3"], HELD);
        assert_eq!(code, Some(0), "{found:#}");
        assert_eq!(found["schema"], "envbox.verify/1");
        assert_eq!(found["verdict"], "identical");
        assert_eq!(found["runs"].as_array().unwrap().len(), 3);
        let applied = |name: &str| {
            let all = found["variations"].as_array().unwrap();
            let one = all.iter().find(|one| one["variation"] == name).unwrap();
            (one["applied"].clone(), one["note"].clone())
        };
        for name in [
            "path", "order", "times", "umask", "locale", "store", "load", "second",
        ] {
            assert_eq!(applied(name).0, true, "{name}: {found:#}");
        }
        let root = rustix::process::geteuid().is_root() && !tools.world.changes_user();
        let expected: (Value, Value) = match root {
            true => (true.into(), Value::Null),
            false => (false.into(), "only root can".into()),
        };
        assert_eq!(applied("user"), expected, "{found:#}");
        assert_eq!(applied("host-name"), expected, "{found:#}");
        let drawn = found["drawn"].as_array().unwrap();
        let has = |source: &str| {
            drawn
                .iter()
                .any(|one| one["source"] == source && one["held"] == true)
        };
        assert!(
            has("randomness") && has("wall-clock") && has("directory-order"),
            "{found:#}"
        );
    });
}

/// A step, what is varied when it differs, and the source that is named.
const CAUSES: [(&str, &str, &str); 3] = [
    ("stat -c %Y data > out", "times", "file-status"),
    ("stat -c %i data > out", "", "file-status"),
    ("cat /proc/vmstat", "", "machine"),
];

#[test]
fn the_variation_and_the_source_behind_a_difference_are_named() {
    for_both(|tools| {
        tools.world.write("data", "1");
        for (script, variation, source) in CAUSES {
            let (code, found) = tools.verified(&[], script);
            assert_eq!(code, Some(1), "{script}: {found:#}");
            assert_eq!(found["verdict"], "diverged");
            let cause = match variation {
                "" => serde_json::json!({ "kind": "itself" }),
                name => serde_json::json!({ "kind": "varied", "variations": [name] }),
            };
            assert_eq!(found["cause"], cause, "{script}: {found:#}");
            let suspects = found["suspects"].as_array().unwrap();
            let named = suspects.iter().any(|one| one["source"] == source);
            assert!(named, "{script}: {found:#}");
        }
    });
}

#[test]
fn what_differs_is_shown_and_kept_if_asked() {
    let tools = Tools::new(User::Unprivileged);
    tools.world.write("data", "1");
    let script = "mkdir deep; echo same > deep/same; { echo one; stat -c %Y data; } > deep/out; \
                  stat -c %Y data >&2";
    let kept = tools.world.path().join("home/kept");
    let keep = ["--keep", kept.to_str().unwrap(), "--ignore", "stderr"];
    let run = tools.verify(&[&keep[..], &["--vary", "times"]].concat(), script);
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let text = run.stdout();
    for part in [
        "diverged: runs differ with: times (",
        "\ndiffers:\n  `deep/out`: 15 bytes, ",
        "\n      line 2: ",
        " -> 395078400\n",
        "\ncan be the cause:\n  file-status      /project/data  /usr/bin/stat\n",
        "file-status = \"fixed\"",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("standard error"), "{text}");
    let kept = |name: &str| fs::read_to_string(kept.join(name).join("project/deep/out")).unwrap();
    assert_eq!(kept("then"), "one\n395078400\n");
    assert_ne!(kept("first"), kept("then"));
    assert_eq!(tools.leftovers(), 0);
}

#[test]
fn verify_leaves_the_project_alone() {
    for_both(|tools| {
        tools.world.write("old", "old");
        tools.world.write("deep/kept", "kept");
        let project = tools.world.project();
        let roots = tools.world.path().join("home/.cache/envbox/roots");
        let built = tools.run_with(&["--no-record"], &["true"]);
        assert_eq!(built.code(), Some(0), "{}", built.stderr());
        let (before, pinned) = (state(&project), state(&roots));
        let script = "rm old; echo new > deep/kept; echo new > new";
        let (code, found) = tools.verified(&[], script);
        assert_eq!(code, Some(0), "{found:#}");
        let outputs = found["outputs"].as_array().unwrap();
        let outputs: Vec<&str> = outputs
            .iter()
            .filter_map(|one| one["path"].as_str())
            .collect();
        assert_eq!(outputs, ["deep/kept", "new", "old"]);
        assert_eq!(state(&project), before);
        assert_eq!(state(&roots), pinned);
        assert_eq!(tools.leftovers(), 0);
    });
}

#[test]
fn declared_data_is_seen_by_every_run() {
    for_both(|tools| {
        tools.world.write("data/train.csv", "1,2\n");
        tools.world.write("images/one", "x");
        let added = tools
            .world
            .run(&["data", "add", "data/train.csv", "images"]);
        assert_eq!(added.code(), Some(0), "{}", added.stderr());
        let before = state(&tools.world.project());
        let (code, found) = tools.verified(&[], "cat data/train.csv images/one > out");
        assert_eq!(code, Some(0), "{found:#}");
        let outputs = found["outputs"].as_array().unwrap();
        let out = outputs.iter().find(|one| one["path"] == "out").unwrap();
        assert_eq!(out["state"]["size"], 5, "{found:#}");
        assert_eq!(state(&tools.world.project()), before);
    });
}

#[test]
fn a_step_that_fails_each_time_is_not_verified() {
    let tools = Tools::new(User::Unprivileged);
    let run = tools.verify(&[], "echo no data >&2; exit 3");
    assert_eq!(run.code(), Some(2));
    let said = "not verified: the step fails, in the same way each time: exit status 3\n";
    let text = run.stdout();
    assert!(
        text.starts_with(said) && text.contains("\n  no data\n"),
        "{text}"
    );
    // Another failure each time is a difference.
    tools.world.write("data", "1");
    let (code, found) = tools.verified(&["--no-bisect"], "test $(stat -c %Y data) = 395078400");
    assert_eq!(code, Some(1), "{found:#}");
    assert_eq!(found["differences"][0]["output"], "exit");
}

#[test]
fn what_cannot_be_run_is_told_and_is_no_verdict() {
    let tools = Tools::new(User::Unprivileged);
    let refused = |arguments: &[&str], said: &str| {
        let run = tools.world.run(arguments);
        assert_eq!(
            run.code(),
            Some(2),
            "{arguments:?}: {}{}",
            run.stdout(),
            run.stderr()
        );
        assert!(run.stderr().contains(said), "{said:?} in {}", run.stderr());
        assert_eq!(tools.leftovers(), 0);
    };
    let registry = tools.registry.as_str();
    let head = ["verify", "--registry", registry];
    refused(
        &[&head[..], &["-n", "1", "--", "true"]].concat(),
        "hint: run it twice or more",
    );
    refused(
        &[&head[..], &["--", "no-such-command"]].concat(),
        "no-such-command",
    );
    let vary = ["--vary", "moon", "--", "true"];
    refused(&[&head[..], &vary].concat(), "choose of path, order, times");
    let against = ["--against", "none.json", "--", "true"];
    refused(&[&head[..], &against].concat(), "none.json");
    let against = ["--against", "@1", "--", "true"];
    refused(&[&head[..], &against].concat(), "@1");
    tools
        .world
        .write("envbox.toml", &MANIFEST.replace("bookworm", "trixie"));
    refused(
        &[&head[..], &["--", "true"]].concat(),
        "the Debian suite changed",
    );
}

#[test]
fn a_record_under_version_control_is_compared_with() {
    for_both(|tools| {
        tools.world.write("code", "1");
        let script = "cat code > out";
        let golden = ["--record", "golden.json", "--no-pty"];
        let run = tools.run_with(&golden, &["bash", "-c", script]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let against = ["--against", "golden.json"];
        // The output is there already, and written again alike.
        let (code, found) = tools.verified(&against, script);
        assert_eq!(code, Some(0), "{found:#}");
        assert_eq!(found["runs"].as_array().unwrap().len(), 1);
        tools.world.write("code", "2");
        let (code, found) = tools.verified(&against, script);
        assert_eq!(code, Some(1), "{found:#}");
        assert_eq!(found["differences"], serde_json::json!([]));
        assert_eq!(found["against"]["lowest"], "code");
        assert_eq!(found["against"]["differences"][0]["path"], "out");
        let text = tools.verify(&against, script).stdout();
        let said = "diverged: runs are the same, and differ from the record\n";
        assert!(text.starts_with(said), "{text}");
        assert!(
            text.contains("the lowest block that moved: code (tree: "),
            "{text}"
        );
        // The journal has it as well.
        let (code, _) = tools.verified(&["--against", "@1"], script);
        assert_eq!(code, Some(1));
        // Where in the output it shows, as long as the store has the old one.
        assert!(text.contains("line 1: 1 -> 2"), "{text}");
        // With what is printed.
        let script = "echo said; echo here > out";
        let (code, _) = tools.verified(&["--record", "whole.json"], script);
        assert_eq!(code, Some(0));
        let against = ["--against", "whole.json"];
        assert_eq!(tools.verified(&against, script).0, Some(0));
        let (code, found) = tools.verified(&against, "echo other; echo here > out");
        assert_eq!(code, Some(1), "{found:#}");
        assert_eq!(found["against"]["differences"][0]["output"], "stdout");
        // No record is made of runs that differ.
        let (code, _) =
            tools.verified(&["--record", "none.json", "--no-bisect"], "stat -c %Y code");
        assert_eq!(code, Some(1));
        assert!(!tools.world.project().join("none.json").exists());
    });
}

#[test]
fn a_step_may_print_much_and_leave_daemons() {
    let tools = Tools::new(User::Unprivileged);
    let script = "sleep 1000 & sleep 1000 > /dev/null 2>&1 & printf -v x %01048576d 0; \
                  for ((i = 0; i < 48; i++)); do printf %s $x; done";
    let (code, found) = tools.verified(&[], script);
    assert_eq!(code, Some(0), "{found:#}");
    let outputs = found["outputs"].as_array().unwrap();
    let printed = outputs
        .iter()
        .find(|one| one["output"] == "stdout")
        .unwrap();
    assert_eq!(printed["state"]["size"], 48 << 20);
    assert_eq!(tools.leftovers(), 0);
}

#[test]
fn two_verify_at_once() {
    let tools = Tools::new(User::Unprivileged);
    let start = || {
        let mut command = tools
            .world
            .command(&tools.verify_arguments(&[], HELD_ALONE));
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()];
    for one in both {
        let output = one.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
    assert_eq!(tools.leftovers(), 0);
}

#[test]
fn who_is_nice_already_verifies_too() {
    let tools = Tools::new(User::Unprivileged);
    let command = tools
        .world
        .command(&tools.verify_arguments(&[], HELD_ALONE));
    let nicely = tools.world.started_by(&["nice", "-n", "17"], &command);
    let run = tools.world.finished(nicely);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
}

const HELD_ALONE: &str = "echo $EPOCHREALTIME $RANDOM > out";

#[test]
fn an_interrupted_verify_leaves_nothing() {
    for_both(|tools| {
        // The step says over the network when it runs: what it prints nobody sees yet.
        let manifest = format!("{MANIFEST}network = \"host\"\n");
        tools.world.write("envbox.toml", &manifest);
        let before = state(&tools.world.project());
        for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo here >&3; sleep 1000");
            let command = tools.world.command(&tools.verify_arguments(&[], &script));
            // Shells have what they start in the background ignore INT, and children inherit it.
            let heard = ["/usr/bin/env", "--default-signal=INT"];
            let mut command = tools.world.started_by(&heard, &command);
            let verify = command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "here");
            let process = rustix::process::Pid::from_child(&verify);
            rustix::process::kill_process(process, signal).unwrap();
            let output = verify.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.signal(), Some(signal.as_raw()), "{said}");
            // The step is dead: its end of the connection is closed.
            assert!(lines.next().is_none_or(|line| line.is_err()));
            assert_eq!(tools.leftovers(), 0);
            assert_eq!(state(&tools.world.project()), before);
        }
    });
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let tools = Tools::new(User::Current);
    let built = tools.run(&["true"]);
    assert_eq!(built.code(), Some(0), "{}", built.stderr());
    fs::write(tools.world.project().join("data"), vec![1; 4 << 20]).unwrap();
    let run = tools.with_mounts(
        "mount -t tmpfs -o size=1m none $root/home/.cache/envbox/tmp/build && \
         $(echo $run | sed 's/ run --frozen / verify /') -- true; \
         echo code $?; ls $root/home/.cache/envbox/tmp/build",
    );
    assert!(
        run.stdout().ends_with("code 2\n"),
        "{}{}",
        run.stdout(),
        run.stderr()
    );
    let said = run.stderr();
    assert!(
        said.contains("failed to copy") && said.contains("project/data"),
        "{said}"
    );
    assert!(said.contains("free some space"), "{said}");
}

#[test]
fn others_read_the_result() {
    let tools = Tools::new(User::Unprivileged);
    tools.world.write("data", "1");
    let files = [
        "--junit",
        "junit.xml",
        "--sarif",
        "verify.sarif",
        "--github",
    ];
    let options = [&files[..], &["--vary", "times"]].concat();
    let arguments = tools.verify_arguments(&options, "stat -c %Y data > out");
    let mut command = tools.world.command(&arguments);
    let summary = tools.world.path().join("home/summary.md");
    command.env("GITHUB_STEP_SUMMARY", &summary);
    command.env("GITHUB_WORKSPACE", tools.world.path());
    let run = tools.world.finished(command);
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let text = run.stdout();
    let said = "::error title=envbox verify::runs differ with: times (";
    assert!(text.starts_with(said), "{text}");
    let read = |name: &str| fs::read_to_string(tools.world.project().join(name)).unwrap();
    assert!(
        read("junit.xml").contains("failures=\"1\" errors=\"0\""),
        "{}",
        read("junit.xml")
    );
    let sarif: Value = serde_json::from_str(&read("verify.sarif")).unwrap();
    let location = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "project/envbox.toml");
    let summary = fs::read_to_string(summary).unwrap();
    assert!(
        summary.starts_with("### envbox verify: :x: diverged\n"),
        "{summary}"
    );
    // What could not be verified is an error, not a missing report.
    let run = tools.verify(&["-n", "1", "--junit", "junit.xml"], "true");
    assert_eq!(run.code(), Some(2));
    assert!(
        read("junit.xml").contains("failures=\"0\" errors=\"1\""),
        "{}",
        read("junit.xml")
    );
}
