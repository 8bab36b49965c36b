//! A mirror of a real lock, and other people's installers on it.

use std::fs;
use std::process::Command;

use crate::downloads;
use crate::golden::{directory, world_of};
use crate::support::{User, World};

const INSTALLERS: &str = r#"
[environment]
name = "installers"
python = "3.11"

[python]
requirements = ["pip==25.2", "uv==0.8.15"]

[sandbox]
env = { HOME = "/tmp", PIP_DISABLE_PIP_VERSION_CHECK = "1" }
"#;

/// What the lock was made for; each installer resolves it again, from the mirror alone.
const INSTALL: &str = r#"
index=file:///project/mirror/registries/pypi
wanted="scikit-learn==1.5.2 pandas>=2,<3"
pip install -q --index-url $index --no-cache-dir --target /tmp/pip $wanted
uv pip install -q --index-url $index --no-cache --target /tmp/uv $wanted
for installer in pip uv; do ls /tmp/$installer | grep dist-info | tr A-Z a-z; echo; done
"#;

/// Registries where nobody listens.
fn gone() -> Vec<String> {
    let names = ["pypi", "debian", "debian-snapshot"];
    let options = names.map(|name| {
        let url = format!("{name}=http://127.0.0.1:1/");
        ["--registry".to_owned(), url]
    });
    options.into_iter().flatten().collect()
}

fn succeed(world: &World, arguments: &[&str], more: &[String]) -> String {
    let more = more.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments.iter().copied().chain(more).collect();
    let run = world.run(&arguments);
    assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr());
    run.stdout()
}

#[test]
fn net_an_old_lock_is_built_and_installed_from_its_mirror() {
    let world = world_of("sklearn", User::Unprivileged);
    let report = succeed(
        &world,
        &["mirror", "--to", "dir:../home/mirror", "--json"],
        &[],
    );
    downloads::keep(&world);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let shadowed = report["added"]["shadowed"].as_array();
    assert_eq!(shadowed.map(Vec::len), Some(0), "{report}");
    fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
    let train = ["run", "--frozen", "--mirror", "../home/mirror"];
    let step = ["--", "python", "train.py"].map(str::to_owned);
    succeed(&world, &train, &[gone(), step.to_vec()].concat());

    // The wheels are found again too, with their times: the manifest has a cut-off date. Whether the
    // archive still has what the lock's suites were is not ours to say.
    let suites = report["suites"].as_array().unwrap();
    if suites.iter().all(|suite| suite["mirrored"] == true) {
        fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
        fs::remove_file(world.project().join("envbox.lock")).unwrap();
        let places = ["pypi", "debian"].map(|name| {
            let place = world.path().join("home/mirror/registries").join(name);
            [
                "--registry".to_owned(),
                format!("{name}={}", place.display()),
            ]
        });
        succeed(&world, &["lock", "--offline"], &places.concat());
        let golden = fs::read(directory("sklearn").join("envbox.lock")).unwrap();
        assert_eq!(
            fs::read(world.project().join("envbox.lock")).unwrap(),
            golden
        );
    }

    let installers = World::new(User::Unprivileged);
    installers.write("envbox.toml", INSTALLERS);
    downloads::share(&installers);
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(world.path().join("home/mirror"));
    let copied = copy.arg(installers.project()).status().unwrap();
    assert!(copied.success());
    let installed = succeed(&installers, &["run", "--", "sh", "-ec", INSTALL], &[]);
    downloads::keep(&installers);
    let mut lists = installed.trim().split("\n\n");
    let (pip, uv) = (lists.next().unwrap(), lists.next().unwrap());
    assert_eq!(pip, uv);
    let lock = envbox::lock::Lockfile::read(&directory("sklearn").join("envbox.lock")).unwrap();
    let mut locked: Vec<String> = lock
        .python
        .iter()
        .map(|wheel| {
            format!(
                "{}-{}.dist-info",
                wheel.name.as_str().replace('-', "_"),
                wheel.version
            )
        })
        .collect();
    locked.sort();
    let mut pip: Vec<&str> = pip.lines().collect();
    pip.sort_unstable();
    assert_eq!(pip, locked);
}
