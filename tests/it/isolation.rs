//! `run --isolation`: in a container that allows no namespaces.

use std::fs;

use envbox::ops::inside::InsidePolicy;
use serde_json::Value;

use crate::support::{Run, User};
use crate::tools::{Tools, for_both};

/// Makes user namespaces impossible, and `/etc` one that has what is in `$etc` besides.
const CONTAINER: &str = "set -e
    echo 0 > /proc/sys/user/max_user_namespaces
    mount -t tmpfs none /mnt
    cp -r /etc/passwd /etc/group /etc/ld.so.cache /mnt/
    cp -r \"$etc\"/. /mnt/
    mount --bind /mnt /etc
    exec $run";

impl Tools {
    /// Runs a step in a container whose image was built from the lock with a digest.
    fn contained(&self, image: Option<&str>, options: &str, step: &str) -> Run {
        let etc = self.world.path().join("etc");
        fs::create_dir_all(etc.join("envbox")).unwrap();
        if let Some(lock) = image {
            let policy = InsidePolicy {
                lock: Some(lock.parse().unwrap()),
                ..InsidePolicy::without_manifest()
            };
            fs::write(etc.join("envbox/policy.json"), policy.to_bytes()).unwrap();
        }
        let run = format!(
            "{} run --frozen --registry {} {options} -- {step}",
            self.world.program().display(),
            self.registry
        );
        let mut shell = self.world.shell("exec unshare -Urm sh -c \"$script\"");
        shell
            .env("script", CONTAINER.replace("$run", &run))
            .env("etc", etc);
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.world.finished(shell)
    }

    fn lock_digest(&self) -> String {
        let told = self.world.run(&["--json", "lock", "--check"]).stdout();
        let document: Value = serde_json::from_str(&told).unwrap();
        document["digest"].as_str().unwrap().to_owned()
    }
}

#[test]
fn in_its_image_a_step_runs_without_namespaces() {
    for_both(|tools| {
        let lock = tools.lock_digest();
        let options = "--isolation none --json --record record.json --result-file result.json";
        let step = "sh -c 'echo $GREETING $ENVBOX_SEED; date +%Y; echo x > made'";
        let run = tools.contained(Some(&lock), options, step);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let stdout = run.stdout();
        assert!(stdout.starts_with("hello 0\n2020\n"), "{stdout}");
        let project = tools.world.project();
        assert_eq!(fs::read_to_string(project.join("made")).unwrap(), "x\n");
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(project.join(name)).unwrap()).unwrap()
        };
        let result = read("result.json");
        assert_eq!(result["schema"], "envbox.result/1");
        assert_eq!(
            result["isolation"]["namespaces"].as_array().unwrap().len(),
            0
        );
        let holds = result["holds"].as_array().unwrap();
        let state =
            |source: &str| &holds.iter().find(|hold| hold["source"] == source).unwrap()["state"];
        assert_eq!(
            (state("wall-clock"), state("network")),
            (&"held".into(), &"not-held".into())
        );
        let tower = &read("record.json")["tower"];
        for block in ["libraries", "data", "entropy"] {
            assert_eq!(tower[block]["state"], "not-held", "{block}");
        }
        assert!(tower["entropy"]["because"].to_string().contains("network"));
    });
}

#[test]
fn auto_says_what_it_does() {
    for_both(|tools| {
        let lock = tools.lock_digest();
        let step = "sh -c 'cat /proc/sys/kernel/hostname; date +%Y'";
        // Where there are namespaces, they are used.
        let here = tools.run_with(
            &["--isolation", "auto"],
            &["sh", "-c", "cat /proc/sys/kernel/hostname"],
        );
        assert_eq!(
            (here.code(), here.stdout().as_str()),
            (Some(0), "envbox\n"),
            "{}",
            here.stderr()
        );
        assert!(
            !here.stderr().contains("without namespaces"),
            "{}",
            here.stderr()
        );
        let run = tools.contained(Some(&lock), "--isolation auto --events events", step);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        assert!(run.stdout().ends_with("2020\n"), "{}", run.stdout());
        assert!(
            run.stderr().contains("runs without namespaces"),
            "{}",
            run.stderr()
        );
        let events = fs::read_to_string(tools.world.project().join("events")).unwrap();
        assert!(events.contains("runs without namespaces"), "{events}");
        // Nothing is given up unasked.
        let run = tools.contained(Some(&lock), "", step);
        assert_eq!(run.code(), Some(125));
        assert!(run.stderr().contains("user namespaces"), "{}", run.stderr());
    });
}

#[test]
fn the_surroundings_must_be_of_the_lock() {
    let tools = Tools::new(User::Unprivileged);
    let none = tools.contained(None, "--isolation none", "true");
    assert_eq!(none.code(), Some(125));
    assert!(
        none.stderr()
            .contains("there is no `/etc/envbox/policy.json`"),
        "{}",
        none.stderr()
    );
    assert!(
        none.stderr()
            .contains("hint: start the container from the image"),
        "{}",
        none.stderr()
    );
    let digest = format!("sha256:{}", "1".repeat(64));
    let other = tools.contained(Some(&digest), "--isolation auto", "true");
    assert_eq!(other.code(), Some(125));
    let stderr = other.stderr();
    assert!(
        stderr.contains(&digest) && stderr.contains(&tools.lock_digest()),
        "{stderr}"
    );
    assert!(stderr.contains("hint: build the image anew"), "{stderr}");
    let lock = tools.lock_digest();
    let bind = tools.contained(
        Some(&lock),
        "--isolation none --bind /usr:/elsewhere",
        "true",
    );
    assert_eq!(bind.code(), Some(125));
    assert!(
        bind.stderr().contains("cannot be bound on `/elsewhere`"),
        "{}",
        bind.stderr()
    );
    // What is there already need not be bound.
    let bind = tools.contained(Some(&lock), "--isolation none --bind /usr", "true");
    assert_eq!(bind.code(), Some(0), "{}", bind.stderr());
}

#[test]
fn doctor_says_which_it_would_be() {
    let tools = Tools::new(User::Current);
    let told = tools.world.run(&["--json", "doctor"]).stdout();
    let document: Value = serde_json::from_str(&told).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["name"] == "isolation of `run`")
        .unwrap();
    assert_eq!(check["found"], "namespaces");
}
