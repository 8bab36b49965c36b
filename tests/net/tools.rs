//! Programs in other languages, and tools that look at times: what they print is the same each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::downloads;
use crate::support::{Run, User, World};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net/tools")
}

fn world(user: User) -> World {
    let world = World::new(user);
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        world.write(name, &fs::read_to_string(&path).unwrap());
    }
    downloads::share(&world);
    let lock = world.run(&["lock"]);
    assert_eq!(lock.code(), Some(0), "{}", lock.stderr());
    world
}

fn run(world: &World, options: &[&str], command: &[&str]) -> Run {
    let run = world.run(&[&["run", "--frozen"], options, &["--"], command].concat());
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    run
}

/// Runs a command twice as each user and returns what it printed, the same each time.
fn same(worlds: &[World], command: &[&str]) -> String {
    let runs = worlds.iter().chain(worlds);
    let mut texts = runs.map(|world| run(world, &[], command).stdout());
    let first = texts.next().unwrap();
    for text in texts {
        assert_eq!(text, first);
    }
    first
}

#[test]
fn net_other_programs_are_the_same_each_time() {
    let worlds = User::ALL.map(world);
    java(&worlds);
    musl(&worlds);
    tools(&worlds);
    builds(&worlds);
    profiler(&worlds);
    worlds.iter().for_each(downloads::keep);
}

fn java(worlds: &[World]) {
    let text = same(worlds, &["python", "jvm.py"]);
    assert!(
        text.starts_with("cpus 1\nclocks 2020-01-01T00:00:00."),
        "{text}"
    );
    assert!(text.ends_with("\ntimer late\nended True\n"), "{text}");
}

/// Static: nothing of the environment is in it.
fn musl(worlds: &[World]) {
    for world in worlds {
        let mut compiler = Command::new("musl-gcc");
        compiler.args(["-static", "-O2", "-o"]);
        compiler.arg(world.project().join("timers"));
        compiler.arg(directory().join("timers.c"));
        assert!(compiler.status().unwrap().success());
    }
    let text = same(worlds, &["./timers"]);
    let clocks = "clocks 1577836800.000001000 0.000002000 1577836800\n";
    assert!(text.starts_with(clocks), "{text}");
    assert!(
        text.contains("\nslept 50002000 ns\ncondition 1 1\n"),
        "{text}"
    );
    for clock in ["frozen", "ticking"] {
        let text = run(&worlds[0], &["--clock", clock], &["./timers"]).stdout();
        assert!(text.contains("\ncondition 1 1\n"), "{clock}: {text}");
    }
}

fn tools(worlds: &[World]) {
    let text = same(worlds, &["sh", "tools.sh"]);
    for line in [
        "timeout 124\nkilled 137\n2020-01-01T00:00:00.",
        "\nread 142\nwait 0\nreal 0.00\n",
        "\nperl slept 0.",
        "\nalarm\nchild 3\ninotifywait 2\nwatched/ CREATE file\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    for clock in ["frozen", "ticking"] {
        let text = run(&worlds[0], &["--clock", clock], &["sh", "tools.sh"]).stdout();
        assert!(
            text.contains("timeout 124\nkilled 137\n"),
            "{clock}: {text}"
        );
        let waits = "\nalarm\nchild 3\ninotifywait 2\n";
        assert!(text.contains(waits), "{clock}: {text}");
    }
}

/// What is built stays built, what was touched is built again, and git finds what has changed.
fn builds(worlds: &[World]) {
    let text = same(worlds, &["sh", "build.sh"]);
    let (_, built) = text.split_once('\n').unwrap();
    insta::assert_snapshot!(built, @r"
gcc -o hello hello.c
[1/1] gcc -MD -MF ninja-hello.d -o ninja-hello hello.c
make: 'hello' is up to date.
ninja: no work to do.
hello Jan  1 2020
hello Jan  1 2020
status: 
gcc -o hello hello.c
[1/1] gcc -MD -MF ninja-hello.d -o ninja-hello hello.c
status: 
gcc -o hello hello.c
[1/1] gcc -MD -MF ninja-hello.d -o ninja-hello hello.c
bye Jan  1 2020
bye Jan  1 2020
 M hello.h
 hello.h | 2 +-
 1 file changed, 1 insertion(+), 1 deletion(-)
");
}

/// It reads the memory of another process, which nothing inside forbids.
fn profiler(worlds: &[World]) {
    let text = same(worlds, &["python", "spied.py"]);
    assert!(text.starts_with("0\n"), "{text}");
    assert!(text.contains("    waits (<string>:3)\n"), "{text}");
}

/// On a ticking clock a budget of time is one; on a logical one the number of rounds is the same
/// each time, and a budget that is not used up is told of.
#[test]
fn net_a_budget_of_time_is_kept_or_told_of() {
    let world = [world(User::Unprivileged)];
    let text = run(
        &world[0],
        &["--clock", "ticking"],
        &["python", "search.py", "0.5"],
    );
    let text = text.stdout();
    assert!(text.starts_with("over True\ntried "), "{text}");
    let text = same(&world, &["python", "search.py", "0.01"]);
    assert!(text.starts_with("over True\ntried "), "{text}");
    let budget = "import time\nstart = time.time()\nwhile time.time() - start < 100: pass";
    let told = run(&world[0], &[], &["python", "-c", budget]).stderr();
    insta::assert_snapshot!(told, @r#"warning: `python` looks at its clock again and again; if it waits for time to pass, give it a clock that does: clock = "ticking""#);
    downloads::keep(&world[0]);
}
