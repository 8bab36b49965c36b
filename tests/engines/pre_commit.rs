//! pre-commit runs the hook of `.pre-commit-hooks.yaml`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{User, World};
use crate::venv::{Venv, succeeds};

fn git(directory: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .current_dir(directory);
    git
}

fn repository(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    succeeds(&mut git(directory, &["init", "--quiet"]));
}

fn commit(directory: &Path) {
    succeeds(&mut git(directory, &["add", "--all"]));
    succeeds(&mut git(
        directory,
        &["commit", "--quiet", "--message=test"],
    ));
}

#[test]
fn net_pre_commit_stops_a_commit_whose_lock_is_stale() {
    let venv = Venv::new(&["pre-commit==4.7.0"]);
    let world = World::new(User::Current);
    let hooks = world.path().join("hooks");
    repository(&hooks);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml");
    fs::copy(ours, hooks.join(".pre-commit-hooks.yaml")).unwrap();
    commit(&hooks);
    let revision = succeeds(&mut git(&hooks, &["rev-parse", "HEAD"]));

    let project = world.project();
    repository(&project);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/golden/sklearn");
    let manifest = fs::read_to_string(golden.join("envbox.toml")).unwrap();
    world.write("envbox.toml", &manifest);
    let lock = fs::read_to_string(golden.join("envbox.lock")).unwrap();
    world.write("envbox.lock", &lock);
    let configuration = format!(
        "repos:\n  - repo: {}\n    rev: {}\n    hooks:\n      - id: envbox-lock-check\n",
        hooks.display(),
        revision.trim()
    );
    world.write(".pre-commit-config.yaml", &configuration);
    commit(&project);
    let check = || {
        let pre_commit = venv.program("pre-commit");
        let mut check = world.shell(&format!("{} run --all-files", pre_commit.display()));
        check.env("PATH", format!("{}:/usr/bin:/bin", world.path().display()));
        world.finished(check)
    };
    let fresh = check();
    assert_eq!(
        fresh.code(),
        Some(0),
        "{}{}",
        fresh.stdout(),
        fresh.stderr()
    );
    assert!(fresh.stdout().contains("Passed"), "{}", fresh.stdout());

    let stale = manifest.replace("requirements = [", "requirements = [\"six\", ");
    assert_ne!(stale, manifest);
    world.write("envbox.toml", &stale);
    let stale = check();
    assert_eq!(
        stale.code(),
        Some(1),
        "{}{}",
        stale.stdout(),
        stale.stderr()
    );
    assert!(stale.stdout().contains("`six`"), "{}", stale.stdout());
}
