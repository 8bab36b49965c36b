//! Real projects that have no wheel: built in the sandbox, locked, and built again elsewhere.

use std::fs;
use std::process::Command;

use envbox::base::Digest;
use envbox::lock::Lockfile;

use crate::downloads;
use crate::support::{User, World};

/// Pure (with tools that ask for more), and in C.
const MANIFEST: &str = "[environment]\nname = \"sources\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"petl==1.7.15\", \"ciso8601==2.2.0\", REPOSITORY]\n\
    exclude-newer = \"2026-11-01\"\nno-build = false\n\
    [debian]\npackages = [\"gcc\", \"libc6-dev\", \"python3.11-dev\"]\n";

const PROGRAM: &str = "import ciso8601, local_thing, petl, six\n\
    print(petl.__version__, ciso8601.parse_datetime('2020-01-02'), local_thing.VALUE)\n";

/// Makes a repository that anybody may read, with a project in a directory of it.
fn repository(world: &World) -> String {
    let directory = world.path().join("repository");
    fs::create_dir_all(directory.join("sub")).unwrap();
    let pyproject = "[build-system]\nrequires = [\"flit_core>=3.2\"]\n\
        build-backend = \"flit_core.buildapi\"\n[project]\nname = \"local_thing\"\n\
        version = \"0.3\"\ndescription = \"x\"\ndependencies = [\"six\"]\n";
    fs::write(directory.join("sub/pyproject.toml"), pyproject).unwrap();
    fs::write(directory.join("sub/local_thing.py"), "VALUE = 7\n").unwrap();
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "."],
        &["commit", "--quiet", "--message=one"],
    ] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b.example"]);
        git.args(arguments).current_dir(&directory);
        git.env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z");
        git.env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        assert!(git.status().unwrap().success());
    }
    format!("file://{}", directory.display())
}

fn lock(world: &World) -> Lockfile {
    Lockfile::read(&world.project().join("envbox.lock")).unwrap()
}

#[test]
fn net_sources_are_built_the_same_everywhere() {
    let world = World::new(User::Current);
    let url = repository(&world);
    let requirement = format!("\"local-thing @ git+{url}@main#subdirectory=sub\"");
    world.write("envbox.toml", &MANIFEST.replace("REPOSITORY", &requirement));
    world.write("program.py", PROGRAM);
    downloads::share(&world);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let locked = lock(&world);
    let built: Vec<_> = locked
        .python
        .iter()
        .filter(|wheel| wheel.built_from.is_some())
        .collect();
    let names: Vec<_> = built.iter().map(|wheel| wheel.name.as_str()).collect();
    assert_eq!(names, ["ciso8601", "local-thing", "petl"]);
    for wheel in &built {
        let requires = &wheel.built_from.as_ref().unwrap().requires;
        assert!(!requires.is_empty(), "{}", wheel.name);
    }
    let text = fs::read_to_string(world.project().join("envbox.lock")).unwrap();
    let program = || {
        let run = world.run(&["run", "--frozen", "--", "python", "program.py"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        run.stdout()
    };
    let printed = program();
    assert_eq!(printed, "1.7.15 2020-01-02 00:00:00 7\n");
    // Another user with an empty store has to build them again.
    let other = World::new(User::Unprivileged);
    other.write("envbox.toml", &MANIFEST.replace("REPOSITORY", &requirement));
    other.write("envbox.lock", &text);
    other.write("program.py", PROGRAM);
    // The repository is somebody else's.
    other.write_home(".gitconfig", "[safe]\ndirectory = *\n");
    let run = other.run(&["run", "--frozen", "--", "python", "program.py"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.stdout(), printed);
    a_mirror_has_what_they_are_built_from(&world, &text, &requirement);
    a_wheel_that_is_another_is_refused(&world);
}

/// With the mirror alone the wheels are built again, though neither registries nor the repository are
/// there any more.
fn a_mirror_has_what_they_are_built_from(world: &World, lock: &str, requirement: &str) {
    let run = world.run(&["mirror", "--to", "dir:../home/mirror"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let repository = world.path().join("repository");
    fs::rename(&repository, repository.with_extension("away")).unwrap();
    let blobs = world.path().join("home/mirror/blobs/sha256");
    let other = World::new(User::Current);
    other.write("envbox.toml", &MANIFEST.replace("REPOSITORY", requirement));
    other.write("envbox.lock", lock);
    other.write("program.py", PROGRAM);
    let mirror = format!("dir:{}", world.path().join("home/mirror").display());
    let nobody = "http://127.0.0.1:9";
    let mut words = vec!["run", "--frozen", "--mirror", &mirror];
    let gone: Vec<String> = ["pypi", "debian", "debian-security", "debian-snapshot"]
        .map(|name| format!("{name}={nobody}"))
        .to_vec();
    for place in &gone {
        words.extend(["--registry", place]);
    }
    words.extend(["--", "python", "program.py"]);
    // First the mirror has the wheels as they were built.
    let run = other.run(&words);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(!run.stderr().contains("build wheels"), "{}", run.stderr());
    let locked = self::lock(world);
    for wheel in locked
        .python
        .iter()
        .filter(|wheel| wheel.built_from.is_some())
    {
        fs::remove_file(blobs.join(wheel.artifact.digest.hex())).unwrap();
    }
    fs::remove_dir_all(other.path().join("home/.cache/envbox")).unwrap();
    let run = other.run(&words);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.stdout(), "1.7.15 2020-01-02 00:00:00 7\n");
    fs::rename(repository.with_extension("away"), &repository).unwrap();
}

fn a_wheel_that_is_another_is_refused(world: &World) {
    let mut changed = lock(world);
    let petl = changed
        .python
        .iter_mut()
        .find(|wheel| wheel.name.as_str() == "petl");
    petl.unwrap().artifact.digest = Digest::of(b"another");
    changed.write(&world.project().join("envbox.lock")).unwrap();
    let run = world.run(&["run", "--frozen", "--", "python", "program.py"]);
    assert_eq!(run.code(), Some(125), "{}", run.stderr());
    let error = run.stderr();
    assert!(
        error.contains("`petl-1.7.15.tar.gz` does not build the same again"),
        "{error}"
    );
}
