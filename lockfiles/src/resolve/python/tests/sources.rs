//! Sources, with a builder that makes wheels of nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::base::{Digest, Kind};
use crate::lock::{LockedConda, LockedDebian, Lockfile, Origin, Request};
use crate::manifest::Manifest;
use crate::resolve::python::tests::http::Server;
use crate::resolve::python::tests::making::{Release, Style, serve_index};
use crate::resolve::python::{
    BuildFailure, BuildTask, Building, BuiltWheel, Checkout, SourceBuilder, SourceDocuments,
    SourceFile,
};

use super::*;

/// What a source has in it, and what its backend does.
#[derive(Debug, Clone, Default)]
struct Project {
    pkg_info: Option<String>,
    pyproject: Option<String>,
    requires: Vec<String>,
    /// The wheel's tags and `METADATA`; nothing for one that does not build.
    wheel: Option<(String, String)>,
}

#[derive(Debug)]
struct Pretended {
    directory: TempDir,
    projects: BTreeMap<String, Project>,
    done: Mutex<Vec<String>>,
}

impl Pretended {
    fn note(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }

    fn project(&self, source: &SourceFile) -> &Project {
        &self.projects[&source.file]
    }
}

impl SourceBuilder for Pretended {
    fn directory(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    fn open(&self, source: &SourceFile, _: Option<&str>) -> Result<SourceDocuments, BuildFailure> {
        let project = self.project(source);
        Ok(SourceDocuments {
            pkg_info: project.pkg_info.clone().map(String::into_bytes),
            pyproject: project.pyproject.clone(),
        })
    }

    fn requires(&self, task: &BuildTask) -> Result<Vec<String>, BuildFailure> {
        self.note(format!("asked {} with {}", task.source.file, tools(task)));
        Ok(self.project(&task.source).requires.clone())
    }

    fn wheel(&self, task: &BuildTask) -> Result<BuiltWheel, BuildFailure> {
        self.note(format!("built {} with {}", task.source.file, tools(task)));
        let Some((tags, metadata)) = &self.project(&task.source).wheel else {
            return Err(BuildFailure {
                message: "the backend failed".to_owned(),
                kind: Kind::User,
                hints: vec!["do better".to_owned()],
                source: None,
            });
        };
        let stem = task.source.file.trim_end_matches(".tar.gz");
        let file = format!("{stem}-{tags}.whl");
        let path = self.directory.path().join(&file);
        std::fs::write(&path, Release::wheel("a", "1").bytes()).unwrap();
        Ok(BuiltWheel {
            path,
            size: 3,
            digest: Digest::of(file.as_bytes()),
            metadata: metadata.clone().into_bytes(),
            file,
        })
    }

    fn checkout(&self, _: &str, _: Option<&str>) -> Result<Checkout, BuildFailure> {
        unreachable!("no test asks for a commit")
    }

    fn built_before(&self, _: &str, _: &Digest) -> Option<BuiltWheel> {
        None
    }
}

/// Returns what a build has, as pins.
fn tools(task: &BuildTask) -> String {
    pins(&task.environment.python).join(" ")
}

fn metadata(project: &str, version: &str, rest: &str) -> String {
    format!("Metadata-Version: 2.2\nName: {project}\nVersion: {version}\n{rest}")
}

fn sdist(requires: &str) -> Project {
    Project {
        wheel: Some(("py3-none-any".to_owned(), metadata("a", "1", requires))),
        ..Project::default()
    }
}

fn index() -> (Server, String) {
    let server = Server::start();
    let releases = [
        Release::sdist("a", "1"),
        Release::wheel("b", "1"),
        Release::wheel("setuptools", "80"),
        Release::wheel("setuptools", "9"),
        Release::wheel("tool", "2"),
    ];
    // The default backend asks for 40.8 and later.
    let url = serve_index(&server, "/files/", &releases, Style::Json);
    (server, url)
}

/// Resolves `a` with a project behind it; also returns what the builder did.
fn resolve(
    url: &str,
    project: Project,
    change: impl FnOnce(&mut Case),
) -> (Result<Vec<LockedWheel>, PythonError>, Vec<String>) {
    let builder = Arc::new(Pretended {
        directory: tempfile::tempdir().unwrap(),
        projects: BTreeMap::from([("a-1.tar.gz".to_owned(), project)]),
        done: Mutex::default(),
    });
    let mut case = Case::new(url, &["a"]);
    case.python.no_build = false;
    change(&mut case);
    let text = "[environment]\nname = \"x\"\npython = \"3.11\"\n";
    let manifest = Manifest::parse(text, std::path::Path::new("envbox.toml")).unwrap();
    case.building = Some(Building {
        builder: Arc::clone(&builder) as _,
        platforms: vec![(Platform::host(), (2, 36))],
        system: Lockfile {
            request: Request::of(&manifest),
            base: None,
            interpreter: None,
            conda: LockedConda::default(),
            python: Vec::new(),
            debian: LockedDebian::default(),
            gpu: None,
            built: Vec::new(),
        },
    });
    let resolved = case.resolve();
    let done = builder.done.lock().unwrap().clone();
    (resolved, done)
}

#[test]
fn what_is_built_is_locked_with_its_source_and_its_tools() {
    let (_server, url) = index();
    let (wheels, done) = resolve(&url, sdist("Requires-Dist: b\n"), |_| {});
    let wheels = wheels.unwrap();
    assert_eq!(pins(&wheels), ["a==1", "b==1"]);
    assert_eq!(
        done,
        [
            "asked a-1.tar.gz with setuptools==80",
            "built a-1.tar.gz with setuptools==80"
        ]
    );
    let a = &wheels[0];
    assert_eq!(a.artifact.origin, Origin::Built);
    assert_eq!(a.artifact.file, "a-1-py3-none-any.whl");
    let built_from = a.built_from.as_ref().unwrap();
    assert_eq!(built_from.source.file, "a-1.tar.gz");
    let pypi = Origin::Registry("pypi".parse().unwrap());
    assert_eq!(built_from.source.origin, pypi);
    assert_eq!(pins(&built_from.requires), ["setuptools==80"]);
    assert!(wheels[1].built_from.is_none());
}

#[test]
fn a_backend_is_asked_what_else_it_needs() {
    let (_server, url) = index();
    let project = Project {
        requires: vec!["tool".to_owned()],
        pyproject: Some("[build-system]\nrequires = [\"setuptools<80\"]\n".to_owned()),
        ..sdist("")
    };
    let (wheels, done) = resolve(&url, project, |_| {});
    let requires = &wheels.unwrap()[0]
        .built_from
        .as_ref()
        .unwrap()
        .requires
        .clone();
    assert_eq!(pins(requires), ["setuptools==9", "tool==2"]);
    assert_eq!(done[1], "built a-1.tar.gz with setuptools==9 tool==2");
}

#[test]
fn metadata_that_is_bound_to_a_source_decides_without_a_build() {
    let (_server, url) = index();
    let project = Project {
        pkg_info: Some(metadata("a", "1", "Requires-Dist: b>1\n")),
        ..sdist("Requires-Dist: b>1\n")
    };
    let (resolved, done) = resolve(&url, project, |_| {});
    assert!(matches!(resolved, Err(PythonError::NoSolution { .. })));
    assert!(done.is_empty(), "{done:?}");
    let dynamic = Project {
        pkg_info: Some(metadata("a", "1", "Dynamic: Requires-Dist\n")),
        ..sdist("Requires-Dist: b>1\n")
    };
    let (resolved, done) = resolve(&url, dynamic, |_| {});
    assert!(matches!(resolved, Err(PythonError::NoSolution { .. })));
    assert_eq!(done.len(), 2);
}

#[test]
fn a_build_that_fails_is_told_of_in_its_own_words() {
    let (_server, url) = index();
    let (resolved, _) = resolve(&url, Project::default(), |_| {});
    insta::assert_snapshot!(report(&resolved.unwrap_err()), @r#"
    User error: failed to build a wheel of `a-1.tar.gz`
    caused by: the backend failed
    hint: do better
    "#);
    let malformed = Project {
        pyproject: Some("[build-system]\nrequires = 1\n".to_owned()),
        ..sdist("")
    };
    let (resolved, _) = resolve(&url, malformed, |_| {});
    insta::assert_snapshot!(report(&resolved.unwrap_err()), @r#"
    User error: `a-1.tar.gz` is malformed
    caused by: TOML parse error at line 2, column 12
      |
    2 | requires = 1
      |            ^
    invalid type: integer `1`, expected a sequence
    "#);
    let missing = Project {
        pyproject: Some("[build-system]\nrequires = [\"nothing\"]\n".to_owned()),
        ..sdist("")
    };
    let (resolved, _) = resolve(&url, missing, |_| {});
    insta::assert_snapshot!(report(&resolved.unwrap_err()), @r#"
    User error: failed to resolve what `a-1.tar.gz` is built with
    caused by: no set of versions fulfils the Python requirements on linux/amd64
    caused by: Because nothing was not found in the package registry and you require nothing, we can conclude that your requirements are unsatisfiable.
    hint: check the spelling of what was not found, and whether it is in one of `pypi`
    "#);
}

#[test]
fn only_a_wheel_for_all_platforms_serves_another_one() {
    let (_server, url) = index();
    let other = Platform::ALL
        .into_iter()
        .find(|one| *one != Platform::host());
    let other = other.unwrap();
    let (wheels, _) = resolve(&url, sdist(""), |case| case.platform = other);
    assert_eq!(wheels.unwrap()[0].platforms, [other]);
    let mut native = sdist("");
    native.wheel.as_mut().unwrap().0 = "cp311-cp311-linux_x86_64".to_owned();
    let (resolved, _) = resolve(&url, native.clone(), |case| case.platform = other);
    assert!(matches!(resolved, Err(PythonError::ForeignBuild { .. })));
    let (wheels, _) = resolve(&url, native, |case| case.platform = Platform::host());
    assert_eq!(wheels.unwrap().len(), 1);
}

#[test]
fn a_source_may_be_named_by_its_url() {
    let (_server, url) = index();
    let direct = |case: &mut Case| {
        let file = url.replace("/simple", "/files/a-1.tar.gz");
        case.python.requirements = vec![format!("a @ {file}")];
    };
    let (resolved, _) = resolve(&url, sdist(""), direct);
    match resolved {
        Ok(wheels) => assert!(matches!(
            &wheels[0].built_from.as_ref().unwrap().source.origin,
            Origin::Url(_)
        )),
        Err(error) => panic!("{}", report(&error)),
    }
}
