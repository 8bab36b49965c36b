//! `envbox key -- COMMAND`: the same where the step would do the same, another where it would not.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::User;
use crate::tools::{MANIFEST, Tools};

impl Tools {
    fn key_in(&self, project: &Path, options: &[&str], command: &[&str]) -> String {
        let all = [&["key"], options, &["--"], command].concat();
        let run = self.world.finished(self.world.command_in(project, &all));
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let key = run.stdout();
        assert!(key.starts_with("sha256:") && key.len() == 72, "{key}");
        key
    }

    fn key(&self, options: &[&str]) -> String {
        self.key_in(&self.world.project(), options, &["train"])
    }
}

#[test]
fn every_part_counts() {
    let tools = Tools::new(User::Current);
    let project = tools.world.project();
    tools.world.write("code", "1");
    tools.world.write("data", "1");
    let digest = |text: &str| envbox::base::Digest::of(text.as_bytes()).hex();
    let declare = |text: &str| {
        let digest = digest(text);
        format!("{MANIFEST}[data]\n\"data\" = {{ sha256 = \"{digest}\" }}\n")
    };
    let manifest = declare("1");
    tools.world.write("envbox.toml", &manifest);
    let first = tools.key(&[]);
    assert_eq!(tools.key(&[]), first);
    let mut seen = vec![first.clone()];
    let mut other = |what: &str, key: String| {
        assert!(!seen.contains(&key), "{what}");
        seen.push(key);
    };
    for options in [
        &["--seed", "1"][..],
        &["--clock", "frozen"],
        &["--cpus", "2"],
        &["--network", "loopback"],
        &["--env", "A=1"],
        &["--env", "A=2"],
        &["--env", "HOME"],
        &["--workdir", "/tmp"],
        &["--argv0", "other"],
        &["--direct"],
        &["--without-code"],
        &["--bind", "/etc:/in"],
        &["--bind-rw", "/etc:/in"],
        &["--bind", "/etc:/other"],
        &["--bind", "/usr:/in"],
        &["--bind", "data:/in"],
    ] {
        other(&options.join(" "), tools.key(options));
    }
    other("argv", tools.key_in(&project, &[], &["train", "x"]));
    tools.world.write("code", "2");
    other("code", tools.key(&[]));
    tools.world.write("code", "1");
    for (from, to) in [
        ("hello", "other"),
        ("[sandbox]", "[sandbox]\nseed = 7"),
        ("[sandbox]", "[sandbox]\nepoch = \"2021-01-01T00:00:00Z\""),
        ("[sandbox]", "[sandbox]\nhostname = \"other\""),
        ("[sandbox]", "[sandbox]\nfile-status = \"fixed\""),
        ("[sandbox]", "[sandbox]\ncpuid = \"host\""),
        ("[sandbox]", "[sandbox]\noutputs = [\"out\"]"),
        (&*digest("1"), &*digest("2")),
    ] {
        // The manifest is code as well; without that, it is this that counts.
        tools
            .world
            .write("envbox.toml", &manifest.replace(from, to));
        other(to, tools.key(&["--without-code"]));
    }
    tools.world.write("envbox.toml", &manifest);
    assert_eq!(tools.key(&[]), first);
    // What is no part: who asks, the time of a file, and what a step made.
    fs::File::open(project.join("code"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let run = tools.sh("echo x > made");
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(tools.key(&[]), first);
}

#[test]
fn the_lockfile_counts() {
    let tools = Tools::new(User::Current);
    let key = |lock: &str| {
        let json = tools
            .world
            .run(&["--json", "key", "--without-code", "--", "x"])
            .stdout();
        let document: Value =
            serde_json::from_str(&json).unwrap_or_else(|_| panic!("{lock}: {json}"));
        assert_eq!(document["schema"], "envbox.key/1");
        (document["key"].clone(), document["parts"]["lock"].clone())
    };
    let lock: Value =
        serde_json::from_str(&tools.world.run(&["--json", "lock", "--check"]).stdout()).unwrap();
    assert_eq!(key("own").1, lock["digest"]);
    tools
        .world
        .write("envbox.toml", &MANIFEST.replace("bookworm", "trixie"));
    let stale = tools.world.run(&["key", "--", "x"]);
    assert_eq!(stale.code(), Some(11), "{}", stale.stderr());
}

/// On another machine, by another user, in another directory and store.
#[test]
fn the_place_and_the_user_do_not_count() {
    let keys: Vec<String> = User::ALL
        .iter()
        .map(|user| {
            let tools = Tools::new(*user);
            tools.world.write("sub/code", "1");
            let sub = tools.world.project().join("sub");
            let here = tools.key(&[]);
            let below = tools.key_in(&sub, &[], &["train"]);
            assert_ne!(here, below, "the step begins elsewhere");
            let moved = tools.world.path().join("moved");
            fs::rename(tools.world.project(), &moved).unwrap();
            assert_eq!(tools.key_in(&moved, &[], &["train"]), here);
            here
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn what_the_key_does_not_know_is_said() {
    let tools = Tools::new(User::Current);
    let told = |options: &[&str]| {
        let all = [&["--json", "key"], options, &["--", "x"]].concat();
        let run = tools.world.run(&all);
        let document: Value = serde_json::from_str(&run.stdout()).unwrap();
        document["not_held"].as_array().unwrap().len()
    };
    assert_eq!(told(&[]), 0);
    assert_eq!(told(&["--network", "host", "--bind", "/etc:/in"]), 2);
    // Values are told by digest alone.
    let run = tools
        .world
        .run(&["--json", "key", "--env", "TOKEN=hush", "--", "x"]);
    assert!(run.stdout().contains("TOKEN") && !run.stdout().contains("hush"));
    // Keys to sign with are still made.
    let run = tools.world.run(&["key", "generate", "--unencrypted"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(tools.world.run(&["key"]).code(), Some(2));
}
