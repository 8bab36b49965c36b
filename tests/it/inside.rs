//! `envbox inside`, in no container but the host, as root and as an unprivileged user.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use envbox::ops::inside::InsidePolicy;

use crate::support::{Run, User, World};

fn for_both(test: impl Fn(World)) {
    for user in User::ALL {
        test(World::new(user));
    }
}

fn inside(world: &World, options: &[&str], command: &[&str]) -> Run {
    world.run(&[&["inside"], options, &["--"], command].concat())
}

const LOOK: &str = "import os, random, time, uuid; \
    print(time.time(), uuid.uuid4(), random.random(), os.listdir('/usr'), os.cpu_count(), \
    os.uname(), open('/proc/cpuinfo').read(), open('/dev/urandom', 'rb').read(8)); \
    time.sleep(0.01); print(time.time(), id(object()))";

#[test]
fn a_step_is_told_the_same_each_time() {
    for_both(|world| {
        let look = || inside(&world, &[], &["python3", "-c", LOOK]).stdout();
        let first = look();
        assert!(first.starts_with("1577836800."), "{first}");
        assert_eq!(look(), first);
        let other = inside(&world, &["--seed", "1"], &["python3", "-c", LOOK]);
        assert_ne!(other.stdout(), first);
    });
}

#[test]
fn the_status_is_the_steps_own() {
    for_both(|world| {
        let status = |command: &[&str]| inside(&world, &[], command).code();
        assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
        assert_eq!(status(&["missing"]), Some(127));
        assert_eq!(status(&["/etc/passwd"]), Some(126));
        let mut killed = world.command(&["inside", "--", "sh", "-c", "kill -TERM $$"]);
        assert_eq!(killed.status().unwrap().signal(), Some(15));
        let refused = inside(&world, &["--policy", "missing"], &["true"]);
        assert_eq!(refused.code(), Some(125));
        assert!(
            refused.stderr().contains("`missing`"),
            "{}",
            refused.stderr()
        );
    });
}

#[test]
fn a_policy_decides_and_options_override() {
    for_both(|world| {
        let mut policy = InsidePolicy::without_manifest();
        policy.sandbox.seed = 5;
        policy.sandbox.pass_env = vec!["PASSED".to_owned()];
        policy
            .sandbox
            .env
            .insert("GIVEN".to_owned(), "1".to_owned());
        world.write(
            "policy.json",
            &String::from_utf8(policy.to_bytes()).unwrap(),
        );
        let script = "echo $ENVBOX_SEED $GIVEN $PASSED $NAMED $KUBERNETES_PORT";
        let run = |options: &[&str]| {
            let options = [&["inside", "--policy", "policy.json"], options].concat();
            let mut command = world.command(&[&options[..], &["--", "sh", "-c", script]].concat());
            for name in ["PASSED", "NAMED", "KUBERNETES_PORT"] {
                command.env(name, name);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert_eq!(run(&[]), "5 1 PASSED\n");
        let named = run(&["--seed", "6", "--env", "NAMED", "--env", "GIVEN=2"]);
        assert_eq!(named, "6 2 PASSED NAMED\n");
        assert_eq!(run(&["--keep-env"]), "5 1 PASSED NAMED KUBERNETES_PORT\n");
    });
}

/// Runs a command as in a container with a strict profile: some calls are not permitted.
fn forbidden(world: &World, calls: &str, options: &[&str]) -> Run {
    const FILTER: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
word = lambda *parts: struct.pack("HBBI", *parts)
code = word(0x20, 0, 0, 0)
for call in sys.argv[1].split(","):
    code += word(0x15, 0, 1, int(call)) + word(0x06, 0, 0, 0x50001)
code += word(0x06, 0, 0, 0x7FFF0000)
class Program(ctypes.Structure):
    _fields_ = [("size", ctypes.c_ushort), ("code", ctypes.c_char_p)]
program = Program(len(code) // 8, code)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;
    let step = ["--", "sh", "-c", "date +%Y; echo $OMP_NUM_THREADS"];
    let command: Command = world.command(&[&["inside"], options, &step].concat());
    world.finished(world.started_by(&["python3", "-c", FILTER, calls], &command))
}

#[test]
fn what_a_container_refuses_is_an_error_or_recorded() {
    const SECCOMP: &str = "317";
    const PTRACE: &str = "101";
    const PERSONALITY: &str = "135";
    let calls = [
        (SECCOMP, ["wall-clock", "randomness"]),
        (PTRACE, ["wall-clock", "waits"]),
    ];
    for_both(|world| {
        for (call, lost) in calls {
            let refused = forbidden(&world, call, &[]);
            assert_eq!(refused.code(), Some(125), "{}", refused.stderr());
            assert!(refused.stderr().contains("this container does not allow"));
            assert!(refused.stderr().contains("hint: start the container with"));
            let options = ["--best-effort", "--result-file", "result.json"];
            let run = forbidden(&world, call, &options);
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
            assert!(run.stdout().ends_with("\n1\n") && !run.stdout().starts_with("2020"));
            let state = states(&world);
            assert!(lost.iter().all(|source| state(source) == "not-held"));
            assert_eq!(state("environment"), "held");
        }
        // The default profiles of Docker and Podman refuse this.
        let options = ["--result-file", "result.json"];
        let run = forbidden(&world, PERSONALITY, &options);
        assert_eq!(run.stdout(), "2020\n1\n", "{}", run.stderr());
        let state = states(&world);
        assert_eq!(
            (&*state("addresses"), &*state("wall-clock")),
            ("not-held", "held")
        );
    });
}

/// Reads what became of each source from the result file.
fn states(world: &World) -> impl Fn(&str) -> String + use<> {
    let text = std::fs::read_to_string(world.project().join("result.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "envbox.inside/1");
    move |source| {
        let all = document["holds"].as_array().unwrap().iter();
        let mut found = all.filter(|hold| hold["source"] == source);
        found.next().unwrap()["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_failure_is_in_the_result_file() {
    let world = World::new(User::Unprivileged);
    let run = inside(&world, &["--result-file", "result.json"], &["missing"]);
    assert_eq!(run.code(), Some(127));
    let text = std::fs::read_to_string(world.project().join("result.json")).unwrap();
    assert!(text.contains("there is no command `missing`"), "{text}");
}
