//! Whole locks of conda packages with wheels around them.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;

use crate::base::{Explain as _, Kind, Network};
use crate::lock::{Lockfile, Request};
use crate::manifest::{InterpreterSource, Manifest};
use crate::resolve::conda::CondaError;
use crate::resolve::conda::tests::making::{Package, write_channel};
use crate::resolve::debian::tests::fixture::World;
use crate::resolve::debian::tests::keys::keyring;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::tests::{report, world};
use crate::resolve::{ResolveError, ResolveOptions, Upgrade, resolve_with};

/// A project with a channel, an index and an archive of Debian packages.
struct Project {
    world: World,
    directory: TempDir,
    locked: Option<Lockfile>,
    upgrade: Upgrade,
    text: String,
}

impl Project {
    fn new(packages: &[Package], releases: &[Release]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Self {
            world: world(),
            directory,
            locked: None,
            upgrade: Upgrade::None,
            text: String::new(),
        };
        project.publish(packages, releases);
        project
    }

    fn publish(&self, packages: &[Package], releases: &[Release]) {
        write_channel(&self.directory.path().join("channel"), packages);
        write_index(&self.directory.path().join("index"), releases);
    }

    /// Sets the manifest: dependencies, requirements and whatever else belongs to either table.
    fn asks(&mut self, conda: &str, python: &str) -> &mut Self {
        self.with_python("", conda, python)
    }

    fn with_python(&mut self, interpreter: &str, conda: &str, python: &str) -> &mut Self {
        let place = |name: &str| self.directory.path().join(name).display().to_string();
        self.text = format!(
            "[environment]\nname = \"test\"\n{interpreter}\n[debian]\nsecurity = false\n\
             [conda]\nchannels = [{{ name = \"own\", url = \"{}\" }}]\n{conda}\n\
             [python]\nindex-url = \"file://{}\"\n{python}\n",
            place("channel"),
            place("index")
        );
        self
    }

    fn manifest(&self) -> Manifest {
        Manifest::parse(&self.text, Path::new("envbox.toml")).unwrap()
    }

    fn lock(&mut self) -> Result<&Lockfile, ResolveError> {
        let keys = keyring(&[&self.world.key]);
        let options = ResolveOptions {
            upgrade: self.upgrade.clone(),
            ..ResolveOptions::default()
        };
        let previous = self.locked.as_ref();
        let manifest = self.manifest();
        let locked = resolve_with(&self.world.context, &keys, &manifest, previous, &options)?;
        // A lock that holds together is read back as it is.
        let file = Path::new("envbox.lock");
        assert_eq!(Lockfile::parse(&locked.to_bytes(), file).unwrap(), locked);
        assert_eq!(locked.request, Request::of(&manifest));
        Ok(self.locked.insert(locked))
    }

    /// Returns the packages and the wheels of the lock.
    fn pins(&mut self) -> (String, String) {
        let locked = match self.lock() {
            Ok(locked) => locked,
            Err(error) => panic!("{}", report(&error)),
        };
        let conda = locked.conda.packages.iter();
        let conda: Vec<_> = conda.map(|p| format!("{} {}", p.name, p.version)).collect();
        let wheels = locked.python.iter();
        let wheels: Vec<_> = wheels
            .map(|w| format!("{} {}", w.name, w.version))
            .collect();
        (conda.join(", "), wheels.join(", "))
    }

    fn fails(&mut self) -> ResolveError {
        match self.lock() {
            Ok(locked) => panic!("{}", String::from_utf8(locked.to_bytes()).unwrap()),
            Err(error) => error,
        }
    }
}

fn numpy(version: &str) -> Package {
    Package::python("numpy", version)
}

fn channel() -> Vec<Package> {
    vec![
        Package::new("python", "3.11.9"),
        Package::new("python", "3.12.4"),
        numpy("1.26.4"),
        numpy("2.0.2"),
        numpy("2.1.3"),
        Package::python("foo", "1").depends(&["python", "numpy >=2"]),
    ]
}

#[test]
fn wheels_lie_around_what_conda_brings() {
    let releases = [
        Release::wheel("app", "1")
            .requires("numpy")
            .requires("marked ; python_version == '3.12'"),
        Release::wheel("numpy", "2.3.0"),
        Release::wheel("marked", "1").python(">=3.12"),
    ];
    let mut project = Project::new(&channel(), &releases);
    project.asks(
        "dependencies = [\"python 3.12.*\", \"numpy\"]",
        "requirements = [\"app\"]",
    );
    let (conda, wheels) = project.pins();
    assert_eq!(conda, "numpy 2.1.3, python 3.12.4");
    assert_eq!(wheels, "app 1, marked 1");
    let locked = project.locked.as_ref().unwrap();
    let interpreter = locked.interpreter.as_ref().unwrap();
    assert_eq!(interpreter.from, InterpreterSource::Conda);
    assert_eq!(interpreter.version, "3.12.4");
    assert_eq!(interpreter.path, "/opt/env/bin/python3.12");
    assert_eq!(locked.conda.packages[0].python, ["numpy==2.1.3"]);
    let glibc = locked
        .conda
        .virtual_packages
        .iter()
        .find(|p| p.name.as_str() == "__glibc");
    assert_eq!(glibc.unwrap().version, "2.41");
    let mut debian = locked.debian.packages.iter();
    assert!(!debian.any(|package| package.name.as_str().starts_with("python")));
}

#[test]
fn conda_gives_way_to_a_requirement() {
    let releases = [
        Release::wheel("pandas", "1.5.3").requires("numpy<2"),
        Release::wheel("numpy", "1.26.4"),
    ];
    let mut project = Project::new(&channel(), &releases);
    let requirements = "requirements = [\"pandas\"]";
    project.asks(
        "dependencies = [\"python 3.12.*\", \"numpy\"]",
        requirements,
    );
    let (conda, wheels) = project.pins();
    assert_eq!(conda, "numpy 1.26.4, python 3.12.4");
    assert_eq!(wheels, "pandas 1.5.3");
    // Also to one of the manifest, of a package that nobody asked conda for by name.
    project.locked = None;
    project.asks("dependencies = [\"foo\"]", "requirements = [\"numpy<2.1\"]");
    assert_eq!(project.pins().0, "foo 1, numpy 2.0.2, python 3.12.4");
}

#[test]
fn what_neither_side_gives_up_is_explained_with_both() {
    let releases = [Release::wheel("pandas", "1.5.3").requires("numpy<2")];
    let mut project = Project::new(&channel(), &releases);
    project.asks("dependencies = [\"foo\"]", "requirements = [\"pandas\"]");
    let error = project.fails();
    assert!(matches!(error, ResolveError::Border { .. }), "{error}");
    assert_eq!(error.kind(), Kind::User);
    insta::assert_snapshot!(report(&error), @"
    User error: the conda dependencies and the Python requirements exclude each other on linux/amd64: `pandas 1.5.3` requires `numpy<2`, and conda brings numpy 2.1.3
    caused by: Python: Because only numpy==2.1.3 is available and all versions of pandas depend on numpy<2, we can conclude that all versions of pandas cannot be used.
    And because you require pandas, we can conclude that your requirements are unsatisfiable.
    conda: The following packages are incompatible
    └─ foo * can be installed with any of the following options:
       └─ foo 1 would require
          └─ numpy >=2, which can be installed with any of the following options:
             └─ numpy 2.0.2 | 2.1.3
    └─ the constraint numpy <2a0 cannot be fulfilled
    hint: loosen one of the two sides, or take what they disagree on from one of them alone
    ");
    // What Python alone cannot solve is not blamed on conda.
    project.asks(
        "dependencies = [\"foo\"]",
        "requirements = [\"pandas\", \"nowhere\"]",
    );
    let text = report(&project.fails());
    assert!(text.contains("nowhere was not found"), "{text}");
    assert!(!text.contains("conda brings"), "{text}");
}

#[test]
fn extras_of_what_conda_brings_are_wheels_where_conda_lacks_them() {
    let info = "site-packages/dask-2024.1.dist-info/METADATA";
    let metadata = "Metadata-Version: 2.1\nName: dask\nVersion: 2024.1\nRequires-Dist: nowhere\n\
                    Provides-Extra: array\nRequires-Dist: numpy ; extra == 'array'\n\
                    Requires-Dist: fast ; extra == 'array'\n";
    let mut packages = channel();
    packages.push(
        Package::new("dask-core", "2024.1")
            .noarch()
            .depends(&["python", "numpy"])
            .file(info, metadata),
    );
    let releases = [
        Release::wheel("fast", "1"),
        Release::wheel("numpy", "2.3.0"),
    ];
    let mut project = Project::new(&packages, &releases);
    project.asks(
        "dependencies = [\"dask-core\"]",
        "requirements = [\"dask[array]\"]",
    );
    assert_eq!(project.pins().1, "fast 1");
}

#[test]
fn what_did_not_change_asks_nobody() {
    let releases = [
        Release::wheel("app", "1").requires("numpy"),
        Release::wheel("more", "1"),
    ];
    let mut project = Project::new(&channel(), &releases);
    let dependencies = "dependencies = [\"python 3.12.*\", \"numpy <2.1\"]";
    project.asks(dependencies, "requirements = [\"app\"]");
    project.lock().unwrap();
    let before = project.locked.clone();
    let store = project.world.context.store.clone();
    project.world.context.network = Network::Offline;
    project.world.context.store = "/nowhere".into();
    let channel = project.directory.path().join("channel");
    std::fs::rename(&channel, project.directory.path().join("away")).unwrap();
    project.lock().unwrap();
    assert_eq!(project.locked, before);
    // A new requirement asks the index alone.
    project.world.context.store = store;
    project.asks(dependencies, "requirements = [\"app\", \"more\"]");
    assert_eq!(project.pins().1, "app 1, more 1");
    let (after, before) = (project.locked.as_ref().unwrap(), before.as_ref().unwrap());
    assert_eq!(after.conda, before.conda);
    assert_eq!(after.debian, before.debian);
}

#[test]
fn a_dependency_more_moves_nothing_else() {
    let releases = [Release::wheel("app", "1").requires("numpy")];
    let old: Vec<_> = channel()
        .into_iter()
        .filter(|p| !p.path().contains("numpy-2.1"))
        .collect();
    let mut project = Project::new(&old, &releases);
    project.asks(
        "dependencies = [\"python 3.12.*\", \"numpy\"]",
        "requirements = [\"app\"]",
    );
    assert_eq!(project.pins().0, "numpy 2.0.2, python 3.12.4");
    let later = [
        Release::wheel("app", "1").requires("numpy"),
        Release::wheel("app", "2"),
    ];
    project.publish(&channel(), &later);
    let more = "dependencies = [\"python 3.12.*\", \"numpy\", \"foo\"]";
    project.asks(more, "requirements = [\"app\"]");
    let (conda, wheels) = project.pins();
    assert_eq!(conda, "foo 1, numpy 2.0.2, python 3.12.4");
    assert_eq!(wheels, "app 1");
    project.upgrade = Upgrade::Packages(BTreeSet::from(["numpy".to_owned()]));
    let (conda, wheels) = project.pins();
    assert_eq!(conda, "foo 1, numpy 2.1.3, python 3.12.4");
    assert_eq!(wheels, "app 1");
}

#[test]
fn the_python_of_the_manifest_is_condas() {
    let mut project = Project::new(&channel(), &[]);
    for interpreter in [
        "python = \"3.11\"",
        "python = \"3.11.9\"",
        "python = { version = \"3.11\", from = \"conda\" }",
    ] {
        project.locked = None;
        project.with_python(interpreter, "dependencies = [\"numpy\"]", "");
        assert_eq!(project.pins().0, "numpy 2.1.3, python 3.11.9");
    }
    // One from elsewhere is one too many beside conda's, and right without.
    project.with_python(
        "python = { version = \"3.13\", from = \"debian\" }",
        "dependencies = [\"numpy\"]",
        "",
    );
    let error = project.fails();
    insta::assert_snapshot!(report(&error), @r#"
    User error: the conda packages bring their own Python 3.11.9, and the manifest asks for one from `debian`
    hint: write `from = "conda"`, or leave out what depends on conda's Python
    "#);
    let packages = [Package::new("tool", "1")];
    let mut project = Project::new(&packages, &[Release::wheel("app", "1")]);
    let interpreter = "python = { version = \"3.13\", from = \"debian\" }";
    project.with_python(
        interpreter,
        "dependencies = [\"tool\"]",
        "requirements = [\"app\"]",
    );
    assert_eq!(project.pins(), ("tool 1".to_owned(), "app 1".to_owned()));
    let interpreter = project
        .locked
        .as_ref()
        .unwrap()
        .interpreter
        .as_ref()
        .unwrap();
    assert_eq!(interpreter.from, InterpreterSource::Debian);
    project.with_python("", "dependencies = [\"tool\"]", "requirements = [\"app\"]");
    let error = project.fails();
    assert!(matches!(error, ResolveError::NoInterpreter), "{error}");
    project.with_python("python = \"3.12\"", "dependencies = [\"tool\"]", "");
    let error = project.fails();
    let ResolveError::Conda(CondaError::NoSolution { .. }) = &error else {
        panic!("{error}");
    };
}

#[test]
fn the_base_may_be_the_c_library_alone() {
    let mut project = Project::new(&[Package::new("tool", "1")], &[]);
    let base = "dependencies = [\"tool\"]\nbase = \"glibc\"";
    project.asks(base, "");
    let names = |lock: &Lockfile| -> Vec<String> {
        let packages = lock.debian.packages.iter();
        packages.map(|package| package.name.to_string()).collect()
    };
    assert_eq!(names(project.lock().unwrap()), ["libc6"]);
    project.asks("dependencies = [\"tool\"]", "");
    assert!(names(project.lock().unwrap()).len() > 10);
}

#[test]
fn names_that_packages_do_not_say_can_be_given() {
    let packages = [
        Package::new("python", "3.12.4"),
        Package::new("pytorch", "2.1")
            .depends(&["python"])
            .file("site-packages/torch.py", ""),
    ];
    let releases = [
        Release::wheel("app", "1").requires("torch"),
        Release::wheel("torch", "2.5"),
    ];
    let mut project = Project::new(&packages, &releases);
    let dependencies = "dependencies = [\"pytorch\"]";
    project.asks(dependencies, "requirements = [\"app\"]");
    assert_eq!(project.pins().1, "app 1, torch 2.5");
    let named = format!("{dependencies}\npython-names = {{ pytorch = \"torch\" }}");
    project.asks(&named, "requirements = [\"app\"]");
    assert_eq!(project.pins().1, "app 1");
}

#[test]
fn requirements_that_come_later_look_into_the_packages() {
    let releases = [
        Release::wheel("app", "1").requires("numpy"),
        Release::wheel("numpy", "3"),
    ];
    let mut project = Project::new(&channel(), &releases);
    let dependencies = "dependencies = [\"python 3.12.*\", \"numpy\"]";
    project.asks(dependencies, "");
    project.lock().unwrap();
    let locked = project.locked.as_ref().unwrap();
    assert!(
        locked
            .conda
            .packages
            .iter()
            .all(|package| package.python.is_empty())
    );
    project.asks(dependencies, "requirements = [\"app\"]");
    assert_eq!(project.pins().1, "app 1");
}

#[test]
fn both_platforms_are_locked_from_one_host() {
    let mut packages = channel();
    packages.push(Package::new("python", "3.12.4").subdir("linux-aarch64"));
    let mut project = Project::new(&packages, &[]);
    project.asks("dependencies = [\"numpy\"]", "");
    project.text = project.text.replace(
        "name = \"test\"",
        "name = \"test\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]",
    );
    let locked = project.lock().unwrap();
    let shown: Vec<_> = locked
        .conda
        .packages
        .iter()
        .map(|package| (package.artifact.file.as_str(), package.platforms.len()))
        .collect();
    assert_eq!(
        shown,
        [
            ("noarch/numpy-2.1.3-h0_0.conda", 2),
            ("linux-64/python-3.12.4-h0_0.conda", 1),
            ("linux-aarch64/python-3.12.4-h0_0.conda", 1),
        ]
    );
    let declared = locked.conda.virtual_packages.iter();
    let declared: Vec<_> = declared
        .map(|p| format!("{}={}={} {}", p.name, p.version, p.build, p.platforms.len()))
        .collect();
    assert_eq!(
        declared,
        [
            "__archspec=1=aarch64 1",
            "__archspec=1=x86_64_v3 1",
            "__glibc=2.41=0 2",
            "__linux=5.12=0 2",
            "__unix=0=0 2",
        ]
    );
    // A platform more is solved beside what there is.
    let both = project.locked.take();
    project.text = project
        .text
        .replace("[\"linux/amd64\", \"linux/arm64\"]", "[\"linux/amd64\"]");
    project.lock().unwrap();
    project.text = project
        .text
        .replace("[\"linux/amd64\"]", "[\"linux/amd64\", \"linux/arm64\"]");
    project.lock().unwrap();
    assert_eq!(project.locked, both);
    // Pythons that differ would be two environments.
    let packages = [
        Package::new("python", "3.12.4"),
        Package::new("python", "3.12.5").subdir("linux-aarch64"),
        numpy("1.26.4"),
    ];
    project.publish(&packages, &[]);
    project.locked = None;
    let error = project.fails();
    let ResolveError::Conda(CondaError::Differs { .. }) = &error else {
        panic!("{error}");
    };
}
