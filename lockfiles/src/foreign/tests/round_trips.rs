//! Locks written as other tools' files, and taken over from them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::{Digest, Explain as _, Platform};
use crate::foreign::{Choice, ExportFormat, export, read};
use crate::lock::{Artifact, BuiltFrom, LockedWheel, Lockfile, Origin};
use crate::manifest::Manifest;
use crate::resolve::conda::tests::making::{Package, write_channel};
use crate::resolve::debian::tests::fixture::World;
use crate::resolve::debian::tests::keys::keyring;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::tests::world;
use crate::resolve::{Pins, ResolveError, ResolveOptions, resolve_with};

pub(super) const AMD64: Platform = Platform::LinuxAmd64;

/// Registries of the test's own, and a lock of what they have.
pub(super) struct Project {
    pub(super) world: World,
    directory: TempDir,
    conda: bool,
}

impl Project {
    pub(super) fn new(conda: bool) -> Self {
        let mut project = Self {
            world: world(),
            directory: tempfile::tempdir().unwrap(),
            conda,
        };
        let releases = [
            Release::wheel("app", "1").requires("library>=1"),
            Release::wheel("library", "1.5+local"),
            Release::wheel("other", "1").tag("cp311-cp311-manylinux_2_17_x86_64"),
        ];
        let packages = [
            Package::new("python", "3.11.9"),
            Package::new("tool", "1!2.0")
                .build("cuda_0")
                .depends(&["zlib"]),
            Package::new("zlib", "1.3").set("md5", "0123456789abcdef0123456789abcdef".into()),
        ];
        project.publish(&releases, &packages);
        project.place("pypi", "index");
        project.place("own", "channel");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn publish(&self, releases: &[Release], packages: &[Package]) {
        write_index(&self.path("index"), releases);
        write_channel(&self.path("channel"), packages);
    }

    /// Lists newer versions of everything: only pins hold what was locked.
    fn move_on(&self) {
        let releases = [
            Release::wheel("app", "1").requires("library>=1"),
            Release::wheel("app", "2").requires("library>=1"),
            Release::wheel("library", "1.5+local"),
            Release::wheel("library", "2"),
            Release::wheel("other", "1").tag("cp311-cp311-manylinux_2_17_x86_64"),
            Release::wheel("other", "1").tag("cp311-cp311-manylinux_2_28_x86_64"),
            Release::wheel("other", "3"),
        ];
        let packages = [
            Package::new("python", "3.11.9"),
            Package::new("python", "3.12.1"),
            Package::new("tool", "1!2.0")
                .build("cuda_0")
                .depends(&["zlib"]),
            Package::new("tool", "1!2.0")
                .build("zcpu_0")
                .depends(&["zlib"]),
            Package::new("tool", "1!3.0").depends(&["zlib"]),
            Package::new("zlib", "1.3"),
            Package::new("zlib", "1.4"),
        ];
        self.publish(&releases, &packages);
    }

    pub(super) fn place(&mut self, name: &str, folder: &str) {
        let path = self.path(folder).display().to_string();
        let registries = &mut self.world.context.registries;
        registries.insert(name.parse().unwrap(), path);
    }

    fn lock(&self, text: &str, pins: Pins) -> Result<Lockfile, ResolveError> {
        let manifest = Manifest::parse(text, Path::new("envbox.toml")).unwrap();
        let options = ResolveOptions {
            pins,
            ..ResolveOptions::default()
        };
        let keys = keyring(&[&self.world.key]);
        resolve_with(&self.world.context, &keys, &manifest, None, &options)
    }

    pub(super) fn first(&self) -> Lockfile {
        let conda = match self.conda {
            true => "[conda]\nchannels = [\"own\"]\ndependencies = [\"python 3.11.*\", \"tool\"]\n",
            false => "",
        };
        let python = if self.conda {
            ""
        } else {
            "python = \"3.11\"\n"
        };
        let text = format!(
            "[environment]\nname = \"test\"\n{python}{conda}\
             [python]\nrequirements = [\"app\", \"other\"]\n[debian]\nsecurity = false\n"
        );
        self.lock(&text, Pins::default()).unwrap()
    }

    pub(super) fn exported(&self, lock: &Lockfile, format: ExportFormat) -> String {
        match export(&self.world.context, lock, AMD64, format) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => format!(
                "{:?} error: {error}\nhint: {}",
                error.kind(),
                error.hints().join("\n")
            ),
        }
    }

    pub(super) fn shown(&self, text: &str, lock: &Lockfile) -> String {
        let text = text.replace(&self.directory.path().display().to_string(), "DIRECTORY");
        // It is over the URLs, which have the directory.
        let hash = text
            .lines()
            .find(|line| line.starts_with("    linux-64: "))
            .unwrap_or("-");
        let text = text.replace(hash, hash.split_inclusive(": ").next().unwrap_or_default());
        let world = self.world.directory.path().display().to_string();
        text.replace(&lock.digest().to_string(), "DIGEST")
            .replace(&world, "WORLD")
    }

    /// Takes `text` over as the lockfile `name` of another tool.
    fn imported(&self, name: &str, text: &str) -> Lockfile {
        let file = self.path(name);
        std::fs::write(&file, text).unwrap();
        let foreign = read(&file, &Choice::default()).unwrap();
        let manifest = foreign.outline.manifest("Made by a test.", "test");
        let manifest = manifest + "\n[debian]\nsecurity = false\n";
        match self.lock(&manifest, foreign.pins) {
            Ok(lock) => lock,
            Err(error) => panic!(
                "{error}: {:?}\n{manifest}",
                std::error::Error::source(&error)
            ),
        }
    }
}

fn artifacts(lock: &Lockfile) -> Vec<String> {
    let wheels = lock.python.iter().map(|wheel| &wheel.artifact);
    let packages = lock.conda.packages.iter().map(|package| &package.artifact);
    let all = wheels.chain(packages);
    all.map(|artifact| format!("{} {} {}", artifact.file, artifact.size, artifact.digest))
        .collect()
}

#[test]
fn a_lock_of_wheels_comes_back_the_same() {
    let project = Project::new(false);
    let lock = project.first();
    let mut shown = String::new();
    for (name, format) in [
        ("pylock.toml", ExportFormat::Pylock),
        ("requirements.txt", ExportFormat::Requirements),
    ] {
        let text = project.exported(&lock, format);
        assert_eq!(text, project.exported(&lock, format));
        project.move_on();
        assert_eq!(
            artifacts(&project.imported(name, &text)),
            artifacts(&lock),
            "{name}"
        );
        shown += &format!("{}\n", project.shown(&text, &lock));
    }
    insta::assert_snapshot!(shown, @r#"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.2 by `envbox export pylock`.
    lock-version = "1.0"
    environments = ["implementation_name == 'cpython' and platform_machine == 'x86_64' and python_version == '3.11' and sys_platform == 'linux'"]
    requires-python = "==3.11.*"
    created-by = "envbox"

    [[packages]]
    name = "app"
    version = "1"
    dependencies = [{ name = "library" }]
    wheels = [{ name = "app-1-py3-none-any.whl", url = "file://DIRECTORY/index/app/app-1-py3-none-any.whl", size = 512, hashes = { sha256 = "3454b6cd6947cf1c18b38179f54237c9a4228277a5ffe0ca2ff9c9324ce4139b" } }]

    [[packages]]
    name = "library"
    version = "1.5+local"
    wheels = [{ name = "library-1.5+local-py3-none-any.whl", url = "file://DIRECTORY/index/library/library-1.5+local-py3-none-any.whl", size = 570, hashes = { sha256 = "acd2c5c40900608a4c45ee5f6ce9e95468df4cb65a4049f713f8b81ca7596455" } }]

    [[packages]]
    name = "other"
    version = "1"
    wheels = [{ name = "other-1-cp311-cp311-manylinux_2_17_x86_64.whl", url = "file://DIRECTORY/index/other/other-1-cp311-cp311-manylinux_2_17_x86_64.whl", size = 521, hashes = { sha256 = "21380a3413f69792841e5385647efe7b7eb10c7caeb82909822370eb77257bf0" } }]

    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.2 by `envbox export requirements`.
    app==1 \
        --hash=sha256:3454b6cd6947cf1c18b38179f54237c9a4228277a5ffe0ca2ff9c9324ce4139b
    library==1.5+local \
        --hash=sha256:acd2c5c40900608a4c45ee5f6ce9e95468df4cb65a4049f713f8b81ca7596455
    other==1 \
        --hash=sha256:21380a3413f69792841e5385647efe7b7eb10c7caeb82909822370eb77257bf0
    "#);
}

#[test]
fn a_lock_of_conda_packages_and_wheels_comes_back_the_same() {
    let project = Project::new(true);
    let lock = project.first();
    let text = project.exported(&lock, ExportFormat::CondaLock);
    project.move_on();
    let again = project.imported("conda-lock.yml", &text);
    assert_eq!(artifacts(&again), artifacts(&lock));
    insta::assert_snapshot!(project.shown(&text, &lock), @r#"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.9 by `envbox export conda-lock`.
    version: 1
    metadata:
      content_hash:
        linux-64: 
      channels:
      - url: file://DIRECTORY/channel/
        used_env_vars: []
      platforms:
      - linux-64
      sources:
      - envbox.toml
    package:
    - build: h0_0
      category: main
      dependencies: {}
      hash:
        sha256: b93ee737f2e8675efc841f5c2d05d06d16e74949f90a5cad6eaab62d582cb91f
      manager: conda
      name: python
      optional: false
      platform: linux-64
      url: file://DIRECTORY/channel/linux-64/python-3.11.9-h0_0.conda
      version: "3.11.9"
    - build: cuda_0
      category: main
      dependencies:
        zlib: "*"
      hash:
        sha256: 6e220d59fb0b9e173676416a4c891c573d711c469cf254f1e34fe09a535957b2
      manager: conda
      name: tool
      optional: false
      platform: linux-64
      url: file://DIRECTORY/channel/linux-64/tool-1!2.0-cuda_0.conda
      version: 1!2.0
    - build: h0_0
      category: main
      dependencies: {}
      hash:
        md5: 0123456789abcdef0123456789abcdef
        sha256: 04a0ca69d75feae1335e7409faa5f0445450e21fbeb2d71777487ecf8a7ea4e6
      manager: conda
      name: zlib
      optional: false
      platform: linux-64
      url: file://DIRECTORY/channel/linux-64/zlib-1.3-h0_0.conda
      version: "1.3"
    - category: main
      dependencies:
        library: "*"
      hash:
        sha256: 3454b6cd6947cf1c18b38179f54237c9a4228277a5ffe0ca2ff9c9324ce4139b
      manager: pip
      name: app
      optional: false
      platform: linux-64
      url: file://DIRECTORY/index/app/app-1-py3-none-any.whl
      version: "1"
    - category: main
      dependencies: {}
      hash:
        sha256: acd2c5c40900608a4c45ee5f6ce9e95468df4cb65a4049f713f8b81ca7596455
      manager: pip
      name: library
      optional: false
      platform: linux-64
      url: file://DIRECTORY/index/library/library-1.5+local-py3-none-any.whl
      version: 1.5+local
    - category: main
      dependencies: {}
      hash:
        sha256: 21380a3413f69792841e5385647efe7b7eb10c7caeb82909822370eb77257bf0
      manager: pip
      name: other
      optional: false
      platform: linux-64
      url: file://DIRECTORY/index/other/other-1-cp311-cp311-manylinux_2_17_x86_64.whl
      version: "1"
    "#);
}

#[test]
fn conda_packages_are_written_for_conda() {
    let project = Project::new(true);
    let lock = project.first();
    let formats = [ExportFormat::CondaExplicit, ExportFormat::EnvironmentYml];
    let texts = formats.map(|format| project.exported(&lock, format));
    insta::assert_snapshot!(project.shown(&texts.join("\n"), &lock), @r#"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.9 by `envbox export conda-explicit`.
    # 3 Python packages are not in it: `envbox export requirements` has them.
    # platform: linux-64
    @EXPLICIT
    file://DIRECTORY/channel/linux-64/python-3.11.9-h0_0.conda#sha256:b93ee737f2e8675efc841f5c2d05d06d16e74949f90a5cad6eaab62d582cb91f
    file://DIRECTORY/channel/linux-64/zlib-1.3-h0_0.conda#sha256:04a0ca69d75feae1335e7409faa5f0445450e21fbeb2d71777487ecf8a7ea4e6
    file://DIRECTORY/channel/linux-64/tool-1!2.0-cuda_0.conda#sha256:6e220d59fb0b9e173676416a4c891c573d711c469cf254f1e34fe09a535957b2

    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.9 by `envbox export environment.yml`.
    name: "test"
    channels:
      - "file://DIRECTORY/channel/"
      - nodefaults
    dependencies:
      - "python=3.11.9=h0_0"
      - "zlib=1.3=h0_0"
      - "tool=1!2.0=cuda_0"
      - "pip"
      - pip:
          - "app==1"
          - "library==1.5+local"
          - "other==1"
    "#);
}

#[test]
fn what_a_format_cannot_hold_is_told() {
    let wheels = Project::new(false);
    let lock = wheels.first();
    let mut bare = lock.clone();
    bare.python.clear();
    let shown = [
        wheels.exported(&bare, ExportFormat::Pylock),
        wheels.exported(&bare, ExportFormat::Requirements),
        wheels.exported(&lock, ExportFormat::CondaExplicit),
        wheels.exported(&lock, ExportFormat::CondaLock),
        export(
            &wheels.world.context,
            &lock,
            Platform::LinuxArm64,
            ExportFormat::Pylock,
        )
        .unwrap_err()
        .to_string(),
    ];
    insta::assert_snapshot!(shown.join("\n\n"), @r"
    User error: the lockfile has no Python packages, and a `pylock.toml` holds nothing else
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has no Python packages, and a requirements file holds nothing else
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has no conda packages, and an explicit specification holds nothing else
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has no conda packages, and a `conda-lock.yml` holds nothing else
    hint: choose another format: `envbox export --help` lists them

    the lockfile is not for linux/arm64
    ");
}

#[test]
fn a_password_is_not_exported() {
    let mut project = Project::new(false);
    let lock = project.first();
    let name = "pypi".parse().unwrap();
    let (text, place) = (
        project.exported(&lock, ExportFormat::Requirements),
        "https://me:secret@index.example/simple",
    );
    project
        .world
        .context
        .registries
        .insert(name, place.to_owned());
    assert_eq!(project.exported(&lock, ExportFormat::Requirements), text);
    assert!(!text.contains("index"), "{text}");
    let mut other = lock.clone();
    for wheel in &mut other.python {
        wheel.artifact.origin = crate::lock::Origin::Registry("team".parse().unwrap());
    }
    project
        .world
        .context
        .registries
        .insert("team".parse().unwrap(), place.to_owned());
    let text = project.exported(&other, ExportFormat::Requirements);
    assert!(
        text.contains("--extra-index-url https://index.example/simple\n"),
        "{text}"
    );
}

/// Returns a lock with wheels that were built: of a source distribution, of one in a directory of an
/// archive, and of a commit.
fn with_built(project: &Project, commit: bool) -> Lockfile {
    let mut lock = project.first();
    project.publish(&[Release::sdist("made", "2")], &[]);
    let file = project.path("index/made/made-2.tar.gz");
    let registry = Origin::Registry("pypi".parse().unwrap());
    let part = "https://example.org/part.zip#subdirectory=a/b".to_owned();
    let git = "git+https://example.org/other@0123#subdirectory=c".to_owned();
    let sources = [
        (
            "made",
            registry,
            "made-2.tar.gz",
            std::fs::read(file).unwrap(),
        ),
        ("part", Origin::Url(part), "part.zip", b"part".to_vec()),
        ("commit", Origin::Url(git), "commit.tar", b"commit".to_vec()),
    ];
    lock.python.clear();
    for (name, origin, file, bytes) in sources {
        if name == "commit" && !commit {
            continue;
        }
        let artifact = |origin, file: &str, bytes: &[u8]| Artifact {
            origin,
            file: file.to_owned(),
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
        };
        let wheel = format!("{name}-2-py3-none-any.whl");
        lock.python.push(LockedWheel {
            name: name.parse().unwrap(),
            version: "2".to_owned(),
            platforms: vec![AMD64],
            artifact: artifact(Origin::Built, &wheel, wheel.as_bytes()),
            required_by: vec!["manifest".to_owned()],
            built_from: Some(Box::new(BuiltFrom {
                source: artifact(origin, file, &bytes),
                requires: Vec::new(),
            })),
        });
    }
    lock.python.sort_by(|a, b| a.name.cmp(&b.name));
    lock
}

#[test]
fn of_a_built_wheel_others_get_the_source() {
    let project = Project::new(false);
    let mut shown = String::new();
    for (commit, format) in [
        (true, ExportFormat::Pylock),
        (false, ExportFormat::Requirements),
        (true, ExportFormat::Requirements),
        (true, ExportFormat::Dockerfile),
    ] {
        let lock = with_built(&project, commit);
        let text = project.exported(&lock, format);
        shown += &format!("{}\n", project.shown(&text, &lock));
    }
    insta::assert_snapshot!(shown, @r#"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.2 by `envbox export pylock`.
    # Sources, which whoever installs them builds, with other tools than are locked and to other
    # wheels: commit, made, part.
    lock-version = "1.0"
    environments = ["implementation_name == 'cpython' and platform_machine == 'x86_64' and python_version == '3.11' and sys_platform == 'linux'"]
    requires-python = "==3.11.*"
    created-by = "envbox"

    [[packages]]
    name = "commit"
    version = "2"
    vcs = { type = "git", url = "https://example.org/other", commit-id = "0123", subdirectory = "c" }

    [[packages]]
    name = "made"
    version = "2"
    sdist = { name = "made-2.tar.gz", url = "file://DIRECTORY/index/made/made-2.tar.gz", size = 14, hashes = { sha256 = "6bbf954ab0045bc546f16a6db16c95afef820dccd807348411ea924dabb972e9" } }

    [[packages]]
    name = "part"
    version = "2"
    archive = { url = "https://example.org/part.zip", size = 4, hashes = { sha256 = "37a680133bd09342f934afb8dd2c7d9e1b624da5f35e3a38adb103e37c055ed1" }, subdirectory = "a/b" }

    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.2 by `envbox export requirements`.
    # Sources, which whoever installs them builds, with other tools than are locked and to other
    # wheels: made, part.
    made==2 \
        --hash=sha256:6bbf954ab0045bc546f16a6db16c95afef820dccd807348411ea924dabb972e9
    part @ https://example.org/part.zip#subdirectory=a/b \
        --hash=sha256:37a680133bd09342f934afb8dd2c7d9e1b624da5f35e3a38adb103e37c055ed1

    User error: `commit-2-py3-none-any.whl` was built of `commit.tar`, which a requirements file with hashes cannot hold
    hint: export `pylock`, which has sources, or build an image with `envbox build`
    User error: `commit-2-py3-none-any.whl` was built of `commit.tar`, which a Dockerfile cannot hold
    hint: export `pylock`, which has sources, or build an image with `envbox build`
    "#);
}
