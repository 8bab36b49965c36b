//! `--bind`, `--bind-rw`, `--network`, `--workdir` and `--manifest`, as root and as an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Run, User};
use crate::tools::{MANIFEST, Tools, for_both};

impl Tools {
    /// Makes a directory beside the project, which everybody can write to.
    fn beside(&self, name: &str) -> PathBuf {
        let path = self.world.path().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        path
    }

    /// Runs a script of the step's with options, and returns its record too.
    fn recorded(&self, options: &[&str], script: &str) -> (Run, Value) {
        let file = self.beside("records").join("record.json");
        let _before = fs::remove_file(&file);
        let record = ["--record", file.to_str().unwrap()];
        let run = self.run_with(&[&record, options].concat(), &["sh", "-c", script]);
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", run.stderr()));
        (run, serde_json::from_str(&text).unwrap())
    }
}

/// Ends well.
fn ok(run: &Run) -> String {
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    run.stdout()
}

#[test]
fn a_bind_is_seen_at_any_path_and_the_rootfs_is_as_before() {
    for_both(|tools| {
        let data = tools.beside("data");
        fs::write(data.join("file"), "of the host\n").unwrap();
        let path = data.to_str().unwrap();
        // But for what is mounted anyway, and what is put in.
        let list = "for path in / /* /usr /usr/* /etc/*; do case $path in \
            /dev|/home|/proc|/project|/run|/sys|/tmp|/deep|/usr/mnt2) ;; \
            *) stat -c '%n %F %a %u %g %s %Y' $path;; esac; done";
        let plain = ok(&tools.sh(list));
        let same = ok(&tools.run_with(&["--bind", path], &["cat", &format!("{path}/file")]));
        assert_eq!(same, "of the host\n");
        let (deep, usr) = (
            format!("{path}:/deep/er/x"),
            format!("{path}/file:/usr/mnt2"),
        );
        let options = ["--bind", &deep, "--bind", &usr];
        let script = format!("cat /deep/er/x/file /usr/mnt2; stat -c %Y /deep /deep/er; {list}");
        let run = tools.run_with(&options, &["sh", "-c", &script]);
        // As old as all that was there before.
        let epoch = "1072915200\n1072915200\n";
        let expected = format!("of the host\nof the host\n{epoch}{plain}");
        // The size of a directory is the file system's.
        let told = |text: &str| {
            let lines = text.lines().map(|line| match line.contains(" directory ") {
                true => {
                    let words: Vec<&str> = line.split(' ').collect();
                    [&words[..5], &words[6..]].concat().join(" ")
                }
                false => line.to_owned(),
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(told(&ok(&run)), told(&expected));
        let write = "echo x > /deep/er/x/new || echo x > /deep/er/new || echo x > /usr/new";
        let run = tools.run_with(&options, &["sh", "-c", write]);
        assert_ne!(run.code(), Some(0));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        // Without binds nothing is left of them.
        assert_eq!(ok(&tools.sh(list)), plain);
    });
}

#[test]
fn a_writable_bind_is_written_to_at_once_and_is_no_output() {
    for_both(|tools| {
        let out = tools.beside("out");
        let inside = tools.world.project().join("store");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o777)).unwrap();
        let binds = [
            format!("{}:/deep/out", out.display()),
            format!("{}:/project/new/out", out.display()),
            "store".to_owned(),
        ];
        let options = [
            "--bind-rw",
            &binds[0],
            "--bind-rw",
            &binds[1],
            "--bind-rw",
            &binds[2],
        ];
        let store = inside.display();
        let script = format!(
            "echo 1 > /deep/out/a; echo 2 > new/out/b; echo 3 > {store}/c; echo 4 > output; exit 3"
        );
        let (run, record) = tools.recorded(&options, &script);
        assert_eq!(run.code(), Some(3), "{}", run.stderr());
        for (path, text) in [
            (out.join("a"), "1\n"),
            (out.join("b"), "2\n"),
            (inside.join("c"), "3\n"),
        ] {
            assert_eq!(fs::read_to_string(path).unwrap(), text);
        }
        let outputs = record["ended"]["outputs"].as_array().unwrap();
        let outputs: Vec<&str> = outputs
            .iter()
            .map(|one| one["path"].as_str().unwrap())
            .collect();
        assert_eq!(outputs, ["output"]);
        assert!(!tools.world.project().join("new").exists());
        let data = &record["tower"]["data"];
        assert_eq!(data["state"], "not-held");
        let because = data["because"].to_string();
        assert_eq!(because.matches("could write to").count(), 3, "{because}");
        assert_eq!(data["seen"]["binds"]["/deep/out"]["writable"], true);
        // What the step writes to itself is no code of the project.
        assert_eq!(record["tower"]["code"]["state"], "held");
    });
}

#[test]
fn a_bind_is_held_where_the_manifest_declares_it() {
    let tools = Tools::new(User::Current);
    tools.world.write("data/x", "1");
    tools.world.write("data/y", "1");
    let digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    let manifest = format!("{MANIFEST}[data]\n\"data/x\" = \"{digest}\"\n").replace(
        &format!("\"{digest}\""),
        &format!("{{ sha256 = \"{digest}\" }}"),
    );
    tools.world.write("envbox.toml", &manifest);
    let state = |name: &str| {
        let bind = format!("data/{name}:/in/{name}");
        let (run, record) = tools.recorded(&["--bind", &bind], &format!("cat /in/{name}"));
        assert_eq!(ok(&run), "1");
        let data = &record["tower"]["data"];
        let digest = data["seen"]["binds"][format!("/in/{name}")]["sha256"].is_string();
        (data["state"].as_str().unwrap().to_owned(), digest)
    };
    assert_eq!(state("x"), ("held".to_owned(), true));
    assert_eq!(state("y"), ("not-held".to_owned(), false));
    let hidden = tools.run_with(&["--bind", "data:/project/data"], &["true"]);
    assert_eq!(hidden.code(), Some(125));
    assert!(
        hidden.stderr().contains("which `[data]` declares"),
        "{}",
        hidden.stderr()
    );
}

#[test]
fn what_a_bind_hides_of_the_environment_is_on_record() {
    let tools = Tools::new(User::Current);
    let data = tools.beside("data");
    fs::write(data.join("file"), "").unwrap();
    let bind = format!("{}/file:/usr/bin/tr", data.display());
    let (_run, record) = tools.recorded(&["--bind", &bind], "true");
    let libraries = &record["tower"]["libraries"];
    assert_eq!(libraries["state"], "not-held");
    assert!(
        libraries["because"].to_string().contains("/usr/bin/tr"),
        "{libraries}"
    );
}

#[test]
fn a_bad_bind_is_refused_by_name() {
    let tools = Tools::new(User::Current);
    let data = tools.beside("data");
    let path = data.to_str().unwrap();
    let (own, twice) = (format!("{path}:/proc/x"), format!("{path}:/x"));
    let relative = format!("{path}:x");
    let store = tools.world.path().join("home");
    let mut all = String::new();
    for options in [
        &["--bind", "/no/such/path"][..],
        &["--bind", &relative],
        &["--bind", &own],
        &["--bind", &twice, "--bind-rw", &twice],
        &["--bind-rw", store.to_str().unwrap()],
        &["--bind", "/dev/null:/x"],
        &["--network", "lo"],
        &["--direct", "--bind", &format!("{path}:/project/none")],
    ] {
        let run = tools.run_with(options, &["true"]);
        all += &run.whole();
    }
    insta::assert_snapshot!(all);
}

/// Engines start tasks where they like, and hand paths over.
#[test]
fn directory_and_arguments_may_be_in_a_bind() {
    for_both(|tools| {
        let work = tools.beside("work");
        let path = work.to_str().unwrap();
        fs::write(work.join("input"), "x").unwrap();
        let project = tools.world.project();
        let mut arguments = vec!["--project", project.to_str().unwrap()];
        let registry = ["run", "--frozen", "--registry", &tools.registry];
        arguments.extend(registry);
        let input = format!("{path}/input");
        let bind = format!("{path}:/w");
        let run = |options: &[&str], command: &[&str]| {
            let all = [&arguments, options, &["--"], command].concat();
            tools.world.finished(tools.world.command_in(&work, &all))
        };
        assert_eq!(ok(&run(&[], &["sh", "-c", "pwd"])), "/project\n");
        assert_eq!(
            ok(&run(&["--workdir", "/tmp"], &["sh", "-c", "pwd"])),
            "/tmp\n"
        );
        assert_eq!(
            ok(&run(
                &["--bind", path, "--workdir", path],
                &["sh", "-c", "pwd"]
            )),
            format!(
                "{}\n",
                path.replace(tools.world.path().to_str().unwrap(), "[ROOT]")
            )
        );
        assert_eq!(ok(&run(&["--bind", path], &["cat", &input])), "x");
        let elsewhere = run(&["--bind", &bind], &["cat", &input]);
        assert_eq!(elsewhere.code(), Some(125));
        assert!(
            elsewhere.stderr().contains("write `/w/input` instead"),
            "{}",
            elsewhere.stderr()
        );
        let none = run(&["--workdir", "/none"], &["sh", "-c", "pwd"]);
        assert_eq!(none.code(), Some(125));
    });
}

#[test]
fn the_network_is_the_callers_choice_and_on_record() {
    for_both(|tools| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        let script = format!("bash -c '{connect}'");
        let (run, record) = tools.recorded(&["--network", "host"], &script);
        ok(&run);
        listener.accept().unwrap();
        let entropy = &record["tower"]["entropy"];
        assert_eq!(entropy["seen"]["network"], "host");
        assert_eq!(entropy["state"], "not-held");
        assert_eq!(record["tower"]["parameters"]["noted"]["network"], "host");
        for network in ["none", "loopback"] {
            let (run, _) = tools.recorded(&["--network", network], &script);
            assert_ne!(run.code(), Some(0));
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
    });
}

#[test]
fn a_manifest_may_lie_elsewhere() {
    for_both(|tools| {
        let made = tools.beside("made");
        let project = tools.world.project();
        let lock = fs::read(project.join("envbox.lock")).unwrap();
        fs::write(made.join("step.toml"), MANIFEST.replace("hello", "other")).unwrap();
        fs::write(made.join("step.lock"), &lock).unwrap();
        let manifest = made.join("step.toml");
        let option = ["--manifest", manifest.to_str().unwrap()];
        let greet = "echo $GREETING; pwd; echo x > out";
        // The project has one of its own, which is not looked at.
        tools.world.write("envbox.toml", "nonsense");
        let (run, record) = tools.recorded(&option, greet);
        assert_eq!(ok(&run), "other\n/project\n");
        assert!(project.join("out").exists());
        let noted = &record["tower"]["parameters"]["noted"];
        assert_eq!(noted["manifest"], "step.toml");
        assert!(noted["manifest_blob"].is_string());
        fs::remove_file(project.join("envbox.toml")).unwrap();
        fs::remove_file(project.join("envbox.lock")).unwrap();
        assert_eq!(
            ok(&tools.run_with(&option, &["sh", "-c", greet])),
            "other\n/project\n"
        );
        let replay = tools.world.run(&["replay", "@1"]);
        assert_eq!(replay.code(), Some(0), "{}", replay.stderr());
        let check = tools
            .world
            .run(&[&option[..], &["lock", "--check"]].concat());
        assert_eq!(check.code(), Some(0), "{}", check.stderr());
    });
}

#[test]
fn a_manifest_elsewhere_that_cannot_be_is_refused_by_name() {
    let tools = Tools::new(User::Current);
    tools
        .world
        .write("train.py", "# /// script\n# dependencies = []\n# ///\n");
    let mut all = String::new();
    for arguments in [
        &["--manifest", "none.toml", "run", "--", "true"][..],
        &["--manifest", "train.py", "run", "--", "true"],
        &[
            "--manifest",
            "envbox.toml",
            "--project",
            "train.py",
            "run",
            "--",
            "true",
        ],
        &["--manifest", "envbox.toml", "init"],
    ] {
        all += &tools.world.run(arguments).whole();
    }
    insta::assert_snapshot!(all);
}
