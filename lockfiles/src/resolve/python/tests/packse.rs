//! The scenarios that nobody here wrote: `fixtures/packse`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::manifest::Prerelease;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::python::tests::{Case, report};

/// Why a scenario ends otherwise here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The scenario asks whether one lock fits every platform and Python. An environment has one
    /// Python, and each of its platforms is resolved by itself.
    OneTarget,
    /// uv since 0.12 takes a pre-release when nothing else is in the range asked for, and no
    /// longer just because the range is written with one.
    PrereleaseRange,
    /// Source distributions are not built.
    NoBuilds,
    /// There is no option to leave out wheels.
    OnlyWheels,
}

/// The scenarios that end otherwise, sorted by name.
const OTHERWISE: [(&str, Because); 20] = [
    ("conflict-in-fork", Because::OneTarget),
    ("fork-non-local-fork-marker-direct", Because::OneTarget),
    ("fork-non-local-fork-marker-transitive", Because::OneTarget),
    (
        "incompatible-python-compatible-override-available-no-wheels",
        Because::NoBuilds,
    ),
    (
        "incompatible-python-compatible-override-no-compatible-wheels",
        Because::NoBuilds,
    ),
    (
        "incompatible-python-compatible-override-other-wheel",
        Because::NoBuilds,
    ),
    (
        "incompatible-python-compatible-override-unavailable-no-wheels",
        Because::NoBuilds,
    ),
    ("no-wheels", Because::NoBuilds),
    ("no-wheels-with-matching-platform", Because::NoBuilds),
    ("only-wheels-no-binary", Because::OnlyWheels),
    (
        "package-only-prereleases-in-range",
        Because::PrereleaseRange,
    ),
    (
        "package-prerelease-specified-mixed-available",
        Because::PrereleaseRange,
    ),
    (
        "package-prereleases-specifier-boundary",
        Because::PrereleaseRange,
    ),
    (
        "preferences-dependent-forking-conflicting",
        Because::OneTarget,
    ),
    ("requires-python-wheels", Because::NoBuilds),
    ("specific-architecture", Because::OneTarget),
    (
        "transitive-package-only-prereleases-in-range",
        Because::PrereleaseRange,
    ),
    (
        "transitive-prerelease-and-stable-dependency",
        Because::PrereleaseRange,
    ),
    (
        "transitive-prerelease-and-stable-dependency-many-versions",
        Because::PrereleaseRange,
    ),
    (
        "transitive-prerelease-and-stable-dependency-many-versions-holes",
        Because::PrereleaseRange,
    ),
];

/// What packse's own runner uses where a scenario names no Python.
const PYTHON: &str = "3.12";

#[derive(Deserialize)]
struct ScenarioWire {
    name: String,
    root: RootWire,
    #[serde(default)]
    packages: BTreeMap<String, PackageWire>,
    expected: ExpectedWire,
    #[serde(default)]
    environment: EnvironmentWire,
    #[serde(default)]
    resolver_options: OptionsWire,
}

#[derive(Deserialize)]
struct RootWire {
    requires: Vec<String>,
}

#[derive(Deserialize)]
struct PackageWire {
    #[serde(default)]
    versions: BTreeMap<String, VersionWire>,
}

#[derive(Deserialize)]
struct VersionWire {
    #[serde(default)]
    requires: Vec<String>,
    requires_python: Option<String>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    #[serde(default = "yes")]
    sdist: bool,
    #[serde(default = "yes")]
    wheel: bool,
    #[serde(default)]
    wheel_tags: Vec<String>,
    #[serde(default)]
    yanked: bool,
}

#[derive(Deserialize)]
struct ExpectedWire {
    satisfiable: bool,
    #[serde(default)]
    packages: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct EnvironmentWire {
    python: Option<String>,
}

#[derive(Deserialize, Default)]
struct OptionsWire {
    python: Option<String>,
    #[serde(default)]
    prereleases: bool,
    python_platform: Option<String>,
}

fn yes() -> bool {
    true
}

fn scenarios() -> Vec<(PathBuf, ScenarioWire)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/packse/scenarios");
    let mut scenarios = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            scenarios.push((path, toml::from_str(&text).unwrap()));
        }
    }
    scenarios.sort_by(|(a, _), (b, _)| a.cmp(b));
    scenarios
}

impl ScenarioWire {
    fn releases(&self) -> Vec<Release> {
        let mut releases = Vec::new();
        for (project, package) in &self.packages {
            for (version, release) in &package.versions {
                releases.extend(release.releases(project, version));
            }
        }
        releases
    }

    /// Compares the solution with the expected one and returns what differs.
    fn run(&self) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let url = write_index(directory.path(), &self.releases());
        let requirements: Vec<_> = self.root.requires.iter().map(String::as_str).collect();
        let mut case = Case::new(&url, &requirements);
        let options = &self.resolver_options;
        let python = options.python.as_ref().or(self.environment.python.as_ref());
        case.version = match python.map_or(PYTHON, String::as_str) {
            version if version.split('.').count() == 3 => version.to_owned(),
            version => format!("{version}.0"),
        };
        if options.python_platform.as_deref() == Some("x86_64-manylinux2014") {
            case.glibc = (2, 17);
        }
        if options.prereleases {
            case.python.prerelease = Prerelease::Allow;
        }
        match case.resolve() {
            Err(_) if !self.expected.satisfiable => Ok(()),
            Err(error) => Err(report(&error)),
            Ok(wheels) => {
                let found: BTreeMap<_, _> = wheels
                    .into_iter()
                    .map(|wheel| (wheel.name.to_string(), wheel.version))
                    .collect();
                let as_expected = self.expected.satisfiable
                    && (self.expected.packages.is_empty() || found == self.expected.packages);
                match as_expected {
                    true => Ok(()),
                    false => Err(format!("{found:?}, not {:?}", self.expected.packages)),
                }
            }
        }
    }
}

impl VersionWire {
    fn releases(&self, project: &str, version: &str) -> Vec<Release> {
        let any = ["py3-none-any".to_owned()];
        let tags = match &self.wheel_tags[..] {
            [] => &any[..],
            tags => tags,
        };
        let wheels = tags.iter().filter(|_| self.wheel).map(|tag| {
            let wheel = Release::wheel(project, version).tag(tag);
            let wheel = self
                .requires
                .iter()
                .fold(wheel, |wheel, requirement| wheel.requires(requirement));
            self.extras
                .iter()
                .fold(wheel, |wheel, (extra, requirements)| {
                    let add =
                        |wheel: Release, requirement: &String| wheel.extra(extra, requirement);
                    requirements.iter().fold(wheel, add)
                })
        });
        let sdist = self.sdist.then(|| Release::sdist(project, version));
        let releases = wheels.chain(sdist);
        let releases = releases.map(|release| match &self.requires_python {
            Some(specifier) => release.python(specifier),
            None => release,
        });
        let yank = |release: Release| match self.yanked {
            true => release.yanked("Yanked for testing"),
            false => release,
        };
        releases.map(yank).collect()
    }
}

#[test]
fn scenarios_end_as_expected_or_for_a_reason() {
    let mut surprises = String::new();
    let mut count = 0;
    for (path, scenario) in scenarios() {
        count += 1;
        let listed = OTHERWISE.iter().find(|(name, _)| *name == scenario.name);
        match (scenario.run(), listed) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some((_, because))) => {
                surprises += &format!(
                    "{} ends as expected in spite of {because:?}\n",
                    scenario.name
                );
            }
            (Err(difference), None) => {
                surprises += &format!("{} ({}): {difference}\n", scenario.name, path.display());
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises}");
    assert_eq!(count, 148);
}
