//! The whole resolution: over archives and an index made here, or a base that is locked already.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::{Context, Digest, Explain, ImageReference, Kind, Network, Platform};
use crate::lock::{
    Artifact, LockedBase, LockedConda, LockedDebian, LockedImage, LockedInterpreter, LockedPackage,
    Lockfile, Origin, Request,
};
use crate::manifest::{
    BaseImage, CpuBaseline, Debian, Environment, FrameworkKnobs, Interpreter, InterpreterSource,
    Manifest, OutputTimes, Python, PythonVersion, SandboxPolicy, StepClock, StepCpuid,
    StepFileStatus, StepNetwork,
};
use crate::net::tests::http::Server;
use crate::resolve::debian::tests::fixture::{Suite, World, package as paragraph};
use crate::resolve::debian::tests::keys::keyring;
use crate::resolve::interpreter::InterpreterError;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::{BASE, ResolveError, ResolveOptions, Upgrade, resolve, resolve_with};

/// Returns what a user is told of an error, and its kind.
pub(crate) fn report(error: &(impl Explain + ?Sized)) -> String {
    let mut report = format!("{:?} error: {error}\n", error.kind());
    let mut source = error.source();
    while let Some(error) = source {
        report += &format!("caused by: {error}\n");
        source = error.source();
    }
    for hint in error.hints() {
        report += &format!("hint: {hint}\n");
    }
    report
}

/// Returns a manifest that asks for nothing but what is given.
pub(crate) fn manifest(
    python: Option<Interpreter>,
    suite: Option<&str>,
    platforms: &[Platform],
) -> Manifest {
    Manifest {
        environment: Environment {
            name: "test".parse().unwrap(),
            python,
            platforms: platforms.to_vec(),
        },
        base: None,
        python: Python::default(),
        conda: None,
        gpu: None,
        groups: BTreeMap::new(),
        debian: Debian {
            suite: suite.map(str::to_owned),
            ..Debian::default()
        },
        data: Vec::new(),
        sandbox: SandboxPolicy {
            hostname: "envbox".to_owned(),
            epoch: Timestamp::UNIX_EPOCH,
            seed: 0,
            clock: StepClock::default(),
            cpus: 1,
            cpu_baseline: CpuBaseline::default(),
            framework_knobs: FrameworkKnobs::default(),
            cpuid: StepCpuid::default(),
            file_status: StepFileStatus::default(),
            output_times: OutputTimes::default(),
            network: StepNetwork::None,
            outputs: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
        },
    }
}

const BOTH: [Platform; 2] = [Platform::LinuxAmd64, Platform::LinuxArm64];

/// An index, and a manifest whose base is locked.
struct Project {
    index: tempfile::TempDir,
    _store: tempfile::TempDir,
    context: Context,
    manifest: Manifest,
    locked: Lockfile,
}

impl Project {
    fn new(releases: &[Release]) -> Self {
        let index = tempfile::tempdir().unwrap();
        let store = tempfile::tempdir().unwrap();
        let version = PythonVersion {
            major: 3,
            minor: 11,
            patch: None,
        };
        let python = Interpreter {
            version,
            from: None,
        };
        let mut manifest = manifest(Some(python), None, &BOTH);
        manifest.python.index_url = Some(write_index(index.path(), releases));
        manifest.python.no_build = true;
        let locked = Lockfile {
            request: Request::of(&manifest),
            base: None,
            gpu: None,
            built: Vec::new(),
            interpreter: Some(LockedInterpreter {
                from: InterpreterSource::Debian,
                version: "3.11.2".to_owned(),
                path: "/usr/bin/python3.11".to_owned(),
                archives: Vec::new(),
            }),
            conda: LockedConda::default(),
            python: Vec::new(),
            debian: LockedDebian {
                suites: Vec::new(),
                packages: vec![package("libc6", "2.36-9+deb12u13")],
            },
        };
        Self {
            context: Context::new(store.path().to_owned(), Timestamp::UNIX_EPOCH),
            index,
            _store: store,
            manifest,
            locked,
        }
    }

    fn require(&mut self, requirements: &[&str]) {
        self.manifest.python.requirements =
            requirements.iter().map(|&text| text.to_owned()).collect();
    }

    fn resolve(&mut self, upgrade: Upgrade) -> Result<(), ResolveError> {
        let options = ResolveOptions {
            upgrade,
            ..ResolveOptions::default()
        };
        self.locked = resolve(&self.context, &self.manifest, Some(&self.locked), &options)?;
        Ok(())
    }

    fn wheels(&self) -> Vec<String> {
        let wheels = self.locked.python.iter().map(|wheel| {
            let platforms: Vec<_> = wheel.platforms.iter().map(|p| p.debian()).collect();
            format!("{}=={} {}", wheel.name, wheel.version, platforms.join(" "))
        });
        wheels.collect()
    }
}

fn package(name: &str, version: &str) -> LockedPackage {
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        platforms: BOTH.to_vec(),
        artifact: Artifact {
            origin: Origin::Registry("debian".parse().unwrap()),
            file: format!("pool/{name}.deb"),
            size: 1,
            digest: Digest::of(name.as_bytes()),
        },
        required_by: vec!["base".to_owned()],
    }
}

#[test]
fn wheels_of_all_platforms_are_one_list() {
    let mut project = Project::new(&[
        Release::wheel("app", "1").requires("fast"),
        Release::wheel("fast", "1").tag("cp311-cp311-manylinux_2_28_x86_64"),
        Release::wheel("fast", "1").tag("cp311-cp311-manylinux_2_28_aarch64"),
        Release::wheel("fast", "2").tag("cp311-cp311-manylinux_2_38_aarch64"),
    ]);
    project.require(&["app"]);
    project.resolve(Upgrade::None).unwrap();
    assert_eq!(
        project.wheels(),
        ["app==1 amd64 arm64", "fast==1 arm64", "fast==1 amd64"]
    );
    assert_eq!(project.locked.python[0].required_by, ["manifest"]);
}

#[test]
fn what_did_not_change_asks_no_registry() {
    let mut project = Project::new(&[Release::wheel("app", "1")]);
    project.require(&["app"]);
    project.resolve(Upgrade::None).unwrap();
    let locked = project.locked.clone();
    // Neither the index nor the cache is there any more.
    std::fs::remove_dir_all(project.index.path()).unwrap();
    project.context.store = "/nowhere".into();
    project.context.network = Network::Offline;
    project.resolve(Upgrade::None).unwrap();
    assert_eq!(project.locked, locked);
}

#[test]
fn one_requirement_changes_only_its_part() {
    let mut project = Project::new(&[
        Release::wheel("a", "1"),
        Release::wheel("b", "1").requires("c"),
        Release::wheel("c", "1"),
    ]);
    project.require(&["a", "b"]);
    project.resolve(Upgrade::None).unwrap();
    let before = project.locked.clone();
    write_index(
        project.index.path(),
        &[
            Release::wheel("a", "1"),
            Release::wheel("a", "2"),
            Release::wheel("b", "1").requires("c"),
            Release::wheel("b", "2").requires("c"),
            Release::wheel("c", "1"),
            Release::wheel("c", "2"),
        ],
    );
    project.require(&["a>1", "b"]);
    project.resolve(Upgrade::None).unwrap();
    assert_eq!(
        project.wheels(),
        ["a==2 amd64 arm64", "b==1 amd64 arm64", "c==1 amd64 arm64"]
    );
    assert_eq!(project.locked.debian, before.debian);
    assert_eq!(project.locked.python[1..], before.python[1..]);
    let upgrade = Upgrade::Packages(["c".to_owned()].into());
    project.resolve(upgrade).unwrap();
    assert_eq!(
        project.wheels(),
        ["a==2 amd64 arm64", "b==1 amd64 arm64", "c==2 amd64 arm64"]
    );
}

#[test]
fn requirements_need_a_python() {
    let mut project = Project::new(&[]);
    project.manifest.environment.python = None;
    project.locked.interpreter = None;
    project.locked.request = Request::of(&project.manifest);
    project.require(&["app"]);
    let error = project.resolve(Upgrade::None).unwrap_err();
    assert_eq!(error.kind(), Kind::User);
    assert!(matches!(error, ResolveError::NoInterpreter));
}

#[test]
fn a_base_without_a_c_library_is_an_error() {
    let mut project = Project::new(&[]);
    project.require(&["app"]);
    project.locked.debian.packages = vec![package("libc6", "unknown")];
    let error = project.resolve(Upgrade::None).unwrap_err();
    assert!(matches!(error, ResolveError::NoLibrary { found } if found == "unknown"));
}

/// Returns a suite with the base and a Python.
fn suite(name: &str, python: &str, version: &str, libc: &str) -> Suite {
    let base = BASE.iter().map(|name| match *name {
        "libc6" => paragraph(name, libc, ""),
        name => paragraph(name, "1", ""),
    });
    let python = paragraph(python, version, "Depends: libc6, libpython3\n");
    let library = paragraph("libpython3", version, "");
    let mut suite = Suite::new(name, &base.chain([python, library]).collect::<Vec<_>>());
    let arm64 = suite.packages["amd64"].replace("Architecture: amd64", "Architecture: arm64");
    suite.packages.insert("arm64", arm64);
    suite
}

/// A world with the two suites.
pub(crate) fn world() -> World {
    let world = World::new();
    world.add(&suite(
        "bookworm",
        "python3.11",
        "3.11.2-6+deb12u6",
        "2.36-9",
    ));
    world.add(&suite("trixie", "python3.13", "3.13.5-2", "2.41-12"));
    world
}

/// A manifest without security updates, and the world.
fn fresh(python: PythonVersion, index: &str) -> (World, Manifest) {
    let world = world();
    let python = Interpreter {
        version: python,
        from: None,
    };
    let mut manifest = manifest(Some(python), None, &[Platform::LinuxAmd64]);
    manifest.debian.security = Some(false);
    manifest.python.index_url = Some(index.to_owned());
    manifest.python.requirements = vec!["app".to_owned()];
    (world, manifest)
}

fn python(minor: u8, patch: Option<u8>) -> PythonVersion {
    PythonVersion {
        major: 3,
        minor,
        patch,
    }
}

fn lock(world: &World, manifest: &Manifest) -> Result<Lockfile, ResolveError> {
    let options = ResolveOptions::default();
    let keys = keyring(&[&world.key]);
    resolve_with(&world.context, &keys, manifest, None, &options)
}

#[test]
fn wheels_are_chosen_for_the_base_that_was_locked() {
    let index = tempfile::tempdir().unwrap();
    let url = write_index(
        index.path(),
        &[
            Release::wheel("app", "1").tag("cp311-cp311-manylinux_2_36_x86_64"),
            Release::wheel("app", "2").tag("cp311-cp311-manylinux_2_38_x86_64"),
            Release::wheel("app", "1").tag("cp313-cp313-manylinux_2_36_x86_64"),
            Release::wheel("app", "2").tag("cp313-cp313-manylinux_2_38_x86_64"),
        ],
    );
    for (minor, expected) in [
        (
            11,
            ("3.11.2", "app-1-cp311-cp311-manylinux_2_36_x86_64.whl"),
        ),
        (
            13,
            ("3.13.5", "app-2-cp313-cp313-manylinux_2_38_x86_64.whl"),
        ),
    ] {
        let (world, manifest) = fresh(python(minor, None), &url);
        let locked = lock(&world, &manifest).unwrap();
        let interpreter = locked.interpreter.as_ref().unwrap();
        let file = locked.python[0].artifact.file.as_str();
        assert_eq!((interpreter.version.as_str(), file), expected);
        let package = format!("python3.{minor}");
        let mut packages = locked.debian.packages.iter();
        let package = packages
            .find(|locked| locked.name.as_str() == package)
            .unwrap();
        assert_eq!(package.required_by, ["interpreter"]);
        // A second store, and other places for the same registries, make no difference.
        let (elsewhere, manifest) = fresh(python(minor, None), &url);
        assert_eq!(
            lock(&elsewhere, &manifest).unwrap().to_bytes(),
            locked.to_bytes()
        );
    }
}

#[test]
fn another_patch_release_is_looked_for_elsewhere() {
    let index = tempfile::tempdir().unwrap();
    let url = write_index(index.path(), &[Release::wheel("app", "1")]);
    // The suite's own patch release is found without looking further.
    let (world, manifest) = fresh(python(11, Some(2)), &url);
    let locked = lock(&world, &manifest).unwrap();
    assert_eq!(locked.interpreter.unwrap().from, InterpreterSource::Debian);
    // Another one is taken from the standalone interpreters.
    let (mut world, mut manifest) = fresh(python(11, Some(9)), &url);
    let registry = "python-build-standalone".parse().unwrap();
    let mirror = Server::start();
    world.context.registries.insert(registry, mirror.url());
    let error = lock(&world, &manifest).unwrap_err();
    assert!(error.to_string().contains("cpython-3.11.9+"), "{error}");
    // Unless the manifest says that it must not be.
    let from = Some(InterpreterSource::Debian);
    manifest.environment.python.as_mut().unwrap().from = from;
    let error = lock(&world, &manifest).unwrap_err();
    let ResolveError::Interpreter(InterpreterError::OtherPatch { found, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(found, "3.11.2");
}

/// An image whose C library has this version, for both platforms.
fn base(reference: &ImageReference, glibc: Option<(u16, u16)>) -> LockedBase {
    let image = |platform| LockedImage {
        platform,
        manifest: Digest::of(b"manifest"),
        glibc,
        layers: Vec::new(),
    };
    LockedBase {
        reference: reference.clone(),
        images: BOTH.map(image).to_vec(),
    }
}

/// Makes the project stand on an image; returns its name.
fn put_on_image(project: &mut Project) -> ImageReference {
    let digest = Digest::of(b"index");
    let reference: ImageReference = format!("images/a@{digest}").parse().unwrap();
    project.manifest.base = Some(BaseImage {
        reference: reference.clone(),
        place: None,
    });
    reference
}

#[test]
fn an_image_takes_the_place_of_packages() {
    let mut project = Project::new(&[]);
    let reference = put_on_image(&mut project);
    project.manifest.environment.python = None;
    let lock = |project: &Project, base| {
        let upgrade = Upgrade::None;
        let options = ResolveOptions {
            upgrade,
            base,
            ..ResolveOptions::default()
        };
        resolve(
            &project.context,
            &project.manifest,
            Some(&project.locked),
            &options,
        )
    };
    let locked = lock(&project, Some(base(&reference, None))).unwrap();
    assert_eq!(locked.base, Some(base(&reference, None)));
    assert_eq!(locked.debian, LockedDebian::default());
    assert_eq!(locked.interpreter, None);
    let error = lock(&project, None).unwrap_err();
    assert!(matches!(error, ResolveError::NoImage), "{error}");
}

#[test]
fn python_needs_an_image_with_a_c_library() {
    let mut project = Project::new(&[]);
    let reference = put_on_image(&mut project);
    let options = ResolveOptions {
        base: Some(base(&reference, None)),
        ..ResolveOptions::default()
    };
    let error = resolve(&project.context, &project.manifest, None, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::User);
    let text = error.to_string();
    assert!(
        text.contains("has no GNU C library for linux/amd64"),
        "{text}"
    );
}

#[test]
fn wheels_are_chosen_for_the_library_of_the_image() {
    let mut project = Project::new(&[
        Release::wheel("app", "1").tag("py3-none-any"),
        Release::wheel("app", "2").tag("cp311-cp311-manylinux_2_28_x86_64"),
        Release::wheel("app", "2").tag("cp311-cp311-manylinux_2_28_aarch64"),
    ]);
    let reference = put_on_image(&mut project);
    project.locked.debian = LockedDebian::default();
    project.locked.request = Request::of(&project.manifest);
    for (glibc, expected) in [((2, 17), "app==1 amd64 arm64"), ((2, 28), "app==2 arm64")] {
        project.locked.base = Some(base(&reference, Some(glibc)));
        project.locked.python.clear();
        project.require(&["app"]);
        project.locked.request.requirements.clear();
        project.resolve(Upgrade::None).unwrap();
        assert_eq!(project.wheels()[0], expected);
    }
}
