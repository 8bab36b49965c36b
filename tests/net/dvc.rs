//! A directory that the real DVC has under version control is data.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{User, World};

/// The release that was tried.
const DVC: &str = "dvc==3.67.1";

const MANIFEST: &str = "[environment]\nname = \"data\"\n";

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

#[test]
fn net_a_directory_of_dvcs_is_data() {
    let tools = tempfile::tempdir().unwrap();
    let venv = tools.path().join("venv");
    succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    succeeds(Command::new(venv.join("bin/pip")).args(["install", "--quiet", DVC]));
    let world = World::new(User::Current);
    world.write("envbox.toml", MANIFEST);
    for (path, text) in [
        ("images/a/b.png", "one"),
        ("images/a-b.png", "two"),
        ("images/ü ", "3"),
    ] {
        world.write(path, text);
    }
    let dvc = |arguments: &[&str]| {
        let mut dvc = Command::new(venv.join("bin/dvc"));
        dvc.current_dir(world.project()).env("HOME", tools.path());
        succeeds(dvc.env("DVC_NO_ANALYTICS", "1").args(arguments));
    };
    let remote = tools.path().join("remote");
    dvc(&["init", "--quiet", "--no-scm"]);
    dvc(&[
        "remote",
        "add",
        "--default",
        "near",
        remote.to_str().unwrap(),
    ]);
    dvc(&["add", "--quiet", "images"]);
    dvc(&["push", "--quiet"]);
    let added = world.run(&["data", "add", "images"]);
    assert_eq!(added.code(), Some(0), "{}", added.stderr());
    let verify = |code: i32, message: &str| {
        let run = world.run(&["data", "verify"]);
        assert_eq!(run.code(), Some(code), "{}", run.stderr());
        assert!(
            run.stderr().contains(message),
            "{message} in {}",
            run.stderr()
        );
    };
    let path = |name: &str| world.project().join(name);
    verify(0, "");
    fs::remove_file(path("images/a/b.png")).unwrap();
    verify(14, "`a/b.png`, which DVC lists, is missing");
    // Nothing is checked out: the cache has it, and then only the remote.
    fs::remove_dir_all(path("images")).unwrap();
    verify(0, "");
    fs::remove_dir_all(path(".dvc/cache")).unwrap();
    verify(0, "");
    fs::remove_dir_all(&remote).unwrap();
    verify(
        10,
        "the data `images` is a pointer of DVC, which has no such object here",
    );
    assert!(Path::new(&path("images.dvc")).is_file());
}
