//! The tools themselves read what is exported, and what they lock is taken over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::downloads;
use crate::support::{Run, User, World};

/// The releases that were tried.
const TOOLS: [&str; 6] = [
    "pip==26.3",
    "uv==0.13.9",
    "packaging==26.4",
    "py-rattler==0.28.0",
    "conda-lock==4.0.3",
    "dockerfile-parse==2.0.1",
];

/// A virtual environment with the tools.
struct Tools(TempDir);

impl Tools {
    fn new() -> Self {
        let tools = Self(tempfile::tempdir().unwrap());
        succeeds(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(tools.0.path()),
        );
        succeeds(
            tools
                .command("pip")
                .args(["install", "--quiet", "--upgrade"])
                .args(TOOLS),
        );
        tools
    }

    fn command(&self, name: &str) -> Command {
        Command::new(self.0.path().join("bin").join(name))
    }

    /// Runs a program of Python in a directory, and returns what it prints.
    fn python(&self, directory: &Path, program: &str) -> String {
        succeeds(
            self.command("python")
                .current_dir(directory)
                .args(["-c", program]),
        )
    }
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn done(run: Run) -> String {
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    run.stdout()
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.project().join(name)).unwrap()
}

/// What a lock says of files.
fn files(lock: &str) -> Vec<&str> {
    let of_files = |line: &&str| {
        let keys = ["file = ", "size = ", "sha256 = "];
        keys.iter().any(|key| line.starts_with(key))
    };
    lock.lines().filter(of_files).collect()
}

fn world(manifest: &str) -> World {
    let world = World::new(User::Current);
    downloads::share(&world);
    world.write("envbox.toml", manifest);
    done(world.run(&["lock"]));
    world
}

const PYTHON: &str = "[environment]\nname = \"read\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"markupsafe==3.0.2\", \"click==8.1.8\", \"rich==13.9.4\"]\n\
    exclude-newer = \"2026-01-01\"\n";

#[test]
fn net_pip_uv_and_packaging_read_the_locks_of_wheels() {
    let (tools, world) = (Tools::new(), world(PYTHON));
    let project = world.project();
    done(world.run(&["export", "pylock", "-o", "pylock.toml"]));
    done(world.run(&["export", "requirements", "-o", "requirements.txt"]));
    let count = tools.python(
        &project,
        "import tomllib\nfrom packaging.pylock import Pylock\n\
         lock = Pylock.from_dict(tomllib.load(open('pylock.toml', 'rb')))\nprint(len(lock.packages))",
    );
    let wheels = read(&world, "envbox.lock").matches("[[python]]").count();
    assert_eq!(count.trim(), wheels.to_string());

    // Downloading checks digests as installing does, for the Python that is locked for and not the
    // one that happens to be here.
    let for_311 = [
        "--python-version",
        "3.11",
        "--only-binary",
        ":all:",
        "--no-deps",
    ];
    for (file, more) in [
        ("pylock.toml", None),
        ("requirements.txt", Some("--require-hashes")),
    ] {
        let target = tempfile::tempdir().unwrap();
        let mut uv = tools.command("uv");
        uv.current_dir(&project)
            .args(["pip", "sync", "--quiet", "--target"]);
        uv.arg(target.path())
            .args(["--python-version", "3.11", "--python-platform"]);
        uv.arg("x86_64-manylinux_2_36").args(more).arg(file);
        succeeds(&mut uv);
        assert_eq!(installed(target.path()), wheels, "uv {file}");
    }
    let target = tempfile::tempdir().unwrap();
    let mut pip = tools.command("pip");
    pip.current_dir(&project)
        .args(["download", "--quiet", "--require-hashes", "--dest"]);
    pip.arg(target.path())
        .args(for_311)
        .args(["--platform", "manylinux_2_28_x86_64"]);
    pip.args([
        "--platform",
        "manylinux_2_17_x86_64",
        "--platform",
        "any",
        "-r",
        "requirements.txt",
    ]);
    succeeds(&mut pip);
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), wheels);
    pip_reads_pylock(&tools, &project);
    a_dockerfile_has_the_same_requirements(&tools, &world);
    downloads::keep(&world);
}

/// Of `pylock.toml`, pip asks whether the running Python is one that it is for.
fn pip_reads_pylock(tools: &Tools, project: &Path) {
    let running = tools.python(project, "import sys; print('%d.%d' % sys.version_info[:2])");
    let mut pip = tools.command("pip");
    pip.current_dir(project).args([
        "install",
        "--dry-run",
        "--ignore-installed",
        "-r",
        "pylock.toml",
    ]);
    let output = pip.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match running.trim() {
        "3.11" => assert!(
            text.contains("Would install") && text.contains("rich-13.9.4"),
            "{text}"
        ),
        _ => assert!(text.contains("pylock.toml"), "{text}"),
    }
}

/// Its shell commands are well-formed, and the one that writes requirements writes those that are
/// exported alone. It is built by `tests/images/dockerfile.rs`.
fn a_dockerfile_has_the_same_requirements(tools: &Tools, world: &World) {
    let project = world.project();
    done(world.run(&["export", "dockerfile", "-o", "Dockerfile"]));
    let program = "\
from dockerfile_parse import DockerfileParser
for part in DockerfileParser(fileobj=open('Dockerfile', 'r+b')).structure:
    if part['instruction'] == 'RUN':
        print(part['value'].replace('\\n', ' '))
    elif part['instruction'] not in ('FROM', 'ENV', 'COPY', 'CMD', 'COMMENT'):
        raise SystemExit(part)
";
    let commands = tools.python(&project, program);
    let commands: Vec<&str> = commands.lines().collect();
    assert_eq!(commands.len(), 3, "{commands:#?}");
    for command in &commands {
        succeeds(Command::new("sh").args(["-n", "-c", command]));
    }
    let (written, _) = commands[2].split_once(" > /requirements.txt").unwrap();
    let written = succeeds(Command::new("sh").args(["-c", written]));
    let exported = read(world, "requirements.txt").replace(" \\\n    ", " ");
    let exported: Vec<&str> = exported
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(written.lines().collect::<Vec<_>>(), exported);
}

fn installed(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    names
        .filter(|name| {
            name.extension()
                .is_some_and(|extension| extension == "dist-info")
        })
        .count()
}

#[test]
fn net_what_uv_locks_is_taken_over() {
    let (tools, world) = (Tools::new(), World::new(User::Current));
    downloads::share(&world);
    let project = world.project();
    world.write(
        "pyproject.toml",
        "[project]\nname = \"own\"\nversion = \"0.1\"\nrequires-python = \">=3.11\"\n\
         dependencies = [\"httpx>=0.27\", \"numpy<2.3\"]\n[dependency-groups]\ndev = [\"iniconfig\"]\n",
    );
    let mut lock = tools.command("uv");
    lock.current_dir(&project)
        .args(["lock", "--quiet", "--exclude-newer", "2026-01-01T00:00:00Z"]);
    succeeds(&mut lock);
    let mut export = tools.command("uv");
    export.current_dir(&project).args([
        "export",
        "--quiet",
        "--frozen",
        "--no-dev",
        "--no-emit-project",
    ]);
    export.args(["--format", "pylock.toml", "-o", "pylock.toml"]);
    succeeds(&mut export);

    let told = done(world.run(&["import", "uv.lock"]));
    assert!(told.contains("dependency group dev"), "{told}");
    let (from_uv, uv) = (read(&world, "envbox.lock"), read(&world, "uv.lock"));
    let digests = from_uv
        .lines()
        .filter_map(|line| line.strip_prefix("sha256 = \""));
    let wheels = from_uv.matches("[[python]]").count();
    let known = digests.filter(|digest| uv.contains(digest.trim_end_matches('"')));
    assert_eq!(known.count(), wheels, "{from_uv}");
    assert!(
        from_uv.contains("requirements = [\n    \"httpx>=0.27\",\n    \"numpy<2.3\",\n]"),
        "{from_uv}"
    );

    for name in ["envbox.toml", "envbox.lock"] {
        fs::remove_file(project.join(name)).unwrap();
    }
    done(world.run(&["import", "pylock.toml"]));
    assert_eq!(files(&read(&world, "envbox.lock")), files(&from_uv));
    downloads::keep(&world);
}

#[test]
fn net_conda_tools_read_the_locks_of_conda_packages() {
    let channel = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conda/tiny-channel");
    let manifest = format!(
        "[environment]\nname = \"tiny\"\n[conda]\nchannels = [{{ name = \"tiny\", url = \"{}\" }}]\n\
         dependencies = [\"python 3.11.*\", \"mytool\"]\n[python]\nrequirements = [\"idna==3.10\"]\n",
        channel.display()
    );
    let (tools, world) = (Tools::new(), world(&manifest));
    for (format, file) in [
        ("conda-explicit", "explicit.txt"),
        ("conda-lock", "conda-lock.yml"),
        ("environment.yml", "environment.yml"),
    ] {
        done(world.run(&["export", format, "-o", file]));
    }
    // It would ask a server for names that differ between conda and PyPI.
    world.write("names.json", "{}");
    let program = "\
from pathlib import Path
from rattler.explicit_environment import ExplicitEnvironmentSpec
spec = ExplicitEnvironmentSpec.from_path(Path('explicit.txt'))
print(spec.platform, *sorted(entry.url.rsplit('/', 1)[1].split('#')[0] for entry in spec.packages))
from conda_lock.lockfile import parse_conda_lock_file
for package in sorted(parse_conda_lock_file(Path('conda-lock.yml')).package, key=lambda p: p.name):
    print(package.manager, package.name, package.version, bool(package.hash.sha256))
from conda_lock.src_parser.environment_yaml import parse_environment_file
parsed = parse_environment_file(Path('environment.yml'), ['linux-64'], mapping_url=str(Path('names.json').absolute()))
for dependency in sorted(parsed.dependencies['linux-64'], key=lambda d: (d.name, d.version)):
    print(dependency.manager, dependency.name, dependency.version)
";
    insta::assert_snapshot!(tools.python(&world.project(), program), @r"
    linux-64 gpulib-1.0-cpu_0.conda libfoo-2.0-h2_0.conda mytool-0.3-pyhd_0.conda python-3.11.9-h0_0.conda
    conda gpulib 1.0 True
    pip idna 3.10 True
    conda libfoo 2.0 True
    conda mytool 0.3 True
    conda python 3.11.9 True
    conda gpulib 1.0
    pip idna ==3.10
    conda libfoo 2.0
    conda mytool 0.3
    conda pip 
    conda pip *
    conda python 3.11.9
    ");
    downloads::keep(&world);
}

#[test]
fn net_a_script_runs_in_an_environment_of_its_own() {
    let world = World::new(User::Unprivileged);
    downloads::share(&world);
    let header = "# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\"idna==3.10\"]\n#\n\
        # [tool.envbox.sandbox]\n# hostname = \"scripted\"\n# ///\n";
    let program = "import idna, socket, sys\n\
        print(idna.__version__, sys.argv[1:], sys.version_info[:2], socket.gethostname())\n";
    world.write("tools/show.py", &format!("{header}{program}"));
    // The project around it has no say.
    world.write("envbox.toml", "[environment]\nname = \"around\"\n");
    let told = done(world.run(&["run", "tools/show.py", "a"]));
    assert_eq!(told, "3.10 ['a'] (3, 11) scripted\n");
    let lock = read(&world, "tools/show.py.lock");
    assert!(lock.contains("name = \"show\"\n"), "{lock}");
    assert!(!world.project().join("envbox.lock").exists());
    let below = world.command_in(
        &world.project().join("tools"),
        &["run", "--frozen", "show.py"],
    );
    assert_eq!(done(world.finished(below)), "3.10 [] (3, 11) scripted\n");
    downloads::keep(&world);
}
