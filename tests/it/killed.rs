//! `envbox` killed: nothing half-made is ever used, and nothing of a step lives on.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use crate::support::User;
use crate::tools::{Tools, for_both};

#[test]
fn a_step_dies_with_envbox() {
    for_both(|tools| {
        let _built = tools.run(&["true"]);
        let script = "echo half > out; echo started; sleep 1000 & sleep 1000";
        let mut command = tools.command(script);
        let mut envbox = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(envbox.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        envbox.kill().unwrap();
        assert_eq!(envbox.wait().unwrap().signal(), Some(9));
        // Ends when nobody is left who could write.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(!tools.world.project().join("out").exists());
        let next = tools.run(&["true"]);
        assert_eq!(next.code(), Some(0), "{}", next.stderr());
        assert!(
            next.stderr()
                .contains("was killed; what it wrote was discarded"),
            "{}",
            next.stderr()
        );
        let runs = fs::read_dir(tools.world.path().join("home/.cache/envbox/runs")).unwrap();
        assert_eq!(runs.count(), 0);
    });
}

/// The kill comes later each time, at some point of fetching, unpacking, merging and running.
#[test]
fn whenever_it_comes_the_next_command_works() {
    let tools = Tools::new(User::Unprivileged);
    let store = tools.world.path().join("home/.cache/envbox");
    let tree = |name: &str| {
        let entries = fs::read_dir(store.join(name)).into_iter().flatten();
        entries.count()
    };
    let mut killed = 0;
    for hundredths in 0..12 {
        let limit = format!("0.{hundredths:02}");
        let wrapper = ["timeout", "-s", "KILL", limit.as_str()];
        let mut command = tools.world.started_by(&wrapper, &tools.command("true"));
        killed += usize::from(!command.output().unwrap().status.success());
        let next = tools.sh("echo works");
        assert_eq!(next.stdout(), "works\n", "{}", next.stderr());
        assert_eq!(tree("tmp/build") + tree("tmp/partial") + tree("runs"), 0);
        let verified = tools.world.run(&["store", "verify"]);
        assert_eq!(verified.code(), Some(0), "{}", verified.stderr());
        let removed = tools
            .world
            .shell("chmod -R u+w $HOME/.cache/envbox; rm -rf $HOME/.cache/envbox")
            .status();
        assert!(removed.unwrap().success());
    }
    assert!(killed > 0, "no kill came in time");
}

#[test]
fn two_at_once_build_once() {
    for_both(|tools| {
        let mut all: Vec<_> = (0..4)
            .map(|number| {
                let mut command = tools.command(&format!("echo {number} > out{number}"));
                command.stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for envbox in &mut all {
            let mut said = String::new();
            envbox
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            assert!(envbox.wait().unwrap().success(), "{said}");
        }
        for number in 0..4 {
            let out = tools.world.project().join(format!("out{number}"));
            assert_eq!(fs::read_to_string(out).unwrap(), format!("{number}\n"));
        }
    });
}

#[test]
fn a_signal_reaches_the_step_and_its_status_comes_back() {
    for_both(|tools| {
        let script = "trap 'echo told; exit 7' TERM; echo started; while :; do sleep 0.01; done";
        let mut command = tools.command(script);
        let mut envbox = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(envbox.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let process = rustix::process::Pid::from_child(&envbox);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "told\n");
        assert_eq!(envbox.wait().unwrap().code(), Some(7));
    });
}
