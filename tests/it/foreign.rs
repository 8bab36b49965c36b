//! Other tools' files: taken over, written, and scripts with a header.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use envbox::base::Digest;

use crate::registry::{Registry, wheel};
use crate::support::{Run, User, World};

fn registry() -> Registry {
    let wheels: [(&str, &str, &[&str]); 5] = [
        ("app", "1", &["library>=1"]),
        ("app", "2", &["library>=1"]),
        ("library", "1", &[]),
        ("library", "2", &[]),
        ("other", "1", &[]),
    ];
    Registry::new("", &wheels)
}

fn world(registry: &Registry) -> World {
    let world = World::new(User::Unprivileged);
    registry.configure(&world);
    world
}

fn done(run: Run) -> String {
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    run.stdout()
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.project().join(name)).unwrap()
}

/// Names the project's directory as the user sees it.
fn shortened(world: &World, text: &str) -> String {
    text.replace(&world.project().display().to_string(), "PROJECT")
}

fn without_seals(lock: &str) -> String {
    let lines = lock.lines();
    let lines =
        lines.filter(|line| !line.starts_with("digest = ") && !line.starts_with("manifest = "));
    lines.collect::<Vec<_>>().join("\n")
}

const UV_LOCK: &str = r#"version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "own"
version = "0.1"
source = { virtual = "." }

[package.metadata]
requires-dist = [{ name = "app" }]

[package.metadata.requires-dev]
dev = [{ name = "other" }]

[[package]]
name = "app"
version = "1"
source = { registry = "DEFAULT" }
wheels = [{ url = "https://files.example/app-1-py3-none-any.whl", hash = "sha256:APP" }]

[[package]]
name = "library"
version = "1"
source = { registry = "DEFAULT" }
wheels = [{ url = "https://files.example/library-1-py3-none-any.whl" }]

[[package]]
name = "pywin32"
version = "311"
source = { registry = "DEFAULT" }
"#;

fn uv_lock() -> String {
    uv_lock_with(&wheel("app", "1", &["library>=1"]))
}

/// A lock in which these bytes are the wheel of `app`.
fn uv_lock_with(app: &[u8]) -> String {
    // No source names the default index.
    let default = ["https://", "pypi", ".org/simple"].concat();
    let text = UV_LOCK.replace("DEFAULT", &default);
    text.replace("APP", &Digest::of(app).hex())
}

#[test]
fn a_lock_of_uv_is_taken_over_with_its_pins() {
    let registry = registry();
    let world = world(&registry);
    world.write("uv.lock", &uv_lock());
    let report = done(world.run(&["--json", "import", "uv.lock"]));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["schema"], "envbox.import/1");
    assert_eq!(report["kept"], 2);
    assert_eq!(report["added"], serde_json::json!([]));
    let left_out = serde_json::json!([
        {"what": "dependency group dev", "reason": "not-chosen"},
        {"what": "digest of library-1-py3-none-any.whl", "reason": "other-digest"},
        {"what": "own", "reason": "member"},
        {"what": "pywin32 311", "reason": "source-only"},
    ]);
    assert_eq!(report["left_out"], left_out);
    let lock = read(&world, "envbox.lock");
    assert!(lock.contains("name = \"app\"\nversion = \"1\"\n"), "{lock}");
    assert!(
        lock.contains("name = \"library\"\nversion = \"1\"\n"),
        "{lock}"
    );
    assert!(lock.contains("required-by = [\"app\"]"), "{lock}");
    // The lock answers the manifest that was written.
    done(world.run(&["lock", "--check"]));
    // A second time there is nothing to do, and a group adds what it asks for.
    let again = done(world.run(&["import", "uv.lock"]));
    assert!(again.contains("nothing to do for"), "{again}");
    fs::remove_file(world.project().join("envbox.toml")).unwrap();
    let text = done(world.run(&["import", "uv.lock", "--group", "dev"]));
    insta::assert_snapshot!(shortened(&world, &text), @r"
    + other 1
    not pinned: other, for which 1 was chosen
    left out (not SHA-256: the index's digest is taken): digest of library-1-py3-none-any.whl
    left out (there is no wheel of it): pywin32 311
    left out (in the project itself; what it requires is taken): own
    wrote `[ROOT]/project/envbox.toml`
    updated `[ROOT]/project/envbox.lock`: 2 packages as in the uv lockfile
    ");
    insta::assert_snapshot!(read(&world, "envbox.toml"), @r#"
    # Made of `uv.lock` by `envbox import`.
    [environment]
    name = "own"
    python = "3.11"

    [python]
    requirements = [
        "app",
        "other",
    ]
    "#);
}

#[test]
fn what_the_registry_has_otherwise_is_refused_and_nothing_is_written() {
    let registry = registry();
    let world = world(&registry);
    world.write("uv.lock", &uv_lock_with(b"another"));
    let run = world.run(&["import", "uv.lock"]);
    assert_eq!(run.code(), Some(14), "{}", run.stderr());
    insta::assert_snapshot!(run.stderr(), @r"
    error: the registry `pypi` has sha256:becc4f916bb41f2f8420eeafe10852873d2965009f3fa4059a4fb7e3b68cdd04 for `app-1-py3-none-any.whl`, and the other tool's lockfile has sha256:ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5

    hint: use a registry that has the same files, or import the lockfile that belongs to it
    ");
    assert!(!world.project().join("envbox.toml").exists());
    assert!(!world.project().join("envbox.lock").exists());
}

#[test]
fn a_lock_is_exported_and_comes_back() {
    let registry = registry();
    let world = world(&registry);
    world.write(
        "envbox.toml",
        "[environment]\nname = \"iris\"\npython = \"3.11\"\n[python]\nrequirements = [\"app\", \"library<2\"]\n",
    );
    done(world.run(&["lock"]));
    let first = read(&world, "envbox.lock");
    for (format, file) in [
        ("pylock", "pylock.toml"),
        ("requirements", "requirements.txt"),
    ] {
        let told = done(world.run(&["export", format, "-o", file]));
        assert!(told.starts_with("wrote `"), "{told}");
        assert_eq!(done(world.run(&["export", format])), read(&world, file));
        fs::remove_file(world.project().join("envbox.lock")).unwrap();
        done(world.run(&["import", file]));
        assert_eq!(
            without_seals(&read(&world, "envbox.lock")),
            without_seals(&first),
            "{file}"
        );
    }
    let run = world.run(&["export", "pylock", "--platform", "linux/arm64"]);
    assert_eq!(run.code(), Some(10));
    insta::assert_snapshot!(run.stderr(), @r"
    error: the lockfile is not for linux/arm64

    hint: use `--platform` with linux/amd64
    ");
}

#[test]
fn a_manifest_is_made_of_other_files() {
    let registry = registry();
    let world = world(&registry);
    world.write(
        "app.py",
        "# /// script\n# requires-python = \">=3.12\"\n# dependencies = [\"app\"]\n# ///\n",
    );
    world.write("env/environment.yml", "name: analysis\nchannels: [conda-forge]\ndependencies: [python=3.12, {pip: [app==1, -r more.txt, git+https://git.example/x]}]\n");
    world.write("env/more.txt", "library\n");
    let mut shown = String::new();
    for file in ["app.py", "env/environment.yml"] {
        let told = done(world.run(&["init", "--from", file]));
        shown += &format!(
            "{}{}\n",
            shortened(&world, &told),
            read(&world, "envbox.toml")
        );
        fs::remove_file(world.project().join("envbox.toml")).unwrap();
    }
    insta::assert_snapshot!(shown, @r#"
    wrote `[ROOT]/project/envbox.toml`
    # Made of `app.py` by `envbox init`.
    [environment]
    name = "app"
    python = "3.13"

    [python]
    requirements-from = ["app.py"]

    left out (of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`): git+https://git.example/x
    wrote `[ROOT]/project/envbox.toml`
    # Made of `environment.yml` by `envbox init`.
    [environment]
    name = "analysis"

    [python]
    requirements-from = ["env/more.txt"]
    requirements = ["app==1"]

    [conda]
    channels = ["conda-forge"]
    dependencies = ["python 3.12.*"]
    "#);
}

const SCRIPT: &str = "# /// script\n# requires-python = \">=3.11,<3.12\"\n# dependencies = [\"app<2\"]\n# ///\nimport app\n";

#[test]
fn a_script_has_a_lock_of_its_own() {
    let registry = registry();
    let world = world(&registry);
    world.write("tools/train.py", SCRIPT);
    done(world.run(&["--project", "tools/train.py", "lock"]));
    let lock = read(&world, "tools/train.py.lock");
    assert!(lock.contains("name = \"train\"\n"), "{lock}");
    assert!(lock.contains("name = \"app\"\nversion = \"1\"\n"), "{lock}");
    done(world.run(&["--project", "tools/train.py", "lock", "--check"]));
    // uv's own lock has the same name, and is left alone.
    let foreign = "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n";
    world.write("tools/train.py.lock", foreign);
    done(world.run(&["--project", "tools/train.py", "lock"]));
    assert_eq!(read(&world, "tools/train.py.lock"), foreign);
    let exported = done(world.run(&["--project", "tools/train.py", "export", "requirements"]));
    assert!(exported.contains("\napp==1 "), "{exported}");
    // A directory that cannot be written to.
    fs::remove_file(world.project().join("tools/train.py.lock")).unwrap();
    let tools = world.project().join("tools");
    fs::set_permissions(&tools, fs::Permissions::from_mode(0o555)).unwrap();
    done(world.run(&["--project", "tools/train.py", "lock"]));
    assert!(!world.project().join("tools/train.py.lock").exists());
}

#[test]
fn each_bad_header_has_one_clear_error() {
    let registry = registry();
    let world = world(&registry);
    let mut shown = String::new();
    for (name, text) in [
        ("open.py", "# /// script\n# dependencies = []\n"),
        ("twice.py", "# /// script\n# ///\n\n# /// script\n# ///\n"),
        ("key.py", "# /// script\n# dependencis = []\n# ///\n"),
        (
            "old.py",
            "# /// script\n# requires-python = \"<3\"\n# ///\n",
        ),
    ] {
        world.write(name, text);
        let run = world.run(&["run", name]);
        assert_eq!(run.code(), Some(125), "{name}");
        shown += &format!("{}\n", run.stderr());
    }
    insta::assert_snapshot!(shown, @r#"
    error: [ROOT]/project/open.py:1:1: the header of the script is not closed
      |
    1 | # /// script
      | ^^^^^^^^^^^^

    hint: write `# ///` below its last line; all its lines begin with `# `

    error: [ROOT]/project/twice.py:4:1: the script has a second header
      |
    4 | # /// script
      | ^^^^^^^^^^^^

    hint: remove one of them

    error: [ROOT]/project/key.py:2:3: unknown key `dependencis` in the header of the script
      |
    2 | # dependencis = []
      |   ^^^^^^^^^^^

    hint: write `dependencies`

    error: [ROOT]/project/old.py:2:21: `<3` is not met by any Python from 3.9 to 3.14
      |
    2 | # requires-python = "<3"
      |                     ^^^^
    "#);
}
