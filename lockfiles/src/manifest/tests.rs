use std::path::Path;

use crate::base::Explain;
use crate::manifest::{Manifest, ManifestError, init_text};

const HEAD: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n";

fn parse(rest: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(&format!("{HEAD}{rest}"), Path::new("envbox.toml"))
}

/// What the command prints of an error.
fn rendered(error: &ManifestError) -> String {
    let excerpt = error
        .excerpt()
        .map(|excerpt| format!("\n{excerpt}"))
        .unwrap_or_default();
    let hints: Vec<_> = error
        .hints()
        .iter()
        .map(|hint| format!("\nhint: {hint}"))
        .collect();
    format!("{error}{excerpt}{}", hints.concat())
}

#[test]
fn a_whole_manifest_is_read() {
    let manifest = parse(
        r#"
        [python]
        requirements = ["Scikit_Learn == 1.5.2", "pandas>=2 ; python_version > '3.8'"]
        exclude-newer = "2026-11-01"
        extra-index-urls = ["https://example.org/simple", { name = "own", url = "https://own.example/simple" }]
        [debian]
        suite = "bookworm"
        snapshot = "20261101T000000Z"
        packages = ["libgomp1"]
        [sandbox]
        outputs = ["model.pkl", "metrics/"]
        env = { OMP_NUM_THREADS = "1" }
        "#,
    )
    .unwrap();
    assert_eq!(
        manifest.python.requirements,
        [
            "scikit-learn==1.5.2",
            "pandas>=2 ; python_full_version >= '3.9'"
        ]
    );
    assert_eq!(
        manifest.python.exclude_newer.unwrap().to_string(),
        "2026-11-01T00:00:00Z"
    );
    let names: Vec<_> = manifest
        .python
        .extra_indexes
        .iter()
        .map(|index| index.name.as_str())
        .collect();
    assert_eq!(names, ["extra-1", "own"]);
    assert_eq!(manifest.sandbox.hostname, "envbox");
}

#[test]
fn a_slip_is_shown_where_it_is() {
    let error = parse("[python]\nrequirments = [\"numpy\"]\n").unwrap_err();
    insta::assert_snapshot!(rendered(&error), @r#"
    envbox.toml:5:1: unknown key `requirments` in [python]
      |
    5 | requirments = ["numpy"]
      | ^^^^^^^^^^^
    hint: write `requirements`
    "#);
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    let cases = [
        ("[pyhton]\n", "unknown key `pyhton`"),
        (
            "[python]\nrequirements = \"numpy\"\n",
            "expected an array, found a string",
        ),
        (
            "[python]\nrequirements = [\"numpy==\"]\n",
            "is not a PEP 508 requirement",
        ),
        ("[python]\nprerelease = \"alow\"\n", "is not one of"),
        ("[python]\nexclude-newer = \"soon\"\n", "is not a time like"),
        ("[python]\nindex-url = \"nowhere\"\n", "is not a URL"),
        (
            "[python]\nno-build = false\n",
            "not supported by this version",
        ),
        (
            "[debian]\npackages = [\"Libgomp\"]\n",
            "is not a Debian package name",
        ),
        ("[debian]\nsnapshot = \"2026\"\n", "is not a time like"),
        (
            "[sandbox]\noutputs = [\"../x\"]\n",
            "is not a path inside the project",
        ),
        (
            "[sandbox]\nclock = \"frozen\"\n",
            "not supported by this version",
        ),
        ("[sandbox]\ncpus = 0\n", "is not a number of CPUs"),
        ("[sandbox]\nseed = -1\n", "is not a number from 0"),
        (
            "[sandbox]\nenv = { \"A=B\" = \"\" }\n",
            "is not the name of a variable",
        ),
        ("[sandbox\n", "invalid TOML"),
        ("[environment]\n", "invalid TOML"),
        ("[conda]\n", "not supported by this version"),
    ];
    for (text, expected) in cases {
        let error = parse(text).expect_err(text);
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(error.place.is_some(), "{text}: no place");
    }
}

#[test]
fn an_impossible_python_is_refused() {
    for version in [
        "\"3\"",
        "\"3.99x\"",
        "4",
        "\"\"",
        "\"3.11.2.1\"",
        "{ version = \"3.11\", form = \"debian\" }",
    ] {
        let text = format!("[environment]\nname = \"iris\"\npython = {version}\n");
        let error = Manifest::parse(&text, Path::new("envbox.toml")).expect_err(version);
        assert_eq!(
            error.place.as_ref().map(|place| place.line),
            Some(3),
            "{version}"
        );
    }
}

#[test]
fn requirements_come_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write(
        "requirements.txt",
        "numpy>=1 \\\n    --hash=sha256:00\n# comment\n-r more.txt\n-c limits.txt\n",
    );
    write("more.txt", "pandas # of course\n");
    write("limits.txt", "numpy<3\n");
    write(
        "pyproject.toml",
        "[project]\nname = \"x\"\ndependencies = [\"attrs\"]\n[project.optional-dependencies]\nPlot = [\"matplotlib\"]\n\
         [dependency-groups]\ndev = [\"pytest\", {include-group = \"lint\"}]\nlint = [\"ruff\"]\n",
    );
    write(
        "envbox.toml",
        &format!(
            "{HEAD}[python]\nrequirements-from = [\"requirements.txt\", \
                  {{ file = \"pyproject.toml\", extras = [\"plot\"], groups = [\"dev\"] }}]\n"
        ),
    );
    let (manifest, _) = Manifest::from_project(directory.path()).unwrap();
    assert_eq!(
        manifest.python.requirements,
        [
            "numpy>=1",
            "pandas",
            "attrs",
            "matplotlib",
            "pytest",
            "ruff"
        ]
    );
    assert_eq!(manifest.python.constraints, ["numpy<3"]);
    write("more.txt", "--index-url https://example.org\n");
    let error = Manifest::from_project(directory.path()).unwrap_err();
    assert!(error.to_string().contains("more.txt:1:1"), "{error}");
}

#[test]
fn a_pyproject_can_hold_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pyproject.toml");
    std::fs::write(
        &file,
        "[project]\nname = \"x\"\ndependencies = [\"attrs\"]\n[tool.envbox.environment]\nname = \"x\"\npython = \"3.13\"\n",
    )
    .unwrap();
    let (manifest, found) = Manifest::from_project(directory.path()).unwrap();
    assert_eq!(
        (manifest.python.requirements, found),
        (vec!["attrs".to_owned()], file)
    );
    std::fs::write(directory.path().join("envbox.toml"), HEAD).unwrap();
    let both = Manifest::from_project(directory.path()).unwrap_err();
    assert!(both.to_string().contains("both"), "{both}");
}

#[test]
fn init_writes_what_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("1 my project");
    std::fs::create_dir(&project).unwrap();
    assert!(
        init_text(&project)
            .unwrap()
            .contains("name = \"my-project\"")
    );
    std::fs::write(project.join("requirements.txt"), "numpy\n").unwrap();
    assert!(
        init_text(&project)
            .unwrap()
            .contains("requirements-from = [\"requirements.txt\"]")
    );
    std::fs::write(
        project.join("pyproject.toml"),
        "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\n",
    )
    .unwrap();
    assert!(init_text(&project).unwrap().contains("python = \"3.13\""));
}
