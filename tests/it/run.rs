//! `envbox run`, from the lock to the outputs, as root and as an unprivileged user.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;

use crate::support::User;
use crate::tools::{MANIFEST, Tools, for_both};

#[test]
fn a_step_sees_the_same_for_every_caller() {
    let see = "id -u; id -g; pwd; umask; echo $HOME $PATH; cat /proc/sys/kernel/hostname; env | sort 2>/dev/null; ls -a / /tmp /home";
    let seen: Vec<String> = User::ALL
        .map(|user| Tools::new(user).sh(see).stdout())
        .into();
    assert_eq!(seen[0], seen[1]);
    assert!(
        seen[0].starts_with("1000\n1000\n/project\n0022\n/home/envbox "),
        "{}",
        seen[0]
    );
}

#[test]
fn the_environment_is_what_was_named() {
    for_both(|tools| {
        let run = tools.run_with(&["--env", "COLOUR=red"], &["env"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        let names: Vec<String> = run
            .stdout()
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
            .collect();
        for name in [
            "COLOUR",
            "GREETING",
            "HOME",
            "PATH",
            "PYTHONHASHSEED",
            "SOURCE_DATE_EPOCH",
            "TZ",
        ] {
            assert!(
                names.iter().any(|found| found == name),
                "{name} in {names:?}"
            );
        }
        assert!(names.is_sorted(), "{names:?}");
    });
}

#[test]
fn outputs_come_back_also_after_failure() {
    for_both(|tools| {
        fs::write(tools.world.project().join("old"), "old").unwrap();
        let run = tools.sh("mkdir -p deep/er; echo out > deep/er/file; rm old; exit 3");
        assert_eq!(run.code(), Some(3), "{}", run.stderr());
        let project = tools.world.project();
        assert_eq!(
            fs::read_to_string(project.join("deep/er/file")).unwrap(),
            "out\n"
        );
        assert!(!project.join("old").exists());
        assert!(run.stderr().contains("deep/er/file"), "{}", run.stderr());
    });
}

#[test]
fn status_and_signals_are_passed_through() {
    for_both(|tools| {
        assert_eq!(tools.run(&["false"]).code(), Some(1));
        assert_eq!(tools.sh("exit 125").code(), Some(125));
        let killed = tools.world.command(&[
            "run",
            "--frozen",
            "--registry",
            &tools.registry,
            "--",
            "sh",
            "-c",
            "kill -TERM $$",
        ]);
        assert_eq!({ killed }.output().unwrap().status.signal(), Some(15));
    });
}

#[test]
fn envbox_says_when_it_was_not_the_step() {
    for_both(|tools| {
        fs::write(tools.world.project().join("data"), "no program").unwrap();
        assert_eq!(tools.run(&["no-such-command"]).code(), Some(127));
        assert_eq!(tools.run(&["./data"]).code(), Some(126));
        let outside = tools.run(&["cat", tools.world.path().to_str().unwrap()]);
        assert_eq!(outside.code(), Some(125));
        assert!(outside.stderr().contains("[ROOT]"), "{}", outside.stderr());
    });
}

#[test]
fn a_stale_lock_is_not_touched() {
    let tools = Tools::new(User::Current);
    tools
        .world
        .write("envbox.toml", &MANIFEST.replace("bookworm", "trixie"));
    let before = fs::read(tools.world.project().join("envbox.lock")).unwrap();
    let run = tools.run(&["true"]);
    assert_eq!(run.code(), Some(125));
    assert!(
        run.stderr()
            .contains("the Debian suite changed from `bookworm` to `trixie`"),
        "{}",
        run.stderr()
    );
    assert_eq!(
        fs::read(tools.world.project().join("envbox.lock")).unwrap(),
        before
    );
}

/// What was found out about a lock counts for this lock and this manifest, to the byte.
#[test]
fn what_ran_before_is_refused_once_it_changes() {
    let tools = Tools::new(User::Current);
    let works = || assert_eq!(tools.run(&["true"]).code(), Some(0));
    let store = tools.world.path().join("home/.cache/envbox");
    works();
    works();
    assert_eq!(fs::read_dir(store.join("answers")).unwrap().count(), 1);
    let read = |name: &str| fs::read_to_string(tools.world.project().join(name)).unwrap();
    let (manifest, lock) = (read("envbox.toml"), read("envbox.lock"));
    let changes = [
        ("envbox.toml", manifest.replace("bookworm", "trixie")),
        ("envbox.toml", manifest.replace("[debian]", "[debain]")),
        ("envbox.lock", lock.replace("tools_1", "tools_2")),
        ("envbox.lock", format!("{lock}\n")),
    ];
    for (name, changed) in changes {
        let before = read(name);
        assert_ne!(changed, before);
        tools.world.write(name, &changed);
        let run = tools.run(&["true"]);
        assert_eq!(run.code(), Some(125), "{changed}: {}", run.stderr());
        tools.world.write(name, &before);
        works();
    }
    // Without the tree it is made again.
    let trees = fs::read_dir(store.join("rootfs")).unwrap();
    let paths = trees.map(|entry| entry.unwrap().path());
    let done: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "done"))
        .collect();
    assert_eq!(done.len(), 1);
    fs::remove_file(&done[0]).unwrap();
    works();
    assert!(done[0].exists());
}

#[test]
fn a_wrong_artifact_is_named_and_leaves_nothing() {
    let tools = Tools::new(User::Current);
    let deb = tools
        .world
        .path()
        .join("registry/pool/main/t/tools/tools_1_amd64.deb");
    let mut bytes = fs::read(&deb).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&deb, bytes).unwrap();
    let run = tools.run(&["true"]);
    assert_eq!(run.code(), Some(125));
    let stderr = run.stderr();
    assert!(
        stderr.contains("tools_1_amd64.deb") && stderr.matches("sha256:").count() >= 2,
        "{stderr}"
    );
}

#[test]
fn there_is_no_network() {
    for_both(|tools| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let run = tools.run(&["bash", "-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]);
        assert_ne!(run.code(), Some(0));
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
    });
}

#[test]
fn a_project_may_have_any_name() {
    for name in [
        &b"with space"[..],
        b"new\nline",
        b"co,mm:a=\\",
        b"-dash",
        b"caf\xe9",
    ] {
        let tools = Tools::new(User::Unprivileged);
        let odd = tools.world.path().join(OsStr::from_bytes(name));
        fs::rename(tools.world.project(), &odd).unwrap();
        let mut command = tools.world.command_in(
            &odd,
            &[
                "run",
                "--frozen",
                "--registry",
                &tools.registry,
                "--",
                "sh",
                "-c",
                "echo x > out",
            ],
        );
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(odd.join("out").exists());
    }
}

#[test]
fn the_result_file_says_who_failed() {
    let tools = Tools::new(User::Current);
    let file = tools.world.path().join("result.json");
    let option = ["--result-file", file.to_str().unwrap()];
    for (command, failed_by) in [
        ("true", "null"),
        ("false", "\"command\""),
        ("nothing", "\"envbox\""),
    ] {
        let _run = tools.run_with(&option, &[command]);
        let text = fs::read_to_string(&file).unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["failed_by"].to_string(), failed_by, "{text}");
    }
}
