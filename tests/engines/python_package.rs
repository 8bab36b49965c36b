//! The Python package: its wheel, which carries the command, where nothing else of envbox is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::downloads;
use crate::project::{self, integration, pins};
use crate::support::{Run, User, World};
use crate::venv::{Venv, succeeds};

/// A virtual environment with the wheel and nothing else, and one with what built it.
struct Package {
    installed: Venv,
    tools: Venv,
}

impl Package {
    fn new() -> Self {
        let tools = Venv::new(&["--no-deps", "--requirement", &pins("python")]);
        let directory = tempfile::tempdir().unwrap();
        let wheel = built(&tools, directory.path());
        let path = wheel.display().to_string();
        let installed = Venv::new(&["--no-index", "--no-deps", &path]);
        Self { installed, tools }
    }

    fn world(&self, user: User) -> World {
        let world = World::new(user);
        project::example(&world, "python/example");
        for name in ["api.py", "skew.py", "waits.py"] {
            let text = fs::read_to_string(project::beside("python").join(name)).unwrap();
            world.write(name, &text);
        }
        downloads::share(&world);
        world
    }

    /// The environment's Python in the world's project. No envbox is in the path but the wheel's.
    fn python(&self, world: &World, arguments: &str) -> Command {
        let python = self.installed.program("python");
        world.shell(&format!("exec {} {arguments}", python.display()))
    }

    fn run(&self, world: &World, arguments: &str) -> Run {
        world.finished(self.python(world, arguments))
    }

    fn json(&self, world: &World, arguments: &str) -> Value {
        let run = self.run(world, arguments);
        assert_eq!(run.code(), Some(0), "{}", run.whole());
        serde_json::from_str(&run.stdout()).unwrap()
    }

    fn mypy(&self, world: &World, arguments: &str) -> Run {
        let (mypy, python) = (self.tools.program("mypy"), self.installed.program("python"));
        let options = "--strict --cache-dir=/dev/null --python-executable";
        let (mypy, python) = (mypy.display(), python.display());
        world.finished(world.shell(&format!("exec {mypy} {options} {python} {arguments}")))
    }
}

/// Builds the wheel, with the profile of the tests: that of releases takes too long.
fn built(tools: &Venv, into: &Path) -> PathBuf {
    let compiled = Path::new(env!("CARGO_BIN_EXE_envbox")).ancestors().nth(2);
    let dist = into.join("dist");
    let mut maturin = Command::new(tools.program("maturin"));
    maturin
        .args(["build", "--profile", "dev", "--out"])
        .arg(&dist)
        .current_dir(integration("python"))
        // What is compiled already is taken from there, and the command that other tests start is
        // not replaced meanwhile.
        .env("CARGO_BUILD_BUILD_DIR", compiled.unwrap())
        .env("CARGO_TARGET_DIR", into.join("target"));
    succeeds(&mut maturin);
    let wheels: Vec<_> = fs::read_dir(dist).unwrap().collect();
    assert_eq!(wheels.len(), 1, "{wheels:?}");
    let wheel = wheels.into_iter().next().unwrap().unwrap().path();
    let mut check = Command::new(tools.program("twine"));
    succeeds(check.args(["check", "--strict"]).arg(&wheel));
    let name = wheel.file_name().unwrap().to_str().unwrap();
    // Of the C library alone, or maturin would name none that it runs with.
    let tag = "-py3-none-manylinux_2_";
    assert!(
        name.contains(tag) && name.ends_with("_x86_64.whl"),
        "{name}"
    );
    wheel
}

/// One environment for all: pip and maturin take longer than what is tried in it.
#[test]
fn net_python_has_envbox_by_its_wheel() {
    let package = Package::new();
    starts_its_own_program(&package);
    says_what_became_of_steps(&package);
    is_typed(&package);
    has_the_shapes_of_the_schemas(&package);
    refuses_another_interface(&package);
    leaves_nothing_behind(&package);
}

fn starts_its_own_program(package: &Package) {
    let world = World::new(User::Unprivileged);
    let version = package.json(&world, "-m envbox version --json");
    assert_eq!(version["interface"], "envbox.interface/1");
    assert_eq!(version["envbox"], env!("CARGO_PKG_VERSION"));
    world.write("envbox", "#!/bin/sh\nexit 9\n");
    executable(&world, "envbox");
    let own = package.installed.program("envbox");
    for path in ["/usr/bin:/bin", "/usr/bin:/bin:."] {
        let mut find = package.python(&world, "-c 'import envbox; print(envbox.find())'");
        find.env("PATH", path).env("ENVBOX", "1");
        let found = world.finished(find);
        assert_eq!(found.stdout().trim(), own.display().to_string());
    }
}

fn says_what_became_of_steps(package: &Package) {
    let world = package.world(User::Unprivileged);
    let said = package.json(&world, "api.py 73581");
    downloads::keep(&world);
    let ran = &said["ran"];
    assert_eq!(ran["ok"], true);
    assert_eq!(ran["exit"], 0);
    assert_eq!(ran["printed"], "envbox\n");
    assert_eq!(ran["changes"], json!([["made", "written"]]));
    assert_eq!(ran["record"], json!([true, "held", 0]));
    assert_eq!(ran["listed"], true);
    assert_eq!(
        ran["told"],
        json!(["hello", "envbox.interface/1", "result"])
    );

    let failed = &said["failed"];
    assert_eq!(failed["result"], json!([false, "command", 3, 3]));
    assert_eq!(failed["died"], json!(["command", 9, -9]));
    let begins = |value: &Value, expected: Value| {
        let length = expected.as_array().unwrap().len();
        assert_eq!(json!(value.as_array().unwrap()[..length]), expected);
    };
    begins(&failed["check"], json!(["StepFailed", 3, "user"]));
    begins(&failed["absent"], json!(["EnvboxError", 127, "user"]));
    begins(&failed["option"], json!(["EnvboxError", 2, "user"]));
    let clap = failed["option"][3].as_str().unwrap();
    assert!(clap.contains("sideways"), "{clap}");
    begins(&failed["place"], json!(["EnvboxError", 10, "user"]));
    let place = failed["place"][3].as_str().unwrap();
    assert!(place.contains("hint: run `envbox init`"), "{place}");

    let types = json!(["hello", "step-started", "step-ended", "result"]);
    let iterated = json!({"types": types, "exit": 4, "again": []});
    assert_eq!(said["iterated"], iterated);
    begins(&said["ended"]["late"], json!(["StepTimeout", null, "user"]));
    begins(&said["ended"]["waited"], json!(["StepTimeout"]));
    assert_eq!(said["ended"]["left"], 15);
    assert!(!project::sleeping("73581"));
    let others = json!({
        "key": true, "policy": "x86-64-v3", "lock": ["unchanged", true], "doctor": true,
        "verify": "identical", "build": true,
    });
    assert_eq!(said["others"], others);
    let example = package.run(&world, "train.py");
    let expected = "2020-01-01: the same\nlibraries: held\n";
    assert_eq!(example.stdout(), expected, "{}", example.whole());
}

fn is_typed(package: &Package) {
    let world = package.world(User::Current);
    for arguments in ["-p envbox", "train.py"] {
        let checked = package.mypy(&world, arguments);
        assert_eq!(checked.code(), Some(0), "{}", checked.whole());
    }
    world.write(
        "wrong.py",
        "import envbox\nenvbox.run(['true']).exit.code.upper()\n",
    );
    let wrong = package.mypy(&world, "wrong.py");
    assert_eq!(wrong.code(), Some(1), "{}", wrong.whole());
    assert!(wrong.stdout().contains("\"upper\""), "{}", wrong.whole());
}

fn has_the_shapes_of_the_schemas(package: &Package) {
    let world = World::new(User::Current);
    let shapes = fs::read_to_string(project::beside("python/shapes.py")).unwrap();
    world.write("shapes.py", &shapes);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    for entry in fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().display().to_string();
        let schema = fs::read_to_string(&path).unwrap();
        world.write(&format!("schemas/{name}"), &schema);
    }
    let agreed = package.run(&world, "shapes.py schemas");
    assert_eq!(agreed.whole(), "exit: 0\n-- stdout\n-- stderr\n");
    let version = fs::read_to_string(world.project().join("schemas/version.json")).unwrap();
    let moved = version.replace("\"interface\"", "\"moved\"");
    world.write("schemas/version.json", &moved);
    let differs = package.run(&world, "shapes.py schemas").stdout();
    let expected = "version.moved is not in the package\nversion.interface is not in the schema\n";
    assert_eq!(differs, expected);
}

fn executable(world: &World, name: &str) {
    let path = world.project().join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Two runs by a program that says this of itself; else it is the real one, and notes each call.
fn met(package: &Package, world: &World, version: &str) -> (Value, String) {
    let real = package.installed.program("envbox");
    let real = real.display();
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> calls\nif [ \"$1\" = version ]; then\n{version}\nfi\nexec {real} \"$@\"\n"
    );
    world.write("other/envbox", &script);
    executable(world, "other/envbox");
    world.write("calls", "");
    let mut python = package.python(world, "skew.py");
    python.env("ENVBOX", "other/envbox");
    let run = world.finished(python);
    assert_eq!(run.code(), Some(0), "{}", run.whole());
    let calls = fs::read_to_string(world.project().join("calls")).unwrap();
    (serde_json::from_str(&run.stdout()).unwrap(), calls)
}

fn refuses_another_interface(package: &Package) {
    let world = package.world(User::Unprivileged);
    let says = |interface: &str, more: &str| {
        format!(
            "echo '{{\"schema\":\"envbox.version/1\",\"envbox\":\"9.0.0\",\"interface\":\"{interface}\"{more}}}'; exit"
        )
    };
    // What is asked once is whether it fits; one that does not is never started for anything else.
    let (real, calls) = met(package, &world, ":");
    assert_eq!(real, json!(["ran", "ran"]));
    assert_eq!(calls, "version\n--events\n--events\n");
    let (newer, _) = met(
        package,
        &world,
        &says("envbox.interface/1", ",\"more\":[1]"),
    );
    assert_eq!(newer, json!(["ran", "ran"]));
    let (other, calls) = met(package, &world, &says("envbox.interface/2", ""));
    assert_eq!(calls, "version\nversion\n");
    let expected = "[ROOT]/project/other/envbox` speaks `envbox.interface/2`, and this package \
                    knows `envbox.interface/1`\nhint: install package and program of one version";
    let said = other[0][1].as_str().unwrap();
    let said = said.replace(&world.path().display().to_string(), "[ROOT]");
    assert_eq!(other[0][0], "InterfaceMismatch");
    assert!(said.contains(expected), "{said}");
    for older in [
        "echo \"error: unrecognized subcommand\" >&2; exit 2",
        "echo envbox 0.0.1; exit",
    ] {
        let (older, calls) = met(package, &world, older);
        assert_eq!(calls, "version\nversion\n");
        assert_eq!(older[0][0], "InterfaceMismatch");
        let said = older[0][1].as_str().unwrap();
        assert!(said.contains("speaks no interface that it names"), "{said}");
    }
    let mut absent = package.python(&world, "skew.py");
    absent.env("ENVBOX", "/absent");
    let absent = world.finished(absent).stdout();
    assert!(absent.contains("there is no program `/absent`"), "{absent}");
}

fn leaves_nothing_behind(package: &Package) {
    let world = package.world(User::Unprivileged);
    for (signal, heard) in [(Signal::TERM, true), (Signal::KILL, false)] {
        let mut program = package
            .python(&world, "waits.py 73582")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        project::until(|| project::sleeping("73582"));
        let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let ended = program.wait().unwrap();
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended}");
        // What ends by itself brings home what it wrote; the rest is discarded.
        let written = world.project().join("heard");
        assert_eq!(written.exists(), heard);
        project::until(|| !project::sleeping("73582"));
        let _gone = fs::remove_file(written);
    }
}
